"""Wan at the size of a test: random weights, published layouts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

FAMILIES = ("wan2.1-14b", "wan2.1-1.3b", "wan2.2-a14b", "wan2.2-5b")
TEXT = 16
RENAMED = {
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "attn1.to_out.0": "self_attn.o",
    "attn2.to_out.0": "cross_attn.o",
    "attn1.to_": "self_attn.",
    "attn2.to_": "cross_attn.",
    "attn1": "self_attn",
    "attn2": "cross_attn",
    "norm2": "norm3",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
    "proj_out": "head.head",
}
"""Parts of diffusers' names -> of Wan's own."""


def transformer(family: str = "wan2.1-14b", seed: int = 0, **changes: Any) -> WanTransformer3DModel:
    torch.manual_seed(seed)
    channels = 6 if family == "wan2.2-5b" else 4
    config = {
        "patch_size": (1, 2, 2),
        "num_attention_heads": 3 if family == "wan2.1-1.3b" else 2,
        "attention_head_dim": 12,
        "in_channels": channels,
        "out_channels": channels,
        "text_dim": TEXT,
        "freq_dim": 32,
        "ffn_dim": 40,
        "num_layers": 2,
    }
    model = WanTransformer3DModel(**{**config, **changes}).eval()
    torch.nn.init.normal_(model.proj_out.weight, std=0.2)
    return model


def codec(family: str = "wan2.1-14b") -> AutoencoderKLWan:
    torch.manual_seed(7)
    z = 6 if family == "wan2.2-5b" else 4
    config: dict[str, Any] = {"base_dim": 4, "z_dim": z, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
    config |= {"latents_mean": [0.1 * i for i in range(z)], "latents_std": [1 + 0.5 * i for i in range(z)]}
    if family == "wan2.2-5b":
        config |= {"is_residual": True, "patch_size": 2, "in_channels": 12, "out_channels": 12, "decoder_base_dim": 4}
        config |= {"scale_factor_spatial": 16, "scale_factor_temporal": 4}
    return AutoencoderKLWan(**config).eval()


def tokenizer() -> PreTrainedTokenizerFast:
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    words = Tokenizer(Unigram(special + [(c, -3.0) for c in "abcdefghijklmnopqrstuvwxyz"], unk_id=2))
    words.pre_tokenizer = Metaspace()
    words.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def text_encoder(seed: int = 9) -> UMT5EncoderModel:
    torch.manual_seed(seed)
    sizes = {"vocab_size": 32, "d_model": TEXT, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
    return UMT5EncoderModel(UMT5Config(**sizes, tie_word_embeddings=False)).eval()


def pipeline(family: str = "wan2.1-14b") -> WanPipeline:
    two = family == "wan2.2-a14b"
    return WanPipeline(
        tokenizer=tokenizer(),
        text_encoder=text_encoder(),
        vae=codec(family),
        scheduler=UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
        transformer=transformer(family),
        transformer_2=transformer(family, seed=1) if two else None,
        boundary_ratio=0.875 if two else None,
        expand_timesteps=family == "wan2.2-5b",
    )


def edit(file: Path, **changes: Any) -> None:
    """Change a JSON file; None takes a value out."""
    found = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({k: v for k, v in found.items() if v is not None}))


def rewrite(file: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    """Change the weights in a file."""
    save_file({k: v.clone() for k, v in change(load_file(file)).items()}, file, {"format": "pt"})


def without(part: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda weights: {k: v for k, v in weights.items() if part not in k}


def refused(match: str, call: Callable[..., Any], *args: Any, error: type[Exception] = ValueError) -> None:
    """With one sentence, on one line."""
    with pytest.raises(error, match=match) as found:
        call(*args)
    assert str(found.value).endswith(".")
    assert "\n" not in str(found.value)

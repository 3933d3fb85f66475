"""A Wan that fits anywhere: the published layout and every part of the real one, tiny and with random weights."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from pusa_lab.arguments import checked
from pusa_lab.files import check_folder

CHANNELS, TEXT = 4, 16
"""Latent channels, and width of the text embeddings; the real Wan2.1 has 16 and 4096."""


@checked
def write_tiny_wan(folder: str | Path, seed: int = 0) -> Path:
    """Write a folder like Wan2.1-T2V-14B-Diffusers, 0.2 MB of random weights, with which every command for Wan runs.

    What it makes is noise; what happens around its numbers (files, shapes, caches, LoRA keys, schedules) is the real
    thing, so that a day's commands can be tried without a GPU and without a download.

    Args:
        folder: new or empty, so that the files of a real Wan are never replaced.
        seed: of the weights.

    Returns:
        The folder, for `--model` and `load`.

    Raises:
        ValueError: the folder holds something already, or cannot be written.
    """
    folder = check_folder(folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise ValueError(f"the folder {folder} is not empty: give a new one, as files there could be a real Wan's.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        pipe = WanPipeline(
            tokenizer=_tokenizer(),
            text_encoder=_text_encoder(),
            vae=_codec(),
            scheduler=UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
            transformer=_transformer(),
        )
    pipe.save_pretrained(folder)
    return folder


def _transformer() -> WanTransformer3DModel:
    config: dict[str, Any] = {"in_channels": CHANNELS, "out_channels": CHANNELS, "text_dim": TEXT}
    config |= {"num_attention_heads": 2, "attention_head_dim": 12, "ffn_dim": 48, "num_layers": 2, "freq_dim": 32}
    return WanTransformer3DModel(**config).eval()


def _codec() -> AutoencoderKLWan:
    """With the moments of its own latents, so that those of clips have a variance near 1, as the real codec's do."""
    codec = AutoencoderKLWan(base_dim=4, z_dim=CHANNELS, dim_mult=[1, 1, 1, 1], num_res_blocks=1).eval()
    clips = torch.nn.functional.interpolate(2 * torch.rand(8, 3, 3, 4, 4) - 1, (9, 32, 32), mode="trilinear")
    with torch.no_grad():
        z = codec.encode(clips).latent_dist.mode().transpose(0, 1).flatten(1)
    codec.register_to_config(latents_mean=z.mean(1).tolist(), latents_std=z.std(1).tolist())
    return codec


def _text_encoder() -> UMT5EncoderModel:
    sizes: dict[str, Any] = {"vocab_size": 32, "d_model": TEXT, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
    return UMT5EncoderModel(UMT5Config(**sizes | {"tie_word_embeddings": False})).eval()


def _tokenizer() -> PreTrainedTokenizerFast:
    """Letters are its words."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    letters = Tokenizer(Unigram(special + [(c, -3.0) for c in "abcdefghijklmnopqrstuvwxyz"], unk_id=2))
    letters.pre_tokenizer = Metaspace()
    letters.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=letters, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")

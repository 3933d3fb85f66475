"""Pipelines of diffusers at the size of a test: random weights, the published layouts."""

from typing import Any

import diffusers
import torch
from diffusers.pipelines.ltx2 import LTX2TextConnectors
from transformers import ByT5Tokenizer, CLIPTextConfig, CLIPTextModel, LlamaConfig, LlamaModel, T5Config, T5EncoderModel
from wan_tiny import TEXT, codec, text_encoder, tokenizer

WORDS = {"vocab_size": 32, "hidden_size": TEXT, "intermediate_size": 24, "num_attention_heads": 2}
EULER = diffusers.FlowMatchEulerDiscreteScheduler


def seeded(make, seed: int = 0, **config: Any):
    """A model with its own random weights, whatever was drawn before."""
    torch.manual_seed(seed)
    return make(**config).eval()


def t5(vocabulary: int = 32):
    sizes = {"vocab_size": vocabulary, "d_model": TEXT, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
    return seeded(T5EncoderModel, config=T5Config(**sizes))


def llama():
    return seeded(LlamaModel, config=LlamaConfig(**WORDS, num_hidden_layers=3, num_key_value_heads=2))


def ltx_transformer(**changes: Any):
    config = {"in_channels": 8, "out_channels": 8, "num_attention_heads": 2, "attention_head_dim": 12}
    config |= {"cross_attention_dim": 24, "num_layers": 2, "caption_channels": TEXT}
    return seeded(diffusers.LTXVideoTransformer3DModel, **{**config, **changes})


def ltx(**changes: Any):
    vae = seeded(
        diffusers.AutoencoderKLLTXVideo,
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        patch_size=1,
        scaling_factor=0.7,
        **changes,
    )
    vae.latents_mean.copy_(torch.linspace(-0.2, 0.2, 8))
    vae.latents_std.copy_(torch.linspace(0.05, 0.2, 8))
    return diffusers.LTXPipeline(EULER(), vae, t5(), tokenizer(), ltx_transformer())


def ltx2():
    vae = seeded(
        diffusers.AutoencoderKLLTX2Video,
        latent_channels=8,
        block_out_channels=(8, 16, 32, 64),
        decoder_block_out_channels=(8, 16, 32),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1),
        patch_size=1,
        spatial_compression_ratio=8,
        temporal_compression_ratio=8,
    )
    heads = {"num_attention_heads": 2, "attention_head_dim": 12, "cross_attention_dim": 24}
    sound = {f"audio_{name}": value for name, value in heads.items()}
    transformer = seeded(
        diffusers.LTX2VideoTransformer3DModel,
        **heads,
        **sound,
        in_channels=8,
        out_channels=8,
        audio_in_channels=4,
        audio_out_channels=4,
        num_layers=2,
        caption_channels=TEXT,
        vae_scale_factors=(8, 8, 8),
    )
    side = {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 1, "num_learnable_registers": None}
    connectors = {f"{part}_connector_{name}": value for part in ("video", "audio") for name, value in side.items()}
    connectors = seeded(LTX2TextConnectors, caption_channels=TEXT, text_proj_in_factor=4, **connectors)
    parts = {"transformer": transformer, "vocoder": None}
    return diffusers.LTX2Pipeline(EULER(), vae, None, llama(), tokenizer(), connectors, **parts)


def skyreels_transformer(**changes: Any):
    config = {"patch_size": (1, 2, 2), "num_attention_heads": 2, "attention_head_dim": 12, "in_channels": 4}
    config |= {"out_channels": 4, "text_dim": TEXT, "freq_dim": 32, "ffn_dim": 40, "num_layers": 2}
    model = seeded(diffusers.SkyReelsV2Transformer3DModel, **{**config, **changes})
    torch.nn.init.normal_(model.proj_out.weight, std=0.2)
    return model


def skyreels():
    parts = {"transformer": skyreels_transformer(), "vae": codec(), "scheduler": EULER(shift=8.0)}
    return diffusers.SkyReelsV2Pipeline(tokenizer(), text_encoder(), **parts)


HUNYUAN = {
    "out_channels": 4,
    "num_attention_heads": 2,
    "attention_head_dim": 10,
    "num_layers": 1,
    "num_refiner_layers": 1,
    "text_embed_dim": TEXT,
    "rope_axes_dim": (2, 4, 4),
}
"""Sizes that HunyuanVideo and HunyuanVideo-1.5 share."""


def hunyuan():
    vae = seeded(
        diffusers.AutoencoderKLHunyuanVideo,
        latent_channels=4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
    )
    transformer = seeded(
        diffusers.HunyuanVideoTransformer3DModel,
        **HUNYUAN,
        in_channels=4,
        num_single_layers=1,
        pooled_projection_dim=TEXT,
    )
    special = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 1}
    clip = CLIPTextConfig(**WORDS, num_hidden_layers=1, max_position_embeddings=77, **special)
    texts = {"text_encoder": llama(), "tokenizer": tokenizer(), "text_encoder_2": seeded(CLIPTextModel, config=clip)}
    parts = {"transformer": transformer, "vae": vae, "scheduler": EULER(shift=7.0), "tokenizer_2": tokenizer()}
    return diffusers.HunyuanVideoPipeline(**texts, **parts)


def hunyuan15():
    from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLTextConfig
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextModel

    vae = seeded(
        diffusers.AutoencoderKLHunyuanVideo15,
        latent_channels=4,
        block_out_channels=(32, 32, 32, 32, 32),
        layers_per_block=1,
    )
    transformer = seeded(
        diffusers.HunyuanVideo15Transformer3DModel,
        **HUNYUAN,
        in_channels=9,
        text_embed_2_dim=TEXT,
        image_embed_dim=12,
    )
    rope = {"rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]}}
    qwen = Qwen2_5_VLTextConfig(
        **WORDS, bos_token_id=2, eos_token_id=1, num_hidden_layers=3, num_key_value_heads=2, **rope
    )
    words = tokenizer()
    words.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    pipe = diffusers.HunyuanVideo15Pipeline(
        seeded(Qwen2_5_VLTextModel, config=qwen),
        words,
        transformer,
        vae,
        EULER(shift=5.0),
        t5(384),
        ByT5Tokenizer(),
        diffusers.ClassifierFreeGuidance(guidance_scale=1.0),
    )
    pipe.vision_num_semantic_tokens, pipe.tokenizer_max_length, pipe.tokenizer_2_max_length = 5, 600, 16
    return pipe


def cogvideox(rotary: bool = True):
    vae = seeded(
        diffusers.AutoencoderKLCogVideoX,
        latent_channels=4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        norm_num_groups=2,
        sample_height=16,
        sample_width=16,
    )
    transformer = seeded(
        diffusers.CogVideoXTransformer3DModel,
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=4,
        time_embed_dim=8,
        text_embed_dim=TEXT,
        num_layers=2,
        sample_width=2,
        sample_height=2,
        sample_frames=9,
        max_text_seq_length=226,
        use_rotary_positional_embeddings=rotary,
    )
    steps = {"prediction_type": "v_prediction", "timestep_spacing": "trailing", "rescale_betas_zero_snr": True}
    scheduler = diffusers.CogVideoXDDIMScheduler(**steps, clip_sample=False)
    return diffusers.CogVideoXPipeline(tokenizer(), t5(), vae, transformer, scheduler)

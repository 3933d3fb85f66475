"""The sizes of a Wan in a folder, as the planner counts with them: read from its configs, without its weights."""

import json
from functools import lru_cache
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import UMT5Config, UMT5EncoderModel

from pusa_lab.arguments import checked
from pusa_lab.generate import GUIDANCE
from pusa_lab.wan.checks import _building
from pusa_lab.wan.configs import WAN_CONFIGS, WanConfig
from pusa_lab.wan.folders import Folder, check_wan_folder, find_folder
from pusa_lab.wan.loading import SIZE, sizes
from pusa_lab.wan.transformer import check_text_to_video

TRANSFORMER = ("num_attention_heads", "attention_head_dim", "ffn_dim", "num_layers", "text_dim")
"""Sizes that the config of every transformer gives."""
CODECS = {8: ("wan2.1-14b", 96), 16: ("wan2.2-5b", 256)}
"""Pixels per latent along height and width -> a published model with such a codec, and the width of its decoder."""


@checked
def folder_config(source: str | Path) -> WanConfig:
    """The configuration of the model in a folder or repository, from its configs alone.

    That of a published model is the one in WAN_CONFIGS. Of another, parameters and the codec's operations are counted,
    and the codec's memory is that of a published one in proportion to its width.

    Args:
        source: a folder, or a repository such as Wan-AI/Wan2.1-T2V-14B-Diffusers.

    Raises:
        ValueError: the folder is incomplete, a config is not valid, or the model is not a text-to-video Wan.
    """
    folder = check_wan_folder(find_folder(source, weights=False), weights=False)
    found = _read(folder, str(source))
    same = (config for config in WAN_CONFIGS.values() if _identity(config) == _identity(found))
    return next(same, found)


def _identity(c: WanConfig) -> tuple[object, ...]:
    return c.transformer, c.stride, c.experts, c.text_parameters, c.codec_parameters


def _read(folder: Folder, source: str) -> WanConfig:
    transformer, codec, text = (folder.config(part) for part in ("transformer", "vae", "text_encoder"))
    check_text_to_video({"image_dim": None, **transformer})
    patch, space = tuple(transformer["patch_size"]), codec.get("scale_factor_spatial", 8)
    geometry = sizes(codec, transformer, size=(space * patch[1], space * patch[2]))
    parameters, flops = _codec_counts(json.dumps(codec))
    published, width = CODECS[16 if space == 16 else 8]
    own = codec.get("decoder_base_dim") or codec.get("base_dim", width)
    return WanConfig(
        source,
        **{name: transformer[name] for name in TRANSFORMER},
        freq_dim=transformer.get("freq_dim", 256),
        patch_size=patch,
        channels=geometry.channels,
        stride=geometry.stride,
        size=SIZE,
        num_frames=geometry.pixel_frames(geometry.frames),
        fps=geometry.fps,
        shift=geometry.shift,
        guidance=(GUIDANCE,) * len(folder.experts),
        boundary=(folder.index.get("boundary_ratio") or 0.875) if len(folder.experts) > 1 else None,
        text_parameters=_text_parameters(json.dumps(text)),
        codec_parameters=parameters,
        codec_flops=flops,
        codec_bytes=WAN_CONFIGS[published].codec_bytes * own / width,
    )


@lru_cache(64)
def _codec_counts(config: str) -> tuple[int, float]:
    """Parameters of a codec, and operations to decode one pixel of one frame."""
    with _building("vae"), torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counted:
        codec = AutoencoderKLWan.from_config(json.loads(config))
        space = codec.config.scale_factor_spatial
        height, width = SIZE[0] // space, SIZE[1] // space
        video = codec.decode(torch.empty(1, codec.config.z_dim, 4, height, width)).sample
    return _count(codec), counted.get_total_flops() / (video.shape[2] * video.shape[3] * video.shape[4])


@lru_cache(64)
def _text_parameters(config: str) -> int:
    with _building("text_encoder"), torch.device("meta"):
        return _count(UMT5EncoderModel(UMT5Config(**json.loads(config))))


def _count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())

"""A toy with everything Wan has: text encoder, transformer, and (here trivial) codec, behind the same five calls."""

from typing import Any

import torch
from torch import Tensor, nn

from pusa_lab.types import Clip, Cond, Geometry, Tau, Video
from small_models.dit import ToyDiT
from small_models.text import TextEncoder, tokenize

PRESETS: dict[str, dict[str, Any]] = {
    "nano": {
        "geometry": {"stride": (1, 1, 1), "channels": 3, "frames": 8, "size": (16, 16), "fps": 8},
        "dit": {
            "patch_size": (1, 4, 4),
            "num_attention_heads": 3,
            "attention_head_dim": 32,
            "in_channels": 3,
            "out_channels": 3,
            "text_dim": 64,
            "freq_dim": 64,
            "ffn_dim": 384,
            "num_layers": 5,
        },
    }
}
"""Name -> sizes. `nano` lives in pixel space, so that its frames are pictures and nothing stands in between."""


class ToyModel(nn.Module):
    """A `VideoModel` in pixel space.

    Args:
        preset: sizes, see PRESETS.
    """

    def __init__(self, preset: dict[str, Any]):
        super().__init__()
        sizes = preset["geometry"]
        self.preset = preset
        self.geometry = Geometry(**{**sizes, "stride": tuple(sizes["stride"]), "size": tuple(sizes["size"])})
        self.text = TextEncoder(preset["dit"]["text_dim"])
        self.dit = ToyDiT(**{**preset["dit"], "patch_size": tuple(preset["dit"]["patch_size"])})

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.dit.proj_out.weight.device

    def encode_text(self, prompts: list[str]) -> Cond:
        """Captions to the denoiser's keyword arguments; ValueError names unknown words."""
        return {"text": self.text(tokenize(prompts).to(self.device))}

    def encode_video(self, clip: Clip) -> Video:
        """Pixels are the latents."""
        return clip

    def decode(self, latents: Video) -> Clip:
        """Latents are the pixels."""
        return latents

    def forward(self, x: Video, tau: Tau, text: Tensor) -> Video:
        """The velocity, one clock per frame, computed in the weights' precision and returned in x's."""
        return self.dit(x.to(text.dtype), tau, text).to(x.dtype)

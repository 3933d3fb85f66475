"""A Wan by its configs alone, on which a request is tried before gigabytes of weights are read."""

from dataclasses import dataclass
from typing import Any

import torch

from pusa_lab.arguments import checked
from pusa_lab.types import Clip, Cond, Geometry, Tau, Video
from pusa_lab.wan.folders import check_wan_folder, find_folder
from pusa_lab.wan.loading import SIZE, folder_sizes


@dataclass(frozen=True)
class WanOutline:
    """A `VideoModel` of a Wan's sizes, whose latents, pixels and velocities are 0."""

    geometry: Geometry
    """Sizes of its videos."""
    num_layers: int
    """Blocks of the transformer."""

    @property
    def device(self) -> torch.device:
        """On which a request is tried."""
        return torch.device("cpu")

    def encode_text(self, prompts: list[str]) -> Cond:
        """An embedding of one number for each prompt."""
        return {"text": torch.zeros(len(prompts), 1, 1)}

    def encode_video(self, clip: Clip) -> Video:
        """Latents of pixels (b, 3, 1 + 4k, h, w)."""
        _, *strides = self.geometry.stride
        height, width = (n // stride for n, stride in zip(clip.shape[3:], strides, strict=True))
        frames = self.geometry.latent_frames(clip.shape[2])
        return torch.zeros(len(clip), self.geometry.channels, frames, height, width)

    def decode(self, latents: Video) -> Clip:
        """Pixels of latents (b, c, f, h, w)."""
        _, *strides = self.geometry.stride
        height, width = (n * stride for n, stride in zip(latents.shape[3:], strides, strict=True))
        return torch.zeros(len(latents), 3, self.geometry.pixel_frames(latents.shape[2]), height, width)

    def __call__(self, x: Video, tau: Tau, **cond: Any) -> Video:
        """The velocity at x."""
        return torch.zeros_like(x)


@checked
def read_outline(source: str, size: tuple[int, int] = SIZE) -> WanOutline:
    """Read what the configs of a Wan say of its videos.

    Args:
        source: a folder, or a repository such as Wan-AI/Wan2.1-T2V-14B-Diffusers, of which only configs are downloaded.
        size: height and width in pixels.

    Raises:
        ValueError: the folder is incomplete, a config is not valid, or the size is not a multiple of the model's units.
    """
    folder = check_wan_folder(find_folder(source, weights=False), weights=False)
    return WanOutline(folder_sizes(folder, size=size), folder.config("transformer")["num_layers"])

"""The shared vocabulary: named shapes, and what a denoiser and a model must offer.

Letters: b batch, c channels, f latent frames, h and w height and width, pf pixel frames, rows = steps + 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked

Video: TypeAlias = Float[Tensor, "b c f h w"]
Tau: TypeAlias = Float[Tensor, "b f"]
Schedule: TypeAlias = Float[Tensor, "rows f"]
Schedules: TypeAlias = Float[Tensor, "b rows f"]
"""A schedule for each sample, all with the same number of rows."""
Clip: TypeAlias = Float[Tensor, "b 3 pf hp wp"]
"""Pixels in [-1, 1]."""

Levels: TypeAlias = float | int | Sequence[float] | np.ndarray | Float[Tensor, "*any"]
"""One noise level in [0, 1] for all known frames, or one level per known frame."""

Denoiser: TypeAlias = Annotated[Callable[..., Tensor], 2]
"""(x (b c f h w), tau (b f), **cond) -> v (b c f h w): anything that predicts the velocity v = eps - x0."""

Cond: TypeAlias = dict[str, Any]
"""Keyword arguments for the denoiser call, as `encode_text` returns them."""


@checked
@dataclass(frozen=True, eq=False)
class Rising:
    """A schedule that may go back up: wherever a level rises from s to t, the frame is noised on with fresh noise.

    x_t = a x_s + sqrt(t^2 - (a s)^2) eps, a = (1 - t) / (1 - s); no denoiser is called for it

    Every other schedule is refused if a level rises, which is mostly a mistake.
    """

    levels: Schedule | Schedules
    """Noise levels (rows, f), or one matrix per sample (b, rows, f); in [0, 1], the last row 0."""


@checked
def computes_in_bfloat16(device: torch.device | str) -> bool:
    """Whether a device supports bfloat16 in hardware, as NVIDIA GPUs of compute capability 8.0 or higher do.

    `torch.cuda.is_bf16_supported()` also returns True where bfloat16 is emulated slowly, as on a T4 (capability 7.5).

    Args:
        device: such as "cuda" or "cpu". Devices other than "cuda" always count as supported.
    """
    return torch.device(device).type != "cuda" or torch.cuda.get_device_capability(device) >= (8, 0)


@checked
@dataclass(frozen=True)
class Geometry:
    """The sizes a model was built for, and how latents and pixels correspond.

    Raises:
        ValueError: a number is 0 or negative.
    """

    stride: tuple[int, int, int]
    """Pixels per latent along frames, height and width: (4, 8, 8) for Wan2.1, (1, 1, 1) in pixel space."""
    channels: int
    """Latent channels."""
    frames: int
    """Default number of latent frames."""
    size: tuple[int, int]
    """Default height and width in pixels."""
    fps: int = 16
    """Frame rate at which the model's videos are meant to be played, in frames per second."""
    shift: float | int = 1.0
    """Default shift of the sampling sigmas (1 is linear, Wan uses 3 to 12)."""

    def __post_init__(self) -> None:
        for name in ("stride", "channels", "frames", "size", "fps", "shift"):
            value = getattr(self, name)
            if not min(value if isinstance(value, tuple) else (value,)) > 0:
                raise ValueError(f"{name}={value}: give numbers above 0.")

    @checked
    def pixel_frames(self, latent_frames: int) -> int:
        """Number of pixel frames decoded from `latent_frames` >= 1: 1 + stride[0] * (latent_frames - 1)."""
        if latent_frames < 1:
            raise ValueError(f"latent_frames={latent_frames}: a video has at least 1 latent frame.")
        return 1 + self.stride[0] * (latent_frames - 1)

    @checked
    def latent_frames(self, num_frames: int) -> int:
        """Number of latent frames of a clip of `num_frames` pixel frames; ValueError unless it is 1 + stride[0] * k."""
        k, rest = divmod(num_frames - 1, self.stride[0])
        if num_frames < 1 or rest:
            raise ValueError(
                f"a clip of {num_frames} pixel frames does not fill whole latent frames: "
                f"give 1 + {self.stride[0]} * k pixel frames, such as {1 + self.stride[0] * max(k, 0)}."
            )
        return k + 1

    @checked
    def latent_at(self, pixel_at: int) -> int:
        """Index of the latent frame that holds pixel frame `pixel_at` >= 0; latent frame 0 holds pixel frame 0 only."""
        if pixel_at < 0:
            raise ValueError(f"pixel_at={pixel_at}: pixel frames are counted from 0.")
        return (pixel_at + self.stride[0] - 1) // self.stride[0]

    @checked
    def pixels_at(self, at: int) -> range:
        """Pixel frames that latent frame `at` >= 0 holds: one for latent frame 0, stride[0] for each later one."""
        if at < 0:
            raise ValueError(f"at={at}: latent frames are counted from 0.")
        return range(self.pixel_frames(at) if at else 0, self.pixel_frames(at + 1))

    @checked
    def latent_shape(self, batch: int, frames: int) -> tuple[int, int, int, int, int]:
        """Shape (b, c, f, h, w) of the latents of `batch` videos with `frames` latent frames."""
        return (batch, self.channels, frames, self.size[0] // self.stride[1], self.size[1] // self.stride[2])


@runtime_checkable
class VideoModel(Protocol):
    """What every model must offer, toy or Wan-14B; `generate` needs nothing else."""

    geometry: Geometry

    @property
    def device(self) -> torch.device:
        """Device that the latents must be on when the denoiser is called."""

    def encode_text(self, prompts: list[str]) -> Cond:
        """Encode prompts as keyword arguments of the denoiser call, one row per prompt; "" is the null prompt."""

    def encode_video(self, clip: Clip) -> Video:
        """Encode pixels (b, 3, pf, h, w) in [-1, 1] as latents (b, c, f, h, w)."""

    def decode(self, latents: Video) -> Clip:
        """Decode latents (b, c, f, h, w) to pixels (b, 3, pf, h, w) in [-1, 1]."""

    def __call__(self, x: Video, tau: Tau, **cond: Any) -> Video:
        """Predict the velocity v = eps - x0 at x (b, c, f, h, w) for one timestep per sample and frame, tau (b, f)."""

"""Tasks: which frames are known, and how noisy they are kept. Nothing else tells one task from another."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pusa_lab.types import Levels

MODES = ("denoise", "hold")


@dataclass(frozen=True, eq=False)
class Known:
    """A picture or clip whose place in the video is known."""

    clip: Any
    """(h, w, 3) or (pixel frames, h, w, 3), uint8 or floats in [0, 1]; or one clip per sample, (b, frames, h, w, 3)."""
    at: int | None = None
    """Latent frame where it starts; a negative one, counted from the end, is where it ends: -1 is the last."""
    pixel_at: int | None = None
    """The same as a pixel frame, 0 or more; give one of the two."""
    noise: Levels = 0.0
    """Level kept, one for all latent frames of the clip or one each: 0 exact, up to 1 free."""
    mode: str = "denoise"
    """denoise: noised once to noise * sigma, then denoised along (Pusa). hold: fresh noise of constant level
    `noise` at every row, clean at the end (SkyReels-V2)."""

    def __post_init__(self) -> None:
        if (self.at is None) == (self.pixel_at is None):
            raise ValueError(f"a known frame wants one of at={self.at} and pixel_at={self.pixel_at}, not both or none.")
        if self.pixel_at is not None and self.pixel_at < 0:
            raise ValueError(f"pixel_at={self.pixel_at}: count pixel frames from 0, or use at=-1 for the last latent.")
        if self.mode not in MODES:
            raise ValueError(f"unknown mode {self.mode!r} of a known frame: choose one of {', '.join(MODES)}.")


@dataclass(frozen=True, eq=False)
class Task:
    """A name for people, and the known frames."""

    name: str
    known: tuple[Known, ...] = ()


def text_to_video() -> Task:
    """Nothing is known but the caption."""
    return Task("text_to_video")


def image_to_video(picture: Any, noise: float = 0.0, mode: str = "denoise") -> Task:
    """The first frame is known.

    Args:
        picture: (h, w, 3), uint8 or floats in [0, 1].
        noise: level kept in [0, 1]; 0 keeps the frame exactly, the paper's runs use 0 to 0.3.
        mode: "denoise" or "hold", see `Known`.

    Source: Algorithm 1, arXiv 2507.16116.
    """
    return Task("image_to_video", (Known(picture, at=0, noise=noise, mode=mode),))


def start_end(first: Any, last: Any, noise: tuple[float, float] = (0.0, 0.0), mode: str = "denoise") -> Task:
    """The first and the last latent frame are known.

    Args:
        first: picture (h, w, 3), uint8 or floats in [0, 1].
        last: picture, or the clip of the last latent frames.
        noise: levels kept at both ends, each in [0, 1].
        mode: "denoise" or "hold", see `Known`.

    Source: section 3.3, arXiv 2507.16116.
    """
    return Task("start_end", (Known(first, 0, noise=noise[0], mode=mode), Known(last, -1, noise=noise[1], mode=mode)))


def transition(first: Any, last: Any, noise: tuple[Levels, Levels] = (0.0, 0.0), mode: str = "denoise") -> Task:
    """One clip becomes another: the video starts with the first and ends with the last.

    Args:
        first: (pixel frames, h, w, 3), uint8 or floats in [0, 1].
        last: likewise.
        noise: levels kept of both, each one for all or one for each of its latent frames, in [0, 1].
        mode: "denoise" or "hold", see `Known`.

    Source: section 3.3, arXiv 2507.16116.
    """
    return Task("transition", (Known(first, 0, noise=noise[0], mode=mode), Known(last, -1, noise=noise[1], mode=mode)))


def extension(clip: Any, known: int | None = None, noise: Levels = 0.0, mode: str = "denoise") -> Task:
    """The video goes on where a clip ends.

    Args:
        clip: (pixel frames, h, w, 3), uint8 or floats in [0, 1].
        known: how many of its last pixel frames start the new video; None is all of them.
        noise: level kept, one for all or one for each known latent frame, in [0, 1].
        mode: "denoise" or "hold", see `Known`.

    Raises:
        ValueError: the clip is shorter than `known`.
    """
    if np.ndim(clip) != 4:
        raise ValueError(f"extension from shape {tuple(np.shape(clip))}: give a clip (frames, h, w, 3).")
    if known is not None:
        if known < 1 or known > len(clip):
            raise ValueError(f"extension from {known} frames of a clip that has {len(clip)}: ask for 1..{len(clip)}.")
        clip = clip[len(clip) - known :]
    return Task("extension", (Known(clip, 0, noise=noise, mode=mode),))

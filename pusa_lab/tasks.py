"""Tasks: which frames are known, and how noisy they are kept. Nothing else tells one task from another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pusa_lab.pixels import fit, to_pixels
from pusa_lab.schedules import frame_indices, scale_columns
from pusa_lab.timesteps import interpolate
from pusa_lab.types import Geometry, Schedule, Tau, Video, VideoModel

MODES = ("denoise", "hold")


@dataclass(frozen=True, eq=False)
class Known:
    """A picture or clip whose place in the video is known."""

    clip: Any
    """(h, w, 3) or (pixel frames, h, w, 3), uint8 or floats in [0, 1], numpy or torch."""
    at: int | None = None
    """Latent frame where it starts; negative counts from the end."""
    pixel_at: int | None = None
    """The same as a pixel frame, 0 or more; give one of the two."""
    noise: float | Sequence[float] = 0.0
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


def extension(clip: Any, known: int | None = None, noise: float | Sequence[float] = 0.0, mode: str = "denoise") -> Task:
    """The video goes on where a clip ends.

    Args:
        clip: (pixel frames, h, w, 3), uint8 or floats in [0, 1].
        known: how many of its last pixel frames start the new video; None is all of them.
        noise: level kept, one for all or one for each known latent frame, in [0, 1].
        mode: "denoise" or "hold", see `Known`.

    Raises:
        ValueError: the clip is shorter than `known`.
    """
    if known is not None:
        if known < 1 or known > len(clip):
            raise ValueError(f"extension from {known} frames of a clip that has {len(clip)}: ask for 1..{len(clip)}.")
        clip = clip[len(clip) - known :]
    return Task("extension", (Known(clip, 0, noise=noise, mode=mode),))


@dataclass(frozen=True, eq=False)
class Conditions:
    """A task with its frames found and encoded: what the sampler needs to know of it."""

    at: list[int]
    """Known latent frames."""
    noise: list[float]
    """Level kept for each."""
    held: list[bool]
    """Whether each is in mode "hold"."""
    latents: Video | None
    """Clean latents (1, c, n, h, w) of the known frames, in the order of `at`; None when nothing is known."""

    def schedule(self, schedule: Schedule) -> Schedule:
        """The same schedule with the columns of known frames at their level.

        S'[r, i] = m_i S[r, i] (denoise), or m_i until the last row, which is 0 (hold)
        """
        out = scale_columns(schedule, self.at, self.noise)
        for i, m, held in zip(self.at, self.noise, self.held, strict=True):
            if held:
                out[:-1, i] = m
        return out

    def start(self, eps: Video, tau: Tau) -> Video:
        """Noise eps (b, c, f, h, w) with every known frame put at its level in tau (b, f)."""
        return self._put(eps, eps, tau, [True] * len(self.at))

    def impose(self, x: Video, eps: Video, tau: Tau) -> Video:
        """x with every held frame set anew to its level in tau (b, f), with the noise eps."""
        return self._put(x, eps, tau, self.held)

    def _put(self, x: Video, eps: Video, tau: Tau, which: list[bool]) -> Video:
        if self.latents is None or not any(which):
            return x
        at = [i for i, yes in zip(self.at, which, strict=True) if yes]
        known = self.latents[:, :, which].to(x).expand(len(x), -1, -1, -1, -1)
        x = x.clone()
        x[:, :, at] = interpolate(known, eps[:, :, at], tau[:, at])
        return x


def place(task: Task, model: VideoModel, frames: int) -> Conditions:
    """Find the latent frames of a task's known clips, check them all, then encode them.

    Args:
        task: what is known.
        model: gives geometry and codec.
        frames: latent frames of the video.

    Raises:
        ValueError: a clip does not fit the video, two meet at one frame, or a level is out of range.
    """
    at: list[int] = []
    noise: list[float] = []
    held: list[bool] = []
    clips = []
    for known in task.known:
        clip = to_pixels(known.clip)
        n = model.geometry.latent_frames(clip.shape[2])
        at += _span(known, n, frames, model.geometry)
        noise += _levels(known.noise, n)
        held += [known.mode == "hold"] * n
        clips.append(fit(clip, model.geometry.size))
    at = frame_indices(at, frames)
    if len(at) == frames and not any(noise):
        raise ValueError(f"all {frames} latent frames are known and kept clean: nothing is left to generate.")
    latents = torch.cat([model.encode_video(clip.to(model.device)) for clip in clips], dim=2) if clips else None
    return Conditions(at, noise, held, latents)


def _span(known: Known, n: int, frames: int, geometry: Geometry) -> list[int]:
    first = known.at if known.at is not None else geometry.latent_at(known.pixel_at or 0)
    first = frame_indices([first], frames)[0]
    if first + n > frames:
        raise ValueError(
            f"a known clip of {n} latent frames at latent frame {first} reaches past the end of a video of "
            f"{frames} latent frames ({geometry.pixel_frames(frames)} pixel frames): shorten it or ask for more frames."
        )
    return list(range(first, first + n))


def _levels(noise: float | Sequence[float], n: int) -> list[float]:
    levels = list(noise) if isinstance(noise, Sequence) else [noise] * n
    if len(levels) != n:
        raise ValueError(f"{len(levels)} noise levels for a known clip of {n} latent frames: give one, or {n}.")
    if bad := [m for m in levels if not 0 <= m <= 1]:
        raise ValueError(f"noise level {bad[0]} of a known frame is outside [0, 1]: 0 keeps it clean, 1 lets it go.")
    return levels

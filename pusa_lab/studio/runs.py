"""Runs of the studio: the states of the sampling loop as pictures, decoded during sampling as far as time allows."""

import base64
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image

from pusa_lab import metrics
from pusa_lab.arguments import checked, shown
from pusa_lab.pixels import to_pixels, to_uint8
from pusa_lab.runs import Run
from pusa_lab.samplers import State
from pusa_lab.types import Clip, Schedule, Video
from pusa_lab.viz.animate import clean_estimate, decoded_states, middles, pictures

SPARE = 0.5
"""Seconds by which decoding may take longer than sampling; rows skipped for it are decoded after the video."""


@dataclass
class Shot:
    """One row of a run."""

    row: int
    """Row of the schedule."""
    pictures: np.ndarray | None = None
    """Clean estimate (f, h, w, 3) uint8; None if it comes later."""
    video: np.ndarray | None = None
    """Finished video (pixel frames, h, w, 3) uint8, at the last row only."""
    sampling: float = 0.0
    """Seconds spent on sampling so far."""


@checked
def shots(run: Run, decode: Callable[[Video], Clip], spare: float = SPARE) -> Iterator[Shot]:
    """Yield every row of a run as it is reached, the video with the last one, and then the pictures that were skipped.

    Args:
        run: run from `generate.prepare`.
        decode: function from latents to pixels.
        spare: seconds by which decoding may take longer than sampling before rows are skipped, at least 0.
    """
    sampling = decoding = 0.0
    left: list[State] = []
    began = time.perf_counter()
    for state in run.states(watched=False):
        sampling += time.perf_counter() - began
        began = time.perf_counter()
        shot = Shot(state.row, sampling=sampling)
        if state.row == run.last_row:
            with torch.no_grad():
                shot.video = to_uint8(decoded_states(decode, state.x[:1]))[0]
            shot.pictures = shot.video[middles(state.x.shape[2], len(shot.video))]
        elif decoding <= sampling + spare:
            shot.pictures = pictures(clean_estimate(state), decode)
        else:
            left.append(State(state.row, state.tau, clean_estimate(state)))
        decoding += time.perf_counter() - began
        yield shot
        began = time.perf_counter()
    for state in left:
        yield Shot(state.row, pictures(state.x, decode), sampling=sampling)


@dataclass
class Lane:
    """One schedule and its results."""

    title: str
    """Line of Python that rebuilds the schedule."""
    schedule: Schedule
    """(rows, f), with the levels of known frames."""
    sheets: dict[int, str] = field(default_factory=dict)
    """Row -> picture of all frames side by side, as a data URL."""
    clip: str = ""
    """All pixel frames of the finished video side by side, as a data URL."""
    video: np.ndarray | None = None
    """Finished video (pixel frames, h, w, 3) uint8."""
    scores: dict[str, list[float]] = field(default_factory=dict)
    """Measure -> one number per latent frame."""
    seconds: float = 0.0
    """Seconds until the video was finished, without the pictures that were skipped."""

    def add(self, shot: Shot, truth: np.ndarray | None = None) -> None:
        """Add a row of the run.

        Args:
            shot: row from `shots`.
            truth: (pixel frames, h, w, 3) uint8, or None if it is unknown.
        """
        if shot.pictures is not None:
            self.sheets[shot.row] = sprite_sheet(shot.pictures)
        if shot.video is not None:
            self.video, self.clip = shot.video, sprite_sheet(shot.video)
            self.scores = scores(shot.video, self.schedule.shape[1], truth)

    def message(self) -> dict[str, Any]:
        """Return all of it as JSON has it, for a front end."""
        rows = [self.sheets.get(row, "") for row in range(len(self.schedule))]
        message = {"title": self.title, "schedule": self.schedule.tolist(), "sheets": rows, "clip": self.clip}
        return message | {"scores": self.scores, "seconds": self.seconds, "frames": self.schedule.shape[1]}


@checked
def scores(video: np.ndarray, frames: int, truth: np.ndarray | None = None) -> dict[str, list[float]]:
    """Score each latent frame: motion into it (grey levels) and, if the truth is known, PSNR (dB, at most 60) and SSIM.

    Args:
        video: (pixel frames, h, w, 3) uint8.
        frames: number of latent frames, at least 1.
        truth: true video of the same shape, or None if it is unknown.

    Returns:
        Measure -> one number per latent frame.

    Raises:
        ValueError: the video has other axes, the truth another shape, or the number of frames is out of range.
    """
    if video.ndim != 4 or video.shape[-1] != 3:
        raise ValueError(f"video has shape {video.shape}: give (pixel frames, h, w, 3).")
    if not 1 <= frames <= len(video):
        raise ValueError(f"frames={frames} for {len(video)} pixel frames: give 1 to {len(video)} latent frames.")
    clip = to_pixels(video)
    found = {"motion": torch.cat([torch.zeros(1, 1), metrics.motion(clip)], dim=1)} if len(video) > 1 else {}
    if truth is not None:
        real = to_pixels(truth)
        found |= {"psnr": metrics.psnr(clip, real).clamp(max=60), "ssim": metrics.ssim(clip, real)}
    stride = (len(video) - 1) // (frames - 1) if frames > 1 else 1
    spans = [slice(0, 1), *(slice(1 + stride * i, 1 + stride * (i + 1)) for i in range(frames - 1))]
    return {name: [value[0, span].mean().item() for span in spans] for name, value in found.items()}


@checked
def sprite_sheet(frames: np.ndarray) -> str:
    """Put frames side by side into a JPEG and return it as a data URL; small frames are enlarged.

    Args:
        frames: (f, h, w, 3) uint8, not empty.

    Raises:
        ValueError: frames has another shape or type, or is empty.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise ValueError(f"frames is {shown(frames)}: give an array (f, h, w, 3), uint8.")
    scale = max(1, 64 // frames.shape[1])
    wide = np.concatenate(list(frames), axis=1).repeat(scale, axis=0).repeat(scale, axis=1)
    with io.BytesIO() as file:
        Image.fromarray(wide).save(file, "JPEG", quality=88, subsampling=0)
        return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()

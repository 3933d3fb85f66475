"""States of a sampler as pictures: what a page without a kernel shows of a run."""

from collections.abc import Callable, Iterable

import numpy as np
import torch

from pusa_lab.arguments import checked, returned, shown
from pusa_lab.pixels import to_uint8
from pusa_lab.samplers import State
from pusa_lab.types import Clip, Video


@checked
def animate(states: Iterable[State], decode: Callable[[Video], Clip] | None = None) -> np.ndarray:
    """The clean estimates of all states, (rows, h, frames * w, 3) uint8: a clip with one picture a row.

    `notebook.play({"rows": animate(states, model.decode)})` moves, `filmstrip` would draw it still; each picture holds
    the latent frames side by side, from the estimate x - tau v (the start, where nothing was asked yet, as it is).

    Args:
        states: from any sampler, such as `sample_steps`; the first sample of the batch is shown.
        decode: latents to pixels; None shows the first channels as colours.

    Raises:
        ValueError: there are no states.
    """
    sheets = [np.concatenate(list(pictures(estimate(state), decode)), axis=1) for state in states]
    if not sheets:
        raise ValueError("no states to show: give those of sample_steps, or a list of them.")
    return np.stack(sheets)


@checked
def estimate(state: State) -> Video:
    """What the clean video is thought to be at a state: x0, or x where nothing was asked yet; first sample (1, c, f, h,
    w).

    Args:
        state: from a sampler.
    """
    return (state.x if state.x0 is None else state.x0)[:1]


@checked
def pictures(latents: Video, decode: Callable[[Video], Clip] | None = None) -> np.ndarray:
    """One picture for each latent frame, (f, h, w, 3) uint8: the middle one of the pixel frames it holds.

    Args:
        latents: (1, c, f, h, w).
        decode: latents to pixels; None shows the first channels as colours.

    Raises:
        ValueError: there are no latents, or `decode` returns no clip.
    """
    if not latents.numel():
        raise ValueError(f"latents is {shown(latents)}: give at least one of each axis.")
    with torch.no_grad():
        video = to_uint8(_colours(latents) if decode is None else returned(decode(latents.float()), Clip, "decode"))[0]
    return video[middles(latents.shape[2], len(video))]


@checked
def middles(frames: int, pixel_frames: int) -> list[int]:
    """For each latent frame the middle of its pixel frames.

    Args:
        frames: latent frames, at least 1.
        pixel_frames: 1 + stride * (frames - 1).

    Raises:
        ValueError: there are no frames.
    """
    if frames < 1 or pixel_frames < frames:
        raise ValueError(f"{pixel_frames} pixel frames of {frames} latent frames: give at least 1 for each.")
    stride = (pixel_frames - 1) // (frames - 1) if frames > 1 else 1
    return [0, *(1 + stride * (i - 1) + stride // 2 for i in range(1, frames))]


def _colours(latents: Video) -> Clip:
    """The first three channels, or the only one three times, between their smallest and largest value."""
    x = latents[:, :3] if latents.shape[1] >= 3 else latents[:, :1].expand(-1, 3, -1, -1, -1)
    low, high = x.aminmax()
    return (x - low) / (high - low).clamp(min=1e-6) * 2 - 1

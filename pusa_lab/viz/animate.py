"""States of the sampling loop as pictures, for pages without a kernel."""

from collections.abc import Callable, Iterable

import numpy as np
import torch

from pusa_lab.arguments import checked, returned, shown
from pusa_lab.pixels import to_uint8
from pusa_lab.samplers import State
from pusa_lab.types import Clip, Video


@checked
def animate(states: Iterable[State], decode: Callable[[Video], Clip] | None = None) -> np.ndarray:
    """Make a clip of the clean estimates of all states, with one picture per row of the schedule.

    Show it with `notebook.play({"rows": animate(states, model.decode)})`, or as stills with `filmstrip`. Each picture
    shows the latent frames side by side, decoded from the estimate x - tau v, or from x at the start.

    Args:
        states: states of the sampling loop, such as those of `sample_steps`; the first sample of the batch is shown.
        decode: function from latents to pixels; None shows the first channels as colours.

    Returns:
        (rows, h, frames * w, 3) uint8.

    Raises:
        ValueError: there are no states.
    """
    sheets = [np.concatenate(list(pictures(clean_estimate(state), decode)), axis=1) for state in states]
    if not sheets:
        raise ValueError("no states to show: give those of sample_steps, or a list of them.")
    return np.stack(sheets)


@checked
def clean_estimate(state: State) -> Video:
    """Return the clean estimate at a state, x0, or x before the first denoiser call; the first sample (1, c, f, h, w).

    Args:
        state: a state of the sampling loop.
    """
    return (state.x if state.x0 is None else state.x0)[:1]


@checked
def pictures(latents: Video, decode: Callable[[Video], Clip] | None = None) -> np.ndarray:
    """Return one picture per latent frame, (f, h, w, 3) uint8: the middle one of the pixel frames that it holds.

    Args:
        latents: (1, c, f, h, w).
        decode: function from latents to pixels; None shows the first channels as colours.

    Raises:
        ValueError: the latents are empty, or `decode` does not return a clip.
    """
    if not latents.numel():
        raise ValueError(f"latents is {shown(latents)}: give latents that are not empty.")
    with torch.no_grad():
        video = to_uint8(_colours(latents) if decode is None else decoded_states(decode, latents))[0]
    return video[middles(latents.shape[2], len(video))]


@checked
def decoded_states(decode: Callable[[Video], Clip], latents: Video) -> Clip:
    """Return the pixels that a function makes of latents.

    Args:
        decode: function from latents (b, c, f, h, w) in float32 to pixels (b, 3, pf, h, w) in [-1, 1].
        latents: (b, c, f, h, w).

    Raises:
        ValueError: the function fails, or returns something else; its own error is the cause.
    """
    try:
        clip = decode(latents.float())
    except Exception as error:
        raise ValueError(f"decode failed ({type(error).__name__}): give a function from latents to pixels.") from error
    clip = returned(clip, Clip, "decode")
    if clip.shape[1] != 3:
        raise ValueError(f"decode returned {shown(clip)}: it must return pixels (b, 3, pf, h, w).")
    return clip


@checked
def middles(latent_frames: int, num_frames: int) -> list[int]:
    """Return the middle pixel frame of each latent frame.

    Args:
        latent_frames: their number, at least 1.
        num_frames: number of pixel frames, 1 + stride * (latent_frames - 1).

    Raises:
        ValueError: there are no frames, or fewer pixel frames than latent frames.
    """
    if latent_frames < 1 or num_frames < latent_frames:
        raise ValueError(
            f"{num_frames} pixel frames for {latent_frames} latent frames: give at least 1 per latent frame."
        )
    stride = (num_frames - 1) // (latent_frames - 1) if latent_frames > 1 else 1
    return [0, *(1 + stride * (i - 1) + stride // 2 for i in range(1, latent_frames))]


def _colours(latents: Video) -> Clip:
    """The first three channels as colours, or the first channel as grey, scaled to their smallest and largest value."""
    x = latents[:, :3] if latents.shape[1] >= 3 else latents[:, :1].expand(-1, 3, -1, -1, -1)
    low, high = x.aminmax()
    return (x - low) / (high - low).clamp(min=1e-6) * 2 - 1

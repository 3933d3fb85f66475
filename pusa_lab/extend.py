"""Videos longer than the model: window after window, each begun with the last frames of the one before."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from pusa_lab.arguments import checked
from pusa_lab.generate import generate
from pusa_lab.pixels import crop_and_resize, to_pixels, to_uint8
from pusa_lab.runs import Result
from pusa_lab.schedules import noise_levels
from pusa_lab.sentences import counted
from pusa_lab.tasks import MOST_LATENT_FRAMES, Known, Task
from pusa_lab.types import Geometry, Levels, VideoModel

MOST_WINDOWS = 10_000
"""Most windows of one call; asking for more is taken for a mistake."""
NOT_HERE = (
    *("output", "generator", "num_videos_per_prompt", "height", "width"),
    *("prompt_embeds", "negative_prompt_embeds"),
)
"""Options of `generate` that have no meaning for several windows."""


@dataclass(frozen=True, eq=False)
class Extended:
    """A long video, and the windows it was made of."""

    video: np.ndarray
    """(b, pixel frames, h, w, 3) uint8: each window without the frames it was given."""
    seams: list[int]
    """Pixel frames where a window's own frames begin, one for each window that continues another."""
    windows: list[Result]
    """Each window as generated, known frames included; `latents` and `schedule` are here."""
    seconds: float
    """Wall time of sampling and decoding."""
    task: str
    """Name for people."""


@checked
def extend_to(
    model: VideoModel,
    prompt: str | Sequence[str | list[str]],
    start: Any,
    seconds: float,
    overlap: int,
    noise: Levels = 0.0,
    mode: str = "denoise",
    latent_frames: int | None = None,
    seed: int = 0,
    **options: Any,
) -> Extended:
    """Go on from a video until it lasts `seconds`: `extend_to(model, "a ship", result, seconds=12, overlap=3)`.

    Every window has the model's full length and is given its first `overlap` latent frames: the last pixel frames of
    the video so far, encoded anew, since a codec's first latent frame holds one pixel frame. What was there stays as it
    is, and the last window is cut so that the video has round(seconds * fps) pixel frames.

    Args:
        model: any `VideoModel`.
        prompt: one caption; or one per window, each a caption or a list with one per sample.
        start: a `Result`, a picture or a clip (as `Known.clip`); or a `Task`, which makes the first window.
        seconds: length of the whole video, at the model's frame rate.
        overlap: latent frames of the video so far that each window keeps, at least 1; of a shorter start, all that it
            fills.
        noise: noise level at which they are kept, one for all or one for each, in [0, 1].
        mode: one of `tasks.MODES`.
        latent_frames: of a window; None is the model's own number.
        seed: sample i of window w starts from the noise of seed + w * samples + i.
        **options: as `generate`: schedule, steps, shift, guidance, negative_prompt, solver, refresh, callback and
            progress.

    Raises:
        ValueError: an argument is not valid; one sentence says what was received and what to do.
    """
    if other := [name for name in NOT_HERE if name in options]:
        raise ValueError(f"{other[0]} is not for videos of several windows: leave it out.")
    frames = model.geometry.frames if latent_frames is None else latent_frames
    if frames > MOST_LATENT_FRAMES:
        raise ValueError(f"latent_frames={frames}: give at most {MOST_LATENT_FRAMES:,} latent frames per window.")
    if not 1 <= overlap < frames:
        raise ValueError(
            f"an overlap of {overlap} latent frames in windows of {frames}: keep at least 1, so that a window "
            f"continues something, and at most {frames - 1}, so that it adds something."
        )
    levels = noise_levels(noise, overlap)
    video = _pixels(start, model.geometry)
    most = video.shape[1] + MOST_WINDOWS * model.geometry.stride[0] * (frames - overlap)
    want = _wanted(seconds, model.geometry.fps, video.shape[1], most)
    keeps = _keeps(video.shape[1], want, overlap, frames, model.geometry)
    captions = _captions(prompt, len(keeps), len(video))
    if not isinstance(prompt, str):
        model.encode_text([caption for row in captions for caption in row])  # refuses words now, not in an hour
    video = video.repeat(len(captions[0]) // len(video), 0)
    seams, windows = [], list[Result]()
    for w, keep in enumerate(keeps):
        task, held = start, 0
        if keep:
            held = model.geometry.pixel_frames(keep)
            task = Task("extension", (Known(video[:, -held:], 0, noise=levels[-keep:], mode=mode),))
            seams.append(video.shape[1])
        first_seed = seed + w * len(video)
        windows.append(generate(model, captions[w], task, latent_frames=frames, seed=first_seed, **options))
        video = np.concatenate([video, windows[-1].video[:, held:]], axis=1)
    return Extended(video[:, :want], seams, windows, sum(window.seconds for window in windows), "extend_to")


def _pixels(start: Any, geometry: Geometry) -> np.ndarray:
    """What is there, (b, pixel frames, h, w, 3) uint8 in the model's size: no frames yet when a task is to begin."""
    if isinstance(start, Task):
        return np.empty((1, 0, *geometry.size, 3), np.uint8)
    clip = start.video if isinstance(start, Result | Extended) else Known(start, 0).clip
    return to_uint8(crop_and_resize(to_pixels(clip), geometry.size))


def _wanted(seconds: float, fps: int, have: int, most: int) -> int:
    want = round(seconds * fps) if isfinite(seconds * fps) else 0
    if not have < want <= most:
        raise ValueError(
            f"seconds={seconds} at {fps} frames a second, {counted(have, 'pixel frame')} there already: "
            f"ask for a finite number above {have / fps:.4g} seconds, and at most {most / fps:.4g}."
        )
    return want


def _keeps(have: int, want: int, overlap: int, frames: int, geometry: Geometry) -> list[int]:
    """Latent frames that each window keeps; fewer than `overlap` only of a short start, none of nothing."""
    keeps = []
    while have < want:
        keeps.append(min(overlap, 1 + (have - 1) // geometry.stride[0]))
        have += geometry.pixel_frames(frames) - (geometry.pixel_frames(keeps[-1]) if have else 0)
    return keeps


def _captions(prompt: str | Sequence[str | list[str]], windows: int, batch: int) -> list[list[str]]:
    """One list a window, one caption a sample."""
    rows = [prompt] * windows if isinstance(prompt, str) else list(prompt)
    if len(rows) != windows:
        counts = f"{counted(len(rows), 'prompt')} for {counted(windows, 'window')}"
        raise ValueError(f"{counts}: give one for all, or one for each window.")
    given = {batch, *(len(row) for row in rows if not isinstance(row, str))} - {1}
    if len(given) > 1 or 0 in given:
        raise ValueError(f"start and prompts are for {sorted(given)} samples: give one for all, or one for each.")
    samples = max(given, default=1)
    lists = [[row] if isinstance(row, str) else row for row in rows]
    return [row * (samples // len(row)) for row in lists]

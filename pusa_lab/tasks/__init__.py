"""Tasks: which frames are known, and how they are kept. Tasks differ in nothing else: `known` says what that means."""

from collections.abc import Callable, Sequence
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.pixels import clip_of, picture_of
from pusa_lab.registry import Registry
from pusa_lab.schedules import noise_levels
from pusa_lab.sentences import counted
from pusa_lab.tasks.known import MODES, Known, Mode, Task
from pusa_lab.tasks.presets import PRESETS, Preset
from pusa_lab.types import Geometry, Levels

__all__ = [
    "MODES",
    "PRESETS",
    "TASKS",
    "Known",
    "Mode",
    "Preset",
    "Task",
    "completion",
    "extension",
    "frame_table",
    "image_to_video",
    "keyframes",
    "loop",
    "picture_of",
    "start_end",
    "text_to_video",
    "transition",
]
MOST_LATENT_FRAMES = 10_000
"""Largest number of latent frames; a larger one is taken for a mistake."""


@checked
def text_to_video() -> Task:
    """Task without known frames: only the prompt is given."""
    return Task("text_to_video")


@checked
def image_to_video(picture: Any, noise: Levels = 0.0, mode: str = "denoise") -> Task:
    """Task in which the first frame is known.

    Args:
        picture: (h, w, 3), uint8 or floats in [0, 1]; or one per sample, (b, 1, h, w, 3) or a list of pictures.
        noise: noise level in [0, 1] at which the frame is kept; 0 keeps it exactly, the paper's runs use 0 to 0.3.
        mode: one of `MODES`, see `Known`.

    Raises:
        ValueError: it is a clip or holds no pixels, or the mode is unknown.

    Source: Algorithm 1, arXiv 2507.16116.
    """
    return Task("image_to_video", (Known(picture_of(picture), at=0, noise=noise, mode=mode),))


@checked
def start_end(first: Any, last: Any, noise: float | tuple[float, float] = 0.0, mode: str = "denoise") -> Task:
    """Task in which the first and the last latent frame are known.

    Args:
        first: picture (h, w, 3), uint8 or floats in [0, 1]; or one per sample, (b, 1, h, w, 3) or a list of pictures.
        last: picture, or clip of the last latent frames; or one per sample. A picture is repeated for all pixel frames
            of the last latent frame; for an end in motion, give the clip of these pixel frames (4 for Wan).
        noise: noise level in [0, 1] at which the frames are kept, one for both ends or (first, last).
        mode: one of `MODES`, see `Known`.

    Raises:
        ValueError: `first` is a clip, a picture or clip holds no pixels, or the mode is unknown.

    Source: section 3.3, arXiv 2507.16116.
    """
    if isinstance(last, list | tuple) and last and not isinstance(last[0], list | tuple | int | float):
        last = picture_of(last, "last")
    return Task("start_end", _ends(picture_of(first, "first"), last, noise, mode))


def _ends(first: Any, last: Any, noise: float | tuple[Levels, Levels], mode: str) -> tuple[Known, Known]:
    start, end = noise if isinstance(noise, tuple) else (noise, noise)
    return Known(first, 0, noise=start, mode=mode), Known(last, -1, noise=end, mode=mode)


@checked
def loop(picture: Any, noise: float | tuple[float, float] = 0.0, mode: str = "denoise") -> Task:
    """Task in which the video ends with the picture it starts with, so that it can be played in a loop.

    A causal codec puts one pixel frame into the first latent frame and `stride` into the last, so the picture is
    encoded once for each end, and stands still for the last `stride` pixel frames. When you play the loop, leave out
    pixel frame 0. For an end in motion, use `transition` with the frames that lead up to the picture.

    Args:
        picture: (h, w, 3), uint8 or floats in [0, 1]; or one per sample, (b, 1, h, w, 3) or a list of pictures.
        noise: noise level in [0, 1] at which the picture is kept, one for both ends or (first, last).
        mode: one of `MODES`, see `Known`.

    Raises:
        ValueError: the picture is a clip or holds no pixels, or the mode is unknown.
    """
    picture = picture_of(picture)
    return Task("loop", _ends(picture, picture, noise, mode))


@checked
def transition(first: Any, last: Any, noise: float | tuple[Levels, Levels] = 0.0, mode: str = "denoise") -> Task:
    """Task in which the video starts with one clip and ends with another.

    Args:
        first: (pixel frames, h, w, 3), uint8 or floats in [0, 1]; or one per sample, (b, pixel frames, h, w, 3).
        last: as `first`.
        noise: noise level in [0, 1], one for both or (first, last), each of which may be one level per latent frame.
        mode: one of `MODES`, see `Known`.

    Raises:
        ValueError: a clip holds no pixels, or the mode is unknown.

    Source: section 3.3, arXiv 2507.16116.
    """
    return Task("transition", _ends(clip_of(first, "first", False), clip_of(last, "last", False), noise, mode))


@checked
def keyframes(
    pictures: Sequence[Any],
    at: Sequence[int] | None = None,
    noise: Levels = 0.0,
    mode: str = "denoise",
    pixel_at: Sequence[int] | None = None,
) -> Task:
    """Task in which pictures are known at any number of places: `keyframes([a, b, c], at=[0, 10, -1])`.

    Args:
        pictures: each (h, w, 3), or a clip, uint8 or floats in [0, 1]; or one per sample, (b, 1, h, w, 3).
        at: latent frame of each picture; negative numbers count from the end.
        noise: noise level in [0, 1] at which the pictures are kept, one for all or one per picture.
        mode: one of `MODES`, see `Known`.
        pixel_at: places as pixel frames, given instead of `at`; see `frame_table`.

    Raises:
        ValueError: there is no picture, there is not one place and one noise level per picture, both `at` and
            `pixel_at` are given, or the mode is unknown.

    Source: the multi-frame task of arXiv 2507.16116, App. D.
    """
    if not (n := len(pictures)):
        raise ValueError("keyframes without a picture: give at least one.")
    if (at is None) == (pixel_at is None):
        fault = "without places" if at is None else "with both at and pixel_at"
        raise ValueError(f"{counted(n, 'picture')} {fault}: give at=[...] in latent frames, or pixel_at=[...].")
    places = [[None] * n if p is None else list(p) for p in (at, pixel_at)]
    if wrong := [len(p) for p in places if len(p) != n]:
        raise ValueError(f"{counted(n, 'picture')} for {counted(wrong[0], 'place')}: give one place per picture.")
    rows = zip(pictures, *places, noise_levels(noise, n), strict=True)
    return Task("keyframes", tuple(Known(clip, i, pixel, m, mode) for clip, i, pixel, m in rows))


@checked
def completion(video: Any, known: Sequence[range], noise: Levels = 0.0, mode: str = "denoise") -> Task:
    """Task in which parts of a video are known: `completion(video, [range(0, 5), range(77, 81)])`.

    Each part is cut out and encoded by itself, so nothing of the rest reaches the model. If the codec saw the whole
    video, the rest would leak into the known latents that follow it.

    Args:
        video: (pixel frames, h, w, 3), uint8 or floats in [0, 1], whose pixel frames have the same numbers in the new
            video; or one per sample, (b, pixel frames, h, w, 3).
        known: pixel frames of each part, whole latent frames: `geometry.pixels_at(20)` is range(77, 81) for Wan.
        noise: noise level in [0, 1] at which the parts are kept, one for all or one per part.
        mode: one of `MODES`, see `Known`.

    Raises:
        ValueError: there is no part, a part is outside the video, or there is not one noise level per part.

    Source: the completion task of arXiv 2507.16116, App. D.
    """
    video = clip_of(video, "the video")
    total = video.shape[1]
    if not known:
        raise ValueError("completion without a known part: give the pixel frames of at least one.")
    for part in known:
        if len(part) == 0 or part.step != 1 or part.start < 0 or part.stop > total:
            raise ValueError(
                f"completion from {part} of a video of {counted(total, 'pixel frame')}: give ranges within "
                f"0..{total}, not empty and without a step."
            )
    rows = zip(known, noise_levels(noise, len(known)), strict=True)
    cut = [Known(video[:, p.start : p.stop], pixel_at=p.start, noise=m, mode=mode) for p, m in rows]
    return Task("completion", tuple(cut))


@checked
def extension(clip: Any, known: int | None = None, noise: Levels = 0.0, mode: str = "denoise") -> Task:
    """Task in which the video continues a clip; `pusa_lab.extend_to` repeats it.

    Args:
        clip: (pixel frames, h, w, 3), uint8 or floats in [0, 1]; or one per sample, (b, pixel frames, h, w, 3).
        known: number of last pixel frames of the clip that start the new video, at least 1; None takes all of them.
        noise: noise level in [0, 1] at which they are kept, one for all or one per known latent frame.
        mode: one of `MODES`, see `Known`.

    Raises:
        ValueError: `known` is out of range, or the clip holds no pixels.
    """
    clip = clip_of(clip)
    if known is not None:
        if (total := clip.shape[1]) < known or known < 1:
            have = counted(total, "pixel frame")
            raise ValueError(f"known={known} for a clip of {have}: give 1 to {total}, or leave it out to keep all.")
        clip = clip[:, total - known :]
    return Task("extension", (Known(clip, 0, noise=noise, mode=mode),))


@checked
def frame_table(geometry: Geometry, frames: int | None = None) -> str:
    """Table of the pixel frames that each latent frame holds, as text: `print(frame_table(model.geometry))`.

    Latent frame 0 holds pixel frame 0; latent frame i > 0 holds pixel frames 1 + stride (i - 1) to stride i

    Args:
        geometry: geometry of the model.
        frames: number of latent frames, 1 to 10,000; None takes the model's default.

    Raises:
        ValueError: frames is out of range.
    """
    frames = geometry.frames if frames is None else frames
    if not 1 <= frames <= MOST_LATENT_FRAMES:
        raise ValueError(f"frames={frames}: give 1 to {MOST_LATENT_FRAMES:,} latent frames.")
    rows = [(i, geometry.pixels_at(i)) for i in range(frames)]
    spans = [f"{i:6}  {f'{p[0]}..{p[-1]}' if len(p) > 1 else p[0]:>9}  {p[0] / geometry.fps:7.2f}" for i, p in rows]
    return "\n".join(["latent  pixels     seconds", *spans])


TASKS: Registry[Callable[..., Task]] = Registry(
    "task",
    "pusa_lab.tasks",
    (text_to_video, image_to_video, start_end, loop, transition, keyframes, completion, extension),
    "(...) -> Task",
)
"""Name -> function that makes a task of pictures and clips. `TASKS.register` adds one."""

"""Clips read with PyAV: upright, with square pixels, at any frame rate, length and size."""

import itertools
import math
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from pusa_lab.arguments import checked
from pusa_lab.data.decode import Shown, decoded, nearest
from pusa_lab.files import existing_file
from pusa_lab.pixels import crop_and_resize, to_pixels, to_uint8
from pusa_lab.sentences import counted

MOST_CLIP_BYTES = 2 * 2**30
"""Largest clip of unlimited length in memory; larger ones are refused before memory runs out."""
MOST_DECODED_FRAMES = 2**20
"""Most frames of a clip of unlimited length: nearly five hours at 60 frames per second."""
MOST_CLIP_FRAMES = 10_000
"""Most frames that can be asked for; training and sampling use far fewer."""
MOST_CLIP_SIDE = 8192
"""Most pixels of a side that can be asked for."""
MOST_FPS = 1000
"""Highest frame rate at which a clip is read or written; the lowest is its inverse."""
LATEST = 1_000_000
"""Latest start of a clip in its file, in seconds."""


@checked
def read_clip(
    path: str | Path,
    num_frames: int | None = None,
    size: tuple[int, int] | None = None,
    fps: int | float | None = None,
    start: int | float = 0.0,
    last: int | None = None,
) -> np.ndarray:
    """Read a video file as RGB (frames, h, w, 3) uint8, as a player shows it: upright, with square pixels, on white.

    Args:
        path: file in MP4, WebM, MOV or another format that PyAV reads.
        num_frames: number of frames to read, 1 to 10000; None reads to the end of the file.
        size: height and width; each frame is cropped around its centre to this shape, then resized. None keeps the
            file's own.
        fps: frames per second to read, 0.001 to 1000, regardless of the file's own rate: for each time start + k / fps,
            the nearest frame. With a model's `geometry.fps`, motion keeps its speed in pixels per second. None reads
            every frame once, regardless of its time.
        start: time in the file at which to begin, in seconds.
        last: number of frames to keep from the end, at least 1, so that long videos fit in memory; None keeps all.

    Raises:
        ValueError: the file does not exist, is not a video, is damaged, ends too soon, or is too large for memory, or
            an argument is out of range.
    """
    path = existing_file(path, "clip")
    _check_length(num_frames, last)
    _check_reading(size, fps, start)
    if num_frames is not None:
        return next(_pieces(path, num_frames, size, fps, start))
    kept: deque[np.ndarray | Shown] = deque(maxlen=last if last is None else min(last, MOST_DECODED_FRAMES))
    for number, now in enumerate(_chosen(decoded(path), None, fps, start)):
        kept.append(_picture(now, size) if last is None else now)  # most frames before the last are never converted
        taken = 3 * len(kept) * math.prod(size or now.size)
        if taken > MOST_CLIP_BYTES:
            raise ValueError(f"{path} would take {taken / 2**30:.1f} GiB of memory: read fewer frames with last=...")
        if number >= MOST_DECODED_FRAMES:
            raise ValueError(f"{path} has more than {MOST_DECODED_FRAMES} frames: cut it into shorter parts first.")
    if not kept:
        raise ValueError(f"{path} has no frames{_from(start)}: give a video with at least one.")
    return _stacked(kept, size)


@checked
def read_pieces(
    path: str | Path,
    num_frames: int,
    size: tuple[int, int] | None = None,
    fps: int | float | None = None,
    start: int | float = 0.0,
) -> Iterator[np.ndarray]:
    """Read a video file as consecutive clips of equal length, each as `read_clip` reads it; a shorter rest is left out.

    Args:
        path: of the file.
        num_frames: frames of each clip, 1 to 10000.
        size: height and width, as in `read_clip`.
        fps: frames per second to read, as in `read_clip`.
        start: time in the file at which the first clip begins, in seconds.

    Yields:
        RGB (num_frames, h, w, 3) uint8, at least one.

    Raises:
        ValueError: as `read_clip`.
    """
    path = existing_file(path, "clip")
    _check_length(num_frames, None)
    _check_reading(size, fps, start)
    yield from _pieces(path, num_frames, size, fps, start)


def _pieces(
    path: Path, num_frames: int, size: tuple[int, int] | None, fps: int | float | None, start: int | float
) -> Iterator[np.ndarray]:
    seen: deque[Fraction] = deque(maxlen=1)
    frames = _chosen(_noted(decoded(path), seen), num_frames, fps, start)
    for number in itertools.count():
        kept: deque[np.ndarray | Shown] = deque(_picture(now, size) for now in itertools.islice(frames, num_frames))
        if len(kept) == num_frames:
            yield _stacked(kept, size)
        elif number:
            return
        else:
            raise ValueError(f"{path} is too short: {_too_short(num_frames, len(kept), fps, start, seen)}")


def _too_short(num_frames: int, there: int, fps: int | float | None, start: int | float, seen: deque[Fraction]) -> str:
    if fps is None:
        return f"it has {counted(there, 'frame')}{_from(start)}, and {num_frames} are needed."
    needed = start + (num_frames - 1) / fps
    return f"its last frame is at {float(seen[0] if seen else 0):.2f} s, and a frame at {needed:.2f} s is needed."


def _from(start: int | float) -> str:
    return f" from {start:g} s on" if start else ""


def _chosen(
    shown: Iterator[Shown], num_frames: int | None, fps: int | float | None, start: int | float
) -> Iterator[Shown]:
    """The frames from `start` on: each once, or those nearest to start + k / fps."""
    if fps is None:
        return (now for now in shown if now.time >= start)
    return nearest(shown, (Fraction(start) + k / Fraction(fps) for k in itertools.count()))


def _noted(shown: Iterator[Shown], seen: deque[Fraction]) -> Iterator[Shown]:
    """Yield the same frames, and store the time of the latest one in `seen`."""
    for now in shown:
        seen.append(now.time)
        yield now


def _picture(shown: Shown, size: tuple[int, int] | None) -> np.ndarray:
    """The frame as RGB uint8 (h, w, 3), cropped and resized to `size`."""
    picture = shown.picture()
    return picture if size in (None, picture.shape[:2]) else to_uint8(crop_and_resize(to_pixels(picture), size))[0, 0]


def _stacked(kept: deque[np.ndarray | Shown], size: tuple[int, int] | None) -> np.ndarray:
    """One array of all pictures; each is released as soon as it is copied, so that memory holds them about once."""
    count, clip = len(kept), np.empty(0, np.uint8)
    for i in range(count):
        now = kept.popleft()
        picture = _picture(now, size) if isinstance(now, Shown) else now
        if i == 0:
            clip = np.empty((count, *picture.shape), np.uint8)
        clip[i] = picture
    return clip


def _check_length(num_frames: int | None, last: int | None) -> None:
    if num_frames is not None and not 1 <= num_frames <= MOST_CLIP_FRAMES:
        raise ValueError(f"num_frames={num_frames}: give 1 to {MOST_CLIP_FRAMES} frames.")
    if last is not None and last < 1:
        raise ValueError(f"last={last}: keep at least 1 frame.")
    if last is not None and num_frames is not None:
        raise ValueError(f"num_frames={num_frames} and last={last}: give one of them, from the start or from the end.")


def _check_reading(size: tuple[int, int] | None, fps: int | float | None, start: int | float) -> None:
    if size is not None and not all(1 <= n <= MOST_CLIP_SIDE for n in size):
        raise ValueError(f"size={size}: give sides of 1 to {MOST_CLIP_SIDE} pixels.")
    check_times(fps, start)


@checked
def check_times(fps: int | float | None, start: int | float = 0.0) -> None:
    """Refuse an impossible frame rate or start.

    Args:
        fps: frames per second, 0.001 to 1000; None stands for the file's or model's own.
        start: seconds, 0 to 10^6.

    Raises:
        ValueError: one of them is out of range.
    """
    if fps is not None and not 1 / MOST_FPS <= fps <= MOST_FPS:
        raise ValueError(f"fps={fps}: give {1 / MOST_FPS} to {MOST_FPS} frames per second.")
    if not 0 <= start <= LATEST:
        raise ValueError(f"start={start}: give seconds from 0 to {LATEST}.")

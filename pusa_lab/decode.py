"""Frames of a video file as a player shows them, with their times: upright and with square pixels (PyAV)."""

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pusa_lab.arguments import checked
from pusa_lab.damage import LOST, checked_frames, opened

MOST_PIXELS = 2**26
"""Of a frame; 8K has half of these."""
JOINED = ("mpegts", "mpeg")
"""Kinds of files that are joined end to end, each part with times of its own."""
LONGEST_GAP = 10.0
"""Seconds without a frame in them that are no pause but another part."""
BACK = Fraction(1, 10)
"""Seconds that times may step back, in any kind of file, before it is another part."""

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream


@dataclass(frozen=True)
class Shown:
    """A decoded frame, not yet converted."""

    time: Fraction
    """Seconds since the first frame."""
    frame: "VideoFrame"
    """As the decoder gave it."""
    size: tuple[int, int]
    """Height and width with square pixels, before the picture is turned: of the first frame, and so of all."""
    matrix: np.ndarray | None
    """How to hold the picture; None is as it is."""

    def picture(self) -> np.ndarray:
        """RGB (h, w, 3) uint8, in the colours that the file says, as ffmpeg converts them."""
        h, w = self.size
        picture = self.frame.to_ndarray(format="rgb24", width=w, height=h)
        return picture if self.matrix is None else turned(picture, self.matrix)


@checked
def turned(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A picture held as its display matrix says: x' = a x + c y, y' = b x + d y.

    Args:
        picture: (h, w, 3).
        matrix: the nine numbers a, b, u, c, d, v, x, y, w, as ffmpeg gives them; of quarters.

    Raises:
        ValueError: they are of another shape, or not finite.
    """
    if picture.ndim != 3 or matrix.shape != (9,) or not np.isfinite(matrix).all():
        raise ValueError(f"picture {picture.shape} and matrix {matrix.shape}: give (h, w, 3), and nine finite numbers.")
    a, b, c, d = (int(matrix[i]) for i in (0, 1, 3, 4))
    crosswise = abs(b) > abs(a)
    right, down = (c, b) if crosswise else (a, d)
    picture = picture.swapaxes(0, 1) if crosswise else picture
    return picture[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1]


@checked
def decoded(path: Path) -> Iterator[Shown]:
    """The frames of a file, in the order of their times, with every sign of damage taken seriously.

    Args:
        path: a video file of a kind that PyAV knows.

    Raises:
        ValueError: it is damaged, or holds no video; the sentence begins with the path.
    """
    import av

    try:
        container, lost = opened(path)
        with container:
            yield from _shown(container)
            if lost:  # which does not matter to those who have their frames already
                raise ValueError(LOST)
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or str(error)
        raise ValueError(f"{path} cannot be read as a video ({reason}): restore the file.") from error
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error


def _shown(container: "InputContainer") -> Iterator[Shown]:
    stream = _stream(container)
    longest = LONGEST_GAP if container.format.name in JOINED else math.inf
    start: Shown | None = None
    for time, frame in _timed(checked_frames(container, stream), longest):
        if start is None:
            size = square_pixels(frame.height, frame.width, stream.sample_aspect_ratio or Fraction(1))
            start = Shown(time, frame, size, _matrix(frame))
        yield Shown(time, frame, start.size, start.matrix)


def _timed(frames: Iterable["VideoFrame"], longest: float) -> Iterator[tuple[Fraction, "VideoFrame"]]:
    """Seconds since the first frame; where another file is joined, its frames come after those before, as in ffmpeg."""
    last: Fraction | None = None
    step = offset = Fraction(0)
    for frame in frames:
        own = Fraction(frame.pts or 0) * Fraction(frame.time_base or 0)
        if last is None:
            offset, last = -own, Fraction(0)
        time = own + offset
        if not -BACK <= time - last <= longest:
            time = last + step
            offset = time - own
        step = time - last
        last = time
        yield time, frame


def _matrix(frame: "VideoFrame") -> np.ndarray | None:
    """The display matrix, which turns by quarters, up to a degree as in ffmpeg."""
    found: Any = frame.side_data.get("DISPLAYMATRIX")
    if found is None:
        return None
    matrix = np.frombuffer(found, np.int32).copy()
    along, across = (sorted(abs(int(matrix[i])) for i in pair) for pair in ((0, 1), (3, 4)))
    if max(along[0], across[0]) > math.sin(math.radians(1)) * min(along[1], across[1]):
        raise ValueError("is to be shown at a slant: give a video that is turned by quarters.")
    return matrix


@checked
def square_pixels(height: int, width: int, aspect: Fraction) -> tuple[int, int]:
    """Height and width of a picture once its pixels are square; it grows, so that no pixel is lost.

    Args:
        height: in the file.
        width: in the file.
        aspect: width of a pixel by its height.

    Raises:
        ValueError: there would be none, or too many pixels.
    """
    if min(height, width) < 1 or not 0 < aspect < 2**31:
        raise ValueError(f"has frames of {height} x {width} and pixels {float(aspect):.3g} wide: restore the file.")
    size = (height, round(width * aspect)) if aspect >= 1 else (round(height / aspect), width)
    if math.prod(size) > MOST_PIXELS:
        raise ValueError(f"has frames of {size[0]} x {size[1]} pixels: make it smaller, to {MOST_PIXELS} in all.")
    return size


def _stream(container: "InputContainer") -> "VideoStream":
    """The moving pictures; a cover is not among them."""
    from av.stream import Disposition

    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise ValueError("holds no video: give a file with moving pictures.")
    best = container.streams.best("video")
    found = best if best in streams else streams[0]
    if found.codec_context is not None:
        square_pixels(found.codec_context.height, found.codec_context.width, Fraction(1))
    else:
        raise ValueError("is in a codec that PyAV does not know: convert it to MP4.")
    return found


@checked
def nearest(shown: Iterable[Shown], moments: Iterable[Fraction]) -> Iterator[Shown]:
    """Of each moment the frame nearest to it, the earlier one of two as near; ends where the frames do.

    Args:
        shown: frames in the order of their times.
        moments: seconds since the first frame, ascending.
    """
    times = iter(moments)
    moment = next(times, None)
    for now, later in _pairs(shown):
        while moment is not None and moment <= (now.time + later) / 2:
            yield now
            moment = next(times, None)
        if moment is None:
            return


def _pairs(shown: Iterable[Shown]) -> Iterator[tuple[Shown, Fraction]]:
    """Each frame and when the next one comes; after the last one, when it would come."""
    last, step = None, Fraction(0)
    for now in shown:
        if last is not None:
            step = now.time - last.time
            yield last, now.time
        last = now
    if last is not None:
        yield last, last.time + step


@checked
def at_rate(shown: Iterable[Shown], fps: int | float) -> Iterator[Shown]:
    """Frames at a steady rate: of each moment k / fps the nearest one.

    Args:
        shown: frames in the order of their times.
        fps: frames per second.
    """
    if not 0.001 <= fps <= 1000:
        raise ValueError(f"fps={fps}: give frames per second from 0.001 to 1000.")
    return nearest(shown, (k / Fraction(fps) for k in itertools.count()))

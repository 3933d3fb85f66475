"""Frames of a video file as a player shows them, with their times: upright and with square pixels (PyAV)."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pusa_lab.arguments import checked
from pusa_lab.data.damage import LOST, checked_frames, opened
from pusa_lab.pixels import on_white

MOST_FRAME_PIXELS = 2**26
"""Most pixels of a frame, twice those of 8K."""
JOINED = ("mpegts", "mpeg")
"""Formats whose files may be joined end to end, each part with its own timestamps."""
LONGEST_GAP = 10.0
"""Longest gap between frames of joined files, in seconds; a longer one is the beginning of another part."""
BACK = Fraction(1, 10)
"""Seconds by which timestamps may step back in any file; more is the beginning of another part."""

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.reformatter import VideoReformatter
    from av.video.stream import VideoStream


@dataclass(frozen=True)
class Shown:
    """A decoded frame, not yet converted."""

    time: Fraction
    """Seconds since the first frame."""
    frame: "VideoFrame"
    """The frame as the decoder returned it."""
    size: tuple[int, int]
    """Height and width with square pixels, before rotation; that of the first frame for all frames."""
    matrix: np.ndarray | None
    """Display matrix, nine numbers; None shows the picture as it is."""
    converter: "VideoReformatter"
    """Of the whole file: one for each frame would start its threads anew, which takes longer than a small frame."""

    def picture(self) -> np.ndarray:
        """The frame as upright RGB uint8 (h, w, 3), on white; ffmpeg converts the colours as the file specifies."""
        h, w = self.size
        kind = "rgba" if _is_transparent(self.frame) else "rgb24"
        picture = self.converter.reformat(self.frame, width=w, height=h, format=kind).to_ndarray()
        picture = on_white(picture) if kind == "rgba" else picture
        return picture if self.matrix is None else turned(picture, self.matrix)


def _is_transparent(frame: "VideoFrame") -> bool:
    """Whether the frame's pixel format has transparency, in a channel or in its palette."""
    return frame.format.has_palette or any(component.is_alpha for component in frame.format.components)


@checked
def turned(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Rotate and mirror a picture by its display matrix: x' = a x + c y, y' = b x + d y.

    Args:
        picture: (h, w, 3).
        matrix: the nine numbers a, b, u, c, d, v, x, y, w of ffmpeg, for a rotation by a multiple of 90 degrees.

    Returns:
        (h, w, 3) or (w, h, 3).

    Raises:
        ValueError: the picture or matrix has another shape, or the matrix is not finite.
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
    """Yield the frames of a file in the order of their times; see `damage` for what counts as damage.

    Args:
        path: of a video file in one of `damage.KINDS`.

    Raises:
        ValueError: the file is damaged or holds no video; the sentence begins with the path.
    """
    import av

    try:
        container, lost = opened(path)
        with container:
            yield from _shown(container)
            if lost:  # after the frames, because a reader that needs no more is not affected
                raise ValueError(LOST)
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or str(error)
        raise ValueError(
            f"{path} cannot be read as a video ({reason}): restore the file, or convert it to MP4 if it is sound."
        ) from error
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error


def _shown(container: "InputContainer") -> Iterator[Shown]:
    from av.video.reformatter import VideoReformatter

    stream = _stream(container)
    longest = LONGEST_GAP if container.format.name in JOINED else math.inf
    start: Shown | None = None
    for time, frame in _timed(checked_frames(container, stream), longest):
        if start is None:
            size = square_pixels(frame.height, frame.width, stream.sample_aspect_ratio or Fraction(1))
            start = Shown(time, frame, size, _matrix(frame), VideoReformatter())
        yield replace(start, time=time, frame=frame)


def _timed(frames: Iterable["VideoFrame"], longest: float) -> Iterator[tuple[Fraction, "VideoFrame"]]:
    """Add the seconds since the first frame; frames of a joined file follow those before them, as in ffmpeg."""
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
    """The display matrix, refused unless it is within one degree of a multiple of 90 degrees, as in ffmpeg."""
    found: Any = frame.side_data.get("DISPLAYMATRIX")
    if found is None:
        return None
    matrix = np.frombuffer(found, np.int32).copy()
    along, across = (sorted(abs(int(matrix[i])) for i in pair) for pair in ((0, 1), (3, 4)))
    if max(along[0], across[0]) > math.sin(math.radians(1)) * min(along[1], across[1]):
        raise ValueError("is rotated by an angle that is not a multiple of 90 degrees: rotate it to one.")
    return matrix


@checked
def square_pixels(height: int, width: int, aspect: Fraction) -> tuple[int, int]:
    """Return height and width of a picture with square pixels; one side is enlarged, so no detail is lost.

    Args:
        height: in pixels of the file, at least 1.
        width: in pixels of the file, at least 1.
        aspect: pixel aspect ratio (width / height), above 0 and below 2^31.

    Raises:
        ValueError: an argument is out of range, or the result has more than `MOST_FRAME_PIXELS` pixels.
    """
    if min(height, width) < 1 or not 0 < aspect < 2**31:
        raise ValueError(
            f"has frames of {height} x {width} and a pixel aspect ratio of {float(aspect):.3g}: restore the file."
        )
    size = (height, round(width * aspect)) if aspect >= 1 else (round(height / aspect), width)
    if math.prod(size) > MOST_FRAME_PIXELS:
        raise ValueError(
            f"has frames of {size[0]} x {size[1]} pixels: scale it down to at most {MOST_FRAME_PIXELS} pixels."
        )
    return size


def _stream(container: "InputContainer") -> "VideoStream":
    """The video stream; an embedded cover picture does not count."""
    from av.stream import Disposition

    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise ValueError("holds no video: give a file with moving pictures.")
    best = container.streams.best("video")
    found = best if best in streams else streams[0]
    if found.codec_context is not None:
        if not found.codec_context.height:
            raise ValueError("states no size of its frames, as a bare stream of HEVC does: convert it to MP4.")
        square_pixels(found.codec_context.height, found.codec_context.width, Fraction(1))
    else:
        raise ValueError("is in a codec that PyAV does not know: convert it to MP4.")
    return found


@checked
def nearest(shown: Iterable[Shown], moments: Iterable[Fraction]) -> Iterator[Shown]:
    """Yield the frame nearest to each moment, the earlier of two equally near ones; ends after the last frame.

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
    """Each frame and the time of the next one, which is extrapolated for the last frame."""
    last, step = None, Fraction(0)
    for now in shown:
        if last is not None:
            step = now.time - last.time
            yield last, now.time
        last = now
    if last is not None:
        yield last, last.time + step

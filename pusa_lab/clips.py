"""Clips of a folder: found with their captions, read with PyAV at one rate, one length and one size."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from pusa_lab.arguments import checked
from pusa_lab.captions import Captions, NoCaption, plain, read_captions
from pusa_lab.decode import Shown, decoded, nearest
from pusa_lab.pixels import fit, to_pixels, to_uint8

SUFFIXES = (
    *(".mp4", ".webm", ".mov", ".mkv", ".m4v", ".avi", ".mpg", ".mpeg", ".m2v", ".vob", ".ts", ".mts", ".m2ts"),
    *(".ogv", ".wmv", ".asf", ".flv", ".f4v", ".3gp", ".3g2", ".mxf", ".dv", ".gif", ".apng"),
)
"""Suffixes of files that are read as clips, in any case."""
MOST_FRAMES = 10_000
"""Most frames of one clip; training and sampling use far shorter ones."""
MOST_SIDE = 8192
"""Most pixels of a side."""


@dataclass(frozen=True)
class Found:
    """A file and what is said about it."""

    path: Path
    """Where it is; where a table names a file that is not there, it would be."""
    name: str
    """Its path from the folder, with slashes."""
    caption: str
    """With single spaces; empty where there is none."""
    problem: str = ""
    """Why it cannot be used, as far as that is known without opening it: what follows its name in a sentence."""


@checked
def find_clips(folder: str | Path, need_captions: bool = True) -> list[Found]:
    """The clips of a folder and of all folders in it, in the order of their names.

    The caption of `walk.mp4` is the text of `walk.txt` beside it, in any case, or else its row in captions.csv or
    captions.jsonl in `folder`. The first line of a CSV file names its columns, separated by commas, semicolons or tabs;
    a caption that contains the separator is in quotes. All files are in UTF-8.

    Args:
        folder: where to look; hidden files are passed over.
        need_captions: whether a clip without a caption counts as unusable.

    Raises:
        ValueError: no such folder, no clips in it, or a table of captions that cannot be read.
    """
    if not str(folder) or not Path(folder).is_dir():
        raise ValueError(f"no folder {str(folder)!r}: give one with clips ({', '.join(SUFFIXES)}) and their captions.")
    folder = Path(folder)
    paths = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    }
    if not paths:
        raise ValueError(f"no clips in {folder}: put files there that end in {', '.join(SUFFIXES)}.")
    captions = read_captions(folder)
    found = [_found(path, name, captions, need_captions) for name, path in paths.items()]
    there = {plain(name) for name in paths}
    lost = "is named in a caption table, but there is no such clip."
    missing = [
        Found(folder / name, name, rows[0][0], lost) for name, rows in captions.rows.items() if name not in there
    ]
    return sorted([*found, *missing], key=lambda clip: clip.name)


def _found(path: Path, name: str, captions: Captions, need_captions: bool) -> Found:
    try:
        caption = captions.of(path, name)
    except NoCaption as error:
        return Found(path, name, "", str(error))
    none = f"has no caption: write one into {path.stem}.txt beside it."
    return Found(path, name, caption, none if need_captions and not caption else "")


@checked
def read_clip(
    path: str | Path, frames: int, size: tuple[int, int], fps: int | float, start: int | float = 0.0
) -> np.ndarray:
    """Pixels of a file as RGB uint8 (frames, h, w, 3): of each moment start + k / fps the frame nearest in time.

    Args:
        path: a video file.
        frames: how many.
        size: height and width; the picture is cropped around its centre to this shape, then resized.
        fps: frames per second to read, whatever the file's own rate.
        start: seconds into the file.

    Raises:
        ValueError: the file is damaged, holds no video or ends too soon, or an argument is out of range.
    """
    path = Path(path)
    if not 1 <= frames <= MOST_FRAMES or not all(1 <= n <= MOST_SIDE for n in size):
        raise ValueError(
            f"frames={frames}, size={size}: give 1 to {MOST_FRAMES} frames with sides of 1 to {MOST_SIDE} pixels."
        )
    if not 0.001 <= fps <= 1000 or not 0 <= start < math.inf:
        raise ValueError(
            f"fps={fps}, start={start}: give 0.001 to 1000 frames per second, and a start of 0 seconds or more."
        )
    moments = [Fraction(start) + k / Fraction(fps) for k in range(frames)]
    seen: deque[Fraction] = deque(maxlen=1)
    pictures = [_picture(now, size) for now in nearest(_noted(decoded(path), seen), moments)]
    if len(pictures) < frames:
        raise ValueError(
            f"{path} is too short: its last frame is at {float(seen[0] if seen else 0):.2f} s, and a frame at "
            f"{float(moments[-1]):.2f} s is needed."
        )
    return np.stack(pictures)


def _noted(shown: Iterator[Shown], seen: deque[Fraction]) -> Iterator[Shown]:
    """Yield the same frames, and store the time of the latest one in `seen`."""
    for now in shown:
        seen.append(now.time)
        yield now


def _picture(shown: Shown, size: tuple[int, int]) -> np.ndarray:
    """The frame cropped and resized to (h, w), as RGB uint8 (h, w, 3)."""
    return to_uint8(fit(to_pixels(shown.picture()), size))[0, 0]

"""Clips of a folder: found with their captions, read with PyAV at one rate, one length and one size."""

import csv
import json
import unicodedata
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath

import numpy as np

from pusa_lab.decode import Shown, decoded, nearest
from pusa_lab.pixels import fit, to_pixels, to_uint8

SUFFIXES = (".mp4", ".webm", ".mov")
"""Files that are taken for clips, in any case of letters."""
TABLES = ("captions.csv", "captions.jsonl")
"""Captions of many clips: rows with `file`, relative to the folder, and `caption`."""


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


def find_clips(folder: str | Path) -> list[Found]:
    """The clips of a folder and of all folders in it, in the order of their names.

    The caption of `walk.mp4` is the text of `walk.txt` beside it, or else its row of captions.csv or captions.jsonl.

    Args:
        folder: where to look; hidden files are passed over.

    Raises:
        ValueError: no such folder, no clips in it, or a table of captions that cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"no folder {folder}: give one with clips ({', '.join(SUFFIXES)}) and their captions.")
    paths = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    }
    if not paths:
        raise ValueError(f"no clips in {folder}: put files there that end in {', '.join(SUFFIXES)}.")
    told = {_plain(name): caption for table in TABLES for name, caption in _rows(folder / table)}
    found = [_found(path, name, told) for name, path in paths.items()]
    there = {_plain(name) for name in paths}
    lost = "is named in a table of captions, but there is no such clip."
    missing = [Found(folder / name, name, caption, lost) for name, caption in told.items() if name not in there]
    return sorted([*found, *missing], key=lambda clip: clip.name)


def read_clip(path: Path, frames: int, size: tuple[int, int], fps: int | float, start: int | float = 0.0) -> np.ndarray:
    """Pixels of a file as RGB uint8 (frames, h, w, 3): of each moment start + k / fps the frame nearest in time.

    Args:
        path: a video file.
        frames: how many.
        size: height and width; the picture is cropped around its centre to this shape, then resized.
        fps: frames per second to read, whatever the file's own rate.
        start: seconds into the file.

    Raises:
        ValueError: it is damaged, holds no video, or ends too soon.
    """
    moments = [Fraction(start) + k / Fraction(fps) for k in range(frames)]
    seen: deque[Fraction] = deque(maxlen=1)
    pictures = [_picture(now, size) for now in nearest(_noted(decoded(Path(path)), seen), moments)]
    if len(pictures) < frames:
        raise ValueError(
            f"{path} is too short: its last frame is at {float(seen[0] if seen else 0):.2f} s, wanted is one at "
            f"{float(moments[-1]):.2f} s."
        )
    return np.stack(pictures)


def _noted(shown: Iterator[Shown], seen: deque[Fraction]) -> Iterator[Shown]:
    """The same frames; the time of the last one is kept."""
    for now in shown:
        seen.append(now.time)
        yield now


def _picture(shown: Shown, size: tuple[int, int]) -> np.ndarray:
    """Cropped and resized."""
    return to_uint8(fit(to_pixels(shown.picture()), size))[0, 0]


def _found(path: Path, name: str, told: dict[str, str]) -> Found:
    beside = path.with_suffix(".txt")
    try:
        text = beside.read_text(encoding="utf-8-sig") if beside.is_file() else told.get(_plain(name), "")
    except UnicodeDecodeError:
        return Found(path, name, "", f"has a caption that is not in UTF-8: save {beside.name} as such.")
    caption = " ".join(text.split())
    return Found(path, name, caption, "" if caption else f"has no caption: write one into {beside.name} beside it.")


def _rows(table: Path) -> Iterator[tuple[str, str]]:
    """File and caption of each row of a table; nothing where there is no table."""
    if not table.is_file():
        return
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines) if table.suffix == ".csv" else (json.loads(x) for x in lines if x.strip())
            for row in rows:
                yield str(row["file"]), str(row["caption"] or "")
    except (csv.Error, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{table} cannot be read ({type(error).__name__}: {error}): give rows with `file` and `caption`, in UTF-8."
        ) from error


def _plain(name: str) -> str:
    """One spelling of a file's name: composed letters, slashes, no ./ before it."""
    return PurePosixPath(unicodedata.normalize("NFC", name)).as_posix()

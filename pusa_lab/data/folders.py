"""Folders of clips: which files are clips, what their captions are, and which of them cannot be used, and why."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pusa_lab.arguments import checked
from pusa_lab.data.captions import Captions, NoCaption, normal_name, read_captions
from pusa_lab.data.clips import read_pieces
from pusa_lab.sentences import counted

SUFFIXES = (
    *(".mp4", ".webm", ".mov", ".mkv", ".m4v", ".avi", ".mpg", ".mpeg", ".m2v", ".vob", ".ts", ".mts", ".m2ts"),
    *(".ogv", ".wmv", ".asf", ".flv", ".f4v", ".3gp", ".3g2", ".mxf", ".dv", ".gif", ".apng"),
)
"""Suffixes of files that are read as clips, in any case."""


class Unusable(ValueError):
    """A clip of a folder cannot be used; the message continues a sentence that begins with the clip's name."""


@dataclass(frozen=True)
class ClipFile:
    """A clip of a folder, and its caption."""

    path: Path
    """Where it is; where a table names a file that is not there, it would be."""
    name: str
    """Its path from the folder, with slashes."""
    caption: str
    """With single spaces; empty where there is none, which is the null prompt."""
    problem: str = ""
    """Why it cannot be used, as far as that is known without opening it; continues a sentence after its name."""

    def pieces(
        self, num_frames: int, size: tuple[int, int], fps: int | float, start: int | float = 0.0
    ) -> Iterator[np.ndarray]:
        """Read consecutive clips (num_frames, h, w, 3) of the file, as `read_pieces` does.

        Args:
            num_frames: frames of each clip.
            size: height and width.
            fps: frames per second to read.
            start: time in the file at which the first clip begins, in seconds.

        Raises:
            Unusable: the file has a problem, or cannot be read.
        """
        if self.problem:
            raise Unusable(self.problem)
        if not self.path.is_file():
            raise Unusable("is no longer there: run the same command again.")
        try:
            yield from read_pieces(self.path, num_frames, size, fps, start)
        except ValueError as error:
            raise Unusable(str(error).rpartition(f"{self.path} ")[2]) from error


@checked
def find_clips(folder: str | Path, need_captions: bool = True) -> list[ClipFile]:
    """The clips of a folder and of all folders in it, in the order of their names.

    The caption of `walk.mp4` is the text of `walk.txt` beside it, in any case, or else its row in captions.csv or
    captions.jsonl in `folder`. The first line of a CSV file names its columns, separated by commas, semicolons or tabs;
    a caption that contains the separator is in quotes. All files are in UTF-8.

    Args:
        folder: where to look; hidden files are passed over.
        need_captions: whether a clip without a caption counts as unusable; otherwise its caption is the null prompt.

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
    there = {normal_name(name) for name in paths}
    lost = "is named in a caption table, but there is no such clip."
    missing = [
        ClipFile(folder / name, name, rows[0][0], lost) for name, rows in captions.rows.items() if name not in there
    ]
    return sorted([*found, *missing], key=lambda clip: clip.name)


@checked
def read_folder(
    folder: str | Path,
    num_frames: int,
    size: tuple[int, int],
    fps: int | float,
    need_captions: bool = True,
    files: Sequence[ClipFile] | None = None,
) -> Iterator[tuple[ClipFile, np.ndarray]]:
    """Read the clips of a folder, each file cut into consecutive pieces of equal length; what cannot be used is logged.

    Args:
        folder: with clips and captions, see `find_clips`.
        num_frames: frames of each piece.
        size: height and width.
        fps: frames per second to read.
        need_captions: whether a clip without a caption is left out; otherwise its caption is the null prompt.
        files: those of its clips to read, from `find_clips`; None is all of them.

    Yields:
        Each file, and its pieces (n, num_frames, h, w, 3) uint8, n at least 1.

    Raises:
        ValueError: no file can be read, or none is long enough.
    """
    found, problems = find_clips(folder, need_captions) if files is None else files, []
    for clip in found:
        try:
            pieces = np.stack(list(clip.pieces(num_frames, size, fps)))
        except Unusable as reason:
            problems.append(f"{clip.name} {reason}")
            continue
        yield clip, pieces
    if len(problems) == len(found):
        why = " ".join(problems[:3])
        raise ValueError(
            f"no video in {folder} can be used: {why} Give videos of at least {counted(num_frames, 'frame')} at "
            f"{fps} frames per second."
        )
    if problems:
        logging.getLogger(__name__).warning(
            "%d of %d clips are left out: %s", len(problems), len(found), " ".join(problems)
        )


def _found(path: Path, name: str, captions: Captions, need_captions: bool) -> ClipFile:
    try:
        caption = captions.of(path, name)
    except NoCaption as error:
        return ClipFile(path, name, "", str(error))
    none = f"has no caption: write one into {path.stem}.txt beside it."
    return ClipFile(path, name, caption, none if need_captions and not caption else "")

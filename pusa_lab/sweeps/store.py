"""Rows of a sweep or a table on disk: one file for each, named by its content, written whole, by one process at a time.

sweep.json says with which code and device the rows were made. Of each row, rows/KEY.json holds what it is and its
scores, which are equal whenever it is made again; rows/KEY.seconds its time, and clips/KEY.npz its clip, if kept.
"""

import fcntl
import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from pusa_lab.arguments import checked, shown
from pusa_lab.files import check_folder, read_json, write_json, writing
from pusa_lab.sentences import in_one_line
from pusa_lab.sweeps.identity import digest_of

FORMAT = 2
"""Version of the files' format; a reader refuses others."""
HEADER = "sweep.json"
LONGEST_ERROR = 500
"""Characters of the error of a failed row."""
Row = dict[str, Any]
"""A row that is there: what it is, scores, error, seconds, and the path of its clip, "" without one."""


class Made(NamedTuple):
    """What was made of a row."""

    scores: Mapping[str, Any]
    """As JSON has them."""
    clip: np.ndarray | None = None
    """(frames, h, w, 3) uint8 if it is to be kept."""
    seconds: float | None = None
    """Time that the row took before; None is the time that it took now."""


class UnfitScoreError(ValueError):
    """A metric returned something else than numbers, or not the score that was asked for."""


class RowStore:
    """Rows that are made once and kept, open until the block ends: `with RowStore(folder, header) as rows:`.

    Args:
        folder: of the rows, created if missing.
        header: what all rows were made with.
        name: of the argument that gives the folder, for sentences.

    Raises:
        ValueError: the folder cannot be written to, or holds rows that were made with something else.
    """

    @checked
    def __init__(self, folder: str | Path, header: Mapping[str, Any], name: str = "cache") -> None:
        self.folder = check_folder(folder, name)
        self.header = json.loads(json.dumps({"format": FORMAT, **header}))
        if (path := self.folder / HEADER).is_file():
            check_made_with(self.folder, self._header(path, name), self.header, name)
        elif any(self.folder.glob("rows/*.json")):
            raise ValueError(f"{self.folder} holds rows, but no {HEADER}: restore that file, or give another {name}.")

    def _header(self, path: Path, name: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = read_json(path, "the header of a sweep", {"format": int})
        except ValueError as error:
            raise ValueError(
                f"{path} is damaged, so that it does not say what the rows in {self.folder} were made with: restore "
                f"that file, give another {name}, or delete {self.folder} to start anew."
            ) from error
        return found

    @property
    def is_empty(self) -> bool:
        """Whether no row was ever written."""
        return not (self.folder / HEADER).is_file()

    def __enter__(self) -> "RowStore":
        places = (self.folder / "locks", self.folder, *self.folder.parents)
        self._made = [place for place in places if not place.exists()]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._locks = (self.folder / "locks").open("a")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._locks.close()
        if self._made and self.is_empty:  # refused at its first row
            locks, *folders = self._made
            locks.unlink(missing_ok=True)
            with suppress(OSError):  # there is something else in it by now
                for place in folders:
                    place.rmdir()

    def row(
        self,
        about: Mapping[str, Any],
        make: Callable[[Row | None], Made],
        *,
        wait: bool = True,
        is_enough: Callable[[Row], bool] = lambda row: True,
    ) -> Row | None:
        """A row: the one that is there, or made now; None if another process is making it, and `wait` is not asked for.

        If `make` fails, the row is kept with its error. A row whose file is damaged is made again, with a warning.

        Args:
            about: what tells the row from all others, as `described` takes it.
            make: makes it from the row that is there, if any.
            wait: until the other process has made it.
            is_enough: whether a row that is there is taken as it is.

        Raises:
            UnfitScoreError: `make` raised it; the row is not kept.
        """
        key = digest_of({**self.header, **about})
        if (found := self._kept(key)) is not None and is_enough(found):
            return found
        with self.holding(key, wait) as held:
            if not held:
                return None
            found = self._kept(key, warn=True)  # another process may just have made it
            if found is None or not is_enough(found):
                self._make(key, about, make, found)
                found = self.read(key)
        return found

    def _kept(self, key: str, warn: bool = False) -> Row | None:
        try:
            return self.read(key)
        except ValueError:
            if warn:
                warnings.warn(
                    f"{self._row(key)} is damaged: the row is made again and the file replaced.", stacklevel=3
                )
            return None

    def _make(self, key: str, about: Mapping[str, Any], make: Callable[[Row | None], Made], found: Row | None) -> None:
        began, error = time.perf_counter(), ""
        made = Made(found["scores"] if found else {})  # what is there is not lost if `make` fails
        try:
            made = make(found)
        except UnfitScoreError:
            raise
        except Exception as fault:  # of what is measured
            error = sentence_of(fault)
        seconds = time.perf_counter() - began if made.seconds is None else made.seconds
        self.write(key, {**about, "scores": made.scores, "error": error}, seconds, made.clip)

    def names(self, score: str) -> bool:
        """Whether any row that is there names a score, or its error.

        Args:
            score: its key.
        """
        return any(f'"{score}"' in path.read_text() for path in self.folder.glob("rows/*.json"))

    @contextmanager
    def holding(self, key: str, wait: bool) -> Iterator[bool]:
        """Keep a row from other processes while the block runs; gives False if one has it, and `wait` is not asked for.

        A process that is killed holds nothing any more.

        Args:
            key: of the row, 64 hexadecimal digits.
            wait: until it is free.
        """
        place = int(key[:15], 16)
        try:
            fcntl.lockf(self._locks, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, place)
        except (BlockingIOError, PermissionError):
            yield False
            return
        try:
            yield True
        finally:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, place)

    def read(self, key: str) -> Row | None:
        """A row that is there; None if it is not.

        Args:
            key: of the row.

        Raises:
            ValueError: its file is damaged.
        """
        path, clip = self._row(key), self._clip(key)
        if not path.is_file():
            return None
        found = read_json(path, "a row of a sweep", {"scores": dict, "error": str})
        beside = path.with_suffix(".seconds")
        seconds = read_json(beside, "the seconds of a row") if beside.is_file() else None
        if not isinstance(seconds, int | float | None):
            raise ValueError(f"{beside} holds {shown(seconds)}: delete it.")
        return {**found, "seconds": seconds, "clip": str(clip) if clip.is_file() else ""}

    def write(self, key: str, row: Mapping[str, Any], seconds: float, clip: np.ndarray | None = None) -> None:
        """Write a row; its own file comes last, so that a row that is there is whole.

        Args:
            key: of the row.
            row: what it is, and scores and error.
            seconds: that it took.
            clip: (frames, h, w, 3) uint8 to keep, if any.
        """
        if self.is_empty:
            write_json(self.folder / HEADER, self.header)
        if clip is not None:
            with writing(self._clip(key)) as part:
                order = np.argsort([-step for step in clip.strides], kind="stable")
                np.savez_compressed(part, clip=clip.transpose(order), order=order, key=key)
        write_json(self._row(key).with_suffix(".seconds"), round(seconds, 3))
        write_json(self._row(key), dict(row))

    def _row(self, key: str) -> Path:
        return self.folder / "rows" / f"{key}.json"

    def _clip(self, key: str) -> Path:
        return self.folder / "clips" / f"{key}.npz"


def sentence_of(fault: Exception) -> str:
    """An error as a row keeps it, in one line.

    Args:
        fault: any.
    """
    return in_one_line(f"{type(fault).__name__}: {' '.join(str(fault).split())}")[:LONGEST_ERROR]


def check_made_with(place: Path, there: Mapping[str, Any], header: Mapping[str, Any], name: str) -> None:
    """Refuse results that were made with something else.

    Args:
        place: file or folder of the results, for the sentence.
        there: what they say that they were made with.
        header: what they must have been made with.
        name: of the argument that gives the place.

    Raises:
        ValueError: an entry differs.
    """
    if other := [
        _difference(entry, there.get(entry), value) for entry, value in header.items() if there.get(entry) != value
    ]:
        raise ValueError(
            f"the rows in {place} were made with {', '.join(other)}: give another {name}, or delete {place} to start "
            f"anew."
        )


def _difference(name: str, there: Any, here: Any) -> str:
    """What differs in words, with both values where they are short."""
    if isinstance(there, dict) and isinstance(here, dict):
        names = [key for key in {**there, **here} if there.get(key) != here.get(key)]
        return f"other {name} ({', '.join(names)})"
    if name == "code of pusa_lab":
        return "a pusa_lab of other code"
    short = all(isinstance(value, str | int) and len(str(value)) <= 60 for value in (there, here))
    return f"another {name}" + (f" ({there}, now {here})" if short else "")


@checked
def read_kept_clip(path: str | Path) -> np.ndarray:
    """The clip of a row, as the column clip of the table names it.

    Args:
        path: of its file.

    Returns:
        (frames, h, w, 3) uint8.

    Raises:
        ValueError: there is no such file, or it holds no clip, or that of another row.
    """
    try:
        with np.load(Path(path), allow_pickle=False) as found:
            if str(found["key"]) != Path(path).stem:
                raise ValueError("the clip is that of another row")
            return found["clip"].transpose(np.argsort(found["order"]))  # as it lay in memory: sums depend on that
    except Exception as error:
        raise ValueError(f"{path} holds no clip of a sweep: give a path of the table's column clip.") from error

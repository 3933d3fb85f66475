"""Captions of the clips in a folder, from text files beside the clips and from tables; unclear ones are refused."""

import csv
import io
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.sentences import counted

TABLES = ("captions.csv", "captions.jsonl")
"""Tables with the captions of many clips: rows with `file`, relative to the folder, and `caption`."""
MOST_TABLE = 64 * 2**20
"""Largest table that is read, in bytes."""
MOST_CAPTION = 2**20
"""Largest text file of a clip, in bytes, and longest caption in a table, in characters."""


class NoCaption(ValueError):
    """The caption of one clip cannot be used; the message continues a sentence that begins with the clip's name."""


@dataclass(frozen=True)
class Captions:
    """All captions of a folder."""

    rows: Mapping[str, list[tuple[str, str]]]
    """Name of a clip, as `plain` spells it -> its captions in the tables, each with the table and line it is from."""
    texts: dict[Path, dict[str, list[Path]]] = field(default_factory=dict)
    """Folder -> case-folded name of a text file without its suffix -> the files of that name; filled as needed."""

    def of(self, path: Path, name: str) -> str:
        """Return the caption of a clip, with runs of white space as single spaces; "" if it has none.

        A text file beside the clip takes precedence over the tables.

        Args:
            path: of the clip.
            name: path of the clip relative to the folder, with slashes.

        Raises:
            NoCaption: the caption cannot be read, or there are several that differ.
        """
        if beside := self._beside(path):
            return _agreed({_text(text): text.name for text in beside})
        return _agreed({" ".join(caption.split()): where for caption, where in self.rows.get(normal_name(name), [])})

    def _beside(self, path: Path) -> list[Path]:
        """Text files with the clip's name, or else those whose names differ from it only in case."""
        if path.parent not in self.texts:
            texts = self.texts[path.parent] = defaultdict(list)
            for text in sorted(path.parent.iterdir()):
                if text.suffix.lower() == ".txt" and not text.name.startswith(".") and text.is_file():
                    texts[_folded(text.stem)].append(text)
        found = self.texts[path.parent].get(_folded(path.stem), [])
        return [text for text in found if normal_name(text.stem) == normal_name(path.stem)] or found


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _agreed(captions: Mapping[str, str]) -> str:
    if len(captions) > 1:
        first, second = list(captions.values())[:2]
        raise NoCaption(f"has captions that differ, in {first} and in {second}: keep one of them.")
    return next(iter(captions), "")


def _text(path: Path) -> str:
    try:
        return _clean(_decoded(path, MOST_CAPTION))
    except ValueError as error:
        raise NoCaption(f"has a caption that {error}.") from error


@checked
def normal_name(name: str) -> str:
    """Return the normal form of a file's name: Unicode NFC, slashes, no leading "./".

    Args:
        name: path relative to the folder.
    """
    return PurePosixPath(unicodedata.normalize("NFC", name)).as_posix()


def _decoded(path: Path, most: int) -> str:
    """Read a UTF-8 file of at most `most` bytes; messages of errors continue a sentence after "that"."""
    try:
        with path.open("rb") as stream:
            data = stream.read(most + 1)
        if len(data) > most:
            raise ValueError(f"has more than {most} bytes: shorten {path.name}")
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"cannot be opened ({error.strerror}): make {path.name} readable") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"is not in UTF-8: save {path.name} in UTF-8") from error
    if "\0" in text:
        raise ValueError(f"is not in UTF-8: save {path.name} in UTF-8")
    return text


def _clean(caption: str) -> str:
    """A caption with single spaces; messages of errors continue a sentence after "that"."""
    caption = " ".join(caption.split())
    if all(unicodedata.category(letter) in ("Cf", "Zs") for letter in caption):
        return ""  # zero-width characters alone say nothing
    for letter in caption:
        if unicodedata.category(letter) in ("Cc", "Cs"):
            raise ValueError(f"holds the control character {letter!r}: remove it")
    return caption


# Tables


@checked
def read_captions(folder: Path) -> Captions:
    """Read the caption tables of a folder; text files of single clips are read later, by `Captions.of`.

    Args:
        folder: of clips.

    Raises:
        ValueError: there is no such folder, or a table cannot be read; the sentence names the line and what to do.
    """
    if not folder.is_dir():
        raise ValueError(f"no folder {folder}: give one with clips and their captions.")
    rows = defaultdict(list)
    for table in sorted(folder.iterdir()):
        if table.name.lower() in TABLES and table.is_file():
            for number, file, caption in _rows(table):
                rows[normal_name(file)].append((caption, f"{table.name} line {number}"))
    return Captions(rows)


def _rows(table: Path) -> Iterator[tuple[int, str, str]]:
    """Line number, file and caption of each row."""
    try:
        text = _decoded(table, MOST_TABLE)
        for number, row in _csv(text) if table.suffix.lower() == ".csv" else _jsonl(text):
            try:
                yield number, *_entry(row)
            except ValueError as error:
                raise ValueError(f"line {number} {error}") from error
    except (csv.Error, ValueError) as error:
        reason = str(error) if str(error).startswith(("line", "the first")) else f"it {error}"
        raise ValueError(
            f"{table} cannot be read ({reason}): give rows with `file` and `caption`, in UTF-8."
        ) from error


def _entry(row: Mapping[str, Any]) -> tuple[str, str]:
    """File and caption; an empty caption may be null."""
    if not {"file", "caption"} <= row.keys():
        raise ValueError("has no `file` and `caption`")
    file, caption = row["file"], row["caption"] if row["caption"] is not None else ""
    if isinstance(file, str) and "\\" in file:
        raise ValueError(f"has {file!r:.60} as its `file`: write the path with slashes, as in sub/clip.mp4")
    if not isinstance(file, str) or not file.strip():
        raise ValueError(f"has {file!r:.60} as its `file`, not the name of a clip")
    if not isinstance(caption, str):
        raise ValueError(f"has {caption!r:.60} as its `caption`, which is of type {type(caption).__name__}, not text")
    if len(caption) > MOST_CAPTION:
        raise ValueError(f"has a `caption` of more than {MOST_CAPTION} characters")
    return file.strip(), _clean(caption)


def _csv(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of each row, separated by commas, semicolons or tabs."""
    head = text.lstrip().split("\n", 1)[0]
    split = {mark: [cell.strip().strip('"').lower() for cell in head.split(mark)] for mark in ",;\t"}
    mark = next((mark for mark, names in split.items() if {"file", "caption"} <= set(names)), None)
    if mark is None:
        raise ValueError(f"the first line is {head.strip()!r:.60} and does not name the columns, such as file,caption")
    if len(set(split[mark])) < len(split[mark]):
        raise ValueError("the first line names a column twice")
    names, seen = split[mark], list[str]()
    source = io.StringIO(text.lstrip(), newline="")
    lines = csv.reader(_kept(source, seen), delimiter=mark, strict=True, skipinitialspace=True)
    above = text[: len(text) - len(text.lstrip())].count("\n")
    spaced = [cell.startswith(" ") for cell in head.split(mark)]
    for cells in _quoted(lines, above):
        number = above + lines.line_num
        raw = "".join(seen)
        seen.clear()
        if lines.line_num == 1 or not any(cell.strip() for cell in cells):
            continue
        quotes = f'put a caption with {mark!r} in quotes, as in "a circle{mark} red"'
        if len(cells) != len(names):
            raise ValueError(
                f"line {number} has {counted(len(cells), 'cell')} for {counted(len(names), 'column')}; {quotes}"
            )
        if _runs_on(raw, mark, names, spaced):
            raise ValueError(
                f"line {number} has a caption without quotes beside {mark + ' '!r}, which may be part of it; {quotes}, "
                "or remove the space"
            )
        yield number, dict(zip(names, cells, strict=True))


def _quoted(lines: Any, above: int) -> Iterator[list[str]]:
    """The rows of a reader of CSV, whose errors concern quotes."""
    try:
        yield from lines
    except csv.Error as error:
        raise ValueError(
            f"line {above + lines.line_num} has quotes that do not enclose a whole cell: put the caption in quotes, "
            'and double the quotes within it, as in "a ""big"" cat"'
        ) from error


def _kept(source: Iterable[str], seen: list[str]) -> Iterator[str]:
    for line in source:
        seen.append(line)
        yield line


def _runs_on(raw: str, mark: str, names: list[str], spaced: list[bool]) -> bool:
    """Whether an unquoted caption may extend into a neighbouring cell, because a space follows the separator.

    A row that an unquoted separator has split has the right number of cells only if another cell is missing. The file
    name is never part of a caption, and a space that the header has in the same place is the style of the table.
    """
    cells = re.sub(rf'((?:^|{re.escape(mark)})\s*)"(?:[^"]|"")*"', r'\1"', raw).split(mark)
    at = names.index("caption")
    for left in (at - 1, at):
        right = left + 1
        if left < 0 or right >= len(names) or "file" in (names[left], names[right]) or spaced[right]:
            continue
        between = cells[right].startswith(" ") and cells[right].strip() and cells[left].strip()
        if between and not any(cell.strip().startswith('"') for cell in (cells[left], cells[right])):
            return True
    return False


def _jsonl(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and object of each line that is not blank."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_once)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number} is not JSON: {error.msg}") from error
        except RecursionError:
            raise ValueError(f"line {number} is nested too deeply") from None
        except ValueError as error:
            raise ValueError(f"line {number} is not valid: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is of type {type(row).__name__}, not an object")
        yield number, row


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it has a field twice")
    return found

"""Captions as other programs write them, with what a person who reads them would say each clip is about."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

COMMA = 'a "red" circle, which moves right'
PLAIN = "a blue square"
Says = dict[str, str]
"""Clip -> its caption, or the beginning of what is wrong with it after a '!'."""
RIGHT: Says = {"a.mp4": COMMA, "b.mp4": PLAIN}


def table(folder: Path, encoding: str = "utf-8", name: str = "captions.csv", **options: object) -> Says:
    """What Python's csv module writes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, **options)  # type: ignore[arg-type]
    writer.writerows([("file", "caption"), *RIGHT.items()])
    (folder / name).write_bytes(text.getvalue().encode(encoding))
    return RIGHT


def text(folder: Path, content: str, name: str = "captions.csv", says: Says = RIGHT) -> Says:
    """A file as somebody typed it."""
    (folder / name).write_bytes(content.encode())
    return says


def lines(folder: Path, *rows: object, says: Says = RIGHT) -> Says:
    """What `json` writes, a row in each line."""
    return text(folder, "".join(json.dumps(row) + "\n" for row in rows), "captions.jsonl", says)


def beside(folder: Path, a: bytes, b: bytes = PLAIN.encode(), names: tuple[str, str] = ("a.txt", "b.txt")) -> bytes:
    """Texts beside the clips."""
    (folder / names[0]).write_bytes(a)
    (folder / names[1]).write_bytes(b)
    return a


A, B = ({"file": f"{name}.mp4", "caption": RIGHT[f"{name}.mp4"]} for name in "ab")
TABLES: dict[str, Callable[[Path], Says]] = {
    "csv": table,
    "csv of Excel": lambda f: table(f, "utf-8-sig", dialect="excel"),
    "csv with semicolons": lambda f: table(f, delimiter=";"),
    "csv with tabs": lambda f: table(f, dialect="excel-tab"),
    "csv with all quoted": lambda f: table(f, quoting=csv.QUOTE_ALL),
    "csv of Unix": lambda f: table(f, dialect="unix"),
    "csv in capitals": lambda f: table(f, name="Captions.CSV"),
    "csv with blank lines": lambda f: text(
        f, f'\n\nfile,caption\n\na.mp4,"{COMMA.replace(chr(34), chr(34) * 2)}"\n\n\nb.mp4,{PLAIN}\n'
    ),
    "csv with spaces and more columns": lambda f: text(
        f, f'id, file , Caption\n1, a.mp4, "{COMMA.replace(chr(34), chr(34) * 2)}"\n2, ./b.mp4, {PLAIN}\n'
    ),
    "csv with a column behind": lambda f: text(
        f, f'file,caption,split\na.mp4,"{COMMA.replace(chr(34), chr(34) * 2)}", train\nb.mp4, {PLAIN},test\n'
    ),
    "csv with spaces and a column behind": lambda f: text(
        f, f'file, caption, split\na.mp4, "{COMMA.replace(chr(34), chr(34) * 2)}",\nb.mp4, {PLAIN}, test\n'
    ),
    "csv with inches": lambda f: text(
        f,
        'file,caption,split\na.mp4,a 5" disc,train\nb.mp4,a 5" and a 7" disc,\n',
        says={"a.mp4": 'a 5" disc', "b.mp4": 'a 5" and a 7" disc'},
    ),
    "jsonl": lambda f: lines(f, A, B),
    "jsonl with more fields": lambda f: lines(f, {**A, "fps": 8}, {**B, "tags": ["x"]}),
    "the same twice": lambda f: lines(f, A, B, A),
    "in two tables, the same": lambda f: table(f) and lines(f, A, B),
    "two that differ": lambda f: lines(
        f,
        A,
        B,
        {**B, "caption": "a dog"},
        says={
            **RIGHT,
            "b.mp4": "!has captions that differ, in captions.jsonl line 2 and in captions.jsonl line 3: keep one",
        },
    ),
    "tables that differ": lambda f: (
        text(f, "file,caption\nb.mp4,a dog\n")
        and lines(
            f,
            A,
            B,
            says={**RIGHT, "b.mp4": "!has captions that differ, in captions.csv line 2 and in captions.jsonl line 2"},
        )
    ),
    "null": lambda f: lines(
        f, A, {**B, "caption": None}, says={**RIGHT, "b.mp4": "!has no caption: write one into b.txt"}
    ),
}
"""What it is -> writes it; every clip gets a caption, or one sentence."""

REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a comma without quotes": (
        lambda f: text(f, "file,caption\na.mp4,a circle, red\n"),
        "line 2 has 3 cells for 2 columns; put",
    ),
    "a comma without quotes, first column": (
        lambda f: text(f, "caption,file\n\na circle, red,a.mp4\n"),
        "line 3 has 3 cells for 2",
    ),
    "a comma without quotes, and a cell missing": (
        lambda f: text(f, "file,caption,split\nb.mp4,a dog,train\na.mp4,red, big\n"),
        "line 3 has a caption without quotes beside ', ', which may be part of it; put a caption with ',' in quotes",
    ),
    "a comma without quotes, and a cell before missing": (
        lambda f: text(f, "file;split;caption\na.mp4;red; big\n"),
        "line 2 has a caption without quotes beside '; '",
    ),
    "too few cells": (lambda f: text(f, "file,caption\na.mp4\n"), "line 2 has 1 cell for 2 columns"),
    "no header": (
        lambda f: text(f, "a.mp4,a red circle\n"),
        "the first line is 'a.mp4,a red circle' and does not name",
    ),
    "an empty table": (lambda f: text(f, ""), "the first line is '' and does not name the columns"),
    "a column twice": (lambda f: text(f, "file,caption,caption\na.mp4,b,c\n"), "names a column twice"),
    "no file": (lambda f: text(f, "file,caption\n,a circle\n"), "line 2 has '' as its `file`"),
    "an open quote": (
        lambda f: text(f, 'file,caption\na.mp4,"a circle\n'),
        "line 2 has quotes that do not enclose",
    ),
    "quotes within a cell": (
        lambda f: text(f, 'file,caption\na.mp4,x\nb.mp4,"big" cat\n'),
        "line 3 has quotes that do not enclose a whole cell: put the caption in quotes, and double",
    ),
    "paths of Windows": (
        lambda f: text(f, "file,caption\nsub\\a.mp4,x\n"),
        "line 2 has .* as its `file`: write the path with slashes, as in sub/clip.mp4",
    ),
    "UTF-16": (lambda f: table(f, "utf-16"), "it is not in UTF-8"),
    "UTF-16 without a mark": (lambda f: table(f, "utf-16-le"), "it is not in UTF-8"),
    "Latin-1": (
        lambda f: (f / "captions.csv").write_bytes("file,caption\na.mp4,Füße\n".encode("latin-1")),
        "is not in UTF-8",
    ),
    "a control character": (
        lambda f: text(f, "file,caption\na.mp4,a \x07 circle\n"),
        "line 2 holds the control character '.x07'",
    ),
    "a list": (
        lambda f: lines(f, A, {**B, "caption": ["x", "y"]}),
        "line 2 has .*as its `caption`, which is of type list, not text",
    ),
    "a number": (
        lambda f: lines(f, {**A, "caption": 7}),
        "line 1 has 7 as its `caption`, which is of type int, not text",
    ),
    "a list of files": (lambda f: lines(f, {**A, "file": ["a.mp4"]}), "line 1 has .* as its `file`"),
    "a field twice": (
        lambda f: text(f, '{"file": "a.mp4", "caption": "x", "caption": "y"}\n', "captions.jsonl"),
        "it has a field twice",
    ),
    "deep nesting": (lambda f: text(f, "[" * 100_000 + "\n", "captions.jsonl"), "line 1 is nested too deeply"),
    "half a surrogate": (
        lambda f: text(f, '{"file": "a.mp4", "caption": "\\ud800"}\n', "captions.jsonl"),
        "control character",
    ),
    "one array": (lambda f: text(f, json.dumps([A, B]), "captions.jsonl"), "line 1 is of type list, not an object"),
    "an indented object": (lambda f: text(f, json.dumps(A, indent=1), "captions.jsonl"), "line 1 is not JSON"),
}
"""What it is -> writes it, and the sentence."""

TEXTS: dict[str, tuple[bytes, tuple[str, str], str]] = {
    "UTF-8": ("Füße 走".encode(), ("a.txt", "b.txt"), "Füße 走"),
    "zero-width characters alone": ("\u200b \u200b".encode(), ("a.txt", "b.txt"), "!has no caption"),
    "UTF-8 with a mark": ("Füße".encode("utf-8-sig"), ("a.txt", "b.txt"), "Füße"),
    "Windows": (b"a red\r\ncircle\r\n", ("a.txt", "b.txt"), "a red circle"),
    "capitals at the end": (PLAIN.encode(), ("a.TXT", "b.Txt"), PLAIN),
    "capitals all over": (PLAIN.encode(), ("A.txt", "B.TXT"), PLAIN),
    "UTF-16": (PLAIN.encode("utf-16"), ("a.txt", "b.txt"), "!has a caption that is not in UTF-8: save a.txt in UTF-8."),
    "UTF-16 LE without a mark": (
        PLAIN.encode("utf-16-le"),
        ("a.txt", "b.txt"),
        "!has a caption that is not in UTF-8: save",
    ),
    "UTF-16 BE without a mark": (
        PLAIN.encode("utf-16-be"),
        ("a.txt", "b.txt"),
        "!has a caption that is not in UTF-8: save",
    ),
    "Latin-1": (
        "Füße".encode("latin-1"),
        ("a.txt", "b.txt"),
        "!has a caption that is not in UTF-8: save a.txt in UTF-8.",
    ),
    "a control character": (
        b"a \x1b[1mred circle",
        ("a.txt", "b.txt"),
        "!has a caption that holds the control character",
    ),
    "a whole book": (
        b"word " * 300_000,
        ("a.txt", "b.txt"),
        "!has a caption that has more than 1048576 bytes: shorten a.txt.",
    ),
    "nothing": (b" \n", ("a.txt", "b.txt"), "!has no caption: write one into a.txt beside it."),
}
"""What it is -> bytes of the text beside a.mp4, both names, and the caption of a.mp4."""

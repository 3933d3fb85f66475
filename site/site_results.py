"""The pages of what was measured: a table a page, told as in docs/claims.md, and every benchmark's numbers."""

import ast
import json
import re
from itertools import chain
from pathlib import Path
from typing import Any

from site_links import ROOT

PAPER, BENCHMARKS, RUNS = "small_models/results/paper", "benchmarks/results", "small_models/results"
ABOUT = ("command", "device", "date", "commit", "python", "versions", "seed", "weights", "processor", "threads")
LONG = 14
"""Rows from which a table is folded."""
PICTURES = {
    "wan_forward": ("wan", "wan_memory", "kernels"),
    "wan_train": ("training",),
    "own_clips_gpu": ("own_clips",),
}
"""Benchmark -> the pictures in docs/assets that are drawn from it."""


def pages() -> dict[str, str]:
    """Name -> text of the pages of results; links are as in the clone."""
    told = [path for path in sorted((ROOT / PAPER).glob("*.md")) if path.stem != "README"]
    tables = {f"{PAPER}/{path.name}": table(path) for path in told}
    benchmarks = sorted((ROOT / BENCHMARKS).glob("*.json"))
    made = {f"{BENCHMARKS}/{path.stem}.md": benchmark(path) for path in benchmarks}
    return tables | made | {f"{BENCHMARKS}/README.md": all_benchmarks(benchmarks), f"{RUNS}/sheets.md": sheets()}


def table(path: Path) -> str:
    """One table of the paper's claims: what was found, the picture, the table itself, and how it was measured.

    Args:
        path: of the table as text, beside its .json and .png.
    """
    title, _, rest = path.read_text(encoding="utf-8").removeprefix("# ").partition("\n")
    rows = [line for line in rest.splitlines() if line.startswith("|")]
    told = [line for line in rest.splitlines() if line.strip() and not line.startswith("|")]
    parts = ["---\norphan: true\n---", f"# {title}", *verdicts(path.stem)]
    if (path.with_suffix(".png")).is_file():
        parts.append(f"![{title}: the picture of the table]({path.stem}.png)")
    parts += [re.sub(r"^(\w+):", r"**\1:**", line) for line in told]
    parts += folded("\n".join(rows), len(rows) - 2)
    found = path.with_suffix(".json")
    if found.is_file():
        parts += ["## How it was measured", about(json.loads(found.read_text()))]
        parts.append(f"All numbers, prompt by prompt: `{PAPER}/{found.name}` in the clone. [All tables](README.md)")
    return "\n\n".join(parts) + "\n"


def verdicts(stem: str) -> list[str]:
    """What docs/claims.md says of a table: the first sentences of every section with its picture."""
    told = []
    for section in re.split(r"^### ", (ROOT / "docs" / "claims.md").read_text(encoding="utf-8"), flags=re.M)[1:]:
        title, _, body = section.partition("\n")
        if f"/{stem}.png" in body:
            anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            first = " ".join(body.strip().partition("\n\n")[0].split())
            first = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", first)  # links are relative to that page
            told.append(f"{first} ([{title.strip('()')}](../../../docs/claims.md#{anchor}))")
    return told


def folded(rows: str, count: int) -> list[str]:
    """A table, behind a line to open it where it is long."""
    if not rows or count < LONG:
        return [rows] if rows else []
    return [f"````{{dropdown}} The table: {count} rows\n\n{rows}\n````"]


def about(found: dict[str, Any]) -> str:
    """How a result was measured, as a list."""
    lines = []
    for key in (key for key in ABOUT if found.get(key) not in (None, "", {})):
        value = found[key]
        if isinstance(value, dict):
            value = ", ".join(f"{name} {one}" for name, one in value.items() if "not installed" not in str(one))
        lines.append(f"- **{key}**: {f'`{value}`' if key == 'command' else value}")
    return "\n".join(lines)


def benchmark(path: Path) -> str:
    """The numbers of one benchmark.

    Args:
        path: its file of results.
    """
    found = json.loads(path.read_text(encoding="utf-8"))
    parts = ["---\norphan: true\n---", f"# {path.stem}", what(path.stem)]
    for picture in PICTURES.get(path.stem, ()):
        parts.append(f"![{what(path.stem)} ({picture})](../../docs/assets/{picture}.png)")
    for part, run in ({"": found} if "command" in found else found).items():  # a command for all, or one for each part
        how, numbers = (f"{part}: {word}" if part else word.capitalize() for word in ("how it was measured", "numbers"))
        parts += [f"## {how}", about(run), f"## {numbers}"]
        parts += tables("", {key: value for key, value in run.items() if key not in ABOUT})
    parts.append(f"The file: [{path.name}]({path.name}). [All benchmarks](README.md)")
    return "\n\n".join(part for part in parts if part) + "\n"


def what(stem: str) -> str:
    """What a benchmark measures: the first line of the script it is named in, or of the page of benchmarks."""
    name = {"notebooks": "notebooks/index", "own_clips_gpu": "benchmarks/own_clips"}.get(stem, f"benchmarks/{stem}")
    script = ROOT / f"{name}.py"
    said = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) if script.is_file() else ""
    return (said or "").partition("\n\n")[0].replace("\n", " ")


def tables(name: str, value: Any) -> list[str]:
    """Nested numbers as tables: a table for numbers that stand side by side, headings for what holds several."""
    if isinstance(value, dict):
        flat = {key: one for key, one in value.items() if not isinstance(one, dict | list) or _short(one)}
        deep = {key: one for key, one in value.items() if key not in flat}
        parts = [_grid(["", "value"], [[key, one] for key, one in flat.items()])] if flat else []
        if deep and all(isinstance(one, dict) and all(map(_plain, one.values())) for one in deep.values()):
            columns = [*dict.fromkeys(chain.from_iterable(deep.values()))]
            if len(columns) <= 8:
                rows = [[key, *(one.get(column, "") for column in columns)] for key, one in deep.items()]
                return _titled(name, [*parts, _grid(["", *columns], rows)])
        return _titled(name, [*parts, *(text for key, one in deep.items() for text in tables(_joined(name, key), one))])
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        columns = [*dict.fromkeys(key for one in value for key, cell in one.items() if _plain(cell))]
        same = [key for key in columns if len(value) > 1 and all(one.get(key) == value[0].get(key) for one in value)]
        told = ", ".join(f"{key} {_cell(value[0][key])}" for key in same)
        columns = [key for key in columns if key not in same]
        rows = [[one.get(column, "") for column in columns] for one in value]
        said = [f"In all rows: {told}."] if told else []
        return [f"**{name}**", *said, *folded(_grid(columns, rows), len(rows))]
    return _titled(name, [_grid(["", "value"], [[name, value]])])


def _titled(name: str, parts: list[str]) -> list[str]:
    return ([f"**{name}**"] if name and parts and parts[0].startswith(("|", "`")) else []) + parts


def _joined(name: str, key: str) -> str:
    return f"{name}: {key}" if name else key


def _plain(value: Any) -> bool:
    return not isinstance(value, dict | list) or _short(value)


def _short(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 6 and not any(isinstance(one, dict | list) for one in value)


def _grid(columns: list[str], rows: list[list[Any]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        whole = len(value) in (2, 3) and all(isinstance(one, int) for one in value)  # a size
        return " x ".join(map(str, value)) if whole else ", ".join(map(_cell, value))
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text.replace("|", "\\|").replace("\n", " ").replace("*", "\\*").replace("<", "\\<").replace("$", "\\$")


def all_benchmarks(found: list[Path]) -> str:
    """The page that lists the benchmarks' results."""
    lines = ["# Benchmarks: all numbers\n", "What each script measures, and why, is on [one page](../README.md).\n"]
    for path in found:
        result = json.loads(path.read_text(encoding="utf-8"))
        when = ", ".join(str(result[key]) for key in ("device", "date") if key in result)
        lines.append(f"- [{path.stem}]({path.stem}.md){f' ({when})' if when else ''}: {what(path.stem)}")
    return "\n".join(lines) + "\n"


def sheets() -> str:
    """The page with the contact sheets of the shipped model, a row a prompt."""
    names = sorted(path.stem for path in (ROOT / RUNS).glob("mini-vta-*.png"))
    captions = (ROOT / RUNS / "mini-vta-captions.txt").read_text(encoding="utf-8").split("\n")
    parts = ["# Contact sheets of the toy", "Unpicked videos of `mini-vta`, a row for each prompt:"]
    parts.append("\n".join(f"{i}. {line}" for i, line in enumerate(filter(None, captions), 1)))
    for name in names:
        title = name.removeprefix("mini-vta-").replace("_", " ")
        parts.append(f"## {title.capitalize()}\n\n![Five videos of mini-vta, a row each: {title}]({name}.png)")
    return "\n\n".join(parts) + "\n"

"""Results that survive a kill: one JSON file a table, written row by row, resumed only by the very same run."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.files import check_fields, read_json, writing
from pusa_lab.versions import code_digest
from small_models.experiments.records import Found, Record, table_of
from small_models.experiments.sizes import Sizes
from small_models.machine import device_name, library_versions

FORMAT = 1
"""Of the files; readers refuse another."""
Row = dict[str, Any]


@checked
class ResultStore:
    """One table's results: `store.row({"steps": 5}, measure, 5)` measures what is not there yet, and keeps it.

    Until `close` the rows stand in `<table>.part.json`, which the same run with the same code, checkpoints, sizes and
    device resumes; a finished file of another run is never written over.

    Args:
        path: of the finished file, `<table>.json`.
        about: what the table is: name, title, command.
        sizes: of the run.
        parts: name -> sha256 of the checkpoints that the table depends on.

    Raises:
        ValueError: there is a file of another run.
    """

    def __init__(self, path: Path, about: dict[str, Any], sizes: Sizes, parts: dict[str, str]):
        self.path, self.part = path, path.with_suffix(".part.json")
        same = {"format": FORMAT, "table": about["table"], "sizes": json.loads(json.dumps(asdict(sizes)))}
        same |= {"checkpoints": parts, "code": code_hash(), "device": device_name(), "versions": library_versions()}
        self.found = {**same, **about, "date": date.today().isoformat(), "rows": []}
        for there in filter(Path.is_file, (self.path, self.part)):
            old = read_results(there)
            if other := [name for name, value in same.items() if old.get(name) != value]:
                raise ValueError(
                    f"{there} is of another run (other {', '.join(other)}): give another --out, or delete it to start "
                    f"anew."
                )
            self.found["rows"] = old["rows"]

    def row(self, key: dict[str, Any], measure: Callable[..., Row], *args: Any, **options: Any) -> Row:
        """The row of this key: the one that is there, or a new one.

        Args:
            key: tells the row from all others.
            measure: called if there is none.
            *args: of the call.
            **options: of the call.
        """
        key = json.loads(json.dumps(key))
        for row in self.found["rows"]:
            if row["key"] == key:
                return row
        began = time.perf_counter()
        row = {"key": key, **measure(*args, **options)}
        row["seconds"] = round(time.perf_counter() - began, 2)
        self.found["rows"].append(_plain(row))
        _write(self.part, self.found)
        return self.found["rows"][-1]

    def close(self, **more: Any) -> dict[str, Any]:
        """Put the finished file in its place, with more in it; returns what it holds.

        Args:
            **more: added to the file.
        """
        self.found |= _plain(more)
        _write(self.part, self.found)
        self.part.replace(self.path)
        return self.found


@checked
def read_results(path: Path) -> Record:
    """A results file, finished or begun.

    Args:
        path: of the file.

    Returns:
        What it holds; asking for an entry that is missing raises a ValueError that names it.

    Raises:
        ValueError: there is no such file, it is not JSON, an entry has the wrong type, or another version wrote it.
    """
    try:
        found = read_json(path, "a file of results", {"format": object, "rows": list, "table": str, "title": str})
        for row in found["rows"]:
            check_fields(row, "a row is not one of results", {"key": dict})
        table = table_of(found)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path} holds no results ({error}): `pusa-lab bench paper --list` names those there are."
        ) from error
    known = found["format"]
    if known != FORMAT:
        raise ValueError(f"{path} has format {known!r:.40}, this version reads {FORMAT}: run its command again.")
    return table


@checked
def tidy(found: Found) -> Any:
    """The results as a table of one row per measured value, for grouping and joining by pandas.

    Args:
        found: what a results file holds.

    Returns:
        A DataFrame with columns table, seed, those of the key (lists as tuples), metric, mean, low and high; a score
        without an interval has only a mean.
    """
    import pandas as pd  # takes long to import

    found, values = table_of(found), []
    for row in found["rows"]:
        key = {name: tuple(part) if isinstance(part, list) else part for name, part in row["key"].items()}
        for metric, value in row.get("scores", {}).items():
            mean, low, high = value if isinstance(value, list) and len(value) == 3 else (value, None, None)
            if not isinstance(mean, list):
                about = {"table": found["table"], "seed": found.get("seed"), **key}
                values.append({**about, "metric": metric, "mean": mean, "low": low, "high": high})
    return pd.DataFrame(values)


@checked
def code_hash() -> str:
    """Of every line of both packages, so that no run is resumed with rows of other code."""
    root = Path(__file__).parents[2]
    return code_digest(root / "pusa_lab", root / "small_models")


def _plain(value: Any) -> Any:
    """As JSON has it: lists, and None for what is not a number."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write(path: Path, found: dict[str, Any]) -> None:
    rows = ",\n  ".join(json.dumps(row, allow_nan=False) for row in found["rows"])
    head = json.dumps({k: v for k, v in found.items() if k != "rows"}, indent=1, allow_nan=False)
    with writing(path) as part:
        part.write_text(f'{head[:-2]},\n "rows": [\n  {rows}\n ]\n}}\n')

"""A results file, read and as a table: its types are checked once, and what it lacks is named where it is asked for."""

import math
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.files import check_fields, read_json
from pusa_lab.metrics import Interval
from small_models.experiments.sizes import Sizes
from small_models.records import MissingError, Record, check_entries

HUNDREDS = ("total", "quality", "i2v", "text_alignment", "alignment_lost", "shape", "direction", "speed")
"""Scores in [0, 1], printed as VBench prints its own: times 100."""
FORMAT = 1
"""Version of the files' format; a reader refuses others."""
NumberRows = list[list[float]]
TABLE = {
    **{"table": str, "title": str, "note": str, "rows": list, "sizes": dict},
    **{"before training": dict, "ratios": list, "prediction": list},
}
"""Entry of a results file -> its type, if it is there."""
ROW = {
    "key": dict[str, Any],
    "scores": dict[str, float | list[float | None] | None],
    "by_prompt": dict[str, list[float | None]],
    "by_seed": dict[str, list[list[float | None]]],
    "seeds": list[int],
    "kinds": dict[str, dict[str, Any]],
    "on_frame_0": NumberRows,
    "maps": dict[str, NumberRows],
    "matrix": NumberRows,
    "clips": int,
    "learning": dict[str, Any],
}
"""Types of the fields of its rows."""
KEY = {
    **dict.fromkeys(
        ("way", "model", "timestep_sampler", "task", "mode", "solver", "schedule", "change", "attention", "split"), str
    ),
    **dict.fromkeys(("strength", "shift", "steps", "calls", "rows a window"), float),
    **{"clips": str, "share": float | None, "rank": int | str, "noise": float | list[float]},
}
"""Types of the fields that tell the rows of a table apart."""
PARTS = {
    **{
        "suite": ("clips",),
        "cost": ("way", "share"),
        "preserved": ("model",),
        "forgetting": ("timestep_sampler", "rank", "share"),
        "timestep_samplers": ("timestep_sampler", "shift"),
    },
    **{
        "lora": ("rank", "share", "strength"),
        "steps": ("solver", "steps", "calls"),
        "noise": ("task", "noise", "mode"),
    },
    **{"tasks": ("task", "model"), "schedules": ("schedule", "rows a window"), "inside": ()},
    "learned": ("task", "schedule", "calls"),
    "recipes": ("way", "task", "share"),
    "generalisation": ("way", "split"),
}
"""Table -> what the key of each of its rows must have."""
KIND = {"relative": float | None, "share": float}
"""Types of the fields of a kind of weights; None is infinite, which JSON does not have."""
RATIO = {"share": float, "ratio": tuple[float | None, float | None, float | None], "bound": str}
"""Types of the fields of the ratios of the table `cost`."""
PREDICTION = {
    **{"distance": str, "rows": str, "measured": int, "trainings": int},
    "correlation": tuple[float | None, float | None, float | None],
}
"""Types of the fields of the predictions of the table `forgetting`."""


Found = Record | Mapping[str, Any]
"""A results file as `read` returns it, or the same as a plain dict."""
ResultRow = Record | Mapping[str, Any]
"""A row of it."""


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
    except OSError as error:
        raise ValueError(f"{path} holds no results: `pusa-lab bench paper --list` names those there are.") from error
    try:
        for row in found["rows"]:
            check_fields(row, "a row is not one of results", {"key": dict})
        table = table_of(found)
        keys = [str(row["key"]) for row in found["rows"]]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise ValueError(f"the row {twice[0]:.100} is there more than once")
    except ValueError as error:
        raise ValueError(f"{path} is not a file of results: {error}") from error
    known = found["format"]
    if known != FORMAT:
        raise ValueError(f"{path} has format {known!r:.40}, this version reads {FORMAT}: run its command again.")
    return table


@checked
def table_of(found: Found) -> Record:
    """A results file with its types checked, ready to be asked for its entries.

    Args:
        found: the file's contents; those that are checked already are returned as they are.

    Raises:
        ValueError: an entry has the wrong type, or there is no table or no row.
    """
    if isinstance(found, Record):
        return found
    where = f"the table {found.get('table')!r:.40}"
    table = Record({**found, "rows": []}, where)
    rows = found.get("rows")
    check_entries(
        table | {"rows": rows}, {**TABLE, "table": str, "rows": list[dict[str, Any]]}, where, ("table", "rows")
    )
    sizes = table.get("sizes", {})
    check_entries(sizes, typing.get_type_hints(Sizes), f"'sizes' of {where}")
    if empty := [name for name, value in sizes.items() if value == []]:
        raise MissingError(f"{empty[0]!r:.60} of {where} is an empty list: give a whole results file.")
    check_entries(
        table.get("before training", {}), {"largest difference": dict[str, float]}, f"'before training' of {where}"
    )
    for ratio in table.get("ratios", []):
        check_entries(ratio, RATIO, f"'ratios' of {where}", tuple(RATIO))
    for one in table.get("prediction", []):
        check_entries(one, PREDICTION, f"'prediction' of {where}", tuple(PREDICTION))
    table["rows"] = [row_of(row) for row in found["rows"]]
    return table


@checked
def row_of(row: ResultRow) -> Record:
    """A row of a results file with its types checked.

    Args:
        row: of the file; one that is checked already is returned as it is.

    Raises:
        ValueError: an entry has the wrong type.
    """
    if isinstance(row, Record):
        return row
    check_entries(row, ROW, "a row of results")
    key = ", ".join(f"{name} {value}" for name, value in row.get("key", {}).items())
    where = f"the row ({key[:80]})"
    check_entries(row.get("key", {}), KEY, f"'key' of {where}")
    changes_of(row.get("kinds", {}))
    for name, matrix in {"on_frame_0": row.get("on_frame_0"), **row.get("maps", {})}.items():
        if matrix is not None and (not matrix or not matrix[0] or len({len(line) for line in matrix}) > 1):
            raise ValueError(f"{name!r:.60} of {where} is not a matrix: give lists of numbers of equal lengths.")
    return Record(row, where)


@checked
def changes_of(kinds: Mapping[str, Mapping[str, Any]]) -> Record:
    """How far each kind of weights moved, with types checked and new weights left out.

    Args:
        kinds: from `parameter_change`.

    Raises:
        ValueError: an entry has the wrong type.
    """
    moved = Record({name: change for name, change in kinds.items() if name != "new"}, "this table of changes")
    for name, change in moved.items():
        check_entries(change, KIND, f"the change of {name!r:.60}")
    return moved


@checked
def interval(row: ResultRow, score: str) -> Interval:
    """A score's mean and its 95 % interval.

    Args:
        row: of a table.
        score: its name.

    Raises:
        ValueError: the row has no such score, or no number for it.
    """
    row = row_of(row)
    value = row["scores"][score]
    if not isinstance(value, list) or len(value) != 3 or None in value:
        raise MissingError(f"{row.where} has no mean with an interval as {score!r:.60}: ask for another score.")
    return Interval(*value)


@checked
def ranked(rows: Sequence[ResultRow], score: str) -> list[Record]:
    """Rows by their mean score, the highest first.

    Args:
        rows: of a table, at least one.
        score: its name.

    Raises:
        ValueError: there is no row, or one has no such score.
    """
    if not rows:
        raise MissingError(f"there are no rows to rank by {score!r:.60}: measure the table first.")
    return sorted((row_of(row) for row in rows), key=lambda row: -interval(row, score).mean)


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
        key = _key_of(row)
        for metric, value in row.get("scores", {}).items():
            mean, low, high = value if isinstance(value, list) and len(value) == 3 else (value, None, None)
            if not isinstance(mean, list):
                about = {"table": found["table"], "seed": found.get("seed"), **key}
                values.append({**about, "metric": metric, "mean": mean, "low": low, "high": high})
    return pd.DataFrame(values)


@checked
def prompt_table(found: Found) -> Any:
    """The results prompt by prompt, in the form of `pl.sweep`'s table, for `pl.compare` and the figures of sweeps.

    Args:
        found: what a results file holds.

    Returns:
        A DataFrame with a line for each row and prompt: columns of the key (lists as tuples), prompt (its number), seed
        (of the run), the scores that were kept by prompt (means over its videos), and the columns that end a sweep's.

    Raises:
        ValueError: no row has scores by prompt.
    """
    import pandas as pd

    found, lines = table_of(found), list[dict[str, Any]]()
    rows = [row for row in found["rows"] if row.get("by_prompt")]
    keys, names = (dict.fromkeys(name for row in rows for name in row[part]) for part in ("key", "by_prompt"))
    about = {"seed": found.get("seed", 0), **dict.fromkeys(names, math.nan), "seconds": math.nan}
    for row in rows:
        for i, values in enumerate(zip(*row["by_prompt"].values(), strict=False)):
            scores = dict(zip(row["by_prompt"], values, strict=True))
            lines.append({**keys, **_key_of(row), "prompt": f"{i}", **about, **scores, "status": "done"})
    if not lines:
        raise MissingError(f"{found.where} has no scores by prompt: measure it anew.")
    return pd.DataFrame(lines).assign(error="", clip="")


def _key_of(row: Record) -> dict[str, Any]:
    """A row's key, of values that pandas can group by."""
    return {name: tuple(part) if isinstance(part, list) else part for name, part in row["key"].items()}

"""Schedules as they are typed: a name and its arguments, or a file."""

import csv
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pusa_lab.cli.values import fit_options
from pusa_lab.import_paths import import_paths
from pusa_lab.models import check_options
from pusa_lab.schedules import SCHEDULES, as_schedule
from pusa_lab.sentences import counted

OWN = ("steps", "frames", "shift")
"""Arguments of every schedule, which have options of their own."""
HOLDS = {
    ".npy": "a matrix of numbers that numpy.save wrote",
    ".csv": "rows of numbers, all of the same length, with commas between the numbers",
    ".json": "a list of rows of numbers, all of the same length",
}
"""How a file with a matrix ends -> what it holds."""
MOST_MATRIX_BYTES = 64 * 2**20
"""Largest file with a matrix, in bytes."""


def schedule_of(name: str, options: Mapping[str, Any] | None = None) -> str | Callable[..., Any] | Tensor:
    """What `generate` takes as schedule.

    Args:
        name: as `SCHEDULES.find` takes it, or the path of a .npy, .csv or .json.
        options: arguments of a named one, but steps, frames and shift.

    Raises:
        ValueError: no such schedule, file or argument.
    """
    if Path(name).suffix.lower() in (".npy", ".csv", ".json"):
        if options:
            raise ValueError(f"--schedule-options with the file {name}: they are for a named schedule, leave them out.")
        return read_schedule(Path(name))
    if name not in SCHEDULES and not import_paths(name) and "(" not in name:
        raise _unknown(name)
    found, options = SCHEDULES.find(name), options or {}
    if not options:
        return name
    for own in OWN:
        if own in options:
            raise ValueError(f"--schedule-options.{own}: give --{'num-frames' if own == 'frames' else own} instead.")
    check_options(found, options, f"the schedule {name}", OWN)
    return functools.partial(found, **fit_options(found, options, "--schedule-options"))


def _unknown(name: str) -> ValueError:
    names = f"choose one of {', '.join(SCHEDULES)}, or give a .npy, .csv or .json file"
    if Path(name).exists():
        kind = "a folder" if Path(name).is_dir() else "a file of another kind"
        return ValueError(f"--schedule {name!r:.300} is {kind}: {names}.")
    return ValueError(f"unknown schedule {name!r:.60}: {names}.")


def _rows(path: Path) -> list[list[float]]:
    """The rows of a .csv."""
    with path.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.reader(lines)
        rows = [(reader.line_num, row) for row in reader if row]
    for number, row in rows:
        if wrong := [level for level in row if not _is_number(level)]:
            raise ValueError(f"{path}, line {number}: {wrong[0]!r:.40} is not a number: give {HOLDS['.csv']}.")
        if len(row) != len(rows[0][1]):
            here, first = (counted(len(one), "number") for one in (row, rows[0][1]))
            raise ValueError(f"{path}, line {number}: {here}, but {first} in the first row: give {HOLDS['.csv']}.")
    return [[float(level) for level in row] for _, row in rows]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_schedule(path: Path) -> Tensor:
    """A matrix (rows, f) from a file.

    Args:
        path: .npy (numpy), .csv (a row on each line, without a header), or .json (a list of rows).

    Raises:
        ValueError: it cannot be read, or holds no schedule.
    """
    from pusa_lab.files import read_json

    try:
        if not path.is_file():
            raise ValueError(f"no schedule at {str(path)!r:.300}: give the path of an existing file.")
        if path.stat().st_size > MOST_MATRIX_BYTES:
            raise ValueError(f"{path} has more than {MOST_MATRIX_BYTES} bytes: give a matrix (rows, latent frames).")
        if path.suffix.lower() == ".json":
            rows = read_json(path, "a schedule")
        elif path.suffix.lower() == ".csv":
            rows = _rows(path)
        else:
            rows = np.load(path, allow_pickle=False)
        matrix = np.asarray(rows, dtype=np.float64)
    except (ValueError, TypeError, OverflowError, OSError, EOFError, csv.Error) as error:
        if str(path) in str(error):
            raise
        kind = HOLDS[path.suffix.lower()]
        raise ValueError(f"{path} is not a schedule that can be read: give {kind}.") from error
    if matrix.ndim != 2:
        raise ValueError(f"{path} holds numbers of shape {matrix.shape}: give a matrix (rows, latent frames).")
    return as_schedule(torch.from_numpy(matrix).float())

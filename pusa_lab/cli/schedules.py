"""Schedules as they are typed: a name and its arguments, or a file."""

import csv
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pusa_lab.models import check_options
from pusa_lab.schedules import SCHEDULES, as_schedule

MOST_BYTES = 64 * 2**20
"""Of a file with a matrix."""


def schedule_of(name: str, options: Mapping[str, Any] | None = None) -> str | Callable[..., Any] | Tensor:
    """What `generate` takes as schedule.

    Args:
        name: in `SCHEDULES`, or the path of a .npy, .csv or .json.
        options: arguments of a named one, but steps, frames and shift.

    Raises:
        ValueError: no such schedule, file or argument.
    """
    if Path(name).suffix.lower() in (".npy", ".csv", ".json"):
        if options:
            raise ValueError(f"--schedule-options with the file {name}: they are for a named schedule, leave them out.")
        return read_schedule(Path(name))
    if not options:
        return name
    check_options(SCHEDULES.find(name), options, f"the schedule {name}")
    for own in ("steps", "frames", "shift"):
        if own in options:
            raise ValueError(f"--schedule-options.{own}: give --{'num-frames' if own == 'frames' else own} instead.")
    return functools.partial(SCHEDULES[name], **options)


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
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"{path} has more than {MOST_BYTES} bytes: give a matrix (rows, latent frames).")
        if path.suffix.lower() == ".json":
            rows = read_json(path, "a schedule")
        elif path.suffix.lower() == ".csv":
            with path.open(newline="", encoding="utf-8-sig") as lines:
                rows = [[float(level) for level in row] for row in csv.reader(lines) if row]
        else:
            rows = np.load(path, allow_pickle=False)
        matrix = np.asarray(rows, dtype=np.float64)
    except (ValueError, TypeError, OverflowError, OSError, EOFError, csv.Error) as error:
        if str(path) in str(error):
            raise
        text = " ".join(str(error).split())
        reason = "it holds objects" if "pickle" in text else text[:100]
        raise ValueError(f"{path} is not a schedule that can be read ({reason}): give rows of numbers.") from error
    if matrix.ndim != 2:
        raise ValueError(f"{path} holds numbers of shape {matrix.shape}: give a matrix (rows, latent frames).")
    return as_schedule(torch.from_numpy(matrix).float())

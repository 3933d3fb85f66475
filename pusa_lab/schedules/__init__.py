"""Schedules: the path of every frame's clock through sampling, as plain (rows, frames) tensors."""

from collections.abc import Callable

import torch

from pusa_lab.schedules import draws
from pusa_lab.schedules.grids import linear, shift_levels
from pusa_lab.schedules.matrices import (
    autoregressive,
    frame_indices,
    hold,
    noise_levels,
    pyramid,
    scale_columns,
    synchronous,
)
from pusa_lab.types import Schedule

SCHEDULES: dict[str, Callable[..., Schedule]] = {f.__name__: f for f in (synchronous, hold, pyramid, autoregressive)}
"""Name -> function (steps, frames, shift=..., ...): the zoo. The property battery in tests/ runs over it."""

__all__ = [
    "SCHEDULES",
    "autoregressive",
    "draws",
    "faults",
    "frame_indices",
    "hold",
    "linear",
    "noise_levels",
    "pyramid",
    "scale_columns",
    "shift_levels",
    "synchronous",
    "validate",
]


def faults(schedule: torch.Tensor) -> list[str]:
    """Everything that keeps a tensor from being a schedule, one sentence each; empty when it is one.

    A schedule is floating point (rows >= 2, frames >= 1), finite, in [0, 1], never rises down a column, ends at 0.

    Args:
        schedule: any tensor.
    """
    if schedule.ndim != 2 or schedule.shape[0] < 2 or schedule.shape[1] < 1:
        return [f"shape {tuple(schedule.shape)}: a schedule is (rows, frames) with at least 2 rows and 1 frame"]
    if not schedule.is_floating_point():
        return [f"dtype {schedule.dtype}: clocks are floating point numbers in [0, 1]"]
    rise = torch.zeros_like(schedule, dtype=torch.bool)
    rise[1:] = schedule[1:] > schedule[:-1]
    unfinished = torch.zeros_like(rise)
    unfinished[-1] = schedule[-1] != 0
    marks = {
        "is outside [0, 1] or not a number": ~((schedule >= 0) & (schedule <= 1)),
        "rises above the row before": rise,
        "should be 0: every frame ends clean": unfinished,
    }
    return [
        f"row {row}, frame {frame}: {schedule[row, frame]:.4g} {what}"
        for what, mask in marks.items()
        for row, frame in mask.nonzero().tolist()
    ]


def validate(schedule: torch.Tensor) -> None:
    """Raise one clear ValueError unless `schedule` is a schedule (see `faults`).

    Args:
        schedule: any tensor.

    Raises:
        ValueError: with the first five faults and the number of all.
    """
    if found := faults(schedule):
        more = f" (and {len(found) - 5} more)" if len(found) > 5 else ""
        raise ValueError("not a schedule: " + "; ".join(found[:5]) + more + ".")

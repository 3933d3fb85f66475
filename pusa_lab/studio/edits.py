"""Edits of a schedule, as functions from a matrix to a new matrix, and the sliders of the zoo."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from pusa_lab.annotations import Unfit, check_for
from pusa_lab.arguments import ArgumentError, checked, shown
from pusa_lab.schedules import SCHEDULES, SIGMAS, frame_indices
from pusa_lab.schedules.compose import PartialSchedule
from pusa_lab.sentences import counted
from pusa_lab.types import Rising, Schedule

Number: TypeAlias = float | int
MOST_DRAWN_ROWS, MOST_DRAWN_LEVELS = 10_000, 50_000
"""Most rows and most levels of a schedule that is drawn; with more, the page would not respond for seconds."""


@checked
def as_levels(matrix: Any, frames: int) -> Schedule:
    """Convert a matrix (rows, frames) to a float32 tensor; its levels may have faults, but its shape must fit.

    Args:
        matrix: tensor, array or nested lists.
        frames: expected number of latent frames.

    Raises:
        ValueError: it does not hold numbers, has another shape, or is too large to draw.
    """
    try:
        S = check_for(Schedule)(matrix).detach().cpu().float().clone()
    except Unfit:
        raise ArgumentError(
            f"a schedule is a matrix of numbers (rows, {frames}), not {shown(matrix)}: give a tensor, array or lists."
        ) from None
    if S.ndim != 2 or len(S) < 2 or S.shape[1] != frames:
        raise ValueError(
            f"a schedule of shape {tuple(S.shape)} for {frames} latent frames: give (rows, {frames}) with 2 rows or "
            f"more. The one drawn before is kept."
        )
    return small(S)


@checked
def small(S: Schedule) -> Schedule:
    """Return the matrix if it is not too large to draw.

    Args:
        S: noise levels (rows, f).

    Raises:
        ValueError: it has more than 10,000 rows or 50,000 levels.
    """
    if len(S) > MOST_DRAWN_ROWS or S.numel() > MOST_DRAWN_LEVELS:
        raise ValueError(
            f"a schedule of {counted(len(S), 'row')} of {counted(S.shape[1], 'frame')}: the studio draws at most "
            f"{MOST_DRAWN_ROWS:,} rows and {MOST_DRAWN_LEVELS:,} levels, give fewer steps or frames."
        )
    return S


@checked
def drag(S: Schedule, frame: int, row: int, level: Number) -> Schedule:
    """Drag one level of a column; earlier levels are kept above it, later ones below.

    S'[q, i] = max(S[q, i], level) for q < r, level for q = r, min(S[q, i], level) for q > r

    Args:
        S: noise levels (rows, f).
        frame: column i; a negative number counts from the end.
        row: row r; a negative number counts from the end.
        level: new level, in [0, 1].

    Raises:
        ValueError: the cell does not exist, or the level is outside [0, 1].
    """
    i, r, m = _frame(S, frame), _row(S, row), _level(level)
    out = S.clone()
    out[:r, i] = out[:r, i].clamp(min=m)
    out[r, i] = m
    out[r + 1 :, i] = out[r + 1 :, i].clamp(max=m)
    return out


@checked
def paint(S: Schedule, frames: Sequence[int], rows: Sequence[int], level: Number) -> Schedule:
    """Set cells to one level without regard to their neighbours, which may cause faults.

    Args:
        S: noise levels (rows, f).
        frames: columns; negative numbers count from the end.
        rows: rows; negative numbers count from the end.
        level: new level, in [0, 1].

    Raises:
        ValueError: a cell does not exist, there are too many, or the level is outside [0, 1].
    """
    out, m = S.clone(), _level(level)
    _check_few(rows, "rows", len(S))
    _check_few(frames, "frames", S.shape[1])
    for r in rows:
        out[_row(S, r), [_frame(S, i) for i in frames]] = m
    return out


@checked
def freeze(S: Schedule, frame: int) -> Schedule:
    """Make a frame clean from the start by setting its column to 0.

    Args:
        S: noise levels (rows, f).
        frame: column; a negative number counts from the end.

    Raises:
        ValueError: the frame does not exist.
    """
    out = S.clone()
    out[:, _frame(S, frame)] = 0
    return out


@checked
def delay(S: Schedule, frame: int, by: int) -> PartialSchedule:
    """Shift a column in time; rows are added where it would leave the matrix, so that no level is lost.

    S'[r, i] = S[clip(r - by), i]; rows at either end in which no level changes are dropped

    Args:
        S: noise levels (rows, f).
        frame: column i; a negative number counts from the end.
        by: rows by which the column gets later, or earlier if negative, from -10,000 to 10,000.

    Raises:
        ValueError: the frame does not exist, or `by` is out of range.
    """
    i, n = _frame(S, frame), abs(by)
    if n > MOST_DRAWN_ROWS or not len(S):
        raise ValueError(
            f"by={by} for {counted(len(S), 'row')}: shift at least 1 row by at most {MOST_DRAWN_ROWS:,} rows."
        )
    wide = torch.cat([S[:1].expand(n, -1), S, S[-1:].expand(n, -1)])
    wide[:, i] = wide[(torch.arange(len(wide)) - by).clamp(0, len(wide) - 1), i]
    moving = (wide[1:] != wide[:-1]).any(dim=1).nonzero().flatten().tolist() or [0]
    return wide[moving[0] : moving[-1] + 2]


@checked
def copy(S: Schedule, frame: int, to: Sequence[int]) -> Schedule:
    """Copy the levels of one frame to other frames.

    Args:
        S: noise levels (rows, f).
        frame: column to copy; a negative number counts from the end.
        to: columns that become equal to it.

    Raises:
        ValueError: a frame does not exist, or there are too many.
    """
    out = S.clone()
    _check_few(to, "to", S.shape[1])
    out[:, [_frame(S, j) for j in to]] = S[:, _frame(S, frame), None]
    return out


EDITS: dict[str, Callable[..., Schedule]] = {f.__name__: f for f in (drag, paint, freeze, delay, copy)}
"""Name -> function (matrix, ...) -> matrix."""


@checked
def fix(S: Schedule, row: int, frame: int) -> tuple[Schedule, str]:
    """Fix the fault of one cell.

    Args:
        S: noise levels (rows, f).
        row: row of the cell, from 0.
        frame: frame of the cell, from 0.

    Returns:
        A matrix without the fault, and a phrase that says what changed.

    Raises:
        ValueError: the cell does not exist.
    """
    if not (0 <= row < len(S) and 0 <= frame < S.shape[1]):
        raise ValueError(
            f"row {row}, frame {frame} is outside the schedule of shape {tuple(S.shape)}: give a cell in it."
        )
    out, level = S.clone(), S[row, frame].item()
    before = out[row - 1, frame].item() if row else 1.0
    if not 0 <= level <= 1:
        out[row, frame] = min(max(level, 0.0), 1.0) if level == level else before
        return out, f"frame {frame}, row {row}: {level:.4g} becomes {out[row, frame]:.4g}"
    if level > before:
        out[row:, frame] = out[row:, frame].clamp(max=before)
        rows = (out[:, frame] != S[:, frame]).nonzero().flatten().tolist()
        which = f"row {row}" if len(rows) == 1 else f"{len(rows)} rows from row {row} on"
        return out, f"frame {frame}, {which}: no higher than {before:.4g}, as in row {row - 1}"
    out[row, frame] = 0
    return out, f"frame {frame}, row {row}: {level:.4g} becomes 0"


@dataclass(frozen=True)
class Parameter:
    """Slider, checkbox or menu for one argument of a member of the zoo."""

    name: str
    """Name of the argument."""
    start: Any
    """First value; a bool makes a checkbox."""
    low: Number = 0
    """Smallest number of the slider."""
    high: Number = 1
    """Largest number of the slider."""
    step: Number = 1
    """Distance between numbers of the slider."""
    choices: tuple[str, ...] = ()
    """Words of the menu."""


def drawable() -> list[str]:
    """Names in `schedules.SCHEDULES` without those that go back up, whose noise an edit would not keep."""
    return [name for name, make in SCHEDULES.items() if inspect.signature(make).return_annotation is not Rising]


@checked
def parameters(name: str, frames: int = 9) -> list[Parameter]:
    """List the arguments of a member of the zoo that the studio can set.

    Args:
        name: a name in `schedules.SCHEDULES`.
        frames: number of latent frames.

    Raises:
        ValueError: there is no such member.
    """
    schedule = SCHEDULES.find(name)
    ranges: dict[str, tuple[Number, Number, Number]] = {
        "steps": (1, 50, 1),
        "shift": (1, 12, 0.5),
        "lag": (0, 20, 1),
        "window": (1, frames, 1),
        "block": (1, frames, 1),
        "chunk": (2, max(frames, 2), 1),
        "overlap": (0, max(frames - 1, 1), 1),
        "noise": (0, 1, 0.05),
    }
    found = [Parameter("steps", 20, *ranges["steps"])]
    for word, argument in inspect.signature(schedule).parameters.items():
        if word == "sigmas":
            found.append(Parameter(word, argument.default, choices=tuple(SIGMAS)))
        elif isinstance(argument.default, bool):
            found.append(Parameter(word, argument.default))
        elif word in ranges and word != "steps":
            found.append(Parameter(word, argument.default, *ranges[word]))
    return found


def _check_few(given: Sequence[int], name: str, most: int) -> None:
    if len(given) > most:
        raise ValueError(f"{name} holds {counted(len(given), 'number')}: give each of the {most} at most once.")


def _frame(S: Schedule, frame: int) -> int:
    return frame_indices([frame], S.shape[1])[0]


def _row(S: Schedule, row: int) -> int:
    if not -len(S) <= row < len(S):
        raise ValueError(f"row {row} of {len(S)}: give 0..{len(S) - 1}.")
    return row % len(S)


def _level(level: Number) -> float:
    if not 0 <= level <= 1:
        raise ValueError(f"level {level}: give a noise level in [0, 1], where 0 is clean and 1 is noise.")
    return float(level)

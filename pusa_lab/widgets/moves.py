"""What a hand does to a matrix of clocks: matrix in, new matrix out. And the sliders of the zoo."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from pusa_lab.annotations import Unfit, check_for
from pusa_lab.arguments import ArgumentError, checked, shown
from pusa_lab.schedules import GRIDS, SCHEDULES, frame_indices
from pusa_lab.schedules.compose import Part
from pusa_lab.types import Schedule

Number: TypeAlias = float | int
MOST_ROWS, MOST_LEVELS = 10_000, 50_000
"""Rows, and levels in all, of the largest matrix that is drawn: a page with more would not answer for seconds."""


@checked
def numbers(matrix: Any, frames: int) -> Schedule:
    """Whatever torch reads as a matrix (rows, frames); its levels may be at fault, its shape not.

    Args:
        matrix: tensor, array or nested lists.
        frames: latent frames wanted.

    Raises:
        ValueError: no numbers, or another shape.
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
    """The same matrix, unless it is too large to draw.

    Args:
        S: levels (rows, f).

    Raises:
        ValueError: it has too many rows, or levels in all.
    """
    if len(S) > MOST_ROWS or S.numel() > MOST_LEVELS:
        raise ValueError(
            f"a schedule of {len(S):,} rows of {S.shape[1]} frames: the studio draws {MOST_ROWS:,} rows and "
            f"{MOST_LEVELS:,} levels at the most, ask for fewer steps or frames."
        )
    return S


@checked
def drag(S: Schedule, frame: int, row: int, level: Number) -> Schedule:
    """Pull one point of a column's curve; earlier rows stay above it, later ones below.

    S'[q, i] = max(S[q, i], level) for q < r, level for q = r, min(S[q, i], level) for q > r

    Args:
        S: clocks (rows, f).
        frame: column i; a negative one counts from the end.
        row: r; likewise.
        level: in [0, 1].

    Raises:
        ValueError: no such cell, or another level.
    """
    i, r, m = _frame(S, frame), _row(S, row), _level(level)
    out = S.clone()
    out[:r, i] = out[:r, i].clamp(min=m)
    out[r, i] = m
    out[r + 1 :, i] = out[r + 1 :, i].clamp(max=m)
    return out


@checked
def paint(S: Schedule, frames: Sequence[int], rows: Sequence[int], level: Number) -> Schedule:
    """Set cells to one level exactly, whatever their neighbours are: what is at fault then is shown.

    Args:
        S: clocks (rows, f).
        frames: columns.
        rows: rows.
        level: in [0, 1].

    Raises:
        ValueError: no such cell, or another level.
    """
    out, m = S.clone(), _level(level)
    _check_few(rows, "rows", len(S))
    _check_few(frames, "frames", S.shape[1])
    for r in rows:
        out[_row(S, r), [_frame(S, i) for i in frames]] = m
    return out


@checked
def freeze(S: Schedule, frame: int) -> Schedule:
    """A frame that is clean from the start: its column is 0.

    Args:
        S: clocks (rows, f).
        frame: column.

    Raises:
        ValueError: no such frame.
    """
    out = S.clone()
    out[:, _frame(S, frame)] = 0
    return out


@checked
def delay(S: Schedule, frame: int, by: int) -> Part:
    """Shift a column in time; rows are added where it would leave the matrix, so no level is lost.

    S'[r, i] = S[clip(r - by), i]; negative: earlier. Rows at either end in which nothing moves are dropped

    Args:
        S: clocks (rows, f).
        frame: column i.
        by: rows later, or earlier if negative.

    Raises:
        ValueError: no such frame, or too many rows.
    """
    i, n = _frame(S, frame), abs(by)
    if n > MOST_ROWS or not len(S):
        raise ValueError(f"by={by} for {len(S)} rows: shift at least 1 row by at most {MOST_ROWS:,}.")
    wide = torch.cat([S[:1].expand(n, -1), S, S[-1:].expand(n, -1)])
    wide[:, i] = wide[(torch.arange(len(wide)) - by).clamp(0, len(wide) - 1), i]
    moving = (wide[1:] != wide[:-1]).any(dim=1).nonzero().flatten().tolist() or [0]
    return wide[moving[0] : moving[-1] + 2]


@checked
def copy(S: Schedule, frame: int, to: Sequence[int]) -> Schedule:
    """Give other frames the clock of this one.

    Args:
        S: clocks (rows, f).
        frame: column to copy.
        to: columns that become equal to it.

    Raises:
        ValueError: no such frame.
    """
    out = S.clone()
    _check_few(to, "to", S.shape[1])
    out[:, [_frame(S, j) for j in to]] = S[:, _frame(S, frame), None]
    return out


MOVES: dict[str, Callable[..., Schedule]] = {f.__name__: f for f in (drag, paint, freeze, delay, copy)}
"""Name -> function (matrix, ...) -> matrix."""


@checked
def mending(S: Schedule, row: int, frame: int) -> tuple[Schedule, str]:
    """A matrix without the fault of one cell, and one sentence on what changed.

    Args:
        S: clocks (rows, f).
        row: of the cell.
        frame: of the cell.
    """
    if not (0 <= row < len(S) and 0 <= frame < S.shape[1]):
        raise ValueError(f"row {row}, frame {frame} is not a cell of a schedule of shape {tuple(S.shape)}: give one.")
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
    """A slider, a box or a choice for one argument of a member of the zoo."""

    name: str
    """Of the argument."""
    start: Any
    """Value to begin with; true and false make a box."""
    low: Number = 0
    """Smallest number."""
    high: Number = 1
    """Largest number."""
    step: Number = 1
    """Between numbers."""
    choices: tuple[str, ...] = ()
    """Words to choose from."""


@checked
def parameters(name: str, frames: int = 9) -> list[Parameter]:
    """What can be set of a member of the zoo.

    Args:
        name: in `schedules.SCHEDULES`.
        frames: latent frames.

    Raises:
        ValueError: no such member.
    """
    if name not in SCHEDULES:
        raise ValueError(f"unknown schedule {name!r}: choose one of {', '.join(SCHEDULES)}.")
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
    for word, argument in inspect.signature(SCHEDULES[name]).parameters.items():
        if word == "grid":
            found.append(Parameter(word, argument.default, choices=tuple(GRIDS)))
        elif isinstance(argument.default, bool):
            found.append(Parameter(word, argument.default))
        elif word in ranges and word != "steps":
            found.append(Parameter(word, argument.default, *ranges[word]))
    return found


def _check_few(given: Sequence[int], name: str, most: int) -> None:
    if len(given) > most:
        raise ValueError(f"{name} holds {len(given):,} numbers: there are {most}, give each once.")


def _frame(S: Schedule, frame: int) -> int:
    return frame_indices([frame], S.shape[1])[0]


def _row(S: Schedule, row: int) -> int:
    if not -len(S) <= row < len(S):
        raise ValueError(f"row {row} of {len(S)}: give 0..{len(S) - 1}.")
    return row % len(S)


def _level(level: Number) -> float:
    if not 0 <= level <= 1:
        raise ValueError(f"level {level}: clocks are in [0, 1], 0 is clean and 1 is noise.")
    return float(level)

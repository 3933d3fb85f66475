"""Schedules out of schedules, and out of columns of your own. Levels that are given are never changed."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.schedules.checks import check_size, validate
from pusa_lab.types import Levels, Schedule

Part: TypeAlias = Float[Tensor, "_rows _f"]
"""A schedule, or some rows and frames of one; within a call they differ in size."""


@checked
def from_columns(columns: Sequence[Levels], wait: str = "end") -> Schedule:
    """A schedule of one list of levels for each frame, kept exactly; shorter ones wait.

    S[r, i] = columns[i][r], later rows the last level; wait = "start": S[-1 - r, i] = columns[i][-1 - r], earlier rows
    the first level; picture: whatever you draw

    Args:
        columns: for each frame its levels in [0, 1], at least one, never rising, the last one 0.
        wait: where shorter columns stand still: "end" (clean, all start together) or "start" (all end together).

    Raises:
        ValueError: a column is no list of levels, or what comes out is no schedule.
    """
    if wait not in ("start", "end"):
        raise ValueError(f'wait={wait!r}: shorter columns wait at the "start" or at the "end".')
    parts = [torch.as_tensor(column, dtype=torch.float32) for column in columns]
    if bad := [i for i, part in enumerate(parts) if part.ndim != 1 or not len(part)]:
        raise ValueError(
            f"frame {bad[0]} has levels of shape {tuple(parts[bad[0]].shape)}: give a list of one or more."
        )
    return concatenate_frames([part[:, None] for part in parts], wait)


@checked
def concatenate_frames(parts: Sequence[Part], wait: str = "end") -> Part:
    """Side by side: the frames of all parts, each on its own clocks.

    Args:
        parts: schedules (rows, f), of any numbers of rows and frames.
        wait: where parts with fewer rows stand still: "end", "start", or "turn": each waits at its first row until
            those before it have ended.

    Raises:
        ValueError: nothing was given, wait is another word, or what comes out is no schedule.
    """
    if wait not in ("start", "end", "turn"):
        raise ValueError(f'wait={wait!r}: parts wait at the "start", at the "end", or for their "turn".')
    if not parts:
        raise ValueError("nothing to put side by side: give at least one schedule.")
    _check_parts(parts)
    moves = [len(part) - 1 for part in parts]
    total = sum(moves) if wait == "turn" else max(moves)
    before = {"end": [0 for _ in moves], "start": [total - n for n in moves]}
    before["turn"] = [sum(moves[:k]) for k in range(len(moves))]
    check_size(total + 1, sum(part.shape[1] for part in parts))
    rows = torch.arange(total + 1)
    # Reading a row outside a part is reading its first or last row: that is how it waits.
    out = [part[(rows - b).clamp(0, n)] for part, n, b in zip(parts, moves, before[wait], strict=True)]
    S = torch.cat(out, dim=1).float()
    validate(S)
    return S


@checked
def concatenate_rows(parts: Sequence[Part]) -> Part:
    """One after the other: the same frames walk part after part; a row in which two parts meet is kept once.

    Args:
        parts: matrices (rows, f) of equal f; only the last one has to end at 0.

    Raises:
        ValueError: the parts have other numbers of frames, or what comes out is no schedule.
    """
    _check_parts(parts)
    if not parts or len({part.shape[1] for part in parts}) > 1:
        raise ValueError(f"parts of {[part.shape[1] for part in parts]} frames: give one or more, all of one width.")
    out = [parts[0]]
    for before, part in pairwise(parts):
        out.append(part[1:] if torch.equal(before[-1], part[0]) else part)
    S = torch.cat(out).float()
    validate(S)
    return S


def _check_parts(parts: Sequence[Part]) -> None:
    if bad := [part for part in parts if not part.numel()]:
        raise ValueError(f"a part has shape {tuple(bad[0].shape)} (rows, frames): give at least 1 row and 1 frame.")


@checked
def repeat_columns(schedule: Schedule, times: int | Sequence[int], frames: int | None = None) -> Part:
    """Every column several times: one clock for a block of frames.

    S'[r, i] = S[r, i // times]

    Args:
        schedule: clocks (rows, f).
        times: frames for each column, at least 1: one number for all, or f of them.
        frames: how many to keep, the last block being shorter; None keeps all.

    Raises:
        ValueError: an argument is out of range.
    """
    counts = [times] * schedule.shape[1] if isinstance(times, int) else list(times)
    if len(counts) != schedule.shape[1] or min(counts, default=0) < 1:
        raise ValueError(f"times={times} for {schedule.shape[1]} columns: give one number of 1 or more, or one each.")
    check_size(len(schedule), sum(counts))
    out = schedule.repeat_interleave(torch.tensor(counts, device=schedule.device), dim=1)
    if frames is not None and not 1 <= frames <= out.shape[1]:
        raise ValueError(f"frames={frames} of {out.shape[1]} repeated columns: give 1 to {out.shape[1]}.")
    return out[:, :frames]


@checked
def stretch(schedule: Schedule, times: int) -> Float[Tensor, "fine f"]:
    """Finer rows: every move becomes `times` moves along the straight line, exact at the old rows.

    S'[times r + j] = S[r] + (j / times) (S[r + 1] - S[r]), rows' = times (rows - 1) + 1

    Args:
        schedule: clocks (rows, f).
        times: moves for each old move, at least 1.

    Raises:
        ValueError: times is below 1, or the schedule rises or leaves [0, 1].
    """
    if times < 1:
        raise ValueError(f"times={times}: a move becomes 1 move or more.")
    validate(schedule, whole=False)
    check_size(times * (len(schedule) - 1) + 1, schedule.shape[1])
    here, there = schedule[:-1, None], schedule[1:, None]
    part = torch.arange(times).to(schedule)[:, None] / times
    fine = torch.maximum(here + part * (there - here), there)  # rounding must not fall below the next old row
    return torch.cat([fine.flatten(0, 1), schedule[-1:]])


@checked
def crop(schedule: Part, rows: slice = slice(None), frames: slice = slice(None), trim: bool = False) -> Part:
    """Some rows or frames of a schedule.

    Args:
        schedule: clocks (rows, f).
        rows: which rows, as slice(start, stop); a part that ends early is no whole schedule, see `faults`.
        frames: which frames, as slice(start, stop).
        trim: whether to drop the rows that what is left does not move to.

    Raises:
        ValueError: nothing is left, or a slice is not of whole numbers.
    """
    for part in (rows, frames):
        if not all(n is None or isinstance(n, int) for n in (part.start, part.stop)) or part.step not in (None, 1):
            raise ValueError(f"{part}: give slice(start, stop) of whole numbers, without a step.")
    out = schedule[rows, frames]
    if not out.numel():
        raise ValueError(f"rows {rows} and frames {frames} of {tuple(schedule.shape)} (rows, frames) leave nothing.")
    if trim:
        moved = (out[1:] != out[:-1]).any(dim=1)
        out = torch.cat([out[:1], out[1:][moved]])
    return out

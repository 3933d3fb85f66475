"""Build schedules from other schedules or from your own columns. Given levels are never changed."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.schedules.checks import check_size, validate
from pusa_lab.sentences import counted
from pusa_lab.types import Levels, Schedule

PartialSchedule: TypeAlias = Float[Tensor, "_rows _f"]
"""A schedule, or some rows and frames of one; the parts in one call may differ in size."""


@checked
def from_columns(columns: Sequence[Levels], wait: str = "end") -> Schedule:
    """Build a schedule from one list of noise levels per frame, kept exactly; shorter columns wait.

    S[r, i] = columns[i][r], then the last level; with wait = "start" S[-1 - r, i] = columns[i][-1 - r], before it the
    first level; picture: whatever you draw

    Args:
        columns: for each frame its noise levels in [0, 1], at least one, never rising, the last one 0.
        wait: where shorter columns wait: at the "end", clean, so that all frames start together, or at the "start", so
            that all frames end together.

    Raises:
        ValueError: a column is not a list of levels, `wait` is another word, or the result is not a schedule.
    """
    if wait not in ("start", "end"):
        raise ValueError(f'wait={wait!r}: give "start" or "end", where shorter columns wait.')
    parts = [torch.as_tensor(column, dtype=torch.float32) for column in columns]
    if bad := [i for i, part in enumerate(parts) if part.ndim != 1 or not len(part)]:
        raise ValueError(
            f"frame {bad[0]} has levels of shape {tuple(parts[bad[0]].shape)}: give a list of one or more."
        )
    return concatenate_frames([part[:, None] for part in parts], wait)


@checked
def concatenate_frames(parts: Sequence[PartialSchedule], wait: str = "end") -> PartialSchedule:
    """Put schedules side by side: the frames of all parts, each with the levels of its own part.

    Args:
        parts: schedules (rows, f) with any numbers of rows and frames.
        wait: where parts with fewer rows wait: at the "end" or at the "start"; or "turn", where each part waits at its
            first row until the parts before it have ended.

    Raises:
        ValueError: there is no part, `wait` is another word, or the result is not a schedule.
    """
    if wait not in ("start", "end", "turn"):
        raise ValueError(f'wait={wait!r}: give "start", "end" or "turn", where parts wait.')
    if not parts:
        raise ValueError("nothing to put side by side: give at least one schedule.")
    _check_parts(parts)
    moves = [len(part) - 1 for part in parts]
    total = sum(moves) if wait == "turn" else max(moves)
    before = {"end": [0 for _ in moves], "start": [total - n for n in moves]}
    before["turn"] = [sum(moves[:k]) for k in range(len(moves))]
    check_size(total + 1, sum(part.shape[1] for part in parts))
    rows = torch.arange(total + 1)
    # A row outside a part reads its first or last row: this is how a part waits.
    out = [part[(rows - b).clamp(0, n)] for part, n, b in zip(parts, moves, before[wait], strict=True)]
    S = torch.cat(out, dim=1).float()
    validate(S)
    return S


@checked
def concatenate_rows(parts: Sequence[PartialSchedule]) -> PartialSchedule:
    """Put parts one after the other for the same frames; a row in which two parts meet is kept once.

    Args:
        parts: noise levels (rows, f) with the same f; only the last part must end at 0.

    Raises:
        ValueError: the parts differ in their number of frames, or the result is not a schedule.
    """
    _check_parts(parts)
    if not parts or len({part.shape[1] for part in parts}) > 1:
        raise ValueError(
            f"parts of {[part.shape[1] for part in parts]} frames: give one or more, all with the same frames."
        )
    out = [parts[0]]
    for before, part in pairwise(parts):
        out.append(part[1:] if torch.equal(before[-1], part[0]) else part)
    S = torch.cat(out).float()
    validate(S)
    return S


def _check_parts(parts: Sequence[PartialSchedule]) -> None:
    if bad := [part for part in parts if not part.numel()]:
        raise ValueError(f"a part has shape {tuple(bad[0].shape)} (rows, frames): give at least 1 row and 1 frame.")


@checked
def repeat_columns(schedule: Schedule, times: int | Sequence[int], frames: int | None = None) -> PartialSchedule:
    """Repeat every column, so that a block of frames shares its levels.

    S'[r, i] = S[r, i // times]

    Args:
        schedule: noise levels (rows, f).
        times: frames per column, at least 1: one number for all columns, or one per column.
        frames: number of frames to keep from the start, so the last block may be shorter; None keeps all.

    Raises:
        ValueError: an argument is out of range.
    """
    counts = [times] * schedule.shape[1] if isinstance(times, int) else list(times)
    if len(counts) != schedule.shape[1] or min(counts, default=0) < 1:
        columns = counted(schedule.shape[1], "column")
        raise ValueError(f"times={times} for {columns}: give one number of 1 or more, or one per column.")
    check_size(len(schedule), sum(counts))
    out = schedule.repeat_interleave(torch.tensor(counts, device=schedule.device), dim=1)
    if frames is not None and not 1 <= frames <= out.shape[1]:
        raise ValueError(f"frames={frames} of {counted(out.shape[1], 'repeated column')}: give 1 to {out.shape[1]}.")
    return out[:, :frames]


@checked
def stretch(schedule: Schedule, times: int) -> Float[Tensor, "fine f"]:
    """Make the rows finer: every step becomes `times` steps by linear interpolation, exact at the old rows.

    S'[times r + j] = S[r] + (j / times) (S[r + 1] - S[r]), rows' = times (rows - 1) + 1

    Args:
        schedule: noise levels (rows, f).
        times: new steps per old step, at least 1.

    Raises:
        ValueError: times is below 1 or too large, or the schedule rises or leaves [0, 1].
    """
    if times < 1:
        raise ValueError(f"times={times}: give the number of new steps per old step, at least 1.")
    validate(schedule, whole=False)
    check_size(times * (len(schedule) - 1) + 1, schedule.shape[1], f"a smaller times than {times}")
    here, there = schedule[:-1, None], schedule[1:, None]
    part = torch.arange(times).to(schedule)[:, None] / times
    fine = torch.maximum(here + part * (there - here), there)  # rounding must not go below the next old row
    return torch.cat([fine.flatten(0, 1), schedule[-1:]])


@checked
def crop(
    schedule: PartialSchedule, rows: slice = slice(None), frames: slice = slice(None), trim: bool = False
) -> PartialSchedule:
    """Cut some rows and frames out of a schedule.

    Args:
        schedule: noise levels (rows, f).
        rows: rows to keep, as slice(start, stop); a part that ends early is not a whole schedule, see `faults`.
        frames: frames to keep, as slice(start, stop).
        trim: whether to drop rows that are equal to the row before.

    Raises:
        ValueError: nothing is left, or a slice has a step or bounds that are not whole numbers.
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

"""The steady window of a schedule: how every frame of an endless video runs, from a schedule of any length."""

from dataclasses import dataclass

import torch

from pusa_lab.arguments import checked
from pusa_lab.sampling_inputs import AnySchedule, Matrix, as_matrix, schedule_name
from pusa_lab.schedules import as_schedule, starts_as_noise
from pusa_lab.schedules.checks import ROUNDING
from pusa_lab.sentences import counted
from pusa_lab.types import Rising, Schedule

TRIED = (64, 512)
"""Frames for which a schedule is made to find what repeats in it; the second where the first are too few."""
STEADY = "rolling, blockwise, staircase, pyramid or autoregressive"
"""Schedules whose window is steady."""


@dataclass(frozen=True)
class Track:
    """How one frame runs."""

    start: int
    """Row at which it is left as noise."""
    levels: tuple[float, ...]
    """Its noise levels from that row on, from noise to 0."""

    @property
    def end(self) -> int:
        """Row at which it is final."""
        return self.start + len(self.levels) - 1

    def later(self, rows: int) -> "Track":
        """The same after so many rows more."""
        return Track(self.start + rows, self.levels)


@dataclass(frozen=True)
class SteadyWindow:
    """How all frames of an endless video run: the first ones, and a period that repeats for ever."""

    head: tuple[Track, ...]
    """Frames before the first period."""
    period: tuple[Track, ...]
    """The frames of a period."""
    rows: int
    """Rows by which every period is behind the one before."""

    def track(self, frame: int) -> Track:
        """How a frame runs; frames are counted from 0."""
        if frame < len(self.head):
            return self.head[frame]
        times, place = divmod(frame - len(self.head), len(self.period))
        return self.period[place].later(times * self.rows)

    def level(self, frame: int, row: int) -> float:
        """Noise level of a frame at a row."""
        track = self.track(frame)
        return track.levels[min(max(row - track.start, 0), len(track.levels) - 1)]

    def newest(self, row: int) -> int:
        """The last frame that has started in the step from this row to the next, or before; -1 is none."""
        found = [i for i, track in enumerate(self.head) if track.start <= row]
        for place, track in enumerate(self.period):
            if track.start <= row:
                found.append(self._number(place, (row - track.start) // self.rows))
        return max(found, default=-1)

    def oldest(self, row: int) -> int:
        """The first frame that is not final at this row."""
        found = [i for i, track in enumerate(self.head) if track.end > row]
        found += [self._number(p, max(0, (row - t.end) // self.rows + 1)) for p, t in enumerate(self.period)]
        return min(found)

    def first(self, row: int, frames: int, overlap: int | None = None) -> int:
        """First frame of a window of so many frames in the step from this row, which keeps `overlap` final frames."""
        if overlap is not None:
            return max(0, self.oldest(row) - overlap)
        return max(0, self.newest(row) + 1 - frames)

    def _number(self, place: int, times: int) -> int:
        return len(self.head) + times * len(self.period) + place

    def widest(self) -> tuple[int, range]:
        """A row at which most frames are in progress, and these frames with all between them."""
        last = max(track.end for track in (*self.head, *self.period))
        found = [(row, range(self.oldest(row), self.newest(row) + 1)) for row in range(last + self.rows)]
        return max(found, key=lambda pair: len(pair[1]))


@checked
def steady_window(
    schedule: AnySchedule, steps: int | None = None, shift: float | int | None = None, own_shift: float | int = 1.0
) -> SteadyWindow:
    """Find what repeats in a schedule: frame i + B runs as frame i does, L rows later.

    S[r + L, i + B] = S[r, i] for all r and all i after the first few

    Args:
        schedule: a name in `schedules.SCHEDULES` or a function (steps, frames, shift=...) whose window is steady; or
            the rows of a steady window itself, such as `schedules.rolling_window` makes: (rows, f), at whose end the
            first frames are clean and the others are where the frames before them were at its start.
        steps: steps of each frame, at least 1; None is 10. Refused when schedule holds noise levels.
        shift: shift of the sigmas, positive; None is `own_shift`. Refused when schedule holds noise levels.
        own_shift: shift used when none is given, positive.

    Raises:
        ValueError: the schedule has no steady window; the sentence says at which row and frame.
    """
    name = schedule_name(schedule) or "the window"
    found: SteadyWindow | str = ""
    for frames in TRIED:
        made = _flat(
            as_matrix(schedule, steps, None if not schedule_name(schedule) else frames, shift, own_shift), name
        )
        if not schedule_name(schedule):
            return _of_window(as_schedule(made, whole=False, name=name))
        found = _of_columns(as_schedule(made, name=name), name)
        if isinstance(found, SteadyWindow):
            return found
    raise ValueError(f"{found}: give {STEADY}, or the rows of a window such as schedules.rolling_window(12, 4).")


def _flat(matrix: Matrix, name: str) -> Schedule:
    if isinstance(matrix, Rising):
        raise ValueError(f"{name} goes back up, so that no frame is ever final for a stream: give {STEADY}.")
    if matrix.ndim != 2:
        raise ValueError(
            f"{name} holds schedules for {counted(len(matrix), 'sample')}: a stream is one video, give one."
        )
    return matrix


def _track(column: Schedule, frame: int, name: str) -> Track:
    """Of the levels (rows, 1) of a frame, those between noise and clean."""
    levels = column.flatten()
    if not starts_as_noise(float(levels[0])):
        raise ValueError(
            f"{name} has frame {frame} at {levels[0]:.4g} in row 0, but the task alone sets the level of a known "
            f"frame: start it at 1."
        )
    start = int((levels == levels[0]).sum()) - 1
    end = int((levels > 0).sum())
    return Track(start, tuple(levels[start : end + 1].tolist()))


def _of_columns(schedule: Schedule, name: str) -> SteadyWindow | str:
    """The plan, or what keeps the schedule from having a steady window."""
    tracks = [_track(schedule[:, i : i + 1], i, name) for i in range(schedule.shape[1])]
    if late := [i for i in range(1, len(tracks)) if tracks[i].end < tracks[i - 1].end]:
        ends = tracks[late[0]].end, tracks[late[0] - 1].end
        return f"{name} has no steady window, as frame {late[0]} is final at row {ends[0]}, before frame " + (
            f"{late[0] - 1} (row {ends[1]})"
        )
    if tracks[-1].end == tracks[0].end:
        return f"{name} never finishes a window, as all frames are final at the same row {tracks[0].end}, however many"
    for size in range(1, len(tracks) // 3):
        if (plan := _repeating(tracks, size)) is not None:
            return plan
    return f"{name} has no steady window, as none of its {counted(len(tracks), 'frame')} runs as those before it"


def _repeating(tracks: list[Track], size: int) -> SteadyWindow | None:
    """The plan of a period of `size` frames, if at least the last two thirds of the frames repeat."""
    rows = tracks[-1].start - tracks[-1 - size].start
    head = len(tracks) - size
    while head and tracks[head - 1 + size] == tracks[head - 1].later(rows):
        head -= 1
    if rows < 1 or head > len(tracks) // 3:
        return None
    return SteadyWindow(tuple(tracks[:head]), tuple(tracks[head : head + size]), rows)


def _of_window(window: Schedule) -> SteadyWindow:
    """The plan of the rows of a steady window (rows, f): its last frames enter as noise, its first leave clean."""
    first, last, frames = window[0], window[-1], window.shape[1]
    clean = int((last == 0).long().cumprod(0).sum())
    if not clean:
        raise ValueError(
            f"the window never finishes: its frame 0 is at {last[0]:.4g} in the last row, {len(window) - 1}: end it at "
            f"0, so that the window can move on."
        )
    size = next((n for n in range(1, clean + 1) if _moves_on(first, last, n)), None)
    if size is None:
        off = [i for i in range(frames - clean) if abs(last[i + clean] - first[i]) > ROUNDING]
        moved = f"{clean} frames" if clean > 1 else "a frame"
        i = off[0] if off else frames - clean
        wanted = f"{last[i + clean]:.4g}, where frame {i + clean} ends" if off else "1, as a new frame of noise"
        raise ValueError(
            f"the window does not repeat when it moves on by {moved}: its frame {i} is at {first[i]:.4g} in row 0: "
            f"start it at {wanted}."
        )
    tracks = []
    for place in range(frames - size, frames):
        parts = [window[bool(n) :, i : i + 1] for n, i in enumerate(range(place, -1, -size))]
        tracks.append(_track(torch.cat(parts), place, "the window"))
    return SteadyWindow((), tuple(tracks), len(window) - 1)


def _moves_on(first: Schedule, last: Schedule, size: int) -> bool:
    """Whether the levels (f,) of the last row are those of the first, `size` frames on."""
    new = all(starts_as_noise(level) for level in first[len(first) - size :].tolist())
    return new and bool(((last[size:] - first[: len(first) - size]).abs() <= ROUNDING).all())

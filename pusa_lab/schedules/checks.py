"""Checks of schedules: faults, remarks on unusual properties, and cost."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool

from pusa_lab.arguments import checked, listed
from pusa_lab.types import Rising, Schedule

ROUNDING = 1e-6
"""Levels this close to 0 or 1 count as 0 or 1: sigmas of other software end at -1.2e-7 (MAGI) or start at 1 - 1e-6."""
NOISE = 0.999
"""Noise level of the last of a thousand training timesteps, where sigmas of other software start; it is pure noise but
for a thousandth of the video."""


MOST_CELLS = 2**26
"""Most numbers in a schedule: 256 MiB."""


@checked
def check_size(rows: int, frames: int, cure: str = "fewer steps or frames, or a smaller lag") -> None:
    """Refuse a schedule that is too large.

    Args:
        rows: number of rows.
        frames: number of frames.
        cure: what to give instead, for the sentence.

    Raises:
        ValueError: rows * frames is above 2^26.
    """
    if rows * frames > MOST_CELLS:
        raise ValueError(f"{rows:,} x {frames:,} levels, but a schedule has at most {MOST_CELLS:,}: give {cure}.")


@checked
def starts_as_noise(level: float | int) -> bool:
    """Whether a frame that starts at this level starts as pure noise, which is so from 0.999 on.

    Wan's own FlowUniPC starts at s .999 / (1 + (s - 1) .999), which is .9998 for a shift s of 5, and diffusers' UniPC
    starts at 1 - 1e-6. Both start from eps itself and not from (1 - tau) x0 + tau eps, and so does `generate`. If the
    column of a known frame starts at such a level, the schedule does not set the level of that frame, and the noise
    multiplier of the task applies.

    Args:
        level: noise level of the frame in row 0 of a schedule, in [0, 1].

    Source: FlowUniPCMultistepScheduler in the code of Wan2.1 (Wan-Video/Wan2.1, wan/utils/fm_solvers_unipc.py).
    """
    return level > NOISE - ROUNDING


@checked
def snapped(schedule: Schedule) -> Schedule:
    """Set levels that lie outside [0, 1] by rounding to exactly 0 or 1, and levels near 0 in the last row to 0.

    Args:
        schedule: noise levels (rows, f).

    Returns:
        The levels (rows, f), where those within 1e-6 are corrected.
    """
    low, high = (schedule < 0) & (schedule > -ROUNDING), (schedule > 1) & (schedule < 1 + ROUNDING)
    low[-1:] |= schedule[-1:].abs() < ROUNDING
    return schedule.masked_fill(low, 0).masked_fill(high, 1) if (low | high).any() else schedule


@checked
def as_schedule(schedule: Schedule, whole: bool = True, name: str = "", rising: bool = False) -> Schedule:
    """Check a schedule and return it as the sampling loop takes it: without gradient, its ends at exactly 0 and 1.

    Levels within 1e-6 of the ends are set to the ends, because sigmas of other software miss them by rounding.

    Args:
        schedule: noise levels (rows, f) in [0, 1], as a list, an array or a tensor.
        whole: whether every frame must end clean; give False for a part of a schedule, such as `rolling_window`.
        name: what to call it in the sentence, such as "the schedule pyramid".
        rising: as for `faults`.

    Raises:
        ValueError: it is not a schedule, see `faults`.
    """
    schedule = schedule.detach()
    validate(schedule, whole, name, rising)
    return snapped(schedule)


@checked
def faults(schedule: torch.Tensor, whole: bool = True, rising: bool = False) -> list[str]:
    """List everything that keeps a tensor from being a schedule; the list is empty for a schedule.

    A schedule is a floating-point tensor (rows, frames) with at least 2 rows and 1 frame. Its numbers are in [0, 1],
    never rise down a column, and end at 0, each within 1e-6.

    Args:
        schedule: any tensor.
        whole: whether every frame must end clean; give False for a part of a schedule, such as `rolling_window`.
        rising: whether levels may rise, as those of a `Rising` may.

    Returns:
        One phrase for each fault, which names all frames of a row that have the same.
    """
    if schedule.ndim != 2 or schedule.shape[0] < 2 or schedule.shape[1] < 1:
        return [f"shape {tuple(schedule.shape)}: a schedule is (rows, frames) with at least 2 rows and 1 frame"]
    if not schedule.is_floating_point():
        return [f"dtype {schedule.dtype}: noise levels are floating-point numbers in [0, 1]"]
    frames: dict[tuple[int, str], list[int]] = {}
    for what, mask in marks(schedule, whole, rising).items():
        for row, frame in mask.nonzero().tolist():
            frames.setdefault((row, f"{schedule[row, frame]:.4g} {what}"), []).append(frame)
    return [f"row {row}, frame{'s' * (len(at) > 1)} {_names(tuple(at))}: {what}" for (row, what), at in frames.items()]


@checked
def marks(schedule: Schedule, whole: bool = True, rising: bool = False) -> dict[str, Bool[torch.Tensor, "rows f"]]:
    """Locate the faults of a matrix.

    Args:
        schedule: any numbers (rows, f), at least 2 rows.
        whole: as for `faults`.
        rising: as for `faults`.

    Returns:
        What is wrong -> mask (rows, f) of the cells where it is wrong.
    """
    schedule = snapped(schedule)
    rise = (schedule > torch.cat([schedule[:1], schedule[:-1]])) & (not rising)
    unfinished = torch.zeros_like(rise)
    unfinished[-1:] = (schedule[-1:] != 0) & whole
    return {
        "is outside [0, 1] or not a number": ~((schedule >= 0) & (schedule <= 1)),
        "rises above the row before": rise,
        "should be 0: every frame ends clean": unfinished,
    }


@checked
def validate(schedule: torch.Tensor | Rising, whole: bool = True, name: str = "", rising: bool = False) -> None:
    """Raise one ValueError if a tensor is not a schedule (rows, f), or one for each sample (b, rows, f), see `faults`.

    Args:
        schedule: any tensor, or a `Rising`.
        whole: as for `faults`.
        name: what to call it in the sentence, such as "the schedule pyramid".
        rising: as for `faults`.

    Raises:
        ValueError: it is not a schedule; the sentence gives the first five faults and the number of the others.
    """
    schedule, rising = (schedule.levels, True) if isinstance(schedule, Rising) else (schedule, rising)
    if schedule.is_meta:
        raise ValueError("the schedule is on the meta device, which holds no numbers: give one on another device.")
    for i, one in enumerate(schedule if schedule.ndim == 3 else ()):
        validate(one, whole, f"{name or 'the schedule'} of sample {i}", rising)
    if (schedule.ndim != 3 or not len(schedule)) and (found := faults(schedule, whole, rising)):
        part = "" if name or not whole or faults(schedule, False) else "; for a part of a schedule, give whole=False"
        part = part if faults(schedule, whole, True) else "; one that is to rise is given as schedules.Rising(S)"
        raise ValueError(f"{f'{name} is not valid' if name else 'not a schedule'}: {listed(found)}{part}.")


@checked
def remarks(schedule: Schedule) -> list[str]:
    """List what is allowed but rarely intended, and why frames do not finish, one phrase each.

    Args:
        schedule: noise levels (rows, f), at least 1 row; they may have faults.

    Raises:
        ValueError: there are no rows.
    """
    if not len(schedule):
        raise ValueError(f"the schedule has shape {tuple(schedule.shape)}: give at least 1 row.")
    said, moves = [], schedule[1:] != schedule[:-1]
    for i, (first, last) in enumerate(zip(schedule[0].tolist(), schedule[-1].tolist(), strict=True)):
        if not moves[:, i].any():
            what = "it is final from the start, so it must be known" if first == 0 else "give it a way down to 0"
            said.append(f"frame {i} never starts moving from {first:.4g}: {what}")
        elif last > 0:
            start = int(moves[:, i].nonzero()[0])
            said.append(
                f"frame {i} leaves row {start} and never finishes: {last:.4g} at the end; reduce the lag, or add rows"
            )
        elif not starts_as_noise(first):
            said.append(f"frame {i} starts at {first:.4g}: only a known frame can start below 1")
    if still := (~moves.any(dim=1)).nonzero().flatten().tolist():
        said.append(f"nothing moves after row {', '.join(map(str, still))}: these rows cost nothing and change nothing")
    return said


@dataclass(frozen=True)
class Description:
    """What a schedule costs; `print` shows it in words."""

    rows: int
    """Number of rows, including the start."""
    frames: int
    """Number of latent frames."""
    calls: int
    """Denoiser calls of a first-order solver: the number of rows at which some level falls."""
    active: tuple[int, ...]
    """Number of frames whose level changes from each row to the next, rows - 1 numbers."""
    order: tuple[tuple[int, ...], ...]
    """Frames in the order in which they become final; frames that become final together are in one group."""
    clean: tuple[int, ...]
    """Frames that are final from the start; they are not in `order`."""
    cost: float
    """Number of frames in all calls, counting each frame only until it is final, divided by that of a synchronous
    schedule with the same number of steps per frame, of which those that a `Rising` makes again count once; below 1 the
    schedule is cheaper."""

    def __str__(self) -> str:
        """Describe the schedule in three lines."""
        order = ", then ".join(_names(group) for group in self.order) or "none"
        few, most = min(self.active), max(self.active)
        clean = f"; final at the start: {_names(self.clean)}" if self.clean else ""
        return (
            f"{self.rows} rows x {self.frames} frames, {self.calls} denoiser calls, "
            f"{few if few == most else f'{few} to {most}'} frames moving at a time\n"
            f"frames finish in the order {order}{clean}\n"
            f"{self.cost:.2f} times the work of synchronous frames, if final frames are dropped from the update"
        )


def _names(frames: tuple[int, ...]) -> str:
    run = len(frames) > 2 and frames[-1] - frames[0] == len(frames) - 1
    return f"{frames[0]}-{frames[-1]}" if run else "+".join(map(str, frames))


@checked
def describe(schedule: Schedule | Rising) -> Description:
    """Count what a schedule costs.

    calls = #{r : S[r, i] < S[r-1, i] for some i}, cost = sum over these r of #{i : S[r-1, i] > 0} / (frames * most
    steps of a frame), where a frame makes a step when it falls to its lowest level so far. Rows in which levels only
    rise are no calls, since they ask no denoiser

    Args:
        schedule: noise levels (rows, f), or a `Rising` of them.

    Raises:
        ValueError: it is not a schedule, see `faults`, or there is one for each sample.
    """
    levels = schedule.levels if isinstance(schedule, Rising) else schedule
    if levels.ndim == 3:
        raise ValueError(f"there are schedules for {len(levels)} samples: describe each by itself.")
    schedule = as_schedule(levels, rising=levels is not schedule)
    called = (schedule.diff(dim=0) < 0).any(dim=1)
    # row at which each frame becomes final
    ends = ((schedule > 0) * torch.arange(1, len(schedule) + 1, device=schedule.device)[:, None]).amax(dim=0).tolist()
    groups = {end: tuple(i for i, e in enumerate(ends) if e == end) for end in sorted(set(ends))}
    clean = groups.pop(0, ())
    synchronous = schedule.shape[1] * (schedule.cummin(dim=0).values.diff(dim=0) < 0).sum(dim=0).max().item()
    return Description(
        rows=schedule.shape[0],
        frames=schedule.shape[1],
        calls=int(called.sum()),
        active=tuple((schedule.diff(dim=0) != 0).sum(dim=1).tolist()),
        order=tuple(groups.values()),
        clean=clean,
        cost=(schedule[:-1] > 0)[called].sum().item() / max(synchronous, 1),
    )

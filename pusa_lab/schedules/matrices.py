"""The zoo: every schedule is a plain float32 tensor (rows, frames), rows = steps + 1, that `sample` walks down.

Row 0 is where each frame's clock starts, the last row where it ends (0, clean). Columns never rise.
"""

import math
from collections.abc import Sequence

import torch

from pusa_lab.arguments import checked
from pusa_lab.schedules.checks import MOST_CELLS, as_schedule, check_size
from pusa_lab.schedules.grids import Grid, levels
from pusa_lab.types import Levels, Schedule

MOST_FRAMES = 10**6
"""Latent frames of a schedule: two days of video."""


@checked
def delayed(steps: int, delays: Sequence[int], shift: float | int = 1.0, grid: Grid = "linear") -> Schedule:
    """Every frame walks the same grid, each after a wait of its own: what all members of the zoo are made of.

    S[r, i] = g[clip(r - delays[i], 0, steps)], rows = steps + max(delays) + 1

    Args:
        steps: moves of each frame, at least 1.
        delays: rows that each frame waits at g[0], one number a frame, at least 0.
        shift: shift of the grid g, positive; 1 for a grid of your own.
        grid: a name in `grids.GRIDS`, a function (steps) -> levels, or the levels themselves, kept as they are.

    Raises:
        ValueError: an argument is out of range.
    """
    g = levels(grid, steps, shift)
    check_frames(len(delays))
    if min(delays) < 0:
        raise ValueError(f"frame {list(delays).index(min(delays))} waits {min(delays)} rows: it can wait 0 or more.")
    check_size(steps + max(delays) + 1, len(delays))
    rows = torch.arange(steps + max(delays) + 1)[:, None]
    return g[(rows - torch.tensor(list(delays))).clamp(0, steps)]


@checked
def whole_rows(lag: float | int, ahead: int) -> int:
    """The rows that a frame waits for `ahead` others, each `lag` rows apart: floor(ahead lag).

    Args:
        lag: rows between neighbours, at least 0; a fraction lets some neighbours move together.
        ahead: frames that go first, at least 0.

    Raises:
        ValueError: an argument is negative, or the lag is infinite.
    """
    if not (0 <= lag < 2**63 and ahead >= 0):
        raise ValueError(f"lag={lag}, ahead={ahead}: give numbers of at least 0, and a lag below 2^63.")
    return lag * ahead if isinstance(lag, int) else math.floor(ahead * lag + 1e-9)  # 100 * .29 is 28.999...


@checked
def check_frames(frames: int, lag: float | int = 0) -> range:
    """The frames 0..frames-1, once there is one and no lag is negative.

    Args:
        frames: latent frames, from 1 to 1,000,000.
        lag: rows, at least 0 and finite.

    Raises:
        ValueError: an argument is out of range.
    """
    if not 1 <= frames <= MOST_FRAMES:
        raise ValueError(f"frames={frames}: a schedule needs at least 1 frame, and has at most {MOST_FRAMES:,}.")
    if not 0 <= lag < 2**63:
        raise ValueError(
            f"lag={lag}: later frames cannot start before row 0; give a finite lag of 0 or more rows, below 2^63."
        )
    return range(frames)


@checked
def synchronous(steps: int, frames: int, shift: float | int = 1.0, grid: Grid = "linear") -> Schedule:
    """All frames share one clock: ordinary, scalar diffusion.

    S[r, i] = g[r], picture: horizontal bands

    Args:
        steps: number of moves, at least 1.
        frames: latent frames, at least 1.
        shift: shift of the grid g, positive; 1 for a grid of your own.
        grid: a name in `grids.GRIDS`, a function (steps) -> levels, or the levels themselves, kept as they are.

    Raises:
        ValueError: an argument is out of range.
    """
    return delayed(steps, [0 for _ in check_frames(frames)], shift, grid)


@checked
def pyramid(steps: int, frames: int, lag: float | int = 1, shift: float | int = 1.0, grid: Grid = "linear") -> Schedule:
    """Every frame starts `lag` rows after the one before: the past is always cleaner than the future.

    S[r, i] = g[clip(r - floor(i lag), 0, steps)], rows = steps + floor((frames - 1) lag) + 1, picture: diagonal bands

    Args:
        steps: moves of each frame, at least 1.
        frames: latent frames, at least 1.
        lag: rows between neighbouring frames, at least 0 (0 is `synchronous`, `steps` is `autoregressive`); below 1
            some neighbours move together.
        shift: as `synchronous`.
        grid: as `synchronous`.

    Raises:
        ValueError: an argument is out of range.

    Source: the pyramid of Diffusion Forcing, arXiv 2407.01392.
    """
    return delayed(steps, [whole_rows(lag, i) for i in check_frames(frames, lag)], shift, grid)


@checked
def autoregressive(steps: int, frames: int, shift: float | int = 1.0, grid: Grid = "linear") -> Schedule:
    """One frame after the other, each finished before the next begins. Arguments and errors as `synchronous`.

    S[r, i] = g[clip(r - i steps, 0, steps)], rows = steps * frames + 1, picture: a flight of stairs

    Source: arXiv 2407.01392.
    """
    return delayed(steps, [i * steps for i in check_frames(frames)], shift, grid)


@checked
def hold(
    steps: int,
    frames: int,
    at: Sequence[int] = (0,),
    noise: Levels = 0.0,
    shift: float | int = 1.0,
    grid: Grid = "linear",
    constant: bool = False,
) -> Schedule:
    """Some frames are known: their clocks run at a fraction of the others' level, or stand still.

    S[r, i] = m_i g[r] for i in `at`, g[r] elsewhere; m = 0 freezes a frame, picture: pale columns.
    Constant: S[r, i] = m_i until the last row, which is 0

    Args:
        steps: number of moves, at least 1.
        frames: latent frames, at least 1.
        at: known latent frames; negative ones count from the end.
        noise: multiplier m in [0, 1] applied after the shift, one for all or one for each known frame.
        shift: as `synchronous`.
        grid: as `synchronous`.
        constant: whether m is the level itself, for frames noised anew at every row (SkyReels-V2).

    Raises:
        ValueError: an argument is out of range, or a position is outside the video or named twice.

    Source: Algorithm 1 and its noisy variant, arXiv 2507.16116, App. B; constant: arXiv 2504.13074.
    """
    S = scale_columns(synchronous(steps, frames, shift, grid), at, noise)
    if constant:
        columns = frame_indices(at, frames)
        S[:-1, columns] = S.new_tensor(noise_levels(noise, len(columns)))
    return S


@checked
def scale_columns(schedule: Schedule, at: Sequence[int], noise: Levels) -> Schedule:
    """Multiply the clocks of some frames: how any schedule is told which frames are known.

    S'[r, i] = m_i S[r, i] for i in `at`

    Args:
        schedule: levels (rows, frames) in [0, 1], at least 2 rows, none of which rises.
        at: latent frames; negative ones count from the end.
        noise: multiplier m in [0, 1], one for all or one for each frame of `at`.

    Raises:
        ValueError: it is no schedule, a position is outside the video or named twice, or a multiplier is outside
            [0, 1].
    """
    schedule = as_schedule(schedule, whole=False)
    columns = frame_indices(at, schedule.shape[1])
    out = schedule.clone()
    out[:, columns] *= out.new_tensor(noise_levels(noise, len(columns)))
    return out


@checked
def noise_levels(noise: Levels, n: int) -> list[float]:
    """One noise level for each of n known frames.

    Args:
        noise: one level in [0, 1] for all, or n of them.
        n: known frames.

    Raises:
        ValueError: another number of levels, or one outside [0, 1].
    """
    if not 0 <= n <= MOST_CELLS:
        raise ValueError(f"n={n}: give the number of known frames, from 0 to {MOST_CELLS:,}.")
    levels = torch.as_tensor(noise, dtype=torch.float64).flatten().tolist()
    levels = levels * n if len(levels) == 1 else levels
    if len(levels) != n:
        raise ValueError(f"{len(levels)} noise levels for {n} known latent frames: give one, or one for each.")
    if bad := [m for m in levels if not 0 <= m <= 1]:
        raise ValueError(f"noise level {bad[0]} is outside [0, 1]: 0 keeps a known frame clean, 1 lets it go.")
    return levels


@checked
def frame_indices(at: Sequence[int], frames: int) -> list[int]:
    """Positions counted from the start: negative ones resolved, each inside the video and named once.

    Args:
        at: latent frames in -frames..frames-1.
        frames: latent frames of the video.

    Raises:
        ValueError: a position is outside the video, or two are the same frame.
    """
    if outside := [i for i in at if not -frames <= i < frames]:
        raise ValueError(
            f"frame {outside[0]} is outside the video of {frames} latent frames: "
            f"give 0..{frames - 1}, or -{frames}..-1 counted from the end."
        )
    columns = [i % frames for i in at]
    if twice := [i for n, i in enumerate(columns) if i in columns[:n]]:
        raise ValueError(f"two known frames at latent frame {twice[0]}: each position holds one.")
    return columns

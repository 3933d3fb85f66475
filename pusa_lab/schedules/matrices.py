"""The zoo: every schedule is a plain float32 tensor (rows, frames), rows = steps + 1, that `sample` walks down.

Row 0 is where each frame's clock starts, the last row where it ends (0, clean). Columns never rise.
"""

from collections.abc import Sequence

import torch

from pusa_lab.schedules.grids import linear, shift_levels
from pusa_lab.types import Levels, Schedule


def _staircase(steps: int, frames: int, lag: int, shift: float) -> Schedule:
    """Frame i walks the grid `i * lag` rows after frame 0."""
    if frames < 1:
        raise ValueError(f"frames={frames}: a schedule needs at least 1 frame.")
    if lag < 0:
        raise ValueError(f"lag={lag}: later frames cannot start before row 0; give a lag of 0 or more rows.")
    grid = shift_levels(linear(steps), shift)
    rows = torch.arange(steps + (frames - 1) * lag + 1)[:, None]
    return grid[(rows - lag * torch.arange(frames)).clamp(0, steps)]


def synchronous(steps: int, frames: int, shift: float = 1.0) -> Schedule:
    """All frames share one clock: ordinary, scalar diffusion.

    S[r, i] = g[r], picture: horizontal bands

    Args:
        steps: number of moves, at least 1.
        frames: latent frames, at least 1.
        shift: shift of the grid g, positive.

    Raises:
        ValueError: an argument is out of range.
    """
    return _staircase(steps, frames, 0, shift)


def pyramid(steps: int, frames: int, lag: int = 1, shift: float = 1.0) -> Schedule:
    """Every frame starts `lag` rows after the one before: the past is always cleaner than the future.

    S[r, i] = g[clip(r - i lag, 0, steps)], rows = steps + (frames - 1) lag + 1, picture: diagonal bands

    Args:
        steps: moves of each frame, at least 1.
        frames: latent frames, at least 1.
        lag: rows between neighbouring frames, at least 0 (0 is `synchronous`, `steps` is `autoregressive`).
        shift: shift of the grid g, positive.

    Raises:
        ValueError: an argument is out of range.

    Source: the pyramid of Diffusion Forcing, arXiv 2407.01392.
    """
    return _staircase(steps, frames, lag, shift)


def autoregressive(steps: int, frames: int, shift: float = 1.0) -> Schedule:
    """One frame after the other, each finished before the next begins. Arguments and errors as `synchronous`.

    S[r, i] = g[clip(r - i steps, 0, steps)], rows = steps * frames + 1, picture: a flight of stairs

    Source: arXiv 2407.01392.
    """
    return _staircase(steps, frames, steps, shift)


def hold(steps: int, frames: int, at: Sequence[int] = (0,), noise: Levels = 0.0, shift: float = 1.0) -> Schedule:
    """Some frames are known: their clocks run at a fraction of the others' level.

    S[r, i] = m_i g[r] for i in `at`, g[r] elsewhere; m = 0 freezes a frame, picture: pale columns

    Args:
        steps: number of moves, at least 1.
        frames: latent frames, at least 1.
        at: known latent frames; negative ones count from the end.
        noise: multiplier m in [0, 1] applied after the shift, one for all or one for each known frame.
        shift: shift of the grid g, positive.

    Raises:
        ValueError: an argument is out of range, or a position is outside the video or named twice.

    Source: Algorithm 1 and its noisy variant, arXiv 2507.16116, App. B.
    """
    return scale_columns(synchronous(steps, frames, shift), at, noise)


def scale_columns(schedule: Schedule, at: Sequence[int], noise: Levels) -> Schedule:
    """Multiply the clocks of some frames: how any schedule is told which frames are known.

    S'[r, i] = m_i S[r, i] for i in `at`

    Args:
        schedule: levels (rows, frames) in [0, 1].
        at: latent frames; negative ones count from the end.
        noise: multiplier m in [0, 1], one for all or one for each frame of `at`.

    Raises:
        ValueError: a position is outside the video or named twice, or a multiplier is outside [0, 1].
    """
    columns = frame_indices(at, schedule.shape[1])
    out = schedule.clone()
    out[:, columns] *= out.new_tensor(noise_levels(noise, len(columns)))
    return out


def noise_levels(noise: Levels, n: int) -> list[float]:
    """One noise level for each of n known frames.

    Args:
        noise: one level in [0, 1] for all, or n of them.
        n: known frames.

    Raises:
        ValueError: another number of levels, or one outside [0, 1].
    """
    levels = torch.as_tensor(noise, dtype=torch.float64).flatten().tolist()
    levels = levels * n if len(levels) == 1 else levels
    if len(levels) != n:
        raise ValueError(f"{len(levels)} noise levels for {n} known latent frames: give one, or one for each.")
    if bad := [m for m in levels if not 0 <= m <= 1]:
        raise ValueError(f"noise level {bad[0]} is outside [0, 1]: 0 keeps a known frame clean, 1 lets it go.")
    return levels


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

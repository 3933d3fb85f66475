"""The zoo: every schedule is a plain float32 tensor of noise levels (rows, frames), and sampling goes down its rows.

Row 0 holds the levels at which the frames start, the last row those at which they end (0, clean). Columns never rise.
"""

import math
from collections.abc import Sequence

import torch

from pusa_lab.arguments import checked
from pusa_lab.schedules.checks import MOST_CELLS, as_schedule, check_size
from pusa_lab.schedules.sigmas import Sigmas, levels
from pusa_lab.sentences import counted
from pusa_lab.types import Levels, Schedule

MOST_FRAMES = 10**6
"""Most latent frames of a schedule: two days of video."""


@checked
def delayed(steps: int, delays: Sequence[int], shift: float | int = 1.0, sigmas: Sigmas = "linear") -> Schedule:
    """Every frame goes through the same sigmas g after its own delay. All members of the zoo are made of this.

    S[r, i] = g[clip(r - delays[i], 0, steps)], rows = steps + max(delays) + 1

    Args:
        steps: steps of each frame, at least 1.
        delays: rows that each frame waits at g[0], one number per frame, at least 0.
        shift: shift of the sigmas g, positive; must be 1 for your own sigmas.
        sigmas: a name in `sigmas.SIGMAS`, a function (steps) -> levels, or the levels themselves, kept as they are.

    Raises:
        ValueError: an argument is out of range.
    """
    g = levels(sigmas, steps, shift)
    check_frames(len(delays))
    if min(delays) < 0:
        raise ValueError(
            f"frame {list(delays).index(min(delays))} has a delay of {min(delays)} rows: give delays of 0 or more."
        )
    check_size(steps + max(delays) + 1, len(delays))
    rows = torch.arange(steps + max(delays) + 1)[:, None]
    return g[(rows - torch.tensor(list(delays))).clamp(0, steps)]


@checked
def whole_rows(lag: float | int, ahead: int) -> int:
    """Rows that a frame waits for the frames before it: floor(ahead lag).

    Args:
        lag: rows between neighbouring frames, at least 0 and below 2^63; with a fraction, some neighbours start
            together.
        ahead: number of frames that start before, at least 0.

    Raises:
        ValueError: an argument is out of range.
    """
    if not (0 <= lag < 2**63 and ahead >= 0):
        raise ValueError(f"lag={lag}, ahead={ahead}: give numbers of at least 0, and a lag below 2^63.")
    return lag * ahead if isinstance(lag, int) else math.floor(ahead * lag + 1e-9)  # 100 * .29 gives 28.999...


@checked
def check_frames(frames: int, lag: float | int = 0) -> range:
    """Check the number of frames and the lag, and return range(frames).

    Args:
        frames: latent frames, from 1 to 1,000,000.
        lag: rows between neighbouring frames, at least 0 and below 2^63.

    Raises:
        ValueError: an argument is out of range.
    """
    if not 1 <= frames <= MOST_FRAMES:
        raise ValueError(f"frames={frames}: a schedule needs at least 1 frame and at most {MOST_FRAMES:,}.")
    if not 0 <= lag < 2**63:
        raise ValueError(f"lag={lag}: later frames cannot start before row 0; give a finite lag of 0 or more rows.")
    return range(frames)


@checked
def synchronous(steps: int, frames: int, shift: float | int = 1.0, sigmas: Sigmas = "linear") -> Schedule:
    """All frames share one timestep, as in ordinary (scalar) diffusion.

    S[r, i] = g[r], picture: horizontal bands

    Args:
        steps: number of steps, at least 1.
        frames: latent frames, at least 1.
        shift: shift of the sigmas g, positive; must be 1 for your own sigmas.
        sigmas: a name in `sigmas.SIGMAS`, a function (steps) -> levels, or the levels themselves, kept as they are.

    Raises:
        ValueError: an argument is out of range.
    """
    return delayed(steps, [0 for _ in check_frames(frames)], shift, sigmas)


@checked
def pyramid(
    steps: int, frames: int, lag: float | int = 1, shift: float | int = 1.0, sigmas: Sigmas = "linear"
) -> Schedule:
    """Every frame starts `lag` rows after the one before, so earlier frames are never noisier than later ones.

    S[r, i] = g[clip(r - floor(i lag), 0, steps)], rows = steps + floor((frames - 1) lag) + 1, picture: diagonal bands

    Args:
        steps: steps of each frame, at least 1.
        frames: latent frames, at least 1.
        lag: rows between neighbouring frames, at least 0 (0 is `synchronous`, `steps` is `autoregressive`); below 1,
            some neighbours start together.
        shift: as `synchronous`.
        sigmas: as `synchronous`.

    Raises:
        ValueError: an argument is out of range.

    Source: the pyramid of Diffusion Forcing, arXiv 2407.01392.
    """
    return delayed(steps, [whole_rows(lag, i) for i in check_frames(frames, lag)], shift, sigmas)


@checked
def autoregressive(steps: int, frames: int, shift: float | int = 1.0, sigmas: Sigmas = "linear") -> Schedule:
    """One frame after the other, each finished before the next one starts.

    S[r, i] = g[clip(r - i steps, 0, steps)], rows = steps * frames + 1, picture: a flight of stairs

    Args:
        steps: steps of each frame, at least 1.
        frames: latent frames, at least 1.
        shift: as `synchronous`.
        sigmas: as `synchronous`.

    Raises:
        ValueError: an argument is out of range.

    Source: arXiv 2407.01392.
    """
    return delayed(steps, [i * steps for i in check_frames(frames)], shift, sigmas)


@checked
def hold(
    steps: int, frames: int, at: Sequence[int] = (0,), shift: float | int = 1.0, sigmas: Sigmas = "linear"
) -> Schedule:
    """Some frames are known and clean from the start, and the others share one timestep.

    S[r, i] = 0 for i in `at`, g[r] elsewhere, picture: dark columns

    Known frames that keep some noise are a matter of the task, or of `scale_columns` where there is none.

    Args:
        steps: number of steps, at least 1.
        frames: latent frames, at least 1.
        at: known latent frames; negative numbers count from the end.
        shift: as `synchronous`.
        sigmas: as `synchronous`.

    Raises:
        ValueError: an argument is out of range, or a known frame is outside the video or given twice.

    Source: Algorithm 1, arXiv 2507.16116, App. B.
    """
    return scale_columns(synchronous(steps, frames, shift, sigmas), at, 0.0)


@checked
def scale_columns(schedule: Schedule, at: Sequence[int], noise: Levels) -> Schedule:
    """Multiply the levels of some frames, which marks them as known in a schedule for the sampling loop alone.

    S'[r, i] = m_i S[r, i] for i in `at`

    In `generate` the task does this: it alone sets the level of a known frame, see `Conditions.schedule`.

    Args:
        schedule: noise levels (rows, frames) in [0, 1], at least 2 rows, that never rise down a column.
        at: latent frames; negative numbers count from the end.
        noise: multiplier m in [0, 1], one for all or one per frame of `at`.

    Raises:
        ValueError: it is not a schedule, a frame is outside the video or given twice, or a multiplier is outside
            [0, 1].

    Source: the noisy variant of Algorithm 1, arXiv 2507.16116, App. B: the multiplier acts after the shift.
    """
    schedule = as_schedule(schedule, whole=False)
    columns = frame_indices(at, schedule.shape[1])
    out = schedule.clone()
    out[:, columns] *= out.new_tensor(noise_levels(noise, len(columns)))
    return out


@checked
def noise_levels(noise: Levels, n: int) -> list[float]:
    """Return one noise level for each of n known frames.

    Args:
        noise: one level in [0, 1] for all frames, or one per frame.
        n: number of known frames, at least 0.

    Raises:
        ValueError: the number of levels is neither 1 nor n, or a level is outside [0, 1].
    """
    if not 0 <= n <= MOST_CELLS:
        raise ValueError(f"n={n}: give the number of known frames, from 0 to {MOST_CELLS:,}.")
    levels = torch.as_tensor(noise, dtype=torch.float64).flatten().tolist()
    levels = levels * n if len(levels) == 1 else levels
    if len(levels) != n:
        counts = f"{counted(len(levels), 'noise level')} for {counted(n, 'known latent frame')}"
        raise ValueError(f"{counts}: give one level, or one per frame.")
    if bad := [m for m in levels if not 0 <= m <= 1]:
        raise ValueError(f"noise level {bad[0]} is outside [0, 1]: 0 keeps a known frame clean, 1 leaves it free.")
    return levels


@checked
def frame_indices(at: Sequence[int], frames: int) -> list[int]:
    """Return positions counted from the start, after checking that each is inside the video and given only once.

    Args:
        at: latent frames from -frames to frames - 1; negative numbers count from the end.
        frames: number of latent frames of the video.

    Raises:
        ValueError: a position is outside the video, or two are the same frame.
    """
    if outside := [i for i in at if not -frames <= i < frames]:
        raise ValueError(
            f"frame {outside[0]} is outside the video of {counted(frames, 'latent frame')}: "
            f"give 0..{frames - 1}, or -{frames}..-1 to count from the end."
        )
    columns = [i % frames for i in at]
    if twice := [i for n, i in enumerate(columns) if i in columns[:n]]:
        raise ValueError(f"two known frames at latent frame {twice[0]}: let no known clips or parts overlap.")
    return columns

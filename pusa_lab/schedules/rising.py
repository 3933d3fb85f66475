"""Published schedules that go back up, so that frames are noised on and denoised again; see `types.Rising`."""

import torch

from pusa_lab.arguments import checked
from pusa_lab.schedules.checks import ROUNDING, check_size
from pusa_lab.schedules.matrices import synchronous
from pusa_lab.schedules.sigmas import Sigmas
from pusa_lab.types import Rising


@checked
def repaint_rows(steps: int, jump_length: int = 2, jump_n_sample: int = 3) -> list[int]:
    """Rows of a schedule in the order in which RePaint visits them: it goes back again and again on its way.

    From each of the rows steps - 1, steps - 1 - jump_length, ... down to jump_length it goes back by `jump_length`
    rows, jump_n_sample - 1 times. `Rising(S[repaint_rows(len(S) - 1)])` does so with any schedule S.

    Args:
        steps: number of steps of the schedule, one less than its rows, at least 2.
        jump_length: j, rows that are gone back, from 1 to steps - 1.
        jump_n_sample: r, how often a part is sampled in all, at least 1; 1 never goes back.

    Returns:
        Rows from 0 to steps.

    Raises:
        ValueError: an argument is out of range.

    Source: Fig. 9 and appendix of arXiv 2201.09865, whose 250 steps go back by j = 10 with r = 10.
    """
    if not (1 <= jump_length < steps and jump_n_sample >= 1):
        given = f"jump_length={jump_length}, jump_n_sample={jump_n_sample}"
        raise ValueError(f"{given}, steps={steps}: give a jump_length from 1 to steps - 1, and 1 or more samples.")
    check_size(steps * jump_n_sample, 64, "fewer steps, or a smaller jump_n_sample")
    first = (steps - 1) % jump_length
    rows = list(range(first + 1))
    for row in range(first, steps - 1, jump_length):
        part = list(range(row, row + jump_length + 1))
        rows += part[1:] + (jump_n_sample - 1) * part
    return [*rows, steps]


@checked
def repaint(
    steps: int,
    frames: int,
    jump_length: int = 2,
    jump_n_sample: int = 3,
    shift: float | int = 1.0,
    sigmas: Sigmas = "linear",
) -> Rising:
    """All frames together, going back again and again, so that they come to agree with known frames and each other.

    S[k, i] = g[n_k], n = repaint_rows(steps, jump_length, jump_n_sample); picture: a saw

    The paper's inpainting is this schedule with known frames in the mode "replacement".

    Args:
        steps: steps from noise to clean, at least 2, without those that are made again.
        frames: latent frames, at least 1.
        jump_length: see `repaint_rows`.
        jump_n_sample: see `repaint_rows`.
        shift: as `synchronous`.
        sigmas: as `synchronous`.

    Raises:
        ValueError: an argument is out of range.

    Source: arXiv 2201.09865.
    """
    rows = repaint_rows(steps, jump_length, jump_n_sample)
    check_size(len(rows), frames)
    return Rising(synchronous(steps, frames, shift, sigmas)[rows])


@checked
def restart(
    steps: int,
    frames: int,
    low: float | int = 0.1,
    high: float | int = 0.6,
    times: int = 2,
    restart_steps: int = 4,
    shift: float | int = 1.0,
    sigmas: Sigmas = "linear",
) -> Rising:
    """All frames together; at a low noise level they are noised to a high one and denoised again, several times.

    Down g to `low`, which is one more step unless g has that level; `times` times up to `high` and down to `low` in
    `restart_steps` even steps; then on down g; picture: a saw with a few large teeth

    The fresh noise makes earlier errors of the sampler smaller with every restart, while few coarse steps between
    add their own.

    Args:
        steps: steps of g from noise to clean, at least 1.
        frames: latent frames, at least 1.
        low: t_min, above 0.
        high: t_max, above `low` and at most 1.
        times: K, restarts, at least 0.
        restart_steps: N_Restart, steps of each restart, at least 1.
        shift: as `synchronous`.
        sigmas: as `synchronous`.

    Raises:
        ValueError: an argument is out of range.

    Source: Algorithm 1, arXiv 2306.14878, with noise levels sigma = tau / (1 - tau), where the level of g nearest to
        t_min takes its place, and the steps of a restart are spaced like EDM's.
    """
    if not 0 < low < high <= 1:
        raise ValueError(f"low={low}, high={high}: give numbers with 0 < low < high <= 1.")
    if times < 0 or restart_steps < 1:
        raise ValueError(f"times={times}, restart_steps={restart_steps}: give at least 0 times and 1 step.")
    check_size(steps + 2 + max(times, 1) * (restart_steps + 1), frames)
    S, again = synchronous(steps, frames, shift, sigmas), torch.linspace(high, low, restart_steps + 1).repeat(times)
    column = torch.cat([torch.tensor([low]), again])[:, None].expand(-1, frames)
    return Rising(torch.cat([S[S[:, 0] > low + ROUNDING], column, S[S[:, 0] < low - ROUNDING]]))

"""Solvers without state: a function that makes one step."""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch

from pusa_lab.timesteps import checked_levels, per_frame, velocity_of
from pusa_lab.types import Denoiser, Tau, Video

Step: TypeAlias = Callable[..., tuple[Video, Video]]
"""(denoiser, x, tau, tau_next, **cond) -> (x_next, v): one step, from a row to the next."""


@checked_levels
def euler_step(x: Video, v: Video, tau: Tau, tau_next: Tau) -> Video:
    """Make an Euler step of every frame by its own change of tau; a frame whose tau stays the same is kept bit for bit.

    x_i <- x_i + (tau_next_i - tau_i) v_i

    Args:
        x: latents (b, c, f, h, w) at timesteps tau.
        v: velocity of the same shape.
        tau: timesteps (b, f) in [0, 1].
        tau_next: timesteps (b, f) to reach, in [0, 1].

    Raises:
        ValueError: tau or tau_next has another shape, or a timestep is outside [0, 1] (checked on the CPU only).

    Source: Algorithm 1, arXiv 2507.16116.
    """
    dt = per_frame(tau_next - tau, x)
    return torch.where(dt == 0, x, (x + dt * v).to(x.dtype))


@checked_levels
def euler(denoiser: Denoiser, x: Video, tau: Tau, tau_next: Tau, **cond: Any) -> tuple[Video, Video]:
    """Euler's method: first order, one denoiser call per row.

    x_next = x + (tau_next - tau) v(x, tau)

    Args:
        denoiser: (x, tau, **cond) -> v.
        x: latents (b, c, f, h, w) at timesteps tau.
        tau: timesteps (b, f) in [0, 1].
        tau_next: timesteps (b, f) to reach, in [0, 1].
        **cond: passed to the denoiser.

    Returns:
        The next x and the velocity used, each (b, c, f, h, w).

    Raises:
        ValueError: as `euler_step`.
    """
    v = velocity_of(denoiser, x, tau, **cond)
    return euler_step(x, v, tau, tau_next), v


@checked_levels
def heun(denoiser: Denoiser, x: Video, tau: Tau, tau_next: Tau, **cond: Any) -> tuple[Video, Video]:
    """Heun's method: second order, two denoiser calls per row. Arguments, result and errors are those of `euler`.

    v = (v(x, tau) + v(x + (tau_next - tau) v(x, tau), tau_next)) / 2, but v(x, tau) for a frame that reaches 0

    A velocity at tau = 0 is never used: the last step of a frame is an Euler step. In the second call of a row, the
    model sees frames that have just reached 0 as clean, as in all later rows. The call is skipped if no other frame
    moves.

    Source: Algorithm 1 of arXiv 2206.00364 without noise, with one timestep per frame.
    """
    ahead, v = euler(denoiser, x, tau, tau_next, **cond)
    if not ((tau_next != tau) & (tau_next > 0)).any():
        return ahead, v
    mean = (v + velocity_of(denoiser, ahead, tau_next, **cond)) / 2
    v = torch.where(per_frame(tau_next, x) > 0, mean, v)
    return euler_step(x, v, tau, tau_next), v


@checked_levels
def midpoint(denoiser: Denoiser, x: Video, tau: Tau, tau_next: Tau, **cond: Any) -> tuple[Video, Video]:
    """Midpoint method: second order, two denoiser calls per row. Arguments, result and errors are those of `euler`.

    v = v(x + (half - tau) v(x, tau), half), half = (tau + tau_next) / 2

    The model is never called at tau = 0 for a frame that moves.

    Source: the midpoint rule; alpha = 1/2 in Algorithm 3 of arXiv 2206.00364, with one timestep per frame.
    """
    half = (tau + tau_next) / 2
    ahead, _ = euler(denoiser, x, tau, half, **cond)
    v = velocity_of(denoiser, ahead, half, **cond)
    return euler_step(x, v, tau, tau_next), v

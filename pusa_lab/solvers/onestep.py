"""Solvers that remember nothing: one function, one move."""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch

from pusa_lab.arguments import checked
from pusa_lab.timesteps import check_levels, per_frame
from pusa_lab.types import Denoiser, Tau, Video

Step: TypeAlias = Callable[..., tuple[Video, Video]]
"""(denoiser, x, tau, tau_next, **cond) -> (x_next, v): one move, from a row to the next."""


@checked
def euler_step(x: Video, v: Video, tau: Tau, tau_next: Tau) -> Video:
    """Move every frame by its own time difference; a frame whose clock stands still stays bit for bit.

    x_i <- x_i + (tau_next_i - tau_i) v_i

    Args:
        x: latents (b, c, f, h, w) at clocks tau.
        v: velocity of the same shape.
        tau: clocks (b, f) in [0, 1].
        tau_next: clocks (b, f) to reach, in [0, 1].

    Raises:
        ValueError: a clock is outside [0, 1] (looked for on the CPU alone).

    Source: Algorithm 1, arXiv 2507.16116.
    """
    check_levels(tau)
    check_levels(tau_next)
    dt = per_frame(tau_next - tau, x)
    return torch.where(dt == 0, x, (x + dt * v).to(x.dtype))


@checked
def euler(denoiser: Denoiser, x: Video, tau: Tau, tau_next: Tau, **cond: Any) -> tuple[Video, Video]:
    """First order: one call a row, v = v(x, tau). Returns the next x and the velocity used.

    Args:
        denoiser: (x, tau, **cond) -> v.
        x: latents (b, c, f, h, w) at clocks tau.
        tau: clocks (b, f) in [0, 1].
        tau_next: clocks (b, f) to reach.
        **cond: passed to the denoiser.
    """
    v = denoiser(x, tau, **cond)
    return euler_step(x, v, tau, tau_next), v


@checked
def heun(denoiser: Denoiser, x: Video, tau: Tau, tau_next: Tau, **cond: Any) -> tuple[Video, Video]:
    """Second order: two calls a row, the mean of the velocities at both ends of an Euler step. Arguments as `euler`.

    v = (v(x, tau) + v(x + (tau_next - tau) v(x, tau), tau_next)) / 2, but v(x, tau) for a frame that arrives at 0

    A velocity at tau = 0 is never used: a frame's last move is Euler's. In the second call of a row, frames that have
    just arrived are seen clean, as in all later rows; where no other frame moves, that call is not made.

    Source: Algorithm 1 of arXiv 2206.00364 without noise, with one clock per frame.
    """
    ahead, v = euler(denoiser, x, tau, tau_next, **cond)
    if not ((tau_next != tau) & (tau_next > 0)).any():
        return ahead, v
    mean = (v + denoiser(ahead, tau_next, **cond)) / 2
    v = torch.where(per_frame(tau_next, x) > 0, mean, v)
    return euler_step(x, v, tau, tau_next), v


@checked
def midpoint(denoiser: Denoiser, x: Video, tau: Tau, tau_next: Tau, **cond: Any) -> tuple[Video, Video]:
    """Second order: two calls a row, the velocity half way of every clock. Never asks at tau = 0. Arguments as `euler`.

    v = v(x + (half - tau) v(x, tau), half), half = (tau + tau_next) / 2

    Source: the midpoint rule; alpha = 1/2 in Algorithm 3 of arXiv 2206.00364, with one clock per frame.
    """
    half = (tau + tau_next) / 2
    ahead, _ = euler(denoiser, x, tau, half, **cond)
    v = denoiser(ahead, half, **cond)
    return euler_step(x, v, tau, tau_next), v

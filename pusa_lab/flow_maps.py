"""Flow maps: from noise levels to lower ones in one call, with two timestep vectors, from and to.

A velocity says where a video moves now, and a map where it arrives: f(x, s, t) = x - (s - t) u(x, s, t). Its model,
called as (x, tau, to=..., **cond), gives the mean velocity u on the way from s to t. Every frame has its own s and t.
By construction f(x, s, s) = x, and u(x, s, s) is the velocity.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.solvers import euler_step
from pusa_lab.timesteps import checked_levels, interpolate, velocity, velocity_of
from pusa_lab.types import Denoiser, Tau, Video

MAPS = 0.25
"""Share of the clips that learn a map longer than 0."""


@checked_levels
def flow_map(denoiser: Denoiser, x: Video, tau: Tau, tau_next: Tau, **cond: Any) -> tuple[Video, Video]:
    """A solver for models of flow maps, one call a row: `generate(model, ..., solver=flow_map, steps=2)`.

    x_next = f(x, tau, tau_next) = x - (tau - tau_next) u(x, tau, to=tau_next)

    Args:
        denoiser: (x, tau, to=tau_next, **cond) -> u.
        x: latents (b, c, f, h, w) at timesteps tau.
        tau: timesteps (b, f) in [0, 1].
        tau_next: timesteps (b, f) to reach, in [0, 1].
        **cond: passed to the denoiser.

    Returns:
        The next x and the mean velocity, each (b, c, f, h, w).

    Raises:
        ValueError: the denoiser takes no `to`, or as `euler_step`.

    Source: Flow Map Matching, arXiv 2406.07507; with one timestep per frame.
    """
    u = velocity_of(denoiser, x, tau, **cond, to=tau_next)
    return euler_step(x, u, tau, tau_next), u


@checked_levels
def flow_map_frame_loss(
    denoiser: Denoiser, x0: Video, tau: Tau, eps: Video, reach: Tau, share: float = MAPS, **cond: Any
) -> Float[Tensor, "b f"]:
    """The loss of a flow map of every sample and frame before reduction, as `losses.fafm_frame_loss` is of a velocity.

    l_i = mean over channels and pixels of (u(x, tau, to)_i - target_i)^2, x as in `fafm_frame_loss`

    In the first clips, a share of them, to = reach tau, and two steps of half the way, without gradient, are the target
    of the whole: target = (u(x, tau, m) + u(x', m, to)) / 2, m = (tau + to) / 2, x' = f(x, tau, m). In the others,
    to = tau, and target = eps - x0. Maps thus learn from shorter ones, and those from the data.

    Args:
        denoiser: (x, tau, to=..., **cond) -> u.
        x0: clean latents (b, c, f, h, w).
        tau: timesteps (b, f) in [0, 1].
        eps: standard normal noise of x0's shape.
        reach: where maps lead, (b, f): 0 is clean, 1 is where they start.
        share: of the clips, in [0, 1], rounded to whole ones: of fewer than 3 clips 0.25 is none.
        **cond: passed to the denoiser.

    Returns:
        float32 losses (b, f).

    Raises:
        ValueError: share is outside [0, 1], or as `fafm_frame_loss`.

    Source: progressive self-distillation, arXiv 2505.18825; shortcut models, arXiv 2410.12557.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share={share:g}: give a share of the clips in [0, 1].")
    x, target, n = interpolate(x0, eps, tau), velocity(x0, eps), round(share * len(x0))
    to = torch.cat([reach[:n] * tau[:n], tau[n:]])
    if n:
        with torch.no_grad():
            some = {name: one[:n] if isinstance(one, Tensor) else one for name, one in cond.items()}
            middle = (tau[:n] + to[:n]) / 2
            there, first = flow_map(denoiser, x[:n], tau[:n], middle, **some)
            second = velocity_of(denoiser, there, middle, **some, to=to[:n])
        target = torch.cat([((first + second) / 2).to(target), target[n:]])
    u = velocity_of(denoiser, x, tau, **cond, to=to)
    return (u.float() - target.float()).square().mean(dim=(1, 3, 4))

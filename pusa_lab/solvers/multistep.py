"""Multistep solvers: one denoiser call per row, and one history per frame, because frames start and pause separately.

The equations are for one frame with its own timestep; the other frames enter only through v.
"""

from dataclasses import dataclass
from typing import Any

import torch

from pusa_lab.arguments import checked
from pusa_lab.memory import MovingStep, Past
from pusa_lab.solvers.onestep import Step, euler_step
from pusa_lab.timesteps import per_frame, velocity_of
from pusa_lab.types import Denoiser, Tau, Video


@checked
@dataclass(frozen=True)
class AdamsBashforth:
    """Adams-Bashforth: the mean over a step of the polynomial through a frame's last velocities, one call per row.

    Order 2: v + dt / (2 g1) (v - v1), with the steps dt = tau_next - tau and g1 = tau - tau1 of the frame's own
    timestep; order 3 adds (dt^2 / 3 + dt g1 / 2) times the second divided difference. A frame's first step is an Euler
    step, its second has order 2. With order 3, this start lowers the order unless the first step is much smaller than
    the others.

    Raises:
        ValueError: order is not 2 or 3.

    Source: Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, III.5 (variable steps).
    """

    order: int = 2
    """2 or 3."""

    def __post_init__(self) -> None:
        if self.order not in (2, 3):
            raise ValueError(f"order={self.order}: Adams-Bashforth is available with order 2 or 3 (for 1, use euler).")

    def init_state(self) -> Step:
        """Return a step function with an empty history."""
        past = Past(self.order - 1)

        def step(denoiser: Denoiser, x: Video, tau: Tau, tau_next: Tau, **cond: Any) -> tuple[Video, Video]:
            v = velocity_of(denoiser, x, tau, **cond)
            t, t_next = _exact(tau), _exact(tau_next)
            past.see(v, t, t_next)
            dt = t_next - t
            v = _plus(v, past.changes, _adams_bashforth(dt, past.gaps), dt)
            return euler_step(x, v, tau, tau_next), v

        return MovingStep(step, past.slide)


@checked
@dataclass(frozen=True)
class DPMSolver:
    """DPM-Solver++(2M) in flow form: second order with one call per row; with `correct`, UniPC of order 2.

    x_next = (tau_next / tau) x + (1 - tau_next / tau) D, D = x0 + h / (2 h1) (x0 - x0_1), x0 = x - tau v,
    with the steps h and h1 of the frame's own lambda = log((1 - tau) / tau). Three steps are Euler steps: a frame's
    first, the one after it has left tau = 1, where lambda is infinite, and the one to tau = 0. Near both ends, equal
    steps of tau are unequal in lambda, which costs second order a factor log(steps). `correct` first corrects x with
    the new x0, which needs no further call; B(h) = e^h - 1.

    Source: Algorithm 2 of arXiv 2211.01095; UniC-2 and UniP-2 of arXiv 2302.04867; alpha = 1 - tau, sigma = tau.
    """

    correct: bool = False
    """Whether to correct every step after the model was called at its end (UniPC)."""

    def init_state(self) -> Step:
        """Return a step function with an empty history."""
        past = Past(2 if self.correct else 1)

        def step(denoiser: Denoiser, x: Video, tau: Tau, tau_next: Tau, **cond: Any) -> tuple[Video, Video]:
            v = velocity_of(denoiser, x, tau, **cond)
            t, t_next = _exact(tau), _exact(tau_next)
            log_snr, log_snr_next = ((1 - t) / t).log(), ((1 - t_next) / t_next).log()
            past.see(x - per_frame(tau, x) * v, log_snr, log_snr_next)
            correction = _unipc(t, *past.gaps) if self.correct else [torch.zeros_like(t)]
            ahead = ((log_snr_next - log_snr) / (2 * past.gaps[0])).nan_to_num(0, 0, 0)
            # v = (x - D) / tau, with the corrected x
            v = _plus(v, past.changes, [(correction[0] - ahead) / t, *(w / t for w in correction[1:])], t_next - t)
            x = _plus(x, past.changes, correction, t_next - t).to(x.dtype) if self.correct else x
            return euler_step(x, v, tau, tau_next), v

        return MovingStep(step, past.slide)


def _exact(tau: Tau) -> Tau:
    """Timesteps precise enough for differences of logarithms; Apple's GPUs have no float64."""
    return tau.to(torch.float32 if tau.device.type == "mps" else torch.float64)


def _plus(x: Video, changes: list[Video], weights: list[Tau], dt: Tau) -> Video:
    """x + sum_k weights_k changes_k, each frame with its own weights; a frame that does not move (dt = 0) keeps x."""
    out, wide = x, torch.promote_types(x.dtype, torch.float32)
    for change, weight in zip(changes, weights, strict=True):
        out = out + per_frame(weight.to(wide), x) * change
    return torch.where(per_frame(dt, x) == 0, x, out)


def _adams_bashforth(dt: Tau, gaps: list[Tau]) -> list[Tau]:
    """Weights of the last changes of v: the mean of Newton's polynomial over a step dt."""
    line = dt / (2 * gaps[0])
    if len(gaps) == 1:
        return [line]
    bend = torch.where(gaps[1].isinf(), 0, (dt * dt / 3 + dt * gaps[0] / 2) / (gaps[0] + gaps[1]))
    return [line + bend / gaps[0], -bend / gaps[1]]


def _unipc(t: Tau, h: Tau, before: Tau) -> list[Tau]:
    """Weights of the last two changes of x0 that correct a step h in lambda to t; `before` is the step before it."""
    e = torch.expm1(-h)
    b1 = -1 / h - 1 / e
    b2 = -2 * b1 / h - 1 / e
    older = (b1 - b2) / (1 + before / h)
    first = before.isinf()
    scale = (t - 1) * e
    return [scale * torch.where(first, 0.5, b1 - older), scale * torch.where(first, 0, (older - 0.5) * h / before)]

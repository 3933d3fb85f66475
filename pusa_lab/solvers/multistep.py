"""Solvers that remember: one call a row. One history per frame, for frames start, rest and stop at rows of their own.

Equations are about one frame i, with its own clock; what other frames do meanwhile enters through v alone.
"""

from dataclasses import dataclass
from typing import Any

import torch

from pusa_lab.arguments import checked
from pusa_lab.solvers.onestep import Step, euler_step
from pusa_lab.timesteps import per_frame
from pusa_lab.types import Denoiser, Tau, Video


class _Past:
    """How a quantity changed over every frame's own last moves, newest first: `changes`, and the `gaps` of its clock.

    A frame that rests adds nothing: what the others do to it meanwhile is no change along its own clock.
    An unknown gap is infinite and its change 0, so that a frame with a short history uses a lower order.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.seen: tuple[Video, Tau] | None = None

    def see(self, value: Video, clock: Tau) -> None:
        """Take in the value at this row's clocks."""
        if self.seen is None:
            self.changes = [torch.zeros_like(value)] * self.length
            self.gaps = [torch.full_like(clock, torch.inf)] * self.length
        else:
            old, since = self.seen
            moved = per_frame(clock, value) != per_frame(since, value)
            newer = [value - old, *self.changes[:-1]]
            self.changes = [torch.where(moved, new, kept) for new, kept in zip(newer, self.changes, strict=True)]
            gaps = [clock - since, *self.gaps[:-1]]
            self.gaps = [torch.where(clock != since, new, kept) for new, kept in zip(gaps, self.gaps, strict=True)]
        self.seen = value, clock


@checked
@dataclass(frozen=True)
class AdamsBashforth:
    """One call a row, of the given order: the polynomial through a frame's last velocities, averaged over its move.

    order 2: v + dt / (2 g1) (v - v1), with steps dt = tau_next - tau, g1 = tau - tau1 of the frame's own clock;
    order 3 adds (dt^2 / 3 + dt g1 / 2) times the second divided difference. A frame's first move is Euler's, its
    second of order 2. That start costs order 3 its order unless the first step is small beside the others.

    Raises:
        ValueError: order is not 2 or 3.

    Source: Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, III.5 (variable steps).
    """

    order: int = 2
    """2 or 3."""

    def __post_init__(self) -> None:
        if self.order not in (2, 3):
            raise ValueError(f"order={self.order}: Adams-Bashforth is here of order 2 or 3 (1 is euler).")

    def begin(self) -> Step:
        """A step with an empty history."""
        past = _Past(self.order - 1)

        def step(denoiser: Denoiser, x: Video, tau: Tau, tau_next: Tau, **cond: Any) -> tuple[Video, Video]:
            v = denoiser(x, tau, **cond)
            past.see(v, _exact(tau))
            dt = _exact(tau_next) - _exact(tau)
            v = _plus(v, past.changes, _adams_bashforth(dt, past.gaps), dt)
            return euler_step(x, v, tau, tau_next), v

        return step


@checked
@dataclass(frozen=True)
class DPMSolver:
    """DPM-Solver++(2M) in flow form: one call a row, second order; with `correct` UniPC of order 2, B(h) = e^h - 1.

    x_next = (tau_next / tau) x + (1 - tau_next / tau) D, D = x0 + h / (2 h1) (x0 - x0_1), x0 = x - tau v,
    with steps h, h1 of a frame's own lambda = log((1 - tau) / tau). A frame's first move, the one after it has left
    tau = 1, where lambda is infinite, and the one to 0 are Euler's. Near both ends equal steps of tau are unequal in
    lambda, which costs second order a factor log(steps). `correct` first mends x by the new x0, without another call.

    Source: Algorithm 2 of arXiv 2211.01095; UniC-2 and UniP-2 of arXiv 2302.04867; alpha = 1 - tau, sigma = tau.
    """

    correct: bool = False
    """Mend every move once the model has been asked at its end (UniPC)."""

    def begin(self) -> Step:
        """A step with an empty history."""
        past = _Past(2 if self.correct else 1)

        def step(denoiser: Denoiser, x: Video, tau: Tau, tau_next: Tau, **cond: Any) -> tuple[Video, Video]:
            v = denoiser(x, tau, **cond)
            t, t_next = _exact(tau), _exact(tau_next)
            log_snr, log_snr_next = ((1 - t) / t).log(), ((1 - t_next) / t_next).log()
            past.see(x - per_frame(tau, x) * v, log_snr)
            mend = _unipc(t, *past.gaps) if self.correct else [torch.zeros_like(t)]
            ahead = ((log_snr_next - log_snr) / (2 * past.gaps[0])).nan_to_num(0, 0, 0)
            # v = (x - D) / tau, of the mended x
            v = _plus(v, past.changes, [(mend[0] - ahead) / t, *(w / t for w in mend[1:])], t_next - t)
            x = _plus(x, past.changes, mend, t_next - t).to(x.dtype) if self.correct else x
            return euler_step(x, v, tau, tau_next), v

        return step


def _exact(tau: Tau) -> Tau:
    """Clocks wide enough for differences of logarithms; Apple's GPUs have no float64."""
    return tau.to(torch.float32 if tau.device.type == "mps" else torch.float64)


def _plus(x: Video, changes: list[Video], weights: list[Tau], dt: Tau) -> Video:
    """x + sum_k weights_k changes_k, each frame with its own weights; a frame at rest (dt = 0) stays as it is."""
    out, wide = x, torch.promote_types(x.dtype, torch.float32)
    for change, weight in zip(changes, weights, strict=True):
        out = out + per_frame(weight.to(wide), x) * change
    return torch.where(per_frame(dt, x) == 0, x, out)


def _adams_bashforth(dt: Tau, gaps: list[Tau]) -> list[Tau]:
    """Weights of the last changes of v: the mean of Newton's polynomial over a move of dt."""
    line = dt / (2 * gaps[0])
    if len(gaps) == 1:
        return [line]
    bend = torch.where(gaps[1].isinf(), 0, (dt * dt / 3 + dt * gaps[0] / 2) / (gaps[0] + gaps[1]))
    return [line + bend / gaps[0], -bend / gaps[1]]


def _unipc(t: Tau, h: Tau, before: Tau) -> list[Tau]:
    """Weights of the last two changes of x0 that mend a move of h in lambda to t; `before` is the move before it."""
    e = torch.expm1(-h)
    b1 = -1 / h - 1 / e
    b2 = -2 * b1 / h - 1 / e
    older = (b1 - b2) / (1 + before / h)
    first = before.isinf()
    scale = (t - 1) * e
    return [
        scale * torch.where(first, 0.5, b1 - older),
        scale * torch.where(first, 0, (older - 0.5) * h / before),
    ]

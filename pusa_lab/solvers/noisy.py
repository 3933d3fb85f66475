"""Solvers that add noise, fresh for every frame and row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pusa_lab.arguments import checked
from pusa_lab.memory import MovingStep, Streams
from pusa_lab.solvers.onestep import Step, euler
from pusa_lab.timesteps import interpolate, noise_further, per_frame, velocity, velocity_of, x0_from_v
from pusa_lab.types import Denoiser, Tau, Video


@checked
@dataclass(frozen=True)
class Churn:
    """Euler with noise: before every step, a frame is noised a little further with fresh noise.

    up = tau + amount (tau - tau_next)(1 - tau), at most 1, to which `noise_further` takes x, then an Euler step from up
    to tau_next. The noise shrinks with the step, so more steps still converge.

    Raises:
        ValueError: amount is negative or not finite.

    Source: the idea of Algorithm 2, arXiv 2206.00364, in flow form, with one timestep per frame.
    """

    amount: float | int = 1.0
    """Strength of the noise, at least 0; 0 is Euler, and about 1 is the usual reverse SDE at low noise."""
    seed: int | Sequence[int] | None = None
    """Sample i uses seed + i for any batch size, or its own seed from a list; None uses that of `generate`, or 0."""

    def __post_init__(self) -> None:
        if not 0 <= self.amount < float("inf"):
            raise ValueError(f"amount={self.amount}: give a finite number of at least 0 (0 is euler).")

    def init_state(self) -> Step:
        """Return a step function at the start of its stream of noise."""
        noise = Streams(self.seed or 0)

        def step(denoiser: Denoiser, x: Video, tau: Tau, tau_next: Tau, **cond: Any) -> tuple[Video, Video]:
            keep = (1 - self.amount * (tau - tau_next)).clamp(0, 1)
            up = tau + (1 - keep) * (1 - tau)
            x_up = noise_further(x, noise(x, tau != tau_next), tau, up)
            return euler(denoiser, x_up, up, tau_next, **cond)

        return MovingStep(step, noise.slide)


@checked
@dataclass(frozen=True)
class Consistency:
    """Consistency sampling: denoise each frame to clean video at once, then noise it to its next level.

    x_next = (1 - tau_next) x0 + tau_next eps, x0 = x - tau v, eps fresh

    This is for distilled models in few steps, whose x0 is a sample. The x0 of an ordinary model is a mean, so its
    samples become too smooth.

    Source: Algorithm 1 of arXiv 2303.01469, with one timestep per frame.
    """

    seed: int | Sequence[int] | None = None
    """Sample i uses seed + i for any batch size, or its own seed from a list; None uses that of `generate`, or 0."""

    def init_state(self) -> Step:
        """Return a step function at the start of its stream of noise."""
        noise = Streams(self.seed or 0)

        def step(denoiser: Denoiser, x: Video, tau: Tau, tau_next: Tau, **cond: Any) -> tuple[Video, Video]:
            v = velocity_of(denoiser, x, tau, **cond)
            x0, eps, rests = x0_from_v(x, v, tau), noise(x, tau != tau_next), per_frame(tau_next - tau, x) == 0
            return torch.where(rests, x, interpolate(x0, eps, tau_next)), torch.where(rests, v, velocity(x0, eps))

        return MovingStep(step, noise.slide)

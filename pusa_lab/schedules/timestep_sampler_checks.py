"""Checks that all timestep samplers share."""

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeAlias

import torch

from pusa_lab.arguments import checked, returned, shown
from pusa_lab.schedules.checks import MOST_CELLS
from pusa_lab.types import Tau

TimestepSampler: TypeAlias = Annotated[Callable[..., Tau], 3]
"""Timestep sampler: (batch, frames, generator) -> tau (b, f)."""


@checked
def checked_sampler(sampler: Callable[..., Tau]) -> Callable[..., Any]:
    """Decorator for a timestep sampler defined inside another function: checks arguments under that function's name.

    Args:
        sampler: (batch, frames, generator) -> tau, defined inside the function that returns it.

    Raises:
        ValueError: it is not a Python function.
    """
    if not inspect.isfunction(sampler):
        raise ValueError(f"sampler is {shown(sampler)}: give a function (batch, frames, generator) -> tau.")
    sampler.__qualname__ = sampler.__qualname__.split(".<locals>")[0]
    return checked(sampler)


@checked
def check_cells(batch: int, frames: int) -> None:
    """Refuse sizes of tau that have no frames or are too large.

    Args:
        batch: samples, at least 0.
        frames: latent frames, at least 1.

    Raises:
        ValueError: a number is out of range, or batch * frames is above 2^26.
    """
    if batch < 0 or frames < 1:
        raise ValueError(f"batch={batch}, frames={frames}: give 0 or more samples of 1 or more frames.")
    if batch * frames > MOST_CELLS:
        raise ValueError(f"batch={batch}, frames={frames}: give at most {MOST_CELLS:,} timesteps at once.")


@checked
def cumulative(weights: Sequence[float | int], written: str) -> torch.Tensor:
    """Upper ends of the intervals of [0, 1) that belong to each of several probabilities.

    Args:
        weights: probabilities, which must sum to 1 within 1e-6.
        written: how the error sentence writes them.

    Returns:
        The ends (n,); `torch.searchsorted(ends, u, right=True)` is the index that belongs to u.

    Raises:
        ValueError: a probability is negative, or they do not sum to 1.
    """
    total = math.fsum(weights)
    if min(weights, default=-1) < 0 or not abs(total - 1) <= 1e-6:
        fault = f"these sum to {total:.6g}" if abs(total - 1) > 1e-6 else f"{min(weights):.6g} is below 0"
        raise ValueError(f"{written}: give probabilities of at least 0 that sum to 1; {fault}.")
    ends = torch.tensor(weights, dtype=torch.float64).cumsum(0)
    return (ends / ends[-1]).float()


@checked
def check_made(*samplers: Any) -> None:
    """Refuse what makes a timestep sampler in place of one, such as `task_mixture` for `task_mixture()`.

    Args:
        *samplers: timestep samplers.

    Raises:
        ValueError: one of them is a function that returns a timestep sampler.
    """
    for sampler in samplers:
        if getattr(sampler, "__annotations__", {}).get("return") is TimestepSampler:
            name = getattr(sampler, "__name__", "it")
            raise ValueError(f"{name} is a function that makes a timestep sampler: call it, as {name}().")


@checked
def tau_of(sampler: TimestepSampler, batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
    """Call a timestep sampler and check what it returns, because users can pass their own.

    Args:
        sampler: timestep sampler (batch, frames, generator) -> tau.
        batch: samples, at least 0.
        frames: latent frames, at least 1.
        generator: source of randomness; None uses torch's default.

    Returns:
        Timesteps (batch, frames) in [0, 1].

    Raises:
        ValueError: it is a function that makes one, or it returned anything else.
    """
    check_made(sampler)
    tau = returned(sampler(batch, frames, generator), Tau, "the timestep sampler")
    if tau.shape != (batch, frames) or not ((tau >= 0) & (tau <= 1)).all():
        raise ValueError(
            f"the timestep sampler returned {shown(tau)} for batch={batch} and frames={frames}: give a function that "
            f"returns timesteps in [0, 1] of shape (batch, frames)."
        )
    return tau

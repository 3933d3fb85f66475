"""Timestep sampler whose timesteps never fall from frame to frame, and the checks that all timestep samplers share."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

import torch

from pusa_lab.arguments import checked, returned, shown
from pusa_lab.schedules.checks import MOST_CELLS
from pusa_lab.types import Tau

Draw: TypeAlias = Annotated[Callable[..., Tau], 3]
"""Timestep sampler: (batch, frames, generator) -> tau (b, f)."""
MOST_LEVELS = 2**40
"""Most levels in the grid of a path; float64 can tell them apart."""


@checked
def drawn(draw: Callable[..., Tau]) -> Callable[..., Any]:
    """Decorator for a timestep sampler defined inside another function: checks arguments under that function's name.

    Args:
        draw: (batch, frames, generator) -> tau, defined inside the function that returns it.

    Raises:
        ValueError: it is not a Python function.
    """
    if not inspect.isfunction(draw):
        raise ValueError(f"draw is {shown(draw)}: give a function (batch, frames, generator) -> tau.")
    draw.__qualname__ = draw.__qualname__.split(".<locals>")[0]
    return checked(draw)


@checked
def check_draw(batch: int, frames: int) -> None:
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
def tau_of(draw: Draw, batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
    """Call a timestep sampler and check what it returns, because users can pass their own.

    Args:
        draw: timestep sampler (batch, frames, generator) -> tau.
        batch: samples, at least 0.
        frames: latent frames, at least 1.
        generator: source of randomness; None uses torch's default.

    Returns:
        Timesteps (batch, frames) in [0, 1].

    Raises:
        ValueError: it returned anything else.
    """
    tau = returned(draw(batch, frames, generator), Tau, "the timestep sampler")
    if tau.shape != (batch, frames) or not ((tau >= 0) & (tau <= 1)).all():
        raise ValueError(
            f"the timestep sampler returned {shown(tau)} for batch={batch} and frames={frames}: give a function that "
            f"returns timesteps in [0, 1] of shape (batch, frames)."
        )
    return tau


@checked
def nondecreasing(levels: int = 1000) -> Callable[..., Tau]:
    """Timestep sampler with non-decreasing timesteps: frame-oriented probability propagation (FoPP).

    A pivot frame p ~ U{0..f-1} gets level t_p ~ U{0..T-1}. Given both, every non-decreasing path through it is equally
    likely, and there are C(t_p + p, p) C(T-1-t_p + f-1-p, f-1-p) of them. So

        P(t) = 1 / (f T) sum_p 1 / (C(t_p + p, p) C(T-1-t_p + f-1-p, f-1-p)),  t_0 <= ... <= t_{f-1}

    tau_i = (t_i + u) / T with one u ~ U[0, 1) per sample. The timestep of the pivot is uniform on [0, 1], and frames of
    equal level have equal timesteps. The marginal of a given frame is not uniform: the first frames tend to be clean,
    the last ones noisy.

    Args:
        levels: T, from 1 to 2^40; 1 gives the sampler `shared`.

    Returns:
        A timestep sampler (batch, frames, generator) -> tau (b, f).

    Raises:
        ValueError: levels is out of range.

    Source: FoPP, arXiv 2503.07418. Its tables of path counts are not needed, because a uniform path is a sorted uniform
    multiset of levels, which Polya's urn samples for the whole batch at once.
    """
    if not 1 <= levels <= MOST_LEVELS:
        raise ValueError(f"levels={levels}: give the number of levels of the grid, from 1 to 2^40.")

    @drawn
    def draw(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        check_draw(batch, frames)
        device = generator.device if generator else None
        pivot = torch.randint(frames, (batch, 1), generator=generator, device=device)
        start = torch.randint(levels, (batch, 1), generator=generator, device=device)
        chance = torch.rand(batch, frames + 1, dtype=torch.float64, generator=generator, device=device)
        # Frames before the pivot take from an urn with the levels 0..t_p, those after it from one with t_p..T-1.
        frame = torch.arange(frames, device=device)
        after = frame > pivot
        first = torch.where(after, pivot + 1, 0)
        kinds = torch.where(after, levels - start, start + 1)
        ball = (chance[:, 1:] * (kinds + frame - first)).long()
        level = torch.where(after, start, 0) + ball
        level.scatter_(1, pivot, start)
        # The urn has one ball of each kind and a copy of each ball taken: numbers beyond the kinds are these copies.
        copied = (ball >= kinds) & (frame != pivot)
        source = (first + ball - kinds).clamp(min=0)
        for i in range(1, frames):
            earlier = level.gather(1, source[:, i : i + 1])[:, 0]
            level[:, i] = torch.where(copied[:, i], earlier, level[:, i])
        return ((level.sort(dim=1).values + chance[:, :1]) / levels).float()

    return draw

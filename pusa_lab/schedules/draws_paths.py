"""Training clocks that never fall from frame to frame: the past is at most as noisy as the future."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

import torch

from pusa_lab.arguments import checked, returned, shown
from pusa_lab.schedules.checks import MOST_CELLS
from pusa_lab.types import Tau

Draw: TypeAlias = Annotated[Callable[..., Tau], 3]
"""(batch, frames, generator) -> tau."""
MOST_LEVELS = 2**40
"""Of the grid of a path: float64 tells as many apart."""


@checked
def drawn(draw: Callable[..., Tau]) -> Callable[..., Any]:
    """The door of a draw that was made by another function, under that function's name.

    Args:
        draw: (batch, frames, generator) -> tau, defined inside the function that makes it.

    Raises:
        ValueError: it is no function of Python's.
    """
    if not inspect.isfunction(draw):
        raise ValueError(f"draw is {shown(draw)}: give a function (batch, frames, generator) -> tau.")
    draw.__qualname__ = draw.__qualname__.split(".<locals>")[0]
    return checked(draw)


@checked
def check_draw(batch: int, frames: int) -> None:
    """Refuse a draw without frames, or too large to be made.

    Args:
        batch: samples, at least 0.
        frames: latent frames, at least 1.

    Raises:
        ValueError: a number is out of range.
    """
    if batch < 0 or frames < 1:
        raise ValueError(f"batch={batch}, frames={frames}: give 0 or more samples of 1 or more frames.")
    if batch * frames > MOST_CELLS:
        raise ValueError(f"batch={batch}, frames={frames}: at most {MOST_CELLS:,} timesteps are made at once.")


@checked
def tau_of(draw: Draw, batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
    """The clocks that a draw gives, which anybody may have brought, checked.

    Args:
        draw: (batch, frames, generator) -> tau.
        batch: samples.
        frames: latent frames.
        generator: source of randomness, for the draw.

    Raises:
        ValueError: it returned anything but levels (batch, frames) in [0, 1].
    """
    tau = returned(draw(batch, frames, generator), Tau, "the draw")
    if tau.shape != (batch, frames) or not ((tau >= 0) & (tau <= 1)).all():
        raise ValueError(
            f"the draw returned {shown(tau)}, for batch={batch} and frames={frames}: give a function that returns "
            f"levels in [0, 1] of shape (batch, frames)."
        )
    return tau


@checked
def nondecreasing(levels: int = 1000) -> Callable[..., Tau]:
    """A draw of non-decreasing clocks: frame-oriented probability propagation (FoPP).

    A pivot frame p ~ U{0..f-1} gets level t_p ~ U{0..T-1}; given both, every non-decreasing path through it is equally
    likely, and C(t_p + p, p) C(T-1-t_p + f-1-p, f-1-p) of them exist. So

        P(t) = 1 / (f T) sum_p 1 / (C(t_p + p, p) C(T-1-t_p + f-1-p, f-1-p)),  t_0 <= ... <= t_{f-1}

    tau_i = (t_i + u) / T with one u ~ U[0, 1) a sample: the pivot's clock is uniform on [0, 1], those of equal level
    are equal. The marginal of one given frame is not uniform: first frames lean to clean, last ones to noise.

    Args:
        levels: T, from 1 to 2^40; 1 is the draw `shared`.

    Raises:
        ValueError: levels is out of range.

    Source: FoPP, arXiv 2503.07418. Its tables of path counts are not needed: a uniform path is a uniform multiset of
    levels, put in order, and Polya's urn draws it for all samples at once.
    """
    if not 1 <= levels <= MOST_LEVELS:
        raise ValueError(f"levels={levels}: paths live on a grid of at least 1 level, at most 2^40.")

    @drawn
    def draw(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        check_draw(batch, frames)
        device = generator.device if generator else None
        pivot = torch.randint(frames, (batch, 1), generator=generator, device=device)
        start = torch.randint(levels, (batch, 1), generator=generator, device=device)
        chance = torch.rand(batch, frames + 1, dtype=torch.float64, generator=generator, device=device)
        # Frames before the pivot draw from an urn of the levels 0..t_p, those after it from t_p..T-1.
        frame = torch.arange(frames, device=device)
        after = frame > pivot
        first = torch.where(after, pivot + 1, 0)
        kinds = torch.where(after, levels - start, start + 1)
        ball = (chance[:, 1:] * (kinds + frame - first)).long()
        level = torch.where(after, start, 0) + ball
        level.scatter_(1, pivot, start)
        # One ball of each kind, and one more for each drawn: beyond the kinds lie copies of the draws before.
        copied = (ball >= kinds) & (frame != pivot)
        source = (first + ball - kinds).clamp(min=0)
        for i in range(1, frames):
            earlier = level.gather(1, source[:, i : i + 1])[:, 0]
            level[:, i] = torch.where(copied[:, i], earlier, level[:, i])
        return ((level.sort(dim=1).values + chance[:, :1]) / levels).float()

    return draw

"""One-dimensional noise grids, from noise (1) to clean (0): what a single frame's clock walks through.

A grid is a function (steps) -> levels (steps + 1,). `levels` takes one by name, as a function, or as plain numbers.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked, returned, shown
from pusa_lab.schedules.checks import ROUNDING, faults, snapped
from pusa_lab.types import Levels

Grid: TypeAlias = str | Callable[[int], Tensor] | Sequence[float | int] | Levels
"""A name in GRIDS, a function (steps) -> levels, or the levels themselves."""


MOST_STEPS = 10**6
"""Of a grid: float32 has no more distinct levels near 1 than about ten times as many."""
MOST_SHIFT = 1e6
"""Beyond it, and below its inverse, neighbouring levels of a grid of float32 fall together."""
MOST_LOGIT = 1e6
"""Means and deviations of logits beyond it leave no level but 0 and 1."""


def _even(steps: int) -> Float[Tensor, " rows"]:
    """1 - j / steps in double precision: the grids round once, at their end."""
    if not 1 <= steps <= MOST_STEPS:
        raise ValueError(f"steps={steps}: a schedule needs a whole number of steps, from 1 to {MOST_STEPS:,}.")
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64)


@checked
def linear(steps: int) -> Float[Tensor, " rows"]:
    """Evenly spaced levels.

    g_j = 1 - j / steps, j = 0..steps

    Args:
        steps: number of moves, at least 1; the grid has steps + 1 levels.

    Raises:
        ValueError: steps is below 1.
    """
    _even(steps)
    return torch.linspace(1, 0, steps + 1)


@checked
def wan(steps: int, clocks: int = 1000) -> Float[Tensor, " rows"]:
    """The levels of Wan's UniPC in diffusers; its flow_shift is the `shift` of the schedule. Errors as `linear`.

    g_j = 1 - (1 - 1 / clocks) j / steps for j < steps, g_steps = 0

    Args:
        steps: number of moves, at least 1.
        clocks: number of timesteps in training, at least 1.

    Source: UniPCMultistepScheduler with use_flow_sigmas in diffusers; Wan's own code takes `linear`.
    """
    if clocks < 1:
        raise ValueError(f"clocks={clocks}: give the number of timesteps in training, at least 1.")
    grid = 1 - (1 - 1 / clocks) * (1 - _even(steps))
    grid[-1] = 0
    return grid.float()


@checked
def cosine(steps: int) -> Float[Tensor, " rows"]:
    """The levels with the signal-to-noise ratio of the cosine schedule: fine at both ends. Errors as `linear`.

    g_j = sin(a) / (sin(a) + cos(a)), a = (pi / 2) (1 - j / steps)

    Args:
        steps: number of moves, at least 1.

    Source: CosMap, arXiv 2403.03206; the cosine schedule is of arXiv 2102.09672.
    """
    angle = _even(steps) * torch.pi / 2
    return (angle.sin() / (angle.sin() + angle.cos())).float()


@checked
def karras(
    steps: int, rho: float | int = 7.0, low: float | int = 0.002, high: float | int = 80.0
) -> Float[Tensor, " rows"]:
    """The levels of EDM, brought to the flow's path by tau = sigma / (1 + sigma), that is sigma = tau / (1 - tau).

    sigma_j = (high^(1/rho) + j / (steps - 1) (low^(1/rho) - high^(1/rho)))^rho for j < steps, sigma_steps = 0.
    The first level is 1 (sigma infinite) in place of high / (1 + high): sampling starts at noise alone.

    Args:
        steps: number of moves, at least 1.
        rho: how much finer low noise is walked, positive; 1 is even in sigma.
        low: sigma before the last move, above 0.
        high: sigma that the first level stands for, above `low`.

    Raises:
        ValueError: an argument is out of range.

    Source: Eq. 5, arXiv 2206.00364.
    """
    grid = _even(steps)
    if not (0 < rho < math.inf and 0 < low < high < math.inf):
        raise ValueError(f"rho={rho}, low={low}, high={high}: give finite numbers with rho > 0 and 0 < low < high.")
    # log(sigma_j / high) by the same formula, in which no power of a large or small number can overflow.
    fall = math.log(low) - math.log(high)
    part = torch.linspace(0, 1, steps, dtype=torch.float64)[1:]
    log_sigma = math.log(high) + (rho * (part * math.expm1(fall / rho)).log1p()).clamp(min=fall)
    grid[1:-1] = log_sigma.sigmoid()
    return grid.float()


@checked
def logit_normal(steps: int, mean: float | int = 0.0, std: float | int = 1.0) -> Float[Tensor, " rows"]:
    """The quantiles of a logit-normal draw: sampling spends its steps where training drew its clocks.

    g_j = sigmoid(mean + std Phi^-1(1 - j / steps)), Phi the normal distribution function

    Args:
        steps: number of moves, at least 1.
        mean: of logit(tau), at most 1e6 from 0; above 0 leans to noise.
        std: of logit(tau), above 0 and at most 1e6.

    Raises:
        ValueError: an argument is out of range.

    Source: the draw is of arXiv 2403.03206.
    """
    check_logits(mean, std)
    return torch.sigmoid(mean + std * torch.special.ndtri(_even(steps))).float()


@checked
def check_logits(mean: float | int, std: float | int) -> None:
    """Refuse a normal distribution of logits that has no spread, or leaves no level but 0 and 1.

    Args:
        mean: at most 1e6 from 0.
        std: above 0 and at most 1e6.

    Raises:
        ValueError: an argument is out of range.
    """
    if not 0 < std <= MOST_LOGIT:
        raise ValueError(f"std={std}: the standard deviation of the logits must be positive, at most {MOST_LOGIT:g}.")
    if not abs(mean) <= MOST_LOGIT:
        raise ValueError(f"mean={mean}: the mean of the logits must lie within {MOST_LOGIT:g} of 0.")


@checked
def shift_levels(levels: Float[Tensor, "*any"], shift: float | int) -> Float[Tensor, "*any"]:
    """Spend more of the grid at high noise; levels 0 and 1 stay.

    g' = s g / (1 + (s - 1) g)

    Args:
        levels: noise levels in [0, 1], any shape.
        shift: s from 1e-6 to 1e6; 1 changes nothing, Wan2.1 uses 3 (480p) or 5 (720p), Wan2.2-T2V-A14B uses 12.

    Raises:
        ValueError: shift or a level is out of range.

    Source: the resolution shift of arXiv 2403.03206 as Wan uses it; inverse: shift 1 / s.
    """
    check_shift(shift)
    if not ((levels >= -ROUNDING) & (levels <= 1 + ROUNDING)).all():
        raise ValueError(f"levels is {shown(levels)}, with numbers outside [0, 1]: give noise levels from 0 to 1.")
    levels = levels.clamp(0, 1)
    # The same divided by s: in this form levels 0 and 1 stay exactly, whatever the rounding.
    return levels / (levels + (1 - levels) / shift)


@checked
def check_shift(shift: float | int) -> None:
    """Refuse a shift that no grid of float32 can show.

    Args:
        shift: from 1e-6 to 1e6.

    Raises:
        ValueError: it is out of range.
    """
    if not 1 / MOST_SHIFT <= shift <= MOST_SHIFT:
        raise ValueError(
            f"shift={shift}: the shift must be positive and finite, from {1 / MOST_SHIFT:g} to {MOST_SHIFT:g} "
            f"(1 leaves the grid as it is)."
        )


@checked
def shifted(shift: float | int, grid: Callable[[int], Tensor] = linear) -> Callable[[int], Tensor]:
    """A grid of its own: another one, shifted once.

    Args:
        shift: see `shift_levels`.
        grid: (steps) -> levels.

    Raises:
        ValueError: shift is out of range.
    """
    check_shift(shift)
    return lambda steps: _falling(shift_levels(_made(grid, steps), shift))


def _falling(levels: Float[Tensor, " rows"]) -> Float[Tensor, " rows"]:
    """The same, where levels lie so close together that rounding made one rise."""
    return levels.cummin(0).values


def _made(grid: Callable[[int], Tensor], steps: int) -> Float[Tensor, " rows"]:
    """The levels of a grid's function, which anybody may have brought."""
    if isinstance(grid, torch.nn.Module):
        raise ValueError(f"grid is {shown(grid)}: give a function (steps) -> levels, such as schedules.linear.")
    return returned(grid(steps), Float[Tensor, " rows"], "the grid")


GRIDS: dict[str, Callable[..., Tensor]] = {f.__name__: f for f in (linear, wan, cosine, karras, logit_normal)}
"""Name -> function (steps, ...) -> levels."""


@checked
def levels(grid: Grid, steps: int, shift: float | int = 1.0) -> Float[Tensor, " rows"]:
    """The levels a schedule walks: names are shifted, once; what you bring yourself is kept exactly as it is.

    Args:
        grid: a name in GRIDS, a function (steps) -> levels, or the levels: in [0, 1], never rising, the last one 0.
        steps: number of moves, at least 1: one less than there are levels.
        shift: see `shift_levels`; only for names.

    Raises:
        ValueError: an argument is out of range, or a shift is asked of levels of your own.
    """
    if isinstance(grid, str):
        if grid not in GRIDS:
            raise ValueError(f"unknown grid {grid!r}: choose one of {', '.join(GRIDS)}.")
        return _falling(shift_levels(GRIDS[grid](steps), shift))
    if shift != 1:
        raise ValueError(f"shift={shift} and a grid of your own: its levels are kept as they are; give one of the two.")
    _even(steps)
    own = own_levels(cast(Tensor, _made(grid, steps) if callable(grid) else grid))
    if own.shape != (steps + 1,):
        raise ValueError(f"a grid of shape {tuple(own.shape)} for steps={steps}: give {steps + 1} levels.")
    if found := faults(own[:, None]):
        raise ValueError("not a grid: " + "; ".join(found[:5]).replace(", frame 0", "") + ".")
    return snapped(own[:, None])[:, 0]


@checked
def own_levels(levels: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Levels that somebody brought, as float32.

    Args:
        levels: numbers, as a list, an array or a tensor.
    """
    return levels.float()

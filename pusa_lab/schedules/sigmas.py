"""Sigmas: the noise levels of a single frame, from noise (1) to clean (0), as one column of a schedule has them.

They are made by a function (steps) -> levels (steps + 1,); `levels` takes its name, the function, or plain numbers.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked, listed, returned, shown
from pusa_lab.registry import Registry
from pusa_lab.schedules.checks import ROUNDING, faults, snapped
from pusa_lab.types import Levels

Sigmas: TypeAlias = str | Callable[[int], Tensor] | Sequence[float | int] | Levels
"""A name in SIGMAS, a function (steps) -> levels, or the levels themselves."""


MOST_SIGMAS = 10**6
"""Most steps: float32 has only about ten times as many distinct levels near 1."""
MOST_SHIFT = 1e6
"""Largest shift; beyond it, and below its inverse, neighbouring levels become equal in float32."""
MOST_LOGIT = 1e6
"""Largest mean and standard deviation of logits; beyond it, only the levels 0 and 1 are left."""


def _even(steps: int) -> Float[Tensor, " rows"]:
    """1 - j / steps in double precision, so that levels are rounded only once, at the end."""
    if not 1 <= steps <= MOST_SIGMAS:
        raise ValueError(f"steps={steps}: give a whole number of steps from 1 to {MOST_SIGMAS:,}.")
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64)


@checked
def linear(steps: int) -> Float[Tensor, " rows"]:
    """Evenly spaced levels.

    g_j = 1 - j / steps, j = 0..steps

    Args:
        steps: number of steps, 1 to 1,000,000; there are steps + 1 levels.

    Raises:
        ValueError: steps is out of range.
    """
    return torch.linspace(1, 0, len(_even(steps)))


@checked
def wan(steps: int, num_train_timesteps: int = 1000) -> Float[Tensor, " rows"]:
    """The levels of Wan's UniPC in diffusers, whose flow_shift is the `shift` of the schedule.

    g_j = 1 - (1 - 1 / num_train_timesteps) j / steps for j < steps, g_steps = 0

    Args:
        steps: number of steps, 1 to 1,000,000.
        num_train_timesteps: number of training timesteps, at least 1.

    Raises:
        ValueError: an argument is out of range.

    Source: UniPCMultistepScheduler with use_flow_sigmas in diffusers; Wan's own code uses `linear`.
    """
    if num_train_timesteps < 1:
        raise ValueError(f"num_train_timesteps={num_train_timesteps}: give at least 1.")
    g = 1 - (1 - 1 / num_train_timesteps) * (1 - _even(steps))
    g[-1] = 0
    return g.float()


@checked
def cosine(steps: int) -> Float[Tensor, " rows"]:
    """The levels with the signal-to-noise ratios of the cosine schedule, which are fine at both ends.

    g_j = sin(a) / (sin(a) + cos(a)), a = (pi / 2) (1 - j / steps)

    Args:
        steps: number of steps, 1 to 1,000,000.

    Raises:
        ValueError: steps is out of range.

    Source: CosMap, arXiv 2403.03206; the cosine schedule is from arXiv 2102.09672.
    """
    angle = _even(steps) * torch.pi / 2
    return (angle.sin() / (angle.sin() + angle.cos())).float()


@checked
def karras(
    steps: int, rho: float | int = 7.0, low: float | int = 0.002, high: float | int = 80.0
) -> Float[Tensor, " rows"]:
    """The levels of EDM, converted to flow matching by tau = sigma / (1 + sigma), so that sigma = tau / (1 - tau).

    sigma_j = (high^(1/rho) + j / (steps - 1) (low^(1/rho) - high^(1/rho)))^rho for j < steps, sigma_steps = 0.
    The first level is 1 (infinite sigma) instead of high / (1 + high), because sampling starts at pure noise.

    Args:
        steps: number of steps, 1 to 1,000,000.
        rho: how much finer the levels are at low noise, positive; 1 spaces them evenly in sigma.
        low: sigma before the last step, above 0.
        high: sigma that the first level replaces, above `low`.

    Raises:
        ValueError: an argument is out of range.

    Source: Eq. 5, arXiv 2206.00364.
    """
    g = _even(steps)
    if not (0 < rho < math.inf and 0 < low < high < math.inf):
        raise ValueError(f"rho={rho}, low={low}, high={high}: give finite numbers with rho > 0 and 0 < low < high.")
    # The same formula for log(sigma_j / high), in which no power of a large or small number can overflow.
    fall = math.log(low) - math.log(high)
    part = torch.linspace(0, 1, steps, dtype=torch.float64)[1:]
    log_sigma = math.log(high) + (rho * (part * math.expm1(fall / rho)).log1p()).clamp(min=fall)
    g[1:-1] = log_sigma.sigmoid()
    return g.float()


@checked
def logit_normal(steps: int, mean: float | int = 0.0, std: float | int = 1.0) -> Float[Tensor, " rows"]:
    """Quantiles of a logit-normal distribution, so that sampling uses the timesteps that training used most.

    g_j = sigmoid(mean + std Phi^-1(1 - j / steps)), Phi the standard normal distribution function

    Args:
        steps: number of steps, 1 to 1,000,000.
        mean: mean of logit(tau), from -1e6 to 1e6; a positive mean gives more levels with much noise.
        std: standard deviation of logit(tau), above 0 and at most 1e6.

    Raises:
        ValueError: an argument is out of range.

    Source: the timestep sampler of arXiv 2403.03206.
    """
    check_logits(mean, std)
    return torch.sigmoid(mean + std * torch.special.ndtri(_even(steps))).float()


@checked
def check_logits(mean: float | int, std: float | int) -> None:
    """Refuse a normal distribution of logits that is degenerate, or so wide that only the levels 0 and 1 are left.

    Args:
        mean: mean of the logits, from -1e6 to 1e6.
        std: standard deviation of the logits, above 0 and at most 1e6.

    Raises:
        ValueError: an argument is out of range.
    """
    if not 0 < std <= MOST_LOGIT:
        raise ValueError(f"std={std}: the standard deviation of the logits must be positive, at most {MOST_LOGIT:g}.")
    if not abs(mean) <= MOST_LOGIT:
        raise ValueError(f"mean={mean}: the mean of the logits must lie within {MOST_LOGIT:g} of 0.")


@checked
def shift_levels(levels: Float[Tensor, "*any"], shift: float | int) -> Float[Tensor, "*any"]:
    """Shift noise levels towards noise, so that more of them are at high noise; 0 and 1 stay the same.

    g' = s g / (1 + (s - 1) g)

    Args:
        levels: noise levels in [0, 1], any shape.
        shift: s from 1e-6 to 1e6; 1 changes nothing, Wan2.1 uses 3 (480p) or 5 (720p), Wan2.2-T2V-A14B uses 12.

    Raises:
        ValueError: shift or a level is out of range.

    Source: the resolution shift of arXiv 2403.03206 as Wan uses it. Its inverse is the shift 1 / s.
    """
    check_shift(shift)
    if not ((levels >= -ROUNDING) & (levels <= 1 + ROUNDING)).all():
        raise ValueError(f"levels is {shown(levels)}, with numbers outside [0, 1]: give noise levels from 0 to 1.")
    levels = levels.clamp(0, 1)
    # The formula divided by s: in this form 0 and 1 stay exact despite rounding.
    return levels / (levels + (1 - levels) / shift)


@checked
def check_shift(shift: float | int) -> None:
    """Refuse a shift that is too large or too small for levels in float32.

    Args:
        shift: shift s, from 1e-6 to 1e6.

    Raises:
        ValueError: it is out of range.
    """
    if not 1 / MOST_SHIFT <= shift <= MOST_SHIFT:
        raise ValueError(
            f"shift={shift}: the shift must be positive and finite, from {1 / MOST_SHIFT:g} to {MOST_SHIFT:g} "
            f"(1 leaves the levels as they are)."
        )


@checked
def shifted(shift: float | int, sigmas: Callable[[int], Tensor] = linear) -> Callable[[int], Tensor]:
    """Shift the levels that a function makes.

    Args:
        shift: s from 1e-6 to 1e6, see `shift_levels`.
        sigmas: (steps) -> levels (steps + 1,).

    Returns:
        A function (steps) -> shifted levels (steps + 1,).

    Raises:
        ValueError: shift is out of range.
    """
    check_shift(shift)
    return lambda steps: _falling(shift_levels(_made(sigmas, steps), shift))


def _falling(levels: Float[Tensor, " rows"]) -> Float[Tensor, " rows"]:
    """The same levels, without a rise that rounding caused between levels very close together."""
    return levels.cummin(0).values


def _made(sigmas: Callable[[int], Tensor], steps: int) -> Float[Tensor, " rows"]:
    """Call the function and check what it returns, because users can pass their own."""
    if isinstance(sigmas, torch.nn.Module):
        raise ValueError(f"sigmas is {shown(sigmas)}: give a function (steps) -> levels, such as schedules.linear.")
    return returned(sigmas(steps), Float[Tensor, " rows"], "the sigmas")


SIGMAS: Registry[Callable[..., Tensor]] = Registry(
    "sigma function", "pusa_lab.sigmas", (linear, wan, cosine, karras, logit_normal), "(steps) -> levels (steps + 1,)"
)
"""Name -> function (steps, ...) -> levels."""


@checked
def levels(sigmas: Sigmas, steps: int, shift: float | int = 1.0) -> Float[Tensor, " rows"]:
    """The noise levels that are meant: those of a name are shifted once; your own are kept exactly as they are.

    Args:
        sigmas: a name in SIGMAS, a function (steps) -> levels, or the levels: in [0, 1], never rising, the last one 0.
        steps: number of steps, 1 to 1,000,000, one less than the number of levels.
        shift: see `shift_levels`; must be 1 for your own sigmas.

    Returns:
        Levels (steps + 1,), float32.

    Raises:
        ValueError: an argument is out of range, a shift is given for your own sigmas, or they are not valid.
    """
    if isinstance(sigmas, str):
        return _falling(shift_levels(SIGMAS.find(sigmas)(steps), shift))
    if shift != 1:
        raise ValueError(f"shift={shift} and sigmas of your own, which are kept as they are: give one of the two.")
    _even(steps)
    own = returned(_made(sigmas, steps) if callable(sigmas) else sigmas, Float[Tensor, "*any"], "sigmas").float()
    if own.shape != (steps + 1,):
        raise ValueError(f"sigmas of shape {tuple(own.shape)} for steps={steps}: give {steps + 1} levels.")
    if found := faults(own[:, None]):
        raise ValueError(f"not sigmas: {listed(found).replace(', frame 0', '')}.")
    return snapped(own[:, None])[:, 0]

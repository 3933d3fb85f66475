"""Training draws of tau: each is (batch, frames, generator) -> tau (b, f) in [0, 1]."""

from collections.abc import Callable
from typing import TypeAlias

import torch

from pusa_lab.schedules.grids import shift_levels
from pusa_lab.types import Tau

Draw: TypeAlias = Callable[..., Tau]


def _uniform(batch: int, frames: int, generator: torch.Generator | None) -> Tau:
    return torch.rand(batch, frames, generator=generator, device=generator.device if generator else None)


def shared(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
    """One clock per sample, the same for all frames: how scalar models are trained.

    tau_i = u, u ~ U[0, 1)

    Args:
        batch: samples.
        frames: latent frames.
        generator: source of randomness; tau is made on its device.
    """
    return _uniform(batch, 1, generator).repeat(1, frames)


def independent(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
    """An independent clock for every frame: the paper's training of Pusa (p_async = 1).

    tau_i ~ U[0, 1) iid

    Args:
        batch: samples.
        frames: latent frames.
        generator: source of randomness; tau is made on its device.

    Source: section 2.3.2, arXiv 2507.16116.
    """
    return _uniform(batch, frames, generator)


def mixed(p_async: float = 0.5) -> Draw:
    """A draw that tosses a coin per sample: independent clocks with probability p_async, one shared clock otherwise.

    Args:
        p_async: probability in [0, 1].

    Raises:
        ValueError: p_async is outside [0, 1].

    Source: probabilistic timestep sampling (PTSS), arXiv 2410.03160; Eq. 11, arXiv 2507.16116.
    """
    if not 0 <= p_async <= 1:
        raise ValueError(f"p_async={p_async}: a probability lies in [0, 1].")

    def draw(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        alone = _uniform(batch, 1, generator) < p_async
        return torch.where(alone, independent(batch, frames, generator), shared(batch, frames, generator))

    return draw


def shifted(draw: Draw, shift: float) -> Draw:
    """A draw with its clocks pushed towards noise: tau' = s tau / (1 + (s - 1) tau).

    Args:
        draw: any draw.
        shift: s > 0; the released Pusa trainer draws from a grid of shift 5 (median tau .83).

    Raises:
        ValueError: shift is not positive.
    """
    shift_levels(torch.zeros(1), shift)

    def shifted_draw(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        return shift_levels(draw(batch, frames, generator), shift)

    return shifted_draw


DRAWS: dict[str, Callable[..., Draw]] = {
    "shared": lambda: shared,
    "independent": lambda: independent,
    "mixed": mixed,
}
"""Name -> maker of a draw, for configurations: DRAWS["mixed"](p_async=0.2)."""

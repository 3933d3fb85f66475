"""What every guided denoiser is: a denoiser that knows its price."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pusa_lab.annotations import attribute
from pusa_lab.arguments import checked
from pusa_lab.types import Denoiser, Tau, Video

MOST_SCALE = 1_000_000
"""A larger scale or weight is taken for a mistake; it would overflow."""


@checked
@dataclass(frozen=True)
class Guided:
    """A guided denoiser, called like any other, that knows its price."""

    velocity: Callable[..., Video]
    """(x, tau, **cond) -> v."""
    calls: int
    """Calls of the unguided denoiser for one velocity, at most; at least 1."""
    num_layers: int | None = None
    """Transformer blocks of the unguided denoiser, if its call takes `skip_layers`."""
    remembers: bool = False
    """Whether a velocity depends on those before it: such a guider must be the outermost."""

    def __post_init__(self) -> None:
        if self.calls < 1:
            raise ValueError(f"calls={self.calls}: a velocity takes at least 1 call of the denoiser.")

    def __call__(self, x: Video, tau: Tau, **cond: Any) -> Video:
        """The guided velocity (b, c, f, h, w) at x with timesteps tau (b, f)."""
        return self.velocity(x, tau, **cond)


@checked
def calls(denoiser: Denoiser) -> int:
    """Number of calls of the unguided denoiser for one velocity: 1, or more with guidance.

    Args:
        denoiser: guided or not.
    """
    return denoiser.calls if isinstance(denoiser, Guided) else 1


@checked
def num_layers(denoiser: Denoiser) -> int | None:
    """Transformer blocks of a denoiser whose call takes `skip_layers`, which says so by an attribute `num_layers`.

    Args:
        denoiser: guided or not.
    """
    found = attribute(denoiser, "num_layers")
    return found if isinstance(found, int) else None


@checked
def around(denoiser: Denoiser, velocity: Callable[..., Video], times: int, remembers: bool = False) -> Guided:
    """A guided denoiser, from what it guides and its own velocity: the last line of every guider.

    Args:
        denoiser: what is guided.
        velocity: (x, tau, **cond) -> v, which asks the denoiser.
        times: how often it asks for one velocity, at most.
        remembers: whether a velocity depends on those before it.

    Raises:
        ValueError: the denoiser itself remembers, so it must not be asked several times a step.
    """
    if isinstance(denoiser, Guided) and denoiser.remembers:
        raise ValueError(
            "a guider with momentum remembers the velocity before, which another guider around it would mix up: "
            "put the one with momentum last."
        )
    return Guided(velocity, calls(denoiser) * times, num_layers(denoiser), remembers)

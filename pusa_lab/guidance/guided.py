"""What every guided denoiser is: a denoiser that knows its price."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.types import Denoiser, Tau, Video


@checked
@dataclass(frozen=True)
class Guided:
    """A guided denoiser, called like any other, that knows its price."""

    velocity: Callable[..., Video]
    """(x, tau, **cond) -> v."""
    calls: int
    """Calls of the unguided denoiser for one velocity, at most; at least 1."""

    def __post_init__(self) -> None:
        if self.calls < 1:
            raise ValueError(f"calls={self.calls}: a velocity takes at least 1 call of the denoiser.")

    def __call__(self, x: Video, tau: Tau, **cond: Any) -> Video:
        """The guided velocity (b, c, f, h, w) at x with clocks tau (b, f)."""
        return self.velocity(x, tau, **cond)


@checked
def calls(denoiser: Denoiser) -> int:
    """Calls of the unguided denoiser for one velocity: 1, or what guidance makes of it.

    Args:
        denoiser: guided or not.
    """
    return denoiser.calls if isinstance(denoiser, Guided) else 1

"""Functions that make a schedule: the zoo's and other people's, called with what they take."""

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

from pusa_lab.arguments import ArgumentError, returned
from pusa_lab.types import Schedule


def call(schedule: Callable[..., Any], steps: int, frames: int, shift: float | None, own_shift: float) -> Schedule:
    """What a schedule's function returns, called with a shift only where it takes one.

    Args:
        schedule: (steps, frames) or (steps, frames, shift=...) -> levels (rows, f) as a list, an array or a tensor.
        steps: of each frame.
        frames: latent frames.
        shift: that was asked for, positive; None where none was.
        own_shift: used where none was asked for.

    Raises:
        ValueError: it cannot be called so, takes no shift though one was asked for, or returns no matrix.
    """
    options = {"shift": own_shift if shift is None else shift}
    if (signature := _signature(schedule)) is not None:
        kinds = {p.kind for p in signature.parameters.values()}
        if "shift" not in signature.parameters and inspect.Parameter.VAR_KEYWORD not in kinds:
            options = {}
        try:
            signature.bind(steps, frames, **options)
        except TypeError:
            raise ArgumentError(
                f"schedule is a function {signature}: give one that is called as schedule(steps, frames, shift=...), "
                f"or as schedule(steps, frames)."
            ) from None
    if shift is not None and not options:
        raise ValueError(f"shift={shift} with a schedule function that takes no shift: leave it out.")
    return returned(schedule(steps, frames, **options), Schedule, "the schedule's function")


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """None of functions written in C, which do not say what they take."""
    with contextlib.suppress(ValueError):
        return inspect.signature(function)
    return None

"""Call functions that make a schedule, those of the zoo and those of users, with the arguments that they take."""

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

from pusa_lab.arguments import ArgumentError, returned
from pusa_lab.types import Schedule


def call(schedule: Callable[..., Any], steps: int, frames: int, shift: float | None, own_shift: float) -> Schedule:
    """Call a function that makes a schedule, with a shift only if it takes one.

    Args:
        schedule: (steps, frames) or (steps, frames, shift=...) -> noise levels (rows, f) as a list, an array or a
            tensor.
        steps: steps of each frame, at least 1.
        frames: latent frames, at least 1.
        shift: the user's shift, positive; None if the user gave none.
        own_shift: shift used when the user gave none, positive.

    Returns:
        Noise levels (rows, f).

    Raises:
        ValueError: the function cannot be called this way, takes no shift although the user gave one, or does not
            return a matrix.
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
                f"schedule is a function {signature}: give one that can be called as schedule(steps, frames, "
                f"shift=...) or as schedule(steps, frames)."
            ) from None
    if shift is not None and not options:
        raise ValueError(f"shift={shift} with a schedule function that takes no shift: leave it out.")
    return returned(schedule(steps, frames, **options), Schedule, "the schedule's function")


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """The signature of a function, or None for functions written in C that have none."""
    with contextlib.suppress(ValueError):
        return inspect.signature(function)
    return None

"""Call functions that make a schedule, those of the zoo and those of users, with the arguments that they take."""

from collections.abc import Callable
from typing import Any

from pusa_lab.arguments import check_takes, returned
from pusa_lab.signatures import takes_keyword
from pusa_lab.types import Schedule


def call(
    name: str, schedule: Callable[..., Any], steps: int, frames: int, shift: float | None, own_shift: float
) -> Schedule:
    """Call a function that makes a schedule, with a shift only if it takes one.

    Args:
        name: what to call it in the sentence, such as "the schedule pyramid".
        schedule: (steps, frames) or (steps, frames, shift=...) -> noise levels (rows, f) as a list, an array or a
            tensor.
        steps: steps of each frame, at least 1.
        frames: latent frames, at least 1.
        shift: the user's shift, positive; None if the user gave none.
        own_shift: shift used when the user gave none, positive.

    Returns:
        Noise levels (rows, f).

    Raises:
        ValueError: the function cannot be called this way, takes no shift although the user gave one, or does
            not return a matrix with one column per frame.
    """
    options = {"shift": own_shift if shift is None else shift} if takes_keyword(schedule, "shift") else {}
    if shift is not None and not options:
        raise ValueError(f"{name} takes no shift, but shift={shift} was given: leave it out.")
    check_takes(name, schedule, {"steps": steps, "frames": frames}, **options)
    if (matrix := returned(schedule(steps, frames, **options), Schedule, name)).shape[1] != frames:
        raise ValueError(f"{name} returned {matrix.shape[1]} columns for frames={frames}: return one per frame.")
    return matrix


def schedule_name(schedule: object) -> str:
    """What to call a schedule in a sentence: "the schedule pyramid"; "" for a matrix, which has no name.

    Args:
        schedule: a name, a function, or noise levels.
    """
    function = getattr(schedule, "func", schedule)  # of functools.partial
    text = schedule if isinstance(schedule, str) else getattr(function, "__name__", "")
    name = text.partition("(")[0].rpartition(":")[2]  # of one with settings, or an import path
    named = f"the schedule {name}" if name.isidentifier() else "the schedule's function"
    return named if isinstance(schedule, str) or callable(schedule) else ""

"""What a person gives the sampling loop, checked: a schedule of any kind and a solver."""

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import torch

from pusa_lab.annotations import attribute
from pusa_lab.arguments import check_takes, checked, returned
from pusa_lab.schedules import SCHEDULES, as_schedule
from pusa_lab.sentences import counted
from pusa_lab.signatures import takes_keyword
from pusa_lab.solvers import SOLVERS, Solver
from pusa_lab.types import Rising, Schedule, Schedules, Video

Matrix: TypeAlias = Schedule | Schedules | Rising
"""Noise levels (rows, f) or (b, rows, f), as they are or as a `Rising`."""
AnySchedule: TypeAlias = str | Callable[..., Matrix] | Matrix
"""A name in SCHEDULES, a function (steps, frames, shift=...), or noise levels."""


@checked
def levels_of(matrix: Matrix) -> Schedule | Schedules:
    """The noise levels of a schedule of any kind, as a tensor (rows, f) or (b, rows, f).

    Args:
        matrix: noise levels, or a `Rising`.
    """
    return matrix.levels if isinstance(matrix, Rising) else matrix


@checked
def with_levels(matrix: Matrix, levels: Schedule | Schedules) -> Matrix:
    """A schedule of the same kind with other noise levels.

    Args:
        matrix: noise levels, or a `Rising`.
        levels: noise levels.
    """
    return Rising(levels) if isinstance(matrix, Rising) else levels


@checked
def as_matrix(
    schedule: AnySchedule,
    steps: int | None = None,
    frames: int | None = None,
    shift: float | int | None = None,
    own_shift: float | int = 1.0,
) -> Matrix:
    """Return the noise levels for a name, a function, or noise levels, without checking them for `faults`.

    Args:
        schedule: a name in SCHEDULES, a function (steps, frames, shift=...) or (steps, frames), or noise levels (rows,
            f) or (b, rows, f) as lists, an array, a tensor or a `Rising`.
        steps: steps of each frame, at least 1; None is 10. Refused when schedule holds noise levels.
        frames: latent frames, at least 1; None is 9, or as many as the noise levels are for.
        shift: shift of the sigmas, positive; None is `own_shift`. Refused when schedule holds noise levels.
        own_shift: shift used when none is given, positive.

    Returns:
        Noise levels (rows, f) or (b, rows, f), or a `Rising`.

    Raises:
        ValueError: the name is unknown, the function cannot be called this way, an argument is out of range, or
            noise levels are given together with steps, a shift, or another number of frames.
    """
    found = SCHEDULES.find(schedule) if isinstance(schedule, str) else schedule
    if not isinstance(found, torch.Tensor | Rising):
        steps, frames = 10 if steps is None else steps, 9 if frames is None else frames
        return _made(schedule_name(schedule), found, steps, frames, shift, own_shift)
    rows, columns = levels_of(found).shape[-2:]
    if frames not in (None, columns):
        raise ValueError(
            f"a matrix of {counted(columns, 'column')} for {counted(frames, 'frame')}: give one per frame."
        )
    for name, value in {"steps": steps, "shift": shift}.items():
        if value is not None:
            raise ValueError(
                f"{name}={value} with a matrix of {counted(rows, 'row')} and {counted(columns, 'column')}: make the "
                f"matrix with {name}={value}, or leave {name} out."
            )
    return found


def _made(
    name: str, schedule: Callable[..., Any], steps: int, frames: int, shift: float | None, own_shift: float
) -> Matrix:
    """What a function makes, called with a shift only if it takes one."""
    options = {"shift": own_shift if shift is None else shift} if takes_keyword(schedule, "shift") else {}
    if shift is not None and not options:
        raise ValueError(f"{name} takes no shift, but shift={shift} was given: leave it out.")
    if inspect.isclass(schedule):
        raise ValueError(f"{name} is a class: give a function (steps, frames) -> matrix.")
    check_takes(name, schedule, {"steps": steps, "frames": frames}, **options)
    matrix = returned(schedule(steps, frames, **options), Matrix, name)
    if (columns := levels_of(matrix).shape[-1]) != frames:
        raise ValueError(f"{name} returned {columns} columns for frames={frames}: return one per frame.")
    return matrix


def schedule_name(schedule: object) -> str:
    """What to call a schedule in a sentence: "the schedule pyramid"; "" for noise levels, which have no name.

    Args:
        schedule: a name, a function, or noise levels.
    """
    function = attribute(schedule, "func") or schedule  # of functools.partial
    text = schedule if isinstance(schedule, str) else str(attribute(function, "__name__") or "")
    name = text.partition("(")[0].rpartition(":")[2]  # of one with settings, or an import path
    named = f"the schedule {name}" if name.isidentifier() else "the schedule's function"
    return named if isinstance(schedule, str) or callable(schedule) else ""


@checked
def checked_matrix(matrix: Matrix, samples: int, whole: bool = True, name: str = "") -> Matrix:
    """Check noise levels, those of each sample by themselves, and return them as `schedules.as_schedule` does.

    Args:
        matrix: noise levels (rows, f) or (b, rows, f), or a `Rising`.
        samples: b.
        whole: whether every frame must end clean.
        name: what to call them in the sentence, such as "the schedule pyramid".

    Raises:
        ValueError: they are not a schedule, or not for as many samples.
    """
    levels, rising = levels_of(matrix), isinstance(matrix, Rising)
    if levels.ndim == 2:
        return with_levels(matrix, as_schedule(levels, whole, name, rising))
    if len(levels) != samples:
        raise ValueError(
            f"the schedule has shape {tuple(levels.shape)} (b rows f) for {counted(samples, 'sample')}: give one "
            f"matrix (rows, f) for all, or one for each."
        )
    what = name or "the schedule"
    each = [as_schedule(one, whole, f"{what} of sample {i}", rising) for i, one in enumerate(levels)]
    return with_levels(matrix, torch.stack(each))


@checked
def schedule_for(x: Video, schedule: AnySchedule, steps: int | None, shift: float | int | None, whole: bool) -> Matrix:
    """The schedule that latents are sampled by, checked.

    Args:
        x: latents (b, c, f, h, w).
        schedule: as `as_matrix` takes it.
        steps: as `as_matrix` takes them.
        shift: as `as_matrix` takes it.
        whole: whether every frame must end clean.

    Raises:
        ValueError: it is not valid, or for another number of samples or frames.
    """
    if isinstance(schedule, torch.Tensor | Rising) and (n := levels_of(schedule).shape[-1]) != x.shape[2]:
        columns, frames = counted(n, "column"), counted(x.shape[2], "frame")
        raise ValueError(f"schedule is a matrix of {columns}, but x has {frames}: give one column per frame.")
    return checked_matrix(as_matrix(schedule, steps, x.shape[2], shift), len(x), whole, schedule_name(schedule))


@checked
def solver_of(solver: str | Solver) -> Solver:
    """The solver of a name, or what was given.

    Args:
        solver: a name in `solvers.SOLVERS`, a function, or settings such as `solvers.AdamsBashforth(3)`.

    Raises:
        ValueError: there is none of this name, or it cannot be called as one.
    """
    if inspect.isclass(solver):
        raise ValueError(f"solver is the class {solver.__name__}: give an instance, such as {solver.__name__}().")
    if inspect.isfunction(solver):
        check_takes("the solver", solver, dict.fromkeys(("denoiser", "x", "tau", "tau_next")))
    return SOLVERS.find(solver) if isinstance(solver, str) else solver

"""Schedules: the noise level of every frame at every step of sampling, as plain (rows, frames) tensors.

Your own matrix is a schedule too; `validate(torch.as_tensor(rows))` says what is wrong with it, if anything.
"""

from collections.abc import Callable
from typing import TypeAlias

from pusa_lab.arguments import checked
from pusa_lab.registry import Registry
from pusa_lab.schedules import sigmas, timestep_samplers
from pusa_lab.schedules.checks import (
    Description,
    as_schedule,
    describe,
    faults,
    marks,
    remarks,
    starts_as_noise,
    validate,
)
from pusa_lab.schedules.compose import (
    concatenate_frames,
    concatenate_rows,
    crop,
    from_columns,
    repeat_columns,
    stretch,
)
from pusa_lab.schedules.functions import call, schedule_name
from pusa_lab.schedules.matrices import (
    autoregressive,
    delayed,
    frame_indices,
    hold,
    noise_levels,
    pyramid,
    scale_columns,
    synchronous,
)
from pusa_lab.schedules.sigmas import SIGMAS, linear, shift_levels
from pusa_lab.schedules.timestep_samplers import TIMESTEP_SAMPLERS
from pusa_lab.schedules.waves import (
    blockwise,
    chunk_windows,
    rolling,
    rolling_window,
    staircase,
    trapezoid,
    two_sided,
)
from pusa_lab.sentences import counted
from pusa_lab.types import Schedule

_ZOO = (synchronous, hold, pyramid, autoregressive, trapezoid, two_sided, rolling, blockwise, staircase)
SCHEDULES: Registry[Callable[..., Schedule]] = Registry(
    "schedule", "pusa_lab.schedules", _ZOO, "(steps, frames, shift=1.0) -> noise levels (rows, f)"
)
"""The zoo: name -> function (steps, frames, ..., shift=..., sigmas=...) -> schedule. `SCHEDULES.register` adds one."""

AnySchedule: TypeAlias = str | Callable[..., Schedule] | Schedule
"""A name in SCHEDULES, a function (steps, frames, shift=...), or noise levels (rows, f)."""


@checked
def as_matrix(
    schedule: AnySchedule, steps: int | None = None, frames: int | None = None, shift: float | int | None = None
) -> Schedule:
    """Return the scheduling matrix for a name, a function, or noise levels, without checking it for `faults`.

    Args:
        schedule: a name in SCHEDULES, a function (steps, frames, shift=...) or (steps, frames), or noise levels
            (rows, f) as a list, an array or a tensor.
        steps: steps of each frame, at least 1; None is 10. Refused when schedule holds noise levels.
        frames: latent frames, at least 1; None is 9, or as many as the noise levels are for.
        shift: shift of the sigmas, positive; None is 1. Refused when schedule holds noise levels.

    Returns:
        Noise levels (rows, f).

    Raises:
        ValueError: the name is unknown, the function cannot be called this way, an argument is out of range, or
            noise levels are given together with steps, a shift, or another number of frames.
    """
    found = SCHEDULES.find(schedule) if isinstance(schedule, str) else schedule
    if callable(found):
        steps, frames = 10 if steps is None else steps, 9 if frames is None else frames
        return call(schedule_name(schedule), found, steps, frames, shift, 1.0)
    rows, columns = found.shape
    for name, value in {"steps": steps, "shift": shift, "frames": None if frames == columns else frames}.items():
        if value is not None:
            raise ValueError(
                f"{name}={value} with a matrix of {counted(rows, 'row')} and {counted(columns, 'column')}: make the "
                f"matrix with {name}={value}, or leave {name} out."
            )
    return found


__all__ = [
    "SCHEDULES",
    "SIGMAS",
    "TIMESTEP_SAMPLERS",
    "AnySchedule",
    "Description",
    "as_matrix",
    "as_schedule",
    "autoregressive",
    "blockwise",
    "chunk_windows",
    "concatenate_frames",
    "concatenate_rows",
    "crop",
    "delayed",
    "describe",
    "faults",
    "frame_indices",
    "from_columns",
    "hold",
    "linear",
    "marks",
    "noise_levels",
    "pyramid",
    "remarks",
    "repeat_columns",
    "rolling",
    "rolling_window",
    "scale_columns",
    "schedule_name",
    "shift_levels",
    "sigmas",
    "staircase",
    "starts_as_noise",
    "stretch",
    "synchronous",
    "timestep_samplers",
    "trapezoid",
    "two_sided",
    "validate",
]

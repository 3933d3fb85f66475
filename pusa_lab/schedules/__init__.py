"""Schedules: the noise level of every frame at every step of sampling, as plain (rows, frames) tensors.

Your own matrix is a schedule too; `validate(torch.as_tensor(rows))` says what is wrong with it, if anything. One that
goes back up is given as `Rising(matrix)`.
"""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

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
from pusa_lab.schedules.compose import concatenate_frames, concatenate_rows, crop, from_columns, repeat_columns, stretch
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
from pusa_lab.schedules.rising import repaint, repaint_rows, restart
from pusa_lab.schedules.sigmas import SIGMAS, linear, shift_levels
from pusa_lab.schedules.timestep_sampler_tasks import task_shares
from pusa_lab.schedules.timestep_samplers import TIMESTEP_SAMPLERS
from pusa_lab.schedules.waves import blockwise, chunk_windows, rolling, rolling_window, staircase, trapezoid, two_sided
from pusa_lab.types import Rising, Schedule

if TYPE_CHECKING:
    from pusa_lab.optimise import fit_schedule, generation_score, optimise, optimise_noise

_ZOO = (synchronous, hold, pyramid, autoregressive, trapezoid, two_sided, rolling, blockwise, staircase)
SCHEDULES: Registry[Callable[..., Schedule | Rising]] = Registry(
    "schedule", "pusa_lab.schedules", (*_ZOO, repaint, restart), "(steps, frames, shift=1.0) -> noise levels (rows, f)"
)
"""The zoo: name -> function (steps, frames, ..., shift=..., sigmas=...) -> schedule. `SCHEDULES.register` adds one.

`repaint` and `restart` go back up: they return a `Rising`.
"""


__all__ = [
    "SCHEDULES",
    "SIGMAS",
    "TIMESTEP_SAMPLERS",
    "Description",
    "Rising",
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
    "fit_schedule",
    "frame_indices",
    "from_columns",
    "generation_score",
    "hold",
    "linear",
    "marks",
    "noise_levels",
    "optimise",
    "optimise_noise",
    "pyramid",
    "remarks",
    "repaint",
    "repaint_rows",
    "repeat_columns",
    "restart",
    "rolling",
    "rolling_window",
    "scale_columns",
    "shift_levels",
    "sigmas",
    "staircase",
    "starts_as_noise",
    "stretch",
    "synchronous",
    "task_shares",
    "timestep_samplers",
    "trapezoid",
    "two_sided",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name in ("fit_schedule", "generation_score", "optimise", "optimise_noise"):  # stand on `generate`, open on use
        return getattr(import_module("pusa_lab.optimise"), name)
    raise AttributeError(f"module 'pusa_lab.schedules' has no attribute {name!r}")

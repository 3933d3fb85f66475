"""The sampling loop, one for every schedule: it goes down the rows and updates each frame by its own timestep.

`sample_steps` yields every state, so progress bars, plots and the replacement of known frames need no callbacks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from pusa_lab.arguments import called, checked, name_of_first_nan, recording, shown
from pusa_lab.schedules import AnySchedule, as_matrix, as_schedule, schedule_name
from pusa_lab.sentences import counted
from pusa_lab.solvers import SOLVERS, Solver, StatefulSolver, Step, euler, euler_step, heun
from pusa_lab.timesteps import velocity_of, x0_from_v
from pusa_lab.types import Denoiser, Schedule, Tau, Video

__all__ = ["SOLVERS", "Solver", "State", "euler", "euler_step", "heun", "sample", "sample_steps"]


@dataclass
class State:
    """State of the sampling loop at a row. Assign to `x` to make the next step start from other latents."""

    row: int
    """Row of the schedule; 0 is the start."""
    tau: Tau
    """Timesteps (b, f) at this row."""
    x: Video
    """Latents (b, c, f, h, w) at these timesteps."""
    v: Video | None = None
    """Velocity (b, c, f, h, w) of the step that led here; None before the first denoiser call."""
    x0: Video | None = None
    """The model's estimate of the clean video, x - tau v before x is replaced; None before the first denoiser call."""


@checked
def sample_steps(
    denoiser: Denoiser,
    x: Video,
    schedule: AnySchedule,
    solver: str | Solver = "euler",
    *,
    steps: int | None = None,
    shift: float | int | None = None,
    whole: bool = True,
    **cond: Any,
) -> Iterator[State]:
    """Yield the state at every row of the schedule, including the start; x of the last state is the sample.

    Rows that change no timestep cost no denoiser call.

    Args:
        denoiser: (x, tau, **cond) -> v.
        x: latents (b, c, f, h, w), every frame at the noise level of row 0 of the schedule.
        schedule: a name in `schedules.SCHEDULES`, a function (steps, frames, shift=...), or noise levels (rows, f).
        solver: a name in SOLVERS, a function (denoiser, x, tau, tau_next, **cond) -> (x_next, v), or a stateful solver
            such as `solvers.AdamsBashforth(3)`, whose state lasts for this loop only.
        steps: steps of each frame, at least 1; None is 10. Refused when schedule holds noise levels.
        shift: shift of the sigmas, positive; None is 1. Refused when schedule holds noise levels.
        whole: whether every frame must end clean; give False for a part of a schedule, such as
            `schedules.rolling_window`.
        **cond: passed to the denoiser at every call.

    Raises:
        ValueError: x or a velocity is not finite, the schedule has another number of frames than x, or the schedule or
            the solver is not valid.
    """
    if isinstance(schedule, torch.Tensor) and schedule.shape[1] != x.shape[2]:
        raise ValueError(
            f"schedule is a matrix of {counted(schedule.shape[1], 'column')}, but x has "
            f"{counted(x.shape[2], 'frame')}: give a matrix with one column per frame."
        )
    schedule = as_schedule(as_matrix(schedule, steps, x.shape[2], shift), whole, schedule_name(schedule))
    if isinstance(solver, str):
        solver = SOLVERS.find(solver)
    if isinstance(solver, type):
        raise ValueError(f"solver is the class {solver.__name__}: give an instance, such as {solver.__name__}().")
    if not torch.isfinite(x).all():
        raise ValueError(f"the latents hold {int((~torch.isfinite(x)).sum())} NaN or infinite numbers before row 0.")
    return _loop(denoiser, x.detach(), schedule.to(x.device), solver, cond)


def _loop(denoiser: Denoiser, x: Video, schedule: Schedule, solver: Solver, cond: dict[str, Any]) -> Iterator[State]:
    step = solver.init_state() if isinstance(solver, StatefulSolver) else solver
    denoiser = partial(velocity_of, denoiser)
    state = State(0, schedule[0].repeat(len(x), 1), x.clone())
    yield state
    for row in range(1, len(schedule)):
        state = _next(step, denoiser, state, schedule[row - 1 : row + 1], cond)
        yield state


def _next(step: Step, denoiser: Denoiser, state: State, rows: Schedule, cond: dict[str, Any]) -> State:
    """The state after one step, from one row to the next."""
    x, v, x0, row = state.x, state.v, state.x0, state.row + 1
    tau, tau_next = rows[0].expand(len(x), -1), rows[1].repeat(len(x), 1)
    if not torch.equal(rows[0], rows[1]):
        with torch.no_grad(), recording() as results:
            given = {"denoiser": denoiser, "x": x, "tau": tau, "tau_next": tau_next}
            x, v = _moved(called("the solver", step, given, **cond), x)
            x0 = x0_from_v(x, v, tau_next)
        if not torch.isfinite(x0).all() and (name := name_of_first_nan(results)):  # x0 is finite only if x and v are
            raise ValueError(f"{name} returned NaN or infinity on the way to row {row} of the schedule.")
    return State(row, tau_next, x, v, x0)


def _moved(pair: Any, x: Video) -> tuple[Video, Video]:
    """Check what a solver returned, because users can pass their own."""
    two = isinstance(pair, tuple | list) and len(pair) == 2
    if not two or not all(isinstance(one, torch.Tensor) and one.shape == x.shape for one in pair):
        raise ValueError(
            f"the solver returned {shown(pair)}: it must return (x_next, v), each of x's shape {tuple(x.shape)}."
        )
    return pair[0], pair[1]


@checked
def sample(
    denoiser: Denoiser, x: Video, schedule: AnySchedule, solver: str | Solver = "euler", **options: Any
) -> Video:
    """Run the sampling loop and return the sample: the last x of `sample_steps`, which has the same arguments.

    Args:
        denoiser: (x, tau, **cond) -> v.
        x: latents (b, c, f, h, w), every frame at the noise level of row 0 of the schedule.
        schedule: a name, a function, or noise levels (rows, f).
        solver: a name, a function, or a stateful solver.
        **options: steps, shift and whole, as for `sample_steps`; all others are passed to the denoiser at every call.

    Raises:
        ValueError: as `sample_steps`.
    """
    for state in sample_steps(denoiser, x, schedule, solver, **options):
        last = state  # keeps only one state in memory; a list would keep all of them
    return last.x

"""The sampling loop, one for every schedule: it goes down the rows and updates each frame by its own timestep.

`sample_steps` yields every state, so progress bars, plots and the replacement of known frames need no callbacks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pusa_lab.arguments import called, checked, name_of_first_nan, recording, shown
from pusa_lab.noise import FRESH, Seed, noise_of
from pusa_lab.sampling_inputs import AnySchedule, levels_of, schedule_for, solver_of
from pusa_lab.solvers import SOLVERS, Solver, StatefulSolver, Step, euler, euler_step, heun
from pusa_lab.timesteps import noise_further, velocity_of, x0_from_v
from pusa_lab.types import Cond, Denoiser, Tau, Video

__all__ = ["SOLVERS", "Solver", "State", "euler", "euler_step", "heun", "next_state", "sample", "sample_steps"]


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
    seed: Seed = 0,
    **cond: Any,
) -> Iterator[State]:
    """Yield the state at every row of the schedule, including the start; x of the last state is the sample.

    Rows in which no timestep falls cost no denoiser call. Where timesteps rise, which only those of a `Rising` may, the
    frames are noised on with fresh noise, after the step of those that fall.

    Args:
        denoiser: (x, tau, **cond) -> v.
        x: latents (b, c, f, h, w), every frame at the noise level of row 0 of the schedule.
        schedule: a name in `schedules.SCHEDULES`, a function (steps, frames, shift=...), noise levels (rows, f), or (b,
            rows, f) with a matrix for each sample; a `Rising` of them may go back up.
        solver: a name in SOLVERS, a function (denoiser, x, tau, tau_next, **cond) -> (x_next, v), or a stateful solver
            such as `solvers.AdamsBashforth(3)`, whose state lasts for this loop only.
        steps: steps of each frame, at least 1; None is 10. Refused when schedule holds noise levels.
        shift: shift of the sigmas, positive; None is 1. Refused when schedule holds noise levels.
        whole: whether every frame must end clean; give False for a part of a schedule, such as
            `schedules.rolling_window`.
        seed: seed of the fresh noise of a `Rising`; sample i has seed + i, or its own from a list.
        **cond: passed to the denoiser at every call.

    Raises:
        ValueError: x or a velocity is not finite, the schedule has another number of frames than x, or the schedule or
            the solver is not valid.
    """
    matrix, solver = schedule_for(x, schedule, steps, shift, whole), solver_of(solver)
    if not torch.isfinite(x).all():
        raise ValueError(f"the latents hold {int((~torch.isfinite(x)).sum())} NaN or infinite numbers before row 0.")
    return _loop(denoiser, x.detach(), levels_of(matrix).movedim(-2, 0).to(x.device), solver, seed, cond)


def _loop(denoiser: Denoiser, x: Video, levels: Tensor, solver: Solver, seed: Seed, cond: Cond) -> Iterator[State]:
    """`levels` are (rows, f), or (rows, b, f) if each sample has its own."""
    step = solver.init_state() if isinstance(solver, StatefulSolver) else solver
    denoiser = partial(velocity_of, denoiser)
    state = State(0, levels[0].expand(len(x), -1).clone(), x.clone())
    yield state
    for row in range(1, len(levels)):
        tau, tau_next = (levels[k].expand(len(x), -1) for k in (row - 1, row))
        low = tau.minimum(tau_next)
        state = next_state(step, denoiser, state, tau, low, cond)
        if not torch.equal(low, tau_next):
            state.x = noise_further(state.x, noise_of(x.shape, seed, FRESH + row).to(state.x), low, tau_next)
            state.tau = tau_next.clone()
        yield state


@checked
def next_state(step: Step, denoiser: Denoiser, state: State, tau: Tau, tau_next: Tau, cond: Cond) -> State:
    """The state after the step of the frames whose timesteps fall from tau to tau_next; none that falls, no call.

    Args:
        step: (denoiser, x, tau, tau_next, **cond) -> (x_next, v).
        denoiser: (x, tau, **cond) -> v.
        state: at timesteps tau.
        tau: timesteps (b, f) in [0, 1].
        tau_next: timesteps (b, f) to reach, in [0, 1].
        cond: passed to the denoiser.

    Raises:
        ValueError: what the step returned is not finite, or of another shape.
    """
    x, v, x0, row = state.x, state.v, state.x0, state.row + 1
    if not torch.equal(tau, tau_next):
        with torch.no_grad(), recording() as results:
            given = {"denoiser": denoiser, "x": x, "tau": tau, "tau_next": tau_next}
            x, v = _moved(called("the solver", step, given, **cond), x)
            x0 = x0_from_v(x, v, tau_next)
        if not torch.isfinite(x0).all() and (name := name_of_first_nan(results)):  # x0 is finite only if x and v are
            raise ValueError(f"{name} returned NaN or infinity on the way to row {row} of the schedule.")
    return State(row, tau_next.clone(), x, v, x0)


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
        schedule: a name, a function, or noise levels, as for `sample_steps`.
        solver: a name, a function, or a stateful solver.
        **options: steps, shift, whole and seed, as for `sample_steps`; all others are passed to the denoiser at every
            call.

    Raises:
        ValueError: as `sample_steps`.
    """
    for state in sample_steps(denoiser, x, schedule, solver, **options):
        last = state  # keeps only one state in memory; a list would keep all of them
    return last.x

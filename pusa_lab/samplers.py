"""One sampler for every schedule: walk down the rows, moving each frame by its own clock.

`sample_steps` yields every state, so progress bars, plots and re-imposed frames need no callbacks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from pusa_lab.arguments import checked, shown
from pusa_lab.schedules import AnySchedule, as_matrix, as_schedule
from pusa_lab.solvers import SOLVERS, Remembering, Solver, Step, euler, euler_step, heun
from pusa_lab.timesteps import x0_from_v
from pusa_lab.types import Denoiser, Schedule, Tau, Video

__all__ = ["SOLVERS", "Solver", "State", "euler", "euler_step", "heun", "sample", "sample_steps"]


@dataclass
class State:
    """Where sampling stands after reaching a row. Assign `x` and the next step goes on from there."""

    row: int
    """Row of the schedule, 0 is the start."""
    tau: Tau
    """Clocks (b, f) at this row."""
    x: Video
    """Latents (b, c, f, h, w) at these clocks."""
    v: Video | None = None
    """The velocity that led here; None until the model has been asked."""
    x0: Video | None = None
    """What the model thinks the clean video is: x - tau v before any steering. None until it has been asked."""


@checked
def sample_steps(
    denoiser: Denoiser,
    x: Video,
    schedule: AnySchedule,
    solver: str | Solver = "euler",
    *,
    steps: int = 10,
    shift: float | int = 1.0,
    whole: bool = True,
    **cond: Any,
) -> Iterator[State]:
    """Yield the state at every row of the schedule, the start included; the last state's x is the sample.

    Rows in which no clock moves cost no denoiser call.

    Args:
        denoiser: (x, tau, **cond) -> v.
        x: latents (b, c, f, h, w), every frame at the level of the schedule's row 0.
        schedule: a name in `schedules.SCHEDULES`, a function (steps, frames, shift=...), or levels (rows, f).
        solver: a name in SOLVERS, a function (denoiser, x, tau, tau_next, **cond) -> (x_next, v), or settings such as
            `solvers.AdamsBashforth(3)`; what a solver remembers lives for this walk only.
        steps: moves of each frame, at least 1; unused when schedule holds levels.
        shift: shift of the grid; unused when schedule holds levels.
        whole: whether every frame must end clean; False walks a part, such as `schedules.rolling_window`.
        **cond: passed to the denoiser at every call.

    Raises:
        ValueError: x or a velocity is not finite, or schedule, frames or solver do not fit.
    """
    schedule = as_schedule(as_matrix(schedule, steps, x.shape[2], shift), whole)
    if schedule.shape[1] != x.shape[2]:
        raise ValueError(
            f"the schedule has {schedule.shape[1]} frames and x of shape {tuple(x.shape)} (b c f h w) has "
            f"{x.shape[2]}: make the schedule with frames={x.shape[2]}."
        )
    if isinstance(solver, str):
        if solver not in SOLVERS:
            raise ValueError(f"unknown solver {solver!r}: choose one of {', '.join(SOLVERS)}.")
        solver = SOLVERS[solver]
    if isinstance(solver, type):
        raise ValueError(f"solver is the class {solver.__name__}: give its settings, such as {solver.__name__}().")
    if not torch.isfinite(x).all():
        raise ValueError(f"the latents hold {int((~torch.isfinite(x)).sum())} NaN or infinite numbers before row 0.")
    return _walk(denoiser, x.detach(), schedule.to(x.device), solver, cond)


def _walk(denoiser: Denoiser, x: Video, schedule: Schedule, solver: Solver, cond: dict[str, Any]) -> Iterator[State]:
    step = solver.begin() if isinstance(solver, Remembering) else solver
    denoiser = _whole(denoiser)
    state = State(0, schedule[0].repeat(len(x), 1), x.clone())
    yield state
    for row in range(1, len(schedule)):
        state = _next(step, denoiser, state, schedule[row - 1 : row + 1], cond)
        yield state


def _next(step: Step, denoiser: Denoiser, state: State, rows: Schedule, cond: dict[str, Any]) -> State:
    """The state after a move from one row to the next."""
    x, v, x0, row = state.x, state.v, state.x0, state.row + 1
    tau, tau_next = rows[0].expand(len(x), -1), rows[1].repeat(len(x), 1)
    if not torch.equal(rows[0], rows[1]):
        with torch.no_grad():
            x, v = _moved(step(denoiser, x, tau, tau_next, **cond), x)
            x0 = x0_from_v(x, v, tau_next)
        if not torch.isfinite(v).all():
            raise ValueError(f"the denoiser returned NaN or infinity on the way to row {row} of the schedule.")
    return State(row, tau_next, x, v, x0)


def _moved(pair: Any, x: Video) -> tuple[Video, Video]:
    """What a solver returned, which anybody may have brought."""
    two = isinstance(pair, tuple | list) and len(pair) == 2
    if not two or not all(isinstance(one, torch.Tensor) and one.shape == x.shape for one in pair):
        raise ValueError(
            f"the solver returned {shown(pair)}: it must return (x_next, v), each of x's {tuple(x.shape)}."
        )
    return pair[0], pair[1]


def _whole(denoiser: Denoiser) -> Denoiser:
    """The same, but a velocity of another shape is an error: it would be stretched over frames without a word."""

    def whole(x: Video, tau: Tau, **cond: Any) -> Video:
        v = denoiser(x, tau, **cond)
        if not isinstance(v, torch.Tensor):
            raise ValueError(f"the denoiser returned {shown(v)}: a velocity is a tensor of x's shape.")
        if v.shape != x.shape:
            raise ValueError(
                f"the denoiser returned shape {tuple(v.shape)} for x of shape {tuple(x.shape)} (b c f h w): "
                f"a velocity has x's shape."
            )
        return v

    return whole


@checked
def sample(
    denoiser: Denoiser, x: Video, schedule: AnySchedule, solver: str | Solver = "euler", **options: Any
) -> Video:
    """The last x of `sample_steps`, with the same arguments and errors: the sample itself.

    Args:
        denoiser: (x, tau, **cond) -> v.
        x: latents (b, c, f, h, w), every frame at the level of the schedule's row 0.
        schedule: a name, a function, or levels (rows, f).
        solver: a name, a function, or settings.
        **options: steps, shift and whole, as `sample_steps`; all others are passed to the denoiser at every call.
    """
    for state in sample_steps(denoiser, x, schedule, solver, **options):
        last = state  # keeps one state alive, where a list would keep them all
    return last.x

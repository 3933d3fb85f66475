"""Solvers: how the frames move from one row of a schedule to the next, each along its own clock.

dx_i / dtau_i = v_i(x, tau). Every solver returns the v with x_next - tau_next v = its estimate of the clean video.
"""

from typing import Protocol, TypeAlias, runtime_checkable

from pusa_lab.solvers.multistep import AdamsBashforth, DPMSolver
from pusa_lab.solvers.noisy import Churn, Consistency
from pusa_lab.solvers.onestep import Step, euler, euler_step, heun, midpoint

__all__ = [
    "SOLVERS",
    "AdamsBashforth",
    "Churn",
    "Consistency",
    "DPMSolver",
    "Remembering",
    "Solver",
    "Step",
    "euler",
    "euler_step",
    "heun",
    "midpoint",
]


@runtime_checkable
class Remembering(Protocol):
    """A solver with memory (or noise of its own): its settings, from which each walk begins afresh."""

    def begin(self) -> Step:
        """A step with an empty memory, for one walk down one schedule."""


Solver: TypeAlias = Step | Remembering
"""A plain function, or settings that `begin` one for each walk."""


SOLVERS: dict[str, Solver] = {
    "euler": euler,
    "heun": heun,
    "midpoint": midpoint,
    "ab2": AdamsBashforth(2),
    "ab3": AdamsBashforth(3),
    "dpmpp_2m": DPMSolver(),
    "unipc": DPMSolver(correct=True),
    "churn": Churn(),
    "consistency": Consistency(),
}
"""Name -> solver: a function (denoiser, x, tau, tau_next, **cond) -> (x_next, v), or settings that `begin` one."""

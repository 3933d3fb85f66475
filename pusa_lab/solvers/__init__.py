"""Solvers: the step of all frames from one row of a schedule to the next, each by its own timestep.

dx_i / dtau_i = v_i(x, tau). Every solver returns the v with which x_next - tau_next v estimates the clean video.
"""

from typing import Protocol, TypeAlias, runtime_checkable

from pusa_lab.registry import Registry
from pusa_lab.solvers.multistep import AdamsBashforth, DPMSolver
from pusa_lab.solvers.noisy import Churn, Consistency
from pusa_lab.solvers.onestep import Step, euler, euler_step, heun, midpoint

__all__ = [
    "SOLVERS",
    "AdamsBashforth",
    "Churn",
    "Consistency",
    "DPMSolver",
    "Solver",
    "StatefulSolver",
    "Step",
    "euler",
    "euler_step",
    "heun",
    "midpoint",
]


@runtime_checkable
class StatefulSolver(Protocol):
    """A stateful solver: the settings of a solver that keeps a history or makes its own noise."""

    def init_state(self) -> Step:
        """Return a step function with a fresh state, for one run of the sampling loop."""


Solver: TypeAlias = Step | StatefulSolver
"""A plain step function, or a stateful solver, whose `init_state` makes one for each run of the sampling loop."""


SOLVERS: Registry[Solver] = Registry(
    "solver",
    "pusa_lab.solvers",
    {
        "euler": euler,
        "heun": heun,
        "midpoint": midpoint,
        "ab2": AdamsBashforth(2),
        "ab3": AdamsBashforth(3),
        "dpmpp_2m": DPMSolver(),
        "unipc": DPMSolver(correct=True),
        "churn": Churn(),
        "consistency": Consistency(),
    },
    StatefulSolver,
    "(denoiser, x, tau, tau_next, **cond) -> (x_next, v)",
)
"""Name -> solver: a function (denoiser, x, tau, tau_next, **cond) -> (x_next, v), or a stateful solver."""

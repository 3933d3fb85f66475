"""Schedulers of diffusers as schedules: their sigmas as a synchronous matrix, with the solver that takes their steps.

A scheduler is accepted where this is exact: it describes x = (1 - sigma) x0 + sigma eps with a model that predicts
v = eps - x0, and our solver takes the same steps. The model is given the sigmas themselves as timesteps, where
diffusers' multistep schedulers round 1000 sigma down to whole numbers.
"""

import copy
import inspect
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from pusa_lab.annotations import attribute
from pusa_lab.arguments import checked
from pusa_lab.schedules.sigmas import MOST_SIGMAS
from pusa_lab.types import Schedule


@runtime_checkable
class Scheduler(Protocol):
    """A scheduler of diffusers."""

    config: Any

    def set_timesteps(self, num_inference_steps: int) -> None:
        """Compute `sigmas` and `timesteps`."""

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor) -> Any:
        """Take one step."""


@dataclass(frozen=True)
class _Kind:
    """What the settings of a scheduler must be for its sigmas, and for the solver's steps, to be the same."""

    solver: str
    sigmas: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, Any] = field(default_factory=dict)
    doubled: bool = False
    """Whether every inner sigma is written twice."""


_FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "use_karras_sigmas": False}
_FLOW |= {"use_exponential_sigmas": False, "use_beta_sigmas": False, "use_lu_lambdas": False}
_FLOW |= {"use_dynamic_shifting": False, "final_sigmas_type": "zero"}
_SECOND = {"solver_order": 2, "lower_order_final": True, "thresholding": False}
_KINDS = {
    "FlowMatchEulerDiscreteScheduler": _Kind(
        "euler", {"use_dynamic_shifting": False, "invert_sigmas": False}, {"stochastic_sampling": False}
    ),
    "FlowMatchHeunDiscreteScheduler": _Kind("heun", doubled=True),
    "UniPCMultistepScheduler": _Kind(
        "unipc", _FLOW, _SECOND | {"solver_type": "bh2", "predict_x0": True, "disable_corrector": [], "solver_p": None}
    ),
    "DPMSolverMultistepScheduler": _Kind(
        "dpmpp_2m", _FLOW, _SECOND | {"algorithm_type": "dpmsolver++", "solver_type": "midpoint"}
    ),
}
"""Class of diffusers -> what it must be."""


@checked
def sigmas_of(scheduler: Scheduler, steps: int | None, own_solver: bool = True) -> tuple[Schedule, str]:
    """The sigmas of a scheduler as one column, and the name of the solver that takes its steps.

    Args:
        scheduler: of diffusers; it is left as it is.
        steps: steps, 1 to MOST_SIGMAS; None takes the sigmas that were set, or 10 steps.
        own_solver: whether the scheduler decides the solver too, whose settings are then checked.

    Returns:
        Noise levels (rows, 1), and a name in `solvers.SOLVERS`.

    Raises:
        ValueError: the scheduler is not a flow's, or has settings for which this would not be exact.
    """
    if steps is not None and not 1 <= steps <= MOST_SIGMAS:
        raise ValueError(f"steps={steps}: give a whole number of steps from 1 to {MOST_SIGMAS:,}.")
    name = type(scheduler).__name__
    if (kind := _KINDS.get(name)) is None:
        raise ValueError(
            f"the scheduler {name} is not one whose steps are exact here: give {', '.join(_KINDS)} with flow sigmas, "
            f"or a name in schedules.SCHEDULES and a solver."
        )
    _check_settings(name, scheduler.config, kind.sigmas | (kind.steps if own_solver else {}))
    scheduler = copy.deepcopy(scheduler)
    if steps is not None or attribute(scheduler, "num_inference_steps") is None:
        scheduler.set_timesteps(10 if steps is None else steps)
    found: Any = attribute(scheduler, "sigmas")
    sigmas = torch.as_tensor(found).detach().float().cpu()
    if kind.doubled:
        sigmas = torch.cat([sigmas[:1], sigmas[1:-1:2], sigmas[-1:]])
    return sigmas[:, None], kind.solver


@checked
def differing(scheduler: Scheduler) -> dict[str, Any]:
    """The settings of a scheduler that are not its class's defaults, in the order of their names.

    Args:
        scheduler: of diffusers.
    """
    usual = inspect.signature(type(scheduler)).parameters
    there = {name: attribute(scheduler.config, name) for name in sorted(usual)}
    return {name: value for name, value in there.items() if value != usual[name].default}


def _check_settings(name: str, config: Any, needed: dict[str, Any]) -> None:
    for key, value in needed.items():
        there = attribute(config, key)
        if (there or None) != (value or None):  # None, False and [] mean the same
            raise ValueError(
                f"the scheduler {name} has {key}={there!r:.40}, with which its steps are not those of a solver here: "
                f"set {key}={value!r}" + (", or give solver= to take its sigmas alone." if key in _ANY_STEPS else ".")
            )


_ANY_STEPS = {key for kind in _KINDS.values() for key in kind.steps}

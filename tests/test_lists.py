"""pytest tests/test_lists.py: lists and arrays are accepted wherever noise levels are, and make what tensors make."""

import importlib
import inspect
import pkgutil
import typing

import matplotlib.pyplot as plt
import pytest
import torch

import pusa_lab as pl
from pusa_lab import losses, resting, samplers, sampling_inputs, schedules, timesteps, viz
from pusa_lab.types import Schedule, Schedules, Tau

S = torch.tensor([[1.0, 1, 1], [0.5, 1, 1], [0, 0.5, 1], [0, 0, 0]])
X = torch.linspace(-1, 1, 3 * 2 * 2).view(1, 1, 3, 2, 2)
FORMS = {
    "lists": lambda x: x.tolist(),
    "tuples": lambda x: tuple(map(tuple, x.tolist())),
    "an array": lambda x: x.numpy(),
    "an array of float64": lambda x: x.double().numpy(),
    "rows that are tensors": list,
}


def denoiser(x, tau):
    return tau[:, None, :, None, None] - x


OF_SCHEDULES = {
    "validate": schedules.validate,
    "faults": schedules.faults,
    "remarks": schedules.remarks,
    "describe": lambda s: str(schedules.describe(s)),
    "as_schedule": schedules.as_schedule,
    "stretch": lambda s: schedules.stretch(s, 8),
    "crop": lambda s: schedules.crop(s, slice(1, 4)),
    "repeat_columns": lambda s: schedules.repeat_columns(s, 2),
    "scale_columns": lambda s: schedules.scale_columns(s, [0], 0.5),
    "concatenate_frames": lambda s: schedules.concatenate_frames([s, s]),
    "fit_schedule": lambda s: schedules.fit_schedule(s, 5, 3),
    "as_matrix": lambda s: sampling_inputs.as_matrix(s, frames=3),
    "moving_frames": resting.moving_frames,
    "sample": lambda s: samplers.sample(denoiser, X, s),
    "sample, a batch of schedules": lambda s: samplers.sample(denoiser, X, [s]),
    "sample_steps": lambda s: [state.x for state in samplers.sample_steps(denoiser, X, s)][-1],
    "plot_schedule": lambda s: torch.tensor(viz.plot_schedule(s).images[0].get_array()),
}
OF_TAU = {
    "interpolate": lambda t: timesteps.interpolate(X, -X, t),
    "x0_from_v": lambda t: timesteps.x0_from_v(X, -X, t),
    "check_tau": lambda t: timesteps.check_tau(t, X),
    "euler_step": lambda t: samplers.euler_step(X, -X, t, t),
    "fafm_loss": lambda t: losses.fafm_loss(denoiser, X, t, -X),
    "bell": losses.bell,
}


def same(a, b):
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", OF_SCHEDULES)
def test_a_schedule_may_be(name, form):
    call = OF_SCHEDULES[name]
    assert same(call(FORMS[form](S)), call(S))
    plt.close("all")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", OF_TAU)
def test_timesteps_may_be(name, form):
    tau, call = torch.tensor([[0.25, 0.5, 1.0]]), OF_TAU[name]
    assert same(call(FORMS[form](tau)), call(tau))


def test_whole_numbers_in_lists_are_levels():
    schedules.validate([[1, 1], [0, 0]])
    assert "row 1, frame 0: 1 should be 0" in schedules.faults([[1, 1], [1, 0]])[0]
    with pytest.raises(ValueError, match="floating"):  # a tensor of whole numbers may be anything
        schedules.validate(torch.zeros(3, 3, dtype=torch.long))


@pytest.mark.parametrize("form", FORMS)
def test_generate_takes_them(form, nano_vta):
    matrix = torch.stack([torch.ones(8), torch.linspace(0, 1, 8), torch.zeros(8)])
    ask = {"prompt": "a red circle moves right", "guidance": 1.0}
    made = pl.generate(nano_vta, **ask, schedule=FORMS[form](matrix))
    assert torch.equal(made.latents, pl.generate(nano_vta, **ask, schedule=matrix).latents)


ROOMS = ("timesteps", "losses", "samplers", "solvers", "schedules", "viz", "tasks", "conditions", "resting", "optimise")
INNER = {"pusa_lab.timesteps.velocity_by"}
"""Called in each step with what a door has converted."""


def functions():
    for room in ROOMS:
        package = importlib.import_module(f"pusa_lab.{room}")
        inside = pkgutil.walk_packages(getattr(package, "__path__", []), f"pusa_lab.{room}.")
        for module in (package, *(importlib.import_module(found.name) for found in inside)):
            for name, found in vars(module).items():
                if name[0] != "_" and inspect.isfunction(found) and found.__module__ == module.__name__:
                    yield f"{module.__name__}.{name}", found


def of_levels(function):
    hints = typing.get_type_hints(inspect.unwrap(function), include_extras=True)
    kinds = [kind for name, hint in hints.items() if name != "return" for kind in (hint, *typing.get_args(hint))]
    return any(kind is level for kind in kinds for level in (Tau, Schedule, Schedules))


def is_checked(function):
    """Whether `checked` is among its decorators; another is the tests' own check of shapes."""
    while function is not None and not function.__code__.co_filename.endswith("arguments.py"):
        function = getattr(function, "__wrapped__", None)
    return function is not None


def test_all_functions_of_noise_levels_convert_them():
    found = {name: function for name, function in functions() if of_levels(function)}
    assert len(found) > 30
    assert {name for name, function in found.items() if not is_checked(function)} == INNER

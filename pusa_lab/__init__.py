"""pusa_lab: one timestep per frame in video diffusion. Start at `generate`, or read from `timesteps` up.

Everything opens on first use, so that a command's help needs no torch.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pusa_lab import analytic, guidance, losses, pixels, samplers, schedules, solvers, tasks, timesteps, types
    from pusa_lab.causal import causal
    from pusa_lab.evaluation import evaluate
    from pusa_lab.extend import Extended, extend_to
    from pusa_lab.forgetting import measure_forgetting
    from pusa_lab.generate import generate, prepare
    from pusa_lab.model_checks import check_model
    from pusa_lab.models import load
    from pusa_lab.requests import Request
    from pusa_lab.results import load_result, rerun
    from pusa_lab.runs import Result, Run, decode
    from pusa_lab.streaming import Stream, Streamed, stream
    from pusa_lab.sweeps import compare, sweep

__version__ = "0.1.0"

_HOME = {
    "Extended": "extend",
    "Request": "requests",
    "Result": "runs",
    "Run": "runs",
    "Stream": "streaming",
    "Streamed": "streaming",
    "causal": "causal",
    "check_model": "model_checks",
    "compare": "sweeps",
    "decode": "runs",
    "evaluate": "evaluation",
    "extend_to": "extend",
    "generate": "generate",
    "load": "models",
    "load_result": "results",
    "measure_forgetting": "forgetting",
    "prepare": "generate",
    "rerun": "results",
    "stream": "streaming",
    "sweep": "sweeps",
}
"""Name -> module that has it."""
_OPTIONAL = (
    "data",
    "forgetting",
    "media",
    "metrics",
    "models",
    "notebook",
    "optimise",
    "planning",
    "streaming",
    "studio",
    "sweeps",
    "training",
    "viz",
    "vta",
    "wan",
)
"""Modules that may need more than torch."""

__all__ = [
    "Extended",
    "Request",
    "Result",
    "Run",
    "Stream",
    "Streamed",
    "analytic",
    "causal",
    "check_model",
    "compare",
    "decode",
    "evaluate",
    "extend_to",
    "generate",
    "guidance",
    "load",
    "load_result",
    "losses",
    "measure_forgetting",
    "pixels",
    "prepare",
    "rerun",
    "samplers",
    "schedules",
    "solvers",
    "stream",
    "sweep",
    "tasks",
    "timesteps",
    "types",
]


def __dir__() -> list[str]:
    return sorted([*__all__, *_OPTIONAL])


def __getattr__(name: str) -> Any:
    if name in _HOME:
        found = getattr(import_module(f"pusa_lab.{_HOME[name]}"), name)
        setattr(sys.modules[__name__], name, found)
        return found
    if name in (*__all__, *_OPTIONAL):
        return import_module(f"pusa_lab.{name}")
    raise AttributeError(f"module 'pusa_lab' has no attribute {name!r}")


class _Package(ModuleType):
    """`generate` and `causal` are the functions, also after the import system has bound the modules of these names."""

    def __setattr__(self, name: str, value: Any) -> None:
        bound = name in ("generate", "causal") and isinstance(value, ModuleType)
        super().__setattr__(name, getattr(value, name) if bound else value)


sys.modules[__name__].__class__ = _Package

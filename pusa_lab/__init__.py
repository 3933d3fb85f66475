"""pusa_lab: one clock per frame in video diffusion. Start at `generate`, or read from `timesteps` up."""

from importlib import import_module
from types import ModuleType

from pusa_lab import (
    analytic,
    guidance,
    losses,
    pixels,
    samplers,
    schedules,
    solvers,
    tasks,
    timesteps,
    types,
)
from pusa_lab.extend import Extended, extend_to
from pusa_lab.generate import Result, Run, generate, prepare

__version__ = "0.1.0"

_LAZY = ("clips", "media", "metrics", "notebook", "planning", "training", "viz", "wan", "widgets")

__all__ = [
    "Extended",
    "Result",
    "Run",
    "analytic",
    "extend_to",
    "generate",
    "guidance",
    "losses",
    "pixels",
    "prepare",
    "samplers",
    "schedules",
    "solvers",
    "tasks",
    "timesteps",
    "types",
]


def __dir__() -> list[str]:
    return sorted([*__all__, *_LAZY])


def __getattr__(name: str) -> ModuleType:
    """Rooms with heavier furniture (matplotlib, lightning, ...) open on first use."""
    if name in _LAZY:
        return import_module(f"pusa_lab.{name}")
    raise AttributeError(f"module 'pusa_lab' has no attribute {name!r}")

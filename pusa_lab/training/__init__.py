"""Training with one timestep per frame, on Lightning; everything opens on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pusa_lab.training.batch import Batch
    from pusa_lab.training.config import TrainConfig
    from pusa_lab.training.data import InMemoryDataset, LatentVideoDataModule
    from pusa_lab.training.flow_maps import FlowMapModule
    from pusa_lab.training.histories import HISTORIES
    from pusa_lab.training.loop import check_run, fit, run
    from pusa_lab.training.lora import add_lora, lora_changes, lora_state
    from pusa_lab.training.module import ClipModule, CodecModule, TrainedModule, VTAModule

_NAMES = {
    "batch": ("Batch",),
    "config": ("TrainConfig",),
    "data": ("InMemoryDataset", "LatentVideoDataModule"),
    "flow_maps": ("FlowMapModule",),
    "histories": ("HISTORIES",),
    "loop": ("check_run", "fit", "run"),
    "lora": ("add_lora", "lora_changes", "lora_state"),
    "module": ("ClipModule", "CodecModule", "TrainedModule", "VTAModule"),
}
"""Module -> its public names."""
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "HISTORIES",
    "Batch",
    "ClipModule",
    "CodecModule",
    "FlowMapModule",
    "InMemoryDataset",
    "LatentVideoDataModule",
    "TrainConfig",
    "TrainedModule",
    "VTAModule",
    "add_lora",
    "check_run",
    "fit",
    "lora_changes",
    "lora_state",
    "run",
]


def __dir__() -> list[str]:
    return list(__all__)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pusa_lab.training' has no attribute {name!r}")
    return getattr(import_module(f"pusa_lab.training.{_HOME[name]}"), name)

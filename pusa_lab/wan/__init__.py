"""Wan with one timestep per frame, through diffusers: Wan2.1-T2V-14B and 1.3B, Wan2.2-T2V-A14B and TI2V-5B."""

from importlib import import_module
from typing import Any

_HOME = {
    "VTAWanTransformer3DModel": "transformer",
    "WanModel": "model",
    "LoRAReport": "lora",
    "float8_errors": "precision_errors",
    "load_lora": "lora",
    "merge": "lora",
    "save_lora": "lora",
    "set_attention": "attention",
    "set_strengths": "lora",
    "unload_lora": "lora",
    "unmerge": "lora",
    "use_float8": "precision",
    "write_tiny_wan": "tiny",
}
"""Name -> module that defines it, imported on first use, because all need diffusers."""

__all__ = [*_HOME]


def __dir__() -> list[str]:
    return list(__all__)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pusa_lab.wan' has no attribute {name!r}")
    return getattr(import_module(f"pusa_lab.wan.{_HOME[name]}"), name)

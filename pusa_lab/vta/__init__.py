"""One timestep per frame for other transformers than Wan's: `adopt(pipe.transformer)`; all opens on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pusa_lab.vta.adoption import adopt, shared_timestep
    from pusa_lab.vta.ltx import VTALTXTransformer3DModel
    from pusa_lab.vta.skyreels import VTASkyReelsTransformer3DModel

_HOME = {
    "VTALTXTransformer3DModel": "ltx",
    "VTASkyReelsTransformer3DModel": "skyreels",
    "adopt": "adoption",
    "shared_timestep": "adoption",
}
"""Name -> module that defines it."""

__all__ = ["VTALTXTransformer3DModel", "VTASkyReelsTransformer3DModel", "adopt", "shared_timestep"]


def __dir__() -> list[str]:
    return list(__all__)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pusa_lab.vta' has no attribute {name!r}")
    return getattr(import_module(f"pusa_lab.vta.{_HOME[name]}"), name)

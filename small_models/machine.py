"""What a number was measured on."""

import platform
from importlib.metadata import PackageNotFoundError, version

import torch


def device_name() -> str:
    """The GPU's name, or the processor's architecture and thread count."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def library_versions() -> dict[str, str]:
    """Versions that a number depends on."""
    found = {"python": platform.python_version()}
    for name in ("torch", "diffusers", "lightning", "peft", "numpy", "pusa_lab"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed as a package"
    return found

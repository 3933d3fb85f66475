"""What a number was measured on."""

import platform

import torch

from pusa_lab.versions import versions


def device_name() -> str:
    """The GPU's name, or the processor's architecture and thread count."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def library_versions() -> dict[str, str]:
    """Versions that a number depends on."""
    return versions("torch", "diffusers", "lightning", "peft", "numpy", "pusa_lab")

"""What a number was measured on."""

import torch

from pusa_lab import versions as made_with


def device_name() -> str:
    """The GPU's name, or the processor's architecture and thread count."""
    name = made_with.device_name()
    return name if torch.cuda.is_available() else f"{name}, {torch.get_num_threads()} threads"


def library_versions() -> dict[str, str]:
    """Versions that a number depends on."""
    return made_with.versions("torch", "diffusers", "lightning", "peft", "numpy", "pusa_lab")

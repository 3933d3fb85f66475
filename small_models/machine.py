"""What a number was measured on."""

from pusa_lab.versions import device_name, versions

__all__ = ["device_name", "library_versions"]


def library_versions() -> dict[str, str]:
    """Versions that a number depends on."""
    return versions("torch", "diffusers", "lightning", "peft", "numpy", "pusa_lab")

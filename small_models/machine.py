"""What a number was measured on."""

from datetime import date
from typing import Any

from pusa_lab.cli.terminal import line
from pusa_lab.versions import device_name, versions

__all__ = ["conditions", "device_name", "library_versions"]


def library_versions() -> dict[str, str]:
    """Versions that a number depends on."""
    return versions("torch", "diffusers", "lightning", "peft", "numpy", "pusa_lab")


def conditions() -> dict[str, Any]:
    """The command that is running, the date, the device and the versions: what is written beside every number."""
    about = {"command": line.get(), "date": date.today().isoformat(), "device": device_name()}
    return {**about, "versions": library_versions()}

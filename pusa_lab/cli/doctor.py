"""`pusa-lab doctor`."""

import platform

from pusa_lab.cli.terminal import say
from pusa_lab.versions import missing_package, versions

PACKAGES = ("torch", "numpy", "safetensors", "av", "mediapy", "papermill", "lightning", "diffusers", "jupyterlab")
"""Packages whose versions are shown."""


def doctor() -> None:
    """Show what is installed, and whether a GPU will be used."""
    import torch

    from pusa_lab.models import model_names

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none, everything runs on the CPU"
    say(f"python {platform.python_version()} on {platform.machine()}, {torch.get_num_threads()} threads; GPU: {gpu}")
    found = versions(*PACKAGES)
    for name in PACKAGES:
        say(f"{name} {found[name]}" if name in found else missing_package(name))
    say(f"models: {', '.join(model_names()) or 'none'}")

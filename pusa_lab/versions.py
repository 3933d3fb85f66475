"""What a number was made with: versions of packages and the device; and a package that is missing."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PIP_NAMES = {"PIL": "pillow", "sklearn": "scikit-learn"}
"""Module -> the name of its package, where that is another."""


def missing_package(module: str) -> str:
    """The sentence for a module that cannot be imported, with its package's name and how to install it.

    Args:
        module: its name, such as PIL.Image.
    """
    top = module.partition(".")[0]
    name = PIP_NAMES.get(top, top.replace("_", "-"))
    return f"{name} is not installed: run `pip install {name}`, or `pip install -e '.[all]'` in a clone of pusa_lab."


def versions(*names: str) -> dict[str, str]:
    """Versions of Python and of the packages that are installed.

    Args:
        *names: of packages; without any, those on which a video depends.
    """
    names = names or ("pusa_lab", "torch", "diffusers", "transformers", "numpy")
    found = {name: _version(name) for name in names}
    return {"python": platform.python_version()} | {name: number for name, number in found.items() if number}


@cache  # the file that is read does not change while the package is imported
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def device_name(device: Any = None, threads: bool = True) -> str:
    """Name of the GPU, or the processor's architecture and number of threads: "NVIDIA H200", "x86_64 CPU, 2 threads".

    Args:
        device: a `torch.device` or its name; None is the GPU if there is one.
        threads: whether a CPU's threads are named.
    """
    import torch

    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if place.type == "cuda":
        return torch.cuda.get_device_name(place)
    if place.type != "cpu":
        return place.type
    return f"{platform.machine()} CPU" + (f", {torch.get_num_threads()} threads" if threads else "")

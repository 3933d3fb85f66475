"""Versions of what is installed."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version


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

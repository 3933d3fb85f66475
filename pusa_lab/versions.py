"""Versions of what is installed."""

import contextlib
import platform
from importlib.metadata import PackageNotFoundError, version


def versions(*names: str) -> dict[str, str]:
    """Versions of Python and of the packages that are installed.

    Args:
        *names: of packages; without any, those on which a video depends.
    """
    found = {"python": platform.python_version()}
    for name in names or ("pusa_lab", "torch", "diffusers", "transformers", "numpy"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found

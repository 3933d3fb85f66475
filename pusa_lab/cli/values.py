"""Values of options."""

from collections.abc import Mapping
from typing import Any


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given; the others are None, or False where the option alone sets them.

    Args:
        options: name -> value.
    """
    return {name: value for name, value in options.items() if value is not None and value is not False}


def flag(name: str) -> str:
    """An option as it is typed: --end-image for end_image.

    Args:
        name: of the option.
    """
    return f"--{name.replace('_', '-')}"


def pixels(size: str | None) -> tuple[int, int] | None:
    """480x832 as (480, 832), None as None.

    Args:
        size: of a video in pixels.

    Raises:
        ValueError: it is not written so.
    """
    if size is None:
        return None
    height, _, width = size.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise ValueError(f"{size!r:.60} is not a size: give HEIGHTxWIDTH, such as 480x832.")
    return int(height), int(width)

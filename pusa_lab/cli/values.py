"""Values of options."""

import re
from collections.abc import Iterable, Mapping
from typing import Any


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given; the others are None, or False where the option alone sets them.

    Args:
        options: name -> value.
    """
    return {name: value for name, value in options.items() if value is not None and value is not False}


def flag(name: str) -> str:
    """An option as it is typed: --end-image for end_image, --schedule-options.wait_for for schedule_options.wait_for.

    Args:
        name: of the option, perhaps with a key of its values after a dot.
    """
    option, dot, key = name.partition(".")
    return f"--{option.replace('_', '-')}{dot}{key}"


def in_flags(sentence: str, names: Iterable[str]) -> str:
    """A sentence of the library as the command line says it: --max-steps 5 for max_steps=5, without types and None.

    Args:
        sentence: of an error.
        names: of the command's options, as its function calls them; schedule_options.lag for a key of its values.
    """
    flags = {name.rpartition(".")[2]: flag(name) for name in names}
    own = "|".join(sorted(map(re.escape, flags), key=len, reverse=True)) or "(?!)"
    free, end = r"(?<![\w./'\"-])", r"(?=[\s,:;)]|\.?$|\.\s)"

    def typed(found: re.Match[str]) -> str:
        value = found[2]
        return flags[found[1]] + ("" if value == "True" else f" {value.strip(chr(39)) or value}")

    sentence = re.sub(rf"{free}({own})=('[^' ]*'|-?\w+(?:\.\d+)?(?:[+-]\d+)?){end}", typed, sentence)
    sentence = re.sub(rf"^({own})(?= is | \S+ is a (?:file|folder))", lambda found: flags[found[1]], sentence)
    sentence = re.sub(rf"^({own}) (\d+) x (\d+)", lambda found: f"{flags[found[1]]} {found[2]}x{found[3]}", sentence)
    sentence = re.sub(rf"{free}({own}){end}", lambda found: flags[found[1]] if "_" in found[1] else found[1], sentence)
    sentence = re.sub(r" \((?:an? )?(?:str|int|float|bool)\)", "", sentence)
    return re.sub(r" or None(?= or |\.$)", "", sentence)


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
        raise ValueError(f"--size {size!r:.60}: give HEIGHTxWIDTH in pixels, such as 480x832.")
    return int(height), int(width)

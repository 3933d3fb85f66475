"""The sizes that a toy or a codec may have, checked before anything of these sizes is built."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from pusa_lab.import_paths import is_import_path
from pusa_lab.sentences import counted

MOST_NUMBERS = 2**28
"""Numbers in the largest video that a toy may describe: 1 GiB."""
SIZES: dict[str, dict[str, int]] = {
    "text": {"dim": 2**14, "layers": 256, "longest": 2**16},
    "geometry": {"channels": 2**12, "frames": 2**12, "fps": 1000},
    "dit": {
        **dict.fromkeys(("in_channels", "out_channels"), 2**13),
        **dict.fromkeys(("text_dim", "freq_dim", "attention_head_dim"), 2**14),
        **{"num_attention_heads": 256, "ffn_dim": 2**16, "num_layers": 256},
    },
    "codec": {"base_dim": 2**12, "z_dim": 2**12, "num_res_blocks": 64},
}
"""The largest of each size; a checkpoint of the same sizes would take gigabytes."""
NEEDED = {"geometry": (*SIZES["geometry"], "stride", "size"), "dit": (*SIZES["dit"], "patch_size"), "text": ("dim",)}
"""Sizes that a preset must state; the others have defaults."""
LISTS = {"patch_size": 3, "stride": 3, "size": 2, "dim_mult": 4}
"""Sizes that are several numbers, and how many."""


class OddError(Exception):
    """Says in a few words what is wrong with a description."""


def check_toy(preset: Mapping[str, Any], inward: Callable[[int], int]) -> None:
    """Refuse a toy's preset that lacks a part, or has a size that is missing, out of range or of another type.

    Args:
        preset: with the parts text, geometry and dit.
        inward: from latent channels to the transformer's own.

    Raises:
        OddError: saying what is wrong.
    """
    world = preset.get("world")
    if not isinstance(world, str) or is_import_path(world):  # a world of one's own is known where it is imported
        raise OddError(f"world is {world!r:.40}, and not the name of a world")
    for part in ("text", "geometry", "dit"):
        if not isinstance(preset.get(part), dict):
            raise OddError(f"it has no {part}")
        check_part_sizes(part, preset[part])
    text, geometry, dit = preset["text"], preset["geometry"], preset["dit"]
    words = text.get("words")
    if not isinstance(words, list | tuple) or not words or not all(isinstance(word, str) for word in words):
        raise OddError("its words are not a list of texts")
    numbers = geometry["channels"] * geometry["frames"] * math.prod(geometry["size"]) * math.prod(geometry["stride"])
    if numbers > MOST_NUMBERS:
        raise OddError(f"a video of {counted(numbers, 'number')}, at most {MOST_NUMBERS} are read")
    c = geometry["channels"]
    if (dit["in_channels"], dit["out_channels"], dit["text_dim"]) != (inward(c), c, text["dim"]):
        raise OddError("its parts are of different sizes")


def check_part_sizes(part: str, sizes: Mapping[str, Any]) -> None:
    """Refuse sizes that are missing, out of range or of another type.

    Args:
        part: one of SIZES.
        sizes: as the part's constructor takes them.

    Raises:
        OddError: saying what is wrong.
    """
    for name, value in sizes.items():
        most, several = SIZES[part].get(name), LISTS.get(name)
        numbers = value if several and isinstance(value, list | tuple) else [value]
        if (several and len(numbers) != several) or ((several or most) and not all(type(n) is int for n in numbers)):
            raise OddError(f"{name} is {value!r:.40}, and not {several or 'a'} whole number{'s' if several else ''}")
        if (several or most) and not all(1 <= n <= (most or 2**12) for n in numbers):
            raise OddError(f"{name} is {value!r:.40}, and not from 1 to {most or 2**12}")
    if missing := [name for name in NEEDED.get(part, ()) if name not in sizes]:
        raise OddError(f"it has no {missing[0]}")

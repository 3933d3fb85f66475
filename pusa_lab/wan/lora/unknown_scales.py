"""Entries of a LoRA file that may scale its layers, although nothing says how; they are refused."""

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from pusa_lab.arguments import checked
from pusa_lab.wan.lora.names import PREFIXES

ALPHAS = ("lora_alpha", "network_alpha", "alpha")
"""Names of alpha, which divided by the rank is the scale."""
_OWNERS = r"(?:lora|peft|adapter|default|network|linear|conv|unet|train(?:ing)?|config)"
OTHER_NAMES = re.compile(
    rf"(?i)(?:{_OWNERS}[_.-]?)*(?:alpha|scale|scaling|multiplier|strength)|(?:{_OWNERS}[_.-]?)+scal(?:e|ing)_?factor"
)
"""Names of entries that may scale the layers; apart from `ALPHAS`, what they mean differs between tools."""


@checked
def is_other_scale(key: str) -> bool:
    """Whether an entry may state the scale of all layers, under a name that does not say how.

    Args:
        key: as it stands in the file.
    """
    name = re.sub(f"^{PREFIXES}", "", key)
    return name not in ALPHAS and OTHER_NAMES.fullmatch(name) is not None


@checked
def refuse_scale(key: str, value: Any, place: str, where: str) -> NoReturn:
    """Refuse an entry that may scale the layers in a way that cannot be known.

    Args:
        key: of the entry.
        value: of the entry.
        place: where it is.
        where: what to call the file in a sentence.

    Raises:
        ValueError: always.
    """
    raise ValueError(
        f"{where} has {key} ({value!r:.60}) in {place}, which may scale its layers in an unknown way: rename it to "
        f"lora_alpha if it is alpha, so that the scale is alpha / rank, or remove it if the scale is 1."
    )


@checked
def refuse_alphas(settings: Mapping[str, Any], place: str, where: str) -> None:
    """Refuse settings of a training with an alpha under another name; those of convolutions, which Wan lacks, may stay.

    Args:
        settings: as the training program stored them.
        place: where they are.
        where: what to call the file in a sentence.

    Raises:
        ValueError: there is such an alpha.
    """
    for name, value in settings.items():
        if is_other_scale(name) and re.search(r"(?i)(?<!conv_)alpha", name):
            refuse_scale(name, value, place, where)

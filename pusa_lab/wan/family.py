"""Wan as a family of models, for `pusa_lab.models`."""

import json
import re
from pathlib import Path
from typing import Any

from pusa_lab.models import ModelFamily, check_options


def _knows(name: str) -> bool:
    """Whether this is a folder that no other pipeline's index marks as its own, or looks like a repository's name."""
    if not Path(name).is_dir():
        return re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None
    try:
        kind = json.loads((Path(name) / "model_index.json").read_text())["_class_name"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return True  # `wan.folders.check_wan_folder` says what is wrong with it
    return not isinstance(kind, str) or kind.startswith("Wan")


def _load(source: str, **options: Any) -> Any:
    from pusa_lab.wan.model import WanModel

    check_options(WanModel.from_pretrained, options, "loading a Wan")
    for strength, lora in (("strength", "lora"), ("strength_low", "lora_low")):
        if strength in options and not options.get(lora):
            raise ValueError(f"{strength}={options[strength]} without a LoRA has no effect: give {lora}= too.")
    return WanModel.from_pretrained(source, **options)


def _load_encoders(source: str, **options: Any) -> Any:
    from pusa_lab.wan.encoders import WanEncoders

    return WanEncoders.from_pretrained(source, **options)


def _sizes(source: str) -> Any:
    from pusa_lab.wan.sizes import folder_config

    return folder_config(source)


def _outline(source: str, **options: Any) -> Any:
    from pusa_lab.wan.outline import read_outline

    return read_outline(source, **options)


def _digest(source: str, model: Any) -> str:
    """Digest of configs and samples of the weights."""
    folder = model.folder
    return "-".join(folder.identity(part) for part in (*folder.experts, "vae", "text_encoder"))


FAMILY = ModelFamily(
    "wan",
    "a Wan's folder or repository",
    _knows,
    _load,
    _load_encoders,
    sizes=_sizes,
    outline=_outline,
    digest=_digest,
)
"""Registered in pyproject.toml."""

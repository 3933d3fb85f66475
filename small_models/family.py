"""The toys as a family of models, for `pusa_lab.models`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pusa_lab.arguments import checked
from pusa_lab.models import ModelFamily
from small_models import zoo
from small_models.codec import Codec
from small_models.features import Features
from small_models.files import read_description, sha256
from small_models.model import ToyModel


def _knows(name: str) -> bool:
    return name in zoo.list_models() or name.endswith(".safetensors")


@checked
def load_toy(
    name: str,
    lora: str | Path | Sequence[str | Path] | None = None,
    strength: float | None = None,
    device: str | torch.device | None = None,
) -> ToyModel:
    """A toy that makes videos.

    Args:
        name: one of `small_models.list_models()`, or the path of a checkpoint.
        lora: a checkpoint that was trained from this one as a low-rank update: mini-vta.safetensors from mini-base.
        strength: of the low-rank update, in `lora` or in the model itself; None is 1, as trained.
        device: None is the GPU if there is one.

    Raises:
        ValueError: it makes no videos, the update belongs to another model, or as `small_models.load`.
    """
    model = zoo.load(name if lora is None else _update(name, lora), device, 1.0 if strength is None else strength)
    if isinstance(model, Codec):
        raise ValueError(f"{name} is a codec and makes no videos: choose a model built on it, such as mini-vta.")
    if isinstance(model, Features):
        raise ValueError(f"{name} only reads videos and makes none: choose another model, such as mini-vta.")
    return model


def _update(name: str, lora: str | Path | Sequence[str | Path]) -> str:
    """The path of an update that was trained from this model."""
    files = [lora] if isinstance(lora, str | Path) else list(lora)
    if len(files) != 1:
        raise ValueError(f"{len(files)} LoRA files for {name}: a toy takes one.")
    base = read_description(zoo.find(files[0])).get("base")
    if not isinstance(base, dict) or base.get("sha256") != sha256(zoo.find(name)):
        raise ValueError(f"{files[0]} is no low-rank update of {name}: give one that was trained from it.")
    return str(files[0])


def _load_encoders(name: str, **sizes: Any) -> ToyModel:
    """A toy reads clips of any size and length."""
    model = zoo.load(name)
    if not isinstance(model, ToyModel):
        raise ValueError(f"{name} reads no captions: choose a whole model, such as mini-vta.")
    return model


FAMILY = ModelFamily("toys", "a toy's .safetensors file", _knows, load_toy, _load_encoders, names=zoo.list_models)
"""Registered in pyproject.toml."""

"""The toys as a family of models, for `pusa_lab.models`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch

from pusa_lab.arguments import checked
from pusa_lab.files import digest
from pusa_lab.models import ModelFamily
from pusa_lab.sentences import counted
from small_models.models import zoo
from small_models.models.codec import Codec
from small_models.models.features import Features
from small_models.models.toy import ToyModel
from small_models.training.recipes import RECIPES
from small_models.world import WORLDS, add_world


def _knows(name: str) -> bool:
    return name in zoo.list_models() or name.endswith(".safetensors")


@checked
def load_toy(
    name: str,
    lora: str | Path | Sequence[str | Path] | None = None,
    strength: float | Sequence[float] | None = None,
    device: str | torch.device | None = None,
) -> ToyModel:
    """A toy that makes videos.

    Args:
        name: one of `small_models.list_models()`, or the path of a checkpoint.
        lora: a checkpoint that was trained from this one as a low-rank update: mini-vta.safetensors from mini-base.
        strength: of the low-rank update, in `lora` or in the model itself, as a number or a list of one; None is 1,
            as trained.
        device: None is the GPU if there is one.

    Raises:
        ValueError: it makes no videos, the update belongs to another model, or as `small_models.load`.
    """
    strengths: list[Any] = [1.0 if strength is None else strength] if not isinstance(strength, list) else strength
    if len(strengths) != 1:
        raise ValueError(f"{counted(len(strengths), 'strength')} for {name}: a toy takes one LoRA and one strength.")
    model = zoo.load(name if lora is None else _update(name, lora), device, strengths[0])
    if isinstance(model, Codec):
        raise ValueError(f"{name} is a codec and makes no videos: choose a model built on it, such as mini-vta.")
    if isinstance(model, Features):
        raise ValueError(f"{name} only reads videos and makes none: choose another model, such as mini-vta.")
    return model


def _update(name: str, lora: str | Path | Sequence[str | Path]) -> str:
    """The path of an update that was trained from this model."""
    files = [lora] if isinstance(lora, str | Path) else list(lora)
    if len(files) != 1:
        raise ValueError(f"{counted(len(files), 'LoRA file')} for {name}: a toy takes one.")
    shipped = [update for update in zoo.list_models() if zoo.is_update(update, name)]
    base = zoo.base_of(zoo.find_checkpoint(files[0], f"LoRA of {name}", shipped))
    if base is None:
        raise ValueError(
            f"{files[0]} is a whole model, not a low-rank update of {name}: load it by itself, as the model."
        )
    if digest(base) != digest(zoo.find_checkpoint(name)):
        own = base.stem if base.resolve().parent == zoo.CHECKPOINTS.resolve() else base
        raise ValueError(
            f"{files[0]} is a low-rank update of {own}, not of {name}: give {own} as the model, or an update that was "
            f"trained from {name}."
        )
    return str(files[0])


def _load_encoders(name: str, **sizes: Any) -> ToyModel:
    """A toy reads clips of any size and length."""
    model = zoo.load(name)
    if not isinstance(model, ToyModel):
        raise ValueError(f"{name} reads no captions: choose a whole model, such as mini-vta.")
    return model


def _sizes(name: str) -> NoReturn:
    """Refuse to plan a toy, and say what its training took."""
    about, path = zoo.card(name), zoo.find_checkpoint(name).with_suffix(".json")
    took = "give a Wan's name, folder or repository"
    if {"seconds", "device"} <= about.keys():
        took = f"training it took {about['seconds']:,.0f} s on {about['device']}, as its card {path} says"
    raise ValueError(f"{name} is a toy, and only a Wan is planned: {took}.")


def _presets() -> list[str]:
    return [*dict.fromkeys(model for model, _ in RECIPES), "all"]


def _learns(stage: str, data: str, own: bool) -> bool:
    """Whether a stage is one of all: a person's own clips have no labels for features, and i2v is the toys' control;
    actions are drawn in the toy's own world.
    """
    return not (own and stage in ("features", "i2v")) and not (data and stage == "actions")


@checked
def train_toys(
    model: str,
    stage: str = "vta",
    *,
    data: str = "",
    base: Path | None = None,
    resume: Path | None = None,
    logs: Path | None = None,
    **options: Any,
) -> Iterator[Path]:
    """Train one stage of one toy, or all; gives the path of each checkpoint when it is written.

    Args:
        model: nano, mini, or all.
        stage: codec, features, base, vta, actions, i2v, or all of them in this order; all of a folder are codec, base
            and vta.
        data: a world's name or import path, or a folder of clips; empty is the toy's own world.
        base: where codec, vta, actions and i2v start.
        resume: a checkpoint of the same run.
        logs: folder for curves; several stages get one each in it.
        **options: as `small_models.training.train.train`: out, fast, command, and fields of TrainConfig.

    Raises:
        ValueError: there is no such stage, or an option is for a single one.
    """
    from small_models.training import train

    own = bool(data) and add_world(data) not in WORLDS
    asked = [(m, s) for m, s in RECIPES if model in (m, "all")]
    jobs = [(m, s) for m, s in asked if s == stage or (stage == "all" and _learns(s, data, own))]
    if not jobs:
        stages = list(dict.fromkeys(s for _, s in asked))
        raise ValueError(f"no stage {stage!r:.40} of {model}: choose one of {', '.join(stages)}, or all.")
    for option, value in {"resume": resume, "base": base}.items():
        if len(jobs) > 1 and value:
            raise ValueError(f"--{option} is for a single stage: give --model and --stage.")
    if base and jobs[0][1] not in ("codec", "vta", "actions", "i2v"):
        raise ValueError(
            f"--base {base} has no effect on {jobs[0][1]}: leave it out, only codec, vta, actions and i2v start from "
            f"another checkpoint."
        )
    made: list[Path] = []
    for preset, job in jobs:
        place = logs / f"{preset}-{job}" if logs and len(jobs) > 1 else logs
        more: dict[str, Any] = {"earlier": made} if made else {}
        made.append(train.train(preset, job, base=base, data=data, logs=place, resume=resume, **more, **options))
        yield made[-1]


FAMILY = ModelFamily(
    "toys",
    "a toy's .safetensors file",
    _knows,
    load_toy,
    _load_encoders,
    names=zoo.list_models,
    train=train_toys,
    presets=_presets,
    sizes=_sizes,
    digest=lambda name, model: digest(zoo.find_checkpoint(name)),
)
"""Registered in pyproject.toml."""

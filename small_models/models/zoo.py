"""Shipped and own checkpoints of the toys: safetensors with the sizes inside, and a JSON card beside each."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pusa_lab.arguments import checked
from pusa_lab.files import digest, path_inside
from small_models.files import read_card, read_description, read_weights, write_weights
from small_models.models.codec import Codec
from small_models.models.description import KINDS, Undrawn, fault
from small_models.models.features import Features
from small_models.models.lora import merge_update
from small_models.models.toy import ToyModel

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"


def list_models() -> list[str]:
    """Names that `load` knows."""
    return sorted(path.stem for path in CHECKPOINTS.glob("*.safetensors") if "." not in path.stem)


@checked
def card(name: str | Path) -> dict[str, Any]:
    """How a shipped model was made and what it reaches: command, seed, data, device, versions, metrics, sha256.

    Args:
        name: one of `list_models()`, or the path of a checkpoint.

    Raises:
        ValueError: no such model.
    """
    return read_card(find_checkpoint(name)) or {}


@checked
def load(name: str | Path, device: str | torch.device | None = None, strength: float = 1.0) -> Any:
    """A model ready to use, in float32: a `ToyModel`, an `ImageToVideo`, a `FlowMapToy`, a `Codec`, or `Features`.

    Args:
        name: one of `list_models()`, or the path of a checkpoint written by `save`.
        device: where to put it; None is the GPU if there is one.
        strength: scales a low-rank update, W + strength B A; 1 is as trained, 0 is the base. Layers that an update
            brings whole (those that a picture passes through) are always as trained.

    Raises:
        ValueError: no such model, a truncated or changed file, one of another architecture, one whose base or codec is
            missing or another than it was trained with, or a strength that is not finite or finds no update.
    """
    return _load(find_checkpoint(name), device, strength)


def _load(path: Path, device: str | torch.device | None, strength: float = 1.0, compared: bool = False) -> Any:
    """The model of a file; `compared` says that the file's digest is the expected one."""
    about, weights = read_weights(path, compared)
    if not math.isfinite(strength):
        raise ValueError(f"strength={strength}: give a finite number, 1 is as trained.")
    if reason := fault(about, weights):
        raise ValueError(_other(path, reason))
    if strength != 1 and "base" not in about:
        raise ValueError(f"strength={strength}, but {path} has all weights and no low-rank update: leave it out.")
    place = _device(device)
    model = _build(path, about, weights, strength)
    return model.requires_grad_(False).eval().to(place)


def _device(device: str | torch.device | None) -> torch.device:
    """The device that was asked for, or the GPU if there is one."""
    try:
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f'device={str(device)!r} is not available: give "cpu", or "cuda" with a GPU.') from error
    return place


def _other(path: Path, reason: str) -> str:
    return f"{path} holds another architecture than this package builds ({reason}): give a checkpoint of its own kind."


@checked
def save(model: ToyModel | Codec | Features, path: Path, about: dict[str, Any], codec: Path | None = None) -> None:
    """Write a whole model (its codec apart), a codec or a feature network, in half precision, and its card.

    Args:
        model: the toy, the codec, or the feature network.
        path: ends in .safetensors; the card is put beside it as .json.
        about: the card, to which the file's sha256 and the parameter count are added.
        codec: file of the codec that the toy was trained with.
    """
    if isinstance(model, Codec | Features):
        write_weights(path, model.state_dict(), {"kind": type(model).__name__.lower(), "preset": model.config}, about)
        return
    weights = {k: v for k, v in model.state_dict().items() if not k.startswith("codec.")}
    inside = {"kind": type(model).__name__, "preset": model.preset}
    write_weights(path, weights, inside | ({"codec": _named(codec)} if codec else {}), about)


@checked
def save_update(
    model: ToyModel, path: Path, about: dict[str, Any], base: Path, update: dict[str, torch.Tensor]
) -> None:
    """Write what was trained on top of a base: low-rank factors, and new layers whole.

    Args:
        model: the adapted toy.
        path: ends in .safetensors; the card is put beside it as .json.
        about: the card.
        base: file of the model that was adapted.
        update: from `pusa_lab.training.lora_state`.
    """
    write_weights(path, update, {"kind": type(model).__name__, "preset": model.preset, "base": _named(base)}, about)


@checked
def find_checkpoint(name: str | Path, what: str = "model", choices: Sequence[str] | None = None) -> Path:
    """The file of a model.

    Args:
        name: one of `list_models()`, or a path.
        what: it is, for the sentence.
        choices: names that the sentence offers; None are all.

    Raises:
        ValueError: there is no such file.
    """
    path, names = Path(name), list_models()
    if str(name) in names:
        return CHECKPOINTS / f"{name}.safetensors"
    offered = names if choices is None else choices
    if path.suffix != ".safetensors" or not path.is_file():
        fault = "is not a .safetensors file" if path.is_file() else "is not an existing file"
        there = f"no {what} {str(name)!r:.300}, which {fault}"
        choose = f"choose one of {', '.join(offered)}, or " if offered else ""
        raise ValueError(f"{there}: {choose}give a .safetensors file.")
    return path


def _build(path: Path, about: dict[str, Any], weights: dict[str, torch.Tensor], strength: float) -> Any:
    kind, preset = KINDS[about["kind"]], about["preset"]
    if kind in (Codec, Features):
        with Undrawn():
            alone = kind(preset)
        alone.load_state_dict(weights)
        return alone
    if base := about.get("base"):
        start = _load(_beside(path, base), "cpu", compared=True)
        if type(start) is not ToyModel:
            raise ValueError(f"{path} builds on {base['name']}, which is a {type(start).__name__}: restore the files.")
        model = start if kind is ToyModel else kind.from_base(start)
        merge_update(model, weights, strength)
        model.preset = {**model.preset, "world": preset["world"]}
        return model
    codec = _load(_beside(path, about["codec"]), "cpu", compared=True) if "codec" in about else None
    if not isinstance(codec, Codec | None):
        raise ValueError(f"{path} works with {about['codec']['name']}, which is not a codec: restore the files.")
    with Undrawn():
        model = kind(preset, codec)
    own = {k: v for k, v in model.state_dict().items() if k.startswith("codec.")}
    model.load_state_dict(weights | own)
    return model


@checked
def codec_of(path: Path) -> Path | None:
    """The file of the codec that a model works with, if it has one.

    Args:
        path: of the model.
    """
    if base := base_of(path):
        return codec_of(base)
    about = read_description(path)
    return _beside(path, about["codec"]) if "codec" in about else None


@checked
def base_of(path: Path) -> Path | None:
    """The file of the model that a low-rank update was trained from; None for a whole model.

    Args:
        path: of the update.

    Raises:
        ValueError: that file is missing, or has changed since.
    """
    base = read_description(path).get("base")
    return None if base is None else _beside(path, base)


@checked
def is_update(name: str, base: str) -> bool:
    """Whether a shipped model is a low-rank update of the model of this name.

    Args:
        name: one of `list_models()`.
        base: another one.
    """
    about = read_description(find_checkpoint(name)).get("base")
    return about is not None and about["name"] == base


def _named(path: Path) -> dict[str, str]:
    return {"name": path.stem, "sha256": digest(path)}


def _beside(path: Path, part: dict[str, str]) -> Path:
    """A file that a checkpoint builds on: in its own folder, or shipped."""
    if not isinstance(part, dict) or not isinstance(part.get("name"), str) or not isinstance(part.get("sha256"), str):
        raise ValueError(f"{path} does not name what it builds on: restore the file.")
    places = [path_inside(folder, f"{part['name']}.safetensors", str(path)) for folder in (path.parent, CHECKPOINTS)]
    there = [p for p in places if p.is_file()]
    if not there:
        raise ValueError(f"{path} builds on {part['name']}, which is not beside it: put its .safetensors file there.")
    same = next((p for p in there if digest(p) == part["sha256"]), None)
    if same is None:
        raise ValueError(f"{path} was trained with another {part['name']} than {there[0]}: put its own beside it.")
    return same

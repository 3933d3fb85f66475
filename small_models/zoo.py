"""Shipped and own checkpoints of the toys: safetensors with the sizes inside, and a JSON card beside each."""

from pathlib import Path
from typing import Any

import torch

from small_models.codec import Codec
from small_models.features import Features
from small_models.files import read, read_card, sha256, write
from small_models.i2v import ImageToVideo
from small_models.lora import merge
from small_models.model import ToyModel

CHECKPOINTS = Path(__file__).parent / "checkpoints"
ALONE: dict[str, Any] = {"codec": Codec, "features": Features}
"""Kinds that are built from their sizes alone."""


def list_models() -> list[str]:
    """Names that `load` knows."""
    return sorted(path.stem for path in CHECKPOINTS.glob("*.safetensors") if "." not in path.stem)


def card(name: str) -> dict[str, Any]:
    """How a shipped model was made and what it reaches: command, seed, data, device, versions, metrics, sha256.

    Args:
        name: one of `list_models()`.

    Raises:
        ValueError: no such model.
    """
    return read_card(find(name)) or {}


def load(name: str | Path, device: str | torch.device | None = None, strength: float = 1.0) -> Any:
    """A model ready to use, in float32: a `ToyModel`, an `ImageToVideo`, a `Codec`, or `Features`.

    Args:
        name: one of `list_models()`, or the path of a checkpoint written by `save`.
        device: where to put it; None is the GPU if there is one.
        strength: scales a low-rank update, W + strength B A; 1 is as trained, 0 is the base. Layers that an update
            brings whole (those that a picture passes through) are always as trained.

    Raises:
        ValueError: no such model, a truncated or changed file, one of another architecture, or one whose base or
            codec is missing or another than it was trained with.
    """
    path = find(name)
    about, weights = read(path)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        model = _build(path, about, weights, strength)
    except (RuntimeError, TypeError, KeyError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[-1].strip()
        raise ValueError(
            f"{path} holds another architecture than this package builds ({reason}): give a checkpoint of its own kind."
        ) from error
    return model.requires_grad_(False).eval().to(device)


def save(model: ToyModel | Codec | Features, path: Path, about: dict[str, Any], codec: Path | None = None) -> None:
    """Write a whole model (its codec apart), a codec or a feature network, in half precision, and its card.

    Args:
        model: the toy, the codec, or the feature network.
        path: ends in .safetensors; the card is put beside it as .json.
        about: the card, to which the file's sha256 and the parameter count are added.
        codec: file of the codec that the toy was trained with.
    """
    if isinstance(model, Codec | Features):
        write(path, model.state_dict(), {"kind": type(model).__name__.lower(), "preset": model.config}, about)
        return
    weights = {k: v for k, v in model.state_dict().items() if not k.startswith("codec.")}
    inside = {"kind": type(model).__name__, "preset": model.preset}
    write(path, weights, inside | ({"codec": _named(codec)} if codec else {}), about)


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
    write(path, update, {"kind": type(model).__name__, "preset": model.preset, "base": _named(base)}, about)


def find(name: str | Path) -> Path:
    """The file of a model.

    Args:
        name: one of `list_models()`, or a path.

    Raises:
        ValueError: there is no such file.
    """
    path = Path(name)
    if path.suffix != ".safetensors":
        path = CHECKPOINTS / f"{name}.safetensors"
    if not path.is_file():
        names = ", ".join(list_models())
        raise ValueError(f"no model {str(name)!r}: choose one of {names}, or give a .safetensors file.")
    return path


def _build(path: Path, about: dict[str, Any], weights: dict[str, torch.Tensor], strength: float) -> Any:
    preset = about["preset"]
    if about["kind"] in ALONE:
        alone = ALONE[about["kind"]](preset)
        alone.load_state_dict(weights)
        return alone
    if base := about.get("base"):
        start = load(_beside(path, base), device="cpu")
        model = start if about["kind"] == "ToyModel" else ImageToVideo.from_base(start)
        merge(model, weights, strength)
        model.preset = {**model.preset, "world": preset["world"]}
        return model
    kind = {"ToyModel": ToyModel, "ImageToVideo": ImageToVideo}[about["kind"]]
    model = kind(preset, load(_beside(path, about["codec"]), device="cpu") if "codec" in about else None)
    own = {k: v for k, v in model.state_dict().items() if k.startswith("codec.")}
    model.load_state_dict(weights | own)
    return model


def codec_of(path: Path) -> Path | None:
    """The file of the codec that a model works with, if it has one.

    Args:
        path: of the model.
    """
    about, _ = read(path)
    if "base" in about:
        return codec_of(_beside(path, about["base"]))
    return _beside(path, about["codec"]) if "codec" in about else None


def _named(path: Path) -> dict[str, str]:
    return {"name": path.stem, "sha256": sha256(path)}


def _beside(path: Path, part: dict[str, str]) -> Path:
    """A file that a checkpoint builds on: in its own folder, or shipped."""
    places = [folder / f"{part['name']}.safetensors" for folder in (path.parent, CHECKPOINTS)]
    there = [p for p in places if p.is_file()]
    if not there:
        raise ValueError(f"{path} builds on {part['name']}, which is not beside it: put its .safetensors file there.")
    same = [p for p in there if sha256(p) == part["sha256"]]
    if not same:
        raise ValueError(f"{path} was trained with another {part['name']} than {there[0]}: put its own beside it.")
    return same[0]

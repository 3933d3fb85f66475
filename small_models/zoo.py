"""Shipped and own checkpoints of the toys: safetensors with the sizes inside, and a JSON card beside each."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from small_models.model import ToyModel

CHECKPOINTS = Path(__file__).parent / "checkpoints"
KEY = "small_models.preset"


def list_models() -> list[str]:
    """Names that `load` knows."""
    return sorted(path.stem for path in CHECKPOINTS.glob("*.safetensors"))


def card(name: str) -> dict[str, Any]:
    """How a shipped model was made and what it reaches: command, seed, data, device, versions, metrics, sha256.

    Args:
        name: one of `list_models()`.

    Raises:
        ValueError: no such model.
    """
    return json.loads(_find(name).with_suffix(".json").read_text())


def load(name: str | Path, device: str | torch.device | None = None) -> ToyModel:
    """A model ready to generate, in float32.

    Args:
        name: one of `list_models()`, or the path of a checkpoint written by `save`.
        device: where to put it; None is the GPU if there is one.

    Raises:
        ValueError: no such model, a truncated or changed file, or one of another architecture.
    """
    path = _find(name)
    preset, weights = _read(path)
    try:
        model = ToyModel(json.loads(preset))
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, KeyError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[-1].strip()
        raise ValueError(
            f"{path} holds another architecture than this package builds ({reason}): give a checkpoint of its own kind."
        ) from error
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return model.requires_grad_(False).eval().to(device)


def save(model: ToyModel, path: Path, about: dict[str, Any]) -> None:
    """Write a checkpoint in half precision and its card; until both are written whole, the old ones stay.

    Args:
        model: the toy.
        path: ends in .safetensors; the card is put beside it as .json.
        about: the card, to which the file's sha256 and the parameter count are added.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part, text = path.with_suffix(".part"), path.with_suffix(".json.part")
    weights = {k: v.to("cpu", torch.float16).contiguous() for k, v in model.state_dict().items()}
    try:
        save_file(weights, part, metadata={KEY: json.dumps(model.preset)})
        sizes = {"parameters": sum(p.numel() for p in model.parameters()), "sha256": _sha256(part)}
        text.write_text(json.dumps({**about, **sizes}, indent=2) + "\n")
        part.replace(path)
        text.replace(path.with_suffix(".json"))
    finally:
        part.unlink(missing_ok=True)
        text.unlink(missing_ok=True)


def _find(name: str | Path) -> Path:
    path = Path(name)
    if path.suffix != ".safetensors":
        path = CHECKPOINTS / f"{name}.safetensors"
    if not path.is_file():
        names = ", ".join(list_models())
        raise ValueError(f"no model {str(name)!r}: choose one of {names}, or give a .safetensors file.")
    return path


def _read(path: Path) -> tuple[str, dict[str, torch.Tensor]]:
    beside = path.with_suffix(".json")
    if beside.is_file() and _card_sum(beside) not in (None, _sha256(path)):
        raise ValueError(f"{path} is truncated or changed (its sha256 is not the card's): restore the file.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118, not a dict
    except SafetensorError as error:
        raise ValueError(f"{path} is truncated or no safetensors file ({error}): restore the file.") from error
    if KEY not in metadata:
        raise ValueError(f"{path} is no toy's checkpoint (no {KEY!r} inside): give one that small_models.save wrote.")
    return metadata[KEY], weights


def _card_sum(path: Path) -> str | None:
    """The sha256 that a card holds; None if the JSON beside a checkpoint is no card."""
    try:
        about = json.loads(path.read_text())
    except ValueError:
        return None
    return about.get("sha256") if isinstance(about, dict) else None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

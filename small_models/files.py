"""Checkpoint files: safetensors with a description inside, a card beside, and nothing half written."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

KEY = "small_models"
"""Where the description stands in the file's metadata."""


def write(path: Path, weights: dict[str, torch.Tensor], inside: dict[str, Any], about: dict[str, Any]) -> None:
    """Write weights in half precision, and a card; until both are written whole, the old ones stay.

    Args:
        path: ends in .safetensors; the card is put beside it as .json.
        weights: name -> tensor.
        inside: description, kept in the file.
        about: the card, to which the file's sha256 and the parameter count are added.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part, text = path.with_suffix(".part"), path.with_suffix(".json.part")
    half = {k: v.detach().to("cpu", torch.float16).contiguous() for k, v in weights.items()}
    try:
        save_file(half, part, metadata={KEY: json.dumps(inside)})
        sizes = {"parameters": sum(v.numel() for v in half.values()), "sha256": sha256(part)}
        text.write_text(json.dumps({**about, **sizes}, indent=2) + "\n")
        part.replace(path)
        text.replace(path.with_suffix(".json"))
    finally:
        part.unlink(missing_ok=True)
        text.unlink(missing_ok=True)


def promote(part: Path, path: Path, more: dict[str, Any]) -> None:
    """Put a finished checkpoint in its place, with more on its card.

    Args:
        part: what `write` wrote.
        path: its place; what lies there is replaced.
        more: added to the card.
    """
    text = path.with_suffix(".json.part")
    text.write_text(json.dumps({**(read_card(part) or {}), **more}, indent=2) + "\n")
    part.replace(path)
    text.replace(path.with_suffix(".json"))
    part.with_suffix(".json").unlink()


def read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The description and the weights, in float32.

    Args:
        path: a file that `write` wrote.

    Raises:
        ValueError: it is truncated, changed, or no such file.
    """
    if (read_card(path) or {}).get("sha256", sha256(path)) != sha256(path):
        raise ValueError(f"{path} is truncated or changed (its sha256 is not the card's): restore the file.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118, not a dict
    except SafetensorError as error:
        raise ValueError(f"{path} is truncated or no safetensors file ({error}): restore the file.") from error
    if KEY not in metadata:
        raise ValueError(f"{path} is no toy's checkpoint (no {KEY!r} inside): give one that small_models.save wrote.")
    try:
        inside = json.loads(metadata[KEY])
    except ValueError:
        inside = {}
    return inside, weights


def read_card(path: Path) -> dict[str, Any] | None:
    """The card beside a checkpoint; None if there is none, or if the JSON beside it is no card.

    Args:
        path: of the checkpoint.
    """
    try:
        about = json.loads(path.with_suffix(".json").read_text())
    except (OSError, ValueError):
        return None
    return about if isinstance(about, dict) else None


def sha256(path: Path) -> str:
    """Of a file's bytes.

    Args:
        path: the file.
    """
    return hashlib.sha256(path.read_bytes()).hexdigest()

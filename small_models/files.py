"""Checkpoint files: safetensors with a description and a digest inside, a card beside, and nothing half written.

Of the two files the weights decide: until they are renamed into place, the old pair is there, and from then on the new
one, whose card waits under a name that holds the weights' hash.
"""

import contextlib
import glob
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from pusa_lab.arguments import checked
from pusa_lab.files import check_writable, content_digest, digest, read_json, write_json, writing

KEY = "small_models"
"""Where the description stands in the file's metadata."""
DIGEST = "digest"
"""Where the description holds the hash of itself and of the weights."""


@checked
def write_weights(path: Path, weights: dict[str, torch.Tensor], inside: dict[str, Any], about: dict[str, Any]) -> None:
    """Write weights in half precision, and a card; until both are written whole, the old ones stay.

    Args:
        path: ends in .safetensors; the card is put beside it as .json.
        weights: name -> tensor.
        inside: description, kept in the file.
        about: the card, to which the file's sha256 and the parameter count are added.

    Raises:
        ValueError: the name ends otherwise, its folder cannot be written to, or a weight is too large for 16 bits.
        OSError: the disk is full.
    """
    if path.suffix != ".safetensors":
        raise ValueError(f"path={path}: give a name that ends in .safetensors.")
    check_writable(path, "the checkpoint")
    half = {k: v.detach().to("cpu", torch.float16).contiguous() for k, v in weights.items()}
    if wrong := [k for k, v in half.items() if not all_finite(v)]:
        raise ValueError(f"{wrong[0]} has numbers that 16 bits do not hold: train with a lower lr.")
    described = json.dumps({**inside, DIGEST: _content(half, inside)})
    with _turn(path.parent):
        with writing(path) as part:
            save_file(half, part, metadata={KEY: described})
            sha = digest(part)
            card = _waiting(path, sha)
            write_json(card, {**about, "parameters": sum(v.numel() for v in half.values()), "sha256": sha})
        _name_card(path, card)


@checked
def promote(part: Path, path: Path, more: dict[str, Any]) -> None:
    """Put a finished checkpoint in its place, with more on its card.

    Args:
        part: what `write` wrote, in the same folder.
        path: its place; what lies there is replaced.
        more: added to the card.

    Raises:
        ValueError: there is no such checkpoint, or its place cannot be written to.
    """
    if not part.is_file() or path.suffix != ".safetensors" or path.parent.resolve() != part.parent.resolve():
        raise ValueError(f"part={part}, path={path}: give a checkpoint, and a .safetensors name in its folder.")
    check_writable(path, "the checkpoint")
    with _turn(path.parent):
        card = _waiting(path, digest(part))
        write_json(card, {**(read_card(part) or {}), **more})
        part.replace(path)
        _name_card(path, card)
        part.with_suffix(".json").unlink(missing_ok=True)


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """One process at a time puts checkpoints into a folder; the others wait for these moments."""
    import fcntl  # not on Windows

    folder.mkdir(parents=True, exist_ok=True)
    place = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def _waiting(path: Path, sha256: str) -> Path:
    """Where the card of weights waits until they are in their place; it is found there too."""
    return path.with_suffix(f".{sha256[:16]}.json")


def _name_card(path: Path, card: Path) -> None:
    """Give the card its name, and clear away those of writers that were killed."""
    card.replace(path.with_suffix(".json"))
    for left in path.parent.glob(f"{glob.escape(path.stem)}.{'[0-9a-f]' * 16}.json"):
        left.unlink(missing_ok=True)


def _content(weights: dict[str, torch.Tensor], inside: dict[str, Any]) -> str:
    """The hash of a description and of weights, whatever their order."""
    pieces: list[Any] = [json.dumps(inside, sort_keys=True)]
    for name in sorted(weights):
        value = weights[name]
        pieces += [f"{name} {value.dtype} {tuple(value.shape)}"]
        pieces += [value.contiguous().flatten().view(torch.uint8).numpy().data]
    return content_digest(pieces)


@checked
def all_finite(numbers: torch.Tensor) -> bool:
    """Whether no number is NaN or infinite.

    Args:
        numbers: of any shape.
    """
    # such a number makes the sum one too, which is found ten times as fast; but a sum may also be too large
    return bool(numbers.sum().isfinite()) or bool(numbers.isfinite().all())


@checked
def read_weights(path: Path, compared: bool = False) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The description and the weights, in float32.

    Args:
        path: a file that `write` wrote.
        compared: whether the file is known to be the expected one, so that the digest inside need not be compared.

    Raises:
        ValueError: it is truncated, changed, or no such file.
    """
    inside = read_description(path)
    try:
        with safe_open(path, framework="pt") as file:
            weights = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118, not a dict
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} is truncated or not a valid safetensors file ({error!s:.120}): restore the file."
        ) from error
    stored = inside.pop(DIGEST, None)
    if not compared and stored is not None and stored != _content(weights, inside):
        raise ValueError(f"{path} is truncated or changed (its digest is not that of its weights): restore the file.")
    if stored is None and (_card(path.with_suffix(".json")) or {}).get("sha256", sha := digest(path)) != sha:
        raise ValueError(f"{path} is truncated or changed (its sha256 is not the card's): restore the file.")
    weights = {k: v.float() for k, v in weights.items()}
    if wrong := [k for k, v in weights.items() if not all_finite(v)]:
        raise ValueError(f"{path} holds NaN or infinite numbers in {wrong[0]!r:.80}: restore the file.")
    return inside, weights


@checked
def read_description(path: Path) -> dict[str, Any]:
    """The description alone, {} if there is none that can be read.

    Args:
        path: of the checkpoint.

    Raises:
        ValueError: it is truncated, or not a toy's checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} is truncated or not a valid safetensors file ({error!s:.120}): restore the file."
        ) from error
    if KEY not in metadata:
        raise ValueError(
            f"{path} is not a toy's checkpoint (it has no {KEY!r} inside): give one that small_models.save wrote."
        )
    try:
        inside = json.loads(metadata[KEY])
    except (ValueError, RecursionError):
        inside = {}
    return inside if isinstance(inside, dict) else {}


@checked
def read_card(path: Path) -> dict[str, Any] | None:
    """The card of a checkpoint; None if there is none, or if the JSON beside it is not a card or is another file's.

    Args:
        path: of the checkpoint.
    """
    beside = _card(path.with_suffix(".json"))
    if not path.is_file() or (beside is not None and "sha256" not in beside):
        return beside
    sha = digest(path)
    for card in (beside, _card(_waiting(path, sha))):
        if card is not None and card.get("sha256") == sha:
            return card
    return None


def _card(path: Path) -> dict[str, Any] | None:
    try:
        about = read_json(path, "a card")
    except (OSError, ValueError):
        return None
    return about if isinstance(about, dict) else None

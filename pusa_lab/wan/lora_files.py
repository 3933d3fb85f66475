"""LoRA files: read without running what they hold, written whole or not at all."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

PICKLES = (".pt", ".pth", ".bin", ".ckpt")
Source = str | Path | Mapping[str, Any]


def read(source: Source) -> tuple[str, str, Mapping[str, Any]]:
    """A file's tensors, mapped and not yet read where the format allows it.

    Args:
        source: a .safetensors file, a pickle (.pt, .pth, .bin, .ckpt), or the tensors themselves by name.

    Returns:
        What to call the source in a sentence, the stem of its name, and its entries.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is truncated, of another kind, or needs code to be run to be read.
    """
    if isinstance(source, Mapping):
        return "the dict", "adapter", source
    path = Path(source)
    if path.suffix not in (".safetensors", *PICKLES):
        raise ValueError(
            f"{path} is no LoRA file by its name (ending {path.suffix!r}): give .safetensors or {', '.join(PICKLES)}."
        )
    if not path.is_file():
        raise FileNotFoundError(f"no LoRA file at {path}: give the path of a file that is there.")
    entries = _safetensors(path) if path.suffix == ".safetensors" else _pickle(path)
    return str(path), path.stem, entries


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is truncated or no safetensors file ({error}): fetch it again.") from error


def _pickle(path: Path) -> Mapping[str, Any]:
    try:
        entries = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is damaged or holds more than tensors, so reading it on could run code hidden in it: give a "
            f".safetensors file, or a pickle of a plain dict of tensors."
        ) from error
    except Exception as error:  # a damaged pickle fails with whatever its bytes happen to mean
        raise ValueError(f"{path} is truncated or no file of torch.save ({error!r}): fetch it again.") from error
    for wrapper in ("state_dict", "module"):
        if isinstance(entries, dict) and isinstance(entries.get(wrapper), dict):
            entries = entries[wrapper]
    if not isinstance(entries, dict):
        raise ValueError(f"{path} holds a {type(entries).__name__}: give a file with a dict of tensors.")
    return entries


def write(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a .safetensors file; until it is whole, what lay there stays.

    Args:
        path: of the file; its folder must exist.
        tensors: by key, on any device.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        # clones, because the format refuses tensors that share memory
        save_file({k: v.detach().to("cpu", copy=True).contiguous() for k, v in tensors.items()}, part, {"format": "pt"})
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)

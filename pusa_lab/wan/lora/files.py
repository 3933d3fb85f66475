"""Reading of LoRA files without running code from them, and atomic writing."""

import contextlib
import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.files import read_json, writing
from pusa_lab.sentences import shown
from pusa_lab.wan.lora.names import PREFIXES

PICKLES = (".pt", ".pth", ".bin", ".ckpt")
ENDINGS = (".safetensors", *PICKLES)
NAMES = ("adapter_model", "pytorch_lora_weights")
"""Names that PEFT and diffusers give the file in a folder of their own."""
WRAPPERS = ("state_dict", "model_state_dict", "lora_state_dict", "module", "model", "lora", "network", "weights")
"""Keys under which training programs store the tensors in a pickle."""
SETTINGS = re.compile(
    rf"{PREFIXES}(?:lora_alpha|network_alpha|alpha|lora_rank|network_dim|rank|r|use_rslora|use_dora|alpha_pattern"
    rf"|rank_pattern|(?:lora|peft|adapter)_config)"
)
"""Keys of entries that are not tensors of a layer, but settings of the scale of all layers."""
TRAINING = ("config", "hparams", "hyper_parameters", "args", "training_config")
"""Entries in which training programs store all their settings, including those of the LoRA."""
STATES = re.compile(
    r"(?:optimizer|optim|scheduler|lr_scheduler|scaler|sampler|dl_state_dict|random_states|rng_state|training_args"
    r"|training_state|trainer_state|custom_checkpoint)(?:_\d+)*|(?:diffusion_)?(?:pytorch_)?model(?:[_-]\d.*)?"
    r"|.*_(?:model|optim)_states"
)
"""Names, without suffix, of other files that accelerate, transformers and DeepSpeed write beside a LoRA."""
CONFIG = "adapter_config.json"


@dataclass(frozen=True)
class LoRAFile:
    """Content of a LoRA file."""

    where: str
    """What to call it in a sentence."""
    stem: str
    """Its name without folder and suffix."""
    entries: Mapping[str, Any]
    """Tensors by key."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Entries beside the tensors, such as lora_alpha."""
    header: Mapping[str, str] = field(default_factory=dict)
    """Metadata in the header of a .safetensors file."""
    config: Mapping[str, Any] | None = None
    """PEFT's adapter_config.json from the same folder."""


Source: TypeAlias = str | Path | Mapping[str, Any] | LoRAFile


@checked
def read_lora(source: Source) -> LoRAFile:
    """Read the tensors of a LoRA file, and all settings that concern their scale.

    Args:
        source: a .safetensors file, a pickle (.pt, .pth, .bin, .ckpt), a folder of PEFT or diffusers with one of these,
            or the tensors themselves by key. A file that has been read is returned as it is.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated, of another kind, or cannot be read without running code.
    """
    if isinstance(source, LoRAFile):
        return source
    if isinstance(source, Mapping):
        return LoRAFile("the dict", "adapter", *_unwrapped(source, "the dict"))
    path = Path(source)
    if path.is_dir():
        path = _in_folder(path)
    if path.suffix not in ENDINGS and (path.suffix or path.exists()):
        raise ValueError(
            f"{str(path)!r:.300} does not have the suffix of a LoRA file ({path.suffix!r}): give .safetensors or "
            f"{', '.join(PICKLES)}."
        )
    if not path.is_file():
        raise FileNotFoundError(f"there is no LoRA file {str(path)!r:.300}: give the path of a file that exists.")
    entries: Mapping[str, Any]
    header: dict[str, str] = {}
    if path.suffix == ".safetensors":
        entries, header = _safetensors(path)
    else:
        entries = _pickle(path)
    stem = path.parent.name if path.stem in NAMES else path.stem
    return LoRAFile(str(path), stem, *_unwrapped(entries, str(path)), header, _beside(path, header))


def _in_folder(folder: Path) -> Path:
    named = [folder / f"{name}{ending}" for name in NAMES for ending in ENDINGS]
    found = [path for path in named if path.is_file()][:1] or _weights(folder) or _weights(folder, states=True)
    if len(found) != 1:
        there = f"{len(found)} weight files" if found else "no weight file"
        raise ValueError(f"the folder {folder} holds {there} and no {NAMES[0]}.safetensors: give the LoRA file itself.")
    return found[0]


def _weights(folder: Path, states: bool = False) -> list[Path]:
    """The files that may be LoRAs; with `states`, also other files of tensors."""
    found = [path for path in sorted(folder.iterdir()) if path.suffix in ENDINGS and path.is_file()]
    return [path for path in found if states or not STATES.fullmatch(path.stem)]


def _beside(path: Path, header: Mapping[str, str]) -> Mapping[str, Any] | None:
    """PEFT's configuration in the file's folder, if it belongs to this file.

    Raises:
        ValueError: the folder holds several files, none with PEFT's name, so the configuration could belong to any.
    """
    place = path.parent / CONFIG
    if not place.is_file():
        return None
    others = [other for other in _weights(path.parent) if other != path]
    if path.stem != NAMES[0] and others:
        if any(other.stem == NAMES[0] for other in others):
            return None  # the configuration belongs to that file
        raise ValueError(
            f"{place} may belong to {path.name} or to {others[0].name} and states the scale of only one of them: put "
            f"each LoRA into its own folder."
        )
    found = read_json(place, "a LoRA's configuration", {})
    return {str(key): value for key, value in found.items()}


def _safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, "pt") as held:
            return {key: held.get_tensor(key) for key in held.keys()}, dict(held.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} is truncated or not a safetensors file ({error!s:.120}): download it again."
        ) from error


def _pickle(path: Path) -> Mapping[str, Any]:
    try:
        entries = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is damaged or holds more than tensors, so reading it could run code hidden in it: give a "
            f".safetensors file, or a pickle of a plain dict of tensors."
        ) from error
    except Exception as error:  # the bytes of a damaged pickle can cause an error of any kind
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ValueError(f"{path} is truncated or not a file of torch.save ({reason}): download it again.") from error
    if not isinstance(entries, dict):
        raise ValueError(f"{path} holds {shown(entries)}: give a file with a dict of tensors.")
    return entries


def _unwrapped(entries: Mapping[str, Any], where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tensors, and the settings beside them, from whatever level of nested dicts."""
    settings: dict[str, Any] = {}
    for _ in range(8):
        if wrong := [key for key in entries if not isinstance(key, str)]:
            raise ValueError(f"{where} has the key {wrong[0]!r:.60}, which is not a name: give tensors by name.")
        for key in filter(SETTINGS.fullmatch, entries):
            if key in settings and not same(settings[key], entries[key]):
                raise ValueError(
                    f"{where} states {key} twice, {plain_value(settings[key])!r:.60} and "
                    f"{plain_value(entries[key])!r:.60}: remove the wrong one."
                )
            settings[key] = entries[key]
        # each level of a pickle may have a configuration
        trained = {key: entries[key] for key in TRAINING if isinstance(entries.get(key), Mapping)}
        settings |= {_free(key, settings): value for key, value in trained.items()}
        inner = [key for key in WRAPPERS if isinstance(entries.get(key), Mapping)]
        if len(inner) > 1:
            raise ValueError(f"{where} holds both {inner[0]!r} and {inner[1]!r}: give only the one with the LoRA.")
        if not inner:
            break
        entries = entries[inner[0]]
    named = {key for key, value in entries.items() if key in TRAINING and isinstance(value, Mapping)}
    return {k: v for k, v in entries.items() if k not in named and not SETTINGS.fullmatch(k)}, settings


def _free(key: str, taken: Mapping[str, Any]) -> str:
    return next(name for name in (key, *(f"{key} {i}" for i in range(2, 10))) if name not in taken)


@checked
def same(one: Any, other: Any) -> bool:
    """Whether two settings are equal; numbers may also be tensors or text.

    Args:
        one: of any kind.
        other: of any kind.
    """
    with contextlib.suppress(RecursionError, RuntimeError, TypeError, ValueError):  # such as for lists of tensors
        return bool(plain_value(one) == plain_value(other))
    return False


@checked
def plain_value(value: Any) -> Any:
    """Convert a setting to a plain Python value; a value that is not a number, JSON or None is returned unchanged.

    Args:
        value: a number, a tensor of one number, text, or anything else.
    """
    if isinstance(value, Tensor):
        if value.numel() == 1 and not value.is_meta and value.layout == torch.strided:
            return value.item()
        return f"a tensor of {tuple(value.shape)}"
    if isinstance(value, Mapping):
        return {key: held if isinstance(held, Mapping) else plain_value(held) for key, held in value.items()}
    if isinstance(value, str):
        words = {"none": None, "true": True, "false": False}
        if value.strip().lower() in words:
            return words[value.strip().lower()]
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


@checked
def write_lora(path: Path, tensors: dict[str, Tensor], about: Mapping[str, str] | None = None) -> None:
    """Write a .safetensors file atomically.

    Args:
        path: of the file.
        tensors: by key, on any device.
        about: metadata of the file.

    Raises:
        OSError: the file cannot be written.
    """
    # copies, because the format refuses tensors that share memory
    copies = {k: v.detach().to("cpu", copy=True).contiguous() for k, v in tensors.items()}
    with writing(path) as part:
        save_file(copies, part, {"format": "pt", **(about or {})})

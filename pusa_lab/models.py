"""Models by name: `load("mini-vta")`, or `load("Wan-AI/Wan2.1-T2V-14B-Diffusers", lora="a.safetensors", strength=1.4)`.

A family of models is one `ModelFamily`. A package offers its own through an entry point of the group
`pusa_lab.models`, or at run time with `register_family`; nothing else has to be changed.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch

from pusa_lab.annotations import attribute
from pusa_lab.arguments import ArgumentError, checked, returned, shown
from pusa_lab.files import sampled_digest
from pusa_lab.import_paths import absolute, file_digest_of, imported, is_import_path
from pusa_lab.registry import Registry, misfit
from pusa_lab.types import VideoModel


@checked
@dataclass(frozen=True)
class ModelFamily:
    """What `load` and the commands need to know of one kind of models."""

    name: str
    """Name of the family, such as "wan"."""
    what: str
    """What it loads, for error sentences: "the folder of a Wan"."""
    knows: Callable[[str], bool]
    """Whether a name, file or folder is one of its models; called with any string, reads no weights."""
    load: Callable[..., VideoModel]
    """(name, lora=..., strength=..., device=..., and options of its own) -> a model that makes videos; what is not
    given is not passed."""
    load_encoders: Callable[..., Any]
    """(name, size=..., num_frames=...) -> something with `encode_text`, `encode_video` and `geometry`, as `load` gives
    it or smaller."""
    names: Callable[[], Sequence[str]] = tuple
    """The names that need no file or folder, if any."""
    train: Callable[..., Iterable[Path]] | None = None
    """(preset, out=..., and options of `pusa-lab train`) -> the paths of checkpoints, each when it is written; None if
    such models are trained by recipes alone, from a cache."""
    presets: Callable[[], Sequence[str]] = tuple
    """What `train` takes as --model."""
    sizes: Callable[[str], Any] | None = None
    """(name) -> what `pusa-lab plan` counts with, a `pusa_lab.wan.configs.WanConfig`; None if no such model is planned.
    Reads no weights, and raises a ValueError that says what to do instead."""
    outline: Callable[..., VideoModel] | None = None
    """(name, size=...) -> a model of the same sizes that reads no weights, on which commands try a request before they
    load the model; None if loading takes a moment."""
    digest: Callable[[str, Any], str] | None = None
    """(name, model) -> digest of the files that the model was loaded from, found in seconds at most; None if there is
    none."""


@dataclass(frozen=True)
class Origin:
    """What a model was loaded from."""

    name: str
    """What `load` was given: a name, a file or a folder."""
    digest: str
    """Digest of its files; "unknown" if its family gives none."""
    options: dict[str, Any] = field(default_factory=dict)
    """What else `load` was given, but for the device."""
    loras: dict[str, str] = field(default_factory=dict)
    """LoRA file -> its digest."""


OFFERED = ("geometry", "device", "encode_text", "encode_video", "decode", "__call__")
"""What every `VideoModel` has."""


_ORIGINS: WeakKeyDictionary[Any, Origin] = WeakKeyDictionary()


FAMILIES: Registry[ModelFamily] = Registry("model family", "pusa_lab.models", {}, ModelFamily)
"""Name -> family, in the order in which they are asked whether they know a model; ours come last."""


@checked
def register_family(family: ModelFamily) -> ModelFamily:
    """Make a family known to `load` and the commands; it is asked before all installed ones.

    Args:
        family: replaces one of the same name.

    Returns:
        The family.
    """
    return FAMILIES.register(family, family.name)


def families() -> list[ModelFamily]:
    """All families in the order in which they are asked: registered ones, other packages' and then our own.

    Raises:
        ValueError: an installed family cannot be imported, or there is none.
    """
    if not FAMILIES:
        raise ValueError("no model family is installed: install pusa_lab again (`pip install -e .` in a clone).")
    return list(FAMILIES.values())


def _family_of(path: str) -> ModelFamily:
    """The family of the model that an import path names: one that is there, or one that a function makes."""
    found = imported(path)
    if not inspect.isclass(found) and isinstance(found, VideoModel):
        model, found = found, lambda: model
    if not callable(found):
        raise ArgumentError(f"{path} is {shown(found)}: give a model, or a function (device=..., ...) that makes one.")

    def make(name: str, /, **options: Any) -> Any:
        options = {key: value for key, value in options.items() if value is not None}
        if fault := misfit(found, list(options), 0):
            raise ArgumentError(f"{path} {fault}.")
        return returned(found(**options), VideoModel, path)

    own = inspect.signature(found).parameters.values()
    first = inspect.Parameter("name", inspect.Parameter.POSITIONAL_ONLY)
    make.__signature__ = inspect.Signature([first, *own])  # type: ignore[attr-defined]
    return ModelFamily(
        absolute(path),
        "a model of one's own",
        is_import_path,
        make,
        make,
        digest=lambda name, model: file_digest_of(name).get("file_digest", "unknown"),
    )


def model_names() -> list[str]:
    """Names that `load` knows without a file or folder."""
    return [name for family in families() for name in family.names()]


@checked
def find_family(name: str | Path) -> ModelFamily:
    """The family that loads a model; no weights are read.

    Args:
        name: of a model, a file or a folder; or the import path of a model or of a function that makes one.

    Raises:
        ValueError: no family knows it, or it cannot be imported.
    """
    if is_import_path(name):
        return _family_of(str(name))
    known = families()
    for family in known:
        if family.knows(str(name)):
            return family
    names, kinds = ", ".join(model_names()), ", ".join(family.what for family in known)
    other = ", which is a file of another kind" if Path(name).is_file() else ""
    if Path(name).is_dir():
        other = ", which is a folder with a model of another kind (see _class_name in its model_index.json)"
    raise ValueError(f"no model {str(name)!r:.300}{other}: choose one of {names}, or give {kinds}.")


@checked
def load(
    name: str | Path,
    *,
    lora: str | Path | Sequence[str | Path] | None = None,
    strength: float | Sequence[float] | None = None,
    device: str | torch.device | None = None,
    **options: Any,
) -> VideoModel:
    """Load a model of any family, ready for `generate`.

    Args:
        name: a name from `model_names()`, a checkpoint of a toy, or a Wan: its folder, or its repository on the Hub; or
            the import path of a model, or of a function that makes one: "mymodule:make", "folder/mine.py:make".
        lora: the file or files that adapt it.
        strength: scales what each LoRA adds; 1 is as trained, 1.4 is Pusa's. None is 1.
        device: None is the GPU if there is one.
        **options: more options of the family, such as `WanModel.from_pretrained`'s size, offload and dtype.

    Raises:
        ValueError: there is no such model, its files are damaged or do not fit each other, or it has no such option.
    """
    family = find_family(name)
    given = {"lora": lora, "strength": strength, "device": device, **options}
    given = {key: value for key, value in given.items() if value is not None}
    check_options(family.load, given, f"loading {str(name)!r:.100}")
    model = family.load(str(name), **given)
    if lacking := [one for one in OFFERED if attribute(model, one) is None]:
        raise ValueError(
            f"the model family {family.name} loaded {shown(model)} for {str(name)!r:.100}, which has no {lacking[0]}: "
            f"its `load` must return a VideoModel, with {', '.join(OFFERED)}."
        )
    with contextlib.suppress(TypeError):  # a class may forbid references
        _ORIGINS[model] = _origin(family, absolute(str(name)), model, given)
    return model


@checked
def origin_of(model: VideoModel) -> Origin | None:
    """What a model was loaded from; None if `load` did not make it.

    Args:
        model: any.
    """
    try:
        return _ORIGINS.get(model)
    except TypeError:
        return None


def picture_input(model: VideoModel) -> str:
    """Which argument of the denoiser call is the latent of frame 0, in a model that takes its picture so; else "".

    Args:
        model: one that names the argument in `picture_input`, or any other.
    """
    name = attribute(model, "picture_input")
    return name if isinstance(name, str) else ""


def _origin(family: ModelFamily, name: str, model: VideoModel, given: dict[str, Any]) -> Origin:
    digest = family.digest(name, model) if family.digest else "unknown"
    found = [given[key] for key in ("lora", "lora_low") if key in given]
    files = [str(one) for value in found for one in ([value] if isinstance(value, str | Path) else value)]
    options = {key: value for key, value in given.items() if key != "device"}
    return Origin(name, digest, options, {file: sampled_digest(file) for file in files if Path(file).is_file()})


@checked
def load_encoders(name: str | Path, **options: Any) -> Any:
    """The parts of a model that encode captions and clips, for a latent cache.

    Args:
        name: as `load`.
        **options: size, height and width in pixels, and num_frames, pixel frames; None is the model's own.

    Raises:
        ValueError: as `load`.
    """
    return find_family(name).load_encoders(str(name), **options)


def check_options(
    function: Callable[..., Any], options: Iterable[str], what: str, without: Iterable[str] = (), first: int = 1
) -> None:
    """Refuse options that a function does not have.

    Args:
        function: that will be called.
        options: their names.
        what: the function does, for the sentence.
        without: parameters that are no options.
        first: number of leading parameters that are no options either.

    Raises:
        ValueError: there is no such option; the sentence lists those there are.
    """
    parameters = inspect.signature(function).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    if unknown := [name for name in options if name not in parameters]:
        known = ", ".join(name for name in list(parameters)[first:] if name not in without)
        raise ArgumentError(f"there is no option {unknown[0]!r:.40} for {what}: choose from {known}.")

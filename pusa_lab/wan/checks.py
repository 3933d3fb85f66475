"""Checks of weights against their model, from the headers of their files, before gigabytes are read."""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate import init_empty_weights
from diffusers import AutoencoderKLWan
from torch import nn
from transformers import UMT5Config, UMT5EncoderModel

from pusa_lab.arguments import checked
from pusa_lab.sentences import counted
from pusa_lab.wan.folders import Folder
from pusa_lab.wan.headers import FILES, INDEX, WeightFile, read_header, weight_files
from pusa_lab.wan.lora import Expert, check_matched, check_strength
from pusa_lab.wan.lora.adapters import base_weights
from pusa_lab.wan.lora.files import LoRAFile, read_lora
from pusa_lab.wan.lora.match import WIDTHS, match, module_of
from pusa_lab.wan.lora.names import PREFIXES, aliases
from pusa_lab.wan.transformer import VTAWanTransformer3DModel, check_text_to_video

EMBEDDING = ("shared.weight", "encoder.embed_tokens.weight")
"""The two names of UMT5's word embedding; files store it under either or both."""
CODED = ("encoder.", "decoder.")
"""Beginnings of the names of all layers of a codec; of a text encoder, which may come with its decoder, the first."""
PLAIN = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
"""Types of weights that are stored without scales."""
SCALES = re.compile(r"scaled_fp8|scale_(?:weight|input)|(?:weight|input)_scale|comfy_quant|quant_state|absmax")
"""Matches the names of the scales of quantised weights."""
PICTURES = re.compile(r"img_emb|image_embedder|[kv]_img|add_[kv]_proj")
"""Matches the names of the layers that read the picture in an image-to-video Wan."""

Shapes = Mapping[str, tuple[int, ...]]


@checked
def empty(config: Mapping[str, Any]) -> VTAWanTransformer3DModel:
    """Return a transformer whose weights are on the meta device.

    Args:
        config: of a text-to-video WanTransformer3DModel.

    Raises:
        ValueError: no text-to-video transformer can be built from the config.
    """
    check_text_to_video({"image_dim": None, **config})
    with _building("transformer"), init_empty_weights():
        return VTAWanTransformer3DModel.from_config(dict(config))


@contextlib.contextmanager
def _building(part: str) -> Iterator[None]:
    """Turn the error of any kind with which building from an invalid config ends into a sentence."""
    try:
        yield
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ValueError(f"no {part} can be built from its config.json ({reason}): restore the file.") from error


@checked
def check_weights(folder: Folder) -> None:
    """Check that a folder holds the weights that its configs call for, from the headers of its files.

    Args:
        folder: from `folders.check_wan_folder`, including the weights.

    Raises:
        ValueError: a weight is missing, unknown or of another shape.
    """
    for name in folder.experts:
        _compare(folder.path / name, _wanted(empty(folder.config(name))), folder.shapes(name), "download it again")
    with _building("vae"), init_empty_weights():
        codec = AutoencoderKLWan.from_config(folder.config("vae"))
    _compare(folder.path / "vae", _wanted(codec), folder.shapes("vae"), "download it again", CODED)
    check_encoder(folder)


@checked
def check_encoder(folder: Folder) -> None:
    """Check the weights of the text encoder only.

    Args:
        folder: from `folders.check_wan_folder`, including the weights.

    Raises:
        ValueError: a weight is missing, of another shape, or of a layer that the config does not call for.
    """
    with _building("text_encoder"), init_empty_weights():
        wanted = _wanted(UMT5EncoderModel(UMT5Config(**folder.config("text_encoder"))))
    held: Shapes = folder.shapes("text_encoder")
    for one, other in (EMBEDDING, EMBEDDING[::-1]):
        held = {one: held[other], **held} if other in held else held
    _compare(folder.path / "text_encoder", wanted, held, "download it again", CODED[:1])


@checked
def check_single(source: str | Path | list[WeightFile], config: Mapping[str, Any]) -> list[WeightFile]:
    """Check that a file or folder holds all weights of a transformer and nothing else.

    Args:
        source: a .safetensors file, in Wan's or diffusers' names; a folder of one, or of several with their index, as
            diffusers saves a transformer; or what this function returned for it.
        config: of the transformer.

    Returns:
        The files, whose headers need not be read again.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file is missing, truncated or quantised, or holds another model.
    """
    found = source if isinstance(source, list) else _single(Path(source))
    single_names(found, empty(config))
    return found


@checked
def check_update(
    path: str | Path | LoRAFile,
    config: Mapping[str, Any],
    strength: float,
    partial: bool = False,
    expert: Expert | None = None,
) -> None:
    """Check that a LoRA fits a transformer, before the transformer is read.

    Args:
        path: of the LoRA file; or the file as it was read.
        config: of the transformer.
        strength: of the LoRA, a finite number.
        partial: whether some keys may remain unmatched.
        expert: as `load_lora`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: as `load_lora`.
    """
    check_strength(strength)
    file = read_lora(path)
    found = match(base_weights(empty(config)), file, strength, expert)
    check_matched(found, file.entries, file.where, partial)


@checked
def single_names(files: Sequence[WeightFile], model: nn.Module) -> dict[str, str]:
    """Check files as `check_single`, and map their keys to the weights of the transformer.

    Args:
        files: one, or all shards; in Wan's or diffusers' names, with or without a prefix such as ComfyUI's.
        model: the transformer, from `empty`.

    Returns:
        Key in a file -> name of the weight.

    Raises:
        ValueError: as `check_single`.
    """
    if not files:
        raise ValueError("no files were given: give those that hold the transformer's weights.")
    path = files[0].path if len(files) == 1 else files[0].path.parent
    entries = {key: entry for file in files for key, entry in file.tensors.items()}
    shapes = {key: shape for file in files for key, shape in file.shapes.items()}
    wanted = _wanted(model)
    _check_plain(path, entries)
    names = _names(path, entries, wanted)
    held = {name: shapes[key] for key, name in names.items()}
    if not held.keys() & wanted.keys():
        first = next(iter(entries), "none")
        raise ValueError(
            f"{path} is not a Wan transformer ({counted(len(entries), 'key')}, first {first}): give another file."
        )
    _check_kind(path, entries, held, wanted)
    _compare(path, wanted, held, "give all weights of a text-to-video Wan of this size (a LoRA goes to lora=)")
    return {key: name for key, name in names.items() if name in wanted}


def _single(path: Path) -> list[WeightFile]:
    if (path / "model_index.json").is_file():
        raise ValueError(
            f"{path} is the folder of a whole model: give that of its transformer, {path / 'transformer'}."
        )
    if path.is_dir() and not [*path.glob("*.safetensors"), *path.glob(f"*.safetensors{INDEX}")]:
        raise ValueError(
            f"the folder {str(path)!r:.300} has no safetensors files: neither a {FILES[0]} nor an index of several "
            f"(*.safetensors{INDEX}) is in it; give the folder transformer of a Wan, one that `pusa-lab train "
            f"--lora-rank 0` wrote, or a .safetensors file."
        )
    if path.is_dir():  # as `train_wan` writes all weights: one file, or shards and their index
        return [read_header(file) for file in weight_files(path)]
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file or folder {str(path)!r:.300}: give the path of a transformer's .safetensors file, or of "
            f"its folder."
        )
    if path.suffix != ".safetensors":
        raise ValueError(
            f"{str(path)!r:.300} does not end in .safetensors: give the transformer's weights as a safetensors file."
        )
    return [read_header(path)]


def _names(file: Path, keys: Iterable[str], wanted: Shapes) -> dict[str, str]:
    known = aliases(module_of(name) for name in wanted)
    names: dict[str, str] = {}
    taken: dict[str, str] = {}
    for key in keys:
        spelled = re.sub(f"^{PREFIXES}", "", key)
        layer = module_of(spelled)
        names[key] = known.get(layer, layer) + spelled[len(layer) :]
        if (first := taken.setdefault(names[key], key)) != key:
            raise ValueError(f"{file} holds both {first} and {key}: give the weights of a single model.")
    return names


def _check_plain(file: Path, entries: Mapping[str, Mapping[str, Any]]) -> None:
    for key, entry in entries.items():
        if SCALES.search(key) or entry["dtype"] not in PLAIN:
            raise ValueError(
                f"{file} is quantised ({key}, {entry['dtype']}), which is not supported: give the weights in bf16, "
                f"fp16 or fp32."
            )


def _check_kind(file: Path, keys: Iterable[str], held: Shapes, wanted: Shapes) -> None:
    patches = "patch_embedding.weight"
    (width, channels), got = wanted[patches][:2], held.get(patches, ())
    if len(got) < 2:  # `_compare` reports this better, as a missing weight or another shape
        got = (width, channels)
    if got[0] != width:
        raise ValueError(
            f"{file} is for a model {got[0]} wide{WIDTHS.get(got[0], '')}, but this one is {width} wide"
            f"{WIDTHS.get(width, '')}: give weights of this model's size."
        )
    picture = next(filter(PICTURES.search, keys), None)
    if picture or got[1] != channels:
        raise ValueError(
            f"{file} is of an image-to-video or control model ({picture or counted(got[1], 'input channel')}; "
            f"this model has {counted(channels, 'input channel')}): give weights of a text-to-video Wan."
        )


def _wanted(model: nn.Module) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _compare(where: Path, wanted: Shapes, held: Shapes, do: str, known: tuple[str, ...] = ("",)) -> None:
    """Refuse weights that are missing, of another shape, or unknown although their name begins with one of `known`."""
    if missing := [name for name in wanted if name not in held]:
        raise ValueError(f"{where} lacks {len(missing)} of {counted(len(wanted), 'weight')}, first {missing[0]}: {do}.")
    if wrong := [name for name in wanted if held[name] != wanted[name]]:
        name = wrong[0]
        raise ValueError(
            f"{where} has {counted(len(wrong), 'weight')} of another shape, first {name}: {held[name]}, while the "
            f"config calls for {wanted[name]}: {do}."
        )
    # some published files hold norm_added_q, which no model uses; diffusers ignores it too
    unknown = [name for name in held if name not in wanted and "norm_added_q" not in name]
    if unknown := [name for name in unknown if name.startswith(known)]:
        raise ValueError(
            f"{where} has {counted(len(unknown), 'weight')} that this model does not have, first {unknown[0]}: {do}."
        )

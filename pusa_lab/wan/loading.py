"""Loading a Wan: its geometry, the memory it needs, and reading its parts."""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
import transformers
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from safetensors.torch import load_file
from torch import nn
from transformers import AutoTokenizer, UMT5EncoderModel
from transformers.utils import logging

from pusa_lab.arguments import checked
from pusa_lab.progress import watched
from pusa_lab.sentences import counted, memory_shown
from pusa_lab.types import Geometry
from pusa_lab.wan.checks import EMBEDDING, check_encoder, check_single, empty, single_names
from pusa_lab.wan.folders import Folder
from pusa_lab.wan.headers import WeightFile
from pusa_lab.wan.lora import check_strength
from pusa_lab.wan.precision import saved_bytes
from pusa_lab.wan.transformer import VTAWanTransformer3DModel, check_text_to_video

OFFLOADS = ("none", "model", "group")
"""Ways of offloading: none (all on the device), model (one part at a time), group (the transformer block by block)."""
SIZE = (480, 832)
"""Default height and width in pixels."""
Paths: TypeAlias = str | Path | Sequence[str | Path]


@checked
def check_offload(offload: str) -> None:
    """Refuse an unknown way of offloading.

    Args:
        offload: one of `OFFLOADS`.

    Raises:
        ValueError: offload is not one of them.
    """
    if offload not in OFFLOADS:
        raise ValueError(f"unknown offload {offload!r}: choose one of {', '.join(OFFLOADS)}.")


@checked
def sizes(
    codec: Mapping[str, Any],
    transformer: Mapping[str, Any],
    shift: float = 5.0,
    size: tuple[int, int] = SIZE,
    num_frames: int | None = None,
) -> Geometry:
    """Return the geometry of a model from the configs of its codec and transformer.

    Args:
        codec: config of an AutoencoderKLWan.
        transformer: config of a WanTransformer3DModel.
        shift: default shift of the sigmas in sampling, above 0.
        size: height and width in pixels, multiples of the codec's stride times the patch.
        num_frames: pixel frames, 1 + 4k; None takes Wan's default, 81, or 121 for Wan2.2-TI2V-5B.

    Raises:
        ValueError: height, width or num_frames are not such multiples, the shift is not positive and finite, the
            channels of codec and transformer differ, or a config lacks one of its sizes.
    """
    _check_sizes(codec, "codec", ("z_dim",))
    _check_sizes(transformer, "transformer", ("in_channels", "patch_size"))
    time, space = codec.get("scale_factor_temporal", 4), codec.get("scale_factor_spatial", 8)
    if codec["z_dim"] != transformer["in_channels"]:
        raise ValueError(
            f"a codec of {codec['z_dim']} channels for a transformer of {transformer['in_channels']}: give the "
            "codec of the same model."
        )
    steps = [space * patch for patch in transformer["patch_size"][1:]]
    if any(n < step or n % step for n, step in zip(size, steps, strict=True)):
        near = [max(1, round(n / step)) * step for n, step in zip(size, steps, strict=True)]
        raise ValueError(
            f"a size of {size[0]} x {size[1]}: height and width must be multiples of {steps[0]} and {steps[1]}, "
            f"such as {near[0]} x {near[1]}."
        )
    if not 0 < shift < math.inf:
        raise ValueError(f"shift={shift}: give a positive number; 1 does not change the sigmas, Wan uses 3 to 12.")
    fps, own = (24, 121) if space == 16 else (16, 81)
    made = Geometry((time, space, space), codec["z_dim"], 1, (size[0], size[1]), fps, shift)
    return Geometry(
        made.stride, made.channels, made.latent_frames(own if num_frames is None else num_frames), made.size, fps, shift
    )


def _check_sizes(config: Mapping[str, Any], what: str, names: Sequence[str]) -> None:
    """Refuse a config without these sizes, or with one that is not a positive whole number."""
    optional = [name for name in ("scale_factor_temporal", "scale_factor_spatial") if name in config]
    for name in (*names, *optional):
        value, several = config.get(name), name == "patch_size"
        numbers = value if several and isinstance(value, list | tuple) else [value]
        if len(numbers) != (3 if several else 1) or not all(type(n) is int and n > 0 for n in numbers):
            got = f"{value!r:.60} as {name}" if name in config else f"no {name}"
            raise ValueError(f"the config of the {what} has {got}: give the config.json of a Wan's {what}.")


@checked
def folder_sizes(
    folder: Folder, shift: float = 5.0, size: tuple[int, int] = SIZE, num_frames: int | None = None
) -> Geometry:
    """Return the geometry of the model in a folder; see `sizes`.

    Args:
        folder: from `folders.check_wan_folder`; its weights need not be there.
        shift: default shift of the sigmas in sampling, above 0.
        size: height and width in pixels.
        num_frames: pixel frames, 1 + 4k; None takes Wan's default.

    Raises:
        ValueError: as `sizes`, or the model is not text-to-video.
    """
    check_text_to_video({"image_dim": None, **folder.config("transformer")})
    return sizes(folder.config("vae"), folder.config("transformer"), shift, size, num_frames)


@checked
def require_room(
    folder: Folder,
    dtype: torch.dtype,
    device: torch.device,
    offload: str,
    precision: str | None = None,
    loras: bool = False,
) -> None:
    """Refuse a GPU that cannot hold the weights, before they are read.

    Args:
        folder: from `folders.check_wan_folder`, including the weights.
        dtype: of transformer and text encoder; the codec is in float32.
        device: on which the model will compute; only a GPU is checked.
        offload: one of `OFFLOADS`.
        precision: one of `precision.PRECISIONS`, or None.
        loras: whether there are any, which join the weights of `dtype`, before these become smaller.

    Raises:
        ValueError: the free memory is too small; the sentence gives both sizes and what would fit.
    """
    if device.type != "cuda":
        return
    need = {k: n * (torch.float32 if k == "vae" else dtype).itemsize for k, n in folder.parameters.items()}
    whole = need["transformer"] if loras else 0
    need |= {k: need[k] - saved_bytes(precision, dtype, folder.config(k), need[k]) for k in folder.experts}
    most = {"none": max(whole, sum(need.values())), "model": max(whole, *need.values())}
    most |= {"group": max(need["text_encoder"], need["vae"])}
    free = torch.cuda.mem_get_info(device)[0]
    if most[offload] > free:
        others = [name for name in OFFLOADS if most[name] < free]
        raise ValueError(
            f"with offload={offload!r} the weights alone need {memory_shown(most[offload] / 2**30)} on the GPU, and "
            f"{memory_shown(free / 2**30)} are free: use "
            + (f"offload={others[0]!r}." if others else "a larger GPU or a smaller model.")
        )


@checked
def read_transformer(
    folder: Folder, name: str, dtype: torch.dtype, single: str | Path | list[WeightFile] | None = None
) -> WanTransformer3DModel:
    """Read one transformer, to the CPU.

    Args:
        folder: from `folders.check_wan_folder`, including the weights.
        name: transformer, or transformer_2.
        dtype: of its weights, except those that diffusers keeps in float32.
        single: a file or folder with other weights for it, as `check_single`; or what that returned for it.

    Raises:
        ValueError: as `check_single`, or the folder has no transformer of this name.
    """
    if name not in folder.experts:
        raise ValueError(f"name={name!r:.60}: give one of {', '.join(folder.experts)}.")
    place = folder.path / name
    if single is None:
        model = VTAWanTransformer3DModel.from_pretrained(place, torch_dtype=dtype, use_safetensors=True)
        return _complete(model, place)
    model, kept = empty(folder.config(name)), set(VTAWanTransformer3DModel._keep_in_fp32_modules)
    files = single if isinstance(single, list) else check_single(single, folder.config(name))
    names, weights = single_names(files, model), {}
    for file in files:
        for key, tensor in load_file(file.path).items():
            if (own := names.get(key)) is not None:
                weights[own] = tensor.to(torch.float32 if kept & set(own.split(".")) else dtype)
    model.load_state_dict(weights, assign=True)
    return model.eval()


@checked
def read_codec(folder: Folder) -> AutoencoderKLWan:
    """Read the codec in float32, to the CPU.

    Args:
        folder: from `folders.check_wan_folder`, including the weights.

    Raises:
        ValueError: weights are gone since the folder was checked.
    """
    place = folder.path / "vae"
    return _complete(AutoencoderKLWan.from_pretrained(place, use_safetensors=True), place).float().eval()


def _complete(model: Any, place: Path) -> Any:
    """Refuse a model that diffusers has left with empty weights, because its files have changed since the check."""
    if gone := [name for name, weight in model.named_parameters() if weight.is_meta]:
        raise ValueError(f"{place} has lost {gone[0]} since it was checked: download it again.")
    return model


@checked
def read_text_encoder(folder: Folder, dtype: torch.dtype) -> tuple[Any, nn.Module]:
    """Read tokenizer and text encoder, to the CPU.

    Args:
        folder: from `folders.check_wan_folder`, including the weights.
        dtype: of the encoder's weights.

    Raises:
        ValueError: either is incomplete, or the installed version of transformers does not read it correctly.
    """
    tokenizer = _read_tokenizer(folder.path / "tokenizer")
    check_encoder(folder)
    place = folder.path / "text_encoder"
    read: Any = UMT5EncoderModel.from_pretrained
    with _bars_where_watched():
        encoder, info = read(place, dtype=dtype, use_safetensors=True, output_loading_info=True)
    if missing := sorted(set(info["missing_keys"]) - set(EMBEDDING)):
        raise ValueError(
            f"transformers {transformers.__version__} found no {missing[0]} and {len(missing) - 1} more weights in "
            f"{place}: download it again, or install transformers 5.23 or newer."
        )
    _check_embedding(encoder, place)
    return tokenizer, encoder.eval()


@contextlib.contextmanager
def _bars_where_watched() -> Iterator[None]:
    """Context manager in which transformers shows its bars only where ours are shown."""
    if watched() or not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def _read_tokenizer(place: Path) -> Any:
    try:
        return AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    except Exception as error:  # the contents of a damaged file can cause an error of any kind
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:150]
        raise ValueError(
            f"{place} cannot be read as a tokenizer ({reason}): download it again, with its tokenizer.json."
        ) from error


def _check_embedding(encoder: Any, place: Path) -> None:
    """Refuse zero word embeddings, which some releases of transformers leave if a file has only one of two names."""
    shared, used = encoder.shared.weight, encoder.encoder.embed_tokens.weight
    if used.is_meta or shared.is_meta or not torch.equal(used, shared) or not used.any():
        raise ValueError(
            f"transformers {transformers.__version__} loses the word embeddings of {place} while reading it, so that "
            f"every caption would be noise: install transformers 5.23 or newer."
        )


@checked
def with_strengths(paths: Paths, strength: float | Sequence[float]) -> list[tuple[str | Path, float]]:
    """Pair each LoRA file with its strength.

    Args:
        paths: one or several files.
        strength: one for all files, or a list with one per file.

    Raises:
        ValueError: the numbers of files and strengths differ, or a strength is not finite.
    """
    files = [paths] if isinstance(paths, str | Path) else list(paths)
    scales = [float(strength)] * len(files) if isinstance(strength, int | float) else list(strength)
    for scale in scales:
        check_strength(scale)
    if len(scales) != len(files):
        raise ValueError(
            f"{counted(len(files), 'LoRA file')} but {counted(len(scales), 'strength')}: give one for all, or one per "
            "file."
        )
    return list(zip(files, scales, strict=True))


@checked
def find_device(device: str | torch.device | None) -> torch.device:
    """The device of this name.

    Args:
        device: None takes the GPU if there is one.

    Raises:
        ValueError: PyTorch does not know it, or sees no GPU.
    """
    try:
        found = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError:
        raise ValueError(f"device={str(device)!r:.60} is not known to PyTorch: give 'cpu' or 'cuda'.") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={str(device)!r}, but PyTorch sees no GPU here: use device='cpu', or install its CUDA build."
        )
    return found

"""What a checkpoint says of its sizes, checked before anything of these sizes is built."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from small_models.codec import Codec
from small_models.features import Features
from small_models.i2v import MASK, ImageToVideo
from small_models.model import ToyModel
from small_models.world import WORLDS

KINDS: dict[str, Any] = {"ToyModel": ToyModel, "ImageToVideo": ImageToVideo, "codec": Codec, "features": Features}
"""What a description may be of."""
PARTS = {"name": str, "sha256": str}
"""Of a checkpoint that another one builds on."""
MOST = 2**28
"""Numbers in the largest video that a toy may describe: 1 GiB."""
SIZES: dict[str, dict[str, int]] = {
    "text": {"dim": 2**14, "layers": 256, "longest": 2**16},
    "geometry": {"channels": 2**12, "frames": 2**12, "fps": 1000},
    "dit": {
        **dict.fromkeys(("in_channels", "out_channels"), 2**13),
        **dict.fromkeys(("text_dim", "freq_dim", "attention_head_dim"), 2**14),
        **{"num_attention_heads": 256, "ffn_dim": 2**16, "num_layers": 256},
    },
    "codec": {"base_dim": 2**12, "z_dim": 2**12, "num_res_blocks": 64},
}
"""The largest of each size; a checkpoint of the same sizes would take gigabytes."""
LISTS = {"patch_size": 3, "stride": 3, "size": 2, "dim_mult": 4}
"""Sizes that are several numbers, and how many."""

SCALED = (Tensor.__truediv__, Tensor.__mul__, Tensor.__add__, Tensor.__sub__, Tensor.mul, Tensor.sub, Tensor.div)


class _Odd(Exception):
    """Says what is wrong with a description."""


def fault(about: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> str:
    """What is wrong with a description, in a few words; empty if nothing is.

    Args:
        about: read from a file.
        weights: of the same file, which must be those of a model of these sizes, unless they are an update.
    """
    try:
        _check_kind(about)
        if "base" not in about:
            _check_weights(about, weights)
    except _Odd as odd:
        return str(odd)
    except Exception as error:  # a constructor that is given what a file says
        return (str(error).splitlines() or [type(error).__name__])[-1].strip()[:200]
    return ""


def _check_kind(about: Mapping[str, Any]) -> None:
    kind, preset = about.get("kind"), about.get("preset")
    if unknown := sorted(set(about) - {"kind", "preset", "base", "codec"}):
        raise _Odd(f"{unknown[0]!r:.40} is not known")
    if not isinstance(kind, str) or kind not in KINDS:
        raise _Odd(f"kind is {kind!r:.40}, and not one of {', '.join(KINDS)}")
    if not isinstance(preset, dict):
        raise _Odd("it has no preset")
    world = preset.get("world")
    if kind != "codec" and (not isinstance(world, str) or world not in WORLDS):
        raise _Odd(f"world is {world!r:.40}, and not one of {', '.join(WORLDS)}")
    for part in {"base", "codec"} & set(about):
        named = about[part]
        if not isinstance(named, dict) or not all(isinstance(named.get(k), t) for k, t in PARTS.items()):
            raise _Odd(f"{part} has no name and sha256")
    if kind == "codec":
        _check_sizes("codec", preset)
    if kind in ("ToyModel", "ImageToVideo"):
        _check_toy(kind, preset)


def _check_toy(kind: str, preset: Mapping[str, Any]) -> None:
    for part in ("text", "geometry", "dit"):
        if not isinstance(preset.get(part), dict):
            raise _Odd(f"it has no {part}")
        _check_sizes(part, preset[part])
    text, geometry, dit = preset["text"], preset["geometry"], preset["dit"]
    words = text.get("words")
    if not isinstance(words, list | tuple) or not words or not all(isinstance(word, str) for word in words):
        raise _Odd("its words are no list of texts")
    numbers = geometry["channels"] * geometry["frames"] * math.prod(geometry["size"]) * math.prod(geometry["stride"])
    if numbers > MOST:
        raise _Odd(f"a video of {numbers} numbers, at most {MOST} are read")
    c = geometry["channels"]
    inward = 2 * c + MASK if kind == "ImageToVideo" else c
    if (dit["in_channels"], dit["out_channels"], dit["text_dim"]) != (inward, c, text["dim"]):
        raise _Odd("its parts are of different sizes")


def _check_sizes(part: str, sizes: Mapping[str, Any]) -> None:
    for name, value in sizes.items():
        most, several = SIZES[part].get(name), LISTS.get(name)
        numbers = value if several and isinstance(value, list | tuple) else [value]
        if (several and len(numbers) != several) or ((several or most) and not all(type(n) is int for n in numbers)):
            raise _Odd(f"{name} is {value!r:.40}, and not {several or 'a'} whole number{'s' if several else ''}")
        if (several or most) and not all(1 <= n <= (most or 2**12) for n in numbers):
            raise _Odd(f"{name} is {value!r:.40}, and not from 1 to {most or 2**12}")
    if missing := [name for name in SIZES[part] if name not in sizes and part in ("geometry", "dit")]:
        raise _Odd(f"it has no {missing[0]}")


def _check_weights(about: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> None:
    """On the meta device, where weights have a shape and no memory."""
    preset = about["preset"]
    layers = preset["dit"]["num_layers"] if "dit" in preset else 0
    if layers > len(weights):
        raise _Odd(f"{layers} layers, and the file has {len(weights)} tensors")
    with torch.device("meta"), _Unfilled():
        expected = {k: v.shape for k, v in KINDS[about["kind"]](preset).state_dict().items()}
    there = {k: v.shape for k, v in weights.items()}
    if differ := sorted(k for k in expected.keys() | there.keys() if expected.get(k) != there.get(k)):
        name = differ[0]
        raise _Odd(f"{name} is {_shape(there.get(name))}, and described as {_shape(expected.get(name))}")


class _Unfilled(TorchFunctionMode):
    """Weights without memory are neither drawn nor scaled: for that torch would load its compiler, in over a second."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Leave out what changes no shape."""
        given = kwargs or {}
        if func in SCALED or getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else given["tensor"]
        return func(*args, **given)


def _shape(shape: torch.Size | None) -> str:
    return "missing" if shape is None else str(tuple(shape))

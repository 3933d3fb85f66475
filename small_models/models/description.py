"""What a checkpoint says of its sizes, checked before anything of these sizes is built."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pusa_lab.arguments import checked
from pusa_lab.sentences import counted
from small_models.models.actions import ActionToy
from small_models.models.codec import Codec
from small_models.models.features import Features
from small_models.models.flow_map import FlowMapToy
from small_models.models.i2v import ImageToVideo
from small_models.models.presets import OddError, check_part_sizes, check_toy
from small_models.models.toy import ToyModel
from small_models.world import WORLDS

TOYS = {one.__name__: one for one in (ToyModel, ImageToVideo, FlowMapToy, ActionToy)}
KINDS: dict[str, Any] = {**TOYS, "codec": Codec, "features": Features}
"""What a description may be of."""
PARTS = {"name": str, "sha256": str}
"""Types of the fields of a checkpoint that another one builds on."""
FILLED = (Tensor.uniform_, Tensor.normal_)
"""What draws a weight's numbers; layers call it by way of torch.nn.init."""
SCALED = (Tensor.__truediv__, Tensor.__mul__, Tensor.__add__, Tensor.__sub__, Tensor.mul, Tensor.sub, Tensor.div)


@checked
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
    except OddError as odd:
        return str(odd)
    return ""


def _check_kind(about: Mapping[str, Any]) -> None:
    kind, preset = about.get("kind"), about.get("preset")
    if unknown := sorted(set(about) - {"kind", "preset", "base", "codec"}):
        raise OddError(f"{unknown[0]!r:.40} is not known")
    if not isinstance(kind, str) or kind not in KINDS:
        raise OddError(f"kind is {kind!r:.40}, and not one of {', '.join(KINDS)}")
    if not isinstance(preset, dict):
        raise OddError("it has no preset")
    world = preset.get("world")
    if kind == "features" and (not isinstance(world, str) or world not in WORLDS):
        raise OddError(f"world is {world!r:.40}, and not one of {', '.join(WORLDS)}")
    for part in {"base", "codec"} & set(about):
        named = about[part]
        if not isinstance(named, dict) or not all(isinstance(named.get(k), t) for k, t in PARTS.items()):
            raise OddError(f"{part} has no name and sha256")
    if kind == "codec":
        check_part_sizes("codec", preset)
    if kind in TOYS:
        check_toy(preset, KINDS[kind].inward)


def _check_weights(about: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> None:
    preset = about["preset"]
    layers = preset["dit"]["num_layers"] if "dit" in preset else 0
    if layers > len(weights):
        raise OddError(f"{counted(layers, 'layer')}, and the file has {counted(len(weights), 'tensor')}")
    try:
        expected = _shapes(about["kind"], json.dumps(preset))
    except (ValueError, TypeError, RuntimeError) as error:  # of layers that cannot have these sizes
        raise OddError((str(error).splitlines() or [type(error).__name__])[-1].strip()[:200]) from error
    there = {k: v.shape for k, v in weights.items()}
    if differ := sorted(k for k in expected.keys() | there.keys() if expected.get(k) != there.get(k)):
        name = differ[0]
        raise OddError(f"{name} is {_shape(there.get(name))}, and described as {_shape(expected.get(name))}")


@lru_cache(maxsize=16)
def _shapes(kind: str, preset: str) -> dict[str, torch.Size]:
    """Of all weights of a model, built on the meta device, where they have a shape and no memory."""
    with torch.device("meta"), _Unscaled():
        return {k: v.shape for k, v in KINDS[kind](json.loads(preset)).state_dict().items()}


class Undrawn(TorchFunctionMode):
    """Context manager: layers are built without drawing their weights, which are all set afterwards."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Leave out what only gives numbers to a weight."""
        given = kwargs or {}
        if func is torch.randn:  # which brings a library of symbols on the meta device
            return torch.empty(*args, **given)
        if func in FILLED or getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else given["tensor"]
        return func(*args, **given)


class _Unscaled(Undrawn):
    """Weights without memory are not scaled either: for that torch would load its compiler, in over a second."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func in SCALED else super().__torch_function__(func, types, args, kwargs)


def _shape(shape: torch.Size | None) -> str:
    return "missing" if shape is None else str(tuple(shape))

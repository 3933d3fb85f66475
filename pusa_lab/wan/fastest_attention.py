"""attention="auto": each kind is timed once on a GPU, at a model's sizes, and the fastest is remembered."""

import logging
import math
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Any

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn

from pusa_lab.arguments import checked
from pusa_lab.fa4 import CAPABILITY, PACKAGE, TYPES, fa4_fault
from pusa_lab.files import read_json, write_json
from pusa_lab.types import Geometry
from pusa_lab.wan.attention import BACKENDS, check_attention
from pusa_lab.wan.prompts import CACHE

FASTEST = CACHE.parent / "attention.json"
"""Where seconds are remembered: by GPU and versions, then by sizes, then by kind."""
MARGIN = 0.97
"""PyTorch's own attention is kept unless another takes at most this share of its time: two runs differ by up to 3 %."""
CALLS = 3
"""Calls that are timed, after two that are not."""

_log = logging.getLogger(__name__)


@checked
def choose_attention(
    attention: str | None,
    device: torch.device,
    dtype: torch.dtype,
    config: Mapping[str, Any],
    geometry: Geometry,
    backward: bool = False,
) -> str | None:
    """The attention that was asked for, checked; for "auto", the fastest on this GPU, and "native" on other devices.

    What "auto" finds on a Hopper or newer GPU is remembered in `FASTEST`, for the GPU's name, the versions of PyTorch
    and flash-attn-4, heads, type, direction and number of tokens to the nearest power of two.

    Args:
        attention: "auto", one of `attention.BACKENDS`, or a backend of diffusers; None is diffusers' default.
        device: on which the model will compute.
        dtype: in which it will compute.
        config: of the transformer.
        geometry: sizes of the videos.
        backward: whether the model is trained.

    Returns:
        For `attention.set_attention`.

    Raises:
        ValueError: as `attention.check_attention`, or the config is of another model.
    """
    if missing := [name for name in ("num_attention_heads", "attention_head_dim", "patch_size") if name not in config]:
        raise ValueError(f"the config has no {missing[0]}: give that of diffusers' WanTransformer3DModel.")
    heads, head = config["num_attention_heads"], config["attention_head_dim"]
    if attention is not None:
        check_attention(attention, device, dtype, head)
    if attention != "auto":
        return attention
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < CAPABILITY or dtype not in TYPES:
        _log.info("attention: native, because only a Hopper or newer GPU has others worth a try, in 16 bits")
        return "native"
    side = [n // s // p for n, s, p in zip(geometry.size, geometry.stride[1:], config["patch_size"][1:], strict=True)]
    shape = geometry.frames * math.prod(side), heads, head
    seconds = _remembered(shape, device, dtype, backward)
    found = min(seconds, key=seconds.__getitem__, default="native")
    faster = seconds.get(found, 0) <= MARGIN * seconds.get("native", math.inf)
    found = found if faster and not (found == "fa4" and fa4_fault(device)) else "native"  # what was there may be gone
    shown = ", ".join(f"{kind} {1000 * each:.1f} ms" for kind, each in seconds.items())
    _log.info("attention: %s (%s)", found, shown)
    return found


def _remembered(
    shape: tuple[int, int, int], device: torch.device, dtype: torch.dtype, backward: bool
) -> dict[str, float]:
    """Seconds of each kind, from the file or measured now."""
    about = f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}, {PACKAGE} {_fa4_version()}"
    tokens, heads, head = shape
    what = f"{dtype}, {heads} heads of {head}, {2 ** round(math.log2(tokens))} tokens"
    what += ", forward and backward" if backward else ", forward"
    known = _known()
    if not _are_seconds(known.get(about, {}).get(what)):
        known.setdefault(about, {})[what] = attention_seconds(shape, device, dtype, backward)
        try:
            write_json(FASTEST, known)
        except OSError as error:
            _log.info("attention: what was measured is not kept, because %s", error)
    return known[about][what]


def _known() -> dict[str, dict[str, Any]]:
    """What the file holds, but for what is damaged."""
    try:
        held = read_json(FASTEST, "seconds of attention")
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in held.items() if isinstance(v, dict)} if isinstance(held, dict) else {}


def _are_seconds(value: Any) -> bool:
    fits = isinstance(value, dict) and "native" in value and value.keys() <= BACKENDS.keys()
    return fits and all(isinstance(s, float) and 0 < s < math.inf for s in value.values())


def _fa4_version() -> str:
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "not installed"


@checked
def attention_seconds(
    shape: tuple[int, int, int], device: torch.device, dtype: torch.dtype, backward: bool = False
) -> dict[str, float]:
    """Median seconds of a call of self-attention, of each of `attention.BACKENDS` that can run here.

    Args:
        shape: tokens, heads and size of a head.
        device: on which it computes.
        dtype: in which it computes.
        backward: whether gradients are computed too.
    """
    found = {}
    for kind in BACKENDS:
        try:
            check_attention(kind, device, dtype, shape[2])
            found[kind] = _seconds(BACKENDS[kind], shape, device, dtype, backward)
        except (ValueError, RuntimeError) as error:  # such as too little memory
            _log.info("attention: %s is left out: %s", kind, " ".join(str(error).split())[:300])
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return found


def _seconds(
    backend: str, shape: tuple[int, int, int], device: torch.device, dtype: torch.dtype, backward: bool
) -> float:
    g = torch.Generator(device).manual_seed(0)
    q, k, v, grad = (torch.randn(1, *shape, device=device, dtype=dtype, generator=g) for _ in range(4))
    seconds = []
    for _ in range(2 + CALLS):
        _wait(device)
        began = time.perf_counter()
        with torch.set_grad_enabled(backward):
            given = [x.requires_grad_(backward) for x in (q, k, v)]
            out = dispatch_attention_fn(*given, backend=AttentionBackendName(backend))
        if backward:
            torch.autograd.grad(out, given, grad)
        _wait(device)
        seconds.append(time.perf_counter() - began)
    return median(seconds[-CALLS:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

"""Conversion between pixels for people, uint8 (frames, h, w, 3), and for models, floats (b, 3, pf, h, w) in [-1, 1]."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from pusa_lab.arguments import checked, shown
from pusa_lab.types import Clip

MOST_SIDE = 2**15
"""Largest side, in pixels, that a clip is resized to."""


@checked
def to_pixels(clip: Any) -> Clip:
    """Convert a picture, a clip, or one clip per sample to the pixels that models take.

    Args:
        clip: (h, w, 3), (pixel frames, h, w, 3) or (b, pixel frames, h, w, 3), uint8 or floats in [0, 1]; a NumPy
            array, a tensor, or anything that NumPy converts to an array. Four axes are a single clip; pictures for
            several samples have the shape (b, 1, h, w, 3).

    Returns:
        float32 (b, 3, pixel frames, h, w) in [-1, 1].

    Raises:
        ValueError: the clip is a path, has another shape or type, or holds numbers outside [0, 1] or NaN.
    """
    if isinstance(clip, str | Path):
        raise ValueError(f"a known picture or clip is the path {str(clip)!r}: read it with pusa_lab.data first.")
    x = _dense(clip) if isinstance(clip, Tensor) else torch.from_numpy(_numbers(clip))
    given, x = tuple(x.shape), x[(None,) * max(0, 5 - x.ndim)]
    if x.ndim != 5 or x.shape[-1] != 3 or 0 in x.shape:
        raise ValueError(
            f"a known picture or clip has shape {given}: give RGB (h, w, 3), (frames, h, w, 3), or "
            f"(samples, frames, h, w, 3)."
        )
    if x.dtype == torch.uint8:
        x = x.float() / 255
    elif not x.is_floating_point() or not ((x >= 0) & (x <= 1)).all():
        raise ValueError(f"a known picture or clip of type {x.dtype} {NO_PIXELS}")
    return x.float().permute(0, 4, 1, 2, 3) * 2 - 1


NO_PIXELS = "holds no pixels: give uint8, or floats in [0, 1]."


def _dense(x: Tensor) -> Tensor:
    if x.layout != torch.strided or x.is_meta or x.is_quantized or x.is_complex():
        raise ValueError(f"a known picture or clip is {shown(x)}, which {NO_PIXELS}")
    return x


def _numbers(clip: Any) -> np.ndarray:
    try:
        array = np.array(clip)
    except Exception:  # converting an object to an array may run any code of the object
        raise ValueError(f"a known picture or clip is {shown(clip)}, which {NO_PIXELS}") from None
    if array.dtype.kind not in "uif" or array.dtype.itemsize > 8:
        raise ValueError(f"a known picture or clip of type {array.dtype} {NO_PIXELS}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


@checked
def fit(clip: Clip, size: tuple[int, int]) -> Float[Tensor, "b 3 pf h w"]:
    """Crop around the centre to the aspect ratio of `size`, then resize bilinearly with antialiasing.

    Args:
        clip: pixels (b, 3, pixel frames, h, w).
        size: height and width of the result in pixels, each from 1 to 32768.

    Raises:
        ValueError: a size is out of range, or the clip is empty.
    """
    if min(size) < 1 or max(size) > MOST_SIDE or 0 in clip.shape:
        raise ValueError(
            f"size={tuple(size)} from a clip of shape {tuple(clip.shape)}: give 1 to {MOST_SIDE} pixels per side, and "
            f"a clip that is not empty."
        )
    h, w = clip.shape[-2:]
    scale = min(h / size[0], w / size[1])
    ch, cw = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    top, left = (h - ch) // 2, (w - cw) // 2
    frames = clip[..., top : top + ch, left : left + cw].transpose(1, 2)
    if (ch, cw) != tuple(size):
        wide = torch.promote_types(clip.dtype, torch.float32)  # the CPU does not resize in half precision
        resized = F.interpolate(frames.flatten(0, 1).to(wide), size=tuple(size), mode="bilinear", antialias=True)
        frames = resized.to(clip.dtype).unflatten(0, frames.shape[:2])
    return frames.transpose(1, 2)


@checked
def to_uint8(clip: Clip) -> np.ndarray:
    """Convert the pixels of models to uint8 (b, pixel frames, h, w, 3).

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1]; values outside are clipped.

    Raises:
        ValueError: the clip holds NaN or infinite numbers.
    """
    if not torch.isfinite(clip).all():
        raise ValueError("the clip holds NaN or infinite numbers: give finite pixels in [-1, 1].")
    pixels = (clip.float().clamp(-1, 1) + 1) * 127.5
    return pixels.round().to(torch.uint8).permute(0, 2, 3, 4, 1).cpu().numpy()

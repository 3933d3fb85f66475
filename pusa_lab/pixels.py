"""Conversion between pixels for people, uint8 (frames, h, w, 3), and for models, floats (b, 3, pf, h, w) in [-1, 1]."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from pusa_lab.annotations import Unfit, check_for
from pusa_lab.annotations_arrays import is_dense
from pusa_lab.arguments import ArgumentError, checked, shown
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
        raise ValueError(f"a known picture or clip has shape {given}: give {FORMS}.")
    if x.dtype == torch.uint8:
        x = x.float() / 255
    elif not x.is_floating_point():
        raise ValueError(f"a known picture or clip of type {x.dtype} {NO_PIXELS}")
    elif not ((x >= 0) & (x <= 1)).all():
        raise ValueError(
            "a known picture or clip holds NaN or numbers outside [0, 1]: give uint8, or floats in [0, 1]."
        )
    return x.float().permute(0, 4, 1, 2, 3) * 2 - 1


FORMS = "RGB (h, w, 3), (frames, h, w, 3), or (samples, frames, h, w, 3)"
NO_PIXELS = "holds no pixels: give uint8, or floats in [0, 1]."


def _dense(x: Tensor) -> Tensor:
    if not is_dense(x) or x.is_meta or x.is_quantized or x.is_complex():
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
def crop_and_resize(clip: Clip, size: tuple[int, int]) -> Float[Tensor, "b 3 pf h w"]:
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


@checked
def check_range(clip: Clip) -> None:
    """Refuse pixels that are not in [-1, 1], such as those from 0 to 255; rounding and resizing may exceed it by 1 %.

    Args:
        clip: pixels (b, 3, pf, h, w).

    Raises:
        ValueError: it holds NaN or larger numbers.
    """
    if clip.numel() and not (most := clip.abs().amax()) <= 1.01:
        raise ValueError(f"the clip's pixels reach {most:.4g}: give floats in [-1, 1], such as pixels / 127.5 - 1.")


@checked
def on_white(rgba: np.ndarray) -> np.ndarray:
    """Blend a picture with white by its transparency: a c + (1 - a) 255.

    Args:
        rgba: (h, w, 4) uint8, colours and alpha.

    Returns:
        (h, w, 3) uint8.

    Raises:
        ValueError: the picture has another shape or type.
    """
    if rgba.ndim != 3 or rgba.shape[-1] != 4 or rgba.dtype != np.uint8 or 0 in rgba.shape:
        raise ValueError(f"rgba has shape {rgba.shape} and type {rgba.dtype}: give (h, w, 4) uint8.")
    alpha = rgba[..., 3:]
    if alpha.min() == 255:
        return rgba[..., :3]
    weight = alpha.astype(np.uint16)
    return ((rgba[..., :3] * weight + 255 * (255 - weight) + 127) // 255).astype(np.uint8)


@checked
def picture_of(picture: Any, name: str = "picture") -> Any:
    """Check that an argument is one picture or one picture per sample, and not a clip or something that may be one.

    Args:
        picture: (h, w, 3), or (b, 1, h, w, 3) with one picture per sample, uint8 or floats in [0, 1]; or a list of
            pictures of one size, one per sample.
        name: name of the argument, for the error sentence.

    Returns:
        An array or tensor (h, w, 3), (1, h, w, 3) or (b, 1, h, w, 3).

    Raises:
        ValueError: it has several frames, or holds no pixels.
    """
    if isinstance(picture, list | tuple) and picture and not isinstance(picture[0], list | tuple | int | float):
        picture = [pixels_of(one, f"{name} {i}") for i, one in enumerate(picture)]
        shapes = [tuple(one.shape) for one in picture]
        if len(set(shapes)) > 1 or len(shapes[0]) != 3:
            several = ", ".join(map(str, sorted(set(shapes))[:4]))
            raise ArgumentError(f"{name} is a list of shapes {several}: give pictures (h, w, 3) of one size.")
        return torch.stack([torch.as_tensor(np.ascontiguousarray(one)) for one in picture])[:, None]
    found = pixels_of(picture, name, "one picture (h, w, 3), or one per sample as (b, 1, h, w, 3)")
    if found.ndim > 3 and found.shape[-4] != 1:
        n = found.shape[0]
        raise ArgumentError(
            f"{name} has shape {tuple(found.shape)}, which is a clip: give one picture (h, w, 3), or one per sample as "
            f"(b, 1, h, w, 3){f', such as {name}[:, None] for {n} samples' if found.ndim == 4 else ''}; "
            f"for a clip, use tasks.extension or tasks.transition."
        )
    return found


@checked
def clip_of(clip: Any, name: str = "the clip", frames: bool = True) -> Any:
    """Check a clip and return it with a batch axis, so that its frames are not taken for one picture per sample.

    Args:
        clip: (pixel frames, h, w, 3) or (b, pixel frames, h, w, 3), uint8 or floats in [0, 1].
        name: name of the argument, for the error sentence.
        frames: whether it must have an axis of frames; if not, a picture (h, w, 3) is returned as it is.

    Returns:
        An array or tensor (b or 1, pixel frames, h, w, 3).

    Raises:
        ValueError: it is a single picture, or holds no pixels.
    """
    found = pixels_of(clip, name)
    if frames and found.ndim < 4:
        raise ArgumentError(f"{name} has shape {tuple(found.shape)}: give a clip (frames, h, w, 3).")
    return found[None] if found.ndim == 4 else found


@checked
def pixels_of(value: Any, name: str = "the clip", forms: str = FORMS) -> Any:
    """Check a picture or clip and return it as an array or tensor with 3 to 5 axes, as in `Known.clip`.

    Args:
        value: what a person gave.
        name: name of the argument, for the error sentence.
        forms: what to give instead, for the error sentence.

    Raises:
        ValueError: it holds no pixels.
    """
    if isinstance(value, str | os.PathLike):
        raise ArgumentError(f"{name} is the path {str(value)!r:.80}: read it with pusa_lab.data first.")
    found = value if isinstance(value, np.ndarray) else _tensor(value, name)
    kind = str(found.dtype).removeprefix("torch.")
    if found.ndim not in (3, 4, 5) or found.shape[-1] != 3 or 0 in found.shape:
        raise ArgumentError(f"{name} has shape {tuple(found.shape)}: give {forms}.")
    if kind != "uint8" and "float" not in kind:
        raise ArgumentError(f"{name} of type {kind} {NO_PIXELS}")
    return found


def _tensor(value: Any, name: str) -> Tensor:
    if any((kind.__module__, kind.__name__) == ("PIL.Image", "Image") for kind in type(value).__mro__):
        value = _rgb(value, name)
    try:
        found = check_for(Tensor)(value)
    except Unfit:
        raise ArgumentError(
            f"{name} is {shown(value)}, which holds no pixels: give RGB (h, w, 3) or (frames, h, w, 3)."
        ) from None
    whole = not isinstance(value, Tensor) and found.dtype == torch.int64  # from a list of numbers
    return found.byte() if whole and found.numel() and found.min() >= 0 and found.max() <= 255 else found


def _rgb(image: Any, name: str) -> Any:
    """Convert a Pillow image to RGB, but only from modes that Pillow converts correctly."""
    if image.mode not in ("1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV") or "transparency" in image.info:
        raise ArgumentError(
            f"{name} is a Pillow image of mode {image.mode}, with transparency or another range of values: "
            f"give image.convert('RGB'), or read its file with pusa_lab.data.read_picture."
        )
    return image.convert("RGB")

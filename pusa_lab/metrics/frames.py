"""Frame by frame: checks of clips and masks, fidelity to a known truth, and amount of motion."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from pusa_lab.arguments import checked, shown
from pusa_lab.sentences import counted
from pusa_lab.types import Clip

Masks = Float[Tensor, "b k pf hp wp"]
"""Share of each pixel that shows each of k subjects, in [0, 1]; 0 everywhere for a subject that is absent."""
ByClip = Float[Tensor, " b"]
SLACK = 1e-3
"""Tolerance for values that rounding puts out of range."""
TAPS, SIGMA = 11, 1.5
"""Size and standard deviation of the window of SSIM, in pixels."""


def check_clips(clip: Tensor, *others: Tensor, frames: int = 1) -> None:
    """Raise one ValueError unless all arguments are clips of the same shape in [-1, 1].

    Args:
        clip: expected to be pixels (b, 3, pf, h, w) in [-1, 1].
        others: expected to be pixels of the same shape.
        frames: smallest number of frames, at least 1.

    Raises:
        ValueError: an argument has another shape, type or range, is not finite, or has too few frames.
    """
    for x in (clip, *others):
        if not isinstance(x, Tensor):
            raise ValueError(f"a clip is {shown(x)}: give pixels, a tensor (b, 3, frames, h, w).")
        shape = tuple(x.shape)
        if x.ndim != 5 or shape[1] != 3 or 0 in shape:
            raise ValueError(f"a clip has shape {shape}: give pixels (b, 3, frames, h, w).")
        if not x.is_floating_point():
            raise ValueError(
                f"a clip has dtype {x.dtype}: give floats in [-1, 1], such as from pusa_lab.pixels.to_pixels."
            )
        if shape != tuple(clip.shape):
            raise ValueError(f"clips have shapes {tuple(clip.shape)} and {shape}: give clips of the same shape.")
        _check_range(x, "a clip", -1)
    if clip.shape[2] < frames:
        raise ValueError(f"a clip has {counted(clip.shape[2], 'frame')}: this measure needs at least {frames}.")


def check_masks(mask: Tensor, clip: Clip) -> None:
    """Raise one ValueError unless `mask` holds a mask of each subject for each pixel of `clip`.

    Args:
        mask: expected to be (b, k, pf, h, w) in [0, 1].
        clip: pixels (b, 3, pf, h, w).

    Raises:
        ValueError: the mask has another shape, type or range, or is not finite.
    """
    want = (clip.shape[0], *clip.shape[2:])
    if mask.ndim != 5 or 0 in mask.shape or (mask.shape[0], *mask.shape[2:]) != want:
        b, *rest = want
        raise ValueError(
            f"masks have shape {tuple(mask.shape)}: give ({b}, subjects, {', '.join(map(str, rest))}) for this clip."
        )
    if not mask.is_floating_point():
        raise ValueError(f"masks have dtype {mask.dtype}: give floats in [0, 1].")
    _check_range(mask, "masks", 0)


def _check_range(x: Tensor, what: str, lowest: int) -> None:
    low, high = (value.item() for value in x.aminmax())  # NaN if any value is NaN
    if not (low >= lowest - SLACK and high <= 1 + SLACK):
        raise ValueError(f"{what} has values from {low:.4g} to {high:.4g}: give finite numbers in [{lowest}, 1].")


def in_parts(read: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Apply a measure to a few rows at a time, so that they fit the cache of a CPU or the memory of a GPU.

    Args:
        read: function of some rows of each tensor that returns one or more numbers per row.
        tensors: tensors with the same number of rows; the first one decides how many rows are taken at a time.

    Returns:
        The results of all rows, concatenated.
    """
    room = 2**18 if tensors[0].device.type == "cpu" else 2**26
    count = max(1, room // max(1, tensors[0][:1].numel()))
    tensors = tuple(x.to(torch.promote_types(x.dtype, torch.float32)) for x in tensors)  # half precision loses digits
    return torch.cat([read(*part) for part in zip(*(x.split(count) for x in tensors), strict=True)])


@checked
def psnr(clip: Tensor, truth: Tensor) -> Float[Tensor, "b pf"]:
    """Peak signal-to-noise ratio of every frame, in dB.

    10 log10(2^2 / mean((clip - truth)^2)), pixels in [-1, 1]; infinite for equal frames

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        truth: pixels of the same shape in [-1, 1].

    Raises:
        ValueError: clip or truth is not as described.
    """
    check_clips(clip, truth)
    return in_parts(lambda x, y: 10 * (4 / (x - y).square().mean(dim=(1, 3, 4))).log10(), clip, truth)


@checked
def ssim(clip: Tensor, truth: Tensor) -> Float[Tensor, "b pf"]:
    """Structural similarity of every frame: 1 for equal frames.

    mean of (2 m_x m_y + C1) (2 s_xy + C2) / ((m_x^2 + m_y^2 + C1) (s_x^2 + s_y^2 + C2)), with means m and
    (co)variances s under a Gaussian window of 11 pixels and sigma 1.5 (in smaller pictures, the largest odd window that
    fits), C1 = (.01 * 2)^2, C2 = (.03 * 2)^2; over channels and over all places where the whole window fits

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        truth: pixels of the same shape in [-1, 1].

    Raises:
        ValueError: clip or truth is not as described.

    Source: Wang, Bovik, Sheikh, Simoncelli, Image quality assessment, IEEE TIP 13(4), 2004.
    """
    check_clips(clip, truth)
    b, _, pf, h, w = clip.shape
    found = in_parts(_ssim, *(x.float().reshape(-1, h, w) for x in (clip, truth)))
    return found.view(b, 3, pf).mean(1)


def _ssim(x: Float[Tensor, "n h w"], y: Float[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """SSIM of single channels; only the sum of the variances is needed, so four maps are filtered instead of five."""
    m_x, m_y, squares, product = _windowed(torch.stack([x, y, x * x + y * y, x * y])).unbind()
    both, c1, c2 = m_x * m_y, (0.01 * 2) ** 2, (0.03 * 2) ** 2
    means = m_x * m_x + m_y * m_y
    top = (2 * both + c1) * (2 * (product - both) + c2)
    return (top / ((means + c1) * (squares - means + c2))).mean((-1, -2))


def _windowed(maps: Float[Tensor, "four n h w"]) -> Float[Tensor, "four n _ _"]:
    x = maps.flatten(0, 1)[None]
    n = x.shape[1]
    for axis in (2, 3):
        taps = min(TAPS, (x.shape[axis] - 1) // 2 * 2 + 1)
        line = torch.arange(taps, device=x.device) - (taps - 1) / 2
        window = (-line.square() / (2 * SIGMA**2)).softmax(0)
        x = F.conv2d(x, window.view(1, 1, *((-1, 1) if axis == 2 else (1, -1))).expand(n, 1, -1, -1), groups=n)
    return x[0].unflatten(0, maps.shape[:2])


@checked
def follow_errors(made: np.ndarray, truth: np.ndarray, stride: int) -> dict[str, float]:
    """How well generated videos follow the picture that they were generated from.

    first_frame_error and next_frame_error: root mean square of made - truth in grey levels of 255, for pixel frame 0,
    which was given, and for the pixel frames of the first latent frame after it

    Args:
        made: generated videos (b, pixel frames, h, w, 3) uint8, at least 2 frames.
        truth: clips whose first frames were given, of the same shape and type.
        stride: pixel frames per latent frame, at least 1.

    Returns:
        {"first_frame_error": ..., "next_frame_error": ...}.

    Raises:
        ValueError: the videos are not uint8, differ in shape, or have only one frame, or stride is below 1.
    """
    for name, video in (("made", made), ("truth", truth)):
        if video.dtype != np.uint8 or video.ndim != 5 or video.shape[-1] != 3 or not video.size:
            raise ValueError(f"{name} is {shown(video)}: give uint8 videos (b, pixel frames, h, w, 3).")
    if made.shape != truth.shape:
        raise ValueError(f"made has shape {made.shape} and truth {truth.shape}: give videos of the same shape.")
    if made.shape[1] < 2 or stride < 1:
        raise ValueError(
            f"videos of {counted(made.shape[1], 'frame')} with stride={stride}: give at least 2 frames, and a stride "
            "of at least 1."
        )
    off = (made.astype(float) - truth) ** 2
    parts = {"first_frame_error": off[:, 0], "next_frame_error": off[:, 1 : 1 + stride]}
    return {name: float(np.sqrt(part.mean())) for name, part in parts.items()}


@checked
def motion(clip: Tensor) -> Float[Tensor, "b pairs"]:
    """Mean absolute change between neighbouring frames, in grey levels of 255.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1], at least 2 frames.

    Returns:
        Changes (b, pf - 1).

    Raises:
        ValueError: the clip is not as described.
    """
    check_clips(clip, frames=2)
    return in_parts(lambda x: 127.5 * x.diff(dim=2).abs().mean(dim=(1, 3, 4)), clip)

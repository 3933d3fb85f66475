"""Handwriting: the 1,797 digits of 8 x 8 pixels that come with scikit-learn, as things that move in the world."""

from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from pusa_lab.arguments import checked

SIDE = 32
"""Pixels to which a digit is smoothly enlarged before it is drawn."""


@checked
@lru_cache(maxsize=1)
def bitmaps() -> Float[Tensor, "ten samples side side"]:
    """The same number of samples of each digit, in [0, 1].

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    images, labels = torch.tensor(data.images, dtype=torch.float32) / 16, torch.tensor(data.target)
    count = int(labels.bincount().min())
    chosen = torch.stack([images[labels == digit][:count] for digit in range(10)])
    return F.interpolate(chosen, size=(SIDE, SIDE), mode="bicubic", align_corners=False).clamp(0, 1)


@checked
def cover(
    x: Float[Tensor, "m f h w"],
    y: Float[Tensor, "m f h w"],
    r: Float[Tensor, "m 1 1 1"],
    look: Int[Tensor, " m"],
    digit: int,
) -> Float[Tensor, "m f h w"]:
    """How much of each pixel a digit's ink covers.

    Args:
        x: distance of every pixel to the right of the digit's middle (m, f, h, w), in any unit.
        y: distance below it (m, f, h, w), in the same unit.
        r: half the digit's side (m, 1, 1, 1), in the same unit, above 0.
        look: any numbers; each names one handwriting.
        digit: 0 to 9.

    Raises:
        ValueError: there is no such digit, or a place in units of r is not finite.
    """
    if not 0 <= digit <= 9:
        raise ValueError(f"digit={digit}: give one from 0 to 9.")
    grid = torch.stack([x / r, y / r], dim=-1)
    if not grid.isfinite().all():
        raise ValueError("x / r or y / r is not finite: give finite places, and sides above 0.")
    ink = bitmaps()[digit].to(grid)
    ink = ink[look % len(ink)][:, None].expand(-1, x.shape[1], -1, -1).flatten(0, 1)[:, None]
    return F.grid_sample(ink, grid.flatten(0, 1), mode="bilinear", padding_mode="zeros", align_corners=False).view_as(x)

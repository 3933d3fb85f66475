"""Quality of single frames, without a reference."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from pusa_lab.arguments import checked
from pusa_lab.metrics.frames import ByClip, check_clips, in_parts
from pusa_lab.types import Clip

LUMA = (0.299, 0.587, 0.114)
TAPS = 9


@checked
def imaging_quality(clip: Tensor) -> ByClip:
    """Sharpness in [0, 1]: the share of the variation between neighbouring pixels that a blur would remove.

    mean over frames of 1 - blur = min over axes of sum(max(0, |dF| - |dB|)) / sum(|dF|), with d the difference of
    neighbouring pixels along the axis, F the luma and B its mean over 9 pixels along the axis (fewer at the border); a
    frame that is constant along an axis has 0

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1], at least 2 pixels per side.

    Raises:
        ValueError: the clip is not as described.

    Source: Crété-Roffet, Dolmiere, Ladret, Nicolas, The blur effect, SPIE 6492, 2007.
    """
    check_clips(clip)
    if min(clip.shape[3:]) < 2:
        raise ValueError(f"a clip has frames of {tuple(clip.shape[3:])} pixels: give at least 2 pixels per side.")
    return in_parts(_sharpness, clip)


def _sharpness(clip: Clip) -> ByClip:
    luma = torch.einsum("bcfhw,c->bfhw", clip.float(), torch.tensor(LUMA, device=clip.device))
    return torch.stack([_lost(luma, axis) for axis in (2, 3)]).amin(0).mean(1)


def _lost(luma: Float[Tensor, "b pf h w"], axis: int) -> Float[Tensor, "b pf"]:
    """Share of the variation along an axis that blurring along it removes."""
    shape, pad = ((TAPS, 1), (TAPS // 2, 0)) if axis == 2 else ((1, TAPS), (0, TAPS // 2))
    window = torch.ones(luma.shape[1], 1, *shape, device=luma.device)
    inside = F.conv2d(torch.ones_like(luma[:1, :1]), window[:1], padding=pad)
    blurred = F.conv2d(luma, window, padding=pad, groups=len(window)) / inside
    before, after = (x.diff(dim=axis).abs() for x in (luma, blurred))
    return (before - after).clamp(min=0).sum((2, 3)) / before.sum((2, 3)).clamp(min=1e-6)

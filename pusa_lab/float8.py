"""Products of 8-bit numbers with a scale for each row, of which frozen layers are made in training and in sampling."""

import torch
from torch import Tensor

E4M3 = torch.float8_e4m3fn
E4M3_MAX = torch.finfo(E4M3).max


def quantise(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return 8-bit numbers q (m, n) and the scale s (m, 1) of each row, such that x is about q s.

    q = round(x / s), s = max|x| / 448 of each row

    Args:
        x: (m, n).
    """
    scale = x.abs().amax(1, keepdim=True).float().clamp(min=1e-12) / E4M3_MAX
    return (x.float() / scale).clamp(-E4M3_MAX, E4M3_MAX).to(E4M3), scale


def product(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """Quantise x and return x W^T (m, n) in the type of x, rounded to bfloat16.

    Args:
        x: (m, k).
        weight: 8-bit W (n, k).
        scale: of the rows of W, (1, n).
    """
    q, s = quantise(x)
    return torch._scaled_mm(q, weight.T, s, scale, out_dtype=torch.bfloat16, use_fast_accum=True).to(x.dtype)

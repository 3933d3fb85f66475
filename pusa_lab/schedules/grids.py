"""One-dimensional noise grids, from noise (1) to clean (0): what a single frame's clock walks through."""

import torch
from jaxtyping import Float
from torch import Tensor


def linear(steps: int) -> Float[Tensor, " rows"]:
    """Evenly spaced levels.

    g_j = 1 - j / steps, j = 0..steps

    Args:
        steps: number of moves, at least 1; the grid has steps + 1 levels.

    Raises:
        ValueError: steps is below 1.
    """
    if steps < 1:
        raise ValueError(f"steps={steps}: a schedule needs at least 1 step.")
    return torch.linspace(1, 0, steps + 1)


def shift_levels(levels: Float[Tensor, "*any"], shift: float) -> Float[Tensor, "*any"]:
    """Spend more of the grid at high noise; levels 0 and 1 stay.

    g' = s g / (1 + (s - 1) g)

    Args:
        levels: noise levels in [0, 1], any shape.
        shift: s > 0; 1 changes nothing, Wan2.1 uses 3 (480p) or 5 (720p), Wan2.2-T2V-A14B uses 12.

    Raises:
        ValueError: shift is not positive.

    Source: the resolution shift of arXiv 2403.03206 as Wan uses it; inverse: shift 1 / s.
    """
    if not shift > 0:
        raise ValueError(f"shift={shift}: the shift must be positive (1 leaves the grid linear).")
    # The same divided by s: in this form levels 0 and 1 stay exactly, whatever the rounding.
    return levels / (levels + (1 - levels) / shift)

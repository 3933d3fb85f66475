"""Frame by frame: fidelity to a known truth, and how much moves."""

from jaxtyping import Float
from torch import Tensor

from pusa_lab.types import Clip


def psnr(clip: Clip, truth: Clip) -> Float[Tensor, "b pf"]:
    """Peak signal-to-noise ratio of every frame, in dB.

    10 log10(2^2 / mean((clip - truth)^2)), pixels in [-1, 1]; infinite where equal

    Args:
        clip: pixels (b, 3, pf, h, w).
        truth: pixels of the same shape.
    """
    return 10 * (4 / (clip - truth).square().mean(dim=(1, 3, 4))).log10()


def motion(clip: Clip) -> Float[Tensor, "b pairs"]:
    """Mean absolute change between neighbouring frames, in grey levels of 255.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1], at least two frames.
    """
    return 127.5 * clip.diff(dim=2).abs().mean(dim=(1, 3, 4))

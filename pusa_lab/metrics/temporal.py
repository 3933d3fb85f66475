"""How clips change in time: smoothly, at all, without flicker, without a jump at a seam."""

from collections.abc import Sequence

from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.metrics.appearance import background
from pusa_lab.metrics.frames import ByClip, check_clips, check_masks, in_parts

TOP = 0.05
"""Share of the pixels that `dynamic_degree` looks at."""


@checked
def motion_smoothness(clip: Tensor) -> ByClip:
    """How well every frame is foretold by its two neighbours: 1 if exactly.

    1 - mean |x_t - (x_{t-1} + x_{t+1}) / 2|, pixels in [0, 1]

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1], at least 3 frames.

    Raises:
        ValueError: these are no such pixels.

    Source: VBench (2311.17982) foretells frames with a learned interpolator; here it is the mean of the neighbours.
    """
    check_clips(clip, frames=3)
    return in_parts(lambda x: 1 - x.diff(n=2, dim=2).abs().mean(dim=(1, 2, 3, 4)) / 4, clip)


@checked
def dynamic_degree(clip: Tensor, threshold: float | int = 5) -> ByClip:
    """1 where a clip moves, 0 where it does not.

    1 if the mean over pairs of neighbouring frames of the mean of the 5 % largest |x_t - x_{t-1}|, in grey levels of
    255 and averaged over channels, is above the threshold

    5 grey levels separate the toys' worlds: more than 9 in 10 true clips of mini and all of nano are above; still
    clips, still clips with noise of 1 grey level in every frame, and panned grounds without objects are below.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1], at least 2 frames.
        threshold: in grey levels.

    Raises:
        ValueError: these are no such pixels.

    Source: VBench (2311.17982) takes the 5 % largest optical flow; here it is the change of pixels.
    """
    check_clips(clip, frames=2)

    def read(x: Tensor) -> Tensor:
        change = 127.5 * x.diff(dim=2).abs().mean(1).flatten(2)
        largest = change.topk(max(1, round(TOP * change.shape[2])), dim=2, sorted=False).values
        return (largest.mean((1, 2)) > threshold).float()

    return in_parts(read, clip)


@checked
def flicker(clip: Tensor, mask: Tensor) -> ByClip:
    """How much the background flickers, in grey levels of 255: 0 if it rests or changes evenly.

    mean |x_{t-1} - 2 x_t + x_{t+1}| over pixels, each weighted with the share of it that shows no subject in any of
    the three frames; NaN if there is none

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1], at least 3 frames.
        mask: of each subject (b, k, pf, h, w) in [0, 1].

    Raises:
        ValueError: these are no such pixels or masks.
    """
    check_clips(clip, frames=3)
    check_masks(mask, clip)

    def read(x: Tensor, m: Tensor) -> Tensor:
        free = background(m)
        weight = free[:, :-2] * free[:, 1:-1] * free[:, 2:]
        bend = 127.5 * x.diff(n=2, dim=2).abs().mean(1)
        return (weight * bend).sum((1, 2, 3)) / weight.sum((1, 2, 3))

    return in_parts(read, clip, mask)


@checked
def boundary_jump(clip: Tensor, at: Sequence[int]) -> ByClip:
    """By how much the mean colour jumps where known and made frames meet, in grey levels of 255, above the usual.

    mean over t in `at` of d_t - median of d over all other steps, d_t = |m_t - m_{t-1}| averaged over channels, for
    the mean colour m_t of frame t

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        at: pixel frames t, each the first after a boundary.

    Raises:
        ValueError: these are no such pixels, `at` is empty or outside the clip, or no other step is left.
    """
    check_clips(clip, frames=3)
    steps = clip.shape[2] - 1
    if not at or not all(1 <= t <= steps for t in at):
        raise ValueError(f"boundaries at {list(at)} of a clip of {steps + 1} frames: give some from 1 to {steps}.")
    usual = [t - 1 for t in range(1, steps + 1) if t not in at]
    if not usual:
        raise ValueError(
            f"boundaries at all steps of a clip of {steps + 1} frames: leave at least one to compare with."
        )
    jump = 127.5 * clip.mean((3, 4)).diff(dim=2).abs().mean(1)
    return jump[:, [t - 1 for t in at]].mean(1) - jump[:, usual].quantile(0.5, dim=1)

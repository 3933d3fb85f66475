"""How clips change over time: smoothness, amount of motion, flicker, and jumps where parts meet."""

from collections.abc import Sequence

from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.metrics.appearance import background
from pusa_lab.metrics.frames import ByClip, check_clips, check_masks, in_parts
from pusa_lab.sentences import counted

TOP = 0.05
"""Share of the pixels that `dynamic_degree` looks at."""


@checked
def motion_smoothness(clip: Tensor) -> ByClip:
    """How well every frame is predicted by its two neighbours: 1 if exactly.

    1 - mean |x_t - (x_{t-1} + x_{t+1}) / 2|, pixels in [0, 1]

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1], at least 3 frames.

    Raises:
        ValueError: the clip is not as described.

    Source: VBench (2311.17982) predicts frames with a learned interpolator; here the prediction is the mean of the
        neighbours.
    """
    check_clips(clip, frames=3)
    return in_parts(lambda x: 1 - x.diff(n=2, dim=2).abs().mean(dim=(1, 2, 3, 4)) / 4, clip)


@checked
def dynamic_degree(clip: Tensor, threshold: float | int = 5) -> ByClip:
    """1 for clips with motion, 0 for clips without.

    1 if the mean over pairs of neighbouring frames of the mean of the 5 % largest |x_t - x_{t-1}|, in grey levels of
    255 and averaged over channels, is above the threshold

    The default of 5 grey levels suits the toys' worlds: more than 9 in 10 true clips of mini and all of nano are above
    it; still clips, still clips with noise of 1 grey level in every frame, and panned backgrounds without objects are
    below.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1], at least 2 frames.
        threshold: in grey levels of 255.

    Raises:
        ValueError: the clip is not as described.

    Source: VBench (2311.17982) uses the 5 % largest optical flow; here it is the change of pixels.
    """
    check_clips(clip, frames=2)

    def read(x: Tensor) -> Tensor:
        change = 127.5 * x.diff(dim=2).abs().mean(1).flatten(2)
        largest = change.topk(max(1, round(TOP * change.shape[2])), dim=2, sorted=False).values
        return (largest.mean((1, 2)) > threshold).float()

    return in_parts(read, clip)


@checked
def flicker(clip: Tensor, mask: Tensor) -> ByClip:
    """How much the background flickers, in grey levels of 255: 0 if it is still or changes evenly.

    mean |x_{t-1} - 2 x_t + x_{t+1}| over pixels, each weighted by the share of the pixel that shows no subject in any
    of the three frames

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1], at least 3 frames.
        mask: share of each pixel that shows each of k subjects, (b, k, pf, h, w) in [0, 1].

    Returns:
        Flicker (b,); NaN for a clip without background.

    Raises:
        ValueError: clip or mask is not as described.
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
    """How much more the mean colour changes at boundaries between known and generated frames than elsewhere.

    mean over t in `at` of d_t - median of d over all other steps, d_t = |m_t - m_{t-1}| averaged over channels, with
    the mean colour m_t of frame t in grey levels of 255

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1], at least 3 frames.
        at: pixel frames t, each the first after a boundary, from 1 to pf - 1.

    Raises:
        ValueError: the clip is not as described, `at` is empty or outside the clip, or no other step is left.
    """
    check_clips(clip, frames=3)
    steps = clip.shape[2] - 1
    if not at or not all(1 <= t <= steps for t in at):
        raise ValueError(
            f"boundaries at {list(at)} of a clip of {counted(steps + 1, 'frame')}: give frames from 1 to {steps}."
        )
    usual = [t - 1 for t in range(1, steps + 1) if t not in at]
    if not usual:
        raise ValueError(
            f"boundaries at all steps of a clip of {counted(steps + 1, 'frame')}: leave at least one to compare with."
        )
    jump = 127.5 * clip.float().mean((3, 4)).diff(dim=2).abs().mean(1)
    return jump[:, [t - 1 for t in at]].mean(1) - jump[:, usual].quantile(0.5, dim=1)

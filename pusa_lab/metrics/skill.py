"""Skill: how much of the error of a clip that stands still is gone, over the frames that were not given."""

from collections.abc import Sequence

from jaxtyping import Bool, Float
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.metrics.frames import ByClip, check_clips, in_parts
from pusa_lab.sentences import counted
from pusa_lab.types import Clip

SMALLEST = 1e-12
"""Mean squared error below which a truth stands still: less than a grey level in one of 50 million pixels."""


@checked
def skill(clip: Tensor, truth: Tensor, known: Sequence[int]) -> ByClip:
    """Murphy's skill score: 1 for the truth, 0 for repeating the known frames, below 0 for what is worse than that.

    skill = 1 - MSE(clip, truth) / MSE(still, truth), both over the frames that were not given; `still` is
    `repeat_known` of the truth

    A trivial clip cannot win, because only the truth has 1, and the clip that VBench-I2V's Total prefers, one that
    stands still, has 0. But of two clips that are wrong, a blurred one may have more than a sharp one whose objects are
    a little off, as always with squared errors, and so has a blurred still, up to a third in the world of the toys:
    read position errors beside it, by which blur gains nothing. It has no lower bound, so in the mean over clips, those
    that hardly move weigh most.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        truth: pixels of the same shape in [-1, 1].
        known: pixel frames that were given, from 0 to pf - 1, at least one and not all of them. Of a latent frame, give
            all pixel frames that it holds: `Geometry.pixels_at`, or `known_pixels` of a result.

    Returns:
        Skills (b,), at most 1.

    Raises:
        ValueError: clip or truth is not as described, no frame is known or all are, a known frame is not in the clip,
            or a truth stands still, so that there is no error to compare with.

    Source: Murphy, Skill scores based on the mean square error and their relationships to the correlation coefficient,
        Monthly Weather Review 116, 1988, doi 10.1175/1520-0493(1988)116<2417:SSBOTM>2.0.CO;2; there the reference is
        persistence or the climate's mean, here it is persistence.
    """
    return skill_by_frame(clip, truth, known)[:, _free(clip.shape[2], known)].mean(1)


@checked
def skill_by_frame(clip: Tensor, truth: Tensor, known: Sequence[int]) -> Float[Tensor, "b pf"]:
    """What each frame adds to `skill`, which is its mean over the frames that were not given.

    1 - MSE(clip_t, truth_t) / MSE(still, truth), the denominator over all frames that were not given

    Args:
        clip: as for `skill`.
        truth: as for `skill`.
        known: as for `skill`.

    Returns:
        Values (b, pf), each at most 1; those of known frames do not count in `skill`.

    Raises:
        ValueError: as for `skill`.
    """
    check_clips(clip, truth)
    if still := stands_still(truth, known).nonzero()[:, 0].tolist():
        which = f"the truth of clip {still[0]}" if len(truth) > 1 else "the truth"
        raise ValueError(
            f"{which} stands still, so repeating its known frames has no error to compare with: leave the clip out, or "
            "use another metric, such as psnr."
        )
    return 1 - in_parts(_errors, clip, truth) / _reference(truth, known)[:, None]


@checked
def stands_still(clip: Tensor, known: Sequence[int]) -> Bool[Tensor, " b"]:
    """Whether every frame of a clip equals the nearest known one, so that as a truth it gives no skill.

    MSE(still, clip) < 1e-12, over the frames that were not given

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        known: pixel frames, from 0 to pf - 1, at least one and not all of them.

    Returns:
        Booleans (b,).

    Raises:
        ValueError: the clip is not as described, no frame is known or all are, or one that is not in the clip.
    """
    return _reference(clip, known) < SMALLEST


@checked
def repeat_known(clip: Tensor, known: Sequence[int]) -> Clip:
    """The clip that stands still: every frame is the known frame nearest in time, of two equally near the earlier one.

    still_t = clip_k, with k the known frame that minimises |k - t|

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1], of which only the known frames are used.
        known: pixel frames, from 0 to pf - 1, at least one.

    Returns:
        Pixels of the same shape.

    Raises:
        ValueError: the clip is not as described, or no frame is known, or one that is not in the clip.
    """
    check_clips(clip)
    frames = clip.shape[2]
    _check_known(frames, known)
    return clip[:, :, [min(known, key=lambda k: (abs(k - t), k)) for t in range(frames)]]


def _reference(truth: Clip, known: Sequence[int]) -> ByClip:
    """The error of the clip that stands still."""
    return in_parts(_errors, repeat_known(truth, known), truth)[:, _free(truth.shape[2], known)].mean(1)


def _errors(clip: Clip, truth: Clip) -> Float[Tensor, "b pf"]:
    return (clip - truth).square().mean(dim=(1, 3, 4))


def _check_known(frames: int, known: Sequence[int]) -> None:
    if not known:
        raise ValueError(
            "no frame is known, as in text to video, and skill is measured against repeating the known ones: give the "
            "frames that were given, or use another metric, such as psnr."
        )
    if bad := [i for i in known if not 0 <= i < frames]:
        raise ValueError(f"known frame {bad[0]} of {counted(frames, 'frame')}: give frames from 0 to {frames - 1}.")


def _free(frames: int, known: Sequence[int]) -> list[int]:
    _check_known(frames, known)
    free = sorted({*range(frames)} - {*known})
    if not free:
        raise ValueError(f"all {frames} frames are known: leave at least one to compare with the truth.")
    return free

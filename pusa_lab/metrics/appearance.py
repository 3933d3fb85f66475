"""Whether subjects and background keep their appearance from frame to frame, and look as in a given picture."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from pusa_lab.arguments import checked
from pusa_lab.metrics.frames import ByClip, Masks, check_clips, check_masks, in_parts
from pusa_lab.sentences import counted
from pusa_lab.types import Clip

SIDE = 24
"""Sampling points per side of the crop of a subject."""
REACH = 1.6
"""Half the side of a crop, in radii of a disc with the subject's area; large enough for the corners of a triangle."""
SEEN = 1.0
"""A subject counts as visible if it covers more than this many pixels."""
Picture = Float[Tensor, "b 3 1 hp wp"]
PictureMasks = Float[Tensor, "b k 1 hp wp"]
Crops = Float[Tensor, "n pf 4 side side"]


@checked
def subject_consistency(clip: Tensor, mask: Tensor) -> ByClip:
    """How similar subjects stay, wherever they are: 1 if they never change, 0 if they vanish after frame 0.

    mean over t >= 1 of (s(t, t - 1) + s(t, 0)) / 2, then over the subjects visible in frame 0; s of two frames is
    sum(min(a, b)) / sum(max(a, b)) over the crops around the centre of the mask, with the channels mask * colour in
    [0, 1] and mask

    The size of the crop is set by the frame in which the subject is largest.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1], at least 2 frames.
        mask: share of each pixel that shows each of k subjects, (b, k, pf, h, w) in [0, 1].

    Returns:
        Scores (b,) in [0, 1]; NaN for a clip whose frame 0 shows no subject.

    Raises:
        ValueError: clip or mask is not as described.

    Source: the average is that of VBench (2311.17982), the similarity is our own.
    """
    check_clips(clip, frames=2)
    check_masks(mask, clip)
    seen = mask[:, :, 0].sum((-1, -2)) > SEEN
    crops = _crops(clip, mask, seen, _reach(mask))
    first, before, later = crops[:, :1], crops[:, :-1], crops[:, 1:]
    return _by_clip((_alike(later, before) + _alike(later, first)).mean(1) / 2, seen)


@checked
def i2v_subject(clip: Tensor, mask: Tensor, picture: Tensor, picture_mask: Tensor) -> ByClip:
    """How similar subjects in all frames are to those in a given picture, wherever they are.

    mean over frames of s(frame, picture), as in `subject_consistency`, then over the subjects visible in the picture

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        mask: share of each pixel that shows each of k subjects, (b, k, pf, h, w) in [0, 1].
        picture: pixels (b, 3, 1, h, w) in [-1, 1].
        picture_mask: masks of the same subjects (b, k, 1, h, w) in [0, 1]; they set the size of the crops.

    Returns:
        Scores (b,) in [0, 1]; NaN for a clip whose picture shows no subject.

    Raises:
        ValueError: an argument is not as described.
    """
    _check_picture(clip, mask, picture, picture_mask)
    seen, reach = picture_mask[:, :, 0].sum((-1, -2)) > SEEN, _reach(picture_mask)
    given = _crops(picture, picture_mask, seen, reach)
    return _by_clip(_alike(_crops(clip, mask, seen, reach), given).mean(1), seen)


@checked
def background_consistency(clip: Tensor, mask: Tensor) -> ByClip:
    """How similar the background stays: 1 if it never changes.

    mean over t >= 1 of (s(t, t - 1) + s(t, 0)) / 2; s of two frames is 1 - mean |a - b| of pixels in [0, 1], each
    weighted by the share of the pixel that shows no subject in either frame

    Frames without a common background are omitted.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1], at least 2 frames.
        mask: share of each pixel that shows each of k subjects, (b, k, pf, h, w) in [0, 1].

    Returns:
        Scores (b,) in [0, 1]; NaN if all frames of a clip are omitted.

    Raises:
        ValueError: clip or mask is not as described.

    Source: the average is that of VBench (2311.17982), the similarity is our own.
    """
    check_clips(clip, frames=2)
    check_masks(mask, clip)

    def read(x: Tensor, m: Tensor) -> Tensor:
        free = background(m)
        near = _ground_alike(x[:, :, 1:], free[:, 1:], x[:, :, :-1], free[:, :-1])
        far = _ground_alike(x[:, :, 1:], free[:, 1:], x[:, :, :1], free[:, :1])
        return ((near + far) / 2).nanmean(1)

    return in_parts(read, clip, mask)


@checked
def i2v_background(clip: Tensor, mask: Tensor, picture: Tensor, picture_mask: Tensor) -> ByClip:
    """How similar the background of all frames is to that of a given picture.

    mean over frames of s(frame, picture), as in `background_consistency`

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        mask: share of each pixel that shows each of k subjects, (b, k, pf, h, w) in [0, 1].
        picture: pixels (b, 3, 1, h, w) in [-1, 1].
        picture_mask: masks of the same subjects (b, k, 1, h, w) in [0, 1].

    Returns:
        Scores (b,) in [0, 1]; NaN if no frame of a clip has background in common with the picture.

    Raises:
        ValueError: an argument is not as described.
    """
    _check_picture(clip, mask, picture, picture_mask)

    def read(x: Tensor, m: Tensor, one: Tensor, one_mask: Tensor) -> Tensor:
        return _ground_alike(x, background(m), one, background(one_mask)).nanmean(1)

    return in_parts(read, clip, mask, picture, picture_mask)


@checked
def foreground(clip: Tensor, threshold: float | int = 30) -> Float[Tensor, "b 1 pf hp wp"]:
    """Estimate a mask for clips without known masks: the pixels that differ from their own median over time.

    A pixel is 1 where any channel differs by more than the threshold. A subject that stays in one place for half of the
    clip is missed there, and its other places are found instead; with a moving camera, much of the background is found.
    In the toys' worlds, about two thirds of the pixels found show subjects, and more than half of the subjects' pixels
    are found.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        threshold: in grey levels of 255.

    Returns:
        A mask of 0 and 1, (b, 1, pf, h, w).

    Raises:
        ValueError: the clip is not as described.
    """
    check_clips(clip)

    def read(x: Tensor) -> Tensor:
        middle = x.contiguous().median(dim=2, keepdim=True).values  # torch's median of expanded tensors is wrong
        return (127.5 * (x - middle).abs().amax(1, keepdim=True) > threshold).float()

    return in_parts(read, clip)


@checked
def background(mask: Masks) -> Float[Tensor, "b pf hp wp"]:
    """Share of each pixel that shows no subject, in [0, 1].

    Args:
        mask: share of each pixel that shows each of k subjects, (b, k, pf, h, w) in [0, 1].
    """
    return 1 - mask.sum(1).clamp(max=1)


def _check_picture(clip: Clip, mask: Masks, picture: Picture, picture_mask: PictureMasks) -> None:
    check_clips(clip)
    check_masks(mask, clip)
    check_clips(picture)
    if picture.shape != clip[:, :, :1].shape:
        want = tuple(clip[:, :, :1].shape)
        raise ValueError(
            f"the picture has shape {tuple(picture.shape)}: give {want}, one frame as large as those of the clip."
        )
    check_masks(picture_mask, picture)
    if picture_mask.shape[1] != mask.shape[1]:
        raise ValueError(
            f"mask has {counted(mask.shape[1], 'subject')} and picture_mask {picture_mask.shape[1]}: give the same "
            "subjects."
        )


def _reach(mask: Float[Tensor, "b k _ hp wp"]) -> Float[Tensor, "b k"]:
    """Half the side of the crops of each subject, in pixels."""
    return REACH * (mask.sum((-1, -2)).amax(2) / torch.pi).sqrt()


def _crops(clip: Clip, mask: Masks, seen: Bool[Tensor, "b k"], reach: Float[Tensor, "b k"]) -> Crops:
    """Crops of each frame around each visible subject, in the order of seen.nonzero()."""

    def cut(which: Tensor, sizes: Tensor) -> Tensor:
        i, k = which.T
        return _cut(clip[i].float(), mask[i, k].float(), sizes)

    cuts = [cut(*part) for part in zip(seen.nonzero().split(2), reach[seen].split(2), strict=True)]
    return torch.cat(cuts)


def _cut(clip: Clip, mask: Float[Tensor, "b pf hp wp"], reach: Float[Tensor, " b"]) -> Crops:
    """The channels mask * colour in [0, 1] and mask at SIDE x SIDE points around the centre of the mask."""
    n, pf, h, w = mask.shape
    maps = torch.stack([*((clip.transpose(0, 1) + 1) / 2 * mask), mask], dim=2).flatten(0, 1)
    line = (torch.arange(SIDE, device=mask.device) + 0.5) * 2 / SIDE - 1
    area, axes = mask.sum((-1, -2)).clamp(min=1e-6), []
    for side, profile in ((w, mask.sum(-2)), (h, mask.sum(-1))):
        middle = (profile * (torch.arange(side, device=mask.device) + 0.5)).sum(-1) / area
        axes.append(((middle[..., None] + reach[:, None, None] * line) * 2 / side - 1).flatten(0, 1))
    x, y = axes[0][:, None, :].expand(-1, SIDE, -1), axes[1][:, :, None].expand(-1, -1, SIDE)
    cut = F.grid_sample(maps, torch.stack([x, y], dim=-1), align_corners=False)
    return cut.unflatten(0, (n, pf))


def _alike(a: Crops, b: Float[Tensor, "n _ 4 side side"]) -> Float[Tensor, "n pf"]:
    """Similarity of crops: sum of minima over sum of maxima. Two empty crops have 0, because a subject is missing."""
    sums = (pick(a, b).sum((-1, -2, -3)) for pick in (torch.minimum, torch.maximum))
    return next(sums) / next(sums).clamp(min=1e-6)


def _by_clip(score: Float[Tensor, " n"], seen: Bool[Tensor, "b k"]) -> ByClip:
    """Mean over the subjects of each clip."""
    out = score.new_full(seen.shape, torch.nan)
    out[seen] = score
    return out.nanmean(1)


def _ground_alike(
    clip: Clip, free: Float[Tensor, "b pf hp wp"], other: Float[Tensor, "b 3 _ hp wp"], other_free: Tensor
) -> Float[Tensor, "b pf"]:
    """Similarity of the backgrounds of two clips, frame by frame; the other clip may be a single frame."""
    weight = free * other_free
    change = (clip - other).abs().mean(1) / 2
    return 1 - (weight * change).sum((-1, -2)) / weight.sum((-1, -2))

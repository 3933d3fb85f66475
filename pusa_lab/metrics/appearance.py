"""Do subjects and background keep their looks: from frame to frame, and as in a given picture."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from pusa_lab.arguments import checked
from pusa_lab.metrics.frames import ByClip, Masks, check_clips, check_masks, in_parts
from pusa_lab.types import Clip

SIDE = 24
"""Points a side of a subject's crop."""
REACH = 1.6
"""Half a crop's side in radii of the disc of the subject's area: holds a triangle's corners."""
SEEN = 1.0
"""Pixels of which a subject must show more to be sought."""
Picture = Float[Tensor, "b 3 1 hp wp"]
PictureMasks = Float[Tensor, "b k 1 hp wp"]
Crops = Float[Tensor, "n pf 4 side side"]


@checked
def subject_consistency(clip: Tensor, mask: Tensor) -> ByClip:
    """How much subjects stay alike, wherever they are: 1 if they never change, 0 if they vanish after frame 0.

    mean over t >= 1 of (s(t, t - 1) + s(t, 0)) / 2, then over the subjects seen in frame 0; s of two frames is
    sum(min(a, b)) / sum(max(a, b)) over what is cut out around the mask's centre: mask * colour in [0, 1], and mask

    The cut-out is as large as the subject's largest frame asks. NaN for a clip whose frame 0 shows no subject.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1], at least 2 frames.
        mask: of each subject (b, k, pf, h, w) in [0, 1].

    Raises:
        ValueError: these are no such pixels or masks.

    Source: the average is VBench's (2311.17982), the similarity is ours.
    """
    check_clips(clip, frames=2)
    check_masks(mask, clip)
    seen = mask[:, :, 0].sum((-1, -2)) > SEEN
    crops = _crops(clip, mask, seen, _reach(mask))
    first, before, later = crops[:, :1], crops[:, :-1], crops[:, 1:]
    return _by_clip((_alike(later, before) + _alike(later, first)).mean(1) / 2, seen)


@checked
def i2v_subject(clip: Tensor, mask: Tensor, picture: Tensor, picture_mask: Tensor) -> ByClip:
    """How much subjects look in all frames as in a given picture, wherever they are.

    mean over frames of s(frame, picture), as in `subject_consistency`, then over the subjects seen in the picture

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        mask: of each subject (b, k, pf, h, w) in [0, 1].
        picture: pixels (b, 3, 1, h, w) in [-1, 1].
        picture_mask: of the same subjects (b, k, 1, h, w) in [0, 1]; says how large the cut-outs are.

    Raises:
        ValueError: these are no such pixels or masks.
    """
    _check_picture(clip, mask, picture, picture_mask)
    seen, reach = picture_mask[:, :, 0].sum((-1, -2)) > SEEN, _reach(picture_mask)
    given = _crops(picture, picture_mask, seen, reach)
    return _by_clip(_alike(_crops(clip, mask, seen, reach), given).mean(1), seen)


@checked
def background_consistency(clip: Tensor, mask: Tensor) -> ByClip:
    """How much the background stays alike: 1 if it never changes.

    mean over t >= 1 of (s(t, t - 1) + s(t, 0)) / 2; s of two frames is 1 - mean |a - b|, pixels in [0, 1], each
    weighted with the share of it that shows no subject in either frame

    Frames in which no background is left to compare are left out; NaN if these are all.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1], at least 2 frames.
        mask: of each subject (b, k, pf, h, w) in [0, 1].

    Raises:
        ValueError: these are no such pixels or masks.

    Source: the average is VBench's (2311.17982), the similarity is ours.
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
    """How much the background looks in all frames as in a given picture.

    mean over frames of s(frame, picture), as in `background_consistency`

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        mask: of each subject (b, k, pf, h, w) in [0, 1].
        picture: pixels (b, 3, 1, h, w) in [-1, 1].
        picture_mask: of the same subjects (b, k, 1, h, w) in [0, 1].

    Raises:
        ValueError: these are no such pixels or masks.
    """
    _check_picture(clip, mask, picture, picture_mask)

    def read(x: Tensor, m: Tensor, one: Tensor, one_mask: Tensor) -> Tensor:
        return _ground_alike(x, background(m), one, background(one_mask)).nanmean(1)

    return in_parts(read, clip, mask, picture, picture_mask)


@checked
def foreground(clip: Tensor, threshold: float | int = 30) -> Float[Tensor, "b 1 pf hp wp"]:
    """A mask for clips without truth: the pixels that differ from their own median over time.

    1 where the channel of largest difference differs by more than the threshold. What stays in its place for half of
    the clip is not found (and where it was before or goes later is), and a moving camera makes much foreground: in
    the toys' worlds about two thirds of what it finds is of subjects, and it finds more than half of their pixels.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        threshold: in grey levels of 255.

    Raises:
        ValueError: these are no such pixels.
    """
    check_clips(clip)

    def read(x: Tensor) -> Tensor:
        middle = x.contiguous().median(dim=2, keepdim=True).values  # torch's median of expanded tensors is wrong
        return (127.5 * (x - middle).abs().amax(1, keepdim=True) > threshold).float()

    return in_parts(read, clip)


@checked
def background(mask: Masks) -> Float[Tensor, "b pf hp wp"]:
    """The share of each pixel that shows no subject, in [0, 1].

    Args:
        mask: of each subject (b, k, pf, h, w) in [0, 1].
    """
    return 1 - mask.sum(1).clamp(max=1)


def _check_picture(clip: Clip, mask: Masks, picture: Picture, picture_mask: PictureMasks) -> None:
    check_clips(clip)
    check_masks(mask, clip)
    check_clips(picture)
    if picture.shape != clip[:, :, :1].shape:
        want = tuple(clip[:, :, :1].shape)
        raise ValueError(
            f"the picture has shape {tuple(picture.shape)}: give {want}, one frame as large as the clips'."
        )
    check_masks(picture_mask, picture)
    if picture_mask.shape[1] != mask.shape[1]:
        raise ValueError(
            f"masks show {mask.shape[1]} subjects and the picture's {picture_mask.shape[1]}: give the same subjects."
        )


def _reach(mask: Float[Tensor, "b k _ hp wp"]) -> Float[Tensor, "b k"]:
    """Half the side of each subject's cut-outs, in pixels."""
    return REACH * (mask.sum((-1, -2)).amax(2) / torch.pi).sqrt()


def _crops(clip: Clip, mask: Masks, seen: Bool[Tensor, "b k"], reach: Float[Tensor, "b k"]) -> Crops:
    """What each frame shows around each subject that is sought, in the order of seen.nonzero()."""

    def cut(which: Tensor, sizes: Tensor) -> Tensor:
        i, k = which.T
        return _cut(clip[i].float(), mask[i, k].float(), sizes)

    cuts = [cut(*part) for part in zip(seen.nonzero().split(2), reach[seen].split(2), strict=True)]
    return torch.cat(cuts)


def _cut(clip: Clip, mask: Float[Tensor, "b pf hp wp"], reach: Float[Tensor, " b"]) -> Crops:
    """mask * colour in [0, 1], and mask, at SIDE x SIDE points around the mask's centre."""
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
    """Shared by total, 1 if equal; nothing is like nothing by 0, because a subject was sought."""
    sums = (pick(a, b).sum((-1, -2, -3)) for pick in (torch.minimum, torch.maximum))
    return next(sums) / next(sums).clamp(min=1e-6)


def _by_clip(score: Float[Tensor, " n"], seen: Bool[Tensor, "b k"]) -> ByClip:
    """Mean over each clip's subjects."""
    out = score.new_full(seen.shape, torch.nan)
    out[seen] = score
    return out.nanmean(1)


def _ground_alike(
    clip: Clip, free: Float[Tensor, "b pf hp wp"], other: Float[Tensor, "b 3 _ hp wp"], other_free: Tensor
) -> Float[Tensor, "b pf"]:
    """How alike the backgrounds of the frames of two clips are; the other may be a single frame."""
    weight = free * other_free
    change = (clip - other).abs().mean(1) / 2
    return 1 - (weight * change).sum((-1, -2)) / weight.sum((-1, -2))

"""The benchmark suite: what a clip of the world is worth, in VBench's words but against the exact truth."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from pusa_lab import metrics
from pusa_lab.arguments import checked
from pusa_lab.metrics.appearance import Picture
from pusa_lab.sentences import counted
from pusa_lab.types import Clip
from small_models.records import check_entries
from small_models.world import Scenes, masks, positions
from small_models.world.reader import check_pixels, confirm, locate, subjects

Raw = dict[str, Tensor]
"""Numbers of every clip (b,), of every frame (b, pf), or features (b, d)."""
VBENCH = (
    "i2v_subject",
    "i2v_background",
    "subject_consistency",
    "background_consistency",
    "motion_smoothness",
    "dynamic_degree",
    "imaging_quality",
)
"""Dimensions that share their names, and their meaning, with VBench-I2V."""
TEXT = ("shape", "direction", "speed")
"""What `text_alignment` averages: colour and shape, direction, speed, as the caption asks for."""
SEEN = 0.02
"""Share of the picture above which an object of the truth can be seen."""
SPAN = 4
"""Frames over which velocities are read: centres are read to a tenth of a pixel, and objects move by about one."""
STILL = 0.1
"""Pixels in that span below which the truth, on average, counts as standing still: centres are not read better."""


@checked
def appearance(clip: Clip, scenes: Scenes, first: Picture | None = None) -> Raw:
    """What needs no truth but the objects' colours: VBench's dimensions, flicker; 0 where nothing is left to compare.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        scenes: what it should show.
        first: the picture (b, 3, 1, h, w) it should go on from; None leaves out what compares with it.
    """
    shown = subjects(clip, scenes.colour, scenes.world) * scenes.present[:, :, None, None, None]
    found = {
        "subject_consistency": metrics.subject_consistency(clip, shown),
        "background_consistency": metrics.background_consistency(clip, shown),
        "motion_smoothness": metrics.motion_smoothness(clip),
        "dynamic_degree": metrics.dynamic_degree(clip),
        "imaging_quality": metrics.imaging_quality(clip),
        "flicker": metrics.flicker(clip, shown),
    }
    if first is not None:
        given = masks(scenes, 1, clip.shape[-1])
        found["i2v_subject"] = metrics.i2v_subject(clip, shown, first, given)
        found["i2v_background"] = metrics.i2v_background(clip, shown, first, given)
        found["last_to_first_psnr"] = metrics.psnr(clip[:, :, -1:], first)[:, 0].clamp(max=60)
    # NaN is what the metrics give where nothing is left to compare; here something should have been.
    return {name: value.nan_to_num(0) for name, value in found.items()}


@checked
def obedience(clip: Clip, scenes: Scenes) -> Raw:
    """Shares of a caption's objects that are as it says, and how far they move off its law of motion, in pixels.

    What is not found counts as wrong, but has no law: read "physics_error" beside "present". Objects that nobody asked
    for cost no alignment; "extra" is 1 where there are any.

    A trivial clip cannot win. By text_alignment, because two of its three parts ask for motion in the right direction
    at the right speed, so a clip that stands still gets about half, and one without the objects nothing. By
    physics_error, because the law has the caption's direction and speed, so what stands still or jumps is off it; only
    a clip that shows nothing has no error, and its text_alignment is 0. Neither notices motion that starts late.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        scenes: whose captions were given.
    """
    seen, number = confirm(clip, scenes), scenes.present.sum(1)
    shares = {name: (seen[name] & scenes.present).sum(1) / number for name in ("present", *TEXT)}
    off = (seen["off_law"] * seen["present"]).sum(1) / seen["present"].sum(1)  # of what is there; NaN if nothing is
    alignment = torch.stack([shares[name] for name in TEXT]).mean(0)
    extra = seen["extra"].float()
    return shares | {"text_alignment": alignment, "physics_error": off * clip.shape[-1], "extra": extra}


@checked
def fidelity(clip: Clip, truth: Clip, scenes: Scenes, known: Sequence[int] = ()) -> Raw:
    """Frame by frame against the truth, over the frames that were not given; and over those that were.

    skill: see `metrics.skill`; NaN where the truth stands still, and missing where no frame is known;
    position_error: |p - p*| in pixels for centres p seen and p* of the closed form, half a picture for what is lost;
    velocity_error: mean |v - v*| in pixels per frame for v_t = (p_{t+4} - p_t) / 4 and v* of the closed form, and
    2 mean |v*| for what is lost; relative_velocity_error: sum |v - v*| / sum |v*|; pace: sum v . v* / sum v* . v*, with
    v = 0 for what is lost; all over frames t and t + 4 that were not both given (the ends of shorter clips), NaN where
    there are none; relative errors and pace are NaN where the truth stands still in these frames;
    size: mean sqrt(A / A*) for visible areas A and A* of the true clip; size_error: mean |sqrt(A / A*) - 1|;
    motion: mean |x_t - x_{t-1}| over the truth's; colour_error: |mean colour - the truth's| in grey levels;
    boundary_position: |(p_t - p_{t-1}) - (p*_t - p*_{t-1})| in pixels where known and made frames meet

    A trivial clip cannot win. By skill, because standing still has 0 and only the truth 1; but since squared errors
    reward blur, a blurred still has up to 0.34 in this world, so read skills below that beside the position error, by
    which it gains nothing. By position_error, because objects that stay where they were given fall behind by as much as
    they should move, and hidden ones count as lost.
    By velocity_error, because standing still has a relative one of 1 and hiding one of 2. Of pace, which may be above
    1, and of size, the truth has 1.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        truth: pixels of the same shape.
        scenes: what it shows.
        known: pixel frames that were given, not all of them.

    Raises:
        ValueError: a known frame is not in the clip, no frame is left to compare, the scenes are of other clips, or the
            clips have fewer than 2 frames.
    """
    metrics.check_clips(clip, truth, frames=2)
    clip, truth = (x.float() if x.element_size() < 4 else x for x in (clip, truth))  # no digits are lost in sums
    size, frames = clip.shape[-1], clip.shape[2]
    if not set(known) < set(range(frames)) or len(scenes) != len(clip):
        raise ValueError(
            f"known={list(known)!r:.80} of {counted(frames, 'frame')}, {counted(len(scenes), 'scene')} for "
            f"{counted(len(clip), 'clip')}: give frames from 0 to {frames - 1}, not all of them, and the scene of each "
            "clip."
        )
    free = [i for i in range(frames) if i not in set(known)]
    edges = [i for i in range(1, frames) if (i in set(known)) != (i - 1 in set(known))]
    where, area = locate(clip, scenes.colour, scenes.world)
    true_area = locate(truth, scenes.colour, scenes.world)[1]
    shown = (true_area > SEEN) & scenes.present[:, None]
    path = positions(scenes, frames)
    distance = (where - path).norm(dim=-1) * size
    lost = distance.isnan() & shown
    distance = distance.nan_to_num(size / 2).clamp(max=size / 2).where(shown, torch.nan)
    by_frame = metrics.frame_scores(clip, truth) | {"position_error": distance.nanmean(2)}
    by_frame |= {"skill": _skill(clip, truth, known)} if known else {}
    found = {f"{name}_frame": value for name, value in by_frame.items()}
    found |= {name: value[:, free].nanmean(1) for name, value in by_frame.items()}
    hue = (clip - truth).mean(dim=(3, 4)).abs().mean(1)
    found["colour_error_frame"] = 127.5 * hue
    found["colour_error"] = 127.5 * hue[:, free].mean(1)
    found["lost"] = lost.float().where(shown, torch.nan)[:, free].flatten(1).nanmean(1)
    found |= _velocity(where, path, shown, free, size)
    radius = (area / true_area).sqrt().where(shown, torch.nan)[:, free].flatten(1)
    found |= {"size": radius.nanmean(1), "size_error": (radius - 1).abs().nanmean(1)}
    found["motion"] = metrics.motion(clip).mean(1) / metrics.motion(truth).mean(1).clamp(min=0.1)
    if edges:
        before = [i - 1 for i in edges]
        step = ((where - path).diff(dim=1)[:, before].norm(dim=-1) * size).nan_to_num(size / 2)  # lost: half a picture
        step = step.clamp(max=size / 2).where(shown[:, edges] & shown[:, before], torch.nan)
        found["boundary_colour"] = metrics.boundary_jump(clip, edges)
        found["boundary_position"] = step.flatten(1).nanmean(1)
    if known:
        found["known_psnr"] = by_frame["psnr"][:, list(known)].mean(1)
    return found


def _velocity(where: Tensor, path: Tensor, shown: Tensor, free: Sequence[int], size: int) -> Raw:
    """How fast the objects of each clip move, against the truth."""
    span = min(SPAN, where.shape[1] - 1)
    pairs = [i for i in range(where.shape[1] - span) if i in free or i + span in free]
    seen = (shown[:, :-span] & shown[:, span:])[:, pairs]
    v, true = (size / span * (x[:, span:] - x[:, :-span])[:, pairs] for x in (where, path))
    pace = true.norm(dim=-1).where(seen, torch.nan)
    error = (v - true).norm(dim=-1).where(seen, torch.nan)
    lost = v[..., 0].isnan() & seen
    error = (2 * pace.nanmean(1, keepdim=True)).expand_as(error).where(lost, error).flatten(1)
    along = (v * true).sum(-1).where(seen & ~lost, 0).flatten(1)
    square = true.square().sum(-1).where(seen, 0).flatten(1)
    moves = pace.flatten(1).nanmean(1) > STILL / span
    return {
        "velocity_error": error.nanmean(1),
        "relative_velocity_error": (error.nansum(1) / pace.flatten(1).nansum(1)).where(moves, torch.nan),
        "pace": (along.sum(1) / square.sum(1)).where(moves, torch.nan),
    }


def _skill(clip: Clip, truth: Clip, known: Sequence[int]) -> Float[Tensor, "b pf"]:
    """`metrics.skill_by_frame`; NaN for clips whose truth stands still."""
    moves = ~metrics.stands_still(truth, known)
    found = torch.full((len(truth), truth.shape[2]), torch.nan, device=truth.device)
    if moves.any():
        found[moves] = metrics.skill_by_frame(clip[moves], truth[moves], known).to(found)
    return found


@checked
def destroyed(clip: Clip) -> dict[str, Clip]:
    """The same clips made worthless in three ways: every dimension is at its floor in one of them.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1], b above 1.

    Raises:
        ValueError: there are no other clips, or numbers that are no pixels.
    """
    if len(clip) < 2 or not clip.numel():
        raise ValueError(f"clip has shape {tuple(clip.shape)}: give at least 2 clips, whose frames can be mixed.")
    check_pixels(clip)
    b, frames = len(clip), torch.arange(clip.shape[2])
    other = torch.stack([clip[(i + frames) % b, :, frames].movedim(0, 1) for i in range(b)])
    g = torch.Generator().manual_seed(0)
    noise = torch.rand(clip.shape, generator=g).to(clip.device) * 2 - 1
    side = clip.shape[-1]
    wide = clip.float() if clip.element_size() < 4 else clip  # the CPU averages no smaller numbers
    small = F.avg_pool3d(wide, (1, max(1, side // 8), max(1, side // 8)))
    blurred = F.interpolate(small, size=clip.shape[2:], mode="trilinear").to(clip.dtype)
    return {"frames of other clips": other, "noise": noise, "blurred": blurred}


@checked
def ranges(truth: list[Raw], worst: list[Raw]) -> dict[str, tuple[float, float]]:
    """For VBench's dimensions, the value of worthless clips (the lowest of them) and of true ones: (low, high).

    Args:
        truth: `appearance` of true clips, in parts.
        worst: likewise of destroyed ones.
    """
    if not truth or not worst:
        raise ValueError(f"{len(truth)} parts of true and {len(worst)} of destroyed clips: give at least one of each.")
    for raw in (*truth, *worst):
        check_entries(raw, dict.fromkeys(VBENCH, Float[Tensor, " b"]), "a part", VBENCH)
    found = {}
    for name in VBENCH:
        high = torch.cat([raw[name] for raw in truth]).nanmean().item()
        found[name] = (min(raw[name].nanmean().item() for raw in worst), high)
    return found | {"dynamic_degree": (0.0, 1.0)}


@checked
def add_totals(raw: Raw, scale: dict[str, tuple[float, float]]) -> Raw:
    """The same with "quality", "i2v" and "total" of every clip, formed as VBench-I2V forms them.

    A clip that stands still has as much as the truth, so compare by the scores of `fidelity` and `obedience`.

    Args:
        raw: with VBench's dimensions.
        scale: from `ranges`.
    """
    check_entries(raw, dict.fromkeys(VBENCH, Float[Tensor, " b"]), "raw", VBENCH)
    check_entries(scale, {}, "scale", VBENCH)
    if len({len(raw[name]) for name in VBENCH}) > 1:
        raise ValueError("the dimensions in raw are of different numbers of clips: give those of one `appearance`.")
    rows = [dict(zip(VBENCH, row, strict=True)) for row in torch.stack([raw[n] for n in VBENCH], 1).tolist()]
    found = [metrics.totals(row, scale) for row in rows]
    return raw | {name: torch.tensor([row[name] for row in found]) for name in ("quality", "i2v", "total")}


@checked
def summarise(raw: Raw, groups: Tensor) -> dict[str, Any]:
    """Mean and 95 % interval of every number, resampling prompts with all their seeds; plain means by frame.

    Args:
        raw: from the functions above; "features" is left out, and what no clip has a number for.
        groups: prompt (n,) of every clip.
    """
    out: dict[str, Any] = {}
    for name, value in raw.items():
        if name.endswith("_frame"):
            out[name] = value.nanmean(0).tolist()
        elif value.ndim == 1 and value.isfinite().any():
            out[name] = list(metrics.bootstrap(value.float(), groups))
    return out

"""What a toy reaches on scenes it has never seen, against the world's truth."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pusa_lab.arguments import checked, returned
from pusa_lab.metrics import psnr
from pusa_lab.schedules import hold, synchronous
from pusa_lab.types import Clip, Geometry
from small_models.codec import Codec
from small_models.goals import compare
from small_models.i2v import ImageToVideo
from small_models.model import ToyModel
from small_models.reader import confirm, locate
from small_models.records import check_entries
from small_models.ways import Sampling, Way, copy_of_frame_0, through_the_codec
from small_models.world import Scenes, draw_scenes, positions, render, world_named

EVAL_SEED = 10_000_019
"""Scenes of training come from smaller seeds, so these were never seen."""
HELD_OUT = EVAL_SEED + 1
"""Seed of the clips that validation uses; those the card is measured on have yet another."""
Raw = dict[str, Tensor]
"""Numbers of each clip or object, before they are averaged."""
FIDELITY = {
    "psnr": Float[Tensor, "b pf"],
    "worst": Float[Tensor, " b"],
    "distance": Float[Tensor, "b pf objects"],
    "lost": Float[Tensor, "b pf objects"],
}
"""What `fidelity` returns."""
OBEDIENCE = {"number": Int[Tensor, " b"], "shape": Float[Tensor, "b objects"], "direction": Float[Tensor, "b objects"]}
"""What `obedience` returns."""


@checked
@torch.no_grad()
def collect(
    way: Way, score: Callable[[Clip, Clip, Scenes], Raw], model: ToyModel, clips: int, seed: int = 0, world: str = ""
) -> Raw:
    """Scores of every clip, made and read in parts that fit in memory.

    Args:
        way: makes the clips.
        score: (clip, truth, scenes) -> numbers of each.
        model: the toy.
        clips: number of unseen scenes.
        seed: of the noise.
        world: whose scenes; empty is the model's own.
    """
    scenes = draw_scenes(clips, EVAL_SEED, world_named(world or model.preset["world"]))
    part = 128 if model.device.type == "cuda" else 16
    found: list[Raw] = []
    for i in range(0, clips, part):
        some = scenes[i : i + part].to(model.device)
        truth = render(some, model.geometry.pixel_frames(model.geometry.frames), model.geometry.size[0])
        made = returned(way(model, some, truth, seed * 1_000_003 + i), Clip, "way").clamp(-1, 1)
        scores = returned(score(made, truth, some), Raw, "score")
        if not all(value.ndim and len(value) == len(some) for value in scores.values()):
            raise ValueError(f"score returned other than one row for each of {len(some)} clips: it must return that.")
        found.append({name: value.cpu() for name, value in scores.items()})
    return {name: torch.cat([raw[name] for raw in found]) for name in found[0]}


@checked
def fidelity(clip: Clip, truth: Clip, scenes: Scenes) -> Raw:
    """PSNR of every frame, and the distance in pixels of every object that can be seen in the truth."""
    size = clip.shape[-1]
    where, _ = locate(clip, scenes.colour, scenes.world)
    shown = (locate(truth, scenes.colour, scenes.world)[1] > 0.02) & scenes.present[:, None]
    distance = (where - positions(scenes, clip.shape[2])).norm(dim=-1) * size
    lost = distance.isnan() & shown
    distance = distance.nan_to_num(size / 2).clamp(max=size / 2)
    return {
        "psnr": psnr(clip, truth).clamp(max=60),
        "worst": (clip[:, :, 0] - truth[:, :, 0]).abs().flatten(1).amax(1),
        "distance": distance.where(shown, torch.nan),
        "lost": lost.float().where(shown, torch.nan),
    }


@checked
def obedience(clip: Clip, truth: Clip, scenes: Scenes) -> Raw:
    """For every object of the caption: is it there, in its colour and shape, and does it move as told?"""
    told = confirm(clip, scenes)
    nowhere = torch.full(scenes.present.shape, torch.nan, device=clip.device)
    raw = {name: told[name].float().where(scenes.present, nowhere) for name in ("shape", "direction")}
    return raw | {"number": scenes.present.sum(1)}


@checked
def image_to_video_scores(raw: Raw, stride: int) -> dict[str, Any]:
    """Averages of `fidelity` over what was predicted, frames 1 and later, and frame 0's worst error if pixels show it.

    Args:
        raw: from `collect`.
        stride: pixel frames per latent frame; above 1 a codec changes frame 0, whoever made it: see `frame0_latent`.

    Raises:
        ValueError: numbers are missing, or the stride does not divide the frames after the first.
    """
    check_entries(raw, FIDELITY, "raw", tuple(FIDELITY))
    later, by_latent = raw["psnr"][:, 1:], _by_latent(raw["psnr"], stride)
    return {
        **({"frame0_max_error": raw["worst"].max().item()} if stride == 1 else {}),
        "psnr_db": later.mean().item(),
        "psnr_db_stderr": _stderr(later.mean(1)),
        "psnr_db_frame1": later[:, 0].mean().item(),
        "psnr_db_last": later[:, -1].mean().item(),
        "position_error_px": raw["distance"][:, 1:].nanmean().item(),
        "lost_objects": raw["lost"][:, 1:].nanmean().item(),
        "psnr_db_by_latent_frame": by_latent.mean(0).tolist(),
        "psnr_db_by_latent_frame_stderr": [_stderr(frame) for frame in by_latent.T],
    }


@checked
def text_to_video_scores(raw: Raw) -> dict[str, Any]:
    """Shares of objects that the reader confirms, and of captions in which it confirms all, by number of objects.

    Args:
        raw: from `collect` with `obedience`.

    Raises:
        ValueError: numbers are missing, or not of the same captions.
    """
    check_entries(raw, OBEDIENCE, "raw", tuple(OBEDIENCE))
    if len({len(raw[name]) for name in OBEDIENCE}) > 1:
        raise ValueError(f"{', '.join(OBEDIENCE)} of raw are of different numbers of captions: give one `obedience`.")
    out: dict[str, Any] = {}
    for n in raw["number"].unique().tolist():
        rows = raw["number"] == n
        out[f"{n}_objects"] = {"captions": int(rows.sum()), "objects": int(raw["shape"][rows].isfinite().sum())}
        for name, label in (("shape", "colour_and_shape_right"), ("direction", "direction_right")):
            share = raw[name][rows].nanmean()
            count = raw[name][rows].isfinite().sum()
            out[f"{n}_objects"][label] = share.item()
            out[f"{n}_objects"][f"{label}_stderr"] = (share * (1 - share) / count).sqrt().item()
            whole = (raw[name][rows].nan_to_num(1) == 1).all(1).float().mean()
            out[f"{n}_objects"][f"{label}_whole_caption"] = whole.item()
    return out


@checked
def gain(raw: Raw, other: Raw, stride: int) -> dict[str, list[float]]:
    """By how many dB one way beats another on the same clips, latent frame by latent frame, with standard errors.

    Args:
        raw: from `collect` with `fidelity`.
        other: of the same scenes.
        stride: pixel frames per latent frame.

    Raises:
        ValueError: PSNRs are missing or of other clips, or the stride does not divide the frames after the first.
    """
    for name, each in (("raw", raw), ("other", other)):
        check_entries(each, FIDELITY, name, ("psnr",))
    ours, theirs = tuple(raw["psnr"].shape), tuple(other["psnr"].shape)
    if ours != theirs:
        raise ValueError(f"raw has PSNRs of shape {ours}, other of {theirs}: give scores of the same clips.")
    more = _by_latent(raw["psnr"] - other["psnr"], stride)
    return {"db_by_latent_frame": more.mean(0).tolist(), "stderr": [_stderr(frame) for frame in more.T]}


def _by_latent(psnr: Tensor, stride: int) -> Tensor:
    """Means (b, f) over the pixel frames of each latent frame after the first."""
    later = psnr[:, 1:]
    if not 1 <= stride <= later.shape[1] or later.shape[1] % stride or not len(psnr):
        raise ValueError(
            f"stride={stride} for {len(psnr)} clips of {psnr.shape[1]} frames: give a stride that divides the frames "
            "after the first, and at least one clip."
        )
    return later.unflatten(1, (-1, stride)).mean(2)


@checked
@torch.no_grad()
def frame0_latent(model: ToyModel, sampling: Sampling, clips: int = 32) -> dict[str, Any]:
    """The largest error of frame 0's latent in videos that go on from it, against the encoded picture.

    Args:
        model: the toy.
        sampling: how.
        clips: number of unseen scenes.
    """
    scenes = draw_scenes(clips, EVAL_SEED, world_named(model.preset["world"])).to(model.device)
    first = model.encode_video(render(scenes, 1, model.geometry.size[0]))
    if isinstance(model, ImageToVideo):
        schedule = synchronous(sampling.steps, model.geometry.frames)
        made = sampling.walk(model, scenes, schedule, 0, first=first)
    else:
        made = sampling.walk(model, scenes, hold(sampling.steps, model.geometry.frames), 0, first)
    worst = (made[:, :, :1] - first).abs().max().item()
    return {"frame0_latent_max_error": worst, "frame0_latent_how": f"{clips} scenes on {model.device.type}"}


@checked
def measure(
    model: ToyModel, name: str, base: ToyModel | None, clips: int, sampling: Sampling | None = None
) -> dict[str, Any]:
    """Scores of a model, and beside an adapted one of what its base can do without any training.

    Args:
        model: the toy.
        name: of its entry.
        base: where the adaptation started; None leaves it out.
        clips: number of unseen scenes.
        sampling: how; None is the toy's default.
    """
    sampling = sampling or Sampling(guidance=2.0 if model.codec is None else 3.0, words=EVAL_SEED)
    stride = model.geometry.stride[0] if model.codec else 1
    own = sampling.picture if isinstance(model, ImageToVideo) else sampling.vector
    ways = {name: (model, own), "copy_of_frame_0": (model, copy_of_frame_0)}
    if model.codec:
        ways["truth_through_the_codec"] = (model, through_the_codec)
    if base is not None:
        ways["base_with_untrained_vector_clocks"] = (base, sampling.vector)
        ways["base_with_replacement"] = (base, sampling.replacement)
    world = model.preset["world"]
    raw = {key: collect(way, fidelity, who, clips, world=world) for key, (who, way) in ways.items()}
    scores: dict[str, Any] = {key: {"image_to_video": image_to_video_scores(r, stride)} for key, r in raw.items()}
    if model.codec:
        scores[name]["image_to_video"] |= frame0_latent(model, sampling, min(32, clips))
    scores[name]["gain_over"] = {key: gain(raw[name], r, stride) for key, r in raw.items() if key != name}
    for key, (who, way) in _spoken(name, model, base, sampling).items():
        scores.setdefault(key, {})["text_to_video"] = text_to_video_scores(
            collect(way, obedience, who, clips, world=world)
        )
    how = f"{sampling.steps} Euler steps, guidance {sampling.guidance:g}, seed 0, float32, unseen scenes"
    goals = {} if isinstance(model, ImageToVideo) else {"goals": compare(scores, name)}
    return {"how": how, "clips": clips, **scores, **goals}


def _spoken(name: str, model: ToyModel, base: ToyModel | None, sampling: Sampling) -> dict[str, tuple[ToyModel, Way]]:
    ways: dict[str, tuple[ToyModel, Way]] = {name: (model, sampling.text), "truth": (model, lambda m, s, t, seed: t)}
    if model.codec:
        ways["truth_through_the_codec"] = (model, through_the_codec)
    if base is not None:
        ways["base"] = (base, sampling.text)
    return ways


@checked
@torch.no_grad()
def measure_codec(codec: Codec, world: str, clips: int, geometry: Geometry) -> dict[str, Any]:
    """How much of unseen clips a codec keeps.

    Args:
        codec: ready to use.
        world: one of WORLDS.
        clips: number of unseen scenes.
        geometry: their frames and size.
    """
    device = codec.mean.device
    scenes = draw_scenes(clips, EVAL_SEED, world_named(world))
    db, alone = [], []
    for i in range(0, clips, 8):
        clip = render(scenes[i : i + 8].to(device), geometry.pixel_frames(geometry.frames), geometry.size[0])
        db.append(psnr(codec(clip), clip))
        alone.append(psnr(codec(clip[:, :, :1]), clip[:, :, :1]))
    frames, first = torch.cat(db).cpu(), torch.cat(alone).cpu()
    number = scenes.present.sum(1)
    return {
        "how": "posterior mean, float32, unseen scenes; mean over clips of the mean over frames",
        "clips": clips,
        "psnr_db": frames.mean().item(),
        "psnr_db_stderr": _stderr(frames.mean(1)),
        "psnr_db_worst_clip": frames.mean(1).min().item(),
        "psnr_db_single_picture": first.mean().item(),
        **{f"psnr_db_{n}_objects": frames[number == n].mean().item() for n in number.unique().tolist()},
    }


def _stderr(values: Tensor) -> float:
    return (values.std() / len(values) ** 0.5).item()

"""What a toy reaches on scenes it has never seen, against the world's truth."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.evaluation import evaluate
from pusa_lab.metrics import psnr
from pusa_lab.pixels import to_pixels, to_uint8
from pusa_lab.sentences import counted
from pusa_lab.sweeps import averages
from pusa_lab.types import Clip, Geometry
from small_models.evaluation import suite
from small_models.evaluation.goals import compare_with_goals
from small_models.evaluation.suite import Raw
from small_models.evaluation.ways import (
    EVAL_SEED,
    Maker,
    copy_of_frame_0,
    generate_from,
    make_clips,
    maker,
    parts,
    through_the_codec,
)
from small_models.models.codec import Codec
from small_models.models.i2v import ImageToVideo
from small_models.models.toy import ToyModel
from small_models.records import check_entries
from small_models.world import captions, draw_scenes, render, world_named

VALIDATION_SEED = EVAL_SEED + 1
"""Seed of the clips that validation uses; those the card is measured on have yet another."""
FIDELITY = {
    "psnr_frame": Float[Tensor, "b pf"],
    **dict.fromkeys(("skill", "position_error", "lost"), Float[Tensor, " b"]),
}
"""What is read of `suite.fidelity`."""
OBEDIENCE = {"number": Int[Tensor, " b"], "shape": Float[Tensor, " b"], "direction": Float[Tensor, " b"]}
"""What is read of `suite.obedience`, and the number of objects."""


@checked
@torch.no_grad()
def collect(make: Maker, model: ToyModel, clips: int, seed: int = 0, world: str = "") -> Raw:
    """Scores of every clip, made and read in parts that fit in memory.

    Args:
        make: makes the clips, from captions and true clips.
        model: a toy of the same size, on the device that scores them.
        clips: number of unseen scenes.
        seed: of the noise.
        world: whose scenes; empty is the model's own.

    Returns:
        `suite.fidelity` with frame 0 known, `suite.obedience`, and "number" (b,), the objects of each scene.

    Raises:
        ValueError: the world is unknown, or `make` returned other than clips like the true ones.
    """
    scenes = draw_scenes(clips, EVAL_SEED, world_named(world or model.preset["world"]))
    found: list[Raw] = []
    size = 128 if model.device.type == "cuda" else 16
    for some, clip, numbers in parts(scenes, model.geometry, model.device, size):
        made = make_clips(make, some, clip, seed, int(numbers[0]))
        truth = to_pixels(to_uint8(clip)).to(model.device)  # in bytes, as what is made
        raw = suite.fidelity(made, truth, some, [0]) | suite.obedience(made, some)
        found.append({name: value.cpu() for name, value in {**raw, "number": some.present.sum(1)}.items()})
    return {name: torch.cat([raw[name] for raw in found]) for name in found[0]}


@checked
def image_to_video_scores(raw: Raw, stride: int) -> dict[str, Any]:
    """Averages of `suite.fidelity` over what was predicted, frames 1 and later.

    Args:
        raw: from `collect`.
        stride: pixel frames per latent frame.

    Raises:
        ValueError: numbers are missing, or the stride does not divide the frames after the first.
    """
    check_entries(raw, FIDELITY, "raw", tuple(FIDELITY))
    later, by_latent = raw["psnr_frame"][:, 1:], _by_latent(raw["psnr_frame"], stride)
    return {
        "skill": raw["skill"].nanmean().item(),
        "psnr_db": later.mean().item(),
        "psnr_db_stderr": _stderr(later.mean(1)),
        "psnr_db_frame1": later[:, 0].mean().item(),
        "psnr_db_last": later[:, -1].mean().item(),
        "position_error_px": raw["position_error"].nanmean().item(),
        "lost_objects": raw["lost"].nanmean().item(),
        "psnr_db_by_latent_frame": by_latent.mean(0).tolist(),
        "psnr_db_by_latent_frame_stderr": [_stderr(frame) for frame in by_latent.T],
    }


@checked
def text_to_video_scores(raw: Raw) -> dict[str, Any]:
    """Shares of objects that the reader confirms, and of captions in which it confirms all, by number of objects.

    Args:
        raw: from `collect`.

    Raises:
        ValueError: numbers are missing, or not of the same captions.
    """
    check_entries(raw, OBEDIENCE, "raw", tuple(OBEDIENCE))
    if len({len(raw[name]) for name in OBEDIENCE}) > 1:
        raise ValueError(f"{', '.join(OBEDIENCE)} of raw are of different numbers of captions: give one `collect`.")
    out: dict[str, Any] = {}
    for n in raw["number"].unique().tolist():
        rows = raw["number"] == n
        count = int(rows.sum())
        out[f"{n}_objects"] = {"captions": count, "objects": n * count}
        for name, label in (("shape", "colour_and_shape_right"), ("direction", "direction_right")):
            of_caption = raw[name][rows]
            share = of_caption.mean()
            out[f"{n}_objects"][label] = share.item()
            out[f"{n}_objects"][f"{label}_stderr"] = (share * (1 - share) / (n * count)).sqrt().item()
            out[f"{n}_objects"][f"{label}_whole_caption"] = (of_caption == 1).float().mean().item()
    return out


@checked
def gain(raw: Raw, other: Raw, stride: int) -> dict[str, list[float]]:
    """By how many dB one way beats another on the same clips, latent frame by latent frame, with standard errors.

    Args:
        raw: from `collect`.
        other: of the same scenes.
        stride: pixel frames per latent frame.

    Raises:
        ValueError: PSNRs are missing or of other clips, or the stride does not divide the frames after the first.
    """
    for name, each in (("raw", raw), ("other", other)):
        check_entries(each, FIDELITY, name, ("psnr_frame",))
    ours, theirs = tuple(raw["psnr_frame"].shape), tuple(other["psnr_frame"].shape)
    if ours != theirs:
        raise ValueError(f"raw has PSNRs of shape {ours}, other of {theirs}: give scores of the same clips.")
    more = _by_latent(raw["psnr_frame"] - other["psnr_frame"], stride)
    return {"db_by_latent_frame": more.mean(0).tolist(), "stderr": [_stderr(frame) for frame in more.T]}


def _by_latent(psnr: Tensor, stride: int) -> Tensor:
    """Means (b, f) over the pixel frames of each latent frame after the first."""
    later = psnr[:, 1:]
    if not 1 <= stride <= later.shape[1] or later.shape[1] % stride or not len(psnr):
        raise ValueError(
            f"stride={stride} for {counted(len(psnr), 'clip')} of {counted(psnr.shape[1], 'frame')}: give a stride "
            "that divides the frames after the first, and at least one clip."
        )
    return later.unflatten(1, (-1, stride)).mean(2)


@checked
@torch.no_grad()
def frame0_latent(model: ToyModel, clips: int = 32, **options: Any) -> dict[str, Any]:
    """The largest error of frame 0's latent in videos that go on from it, against the encoded picture.

    Through a codec the pixels of frame 0 change, whoever made it; its latent need not.

    Args:
        model: the toy.
        clips: number of unseen scenes.
        **options: of `generate`.
    """
    scenes = draw_scenes(clips, EVAL_SEED, world_named(model.preset["world"])).to(model.device)
    pictures = to_uint8(render(scenes, 1, model.geometry.size[0]))
    made = generate_from(model, captions(scenes, EVAL_SEED), pictures, output="latents", **options).latents
    worst = (made[:, :, :1] - model.encode_video(to_pixels(pictures).to(model.device))).abs().max().item()
    return {"frame0_latent_max_error": worst, "frame0_latent_how": f"{clips} scenes on {model.device.type}"}


@checked
def measure(
    model: ToyModel, name: str, base: ToyModel | None, clips: int, steps: int = 10, guidance: float | None = None
) -> dict[str, Any]:
    """Scores of a model, and beside an adapted one of what its base can do without any training.

    Args:
        model: the toy.
        name: of its entry.
        base: where the adaptation started; None leaves it out.
        clips: number of unseen scenes.
        steps: of the sampler.
        guidance: scale of text guidance; None is the toy's own: 2 in pixel space, 3 with a codec.
    """
    guidance = _guidance(model) if guidance is None else guidance
    options: dict[str, Any] = {"steps": steps, "guidance": guidance}
    stride, world = model.geometry.stride[0], model.preset["world"]
    ways = {name: maker(model, **options), "copy_of_frame_0": copy_of_frame_0}
    spoken: dict[str, Maker] = {name: maker(model, (), **options), "truth": lambda prompts, truth, seed: truth}
    if model.codec:
        ways["truth_through_the_codec"] = spoken["truth_through_the_codec"] = through_the_codec(model)
    if base is not None:
        ways["base_with_untrained_timestep_vectors"] = maker(base, **options)
        ways["base_with_replacement"] = maker(base, noise=1.0, mode="replacement", **options)
        spoken["base"] = maker(base, (), **options)
    raw = {key: collect(way, model, clips, world=world) for key, way in ways.items()}
    scores: dict[str, Any] = {key: {"image_to_video": image_to_video_scores(r, stride)} for key, r in raw.items()}
    scores[name]["image_to_video"] |= frame0_latent(model, min(32, clips), **options)
    scores[name]["gain_over"] = {key: gain(raw[name], r, stride) for key, r in raw.items() if key != name}
    for key, way in spoken.items():
        found = raw[key] if ways.get(key) is way else collect(way, model, clips, world=world)
        scores.setdefault(key, {})["text_to_video"] = text_to_video_scores(found)
    how = f"{steps} Euler steps, guidance {guidance:g}, seed 0, float32, unseen scenes"
    goals = {} if isinstance(model, ImageToVideo) else {"goals": compare_with_goals(scores, name)}
    return {"how": how, "clips": clips, **scores, **goals}


def _guidance(model: ToyModel) -> float:
    return 2.0 if model.codec is None else 3.0


@checked
def measure_clips(
    models: Mapping[str, ToyModel], clips: np.ndarray, prompts: Sequence[str], steps: int = 10
) -> dict[str, Any]:
    """Scores of models on clips of which only the pixels are known, by `pusa_lab.evaluate`: means with 95 % intervals.

    Args:
        models: by name.
        clips: (n, pixel frames, h, w, 3) uint8, none of which was trained on.
        prompts: n captions.
        steps: of the sampler.

    Returns:
        Model -> task -> metric -> [mean, low, high]; low and high are None if there is a single clip.

    Raises:
        ValueError: there are no models or clips, or as for `pusa_lab.evaluate`.
    """
    import pandas as pd  # takes long to import

    if not models or clips.ndim != 5:
        raise ValueError(
            f"{counted(len(models), 'model')}, and clips of shape {clips.shape}: give a model, and clips "
            "(n, pixel frames, h, w, 3)."
        )
    tables = []
    for name, model in models.items():
        table = evaluate(model, clips, prompts, steps=steps, guidance=_guidance(model), progress=False)
        tables.append(table.assign(model=name))
    scores: dict[str, Any] = {}
    for line in averages(pd.concat(tables)).to_dict("records"):
        values = [None if line[end] != line[end] else line[end] for end in ("mean", "low", "high")]
        scores.setdefault(line["model"], {}).setdefault(line["task"], {})[line["metric"]] = values
    guidance = _guidance(next(iter(models.values())))
    how = f"pusa_lab.evaluate, {steps} Euler steps, guidance {guidance:g}, seeds from 0, float32, held-out clips; "
    return {"how": how + "[mean, low, high] with 95 % intervals", "clips": len(clips), **scores}


@checked
@torch.no_grad()
def codec_scores(codec: Codec, parts: Iterable[Clip]) -> tuple[dict[str, Any], Tensor]:
    """How much of clips a codec keeps, as means over clips of the mean over frames.

    Args:
        codec: ready to use.
        parts: pixels (b, 3, pf, h, w) in [-1, 1], at least one clip in all.

    Returns:
        The scores, and the PSNR of every frame (n, pf).

    Raises:
        ValueError: there are no clips.
    """
    db, alone = [], []
    for clip in (part.to(codec.mean.device) for part in parts):
        db.append(psnr(codec(clip), clip))
        alone.append(psnr(codec(clip[:, :, :1]), clip[:, :, :1]))
    if not db:
        raise ValueError("parts is empty: give at least one clip.")
    frames, first = torch.cat(db).cpu(), torch.cat(alone).cpu()
    scores = {
        "psnr_db": frames.mean().item(),
        "psnr_db_stderr": _stderr(frames.mean(1)) if len(frames) > 1 else None,
        "psnr_db_worst_clip": frames.mean(1).min().item(),
        "psnr_db_single_picture": first.mean().item(),
    }
    return scores, frames


@checked
def measure_codec(codec: Codec, world: str, clips: int, geometry: Geometry) -> dict[str, Any]:
    """How much of unseen clips of a world a codec keeps.

    Args:
        codec: ready to use.
        world: one of WORLDS.
        clips: number of unseen scenes.
        geometry: their frames and size.
    """
    scenes = draw_scenes(clips, EVAL_SEED, world_named(world))
    parts = (scenes[i : i + 8].to(codec.mean.device) for i in range(0, clips, 8))
    shown_clips = (render(some, geometry.pixel_frames(geometry.frames), geometry.size[0]) for some in parts)
    scores, frames = codec_scores(codec, shown_clips)
    number = scenes.present.sum(1)
    return {
        "how": "posterior mean, float32, unseen scenes; mean over clips of the mean over frames",
        "clips": clips,
        **scores,
        **{f"psnr_db_{n}_objects": frames[number == n].mean().item() for n in number.unique().tolist()},
    }


def _stderr(values: Tensor) -> float:
    return (values.std() / len(values) ** 0.5).item()

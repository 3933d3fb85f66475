"""How much an adapted model has forgotten: how far its text-to-video is from that of its base.

Both models start from the same noise and prompts and take the same steps, with equal timesteps for all frames, which is
all that the base knows. Every distance is relative, ||a - b|| / ||b|| for a of the model and b of the base, so that
models of any size can be compared: 0 is the base itself, and sqrt(2) is expected of what has mean 0 and the same norm
but nothing else in common with the base.

`measure_forgetting` makes a table. `follow_base` and `distance_from_base` are its two halves, for models that do not
fit into memory together, for one Wan whose LoRA is at strength 0 first (`wan.lora.set_strengths`), and for many models
of one base.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.generate import generate, prepare
from pusa_lab.metrics import frame_scores
from pusa_lab.models import load, origin_of
from pusa_lab.pixels import to_pixels
from pusa_lab.progress import progress_bar
from pusa_lab.runs import Result
from pusa_lab.sampling_inputs import levels_of
from pusa_lab.sweeps.scores import Metric, Truth, metrics_of, scores_of, truth_of
from pusa_lab.sweeps.settings import each_once
from pusa_lab.types import Geometry, Tau, Video, VideoModel

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = Any

SETTLED = ("prompt", "seed", "task", "generator", "num_videos_per_prompt", "prompt_embeds", "output", "callback")
"""Arguments of `generate` that are not options here."""


@dataclass(frozen=True, eq=False)
class BasePath:
    """What a base makes of prompts and seeds, and what it answered on the way."""

    result: Result
    """Its videos and latents."""
    points: list[tuple[Video, Tau, Video]]
    """x, tau and the guided velocity at x, on the CPU, of every call of the denoiser that the solver made."""
    asked: dict[str, Any]
    """Arguments of `prepare` with which another model starts and goes on in the same way."""
    geometry: Geometry
    """The base's own."""


@dataclass(frozen=True, eq=False)
class Distance:
    """How far a model's text-to-video is from the base's, video by video."""

    result: Result
    """The model's videos and latents."""
    latents: Float[Tensor, " b"]
    """||z' - z|| / ||z|| of the latents that sampling ends with."""
    velocity: Float[Tensor, " b"]
    """sqrt(sum ||v' - v||^2 / sum ||v||^2) over all points of the base's path."""
    by_level: dict[str, Float[Tensor, " b"]]
    """The same over the points of one noise level: "0.500" -> (b,)."""
    psnr: Float[Tensor, " b"]
    """PSNR between the two videos in dB, 60 at most."""


@checked
def measure_forgetting(
    model: str | Path | VideoModel,
    base: str | Path | VideoModel,
    prompts: str | Sequence[str],
    seeds: int | Sequence[int] = 0,
    *,
    metrics: Any = (),
    truth: Truth = None,
    progress: bool | None = None,
    **sampling: Any,
) -> DataFrame:
    """Measure how far an adapted model's text-to-video is from its base's: one row for each prompt and seed.

    latent_distance = ||z' - z|| / ||z||, of the latents z that each model ends with
    velocity_distance = sqrt(sum ||v'(x, tau) - v(x, tau)||^2 / sum ||v(x, tau)||^2), x on the base's own path alone

    The latents say how different the videos are; the errors of all steps accumulate in them. The velocities say how
    much the model itself has changed where the base samples, and accumulate nothing; with guidance=1 they are those of
    the caption alone.

    Args:
        model: a name for `load`, or a model.
        base: the same for what it was adapted from, with the same geometry.
        prompts: one caption or several.
        seeds: of the noise, one or several; every prompt is made from each.
        metrics: as for `sweep`, measured on both videos; none by default.
        truth: as for `sweep`, for metrics that compare with it.
        progress: whether to show a bar; None shows it where somebody can see it, see `pusa_lab.progress`.
        **sampling: options of `generate`, the same for both, such as steps, guidance and latent_frames; a schedule must
            have the same levels for all frames.

    Returns:
        A table as `evaluate` returns: model, prompt, seed, latent_distance, velocity_distance, the same at each noise
        level as "velocity_distance.0.500", psnr (in dB, between the two videos, 60 at most), "<metric>_change" (the
        model's score minus the base's), seconds, status, error, clip.

    Raises:
        ValueError: there is no prompt or seed, or one is given twice; the models have different geometries; an option
            is not one of sampling, or the schedule gives frames different levels; or a metric needs a truth or known
            frames that are not there.
    """
    import pandas as pd  # takes long to import

    prompts, seeds = each_once("prompts", prompts, str), each_once("seeds", seeds, int)
    wanted = _metrics(metrics, truth)
    _check_options(sampling)
    loaded, other = (load(one) if isinstance(one, str | Path) else one for one in (model, base))
    _check_alike(loaded.geometry, other.geometry)
    origin = origin_of(loaded)
    label = " + ".join((origin.name, *origin.loras)) if origin else type(loaded).__name__

    def row(prompt: str, seed: int) -> dict[str, Any]:
        began, path = time.perf_counter(), follow_base(other, prompt, seed, **sampling)
        found = distance_from_base(loaded, path)
        scores = _scores(found) | _changes(wanted, found.result, path.result, truth_of(truth, prompt, seed))
        about = {"seconds": time.perf_counter() - began, "status": "done", "error": "", "clip": None}
        return {"model": label, "prompt": prompt, "seed": seed, **scores, **about}

    rows = (row(prompt, seed) for prompt in prompts for seed in seeds)
    return pd.DataFrame(list(progress_bar(rows, len(prompts) * len(seeds), "forgetting", "video", progress)))


@checked
def follow_base(
    base: VideoModel, prompt: str | Sequence[str], seed: int | Sequence[int] = 0, **sampling: Any
) -> BasePath:
    """Make text-to-video with a base and keep every velocity that its solver asked for.

    Args:
        base: any model.
        prompt: one caption, or one per sample.
        seed: sample i starts from the noise of seed + i, or of its own from a list.
        **sampling: options of `generate`, such as steps and guidance.

    Raises:
        ValueError: an option is not one of sampling, or the schedule gives frames different levels.
    """
    _check_options(sampling)
    run = prepare(base, prompt, seed=seed, **sampling)
    matrix = run.options["matrix"]
    levels = levels_of(matrix)
    if levels.ndim != 2 or not levels.eq(levels[:, :1]).all():
        raise ValueError(
            f"the schedule has noise levels of shape {tuple(levels.shape)} that are not the same for all frames, and a "
            "base knows no others: give one matrix (rows, f) with equal columns, or 'synchronous'."
        )
    points: list[tuple[Video, Tau, Video]] = []
    with torch.no_grad():
        for last in replace(run, denoiser=_recording(run.denoiser, points)).states(watched=False):
            state = last
        result = run.finish(state)
    size, frames = run.geometry.size, run.x.shape[2]
    same = {"schedule": matrix, "solver": run.options["solver"], "height": size[0], "width": size[1]}
    given = {name: value for name, value in sampling.items() if name not in ("steps", "shift")}
    asked = {**given, **same, "prompt": prompt, "seed": seed, "latent_frames": frames}
    return BasePath(result, points, asked, base.geometry)


@checked
def distance_from_base(model: VideoModel, path: BasePath) -> Distance:
    """Measure how far a model's text-to-video is from what its base made, see `measure_forgetting`.

    Args:
        model: adapted from the base.
        path: from `follow_base`.

    Raises:
        ValueError: the model has another geometry than the base.
    """
    _check_alike(model.geometry, path.geometry)
    with torch.no_grad():
        run = prepare(model, **path.asked)
        velocities = [run.denoiser(x.to(run.x), tau.to(run.x)).cpu() for x, tau, _ in path.points]
    parts = [_squares(v, base) for v, (_, _, base) in zip(velocities, path.points, strict=True)]
    names = [f"{tau[0, 0].item():.3f}" for _, tau, _ in path.points]
    by_level = {
        name: _relative([part for part, own in zip(parts, names, strict=True) if own == name])
        for name in dict.fromkeys(names)
    }
    made, before = generate(model, **path.asked, progress=False), path.result
    psnr = frame_scores(to_pixels(made.video), to_pixels(before.video), ["psnr"])["psnr"].mean(1)
    latents = _relative([_squares(made.latents, before.latents)])
    return Distance(made, latents, _relative(parts), by_level, psnr)


def _recording(denoiser: Callable[..., Video], points: list[tuple[Video, Tau, Video]]) -> Callable[..., Video]:
    """The same denoiser, which adds a copy of every question and answer to the points."""

    def ask(x: Video, tau: Tau) -> Video:
        v = denoiser(x, tau)
        points.append((x.to("cpu", copy=True), tau.to("cpu", copy=True), v.to("cpu", copy=True)))
        return v

    return ask


def _squares(a: Video, b: Video) -> Tensor:
    """||a - b||^2 and ||b||^2 of every sample: (2, b)."""
    a, b = (x.detach().cpu().double().flatten(1) for x in (a, b))
    return torch.stack([(a - b).square().sum(1), b.square().sum(1)])


def _relative(parts: Sequence[Tensor]) -> Float[Tensor, " b"]:
    """sqrt(sum ||a - b||^2 / sum ||b||^2); 0 where nothing is different."""
    apart, whole = torch.stack(list(parts)).sum(0)
    return torch.where(apart == 0, apart, apart / whole).sqrt().float()


def _scores(found: Distance) -> dict[str, float]:
    """Those of the only video."""
    levels = {f"velocity_distance.{name}": value for name, value in found.by_level.items()}
    scores = {"latent_distance": found.latents, "velocity_distance": found.velocity, **levels, "psnr": found.psnr}
    return {name: value.item() for name, value in scores.items()}


def _changes(metrics: Sequence[Metric], after: Result, before: Result, truth: Any) -> dict[str, float]:
    if not metrics:
        return {}
    new, old = (scores_of(metrics, result, truth) for result in (after, before))
    return {f"{name}_change": new[name] - old[name] for name in old}


def _metrics(metrics: Any, truth: Truth) -> list[Metric]:
    wanted = metrics_of(metrics)
    if known := [metric.name for metric in wanted if metric.needs_known]:
        raise ValueError(f"the metric {known[0]} compares with known frames, and text-to-video has none: leave it out.")
    if truth is None and (needy := [metric.name for metric in wanted if metric.needs_truth]):
        raise ValueError(f"the metric {needy[0]} compares with a truth: give truth=, or other metrics.")
    return wanted


def _check_options(sampling: dict[str, Any]) -> None:
    for name in SETTLED:
        if name in sampling:
            use = f"give {name}s" if name in ("prompt", "seed") else "leave it out"
            raise ValueError(f"{name} is settled here, where both models make the same text-to-video: {use}.")


def _check_alike(model: Geometry, base: Geometry) -> None:
    for name in ("stride", "channels", "frames", "size"):
        here, there = getattr(model, name), getattr(base, name)
        if here != there:
            raise ValueError(
                f"the model's geometry has {name}={here} and the base's {there}, so that their videos cannot be "
                "compared: give a model and the base that it was adapted from."
            )

"""How far an adapted model's text-to-video is from the base's, along training, for each timestep sampler."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.forgetting import BasePath, Distance, distance_from_base, follow_base
from pusa_lab.pixels import to_pixels
from pusa_lab.runs import Result
from small_models.evaluation import suite
from small_models.evaluation.ways import EVAL_SEED
from small_models.experiments.adapt import Adaptation, ToyTrainer
from small_models.experiments.lab import Lab, Rows
from small_models.experiments.sizes import Sizes
from small_models.world import Scenes, captions

SAMPLED = {
    "independent": Adaptation(),
    "task mixture": Adaptation(timestep_sampler="task_mixture"),
    "half of each": Adaptation(timestep_sampler="mixture(samplers=[independent, task_mixture])"),
    "shared, the control": Adaptation(timestep_sampler="shared"),
    "Wan's way, without its picture": Adaptation("i2v", timestep_sampler="shared"),
}
"""Timestep samplers of training; the last way also has other inputs."""


@checked
def forgetting(lab: Lab, trainer: ToyTrainer) -> Rows:
    """Text-to-video of every adaptation beside the base's, from the same noise and prompts with equal timesteps.

    Args:
        lab: models and scores.
        trainer: trains with all weights, and a LoRA of the middle rank.
    """
    parts = cache(partial(_followed, lab))
    for label, ranks in sampled_ways(lab.sizes).items():
        for rank, adaptation in ranks.items():
            updates = trainer.updates(adaptation, lab.sizes.marks)
            for share, update in zip(lab.sizes.marks, updates, strict=True):
                key = {"timestep_sampler": label, "rank": rank or "all weights", "share": share}
                yield key, partial(_forgotten, lab, parts, partial(trainer.model, adaptation, update))


@checked
def sampled_ways(sizes: Sizes) -> dict[str, dict[int, Adaptation]]:
    """What the table `forgetting` trains: timestep sampler -> rank, where 0 is all weights -> adaptation.

    Args:
        sizes: with the middle rank.
    """
    return {label: {rank: replace(way, rank=rank) for rank in (0, sizes.ranks[1])} for label, way in SAMPLED.items()}


@dataclass(frozen=True, eq=False)
class _Part:
    """What the base makes of some scenes."""

    scenes: Scenes
    groups: Tensor
    """Number of the prompt of every clip (b,)."""
    path: BasePath
    raw: suite.Raw
    """From `_read`."""


def _followed(lab: Lab) -> list[_Part]:
    """The base's text-to-video, which is made once for all rows."""
    base, sizes, found = lab.model("base"), lab.sizes, list[_Part]()
    for scenes, _, numbers in lab.parts(sizes.swept, seeds=sizes.seeds):
        seed = sizes.seed * 1_000_003 + int(numbers[0]) * sizes.seeds
        path = follow_base(base, captions(scenes, EVAL_SEED), seed, guidance=sizes.guidance)
        found.append(_Part(scenes, numbers, path, _read(lab, path.result, scenes)))
    return found


@torch.no_grad()
def _read(lab: Lab, result: Result, scenes: Scenes) -> suite.Raw:
    """Text alignment and features of every clip; small videos have no features."""
    clip = to_pixels(result.video).to(lab.device)
    raw = {"text_alignment": suite.obedience(clip, scenes)["text_alignment"]}
    if lab.has("features"):
        raw["features"] = lab.model("features").features(clip)
    return {name: value.float().cpu() for name, value in raw.items()}


def _forgotten(lab: Lab, parts: Callable[[], list[_Part]], make: Callable[[], Any]) -> dict[str, Any]:
    model = make()
    distances = [distance_from_base(model, part.path) for part in parts()]
    raws = [
        _compared(found, _read(lab, found.result, part.scenes), part.raw)
        for found, part in zip(distances, parts(), strict=True)
    ]
    raw, groups = ({n: torch.cat([one[n] for one in raws]) for n in raws[0]}, torch.cat([p.groups for p in parts()]))
    levels = {n: torch.cat([found.by_level[n] for found in distances]).mean().item() for n in distances[0].by_level}
    curve = {"levels": [float(name) for name in levels], "velocity_by_level": list(levels.values())}
    alone = {n: [round(v[groups == g].mean().item(), 4) for g in groups.unique()] for n, v in raw.items()}
    return {"scores": suite.summarise(raw, groups) | curve, "clips": len(groups), "by_prompt": alone}


def _compared(found: Distance, now: suite.Raw, before: suite.Raw) -> suite.Raw:
    raw = {"latent_distance": found.latents, "velocity_distance": found.velocity}
    if "features" in now:
        raw["feature_distance"] = (now["features"] - before["features"]).norm(dim=1) / before["features"].norm(dim=1)
    lost = (before["text_alignment"] - now["text_alignment"]).round(decimals=4)  # sums of thirds are not exact
    return raw | {
        "psnr_to_base": found.psnr.cpu(),
        "text_alignment": now["text_alignment"],
        "alignment_lost": lost,
    }

"""What adaptation changes inside: which weights move, and where each frame looks."""

from functools import partial
from typing import Any

import torch

from pusa_lab.arguments import checked
from pusa_lab.metrics.inside import attention_mass, parameter_change
from pusa_lab.pixels import to_uint8
from small_models.evaluation.ways import EVAL_SEED
from small_models.experiments.adapt import Adaptation, ToyTrainer
from small_models.experiments.lab import Lab, Rows
from small_models.world import captions

STEPS = 10


@checked
def inside(lab: Lab, trainer: ToyTrainer) -> Rows:
    """Change of every kind of weights, and attention between frames over layers and steps.

    Args:
        lab: models and scores.
        trainer: trains both ways with all weights, with the same budget.
    """
    base = lab.model("base").dit
    for label, stage in {"VTA, shipped": "vta", "Wan's way, shipped": "i2v"}.items():
        if lab.has(stage):
            yield {"change": label}, partial(_changed, base, lab.model(stage).dit)
    ways = {"VTA, all weights": Adaptation(), "Wan's way, all weights": Adaptation("i2v", timestep_sampler="shared")}
    for label, adaptation in ways.items() if lab.sizes.train else ():
        (update,) = trainer.updates(adaptation, [lab.sizes.brief])
        yield {"change": label}, partial(_changed, base, trainer.model(adaptation, update).dit)
    looking = {
        "base, text alone": ("base", []),
        "base, frame 0 clean": ("base", [0]),
        "VTA, frame 0 clean": ("vta", [0]),
    }
    if lab.has("i2v"):
        looking["Wan's way, its picture"] = ("i2v", [0])
    for label, (stage, known) in looking.items():
        yield {"attention": label}, partial(_looks, lab, lab.model(stage), known)


def _changed(before: torch.nn.Module, after: torch.nn.Module) -> dict[str, Any]:
    """How far every kind of a transformer's weights moved."""
    return {"kinds": parameter_change(before, after)}


@torch.no_grad()
def _looks(lab: Lab, model: Any, known: list[int]) -> dict[str, Any]:
    """Attention mass between frames, averaged over clips.

    Maps are of the last block at the first, middle and last step. "on_frame_0" is the mass on frame 0 of what the other
    frames see, for every step and block.
    """
    scenes, clip, _ = next(lab.parts(min(16, lab.sizes.swept)))
    make = lab.ask(model, known, steps=STEPS, guidance=1.0)
    with attention_mass(model.dit) as found:
        make(captions(scenes, EVAL_SEED), to_uint8(clip), lab.sizes.seed)
    mass = torch.stack(found).mean(2)  # (steps, layers, f, f)
    first = mass[:, :, 1:, 0].mean(2)
    maps = {f"step {s}": mass[s, -1].tolist() for s in (0, len(mass) // 2 - 1, len(mass) - 1)}
    return {"on_frame_0": first.tolist(), "maps": maps, "clips": len(scenes)}

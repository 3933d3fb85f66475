"""How the shipped checkpoints are trained."""

from dataclasses import dataclass
from typing import Any

from pusa_lab.training import TrainConfig


@dataclass(frozen=True)
class Recipe:
    """One stage of one toy."""

    config: TrainConfig
    clips: int
    """Different clips in a run."""
    measured: int = 512
    """Unseen scenes on which the result is measured."""


ADAPT: dict[str, Any] = {"lr": 2e-3, "warmup": 100, "shift": 5.0, "lora_rank": 64, "compile": "reduce-overhead"}
"""What both ways from the base to image-to-video share, so that they can be compared."""
HALF: dict[str, Any] = {"timestep_sampler": "mixture(samplers=[independent, task_mixture])", "weight": "free_frames"}
"""What `pusa-lab bench recipe` found: half of the draws independent, half as at sampling, loss of free frames only."""
RECIPES = {
    ("nano", "base"): Recipe(
        TrainConfig(max_steps=17_000, lr=2e-3, timestep_sampler="shared", compile="reduce-overhead"), 200_000
    ),
    ("nano", "vta"): Recipe(
        TrainConfig(max_steps=14_000, shift=5.0, seed=1, compile="reduce-overhead", **HALF), 200_000
    ),
    ("nano", "actions"): Recipe(
        TrainConfig(
            max_steps=2_500,
            warmup=100,
            timestep_sampler="next_frame",
            weight="free_frames",
            history="resampled(high=0.3)",
            shift=5.0,
        ),
        60_000,
        measured=32,
    ),
    ("mini", "codec"): Recipe(
        TrainConfig(max_steps=5_200, global_batch_size=32, warmup=100, weight_decay=0.0, ema=0.0, compile="default"),
        20_000,
    ),
    ("mini", "features"): Recipe(
        TrainConfig(max_steps=1_500, global_batch_size=16, lr=4e-3, warmup=50, ema=0.0), 4_000
    ),
    ("mini", "base"): Recipe(
        TrainConfig(max_steps=14_000, timestep_sampler="shared", shift=5.0, compile="reduce-overhead"), 64_000
    ),
    ("mini", "vta"): Recipe(TrainConfig(max_steps=6_000, **HALF, **ADAPT), 64_000),
    ("mini", "i2v"): Recipe(TrainConfig(max_steps=6_000, timestep_sampler="shared", **ADAPT), 64_000),
}
"""(toy, stage) -> recipe: a codec, a reader of clips for the Frechet distance, a scalar base from nothing, then from
the base one timestep per frame, or Wan's way; actions from vta."""
FAST: dict[str, Any] = {"max_steps": 10, "global_batch_size": 4, "warmup": 1, "ema": 0.9, "clips": 16, "compile": ""}
"""What --fast changes: enough to see that everything runs."""

"""Ways to train for long videos, compared: what a model is shown of the past, and whether it sees both ways."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pusa_lab import schedules
from pusa_lab.arguments import checked
from pusa_lab.causal import causal
from pusa_lab.flow_maps import flow_map
from pusa_lab.streaming import scheduled_moves
from pusa_lab.types import Geometry
from small_models.experiments.adapt import Adaptation, ToyTrainer
from small_models.experiments.drift import DriftSizes, measure_way
from small_models.experiments.drift_rows import CHANGED, Way
from small_models.experiments.lab import Lab, Rows
from small_models.experiments.sizes import Sizes
from small_models.models.flow_map import FlowMapToy
from small_models.models.toy import ToyModel
from small_models.training.recipes import HALF, RECIPES

PASTS = {
    "noise on the past": "noised",
    "own errors in the past": "own_errors",
    "own past": "resampled",
}
"""Name -> history that is tried with a model that sees both ways, and with a causal one."""
KNOWN_FRAMES, FLOW_MAP = "both ways, known frames", "both ways, flow map"
"""Trainings that are also compared at few calls."""
FEW = (1, 2, 4)
"""Calls for each frame, guidance aside; a velocity is also asked as often as in image to video."""
ROLL_OUT = "resampled(low=1.0, high=1.0)"
"""A past from pure noise."""


@checked
@dataclass(frozen=True)
class ForcingSizes:
    """How much is trained and measured; the defaults are for a GPU."""

    preset: str = "mini"
    """From whose base the training starts: mini or nano."""
    steps: int = 3000
    """Steps of each training."""
    batch: int = 256
    """Clips per step."""
    clips: int = 64_000
    """Different clips in training."""
    training_seeds: int = 3
    """Trainings of each kind."""
    scenes: int = 32
    """Unseen scenes, each of long videos, image to video and extension."""
    seeds: int = 3
    """Videos of each scene."""
    lengths: int = 16
    """Length of the long videos, in lengths of the model's own."""
    calls: int = 4
    """Calls for each of their latent frames, guidance aside, an even number."""
    sampling: int = 10
    """Steps of each frame in image to video and extension."""
    guidance: float = 3.0
    """Scale of text guidance."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "clips", "training_seeds", "sampling"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give at least 1.")
        self.drift(0)

    def drift(self, seed: int) -> DriftSizes:
        """Sizes of the long videos.

        Args:
            seed: of the noise.
        """
        return DriftSizes(self.preset, self.lengths, self.scenes, self.seeds, self.calls, self.guidance, seed)

    @property
    def share(self) -> float:
        """The training as a share of the base's, counted in clips."""
        base = RECIPES[self.preset, "base"].config
        return self.steps * self.batch / (base.max_steps * base.global_batch_size)

    def lab(self, work: Path) -> Lab:
        """Models, clips and scores of these sizes.

        Args:
            work: folder for clips and weights.
        """
        only = (self.share,)
        how: dict[str, Any] = {"preset": self.preset, "clips": self.clips, "batch": self.batch}
        how |= {"swept": self.scenes, "seeds": self.seeds, "guidance": self.guidance}
        return Lab(Sizes(**how, budgets=only, marks=only, brief=self.share), work)


TINY = ForcingSizes("nano", 2, 4, 16, 1, 2, 1, 2, 2, 2, 2.0)
"""Whether it runs: under a minute on one core."""


@checked
def block_of(geometry: Geometry) -> int:
    """Frames of a block: as many as are known of a long video, a third of the model's own frames.

    Args:
        geometry: of the model.
    """
    return geometry.frames // 3


@checked
def trainings(block: int) -> dict[str, Adaptation]:
    """What is compared, by name.

    Args:
        block: frames of a block of the causal ones.
    """
    both, masked = Adaptation(**HALF), Adaptation(causal=block, timestep_sampler=f"per_block(block={block})")
    return {
        "both ways, independent timesteps": Adaptation(),
        KNOWN_FRAMES: both,
        **{f"both ways, {name}": replace(both, history=history) for name, history in PASTS.items()},
        "causal, diffusion forcing": masked,
        "causal, teacher forcing": replace(masked, history="true_past"),
        **{f"causal, {name}": replace(masked, history=history) for name, history in PASTS.items()},
        "causal, rolled-out past": replace(masked, history=ROLL_OUT),
        FLOW_MAP: replace(both, way="map"),
    }


@checked
def forcing_rows(sizes: ForcingSizes, lab: Lab, trainer: ToyTrainer) -> Rows:
    """A row for every training and seed: it is trained, if it is not there, and measured.

    Args:
        sizes: of the benchmark.
        lab: of the same sizes.
        trainer: of that.
    """
    for seed in range(sizes.training_seeds):
        for name, adaptation in trainings(block_of(lab.geometry)).items():
            run = replace(adaptation, seed=seed)
            yield {"training": name, "seed": seed}, partial(measure_training, sizes, lab, trainer, run)


@checked
def in_turn(rows: Rows, first: Sequence[str]) -> Rows:
    """The same rows, of each seed of training first those whose names hold one of these texts, in their order.

    Args:
        rows: from `forcing_rows`.
        first: parts of names of trainings.

    Raises:
        ValueError: no training's name holds one of them.
    """
    found = list(rows)
    names = list(dict.fromkeys(key["training"] for key, _ in found))
    if unknown := [text for text in first if not any(text in name for name in names)]:
        raise ValueError(f"no training is called {unknown[0]!r:.60}: give a part of one of {'; '.join(names)}.")
    turn = {name: next((i for i, text in enumerate(first) if text in name), len(first)) for name in names}
    yield from sorted(found, key=lambda row: (row[0]["seed"], turn[row[0]["training"]]))


@checked
def measure_training(sizes: ForcingSizes, lab: Lab, trainer: ToyTrainer, run: Adaptation) -> dict[str, Any]:
    """Train and measure one: image to video, extension, and long videos, all block after block.

    Args:
        sizes: of the benchmark.
        lab: of the same sizes.
        trainer: of that.
        run: how it is trained.
    """
    model: Any = trainer.model(run, trainer.updates(run, [sizes.share])[0])
    geometry, block = lab.geometry, block_of(lab.geometry)
    asked: Any = causal(model, run.causal) if run.causal else model
    video = sizes.drift(run.seed).video(geometry)
    steps = sizes.calls * block
    moves = scheduled_moves(schedules.blockwise(steps, video.made, block, steps), video.window, video.known)
    way = Way(CHANGED[1], "CausVid, 2412.07772, without its cache", moves)
    found: dict[str, Any] = {"steps": trainer.steps(sizes.share), "history": run.history, "block": run.causal}
    found["weights"] = trainer.folder(run).name
    found["long"] = measure_way(asked, sizes.drift(run.seed), way)
    options: dict[str, Any] = {"steps": sizes.sampling, "schedule": _after_each_other(geometry, sizes.sampling)}
    for task, known in (("image_to_video", 1), ("extension", block)):
        found[task] = lab.measure(lab.ask(asked, range(known), **options), range(known))
    if replace(run, seed=0) in (trainings(block)[name] for name in (KNOWN_FRAMES, FLOW_MAP)):
        found["few calls"] = few_calls(sizes, lab, model)
    return found


@checked
def few_calls(sizes: ForcingSizes, lab: Lab, model: ToyModel) -> list[dict[str, Any]]:
    """Image to video in few calls, all frames together and rolling; a velocity by Euler's steps, and a map by itself.

    Args:
        sizes: of the benchmark.
        lab: of the same sizes.
        model: that is asked.
    """
    is_map, found = isinstance(model, FlowMapToy), []
    for calls in FEW if is_map else sorted({*FEW, sizes.sampling}):
        for schedule in ("synchronous", f"rolling(window={calls})"):
            options: dict[str, Any] = {"steps": calls, "schedule": schedule, "solver": flow_map if is_map else "euler"}
            scores = lab.measure(lab.ask(model, (0,), **options), (0,))
            found.append({"calls": calls, "schedule": schedule.partition("(")[0], **scores})
    return found


def _after_each_other(geometry: Geometry, steps: int) -> str:
    """The schedule of blocks that begin when the one before is final."""
    return f"blockwise(block={block_of(geometry)}, lag={steps})"

"""Train the toys: `pusa-lab train --model nano --stage base`, then `--stage vta` from it."""

import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset

from pusa_lab import __version__
from pusa_lab.training import TrainConfig, fit
from pusa_lab.types import Clip
from small_models.evaluate import evaluate, references
from small_models.model import PRESETS, ToyModel
from small_models.world import captions, draw_scenes, render
from small_models.zoo import CHECKPOINTS, load, save

STAGES = {
    "base": TrainConfig(steps=17_000, lr=2e-3, draw="shared", shift=1.0),
    "vta": TrainConfig(steps=14_000, draw="independent", shift=5.0, seed=1),
}
"""The recipes of the shipped checkpoints: a scalar base from nothing, then one clock per frame from the base."""
SCENES = 200_000
"""Different clips in a training run."""
FAST = {"steps": 30, "batch": 16, "warmup": 5, "ema": 0.9}
"""What --fast changes: enough to see that everything runs."""


class WorldClips(IterableDataset):  # type: ignore[type-arg]
    """Endless random batches (clips (b, 3, f, h, w), captions) out of a bank of scenes drawn once.

    Args:
        batch: clips per batch.
        frames: pixel frames.
        size: height and width.
        seed: of the scenes and of the batches.
        scenes: size of the bank.
        device: where the clips are kept.
    """

    def __init__(self, batch: int, frames: int, size: int, seed: int, scenes: int, device: str = "cpu"):
        self.batch, self.seed = batch, seed
        drawn = draw_scenes(scenes, seed)
        self.prompts = captions(drawn)
        parts = (drawn[i : i + 1000].to(device) for i in range(0, scenes, 1000))
        self.clips = torch.cat([((render(part, frames, size) + 1) * 127.5).round().to(torch.uint8) for part in parts])

    def __iter__(self) -> Iterator[tuple[Clip, list[str]]]:
        """Batches without end."""
        g = torch.Generator().manual_seed(self.seed)
        while True:
            rows = torch.randint(len(self.prompts), (self.batch,), generator=g)
            clips = self.clips[rows.to(self.clips.device)].float() / 127.5 - 1
            yield clips, [self.prompts[i] for i in rows.tolist()]


def train(
    preset: str = "nano",
    stage: str = "base",
    out: Path = CHECKPOINTS,
    base: str | Path | None = None,
    fast: bool = False,
    command: str = "",
    **changes: Any,
) -> Path:
    """Train one stage, measure it, and write checkpoint and card; returns the checkpoint's path.

    Args:
        preset: sizes, one of PRESETS.
        stage: one of STAGES.
        out: folder for the checkpoint.
        base: where the vta stage starts; None is `<preset>-base` in `out`.
        fast: a few small steps, to see that everything runs.
        command: written into the card.
        **changes: fields of TrainConfig to change in the recipe.

    Raises:
        ValueError: an unknown preset or stage, no base, or a field out of range.
    """
    if preset not in PRESETS or stage not in STAGES:
        raise ValueError(f"no stage {preset}-{stage}: models are {', '.join(PRESETS)}, stages {', '.join(STAGES)}.")
    config = replace(STAGES[stage], **{**(FAST if fast else {}), **changes})
    torch.manual_seed(config.seed)
    base = base or out / f"{preset}-base.safetensors"
    start = load(base) if stage == "vta" else None
    model = start.requires_grad_(True).train() if start else ToyModel(PRESETS[preset])
    geometry = model.geometry
    device = "cuda" if torch.cuda.is_available() else "cpu"
    scenes = config.batch * 4 if fast else SCENES
    clips = WorldClips(config.batch, geometry.frames, geometry.size[0], config.seed, scenes, device)
    loader = DataLoader(clips, batch_size=None)

    began = time.perf_counter()
    fit(model, loader, config)
    seconds = time.perf_counter() - began

    if not all(p.isfinite().all() for p in model.parameters()):
        raise ValueError(f"training diverged (weights are not finite): nothing was written, try lr below {config.lr}.")
    path = out / f"{preset}-{stage}.safetensors"
    about = {"name": path.stem, "date": date.today().isoformat(), "command": command, "seconds": round(seconds, 1)}
    about |= {"device": device_name(), "versions": versions(), "data": f"small_models.world, {scenes} scenes"}
    about |= {"config": asdict(config)}
    with tempfile.TemporaryDirectory() as folder:  # measured as stored, but before it replaces anything
        stored = Path(folder) / path.name
        save(model, stored, about)
        metrics = measure(load(stored), path.stem, load(base) if stage == "vta" else None, 8 if fast else 512)
    save(model, path, about | {"metrics": metrics})
    return path


def measure(model: ToyModel, name: str, base: ToyModel | None, clips: int) -> dict[str, Any]:
    """Scores of a model and, beside an adapted one, of its base given the same vector of clocks.

    Args:
        model: the toy.
        name: of its entry.
        base: where the vta stage started; None leaves it out.
        clips: number of unseen scenes.
    """
    scores = {name: evaluate(model, clips)}
    if base is not None:
        scores["base_with_untrained_vector_clocks"] = evaluate(base, clips)
    how = "10 Euler steps, guidance 2, seed 0, float32, unseen scenes"
    return {"how": how, "clips": clips, **scores, **references(model, clips)}


def device_name() -> str:
    """The GPU's name, or the processor's architecture and thread count."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def versions() -> dict[str, str]:
    """Versions that a number depends on."""
    names = ("torch", "lightning", "numpy")
    return {"python": platform.python_version(), **{n: version(n) for n in names}, "pusa_lab": __version__}

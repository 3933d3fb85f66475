"""What every experiment needs: models, unseen scenes, and a score for whatever is asked of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pusa_lab import metrics
from pusa_lab.arguments import checked
from pusa_lab.files import digest
from pusa_lab.sweeps.identity import package_code
from pusa_lab.types import Clip, Geometry
from small_models.evaluation import suite
from small_models.evaluation.ways import EVAL_SEED, Maker, make_clips, maker, parts
from small_models.experiments.sizes import Sizes
from small_models.machine import device_name, library_versions
from small_models.models import zoo
from small_models.world import MOTIONS, WORLDS, Scenes, draw_scenes, render

PER_PROMPT = (
    "skill",
    "psnr",
    "position_error",
    "total",
    "quality",
    "i2v",
    "text_alignment",
    "motion",
    "boundary_position",
)
"""Scores that rows also keep prompt by prompt."""
SCALED = 64
"""Scenes that the totals' scale is measured on, whatever the sizes, so that tables can be compared."""
STAYING = ("bounce", "gravity", "circle", "stop")
"""Motions that never leave the picture, however long it lasts."""
Rows = Iterator[tuple[dict[str, Any], Callable[[], dict[str, Any]]]]
"""The rows of a table: key, and what measures it. Each is measured before the next, since they may share a model."""


@checked
def made_with(device: str | torch.device) -> dict[str, Any]:
    """Code, device and versions: what all trained weights and measured rows depend on.

    Args:
        device: that is used.
    """
    code = {name: package_code(name) for name in ("pusa_lab", "small_models")}
    return {"code": code, "device": device_name(device), "versions": library_versions()}


@checked
class Lab:
    """Models by name, scenes that nobody was trained on, and their scores.

    Args:
        sizes: how much of everything.
        work: folder for trained weights, so that tables share them and a killed run finds them again.
        device: None is the GPU if there is one.
        scenes_seed: of the unseen scenes, at least `EVAL_SEED`.
    """

    def __init__(self, sizes: Sizes, work: Path, device: str | None = None, scenes_seed: int = EVAL_SEED):
        self.sizes, self.work, self.scenes_seed = sizes, work, scenes_seed
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.models: dict[str, Any] = {}

    def model(self, stage: str) -> Any:
        """A shipped model of the preset: base, vta, i2v or features; loaded once.

        Args:
            stage: its last name.
        """
        if stage not in self.models:
            self.models[stage] = zoo.load(f"{self.sizes.preset}-{stage}", self.device)
        return self.models[stage]

    def has(self, stage: str) -> bool:
        """Whether the preset ships this stage.

        Args:
            stage: its last name.
        """
        return f"{self.sizes.preset}-{stage}" in zoo.list_models()

    @property
    def geometry(self) -> Geometry:
        """Geometry of the preset's videos."""
        return self.model("base").geometry

    def checkpoints(self) -> dict[str, str]:
        """sha256 of every shipped checkpoint of the preset."""
        names = [name for name in zoo.list_models() if name.startswith(self.sizes.preset)]
        return {name: digest(zoo.find_checkpoint(name)) for name in names}

    def header(self) -> dict[str, Any]:
        """What all rows are made with: sizes, checkpoints, code, device and versions."""
        return {"sizes": asdict(self.sizes), "checkpoints": self.checkpoints(), **made_with(self.device)}

    def scenes(self, count: int, staying: bool = False) -> Scenes:
        """Unseen scenes, always the same for the same count; another count gives others, so rows of one table share it.

        Args:
            count: how many.
            staying: only those whose objects never leave the picture.
        """
        world = WORLDS[self.geometry_world]
        if not staying:
            return draw_scenes(count, self.scenes_seed, world)
        drawn = draw_scenes(16 * count, self.scenes_seed, world)
        kept = torch.tensor([name in STAYING for name in MOTIONS])[drawn.motion] | ~drawn.present
        return drawn[kept.all(1).nonzero()[:count, 0]]

    @property
    def geometry_world(self) -> str:
        """Name of the world that the preset lives in."""
        return self.model("base").preset["world"]

    @cached_property
    def scale(self) -> dict[str, tuple[float, float]]:
        """Floor and ceiling of VBench's dimensions, from true clips through the codec and from destroyed ones."""
        truth, worst = [], dict[str, list[suite.Raw]]()
        base = self.model("base")
        with torch.no_grad():
            for scenes, clip, _ in self.parts(SCALED):
                first = clip[:, :, :1]
                truth.append(suite.appearance(base.decode(base.encode_video(clip)).clamp(-1, 1), scenes, first))
                for name, bad in suite.destroyed(clip).items():
                    worst.setdefault(name, []).append(suite.appearance(bad, scenes, first))
        joined = [{n: torch.cat([raw[n].cpu() for raw in raws]) for n in raws[0]} for raws in worst.values()]
        return suite.ranges([{n: v.cpu() for n, v in raw.items()} for raw in truth], joined)

    def parts(
        self, count: int, frames: int = 0, staying: bool = False, seeds: int = 1
    ) -> Iterator[tuple[Scenes, Clip, Tensor]]:
        """Scenes, true clips and prompt numbers, in parts that fit in memory.

        Args:
            count: scenes.
            frames: pixel frames; 0 is the model's own number.
            staying: see `scenes`.
            seeds: how often each scene comes, one after the other.
        """
        size = 320 if self.device == "cuda" else 16
        return parts(self.scenes(count, staying), self.geometry, self.device, size, seeds, frames)

    def score(
        self,
        make: Maker,
        known: Sequence[int] = (),
        *,
        count: int = 0,
        frames: int = 0,
        staying: bool = False,
        truth: bool = True,
        first: bool = True,
        seeds: int = 0,
    ) -> tuple[suite.Raw, Tensor]:
        """Numbers of every clip that `make` makes, and the prompts they belong to.

        Args:
            make: makes clips.
            known: latent frames that were given.
            count: prompts; 0 is the number of a sweep.
            frames: pixel frames; 0 is the model's own number.
            staying: see `scenes`.
            truth: whether the true clip is the one answer.
            first: whether the video continues the true first frame.
            seeds: of each prompt; 0 is the usual number.
        """
        pixels = [p for i in known for p in self.geometry.pixels_at(i)]
        found, groups = list[suite.Raw](), list[Tensor]()
        each = seeds or self.sizes.seeds
        for scenes, clip, numbers in self.parts(count or self.sizes.swept, frames, staying, each):
            made = make_clips(make, scenes, clip, self.sizes.seed, int(numbers[0]) * each)
            raw = suite.obedience(made, scenes)
            raw |= suite.appearance(made, scenes, clip[:, :, :1] if first else None)
            raw |= suite.fidelity(made, clip, scenes, pixels) if truth else {}
            if self.has("features"):
                raw["features"] = self.model("features").features(made)
            found.append({name: value.cpu() for name, value in raw.items()})
            groups.append(numbers)
        raw = {name: torch.cat([raw[name] for raw in found]) for name in found[0]}
        return (suite.add_totals(raw, self.scale) if first else raw), torch.cat(groups)

    def measure(self, make: Maker, known: Sequence[int] = (), **options: Any) -> dict[str, Any]:
        """The same as intervals, and prompt by prompt, ready for a row; with the Frechet distance to true clips.

        Args:
            make: makes clips.
            known: latent frames that were given.
            **options: of `score`.
        """
        raw, groups = self.score(make, known, **options)
        found = suite.summarise(raw, groups)
        alone = {name: _by_prompt(raw[name], groups) for name in PER_PROMPT if name in found}
        if "features" in raw and not options.get("frames"):
            found["frechet"] = metrics.frechet_distance(raw["features"], self.true_features[: len(raw["features"])])
        return {"scores": found, "clips": len(groups), "by_prompt": alone}

    @cached_property
    def true_features(self) -> Tensor:
        """Features of other true clips, as many as the largest table makes."""
        count = self.sizes.prompts * self.sizes.seeds
        world = WORLDS[self.geometry_world]
        scenes, found = draw_scenes(count, EVAL_SEED + 2, world), []
        for i in range(0, count, 64):
            clip = render(scenes[i : i + 64].to(self.device), world.frames, self.geometry.size[0])
            with torch.no_grad():
                found.append(self.model("features").features(clip).cpu())
        return torch.cat(found)

    def ask(
        self, model: Any, known: Sequence[int] = (), noise: Any = 0.0, mode: str = "denoise", **options: Any
    ) -> Maker:
        """A maker that gives a model its captions and the true clip's known latent frames.

        Args:
            model: a toy; Wan's own way takes frame 0 as its picture.
            known: latent frames.
            noise: level kept of them, one for all or one each.
            mode: one of `tasks.MODES`.
            **options: of `generate`: steps, schedule, solver, guidance, shift.
        """
        return maker(model, known, noise, mode, **{"guidance": self.sizes.guidance, **options})


def _by_prompt(values: Tensor, groups: Tensor) -> list[float]:
    """The mean over the seeds of every prompt, so that rows can be compared on the same prompts."""
    return [round(values[groups == g].nanmean().item(), 4) for g in groups.unique()]

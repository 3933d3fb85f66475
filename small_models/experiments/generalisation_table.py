"""Generalisation, as PhyWorld asks it: do models learn laws of motion, or the cases that they were shown?

Models go on from a few frames, which show the true velocity and size, and from a caption, whose words are those of the
nearest speed and size of training: the world has no others. Without guidance, which would weigh the words more.
"""

import itertools
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pusa_lab.arguments import checked
from pusa_lab.generate import generate
from pusa_lab.metrics import Interval, bootstrap
from pusa_lab.pixels import to_pixels
from pusa_lab.sentences import counted
from pusa_lab.types import Geometry
from small_models.evaluation import suite
from small_models.evaluation.ways import EVAL_SEED, Maker, make_clips, parts, through_the_codec
from small_models.experiments.adapt import Adaptation, ToyTrainer
from small_models.experiments.held_out import INSIDE, OUTSIDE, SPLITS, UNSEEN, split_scenes
from small_models.experiments.lab import Lab, Rows
from small_models.experiments.pairs import clearly
from small_models.experiments.records import Found, interval, table_of
from small_models.experiments.rows import find_row, one, values
from small_models.models.i2v import ImageToVideo
from small_models.models.toy import ToyModel
from small_models.world import WORLDS, Scenes

PIXEL_FRAMES = 3
"""Frames that are shown: enough for velocity and acceleration, and as many as PhyWorld shows."""
SCORES = (
    *("velocity_error", "relative_velocity_error", "pace", "size", "size_error", "shape", "skill", "psnr"),
    *("position_error", "colour_error", "lost"),
)
"""What is kept of the suite."""
BY_PROMPT = ("velocity_error", "relative_velocity_error", "pace", "size", "skill", "psnr", "position_error")
"""What is also kept scene by scene."""
BASE, INDEPENDENT, MIXTURE, SPECIALIST, WAN = (
    "base, no training",
    "independent",
    "task mixture",
    "specialist",
    "Wan's way",
)
ANEW = ", from nothing"
"""Ends the names of the ways that start from new weights."""
TRUTH = "truth"
"""True clips, through the codec if there is one: the least error that can be measured."""


@checked
def adaptations(known: Sequence[int]) -> dict[str, Adaptation]:
    """The adaptations compared; their training clips lack the combinations that are held out.

    Args:
        known: latent frames that are given, which the specialist and Wan's way are trained for.
    """
    alone: dict[str, Any] = {"timestep_sampler": "shared", "held_out": True}
    return {
        INDEPENDENT: Adaptation(held_out=True),
        MIXTURE: Adaptation(timestep_sampler="task_mixture", held_out=True),
        SPECIALIST: Adaptation(clean=(*known,), weight="free_frames", **alone),
        WAN: Adaptation("i2v", given=len(known), **alone),
    }


@checked
def generalisation(lab: Lab, trainer: ToyTrainer) -> Rows:
    """Every way in every split: in distribution, slower, faster, smaller, larger, and unseen combinations.

    For nano, also every way from nothing, without a base that saw all combinations, for as long as the last mark.

    Args:
        lab: models and scores.
        trainer: trains.
    """
    known = shown_frames(lab.geometry)
    splits = split_scenes(WORLDS[lab.geometry_world], lab.sizes.prompts, EVAL_SEED)
    base = lab.model("base")
    makers: dict[str, Maker] = {TRUTH: through_the_codec(base), BASE: lab.ask(base, known, guidance=1.0)}
    for split in SPLITS:
        for way, make in makers.items():
            yield {"way": way, "split": split}, partial(_measured, lab, make, splits[split], known)
    trainers = {"": (trainer, lab.sizes.brief)}
    if lab.sizes.preset == "nano":
        trainers[ANEW] = (FromNothing(lab, trainer.wait), lab.sizes.marks[-1])
    for start, (trains, share) in trainers.items():
        for way, adaptation in adaptations(known).items():
            (update,) = trains.updates(adaptation, [share])
            model = trains.model(adaptation, update)
            make = _given(model, known) if adaptation.way == "i2v" else lab.ask(model, known, guidance=1.0)
            for split in SPLITS:
                yield {"way": way + start, "split": split}, partial(_measured, lab, make, splits[split], known)


@checked
class FromNothing(ToyTrainer):
    """Trains new weights, which saw nothing of what is held out; only the smallest toy learns enough so quickly.

    Args:
        lab: models and sizes.
        wait: as for `ToyTrainer`.
    """

    def _new(self, way: str) -> ToyModel:
        torch.manual_seed(self.lab.sizes.seed)
        base = self.lab.model("base")
        new = ToyModel(base.preset, base.codec).to(self.lab.device)
        return ImageToVideo.from_base(new) if way == "i2v" else new

    def _trainable(self, adaptation: Adaptation) -> ToyModel:
        model = super()._trainable(adaptation)
        model.text.requires_grad_(True)
        return model

    def folder(self, adaptation: Adaptation) -> Path:
        """As `ToyTrainer`, beside the runs that start from the base.

        Args:
            adaptation: how.
        """
        folder = super().folder(adaptation)
        return folder.with_name(f"{folder.name}-new")


@checked
def shown_frames(geometry: Geometry) -> list[int]:
    """The fewest latent frames, from the first on, that hold PIXEL_FRAMES.

    Args:
        geometry: of the model.

    Raises:
        ValueError: no frame would be left to make.
    """
    enough = [n for n in range(1, geometry.frames) if geometry.pixel_frames(n) >= PIXEL_FRAMES]
    if not enough:
        raise ValueError(
            f"videos have {counted(geometry.frames, 'latent frame')}: give a model of more, of which some show "
            f"{PIXEL_FRAMES} pixel frames and one is left to make."
        )
    return [*range(enough[0])]


def _given(model: Any, known: Sequence[int]) -> Maker:
    """Wan's own way, given more frames than its picture: no task does that, so they come with the encoded captions."""

    def make(prompts: list[str], truth: np.ndarray, seed: int) -> np.ndarray:
        pixels = to_pixels(truth[:, : model.geometry.pixel_frames(len(known))]).to(model.device)
        with torch.no_grad():
            cond = {**model.encode_text(prompts), model.picture_input: model.encode_video(pixels)}
        return generate(model, prompt_embeds=cond, steps=10, guidance=1.0, seed=seed).video

    return make


def _measured(lab: Lab, make: Maker, scenes: Scenes, known: Sequence[int]) -> dict[str, Any]:
    """Scores of every clip alone, then their means with intervals over scenes, and scene by scene."""
    pixels = [p for i in known for p in lab.geometry.pixels_at(i)]
    seeds, size = lab.sizes.seeds, 320 if lab.device == "cuda" else 16
    found, groups = list[suite.Raw](), []
    for some, clip, numbers in parts(scenes, lab.geometry, lab.device, size, seeds):
        made = make_clips(make, some, clip, lab.sizes.seed, int(numbers[0]) * seeds)
        raw = suite.obedience(made, some) | suite.fidelity(made, clip, some, pixels)
        found.append({name: raw[name].cpu() for name in SCORES})
        groups.append(numbers)
    raw = {name: torch.cat([one[name] for one in found]) for name in SCORES}
    alone = {name: [round(x, 4) for x in raw[name].view(-1, seeds).nanmean(1).tolist()] for name in BY_PROMPT}
    return {"scores": suite.summarise(raw, torch.cat(groups)), "clips": len(scenes) * seeds, "by_prompt": alone}


@checked
def growth(found: Found, way: str, split: str, than: str = "") -> Interval:
    """By how much a way's relative velocity error in a split is above its own in distribution, scene by scene.

    e(way, split) - e(way, in distribution), less the same of another way

    Args:
        found: the table `generalisation`.
        way: of its rows.
        split: of its rows.
        than: the other way; "" is none.

    Raises:
        ValueError: a row is missing, or its scores by scene are, or rows are of different numbers of scenes.
    """

    def rise(of: str) -> torch.Tensor:
        there, inside = (find_row(found, way=of, split=one)["by_prompt"] for one in (split, INSIDE))
        each = [[math.nan if x is None else x for x in row["relative_velocity_error"]] for row in (there, inside)]
        if len(each[0]) != len(each[1]):
            raise ValueError(f"{of} has {len(each[0])} and {len(each[1])} scenes: give rows of the same ones.")
        return torch.tensor(each[0]) - torch.tensor(each[1])

    ours, theirs = rise(way), rise(than) if than else torch.zeros(1)
    if than and len(ours) != len(theirs):
        raise ValueError(f"{way} has {len(ours)} scenes and {than} {len(theirs)}: give rows of the same ones.")
    return bootstrap(ours - theirs)


FARTHER = ("slower", "faster")
OUT = (*FARTHER, UNSEEN)
"""Splits that the sentence is about."""


@checked
def answer(found: Found) -> str:
    """Does a timestep per frame change what is learned by heart? Read from the table.

    Args:
        found: the table `generalisation`.

    Raises:
        ValueError: rows are missing.
    """
    found = table_of(found)
    errors = "; ".join(f"{way} {_errors(found, way)}" for way in values(found["rows"], "way"))
    starts = [start for start in ("", ANEW) if one(found["rows"], way=WAN + start)]
    trained = [way + start for start in starts for way in (INDEPENDENT, MIXTURE, SPECIALIST, WAN)]
    paces = "; ".join(f"{way} {_paces(found, way)}" for way in trained)
    nearest = " / ".join(f"{1 / OUTSIDE[split][2]:.2g}" for split in FARTHER)
    told, changes = [], False
    for way, start in itertools.product((INDEPENDENT, MIXTURE), starts or [""]):
        signs = {split: clearly(growth(found, way + start, split, WAN + start)) for split in OUT}
        less, more = (", ".join(split for split, sign in signs.items() if sign == which) for which in (-1, 1))
        told.append(f"clearly less for {less or 'none'} and clearly more for {more or 'none'} with {way}{start}")
        changes |= any(signs.values())
    mimics = "all ways stay" if all(_mimics(found, way) for way in trained) else "not all ways stay"
    does = "changes" if changes else "does not clearly change"
    return (
        f"velocity error in % of the true speed, in distribution > {' / '.join(OUT)}: {errors} (the base saw all "
        f"combinations). Pace {' / '.join(FARTHER)}, 1 if it is the true one and {nearest} if it is the nearest of "
        f"training, which the caption names: {paces}. Compared with {WAN}, which has one timestep for all frames, the "
        f"error grows out of distribution {'; '.join(told)}. So {mimics} nearer to the nearest speed of "
        f"training than to the true one, and a timestep per frame {does} by how much the error grows"
    )


def _errors(found: Found, way: str) -> str:
    inside, *out = (
        100 * interval(find_row(found, way=way, split=split), "relative_velocity_error").mean
        for split in (INSIDE, *OUT)
    )
    return f"{inside:.0f} > {' / '.join(f'{x:.0f}' for x in out)}"


def _mimics(found: Found, way: str) -> bool:
    """Whether speeds out of distribution are made nearer to the nearest speed of training than to the true one."""
    paces = {split: interval(find_row(found, way=way, split=split), "pace").mean for split in FARTHER}
    return all(abs(pace - 1 / OUTSIDE[split][2]) < abs(pace - 1) for split, pace in paces.items())


def _paces(found: Found, way: str) -> str:
    return " / ".join(f"{interval(find_row(found, way=way, split=split), 'pace').mean:.2g}" for split in FARTHER)

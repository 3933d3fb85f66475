"""Is the recipe behind because its draws are spent on other tasks? It is compared at equal draws of a task."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch

from pusa_lab.arguments import checked
from pusa_lab.metrics import Interval
from pusa_lab.schedules import TIMESTEP_SAMPLERS
from small_models.experiments import rows as take
from small_models.experiments.pairs import by_seed, lead, signed
from small_models.experiments.recipe_settings import recipe_of
from small_models.experiments.recipe_table import RECIPE, SPECIALIST, THEIRS
from small_models.experiments.records import Found, MissingError, Record, ResultRow, table_of
from small_models.experiments.sampling_tables import places
from small_models.experiments.training_seeds import with_seeds
from small_models.experiments.training_tables import length_reaching
from small_models.models.toy import PRESETS

SAMPLES = 400_000
"""Timestep vectors from which shares are counted: the error of one of 15 % is below 0.1 %."""


@checked
@dataclass(frozen=True)
class EqualDraws:
    """The recipe against a model all of whose draws are of one task, at equal draws of that task."""

    task: str
    """Of SEARCHED_TASKS."""
    way: str
    """The other model: a specialist, or Wan's way."""
    share: float
    """Of the base's training, how long the other was trained."""
    part: float
    """Share of the recipe's draws that are of the task."""
    same_training: Interval | None
    """By how much the recipe's PSNR is above the other's after as much training; None if it was not measured there."""
    length: float
    """Of the base's training, when the recipe has had as many draws of the task: share / part, or the nearest to it of
    those between its briefest and longest training."""
    had: float
    """Draws of the task that the recipe has had by then, 1 is as many as the other."""
    same_draws: Interval
    """By how much the recipe is above the other then, between two lengths on a straight line in log(length)."""
    seeds: int
    """Of training, in `same_draws`."""
    needs: Interval
    """How many times as long the recipe trains until it has the other's PSNR."""
    bound: str
    """As from `length_reaching`: "at least" or "at most" where an end of the recipe's curve bounds it, else ""."""


@cache
@checked
def part_of_draws(name: str, known: tuple[int, ...], frames: int) -> float:
    """Share of a recipe's draws that are of one task: its known frames at 0, and one timestep for all others.

    Counted in 400,000 timestep vectors (seed 0).

    Args:
        name: of the recipe, in TRAINING.
        known: latent frames that the task knows.
        frames: latent frames of a video.

    Raises:
        ValueError: the search has no such setting, or a known frame is not in the video.
    """
    if not frames > max(known, default=0) >= min(known, default=0) >= 0:
        raise ValueError(f"known={known!s:.60} of frames={frames}: give frames of the video.")
    sampler = TIMESTEP_SAMPLERS.find(recipe_of(name).timestep_sampler)()
    tau = sampler(SAMPLES, frames, torch.Generator().manual_seed(0))
    free = [i for i in range(frames) if i not in known]
    clean = (tau[:, list(known)] == 0).all(1)
    return (clean & (tau[:, free] == tau[:, free[:1]]).all(1) & (tau[:, free] > 0).all(1)).double().mean().item()


@checked
def row_between(low: ResultRow, high: ResultRow, part: float | int, score: str = "psnr") -> Record:
    """The row that would lie between two of them: their scores' mean, seed by seed and prompt by prompt.

    Args:
        low: a row that names its seeds of training.
        high: another of the same prompts.
        part: weight of the second, from 0 to 1.
        score: one that both have prompt by prompt.

    Raises:
        ValueError: the weight is another, the rows share no seed, or they are of different prompts.
    """
    seeds = [seed for seed in low.get("seeds", []) if seed in high.get("seeds", [])]
    if not 0 <= part <= 1 or not seeds:
        raise ValueError(f"part={part}, seeds in both: {seeds}: give a weight in [0, 1], and rows that share a seed.")
    a, b = by_seed(low, score, seeds), by_seed(high, score, seeds)
    if a.shape != b.shape:
        raise ValueError(f"the rows have {a.shape[1]} and {b.shape[1]} prompts: give rows of the same ones.")
    values = torch.lerp(a, b, part)
    by_prompt = {score: values.mean(0).tolist()}
    return Record({"seeds": seeds, "by_prompt": by_prompt, "by_seed": {score: values.tolist()}}, "a row between two")


@checked
def equal_draws(found: Found) -> list[EqualDraws]:
    """The recipe against each task's specialist, and against Wan's way, at equal draws of the task.

    Args:
        found: the table `recipes`.

    Raises:
        ValueError: the table has no row of another model, or none of the recipe at a task that another was measured at.
    """
    table = table_of(found)
    rows, preset = [*map(with_seeds, table["rows"])], table["sizes"]["preset"]
    if preset not in PRESETS:
        raise MissingError(f"{table.where} is of the preset {preset!r:.40}: this version has {', '.join(PRESETS)}.")
    frames = PRESETS[preset]["geometry"]["frames"]
    known = {task: tuple(where) for task, where in places(frames).items()}
    recipe = next((way for way in take.values(rows, "way") if way.startswith(RECIPE)), "")
    listed = list[EqualDraws]()
    for other in [*take.pick(rows, way=SPECIALIST), *take.pick(rows, way=THEIRS)]:
        task, share = other["key"]["task"], other["key"]["share"]
        if task not in known:
            continue
        curve = {row["key"]["share"]: row for row in take.pick(rows, way=recipe, task=task)}
        if not curve:
            raise MissingError(f"{table.where} has no row of the recipe at {task}: measure it anew.")
        part = part_of_draws(recipe.removeprefix(RECIPE), known[task], frames)
        listed.append(_compared(other, dict(sorted(curve.items())), task, share, part))
    if not listed:
        raise MissingError(f"{table.where} has no row of a specialist or of Wan's way: measure it anew.")
    return listed


@checked
def conditioning(found: Found) -> dict[float, Interval]:
    """By how much a specialist of image-to-video is above Wan's way: all draws of both are of that task.

    What differs is how the picture is given: as a frame at timestep 0, or as a further input. Both by PSNR.

    Args:
        found: the table `recipes`.

    Returns:
        Share of the base's training -> difference, for each at which both were measured.
    """
    rows = [*map(with_seeds, table_of(found)["rows"])]
    ours, theirs = (
        {row["key"]["share"]: row for row in take.pick(rows, way=way, task="image_to_video")}
        for way in (SPECIALIST, THEIRS)
    )
    return {share: lead(ours[share], theirs[share]) for share in sorted(ours.keys() & theirs.keys())}


def _compared(other: Record, curve: Mapping[float, Record], task: str, share: float, part: float) -> EqualDraws:
    lengths = [*curve]
    length = min(max(share / part, lengths[0]), lengths[-1]) if part else lengths[-1]
    ours = _at(curve, length)
    needs, bound = length_reaching(lengths, [by_seed(row, "psnr") for row in curve.values()], by_seed(other, "psnr"))
    return EqualDraws(
        task=task,
        way=other["key"]["way"],
        share=share,
        part=part,
        same_training=lead(curve[share], other) if share in curve else None,
        length=length,
        had=length * part / share,
        same_draws=lead(ours, other),
        seeds=sum(seed in other["seeds"] for seed in ours["seeds"]),
        needs=Interval(*(each / share for each in needs)),
        bound=bound,
    )


def _at(curve: Mapping[float, Record], length: float) -> Record:
    """The row of this length of training, or the one between its neighbours, on a straight line in log(length)."""
    if length in curve:
        return curve[length]
    low, high = max(each for each in curve if each < length), min(each for each in curve if each > length)
    return row_between(curve[low], curve[high], math.log(length / low) / math.log(high / low))


@checked
def equal_draws_table(found: Found) -> list[str]:
    """The comparison at equal draws in markdown, line by line, with a sentence on how it is read.

    Args:
        found: the table `recipes`.

    Raises:
        ValueError: as `equal_draws`.
    """
    lines = [
        "At equal draws of a task: the recipe's PSNR over that of a model all of whose draws are of the task, in dB, "
        "after as much training and after so much that it has had as many draws of the task (between two lengths of "
        "training on a straight line in log(length); with fewer draws where its longest training is shorter), and how "
        "many times as long it trains for the other's PSNR.",
        "",
        "| task | against | after | of the recipe's draws | as much training | as many draws | which is after | draws "
        "had | seeds | training for its PSNR |",
        "|" + "---|" * 10,
    ]
    for one in equal_draws(found):
        same = signed(one.same_training) if one.same_training else "not measured"
        needs = "{:.1f} ({:.1f} to {:.1f}) times".format(*one.needs)
        needs = f"{one.bound} {one.needs.mean:.1f} times" if one.bound else needs
        cells = [one.task.replace("_", " "), one.way, take.share(one.share), f"{100 * one.part:.1f} %", same]
        cells += [signed(one.same_draws), f"{one.length:.3g}", f"{one.had:.2f}", str(one.seeds), needs]
        lines.append(f"| {' | '.join(cells)} |")
    listed = ", ".join(f"after {take.share(share)} {signed(gain)}" for share, gain in conditioning(found).items())
    said = "With all draws on image-to-video and as much training, a frame at timestep 0 over Wan's further input"
    return [*lines, "", f"{said}, in dB: {listed or 'not measured'}."]

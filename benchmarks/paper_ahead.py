"""Train ahead what tables of `pusa-lab bench paper` need, in a process of its own.

    python benchmarks/paper_ahead.py timestep_samplers --work outputs/paper &
    pusa-lab bench paper --table timestep_samplers --wait --work outputs/paper

The weights are those that the table would train itself: same code, same seed, found by the same name. Several processes
share a set with --part and --parts; on two H200s nine of them train all of `recipes` at once.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pusa_lab import cli
from pusa_lab.files import check_folder
from pusa_lab.training.quiet import quiet_lightning
from small_models.experiments import Adaptation, Lab, ToyTrainer
from small_models.experiments.command import sizes_of
from small_models.experiments.forgetting import SAMPLED
from small_models.experiments.recipe_table import specialists, ways
from small_models.experiments.sampling_tables import places
from small_models.experiments.sizes import Sizes
from small_models.experiments.training_tables import SAMPLERS

Work = list[tuple[Adaptation, Sequence[float]]]
"""Adaptations, and the budgets at which each is wanted."""


def of_timestep_samplers(sizes: Sizes, frames: int) -> Work:
    """Of the table `timestep_samplers`, in its order."""
    ways = [(options, shift) for options in SAMPLERS.values() for shift in sizes.shifts]
    return [(Adaptation(rank=sizes.ranks[1], shift=shift, **options), [sizes.brief]) for options, shift in ways]


def of_tasks(sizes: Sizes, frames: int) -> Work:
    """The specialists of the table `tasks`, in its order."""
    known = places(frames).values()
    return [(Adaptation(timestep_sampler="shared", clean=(*at,), weight="free_frames"), [sizes.brief]) for at in known]


def of_recipes(sizes: Sizes, frames: int, seeds: Sequence[int] | None = None) -> Work:
    """Of the table `recipes`, with all its seeds of training or some: the ways first, which wait for the most rows."""
    seeds = range(sizes.training_seeds) if seeds is None else seeds
    compared = [way for seed in seeds for way in ways(sizes.recipe, seed).values()]
    alone = [way for seed in seeds for way in specialists(frames, seed).values()]
    every = sorted({*sizes.marks, sizes.brief})
    return [*((way, every) for way in compared), *((way, [sizes.brief]) for way in alone)]


TRAIN: dict[str, Callable[[Sizes, int], Work]] = {
    "ours": lambda sizes, frames: [(Adaptation(), sizes.budgets)],
    "theirs": lambda sizes, frames: [(Adaptation("i2v", timestep_sampler="shared"), sizes.budgets)],
    "control": lambda sizes, frames: [
        (Adaptation(timestep_sampler="shared"), [share for share in sizes.budgets if share <= sizes.shorter])
    ],
    "inside": lambda sizes, frames: [
        (Adaptation(), [sizes.brief]),
        (Adaptation("i2v", timestep_sampler="shared"), [sizes.brief]),
    ],
    "tasks": of_tasks,
    "timestep_samplers": of_timestep_samplers,
    "recipes": of_recipes,
    "forgetting": lambda sizes, frames: [(way, sizes.marks) for way in SAMPLED.values()],
    "forgetting_lora": lambda sizes, frames: [
        (replace(way, rank=sizes.ranks[1]), sizes.marks) for way in SAMPLED.values()
    ],
    **{f"recipes{seed}": partial(of_recipes, seeds=[seed]) for seed in range(3)},
}


def train_ahead(
    sets: list[str],
    *,
    work: Path,
    part: int = 0,
    parts: int = 1,
    small: bool = False,
    set: dict[str, Any] | None = None,
) -> None:
    """Train what tables of `pusa-lab bench paper` need, set after set, and say how long each took.

    Args:
        sets: ours, theirs, control, inside, tasks, timestep_samplers, recipes (recipes0 is its first seed), forgetting
            (all weights) or forgetting_lora, one or several.
        work: folder for the weights, the tables' own.
        part: adaptation i of all is trained if i % parts = part.
        parts: how many processes share the sets.
        small: the sizes of `pusa-lab bench paper --small`.
        set: sizes to change, as for `pusa-lab bench paper`.

    Raises:
        ValueError: there is no such set, part or size.
    """
    if not 0 <= part < parts:
        raise ValueError(f"--part {part} of --parts {parts}: give a part from 0 to {max(parts, 1) - 1}.")
    if not sets or (unknown := [name for name in sets if name not in TRAIN]):
        fault = f"there is no set {unknown[0]!r:.60}" if sets else "no set was named"
        raise ValueError(f"{fault}: choose from {', '.join(TRAIN)}.")
    lab = Lab(sizes_of(small, set or {}), check_folder(work, "--work"))
    with quiet_lightning():
        _train(lab, sets, part, parts)


def _train(lab: Lab, sets: list[str], part: int, parts: int) -> None:
    trainer = ToyTrainer(lab)
    runs = [(name, *run) for name in sets for run in TRAIN[name](lab.sizes, lab.geometry.frames)]
    for name, adaptation, shares in runs[part::parts]:
        began = time.perf_counter()
        trainer.updates(adaptation, shares)
        sys.stdout.write(f"{time.perf_counter() - began:6.1f} s {name} {adaptation}\n")


if __name__ == "__main__":
    sys.exit(cli.main(script=train_ahead))

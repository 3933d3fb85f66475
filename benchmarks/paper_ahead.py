"""Train ahead what tables of `pusa-lab bench paper` need, in processes of their own.

    python benchmarks/paper_ahead.py timestep_samplers lora --work outputs/paper &
    pusa-lab bench paper --table "[timestep_samplers, lora]" --wait --work outputs/paper

The weights are those that the tables would train themselves: same code, same seed, found by the same name. Started
several times, the processes share the work: each takes the longest run that no other has in hand.
"""

import fcntl
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pusa_lab import cli
from pusa_lab.files import check_folder
from pusa_lab.sweeps.identity import digest_of
from pusa_lab.training.quiet import quiet_lightning
from small_models.experiments import TABLES, Adaptation, Lab, ToyTrainer
from small_models.experiments.command import sizes_of
from small_models.experiments.forgetting import sampled_ways
from small_models.experiments.generalisation_table import adaptations, shown_frames
from small_models.experiments.recipe_table import specialists, ways
from small_models.experiments.sampling_tables import places, task_ways
from small_models.experiments.training_tables import SAMPLERS, cost_ways, lora_ways, preserved_ways

Run = tuple[Adaptation, Sequence[float]]
"""An adaptation, and the budgets at which it is wanted, ascending."""


def of_timestep_samplers(lab: Lab) -> list[Run]:
    """Of the table `timestep_samplers`."""
    sizes = lab.sizes
    ways = [(options, shift) for options in SAMPLERS.values() for shift in sizes.shifts]
    return [(Adaptation(rank=sizes.ranks[1], shift=shift, **options), [sizes.brief]) for options, shift in ways]


def of_tasks(lab: Lab) -> list[Run]:
    """Of the table `tasks`."""
    every = [task_ways(lab.sizes, task, known) for task, known in places(lab.geometry.frames).items()]
    return [(way, [lab.sizes.brief]) for ways in every for way in ways.values()]


def of_recipes(lab: Lab) -> list[Run]:
    """Of the table `recipes`, with all its seeds of training."""
    sizes, frames = lab.sizes, lab.geometry.frames
    compared = [way for seed in range(sizes.training_seeds) for way in ways(sizes.recipe, seed).values()]
    alone = [way for seed in range(sizes.training_seeds) for way in specialists(frames, seed).values()]
    every = sorted({*sizes.marks, sizes.brief})
    return [*((way, every) for way in compared), *((way, [sizes.brief]) for way in alone)]


TRAIN: dict[str, Callable[[Lab], list[Run]]] = {
    "cost": lambda lab: list(cost_ways(lab.sizes).values()),
    "preserved": lambda lab: list(preserved_ways(lab.sizes).values()),
    "inside": lambda lab: [
        (Adaptation(), [lab.sizes.brief]),
        (Adaptation("i2v", timestep_sampler="shared"), [lab.sizes.brief]),
    ],
    "tasks": of_tasks,
    "timestep_samplers": of_timestep_samplers,
    "lora": lambda lab: [(way, lab.sizes.marks) for way in lora_ways(lab.sizes).values()],
    "recipes": of_recipes,
    "forgetting": lambda lab: [
        (way, lab.sizes.marks) for ranks in sampled_ways(lab.sizes).values() for way in ranks.values()
    ],
    "generalisation": lambda lab: [
        (way, [lab.sizes.brief]) for way in adaptations(shown_frames(lab.geometry)).values()
    ],
}
"""Table -> what it trains; other tables train nothing."""


def runs_of(lab: Lab, tables: Sequence[str]) -> list[Run]:
    """What these tables train, each run once and up to the largest budget that any of them wants, longest first."""
    wanted: dict[Adaptation, set[float]] = {}
    for adaptation, shares in (run for table in tables if table in TRAIN for run in TRAIN[table](lab)):
        wanted.setdefault(adaptation, set()).update(shares)
    return sorted(((way, sorted(shares)) for way, shares in wanted.items()), key=lambda run: -run[1][-1])


def train_ahead(tables: list[str], *, work: Path, small: bool = False, set: dict[str, Any] | None = None) -> None:
    """Train what tables of `pusa-lab bench paper` need, run after run, and say how long each took.

    Args:
        tables: their names, one or several; those that train nothing are passed over.
        work: folder for the weights, the tables' own.
        small: the sizes of `pusa-lab bench paper --small`.
        set: sizes to change, as for `pusa-lab bench paper`.

    Raises:
        ValueError: there is no such table or size.
    """
    if not tables or (unknown := [name for name in tables if name not in TABLES]):
        fault = f"there is no table {unknown[0]!r:.60}" if tables else "no table was named"
        raise ValueError(f"{fault}: choose from {', '.join(TABLES)}.")
    lab = Lab(sizes_of(small, set or {}), check_folder(work, "--work"))
    claims = lab.work / "claims"
    claims.mkdir(parents=True, exist_ok=True)
    trainer = ToyTrainer(lab)
    with quiet_lightning():
        for adaptation, shares in runs_of(lab, tables):
            with (claims / digest_of([adaptation, shares])[:16]).open("a") as claim:
                try:
                    fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:  # another process has it in hand
                    continue
                began = time.perf_counter()
                trainer.updates(adaptation, shares)
                sys.stdout.write(f"{time.perf_counter() - began:6.1f} s {adaptation}\n")


if __name__ == "__main__":
    sys.exit(cli.main(script=train_ahead))

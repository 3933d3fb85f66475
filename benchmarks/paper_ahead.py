"""Train ahead what tables of `pusa-lab bench paper` need, in a process of its own.

    python benchmarks/paper_ahead.py --train timestep_samplers --work outputs/paper &
    pusa-lab bench paper --table timestep_samplers --wait --work outputs/paper

The weights are those that the table would train itself: same code, same seed, found by the same name.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pusa_lab.training.quiet import quiet_lightning
from small_models.experiments import Adaptation, Lab, ToyTrainer
from small_models.experiments.command import sizes_of
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
    return [(Adaptation(timestep_sampler="shared", clean=(*at,), learn_clean=False), [sizes.brief]) for at in known]


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
}


def main() -> None:
    """Train set after set, and say how long each took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs="+", choices=TRAIN, required=True, help="which sets")
    parser.add_argument("--work", type=Path, required=True, help="folder for the weights, the tables' own")
    parser.add_argument("--small", action="store_true", help="sizes of --small")
    parser.add_argument("--set", nargs="*", action="extend", default=[], metavar="FIELD=VALUE", help="change a size")
    args = parser.parse_args()
    lab = Lab(sizes_of(args), args.work)
    with quiet_lightning():
        _train(lab, args.train)


def _train(lab: Lab, sets: list[str]) -> None:
    trainer = ToyTrainer(lab)
    for name in sets:
        for adaptation, shares in TRAIN[name](lab.sizes, lab.geometry.frames):
            began = time.perf_counter()
            trainer.updates(adaptation, shares)
            sys.stdout.write(f"{time.perf_counter() - began:6.1f} s {name} {adaptation}\n")


if __name__ == "__main__":
    main()

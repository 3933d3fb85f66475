"""The table `recipes`: the best recipe of the search against independent timesteps, specialists and Wan's way."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from pusa_lab.arguments import checked
from small_models.evaluation.ways import Maker
from small_models.experiments.adapt import Adaptation, ToyTrainer
from small_models.experiments.lab import Lab, Rows
from small_models.experiments.recipe_settings import SEARCHED_TASKS, recipe_of
from small_models.experiments.sampling_tables import places
from small_models.experiments.training_seeds import join_rows
from small_models.experiments.training_tables import SPOKEN

RECIPE = "recipe: "
"""How the name of the recipe's way begins."""
INDEPENDENT, THEIRS, SPECIALIST = "independent timesteps", "Wan's way", "specialist of the task"
TEXT_TO_VIDEO = "text_to_video"


@checked
def ways(name: str, seed: int) -> dict[str, Adaptation]:
    """The ways that are compared at every task.

    Args:
        name: of the recipe, in TRAINING.
        seed: of training.

    Raises:
        ValueError: the search has no such setting.
    """
    return {
        INDEPENDENT: Adaptation(seed=seed),
        f"{RECIPE}{name}": recipe_of(name, seed=seed),
        THEIRS: Adaptation("i2v", timestep_sampler="shared", seed=seed),
    }


@checked
def specialists(frames: int, seed: int) -> dict[str, Adaptation]:
    """Task -> the model that is trained for it alone.

    Args:
        frames: latent frames of a video.
        seed: of training.
    """
    known, names = places(frames), dict.fromkeys(task for task, _ in SEARCHED_TASKS.values())
    how: dict[str, Any] = {"timestep_sampler": "shared", "weight": "free_frames", "seed": seed}
    return {task: Adaptation(clean=(*known[task],), **how) for task in names}


@checked
def recipes(lab: Lab, trainer: ToyTrainer) -> Rows:
    """Every task and schedule at several budgets, with several seeds of training.

    Args:
        lab: models and scores.
        trainer: trains.
    """
    sizes, frames, base = lab.sizes, lab.geometry.frames, lab.model("base")
    seeds, known = range(sizes.training_seeds), places(frames)
    yield {"way": "base", "task": TEXT_TO_VIDEO, "share": 0.0}, partial(lab.measure, lab.ask(base), **SPOKEN)
    for way in ways(sizes.recipe, 0):
        columns = {"image_to_video": SEARCHED_TASKS["image_to_video"]} if way == THEIRS else SEARCHED_TASKS
        for share in sorted({*sizes.marks, sizes.brief}):
            runs = [ways(sizes.recipe, seed)[way] for seed in seeds]
            for column, (task, schedule) in columns.items():
                makers = _makers(lab, trainer, runs, share, known[task], schedule)
                key = {"way": way, "task": column, "share": share}
                yield key, partial(measure_seeds, lab, makers, known[task])
            makers = _makers(lab, trainer, runs, share)
            key = {"way": way, "task": TEXT_TO_VIDEO, "share": share}
            yield key, partial(measure_seeds, lab, makers, **SPOKEN)
    for task in specialists(frames, 0):
        runs = [specialists(frames, seed)[task] for seed in seeds]
        makers = _makers(lab, trainer, runs, sizes.brief, known[task])
        key = {"way": SPECIALIST, "task": task, "share": sizes.brief}
        yield key, partial(measure_seeds, lab, makers, known[task])


def _makers(
    lab: Lab,
    trainer: ToyTrainer,
    runs: Sequence[Adaptation],
    share: float,
    known: Sequence[int] = (),
    schedule: str = "synchronous",
) -> Callable[[], Iterator[Maker]]:
    """One maker after the other, because models of one way share their memory."""

    def each() -> Iterator[Maker]:
        for adaptation in runs:
            (update,) = trainer.updates(adaptation, [share])
            yield lab.ask(trainer.model(adaptation, update), known, schedule=schedule)

    return each


@checked
def measure_seeds(
    lab: Lab, makers: Callable[[], Iterator[Maker]], known: Sequence[int] = (), **options: Any
) -> dict[str, Any]:
    """The scores of models trained with several seeds, with intervals over prompts and over seeds of training.

    Args:
        lab: measures.
        makers: of clips, one for each seed of training.
        known: latent frames that were given.
        **options: of `Lab.score`.

    Returns:
        A row, as from `join_rows`.
    """
    found = [lab.measure(make, known, **options) for make in makers()]
    return join_rows(found, range(len(found)))

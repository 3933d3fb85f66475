"""A table of learned schedules: is any schedule better than one timestep for all frames at equal calls?"""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.optimise import (
    STARTS,
    Optimised,
    OptimisedNoise,
    fit_schedule,
    generation_score,
    optimise,
    optimise_noise,
)
from pusa_lab.pixels import to_uint8
from pusa_lab.types import Schedule
from small_models.evaluation.ways import EVAL_SEED
from small_models.experiments.adapt import ToyTrainer
from small_models.experiments.lab import Lab, Rows
from small_models.experiments.learned_results import BOTH, LEARNED, NOISE, PLAIN, SHARED
from small_models.experiments.sampling_tables import places
from small_models.world import WORLDS, captions, draw_scenes, render

SCENES_SEED = EVAL_SEED + 4
"""Of the scenes that schedules are learned on: neither those of the models' training nor those that are scored."""


@checked
def learned(lab: Lab, trainer: ToyTrainer) -> Rows:
    """The zoo, learned schedules and learned noise at equal calls; learned for image-to-video, scored on every task.

    Args:
        lab: models and scores.
        trainer: unused, nothing is trained.
    """
    where, found = places(lab.geometry.frames), Searches(lab)
    for calls in lab.sizes.calls:
        zoo = {name: partial(found.plain, name, calls) for name in STARTS}
        ways = {SHARED: partial(found.shared, calls), LEARNED: partial(found.schedule, calls)}
        ways |= {NOISE: partial(found.noise, calls), BOTH: partial(found.both, calls)}
        for task in ("image_to_video", "start_end", "extension"):
            for name, way in ((zoo if task == "image_to_video" else {PLAIN: zoo[PLAIN]}) | ways).items():
                key = {"task": task, "schedule": name, "calls": calls}
                yield key, partial(_measured, lab, where[task], way)


class Searches:
    """What is learned for each number of calls, when it is first asked for.

    Args:
        lab: models and scenes.
    """

    def __init__(self, lab: Lab):
        self.lab, self._kept = lab, dict[tuple[str, int], Any]()

    @cached_property
    def score(self) -> Callable[..., float]:
        """How close image-to-video comes to true clips in latents, whatever the schedule and the noise."""
        lab = self.lab
        world = WORLDS[lab.geometry_world]
        scenes = draw_scenes(lab.sizes.swept, SCENES_SEED, world)
        frames = lab.geometry.pixel_frames(lab.geometry.frames)
        truth = to_uint8(render(scenes.to(lab.device), frames, lab.geometry.size[0]))
        options: dict[str, Any] = {"guidance": lab.sizes.guidance, "seed": lab.sizes.seed}
        return generation_score(lab.model("vta"), truth, captions(scenes, SCENES_SEED), **options)

    def plain(self, name: str, calls: int) -> Mapping[str, Any]:
        """A schedule of the zoo.

        Args:
            name: in `schedules.SCHEDULES`.
            calls: rows less one.
        """
        return {"schedule": self._zoo(name, calls)}

    def shared(self, calls: int) -> Mapping[str, Any]:
        """Levels that are learned, the same for all frames.

        Args:
            calls: rows less one.
        """
        return _told(self._search("shared", calls))

    def schedule(self, calls: int) -> Mapping[str, Any]:
        """A schedule that is learned, from the best of the zoo and of the learned levels for all frames.

        Args:
            calls: rows less one.
        """
        return _told(self._search("schedule", calls))

    def noise(self, calls: int) -> Mapping[str, Any]:
        """Noise on the known frame that is learned, with one timestep for all other frames.

        Args:
            calls: rows less one.
        """
        found = self._search("noise", calls)
        return {"schedule": self._zoo(PLAIN, calls), "noise": found.levels[0], "learning": _learning(found)}

    def both(self, calls: int) -> Mapping[str, Any]:
        """The learned schedule with the learned noise.

        Args:
            calls: rows less one.
        """
        return {"schedule": self._search("schedule", calls).matrix, "noise": self._search("noise", calls).levels[0]}

    def _zoo(self, name: str, calls: int) -> Schedule:
        return fit_schedule(name, calls, self.lab.geometry.frames, self.lab.geometry.shift)

    def _search(self, kind: str, calls: int) -> Any:
        if (kind, calls) not in self._kept:
            self._kept[kind, calls] = self._found(kind, calls)
        return self._kept[kind, calls]

    def _found(self, kind: str, calls: int) -> Optimised | OptimisedNoise:
        sizes, frames = self.lab.sizes, self.lab.geometry.frames
        plain = self._zoo(PLAIN, calls)
        options: dict[str, Any] = {"generations": sizes.generations, "seed": sizes.seed}
        if kind == "noise":
            return optimise_noise(lambda levels: self.score(plain, levels), 1, **options)
        if kind == "shared":
            return optimise(self.score, calls, frames, start={PLAIN: plain}, terms=(3, 1), **options)
        starts = {name: self._zoo(name, calls) for name in STARTS} | {SHARED: self._search("shared", calls).matrix}
        return optimise(self.score, calls, frames, start=starts, spread=0.3, **options)


def _told(found: Optimised) -> Mapping[str, Any]:
    return {"schedule": found.matrix, "learning": _learning(found)}


def _learning(found: Optimised | OptimisedNoise) -> dict[str, Any]:
    return {"score": found.score, "starts": found.starts, "history": found.history}


def _measured(lab: Lab, known: list[int], way: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Scores of unseen scenes, one video each: at equal clips, more scenes tell more than more seeds."""
    made = way()
    noise, matrix = made.get("noise", 0.0), made["schedule"]
    row = lab.measure(lab.ask(lab.model("vta"), known, noise, schedule=matrix), known, count=lab.sizes.prompts, seeds=1)
    row |= {"matrix": [[round(level, 6) for level in levels] for levels in matrix.tolist()], "noise": noise}
    return row | ({"learning": made["learning"]} if "learning" in made else {})

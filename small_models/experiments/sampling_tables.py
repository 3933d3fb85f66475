"""Tables that only sample: known clips, steps and solvers, noise on known frames, tasks, schedules of long videos."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from pusa_lab.arguments import checked
from pusa_lab.evaluation import KNOWN, known_frames
from pusa_lab.extend import extend_to
from pusa_lab.generate import generate
from pusa_lab.pixels import to_pixels, to_uint8
from pusa_lab.schedules import SCHEDULES, describe
from pusa_lab.tasks import Known, Task, loop
from small_models.evaluation import suite as scores
from small_models.evaluation.ways import Maker, copy_of_frame_0, through_the_codec
from small_models.experiments.adapt import Adaptation, ToyTrainer
from small_models.experiments.lab import Lab, Rows
from small_models.experiments.recipe_settings import recipe_of
from small_models.experiments.sizes import Sizes

CALLS_A_ROW = {"euler": 1, "heun": 2, "ab2": 1, "dpmpp_2m": 1, "unipc": 1}
"""Solver -> denoiser calls per row, guidance aside; Heun's last row costs one."""
LONG_SCHEDULES = ("synchronous", "pyramid", "autoregressive", "rolling", "blockwise", "trapezoid")


@checked
def suite(lab: Lab, trainer: ToyTrainer) -> Rows:
    """What true, coded, still and destroyed clips score; the first row is the reader's own accuracy.

    Args:
        lab: models and scores.
        trainer: unused, nothing is trained.
    """
    base = lab.model("base")
    ways: dict[str, Any] = {"truth": lambda _, truth, seed: truth}
    if base.codec:
        ways["truth through the codec"] = through_the_codec(base)
    ways["frame 0 repeated"] = copy_of_frame_0
    for name in scores.destroyed(next(lab.parts(2))[1]):
        ways[name] = lambda _, truth, seed, n=name: to_uint8(scores.destroyed(to_pixels(truth).to(lab.device))[n])
    for label, make in ways.items():
        yield {"clips": label}, partial(lab.measure, make, [0], count=lab.sizes.prompts, seeds=1)


@checked
def steps(lab: Lab, trainer: ToyTrainer) -> Rows:
    """Image-to-video by sampling steps and solver.

    Args:
        lab: models and scores.
        trainer: unused, nothing is trained.
    """
    for solver, calls in CALLS_A_ROW.items():
        for count in lab.sizes.steps:
            make = lab.ask(lab.model("vta"), [0], steps=count, solver=solver)
            key = {"solver": solver, "steps": count, "calls": calls * count - (solver == "heun")}
            yield key, partial(lab.measure, make, [0])


@checked
def places(frames: int) -> dict[str, list[int]]:
    """Which latent frames each task knows, in a video of so many.

    Args:
        frames: latent frames.
    """
    names = ("image_to_video", "start_end", "keyframes", "completion", "transition")
    return {name: KNOWN[name](frames) for name in names} | {"extension": [0, 1, 2, 3]}  # four frames, as was published


ADVISED = 0.2
"""The level that the authors advise for image-to-video."""
PUBLISHED: dict[str, list[tuple[float, ...]]] = {
    "start_end": [(0.2, 0.5), (0.1, 0.4), (0.0, 0.4), (0.3, 0.7)],
    "extension": [(0.0, 0.3, 0.4, 0.5), (0.2, 0.4, 0.4, 0.4), (0.2, 0.4, 0.6, 0.8), (0.3, 0.4, 0.5, 0.6)],
}
"""Noise multipliers that were published for these tasks, see `tasks.PRESETS`."""


@checked
def noise(lab: Lab, trainer: ToyTrainer) -> Rows:
    """Noise multiplier of the known frames: how true, how lively, and how visible the seam.

    Args:
        lab: models and scores.
        trainer: unused, nothing is trained.
    """
    where = places(lab.geometry.frames)
    for task in ("image_to_video", "start_end", "extension"):
        levels: Sequence[Any] = [*lab.sizes.noises, *PUBLISHED.get(task, [])]
        for level in levels:
            advised = task == "image_to_video" and level == ADVISED
            modes = ("denoise", "hold", "replacement", "label") if advised else ("denoise",)
            for mode in modes:
                make = lab.ask(lab.model("vta"), where[task], noise=level, mode=mode)
                key = {"task": task, "noise": level, "mode": mode}
                yield key, partial(lab.measure, make, where[task])


@checked
def tasks(lab: Lab, trainer: ToyTrainer) -> Rows:
    """Every task without training for it, beside models trained for that task alone with the same budget.

    Args:
        lab: models and scores.
        trainer: trains the specialists.
    """
    vta, count = lab.model("vta"), lab.sizes.prompts
    for task, known in places(lab.geometry.frames).items():
        shipped = {"VTA, shipped": "vta"} | ({"Wan's way, shipped": "i2v"} if task == "image_to_video" else {})
        for label, stage in shipped.items():
            if lab.has(stage):
                make = lab.ask(lab.model(stage), known)
                yield {"task": task, "model": label}, partial(lab.measure, make, known, count=count)
        for label, adaptation in task_ways(lab.sizes, task, known).items() if lab.sizes.train else ():
            (update,) = trainer.updates(adaptation, [lab.sizes.brief])
            make = lab.ask(trainer.model(adaptation, update), known)
            yield {"task": task, "model": label}, partial(lab.measure, make, known, count=count)
    if lab.geometry.stride[0] > 1:
        key = {"task": "start_end", "model": "VTA, shipped, last frame a still picture"}
        yield key, partial(lab.measure, _still_end(lab, vta), [0, lab.geometry.frames - 1], count=count)
    yield {"task": "loop", "model": "VTA, shipped"}, partial(lab.measure, _loop(lab, vta), truth=False)
    for length in lab.sizes.lengths:
        key = {"task": f"extension by {length} of its length", "model": "VTA, shipped"}
        yield key, partial(_long, lab, vta, length, "synchronous")


@checked
def task_ways(sizes: Sizes, task: str, known: Sequence[int]) -> dict[str, Adaptation]:
    """What the table `tasks` trains for a task.

    Args:
        sizes: with the recipe.
        task: its name.
        known: latent frames that it knows.
    """
    alone = Adaptation(timestep_sampler="shared", clean=(*known,), weight="free_frames")
    ways = {"VTA": Adaptation(), "recipe": recipe_of(sizes.recipe), "specialist": alone}
    if task == "image_to_video":
        ways["Wan's way"] = Adaptation("i2v", timestep_sampler="shared")
    return {f"{way}, same budget": each for way, each in ways.items()}


def _still_end(lab: Lab, model: Any) -> Maker:
    def make(prompts: list[str], truth: np.ndarray, seed: int) -> np.ndarray:
        ends = (*known_frames(truth, [0], lab.geometry), Known(truth[:, -1:], at=-1))
        return generate(model, prompts, Task("start_end", ends), guidance=lab.sizes.guidance, seed=seed).video

    return make


def _loop(lab: Lab, model: Any) -> Maker:
    def make(prompts: list[str], truth: np.ndarray, seed: int) -> np.ndarray:
        return generate(model, prompts, loop(truth[:, :1]), guidance=lab.sizes.guidance, seed=seed).video

    return make


@checked
def schedules(lab: Lab, trainer: ToyTrainer) -> Rows:
    """Long extensions with every frame at the same timestep, or one after the other: drift against length.

    Args:
        lab: models and scores.
        trainer: unused, nothing is trained.
    """
    for name in LONG_SCHEDULES:
        rows = describe(SCHEDULES[name](10, lab.geometry.frames)).rows - 1
        key = {"schedule": name, "rows a window": rows}
        yield key, partial(_long, lab, lab.model("vta"), max(lab.sizes.lengths), name)


def _long(lab: Lab, model: Any, lengths: int, schedule: str) -> dict[str, Any]:
    """A video that continues from a third of its own length for so many more, among scenes that stay in the picture."""
    geometry, overlap = lab.geometry, max(1, lab.geometry.frames // 3)
    begin, added = geometry.pixel_frames(overlap), lengths * geometry.pixel_frames(geometry.frames)

    def make(prompts: list[str], truth: np.ndarray, seed: int) -> np.ndarray:
        seconds = (begin + added) / geometry.fps
        windows = -(-added // (geometry.pixel_frames(geometry.frames) - begin))
        options: dict[str, Any] = {"schedule": schedule, "guidance": lab.sizes.guidance, "seed": seed}
        return extend_to(model, [prompts] * windows, truth[:, :begin], seconds, overlap, **options).video

    return lab.measure(make, range(overlap), frames=begin + added, staying=True)

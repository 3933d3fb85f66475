"""Actions: how well a toy obeys them, beside controls, and how many frames a second its stream makes.

pusa-lab bench actions                                          # two cores: the shipped model
pusa-lab bench actions --train '[none, noised, resampled]'      # a GPU: train it anew after each of these histories
pusa-lab bench actions --train '[none, resampled]' --tiny       # whether it runs
"""

import itertools
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from jsonargparse.typing import PositiveInt

import pusa_lab as pl
import small_models
from pusa_lab import cli
from pusa_lab.cli.terminal import line, say
from pusa_lab.files import check_writable, write_json
from pusa_lab.training.quiet import quiet_lightning
from small_models.evaluation.actions import SCHEDULE, STEPS, measure_actions
from small_models.evaluation.evaluate import VALIDATION_SEED
from small_models.machine import conditions
from small_models.models.actions import ActionToy
from small_models.training import train as training

OUT = Path(__file__).parent / "results" / "actions.json"
WORK = Path("outputs") / "actions"


def main(
    *,
    train: list[str] | None = None,
    tiny: bool = False,
    scenes: PositiveInt = 32,
    frames: PositiveInt = 100,
    work: Path = WORK,
    out: Path = OUT,
) -> None:
    """Measure obedience and speed with 1, 2 and 4 steps for each frame.

    Args:
        train: histories with which nano-actions is trained, at the same time; the one that obeys best on other scenes,
            half as many, is measured (default: the shipped model is).
        tiny: train for a few steps, and measure two scenes.
        scenes: unseen scenes, at least 2.
        frames: of the stream whose speed is measured, after a first window.
        work: folder for what is trained.
        out: file to write.

    Raises:
        ValueError: there is no such history or model, or the file cannot be written.
    """
    check_writable(out, "--out")
    scenes, frames = (2, 2) if tiny else (scenes, frames)
    rows: list[dict[str, Any]] = []
    tried, best = [], Path("nano-actions")
    if train:
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            paths = list(pool.map(partial(trained, work=work, tiny=tiny, command=line.get()), train))
        tried = [validated(path, max(2, scenes // 2)) for path in paths]
        best = paths[max(range(len(paths)), key=lambda i: tried[i]["obeyed"])]
    model = small_models.load(best)
    for steps in (1, STEPS, 4):
        speed = {"steps": steps, "frames a second": frames_a_second(model, steps, frames)}
        rows.append({**speed, **measure_actions(model, scenes, steps, controls=steps == STEPS)})
        say(f"{steps} steps: {speed['frames a second']:.1f} frames a second, {told(rows[-1])}")
    about = {"model": best.stem, "sha256": small_models.card(best)["sha256"], "schedule": SCHEDULE, "seed": 0}
    write_json(out, {**conditions(), **about, "tried": tried, "rows": rows})


def trained(history: str, work: Path, tiny: bool, command: str) -> Path:
    """The checkpoint of a training."""
    with quiet_lightning():
        folder = work / re.sub(r"\W+", "-", history).strip("-")
        return training.train("nano", "actions", folder, fast=tiny, command=command, history=history)


def validated(path: Path, scenes: int) -> dict[str, Any]:
    """How a model was trained, and how well it obeys on other scenes than it will be measured on."""
    found = measure_actions(small_models.load(path), scenes, seed=VALIDATION_SEED, controls=False)
    row = {"history": small_models.card(path)["config"]["history"], **found["right actions"]["at once"]}
    say(f"history {row['history']}: {row['obeyed']:.1%} obeyed on scenes of validation")
    return row


def told(row: dict[str, Any]) -> str:
    """Obedience of the model and its controls as it is printed."""
    each = {name: found["at once"]["obeyed"] for name, found in row.items() if isinstance(found, dict)}
    return ", ".join(f"{name} {share:.1%}" for name, share in each.items()) + " obeyed"


def frames_a_second(model: ActionToy, steps: int, frames: int) -> float:
    """The rate of a stream once its window is full."""
    actions = itertools.cycle(("left", "up", "right", "down", "stop"))
    stream = pl.stream(model, "a red circle", schedule=SCHEDULE, steps=steps, guidance=1.0, actions=actions)
    for _ in itertools.islice(stream, model.geometry.frames):
        pass
    began = time.perf_counter()
    for _ in itertools.islice(stream, frames):
        pass
    return frames / (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(cli.main(script=main))

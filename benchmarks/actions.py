"""Actions: how well a toy obeys them, beside controls, and how many frames a second its stream makes.

pusa-lab bench actions                                          # two cores: the shipped model
pusa-lab bench actions --train '[none, noised, resampled]'      # a GPU: train it anew after each of these histories
pusa-lab bench actions --models '[a.safetensors, b.safetensors]'    # the better of two that were trained before
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
from small_models.evaluation.actions import LENGTH, SCHEDULE, STEPS, measure_actions
from small_models.evaluation.evaluate import VALIDATION_SEED
from small_models.machine import conditions
from small_models.models.actions import ActionToy
from small_models.training import train as training

OUT = Path(__file__).parent / "results" / "actions.json"
WORK = Path("outputs") / "actions"
LONG, FEWER = 4, 2
"""Long streams have so many times the frames, and so many times fewer scenes."""


def main(
    *,
    train: list[str] | None = None,
    models: list[Path] | None = None,
    tiny: bool = False,
    scenes: PositiveInt = 32,
    frames: PositiveInt = 100,
    work: Path = WORK,
    out: Path = OUT,
) -> None:
    """Measure obedience with 1, 2 and 4 steps for each frame, in long streams too, and speed.

    Of several models the one is measured that obeys best in long streams of other scenes.

    Args:
        train: histories with which nano-actions is trained first, all at the same time.
        models: checkpoints that were trained before (default: the shipped nano-actions).
        tiny: train for a few steps, and measure short streams of two scenes.
        scenes: unseen scenes, at least 2.
        frames: of the stream whose speed is measured, after a first window.
        work: folder for what is trained.
        out: file to write.

    Raises:
        ValueError: there is no such history or model, or the file cannot be written.
    """
    check_writable(out, "--out")
    scenes, frames, length = (2, 2, 4) if tiny else (scenes, frames, LENGTH)
    paths = [*(models or [])]
    if train:
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            paths += pool.map(partial(trained, work=work, tiny=tiny, command=line.get()), train)
    fewer = max(2, scenes // FEWER)
    tried = [validated(path, fewer, LONG * length) for path in paths] if len(paths) > 1 else []
    best = paths[max(range(len(paths)), key=lambda i: rank(tried[i]))] if tried else [*paths, "nano-actions"][0]
    model, rows = small_models.load(best), []
    for steps, count, long in ((1, scenes, 1), (STEPS, scenes, 1), (4, scenes, 1), (STEPS, fewer, LONG)):
        row = measure_actions(model, count, steps, frames=long * length, controls=(steps, long) == (STEPS, 1))
        speed = {"frames a second": rate(model, steps, frames)} if long == 1 else {}
        rows.append({"steps": steps, "frames": long * length, **speed, **row})
        say(told(rows[-1]))
    about = {"model": Path(best).stem, "sha256": small_models.card(best)["sha256"], "schedule": SCHEDULE, "seed": 0}
    write_json(out, {**conditions(), **about, "tried": tried, "rows": rows})


def trained(history: str, work: Path, tiny: bool, command: str) -> Path:
    """The checkpoint of a training."""
    with quiet_lightning():
        folder = work / re.sub(r"\W+", "-", history).strip("-")
        return training.train("nano", "actions", folder, fast=tiny, command=command, history=history)


def validated(path: Path, scenes: int, frames: int) -> dict[str, Any]:
    """How a model was trained, and how well it obeys on other scenes than it will be measured on."""
    found = measure_actions(small_models.load(path), scenes, frames=frames, seed=VALIDATION_SEED, controls=False)
    row = {"history": small_models.card(path)["config"]["history"], "frames": frames, **found["right actions"]}
    say(f"history {row['history']}: obeyed at once {rank(row)[0]:.1%}, afterwards {rank(row)[1]:.1%}")
    return row


def rank(row: dict[str, Any]) -> tuple[float, ...]:
    """What a model is chosen by."""
    return tuple(row[name]["obeyed"] for name in ("at once", "afterwards"))


def told(row: dict[str, Any]) -> str:
    """A row as it is printed."""
    each = {name: found["at once"]["obeyed"] for name, found in row.items() if isinstance(found, dict)}
    obeyed = ", ".join(f"{name} {share:.1%}" for name, share in each.items())
    speed = f"{row['frames a second']:.1f} frames a second, " if "frames a second" in row else ""
    return f"{row['frames']} frames, steps {row['steps']}: {speed}obeyed: {obeyed}"


def rate(model: ActionToy, steps: int, frames: int) -> float:
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

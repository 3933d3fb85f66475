"""A world that answers: how many frames a second a stream makes that is told an action at every frame.

pusa-lab bench actions                  # two cores: half a minute
pusa-lab bench actions --frames 2       # whether it runs
"""

import itertools
import sys
import time
from pathlib import Path

from jsonargparse.typing import PositiveInt

import pusa_lab as pl
from pusa_lab import cli
from pusa_lab.files import check_writable, write_json
from pusa_lab.streaming import Answers
from small_models.evaluation.answers import HOW
from small_models.machine import conditions
from small_models.models.actions import ActionToy

OUT = Path(__file__).parent / "results" / "actions.json"


def frames_a_second(model: pl.types.VideoModel, steps: int, frames: int) -> float:
    """The rate of a stream once its window is full."""
    told = itertools.cycle(("left", "up", "right", "down", "stop"))
    stream = pl.stream(model, "a red circle", schedule=HOW, steps=steps, guidance=1.0, actions=told)
    for _ in itertools.islice(stream, model.geometry.frames):
        pass
    began = time.perf_counter()
    for _ in itertools.islice(stream, frames):
        pass
    return frames / (time.perf_counter() - began)


def main(*, model: str = "nano-vta", frames: PositiveInt = 100, out: Path = OUT) -> None:
    """Measure how fast a toy answers, with 1, 2 and 4 steps for each frame.

    Args:
        model: that takes actions, or a toy, which gets room for them: untrained it is as fast.
        frames: of each stream, after a first window.
        out: file to write.

    Raises:
        ValueError: the file cannot be written, or there is no such model.
    """
    check_writable(out, "--out")
    found = pl.load(model)
    loaded = found if isinstance(found, Answers) else ActionToy.from_base(found).eval()
    rows = [{"steps": n, "frames a second": frames_a_second(loaded, n, frames)} for n in (1, 2, 4)]
    write_json(out, {**conditions(), "seed": 0, "model": model, "schedule": HOW, "frames": frames, "rows": rows})


if __name__ == "__main__":
    sys.exit(cli.main(script=main))

"""The studio's run button: pusa-lab bench studio"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

import torch

from pusa_lab import cli
from pusa_lab.files import write_json
from pusa_lab.studio import Session
from small_models import load
from small_models.machine import conditions

OUT = Path(__file__).resolve().parent / "results" / "studio.json"
STEPS, THREADS, RUNS = 10, 2, 5


def main() -> None:
    """Seconds of the studio's run button on mini.

    Measured from the button to the first row's pictures, to the finished video, and to the pictures of all rows. The
    load of the machine is written beside them to benchmarks/results/studio.json: a shared one is slower.
    """
    torch.set_num_threads(THREADS)
    session = Session(load("mini-vta", device="cpu"), frames=9, steps=STEPS, prompt="a red circle moves right")
    session.do({"do": "drop", "name": "still.png"})
    taken = [once(session) for _ in range(RUNS + 1)][1:]  # the first one warms up
    middle = {name: round(statistics.median(run[name] for run in taken), 2) for name in taken[0]}
    result = {
        **conditions(),
        "seed": 0,
        "threads": THREADS,
        "steps": STEPS,
        "runs": RUNS,
        "load of the machine before": round(os.getloadavg()[0], 1),
        "seconds, median": middle,
    }
    write_json(OUT, result)
    sys.stdout.write(json.dumps(middle) + "\n")


def once(session: Session) -> dict[str, float]:
    """Seconds of one run.

    Args:
        session: with a model.
    """
    began, seen = time.perf_counter(), {}
    session.tell = lambda lane, row: seen.setdefault(row, time.perf_counter() - began)
    session.do({"do": "run"})
    session.wait()
    if session.error:
        raise RuntimeError(session.error)
    return {"first row": seen[0], "video": session.lanes["A"].seconds, "all rows": seen[-1]}


if __name__ == "__main__":
    sys.exit(cli.main(script=main))

"""The drawing of the toys' world: pusa-lab bench world"""

import json
import sys
import time
from pathlib import Path

import torch

from pusa_lab import cli
from pusa_lab.files import write_json
from small_models.machine import conditions
from small_models.world import MINI, captions, draw_scenes, render

OUT = Path(__file__).resolve().parent / "results" / "world.json"
CLIPS, THREADS = 1000, 2


def main() -> None:
    """Seconds of drawing 1,000 clips of the toys' world, written to benchmarks/results/world.json."""
    torch.set_num_threads(THREADS)
    began = time.perf_counter()
    scenes = draw_scenes(CLIPS, 0, MINI)
    words = captions(scenes, seed=0)
    described = time.perf_counter()
    for part in range(0, CLIPS, 50):
        render(scenes[part : part + 50])
    seconds = {"scenes and captions": described - began, "pictures": time.perf_counter() - described}
    result = {
        **conditions(),
        "seed": 0,
        "clips": len(words),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
    }
    write_json(OUT, result)
    sys.stdout.write(json.dumps(result["seconds"]) + "\n")


if __name__ == "__main__":
    sys.exit(cli.main(script=main))

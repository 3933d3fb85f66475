"""Time the drawing of 1,000 clips of the world: python benchmarks/world.py -> benchmarks/results/world.json"""

import json
import sys
import time
from datetime import date
from pathlib import Path

import torch

from small_models.machine import device_name, library_versions
from small_models.world import MINI, captions, draw_scenes, render

OUT = Path(__file__).resolve().parent / "results" / "world.json"
CLIPS, THREADS = 1000, 2


def main() -> None:
    """Draw, time, write."""
    torch.set_num_threads(THREADS)
    began = time.perf_counter()
    scenes = draw_scenes(CLIPS, 0, MINI)
    words = captions(scenes, seed=0)
    told = time.perf_counter()
    for part in range(0, CLIPS, 50):
        render(scenes[part : part + 50])
    seconds = {"scenes and captions": told - began, "pictures": time.perf_counter() - told}
    result = {
        "command": "python benchmarks/world.py",
        "date": date.today().isoformat(),
        "device": device_name(),
        "versions": library_versions(),
        "seed": 0,
        "clips": len(words),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
    }
    partial = OUT.with_suffix(".part")
    partial.write_text(json.dumps(result, indent=2) + "\n")
    partial.replace(OUT)
    sys.stdout.write(json.dumps(result["seconds"]) + "\n")


if __name__ == "__main__":
    main()

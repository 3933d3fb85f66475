"""Video without end, see `pusa_lab.streaming`: how soon the first frames are there, and how many come a second.

pusa-lab bench streaming                     # mini on two cores or a GPU
pusa-lab bench streaming --small             # nano, a few frames: seconds on two cores
"""

import itertools
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from jsonargparse.typing import PositiveInt

import pusa_lab as pl
from pusa_lab import cli
from pusa_lab.files import check_writable, read_json, write_json
from small_models.machine import conditions

OUT = Path(__file__).parent / "results" / "streaming.json"
SCHEDULES = ("rolling(window=4)", "pyramid(lag=2)", "blockwise(block=3, lag={steps})", "staircase", "autoregressive")
PROMPTS = {"nano": "a red circle moves right", "mini": "a big red square moves right"}


def watched(stream: pl.Stream, latent_frames: int) -> list[tuple[float, int, int]]:
    """Seconds since the beginning, latent frames and pixel frames that are there, part by part."""
    began, found = time.perf_counter(), []
    for part in stream:
        found.append((time.perf_counter() - began, part.at.stop, part.pixels_at.stop))
        if part.at.stop >= latent_frames:
            return found
    return found


def peak_bytes(model: pl.types.VideoModel) -> int:
    """The most memory so far: of the GPU, or of this process."""
    if model.device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measured(model: pl.types.VideoModel, schedule: str, windows: int, options: dict[str, Any]) -> dict[str, Any]:
    """Latency and rate of one schedule; the rate leaves out the first window, in which frames start together."""
    prompt = PROMPTS["nano" if model.geometry.stride[0] == 1 else "mini"]
    stream = pl.stream(model, prompt, schedule=schedule, **options)
    length = model.geometry.frames
    first = watched(stream, length)
    peak = peak_bytes(model)
    later = watched(stream, length * (windows + 1))
    pixels = later[-1][2] - first[-1][2]
    return {
        **{"schedule": schedule, "first frames, seconds": first[0][0], "frames at once": first[0][1]},
        **{"pixel frames a second": pixels / later[-1][0], "windows": windows},
        **{"calls a latent frame": stream.asked.times / later[-1][1]},
        **{"peak bytes, first window": peak, "peak bytes, all windows": peak_bytes(model)},
    }


def main(
    *,
    model: str = "mini-vta",
    steps: PositiveInt = 10,
    guidance: float = 2.0,
    windows: PositiveInt = 10,
    small: bool = False,
    out: Path = OUT,
) -> None:
    """Measure streams: seconds to the first frames, frames a second, and memory, by schedule.

    Args:
        model: as `pusa-lab stream`.
        steps: of each frame.
        guidance: scale of text guidance.
        windows: windows after the first, over which the rate is taken.
        small: nano, one window, two steps: whether it runs, not how fast.
        out: file to write; results of other models, and those of a GPU, stay in it.

    Raises:
        ValueError: the file cannot be written, or there is no such model.
    """
    model, steps, windows = ("nano-vta", 2, 1) if small else (model, steps, windows)
    check_writable(out, "--out")
    loaded = pl.load(model)
    options = {"steps": steps, "guidance": guidance}
    for _ in itertools.islice(pl.stream(loaded, PROMPTS["nano"], **options), 2):
        pass  # the first calls are slower
    rows = []
    for schedule in SCHEDULES:
        rows.append(measured(loaded, schedule.format(steps=steps), windows, options))
        sys.stderr.write(f"{json.dumps(rows[-1])}\n")
    held = read_json(out, "results") if out.is_file() else {}
    held[model if loaded.device.type == "cuda" else f"{model}, cpu"] = {**conditions(), **options, "rows": rows}
    write_json(out, held)


if __name__ == "__main__":
    sys.exit(cli.main(script=main))

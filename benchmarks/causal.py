"""Block-causal attention with its cache, see `pusa_lab.causal`: what the cache saves, and what the mask costs.

pusa-lab bench causal                # mini-vta on two cores in less than two minutes
pusa-lab bench causal --small        # two scenes, two steps: whether it runs
"""

import itertools
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from jsonargparse.typing import PositiveInt

import pusa_lab as pl
import small_models
from pusa_lab import cli
from pusa_lab.files import check_writable, write_json
from pusa_lab.metrics import bootstrap, psnr
from pusa_lab.pixels import to_pixels, to_uint8
from small_models.evaluation.ways import EVAL_SEED, parts
from small_models.machine import conditions
from small_models.models.toy import ToyModel
from small_models.world import MINI, captions, draw_scenes

OUT = Path(__file__).parent / "results" / "causal.json"
PROMPT = "a big red square moves right"
BLOCK = 3
BATCH = 8


def ways(model: ToyModel) -> dict[str, Any]:
    """The model with the mask and its cache, without the cache, and as it is."""
    with_cache, without = (pl.causal(model, BLOCK, cache=cache) for cache in (True, False))
    return {"with the cache": with_cache, "without the cache": without, "no mask": model}


def times(model: ToyModel, blocks: int, options: dict[str, Any]) -> dict[str, Any]:
    """Seconds for each finished block of a stream, in turn for each way, once the window is full of final blocks."""
    streams = {name: pl.stream(one, PROMPT, output="latents", **options) for name, one in ways(model).items()}
    full = model.geometry.frames // BLOCK
    seconds: dict[str, list[float]] = {name: [] for name in streams}
    counts = {}
    for _ in range(full + blocks):
        for name, stream in streams.items():
            began = time.perf_counter()
            next(stream)
            seconds[name].append(time.perf_counter() - began)
            keeper = stream.asked.keeper
            computed = stream.asked.times * model.geometry.frames if keeper is None else keeper.frames
            counts.setdefault(name, []).append(computed)
    rows = [
        {
            **{"way": name, "seconds a block": median(found[full:])},
            "frames computed a block": (counts[name][-1] - counts[name][full - 1]) / blocks,
        }
        for name, found in seconds.items()
    ]
    pairs = zip(seconds["without the cache"][full:], seconds["with the cache"][full:], strict=True)
    return {"blocks": blocks, "times faster": median(slow / fast for slow, fast in pairs), "rows": rows}


def losses(model: ToyModel, scenes: int, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    """PSNR of image to video, of the frames that were not given, with the mask and without, scene by scene."""
    two = {name: one for name, one in ways(model).items() if name != "without the cache"}
    found: dict[str, list[float]] = {name: [] for name in two}
    free = slice(model.geometry.pixels_at(1).start, None)
    for some, clip, numbers in parts(draw_scenes(scenes, EVAL_SEED + 2, MINI), model.geometry, model.device, BATCH):
        truth = to_uint8(clip)
        for name, one in two.items():
            given = {"seed": seed * 1_000_003 + int(numbers[0]), **options}
            task = pl.tasks.image_to_video(truth[:, :1])
            result = pl.generate(one, captions(some, EVAL_SEED), task, **given)
            found[name] += psnr(to_pixels(result.video), to_pixels(truth))[:, free].mean(1).tolist()
    loss = torch.tensor(found["no mask"]) - torch.tensor(found["with the cache"])
    means = {"no mask": sum(found["no mask"]) / scenes, "mask": sum(found["with the cache"]) / scenes}
    return {"task": "image_to_video", "scenes": scenes, "psnr_db": means, "loss_db": list(bootstrap(loss.double()))}


def main(
    *,
    scenes: PositiveInt = 16,
    blocks: PositiveInt = 10,
    steps: PositiveInt = 10,
    guidance: float = 2.0,
    seed: int = 0,
    small: bool = False,
    out: Path = OUT,
) -> None:
    """Measure block-causal attention on mini-vta: seconds a block saved by the cache, dB lost by the mask untrained.

    Args:
        scenes: true clips, whose first picture is given.
        blocks: of a stream that are timed.
        steps: of each frame.
        guidance: scale of text guidance.
        seed: of the noise.
        small: two scenes, a block and two steps: whether it runs, not how fast.
        out: file to write.

    Raises:
        ValueError: the file cannot be written.
    """
    scenes, blocks, steps = (2, 1, 2) if small else (scenes, blocks, steps)
    check_writable(out, "--out")
    model = small_models.load("mini-vta", device="cuda" if torch.cuda.is_available() else "cpu")
    options = {"steps": steps, "guidance": guidance, "schedule": f"blockwise(block={BLOCK}, lag={steps})"}
    for _ in itertools.islice(pl.stream(model, PROMPT, output="latents", **options | {"steps": 1}), 1):
        pass  # the first calls are slower
    about = conditions() | {"model": "mini-vta", "block": BLOCK, "seed": seed, **options}
    timed = times(model, blocks, options)
    write_json(out, about | {"stream": timed, "masked untrained": losses(model, scenes, seed, options)})


if __name__ == "__main__":
    sys.exit(cli.main(script=main))

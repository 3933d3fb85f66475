"""`pusa-lab plan`."""

import json as jsons
from dataclasses import asdict

from pusa_lab.cli.terminal import say
from pusa_lab.cli.values import given, height_and_width


def plan(
    *,
    model: str | None = None,
    size: str | None = None,
    frames: int | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    dtype: str | None = None,
    offload: str | None = None,
    gpu: str | None = None,
    mode: str | None = None,
    rank: int | None = None,
    batch: int | None = None,
    compiled: bool = False,
    cached_prompts: bool = False,
    gpus: int | None = None,
    price: float | None = None,
    json: bool = False,
) -> None:
    """Memory, time and money of a Wan.

    Args:
        model: wan2.1-14b (default), wan2.1-1.3b, wan2.2-a14b or wan2.2-5b.
        size: 480p, 720p (default), or HEIGHTxWIDTH in pixels.
        frames: pixel frames, 1 + 4k (default: the model's own).
        steps: of sampling (default 10), or of the optimizer (default 900).
        guidance: scale of text guidance, 1 is none (default 3); in mode sample.
        dtype: of the weights: bfloat16 (default, but for old GPUs), float16 or float8.
        offload: none (default), model or group; in training none or checkpoints.
        gpu: h200 (default), h100, a100-80, a100-40, l40s, rtx5090, rtx4090, l4 or t4.
        mode: sample (default), lora, or full: training all weights.
        rank: of the LoRA that is trained (default 512); in mode lora.
        batch: videos at a time on each GPU (default 1).
        compiled: the blocks are compiled.
        cached_prompts: captions are already encoded; in mode sample.
        gpus: how many (default 1).
        price: US dollars per GPU and hour (default: a rough one).
        json: print all numbers, for programs.
    """
    options = given({name: value for name, value in locals().items() if name != "json"})
    from pusa_lab.wan import plan as make_plan

    if size is not None:
        options["size"] = height_and_width(size) or size
    found = make_plan(**options)
    say(jsons.dumps(asdict(found), indent=2) if json else str(found))

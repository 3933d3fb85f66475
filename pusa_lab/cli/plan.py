"""`pusa-lab plan`."""

import json as jsons
from dataclasses import asdict
from typing import Literal

from pusa_lab.cli.terminal import say
from pusa_lab.cli.values import given


def plan_command(
    *,
    model: str | None = None,
    size: str | None = None,
    num_frames: int | None = None,
    gpu: str | None = None,
    gpus: int | None = None,
    price: float | None = None,
    mode: Literal["sample", "lora", "full"] | None = None,
    lora_rank: int | None = None,
    compiled: bool = False,
    steps: int | None = None,
    guidance: float | None = None,
    num_videos: int | None = None,
    dtype: Literal["bfloat16", "float16", "float8"] | None = None,
    offload: Literal["none", "model", "group"] | None = None,
    cached_prompts: bool = False,
    max_steps: int | None = None,
    global_batch_size: int | None = None,
    micro_batch_size: int | None = None,
    optimizer: Literal["adamw", "adamw8bit"] | None = None,
    ac_save_attention: int | None = None,
    ac_skip_blocks: int | None = None,
    offload_activations: bool = False,
    float8: bool = False,
    json: bool = False,
) -> None:
    """Memory, time and money of a Wan.

    --steps to --cached-prompts are for sampling, --max-steps to --float8 for training: --mode lora or full.

    Args:
        model: wan2.1-14b (default), wan2.1-1.3b, wan2.2-a14b or wan2.2-5b.
        size: 480p, 720p (default), or HEIGHTxWIDTH in pixels.
        num_frames: pixel frames, 1 + 4k (default: the model's own).
        gpu: h200 (default), h100, a100-80, a100-40, l40s, rtx5090, rtx4090, l4 or t4.
        gpus: number of GPUs (default 1).
        price: US dollars per GPU and hour, 0 to 1,000,000 (default: a rough one).
        mode: sample videos (default), train a LoRA, or train all weights.
        lora_rank: rank of the LoRA that is trained (default 512), or attached in sampling.
        compiled: plan with compiled blocks.
        steps: sampling steps (default 10).
        guidance: scale of text guidance, where 1 is none (default 2, as for generate).
        num_videos: videos at a time on each GPU (default 1).
        dtype: precision of the weights: bfloat16 (default, but for old GPUs), float16 or float8.
        offload: what waits in the host's memory: none (default), model or group.
        cached_prompts: plan with captions that are already encoded.
        max_steps: steps of the optimizer (default 900).
        global_batch_size: clips per step, on all GPUs together (default 8).
        micro_batch_size: clips at a time on each GPU (default 1).
        optimizer: adamw (default) or adamw8bit.
        ac_save_attention: blocks that save attention's result (default 0).
        ac_skip_blocks: blocks without activation checkpointing (default 0).
        offload_activations: keep what blocks save in the host's memory.
        float8: run the frozen base's matrix products in float8.
        json: print all numbers, for programs.
    """
    options = given({name: value for name, value in locals().items() if name != "json"})
    from pusa_lab.planning import plan

    found = plan(**options)
    say(jsons.dumps(asdict(found), indent=2) if json else str(found))

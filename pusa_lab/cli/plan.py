"""`pusa-lab plan`."""

import json as jsons
from dataclasses import asdict
from typing import Any, Literal

from pusa_lab.cli.terminal import say
from pusa_lab.cli.values import given


def plan_command(
    *,
    model: str = "wan2.1-14b",
    size: str = "720p",
    num_frames: int | None = None,
    gpu: Literal["h200", "h100", "a100-80", "a100-40", "l40s", "rtx5090", "rtx4090", "l4", "t4"] = "h200",
    gpus: int = 1,
    price: float | None = None,
    workload: Literal["sample", "lora", "full"] = "sample",
    lora_rank: int | None = None,
    compiled: bool = False,
    attention: Literal["native", "fa4"] = "native",
    steps: int | None = None,
    guidance: float | None = None,
    num_videos: int | None = None,
    dtype: Literal["bfloat16", "float16"] | None = None,
    precision: Literal["float8", "float8-storage"] | None = None,
    offload: Literal["none", "model", "group"] | None = None,
    cached_prompts: bool = False,
    experts: int | None = None,
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
    """Estimate the memory, time and cost of sampling or training a Wan model.

    The options from --steps to --cached-prompts are for sampling, those from --experts to --float8 for
    training (--workload lora or full).

    Args:
        model: wan2.1-14b, wan2.1-1.3b, wan2.2-a14b, wan2.2-5b, or the folder or repository of a Wan model.
        size: 480p, 720p, or HEIGHTxWIDTH in pixels.
        num_frames: pixel frames, 1 + 4k (default: the model's own).
        gpu: kind of GPU.
        gpus: number of GPUs, on all hosts together.
        price: US dollars per GPU-hour, 0 to 1,000,000 (default: a rough price for the GPU).
        workload: sample videos, train a LoRA (lora), or train all weights (full).
        lora_rank: rank of the LoRA that is trained (default 512), or attached in sampling.
        compiled: assume that the blocks are compiled.
        attention: with what attention is computed, PyTorch's choice or FlashAttention 4.
        steps: sampling steps (default 10).
        guidance: scale of text guidance, where 1 is none (default 2, as for generate).
        num_videos: videos at a time on each GPU (default 1).
        dtype: what the transformer computes in (default: bfloat16, or float16 where the GPU has none).
        precision: run the large layers in 8 bits (float8), or only keep weights in 8 bits (float8-storage).
        offload: what waits in the host's memory (default: none).
        cached_prompts: assume that the captions are already encoded.
        experts: number of transformers that are trained, one after the other (default: all of the model's).
        max_steps: optimizer steps for each of these transformers (default 900).
        global_batch_size: clips per step, on all GPUs together (default 8).
        micro_batch_size: clips at a time on each GPU (default 1).
        optimizer: AdamW with moments of 32 or 8 bits (default: adamw).
        ac_save_attention: blocks that save attention's result (default 0).
        ac_skip_blocks: blocks without activation checkpointing (default 0).
        offload_activations: keep what blocks save in the host's memory.
        float8: run the frozen base's matrix products in 8 bits.
        json: print all numbers as JSON.
    """
    options = given({name: value for name, value in locals().items() if name != "json"})
    from pusa_lab.planning import plan

    found = plan(**options)
    say(jsons.dumps(asdict(found), indent=2) if json else str(found))


def settled_plan_command(options: dict[str, Any]) -> dict[str, Any]:
    """The defaults that depend on the workload; null is left to the model and the GPU.

    Args:
        options: of the command.
    """
    from pusa_lab.planning.settings import workload_defaults

    return workload_defaults(options["workload"])

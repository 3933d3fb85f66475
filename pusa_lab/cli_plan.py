"""Memory, time and money of a Wan: `pusa-lab plan`."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any


def add_plan(plan: argparse.ArgumentParser) -> None:
    """Give `pusa-lab plan` its options, without defaults: these stand in `planning.plan` alone.

    Args:
        plan: the parser of the command.
    """
    plan.add_argument("--model", help="wan2.1-14b (default), wan2.1-1.3b, wan2.2-a14b or wan2.2-5b")
    plan.add_argument("--size", help="480p, 720p (default), or HEIGHTxWIDTH in pixels")
    plan.add_argument("--num-frames", type=int, help="pixel frames, 1 + 4k (default: the model's own)")
    plan.add_argument("--gpu", help="h200 (default), h100, a100-80, a100-40, l40s, rtx5090, rtx4090, l4 or t4")
    plan.add_argument("--gpus", type=int, help="how many (default 1)")
    plan.add_argument("--price", type=float, help="US dollars per GPU and hour (default: a rough one)")
    plan.add_argument("--mode", help="sample (default), lora, or full: training all weights")
    plan.add_argument(
        "--lora-rank", type=int, help="of the LoRA that is trained (default 512), or attached in sampling"
    )
    plan.add_argument("--compiled", action="store_true", help="the blocks are compiled")
    sample = plan.add_argument_group("sampling")
    sample.add_argument("--steps", type=int, help="of sampling (default 10)")
    sample.add_argument("--guidance", type=float, help="1 is none (default 3)")
    sample.add_argument("--num-videos", type=int, help="videos at a time on each GPU (default 1)")
    sample.add_argument("--dtype", help="of the weights: bfloat16 (default, but for old GPUs), float16 or float8")
    sample.add_argument("--offload", help="none (default), model or group")
    sample.add_argument("--cached-prompts", action="store_true", help="captions are encoded already")
    train = plan.add_argument_group("training (mode lora or full)")
    train.add_argument("--max-steps", type=int, help="of the optimizer (default 900)")
    train.add_argument("--global-batch-size", type=int, help="clips per step, on all GPUs together (default 8)")
    train.add_argument("--micro-batch-size", type=int, help="clips at a time on each GPU (default 1)")
    train.add_argument("--optimizer", help="adamw (default) or adamw8bit")
    train.add_argument("--ac-save-attention", type=int, help="blocks that save attention's result (default 0)")
    train.add_argument("--ac-skip-blocks", type=int, help="blocks without activation checkpointing (default 0)")
    train.add_argument("--offload-activations", action="store_true", help="what blocks save waits in the host's memory")
    train.add_argument("--float8", action="store_true", help="products with a LoRA's base are of 8-bit numbers")
    plan.add_argument("--json", action="store_true", default=False, help="all numbers, for programs")
    plan.set_defaults(run=_plan)


def _plan(args: argparse.Namespace) -> None:
    from pusa_lab.planning import plan
    from pusa_lab.planning.settings import read_size

    given: dict[str, Any] = {k: v for k, v in vars(args).items() if k not in ("run", "command", "json")}
    if "size" in given:
        given["size"] = read_size(given["size"])
    found = plan(**given)
    sys.stdout.write((json.dumps(asdict(found), indent=2) if args.json else str(found)) + "\n")

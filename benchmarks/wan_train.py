"""LoRA training of Wan2.1-T2V-14B with one timestep per frame, every step from the plain way to the fast.

bash benchmarks/wan_train.sh one                # one H200 or H100, about 9 minutes
bash benchmarks/wan_train.sh four               # four of them, about 8 minutes
bash benchmarks/wan_train.sh eight              # one H200: 8-bit AdamW, 8-bit products, activations on the host
pusa-lab bench wan_train --phase tiny           # the same code on a CPU; its times mean nothing
"""

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, Literal

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from wan_random import Log
from wan_train_memory import fewer, fitted
from wan_train_parts import Add, full, overfit, scaling
from wan_train_profile import profiled
from wan_train_step import LAYERS, WAYS, Step, Way, clip, free, peak, synchronise

from pusa_lab import cli
from pusa_lab.checkpointing import checkpointing_plan
from pusa_lab.files import check_folder
from small_models.machine import conditions

Save = Callable[[], None]


def timed(step: Callable[[], float], count: int, end: float) -> Iterator[tuple[list[float], list[float]]]:
    """Seconds and losses so far of a first step and some more, after each of them."""
    seconds: list[float] = []
    losses: list[float] = []
    while len(seconds) <= count and (not seconds or time.perf_counter() < end):
        began = time.perf_counter()
        losses.append(step())
        synchronise()
        seconds.append(time.perf_counter() - began)
        yield seconds, losses


def measure(args: SimpleNamespace, size: str, way: Way, saves: list[str], add: Add, end: float) -> None:
    """One row, there as soon as it has one step."""
    row = about(args, size, way, saves)
    run(args, size, way, saves, row, lambda: add(row), end)
    if way.float8 and time.perf_counter() < end:
        tried("float8's error", lambda: row.update({"against bfloat16": float8_error(args, size, way, saves[-4:])}))
        add(row)


def run(
    args: SimpleNamespace, size: str, way: Way, saves: list[str], row: dict[str, Any], save: Save, end: float
) -> None:
    """Fill a row with what steps cost; the first one counts only as long as it is alone."""
    free()
    times = LAYERS / len(saves) if not args.tiny else 1
    began = time.perf_counter()
    step = Step(args, clip(args, size), way, saves)
    row["build_seconds"] = round(time.perf_counter() - began, 1)
    step.warm_up()
    row["warm_up_seconds"] = round(time.perf_counter() - began - row["build_seconds"], 1)
    for seconds, losses in timed(step, args.steps, end):
        counted = slice(len(seconds) > 1, None)
        each = median(seconds[counted]) * times
        row |= {"seconds_per_sample": round(each, 3), "measured_seconds": seconds[counted]}
        row |= {"first_step_seconds": round(seconds[0], 3), "peak_gib": peak(), "losses": losses}
        row |= {"optimizer_seconds": round(median(step.optimizer_seconds[counted]), 4)}
        row["tflops"] = round(step.petaflop() * 1e3 * times / each, 1)
        save()
    if args.profile:
        tried("profile", lambda: row.update({"profile": profiled(step)}))
        save()


def about(args: SimpleNamespace, size: str, way: Way, saves: list[str]) -> dict[str, Any]:
    """What a row says of its setting."""
    row: dict[str, Any] = {"size": list(clip(args, size)), "frames": 81, "variant": way.name}
    row["model"] = "tiny" if args.tiny else "wan2.1-14b"
    counts = {name: saves.count(name) for name in dict.fromkeys(saves)}
    kept = "full" if counts == {"input": len(saves)} else ", ".join(f"{k} kept: {n}" for k, n in counts.items())
    kept += ", tokens on host" * args.offload_activations + ", 8-bit AdamW" * (args.optimizer == "adamw8bit")
    row |= {"checkpointing": kept, "compile": way.compiled and torch.cuda.is_available()}
    row |= {
        "precision": "float8" if way.float8 else "bfloat16",
        "optimizer": args.optimizer,
        "offload_activations": args.offload_activations,
    }
    row |= {"attention": way.attention or "torch's choice", "layers": len(saves), "rank": args.lora_rank}
    note = f"{len(saves)} of {LAYERS} blocks, seconds times {LAYERS / len(saves):g}; the peak is of the part"
    return row | conditions() | {"note": "measured whole" if len(saves) == LAYERS else note, "seed": 0}


def float8_error(args: SimpleNamespace, size: str, way: Way, saves: list[str]) -> dict[str, float]:
    """Relative error of the loss and of all LoRA gradients together, at the first step's weights, eager."""
    found = []
    for float8 in (False, True):
        free()
        one = Step(args, clip(args, size), Way("", False, way.attention, "", float8), saves)
        loss = one.gradients()
        found.append((loss, torch.cat([p.grad.flatten() for p in one.trained if p.grad is not None]).cpu()))
        del one
    (loss, g), (loss8, g8) = ((loss, g.double()) for loss, g in found)  # sums over hundreds of millions
    cosine = torch.nn.functional.cosine_similarity(g, g8, dim=0).item()
    error = {"loss": abs(loss8 / loss - 1), "gradients": ((g8 - g).norm() / g.norm()).item(), "cosine": cosine}
    return error | {"blocks": len(saves)}


def steps(args: SimpleNamespace, add: Add, end: float) -> None:
    """Every way at every size."""
    for size in args.size:
        for way in (WAYS[number] for number in args.ways):
            if time.perf_counter() < end:
                saves = [way.keep] * args.layers
                tried(f"{size} {way.name}", lambda s=size, w=way, k=saves: measure(args, s, w, k, add, end))


def best(args: SimpleNamespace, add: Add, end: float) -> None:
    """All blocks, the best way, keeping as much as memory has room for; less if that was too much."""
    way = WAYS[args.ways[0]] if len(args.ways) == 1 else WAYS[3]
    for size in args.size:
        for ac_save_attention, ac_skip_blocks in fewer(*fitted(args, size, way)):
            saves = checkpointing_plan(args.layers, ac_save_attention, ac_skip_blocks)
            name = f"{size} best, {ac_save_attention} and {ac_skip_blocks}"
            done = tried(name, lambda s=size, k=saves: measure(args, s, way, k, add, end))
            if done or time.perf_counter() > end:
                break


def tried(name: str, what: Callable[[], None]) -> bool:
    """Whether it worked; what went wrong is printed and the rest goes on."""
    try:
        what()
        return True
    except Exception:
        sys.stdout.write(f"{name}: {traceback.format_exc(limit=-3)}\n")
        sys.stdout.flush()
        return False


def main(
    *,
    phase: Literal["steps", "best", "scaling", "full", "overfit", "tiny"] = "steps",
    out: Path | None = None,
    tag: str = "",
    size: Literal["480p", "720p"] | list[Literal["480p", "720p"]] = "480p",
    layers: PositiveInt = LAYERS,
    ways: int | list[int] | None = None,
    ac_save_attention: int = -1,
    ac_skip_blocks: int = 0,
    offload_activations: bool = False,
    optimizer: Literal["adamw", "adamw8bit"] = "adamw",
    lora_rank: PositiveInt = 512,
    steps: PositiveInt = 3,
    seconds: PositiveFloat = 240,
    profile: bool = False,
    tiny: bool = False,
) -> None:
    """Seconds and memory of a training step of Wan-14B: a LoRA, several GPUs, all weights.

    One sample is one clip of 81 frames, with random weights. Rows are written as they come, and again when more is
    known of them.

    Args:
        phase: steps (every way), best (all blocks, saving as much as memory has room for), scaling (a LoRA on several
            GPUs), full (all weights on several GPUs), overfit (four clips), or tiny: all of them on a CPU.
        out: folder of wan_train.json (default: benchmarks/results).
        tag: text that is added to the file's name.
        size: 480p, 720p, or both.
        layers: how many of the 40 blocks are measured, at full width; their seconds are multiplied by 40 / layers.
        ways: numbers of the ways to do a step, in order (default: all).
        ac_save_attention: blocks that save attention's result; -1 fits them to memory.
        ac_skip_blocks: blocks without activation checkpointing; -1 fits them to memory too.
        offload_activations: keep what blocks save in the host's memory.
        optimizer: adamw or adamw8bit.
        lora_rank: rank of the LoRA.
        steps: steps that are timed, after a first one.
        seconds: seconds after which nothing new is begun.
        profile: profile one more step of four blocks, by kind of kernel.
        tiny: take a tiny model and clip, so that any phase runs on a CPU.

    Raises:
        ValueError: there is no such way, or the folder cannot be written to.
    """
    args = SimpleNamespace(**locals())
    args.size, args.ways = several(size), several(range(len(WAYS)) if ways is None else ways)
    if unknown := [way for way in args.ways if way not in range(len(WAYS))]:
        raise ValueError(f"--ways {unknown[0]}: give numbers from 0 to {len(WAYS) - 1}.")
    args.tiny = tiny or phase == "tiny"
    if args.tiny:
        args.layers, args.lora_rank, args.steps = 3, 64, 1  # 8-bit moments are for 4096 numbers or more
    out = check_folder(out or Path(__file__).parent / "results", "--out")
    measure_all(args, Log(out / f"wan_train{tag and '_'}{tag}.json"))


def several(value: Any) -> list[Any]:
    """One value, or several, as a list."""
    return [value] if isinstance(value, int | str) else list(value)


def measure_all(args: SimpleNamespace, log: Log) -> None:
    """The phase that was asked for."""
    end = time.perf_counter() + args.seconds
    rank = int(os.environ.get("RANK", "0"))
    rows: list[dict[str, Any]] = []

    def add(row: dict[str, Any]) -> None:
        if not any(row is known for known in rows):
            rows.append(row)
        if rank == 0:
            log["rows"] = rows
            sys.stdout.write(f"{row}\n")
            sys.stdout.flush()

    phases = {"steps": steps, "best": best, "scaling": scaling, "full": full, "overfit": overfit}
    for phase in phases if args.phase == "tiny" else [args.phase]:
        phases[phase](args, add, end)


if __name__ == "__main__":
    sys.exit(cli.main(script=main))

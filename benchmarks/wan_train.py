"""Time LoRA training of Wan2.1-T2V-14B with one timestep per frame, every step from the plain way to the fast.

    bash benchmarks/wan_train.sh one                # one H200 or H100, about 9 minutes
    bash benchmarks/wan_train.sh four               # four of them, about 8 minutes
    bash benchmarks/wan_train.sh eight              # one H200: 8-bit AdamW, 8-bit products, tokens on the host
    python benchmarks/wan_train.py --mode tiny      # the same code on a CPU; its times mean nothing

One sample is one clip of 81 frames, rank 512, AdamW, random weights. `--layers N` measures N of 40 blocks at full width
and multiplies by 40 / N. Rows go to OUT/wan_train.json as they come, and are written again when more is known of them.
"""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import options
import torch
from wan_random import SIZES, Log
from wan_train_memory import fewer, fitted
from wan_train_parts import Add, full, overfit, scaling
from wan_train_profile import profiled
from wan_train_step import LAYERS, OPTIMIZERS, WAYS, Step, Way, clip, free, peak, synchronise

from pusa_lab.training.activation_checkpointing import keep_plan
from small_models.machine import device_name, library_versions

Save = Callable[[], None]


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", default="steps", choices=["steps", "best", "scaling", "full", "overfit", "tiny"])
    parser.add_argument("--out", type=options.folder, default=str(Path(__file__).parent / "results"))
    parser.add_argument("--size", nargs="+", default=["480p"], choices=list(SIZES))
    parser.add_argument("--layers", type=options.count, default=LAYERS, help="blocks of 40 that are measured")
    parser.add_argument(
        "--ways",
        nargs="+",
        type=int,
        choices=range(len(WAYS)),
        default=list(range(len(WAYS))),
        help="which of the ways, in order",
    )
    parser.add_argument("--attention", type=int, default=-1, help="blocks that keep attention; -1 fits them to memory")
    parser.add_argument("--everything", type=int, default=0, help="blocks that keep everything; -1 fits them too")
    parser.add_argument("--optimizer", default="adamw", choices=OPTIMIZERS)
    parser.add_argument("--host", action="store_true", help="what blocks keep of the tokens waits in the host's memory")
    parser.add_argument("--profile", action="store_true", help="one more step of four blocks, by kind of kernel")
    parser.add_argument("--rank", type=options.count, default=512)
    parser.add_argument("--steps", type=options.count, default=3, help="timed, after a first one")
    parser.add_argument("--seconds", type=options.seconds, default=240, help="after which nothing new is begun")
    parser.add_argument("--tag", default="", help="goes into the file's name")
    parser.add_argument("--tiny", action="store_true", help="any mode on a CPU; `--mode tiny` is all of them")
    args = parser.parse_args()
    args.tiny |= args.mode == "tiny"
    if args.tiny:
        args.layers, args.rank, args.steps = 3, 64, 1  # 8-bit moments are for 4096 numbers or more
    return args


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


def measure(args: argparse.Namespace, size: str, way: Way, keeps: list[str], add: Add, end: float) -> None:
    """One row, there as soon as it has one step."""
    row = about(args, size, way, keeps)
    run(args, size, way, keeps, row, lambda: add(row), end)
    if way.float8 and time.perf_counter() < end:
        tried("float8's error", lambda: row.update({"against bfloat16": float8_error(args, size, way, keeps[-4:])}))
        add(row)


def run(
    args: argparse.Namespace, size: str, way: Way, keeps: list[str], row: dict[str, Any], save: Save, end: float
) -> None:
    """Fill a row with what steps cost; the first one counts only as long as it is alone."""
    free()
    times = LAYERS / len(keeps) if not args.tiny else 1
    began = time.perf_counter()
    step = Step(args, clip(args, size), way, keeps)
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


def about(args: argparse.Namespace, size: str, way: Way, keeps: list[str]) -> dict[str, Any]:
    """What a row says of its setting."""
    row: dict[str, Any] = {"size": list(clip(args, size)), "frames": 81, "variant": way.name}
    row["model"] = "tiny" if args.tiny else "wan2.1-14b"
    counts = {name: keeps.count(name) for name in dict.fromkeys(keeps)}
    kept = "full" if counts == {"input": len(keeps)} else ", ".join(f"{k} kept: {n}" for k, n in counts.items())
    kept += ", tokens on host" * args.host + ", 8-bit AdamW" * (args.optimizer == "adamw8bit")
    row |= {"checkpointing": kept, "compile": way.compiled and torch.cuda.is_available()}
    row |= {"precision": "float8" if way.float8 else "bfloat16", "optimizer": args.optimizer, "host": args.host}
    row |= {"attention": "cudnn" if way.cudnn else "torch's choice", "layers": len(keeps), "rank": args.rank}
    note = f"{len(keeps)} of {LAYERS} blocks, seconds times {LAYERS / len(keeps):g}; the peak is of the part"
    row |= {"note": "measured whole" if len(keeps) == LAYERS else note, "date": date.today().isoformat()}
    return row | {"device": device_name(), "versions": library_versions(), "seed": 0, "command": " ".join(sys.argv)}


def float8_error(args: argparse.Namespace, size: str, way: Way, keeps: list[str]) -> dict[str, float]:
    """Relative error of the loss and of all LoRA gradients together, at the first step's weights, eager."""
    found = []
    for float8 in (False, True):
        free()
        one = Step(args, clip(args, size), Way("", False, way.cudnn, "", float8), keeps)
        loss = one.gradients()
        found.append((loss, torch.cat([p.grad.flatten() for p in one.trained if p.grad is not None]).cpu()))
        del one
    (loss, g), (loss8, g8) = ((loss, g.double()) for loss, g in found)  # sums over hundreds of millions
    cosine = torch.nn.functional.cosine_similarity(g, g8, dim=0).item()
    error = {"loss": abs(loss8 / loss - 1), "gradients": ((g8 - g).norm() / g.norm()).item(), "cosine": cosine}
    return error | {"blocks": len(keeps)}


def steps(args: argparse.Namespace, add: Add, end: float) -> None:
    """Every way at every size."""
    for size in args.size:
        for way in (WAYS[number] for number in args.ways):
            if time.perf_counter() < end:
                keeps = [way.keep] * args.layers
                tried(f"{size} {way.name}", lambda s=size, w=way, k=keeps: measure(args, s, w, k, add, end))


def best(args: argparse.Namespace, add: Add, end: float) -> None:
    """All blocks, the best way, keeping as much as memory has room for; less if that was too much."""
    way = WAYS[args.ways[0]] if len(args.ways) == 1 else WAYS[3]
    for size in args.size:
        for attention, everything in fewer(*fitted(args, size, way)):
            keeps = keep_plan(args.layers, attention, everything)
            name = f"{size} best, {attention} and {everything}"
            done = tried(name, lambda s=size, k=keeps: measure(args, s, way, k, add, end))
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


def main() -> None:
    """The phase that was asked for."""
    args = arguments()
    end = time.perf_counter() + args.seconds
    rank = int(os.environ.get("RANK", "0"))
    tag = f"_{args.tag}" if args.tag else ""
    log = Log(args.out / f"wan_train{tag}.json", " ".join(["python", *sys.argv]))
    rows: list[dict[str, Any]] = []

    def add(row: dict[str, Any]) -> None:
        if not any(row is known for known in rows):
            rows.append(row)
        if rank == 0:
            log["rows"] = rows
            sys.stdout.write(f"{row}\n")
            sys.stdout.flush()

    modes = {"steps": steps, "best": best, "scaling": scaling, "full": full, "overfit": overfit}
    wanted = [steps, best, scaling, full, overfit] if args.mode == "tiny" else [modes[args.mode]]
    for mode in wanted:
        mode(args, add, end)


if __name__ == "__main__":
    main()

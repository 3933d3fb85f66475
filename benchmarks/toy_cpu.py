"""The readable Wan, small_models/models/dit.py, against diffusers' Wan: pusa-lab bench toy_cpu"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles

import torch
from jsonargparse.typing import PositiveInt
from torch import Tensor

import small_models
from pusa_lab import cli, generate, tasks
from pusa_lab.cli.terminal import line
from pusa_lab.files import check_writable, write_json
from pusa_lab.pixels import to_uint8
from small_models import world
from small_models.models.dit import ToyDiT

HERE = Path(__file__).resolve().parent
PLANS = ("eager", "compiled")
MODES = ("scalar", "per token")  # diffusers' timestep: (b,), or (b, tokens), which one timestep per frame needs there
PRESET = small_models.PRESETS["mini"]
SIZE = {k: v for k, v in PRESET["dit"].items() if k not in ("in_channels", "out_channels")}
SAME = 1e-4  # largest difference of outputs that rounding may make, in their standard deviations
FRAMES, SIDE, WORDS = 9, 8, PRESET["text"]["longest"]

Forward = Callable[[], Tensor]


def compiler_missing() -> str:
    """Why torch.compile cannot work here, or nothing."""
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.ones(3))
    except Exception as error:
        return f"Nothing was compiled: torch.compile finds no working C++ compiler here ({type(error).__name__})."
    return ""


def paired(forwards: dict[str, Forward], rounds: int) -> dict[str, list[float]]:
    """Seconds of every forward, one per round, all of them in every round and in the opposite order every other time.

    Each runs twice in a row and the second is timed: its own weights are then in the cache, as in a sampling loop.
    """
    seconds: dict[str, list[float]] = {name: [] for name in forwards}
    for i in range(rounds):
        for name in list(forwards)[:: 1 if i % 2 else -1]:
            forwards[name]()
            began = time.perf_counter()
            forwards[name]()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def ratio(slow: list[float], fast: list[float]) -> dict[str, float | list[float]]:
    """How many times faster: of every round the ratio, of all rounds its median and quartiles; and best over best."""
    low, middle, high = quantiles([s / f for s, f in zip(slow, fast, strict=True)], n=4)
    best = min(slow) / min(fast)
    return {"median": round(middle, 3), "quartiles": [round(low, 3), round(high, 3)], "of the fastest": round(best, 3)}


def forwards_of(ours: ToyDiT, batch: int, plans: list[str]) -> dict[str, Forward]:
    """Every forward to time: ours, and diffusers' in both of its modes, under each plan."""
    theirs = ours.to_diffusers()
    channels = ours.config["in_channels"]
    x = torch.randn(batch, channels, FRAMES, SIDE, SIDE)
    tau, text = torch.rand(batch, FRAMES), torch.randn(batch, WORDS, SIZE["text_dim"])
    tokens_of_a_frame = SIDE * SIDE // 4
    steps = {"scalar": 1000 * tau[:, 0], "per token": 1000 * tau.repeat_interleave(tokens_of_a_frame, dim=1)}
    forwards: dict[str, Forward] = {}
    for plan in plans:
        a, b = (
            (ours, theirs)
            if plan == "eager"
            else (torch.compile(m, dynamic=False, fullgraph=True) for m in (ours, theirs))
        )
        forwards[f"{plan} ours"] = lambda a=a: a(x, tau, text)
        for mode in MODES:
            forwards[f"{plan} {mode}"] = lambda b=b, t=steps[mode]: b(x, t, text, return_dict=False)[0]
    return forwards


@torch.inference_mode()
def one_forward(channels: int, rounds: int, plans: list[str]) -> dict:
    """One forward of 144 tokens, batch 1 and batch 2 (guidance): both models, both modes, eager and compiled."""
    torch.manual_seed(0)
    ours = ToyDiT(**SIZE, in_channels=channels, out_channels=channels).eval()
    torch.nn.init.normal_(ours.proj_out.weight, std=0.1)  # it starts at 0, which would make everything agree
    result: dict = {"parameters": sum(p.numel() for p in ours.parameters()), "rounds": rounds}
    for batch in (1, 2):
        forwards = forwards_of(ours, batch, plans)
        same = [n for n in forwards if "scalar" not in n]  # the scalar mode has one timestep for all frames
        outputs = {n: forwards[n]() for n in same}
        apart = max((outputs[n] - outputs["eager ours"]).abs().max().item() for n in same)
        if not apart < SAME * outputs["eager ours"].std().item():
            raise ValueError(f"outputs differ by {apart:.2g}: what computes something else is not worth timing.")
        for warm in forwards.values():
            warm()
        seconds = paired(forwards, rounds)
        pairs = [
            (slow, fast, mode) for slow in plans for fast in plans for mode in MODES if slow == fast or fast != "eager"
        ]
        result[f"batch {batch}"] = {
            "largest difference of outputs": apart,
            "standard deviation of outputs": outputs["eager ours"].std().item(),
            "milliseconds, median": {n: round(1000 * median(s), 2) for n, s in seconds.items()},
            "times faster": {
                f"{fast} ours than {slow} {mode}": ratio(seconds[f"{slow} {mode}"], seconds[f"{fast} ours"])
                for slow, fast, mode in pairs
            },
        }
        sys.stderr.write(f"{channels} channels, batch {batch} done\n")
    return result


def seconds_of(job: Callable[[], object], times: int) -> dict[str, float]:
    """Median and range of wall seconds, after one run that does not count."""
    job()
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - began)
    return {"median": round(median(seconds), 3), "least": round(min(seconds), 3), "most": round(max(seconds), 3)}


@torch.no_grad()
def image_to_video(times: int = 15) -> dict:
    """Loading the shipped toy; from a picture to a clip in ten guided steps, decoded; and the codec alone."""
    model = small_models.load("mini-vta", device="cpu")
    clip = world.render(world.draw_scenes(1, 0, world.MINI))
    task = tasks.image_to_video(to_uint8(clip)[0, 0])
    latents = model.encode_video(clip)
    jobs: dict[str, Callable[[], object]] = {
        "load mini-vta": lambda: small_models.load("mini-vta", device="cpu"),
        "ten guided steps and decoding": lambda: generate(model, "a red ring moves up", task, steps=10, guidance=3.0),
        "decode 33 frames": lambda: model.decode(latents),
        "encode 33 frames": lambda: model.encode_video(clip),
    }
    return {"runs": times, "seconds": {name: seconds_of(job, times) for name, job in jobs.items()}}


def device() -> str:
    """The processor's name, as the system tells it, and its cores."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{name or platform.machine()}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"


def main(
    *,
    rounds: PositiveInt = 100,
    threads: PositiveInt = 2,
    channels: PositiveInt | list[PositiveInt] = 8,
    eager: bool = False,
    out: Path | None = None,
) -> None:
    """Seconds of the readable Wan on two cores, beside diffusers' with the same weights.

    A whole clip is timed too. Run it on an idle machine: on a busy one the threads wait for each other. Compiling needs
    a C++ compiler; without one only the eager numbers are measured.

    Args:
        rounds: number of rounds, in each of which every forward is timed once.
        threads: number of threads that torch uses.
        channels: latent channels, one number or several.
        eager: compile nothing.
        out: file of the results (default: benchmarks/results/toy_cpu.json).

    Raises:
        ValueError: the file cannot be written, or the two models' outputs differ.
    """
    out = check_writable(out or HERE / "results" / "toy_cpu.json", "--out")
    torch.set_num_threads(threads)
    missing = "Nothing was compiled: --eager." if eager else compiler_missing()
    plans = ["eager"] if missing else list(PLANS)
    load = os.getloadavg()[0]
    measured = {
        f"{z} channels": one_forward(z, rounds, plans) for z in (channels if isinstance(channels, list) else [channels])
    }
    result = {
        "command": line.get(),
        "date": date.today().isoformat(),
        "commit": subprocess.check_output(["git", "describe", "--always", "--dirty"], cwd=HERE, text=True).strip(),
        "device": device(),
        "threads": threads,
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "not set"),
        "load of the machine": {"before": round(load, 2), "after, ours included": round(os.getloadavg()[0], 2)},
        "python": platform.python_version(),
        "versions": {n: version(n) for n in ("torch", "diffusers")},
        "seed": 0,
        "torch.compile": missing or "works",
        "size": {**SIZE, "tokens": FRAMES * SIDE * SIDE // 4, "words": WORDS},
        "one forward": measured,
        "image to video": image_to_video(),
    }
    write_json(out, result)
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(cli.main(script=main))

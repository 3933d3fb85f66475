"""Schedules, timestep samplers and solvers against the same formulas written as plain loops: pusa-lab bench core"""

import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

from pusa_lab import cli, samplers, schedules
from pusa_lab.files import check_writable, write_json
from pusa_lab.progress import progress_bar
from pusa_lab.sampling_inputs import levels_of
from pusa_lab.schedules import SCHEDULES, timestep_samplers
from pusa_lab.solvers import SOLVERS
from small_models.machine import conditions

OUT = Path(__file__).parent / "results" / "core.json"
STEPS, FRAMES, SAMPLES = 50, 21, 10_000


def loop_pyramid(steps: int, frames: int, lag: int = 1) -> torch.Tensor:
    """S[r, i] = 1 - clip(r - i lag, 0, steps) / steps, entry by entry."""
    rows = steps + (frames - 1) * lag + 1
    return torch.tensor([[1 - min(max(r - i * lag, 0), steps) / steps for i in range(frames)] for r in range(rows)])


def loop_nondecreasing(samples: int, frames: int, levels: int, generator: torch.Generator) -> torch.Tensor:
    """The published procedure with its tables of path counts, one sample and one frame after the other."""
    ahead = torch.ones(levels, frames, dtype=torch.float64)  # ways from (t, f) to the end, scaled column by column
    for f in range(frames - 2, -1, -1):
        ahead[:, f] = ahead[:, f + 1].flip(0).cumsum(0).flip(0)
        ahead[:, f] /= ahead[:, f].max()
    behind = torch.ones(levels, frames, dtype=torch.float64)
    for f in range(1, frames):
        behind[:, f] = behind[:, f - 1].cumsum(0)
        behind[:, f] /= behind[:, f].max()
    out = torch.zeros(samples, frames)
    for sample in range(samples):
        pivot = int(torch.randint(frames, (1,), generator=generator))
        t = [0] * frames
        t[pivot] = int(torch.randint(levels, (1,), generator=generator))
        for f in range(pivot + 1, frames):
            t[f] = t[f - 1] + int(torch.multinomial(ahead[t[f - 1] :, f], 1, generator=generator))
        for f in range(pivot - 1, -1, -1):
            t[f] = int(torch.multinomial(behind[: t[f + 1] + 1, f], 1, generator=generator))
        out[sample] = torch.tensor(t) / levels
    return out


def seconds(call: Callable[[], Any], rounds: int) -> float:
    """Median of several calls after one that is not counted."""
    call()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return median(taken)


def solver_step(name: str, shape: tuple[int, ...], rounds: int) -> float:
    """Milliseconds that sampling down a pyramid takes per row, the denoiser costing nothing."""
    S = schedules.pyramid(STEPS, shape[2])
    x, v = torch.randn(shape), torch.randn(shape)
    taken = seconds(lambda: samplers.sample(lambda x, tau: v, x, S, name), rounds)
    return 1000 * taken / (len(S) - 1)


def main(*, out: Path | None = None, fast: bool = False) -> None:
    """Seconds of schedules, timestep samplers and solvers, beside plain loops.

    Writes for each the seconds of ours and of the loop in the same run, and their ratio. What a solver adds to a step
    is timed with a denoiser that only hands out a finished answer.

    Args:
        out: file of the results (default: benchmarks/results/core.json).
        fast: take fewer rounds and samples.

    Raises:
        ValueError: the file cannot be written.
    """
    out = check_writable(out or OUT, "--out")
    rounds, samples = (3, 100) if fast else (20, SAMPLES)
    few = min(samples, 200)  # the loop takes milliseconds a sample

    found: dict[str, Any] = conditions() | {"processor": platform.processor() or platform.machine(), "seed": 0}
    ours = seconds(lambda: schedules.pyramid(STEPS, FRAMES), rounds)
    loop = seconds(lambda: loop_pyramid(STEPS, FRAMES), rounds)
    assert torch.allclose(schedules.pyramid(STEPS, FRAMES), loop_pyramid(STEPS, FRAMES), atol=1e-6)
    found["pyramid, 50 steps of 21 frames"] = {"ours_ms": 1e3 * ours, "loop_ms": 1e3 * loop, "ratio": loop / ours}
    found["schedules, ms a row"] = {
        name: 1e3 * seconds(lambda make=make: make(STEPS, FRAMES), rounds) / (len(levels_of(make(STEPS, FRAMES))) - 1)
        for name, make in SCHEDULES.items()
    }
    g = torch.Generator().manual_seed(0)
    ours = seconds(lambda: timestep_samplers.nondecreasing()(samples, FRAMES, g), rounds)
    loop = seconds(lambda: loop_nondecreasing(few, FRAMES, 1000, g), 1) * samples / few
    found[f"nondecreasing, {samples:,} x {FRAMES} timesteps"] = {
        "ours_ms": 1e3 * ours,
        "loop_ms": 1e3 * loop,
        "ratio": loop / ours,
    }
    found["solvers, ms a row, latents 1 x 8 x 21 x 8 x 8"] = {
        name: solver_step(name, (1, 8, FRAMES, 8, 8), 3 if fast else 5)
        for name in progress_bar(SOLVERS, len(SOLVERS), "core", "solver")
    }
    write_json(out, found)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(cli.main(script=main))

"""Frames at rest that are not computed again, see `pusa_lab.resting`: what that saves, and what it costs.

pusa-lab bench resting --part mini            # a GPU, or a long time on a CPU
pusa-lab bench resting --part mini --small    # a few scenes, on two cores in less than two minutes
pusa-lab bench resting --part wan             # one H200, 14B; --small: a tiny one on a CPU, whose times mean nothing
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor
from wan_random import RANDOM, latents, measured, transformer

import small_models
from pusa_lab import cli
from pusa_lab.evaluation import KNOWN
from pusa_lab.files import check_writable, read_json, write_json
from pusa_lab.metrics import bootstrap, psnr
from pusa_lab.pixels import to_pixels, to_uint8
from pusa_lab.resting import Keeper, auto_refresh, computed_share, moving_frames, plan_steps
from pusa_lab.samplers import sample_steps
from pusa_lab.schedules import SCHEDULES
from small_models.evaluation.ways import EVAL_SEED, generate_from, parts
from small_models.machine import conditions
from small_models.models.toy import ToyModel
from small_models.world import MINI, captions, draw_scenes

Found = dict[str, Any]
OUT = Path(__file__).parent / "results" / "resting.json"
BATCH = {"cpu": 8, "cuda": 64}
TASKS = ("image_to_video", "start_end", "keyframes", "completion", "transition")
WAITING = ("autoregressive", "blockwise(lag={steps})", "staircase", "rolling", "blockwise", "pyramid", "trapezoid")


class Case(NamedTuple):
    """What is made: a task by a schedule."""

    task: str
    known: list[int]
    schedule: str = "synchronous"

    def levels(self, steps: int, frames: int) -> Tensor:
        """Noise levels (rows, frames), known frames at 0."""
        levels = SCHEDULES.find(self.schedule)(steps, frames)
        levels[:, self.known] = 0
        return levels


def mini_cases(small: bool, frames: int, steps: int) -> list[Case]:
    """Tasks and extensions of every length, all frames together; schedules in which frames wait for each other."""
    if small:
        return [Case("extension", [0, 1, 2, 3]), Case("extension", [0, 1, 2, 3], "autoregressive")]
    together = [Case(task, KNOWN[task](frames)) for task in TASKS]
    together += [Case("extension", list(range(known))) for known in range(2, frames)]
    pairs = [(name.format(steps=steps), known) for name in WAITING for known in ([0], [0, 1, 2, 3])]
    return together + [Case("extension" if len(known) > 1 else "image_to_video", known, name) for name, known in pairs]


def score(model: ToyModel, case: Case, refresh: Sequence[int], scenes: int, seed: int, options: dict[str, Any]) -> Any:
    """Of every refresh, for each scene: PSNR of the frames that were not given, and against refresh = 1; seconds."""
    found: dict[int, dict[str, list[float]]] = {n: {"psnr": [], "to exact": [], "seconds": []} for n in refresh}
    free = [p for i in range(model.geometry.frames) if i not in case.known for p in model.geometry.pixels_at(i)]
    drawn = draw_scenes(scenes, EVAL_SEED + 2, MINI)
    for some, clip, numbers in parts(drawn, model.geometry, model.device, BATCH[model.device.type]):
        truth, exact = to_uint8(clip), None
        made = partial(generate_from, model, captions(some, EVAL_SEED), truth, case.known, schedule=case.schedule)
        for n in refresh:
            result = made(refresh=n, seed=seed * 1_000_003 + int(numbers[0]), output="latents", **options)
            video = to_pixels(result.decode(model).video)
            exact = video if exact is None else exact
            found[n]["psnr"] += psnr(video, to_pixels(truth))[:, free].mean(1).tolist()
            found[n]["to exact"] += psnr(video, exact)[:, free].clamp(max=99).mean(1).tolist()
            found[n]["seconds"].append(result.seconds)
    return found


def mini(small: bool, scenes: int, refresh: list[int], steps: int, guidance: float, seed: int) -> Iterator[Found]:
    """Loss in dB and time of every case, against computing every frame at every call; yielded case by case."""
    model = small_models.load("mini-vta", device="cuda" if torch.cuda.is_available() else "cpu")
    rows, frames = [], model.geometry.frames
    for case in mini_cases(small, frames, steps):
        moving = moving_frames(case.levels(steps, frames))
        auto = auto_refresh(moving)
        every = sorted({1, auto or 1, *refresh})
        found = score(model, case, every, scenes, seed, {"steps": steps, "guidance": guidance})
        exact = found[1]
        rests = 1 - moving.double().mean().item()
        for n in every:
            loss = torch.tensor(exact["psnr"]) - torch.tensor(found[n]["psnr"])
            rows.append(
                {
                    **case._asdict(),
                    **{"at rest": round(rests, 3), "refresh": n, "auto": n == (auto or 1)},
                    "frames computed": round(computed_share(moving, n), 3),
                    "psnr_db": sum(found[n]["psnr"]) / scenes,
                    "loss_db": list(bootstrap(loss.double())),
                    "psnr_to_exact_db": sum(found[n]["to exact"]) / scenes,
                    "seconds": sum(found[n]["seconds"]),
                    "times faster": median(a / b for a, b in zip(exact["seconds"], found[n]["seconds"], strict=True)),
                }
            )
            sys.stderr.write(f"{json.dumps(rows[-1])}\n")
        yield {"model": "mini-vta", "scenes": scenes, "steps": steps, "guidance": guidance, "rows": rows}


def wan_cases(frames: int) -> dict[str, tuple[Case, slice]]:
    """What is sampled at 14B, and of which rows: every frame or block that the others wait for costs the same."""
    known = list(range((frames + 1) // 2))
    return {
        f"extension, {len(known)} of {frames} known": (Case("extension", known), slice(0, None)),
        "autoregressive, one frame": (Case("image_to_video", [0], "autoregressive"), slice(10, 21)),
        "blockwise, one block of 3": (Case("image_to_video", [0], "blockwise(lag=10)"), slice(10, 21)),
    }


def wan(small: bool, refresh: list[int], compiled: bool, seed: int) -> Iterator[Found]:
    """Seconds of the transformer in ten steps, one call a step, and GiB; yielded case by case."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(seed)
    model = transformer(device, tiny=small)
    x = latents(device, (32, 48), 17) if small else latents(device, (480, 832), 81)
    text = torch.randn(1, 512, model.config.text_dim, device=device, dtype=torch.bfloat16)
    if compiled:
        model.compile_repeated_blocks()

    def denoiser(x: Tensor, tau: Tensor, **kept: Any) -> Tensor:
        return model(x, 1000 * tau, text, return_dict=False, **kept)[0]

    found: Found = {"weights": RANDOM, "latents": list(x.shape), "compiled": compiled}
    for name, (case, rows) in wan_cases(x.shape[2]).items():
        levels = case.levels(10, x.shape[2])[rows]
        auto = auto_refresh(moving_frames(levels))
        runs = {n: partial(sampled, denoiser, x, levels, n) for n in sorted({1, auto or 1, *refresh})}
        found[name] = {"rows": len(levels) - 1, "auto": auto or 1, **paired(runs, moving_frames(levels))}
        sys.stderr.write(f"{name}: {json.dumps(found[name])}\n")
        yield found


def sampled(denoiser: Callable[..., Tensor], x: Tensor, levels: Tensor, refresh: int) -> Tensor:
    """Latents at the last of these rows."""
    keeper = Keeper(denoiser, plan_steps(moving_frames(levels), refresh))
    for state in sample_steps(keeper, x, levels, whole=False):
        keeper.begin(state.row)
    return state.x


def paired(runs: dict[int, Callable[[], Tensor]], moving: Tensor) -> dict[str, Any]:
    """Seconds, peak GiB and how far the latents are from the exact ones, after two runs of each that do not count.

    The second compiles what the first has shown to differ in shape.
    """
    outputs = {n: runs[n]() for n in (*runs, *runs)}
    found: dict[str, Any] = {}
    for n, run in runs.items():
        measured_: dict[str, Any] = {}
        with measured(measured_, "run"):
            run()
        apart = (outputs[n] - outputs[1]).float().norm() / outputs[1].float().norm()
        one = measured_["run"] | {"frames computed": computed_share(moving, n), "apart": apart.item()}
        found[f"refresh {n}"] = one | {"times faster": found["refresh 1"]["seconds"] / one["seconds"] if found else 1.0}
    return found


def main(
    *,
    part: Literal["mini", "wan"] = "mini",
    small: bool = False,
    scenes: PositiveInt | None = None,
    refresh: list[PositiveInt] | None = None,
    steps: PositiveInt = 10,
    guidance: PositiveFloat = 3.0,
    compiled: bool = False,
    seed: int = 5,
    out: Path | None = None,
) -> None:
    """Frames at rest that are not computed again: dB lost by mini, and seconds saved by mini or Wan-14B.

    Each part is written beside the other one, which stays as it is.

    Args:
        part: mini, on true clips of its world; or wan, at 14B with random weights, 480 x 832, 81 frames.
        small: of mini two cases and four scenes, on two cores in less than two minutes; of Wan a tiny one.
        scenes: true clips (default 256, or 4 with --small).
        refresh: rows after which frames at rest are computed again, beside 1 and what auto chooses (default
            [2, 3, 4, 5, 10], or [5] with --small).
        steps: of each frame, for mini.
        guidance: scale of text guidance, for mini.
        compiled: whether Wan's blocks are compiled.
        seed: of the noise, and of random weights.
        out: file of the results (default: benchmarks/results/resting.json).

    Raises:
        ValueError: the file cannot be written.
    """
    out = check_writable(out or OUT, "--out")
    every = refresh or ([5] if small else [2, 3, 4, 5, 10])
    began = time.perf_counter()
    other = {name: one for name, one in (read_json(out, "results") if out.exists() else {}).items() if name != part}
    if part == "mini":
        found = mini(small, scenes or (4 if small else 256), every, steps, guidance, seed)
    else:
        found = wan(small, every, compiled, seed)
    for so_far in found:
        about = conditions() | {"seed": seed, "total_seconds": round(time.perf_counter() - began, 1), "done": False}
        write_json(out, other | {part: about | so_far})
    write_json(out, other | {part: about | so_far | {"done": True}})


if __name__ == "__main__":
    sys.exit(cli.main(script=main))

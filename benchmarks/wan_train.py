"""Time LoRA training of Wan2.1-T2V-14B with one clock per frame, every step of the way from the plain way to the fast.

    bash benchmarks/wan_train.sh one                # one H200 or H100, about 9 minutes
    bash benchmarks/wan_train.sh four               # four of them, about 8 minutes
    python benchmarks/wan_train.py --mode tiny      # the same code on a CPU; its times mean nothing

One sample is one clip of 81 frames, rank 512, AdamW, random weights. `--layers N` measures N of 40 blocks at full width
and multiplies by 40 / N. Rows go to OUT/wan_train.json as they come.
"""

import argparse
import gc
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from wan_random import SIZES, Log, latents, transformer
from wan_train_parts import full, overfit, scaling

from pusa_lab.losses import fafm_frame_loss
from pusa_lab.training.float8 import to_float8
from pusa_lab.training.lora import WAN_LAYERS, add_lora
from pusa_lab.training.recompute import keep_plan, set_recompute
from small_models.machine import device_name, versions

LAYERS = 40
SPARE = 4.0
"""GiB that the choice of what to keep leaves free."""


@dataclass(frozen=True)
class Way:
    """One way to do a step."""

    name: str
    compiled: bool = False
    cudnn: bool = False
    keep: str = "input"
    float8: bool = False


WAYS = [
    Way("eager, full checkpointing"),
    Way("eager, cuDNN attention", cudnn=True),
    Way("compiled, cuDNN attention", True, True),
    Way("compiled, cuDNN attention, attention kept", True, True, "attention"),
    Way("compiled, cuDNN attention, float8", True, True, "attention", True),
    Way("compiled, full checkpointing", True),
    Way("compiled, cuDNN attention, everything kept", True, True, "everything"),
]


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", default="steps", choices=["steps", "best", "scaling", "full", "overfit", "tiny"])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--size", nargs="+", default=["480p"], choices=list(SIZES))
    parser.add_argument("--layers", type=int, default=LAYERS, help="blocks of 40 that are measured")
    parser.add_argument(
        "--ways", nargs="+", type=int, default=list(range(len(WAYS))), help="which of the ways, in order"
    )
    parser.add_argument("--attention", type=int, default=-1, help="blocks that keep attention; -1 fits them to memory")
    parser.add_argument("--rank", type=int, default=512)
    parser.add_argument("--steps", type=int, default=3, help="timed, after one to warm up")
    parser.add_argument("--seconds", type=float, default=240, help="after which nothing new is begun")
    parser.add_argument("--tag", default="", help="goes into the file's name")
    args = parser.parse_args()
    args.tiny = args.mode == "tiny"
    if args.tiny:
        args.layers, args.rank, args.steps = 3, 4, 1
    return args


class Step:
    """A LoRA training step: model, optimizer, one clip."""

    def __init__(self, args: argparse.Namespace, size: tuple[int, int], way: Way, keeps: list[str]):
        device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.manual_seed(0)
        wide = {"attention_head_dim": 16, "ffn_dim": 64} if args.tiny else {}  # 8 bits want multiples of 16
        self.model = transformer(device, tiny=args.tiny, num_layers=args.layers, **wide)
        with torch.device(device):
            add_lora(self.model, args.rank, WAN_LAYERS)
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        for name, p in self.model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(p, std=1e-3)  # at zero, A would have no gradient and errors would hide
        if way.float8:
            to_float8(self.model)
        if way.cudnn and device == "cuda":
            self.model.set_attention_backend("_native_cudnn")
        set_recompute(self.model, keeps, way.compiled and device == "cuda")
        self.optimizer = torch.optim.AdamW(self.trained, 1e-5, fused=True)
        g = torch.Generator().manual_seed(1)
        self.x0 = latents(device, size, 81).float()
        self.text = torch.randn(1, 512, self.model.config.text_dim, generator=g).to(device, torch.bfloat16)
        self.tau = torch.rand(1, self.x0.shape[2], generator=g).to(device)
        self.eps = torch.randn(self.x0.shape, generator=g).to(device)

    def denoise(self, x: torch.Tensor, tau: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """The velocity."""
        return self.model(x.to(text.dtype), 1000 * tau, text, return_dict=False)[0]

    def gradients(self) -> float:
        """Forward and backward; the loss."""
        loss = fafm_frame_loss(self.denoise, self.x0, self.tau, self.eps, text=self.text).mean()
        loss.backward()
        return loss.item()

    def __call__(self) -> float:
        """One whole step."""
        loss = self.gradients()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def petaflop(self) -> float:
        """Three forwards, without what is computed again and without the LoRA."""
        c, n = self.model.config, self.x0[0, 0].numel() // 4
        d = c.num_attention_heads * c.attention_head_dim
        linear = 2 * n * (6 * d * d + 2 * d * c.ffn_dim) + 2 * 512 * 2 * d * d
        return 3 * c.num_layers * (linear + 4 * n * d * (n + 512)) / 1e15


def clip(args: argparse.Namespace, size: str) -> tuple[int, int]:
    """Height and width."""
    return (64, 64) if args.tiny else SIZES[size]


def free() -> None:
    """Give memory back between ways."""
    gc.collect()
    torch.compiler.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def timed(step: Callable[[], float], count: int, end: float) -> tuple[list[float], list[float], float]:
    """Seconds and losses of some steps after a first one, and what the first one took."""
    seconds, losses = [], []
    for _ in range(count + 1):
        began = time.perf_counter()
        losses.append(step())
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
        if time.perf_counter() > end and len(seconds) > 1:
            break
    return seconds[1:], losses, seconds[0]


def peak() -> float:
    """GiB."""
    return round(torch.cuda.max_memory_allocated() / 2**30, 2) if torch.cuda.is_available() else 0.0


def measure(args: argparse.Namespace, size: str, way: Way, keeps: list[str], end: float) -> dict[str, Any]:
    """One row."""
    free()
    row: dict[str, Any] = {"size": list(clip(args, size)), "frames": 81, "variant": way.name}
    row["model"] = "tiny" if args.tiny else "wan2.1-14b"
    counts = {name: keeps.count(name) for name in dict.fromkeys(keeps)}
    whole = "full" if counts == {"input": len(keeps)} else ", ".join(f"{k} kept: {n}" for k, n in counts.items())
    row |= {
        "checkpointing": whole,
        "compile": way.compiled and torch.cuda.is_available(),
        "precision": "float8" if way.float8 else "bfloat16",
    }
    row |= {"attention": "cudnn" if way.cudnn else "torch's choice", "layers": args.layers, "rank": args.rank}
    step = Step(args, clip(args, size), way, keeps)
    seconds, losses, first = timed(step, args.steps, end)
    each = median(seconds) * (LAYERS / args.layers if not args.tiny else 1)
    flop = step.petaflop() * 1e3 * (LAYERS / args.layers if not args.tiny else 1)
    row |= {"seconds_per_sample": round(each, 3), "measured_seconds": seconds, "first_step_seconds": round(first, 1)}
    row |= {"peak_gib": peak(), "tflops": round(flop / each, 1), "losses": losses}
    note = f"{args.layers} of {LAYERS} blocks, seconds times {LAYERS / args.layers:g}; the peak is of the part"
    row |= {"note": "measured whole" if args.layers == LAYERS else note}
    row |= {"device": device_name(), "versions": versions(), "seed": 0, "command": " ".join(sys.argv)}
    if way.float8:
        row["against bfloat16"] = float8_error(args, size, way, keeps, step)
    return row


def float8_error(args: argparse.Namespace, size: str, way: Way, keeps: list[str], eight: Step) -> dict[str, float]:
    """Relative error of the loss and of all LoRA gradients together, at the first step's weights, eager."""
    del eight
    found = []
    for float8 in (False, True):
        free()
        one = Step(args, clip(args, size), Way("", False, way.cudnn, "", float8), keeps)
        loss = one.gradients()
        found.append((loss, torch.cat([p.grad.flatten() for p in one.trained if p.grad is not None]).cpu()))
        del one
    (loss, g), (loss8, g8) = found
    cosine = torch.nn.functional.cosine_similarity(g, g8, dim=0).item()
    return {"loss": abs(loss8 / loss - 1), "gradients": ((g8 - g).norm() / g.norm()).item(), "cosine": cosine}


def choose(args: argparse.Namespace, size: str) -> int:
    """How many of the blocks may keep their attention, from memory: measured on 4 blocks, the rest counted."""
    small = argparse.Namespace(**{**vars(args), "layers": 4, "steps": 1})
    part = measure(small, size, WAYS[2], keep_plan(4), 0.0)["peak_gib"]
    free()
    tokens, d = 21 * SIZES[size][0] * SIZES[size][1] // 256, 5120
    block = 8 * d * d + 2 * d * 13824
    lora = args.rank * (16 * d + 2 * (d + 13824))
    each = (2 * block + 16 * lora + 2 * tokens * d) / 2**30
    room = torch.cuda.mem_get_info()[0] / 2**30 - SPARE - part - (LAYERS - 4) * each
    return max(0, min(LAYERS, int(room / (2 * tokens * d / 2**30))))


def steps(args: argparse.Namespace, add: Callable[[dict[str, Any]], None], end: float) -> None:
    """Every way at every size."""
    for size in args.size:
        for number in args.ways:
            way = WAYS[number]
            if time.perf_counter() < end:
                keeps = [way.keep] * args.layers
                tried(f"{size} {way.name}", lambda s=size, w=way, k=keeps: add(measure(args, s, w, k, end)))


def best(args: argparse.Namespace, add: Callable[[dict[str, Any]], None], end: float) -> None:
    """All blocks, the best way, as many keeping attention as memory has room for; fewer if that was too many."""
    for size in args.size:
        count = args.attention if args.attention >= 0 else choose(args, size)
        for attention in dict.fromkeys((count, count * 3 // 4, 0)):
            keeps = keep_plan(args.layers, min(attention, args.layers))
            way = WAYS[args.ways[0]] if len(args.ways) == 1 else WAYS[3]
            if tried(f"{size} best, {attention}", lambda s=size, w=way, k=keeps: add(measure(args, s, w, k, end))):
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
        rows.append(row)
        if rank == 0:
            log["rows"] = rows
            sys.stdout.write(f"{row}\n")
            sys.stdout.flush()

    modes = {"steps": steps, "best": best, "scaling": scaling, "full": full, "overfit": overfit}
    wanted = [steps, scaling, full, overfit] if args.tiny else [modes[args.mode]]
    for mode in wanted:
        mode(args, add, end)


if __name__ == "__main__":
    main()

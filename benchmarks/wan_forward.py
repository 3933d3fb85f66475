"""One forward of Wan2.1-T2V-14B.

pusa-lab bench wan_forward                     # one H200 or H100, about 11 minutes: --until 900
pusa-lab bench wan_forward --part attention    # kinds of attention alone, about 5 minutes
pusa-lab bench wan_forward --part float8       # float8 beside bf16, about 5 minutes
pusa-lab bench wan_forward --tiny              # the same code on a CPU, in seconds; its times mean nothing
"""

import gc
import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch
from jsonargparse.typing import PositiveFloat
from torch.profiler import ProfilerActivity, profile
from wan_attention import agreement, alone, kinds_of_attention, relative
from wan_random import SIZES, Log, latents, measured, transformer

from pusa_lab import cli
from pusa_lab.files import check_writable
from pusa_lab.wan.attention import set_attention
from pusa_lab.wan.precision import large_linears, use_float8
from pusa_lab.wan.precision_errors import float8_errors

FRAMES = 81
KINDS = {"matmul": ("gemm", "nvjet", "cutlass", "addmm"), "attention": ("flash", "fmha", "attention", "sdpa", "cudnn")}


class Bench:
    """One model, its inputs at one size, and the ways to call it."""

    def __init__(self, model: Any, size: tuple[int, int], frames: int, device: str):
        self.model = model
        self.x = latents(device, size, frames)
        g = torch.Generator().manual_seed(1)
        self.text = torch.randn(1, 512, model.config.text_dim, generator=g).to(device, torch.bfloat16)
        f = self.x.shape[2]
        vector = 1000 * torch.rand(1, f, generator=g)
        self.tau = {
            "scalar": torch.tensor([700.0], device=device),
            "constant vector": torch.full((1, f), 700.0, device=device),
            "per frame": vector.to(device),
            "per token": vector.repeat_interleave(self.x[0, 0, 0].numel() // 4, dim=1).to(device),
        }

    @torch.no_grad()
    def __call__(self, kind: str) -> torch.Tensor:
        """One forward with the timesteps of that name."""
        return self.model(self.x, self.tau[kind], self.text, return_dict=False)[0]

    def rounds(self, kinds: list[str], count: int) -> dict[str, Any]:
        """Median seconds and highest memory of each, all of them in every round, the order turned every other time."""
        return self.compared({kind: ("", kind) for kind in kinds}, count)

    def attentions(self, kinds: list[str], count: int) -> dict[str, Any]:
        """The same of kinds of attention, with one timestep per frame, and how far outputs are from the first one's."""
        ways, outputs, failed = {kind: (kind, "per frame") for kind in kinds}, {}, {}
        for kind in kinds:
            try:
                outputs[kind] = self.asked(*ways[kind])
            except Exception as error:  # the others go on
                failed[kind] = failure(error)
        found = self.compared({kind: ways[kind] for kind in outputs}, count)
        for kind, out in outputs.items():
            found[kind][f"output apart from {kinds[0]}"] = relative(out, outputs[kinds[0]])
        return found | failed

    def asked(self, attention: str, kind: str) -> torch.Tensor:
        """One forward with the timesteps of that name and this attention; "" leaves the model's."""
        self.switch(attention)
        return self(kind)

    def switch(self, attention: str) -> None:
        """Let the model compute with this attention from now on; "" leaves it."""
        if attention:
            set_attention(self.model, attention)

    def compared(self, ways: dict[str, tuple[str, str]], count: int) -> dict[str, Any]:
        """`rounds` of ways (attention, timesteps)."""
        found: dict[str, list[dict[str, float]]] = defaultdict(list)
        for way in ways.values():
            self.asked(*way)
        for i in range(count):
            for name in list(ways)[:: 1 if i % 2 else -1]:
                attention, kind = ways[name]
                self.switch(attention)
                one: dict[str, Any] = {}
                with measured(one, name):
                    self(kind)
                found[name].append(one[name])
        return {
            name: {
                "seconds": median(one["seconds"] for one in all_),
                "rounds": [one["seconds"] for one in all_],
                "peak_gib": max(one.get("peak_gib", 0) for one in all_),
            }
            for name, all_ in found.items()
        }


def failure(error: Exception) -> str:
    """What is written down of it."""
    return f"failed: {type(error).__name__}: {str(error)[:300]}"


def ceiling(device: str, n: int) -> float:
    """TFLOP/s of a bf16 matrix product n x n x n on random data."""
    a, b = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(20):
        one: dict[str, Any] = {}
        with measured(one, "product"):
            a @ b
        seconds.append(max(one["product"]["seconds"], 1e-9))
    return 2 * n**3 / median(seconds[5:]) / 1e12


def flops(model: Any, tokens: int) -> dict[str, float]:
    """Of one forward, in 10^15: linears (self, cross and feed-forward), and attention's two products."""
    d, c = model.config.num_attention_heads * model.config.attention_head_dim, model.config
    linear = 2 * tokens * (6 * d * d + 2 * d * c.ffn_dim) + 2 * 512 * 2 * d * d
    attention = 4 * tokens * d * (tokens + 512)
    return {"matmul": c.num_layers * linear / 1e15, "attention": c.num_layers * attention / 1e15}


def where(bench: Bench) -> dict[str, float]:
    """Seconds of one per-frame forward by kind of kernel."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as trace:
        bench("per frame")
        torch.cuda.synchronize()
    found: dict[str, float] = defaultdict(float)
    for event in trace.key_averages():
        if str(event.device_type).endswith("CUDA"):
            name = event.key.lower()
            # attention first: its kernels too are built of matrix products
            kind = next((k for k in ("attention", "matmul") if any(w in name for w in KINDS[k])), "other")
            found[kind] += event.self_device_time_total / 1e6
    return {kind: round(seconds, 3) for kind, seconds in found.items()}


def accuracy(device: str, tiny: bool, size: tuple[int, int], frames: int) -> dict[str, float]:
    """Relative error (root of mean squares) on the first layers of the same model: bf16, compiled, per token."""
    layers = 2 if tiny else 4
    torch.manual_seed(0)
    exact = transformer(device, torch.float32, tiny, num_layers=layers)
    torch.manual_seed(0)
    model = transformer(device, torch.bfloat16, tiny, num_layers=layers)
    model.load_state_dict(exact.state_dict())
    # the bf16 weights are the reference's, so that only the arithmetic differs
    exact.load_state_dict({k: v.float() for k, v in model.state_dict().items()})
    bench = Bench(model, size, frames, device)
    want = Bench(exact, size, frames, device)
    want.x, want.text = bench.x.float(), bench.text.float()
    reference = want("per frame")
    rms = lambda x: x.float().square().mean().sqrt().item()  # noqa: E731

    eager = bench("per frame")
    scalar = bench("scalar")
    found = {
        "bf16 eager against float32": rms(eager - reference) / rms(reference),
        "bf16 per token against bf16 per frame": rms(bench("per token") - eager) / rms(eager),
        "bf16 constant vector against bf16 scalar": rms(bench("constant vector") - scalar) / rms(scalar),
        "float32 constant vector against float32 scalar": rms(want("constant vector") - want("scalar"))
        / rms(want("scalar")),
        "float32 per token against float32 per frame": rms(want("per token") - reference) / rms(reference),
    }
    if not tiny:
        model.compile_repeated_blocks(fullgraph=True, dynamic=False)
        compiled = bench("per frame")
        found["bf16 compiled against float32"] = rms(compiled - reference) / rms(reference)
        found["bf16 compiled against bf16 eager"] = rms(compiled - eager) / rms(eager)
    return found


def by_torchao(model: Any) -> None:
    """The same layers in float8 by torchao."""
    from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, PerRow, quantize_

    config, chosen = Float8DynamicActivationFloat8WeightConfig(granularity=PerRow()), set(large_linears(model))
    quantize_(model, config, filter_fn=lambda layer, path: path in chosen)


def stored(model: Any) -> None:
    """Weights in float8 without scales, computed in bf16."""
    model.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.bfloat16)


def float8_rows(may: Callable[..., None], device: str, tiny: bool, sizes: dict[str, Any], frames: int) -> None:
    """One model in bf16 and with its large layers in float8, by us and by torchao where it is installed, compiled."""

    def made(change: Callable[[Any], None] | None = None, attention: str = "native", eager: bool = False) -> dict:
        gc.collect()
        torch.compiler.reset()
        torch.manual_seed(0)
        model = transformer(device, tiny=tiny)
        if change:
            change(model)
        set_attention(model, attention)
        if device == "cuda" and not eager:
            model.compile_repeated_blocks(fullgraph=True, dynamic=False)
        return {name: Bench(model, size, frames, device) for name, size in sizes.items()}

    def row(bench: Bench, name: str, count: int) -> dict[str, Any]:
        found = bench.rounds(["per frame"], count)["per frame"]
        found |= {"relative difference from bf16": relative(bench("per frame").cpu(), want[name])}
        return found | ({"seconds by kind of kernel": where(bench)} if device == "cuda" else {})

    def errors(bench: Bench) -> dict[str, Any]:
        found = float8_errors(bench.model, bench.x, bench.tau["per frame"], bench.text)
        return {"output": found.output, "layers": found.kinds}

    benches = made(eager=True)
    kinds, _ = kinds_of_attention(device, benches["480p"].model.config.attention_head_dim)
    may("480p float8, relative errors", 20, partial(errors, benches["480p"]))
    want = {name: bench("per frame").cpu() for name, bench in benches.items()}
    ways = {"bf16": (None, "native"), "float8": (use_float8, "native")}
    if "fa4" in kinds:
        ways |= {"bf16 and fa4": (None, "fa4"), "float8 and fa4": (use_float8, "fa4")}
    for name, way in ways.items():
        benches.clear()  # before the next model is made
        benches = made(*way)
        may(f"480p {name}, paired", 45, partial(row, benches["480p"], "480p", 3))
        may(f"720p {name}, paired", 70, partial(row, benches["720p"], "720p", 2))
    benches.clear()
    for name, change in (("float8", use_float8), ("float8-storage", stored)):
        may(f"480p {name}, eager", 20, lambda change=change: row(made(change, eager=True)["480p"], "480p", 2))
    if device == "cuda" and find_spec("torchao") is not None:
        may("480p float8 by torchao, paired", 60, lambda: row(made(by_torchao)["480p"], "480p", 3))


def main(
    *,
    out: Path | None = None,
    part: Literal["all", "attention", "float8"] = "all",
    tiny: bool = False,
    until: PositiveFloat = 540,
    only: str = "",
) -> None:
    """Seconds of one forward of Wan-14B: one timestep for all frames, one per frame, one per token.

    All are measured in one run, the most important first, and the results are written after every measurement.

    Args:
        out: file of the results (default: benchmarks/results/wan_forward.json).
        part: all, or the kinds of attention alone, or float8 and bf16 beside it.
        tiny: take a tiny model and clip.
        until: seconds after which nothing new is begun.
        only: measure only rows whose name contains this text.

    Raises:
        ValueError: the file cannot be written.
    """
    out = check_writable(out or Path(__file__).parent / "results" / "wan_forward.json", "--out")
    began = time.perf_counter()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sizes = {"480p": (32, 64), "720p": (48, 64)} if tiny else SIZES
    frames = 9 if tiny else FRAMES
    log = Log(out)
    torch.backends.cuda.matmul.allow_tf32 = False

    def may(name: str, seconds: float, do: Callable[[], Any]) -> None:
        """Do it, if it will end in time; a failure is written down and the rest goes on."""
        if only not in name:
            return
        if time.perf_counter() - began + seconds > until:
            log[name] = "left out: no time"
            return
        try:
            log[name] = do()
        except Exception as error:
            log[name] = failure(error)

    if part == "float8":
        float8_rows(may, device, tiny, sizes, frames)
        log["done"] = True
        return
    may("matmul_ceiling_tflops", 2, lambda: ceiling(device, 256 if tiny else 8192))
    if part == "all":
        may("accuracy_4_layers", 30, lambda: accuracy(device, tiny, sizes["480p"], frames))
    torch.compiler.reset()
    gc.collect()  # else the small models stay in memory, and in the peaks
    torch.manual_seed(0)
    model = transformer(device, tiny=tiny)
    log["parameters"] = sum(p.numel() for p in model.parameters())
    benches = {name: Bench(model, size, frames, device) for name, size in sizes.items()}
    tokens = {name: math.prod(b.x.shape[2:]) // 4 for name, b in benches.items()}
    log["tokens"], log["petaflop"] = tokens, {name: flops(model, n) for name, n in tokens.items()}
    same = lambda b: bool(torch.equal(b("constant vector"), b("scalar")))  # noqa: E731
    kinds, log["attention that cannot run here"] = kinds_of_attention(device, model.config.attention_head_dim)
    if part == "all":
        eager = ["scalar", "per frame", "per token"]
        may("480p eager", 45, lambda: benches["480p"].rounds(eager, 3))
        may("480p constant vector equals scalar bit for bit", 7, lambda: same(benches["480p"]))
        if device == "cuda":
            may("480p eager, seconds by kind of kernel", 8, lambda: where(benches["480p"]))
        may("720p eager", 115, lambda: benches["720p"].rounds(eager, 2))
    may("attention against float32", 40, lambda: agreement(kinds, device, tiny))
    for size in benches:
        may(f"{size} attention alone, milliseconds", 25, lambda size=size: alone(model, tokens[size], device))
    if device == "cuda":
        model.compile_repeated_blocks(fullgraph=True, dynamic=False)
    if device == "cuda" and part == "all":
        may("480p compiled", 60, lambda: benches["480p"].rounds(["scalar", "per frame"], 3))
        may("480p compiled, seconds by kind of kernel", 8, lambda: where(benches["480p"]))
    how = "compiled" if device == "cuda" else "eager"
    for size, seconds in {"480p": 90, "720p": 160}.items():
        torch.compiler.reset()  # each kind of attention is a graph of its own
        name = f"{size} {how}, kinds of attention"
        may(name, seconds, lambda size=size: benches[size].attentions(kinds, 3 if size == "480p" else 2))
        if device == "cuda" and size == "480p":  # while it is compiled
            benches[size].switch(kinds[-1])
            may(f"{name}, seconds by kind of kernel of {kinds[-1]}", 8, lambda: where(benches["480p"]))
    if isinstance(found := log.found.get("720p compiled, kinds of attention"), dict):
        log["720p compiled"] = {"per frame": found["native"]}
    if part == "all" and time.perf_counter() - began < until:
        model = None
        benches.clear()  # before the next model is made
        float8_rows(may, device, tiny, sizes, frames)
    log["done"] = True


if __name__ == "__main__":
    sys.exit(cli.main(script=main))

"""Memory, time and money before anything is loaded: `plan("wan2.1-14b", "720p", gpu="rtx4090")` says what will happen.

Time and activations are calibrated on `MEASURED`; training's are counted from the code and lean on no measurement.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.wan.plan_costs import forward_flops, seconds, stages
from pusa_lab.wan.plan_settings import Settings, _settle
from pusa_lab.wan.plan_tables import GPUS


@dataclass(frozen=True)
class Advice:
    """A change that makes it fit, and what it then costs."""

    changes: dict[str, Any]
    """Arguments of `plan` to change."""
    peak: float
    """GiB then."""
    seconds: float
    """In all, then."""
    money: float
    """US dollars then."""

    def __str__(self) -> str:
        """In one line, as arguments."""
        words = ", ".join(f"{name}={value!r}" for name, value in self.changes.items() if value is not None)
        return f"{words} ({self.peak:.1f} GiB, {_duration(self.seconds)}, ${self.money:.2f})"


@dataclass(frozen=True)
class Plan:
    """What one run takes on each GPU. Print it for a table."""

    settings: Settings
    """What was asked."""
    tokens: int
    """The transformer's, for all videos of a batch."""
    parameters: int
    """Of one transformer; each expert has as many."""
    lora_parameters: int
    """Trained beside it; 0 unless the mode is lora."""
    flops: dict[str, float]
    """Of one forward, by part."""
    calls: int
    """Forwards of the transformer; training steps where it is trained."""
    seconds: dict[str, float]
    """By part; `forward` is one of `calls`, `total` is everything."""
    memory: dict[str, float]
    """GiB by part at the stage that takes the most."""
    stage: str
    """That stage."""
    peak: float
    """GiB at that stage."""
    capacity: float
    """GiB that the GPU has."""
    fits: bool
    """Whether the peak is within it. Fragments cost a few percent more: leave room."""
    money: float
    """US dollars for all GPUs together."""
    advice: tuple[Advice, ...] = ()
    """What would make it fit, the fastest first, another GPU last; empty where it fits or nothing here helps."""

    def __str__(self) -> str:
        """The table."""
        s, fits = self.settings, "yes" if self.fits else "NO"
        adapter = f" + {self.lora_parameters:,} of a LoRA of rank {s.rank}" if self.lora_parameters else ""
        calls = f"{s.steps} steps, guidance {s.guidance:g}" if s.mode == "sample" else "training steps"
        rows = {
            "run": f"{_what(s)}: {s.mode}, batch {s.batch} on {s.gpus} x {s.gpu}, offload {s.offload}",
            "tokens": f"{self.tokens:,}",
            "parameters": f"{self.parameters:,} x {s.config.experts} in {s.dtype}{adapter}",
            "FLOPs": f"{sum(self.flops.values()):.3g} a forward ({_parts(self.flops, '.3g')})",
            "calls": f"{self.calls} ({calls})",
            "time": f"{_duration(self.seconds['total'])} ({_parts(self.seconds, ',.2f')} s)",
            "memory": f"{self.peak:.1f} GiB while {self.stage} ({_parts(self.memory, '.1f')})",
            "fits": f"{fits}: each {s.gpu} has {self.capacity:g} GiB",
            "money": f"${self.money:.2f} at ${s.price:g} per GPU and hour",
        }
        lines = [f"{name:<12}{text}" for name, text in rows.items()]
        return "\n".join(lines + [f"{'to fit':<12}{advice}" for advice in self.advice])


@checked
def plan(
    model: str = "wan2.1-14b",
    size: str | tuple[int, int] = "720p",
    *,
    frames: int | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    dtype: str | None = None,
    offload: str = "none",
    gpu: str = "h200",
    mode: str = "sample",
    rank: int | None = None,
    batch: int = 1,
    compiled: bool = False,
    cached_prompts: bool = False,
    price: float | None = None,
    gpus: int = 1,
) -> Plan:
    """Memory, time and money of sampling or training with one clock per frame; nothing is loaded.

    seconds = FLOPs / (peak of the GPU * efficiency measured), GiB = weights + activations measured per token

    Args:
        model: name in WAN_CONFIGS.
        size: "480p", "720p", or height and width in pixels: multiples of 16, for wan2.2-5b of 32.
        frames: pixel frames, 1 + 4k; None is the model's own: 81, for wan2.2-5b 121.
        steps: of sampling, or of the optimizer; None is the paper's: 10, in training 900.
        guidance: scale of text guidance, 1 or more; 1 is none and halves the calls. None is 3, in training nothing.
        dtype: of the transformer's weights: bfloat16, float16, or float8 (stored so, computed in 16 bits). None is
            bfloat16, or float16 where the GPU has none, as in `WanModel.from_pretrained`.
        offload: name in OFFLOADS: none, model or group; in training none or checkpoints.
        gpu: name in GPUS.
        mode: "sample", "lora" or "full" (all weights); training expects encoded videos and captions.
        rank: of the LoRA that is trained, on all linears of attention and feed-forward; None is 512. Only in mode lora.
        batch: videos at a time on each GPU.
        compiled: whether the blocks are compiled; changes time and the memory of sampling.
        cached_prompts: whether captions are encoded already, so that no text encoder is loaded; only in mode sample.
        price: US dollars per GPU and hour; None is the rough one of GPUS.
        gpus: in sampling each makes its own videos; training splits gradients and optimizer over them (ZeRO-2).

    Raises:
        ValueError: a name is unknown, a number is out of range, two of them exclude each other, or the mode has no use
            for one.
    """
    settings = _settle(locals())
    found = _estimate(settings)
    return found if found.fits else replace(found, advice=_advice(settings))


@checked
def require_fit(plan: Plan) -> None:
    """Stop before anything is loaded.

    Args:
        plan: of what is about to run.

    Raises:
        ValueError: it does not fit, with what would.
    """
    if plan.fits:
        return
    s = plan.settings
    helps = " or ".join(str(advice) for advice in plan.advice) or "a smaller size or fewer frames"
    raise ValueError(
        f"{_what(s)}, needs {plan.peak:.1f} GiB while {plan.stage}, and one {s.gpu} has {plan.capacity:g} GiB: "
        f"use {helps}."
    )


def _estimate(s: Settings) -> Plan:
    spans, by_stage = seconds(s), stages(s)
    stage = max(by_stage, key=lambda name: sum(by_stage[name].values()))
    peak = sum(by_stage[stage].values())
    return Plan(
        settings=s,
        tokens=s.tokens,
        parameters=s.config.parameters,
        lora_parameters=s.config.lora_parameters(s.rank or 0) if s.mode == "lora" else 0,
        flops=forward_flops(s),
        calls=s.calls,
        seconds=spans,
        memory=by_stage[stage],
        stage=stage,
        peak=peak,
        capacity=s.card.memory,
        fits=peak <= s.card.memory,
        money=s.price * s.gpus * spans["total"] / 3600,
    )


def _advice(s: Settings) -> tuple[Advice, ...]:
    """The smallest sets of changes that fit, of each size the four fastest, and the smallest GPU that fits as it is."""
    options = list(_changes(s))
    found: list[Advice] = []
    for count in range(1, len(options) + 1):
        sets = [dict(chosen) for chosen in combinations(options, count) if len(dict(chosen)) == count]
        if found := [advice for changes in sets if (advice := _try(s, changes))]:
            break
    found = sorted(found, key=lambda advice: advice.seconds)[:4]
    larger = sorted((card.memory, card.price, name) for name, card in GPUS.items() if card.memory > s.card.memory)
    cards = [advice for *_, name in larger if (advice := _try(s, {"gpu": name, "price": None}))]
    return (*found, *cards[:1])


def _try(s: Settings, changes: dict[str, Any]) -> Advice | None:
    then = _estimate(_settle({**asdict(s), **changes}))
    return Advice(changes, then.peak, then.seconds["total"], then.money) if then.fits else None


def _changes(s: Settings) -> Iterator[tuple[str, Any]]:
    """Single changes that take less memory than what was asked."""
    if s.mode == "sample":
        options: list[tuple[str, Any]] = [("offload", "model"), ("offload", "group"), ("cached_prompts", True)]
    else:
        options = [("offload", "checkpoints"), *(("gpus", n) for n in (8, 32) if n > s.gpus)]
    if s.mode == "lora":
        options.append(("rank", max(1, (s.rank or 1) // 4)))
    if s.mode == "full":
        options.append(("mode", "lora"))
    else:
        options.append(("dtype", "float8"))
    small = _settle({**asdict(s), "size": "480p"})
    if small.tokens < s.tokens:
        options.append(("size", "480p"))
    options += [("frames", 1 + 4 * ((s.frames - 1) // 8)), ("batch", 1)]
    now = asdict(s)
    yield from ((name, value) for name, value in options if now[name] != value)


def _what(s: Settings) -> str:
    return f"{s.model}, {s.frames} frames of {s.size[0]} x {s.size[1]}"


def _parts(numbers: dict[str, float], form: str) -> str:
    return ", ".join(f"{name} {n:{form}}" for name, n in numbers.items() if name != "total")


def _duration(span: float) -> str:
    return f"{span:.1f} s" if span < 120 else f"{span / 60:.1f} min" if span < 7200 else f"{span / 3600:.1f} h"

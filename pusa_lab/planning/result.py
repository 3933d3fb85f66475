"""What a plan says, and the page that it prints."""

import shlex
from dataclasses import asdict, dataclass
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.planning.settings import SAMPLING, TRAINING, Settings, _settle
from pusa_lab.sentences import memory_shown


@dataclass(frozen=True)
class Advice:
    """A change that makes it fit, and what it then costs."""

    changes: dict[str, object]
    """Arguments of `plan` to change."""
    peak: float
    """GiB then."""
    seconds: float
    """In all, then."""
    money: float
    """US dollars then."""
    source: str
    """Source of that peak: one of SOURCES."""

    def __str__(self) -> str:
        """In one line, as options of `pusa-lab plan`."""
        then = f"{memory_shown(self.peak)} {self.source}, {duration(self.seconds)}, ${self.money:,.2f}"
        return f"{options(self.changes)} ({then})"


@dataclass(frozen=True)
class Plan:
    """What one run takes on each GPU. Print it for a table."""

    settings: Settings
    """What was asked."""
    tokens: int
    """The transformer's, for all videos that a GPU works on at a time."""
    parameters: int
    """Parameters of one transformer; each expert has as many."""
    lora_parameters: int
    """Parameters of the LoRA that is trained or attached; 0 without one."""
    flops: dict[str, float]
    """Floating-point operations of one forward, by part."""
    calls: int
    """Forwards of the transformer on each GPU."""
    samples: int
    """Clips that a training goes through; 0 in sampling."""
    seconds: dict[str, float]
    """Seconds by part: `forward` is one of `calls`, `sample` one clip, `step` one of the optimizer; `total` is all."""
    memory: dict[str, float]
    """GiB by part at the stage that takes the most."""
    stage: str
    """The stage at which memory peaks."""
    peak: float
    """GiB at that stage."""
    capacity: float
    """GiB that the GPU has."""
    fits: bool
    """Whether the peak is within it. Fragments cost a few percent more: leave room."""
    reason: str
    """Why it fits or does not."""
    error: float | None
    """Relative error of a forward's output against bfloat16, with `precision`; None without, or if not measured."""
    money: float
    """US dollars for all GPUs together."""
    sources: dict[str, str]
    """Source of each part of `seconds`, `memory`, `peak`, `error` and `money`: measured, interpolated or arithmetic."""
    basis: dict[str, str]
    """The measured rows behind figures, in words."""
    advice: tuple[Advice, ...] = ()
    """What would make it fit, the fastest first, another GPU last; empty where it fits or nothing here helps."""

    def __str__(self) -> str:
        """The table."""
        return plan_table(self)


@checked
def plan_table(plan: Plan) -> str:
    """One line a figure, with its source; then whether it fits, and what would.

    Args:
        plan: what to show.
    """
    s = plan.settings
    lora = {"lora": " of a LoRA", "sample": " of a LoRA attached"}.get(s.workload, "")
    adapter = f" + {plan.lora_parameters:,}{lora} of rank {s.lora_rank}" if s.lora_rank else ""
    rows = [
        ("run", f"{what(s)}: {s.workload} on {s.gpus} x {s.gpu}", ""),
        ("options", _chosen(plan), ""),
        ("tokens", f"{plan.tokens:,}", ""),
        ("parameters", f"{plan.parameters:,} x {s.experts or s.config.experts}{adapter}", ""),
        ("FLOPs", f"{sum(plan.flops.values()):.3g} a forward ({_parts(plan.flops, '.3g')})", ""),
        ("calls", f"{plan.calls:,}" + (f" for {plan.samples:,} samples" if s.training else ""), ""),
        *((name, _seconds(name, n), plan.sources[name]) for name, n in plan.seconds.items() if n),
        *((name, memory_shown(n), plan.sources[name]) for name, n in plan.memory.items()),
        ("peak", f"{memory_shown(plan.peak)} while {plan.stage}", plan.sources["peak"]),
        *_error(plan),
        ("money", f"${plan.money:,.2f} at ${s.price:g} per GPU and hour", plan.sources["money"]),
        ("fits", f"{'yes' if plan.fits else 'NO'}: {plan.reason}", ""),
        *(("to fit", str(advice), "") for advice in plan.advice),
        *((f"{name}:", basis, "") for name, basis in plan.basis.items()),
    ]
    return "\n".join(f"{name:<22}{text:<46}{source}".rstrip() for name, text, source in rows)


def _chosen(plan: Plan) -> str:
    """What the run was asked to do, defaults too."""
    names = ["lora_rank", *(TRAINING if plan.settings.training else ("dtype", "precision", *SAMPLING)), "compiled"]
    names += ["attention"] * (plan.settings.attention != "native")
    return options({name: getattr(plan.settings, name) for name in names})


def _error(plan: Plan) -> list[tuple[str, str, str]]:
    if plan.settings.precision is None:
        return []
    if plan.error is None:
        return [("error", "not measured for this model; pusa_lab.wan.float8_errors(transformer) does", "")]
    return [("error", f"{plan.error:.1%} of the output, against bfloat16", plan.sources["error"])]


def _seconds(name: str, seconds: float) -> str:
    each = {"forward": "one forward", "sample": "one clip", "step": "one step of the optimizer"}
    return duration(seconds) if name == "total" else f"{seconds:,.2f} s" + (f", {each[name]}" if name in each else "")


def _parts(numbers: dict[str, float], form: str) -> str:
    return ", ".join(f"{name} {n:{form}}" for name, n in numbers.items())


@checked
def what(s: Settings) -> str:
    """Model, frames and size in words.

    Args:
        s: settings.
    """
    return f"{s.model}, {s.num_frames} frames of {s.size[0]} x {s.size[1]}"


@checked
def options(changes: dict[str, Any]) -> str:
    """Arguments of `plan` as options of `pusa-lab plan`.

    Args:
        changes: name -> value; None and False are left out.
    """
    given = {name: value for name, value in changes.items() if value is not None and value is not False}
    return " ".join(f"--{name.replace('_', '-')} {_shown(value)}".strip() for name, value in given.items())


@checked
def command(s: Settings) -> str:
    """The `pusa-lab plan` that plans the same, defaults left out.

    Args:
        s: settings.
    """
    usual = _settle({"model": s.model, "gpu": s.gpu, "workload": s.workload}, s.config)
    always = {"workload": s.workload, "model": s.model, "size": s.size, "gpu": s.gpu}
    more = {name: value for name, value in asdict(s).items() if value != getattr(usual, name) and name not in always}
    return f"pusa-lab plan {options(always | more)}"


def _shown(value: object) -> str:
    if value is True:
        return ""
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else shlex.quote(str(value))


@checked
def duration(span: float) -> str:
    """Seconds in words.

    Args:
        span: seconds.
    """
    return f"{span:.1f} s" if span < 120 else f"{span / 60:.1f} min" if span < 7200 else f"{span / 3600:.1f} h"

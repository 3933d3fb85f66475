"""A plan without advice: every figure, and what they add up to."""

from pusa_lab.arguments import checked
from pusa_lab.planning.arithmetic import GIB, forward_flops
from pusa_lab.planning.figures import SOURCES, Figure, activations_figure, bytes_counted, error_figure, seconds_figure
from pusa_lab.planning.result import Plan
from pusa_lab.planning.settings import Settings
from pusa_lab.sentences import memory_shown

PARTS = ("forward", "text", "denoising", "decoding", "moving")
"""Parts of the seconds of sampling; `denoising` is all forwards."""


@checked
def estimate(s: Settings) -> Plan:
    """A plan without advice.

    Args:
        s: settings.
    """
    seconds = _training_seconds(s) if s.training else _sampling_seconds(s)
    stage, memory = largest_stage(s)
    peak = sum(part.value for part in memory.values())
    fits = peak <= s.card.memory
    reason = (
        f"{'takes' if fits else 'needs'} {memory_shown(peak)} while {stage}, and one {s.gpu} has {s.card.memory:g} GiB"
    )
    error = error_figure(s)
    figures = seconds | memory | ({"error": error} if error else {})
    sources = {name: figure.source for name, figure in figures.items()}
    return Plan(
        settings=s,
        tokens=s.tokens,
        parameters=s.config.parameters,
        lora_parameters=s.lora_parameters,
        flops=forward_flops(s),
        calls=s.calls,
        samples=s.samples,
        seconds={name: figure.value for name, figure in seconds.items()},
        memory={name: figure.value for name, figure in memory.items()},
        stage=stage,
        peak=peak,
        capacity=s.card.memory,
        fits=fits,
        reason=reason,
        error=None if error is None else error.value,
        money=s.price * s.gpus * seconds["total"].value / 3600,
        sources=sources | {"peak": memory["activations"].source, "money": seconds["total"].source},
        basis={name: figure.basis for name, figure in figures.items() if figure.basis},
    )


def _training_seconds(s: Settings) -> dict[str, Figure]:
    sample = seconds_figure(s, "sample")
    step = sample.value * (s.global_batch_size or 1) / s.gpus
    # what several GPUs exchange is not counted
    source = sample.source if s.gpus == 1 or s.workload == "full" else "arithmetic"
    total = step * (s.max_steps or 1) * (s.experts or 1)
    return {"sample": sample, "step": Figure(step, source), "total": Figure(total, source)}


def _sampling_seconds(s: Settings) -> dict[str, Figure]:
    parts = {name: seconds_figure(s, name) for name in ("forward", "text", "decoding", "moving")}
    parts["denoising"] = Figure(s.calls * parts["forward"].value, parts["forward"].source)
    summed = [parts[name] for name in PARTS[1:]]
    source = max((part.source for part in summed if part.value), key=SOURCES.index)
    return {name: parts[name] for name in PARTS} | {"total": Figure(sum(part.value for part in summed), source)}


@checked
def largest_stage(s: Settings) -> tuple[str, dict[str, Figure]]:
    """The stage that takes the most memory, and its GiB by part; weights are counted exactly.

    Args:
        s: settings.
    """
    stages = {
        stage: {name: Figure(n / GIB) for name, n in parts.items()} | {"activations": activations_figure(s, stage)}
        for stage, parts in bytes_counted(s).items()
    }
    return max(stages.items(), key=lambda item: sum(part.value for part in item[1].values()))

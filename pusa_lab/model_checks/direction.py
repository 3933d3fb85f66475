"""Check of what the output of a trained denoiser is: its direction of time, its sign and its parametrisation."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pusa_lab.model_checks.codec import SPREAD
from pusa_lab.model_checks.denoiser import Probe
from pusa_lab.model_checks.report import Finding, failed

LEAST = 0.4
"""Share of the velocity's power that the best reading must explain before anything is said about its direction."""
LEVELS = (0.6, 0.75, 0.9)
"""Timesteps at which it is read: with much noise a model answers well on clips of any kind."""
LOW = 0.2
"""Timestep at which readings that explain about as much are distinguished."""
MARGIN = 0.25
"""By which another reading must be better than the given one; with trained weights the wrong ones are far off."""
HELD = 0.5
"""Weight of the noise in v at tau = 1, at least; it is 1 in eps - x0 of any trained model."""
DIFFUSION = (
    "at tau = 1, where x is all noise, the output hardly holds it, unlike v = eps - x0: if the network predicts a "
    "diffusion model's v = a eps - s x0, convert x, tau and its output as the CogVideoX adapter of "
    "docs/bring_your_model.md does."
)
"""The sentence for a v of another kind."""
READINGS: dict[str, Callable[..., Tensor]] = {
    "": lambda ask, x, tau: ask(x, tau),
    "the velocity points from noise to data: return its negative": lambda ask, x, tau: -ask(x, tau),
    "the model's time runs the other way, 1 is clean: call it with 1 - tau": lambda ask, x, tau: ask(x, 1 - tau),
    "the model's time and its velocity run the other way: call it with 1 - tau and return the negative": (
        lambda ask, x, tau: -ask(x, 1 - tau)
    ),
    "the network's timesteps run to 1000: call it with 1000 * tau": lambda ask, x, tau: ask(x, 1000 * tau),
}
"""What may be wrong with the velocity, and what to do -> the velocity if that were so."""
LAST: dict[str, Callable[..., Tensor]] = {
    "the network's timesteps run to 1, not to 1000: call it with tau / 1000": lambda ask, x, tau: ask(x, tau / 1000)
}
"""Tried only if no other reading explains enough: a model that always takes its input for noise explains much too."""


def check_direction(probe: Probe) -> Finding:
    """See which reading of the model's output explains eps - x0 best.

    Args:
        probe: the model and what it is asked.
    """
    if kind := _prediction(probe):
        return failed("direction", kind)
    scores = {advice: _explained(probe, reading, LEVELS) for advice, reading in READINGS.items()}
    if max(scores.values()) < LEAST:
        scores |= {advice: _explained(probe, reading, LEVELS) for advice, reading in LAST.items()}
    close = [advice for advice, score in scores.items() if score >= max(LEAST, max(scores.values()) - MARGIN)]
    if not close:
        return Finding(
            "direction",
            "inconclusive",
            "untrained weights, or a clip unlike the training clips, do not show the direction of time and velocity.",
        )
    close = [advice for advice in close if _fit(probe, 1.0, (READINGS | LAST)[advice]).eps > HELD]
    if not close:
        return failed("direction", DIFFUSION)
    if "" in close:
        return Finding("direction", "passed", f"v explains {100 * scores['']:.0f} % of eps - x0")
    best = max(close, key=lambda advice: _explained(probe, (READINGS | LAST)[advice], (LOW,)))
    return failed(
        "direction",
        f"{best}. With that, v explains {100 * scores[best]:.0f} % of eps - x0; as it is, {100 * scores['']:.0f} %.",
    )


def _explained(probe: Probe, reading: Callable[..., Tensor], levels: Sequence[float]) -> float:
    """Share of the power of eps - x0 that a reading explains, over some levels; -inf if it cannot be called."""
    target, off = (probe.eps - probe.x0).float(), 0.0
    for level in levels:
        tau = probe.level(level)
        try:
            v = reading(probe.ask, probe.noisy(tau), tau)
        except Exception:
            return -math.inf
        off += float((v.float() - target).square().mean() / target.square().mean()) / len(levels)
    return 1 - off if off < math.inf else -math.inf


@dataclass(frozen=True)
class _Fit:
    """The output at one noise level as eps * noise + x0 * clean + a rest (least squares over all samples)."""

    eps: float
    x0: float
    known: float
    """Share of the output's power that the fit explains."""
    moved: float
    """Power of output - x, as a share of that of x."""


def _fit(probe: Probe, level: float, reading: Callable[..., Tensor] = READINGS[""]) -> _Fit:
    tau = probe.level(level)
    x = probe.noisy(tau)
    parts = torch.stack([probe.eps.flatten(), probe.x0.flatten()], dim=1).cpu().double()  # Apple's GPUs have no float64
    out, x = (one.flatten().cpu().double() for one in (reading(probe.ask, x, tau), x))
    gram = parts.T @ parts
    weights = torch.linalg.pinv(gram) @ (parts.T @ out)
    rest = float((out - parts @ weights).square().sum() / out.square().sum().clamp(min=1e-30))
    moved = float((out - x).square().sum() / x.square().sum().clamp(min=1e-30))
    return _Fit(float(weights[0]), float(weights[1]), 1 - rest, moved)


def _prediction(probe: Probe) -> str:
    """What the output is if it clearly is something else than v; "" otherwise, as with untrained weights.

    v = eps - x0 holds the noise with weight 1 at every level, and at much noise a guess of the clean video besides.
    A model of eps returns x itself at tau = 1, where all is noise, and never subtracts x0; one of x0 returns about
    x at little noise, and no noise at much.
    """
    low, high, top, noise = (_fit(probe, level) for level in (0.05, 0.75, 0.97, 1.0))
    told = float(probe.x0.float().std()) > SPREAD[0]  # of a clip that is almost grey, eps and v are the same
    if told and noise.moved < 0.01 and low.moved > 0.05 and low.x0 > -0.25:
        return (
            "the model predicts the noise, eps: return v = (eps - x) / (1 - tau), where eps is its output and 1 - tau "
            "is kept above 0.01."
        )
    if low.known > 0.9 and 0.7 < low.x0 < 1.3 and max(abs(high.eps), abs(top.eps)) < 0.2:
        return (
            "the model predicts the clean video, x0: return v = (x - x0) / tau, where x0 is its output and tau is kept "
            "above 0.01."
        )
    same = 0.85 * abs(top.eps) < high.eps * math.copysign(1, top.eps) < 1.1 * abs(top.eps)
    if same and min(high.known, top.known) > 0.7 and not 0.8 < abs(top.eps) < 1.25:
        return f"the model returns {top.eps:.2g} times the velocity eps - x0: divide its output by {top.eps:.2g}."
    return ""

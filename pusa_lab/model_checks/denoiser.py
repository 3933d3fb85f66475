"""Checks of the denoiser call: shapes, every frame's timestep, the prompt and the batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pusa_lab.model_checks.codec import raised
from pusa_lab.model_checks.report import Finding, Verdict, failed
from pusa_lab.sentences import counted, shown
from pusa_lab.timesteps import interpolate
from pusa_lab.types import Cond, Denoiser, Tau, Video


@dataclass(frozen=True)
class Probe:
    """A model, and what it is asked."""

    model: Any
    """The `VideoModel`."""
    x0: Video
    """Clean latents (b, c, f, h, w)."""
    eps: Video
    """Noise, shaped alike."""
    prompts: Sequence[str]
    """One per sample."""
    cond: Cond
    """The prompts, encoded."""

    def ask(self, x: Video, tau: Tau) -> Any:
        """What the model returns for all prompts: its velocity, once `_velocity` has found it to be one."""
        return self.model(x, tau, **self.cond)

    @property
    def rounding(self) -> float:
        """Share of v by which two ways of computing it may differ: more if captions or weights have fewer bits."""
        weights = self.model.parameters() if isinstance(self.model, nn.Module) else ()
        held = [*weights, *(value for value in self.cond.values() if isinstance(value, Tensor))]
        return 0.05 if any(x.is_floating_point() and x.itemsize < 4 for x in held) else 1e-3

    def level(self, tau: float) -> Tau:
        """The same timestep for all frames."""
        return torch.full((len(self.x0), self.x0.shape[2]), tau, device=self.x0.device)

    def noisy(self, tau: Tau) -> Video:
        """The latents with noise."""
        return interpolate(self.x0, self.eps, tau)


def check_denoiser(probe: Probe, scalar: Denoiser | None) -> Iterator[Finding]:
    """Check the denoiser call, all but its direction; after an error the checks that need it are omitted.

    Args:
        probe: the model and what it is asked.
        scalar: the network with one timestep per sample, (x, tau (b,), **cond) -> v; None omits the comparison.

    Yields:
        One finding per check.
    """
    found = _velocity(probe)
    yield found
    if found.verdict == "failed":
        return
    again = _deterministic(probe)
    yield again
    if again.verdict == "failed":
        return
    frames = _frames(probe)
    yield frames
    yield _prompt(probe)
    yield _batch(probe, equal=frames.verdict != "passed")
    if scalar is not None:
        yield _scalar(probe, scalar)


def _velocity(probe: Probe) -> Finding:
    for level in (0.5, 0.0, 1.0):
        tau = probe.level(level)
        try:
            v = probe.ask(probe.noisy(tau), tau)
        except Exception as error:
            return raised("velocity", f"the call with x {tuple(probe.x0.shape)} and tau {tuple(tau.shape)}", error)
        if not isinstance(v, Tensor) or v.shape != probe.x0.shape:
            return failed(
                "velocity", f"the call returned {shown(v)} for x of shape {tuple(probe.x0.shape)}: return v like x."
            )
        if not v.isfinite().all():
            return failed(
                "velocity",
                f"v is not finite at tau = {level:g}: fix what divides by tau or 1 - tau, or use a higher precision.",
            )
    return Finding("velocity", "passed", f"has the shape of x, {tuple(v.shape)}, and is finite from tau 0 to 1")


def _deterministic(probe: Probe) -> Finding:
    tau = probe.level(0.5)
    x = probe.noisy(tau)
    off = _off(probe.ask(x, tau), probe.ask(x, tau))
    if off != 0:
        return failed(
            "determinism",
            f"two equal calls differ by {off:.2g}: switch dropout off with eval(), and add no random noise.",
        )
    return Finding("determinism", "passed", "two equal calls agree bit for bit")


def _frames(probe: Probe) -> Finding:
    """Move the timestep of one frame after the other from 0.3 to 0.7, and see which frames change."""
    tau = probe.level(0.3)
    x, moved = probe.noisy(tau), []
    still = probe.ask(x, tau)
    for i in range(tau.shape[1]):
        other = tau.clone()
        other[:, i] = 0.7
        try:
            moved.append(probe.ask(x, other) - still)
        except ValueError as error:
            return Finding("timesteps", "equal only", f"takes one timestep for all frames; it said: {error}")
        except Exception as error:
            return raised("timesteps", "the call with another timestep for one frame", error)
    return Finding("timesteps", *_every_frame(torch.stack(moved).float(), _size(still), probe.rounding))


def _every_frame(moved: Tensor, size: float, rounding: float) -> tuple[Verdict, str]:
    """Verdict on the changes (f, b, c, f, h, w) that each frame's timestep made."""
    if not moved.isfinite().all():
        return "failed", "v is not finite when frames have different timesteps: fix what divides by their difference."
    if not size and not moved.any():
        return "inconclusive", "v is 0 everywhere, as with a last layer that is still zero."
    effect = moved.square().mean((1, 2, 4, 5)).sqrt()  # (moved frame, seen frame)
    frames = range(len(effect))
    if ignored := [i for i in frames if effect[i].max() <= 1e-6 * size]:
        return "failed", (
            f"{_timesteps_of(ignored)} no effect on v: pass all of tau (b, f) to the network, one timestep per frame."
        )
    if len(effect) > 1 and all((moved[0] - change).norm() < rounding * moved[0].norm() for change in moved):
        return (
            "failed",
            "v does not depend on which frame a timestep belongs to: give each frame its own, not their mean.",
        )
    if order := _wrong_order(effect):
        return "failed", f"{order}: give tau in the order of the frames."
    return "passed", f"v changes with every frame's timestep ({counted(len(effect), 'frame')})"


def _wrong_order(effect: Tensor) -> str:
    """Which other frame's velocity each timestep changes; "" if they may be in order, as far as `effect` (f, f) shows.

    A network with a timestep per frame changes that frame most, by far; exact denoisers change its neighbours as much.
    """
    if len(effect) < 3:
        return ""
    place = torch.arange(len(effect), device=effect.device)
    own, turned = (float((effect * (line[:, None] - place).abs()).sum()) for line in (place, place.flip(0)))
    if turned < 0.8 * own:
        return "the first frame's timestep acts on the last frames"
    most, seen = effect.topk(2, dim=1)
    order = seen[:, 0]
    if (most[:, 0] > 2 * most[:, 1]).all() and not order.equal(place) and order.sort().values.equal(place):
        shift = int(order[0]) if 2 * order[0] <= len(order) else int(order[0]) - len(order)
        acts = f"the timesteps of frames {_listed(place)} act on frames {_listed(order)}"
        return f"{acts}, shifted by {shift}" if order.equal(place.roll(-shift)) else acts
    return ""


def _listed(frames: Tensor) -> str:
    return ", ".join(map(str, frames.tolist()))


def _timesteps_of(frames: list[int]) -> str:
    if len(frames) == 1:
        return f"the timestep of frame {frames[0]} has"
    return f"the timesteps of frames {', '.join(map(str, frames[:-1]))} and {frames[-1]} have"


def _prompt(probe: Probe) -> Finding:
    """Give each sample the prompt of the next, and see whether v changes."""
    others = [*probe.prompts[1:], probe.prompts[0]]
    cond = probe.model.encode_text(others)
    if all(_same(value, cond.get(name)) for name, value in probe.cond.items()):
        return Finding(
            "text", "inconclusive", f"encode_text gives {others} the same values, as for a model without text."
        )
    tau = probe.level(0.6)
    x = probe.noisy(tau)
    v = probe.ask(x, tau)
    if not v.any():
        return Finding("text", "inconclusive", "v is 0 everywhere, as with a last layer that is still zero.")
    off = _off(probe.model(x, tau, **cond), v)
    if off <= 1e-6:
        return failed("text", "v does not change with the prompt: pass what encode_text returns to the network.")
    return Finding("text", "passed", f"another prompt changes v by up to {off:.1g} of its size")


def _same(a: Any, b: Any) -> bool:
    return torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a is b


def _batch(probe: Probe, equal: bool) -> Finding:
    """Each sample alone must give what it gives among the others."""
    b, f = len(probe.x0), probe.x0.shape[2]
    tau = torch.linspace(0.2, 0.9, b * f, device=probe.x0.device).view(b, f)
    tau = tau[:, :1].expand(-1, f).contiguous() if equal else tau
    x, offs = probe.noisy(tau), []
    together = probe.ask(x, tau)
    for i, prompt in enumerate(probe.prompts):
        try:
            alone = probe.model(x[i : i + 1], tau[i : i + 1], **probe.model.encode_text([prompt]))
            offs.append(_off(alone[0], together[i], _size(together)))
        except Exception as error:
            return raised("batch", "the call with one sample", error)
    worst = max(offs)
    if not worst <= probe.rounding:
        return failed(
            "batch",
            f"a sample alone differs by {worst:.2g} of v from the same in a batch: no sample may depend on another.",
        )
    return Finding("batch", "passed", f"a sample alone and in a batch differ by at most {worst:.1g} of v")


def _scalar(probe: Probe, scalar: Denoiser) -> Finding:
    tau = probe.level(0.6)
    x = probe.noisy(tau)
    try:
        off = _off(probe.ask(x, tau), scalar(x, tau[:, 0], **probe.cond))
    except Exception as error:
        return raised("scalar", "scalar", error)
    if not off <= probe.rounding:
        return failed(
            "scalar", f"equal timesteps differ by {off:.2g} of v from the scalar call: they must give the same."
        )
    return Finding("scalar", "passed", f"equal timesteps and the scalar call differ by {off:.1g} of v")


def _size(v: Tensor) -> float:
    return float(v.float().square().mean().sqrt())


def _off(a: Tensor, b: Tensor, size: float = 0.0) -> float:
    """Largest difference, as a share of the size of b."""
    return float((a.float() - b.float()).abs().max()) / max(size or _size(b), 1e-12)

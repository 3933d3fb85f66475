"""Guidance by the caption."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.guidance.guided import MOST_SCALE, Guided, around
from pusa_lab.sentences import counted
from pusa_lab.timesteps import per_frame, velocity_of
from pusa_lab.types import Cond, Denoiser, Tau, Video

Scale: TypeAlias = float | int | Float[Tensor, " f"]
"""One for all frames, or one each."""
TauInterval: TypeAlias = tuple[float | int, float | int]
"""(low, high): the noise levels in [0, 1], ends included, at which a frame is guided."""
_Rule: TypeAlias = Callable[..., Video]


@checked
def text_cfg(
    denoiser: Denoiser, null: Cond, scale: Scale, rescale: float | int = 0.0, interval: TauInterval = (0.0, 1.0)
) -> Guided:
    """Classifier-free guidance on the caption, applied to the velocity of every frame.

    v = v(x, tau, null) + s (v(x, tau, cond) - v(x, tau, null)) for frames with low <= tau_i <= high and s_i != 1;
    the others keep v(x, tau, cond), and where all do, the second call is skipped.
    Rescaled: v <- (r std(v_cond) / std(v) + 1 - r) v, standard deviations of a sample over its guided frames

    Args:
        denoiser: (x, tau, **cond) -> v.
        null: keyword arguments for the empty (or negative) caption, which replace those of the call.
        scale: s, one or (f,); 1 is no guidance, above 1 follows the caption more closely.
        rescale: r in [0, 1]; 0 is none, the source recommends 0.7 against overexposure at large scales.
        interval: noise levels (low, high) in [0, 1] at which frames are guided, ends included.

    Returns:
        (x, tau, **cond) -> v.

    Raises:
        ValueError: an argument is out of range; with the first velocity, if there is not one scale per frame.

    Source: arXiv 2207.12598 with velocities; interval: arXiv 2404.07724; rescale: section 3.4, arXiv 2305.08891.
    """
    if not 0 <= rescale <= 1:
        raise ValueError(f"rescale={rescale}: give a number in [0, 1]; 0 is none.")

    def rule(x: Video, tau: Tau, v: Video, v_null: Video, s: Tensor) -> Video:
        out = v_null + s * (v - v_null.to(s))  # at least float32 until the end
        if rescale:
            out = out * (rescale * _std(v.to(out), s != 1) / _std(out, s != 1).clamp(min=1e-12) + 1 - rescale)
        return out

    return _against_null(denoiser, null, scale, interval, rule)


def _against_null(
    denoiser: Denoiser, null: Cond, scale: Scale, interval: TauInterval, rule: _Rule, remembers: bool = False
) -> Guided:
    """Guidance by rule(x, tau, v, v_null, s (b, 1, f, 1, 1)), of frames within the interval whose s is not 1."""
    scales = _scales(scale)
    _check_interval(interval)

    def guided(x: Video, tau: Tau, **cond: object) -> Video:
        s = per_frame(_of_frames(scales, tau, x).where(_inside(tau, interval), 1.0), x)
        conds = [cond] if (s == 1).all() else [cond, {**cond, **null}]
        v, *v_null = _velocities(denoiser, x, tau, conds)
        return torch.where(s == 1, v, rule(x, tau, v, *v_null, s)).to(v.dtype) if v_null else v

    return around(denoiser, guided, 1 if (scales == 1).all() else 2, remembers)


def _velocities(denoiser: Denoiser, x: Video, tau: Tau, conds: Sequence[Cond]) -> list[Video]:
    """The velocities under several conditions: at once, where the denoiser's class has a method that can."""
    found = getattr(type(denoiser), "velocities", lambda *_: None)(denoiser, x, tau, conds)
    if found is None:
        return [velocity_of(denoiser, x, tau, **cond) for cond in conds]
    return [velocity_of(lambda x, tau, v=v: v, x, tau) for v in found]


def _scales(scale: Scale) -> Tensor:
    scales = torch.as_tensor(scale, dtype=torch.float64)
    if scales.ndim > 1 or not (scales.abs() <= MOST_SCALE).all():
        raise ValueError(f"scale={scales.tolist()}: give one number of at most {MOST_SCALE:,}, or one for each frame.")
    return scales


def _check_interval(interval: TauInterval) -> None:
    if not 0 <= interval[0] <= interval[1] <= 1:
        raise ValueError(f"interval={interval}: give (low, high) with 0 <= low <= high <= 1; tau = 1 is noise.")


def _inside(tau: Tau, interval: TauInterval) -> Bool[Tensor, "b f"]:
    return (tau >= interval[0]) & (tau <= interval[1])


def _of_frames(scales: Tensor, tau: Tau, x: Video) -> Tau:
    if scales.ndim and len(scales) != x.shape[2]:
        raise ValueError(f"{counted(len(scales), 'scale')} for {counted(x.shape[2], 'frame')}: give one, or one each.")
    return scales.to(x.device, torch.promote_types(x.dtype, torch.float32)).expand(tau.shape)


def _std(v: Video, chosen: Bool[Tensor, "b 1 f 1 1"]) -> Float[Tensor, "b 1 1 1 1"]:
    """Standard deviation of each sample over its chosen frames."""
    n = (chosen.sum(dim=2, keepdim=True) * (v[0, :, 0].numel())).clamp(min=1)
    mean = torch.where(chosen, v, 0).sum(dim=(1, 2, 3, 4), keepdim=True) / n
    return (torch.where(chosen, v - mean, 0).square().sum(dim=(1, 2, 3, 4), keepdim=True) / n).sqrt()

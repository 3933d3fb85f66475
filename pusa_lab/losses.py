"""Frame-aware flow matching (FAFM): the loss of a model with one timestep per frame, and per-frame loss weights.

The loss is weighted before it is reduced. A weight is a function tau (b, f) -> w (b, f), given by its name, as in
`fafm_loss(..., weight="min_snr(gamma=2)")`, or as what it returns, `weight=min_snr(tau)`.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import shown
from pusa_lab.registry import Registry
from pusa_lab.timesteps import checked_levels, interpolate, velocity, velocity_of
from pusa_lab.types import Denoiser, Tau, Video

MOST_GAMMA = 1e9
"""Signal-to-noise ratio that only frames with tau below 3e-5 exceed: as good as no limit."""


@checked_levels
def fafm_frame_loss(denoiser: Denoiser, x0: Video, tau: Tau, eps: Video, **cond: Any) -> Float[Tensor, "b f"]:
    """The loss of every sample and frame before reduction, to weight, bin by tau, or plot by frame.

    l_i = mean over channels and pixels of (v(x, tau)_i - (eps_i - x0_i))^2, x_i = (1 - tau_i) x0_i + tau_i eps_i

    Args:
        denoiser: (x, tau, **cond) -> v.
        x0: clean latents (b, c, f, h, w).
        tau: timesteps (b, f) in [0, 1].
        eps: standard normal noise of x0's shape.
        **cond: passed to the denoiser.

    Returns:
        float32 losses (b, f).

    Raises:
        ValueError: a timestep is outside [0, 1] (checked on the CPU only), or the denoiser does not take what it is
            given, or returned anything but a tensor of x0's shape.

    Source: the summand of Eq. 11, arXiv 2507.16116.
    """
    v = velocity_of(denoiser, interpolate(x0, eps, tau), tau, **cond)
    return (v.float() - velocity(x0, eps).float()).square().mean(dim=(1, 3, 4))


@checked_levels
def fafm_loss(
    denoiser: Denoiser, x0: Video, tau: Tau, eps: Video, weight: Tau | str | None = None, **cond: Any
) -> Float[Tensor, ""]:
    """The frame-aware flow-matching loss, a scalar.

    L = mean over samples and frames of w_i l_i, with l_i from `fafm_frame_loss`

    Args:
        denoiser: (x, tau, **cond) -> v.
        x0: clean latents (b, c, f, h, w).
        tau: timesteps (b, f) in [0, 1].
        eps: standard normal noise of x0's shape.
        weight: w (b, f), one weight per frame, such as `min_snr(tau)`; or what WEIGHTS finds, a name such as
            "min_snr(gamma=2)" or an import path. None weights every frame with 1, as the paper does.
        **cond: passed to the denoiser.

    Raises:
        ValueError: as `fafm_frame_loss`, or there is no such weight, or it does not return one weight per frame.

    Source: Eq. 11, arXiv 2507.16116.
    """
    if isinstance(weight, str):
        name, weight = weight, WEIGHTS.find(weight)(tau)
        if getattr(weight, "shape", None) != tau.shape:
            raise ValueError(f"the weight {name:.300} returned {shown(weight)}: it must return one weight per frame.")
    loss = fafm_frame_loss(denoiser, x0, tau, eps, **cond)
    return loss.mean() if weight is None else (weight * loss).mean()


@checked_levels
def uniform(tau: Tau) -> Tau:
    """The paper's weight: w = 1 for every frame.

    Args:
        tau: timesteps (b, f) in [0, 1].

    Raises:
        ValueError: a timestep is outside [0, 1] (checked on the CPU only).

    Source: Eq. 11, arXiv 2507.16116.
    """
    return torch.ones_like(tau)


@checked_levels
def free_frames(tau: Tau) -> Tau:
    """Leave frames at timestep 0 out of the loss, and weight the others so much more that the mean weight is 1.

    w_i = 1[tau_i > 0] / mean over samples and frames of 1[tau > 0], and 0 where no frame is above 0

    Nothing can be learned from a frame at 0, whose noise the model does not see: the best answer is -x0, and its loss
    the variance of the noise. The mean is over the clips that are computed at once, so that in micro batches of one
    clip every clip counts the same, whatever its number of known frames.

    Args:
        tau: timesteps (b, f) in [0, 1].

    Raises:
        ValueError: a timestep is outside [0, 1] (checked on the CPU only).

    Source: part of the recipe that `pusa-lab bench recipe` found.
    """
    free = (tau > 0).to(tau.dtype)
    return free / free.mean().clamp(min=1 / max(1, tau.numel()))


@checked_levels
def bell(tau: Tau) -> Tau:
    """The weight of the released Pusa trainer, applied per frame: largest at tau = 1/2, and 0 at tau = 0 and tau = 1.

    w = (exp(-2 (tau - 1/2)^2) - exp(-1/2)) / z, z = sqrt(pi / 2) erf(1 / sqrt(2)) - exp(-1/2) = .2491

    The mean over tau ~ U[0, 1] is 1, and w(1/2) = 1.580. The released trainer instead normalizes the weight to mean 1
    over its own sigmas of shift 5, where w(1/2) = 2.076, and multiplies the mean loss of a clip by the mean weight of
    its frames, which has little effect.

    Args:
        tau: timesteps (b, f) in [0, 1].

    Raises:
        ValueError: a timestep is outside [0, 1] (checked on the CPU only).

    Source: the official repository Yaofang-Liu/Pusa-VidGen.
    """
    floor = math.exp(-0.5)
    z = math.sqrt(math.pi / 2) * math.erf(math.sqrt(0.5)) - floor
    return (torch.exp(-2 * (tau - 0.5).square()) - floor) / z


@checked_levels
def min_snr(tau: Tau, gamma: float | int = 5.0) -> Tau:
    """Min-SNR for a velocity loss in flow form: errors of x0 are weighted by the signal-to-noise ratio, up to gamma.

    w = tau^2 min(SNR, gamma) = min((1 - tau)^2, gamma tau^2), SNR = ((1 - tau) / tau)^2

    The factor tau^2 appears because x0 = x - tau v: an error of v becomes tau times that error in x0. The weight is
    largest at tau = 1 / (1 + sqrt(gamma)).

    Args:
        tau: timesteps (b, f) in [0, 1].
        gamma: upper limit of the ratio, from 1e-9 to 1e9.

    Raises:
        ValueError: gamma is out of range, or a timestep is outside [0, 1] (checked on the CPU only).

    Source: arXiv 2303.09556, its x0 weight carried over to flow matching.
    """
    _check_gamma(gamma)
    return torch.minimum((1 - tau).square(), gamma * tau.square())


@checked_levels
def fused_min_snr(tau: Tau, gamma: float | int = 5.0, decay: float | int = 0.9) -> Tau:
    """Min-SNR fused over frames: a noisy frame is easier after clean frames, and so it is weighted more.

    s_i = min(SNR_i / gamma, 1), c_0 = s_0, c_i = g c_(i-1) + (1 - g) s_i, and SNR in `min_snr` is replaced by
    SNR'_i = gamma (1 - (1 - g c_(i-1)) (1 - SNR_i / gamma)), c_(-1) = 0:
    w_i = min(SNR'_i, gamma) / (1 + sqrt(SNR'_i))^2, which is `min_snr` for frame 0 and for g = 0

    Args:
        tau: timesteps (b, f) in [0, 1].
        gamma: upper limit of the ratio, from 1e-9 to 1e9.
        decay: g in [0, 1), how much earlier frames count; .96 in the code of Diffusion Forcing, .9 in that of DFoT.

    Raises:
        ValueError: gamma or decay is out of range, or a timestep is outside [0, 1] (checked on the CPU only).

    Source: arXiv 2407.01392; its factor 1 / (SNR + 1), which holds for variance-preserving noise, in flow form.
    """
    _check_gamma(gamma)
    if not 0 <= decay < 1:
        raise ValueError(f"decay={decay}: give a number in [0, 1), where 0 ignores earlier frames.")
    ratio = ((1 - tau) / tau).square() / gamma  # infinite for a clean frame, whose weight then is 0
    own, past = ratio.clamp(max=1), torch.zeros_like(tau)
    for i in range(1, tau.shape[1]):
        past[:, i] = decay * past[:, i - 1] + (1 - decay) * own[:, i - 1] if i > 1 else own[:, 0]
    fused = 1 - (1 - decay * past) * (1 - ratio)
    return gamma * fused.clamp(max=1) / (1 + (gamma * fused).sqrt()).square()


def _check_gamma(gamma: float | int) -> None:
    if not 1 / MOST_GAMMA <= gamma <= MOST_GAMMA:
        raise ValueError(f"gamma={gamma}: give a signal-to-noise ratio from {1 / MOST_GAMMA:g} to {MOST_GAMMA:g}.")


WEIGHTS: Registry[Callable[..., Tau]] = Registry(
    "weight", "pusa_lab.weights", (uniform, free_frames, bell, min_snr, fused_min_snr), "(tau, ...) -> weights (b, f)"
)
"""Name -> function (tau, ...) -> weights (b, f)."""

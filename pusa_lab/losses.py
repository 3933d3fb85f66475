"""Frame-aware flow matching (FAFM): the loss of a model with one clock per frame. Reduction comes last."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from pusa_lab.timesteps import interpolate, velocity
from pusa_lab.types import Denoiser, Tau, Video


def fafm_frame_loss(denoiser: Denoiser, x0: Video, tau: Tau, eps: Video, **cond: Any) -> Float[Tensor, "b f"]:
    """The loss of every sample and frame, unreduced: what to weight, bin by tau, or plot by frame.

    l_i = mean over channels and pixels of (v(x, tau)_i - (eps_i - x0_i))^2, x_i = (1 - tau_i) x0_i + tau_i eps_i

    Args:
        denoiser: (x, tau, **cond) -> v.
        x0: clean latents (b, c, f, h, w).
        tau: clocks (b, f) in [0, 1].
        eps: standard normal noise of x0's shape.
        **cond: passed to the denoiser.

    Source: the summand of Eq. 11, arXiv 2507.16116.
    """
    v = denoiser(interpolate(x0, eps, tau), tau, **cond)
    return (v.float() - velocity(x0, eps).float()).square().mean(dim=(1, 3, 4))


def fafm_loss(
    denoiser: Denoiser, x0: Video, tau: Tau, eps: Video, weight: Tau | None = None, **cond: Any
) -> Float[Tensor, ""]:
    """The frame-aware flow-matching loss, a scalar.

    L = mean over samples and frames of w_i l_i; the weight acts on each frame before the mean

    Args:
        denoiser: (x, tau, **cond) -> v.
        x0: clean latents (b, c, f, h, w).
        tau: clocks (b, f) in [0, 1].
        eps: standard normal noise of x0's shape.
        weight: w (b, f), one weight a frame; None is 1, the paper's choice.
        **cond: passed to the denoiser.

    Source: Eq. 11, arXiv 2507.16116.
    """
    loss = fafm_frame_loss(denoiser, x0, tau, eps, **cond)
    return loss.mean() if weight is None else (weight * loss).mean()

"""Guidance: denoiser -> denoiser."""

from pusa_lab.types import Cond, Denoiser, Tau, Video


def text_cfg(denoiser: Denoiser, cond: Cond, null: Cond, scale: float) -> Denoiser:
    """Classifier-free guidance on the caption, applied to the velocity of all frames.

    v = v(x, tau, null) + scale (v(x, tau, cond) - v(x, tau, null))

    Args:
        denoiser: (x, tau, **cond) -> v.
        cond: keyword arguments for the caption.
        null: keyword arguments for the empty (or negative) caption.
        scale: 1 is no guidance and skips the second call, above 1 follows the caption more closely.

    Returns:
        (x, tau) -> v.

    Source: arXiv 2207.12598 with velocities.
    """

    def guided(x: Video, tau: Tau) -> Video:
        v = denoiser(x, tau, **cond)
        if scale == 1:
            return v
        v_null = denoiser(x, tau, **null)
        return v_null + scale * (v - v_null)

    return guided

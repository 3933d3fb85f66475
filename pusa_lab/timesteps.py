"""The timestep vector tau: one timestep per frame, 0 is clean and 1 is noise (Eqs. 6-10, arXiv 2507.16116).

All conversions between x, x0, eps and v are in this module, and `per_frame` is the only place where tau is broadcast.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from pusa_lab.arguments import ArgumentError, called, checked, shown
from pusa_lab.types import Denoiser, Tau, Video

F = TypeVar("F", bound=Callable[..., Any])


@checked
def per_frame(tau: Tau, like: Video) -> Tensor:
    """View tau so that it broadcasts against video tensors.

    tau (b, f) -> (b, 1, f, 1, 1)

    Args:
        tau: timesteps (b, f) in [0, 1], of any floating-point type.
        like: the video tensor (b, c, f, h, w) that tau will be combined with.

    Raises:
        ValueError: tau does not have exactly the shape (b, f). A tau of shape (b,) or (b, 1) would broadcast silently
            to a wrong result.
    """
    return tau[:, None, :, None, None]


@checked
def check_tau(tau: Tau | Any, like: Video | Any) -> None:
    """Refuse a tau that does not hold exactly one timestep per sample and frame; every denoiser calls this first.

    Args:
        tau: timesteps, expected to have the shape (b, f).
        like: the video tensor (b, c, f, h, w) that they belong to.

    Raises:
        ValueError: a shape is wrong; the sentence gives both shapes and what to do.
    """
    if not isinstance(like, Tensor) or like.ndim != 5 or not isinstance(tau, Tensor):
        raise ArgumentError(f"x is {shown(like)}, tau {shown(tau)}: give tensors (b c f h w) and (b f).")
    expected = (like.shape[0], like.shape[2])
    if tuple(tau.shape) != expected:
        raise ArgumentError(
            f"tau has shape {tuple(tau.shape)}, but x of shape {tuple(like.shape)} (b c f h w) needs tau "
            f"{expected}, one timestep per sample and frame. For one per sample, use tau[:, None].expand(b, f)."
        )


@checked
def check_levels(tau: Tau) -> None:
    """Refuse numbers that are not noise levels in [0, 1], such as timesteps in 0..1000.

    Only tensors on the CPU are checked, because the check would make a GPU wait.

    Args:
        tau: timesteps (b, f).

    Raises:
        ValueError: a timestep is outside [0, 1] by more than 0.001, or NaN.
    """
    if tau.device.type != "cpu" or not tau.numel() or torch.compiler.is_compiling():
        return
    low, high = (end.item() for end in tau.detach().aminmax())
    if not (low >= -1e-3 and high <= 1 + 1e-3):
        raise ValueError(
            f"tau has values from {low:.4g} to {high:.4g}: give noise levels in [0, 1], where 1 is pure noise."
        )


def checked_levels(function: F) -> F:
    """Decorator: `checked`, and refuse tau, tau_next and level that are not noise levels, as `check_levels` does.

    Like all of `checked`, this is for calls from outside: the sampling loop has checked its schedule before.

    Args:
        function: a public function of timesteps (b, f).
    """
    return checked(function, tau=check_levels, tau_next=check_levels, level=check_levels)


@checked_levels
def interpolate(x0: Video, eps: Video, tau: Tau) -> Video:
    """Noise every frame to its own level.

    x_i = (1 - tau_i) x0_i + tau_i eps_i

    Args:
        x0: clean latents (b, c, f, h, w).
        eps: standard normal noise of the same shape.
        tau: timesteps (b, f) in [0, 1].

    Returns:
        Noised latents (b, c, f, h, w), in the dtype of x0.

    Raises:
        ValueError: tau has another shape, or a timestep is outside [0, 1] (checked on the CPU only, because the check
            would make a GPU wait).

    Source: Eq. 10, arXiv 2507.16116.
    """
    t = per_frame(tau, x0)
    return ((1 - t) * x0 + t * eps).to(x0.dtype)


@checked_levels
def noise_further(x: Video, eps: Video, tau: Tau, level: Tau) -> Video:
    """Noise every frame on from its level to a higher one; a frame that is there, or above, stays bit for bit.

    x'_i = r x_i + sqrt(k_i^2 - (r a_i)^2) eps_i, r = (1 - k_i) / (1 - a_i), with a = tau and k = level.
    The square root is that of (1 - r)(1 - r + 2 r a_i), whose terms do not cancel

    If x is (1 - a) x0 + a e with standard normal e, x' is distributed as (1 - k) x0 + k e.

    Args:
        x: latents (b, c, f, h, w) at timesteps tau.
        eps: standard normal noise of the same shape, independent of x.
        tau: timesteps (b, f) in [0, 1].
        level: timesteps (b, f) to reach, in [0, 1].

    Raises:
        ValueError: tau or level has another shape, or a timestep is outside [0, 1] (checked on the CPU only).

    Source: the forward process of arXiv 2201.09865 (Algorithm 1, line 10) and 2306.14878, for flow matching.
    """
    a, k = per_frame(tau, x), per_frame(level, x)
    r = ((1 - k) / (1 - a).clamp(min=1e-12)).clamp(max=1)
    noised = r * x + ((1 - r) * (1 - r + 2 * r * a)).sqrt() * eps
    return torch.where(k <= a, x, noised.to(x.dtype))


@checked
def velocity(x0: Video, eps: Video) -> Video:
    """The training target: the velocity at which x changes as tau rises.

    v = dx / dtau = eps - x0, the same at every tau

    Args:
        x0: clean latents (b, c, f, h, w).
        eps: standard normal noise of the same shape.

    Source: Eq. 9, arXiv 2507.16116.
    """
    return eps - x0


@checked_levels
def x0_from_v(x: Video, v: Video, tau: Tau) -> Video:
    """Clean estimate from a velocity: x0 = x - tau v.

    Args:
        x: noisy latents (b, c, f, h, w).
        v: velocity of the same shape.
        tau: timesteps (b, f) in [0, 1].

    Raises:
        ValueError: tau has another shape, or a timestep is outside [0, 1] (checked on the CPU only).
    """
    return (x - per_frame(tau, x) * v).to(x.dtype)


@checked_levels
def eps_from_v(x: Video, v: Video, tau: Tau) -> Video:
    """Noise estimate from a velocity: eps = x + (1 - tau) v.

    Args:
        x: noisy latents (b, c, f, h, w).
        v: velocity of the same shape.
        tau: timesteps (b, f) in [0, 1].

    Raises:
        ValueError: tau has another shape, or a timestep is outside [0, 1] (checked on the CPU only).
    """
    return (x + (1 - per_frame(tau, x)) * v).to(x.dtype)


@checked_levels
def v_from_x0(x: Video, x0: Video, tau: Tau) -> Video:
    """Velocity from a clean estimate: v = (x - x0) / tau.

    Args:
        x: noisy latents (b, c, f, h, w).
        x0: clean estimate of the same shape.
        tau: timesteps (b, f) in (0, 1]; a frame at 0 is clean, so nothing can be inferred about its noise.

    Raises:
        ValueError: tau has another shape, a timestep is outside (0, 1], or a velocity is too large for its dtype
            (checked on the CPU only).
    """
    if tau.device.type == "cpu" and (tau == 0).any():
        raise ValueError("tau holds 0: a clean frame tells nothing about its noise, give timesteps above 0.")
    return _within((x - x0) / per_frame(tau, x), x, x0).to(x.dtype)


@checked_levels
def v_from_eps(x: Video, eps: Video, tau: Tau) -> Video:
    """Velocity from a noise estimate: v = (eps - x) / (1 - tau).

    Args:
        x: noisy latents (b, c, f, h, w).
        eps: noise estimate of the same shape.
        tau: timesteps (b, f) in [0, 1); a frame at 1 is pure noise, so nothing can be inferred about its picture.

    Raises:
        ValueError: tau has another shape, a timestep is outside [0, 1), or a velocity is too large for its dtype
            (checked on the CPU only).
    """
    if tau.device.type == "cpu" and (tau == 1).any():
        raise ValueError("tau holds 1: pure noise tells nothing about the picture, give timesteps below 1.")
    return _within((eps - x) / (1 - per_frame(tau, x)), x, eps).to(x.dtype)


def _within(v: Tensor, *given: Tensor) -> Tensor:
    """Return v; on the CPU, refuse an infinite velocity that came from finite latents."""
    if v.device.type == "cpu" and v.isinf().any() and not any(one.isinf().any() for one in given):
        raise ValueError("the velocity is too large for its dtype: give smaller latents, or other timesteps.")
    return v


@checked
def velocity_of(denoiser: Denoiser, x: Video, tau: Tau, **cond: Any) -> Video:
    """The velocity of any denoiser, checked: one of another shape would be broadcast over frames silently.

    Args:
        denoiser: (x, tau, **cond) -> v.
        x: latents (b, c, f, h, w).
        tau: timesteps (b, f) in [0, 1].
        **cond: passed to the denoiser.

    Returns:
        v (b, c, f, h, w).

    Raises:
        ValueError: the denoiser does not take these arguments, or returned anything but a tensor of x's shape.
    """
    return velocity_by("the denoiser", denoiser, x, tau, **cond)


def velocity_by(name: str, denoiser: Denoiser, x: Video, tau: Tau, /, **cond: Any) -> Video:
    """The velocity of a denoiser, checked under a name.

    Args:
        name: what to call the denoiser in the sentence.
        denoiser: (x, tau, **cond) -> v.
        x: latents (b, c, f, h, w).
        tau: timesteps (b, f) in [0, 1].
        **cond: passed to the denoiser.

    Raises:
        ValueError: as `velocity_of`.
    """
    v = called(name, denoiser, {"x": x, "tau": tau}, **cond)
    if not isinstance(v, Tensor) or v.shape != x.shape:
        given = f"x of shape {tuple(x.shape)} (b c f h w)"
        raise ValueError(f"{name} returned {shown(v)} for {given}: a velocity is a tensor of x's shape.")
    return v

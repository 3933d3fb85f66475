"""Guidance by the caption in other forms: the pull of the caption projected (APG), or its null scaled (CFG-Zero*)."""

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.guidance.guided import Guided
from pusa_lab.guidance.text import Scale, TauInterval, _against_null
from pusa_lab.timesteps import per_frame
from pusa_lab.types import Cond, Denoiser, Tau, Video


@checked
def apg(
    denoiser: Denoiser,
    null: Cond,
    scale: Scale,
    eta: float | int = 0.0,
    threshold: float | int = 0.0,
    momentum: float | int = 0.0,
    by_frame: bool = False,
    interval: TauInterval = (0.0, 1.0),
) -> Guided:
    """Adaptive projected guidance: large scales without oversaturation. Two calls.

    With D = x - tau v, the clean estimate:  D = D_cond + (s - 1) (U_orthogonal + eta U_parallel),
    U = D_cond - D_null, plus momentum times the U of the frame's noise level before, then shortened to the norm
    `threshold`; its parallel part lies along D_cond. eta = 1 without threshold and momentum is `text_cfg`

    Norms and projections are those of a sample over channels, guided frames, height and width, as in diffusers. The
    source, which has pictures, takes them over channels, height and width: `by_frame` does so for every frame, and
    frames at different noise levels then do not influence each other. Clean frames (tau = 0), about which D says
    nothing, do not count in either case. Momentum has a memory of its own for each frame: it advances when the frame's
    noise falls, and starts anew when it rises.

    Args:
        denoiser: (x, tau, **cond) -> v.
        null: keyword arguments for the empty (or negative) caption, which replace those of the call.
        scale: s, one or (f,); 1 is no guidance.
        eta: share of the parallel part that is kept; 0 in the source.
        threshold: longest norm r of U; 0 is none. Norms grow with the square root of the size, so a threshold that
            suits a picture is too short for a video: diffusers has 15.
        momentum: in (-1, 1); 0 is none, the source's is negative. A guider with momentum must be the outermost.
        by_frame: measure every frame by itself instead of the whole sample.
        interval: noise levels (low, high) in [0, 1] at which frames are guided, ends included.

    Returns:
        (x, tau, **cond) -> v.

    Raises:
        ValueError: an argument is out of range; with the first velocity, if there is not one scale per frame.

    Source: arXiv 2410.02416, there for clean estimates of pictures.
    """
    for name, value, fits, wanted in (
        ("eta", eta, abs(eta) < torch.inf, "a finite number, such as 0"),
        ("threshold", threshold, 0 <= threshold < torch.inf, "0 (none) or more"),
        ("momentum", momentum, -1 < momentum < 1, "a number between -1 and 1; 0 is none"),
    ):
        if not fits:
            raise ValueError(f"{name}={value}: give {wanted}.")
    past = _Momentum(momentum)

    def rule(x: Video, tau: Tau, v: Video, v_null: Video, s: Tensor) -> Video:
        t, v, v_null = per_frame(tau, x).to(s), v.to(s), v_null.to(s)
        on, axes = (s != 1) & (t > 0), _axes(by_frame)
        clean = torch.where(on, x - t * v, 0)
        update = torch.where(on, t * (v_null - v), 0)
        if momentum:
            update = past.added(update, t)
        if threshold:
            update = update * (threshold / torch.linalg.vector_norm(update, dim=axes, keepdim=True)).clamp(max=1)
        along = clean / torch.linalg.vector_norm(clean, dim=axes, keepdim=True).clamp(min=1e-12)
        update = update + (eta - 1) * (update * along).sum(dim=axes, keepdim=True) * along
        return v - (s - 1) * torch.where(on, update / t, 0)

    return _against_null(denoiser, null, scale, interval, rule, remembers=momentum != 0)


class _Momentum:
    """A running sum with one memory for each frame, which its own noise level moves on."""

    def __init__(self, momentum: float) -> None:
        self.momentum = momentum
        self.last: tuple[Video, Tensor] | None = None

    def added(self, update: Video, t: Float[Tensor, "b 1 f 1 1"]) -> Video:
        if self.last is None or self.last[0].shape != update.shape:
            self.before = torch.zeros_like(update)
        else:
            total, since = self.last
            self.before = torch.where(t < since, total, torch.where(t > since, 0, self.before))
        self.last = update + self.momentum * self.before, t
        return self.last[0]


@checked
def cfg_zero_star(
    denoiser: Denoiser,
    null: Cond,
    scale: Scale,
    zero_from: float | int | None = 0.999,
    by_frame: bool = False,
    interval: TauInterval = (0.0, 1.0),
) -> Guided:
    """CFG-Zero*: scale the null prompt's velocity to fit the caption's best, and leave out the first steps. Two calls.

    v = a v_null + s (v_cond - a v_null), a = <v_cond, v_null> / (|v_null|^2 + 1e-8); 0 for guided frames with
    tau_i >= zero_from

    The products are those of a sample over channels, guided frames, height and width, as in the source; `by_frame`
    gives every frame its own a. Clean frames (tau = 0) do not count. The source leaves out a number of steps; here a
    noise level decides, for each frame by itself: the default leaves out the step that starts from pure noise.

    Args:
        denoiser: (x, tau, **cond) -> v.
        null: keyword arguments for the empty (or negative) caption, which replace those of the call.
        scale: s, one or (f,); 1 is no guidance, and leaves out no step either.
        zero_from: level in [0, 1] from which on a frame stands still; None leaves out nothing.
        by_frame: measure every frame by itself instead of the whole sample.
        interval: noise levels (low, high) in [0, 1] at which frames are guided, ends included.

    Returns:
        (x, tau, **cond) -> v.

    Raises:
        ValueError: an argument is out of range; with the first velocity, if there is not one scale per frame.

    Source: arXiv 2503.18886.
    """
    if zero_from is not None and not 0 <= zero_from <= 1:
        raise ValueError(f"zero_from={zero_from}: give a level in [0, 1], or None to leave out no step.")

    def rule(x: Video, tau: Tau, v: Video, v_null: Video, s: Tensor) -> Video:
        t, v, v_null, axes = per_frame(tau, x), v.to(s), v_null.to(s), _axes(by_frame)
        on = (s != 1) & (t > 0)
        product = torch.where(on, v * v_null, 0).sum(dim=axes, keepdim=True)
        v_null = v_null * product / (torch.where(on, v_null, 0).square().sum(dim=axes, keepdim=True) + 1e-8)
        out = v_null + s * (v - v_null)
        return out if zero_from is None else torch.where(t >= zero_from, 0, out)

    return _against_null(denoiser, null, scale, interval, rule)


def _axes(by_frame: bool) -> tuple[int, ...]:
    return (1, 3, 4) if by_frame else (1, 2, 3, 4)

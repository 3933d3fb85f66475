"""Guidance by the known frames, the history."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from pusa_lab.arguments import checked
from pusa_lab.guidance.guided import MOST_SCALE, Guided, around
from pusa_lab.schedules import frame_indices
from pusa_lab.sentences import counted
from pusa_lab.timesteps import check_tau, noise_further, per_frame, velocity_of
from pusa_lab.types import Denoiser, Tau, Video

SAME = 1e-6
"""Noise levels closer than this count as equal."""

View: TypeAlias = tuple[float, ...]
"""The level to which each frame is noised at least: 0 as it is, 1 hidden."""


@checked
@dataclass(frozen=True)
class Term:
    """One history condition H_i with its level and weight in the sum of `history_guidance`."""

    frames: Sequence[int]
    """Known latent frames that it shows; negative ones count from the end."""
    level: float | int
    """Noise level in [0, 1] to which they are noised: 0 shows them as they are, 1 hides them."""
    weight: float | int
    """w_i."""


@checked
def vanilla(history: Sequence[int], weight: float | int) -> list[Term]:
    """HG-v {(H, 0, w)}: the whole history, followed more closely for w > 1. Two calls.

    Args:
        history: known latent frames H.
        weight: w; 1 is no guidance, 1.5 was best for long videos in the source, 3 and more froze them.

    Source: arXiv 2502.06764.
    """
    return [Term(history, 0.0, weight)]


@checked
def temporal(histories: Sequence[Sequence[int]], weights: Sequence[float | int]) -> list[Term]:
    """HG-t {(H_i, 0, w_i)}: parts of the history, one call each, and one without any unless the weights sum to 1.

    Args:
        histories: known latent frames H_i of each part.
        weights: w_i, one for each part.

    Raises:
        ValueError: another number of weights than of parts.

    Source: arXiv 2502.06764.
    """
    if len(histories) != len(weights):
        parts = f"{counted(len(histories), 'part')} of the history"
        raise ValueError(f"{parts} with {counted(len(weights), 'weight')}: give one for each.")
    return [Term(frames, 0.0, weight) for frames, weight in zip(histories, weights, strict=True)]


@checked
def fractional(history: Sequence[int], level: float | int, weight: float | int) -> list[Term]:
    """HG-f {(H, 0, 1), (H, k, w - 1)}: guided by a noisy, low-frequency view alone, so that motion stays. Three calls.

    Args:
        history: known latent frames H.
        level: k in [0, 1] of the noisy view; 0 is `vanilla`, 1 is no guidance.
        weight: w; 1 is no guidance.

    Source: arXiv 2502.06764.
    """
    return [Term(history, 0.0, 1.0), Term(history, level, weight - 1)]


@checked
def history_guidance(
    denoiser: Denoiser, terms: Sequence[Term | tuple[Sequence[int], float | int, float | int]], eps: Video
) -> Guided:
    """Guidance by the known frames: their pull on the video is made stronger, split up, or blurred.

    v = v_null + sum_i w_i (v(H_i at level k_i) - v_null), v_null without history: pure noise, labelled 1.
    A view is what it is labelled: a known frame at level a is noised on to k = max(a, k_i),
    x' = r x + sqrt(k^2 - r^2 a^2) eps, r = (1 - k) / (1 - a). Frames that a term leaves out are pure noise in it

    The noise is the same at every call: sampling stays a plain ODE, both calls of `text_cfg` see one history, and a
    noisy view stays as blurred as it is labelled; fresh noise would show the clean frame in the end. Views of weight
    0 cost no call, so w = 1 is the plain denoiser. Frames in no term are seen by every call as they are. Known frames
    get the velocity of the cleanest view that shows them at their own level, or 0 if their level is 0: they stand
    still.

    Args:
        denoiser: (x, tau, **cond) -> v, trained with independent timesteps.
        terms: from `vanilla`, `temporal` or `fractional`, joined by +, or your own, each a `Term` or its (frames,
            level, weight); as text, "history_guidance(terms=[([0], 0, 1.5)])".
        eps: standard normal noise of x's shape (b, c, f, h, w), not the one that sampling starts from.

    Returns:
        (x, tau, **cond) -> v.

    Raises:
        ValueError: a term does not fit; with a velocity, if eps does not fit x or no view shows a moving known frame.

    Source: Eq. 5, arXiv 2502.06764.
    """
    views, past = _views([term if isinstance(term, Term) else Term(*term) for term in terms], eps.shape[2])
    cleanest_last = sorted(views.items(), key=lambda view: -sum(view[0]))

    def guided(x: Video, tau: Tau, **cond: Any) -> Video:
        _check_view(x, tau, eps, views)
        total = own = torch.zeros_like(x, dtype=torch.promote_types(x.dtype, torch.float32))
        for levels, weight in cleanest_last:
            seen = torch.maximum(tau, tau.new_tensor(levels))
            v = velocity_of(denoiser, noise_further(x, eps.to(x.device), tau, seen), seen, **cond).to(total)
            total = total + weight * v
            own = torch.where(per_frame(seen - tau, x) < SAME, v, own)
        known = per_frame(tau.new_tensor(past).expand_as(tau), x) > 0
        return torch.where(known, own, total).to(x.dtype)

    return around(denoiser, guided, len(views))


@checked
def picture_guidance(
    denoiser: Denoiser, known: Sequence[int], eps: Video, scale: float | int, level: float | int = 0.0
) -> Guided:
    """Guidance by the known frames of a task: towards what they make of the video, away from what it is without them.

    v = v(known at noise) + s (v(known as given) - v(known at noise)), at noise: replaced by eps and labelled 1

    Only a denoiser with one timestep per frame can be asked both. With a level k between, the pull is that of a blurred
    view, v(known as given) + (s - 1) (v(known at k) - v(known at noise)): motion stays. This is `history_guidance`
    of `fractional(known, level, scale)`: two calls, three with a level.

    Args:
        denoiser: (x, tau, **cond) -> v, trained with independent timesteps.
        known: known latent frames; negative ones count from the end.
        eps: standard normal noise of x's shape (b, c, f, h, w), not the one that sampling starts from.
        scale: s; 1 is no guidance, above 1 follows the known frames more closely.
        level: k in [0, 1) of the noisy view.

    Returns:
        (x, tau, **cond) -> v.

    Raises:
        ValueError: nothing is known, or as `history_guidance`.

    Source: Eq. 5, arXiv 2502.06764; guidance by the picture alone: section 3.2.1, arXiv 2211.09800.
    """
    if not known:
        raise ValueError("nothing is known of the video: give a task such as image_to_video, or use another guider.")
    return history_guidance(denoiser, fractional(known, level, scale), eps)


def _views(terms: Sequence[Term], frames: int) -> tuple[dict[View, float], View]:
    """The weight of every view that has one, and the view without history, from what the terms show."""
    shown = [frame_indices(term.frames, frames) for term in terms]
    null = tuple(float(any(i in at for at in shown)) for i in range(frames))
    views = {null: 1 - math.fsum(term.weight for term in terms)}
    for term, at in zip(terms, shown, strict=True):
        if not (0 <= term.level <= 1 and abs(term.weight) <= MOST_SCALE):
            raise ValueError(f"{term}: the level lies in [0, 1], where 0 is clean, and the weight is at most 1e6.")
        view = tuple(term.level if i in at else level for i, level in enumerate(null))
        views[view] = views.get(view, 0.0) + term.weight
    return {view: weight for view, weight in views.items() if abs(weight) > 1e-9}, null


def _check_view(x: Video, tau: Tau, eps: Video, views: dict[View, float]) -> None:
    check_tau(tau, x)
    if eps.shape != x.shape:
        raise ValueError(f"eps has shape {tuple(eps.shape)}, x {tuple(x.shape)}: the history's noise is made like x.")
    least = [min(levels) for levels in zip(*views, strict=True)]
    if any(least):
        lost = (tau > 0) & (tau < tau.new_tensor(least) - SAME)
        for _, frame in lost.nonzero()[:1].tolist():
            raise ValueError(
                f"known frame {frame} is noisy (its tau is above 0), but no term shows it at that level: keep it "
                f"clean, or add a term with it at level 0."
            )

"""Scores of videos frame by frame against the truth: one number per frame, by the name of the metric."""

from collections.abc import Callable, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked, returned
from pusa_lab.metrics.frames import psnr, ssim
from pusa_lab.metrics.skill import skill_by_frame
from pusa_lab.registry import Registry
from pusa_lab.signatures import signature_of

METRICS: Registry[Callable[..., Tensor]] = Registry(
    "metric",
    "pusa_lab.metrics",
    {"psnr": psnr, "ssim": ssim, "skill": skill_by_frame},
    "(clip, truth, known=) -> values (b, pixel frames)",
)
"""Name -> measure of frames against the truth, (clip, truth) -> (b, pf), or (clip, truth, known) if it depends on which
pixel frames were given. The suite has a column for each of the former, and for skill."""
EQUAL = 60.0
"""dB that count for frames that are equal to the truth or nearly so, whose PSNR may be infinite."""


@checked
def needs_known(metric: Callable[..., Any]) -> bool:
    """Whether a metric depends on which frames were given: whether it has a parameter `known`.

    Args:
        metric: any function.
    """
    try:
        return "known" in signature_of(metric).parameters
    except ValueError:  # it is written in C
        return False


@checked
def frame_scores(
    clip: Tensor, truth: Tensor, names: Sequence[str] | None = None, known: Sequence[int] = ()
) -> dict[str, Float[Tensor, "b pf"]]:
    """Score every frame against the truth; a PSNR above 60 dB counts as 60.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        truth: pixels of the same shape in [-1, 1].
        names: of metrics in `METRICS`; None is all of them, but where no frame is known, those that need none.
        known: pixel frames that were given.

    Raises:
        ValueError: clip or truth is not as described, there is no such metric, or it returns something else.
    """
    found = {}
    usual = (name for name in METRICS if known or not needs_known(METRICS[name]))
    for name in usual if names is None else names:
        metric = METRICS.find(name)
        given = {"known": known} if needs_known(metric) else {}
        found[name] = returned(metric(clip, truth, **given), Float[Tensor, "b pf"], f"the metric {name}")
        if tuple(found[name].shape) != (clip.shape[0], clip.shape[2]):
            raise ValueError(
                f"the metric {name} returned shape {tuple(found[name].shape)} for clips of shape {tuple(clip.shape)}: "
                "it must return one number per frame, (b, pixel frames)."
            )
    return found | {"psnr": found["psnr"].clamp(max=EQUAL)} if "psnr" in found else found

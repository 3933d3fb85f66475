"""Guidance away from a worse model: the same one with some of its transformer blocks skipped."""

from collections.abc import Sequence

import torch

from pusa_lab.arguments import checked
from pusa_lab.guidance.guided import MOST_SCALE, Guided, around, num_layers
from pusa_lab.guidance.text import Scale, TauInterval, _check_interval, _inside, _of_frames, _scales
from pusa_lab.sentences import counted
from pusa_lab.timesteps import per_frame, velocity_of
from pusa_lab.types import Cond, Denoiser, Tau, Video


@checked
def layer_indices(layers: Sequence[int], number: int) -> tuple[int, ...]:
    """Transformer blocks to be skipped, counted from the first and in order.

    Args:
        layers: of them, in -number..number-1; negative ones count from the last.
        number: of blocks in the transformer.

    Raises:
        ValueError: the transformer has no such block.
    """
    if outside := [i for i in layers if not -number <= i < number]:
        raise ValueError(f"layer {outside[0]} of a transformer with {counted(number, 'layer')}: give 0..{number - 1}.")
    return tuple(sorted({i % number for i in layers}))


@checked
def skip_layer_guidance(
    denoiser: Denoiser,
    null: Cond,
    layers: Sequence[int],
    weight: float | int,
    scale: Scale = 1.0,
    interval: TauInterval = (0.0, 1.0),
) -> Guided:
    """Skip-layer guidance (SLG, STG): away from what the model makes with some of its layers skipped; for structure.

    v = v_null + s (v_cond - v_null) + w (v_cond - v_skip), w = 0 for frames outside low <= tau_i <= high

    Three calls, two without text guidance (s = 1). Layers are skipped by calling the denoiser with one more keyword,
    skip_layers=(3, 4); a model that takes it says so by an attribute `num_layers`, as the toys and Wan do.

    Args:
        denoiser: (x, tau, **cond) -> v, with `num_layers`.
        null: keyword arguments for the empty (or negative) caption, which replace those of the call.
        layers: transformer blocks to skip, from 0, or negative from the last; at least one.
        weight: w; 0 is none, diffusers has 2.8.
        scale: s of text guidance, one or (f,); 1 is none.
        interval: noise levels (low, high) at which frames are guided away from v_skip; diffusers does it early, from 1
            to 20 % of the steps. Text guidance is at all levels.

    Returns:
        (x, tau, **cond) -> v.

    Raises:
        ValueError: the denoiser cannot skip layers or has no such layer, an argument is out of range; with the first
            velocity, if there is not one scale per frame.

    Source: Stability-AI/sd3.5 on GitHub; arXiv 2411.18664 for video.
    """
    scales, skipped = _scales(scale), _of_model(denoiser, layers)
    _check_interval(interval)
    if not abs(weight) <= MOST_SCALE:
        raise ValueError(f"weight={weight}: give a number of at most {MOST_SCALE:,}; 0 is none.")

    def guided(x: Video, tau: Tau, **cond: object) -> Video:
        s = per_frame(_of_frames(scales, tau, x), x)
        w = per_frame(weight * _inside(tau, interval).to(s.dtype), x)
        v = out = velocity_of(denoiser, x, tau, **cond)
        if (s != 1).any():
            v_null = velocity_of(denoiser, x, tau, **{**cond, **null}).to(s)
            out = v_null + s * (v - v_null)
        if (w != 0).any():
            out = out + w * (v - velocity_of(denoiser, x, tau, **{**cond, "skip_layers": skipped}).to(s))
        return torch.where((s == 1) & (w == 0), v, out).to(v.dtype)

    return around(denoiser, guided, 1 + int((scales != 1).any()) + (weight != 0))


def _of_model(denoiser: Denoiser, layers: Sequence[int]) -> tuple[int, ...]:
    number = num_layers(denoiser)
    if number is None:
        raise ValueError(
            "this denoiser cannot skip layers: use a toy or a Wan, whose call takes skip_layers and which says so by "
            "its attribute num_layers, or another guider."
        )
    if not layers:
        raise ValueError("layers is empty: name at least one transformer block to skip.")
    return layer_indices(layers, number)

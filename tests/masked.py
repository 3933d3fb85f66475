"""Block-causal attention written anew: every self-attention of a plain forward pass, with an explicit mask."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pusa_lab.memory import NEW_FRAME
from pusa_lab.noise import noise_of

SDPA = F.scaled_dot_product_attention


def explicit_mask(frames: int, block: int, window: int | None) -> Tensor:
    """Frame i sees frame j (f, f)."""
    mask = torch.zeros(frames, frames, dtype=torch.bool)
    for i in range(frames):
        for j in range(frames):
            end = block * (i // block) + block
            mask[i, j] = j // block <= i // block and (window is None or j >= end - window)
    return mask


def masked_forward(model: Any, block: int, window: int | None, x: Tensor, tau: Tensor, **cond: Any) -> Tensor:
    """The velocity of a model, whose self-attention is written out here."""
    return forward_with(explicit_mask(x.shape[2], block, window), model, x, tau, **cond)


def forward_with(mask: Tensor, model: Any, x: Tensor, tau: Tensor, **cond: Any) -> Tensor:
    """The same with any mask (f, f) of frames."""
    frames = x.shape[2]

    def attention(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
        if query.shape[2] != key.shape[2]:  # to the caption
            return SDPA(query, key, value, **options)
        per_frame = query.shape[2] // frames
        hidden = ~mask.repeat_interleave(per_frame, 0).repeat_interleave(per_frame, 1)
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        return scores.masked_fill(hidden, -torch.inf).softmax(-1) @ value

    F.scaled_dot_product_attention = attention
    try:
        with torch.no_grad():
            return model(x, tau, **cond)
    finally:
        F.scaled_dot_product_attention = SDPA


def noise_of_stream(model: Any, frames: int, seed: int) -> Tensor:
    """The noise of every frame of a stream."""
    shape = model.geometry.latent_shape(1, 1)
    return torch.cat([noise_of(shape, seed, (i + 1) * NEW_FRAME) for i in range(frames)], 2)

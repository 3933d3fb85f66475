"""Self-attention of Wan with keys and values that were kept of other frames: `pusa_lab.resting`, `pusa_lab.causal`."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.embeddings import get_1d_rotary_pos_embed
from diffusers.models.transformers.transformer_wan import WanAttnProcessor, _get_qkv_projections
from torch import Tensor

from pusa_lab.resting import Kept, TokenPart, attend_in_parts
from pusa_lab.sentences import memory_shown
from pusa_lab.wan.attention import unmasked_only
from pusa_lab.wan.lora.adapters import unwrapped

TensorPair: TypeAlias = tuple[Tensor, Tensor]
"""Keys and values (b, l, heads, d)."""


def attend(
    attn: Any,
    x: Tensor,
    rotary: TensorPair,
    rest: Tensor | None,
    kept: TensorPair | None,
    parts: Sequence[TokenPart] | None = None,
) -> tuple[Tensor, TensorPair | None]:
    """What diffusers' WanAttnProcessor computes, with keys and values that are kept or were.

    Args:
        attn: diffusers' WanAttention.
        x: tokens (b, l, d).
        rotary: cosines and sines (1, l, 1, d / heads) of the tokens' positions.
        rest: numbers of the tokens whose keys and values are to be kept; None keeps none.
        kept: keys and values of other tokens, to which all of x attend too.
        parts: which tokens attend to which, kept ones first, as for `attend_in_parts`.

    Returns:
        Tokens (b, l, d), and what is to be kept.
    """
    q, k, v = _get_qkv_projections(attn, x, None)
    q, k, v = (y.unflatten(2, (attn.heads, -1)) for y in (attn.norm_q(q), attn.norm_k(k), v))
    q, k = _turned(q, *rotary), _turned(k, *rotary)
    found = None if rest is None else (k.index_select(1, rest), v.index_select(1, rest))
    if kept is not None:
        k, v = torch.cat([kept[0], k], dim=1), torch.cat([kept[1], v], dim=1)
    backend = unmasked_only(attn.processor._attention_backend)
    out = attend_in_parts(partial(dispatch_attention_fn, backend=backend), q, k, v, parts)
    out = out.flatten(2, 3).type_as(q)
    return attn.to_out[1](attn.to_out[0](out)), found


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = cos[..., 0::2], sin[..., 1::2]
    out = torch.empty_like(x)
    out[..., 0::2] = a * cos - b * sin
    out[..., 1::2] = a * sin + b * cos
    return out.type_as(x)


def rotary_from(rope: Any, x: Tensor, first: int) -> TensorPair:
    """Cosines and sines of positions, of which those of the frames begin at `first`, beyond all that diffusers counts.

    Args:
        rope: diffusers' WanRotaryPosEmbed.
        x: latents (b, c, f, h, w).
        first: position of the first frame.
    """
    tables = rope(x)
    if not first:
        return tables
    places = torch.arange(first, first + x.shape[2], device=x.device)
    exact = torch.float32 if x.device.type == "mps" else torch.float64
    turns = get_1d_rotary_pos_embed(rope.t_dim, places, use_real=True, freqs_dtype=exact)
    cos, sin = (table.unflatten(1, (x.shape[2], -1)).clone() for table in tables)
    cos[..., : rope.t_dim], sin[..., : rope.t_dim] = (turn[:, None, None] for turn in turns)
    return cos.flatten(1, 2), sin.flatten(1, 2)


def fresh_tokens(kept: Kept, per_frame: int, device: torch.device) -> Tensor | None:
    """Numbers of the tokens, of those that are computed, whose keys and values are to be kept; None keeps none.

    Args:
        kept: which frames are computed.
        per_frame: tokens per frame.
        device: on which they are needed.
    """
    if not kept.fresh:
        return None
    frames = torch.tensor(kept.fresh, device=device)
    return (frames[:, None] * per_frame + torch.arange(per_frame, device=device)).flatten()


def keep(block: Callable[..., Any], kept: Kept, tokens: Tensor, *given: Any, rest: Tensor | None, parts: Any) -> Tensor:
    """Tokens after a block, which keeps or uses keys and values.

    Args:
        block: a `VTAWanTransformerBlock`, compiled or not.
        kept: where they are kept.
        tokens: (b, l, d), of the frames that are computed.
        *given: further arguments of the block.
        rest: from `fresh_tokens`.
        parts: of `Kept.parts`.
    """
    found = block(tokens, *given, rest=rest, kept=kept.old(id(block)), parts=parts)
    if rest is None:
        return found
    kept.store(id(block), *found[1])
    return found[0]


def kept_bytes(transformer: Any, frames: int, size: tuple[int, int]) -> int:
    """Bytes of the keys and values of frames at rest, of all layers.

    Args:
        transformer: a `VTAWanTransformer3DModel`.
        frames: at rest, of all samples and conditions together.
        size: height and width of the latents.
    """
    config = transformer.config
    tokens = frames * (size[0] // config.patch_size[1]) * (size[1] // config.patch_size[2])
    numbers = 2 * config.num_layers * tokens * config.num_attention_heads * config.attention_head_dim
    return numbers * max(2, transformer.dtype.itemsize)  # weights of 8 bits compute in 16


def check_resting(transformer: Any, frames: int, size: tuple[int, int], device: torch.device) -> None:
    """Refuse a transformer that cannot keep keys and values of frames at rest, or hide frames from each other.

    Args:
        transformer: a `VTAWanTransformer3DModel`, compiled or not.
        frames: at rest, of all samples and conditions together.
        size: height and width of the latents.
        device: on which they are kept.

    Raises:
        ValueError: it is compiled as a whole, split over GPUs, has a cache of diffusers or another attention; or the
            GPU has too little memory for what is kept.
    """
    model = unwrapped(transformer)
    if model is not transformer:
        raise ValueError(
            "refresh and causal with a transformer that is compiled as a whole: compile it by blocks, with "
            "transformer.compile_repeated_blocks(), or leave them out."
        )
    if getattr(model, "_parallel_config", None) is not None:
        raise ValueError(
            "refresh and causal with a transformer that is split over GPUs: leave them out, or do not split it."
        )
    if model.is_cache_enabled:
        raise ValueError(
            "refresh and causal with a cache of diffusers, which leaves out blocks by itself: call "
            "transformer.disable_cache(), or leave them out."
        )
    others = {type(block.attn1.processor).__name__ for block in model.blocks} - {WanAttnProcessor.__name__}
    if others:
        raise ValueError(
            f"refresh and causal with the attention processor {min(others)}, which keeps no keys and values: set "
            f"diffusers' WanAttnProcessor, or leave them out."
        )
    if device.type != "cuda":
        return
    free, needed = _free(device), kept_bytes(model, frames, size)
    if needed > free:
        raise ValueError(
            f"refresh and causal keep keys and values, here of {frames} frames at rest, "
            f"{memory_shown(needed / 2**30)}, and {device} has {memory_shown(free / 2**30)} free: ask for fewer frames "
            f"or a smaller size, or leave them out."
        )


def _free(device: torch.device) -> int:
    """Bytes free on a GPU, those that PyTorch holds without using them among them."""
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + held

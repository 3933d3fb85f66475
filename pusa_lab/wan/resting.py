"""Self-attention of Wan with keys and values that were kept of frames at rest, see `pusa_lab.resting`."""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttnProcessor, _get_qkv_projections
from torch import Tensor

from pusa_lab.resting import Kept
from pusa_lab.sentences import memory_shown
from pusa_lab.wan.lora.adapters import unwrapped

TensorPair: TypeAlias = tuple[Tensor, Tensor]
"""Keys and values (b, l, heads, d)."""


def attend(
    attn: Any, x: Tensor, rotary: TensorPair, rest: Tensor | None, kept: TensorPair | None
) -> tuple[Tensor, TensorPair | None]:
    """What diffusers' WanAttnProcessor computes, with keys and values that are kept or were.

    Args:
        attn: diffusers' WanAttention.
        x: tokens (b, l, d).
        rotary: cosines and sines (1, l, 1, d / heads) of the tokens' positions.
        rest: numbers of the tokens whose keys and values are to be kept; None keeps none.
        kept: keys and values of other tokens, to which all of x attend too.

    Returns:
        Tokens (b, l, d), and what is to be kept.
    """
    q, k, v = _get_qkv_projections(attn, x, None)
    q, k, v = (y.unflatten(2, (attn.heads, -1)) for y in (attn.norm_q(q), attn.norm_k(k), v))
    q, k = _turned(q, *rotary), _turned(k, *rotary)
    found = None if rest is None else (k.index_select(1, rest), v.index_select(1, rest))
    if kept is not None:
        k, v = torch.cat([kept[0], k], dim=1), torch.cat([kept[1], v], dim=1)
    out = dispatch_attention_fn(q, k, v, backend=attn.processor._attention_backend)
    out = out.flatten(2, 3).type_as(q)
    return attn.to_out[1](attn.to_out[0](out)), found


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = cos[..., 0::2], sin[..., 1::2]
    out = torch.empty_like(x)
    out[..., 0::2] = a * cos - b * sin
    out[..., 1::2] = a * sin + b * cos
    return out.type_as(x)


def resting_tokens(kept: Kept, per_frame: int, device: torch.device) -> Tensor:
    """Numbers of the tokens of frames at rest.

    Args:
        kept: which frames are at rest.
        per_frame: tokens per frame.
        device: on which they are needed.
    """
    frames = torch.tensor(kept.rest, device=device)
    return (frames[:, None] * per_frame + torch.arange(per_frame, device=device)).flatten()


def keep(block: Callable[..., Any], kept: Kept, tokens: Tensor, *given: Any, rest: Tensor) -> Tensor:
    """Tokens after a block, which keeps or uses keys and values.

    Args:
        block: a `VTAWanTransformerBlock`, compiled or not.
        kept: where they are kept.
        tokens: (b, l, d), of the frames that are computed.
        *given: further arguments of the block.
        rest: from `resting_tokens`.
    """
    if not kept.whole:
        return block(tokens, *given, kept=kept.layers[id(block)])
    tokens, kept.layers[id(block)] = block(tokens, *given, rest=rest)
    return tokens


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
    """Refuse a transformer that cannot keep keys and values of frames at rest.

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
            "refresh with a transformer that is compiled as a whole: compile it by blocks, with "
            "transformer.compile_repeated_blocks(), or leave refresh out."
        )
    if getattr(model, "_parallel_config", None) is not None:
        raise ValueError("refresh with a transformer that is split over GPUs: leave refresh out, or do not split it.")
    if model.is_cache_enabled:
        raise ValueError(
            "refresh with a cache of diffusers, which leaves out blocks by itself: call transformer.disable_cache(), "
            "or leave refresh out."
        )
    others = {type(block.attn1.processor).__name__ for block in model.blocks} - {WanAttnProcessor.__name__}
    if others:
        raise ValueError(
            f"refresh with the attention processor {min(others)}, which keeps no keys and values: set diffusers' "
            f"WanAttnProcessor, or leave refresh out."
        )
    if device.type != "cuda":
        return
    free, needed = _free(device), kept_bytes(model, frames, size)
    if needed > free:
        raise ValueError(
            f"refresh keeps keys and values of {frames} frames at rest, {memory_shown(needed / 2**30)}, and {device} "
            f"has {memory_shown(free / 2**30)} free: ask for fewer frames or a smaller size, or leave refresh out."
        )


def _free(device: torch.device) -> int:
    """Bytes free on a GPU, those that PyTorch holds without using them among them."""
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + held

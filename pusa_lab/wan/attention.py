"""Which attention a Wan computes with: PyTorch's own choice, cuDNN's, FlashAttention 4, or a backend of diffusers.

FlashAttention 4 is registered here as one more backend of diffusers, "fa4", so that its processors, its
`set_attention_backend` and its context parallelism know it. Cross-attention goes through it like self-attention; with a
mask, which it has none of, it is PyTorch's own. Causal models and frames at rest (`pusa_lab.causal`,
`pusa_lab.resting`) always compute with PyTorch's own where "fa4" is set.
"""

from typing import Any

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.attention_dispatch import (
    AttentionBackendName,
    _AttentionBackendRegistry,
    _check_attention_backend_requirements,
    _maybe_download_kernel_for_backend,
    _templated_context_parallel_attention,
    dispatch_attention_fn,
)
from diffusers.models.transformers.transformer_wan import WanAttention
from torch import Tensor

from pusa_lab.arguments import checked, shown
from pusa_lab.fa4 import FA4_BACKWARD, FA4_FORWARD, HEAD, TYPES, fa4, fa4_fault
from pusa_lab.wan.lora.adapters import unwrapped


def _member(name: str) -> AttentionBackendName:
    """A backend that diffusers does not have: its dispatcher wants members of this enumeration."""
    found = str.__new__(AttentionBackendName, name)
    found._name_, found._value_ = name.upper(), name
    AttentionBackendName._member_map_[found._name_] = AttentionBackendName._value2member_map_[name] = found
    return found


NATIVE = AttentionBackendName.NATIVE
FA4 = _member("fa4")
BACKENDS = {"native": NATIVE.value, "cudnn": AttentionBackendName._NATIVE_CUDNN.value, "fa4": FA4.value}
"""What `attention` may be, besides "auto" and diffusers' own names -> diffusers' name of it."""


def _cp_forward(
    ctx: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    dropout_p: float,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
    return_lse: bool,
    _save_ctx: bool = True,
    _parallel_config: Any = None,
) -> Any:
    """What diffusers' context parallelism calls on each rank; it wants the denominators as (b, s, n)."""
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    out, lse = FA4_FORWARD(query, key, value, scale)
    if _save_ctx:
        ctx.save_for_backward(query, key, value, out, lse)
        ctx.scale = scale
    return (out, lse.transpose(1, 2)) if return_lse else out


def _cp_backward(ctx: Any, grad_out: Tensor, *_: Any, lse: Tensor | None = None, **given: Tensor) -> Any:
    """Its backward; a ring gives the tensors of each round anew, by name, and the others are as they were saved."""
    names = ("query", "key", "value", "out")
    *saved, own = ctx.saved_tensors
    q, k, v, out = (given.get(name, tensor) for name, tensor in zip(names, saved, strict=True))
    return FA4_BACKWARD(grad_out, q, k, v, out, own if lse is None else lse.transpose(1, 2).contiguous(), ctx.scale)


@_AttentionBackendRegistry.register(FA4, supports_context_parallel=True)
def _fa4_backend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    _parallel_config: Any = None,
) -> Tensor:
    if attn_mask is not None or is_causal or dropout_p:
        plain = (query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
        return dispatch_attention_fn(*plain, backend=NATIVE, parallel_config=_parallel_config)
    if _parallel_config is None:
        return fa4(query, key, value, scale)
    return _templated_context_parallel_attention(
        *(query, key, value, None, dropout_p, is_causal, scale, enable_gqa, False),
        forward_op=_cp_forward,
        backward_op=_cp_backward,
        _parallel_config=_parallel_config,
    )


def unmasked_only(backend: Any) -> Any:
    """The backend that serves tokens which see only some others: PyTorch's own instead of FlashAttention 4.

    Args:
        backend: of a processor of diffusers; None is diffusers' default.
    """
    return NATIVE if backend is FA4 else backend


@checked
def check_attention(
    attention: str, device: torch.device, dtype: torch.dtype | None = None, head: int | None = None
) -> None:
    """Refuse an attention that is unknown or cannot run.

    Args:
        attention: "auto", one of `BACKENDS`, or the name of a backend of diffusers.
        device: on which the model will compute.
        dtype: in which it will compute; None is not checked.
        head: size of a head; None is not checked.

    Raises:
        ValueError: it is unknown, its package is not installed, or device, type or heads do not fit it.
    """
    if attention == "auto":
        return
    said = f"attention={attention!r:.60}"
    name = BACKENDS.get(attention, attention)
    known = [one.value for one in AttentionBackendName.__members__.values()]
    if name not in known:
        usual = sorted(one for one in known if not one.startswith("_") and one not in BACKENDS)
        raise ValueError(
            f"{said}: give one of {', '.join(['auto', *BACKENDS])}, or a backend of diffusers: {', '.join(usual)}."
        )
    instead = "use attention='auto', which takes what can run, or 'native'"
    if attention == "fa4" and (fault := fa4_fault(device)):
        raise ValueError(f"{said}, but {fault}: {instead}.")
    if attention == "cudnn" and device.type != "cuda":
        raise ValueError(f"{said}, but the model computes on the {device.type.upper()}: {instead}.")
    if attention in ("fa4", "cudnn") and dtype is not None and dtype not in TYPES:
        raise ValueError(f"{said} with dtype={dtype}: it computes in bfloat16 or float16; {instead}.")
    if attention == "fa4" and head is not None and (head % HEAD[0] or head > HEAD[1]):
        raise ValueError(f"{said} with heads of {head} numbers: it needs a multiple of 8, at most 128; {instead}.")
    try:
        _check_attention_backend_requirements(AttentionBackendName(name))
    except RuntimeError as error:
        raise ValueError(f"{said}: {' '.join(str(error).split())}") from error


@checked
def set_attention(
    transformer: torch.nn.Module,
    attention: str,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Let all attention of a transformer compute with a backend; unlike diffusers' own method, that of no other model.

    Args:
        transformer: a `VTAWanTransformer3DModel`, compiled by blocks or not, with adapters or not; changed in place.
        attention: one of `BACKENDS`, or the name of a backend of diffusers: what `choose_attention` returns.
        device: on which the model computes; None is where its weights are.
        dtype: in which it computes; None is the weights'.

    Raises:
        ValueError: as `check_attention`, the model is no Wan, or it is split over GPUs and this backend cannot be.
    """
    model = unwrapped(transformer)
    if not isinstance(model, WanTransformer3DModel):
        raise ValueError(f"transformer is {shown(transformer)}: give diffusers' WanTransformer3DModel, or ours.")
    if attention == "auto":
        raise ValueError(
            "attention='auto' is for loading and training: give set_attention what choose_attention found."
        )
    dtype = dtype or (model.dtype if model.dtype.itemsize > 1 else None)  # weights of 8 bits compute in 16
    check_attention(attention, device or model.device, dtype, model.config.attention_head_dim)
    backend = AttentionBackendName(BACKENDS.get(attention, attention))
    split = getattr(model, "_parallel_config", None) is not None
    if split and backend.value not in _AttentionBackendRegistry._supports_context_parallel:
        raise ValueError(
            f"attention={attention!r:.60} with a transformer that is split over GPUs: give 'native' or 'fa4'."
        )
    _maybe_download_kernel_for_backend(backend)
    for part in model.modules():
        if isinstance(part, WanAttention):
            part.processor._attention_backend = backend

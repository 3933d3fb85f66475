"""FlashAttention 4 (the package flash-attn-4) as an operator of PyTorch, so that it compiles and can be checkpointed.

softmax(scale q k^T) v for every head, without a mask and of any lengths. Forward and backward are the package's own
kernels; what the backward needs, the output and the log of the softmax's denominator, is kept or computed again like
what any other operator returns.

Source: the method is that of arXiv 2307.08691 (FlashAttention-2) and 2407.08608 (FlashAttention-3, on Hopper).
"""

import importlib
import warnings
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor

from pusa_lab.arguments import checked

PACKAGE = "flash-attn-4"
CAPABILITY = (9, 0)
"""Oldest compute capability of a GPU that runs it: Hopper's."""
TYPES = (torch.bfloat16, torch.float16)
"""Types in which it computes."""
HEAD = (8, 128)
"""A head's size is a multiple of the first and at most the second."""


@checked
def fa4_fault(device: torch.device) -> str | None:
    """Why FlashAttention 4 cannot run on a device, as the end of a sentence; None if it can.

    Args:
        device: on which the model will compute.
    """
    if device.type != "cuda":
        return f"it needs a Hopper or newer GPU, and the model computes on the {device.type.upper()}"
    if torch.cuda.get_device_capability(device) < CAPABILITY:
        return f"it needs a Hopper or newer GPU, and this is a {torch.cuda.get_device_name(device)}"
    try:
        _kernels()
    except Exception as error:  # a missing or unfit library of CUDA ends in an error of any kind
        if isinstance(error, ModuleNotFoundError) and str(error.name).startswith("flash_attn"):
            return f"{PACKAGE} is not installed (pip install 'pusa-lab[fast]')"
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:150]
        return f"{PACKAGE} cannot be imported ({reason})"
    return None


@cache
def _kernels() -> Any:
    """The package's module of kernels; importing it takes seconds."""
    warnings.filterwarnings("ignore", message=".*aux_data", category=UserWarning)  # of its own code, at the first call
    return importlib.import_module("flash_attn.cute.interface")


def _on(x: Tensor) -> AbstractContextManager[Any]:
    """Context manager in which kernels run on the GPU of x."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


@torch.library.custom_op("pusa_lab::fa4", mutates_args=())
def _forward(q: Tensor, k: Tensor, v: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    with _on(q):
        out, lse, *_ = _kernels()._flash_attn_fwd(q, k, v, softmax_scale=scale, return_lse=True)
    return out, lse


@_forward.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    b, s, n, _ = q.shape
    return q.new_empty(b, s, n, v.shape[-1]), q.new_empty(b, n, s, dtype=torch.float32)


@torch.library.custom_op("pusa_lab::fa4_backward", mutates_args=())
def _backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    with _on(q):
        dq, dk, dv, *_ = _kernels()._flash_attn_bwd(q, k, v, out, grad, lse, softmax_scale=scale)
    return dq, dk, dv


@_backward.register_fake
def _(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.scale = inputs
    ctx.save_for_backward(*tensors, *output)


def _gradients(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor | None, ...]:
    return *_backward(grad, *ctx.saved_tensors, ctx.scale), None


_forward.register_autograd(_gradients, setup_context=_keep)
FA4_FORWARD = torch.ops.pusa_lab.fa4.default
"""The operator, (q, k, v, scale) -> output and log of the denominators (b, n, s), for policies of checkpointing."""
FA4_BACKWARD = torch.ops.pusa_lab.fa4_backward.default
"""(gradient of the output, q, k, v, output, log of the denominators, scale) -> gradients of q, k and v."""


def fa4(q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> Tensor:
    """Attention softmax(scale q k^T) v by FlashAttention 4, where `fa4_fault` finds none; it can be differentiated.

    Args:
        q: queries (b, s, n, d), bfloat16 or float16, d a multiple of 8 and at most 128.
        k: keys (b, t, n, d).
        v: values (b, t, n, d).
        scale: None is 1 / sqrt(d).

    Returns:
        (b, s, n, d).

    Source: arXiv 2307.08691.
    """
    return FA4_FORWARD(q, k, v, q.shape[-1] ** -0.5 if scale is None else scale)[0]

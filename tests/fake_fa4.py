"""A stand-in for the package flash-attn-4, in plain PyTorch and on any device, with the signatures of 4.0.0b36."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from pusa_lab import fa4


def _flash_attn_fwd(
    q: Tensor, k: Tensor, v: Tensor, softmax_scale: float, return_lse: bool = False
) -> tuple[Tensor, Tensor, None, None, None]:
    scores = torch.einsum("bsnd,btnd->bnst", q, k).float() * softmax_scale
    lse = scores.logsumexp(-1)
    out = torch.einsum("bnst,btnd->bsnd", (scores - lse[..., None]).exp(), v.float())
    return out.to(q.dtype).contiguous(), lse, None, None, None


def _flash_attn_bwd(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, grad: Tensor, lse: Tensor, softmax_scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Eq. 4 of arXiv 2307.08691, from the log of the denominators that was kept."""
    assert lse.shape == (q.shape[0], q.shape[2], q.shape[1]) and lse.is_contiguous()
    q32, k32, v32, o32, do32 = (x.float() for x in (q, k, v, out, grad))
    p = (torch.einsum("bsnd,btnd->bnst", q32, k32) * softmax_scale - lse[..., None]).exp()
    dp = torch.einsum("bsnd,btnd->bnst", do32, v32)
    ds = p * (dp - (do32 * o32).sum(-1).transpose(1, 2)[..., None]) * softmax_scale
    dq, dk = torch.einsum("bnst,btnd->bsnd", ds, k32), torch.einsum("bnst,bsnd->btnd", ds, q32)
    dv = torch.einsum("bnst,bsnd->btnd", p, do32)
    return tuple(torch.empty_like(x).copy_(dx) for x, dx in ((q, dq), (k, dk), (v, dv)))  # type: ignore[return-value]


class Calls(list[tuple[str, tuple[int, ...], tuple[int, ...]]]):
    """What was called: "forward" or "backward", and the shapes of queries and keys."""


@contextmanager
def stand_in() -> Iterator[Calls]:
    """Context manager with it in the package's place, where `fa4_fault` finds nothing wrong on the CPU; its calls."""
    from pusa_lab.wan import attention

    calls = Calls()

    def told(name: str, function: Any) -> Any:
        def call(q: Tensor, k: Tensor, *args: Any, **options: Any) -> Any:
            calls.append((name, tuple(q.shape), tuple(k.shape)))
            return function(q, k, *args, **options)

        return call

    modules = {name: ModuleType(name) for name in ("flash_attn", "flash_attn.cute", "flash_attn.cute.interface")}
    vars(modules["flash_attn.cute.interface"]).update(
        _flash_attn_fwd=told("forward", _flash_attn_fwd), _flash_attn_bwd=told("backward", _flash_attn_bwd)
    )
    fa4._kernels.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        for name, module in modules.items():
            patch.setitem(sys.modules, name, module)
        patch.setattr(attention, "fa4_fault", lambda device: None)
        patch.setattr(attention, "TYPES", (torch.bfloat16, torch.float16, torch.float32))
        patch.setattr(attention, "HEAD", (4, 128))  # the tiny Wan has heads of 12
        yield calls
    fa4._kernels.cache_clear()

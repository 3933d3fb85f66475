"""Kinds of attention for wan_forward.py: which can run here, how far they are from float32, and their time alone."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from torch import Tensor
from torch.nn import functional as F

from pusa_lab.wan.attention import BACKENDS, check_attention
from pusa_lab.wan.fastest_attention import attention_seconds

SHAPES = [
    (2, 77, 77, 3, 128),
    (1, 1024, 1024, 5, 128),
    (3, 129, 512, 4, 64),
    (2, 512, 33, 2, 96),
    (2, 1560, 1560, 4, 128),
]
"""Samples, queries, keys, heads and their size: odd lengths, and others for captions than for tokens."""
TINY = [(2, 7, 7, 3, 16), (1, 9, 5, 2, 8)]
PARTS = ("output", "gradient of q", "gradient of k", "gradient of v")


def kinds_of_attention(device: str, head: int) -> tuple[list[str], dict[str, str]]:
    """Those that can run here, native first, and why others cannot."""
    why = {}
    for kind in BACKENDS:
        try:
            check_attention(kind, torch.device(device), torch.bfloat16, head)
        except ValueError as error:
            why[kind] = str(error)
    return [kind for kind in BACKENDS if kind not in why], why


def alone(model: Any, tokens: int, device: str) -> dict[str, dict[str, float]]:
    """Milliseconds of one layer's self-attention, of each kind."""
    shape = tokens, model.config.num_attention_heads, model.config.attention_head_dim
    found = {}
    for name, backward in (("forward", False), ("forward and backward", True)):
        seconds = attention_seconds(shape, torch.device(device), torch.bfloat16, backward)
        found[name] = {kind: round(1000 * each, 3) for kind, each in seconds.items()}
    return found


def relative(x: Tensor, reference: Tensor) -> float:
    """Difference, as roots of mean squares."""
    rms = lambda x: x.float().square().mean().sqrt().item()  # noqa: E731
    return rms(x.float() - reference.float()) / rms(reference)


def agreement(kinds: Sequence[str], device: str, tiny: bool) -> dict[str, dict[str, Any]]:
    """Relative error of output and gradients against attention in float32, of each kind in bf16, for each of SHAPES.

    On a GPU, also whether FlashAttention 4 gives the same output, bit for bit, in a compiled function; its dq is a sum
    in no fixed order, so that of the gradients only the error is told.
    """
    found = {}
    for shape in TINY if tiny else SHAPES:
        b, s, t, n, d = shape
        g = torch.Generator().manual_seed(0)
        q, k, v, grad = (torch.randn(b, m, n, d, generator=g).to(device, torch.bfloat16) for m in (s, t, t, s))
        exact = outcome(plain, *(x.float() for x in (q, k, v, grad)))
        row: dict[str, Any] = {}
        for kind in kinds:
            attention = partial(dispatch_attention_fn, backend=AttentionBackendName(BACKENDS[kind]))
            eager = outcome(attention, q, k, v, grad)
            row[kind] = errors(eager, exact)
            if kind == "fa4" and device == "cuda":
                compiled = outcome(torch.compile(attention, fullgraph=True, dynamic=False), q, k, v, grad)
                row["fa4, compiled"] = errors(compiled, exact) | {"same output": torch.equal(compiled[0], eager[0])}
        found[f"b {b}, queries {s}, keys {t}, heads {n} of {d}"] = row
    return found


def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's attention of (b, s, n, d)."""
    return F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)


def outcome(attention: Any, q: Tensor, k: Tensor, v: Tensor, grad: Tensor) -> list[Tensor]:
    """The output and the gradients of q, k and v."""
    given = [x.detach().requires_grad_() for x in (q, k, v)]
    out = attention(*given)
    return [out.detach(), *torch.autograd.grad(out, given, grad)]


def errors(found: list[Tensor], exact: list[Tensor]) -> dict[str, Any]:
    """Relative errors, by part."""
    return {name: relative(one, other) for name, one, other in zip(PARTS, found, exact, strict=True)}

"""Activation checkpointing: what each block saves for the backward pass, and what it computes again."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from pusa_lab.arguments import checked
from pusa_lab.checkpointing import SAVES
from pusa_lab.fa4 import FA4_FORWARD
from pusa_lab.sentences import counted, shown

ATEN = torch.ops.aten
ATTENTION = {
    getattr(ATEN, f"_scaled_dot_product_{name}").default: -2
    for name in ("flash_attention", "efficient_attention", "cudnn_attention", "flash_attention_for_cpu")
} | {FA4_FORWARD: -3}
"""Operator -> which dimension of its queries and keys counts tokens."""


@checked
def set_activation_checkpointing(
    model: nn.Module, saves: Sequence[str], compiled: bool = False, offload_activations: bool = False
) -> None:
    """Switch on activation checkpointing: each block saves what `saves` says and computes the rest again.

    Gradients stay the same. In a compiled block the choice is part of the graph, so values that the backward pass does
    not need are not computed again.

    Args:
        model: a model with `blocks` and diffusers' `enable_gradient_checkpointing`; changed in place.
        saves: one of `SAVES` for each block, such as from `pusa_lab.checkpointing.checkpointing_plan`.
        compiled: compile each block, including what it computes again.
        offload_activations: move the saved inputs of blocks to the host's memory, and the output of attention if
            blocks are compiled.

    Raises:
        ValueError: the model has no blocks, or saves has another length than they or holds an unknown word.
    """
    blocks: Any = getattr(model, "blocks", None)
    if blocks is None or not hasattr(model, "enable_gradient_checkpointing"):
        raise ValueError(
            f"model is {shown(model)}: give a transformer with blocks and diffusers' enable_gradient_checkpointing."
        )
    if len(saves) != len(blocks) or not set(saves) <= set(SAVES):
        raise ValueError(
            f"saves={list(saves)} for {counted(len(blocks), 'block')}: give one of {', '.join(SAVES)} for each."
        )
    ways: dict[str, Callable[..., Tensor]] = {name: partial(run, **how) for name, (run, how) in _WAYS.items()}
    if compiled:
        ways = {name: torch.compile(way, fullgraph=True, dynamic=False) for name, way in ways.items()}
    if offload_activations:
        ways = {name: partial(_offloaded, way, compiled or name == "everything") for name, way in ways.items()}
    of = dict(zip(blocks, saves, strict=True))
    model.enable_gradient_checkpointing(lambda block, *args: ways[of[block]](block, *args))  # type: ignore[operator]


def _offloaded(way: Callable[..., Tensor], hooks: bool, block: nn.Module, x: Tensor, *args: Any) -> Tensor:
    """Run a block whose saved tokens wait on the host, as saved tensors or as the input of the second forward."""
    place = x.device
    if hooks:
        size = x.numel()

        def pack(t: Tensor) -> tuple[Tensor, bool]:
            tokens = t.numel() == size and not isinstance(t, nn.Parameter)
            return (_to_host(t), True) if tokens else (t, False)

        def unpack(packed: tuple[Tensor, bool]) -> Tensor:
            return packed[0].to(place, non_blocking=True) if packed[1] else packed[0]

        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            return way(block, x, *args)
    given, waiting = [x], _to_host(x)

    def again(*args: Any) -> Tensor:
        now = given.pop() if given else waiting.to(place, non_blocking=True).requires_grad_(needs)
        return block(now, *args)

    needs = x.requires_grad
    return way(again, *args)


def _to_host(x: Tensor) -> Tensor:
    """Copy to the host, into pinned memory, so that the GPU need not wait."""
    copy = torch.empty_like(x, device="cpu", pin_memory=x.is_cuda)
    return copy.copy_(x.detach(), non_blocking=True)


def _run(block: nn.Module, *args: Any) -> Tensor:
    return block(*args)


def _save_attention(_: Any, op: Any, *args: Any, **__: Any) -> CheckpointPolicy:
    """Save the output of self-attention only: cross-attention is cheap, and its output is as large."""
    dear = op in ATTENTION and args[0].shape[ATTENTION[op]] == args[1].shape[ATTENTION[op]]
    return CheckpointPolicy.MUST_SAVE if dear else CheckpointPolicy.PREFER_RECOMPUTE


_WAYS: dict[str, tuple[Callable[..., Tensor], dict[str, Any]]] = {
    "input": (checkpoint, {"use_reentrant": False}),
    "attention": (
        checkpoint,
        {"use_reentrant": False, "context_fn": partial(create_selective_checkpoint_contexts, _save_attention)},
    ),
    "everything": (_run, {}),
}

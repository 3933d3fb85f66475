"""What a transformer's blocks keep for the backward pass, and what they compute again."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from pusa_lab.arguments import checked

ATEN = torch.ops.aten
ATTENTION = {
    getattr(ATEN, f"_scaled_dot_product_{name}").default
    for name in ("flash_attention", "efficient_attention", "cudnn_attention", "flash_attention_for_cpu")
}
MOST = 2**16
"""Blocks of a model, far more than any has."""
KEEPS = ("input", "attention", "everything")
"""What a block keeps: its input alone, also what its self-attention gives, or all that its backward needs."""


@checked
def keep_plan(blocks: int, attention: int = 0, everything: int = 0) -> list[str]:
    """What each block keeps: the last ones most, because their memory is free again first.

    Args:
        blocks: how many there are.
        attention: how many keep the result of self-attention, the dearest to compute again.
        everything: how many keep all.

    Raises:
        ValueError: more than there are blocks, or more blocks than any model has.
    """
    if not 0 <= blocks <= MOST:
        raise ValueError(f"blocks={blocks}: give 0 to {MOST}.")
    if min(attention, everything) < 0 or attention + everything > blocks:
        raise ValueError(
            f"attention={attention} and everything={everything} of {blocks} blocks: "
            "give numbers from 0 that add up to no more."
        )
    rest = blocks - attention - everything
    return ["input"] * rest + ["attention"] * attention + ["everything"] * everything


@checked
def set_recompute(model: nn.Module, keeps: Sequence[str], compiled: bool = False, host: bool = False) -> None:
    """Let every block keep what is asked, and compute the rest again in the backward pass; gradients stay the same.

    Compiled, the choice is part of the graph: what the backward does not need is not computed again.

    Args:
        model: has `blocks`, and diffusers' `enable_gradient_checkpointing`.
        keeps: one of `KEEPS` for each block, as `keep_plan` gives.
        compiled: compile each block, together with what it computes again.
        host: let a block's input wait in the host's memory, and, where blocks are compiled, attention's result.

    Raises:
        ValueError: another number of blocks, or a word that is not known.
    """
    blocks: Any = model.blocks
    if len(keeps) != len(blocks) or not set(keeps) <= set(KEEPS):
        raise ValueError(f"keeps={list(keeps)} for {len(blocks)} blocks: give one of {', '.join(KEEPS)} for each.")
    ways: dict[str, Callable[..., Tensor]] = {name: partial(run, **how) for name, (run, how) in _WAYS.items()}
    if compiled:
        ways = {name: torch.compile(way, fullgraph=True, dynamic=False) for name, way in ways.items()}
    if host:
        ways = {name: partial(_hosted, way, compiled or name == "everything") for name, way in ways.items()}
    of = dict(zip(blocks, keeps, strict=True))
    model.enable_gradient_checkpointing(lambda block, *args: ways[of[block]](block, *args))  # type: ignore[operator]


def _hosted(way: Callable[..., Tensor], saves: bool, block: nn.Module, x: Tensor, *args: Any) -> Tensor:
    """A block whose kept tokens wait on the host: as saved tensors, or in the hands of what is computed again."""
    place = x.device
    if saves:
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
    """A copy; pinned, so that the GPU need not wait for it."""
    copy = torch.empty_like(x, device="cpu", pin_memory=x.is_cuda)
    return copy.copy_(x.detach(), non_blocking=True)


def _run(block: nn.Module, *args: Any) -> Tensor:
    return block(*args)


def _keep_attention(_: Any, op: Any, *args: Any, **__: Any) -> CheckpointPolicy:
    """Of self-attention alone: attention to a caption costs little, and its result is as large."""
    dear = op in ATTENTION and args[0].shape[-2] == args[1].shape[-2]
    return CheckpointPolicy.MUST_SAVE if dear else CheckpointPolicy.PREFER_RECOMPUTE


_WAYS: dict[str, tuple[Callable[..., Tensor], dict[str, Any]]] = {
    "input": (checkpoint, {"use_reentrant": False}),
    "attention": (
        checkpoint,
        {"use_reentrant": False, "context_fn": partial(create_selective_checkpoint_contexts, _keep_attention)},
    ),
    "everything": (_run, {}),
}

"""How many of Wan's blocks may save attention's result, or everything: measured on a few of them, the rest counted."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from wan_train_step import Step, Way, clip, free

from pusa_lab.checkpointing import SAVES, checkpointing_plan

SPARE = 4.0
"""GiB that the choice of what to keep leaves free."""
MOMENTS = {"adamw": 8.0, "adamw8bit": 2 * (1 + 4 / 256)}
"""Bytes of an optimizer's state, a trained number."""


@dataclass(frozen=True)
class Costs:
    """GiB of one whole model."""

    fixed: float
    """Weights, the optimizer's state and the clip."""
    gradients: float
    """That one block leaves."""
    kept: dict[str, float]
    """From forward to backward, by what a block saves."""
    working: dict[str, float]
    """In its backward, and given back after it."""

    def peak(self, saves: Sequence[str]) -> float:
        """The most, going backwards: what is kept so far, what this block works with, and gradients made before."""
        highest, kept = 0.0, 0.0
        for i, keep in enumerate(saves):
            kept += self.kept[keep]
            highest = max(highest, kept + self.working[keep] + self.gradients * (len(saves) - 1 - i))
        return self.fixed + highest


def choices(blocks: int, ac_save_attention: int, ac_skip_blocks: int) -> list[tuple[int, int]]:
    """Blocks that save attention's result and everything, the fastest first. -1 leaves the number free.

    Attention is the most expensive part to compute again and takes little memory, so everything is saved only where
    all blocks save at least attention's result.
    """
    most = range(blocks, -1, -1) if ac_skip_blocks < 0 else [ac_skip_blocks]
    found = [(min(blocks if ac_save_attention < 0 else ac_save_attention, blocks - n), n) for n in most]
    if ac_save_attention < 0:
        found += [(a, most[-1]) for a in range(blocks - most[-1] - 1, -1, -1)]
    return found


def fitted(args: SimpleNamespace, size: str, way: Way) -> tuple[int, int]:
    """The first of the choices that memory has room for, or the last of them."""
    wanted = choices(args.layers, args.ac_save_attention, args.ac_skip_blocks)
    if len(wanted) == 1:
        return wanted[0]
    needed = {keep for choice in wanted for keep in checkpointing_plan(args.layers, *choice)}
    found = costs(args, size, way, [keep for keep in SAVES if keep in needed])
    free()
    room = torch.cuda.mem_get_info()[0] / 2**30 - SPARE if torch.cuda.is_available() else math.inf
    best = next((c for c in wanted if found.peak(checkpointing_plan(args.layers, *c)) < room), wanted[-1])
    expected = found.peak(checkpointing_plan(args.layers, *best))
    sys.stdout.write(f"{found}\n{best[0]} save attention, {best[1]} everything: {expected:.1f} of {room:.1f} GiB\n")
    return best


def costs(args: SimpleNamespace, size: str, way: Way, kinds: Sequence[str]) -> Costs:
    """Measured on a first block, whose input needs no gradient, and one or two of each kind after it."""
    free()
    step = Step(args, clip(args, size), way, [kind for kind in kinds for _ in range(3)])
    step.warm_up()
    fixed = torch.cuda.memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    block = step.model.blocks[0]
    kept, working = {}, {}
    for kind in kinds:
        one, two = (highest(step, [block, *step.of_kind(kind)[-n:]]) for n in (1, 2))
        kept[kind] = two - one
        working[kind] = one - fixed - kept[kinds[0]] - kept[kind]
    trained = sum(p.numel() for p in block.parameters() if p.requires_grad)
    all_ = sum(t.numel() * t.element_size() for t in (*block.parameters(), *block.buffers()))
    more = (args.layers - len(step.saves)) * (all_ + MOMENTS[args.optimizer] * trained) / 2**30
    return Costs(fixed + more, 4 * trained / 2**30, kept, working)


def highest(step: Step, blocks: Sequence[torch.nn.Module]) -> float:
    """GiB, at the most, of a forward and backward through these blocks."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with step.only(blocks):
        step.gradients()
    step.optimizer.zero_grad(set_to_none=True)
    return torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0


def fewer(ac_save_attention: int, ac_skip_blocks: int) -> list[tuple[int, int]]:
    """What to try, one after the other, when memory runs out."""
    both, half = ac_save_attention + ac_skip_blocks, ac_skip_blocks // 2
    found = [(ac_save_attention, ac_skip_blocks), (both - half, half), (both, 0), (both * 3 // 4, 0), (0, 0)]
    return list(dict.fromkeys(found))

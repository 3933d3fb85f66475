"""Standard normal noise from seeds, drawn on the CPU for each sample alone: neither batch nor device matters."""

from collections.abc import Sequence
from typing import TypeAlias

import torch

from pusa_lab.arguments import checked
from pusa_lab.sentences import counted
from pusa_lab.types import Video

Seed: TypeAlias = int | Sequence[int]
"""Sample i has seed + i, or its own from a list."""
FRESH = 0x85EBCA6B
"""Added to the row of frames that are noised on: far from the seeds that people draw their start from, whose numbers
would not be fresh. Below 2^32, as torch's generator on the CPU takes no more bits of a seed."""


@checked
def noise_of(shape: Sequence[int], seed: Seed, row: int = 0) -> Video:
    """Noise of a row of the sampling loop; every sample, row and seed has its own (seeds count modulo 2^32).

    Args:
        shape: (b, c, f, h, w), each at least 1.
        seed: sample i has seed + i, or its own from a list of b.
        row: of the schedule; 0 is the start.

    Raises:
        ValueError: the shape is another one, or there is not one seed per sample.
    """
    if len(shape) != 5 or min(shape) < 1:
        raise ValueError(f"shape={tuple(shape)}: give (b, c, f, h, w), each at least 1.")
    generators = [torch.Generator().manual_seed((one * 100_003 + row) % 2**63) for one in seeds_of(seed, shape[0])]
    return torch.stack([torch.randn(*shape[1:], generator=g) for g in generators])


@checked
def seeds_of(seed: Seed, samples: int) -> Sequence[int]:
    """One seed for each sample.

    Args:
        seed: sample i has seed + i, or its own from a list.
        samples: at least 0.

    Raises:
        ValueError: the list is shorter.
    """
    if isinstance(seed, int):
        return range(seed, seed + samples)
    if len(seed) < samples:
        raise ValueError(f"{counted(len(seed), 'seed')} for {counted(samples, 'sample')}: give one, or one each.")
    return seed[:samples]

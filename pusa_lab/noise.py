"""Standard normal noise from seeds, drawn on the CPU for each sample alone: neither batch nor device matters."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from jaxtyping import Bool
from torch import Tensor

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
    generators = [torch.Generator().manual_seed((one * 100_003 + row) % 2**63) for one in _seeds(seed, shape[0])]
    return torch.stack([torch.randn(*shape[1:], generator=g) for g in generators])


@checked
def streams_of(seed: Seed) -> Callable[[Video, Bool[Tensor, " b"]], Video]:
    """A function (x, moves) -> noise like x, fresh at every call; samples that do not move get zeros.

    Each sample has a stream of its own, which only its own moves advance.

    Args:
        seed: sample i has seed + i, or its own from a list.
    """
    streams: list[torch.Generator] = []

    def draw(x: Video, moves: Bool[Tensor, " b"]) -> Video:
        # The seeds are far from those that users start x with, because the same numbers again would not be fresh noise.
        new = _seeds(seed, len(x))[len(streams) :]
        streams.extend(torch.Generator().manual_seed((one + 0x9E3779B9) % 2**63) for one in new)
        rest = torch.zeros(x.shape[1:])
        rows = zip(streams, moves.tolist(), strict=True)
        return torch.stack([torch.randn(x.shape[1:], generator=g) if moved else rest for g, moved in rows]).to(x)

    return draw


def _seeds(seed: Seed, samples: int) -> Sequence[int]:
    if isinstance(seed, int):
        return range(seed, seed + samples)
    if len(seed) < samples:
        raise ValueError(f"{counted(len(seed), 'seed')} for {counted(samples, 'sample')}: give one, or one each.")
    return seed[:samples]

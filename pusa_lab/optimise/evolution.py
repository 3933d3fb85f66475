"""An evolution strategy: the best of a few numbers for any score, from scores alone and without gradients."""

import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.sentences import counted

Vectors: TypeAlias = Float[Tensor, "candidates n"]
MOST_CANDIDATES = 100_000
"""Most candidates of a search; each is scored, which for videos takes a second."""
MOST_DIMENSIONS = 10_000
"""Most numbers that are searched."""


@checked
class Evolution:
    """The separable CMA-ES: candidates are drawn around a mean, which moves towards the better half of them.

    x = mean + spread sqrt(variance) z with standard normal z; the variance of every number, and the spread of all,
    follow the steps that succeeded. Call `ask` for candidates and `tell` with their scores, in turn. The
    mean starts at 0.

    Args:
        n: numbers that are searched, 1 to 10,000.
        generations: how often candidates are asked for, at least 1.
        population: candidates of a generation, at least 4; None is 4 + floor(3 log n).
        spread: standard deviation of the first candidates, above 0 and at most 10.
        seed: of the candidates.

    Raises:
        ValueError: an argument is out of range, or there are more than 100,000 candidates in all.

    Source: Ros and Hansen, A simple modification in CMA-ES achieving linear time and space complexity, PPSN 2008, with
        the usual constants of Hansen's tutorial, arXiv 1604.00772.
    """

    def __init__(self, n: int, generations: int, population: int | None, spread: float | int, seed: int) -> None:
        if not 1 <= n <= MOST_DIMENSIONS:
            raise ValueError(
                f"{counted(n, 'number')} to be learned: 1 to {MOST_DIMENSIONS:,} can be, give fewer terms."
            )
        population = 4 + int(3 * math.log(n)) if population is None else population
        if generations < 1 or population < 4 or generations * population > MOST_CANDIDATES:
            raise ValueError(
                f"{counted(generations, 'generation')} of {counted(population, 'candidate')}: give at least 1 of at "
                f"least 4, and at most {MOST_CANDIDATES:,} candidates in all."
            )
        if not 0 < spread <= 10:
            raise ValueError(f"spread={spread}: give the standard deviation of the first candidates, in (0, 10].")
        self.generations, self.spread = generations, float(spread)
        self.mean, self.variance = torch.zeros(n, dtype=torch.float64), torch.ones(n, dtype=torch.float64)
        self._z = torch.zeros(population, n, dtype=torch.float64)
        self._generator = torch.Generator().manual_seed(seed % 2**63)
        self._path, self._shape_path, self._told = torch.zeros_like(self.mean), torch.zeros_like(self.mean), 0
        ranks = torch.arange(1, population // 2 + 1, dtype=torch.float64)
        weights = math.log((population + 1) / 2) - ranks.log()
        self._weights = weights / weights.sum()
        self._rates(n, 1 / self._weights.square().sum().item())

    def _rates(self, n: int, effective: float) -> None:
        """How fast paths, spread and variances follow, from the number of parents in effect."""
        self._effective = effective
        self._c_path = (effective + 2) / (n + effective + 5)
        self._damping = 1 + 2 * max(0.0, math.sqrt((effective - 1) / (n + 1)) - 1) + self._c_path
        self._c_shape = (4 + effective / n) / (n + 4 + 2 * effective / n)
        faster = (n + 2) / 3
        self._c_one = min(1.0, faster * 2 / ((n + 1.3) ** 2 + effective))
        many = faster * 2 * (effective - 2 + 1 / effective) / ((n + 2) ** 2 + effective)
        self._c_many = min(1 - self._c_one, many)
        self._usual = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))

    def ask(self) -> Vectors:
        """The candidates of the next generation."""
        self._z = torch.randn(self._z.shape, generator=self._generator, dtype=torch.float64)
        return self.mean + self.spread * self.variance.sqrt() * self._z

    @checked
    def tell(self, scores: Sequence[float | int]) -> None:
        """Move towards the better half of the candidates.

        Args:
            scores: finite, one for each candidate in the order of `ask`; more is better.

        Raises:
            ValueError: there is not one finite score for each candidate.
        """
        values = torch.tensor([float(score) for score in scores], dtype=torch.float64)
        if len(values) != len(self._z) or not values.isfinite().all():
            raise ValueError(
                f"{counted(len(values), 'score')} for {counted(len(self._z), 'candidate')}: give one each, finite."
            )
        self._told += 1
        best = self._z[values.argsort(descending=True, stable=True)[: len(self._weights)]]
        step = self._weights @ best
        self.mean = self.mean + self.spread * self.variance.sqrt() * step
        self._path = _followed(self._path, step, self._c_path, self._effective)
        length = self._path.norm().item() / self._usual
        grown = length / math.sqrt(1 - (1 - self._c_path) ** (2 * self._told))
        steady = grown < 1.4 + 2 / (len(self.mean) + 1)
        moved = self.variance.sqrt() * step * steady
        self._shape_path = _followed(self._shape_path, moved, self._c_shape, self._effective)
        spread_out = self.variance * (self._weights @ best.square())
        kept = 1 - self._c_one - self._c_many
        self.variance = kept * self.variance + self._c_one * self._shape_path.square() + self._c_many * spread_out
        self.variance = self.variance.clamp(min=1e-20)
        self.spread = min(self.spread * math.exp(self._c_path / self._damping * (length - 1)), 1e3)


def _followed(path: Tensor, step: Tensor, rate: float, effective: float) -> Tensor:
    """The path after one more step, old steps fading at the rate; for random steps it stays standard normal."""
    return (1 - rate) * path + math.sqrt(rate * (2 - rate) * effective) * step

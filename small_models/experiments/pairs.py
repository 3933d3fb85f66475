"""Rows of a table compared prompt by prompt."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.metrics import Interval, bootstrap
from pusa_lab.metrics.intervals import resamples
from small_models.experiments.records import ResultRow, interval, row_of


@checked
def lead(row: ResultRow, other: ResultRow, score: str = "psnr") -> Interval:
    """By how much one row's score is above another's, prompt by prompt where both rows kept that, and seed by seed.

    Otherwise the two intervals are taken as independent, sqrt(half^2 + half^2), which is wider where good prompts are
    good for both.

    Args:
        row: one.
        other: of the same prompts. Where both rows name their seeds of training, those that both have are compared.
        score: one of both rows.

    Raises:
        ValueError: a row has no such score, or the rows are of different numbers of prompts or seeds.
    """
    both = row_of(row), row_of(other)
    shared = [seed for seed in both[0].get("seeds", []) if seed in both[1].get("seeds", [])]
    values = [by_seed(each, score, shared) for each in both if score in each.get("by_prompt", {})]
    if len(values) < 2:
        ends = [interval(each, score) for each in both]
        half = math.hypot(*((high - low) / 2 for _, low, high in ends))
        mean = ends[0].mean - ends[1].mean
        return Interval(mean, mean - half, mean + half)
    a, b = values
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"the rows have {a.shape[1]} and {b.shape[1]} prompts: give rows of the same ones.")
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        raise ValueError(f"the rows have {len(a)} and {len(b)} seeds of training: give rows of the same ones.")
    difference = a - b
    return two_way_interval(difference) if len(difference) > 1 else bootstrap(difference[0])


@checked
def by_seed(row: ResultRow, score: str, seeds: Sequence[int] = ()) -> Tensor:
    """A score (seeds of training, prompts), NaN where a prompt has none; one seed where a row has a single model.

    Args:
        row: of a table.
        score: one that the row has prompt by prompt.
        seeds: which of the seeds that the row names, in this order; none is all.

    Raises:
        ValueError: the row has no such score.
    """
    row = row_of(row)
    found = row.get("by_seed", {}).get(score) or [row["by_prompt"][score]]
    if seeds and len(found) > 1:
        found = [found[row["seeds"].index(seed)] for seed in seeds]
    return torch.tensor([[torch.nan if x is None else x for x in each] for each in found])


@checked
def clearly(difference: Interval) -> int:
    """1 if a difference is above 0, -1 if it is below, 0 if its interval holds 0.

    Args:
        difference: with its interval.
    """
    return int(difference.low > 0) - int(difference.high < 0)


@checked
def signed(difference: Interval, scale: float | int = 1, digits: Literal[1, 2] = 2) -> str:
    """A difference with its interval, as sentences give it: "+0.50 (+0.20 to +0.80)".

    Args:
        difference: with its interval.
        scale: factor of all three, 100 for points of a hundred.
        digits: after the point, 1 or 2.
    """
    mean, low, high = (f"{round(scale * value, digits) + 0.0:+.{digits}f}" for value in difference)  # no -0.0
    return f"{mean} ({low} to {high})"


@checked
def two_way_interval(values: Float[Tensor, "seeds prompts"], rounds: int = 1000) -> Interval:
    """Mean of a matrix and its 95 % percentile interval, with rows and columns both resampled with replacement.

    Every seed of training is measured on the same prompts, so that neither are the prompts of one seed independent of
    another's, nor the seeds on one prompt of those on another.

    With few seeds it is too narrow, the more so the more they differ: resampled, three seeds never leave their own
    range, and where seeds are all that differs, it holds the truth in three cases of four.

    Args:
        values: (seeds, prompts), of at least 2 prompts; NaNs are omitted. With one seed only the prompts are resampled.
        rounds: number of resamples, at least 1.

    Raises:
        ValueError: there are fewer than 2 prompts, or no rounds.
    """
    seeds, prompts = values.shape
    if not seeds:
        raise ValueError("values has no rows: give one for each seed of training.")
    rows, columns = _drawn(seeds, prompts, rounds)
    found = values[rows[:, :, None], columns[:, None, :]].nanmean((1, 2))
    return _percentiles(values.nanmean().item(), found)


@checked
def two_way_bootstrap(
    statistic: Callable[[Tensor, Tensor], float], seeds: int, prompts: int, rounds: int = 1000
) -> Interval:
    """Any statistic and its 95 % percentile interval, with seeds of training and prompts both resampled.

    Args:
        statistic: of the indices of seeds and of prompts; the value itself is that of all in their order.
        seeds: how many there are, at least 1; one is not resampled.
        prompts: how many there are, at least 2.
        rounds: number of resamples, at least 1.

    Raises:
        ValueError: there are fewer than 2 prompts, or no rounds.
    """
    found = torch.tensor([statistic(row, column) for row, column in zip(*_drawn(seeds, prompts, rounds), strict=True)])
    return _percentiles(statistic(torch.arange(seeds), torch.arange(prompts)), found)


def _drawn(seeds: int, prompts: int, rounds: int) -> tuple[Tensor, Tensor]:
    """Indices of seeds (rounds, seeds) and of prompts (rounds, prompts)."""
    rows = torch.stack(list(resamples(range(seeds), rounds, 1))) if seeds > 1 else torch.zeros(rounds, 1).long()
    return rows, torch.stack(list(resamples(range(prompts), rounds)))


def _percentiles(value: float, found: Tensor) -> Interval:
    low, high = found.double().nanquantile(torch.tensor([0.025, 0.975], dtype=torch.double)).tolist()
    return Interval(value, low, high)

"""Confidence intervals by the bootstrap, which resamples whole groups, such as all seeds of one prompt."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple, SupportsFloat, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pusa_lab.arguments import ArgumentError, called, checked, returned
from pusa_lab.sentences import counted

Groups: TypeAlias = Sequence[Hashable] | Int[Tensor, " n"]
"""The group of each row, such as its prompt."""
MOST_DRAWS = 2**28
"""Most groups sampled in all rounds: 2 GiB."""


class Interval(NamedTuple):
    """A mean and its confidence interval over the choice of groups, such as prompts."""

    mean: float
    low: float
    high: float


@checked
def resamples(groups: Groups, rounds: int = 1000, seed: int = 0) -> Iterator[Int[Tensor, " rows"]]:
    """Yield the rows of resampled data sets; whole groups are sampled with replacement.

    Args:
        groups: group of each row, at least 2 different ones; `range(n)` if every row is its own group.
        rounds: number of data sets, at least 1.
        seed: the same seed gives the same rows.

    Yields:
        Indices of the rows of one data set.

    Raises:
        ValueError: there are fewer than 2 groups, no rounds, or more than 2^28 samples in all.
    """
    number = _number(groups)
    members = number.argsort(stable=True).split(number.bincount().tolist()) if len(number) else ()
    draws = _draws(len(members), rounds, seed)
    return (torch.cat([members[i] for i in drawn.tolist()]) for drawn in draws)


@checked
def bootstrap(
    values: Float[Tensor, " n"],
    groups: Groups | None = None,
    rounds: int = 1000,
    level: float | int = 0.95,
    seed: int = 0,
) -> Interval:
    """Mean of values and its percentile interval.

    Args:
        values: one value per row, not infinite; NaNs are omitted, and a mean is NaN if nothing else is left.
        groups: group of each row, resampled as a whole; with None every row is its own group.
        rounds: number of resamples, at least 1.
        level: share of the resampled means inside the interval, between 0 and 1.
        seed: seed of the resampling.

    Raises:
        ValueError: there are fewer than 2 groups, not one group per value, infinite values, or no rounds, or the level
            is outside (0, 1).
    """
    groups = range(len(values)) if groups is None else groups
    if len(groups) != len(values):
        raise ValueError(
            f"{counted(len(values), 'value')} with {counted(len(groups), 'group')}: give one group per value."
        )
    number, values = _number(groups), values.detach().double().cpu()
    if values.isinf().any():
        raise ValueError("some values are infinite, as the PSNR of equal frames is: clamp them first.")
    known = ~values.isnan()
    count = int(number.max()) + 1 if len(number) else 0
    sums, sizes = (
        torch.zeros(count, dtype=torch.double).index_add_(0, number, x)
        for x in (values.where(known, 0), known.double())
    )
    drawn = _draws(count, rounds, seed)
    sums_drawn, sizes_drawn = (x.expand(rounds, -1).gather(1, drawn).sum(1) for x in (sums, sizes))
    means = sums_drawn / sizes_drawn
    return _interval((sums.sum() / sizes.sum()).item(), means, level)


@checked
def bootstrap_of(
    statistic: Callable[[Int[Tensor, " rows"]], float],
    groups: Groups,
    rounds: int = 1000,
    level: float | int = 0.95,
    seed: int = 0,
) -> Interval:
    """Any statistic of all rows and its percentile interval.

    Args:
        statistic: function of the rows of one resample; its value for all rows becomes the field `mean`.
        groups: group of each row, resampled as a whole; `range(n)` if every row is its own group.
        rounds: number of resamples, at least 1.
        level: share of the resampled statistics inside the interval, between 0 and 1.
        seed: seed of the resampling.

    Raises:
        ValueError: there are fewer than 2 groups or no rounds, or the level is outside (0, 1).
    """
    of = [_of(statistic, rows) for rows in (torch.arange(len(groups)), *resamples(groups, rounds, seed))]
    mean, *found = (float(returned(number, SupportsFloat, "statistic")) for number in of)
    return _interval(mean, torch.tensor(found, dtype=torch.double), level)


def _of(statistic: Callable[..., Any], rows: Tensor) -> Any:
    try:
        return called("statistic", statistic, {"rows": rows})
    except (ValueError, TypeError, RuntimeError) as error:
        if isinstance(error, ArgumentError):
            raise
        raise ValueError(
            f"statistic failed for rows of shape {tuple(rows.shape)} ({error}): give a function of row numbers (n,)."
        ) from error


def _number(groups: Groups) -> Int[Tensor, " n"]:
    """Number the groups from 0 in the order in which they first occur."""
    names = groups.tolist() if isinstance(groups, Tensor) else groups
    first = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([first[name] for name in names], dtype=torch.long)


def _draws(count: int, rounds: int, seed: int) -> Int[Tensor, "rounds count"]:
    if count < 2 or rounds < 1:
        raise ValueError(
            f"{counted(rounds, 'round')} of {counted(count, 'group')}: resampling needs at least 1 round and 2 groups."
        )
    if rounds * count > MOST_DRAWS:
        raise ValueError(
            f"rounds={rounds} of {counted(count, 'group')}: give fewer rounds, at most {MOST_DRAWS // count:,}."
        )
    return torch.randint(count, (rounds, count), generator=torch.Generator().manual_seed(seed))


def _interval(mean: float | int, found: Float[Tensor, " rounds"], level: float | int) -> Interval:
    if not 0 < level < 1:
        raise ValueError(f"level={level}: give the share of resamples inside the interval, between 0 and 1.")
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.double)
    low, high = found.nanquantile(ends).tolist()
    return Interval(mean, low, high)

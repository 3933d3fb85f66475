"""How sure a mean is: bootstrap intervals that resample whole groups, such as all seeds of one prompt."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import NamedTuple, SupportsFloat, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pusa_lab.arguments import checked, returned

Groups: TypeAlias = Sequence[Hashable] | Int[Tensor, " n"]
"""The group of each row, such as its prompt."""
MOST_DRAWS = 2**28
"""Groups drawn in all rounds: 2 GiB."""


class Interval(NamedTuple):
    """A number, and where it lies if the prompts had been others."""

    mean: float
    low: float
    high: float


@checked
def resamples(groups: Groups, rounds: int = 1000, seed: int = 0) -> Iterator[Int[Tensor, " rows"]]:
    """Rows of data sets that are drawn from one, with replacement, a group at a time.

    Args:
        groups: of each row; `range(n)` if every row stands alone.
        rounds: how many.
        seed: the same seed gives the same rows.

    Raises:
        ValueError: fewer than 2 groups, or no rounds.
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
    """The mean and its percentile interval.

    Args:
        values: one a row; NaNs are left out of the means, which are NaN where nothing else is left.
        groups: of each row, drawn whole; None lets every row stand alone.
        rounds: how many means of resampled rows.
        level: their share inside the interval.
        seed: of the resampling.

    Raises:
        ValueError: fewer than 2 groups, another number of groups than values, infinite values, no rounds, or a level
            outside (0, 1).
    """
    groups = range(len(values)) if groups is None else groups
    if len(groups) != len(values):
        raise ValueError(f"{len(values)} values in {len(groups)} groups: give the group of each value.")
    number, values = _number(groups), values.detach().double().cpu()
    if values.isinf().any():
        raise ValueError("values are infinite: clamp them first, such as the PSNR of equal frames.")
    known = ~values.isnan()
    count = int(number.max()) + 1 if len(number) else 0
    sums, sizes = (
        torch.zeros(count, dtype=torch.double).index_add_(0, number, x)
        for x in (values.where(known, 0), known.double())
    )
    drawn = _draws(count, rounds, seed)
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    return _interval((sums.sum() / sizes.sum()).item(), means, level)


@checked
def bootstrap_of(
    statistic: Callable[[Int[Tensor, " rows"]], float],
    groups: Groups,
    rounds: int = 1000,
    level: float | int = 0.95,
    seed: int = 0,
) -> Interval:
    """Any statistic of all rows, and its percentile interval.

    Args:
        statistic: of the rows of one resample; with all rows it gives the field `mean`.
        groups: of each row, drawn whole; `range(n)` if every row stands alone.
        rounds: how many statistics of resampled rows.
        level: their share inside the interval.
        seed: of the resampling.

    Raises:
        ValueError: fewer than 2 groups, no rounds, or a level outside (0, 1).
    """
    of = [statistic(rows) for rows in (torch.arange(len(groups)), *resamples(groups, rounds, seed))]
    mean, *found = (float(returned(number, SupportsFloat, "statistic")) for number in of)
    return _interval(mean, torch.tensor(found, dtype=torch.double), level)


def _number(groups: Groups) -> Int[Tensor, " n"]:
    """Groups as numbers from 0, in the order in which they first occur."""
    names = groups.tolist() if isinstance(groups, Tensor) else groups
    first = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([first[name] for name in names], dtype=torch.long)


def _draws(count: int, rounds: int, seed: int) -> Int[Tensor, "rounds count"]:
    if count < 2 or rounds < 1:
        raise ValueError(f"{rounds} rounds of {count} groups: resampling needs at least 1 round and 2 groups.")
    if rounds * count > MOST_DRAWS:
        raise ValueError(f"rounds={rounds} of {count} groups: give fewer, at most {MOST_DRAWS:,} draws are made.")
    return torch.randint(count, (rounds, count), generator=torch.Generator().manual_seed(seed))


def _interval(mean: float | int, found: Float[Tensor, " rounds"], level: float | int) -> Interval:
    if not 0 < level < 1:
        raise ValueError(f"level={level}: give the share of resamples inside the interval, between 0 and 1.")
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.double)
    low, high = found.nanquantile(ends).tolist()
    return Interval(mean, low, high)

"""Rows that differ in their seed of training alone, joined into one with intervals over seeds and prompts."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from pusa_lab.arguments import checked
from pusa_lab.metrics import Interval
from pusa_lab.sentences import counted
from small_models.experiments.pairs import by_seed, over_seeds, two_way_interval
from small_models.experiments.records import Record, ResultRow, row_of

KEPT = ("psnr", "total", "text_alignment")
"""Scores that joined rows keep seed by seed, since sentences compare them."""


@checked
def join_rows(rows: Sequence[ResultRow], seeds: Sequence[int]) -> dict[str, Any]:
    """One row of several that were measured on the same prompts, with a seed of training each.

    A score that is there prompt by prompt gets the interval of `two_way_interval`. Of the others only each seed's mean
    and half-width h_s are known: theirs is that of `over_seeds`, with the half-width sqrt(mean(h_s^2)), as if all seeds
    shared their luck with the prompts.

    Args:
        rows: at least one, with scores, clips and by_prompt.
        seeds: of training, one for each row.

    Returns:
        A row: scores, clips, seeds, by_prompt, the means over the seeds, and if there are several, by_seed, the values
        (seeds, prompts) of KEPT.

    Raises:
        ValueError: there is no row, there are more or fewer seeds than rows, or the rows are of different prompts.
    """
    if not rows or len(rows) != len(seeds):
        raise ValueError(f"there are {counted(len(rows), 'row')} and {counted(len(seeds), 'seed')}: give one for each.")
    alone = [name for name in rows[0]["by_prompt"] if all(name in row["by_prompt"] for row in rows)]
    if len({len(row["by_prompt"][name]) for name in alone for row in rows}) > 1:
        raise ValueError("the rows are of different numbers of prompts: give rows of the same ones.")
    values = {name: torch.tensor([[_number(x) for x in row["by_prompt"][name]] for row in rows]) for name in alone}
    scores = {name: list(two_way_interval(value)) for name, value in values.items()}
    others = [name for name in rows[0]["scores"] if name not in scores and all(name in row["scores"] for row in rows)]
    scores |= {name: _joined([row["scores"][name] for row in rows]) for name in others}
    rounded = {name: value.double().round(decimals=3) for name, value in values.items()}
    return {
        "scores": scores,
        "clips": sum(row["clips"] for row in rows),
        "seeds": list(seeds),
        "by_prompt": {name: value.nanmean(0).round(decimals=3).tolist() for name, value in rounded.items()},
        "by_seed": {name: rounded[name].tolist() for name in KEPT if name in rounded and len(rows) > 1},
    }


@checked
def with_intervals(row: ResultRow) -> dict[str, Any]:
    """A joined row whose intervals are computed anew from the values that it keeps seed by seed.

    The means stay as they are: those values are rounded.

    Args:
        row: of a table; one of a single seed stays as it is.

    Raises:
        ValueError: it is no row.
    """
    row = row_of(row)
    anew = dict[str, list[float]]()
    for name in row.get("by_seed", {}):
        kept, found = row["scores"][name][0], two_way_interval(by_seed(row, name))
        anew[name] = [kept + end - found.mean for end in found]
    return {**row, "scores": row["scores"] | anew}


@checked
def with_seeds(row: ResultRow) -> Record:
    """A row that names its seeds of training, 0 and up, so that it is compared with rows of fewer by those they share.

    Args:
        row: of a table; one without training, or that names them already, stays as it is.

    Raises:
        ValueError: it is no row.
    """
    row = row_of(row)
    if "seeds" in row or not row.get("key", {}).get("share"):
        return row
    count = max(map(len, row.get("by_seed", {}).values()), default=1)
    return Record({**row, "seeds": [*range(count)]}, row.where)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _joined(values: Sequence[Any]) -> Any:
    """The mean of numbers and of curves, mean and interval of intervals, and None where a seed has none."""
    if any(value is None or (isinstance(value, list) and None in value) for value in values):
        return None
    each = torch.tensor(values, dtype=torch.double)
    if each.ndim == 1 or each.shape[1] != 3:
        return each.mean(0).tolist()
    means, low, high = each.unbind(1)
    mean, half = means.mean().item(), ((high - low) / 2).square().mean().sqrt().item()
    return list(over_seeds(Interval(mean, mean - half, mean + half), means.tolist()))

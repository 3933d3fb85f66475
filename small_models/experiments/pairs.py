"""Rows of a table compared prompt by prompt."""

import math
import statistics
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.metrics import Interval, bootstrap
from pusa_lab.sweeps.expanded import MANY, t_quantile
from small_models.experiments.records import ResultRow, interval, row_of


@checked
def lead(row: ResultRow, other: ResultRow, score: str = "psnr") -> Interval:
    """By how much one row's score is above another's, prompt by prompt where both rows kept that, and seed by seed.

    Otherwise, as for scores that rows of several seeds keep only as means, the two intervals are taken as independent,
    sqrt(half^2 + half^2), which is wider where good prompts are good for both.

    Args:
        row: one.
        other: of the same prompts. Where both rows name their seeds of training, those that both have are compared.
        score: one of both rows.

    Raises:
        ValueError: a row has no such score, or the rows are of different numbers of prompts or seeds.
    """
    both = row_of(row), row_of(other)
    shared = [seed for seed in both[0].get("seeds", []) if seed in both[1].get("seeds", [])]
    values = [by_seed(each, score, shared) for each in both if _is_kept(each, score)]
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
    return two_way_interval(a - b)


def _is_kept(row: ResultRow, score: str) -> bool:
    return score in row.get("by_seed" if len(row.get("seeds", [])) > 1 else "by_prompt", {})


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
def two_way_interval(values: Float[Tensor, "seeds prompts"]) -> Interval:
    """Mean of a matrix and its 95 % interval, for other seeds of training and other prompts than these.

    value_sp = mean + seed_s + prompt_p + rest_sp,   variance of the mean = (A + B - C) / (S P)

    A, B and C are the mean squares of seeds, prompts and rest. The interval is Student's, with the degrees of freedom
    by Satterthwaite: about S - 1 where seeds are what differs, and P - 1 where prompts are. With one seed it is the
    bootstrap's, over prompts alone.

    Args:
        values: (seeds, prompts), of at least 2 prompts; NaNs are omitted, and so are from the variance all values of a
            prompt that has one.

    Raises:
        ValueError: there is no seed, or there are fewer than 2 prompts.

    Source: Searle, Casella, McCulloch, Variance Components, 1992, chapter 4; Satterthwaite, Biometrics 2(6), 1946.
    """
    seeds, prompts = values.shape
    if not seeds or prompts < 2:
        raise ValueError(f"values has shape {tuple(values.shape)}: give a row for each seed and at least 2 prompts.")
    if seeds == 1:
        return bootstrap(values[0])
    mean, known = values.double().nanmean(), values.double()[:, ~values.isnan().any(0)]
    prompts = known.shape[1]
    if prompts < 2:
        return Interval(mean.item(), math.nan, math.nan)
    by_seeds, by_prompts = known.mean(1, keepdim=True), known.mean(0, keepdim=True)
    rest = known - by_seeds - by_prompts + known.mean()
    a, b = prompts * by_seeds.var().item(), seeds * by_prompts.var().item()
    c = rest.square().sum().item() / ((seeds - 1) * (prompts - 1))
    spread = max(a + b - c, a, b)
    spoiled = a**2 / (seeds - 1) + b**2 / (prompts - 1) + c**2 / ((seeds - 1) * (prompts - 1))
    degrees = min(max(spread**2 / spoiled, 1.0), MANY) if spoiled else 1.0  # no mean square has fewer than 1
    half = t_quantile(0.95, degrees) * math.sqrt(spread / (seeds * prompts))
    return Interval(mean.item(), mean.item() - half, mean.item() + half)


@checked
def over_seeds(interval: Interval, each: Sequence[float]) -> Interval:
    """An interval over prompts alone, made wide enough for other seeds of training.

    half = sqrt(half^2 + t^2 var(m_s) / S), with Student's t for S - 1 degrees of freedom, on either side

    It is wider than need be: part of what differs between seeds is the prompts' own noise, which counts twice.

    Args:
        interval: of the mean over seeds, over the choice of prompts.
        each: m_s, the same mean of each seed; one adds nothing.
    """
    spread = statistics.variance(each) / len(each) if len(each) > 1 else 0.0
    further = t_quantile(0.95, max(len(each) - 1, 1)) * math.sqrt(spread)
    mean, low, high = interval
    return Interval(mean, mean - math.hypot(mean - low, further), mean + math.hypot(high - mean, further))

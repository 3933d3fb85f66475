"""Rows of a table compared prompt by prompt."""

import math
from typing import Literal

import torch

from pusa_lab.arguments import checked
from pusa_lab.metrics import Interval, bootstrap
from small_models.experiments.records import Row, interval, row_of


@checked
def lead(row: Row, other: Row, score: str = "psnr") -> Interval:
    """By how much one row's score is above another's, prompt by prompt where both rows kept that.

    Otherwise the two intervals are taken as independent, sqrt(half^2 + half^2), which is wider where good prompts are
    good for both.

    Args:
        row: one.
        other: of the same prompts.
        score: one of both rows.

    Raises:
        ValueError: a row has no such score, or the rows are of different numbers of prompts.
    """
    both = row_of(row), row_of(other)
    prompts = [each["by_prompt"][score] for each in both if score in each.get("by_prompt", {})]
    if len(prompts) < 2:
        ends = [interval(each, score) for each in both]
        half = math.hypot(*((high - low) / 2 for _, low, high in ends))
        mean = ends[0].mean - ends[1].mean
        return Interval(mean, mean - half, mean + half)
    if len(prompts[0]) != len(prompts[1]):
        raise ValueError(f"the rows have {len(prompts[0])} and {len(prompts[1])} prompts: give rows of the same ones.")
    a, b = (torch.tensor([torch.nan if x is None else x for x in each]) for each in prompts)
    return bootstrap(a - b)


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

"""What a sweep's table says: means of settings, and paired differences between them, with bootstrap intervals."""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from pusa_lab.arguments import ArgumentError, checked, shown
from pusa_lab.metrics import Interval, bootstrap
from pusa_lab.sentences import counted
from pusa_lab.sweeps.expanded import expanded_level, t_quantile
from pusa_lab.sweeps.identity import digest_of, label_of
from pusa_lab.sweeps.settings import choices

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = Any

BySetting = tuple[dict[str, Any], DataFrame]
"""Values of a setting, and its rows."""
BEYOND = 50
"""Resamples beyond either end of an interval, so that the end is certain enough."""
MOST_DRAWN = 2**22
"""Most groups sampled for one interval."""
FEW = 10
"""Fewer prompts than this have too few resamples for an interval; theirs is Student's."""
PAIR = ["prompt", "seed"]
"""Columns by which rows of two settings are paired."""


@checked
def columns_of(df: DataFrame) -> tuple[list[str], list[str]]:
    """Names of the columns with settings, which are those before "prompt", and with scores, from "seed" to "seconds".

    Args:
        df: a table that `sweep` returned, or rows of it.

    Raises:
        ValueError: it is not such a table, or has no rows.
    """
    import pandas as pd  # takes long to import

    names = [str(name) for name in df.columns] if isinstance(df, pd.DataFrame) else []
    places = [names.index(name) if name in names else -1 for name in ("prompt", "seed", "seconds", "status")]
    if min(places) < 0 or sorted(places) != places:
        raise ArgumentError(f"df is {shown(df)}: give a table that sweep returned.")
    if not len(df):
        raise ValueError("df has no rows: give at least one.")
    return names[: places[0]], names[places[1] + 1 : places[2]]


@checked
def chosen_scores(df: DataFrame, metric: str | Sequence[str] | None = None) -> list[str]:
    """The columns of scores that were asked for.

    Args:
        df: a table that `sweep` returned.
        metric: one or several; None is all.

    Raises:
        ValueError: the table has no such score.
    """
    known = columns_of(df)[1]
    chosen = known if metric is None else [metric] if isinstance(metric, str) else list(metric)
    for name in chosen:
        if name not in (*known, "seconds"):
            raise ValueError(f"there is no score {name!r:.40}: {choices(name, known)}.")
    if not chosen:
        raise ValueError("no metric was chosen, or the table has none: give the name of a column of scores.")
    return chosen


@checked
def by_setting(df: DataFrame) -> list[BySetting]:
    """The rows of each setting, in the order of the table.

    Args:
        df: a table that `sweep` returned.

    Returns:
        (values of the setting, its rows) of each.
    """
    names, _ = columns_of(df)
    if not names:
        return [({}, df)]
    groups = df.groupby(names, dropna=False, sort=False)
    return [(dict(zip(names, values, strict=True)), rows) for values, rows in groups]


@checked
def averages(df: DataFrame, metric: str | Sequence[str] | None = None, level: float = 0.95) -> DataFrame:
    """Means of every setting over prompts and seeds, with intervals as those of `compare`.

    Two of these intervals may overlap although the settings differ clearly: the prompts vary in both alike. Use
    `compare` for differences.

    Args:
        df: a table that `sweep` returned.
        metric: one or several columns of scores; None is all of them.
        level: of each interval, between 0 and 1.

    Returns:
        A DataFrame with a line for each setting and metric: the setting, metric, mean, low, high, rows (that are done)
        and failed (rows). With a single row, low and high are NaN.

    Raises:
        ValueError: the table has no such score, or the level is out of range.
    """
    import pandas as pd

    lines = []
    for setting, rows in by_setting(df):
        done = rows[rows["status"] == "done"]
        for name in chosen_scores(df, metric):
            interval = _interval(done[name], done["prompt"], level)
            counts = {"rows": len(done), "failed": len(rows) - len(done)}
            lines.append({**setting, "metric": name, **interval._asdict(), **counts})
    return pd.DataFrame(lines)


def _interval(values: Any, prompts: Any, level: float) -> Interval:
    """Mean and interval; whole prompts are resampled if there are several, else single rows."""
    values = torch.tensor(values.tolist(), dtype=torch.double)
    groups = prompts.tolist() if prompts.nunique() > 1 else list(range(len(values)))
    count = len(set(groups))
    if count < 2:
        return Interval(values.mean().item(), math.nan, math.nan)
    if count < FEW:
        return _t_interval(values, groups, level)
    level = min(expanded_level(level, count), 1 - 1e-12)
    rounds = min(math.ceil(2 * BEYOND / (1 - level)), MOST_DRAWN // count)
    return bootstrap(values, groups, rounds, level)


def _t_interval(values: torch.Tensor, groups: Sequence[Hashable], level: float) -> Interval:
    """Interval of the mean over rows whose errors are alike within a group.

    Its variance is n / (n - 1) sum_g e_g^2 / rows^2, where e_g is the sum of the deviations of group g.
    """
    mean = values.mean().item()
    sums: dict[Hashable, float] = {}
    for group, value in zip(groups, values.tolist(), strict=True):
        sums[group] = sums.get(group, 0.0) + value - mean
    n = len(sums)
    error = math.sqrt(n / (n - 1) * sum(e * e for e in sums.values())) / len(values)
    half = t_quantile(level, n - 1) * error
    return Interval(mean, mean - half, mean + half)


@checked
def compare(
    df: DataFrame,
    baseline: Mapping[str, Any],
    metric: str | Sequence[str] | None = None,
    level: float = 0.95,
) -> DataFrame:
    """Paired differences between every setting and the baseline, with intervals that hold for all comparisons together.

    d_ps = score of the setting - score of the baseline, both for prompt p and seed s

    Rows of both settings are paired by prompt and seed, so that what differs between prompts cancels. The interval for
    the mean of d comes from a bootstrap that resamples whole prompts, each with all its seeds: the differences of a
    prompt's seeds are alike, and the interval is meant to hold for prompts that were not tried. With a single prompt,
    seeds are resampled, and the interval holds for that prompt alone. The percentiles are those of `expanded_level`,
    because plain ones are too narrow; with fewer than 10 prompts, which give too few resamples, it is Student's
    interval for the prompts' means.

    Among several comparisons, one may exclude 0 by chance, so each interval has the level 1 - (1 - level) / comparisons
    (Bonferroni): with probability `level` or more, all of them hold at once.

    Args:
        df: a table that `sweep` returned, or rows of it.
        baseline: values that only one setting has, such as {"noise": 0}.
        metric: one or several columns of scores; None takes all of them, and each adds its comparisons.
        level: the confidence that all intervals are to have together, between 0 and 1.

    Returns:
        A DataFrame with a line for each other setting and metric: the setting, metric, mean and baseline (means over
        the pairs), difference, low, high, pairs, prompts, and comparisons. Numbers that need more pairs are NaN.

    Raises:
        ValueError: no setting or more than one fits the baseline, there is no other setting, none of its rows is done,
            or two rows of a setting have the same prompt and seed.

    Source: the interval by Efron, Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; whole clusters as in
    Davison, Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.
    """
    import pandas as pd

    if not 0 < level < 1:
        raise ValueError(f"level={level}: give a share between 0 and 1, such as 0.95.")
    metrics = chosen_scores(df, metric)
    [(_, first)], others = split_by(df, baseline)
    comparisons = len(others) * len(metrics)
    each = 1 - (1 - level) / comparisons
    lines = []
    for setting, rows in others:
        pairs = _paired(first, rows)
        for name in metrics:
            here, there = pairs[f"{name}_here"], pairs[f"{name}_there"]
            d = _interval(here - there, pairs["prompt"], each)
            line = {**setting, "metric": name, "mean": here.mean(), "baseline": there.mean()}
            line |= {"difference": d.mean, "low": d.low, "high": d.high, "pairs": len(pairs)}
            lines.append({**line, "prompts": pairs["prompt"].nunique(), "comparisons": comparisons})
    return pd.DataFrame(lines)


@checked
def split_by(df: DataFrame, baseline: Mapping[str, Any]) -> tuple[list[BySetting], list[BySetting]]:
    """The rows of a baseline, and those of the other settings.

    Args:
        df: a table that `sweep` returned.
        baseline: values of settings that one setting alone has.

    Returns:
        [(setting, rows)] of the baseline, and of each other setting.

    Raises:
        ValueError: no setting or several fit the baseline, or there is no other.
    """
    names, _ = columns_of(df)
    if unknown := [name for name in baseline if name not in names]:
        raise ValueError(f"baseline names {unknown[0]!r:.40}: {choices(str(unknown[0]), names)}.")
    groups = by_setting(df)
    fits = [all(_same(setting[name], value) for name, value in baseline.items()) for setting, _ in groups]
    if sum(fits) != 1:
        tried = next(_unsettled(groups, fits))
        raise ValueError(
            f"baseline={dict(baseline)!r:.100} fits {sum(fits)} of {counted(len(groups), 'setting')}: give values that "
            f"one setting alone has, such as {tried}."
        )
    if len(groups) == 1:
        raise ValueError("the table has no setting but the baseline: sweep at least two.")
    fitting, others = ([g for g, fit in zip(groups, fits, strict=True) if fit is wanted] for wanted in (True, False))
    return fitting, others


def _unsettled(groups: Sequence[BySetting], fits: Sequence[bool]) -> Iterator[str]:
    """A whole baseline that could be meant."""
    for (setting, _), fit in zip(groups, fits, strict=True):
        if fit or not any(fits):
            yield repr({name: value for name, value in setting.items() if value == value})


def _same(label: Any, value: Any) -> bool:
    """Whether a column shows a value so, perhaps with its digest; one that is not set is None or NaN."""
    own = label_of(value)
    is_unset = [one is None or one != one for one in (label, own)]
    return label in (own, f"{own} {digest_of(value)[:6]}") or all(is_unset)


def _paired(first: Any, rows: Any) -> Any:
    """Rows of both that are done, side by side."""
    done = [part[part["status"] == "done"] for part in (rows, first)]
    for part in done:
        if part.duplicated(PAIR).any():
            raise ValueError("two rows of a setting have the same prompt and seed: give rows of one sweep.")
    if not len(done[1]):
        raise ValueError("no row of the baseline is done: choose another baseline, or make its rows again.")
    return done[0].merge(done[1], on=PAIR, suffixes=("_here", "_there"))

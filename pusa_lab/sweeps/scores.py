"""Scores of a result: metrics by name or function, with the truth for those that need it."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from torch import Tensor

from pusa_lab.arguments import called, shown
from pusa_lab.import_paths import imported, is_import_path
from pusa_lab.metrics import METRICS, frame_scores, needs_known
from pusa_lab.pixels import to_pixels
from pusa_lab.runs import Result
from pusa_lab.sweeps.identity import described, takes
from pusa_lab.sweeps.settings import COLUMNS, choices
from pusa_lab.sweeps.store import UnfitScoreError

Truth = Callable[..., Any] | Mapping[Any, Any] | str | None
"""A function of prompt and seed, or prompt -> clip, or (prompt, seed) -> clip; or the import path of one of these."""


@dataclass(frozen=True)
class Metric:
    """One metric of a sweep."""

    name: str
    """Name of its column."""
    function: Callable[..., Any]
    """(result) or (result, truth) -> a number, or names and numbers; one of METRICS is (clip, truth) -> (b, pf), or
    (clip, truth, known) -> (b, pf)."""
    registered: str = ""
    """Its name in METRICS, if it is one of them."""

    def mark(self) -> Any:
        """A description that differs for every metric, by its source.

        Raises:
            ValueError: the source of a function cannot be read.
        """
        return [self.name, self.registered, described(self.function)]

    @property
    def needs_truth(self) -> bool:
        """Whether it compares with the truth."""
        parameters = (takes(self.function) or {}).values()
        places = [
            p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        return bool(self.registered) or len(places) > 1

    @property
    def needs_known(self) -> bool:
        """Whether it is one of METRICS that depends on which frames were given."""
        return bool(self.registered) and needs_known(self.function)


def metrics_of(metrics: Any) -> list[Metric]:
    """The metrics that were asked for.

    Args:
        metrics: names in METRICS or import paths, or column -> function, name or import path.

    Raises:
        ValueError: a name is unknown, or something is not a function.
    """
    if isinstance(metrics, str) or callable(metrics):
        metrics = [metrics]
    if not isinstance(metrics, Mapping | list | tuple):
        raise ValueError(f"metrics is {shown(metrics)}: give a dict of names and functions, or a list of functions.")
    named = metrics.items() if isinstance(metrics, Mapping) else [(_name(metric), metric) for metric in metrics]
    found = [_metric(name, metric) for name, metric in named]
    names = [metric.name for metric in found]
    if twice := [name for i, name in enumerate(names) if name in (*names[:i], *COLUMNS)]:
        raise ValueError(f"metrics cannot have the column {twice[0]!r:.40}, which is taken: give them other names.")
    return found


def _name(metric: Any) -> str:
    return metric.rpartition(":")[2] if isinstance(metric, str) else getattr(metric, "__name__", "")


def _metric(name: Any, metric: Any) -> Metric:
    if is_import_path(metric):
        metric = imported(metric)
    registered = metric if isinstance(metric, str) else ""
    function = METRICS.find(metric) if registered else metric
    if not callable(function) or not isinstance(name, str) or name in ("", "<lambda>"):
        raise ValueError(
            f"metrics holds {shown(metric)} as {name!r:.40}: give a dict of names and functions of a result."
        )
    return Metric(name, function, registered)


def check_wanted(wanted: Sequence[str], scores: Sequence[str], more: Sequence[str] = ()) -> None:
    """Refuse names of scores that there are not.

    Args:
        wanted: names of columns.
        scores: those there are.
        more: metrics that may return several scores, called "metric.name".

    Raises:
        UnfitScoreError: there is no such score.
    """
    for name in wanted:
        if name not in (*scores, "seconds") and not name.startswith(tuple(f"{metric}." for metric in more)):
            raise UnfitScoreError(f"there is no score {name!r:.40}: {choices(name, scores)}.")


def truth_of(truth: Any, prompt: str, seed: int) -> Any:
    """The truth of a row.

    Args:
        truth: a function of prompt and seed, or of those of them that it names; or prompt -> clip, or
            (prompt, seed) -> clip; or the import path of one of these.
        prompt: of the row.
        seed: of the row.

    Raises:
        ValueError: there is none for this row.
    """
    if truth is None:
        return None
    truth = imported(truth) if is_import_path(truth) else truth
    if callable(truth):
        return filled(truth, prompt=prompt, seed=seed)
    for key in ((prompt, seed), prompt):
        if key in truth:
            return truth[key]
    raise ValueError(
        f"truth has no entry for the prompt {prompt!r:.60} with seed {seed}: add one, for all seeds or for this."
    )


def filled(function: Callable[..., Any], /, **given: Any) -> Any:
    """Call a function with those of some arguments that it names.

    Args:
        function: any.
        **given: what it may name; all of it if it takes any keyword.
    """
    names = takes(function)
    return function(**{name: value for name, value in given.items() if names is None or name in names})


def scores_of(
    metrics: Sequence[Metric], result: Any, truth: Any, known: Collection[int] | None = None
) -> dict[str, float]:
    """All scores of a result; those of a metric that returns several are called "metric.name".

    Args:
        metrics: from `metrics_of`; without any, the result itself is a number, or names and numbers.
        result: what `generate` or the function returned.
        truth: of this row.
        known: pixel frames that were given, over which the metrics in METRICS are not averaged; None averages over all,
            and those that need known frames take them from the result.

    Raises:
        UnfitScoreError: a metric returned no numbers.
    """
    if not metrics:
        if isinstance(result, Mapping):
            return {str(name): _number(f"the function's {name!r:.40}", value) for name, value in result.items()}
        return {"value": _number("the function", result)}
    found: dict[str, float] = {}
    for metric in metrics:
        score = _score(metric, result, truth, known)
        if isinstance(score, Mapping):
            said = f"the metric {metric.name}"
            found |= {
                f"{metric.name}.{key}": _number(f"{said}, for {key!r:.40},", value) for key, value in score.items()
            }
        else:
            found[metric.name] = _number(f"the metric {metric.name}", score)
    return found


def _score(metric: Metric, result: Any, truth: Any, known: Collection[int] | None) -> Any:
    if not metric.registered:
        given = {"result": result, "truth": truth} if metric.needs_truth else {"result": result}
        return called(f"the metric {metric.name}", metric.function, given)
    clip = to_pixels(result.video if isinstance(result, Result) else result)
    if known is None:
        known = _known(metric.name, result) if metric.needs_known else ()
    there = frame_scores(clip, to_pixels(truth), [metric.registered], sorted(known))[metric.registered]
    return there[:, [i for i in range(clip.shape[2]) if i not in known]].mean()


def _known(name: str, result: Any) -> list[int]:
    known = result.known_pixels if isinstance(result, Result) else []
    if not known:
        what = "a video of a task without any" if isinstance(result, Result) else f"{shown(result)} with none"
        raise UnfitScoreError(
            f"the metric {name} compares with repeating the known frames, but was given {what}: give a task with known "
            "frames, such as image_to_video, or other metrics."
        )
    return known


def _number(what: str, value: Any) -> float:
    if isinstance(value, Tensor | np.ndarray | np.generic) and np.prod(value.shape) == 1:
        value = value.item()
    if not isinstance(value, Real):
        raise UnfitScoreError(f"{what} returned {shown(value)}: return a number, or a dict of names and numbers.")
    if not math.isfinite(value):
        raise UnfitScoreError(
            f"{what} returned {value}: return a finite number, such as a score without the frames that are given."
        )
    return float(value)

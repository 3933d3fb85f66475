"""One row of a sweep: what it is, its key, and its scores, from the cache or made anew."""

import platform
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NoReturn

import torch

from pusa_lab.arguments import returned
from pusa_lab.data.clips import read_clip
from pusa_lab.data.named import with_files
from pusa_lab.generate import generate
from pusa_lab.guidance import GUIDERS
from pusa_lab.import_paths import imported, is_import_path
from pusa_lab.models import load
from pusa_lab.registry import Registry
from pusa_lab.runs import Result
from pusa_lab.samplers import SOLVERS
from pusa_lab.sweeps.identity import described, digest_of, model_digest, package_code, registered_code
from pusa_lab.sweeps.scores import Metric, Truth, check_wanted, filled, metrics_of, truth_of
from pusa_lab.sweeps.scoring import KeptResult, NotKeptError, Scoring, seeded
from pusa_lab.sweeps.settings import Setting, request_of, resolved
from pusa_lab.sweeps.store import Made, Row, RowStore, read_kept_clip, sentence_of
from pusa_lab.tasks import Task
from pusa_lab.types import VideoModel
from pusa_lab.versions import device_name

REGISTRIES: dict[str, Registry[Any]] = {"solver": SOLVERS, "guidance": GUIDERS}
"""Setting that stays text -> whose members it names."""


@dataclass(frozen=True)
class Job:
    """One row to be made."""

    setting: Setting
    prompt: str
    seed: int


@dataclass(frozen=True)
class Experiment:
    """What all rows of a sweep share; it is sent to every worker process."""

    model: Any
    """Name, model, function, or the import path of one of these; None if the settings name the model."""
    metrics: Any
    """The metrics, as for `metrics_of`."""
    truth: Truth
    """The true videos, as for `truth_of`."""
    cache: Path
    """Folder of the rows."""
    keep_clips: bool = False
    """Whether clips are kept."""
    retry: bool = False
    """Whether failed rows are made again."""
    scores: tuple[str, ...] = ()
    """Columns that the first row must have."""

    @property
    def function(self) -> Callable[..., Any] | None:
        """The function that is called for each row; None if a model makes videos."""
        model = imported(self.model) if is_import_path(self.model) else self.model
        return None if model is None or isinstance(model, str | Path | VideoModel) else model

    def header(self) -> dict[str, Any]:
        """What all rows are made with, and what a cache must be of."""
        return {
            "code of pusa_lab": package_code("pusa_lab"),
            "function": "generate" if self.function is None else digest_of(self.function)[:16],
            "version of torch": torch.__version__,
            "version of Python": platform.python_version(),
            "device": device_name(threads=False),  # workers have fewer
        }


class Bench:
    """Makes rows one after another, in this process; keeps the model of the last one.

    Args:
        experiment: what all rows share.
        rows: the open cache.
    """

    def __init__(self, experiment: Experiment, rows: RowStore) -> None:
        self.experiment, self.rows = experiment, rows
        self._loaded: tuple[Any, Any, dict[str, Any]] = (None, None, {})
        self._has_warned = False

    @cached_property
    def metrics(self) -> list[Metric]:
        """Functions of the experiment's metrics."""
        return metrics_of(self.experiment.metrics)

    def row(self, job: Job, wait: bool = False) -> dict[str, Any] | None:
        """A row, from the cache or made; None if another process is making it, and `wait` is not asked for.

        Args:
            job: which row.
            wait: until the other process has made it.

        Raises:
            UnfitScoreError: in the first row of all, a metric returned no number, or a score is missing.
        """
        try:
            scoring, call, about = self._prepared(job)
        except Exception as error:  # of a person's function, or a model that cannot be loaded: the others may do
            scoring, call = self._scoring(job, None), partial(_raise, error)
            about = {"cannot be prepared": described(job.setting)}
        about |= {"prompt": job.prompt, "seed": job.seed}
        make = partial(self._make, scoring, call)
        found = self.rows.row(about, make, wait=wait, is_enough=partial(self._is_enough, scoring))
        return found and scoring.read(found)

    @cached_property
    def _marked(self) -> list[tuple[Any, Metric | None]]:
        return [(metric.mark(), metric) for metric in self.metrics] or [("the function", None)]

    def _scoring(self, job: Job, truth: Any) -> Scoring:
        seen = described(truth)
        keys = {digest_of([mark, seen if one and one.needs_truth else None])[:32]: one for mark, one in self._marked}
        return Scoring(keys, truth, job.seed, job.setting, self.experiment.retry)

    def _is_enough(self, scoring: Scoring, found: Row) -> bool:
        if scoring.missing(found):
            return False
        return not self._keeps_clips or bool(found["clip"] or scoring.read(found)["error"])

    @property
    def _keeps_clips(self) -> bool:
        return self.experiment.keep_clips and self.experiment.function is None

    def _make(self, scoring: Scoring, call: Callable[[], Any], found: Row | None) -> Made:
        """The scores that a row lacks, from its clip if that is enough; else the row is made again."""
        before = found["scores"] if found else {}
        if found and (scores := self._from_clip(scoring, found)):
            return Made(before | scores, None, found["seconds"])
        try:
            with seeded(scoring.seed):
                result = call()
        except Exception as fault:  # of a person's function
            return Made(before | dict.fromkeys(scoring.missing(found) if found else scoring.wanted, sentence_of(fault)))
        scores = {key: scoring.score(key, result, self._is_first) for key in scoring.wanted}
        found_scores = [one for one in scores.values() if isinstance(one, dict)]
        if self.rows.is_empty and len(found_scores) == len(scores):
            check_wanted(self.experiment.scores, [name for one in found_scores for name in one])
        if scoring.changed(before, scores):
            warnings.warn("a row that was made again has other scores than before, which are replaced.", stacklevel=2)
            before = {}
        clip = result.video[0] if self.experiment.keep_clips and isinstance(result, Result) else None
        return Made(before | scores, clip)

    def _is_first(self, key: str) -> bool:
        return not self.rows.names(key)

    def _from_clip(self, scoring: Scoring, found: Row) -> dict[str, Any] | None:
        """The missing scores from the kept clip; None if there is none, or a metric reads more of a result."""
        missing = scoring.missing(found)
        names = [metric.name for key in missing if (metric := scoring.wanted[key]) and key not in found["scores"]]
        if not found["clip"] or scoring.setting.get("num_videos_per_prompt", 1) != 1:
            hint = "" if self.experiment.function else "; with keep_clips=True the next one is computed from the clips"
            self._warn_of_rows_made_again(names, "their clips were not kept", hint)
            return None
        try:
            kept = KeptResult(read_kept_clip(found["clip"]))
        except ValueError:  # it is damaged
            return None
        try:
            return {key: scoring.score(key, kept, self._is_first) for key in missing}
        except NotKeptError as error:
            self._warn_of_rows_made_again(names, str(error))
            return None

    def _warn_of_rows_made_again(self, names: Sequence[str], why: str, hint: str = "") -> None:
        if names and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"rows in {self.experiment.cache} lack the metric {names[0]}, and {why}: they are made again{hint}.",
                stacklevel=2,
            )

    def _prepared(self, job: Job) -> tuple[Scoring, Callable[[], Any], dict[str, Any]]:
        """What is to be known of a row, what makes it, and what it is."""
        scoring = self._scoring(job, truth_of(self.experiment.truth, job.prompt, job.seed))
        if (function := self.experiment.function) is not None:
            setting = resolved(job.setting)
            call = partial(filled, partial(function, **setting), prompt=job.prompt, seed=job.seed)
            return scoring, call, {"setting": described(setting)}
        request = request_of(job.setting, self.experiment.model)
        model, digest = self._model(request.loading)
        read = partial(read_clip, fps=model.geometry.fps)
        options = {name: with_files(value, read) for name, value in request.task_options.items()}
        task = request.task
        if callable(task):
            task = returned(filled(partial(task, **options), prompt=job.prompt, seed=job.seed), Task, "the task")
        registered = [
            registered_code(job.setting[k], r) for k, r in REGISTRIES.items() if isinstance(job.setting.get(k), str)
        ]
        about = {"model": digest, "task": described(task), "sampling": described(request.sampling)}
        call = partial(generate, model, job.prompt, task, seed=job.seed, **request.sampling)
        return scoring, call, about | {"registered": described(registered)}

    def _model(self, loading: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The model and its digest; only the last one is kept in memory."""
        key = described({name: value for name, value in loading.items() if name != "model"}), loading["model"]
        if self._loaded[0] != key:
            self._loaded = (None, None, {})
            name, options = loading["model"], {k: v for k, v in loading.items() if k != "model"}
            model = load(name, **options) if isinstance(name, str | Path) else name
            self._loaded = (key, model, model_digest(model))
        return self._loaded[1], self._loaded[2]


def _raise(error: Exception) -> NoReturn:
    raise error

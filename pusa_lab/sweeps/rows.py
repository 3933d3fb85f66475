"""One row of a sweep: what it is, its key, and its scores, from the cache or made anew."""

import contextlib
import platform
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
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
from pusa_lab.sweeps.scores import Metric, Truth, check_wanted, filled, metrics_of, scores_of, truth_of
from pusa_lab.sweeps.settings import COLUMNS, Setting, request_of, resolved
from pusa_lab.sweeps.store import Made, RowStore, UnfitScoreError
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
        metrics = {m.name: digest_of(m.function)[:16] for m in metrics_of(self.metrics)}
        return {
            "code of pusa_lab": package_code("pusa_lab"),
            "function": "generate" if self.function is None else digest_of(self.function)[:16],
            "metrics": metrics,
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
            call, truth, about = self._prepared(job)
        except Exception as error:  # of a person's function, or a model that cannot be loaded: the others may do
            call, truth, about = partial(_raise, error), None, {"cannot be prepared": described(job.setting)}
        about |= {"prompt": job.prompt, "seed": job.seed}
        make = partial(self._make, job, call, truth)
        with_clip = self.experiment.keep_clips and self.experiment.function is None
        return self.rows.row(about, make, wait=wait, retry=self.experiment.retry, with_clip=with_clip)

    def _make(self, job: Job, call: Callable[[], Any], truth: Any) -> Made:
        with _seeded(job.seed):
            result = call()
            scores = scores_of(self.metrics, result, truth)
        if self.rows.is_empty:
            check_wanted(self.experiment.scores, list(scores))
        if taken := scores.keys() & {*job.setting, *COLUMNS}:
            raise UnfitScoreError(f"a score is called {min(taken)!r:.40}, as another column: give it another name.")
        return scores, result.video[0] if self.experiment.keep_clips and isinstance(result, Result) else None

    def _prepared(self, job: Job) -> tuple[Callable[[], Any], Any, dict[str, Any]]:
        """What makes the row, its truth, and what it is."""
        truth = truth_of(self.experiment.truth, job.prompt, job.seed)
        about = {"truth": described(truth)}
        if (function := self.experiment.function) is not None:
            setting = resolved(job.setting)
            call = partial(filled, partial(function, **setting), prompt=job.prompt, seed=job.seed)
            return call, truth, about | {"setting": described(setting)}
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
        about |= {"model": digest, "task": described(task), "sampling": described(request.sampling)}
        call = partial(generate, model, job.prompt, task, seed=job.seed, **request.sampling)
        return call, truth, about | {"registered": described(registered)}

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


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Random numbers of torch, NumPy and Python that start from the seed, until the block ends."""
    before, numpy_before = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(before)
            np.random.set_state(numpy_before)

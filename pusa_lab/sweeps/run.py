"""The front door of sweeps: every setting with every prompt and seed, resumed from a cache, as one table."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pusa_lab.arguments import ArgumentError, calling, checked, shown
from pusa_lab.import_paths import imported, is_import_path
from pusa_lab.progress import progress_bar
from pusa_lab.sentences import counted
from pusa_lab.sweeps.identity import digest_of, label_of
from pusa_lab.sweeps.rows import Bench, Experiment, Job
from pusa_lab.sweeps.scores import check_wanted, metrics_of, truth_of
from pusa_lab.sweeps.settings import (
    MOST_ROWS,
    Setting,
    check_function,
    each_once,
    request_of,
    resolved,
    settings_of,
    written,
)
from pusa_lab.sweeps.store import Row, RowStore
from pusa_lab.tasks import Task, text_to_video
from pusa_lab.types import VideoModel

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = Any


@checked
def sweep(
    model: str | Path | VideoModel | Callable[..., Any] | None,
    settings: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    prompts: str | Sequence[str] = "",
    seeds: int | Sequence[int] = 0,
    metrics: Any = (),
    scores: str | Sequence[str] = (),
    truth: Any = None,
    cache: str | Path,
    keep_clips: bool = False,
    retry: bool = False,
    workers: int = 1,
    setup: Callable[[], Any] | None = None,
    progress: bool | None = None,
) -> DataFrame:
    """Run every setting with every prompt and every seed, and measure each: one row of a table.

    All settings get the same prompts and seeds, so `compare` can pair them. Rows are kept in the cache as soon as they
    are made: a sweep that was killed is resumed, one with more settings, prompts or seeds only makes what is
    new, and several processes may work on one cache. On the same machine a row that was deleted comes back with the
    same scores, bit for bit, if it is made by as many threads.

    Args:
        model: a name for `load`, a model, or None if settings names it as "model". Or any function, or its import path:
            it is called with a setting's values, and with prompt and seed where it names them.
        settings: name -> value, or the values to try as a list, tuple, range or 1-D array. All combinations are run. To
            pass a list or 1-D array as one value, wrap it in a list. If there are several such dicts, each adds its own
            combinations. Names are those of `generate`'s arguments, of the options of `load` (lora, strength, ...), and
            of the arguments of the task, which may be a name, a task, or a function (prompt, seed, ...) -> task. Values
            may be import paths such as "mymodule:function"; pictures and clips of tasks may be named by files.
        prompts: captions.
        seeds: whole numbers.
        metrics: functions (result) or (result, truth) that return a number or a dict of numbers, as a dict with the
            names of their columns or a list; or names in `metrics.METRICS`, or import paths. With none, the function
            must return the numbers itself.
        scores: columns of scores that will be needed later; if there is no such score, the sweep ends at once.
        truth: what the metrics compare with: prompt -> clip, (prompt, seed) -> clip, or a function of prompt and seed.
        cache: folder of the rows; deleting it starts anew.
        keep_clips: keep the clip of every row, for `viz.plot_clips`, and so that metrics which are added later are
            computed from it. A metric that reads more of a result than its video, and every metric that is added to
            rows without clips, needs the rows to be made again.
        retry: make failed rows again.
        workers: processes; each has a GPU of its own if there are GPUs. Several processes can only use functions from
            modules, not from a notebook, and a script that uses them needs the line `if __name__ == "__main__":`.
        setup: called first in every worker, such as to register schedules; with one process it is not called.
        progress: show a bar with the time left; None shows it on a terminal and in a live notebook.

    Returns:
        A pandas DataFrame with a line for each setting, prompt and seed: columns of the settings, prompt, seed, scores,
        seconds, status ("done" or "failed"), error, and clip, the path of a clip that was kept.

    Raises:
        ValueError: something does not fit, which is said before anything is run; or the first row of all has a score
            that is no number, or lacks one of `scores`. A row that fails later is kept as failed, with its error, and
            the others are made all the same.
    """
    prompts, seeds = each_once("prompts", prompts, str), each_once("seeds", seeds, int)
    found = settings_of(settings)
    if len(found) * len(prompts) * len(seeds) > MOST_ROWS:
        raise ValueError(f"{counted(len(found), 'setting')} make more than {MOST_ROWS:,} rows: give fewer.")
    wanted = (scores,) if isinstance(scores, str) else tuple(scores)
    experiment = Experiment(model, metrics, truth, Path(cache), keep_clips, retry, wanted)
    _check(experiment, found, prompts, seeds)
    _check_workers(workers, experiment, found, setup)
    jobs = [Job(setting, prompt, seed) for setting in found for prompt in prompts for seed in seeds]
    workers = min(workers, len(jobs))
    with RowStore(experiment.cache, experiment.header()) as store:
        rows = _here(experiment, store, jobs) if workers == 1 else _in_processes(experiment, jobs, workers, setup)
        done = dict(progress_bar(rows, len(jobs), "sweep", "row", progress))
    return _table(jobs, [done[i] for i in range(len(jobs))])


def _check(experiment: Experiment, settings: Sequence[Setting], prompts: list[str], seeds: list[int]) -> None:
    metrics = metrics_of(experiment.metrics)
    needs_known = next((metric.name for metric in metrics if metric.needs_known), "")
    for setting in settings:
        if experiment.function is None:
            task = request_of(setting, experiment.model).task
            if needs_known and (task in (None, text_to_video) or (isinstance(task, Task) and not task.known)):
                raise ValueError(
                    f"the metric {needs_known} compares with repeating the known frames, and {written(setting)} is "
                    "text to video, which has none: give a task, such as image_to_video, or other metrics."
                )
        else:
            check_function(experiment.function, resolved(setting))
    for metric in metrics:
        metric.mark()
    if experiment.function is None and not metrics:
        raise ValueError("no metrics were given: give names, such as psnr, or functions of a result.")
    if metrics:
        names = [metric.name for metric in metrics]
        check_wanted(experiment.scores, names, [metric.name for metric in metrics if not metric.registered])
    if experiment.truth is None and (needy := [metric.name for metric in metrics if metric.needs_truth]):
        raise ValueError(f"the metric {needy[0]} compares with a truth: give truth=, a function or a dict of prompts.")
    truth = imported(str(experiment.truth)) if is_import_path(experiment.truth) else experiment.truth
    if isinstance(truth, Mapping):
        for prompt in prompts:
            for seed in seeds:
                truth_of(truth, prompt, seed)
    elif truth is not None and not callable(truth):
        raise ArgumentError(
            f"truth is {shown(truth)}: give a function, a dict of prompts and clips, or the import path of one."
        )


def _check_workers(workers: int, experiment: Experiment, settings: Sequence[Setting], setup: Any) -> None:
    if workers < 1:
        raise ValueError(f"workers={workers}: give at least 1.")
    if workers == 1:
        return
    models = [experiment.model, *(setting.get("model") for setting in settings)]
    if any(isinstance(model, VideoModel) for model in models):
        raise ValueError(
            f"workers={workers} with a model that is loaded already: give its name, so that each loads it."
        )
    try:
        sent = bytes(multiprocessing.reduction.ForkingPickler.dumps((experiment, list(settings), setup)))
        if b"__main__" in sent and not Path(str(getattr(sys.modules["__main__"], "__file__", ""))).is_file():
            raise ValueError("a function of a notebook, or typed at a prompt")
    except Exception as error:  # pickle raises several kinds
        reason = " ".join(str(error).split())
        raise ValueError(
            f"workers={workers} with something that other processes cannot be given ({reason:.200}): define functions "
            f"in a module, or use workers=1."
        ) from error


Outcome = tuple[int, Row]


def _here(experiment: Experiment, store: RowStore, jobs: Sequence[Job]) -> Iterator[Outcome]:
    bench = Bench(experiment, store)
    yield from _patiently(((i, bench.row(job)) for i, job in enumerate(jobs)), lambda i: bench.row(jobs[i], wait=True))


def _patiently(tried: Iterable[tuple[int, Row | None]], wait: Callable[[int], Row | None]) -> Iterator[Outcome]:
    """Rows as they come; those that another process had in hand are asked for again at the end."""
    busy = []
    for i, row in tried:
        if row is None:
            busy.append(i)
        else:
            yield i, row
    for i in busy:
        row = wait(i)
        assert row is not None
        yield i, row


def _in_processes(
    experiment: Experiment, jobs: Sequence[Job], workers: int, setup: Callable[[], Any] | None
) -> Iterator[Outcome]:
    context = multiprocessing.get_context("forkserver")
    gpus = context.Queue()
    for gpu in _gpus(workers):
        gpus.put(gpu)
    threads = max(1, torch.get_num_threads() // workers)
    pool = ProcessPoolExecutor(workers, context, _begin, (experiment, gpus, threads, setup, dict(os.environ)))
    try:
        numbers = {pool.submit(_work, job): i for i, job in enumerate(jobs)}
        tried = ((numbers[future], future.result()) for future in as_completed(numbers))
        yield from _patiently(tried, lambda i: pool.submit(_work, jobs[i], True).result())
    except ValueError as error:  # of a worker: its frames are of no use here
        raise error.with_traceback(None) from None
    except BrokenProcessPool:
        raise RuntimeError(
            f"a worker process of the sweep ended early; the rows that are done are in {experiment.cache}: run it "
            f"again, perhaps with fewer workers. A script that uses workers needs `if __name__ == '__main__':`."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _gpus(workers: int) -> list[str | None]:
    """The number of each worker's GPU, in turn; None without GPUs."""
    if not torch.cuda.is_available():
        return [None] * workers
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
    numbers = visible.split(",")[: torch.cuda.device_count()]
    return [numbers[i % len(numbers)] for i in range(workers)]


_bench: Bench
"""The state of a worker process."""


def _begin(
    experiment: Experiment, gpus: Any, threads: int, setup: Callable[[], Any] | None, environment: dict[str, str]
) -> None:
    global _bench
    os.environ.clear()
    os.environ.update(environment)
    if (gpu := gpus.get()) is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    torch.set_num_threads(threads)
    if setup is not None:
        setup()
    _bench = Bench(experiment, RowStore(experiment.cache, experiment.header()).__enter__())


def _work(job: Job, wait: bool = False) -> Row | None:
    with calling("sweep"):
        return _bench.row(job, wait)


def _table(jobs: Sequence[Job], rows: Sequence[Row]) -> DataFrame:
    import pandas as pd  # takes long to import

    names = list(dict.fromkeys(name for job in jobs for name in job.setting))
    scores = list(dict.fromkeys(name for row in rows for name in row["scores"]))
    labels = _labels([job.setting for job in jobs], names)
    lines = []
    for job, label, row in zip(jobs, labels, rows, strict=True):
        line = {**label, "prompt": job.prompt, "seed": job.seed}
        line |= {name: row["scores"].get(name, float("nan")) for name in scores}
        status = "failed" if row["error"] else "done"
        lines.append({**line, "seconds": row["seconds"], "status": status, "error": row["error"], "clip": row["clip"]})
    return pd.DataFrame(lines)


def _labels(settings: Sequence[Setting], names: Sequence[str]) -> list[dict[str, Any]]:
    """What the columns of the settings show; values of equal labels are told apart by a digest."""
    columns = {}
    for name in names:
        values = [setting.get(name) for setting in settings]
        digests = [digest_of(value) for value in values]
        short = {digest: label_of(value) for digest, value in zip(digests, values, strict=True)}
        twice = len(set(map(str, short.values()))) < len(short)
        columns[name] = [f"{short[d]} {d[:6]}" if twice else short[d] for d in digests]
    return [{name: column[i] for name, column in columns.items()} for i in range(len(settings))]

"""pytest tests/test_sweep_processes.py: sweeps that are killed, and several processes on one cache."""

import os
import signal
import sys
import types
from functools import partial

import pandas as pd
import pytest
import sweeping
import torch
from processes import SERVER, python

import pusa_lab as pl
from pusa_lab.sweeps import run

KILLED = """
import os, signal, sys
import sweeping
import pusa_lab as pl
from pusa_lab import files
from pusa_lab.sweeps import scores, scoring, store

def dies(function, last, after=False):
    calls = []
    def called(*args, **options):
        calls.append(args)
        done = function(*args, **options) if after or len(calls) < last else None
        if len(calls) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    return called

where = sys.argv[2]
if where == "in a row":
    scoring.scores_of = dies(scoring.scores_of, 3)
if where == "while its files are written":
    store.write_json = dies(store.write_json, 7)
if where == "amid its file":
    files.Path.replace = dies(files.Path.replace, 7)
if where == "after a row":
    store.RowStore.write = dies(store.RowStore.write, 3, after=True)
pl.sweep(sweeping.noisy, {"a": [1, 2]}, prompts=["x", "yy"], seeds=[0, 1], cache=sys.argv[1])
"""


@pytest.fixture(autouse=True)
def logged(tmp_path, monkeypatch):
    path = tmp_path / "log"
    path.touch()
    monkeypatch.setenv("SWEEP_LOG", str(path))
    return lambda: [line.split() for line in path.read_text().splitlines()]


def made(cache):
    return {path.name: path.read_bytes() for path in (cache / "rows").glob("[0-9a-f]*.json")}


@pytest.mark.parametrize(
    ("where", "done"),
    [("in a row", 2), ("while its files are written", 2), ("amid its file", 2), ("after a row", 3)],
)
def test_a_killed_sweep_goes_on_with_the_rows_that_are_missing(where, done, tmp_path, logged):
    ended = python(KILLED, tmp_path / "c", where)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert len(made(tmp_path / "c")) == done and len(logged()) == 3
    call = partial(pl.sweep, sweeping.noisy, {"a": [1, 2]}, prompts=["x", "yy"], seeds=[0, 1])
    one = call(cache=tmp_path / "c")
    assert len(logged()) == 3 + 8 - done
    two = call(cache=tmp_path / "whole")
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), two.drop(columns="seconds"))
    assert made(tmp_path / "c") == made(tmp_path / "whole")


def run_here(cache, out, log):
    os.environ["SWEEP_LOG"] = log
    pl.sweep(sweeping.meeting, {"a": list(range(6))}, cache=cache).to_pickle(out)


def test_two_processes_on_one_cache_make_each_row_once(tmp_path, logged):
    os.mkfifo(tmp_path / "pipe")
    places = [tmp_path / "one", tmp_path / "two"]
    children = [
        SERVER.Process(target=run_here, args=(tmp_path / "c", place, os.environ["SWEEP_LOG"])) for place in places
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        child.kill()
        assert child.exitcode == 0
    assert sorted(int(row) for _, row in logged()) == list(range(6))
    assert len({process for process, _ in logged()}) == 2
    one, two = map(pd.read_pickle, places)
    pd.testing.assert_frame_equal(one, two)
    assert one["value"].tolist() == list(range(6)) and (one["status"] == "done").all()


def set_up(path):
    pl.schedules.SCHEDULES.register(lambda steps, frames: pl.schedules.synchronous(steps, frames), name="mine")
    path.touch()


def test_workers_make_the_same_table(tmp_path, logged):
    call = partial(pl.sweep, sweeping.noisy, {"a": [1, 2]}, prompts=["x", "yy"], seeds=[0, 1])
    one = call(cache=tmp_path / "one")
    two = call(cache=tmp_path / "two", workers=2, setup=partial(set_up, tmp_path / "ready"))
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), two.drop(columns="seconds"))
    assert made(tmp_path / "one") == made(tmp_path / "two") and (tmp_path / "ready").exists()
    assert str(os.getpid()) not in {process for process, *_ in logged()[8:]} and len(logged()) == 16


def test_a_failed_row_reads_alike_in_a_worker(tmp_path):
    call = partial(pl.sweep, sweeping.unlucky, {"a": [1, 2]}, seeds=[0, 1])
    call(cache=tmp_path / "one")
    call(cache=tmp_path / "two", workers=2)
    assert made(tmp_path / "one") == made(tmp_path / "two")


def test_a_worker_that_dies_loses_no_row(tmp_path):
    call = partial(pl.sweep, sweeping.noisy, {"a": [1, 2]}, seeds=[0, 1], cache=tmp_path / "c", workers=2)
    with pytest.raises(RuntimeError, match=r"a worker process of the sweep ended early.* needs `if __name__"):
        call(setup=end)
    assert (call()["status"] == "done").all()


def end():
    os._exit(3)


@pytest.mark.parametrize(
    ("model", "settings", "sentence"),
    [
        (lambda a: a, {"a": [1, 2]}, "workers=2 with something that other processes cannot be given"),
        (sweeping.squared, {"a": [lambda: 1, lambda: 2]}, "workers=2 with something that other processes cannot be"),
    ],
)
def test_what_workers_cannot_be_given_is_told(model, settings, sentence, tmp_path):
    with pytest.raises(ValueError, match=sentence):
        pl.sweep(model, settings, cache=tmp_path / "c", workers=2)


@pytest.mark.parametrize("place", ["model", "setup"])
def test_functions_of_a_notebook_are_not_sent_to_workers(place, monkeypatch, tmp_path):
    typed = types.ModuleType("__main__")
    exec(f"def typed(a):\n    return {place!r}", typed.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", typed)
    monkeypatch.setattr(run, "_check", lambda *_: None)  # whose digest needs the source that a notebook keeps
    given = {"model": sweeping.squared, "setup": None, place: typed.typed}
    with pytest.raises(ValueError, match=r"cannot be given \(a function of a notebook.*: define functions in a module"):
        pl.sweep(given.pop("model"), {"a": [1, 2]}, cache=tmp_path / "c", workers=2, **given)


def test_a_loaded_model_is_not_sent_to_workers(nano_vta, tmp_path):
    with pytest.raises(ValueError, match="workers=2 with a model that is loaded already: give its name"):
        pl.sweep(nano_vta, {"steps": [1, 2]}, metrics=sweeping.brightness, cache=tmp_path / "c", workers=2)


def test_every_worker_has_a_gpu_of_its_own(monkeypatch):
    assert run._gpus(2) == [None, None]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert run._gpus(3) == ["0", "1", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert run._gpus(2) == ["5", "7"]

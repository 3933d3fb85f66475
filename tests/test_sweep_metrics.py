"""pytest tests/test_sweep_metrics.py: metrics that are added to a sweep, from kept clips or with rows made again."""

import shutil
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
import sweeping
import torch

import pusa_lab as pl
from pusa_lab.runs import Result
from pusa_lab.sweeps import rows as rows_module
from pusa_lab.sweeps.scoring import KeptResult, NotKeptError

PROMPTS = ["a red circle moves right", "a blue square moves up"]
TRUTH = dict.fromkeys(PROMPTS, sweeping.CLIP)
LIGHT = {"light": sweeping.brightness}


@pytest.fixture(autouse=True)
def logged(tmp_path, monkeypatch):
    path = tmp_path / "log"
    path.touch()
    monkeypatch.setenv("SWEEP_LOG", str(path))
    return lambda: path.read_text().splitlines()


@pytest.fixture
def made(monkeypatch):
    """The seeds of the videos that sweeps make."""
    seen, generate = [], pl.generate
    monkeypatch.setattr(
        rows_module, "generate", lambda *args, **given: seen.append(given["seed"]) or generate(*args, **given)
    )
    return seen


@pytest.fixture
def call(small_nano, tmp_path):  # any toy does
    return partial(pl.sweep, small_nano, {"steps": [1, 2]}, prompts=PROMPTS, seeds=[0, 1], cache=tmp_path / "c")


def same(one, two, *but):
    pd.testing.assert_frame_equal(*(table.drop(columns=["seconds", *but]) for table in (one, two)), check_exact=True)


def drawn(result):
    """A metric that depends on chance."""
    return result.video.mean() + torch.rand(()).item() + np.random.rand()


def length(result):
    """A metric that reads more than the video."""
    return result.latents.norm().item()


def test_added_metrics_are_computed_from_the_kept_clips(call, made, tmp_path):
    call(metrics=LIGHT, keep_clips=True)
    assert len(made) == 8
    both = {**LIGHT, "drawn": drawn, "psnr": "psnr", "close": sweeping.closeness}
    added = call(metrics=both, truth=TRUTH)
    assert len(made) == 8, "the model was not called"
    fresh = call(metrics=both, truth=TRUTH, keep_clips=True, cache=tmp_path / "fresh")
    assert len(made) == 16 and list(fresh.columns)[3:8] == ["light", "drawn", "psnr", "close.made", "close.given"]
    same(added, fresh, "clip")
    rows = [{f.name: f.read_bytes() for f in (tmp_path / c / "rows").glob("*.json")} for c in ("c", "fresh")]
    assert rows[0] == rows[1]
    fewer = call(metrics=LIGHT)
    assert len(made) == 16 and list(fewer.columns)[3:5] == ["light", "seconds"], "fewer metrics are read alone"


def test_another_truth_or_source_of_a_metric_is_another_metric(call, made):
    call(metrics=["psnr"], truth=TRUTH, keep_clips=True)
    other = call(metrics=["psnr"], truth=dict.fromkeys(PROMPTS, 255 - sweeping.CLIP))
    again = call(metrics=["psnr"], truth=TRUTH)
    assert len(made) == 8 and (other["psnr"] != again["psnr"]).all()
    changed = call(metrics={"light": lambda result: 2.0 * result.video.mean()})
    assert len(made) == 8 and (changed["light"] > 1).all()


def test_without_clips_rows_are_made_again_and_the_sentence_says_so(call, made, tmp_path):
    call(metrics=LIGHT)
    says = r"lack the metric psnr, and their clips were not kept: they are made again; with keep_clips=True the next"
    with pytest.warns(UserWarning, match=says) as told:
        added = call(metrics={**LIGHT, "psnr": "psnr"}, truth=TRUTH)
    assert len(told) == 1 and len(made) == 16
    same(added, call(metrics={**LIGHT, "psnr": "psnr"}, truth=TRUTH, cache=tmp_path / "fresh"))


def test_a_metric_of_more_than_the_video_takes_the_rows_to_be_made_again(call, made, tmp_path):
    call(metrics=LIGHT, keep_clips=True)
    with pytest.warns(UserWarning, match="only the video of the result was kept, and not its latents: they are made a"):
        added = call(metrics={**LIGHT, "length": length})
    assert len(made) == 16
    same(added, call(metrics={**LIGHT, "length": length}, cache=tmp_path / "fresh"), "clip")
    kept = KeptResult(sweeping.CLIP)
    assert kept.video.shape == (1, *sweeping.CLIP.shape) and isinstance(kept, Result)
    with pytest.raises(NotKeptError, match="not its row"):
        _ = kept.row


def test_of_several_videos_of_a_prompt_one_clip_is_kept_and_none_is_scored(nano_vta, made, tmp_path):
    given = {"prompts": PROMPTS[0], "cache": tmp_path / "c", "keep_clips": True}
    pl.sweep(nano_vta, {"steps": 1, "num_videos_per_prompt": 2}, metrics=LIGHT, **given)
    with pytest.warns(UserWarning, match="they are made again"):
        df = pl.sweep(nano_vta, {"steps": 1, "num_videos_per_prompt": 2}, metrics={"mean": mean}, **given)
    assert (
        len(made) == 2
        and df["mean"][0] == pl.generate(nano_vta, PROMPTS[0], steps=1, num_videos_per_prompt=2).video.mean()
    )


def mean(result):
    return result.video.mean()


def test_a_damaged_clip_is_no_loss(call, made, tmp_path):
    one = call(metrics=LIGHT, keep_clips=True)
    for clip in (tmp_path / "c" / "clips").iterdir():
        clip.write_bytes(b"no clip")
    two = call(metrics={**LIGHT, "mean": mean}, keep_clips=True)
    assert len(made) == 16 and (two["mean"] == 255 * one["light"]).all()
    assert all(pl.sweeps.read_kept_clip(path).any() for path in two["clip"])


def test_the_clip_of_another_row_is_not_scored(call, made):
    one = call(metrics=LIGHT, keep_clips=True)
    shutil.copy(one["clip"][1], one["clip"][0])
    with pytest.raises(ValueError, match="holds no clip of a sweep"):
        pl.sweeps.read_kept_clip(one["clip"][0])
    two = call(metrics={**LIGHT, "mean": mean}, keep_clips=True)
    assert len(made) == 9 and (two["mean"] == 255 * one["light"]).all()


def unlucky(result):
    raise RuntimeError("out of luck")


def nothing(result):
    return float("nan")


def test_an_added_metric_that_fails_loses_nothing(call, made):
    one = call(metrics=LIGHT, keep_clips=True)
    failed = call(metrics={**LIGHT, "unlucky": unlucky})
    assert (failed["status"] == "failed").all() and set(failed["error"]) == {"RuntimeError: out of luck"}
    with pytest.raises(ValueError, match="the metric nothing returned nan: return a finite number"):
        call(metrics={**LIGHT, "nothing": nothing})
    assert len(made) == 8
    same(call(metrics=LIGHT), one)


def test_a_function_s_rows_are_made_again_for_another_metric(tmp_path, logged):
    call = partial(pl.sweep, sweeping.noisy, {"a": [1, 2]}, cache=tmp_path / "c")
    call(metrics={"size": len})
    with pytest.warns(UserWarning, match=r"lack the metric keys, and their clips were not kept: they are made again\."):
        df = call(metrics={"size": len, "keys": lambda found: len(found) + found["score"]})
    assert len(logged()) == 4 and df["size"].tolist() == [2, 2] and df["keys"].nunique() == 2


def test_rows_that_come_out_otherwise_are_replaced_with_a_warning(nano_vta, made, tmp_path, monkeypatch):
    call = partial(pl.sweep, nano_vta, {"steps": 1}, prompts=PROMPTS[0], cache=tmp_path / "c")
    call(metrics=LIGHT)
    generate = rows_module.generate
    monkeypatch.setattr(rows_module, "generate", lambda *args, **given: generate(*args, **given | {"seed": 7}))
    with pytest.warns(UserWarning) as told:
        df = call(metrics={**LIGHT, "mean": mean})
    assert "a row that was made again has other scores than before, which are replaced" in str(told[-1].message)
    assert df["mean"][0] == pytest.approx(255 * df["light"][0])


def test_scores_that_are_there_outlive_a_failure_around_those_that_are_added(call):
    first = call(metrics=LIGHT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # so that the warning that rows are made again ends the first of them
        assert call(metrics=LIGHT | {"long": length}).status.tolist().count("failed") == 1
    same(call(metrics=LIGHT), first)

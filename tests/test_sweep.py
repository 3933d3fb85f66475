"""pytest tests/test_sweep.py: every setting with every prompt and seed, kept row by row, and known again by content."""

import copy
import json
import shutil
from functools import partial

import numpy as np
import pytest
import sweeping
import torch

import pusa_lab as pl
from pusa_lab.sweeps import rows as rows_module
from pusa_lab.sweeps.settings import settings_of
from pusa_lab.sweeps.store import read_kept_clip

PROMPTS = ["a red circle moves right", "a blue square moves up"]


@pytest.fixture(autouse=True)
def logged(tmp_path, monkeypatch):
    path = tmp_path / "log"
    path.touch()
    monkeypatch.setenv("SWEEP_LOG", str(path))
    return lambda: [line.split(" ", 1)[1] for line in path.read_text().splitlines()]


def files(cache):
    return {path.name: path.read_bytes() for path in cache.rglob("*") if path.suffix in (".json", ".npz")}


def test_the_table_has_a_line_for_every_setting_prompt_and_seed(tmp_path):
    df = pl.sweep(sweeping.noisy, {"a": [1, 2], "b": 0.5}, prompts=["x", "yy"], seeds=[0, 5, 7], cache=tmp_path / "c")
    columns = ["a", "b", "prompt", "seed", "score", "length", "seconds", "status", "error", "clip"]
    assert list(df.columns) == columns and len(df) == 2 * 2 * 3 and (df["status"] == "done").all()
    assert df[["a", "prompt", "seed"]].drop_duplicates().shape[0] == 12
    torch.manual_seed(7)
    np.random.seed(7)
    want = 2 * 0.5 + torch.randn(()).item() + np.random.rand()
    assert df[(df.a == 2) & (df.seed == 7)]["score"].tolist() == [want, want]


def test_random_numbers_go_on_as_if_there_had_been_no_sweep(tmp_path):
    torch.manual_seed(3)
    np.random.seed(3)
    want = torch.rand(2).tolist(), np.random.rand()
    torch.manual_seed(3)
    np.random.seed(3)
    pl.sweep(sweeping.noisy, {"a": 1}, cache=tmp_path / "c")
    assert (torch.rand(2).tolist(), np.random.rand()) == want


def test_several_dicts_add_their_combinations(tmp_path):
    settings = [{"a": [1, 2]}, {"a": 3, "b": [0.5, 2.0]}]
    df = pl.sweep(sweeping.noisy, settings, cache=tmp_path / "c")
    assert df["a"].tolist() == [1, 2, 3, 3] and df["b"].tolist()[2:] == [0.5, 2.0] and df["b"].isna().sum() == 2


@pytest.mark.parametrize("values", [range(1, 3), (1, 2), np.arange(1, 3), torch.arange(1, 3)])
def test_ranges_tuples_and_arrays_of_one_axis_hold_values_to_try(values, tmp_path):
    df = pl.sweep(sweeping.squared, {"a": values}, cache=tmp_path / "c")
    assert df["a"].tolist() == [1, 2] and df["value"].tolist() == [1, 4]
    listed = pl.sweep(sweeping.squared, {"a": [1, 2]}, cache=tmp_path / "c")
    assert listed.equals(df), "the same rows"


@pytest.mark.parametrize("value", [np.array(2.0), torch.tensor(2.0)])
def test_an_array_without_axes_is_its_number(value, tmp_path):
    df = pl.sweep(sweeping.squared, {"a": value}, cache=tmp_path / "c")
    assert df["a"].tolist() == [2.0] and df["value"].tolist() == [4]


def test_a_matrix_or_what_stands_in_a_list_is_one_value(tmp_path):
    values = [np.ones((3, 2)), torch.ones(3, 2), [np.ones(2)], [(1, 2)], torch.tensor(2.0)]
    found = [settings_of({"a": value})[0]["a"] for value in values]
    assert all(len(settings_of({"a": value})) == 1 for value in values)
    assert [np.shape(one) for one in found] == [(3, 2), (3, 2), (2,), (2,), ()]


def test_schedulers_of_diffusers_are_told_apart_by_their_settings(small_nano, tmp_path):
    from diffusers import FlowMatchEulerDiscreteScheduler as Euler

    given = {"prompts": PROMPTS[0], "metrics": {"light": sweeping.brightness}, "cache": tmp_path / "c"}
    settings = {"schedule": [Euler(shift=1.0), Euler(shift=3.0)], "steps": (1, 2)}
    df = pl.sweep(small_nano, settings, **given)
    name = "FlowMatchEulerDiscreteScheduler"
    assert df["schedule"].tolist() == [f"{name}()"] * 2 + [f"{name}(shift=3.0)"] * 2
    assert (df["status"] == "done").all() and df["light"][1] != df["light"][3]
    with pytest.raises(ValueError, match="is there twice"):
        pl.sweep(small_nano, {"schedule": [Euler(), Euler(shift=1.0)]}, **given)
    few, many = Euler(), Euler()
    few.set_timesteps(2)
    many.set_timesteps(3)
    df = pl.sweep(small_nano, {"schedule": [Euler(), few, many]}, **given)
    assert df["schedule"].nunique() == 3 and df["light"].nunique() == 3


def test_only_what_is_new_is_run_and_the_rest_is_read(tmp_path, logged):
    one = pl.sweep(sweeping.noisy, {"a": [1, 2]}, seeds=[0, 1], cache=tmp_path / "c")
    assert len(logged()) == 4
    two = pl.sweep(sweeping.noisy, {"a": [1, 2, 3]}, seeds=[0, 1, 2], cache=tmp_path / "c")
    assert len(logged()) == 9
    same = two[(two.a < 3) & (two.seed < 2)].reset_index(drop=True)
    assert same.equals(one), "seconds too are those of the first run"


def test_a_deleted_row_comes_back_bit_for_bit(small_nano, tmp_path):
    call = partial(pl.sweep, small_nano, {"steps": [1, 2]}, prompts=PROMPTS[0], metrics={"light": sweeping.brightness})
    one = call(cache=tmp_path / "c", keep_clips=True)
    before = files(tmp_path / "c")
    assert len(before) == 1 + 2 + 2
    shutil.rmtree(tmp_path / "c" / "rows")
    shutil.rmtree(tmp_path / "c" / "clips")
    (tmp_path / "c" / "sweep.json").unlink()
    two = call(cache=tmp_path / "c", keep_clips=True)
    assert files(tmp_path / "c") == before
    assert one.drop(columns="seconds").equals(two.drop(columns="seconds"))


def test_a_model_is_swept_with_schedules_guiders_and_tasks_by_name_or_object(small_nano, tmp_path):
    settings = [
        {"schedule": ["pyramid", "pyramid(lag=2)"], "steps": 2, "guidance": "apg(scale=2)"},
        {"schedule": pl.schedules.synchronous(2, 8)},
        {
            "task": "sweeping:first_frame",
            "steps": 2,
            "noise": [0.0, 0.5],
            "solver": ["heun", pl.solvers.AdamsBashforth(2)],
        },
    ]
    metrics = {"light": sweeping.brightness, "close": "sweeping:closeness", "psnr": "psnr"}
    given = {"prompts": PROMPTS[0], "metrics": metrics, "truth": {PROMPTS[0]: sweeping.CLIP}}
    df = pl.sweep(small_nano, settings, **given, cache=tmp_path / "c", keep_clips=True)
    assert (df["status"] == "done").all(), df["error"].tolist()
    assert list(df.columns)[:6] == ["schedule", "steps", "guidance", "task", "noise", "solver"]
    assert df["schedule"].tolist()[:2] == ["pyramid", "pyramid(lag=2)"] and df["schedule"][2].startswith("3x8 ")
    assert df["task"][3] == "sweeping:first_frame" and df["close.given"][3] == 0 and df["close.given"][5] < 0
    schedule = partial(pl.schedules.pyramid, lag=2)
    made = pl.generate(small_nano, PROMPTS[0], schedule=schedule, steps=2, guidance="apg(scale=2)")
    assert (read_kept_clip(df["clip"][1]) == made.video[0]).all()
    assert df["light"][1] == made.video.mean() / 255
    want = pl.metrics.psnr(pl.pixels.to_pixels(made.video), pl.pixels.to_pixels(sweeping.CLIP)).mean().item()
    assert df["psnr"][1] == want


def test_checkpoints_are_swept_and_told_apart_by_their_weights(nano_vta, tmp_path):
    given = {"prompts": PROMPTS[0], "metrics": {"light": sweeping.brightness}, "cache": tmp_path / "c"}
    df = pl.sweep(None, {"model": ["nano-base", "nano-vta"], "steps": 1}, **given)
    assert (df["status"] == "done").all() and df["light"].nunique() == 2
    count = len(list((tmp_path / "c" / "rows").glob("*.json")))
    assert pl.sweep(nano_vta, {"steps": 1}, **given)["light"][0] == df["light"][1]
    assert len(list((tmp_path / "c" / "rows").glob("*.json"))) == count == 2, "the same weights are the same rows"
    other = copy.deepcopy(nano_vta)
    with torch.no_grad():
        next(other.parameters()).mul_(1.5)
    pl.sweep(other, {"steps": 1}, **given)
    assert len(list((tmp_path / "c" / "rows").glob("*.json"))) == 3


def test_a_failed_row_is_kept_and_the_others_go_on(tmp_path):
    call = partial(pl.sweep, sweeping.unlucky, {"a": [1, 2]}, seeds=[0, 1, 2], cache=tmp_path / "c")
    df = call()
    assert df["status"].tolist() == ["done"] * 4 + ["failed", "done"]
    assert df["error"][4] == "RuntimeError: out of luck, once" and np.isnan(df["value"][4])
    (tmp_path / "mended").touch()
    assert call()["status"][4] == "failed"
    again = call(retry=True)
    assert (again["status"] == "done").all() and again["value"].tolist() == [1, 2, 3, 2, 3, 4]
    assert call()["value"][4] == 3


def test_a_setting_or_model_that_fails_is_a_failed_row(small_nano, tmp_path):
    given = {"prompts": PROMPTS[0], "metrics": {"light": sweeping.brightness}, "cache": tmp_path / "c"}
    df = pl.sweep(small_nano, {"steps": [1, 0], "latent_frames": [None, 4]}, **given)
    assert df["status"].tolist() == ["done", "done", "failed", "failed"]
    assert (
        df["error"][2] == "ArgumentError: steps=0: give 1 to 10,000." or "steps=0: give 1 to 10,000." in df["error"][2]
    )
    (tmp_path / "x.safetensors").write_bytes(b"no model")
    df = pl.sweep(None, {"model": ["nano-vta", str(tmp_path / "x.safetensors")], "steps": 1}, **given)
    assert df["status"].tolist() == ["done", "failed"] and "x.safetensors" in df["error"][1]


def test_rows_of_other_code_are_refused_and_kept(tmp_path, monkeypatch):
    call = partial(pl.sweep, sweeping.noisy, {"a": 1}, cache=tmp_path / "c")
    call()
    before = files(tmp_path / "c")
    with pytest.raises(ValueError, match=r"were made with another function .*: give another cache, or delete"):
        pl.sweep(sweeping.squared, {"a": 1}, cache=tmp_path / "c")
    monkeypatch.setattr(rows_module, "package_code", lambda package: "other")
    with pytest.raises(ValueError, match="were made with a pusa_lab of other code: give another cache"):
        call()
    assert files(tmp_path / "c") == before


@pytest.mark.parametrize(("suffix", "text"), [("json", "{"), ("json", '{"scores": 1}'), ("seconds", '["x"]')])
def test_a_damaged_row_is_made_again_with_a_warning(tmp_path, logged, suffix, text):
    call = partial(pl.sweep, sweeping.noisy, {"a": [1, 2]}, cache=tmp_path / "c")
    one, before = call(), files(tmp_path / "c")
    next((tmp_path / "c" / "rows").glob(f"*.{suffix}")).write_text(text)
    with pytest.warns(
        UserWarning, match=r"rows/\w{64}.json is damaged: the row is made again and the file repl"
    ) as told:
        again = call()
    assert len(told) == 1 and len(logged()) == 3 and files(tmp_path / "c") == before
    assert again.drop(columns="seconds").equals(one.drop(columns="seconds")) and call().equals(again)


def test_a_damaged_cache_is_told(tmp_path):
    call = partial(pl.sweep, sweeping.noisy, {"a": 1}, cache=tmp_path / "c")
    call()
    (tmp_path / "c" / "sweep.json").write_text("{")
    with pytest.raises(
        ValueError, match=r"sweep.json is damaged, .*: restore that file, give another cache, or delete "
    ):
        call()
    (tmp_path / "c" / "sweep.json").unlink()
    with pytest.raises(ValueError, match=r"holds rows, but no sweep.json: restore that file, or give another cache"):
        call()
    (tmp_path / "c" / "sweep.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ValueError, match=r"were made with another format \(99, now 2\)"):
        call()


def test_the_bar_is_shown_where_it_is_asked_for_or_seen(tmp_path, capsys, monkeypatch):
    call = partial(pl.sweep, sweeping.squared, {"a": [1, 2]}, cache=tmp_path / "c")
    call()
    assert capsys.readouterr().err == ""
    call(progress=True)
    assert "sweep" in capsys.readouterr().err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    call(progress=False)
    assert capsys.readouterr().err == ""

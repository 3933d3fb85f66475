"""pytest tests/test_own_clips.py: a toy trained on a folder of clips, with scores of those held out."""

import json
import shutil
import warnings
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from films import waves, write

import pusa_lab as pl
import small_models
from pusa_lab.cli import main
from pusa_lab.data import codec_psnr, read_clip
from pusa_lab.evaluation import USUAL
from pusa_lab.metrics import psnr
from pusa_lab.pixels import to_pixels
from small_models.family import train_toys
from small_models.models import zoo
from small_models.training import train as training
from small_models.training.data import clips_of
from small_models.training.train import train

pytestmark = pytest.mark.usefixtures("small_toys")
FEW = {"max_steps": 2, "global_batch_size": 2, "warmup": 0, "ema": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five small clips of waves, of which the last two are meant to be held out."""
    place = tmp_path_factory.mktemp("waves") / "clips"
    for i in range(5):
        write(place / f"{i}.mp4", waves(8, (16, 16), i), 8, f"wave {i}")
    return place


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory, small_toys):
    """How many clips are held out -> a base that is trained on the others, once for all tests."""

    @cache
    def made(held):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "measure_clips", partial(training.measure_clips, steps=2))
            return train("nano", "base", tmp_path_factory.mktemp("out"), data=str(folder), num_val_clips=held, **FEW)

    return made


def card(path):
    return json.loads(path.with_suffix(".json").read_text())


@pytest.mark.usefixtures("measured_in_two_steps")
def test_what_is_held_out_is_stated_and_never_trained_on(folder, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(training, "run", lambda module, data, *_: seen.append((data.train.captions, data.val.captions)))
    for seed in (0, 1):
        about = card(train("nano", "base", tmp_path / "out", data=str(folder), num_val_clips=2, seed=seed, **FEW))
        assert about["held_out"] == ["3.mp4", "4.mp4"] and about["data"] == f"{folder}, 3 clips"
    assert seen == [(["wave 0", "wave 1", "wave 2"], ["wave 3", "wave 4"])] * 2


@pytest.mark.usefixtures("measured_in_two_steps")
def test_the_card_has_the_scores_of_the_held_out_clips(folder, tmp_path):
    base = train("nano", "base", tmp_path, data=str(folder), num_val_clips=2, validate_every=1, **FEW)
    vta = train("nano", "vta", tmp_path, data=str(folder), num_val_clips=2, **FEW)
    scores = card(vta)["metrics"]
    assert scores["clips"] == 2 and {"nano-vta", "nano-base"} <= set(scores)
    held = [read_clip(folder / f"{i}.mp4", 8) for i in (3, 4)]
    table = pl.evaluate(pl.load(str(vta), device="cpu"), held, ["wave 3", "wave 4"], steps=2, guidance=2.0)
    for task in USUAL:
        mean, low, high = scores["nano-vta"][task]["psnr"]
        assert mean == pytest.approx(table[table.task == task].psnr.mean(), abs=1e-3) and low <= mean <= high
    assert card(base)["metrics"]["nano-base"].keys() == set(USUAL)


def test_an_evaluation_uses_the_clips_that_the_card_names_as_held_out(folder, trained, tmp_path):
    path = trained(2)
    score = partial(pl.evaluate, path, tasks="reconstruction", metrics=["psnr"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert score(folder).truth.tolist() == score(folder, held_out=True).truth.tolist() == ["3.mp4 0", "4.mp4 0"]
        assert score(folder, num_clips=1).truth.tolist() == ["3.mp4 0"]
        shutil.copytree(folder, tmp_path / "moved")
        assert score(tmp_path / "moved").truth.tolist() == ["3.mp4 0", "4.mp4 0"]
        (tmp_path / "moved" / "4.mp4").unlink()
        assert len(score(tmp_path / "moved")) == 4, "another folder"
    with pytest.warns(
        UserWarning,
        match=r"^3 of 5 clips were not held out when .*nano-base\.safetensors was trained, such as '0.mp4 0'",
    ):
        assert len(score(folder, held_out=False)) == 5
    with pytest.raises(ValueError, match=r"^evaluate: held_out=True, but no card of nano-vta names a held-out"):
        pl.evaluate("nano-vta", folder, held_out=True)


def test_models_that_hold_out_other_clips_are_compared_on_the_same_clips_and_noise(folder, trained):
    paths = [trained(1), trained(2)]
    names = [*map(str, paths), "nano-base"]
    tables = [pl.evaluate(name, folder, "", tasks="image_to_video", metrics=["psnr"], steps=1) for name in names]
    seeds = [dict(zip(table.truth, table.seed, strict=True)) for table in tables]
    assert [table.model[0] for table in tables] == names and list(map(len, seeds)) == [1, 2, 5]
    assert seeds[0].items() <= seeds[1].items() <= seeds[2].items() and len({*seeds[2].values()}) == 5
    pairs = pl.compare(pd.concat(tables), {"model": "nano-base"}).set_index("model").pairs
    assert pairs.to_dict() == {names[0]: 1, names[1]: 2}


def test_an_evaluation_of_a_folder_of_which_nothing_was_held_out_warns(folder, trained):
    path = trained(0)
    with pytest.warns(UserWarning, match=r"2 of 2 clips were not held out when .*nano-base\.safetensors was trained"):
        pl.evaluate(path, folder, tasks="reconstruction", num_clips=2)


@pytest.mark.parametrize("held", ["[", "3", {"3.mp4": 1}, ["3.mp4", 4], ["7.mp4"]])
def test_a_card_that_names_no_clips_of_the_folder_is_passed_over(folder, trained, tmp_path, held):
    path = Path(shutil.copy(trained(1), tmp_path))
    about = {**card(trained(1)), "data": "elsewhere, 4 clips", "held_out": held}
    path.with_suffix(".json").write_text(json.dumps(about))
    assert len(pl.evaluate(path, folder, tasks="reconstruction", metrics=["psnr"])) == 5


def test_a_folder_of_which_nothing_was_held_out_has_no_scores(trained):
    about = card(trained(0))
    assert about["held_out"] == [] and about["metrics"]["how"].startswith("not measured: no clips of the folder were h")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_val_clips": 5}, "num_val_clips=5 of 5 videos in .*: give fewer, so that some are left for training"),
        ({"validate_every": 1}, "validate_every=1, num_val_clips=0: set num_val_clips to 1 or more"),
    ],
)
def test_what_cannot_be_held_out_is_refused_before_the_work(folder, tmp_path, monkeypatch, changes, says):
    monkeypatch.setattr("small_models.training.train.clips_of", lambda *_: pytest.fail("clips were read"))
    with pytest.raises(ValueError, match=says):
        train("nano", "base", tmp_path / "out", data=str(folder), **FEW, **changes)


def test_the_codec_is_measured_before_a_training_on_its_latents(tmp_path, logged, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    video = np.random.default_rng(0).integers(0, 255, (33, 64, 64, 3), dtype=np.uint8)
    write(tmp_path / "clips" / "a.mp4", video, 16, "a red circle moves right")
    monkeypatch.setattr(training, "split_datasets", stop)
    with pytest.raises(KeyboardInterrupt):
        train("mini", "base", tmp_path / "out", data=str(tmp_path / "clips"), fast=True)
    (said,) = logged
    kept = codec_psnr(small_models.load("mini-vta", device="cpu"), read_clip(tmp_path / "clips" / "a.mp4", 33)).mean()
    assert said.startswith(f"the codec of mini-codec keeps only {kept:.1f} dB of these clips (mean PSNR of 1 clip ")


def test_a_run_of_all_stages_warns_once_of_the_codec_that_it_trained(tmp_path, logged, monkeypatch, small_codec):
    write(tmp_path / "clips" / "a.mp4", waves(9, (64, 64), 0), 16, "a wave")
    monkeypatch.setattr(training, "run", lambda *_: None)
    made = list(train_toys("mini", "all", data=str(tmp_path / "clips"), out=tmp_path / "out", fast=True))
    assert [path.stem for path in made] == ["mini-codec", "mini-base", "mini-vta"]
    (said,) = logged
    assert said.startswith("the codec of mini-codec keeps only ") and "first" not in said
    assert "can be better: train it for longer, with a larger --max-steps of `pusa-lab train --model mini" in said


def test_a_codec_is_trained_on_the_clips_and_scored_on_those_held_out(tmp_path, small_codec):
    for i in range(3):
        write(tmp_path / "clips" / f"{i}.mp4", waves(9, (64, 64), i), 16)
    options = {
        "data": str(tmp_path / "clips"),
        "num_val_clips": 1,
        "max_steps": 2,
        "global_batch_size": 1,
        "fast": True,
    }
    about = card(train("mini", "codec", tmp_path / "out", **options))
    codec = small_models.load(tmp_path / "out" / "mini-codec.safetensors", device="cpu")
    clip = to_pixels(read_clip(tmp_path / "clips" / "2.mp4", 9))
    with torch.no_grad():
        kept = psnr(codec(clip), clip).mean().item()
    assert about["held_out"] == ["2.mp4"] and about["metrics"]["clips"] == 1
    assert about["metrics"]["psnr_db"] == pytest.approx(kept, abs=1e-3)


def test_a_codec_can_go_on_from_another(tmp_path, small_codec):
    begun = tmp_path / "begun.safetensors"
    zoo.save(small_models.Codec(small_models.CODECS["mini"]), begun, {})
    write(tmp_path / "clips" / "a.mp4", waves(9, (64, 64), 0), 16)
    options = {"data": str(tmp_path / "clips"), "max_steps": 1, "global_batch_size": 1, "fast": True, "lr": 1e-9}
    path = train("mini", "codec", tmp_path / "out", base=str(begun), **options)
    assert card(path)["base"] == "begun"
    new, old = (small_models.load(name, device="cpu").vae.state_dict() for name in (path, begun))
    assert all(torch.allclose(new[name], old[name], atol=1e-5, rtol=1e-3) for name in old)
    with pytest.raises(ValueError, match=r"nano-vta.* is not a codec of mini: give one that --stage codec wrote"):
        train("mini", "codec", tmp_path / "out", base="nano-vta", **options)


def test_one_command_trains_all_stages_that_clips_can_teach(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(
        "small_models.training.train.train", lambda *args, **more: seen.append(args) or more["out"] / "x.y"
    )
    words = ["train", "--model", "mini", "--stage", "all", "--data", str(tmp_path), "--num-val-clips", "4"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    assert seen == [("mini", "codec"), ("mini", "base"), ("mini", "vta")]


def test_clips_of_a_folder_are_the_same_in_every_run(folder):
    geometry = replace(small_models.load("nano-vta", device="cpu").geometry, frames=4)
    first, again = ([part for part, _ in clips_of(folder, 7, seed, geometry, "cpu", 1)] for seed in (0, 9))
    assert torch.equal(torch.cat(first), torch.cat(again)) and len(torch.cat(first)) == 7

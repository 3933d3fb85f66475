"""pytest tests/test_own_clips_docs.py: every snippet of docs/own_clips.md runs, in its order."""

import json
import re
import shlex
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from films import waves, write

from pusa_lab.cli import main
from pusa_lab.evaluation import USUAL
from pusa_lab.metrics import frame_scores
from pusa_lab.pixels import crop_and_resize, to_pixels
from small_models.training import train as training
from small_models.training.data import split_folder

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "own_clips.md").read_text()
BLOCKS = re.findall(r"```(python|sh)\n(.*?)```", PAGE, re.S)
FEW = ["--max-steps", "1", "--global-batch-size", "1", "--warmup", "0"]


@pytest.fixture(scope="module")
def space(tmp_path_factory, small_toys):
    """What the snippets leave behind; the trainings take one step, and their scores few."""
    place = tmp_path_factory.mktemp("docs")
    for i in range(2):
        write(place / "clips" / f"{i}.mp4", waves(33, (64, 64), i), 16, f"wave {i}")
    found = {"place": place}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(training, "measure_clips", partial(training.measure_clips, steps=1))
        for kind, text in BLOCKS:
            if kind == "python":
                exec(compile(text, "page", "exec"), found)
            for line in text.splitlines() if kind == "sh" else []:
                assert main([*shlex.split(line)[1:], *FEW]) == 0
    return found


@pytest.mark.artefact
def test_every_snippet_runs(space):
    assert len(BLOCKS) == 4
    assert {path.name for path in (space["place"] / "outputs" / "own").glob("*.safetensors")} == {
        f"mini-{stage}.safetensors" for stage in ("codec", "base", "vta")
    }
    card = json.loads((space["place"] / "outputs" / "own" / "mini-codec.json").read_text())
    assert card["base"] == "mini-codec"
    assert 0 < space["kept"] < 60
    assert space["table"].task.tolist() == list(USUAL)
    assert set(space["table"].truth) == {"1.mp4 0"}, "the file that --num-val-clips 1 holds out of 0.mp4 and 1.mp4"
    assert len(space["means"]) == 2 * len(USUAL) and len(space["differences"]) == 1


def test_what_to_expect_is_what_was_measured():
    said = " ".join(PAGE.split())
    found = json.loads((ROOT / "benchmarks" / "results" / "own_clips.json").read_text())
    codec, vta = found["stages"]["codec"], found["stages"]["vta"]["metrics"]["mini-vta"]
    assert f"into {found['pieces']} pieces of which {found['held out']} are held out" in said
    assert 8 < sum(stage["seconds"] for stage in found["stages"].values()) / 60 < 12
    assert f"{found['date']}, seed {found['seed']}" in said and found["device"] and found["versions"]["torch"]
    assert f"codec keeps {found['mini-codec, psnr_db']:.1f} dB of the held-out pieces as shipped" in said
    assert f"{codec['metrics']['psnr_db']:.1f} dB after {codec['max_steps']} training steps on the other pieces" in said
    assert f"image to video reaches {vta['image_to_video']['psnr'][0]:.1f} dB" in said
    assert f"frame 0 repeated reaches {found['frame 0 repeated']['psnr']:.1f} dB" in said


def test_what_to_expect_of_a_gpu_is_what_was_measured():
    said = " ".join(PAGE.split())
    found = json.loads((ROOT / "benchmarks" / "results" / "own_clips_gpu.json").read_text())
    base, vta = (
        found["stages"]["vta"]["metrics"][name]["image_to_video"]["psnr"] for name in ("mini-base", "mini-vta")
    )
    assert "nine minutes of training on one H200" in said and found["device"] == "NVIDIA H200"
    assert round(sum(stage["seconds"] for stage in found["stages"].values()) / 60) == 9
    assert f"learns from {found['pieces']} pieces" in said and f"{found['date']}, seed {found['seed']}" in said
    assert f"keeps {found['stages']['codec']['metrics']['psnr_db']:.1f} dB of the held-out pieces" in said
    assert f"Image to video reaches {vta[0]:.1f} dB, on average {vta[0] - base[0]:.1f} dB above the base" in said
    assert vta[0] < found["frame 0 repeated"]["psnr"]


def test_footage_is_cut_into_pieces_whose_last_ones_are_held_out(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    import own_clips

    write(tmp_path / "films" / "a.mp4", waves(70, (200, 300), 0), 25)  # two times of 2 x 3 squares
    write(tmp_path / "films" / "b.mp4", waves(33, (64, 130), 1), 25)  # one time of two
    assert own_clips.cut(tmp_path / "films", tmp_path / "pieces") == (14, 4)
    learned, held = split_folder(tmp_path / "pieces", 4)
    names = ["z 00000 b 0 0", "z 00001 a 0 0", "z 00001 a 0 200", "z 00001 a 100 100"]
    assert [clip.path.stem for clip in held] == names
    assert {clip.caption for clip in learned} == {"a", "b"} and all(not clip.problem for clip in learned)
    clips = own_clips.held_out(tmp_path / "pieces", 4)
    assert clips.shape == (4, 33, 64, 64, 3)
    true = crop_and_resize(to_pixels(waves(66, (200, 300), 0)[33:, :100, 200:]), (64, 64))
    assert frame_scores(to_pixels(clips[2]), true, ["psnr"])["psnr"].mean() > 30


def test_upright_and_long_films_are_cut_too(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    import own_clips

    pieces = iter([np.zeros((1, 8, 2, 3), np.uint8)] * 101)  # of a frame each: what is cut is cut in all frames alike
    monkeypatch.setattr(own_clips, "read_pieces", lambda *_, **__: pieces)
    found = list(own_clips.pieces_of(tmp_path / "a.mp4"))
    assert [piece[:3] for piece in found[-4:]] == [(100, y, 0) for y in (0, 2, 4, 6)] and len(found) == 101 * 4


def test_pieces_overlap_but_for_those_at_the_time_that_is_held_out(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    import own_clips

    write(tmp_path / "films" / "a.mp4", waves(70, (200, 300), 0), 25)
    assert own_clips.cut(tmp_path / "films", tmp_path / "pieces", per_side=2) == (3 * 5 + 2 * 3, 3)
    _, held = split_folder(tmp_path / "pieces", 3)
    assert [clip.path.stem for clip in held] == ["z 00001 a 0 0", "z 00001 a 0 200", "z 00001 a 100 100"]
    assert len([*(tmp_path / "pieces").glob("a 00001 *.mp4")]) == 3, "none overlaps a held-out one"


def test_a_stage_that_was_trained_is_not_trained_again(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    import own_clips

    (tmp_path / "mini-codec.safetensors").touch()
    (tmp_path / "mini-codec.json").write_text(json.dumps({"seconds": 3.0, "metrics": {"psnr_db": 20.0}}))
    monkeypatch.setattr(own_clips, "train", lambda *_, **__: pytest.fail("it was trained"))
    monkeypatch.setattr(own_clips, "held_out", lambda *_: np.zeros((1, 33, 64, 64, 3), np.uint8))
    found = own_clips.measure(tmp_path, 1, tmp_path, {"codec": {"max_steps": 5}})
    assert found["stages"] == {"codec": {"max_steps": 5, "seconds": 3.0, "metrics": {"psnr_db": 20.0}}}

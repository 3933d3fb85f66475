"""pytest tests/test_training_data_cli.py: pusa-lab data encode and show."""

import io
import os
import re
import shlex
import warnings
from pathlib import Path

import pytest
import torch
from films import collection, waves, write
from processes import python

import small_models
from pusa_lab.cli import main
from pusa_lab.cli.data import _then
from pusa_lab.data import LatentCache
from pusa_lab.files import locked
from pusa_lab.training import InMemoryDataset, LatentVideoDataModule, TrainConfig, fit


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return str(collection(tmp_path_factory.mktemp("clips")))


@pytest.mark.usefixtures("read_once")
def test_encode_go_on_and_show(clips, tmp_path, capsys):
    out = str(tmp_path / "cache")
    words = ["data", "encode", clips, "--model", "mini-vta", "--out", out, "--size", "32x48", "--num-frames", "9"]
    assert main([*words, "--fps", "8"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("5 encoded in ")
    assert said[0].endswith("0 in the cache already, 6 skipped:")
    assert "silent.mp4 has no caption: write one into silent.txt beside it." in said
    assert main([*words, "--fps", "8"]) == 0
    assert capsys.readouterr().out.startswith("0 encoded in ")
    assert main(["data", "show", out]) == 0
    said = capsys.readouterr().out
    cache = LatentCache(out)
    assert "5 of 9 frames at 8 a second from 0 s, 32 x 48" in said
    assert "8 x 3 x 4 x 6, bfloat16" in said
    assert cache.manifest["codec"] in said
    assert all(f"  {item['name']}: {item['caption']}\n" in said for item in cache)
    assert "  text.mov cannot be read" in said
    assert main([*words, "--fps", "16"]) == 2
    assert (
        "was made with --fps 8.0, but 16.0 is expected: use the same settings, or another folder."
        in capsys.readouterr().err
    )


def run(*words, **variables):
    """In a process of its own."""
    code = "import sys; from pusa_lab.cli import main; sys.exit(main())"
    return python(code, *words, env={**os.environ, **variables})


def test_encode_with_a_wan_and_what_it_says_can_be_done_is_true(whole, tmp_path, monkeypatch):
    write(tmp_path / "clips" / "a.mov", waves(40, (32, 48)), 24, "a dog")
    words = ["data", "encode", tmp_path / "clips", "--model", whole, "--out", tmp_path / "cache", "--size", "32x48"]
    done = run(*words, "--num-frames", "21", XDG_CACHE_HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 encoded in ")
    show, train = (shlex.split(command) for command in re.findall("`(.*?)`", done.stdout))
    assert main(show[1:]) == 0
    monkeypatch.chdir(tmp_path)
    short = ["--max-steps=1", "--global-batch-size=1", "--lora-rank=2"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's and torch's own
        assert main([*train[1:], *short]) == 0
    assert (tmp_path / "outputs" / "train" / "paper.safetensors").is_file()
    cache = LatentCache(tmp_path / "cache")
    cache.require(model="wan", fps=16.0, size=(32, 48), latent_frames=6, channels=4, text_length=512)
    assert cache[0]["latents"].shape == (4, 6, 4, 6)
    assert cache[0]["text"].shape[0] < 512


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model", "wan"], "no model 'wan': choose one of mini-base"),
        (["--model", "mini-codec"], "mini-codec reads no captions"),
        (["--model", "no/such"], "is not a folder"),
        (["--size", "30x32"], "a size of 30 x 32: height and width must be multiples of 8"),
        (["--num-frames", "10"], "a clip of 10 pixel frames does not fill whole latent frames"),
        (["--fps", "-1"], ": --fps -1.0: give 0.001 to 1000 frames per second"),
        (["--fps", "0"], "--fps 0.0: give 0.001 to 1000 frames per second"),
        (["--fps", "nan"], "--fps 'nan': give a finite number"),
        (["--fps", "inf"], "--fps 'inf': give a finite number"),
        (["--start", "nan"], "--start 'nan': give a finite number"),
        (["--start", "-1"], "--start -1.0: give seconds from 0 to 1000000"),
        (["--size", "0x0"], "a size of 0 x 0"),
        (["--size", "8000000x8000000"], "give a height and a width of 1 to 16384 pixels"),
        (["--num-frames", "0"], "a clip of 0 pixel frames"),
        (["--num-frames", "-5"], "a clip of -5 pixel frames"),
        (["--num-frames", "4000000001"], "--num-frames 4000000001: give 1 to 65536"),
        (["--num-frames", "65533", "--size", "512x512"], "more than 2147483648 pixels: give shorter or smaller clips"),
    ],
)
@pytest.mark.usefixtures("read_once")
def test_bad_input_gets_a_sentence_and_makes_no_folder(clips, tmp_path, capsys, monkeypatch, words, says):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    out = tmp_path / "cache"
    assert main(["data", "encode", clips, "--out", str(out), *words]) == 2
    said = capsys.readouterr().err
    assert says in said and len(said.splitlines()) == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("file", "is a file: give a folder"),
        ("file/deep", "is a file, give another place"),
        ("clips", "holds a.mp4 and is not a cache: give a new or empty folder"),
        ("/dev/null/x", "/dev/null is a file, give another place"),
        ("x" * 300, "names of at most 255"),
        ("busy", "another process is writing into .*busy: wait until it has ended"),
        ("begun", "was made with --fps 8.0, but 16.0 is expected: use the same settings, or another folder"),
    ],
)
@pytest.mark.usefixtures("read_once")
def test_the_place_is_tried_before_a_model_is_read(tmp_path, monkeypatch, capsys, place, says):
    write(tmp_path / "clips" / "a.mp4", waves(9, (32, 48)), 8, "a red circle")
    (tmp_path / "file").write_text("")
    words = ["data", "encode", str(tmp_path / "clips"), "--out"]
    assert main([*words, str(tmp_path / "begun"), "--size", "32x48", "--num-frames", "9", "--fps", "8"]) == 0
    assert "the codec of mini-vta keeps only" in capsys.readouterr().err
    monkeypatch.setattr("pusa_lab.models.load_encoders", None)
    with locked(tmp_path / "busy"):
        assert main([*words, str(tmp_path / place), "--fps", "16"]) == 2
    said = capsys.readouterr().err
    assert re.search(says, said) and len(said.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun", "busy", "clips", "file"]


def test_clips_without_captions_are_refused_before_a_model_is_read(tmp_path, monkeypatch, capsys):
    write(tmp_path / "clips" / "a.mp4", waves(9, (32, 48)), 8)
    monkeypatch.setattr("pusa_lab.models.load_encoders", None)
    assert main(["data", "encode", str(tmp_path / "clips"), "--out", str(tmp_path / "out")]) == 2
    assert "can be used (1 clip tried); the first: a.mp4 has no caption" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_it_says_about_the_cache_of_a_toy_is_true(tmp_path, capsys):
    """It is read in Python, and a toy learns from it there."""
    for i in range(2):
        write(tmp_path / "clips" / f"{i}.mp4", waves(33, (64, 64), i), 8, "a red circle moves right")
    assert main(["data", "encode", str(tmp_path / "clips"), "--out", str(tmp_path / "a cache")]) == 0
    said = capsys.readouterr().out
    assert "read it in Python with pusa_lab.data.LatentCache; the commands train on caches of Wan" in said
    show = shlex.split(re.search("`(.*?)`", said)[1])
    assert main(show[1:]) == 0
    cache, model = LatentCache(tmp_path / "a cache"), small_models.load("mini-vta", device="cpu")
    dataset = InMemoryDataset(
        torch.stack([clip["latents"] for clip in cache]), [clip["caption"] for clip in cache], 1, 0
    )
    before = [p.clone() for p in model.requires_grad_(True).parameters()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(
            model,
            LatentVideoDataModule(dataset),
            TrainConfig(max_steps=1, global_batch_size=1, warmup=0),
            accelerator="cpu",
        )
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("two", "train --recipe paper --data 'a b' --model two --expert high`"),
        ("one", "train --recipe paper --data 'a b' --model one`"),
        ("Wan-AI/Wan2.1-T2V-14B-Diffusers", "--model FOLDER`, where FOLDER holds Wan-AI/Wan2.1-T2V-14B-Diffusers"),
    ],
)
def test_the_command_that_trains_fits_the_wan(tmp_path, monkeypatch, model, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two" / "transformer_2").mkdir(parents=True)
    (tmp_path / "one").mkdir()
    assert _then(Path("a b"), model, True).endswith(says)


@pytest.mark.usefixtures("read_once")
def test_names_that_the_output_cannot_write_become_escapes(tmp_path, monkeypatch):
    write(tmp_path / "clips" / "Füße 走.mp4", waves(9, (32, 48)), 8, "a red circle")
    write(tmp_path / "clips" / "ä.mp4", waves(9, (32, 48)), 8)
    words = ["data", "encode", str(tmp_path / "clips"), "--size", "32x48", "--num-frames", "9", "--fps", "8", "--out"]
    written = io.BytesIO()
    output = io.TextIOWrapper(written, "ascii", "strict", write_through=True)
    with monkeypatch.context() as ascii_only:
        ascii_only.setattr("sys.stdout", output)
        assert main([*words, str(tmp_path / "Ünter")]) == 0
        assert main(["data", "show", str(tmp_path / "Ünter")]) == 0
    said = written.getvalue().decode("ascii")
    assert "\\xe4.mp4 has no caption" in said
    assert "  F\\xfc\\xdfe \\u8d70.mp4: a red circle" in said


@pytest.mark.usefixtures("read_once")
def test_show_says_how_the_folder_differs_by_now(tmp_path, capsys):
    clip = write(tmp_path / "clips" / "a.mp4", waves(9, (32, 48)), 8, "a red circle")
    write(tmp_path / "clips" / "b.mp4", waves(9, (32, 48), 1), 8, "a red circle")
    out = str(tmp_path / "cache")
    words = [
        "data",
        "encode",
        str(tmp_path / "clips"),
        "--size",
        "32x48",
        "--num-frames",
        "9",
        "--fps",
        "8",
        "--out",
        out,
    ]
    assert main(words) == 0
    assert main(["data", "show", out]) == 0
    assert f"{tmp_path / 'clips'}, unchanged" in capsys.readouterr().out
    clip.unlink()
    assert main(["data", "show", out]) == 0
    assert "which has changed: 1 gone (a.mp4)" in capsys.readouterr().out
    assert main(words) == 0
    assert "0 encoded in " in (said := capsys.readouterr().out) and "1 no longer in the folder, 0 skipped" in said
    (tmp_path / "clips").rename(tmp_path / "moved")
    assert main(["data", "show", out]) == 0
    assert "clips, which no longer exists" in capsys.readouterr().out


def test_bad_folders_and_sizes(tmp_path, capsys):
    assert main(["data", "encode", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "no clips in" in capsys.readouterr().err
    assert main(["data", "show", str(tmp_path)]) == 2
    assert "holds no manifest.json: make a cache with `pusa-lab data encode`." in capsys.readouterr().err
    assert main(["data", "encode", str(tmp_path), "--out", "x", "--size", "720p"]) == 2
    assert "--size '720p': give HEIGHTxWIDTH" in capsys.readouterr().err


@pytest.mark.usefixtures("read_once")
def test_progress_is_told_on_a_terminal_alone(tmp_path, capsys, monkeypatch):
    write(tmp_path / "clips" / "a.mp4", waves(9, (32, 48)), 8, "a red circle")
    words = ["data", "encode", str(tmp_path / "clips"), "--size", "32x48", "--num-frames", "9", "--fps", "8", "--out"]
    assert main([*words, str(tmp_path / "a")]) == 0
    warning = capsys.readouterr().err
    assert warning.startswith("the codec of mini-vta keeps only") and len(warning.splitlines()) == 1
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert main([*words, str(tmp_path / "b")]) == 0
    said = capsys.readouterr().err
    assert "encoding" in said and "/1 " in said
    monkeypatch.setenv("PUSA_LAB_PROGRESS", "0")
    assert main([*words, str(tmp_path / "c")]) == 0
    assert capsys.readouterr().err == warning

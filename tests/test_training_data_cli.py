"""pytest tests/test_training_data_cli.py: pusa-lab data encode and show."""

import os
import subprocess
import sys

import pytest
from films import collection, waves, write

from pusa_lab.cli import main
from pusa_lab.training import LatentCache


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return str(collection(tmp_path_factory.mktemp("clips")))


def test_encode_go_on_and_show(clips, tmp_path, capsys):
    out = str(tmp_path / "cache")
    words = ["data", "encode", clips, "--model", "mini-vta", "--out", out, "--size", "32x48", "--frames", "9"]
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
    assert "has fps=8.0, wanted is 16.0: use the same settings, or another folder." in capsys.readouterr().err


def test_encode_with_a_wan(whole, tmp_path):
    write(tmp_path / "clips" / "a.mov", waves(40, (32, 48)), 24, "a dog")
    words = ["data", "encode", tmp_path / "clips", "--model", whole, "--out", tmp_path / "cache", "--size", "32x48"]
    run = subprocess.run(
        [sys.executable, "-m", "pusa_lab", *map(str, words), "--frames", "21"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "home")},
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("1 encoded in ")
    cache = LatentCache(tmp_path / "cache")
    cache.require(model="wan", fps=16.0, size=(32, 48), frames=6, channels=4, text_length=512)
    assert cache[0]["latents"].shape == (4, 6, 4, 6)
    assert cache[0]["text"].shape[0] < 512


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model", "wan"], "no model 'wan': choose one of mini-base"),
        (["--model", "mini-codec"], "mini-codec reads no captions"),
        (["--model", "no/such"], "is no folder here"),
        (["--size", "30x32"], "a size of 30 x 32: height and width must be multiples of 8"),
        (["--frames", "10"], "a clip of 10 pixel frames does not fill whole latent frames"),
        (["--fps", "-1"], "fps=-1.0"),
    ],
)
def test_bad_input_gets_a_sentence_and_makes_no_folder(clips, tmp_path, capsys, monkeypatch, words, says):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    out = tmp_path / "cache"
    assert main(["data", "encode", clips, "--out", str(out), *words]) == 2
    assert says in capsys.readouterr().err
    assert not out.exists()


def test_bad_folders_and_sizes(tmp_path, capsys):
    assert main(["data", "encode", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "no clips in" in capsys.readouterr().err
    assert main(["data", "show", str(tmp_path)]) == 2
    assert "holds no manifest.json: make a cache with `pusa-lab data encode`." in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["data", "encode", str(tmp_path), "--out", "x", "--size", "720p"])
    assert "'720p' is no size: give HEIGHTxWIDTH" in capsys.readouterr().err


def test_progress_is_told_on_a_terminal_alone(clips, tmp_path, capsys, monkeypatch):
    words = ["data", "encode", clips, "--size", "32x48", "--frames", "9", "--fps", "8", "--out"]
    assert main([*words, str(tmp_path / "a")]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert main([*words, str(tmp_path / "b")]) == 0
    assert "11/11 truncated.webm skipped" in capsys.readouterr().err

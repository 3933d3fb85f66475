"""pytest tests/test_stream_command.py: `pusa-lab stream`, and clips that are written while they are made."""

import gc
import itertools
import tracemalloc

import numpy as np
import pytest
from PIL import Image

import pusa_lab as pl
from pusa_lab.cli import main
from pusa_lab.cli.stream import PROMPTS
from pusa_lab.data import read_clip
from pusa_lab.media import read_metadata, write_clip, writing_clip

pytestmark = [pytest.mark.usefixtures("one_thread")]
FAST = ["--steps", "2", "--guidance", "1", "--schedule", "rolling(window=2)"]
MOVES, RISES = "a red circle moves right", "a blue square moves up"


def test_a_video_of_any_length_with_what_made_it(small_nano_file, small_nano, tmp_path, capsys):
    out = tmp_path / "deep" / "long.mp4"
    words = [MOVES, RISES, "--model", str(small_nano_file), "--seconds", "2.5", "--seed", "4", "--out", str(out), *FAST]
    assert main(["stream", *words]) == 0
    assert f"20 frames: {out}" in capsys.readouterr().out
    held = read_metadata(out)
    assert (held["prompt"], held["seed"], held["task"]) == ([MOVES, RISES], 4, "stream")
    assert held["command"].startswith("pusa-lab stream 'a red circle moves right'")
    assert (held["rows"], held["calls"]) == (21, 22)  # one more where both prompts move
    assert held["options"]["schedule"] == "rolling(window=2)"
    assert held["model"]["name"] == str(small_nano_file)
    prompts = [MOVES] * 10 + [RISES]
    stream = pl.stream(small_nano, prompts, schedule="rolling(window=2)", steps=2, guidance=1.0, seed=4)
    write_clip(tmp_path / "want.mp4", np.concatenate([next(stream).video for _ in range(20)]), 8, 8)
    written, want = (read_clip(path, num_frames=20, size=(16, 16), fps=8) for path in (out, tmp_path / "want.mp4"))
    assert np.array_equal(written, want)
    assert sorted(path.name for path in out.parent.iterdir()) == ["long.mp4"]


def test_the_first_frame_is_the_picture(small_nano_file, tmp_path):
    Image.fromarray(np.full((16, 16, 3), 200, np.uint8)).save(tmp_path / "a.png")
    out = tmp_path / "a.mp4"
    words = [MOVES, "--model", str(small_nano_file), "--seconds", "0.5", "--image", str(tmp_path / "a.png")]
    assert main(["stream", *words, "--out", str(out), *FAST]) == 0
    assert abs(np.asarray(read_clip(out, num_frames=4, size=(16, 16), fps=8))[0].mean() - 200) < 3


def test_a_causal_stream_computes_no_finished_frame_again(small_nano_file, small_nano, tmp_path, capsys):
    words = [MOVES, "--model", str(small_nano_file), "--seconds", "2", "--steps", "2", "--guidance", "1", "--seed", "4"]
    words += ["--schedule", "blockwise(block=2, lag=2)", "--causal", "2", "--out", str(tmp_path / "a.mp4")]
    assert main(["stream", *words]) == 0
    options = {"schedule": "blockwise(block=2, lag=2)", "steps": 2, "guidance": 1.0, "seed": 4}
    parts = list(itertools.islice(pl.stream(pl.causal(small_nano, 2), [MOVES], **options), 8))
    write_clip(tmp_path / "want.mp4", np.concatenate([part.video for part in parts]), 8, 8)
    written, want = (read_clip(tmp_path / f"{name}.mp4", num_frames=16, size=(16, 16), fps=8) for name in ("a", "want"))
    assert np.array_equal(written, want) and parts[-1].share < 0.6
    assert read_metadata(tmp_path / "a.mp4")["options"]["causal"] == 2
    assert main(["stream", MOVES, "--model", str(small_nano_file), "--causal", "0"]) == 2
    assert "--causal 0: give the frames of a block, at least 1." in capsys.readouterr().err
    assert main(["stream", MOVES, "--model", str(small_nano_file), "--first-alone"]) == 2
    assert "--first-alone has no effect without --causal" in capsys.readouterr().err
    alone = ["blockwise(block=2, lag=2, first_alone=True)", "--first-alone", "--seconds", "0.5", "--steps", "2"]
    words = ["stream", MOVES, "--model", str(small_nano_file), "--causal", "2", "--out", str(tmp_path / "b.mp4")]
    assert main([*words, "--schedule", *alone]) == 0
    assert main([*words, "--schedule", alone[0], "--steps", "2"]) == 2
    assert "the window moves on to frame 1" in capsys.readouterr().err


def test_a_wan_streams_from_the_shell(whole, tmp_path):
    out = tmp_path / "wan.mp4"
    words = [
        "a ship",
        "--model",
        str(whole),
        "--seconds",
        "0.5",
        "--size",
        "32x48",
        "--latent-frames",
        "3",
        "--steps",
        "2",
    ]
    assert main(["stream", *words, "--schedule", "autoregressive", "--device", "cpu", "--out", str(out)]) == 0
    assert np.asarray(read_clip(out, num_frames=8, size=(32, 48), fps=16)).shape == (8, 32, 48, 3)
    assert read_metadata(out)["calls"] == 12  # three latent frames, two steps, with guidance


def test_without_a_prompt_the_default_model_has_two_of_its_own(small_nano_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quick = ["--schedule", "autoregressive", "--steps", "1", "--guidance", "1", "--seconds", "0.3", "--device", "cpu"]
    assert main(["stream", *quick, "--out", "a.mp4"]) == 0
    assert read_metadata(tmp_path / "a.mp4")["prompt"] == list(PROMPTS)
    assert main(["stream", "--model", str(small_nano_file)]) == 2
    assert "no prompt was given: give a caption in quotes, or several." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--seconds", "0"], "--seconds 0.0: give a number above 0"),
        (["--seconds", "1e9"], "--seconds 1000000000.0: give a number above 0, at most 86,400"),
        (["--out", "long.gif"], "--out long.gif: give a name that ends in .mp4"),
        (["--seed", "99999999999999999999"], "--seed 99999999999999999999"),
        (["--overlap", "8"], "--overlap 8 in a window of 8 latent frames"),
        (["--schedule", "synchronous"], "synchronous never finishes a window"),
        (["--latent-frames", "2", "--steps", "9"], "for a window of 2"),
        (["--schedule", "pyramid", "--schedule-options.lag", "0.1", "--steps", "9"], "frames 0..89 are in progress"),
        (["--solver", "magic"], "unknown solver"),
        (["--image", "none.png"], "none.png"),
    ],
)
def test_bad_options_get_a_sentence_and_leave_nothing(small_nano_file, tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    assert main(["stream", MOVES, "--model", str(small_nano_file), *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("pusa-lab stream: ")
    assert says in said
    assert [*tmp_path.iterdir()] == []


def test_a_stream_that_fails_leaves_the_file_that_was_there(tmp_path):
    path, frames = tmp_path / "a.mp4", np.full((3, 16, 16, 3), 90, np.uint8)
    write_clip(path, frames, 8)
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="stop"), writing_clip(path, (16, 16), 8) as add:
        add(frames)
        raise RuntimeError("stop")
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]


def test_parts_make_the_same_file_as_the_whole(tmp_path):
    video = np.random.default_rng(0).integers(0, 255, (6, 16, 18, 3), dtype=np.uint8)
    write_clip(tmp_path / "a.mp4", video, 8, 2, {"a": 1})
    with writing_clip(tmp_path / "b.mp4", (16, 18), 8, 2, lambda: {"a": 1}) as add:
        add(video[:1])
        add(video[1:])
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert read_metadata(tmp_path / "b.mp4") == {"a": 1}


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        (np.zeros((1, 8, 16, 3), np.uint8), r"frames of shape \(1, 8, 16, 3\): give \(n, 16, 16, 3\)"),
        (np.zeros((1, 16, 16, 3)), "a video of type float64"),
    ],
)
def test_parts_of_another_kind_are_refused(tmp_path, frames, says):
    with pytest.raises(ValueError, match=says), writing_clip(tmp_path / "a.mp4", (16, 16), 8) as add:
        add(frames)
    assert [*tmp_path.iterdir()] == []


@pytest.fixture
def collected_at_once():
    """What is held by nothing is gone at once, and not when the collector happens to run."""
    usual = gc.get_threshold()
    gc.set_threshold(100, 2, 2)
    yield
    gc.set_threshold(*usual)


@pytest.mark.usefixtures("collected_at_once")
def test_memory_stays_flat_while_a_long_video_is_written(small_nano_file, tmp_path):
    """The most that Python and NumPy hold, for 10 frames, the same when all is loaded, and for 48."""
    most = []
    for seconds in ("1.25", "1.25", "6"):
        gc.collect()
        tracemalloc.start()
        words = [MOVES, "--model", str(small_nano_file), "--seconds", seconds, "--out", str(tmp_path / "a.mp4"), *FAST]
        assert main(["stream", *words]) == 0
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert most[2] < 1.02 * most[1]

"""pytest tests/test_evaluation.py: scores of any model on clips that it has not seen, task by task."""

import json

import numpy as np
import pytest
import torch
from films import waves, write
from safetensors.torch import save_file

import pusa_lab as pl
from pusa_lab import models
from pusa_lab.data.clips import read_pieces
from pusa_lab.evaluation import ALONE, KNOWN, USUAL, known_frames
from pusa_lab.metrics import frame_scores
from pusa_lab.models import Origin
from pusa_lab.pixels import to_pixels, to_uint8
from pusa_lab.sweeps import averages
from small_models import world

SCENES = world.draw_scenes(2, seed=1, world=world.NANO)
CLIPS, PROMPTS = to_uint8(world.render(SCENES)), world.captions(SCENES)
COLUMNS = ["model", "task", "prompt", "seed", "psnr", "ssim", *ALONE, "seconds", "status", "error", "clip", "truth"]


@pytest.fixture
def nano_vta(small_nano):
    """Any toy does here."""
    return small_nano


def test_every_task_is_scored_on_every_clip(nano_vta):
    table = pl.evaluate(nano_vta, CLIPS, PROMPTS, steps=2, seed=3)
    assert list(table.columns) == COLUMNS
    assert table.task.tolist() == [task for task in USUAL for _ in CLIPS]
    assert table.prompt.tolist() == PROMPTS * len(USUAL) and table.seed.tolist() == [3, 4] * len(USUAL)
    assert table.truth.tolist() == ["0", "1"] * len(USUAL) and set(table.status) == {"done"}


def test_a_score_is_that_of_the_frames_that_were_not_given(nano_vta):
    table = pl.evaluate(nano_vta, CLIPS, PROMPTS, steps=2, guidance=1.5).set_index(["task", "truth"])
    tasks = {
        "text_to_video": (None, range(8)),
        "image_to_video": (pl.tasks.image_to_video(CLIPS[1, 0]), range(1, 8)),
        "start_end": (pl.tasks.start_end(CLIPS[1, 0], CLIPS[1, -1]), range(1, 7)),
        "extension": (pl.tasks.extension(CLIPS[1, :2]), range(2, 8)),
    }
    for name, (task, free) in tasks.items():
        made = pl.generate(nano_vta, PROMPTS[1], task, steps=2, guidance=1.5, seed=1)
        scores = frame_scores(to_pixels(made.video), to_pixels(CLIPS[1]))
        for metric in ("psnr", "ssim"):
            assert table.loc[(name, "1"), metric] == pytest.approx(scores[metric][:, list(free)].mean().item())
        for metric in ALONE:
            measure = getattr(pl.metrics, metric)
            assert table.loc[(name, "1"), metric] == pytest.approx(measure(to_pixels(made.video)).item())


def test_the_reconstruction_is_what_the_codec_keeps():
    model = pl.load("mini-vta", device="cpu")
    clip = waves(9, (64, 64), 1)
    table = pl.evaluate(model, [clip], tasks="reconstruction", metrics=["psnr"])
    assert table.psnr[0] == pytest.approx(
        pl.data.codec_psnr(model, clip).mean().item(), abs=0.1
    )  # it is rounded to bytes


def test_a_shorter_clip_of_another_size_is_evaluated_at_the_models_size(nano_vta):
    clip = waves(5, (40, 20), 0)
    table = pl.evaluate(nano_vta, [clip], "a red circle", tasks=["image_to_video"], metrics=["psnr"], steps=1)
    assert table.prompt.tolist() == ["a red circle"] and 0 < table.psnr[0] < 60
    assert pl.evaluate(nano_vta, clip, "a red circle", tasks="image_to_video", steps=1).psnr[0] == table.psnr[0]


def test_tasks_that_leave_nothing_of_a_short_clip_to_generate_are_left_out(nano_vta):
    clip, score = waves(2, (16, 16), 0), {"metrics": ["psnr"], "steps": 1}
    left = ["text_to_video", "image_to_video", "extension", "reconstruction"]
    assert pl.evaluate(nano_vta, clip, **score).task.tolist() == left
    assert pl.evaluate(nano_vta, clip[:1], **score).task.tolist() == ["text_to_video", "reconstruction"]
    with pytest.raises(ValueError, match="the task start_end leaves no frame of a clip to generate: give longer clips"):
        pl.evaluate(nano_vta, [waves(8, (16, 16), 0), clip], tasks=[*left[:2], "start_end"], **score)


def test_a_folder_is_cut_into_clips_with_its_captions(nano_vta, tmp_path, monkeypatch):
    pieces, read = read_pieces, []
    write(tmp_path / "a.mp4", waves(17, (16, 16), 0), 8, "a red circle")
    write(tmp_path / "deep" / "b.mp4", waves(8, (16, 16), 1), 8)
    table = pl.evaluate(nano_vta, tmp_path, tasks="text_to_video", steps=1)
    assert table.truth.tolist() == ["a.mp4 0", "a.mp4 1", "deep/b.mp4 0"]
    assert table.prompt.tolist() == ["a red circle", "a red circle", ""]
    assert table.seed.tolist() == [0, 2, 1], "that of each piece, whatever else is in the table"
    monkeypatch.setattr(
        "pusa_lab.data.folders.read_pieces", lambda path, *_: read.append(path.name) or pieces(path, *_)
    )
    few = pl.evaluate(nano_vta, str(tmp_path), tasks="text_to_video", steps=1, num_clips=2)
    assert read == ["a.mp4"], "no more than was asked for"
    assert few.drop(columns="seconds").equals(table[:2].drop(columns="seconds"))


@pytest.mark.parametrize("kind", ["lora", "transformer", "transformer_low"])
def test_a_wan_names_its_held_out_clips_in_its_lora_or_folder(nano_vta, tmp_path, monkeypatch, kind):
    for name in "abc":
        write(tmp_path / "clips" / f"{name}.mp4", waves(8, (16, 16), 0), 8)
    words = {"data": "3 clips 0123456789abcdef", "held_out": '["c.mp4"]'}
    if kind == "lora":
        save_file({"x": torch.zeros(1)}, tmp_path / "l.safetensors", metadata=words)
        origin = Origin("wan", "unknown", loras={str(tmp_path / "l.safetensors"): "digest"})
    else:
        (tmp_path / "training.json").write_text(json.dumps(words))
        origin = Origin("wan", "unknown", {kind: tmp_path})
    monkeypatch.setitem(models._ORIGINS, nano_vta, origin)
    table = pl.evaluate(nano_vta, tmp_path / "clips", tasks="reconstruction", metrics=["psnr"])
    assert table.truth.tolist() == ["c.mp4 0"]


def test_a_lora_of_which_no_clip_of_its_folder_was_held_out_is_warned_of(nano_vta, tmp_path, monkeypatch):
    write(tmp_path / "clips" / "a.mp4", waves(8, (16, 16), 0), 8)
    words = {"data": f"{tmp_path / 'clips'}, 1 clips", "held_out": "[]"}
    save_file({"x": torch.zeros(1)}, tmp_path / "l.safetensors", metadata=words)
    origin = Origin("wan", "unknown", loras={str(tmp_path / "l.safetensors"): "digest"})
    monkeypatch.setitem(models._ORIGINS, nano_vta, origin)
    with pytest.warns(UserWarning, match=r"1 of 1 clip was not held out when wan \+ .*l\.safetensors was trained"):
        pl.evaluate(nano_vta, tmp_path / "clips", tasks="reconstruction", metrics=["psnr"])


def test_captions_alone_are_scored_without_a_truth():
    table = pl.evaluate("nano-vta", prompts=PROMPTS, steps=1, metrics={"mean": brightness})
    assert table.model.tolist() == ["nano-vta"] * 2 and table.task.tolist() == ["text_to_video"] * 2
    made = [pl.generate(pl.load("nano-vta"), prompt, steps=1, seed=i) for i, prompt in enumerate(PROMPTS)]
    assert table["mean"].tolist() == [brightness(result) for result in made]
    assert list(pl.evaluate("nano-vta", prompts="a red circle", steps=1)[list(ALONE)].shape) == [1, len(ALONE)]


def brightness(result):
    return float(result.video.mean())


def test_tables_of_several_models_are_compared_in_pairs():
    pd = pytest.importorskip("pandas")
    names = ("nano-base", "nano-vta")
    tables = [pl.evaluate(name, CLIPS, PROMPTS, tasks="image_to_video", metrics=["psnr"], steps=3) for name in names]
    both = pd.concat(tables)
    (line,) = pl.compare(both, {"model": "nano-base"}).to_dict("records")
    assert line["pairs"] == 2
    assert line["difference"] == pytest.approx((tables[1].psnr - tables[0].psnr).mean())
    assert averages(both)["mean"].tolist() == pytest.approx([table.psnr.mean() for table in tables])


def test_a_model_that_takes_its_picture_as_an_input_is_given_it():
    model = pl.load("mini-i2v", device="cpu")
    clip = waves(9, (64, 64), 1)
    table = pl.evaluate(model, [clip], metrics=["psnr"], steps=1).set_index("task")
    assert list(table.index) == ["text_to_video", "image_to_video", "reconstruction"]
    made = pl.generate(model, "", pl.tasks.image_to_video(clip[0]), steps=1, latent_frames=3)
    want = frame_scores(to_pixels(made.video), to_pixels(clip))["psnr"][:, 1:].mean().item()
    assert table.loc["image_to_video", "psnr"] == pytest.approx(want)
    says = (
        r"the task start_end needs known frames, and this model takes a picture as its input .*: give tasks=\['image_"
    )
    with pytest.raises(ValueError, match=says):
        pl.evaluate(model, [clip], tasks=["image_to_video", "start_end"])


@pytest.mark.parametrize("task", ["keyframes", "completion", "transition"])
def test_more_tasks_are_evaluated_where_they_are_named(nano_vta, task):
    free = [i for i in range(8) if i not in KNOWN[task](8)]
    table = pl.evaluate(nano_vta, CLIPS[:1], PROMPTS[:1], tasks=task, metrics=["psnr"], steps=1)
    known = pl.tasks.Task(task, known_frames(CLIPS[:1], KNOWN[task](8), nano_vta.geometry))
    made = pl.generate(nano_vta, PROMPTS[0], known, steps=1)
    scores = frame_scores(to_pixels(made.video), to_pixels(CLIPS[:1]))["psnr"]
    assert table.psnr[0] == pytest.approx(scores[:, free].mean().item())
    assert all(KNOWN[task](frames) == sorted({*KNOWN[task](frames)}) for frames in range(1, 8))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "there are neither clips nor prompts: give one of them"),
        ({"clips": []}, r"clips is an empty list: give a folder, or clips \(n, pixel frames, h, w, 3\)"),
        ({"clips": 3}, r"clips is 3 \(an int\): give a folder, or clips"),
        ({"clips": [CLIPS]}, r"clip 0 is .*: give clips \(n, pixel frames, h, w, 3\), or a folder"),
        ({"clips": ["a red circle"]}, r"clip 0 is 'a red circle' .*, or a folder, or captions as prompts="),
        ({"clips": CLIPS, "prompts": ["a"]}, "1 prompt for 2 clips: give one per clip, or one for all"),
        ({"clips": CLIPS, "tasks": "loop"}, "there is no task 'loop' to evaluate: choose from text_to_video"),
        ({"clips": CLIPS, "tasks": []}, "tasks is an empty list: choose from text_to_video"),
        ({"prompts": "a", "tasks": "extension"}, "the task extension needs clips: give clips, or tasks="),
        ({"prompts": "a", "metrics": ["psnr"]}, "the metric psnr compares with a truth: give clips, or other metrics"),
        ({"clips": CLIPS, "num_clips": 0}, "num_clips=0: give at least 1"),
        ({"clips": "nowhere"}, "no folder 'nowhere': give one with clips"),
        ({"clips": CLIPS, "metrics": ["beauty"]}, "beauty"),
        ({"clips": CLIPS, "steps": 0}, "steps=0"),
        ({"clips": CLIPS, "pace": 3}, "there is no argument 'pace'"),
        ({"clips": CLIPS, "task": "extension"}, "there is no argument 'task': give tasks"),
        ({"clips": CLIPS, "prompt": "a red circle"}, "there is no argument 'prompt': give prompts"),
        ({"clips": CLIPS, "num_videos_per_prompt": 2}, "num_videos_per_prompt is settled by the evaluation"),
        ({"clips": CLIPS, "latent_frames": 3}, "latent_frames is settled by the evaluation, .*: leave it out"),
    ],
)
def test_what_does_not_fit_is_refused(nano_vta, given, says):
    with pytest.raises(ValueError, match=says):
        pl.evaluate(nano_vta, **given)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_nested_clips_are_refused(nano_vta, layout):
    clips = torch.nested.nested_tensor([torch.rand(9, 8, 8, 3)] * 2, layout=layout)
    with pytest.raises(
        ValueError, match=r"clips is a nested tensor, float32: give a folder, or clips \(n, pixel frames"
    ):
        pl.evaluate(nano_vta, clips)


def test_frames_nearly_equal_to_the_truth_count_as_equal():
    clip = torch.zeros(1, 3, 2, 16, 16)
    assert frame_scores(clip, clip + 1e-6)["psnr"].tolist() == frame_scores(clip, clip)["psnr"].tolist() == [[60, 60]]
    with pytest.raises(ValueError, match="beauty"):
        frame_scores(clip, clip, ["beauty"])


def test_a_metric_of_another_shape_is_refused(monkeypatch):
    monkeypatch.setitem(pl.metrics.METRICS, "odd", lambda clip, truth: torch.zeros(1, 1))
    clip = to_pixels(np.zeros((2, 16, 16, 3), np.uint8))
    with pytest.raises(
        ValueError, match=r"the metric odd returned shape \(1, 1\) for clips of shape .* one number per f"
    ):
        frame_scores(clip, clip)

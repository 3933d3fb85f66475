"""pytest tests/test_data.py: worlds and folders as sources of clips, with one sentence for every bad folder."""

import numpy as np
import pytest
import torch

import small_models
from pusa_lab import media
from pusa_lab.types import Geometry
from small_models.training.data import (
    clips_of,
    folder_captions,
    folder_clips,
    latent_dataset,
    pixel_dataset,
    split_datasets,
    split_folder,
    world_clips,
)
from small_models.training.train import train

SMALL = Geometry(stride=(4, 8, 8), channels=8, frames=3, size=(16, 16))


def film(path, frames, caption=None, seed=0):
    video = np.random.default_rng(seed).integers(0, 255, (frames, 24, 32, 3), dtype=np.uint8)
    media.write_clip(path, video, fps=SMALL.fps)
    if caption is not None:
        path.with_suffix(".txt").write_text(caption)


@pytest.mark.parametrize("name", ["nano", "mini", "digits"])
def test_worlds_come_in_bytes_with_captions(name):
    (clips, captions), *rest = clips_of(name, 3, 0, SMALL, "cpu")
    assert clips.dtype == torch.uint8
    assert clips.shape == (3, 3, 9, 16, 16)
    assert len(captions) == 3
    assert not rest
    again = next(iter(clips_of(name, 3, 0, SMALL, "cpu")))
    assert torch.equal(again[0], clips)
    assert again[1] == captions


def test_a_folder_gives_all_whole_clips_of_its_videos(tmp_path):
    film(tmp_path / "a.mp4", 20, "a red  circle\nmoves right")
    film(tmp_path / "sub" / "b.mp4", 9)
    film(tmp_path / "short.mp4", 5)
    (tmp_path / "a.mp4").rename(tmp_path / "a.MP4")
    parts = list(clips_of(str(tmp_path), 100, 0, SMALL, "cpu"))
    captions = [text for _, texts in parts for text in texts]
    assert sorted(captions) == ["", "a red circle moves right", "a red circle moves right"]
    assert all(clip.shape[1:] == (3, 9, 16, 16) for clip, _ in parts)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: None, "no clips in"),
        (lambda folder: (folder / "x.mp4").write_bytes(b"no video"), "x.mp4 cannot be read as a video"),
        (
            lambda folder: film(folder / "x.mp4", 4),
            "x.mp4 is too short: its last frame is at 0.19 s, and a",
        ),
    ],
)
def test_a_folder_without_a_usable_video_is_refused(tmp_path, make, says):
    make(tmp_path)
    with pytest.raises(ValueError, match=says):
        list(clips_of(str(tmp_path), 1, 0, SMALL, "cpu"))


def test_latents_are_those_of_the_codec():
    model = small_models.ToyModel(small_models.PRESETS["mini"], small_models.load("mini-codec", device="cpu"))
    parts = list(clips_of("mini", 2, 3, model.geometry, "cpu"))
    dataset = latent_dataset(iter(parts), model, batch=2, seed=0)
    with torch.no_grad():
        want = model.encode_video(parts[0][0].float() / 127.5 - 1)
    torch.testing.assert_close(dataset.videos.float(), want, atol=2e-2, rtol=0)
    assert dataset.captions == parts[0][1]


def test_a_folders_words_and_held_out_clips(tmp_path):
    for i in range(12):
        film(tmp_path / f"{i:02d}.mp4", 9, f"Clip {i}, moving.", seed=i)
    (tmp_path / "03.txt").unlink()
    assert folder_captions(tmp_path) == [f"Clip {i}, moving." if i != 3 else "" for i in range(12)]
    (tmp_path / "11.mp4").write_bytes(b"no video")
    (tmp_path / "12.txt").write_text("of no clip")

    def split(count, held_out):
        return split_datasets(
            lambda n, seed, val: clips_of(str(tmp_path), n, seed, SMALL, "cpu", held_out, val),
            lambda parts, batch, seed: pixel_dataset(parts, batch, seed, "cpu"),
            counts=(count, 100 if held_out else 0),
            batches=(2, 1),
            seeds=(0, 1),
        )

    train, held = split(100, 3)  # the last three videos, of which one cannot be read
    assert held.captions == ["Clip 9, moving.", "Clip 10, moving."]
    assert train.captions == [f"Clip {i}, moving." if i != 3 else "" for i in range(9)]
    train, held = split(5, 3)
    assert len(train.captions) == 5 and len(held.captions) == 2
    assert len(split(100, 0)[0].captions) == 11 and split(100, 0)[1] is None
    names = [[clip.name for clip in part] for part in split_folder(tmp_path, 2)]
    assert names == [[f"{i:02d}.mp4" for i in range(10)], ["10.mp4", "11.mp4"]]
    for wrong in (12, -1):
        with pytest.raises(ValueError, match=f"num_val_clips={wrong} of 12 videos in .*: give fewer, so that some are"):
            split_folder(tmp_path, wrong)


def test_pixels_come_back_as_numbers_around_zero():
    dataset = pixel_dataset(clips_of("nano", 5, 1, SMALL, "cpu"), 4, 0, "cpu")
    batch = next(iter(dataset))
    clip, captions = batch.x0, batch.captions
    assert clip.shape == (4, 3, 9, 16, 16)
    assert -1 <= clip.min() < 0 < clip.max() <= 1
    assert len(captions) == 4


def test_a_number_of_clips_is_obeyed_for_folders_too(tmp_path):
    film(tmp_path / "a.mp4", 20, "a")
    film(tmp_path / "b.mp4", 20, "b")
    for count, captions in ((1, "a"), (3, "aab"), (100, "aabb")):
        parts = clips_of(tmp_path, count, 0, SMALL, "cpu")
        assert [text for _, texts in parts for text in texts] == list(captions)
    path = train("nano", "base", tmp_path / "out", data=str(tmp_path), clips=2, fast=True, max_steps=1)
    assert small_models.card(path)["data"] == f"{tmp_path}, 2 clips"
    with pytest.raises(ValueError, match="count=0: give at least 1"):
        clips_of("nano", 0, 0, SMALL, "cpu")


def test_clips_that_are_left_out_are_logged(tmp_path, logged):
    film(tmp_path / "a.mp4", 9)
    film(tmp_path / "b.mkv.mp4", 9)
    (tmp_path / "b.mkv.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:600])
    assert sum(len(texts) for _, texts in folder_clips(tmp_path, SMALL)) == 1
    (said,) = logged
    assert said.startswith("1 of 2 clips are left out: ") and "b.mkv.mp4" in said


def test_a_world_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"unknown world '\.\./x': choose one of"):
        next(world_clips("../x", 2, 0, SMALL))

"""pytest tests/test_data_folders.py: one folder gives the same clips, captions and refusals, whoever reads it."""

import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from encoding import Plain
from films import cut, stairs, waves, write
from foreign import clips

from pusa_lab.data import LatentCache, encode_folder, find_clips, read_clip
from pusa_lab.data.manifest import source_differences
from pusa_lab.pixels import to_uint8
from small_models.training.data import folder_captions, folder_clips

SIZE = (64, 64)
GOOD = {"a wide.mp4": "a disc", "b turned.mov": "turned", "c.mkv": "greys, one after the other"}
REFUSED = {
    "d damaged.mp4": "damaged|cannot be read as a video",
    "f utf16.mp4": r"^has a caption that is not in UTF-8: save f utf16\.txt in UTF-8\.$",
    "g short.mp4": r"^is too short: its last frame is at 0\.88 s, and a frame at 1\.00 s is needed\.$",
    "gone.mp4": "^is named in a caption table, but there is no such clip",
}
SILENT = "has no caption: write one into e silent.txt beside it."


class Camera(Plain):
    """Keeps the clips that it is given to encode."""

    geometry = replace(Plain.geometry, size=SIZE)

    def __init__(self):
        super().__init__()
        self.seen = []

    def encode_video(self, clip):
        self.seen.append(to_uint8(clip)[0])
        return super().encode_video(clip)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Nine frames at 8 frames per second are needed: a second."""
    at = tmp_path_factory.mktemp("odd")
    aspect = Fraction(16, 11)
    clips.write(at / "a wide.mp4", clips.disc((96, 72), aspect, 30), "libx264", aspect=aspect)
    left = np.zeros((30, 64, 96, 3), np.uint8)
    left[:, :, :48] = 255
    clips.turned(at / "b turned.mov", left, "-display_rotation", 90)
    clips.write(at / "c.mkv", stairs(30, SIZE), "libx264", fps=16, crf="4")
    cut(write(at / "d damaged.mp4", waves(12, SIZE), caption="damaged"))
    write(at / "e silent.mp4", waves(9, SIZE, 1))
    write(at / "f utf16.mp4", waves(9, SIZE, 2))
    (at / "f utf16.txt").write_text("two bytes a letter", encoding="utf-16")
    write(at / "g short.mp4", waves(8, SIZE, 3), caption="short")
    (at / "a wide.txt").write_text("a disc")
    (at / "b turned.TXT").write_text("turned\n")
    (at / "captions.csv").write_text('file;caption\nc.mkv;"greys, one after  the other"\n')
    (at / "captions.jsonl").write_text('{"file": "gone.mp4", "caption": "gone"}\n')
    return at


def through_the_toys_door(folder, need_captions, logged):
    """The clips, their captions, and what is said about the others."""
    parts = list(folder_clips(folder, Camera.geometry, need_captions))
    seen = [clip.numpy().transpose(1, 2, 3, 0) for batch, _ in parts for clip in batch]
    return seen, [caption for _, captions in parts for caption in captions], logged[0]


def through_wans_door(folder, need_captions, out):
    model = Camera()
    report = encode_folder(folder, model, out, "plain", need_captions=need_captions)
    captions = [clip["caption"] for clip in LatentCache(out)]
    left_out = " ".join(f"{name} {reason}" for name, reason in report.skipped.items())
    total = len(report.skipped) + len(report.encoded)
    return model.seen, captions, f"{len(report.skipped)} of {total} clips are left out: {left_out}", report.skipped


@pytest.mark.parametrize("need_captions", [True, False])
def test_both_doors_give_the_same(folder, need_captions, tmp_path, logged):
    seen, captions, said = through_the_toys_door(folder, need_captions, logged)
    others, again, said_again, skipped = through_wans_door(folder, need_captions, tmp_path / "cache")
    assert captions == again == [*GOOD.values(), *([] if need_captions else [""])]
    assert len(seen) == len(others) == len(captions)
    for one, other in zip(seen, others, strict=True):
        assert np.array_equal(one, other)
    assert said == said_again
    assert list(skipped) == sorted([*REFUSED, *(["e silent.mp4"] if need_captions else [])])
    for name, reason in REFUSED.items():
        assert re.search(reason, skipped[name]), skipped[name]
    assert skipped.get("e silent.mp4", SILENT) == SILENT
    assert source_differences(LatentCache(tmp_path / "cache").manifest) == []


def test_the_clips_are_as_a_player_shows_them_at_the_models_rate(folder):
    found = {clip.name: next(clip.pieces(9, SIZE, 8)) for clip in find_clips(folder) if clip.name in GOOD}
    for name, pixels in found.items():
        assert np.array_equal(pixels, read_clip(folder / name, 9, SIZE, 8))
    assert clips.roundness(found["a wide.mp4"][4]) == pytest.approx(1, abs=0.03)
    rows = found["b turned.mov"][4].astype(float).mean((1, 2))
    assert abs(rows[:28].mean() - rows[36:].mean()) > 200, "left and right in the file are up and down"
    levels = found["c.mkv"].astype(float).mean((1, 2, 3))
    assert np.abs((levels - 16) / 4 - 2 * np.arange(9)).max() < 0.5, "every second frame of 16 per second"


def test_captions_without_opening_the_clips(folder):
    assert folder_captions(folder) == ["a disc", "turned", "greys, one after the other", "damaged", "", "short"]


def test_a_file_that_has_vanished_is_one_sentence(folder):
    clip = replace(find_clips(folder)[0], path=folder / "elsewhere.mp4")
    with pytest.raises(ValueError, match=r"^is no longer there: run the same command again\.$"):
        next(clip.pieces(9, SIZE, 8))

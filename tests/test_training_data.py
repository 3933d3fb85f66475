"""pytest tests/test_training_data.py: a folder of real files into a latent cache, by a tiny Wan and by the toy."""

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from films import collection, waves, write
from processes import python
from wan_tiny import refused, rewrite

import small_models
from pusa_lab.data import LatentCache, codec_hash, encode_folder, encode_steps, read_clip, text_hash
from pusa_lab.pixels import crop_and_resize, to_pixels
from pusa_lab.wan.encoders import WanEncoders
from pusa_lab.wan.model import WanModel

GOOD = ["Füße 走.mp4", "a walk.mp4", "c-odd.MOV", "deep/b.webm", "in the table.mp4"]
SIZES = {"size": (32, 48), "num_frames": 9, "fps": 8}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return collection(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def wan(whole):
    return WanEncoders.from_pretrained(
        whole, dtype=torch.float32, device="cpu", size=(32, 48), num_frames=9, cache=None
    )


@pytest.fixture(scope="module")
def toy():
    return small_models.load("mini-vta", device="cpu")


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_half_a_wan_encodes_as_the_whole(whole, wan):
    model = WanModel.from_pretrained(whole, dtype=torch.float32, device="cpu", size=(32, 48), num_frames=9, cache=None)
    clip = torch.rand(2, 3, 9, 32, 48) * 2 - 1
    assert torch.equal(model.encode_video(clip), wan.encode_video(clip))
    captions = ["a red circle", ""]
    assert torch.equal(model.encode_text(captions)["text"], wan.encode_text(captions)["text"])
    assert (codec_hash(model), text_hash(model)) == (codec_hash(wan), text_hash(wan))
    assert model.geometry == wan.geometry


def test_a_wan_cache_holds_what_the_model_gives(clips, wan, tmp_path):
    """One clip of the wanted size and rate, decoded by ffmpeg's program: codecs' rounding apart, the same pixels."""
    folder = tmp_path / "clips"
    write(folder / "one.mp4", waves(12, (32, 48), 3), 8, "a red circle")
    encode_folder(folder, wan, tmp_path / "cache", "tiny", **SIZES)
    item = LatentCache(tmp_path / "cache")[0]
    pixels = to_pixels(read_clip(folder / "one.mp4")[:9])
    want = wan.encode_video(pixels)[0]
    torch.testing.assert_close(item["latents"].float(), want, atol=0.02, rtol=0.02)
    text = wan.encode_text(["a red circle"])["text"][0]
    assert not text[len(item["text"]) :].any()
    assert text[len(item["text"]) - 1].any()
    assert torch.equal(item["text"], text[: len(item["text"])].bfloat16())


@pytest.mark.parametrize("kind", ["wan", "toy"])
def test_a_folder_of_all_kinds(clips, kind, request, tmp_path):
    model = request.getfixturevalue(kind)
    report = encode_folder(clips, model, tmp_path, kind, **SIZES)
    cache = LatentCache(tmp_path)
    assert [item["name"] for item in cache] == report.encoded == GOOD
    assert report.kept == []
    said = {name: reason.split(":")[0] for name, reason in report.skipped.items()}
    assert said.pop("truncated.mp4").startswith("cannot be read")
    assert said.pop("text.mov").startswith("cannot be read")
    assert said == {
        "silent.mp4": "has no caption",
        "short.mp4": "is too short",
        "truncated.webm": "is damaged, a part of it is missing",
        "gone.mp4": "is named in a caption table, but there is no such clip.",
    }
    assert {b["name"]: b["reason"] for b in cache.manifest["broken"]} == report.skipped
    assert str(report).startswith("5 encoded in ")
    assert "\nshort.mp4 is too short: its last frame is at 0.88 s, and a frame at 1.00 s is needed." in str(report)
    cache.require(model=kind, codec=codec_hash(model), text_encoder=text_hash(model), size=(32, 48), latent_frames=3)
    for item in cache:
        assert item["latents"].shape == (model.geometry.channels, 3, 4, 6)
        with torch.no_grad():
            text = model.encode_text([item["caption"]])["text"][0]
        assert torch.equal(item["text"], text[: len(item["text"])].bfloat16())
    with torch.no_grad():
        empty = model.encode_text([""])["text"][0]
    assert torch.equal(cache.empty, empty[: len(cache.empty)].bfloat16())


def test_frames_are_cropped_resized_and_taken_at_the_models_rate(toy, tmp_path):
    """A clip twice as fast and larger than the toy's: every second frame of it, fitted."""
    write(tmp_path / "in" / "a.mp4", waves(65, (80, 100)), 32, "a red circle moves right")
    encode_folder(tmp_path / "in", toy, tmp_path / "out", "mini-vta")
    item = LatentCache(tmp_path / "out")[0]
    pixels = crop_and_resize(to_pixels(read_clip(tmp_path / "in" / "a.mp4")[::2]), (64, 64))
    with torch.no_grad():
        want = toy.encode_video(pixels)[0]
    torch.testing.assert_close(item["latents"].float(), want, atol=0.05, rtol=0.05)


def test_words_that_the_toy_does_not_know_are_reported(toy, tmp_path):
    write(tmp_path / "in" / "a.mp4", waves(9, (32, 48)), 8, "a red circle")
    write(tmp_path / "in" / "b.mp4", waves(9, (32, 48)), 8, "a dromedary")
    report = encode_folder(tmp_path / "in", toy, tmp_path / "out", "mini-vta", **SIZES)
    assert report.encoded == ["a.mp4"]
    want = "has a caption that the model does not accept: unknown words in 'a dromedary': dromedary."
    assert report.skipped == {"b.mp4": want}


class TestGoingOn:
    def test_nothing_is_encoded_twice_and_mended_files_are_added(self, wan, tmp_path, monkeypatch):
        folder, out = tmp_path / "clips", tmp_path / "cache"
        write(folder / "a.mp4", waves(9, (32, 48), 1), 8, "a")
        write(folder / "b.mp4", waves(5, (32, 48), 2), 8, "b")
        assert list(encode_folder(folder, wan, out, "tiny", **SIZES).skipped) == ["b.mp4"]
        write(folder / "b.mp4", waves(9, (32, 48), 2), 8, "b")
        write(folder / "c.mp4", waves(9, (32, 48), 3), 8, "c")
        seen = []
        encode = WanEncoders.encode_video
        monkeypatch.setattr(WanEncoders, "encode_video", lambda self, clip: seen.append(1) or encode(self, clip))
        report = encode_folder(folder, wan, out, "tiny", **SIZES)
        assert (report.kept, report.encoded, report.skipped) == (["a.mp4"], ["b.mp4", "c.mp4"], {})
        assert len(seen) == 2
        assert LatentCache(out).manifest["broken"] == []
        (folder / "c.txt").write_text("another caption")
        assert encode_folder(folder, wan, out, "tiny", **SIZES).encoded == ["c.mp4"]
        assert [item["caption"] for item in LatentCache(out)] == ["a", "b", "another caption"]

    def test_killed_in_the_middle_and_run_again_equals_one_run(self, clips, whole, wan, tmp_path):
        """kill -9 at the first clip after the first shard is named."""
        code = (
            "import os, sys, torch; from pusa_lab.data import LatentCache, encode, pieces\n"
            "from pusa_lab.wan.encoders import WanEncoders as W\n"
            "wan, clips, out = sys.argv[1:]; f = pieces.encode_file\n"
            "def killed(*a):\n"
            "    if os.path.exists(f'{out}/manifest.json') and len(LatentCache(out)):\n"
            "        os.kill(os.getpid(), 9)\n"
            "    return f(*a)\n"
            "pieces.encode_file = killed\n"
            "w = W.from_pretrained(wan, dtype=torch.float32, device='cpu', size=(32, 48), num_frames=9, cache=None)\n"
            "encode.encode_folder(clips, w, out, 'tiny', fps=8, per_shard=2)\n"
        )
        encode_folder(clips, wan, tmp_path / "one", "tiny", fps=8, per_shard=2)
        two = tmp_path / "two"
        assert python(code, whole, clips, two).returncode == -signal.SIGKILL
        assert 0 < len(LatentCache(two)) < len(GOOD)
        encode_folder(clips, wan, two, "tiny", fps=8, per_shard=2)
        assert files(two) == files(tmp_path / "one")
        assert len(LatentCache(two)) == len(GOOD)

    def test_a_disk_that_is_full_in_the_middle(self, clips, wan, tmp_path, monkeypatch):
        sizes = {**SIZES, "per_shard": 2}
        encode_folder(clips, wan, tmp_path / "whole", "tiny", **sizes)
        real, begun = Path.write_bytes, []

        def full(path, data):
            begun.extend([path] * (path.suffix == ".safetensors"))
            if len(begun) == 7:  # twice two clips, the null prompt and the first shard; or the second
                real(path, data[:100])
                raise OSError(28, "No space left on device")
            return real(path, data)

        with monkeypatch.context() as room, pytest.raises(OSError, match=r"No space left.*make room.*the 4 clips"):
            room.setattr(Path, "write_bytes", full)
            encode_folder(clips, wan, tmp_path / "cache", "tiny", **sizes)
        assert [item["name"] for item in LatentCache(tmp_path / "cache")] == GOOD[:2]
        assert encode_folder(clips, wan, tmp_path / "cache", "tiny", **sizes).kept == GOOD[:4]
        assert files(tmp_path / "cache") == files(tmp_path / "whole")


class TestRefusals:
    def test_another_codec_or_other_sizes_never_come_into_a_cache(self, clips, wan, folder, tmp_path):
        encode_folder(clips, wan, tmp_path / "cache", "tiny", **SIZES)
        before = files(tmp_path / "cache")
        rewrite(next((folder / "vae").glob("*.safetensors")), lambda w: {k: v * 1.001 for k, v in w.items()})
        how = {"dtype": torch.float32, "device": "cpu", "size": (32, 48), "num_frames": 9, "cache": None}
        other = WanEncoders.from_pretrained(folder, **how)
        for model, changes, field in (
            (other, {}, "codec="),
            (wan, {"fps": 16}, "fps="),
            (wan, {"size": (48, 48)}, "size="),
            (wan, {"num_frames": 5}, "num_frames="),
            (wan, {"start": 0.5}, "start="),
        ):
            with pytest.raises(ValueError, match=f"was made with {field}.*another folder"):
                encode_folder(clips, model, tmp_path / "cache", "tiny", **{**SIZES, **changes})
            assert files(tmp_path / "cache") == before

    @pytest.mark.parametrize(
        ("changes", "match"),
        [
            ({"size": (30, 48)}, "a size of 30 x 48: height and width must be multiples of 8 and 8"),
            ({"num_frames": 10}, r"give 1 \+ 4 \* k"),
            ({"fps": 0}, "fps=0: give 0.001 to 1000 frames per second"),
            ({"start": -1.0}, "start=-1.0: give seconds from 0 to 1000000"),
        ],
    )
    def test_sizes_that_no_model_takes(self, clips, wan, tmp_path, changes, match):
        refused(match, lambda: encode_folder(clips, wan, tmp_path / "out", "tiny", **{**SIZES, **changes}))
        assert not (tmp_path / "out").exists()

    def test_nothing_to_encode(self, wan, tmp_path):
        refused("no clips in", lambda: encode_folder(tmp_path, wan, tmp_path / "out", "tiny"))
        write(tmp_path / "a.mp4", waves(9, (32, 48)), 8)
        refused(
            "no clip in .* can be used .1 clip tried.; the first: a.mp4 has no caption",
            lambda: encode_folder(tmp_path, wan, tmp_path / "out", "tiny", **SIZES),
        )

    def test_a_codec_that_gives_no_numbers(self, wan, tmp_path, monkeypatch):
        write(tmp_path / "a.mp4", waves(9, (32, 48)), 8, "a")
        monkeypatch.setattr(WanEncoders, "encode_video", lambda self, clip: torch.full((1, 4, 3, 4, 6), np.nan))
        steps = encode_steps(tmp_path, wan, tmp_path / "out", "tiny", **SIZES)
        assert (
            next(steps).reason
            == "gives latents that are not finite: use another codec or precision, or leave the clip out."
        )

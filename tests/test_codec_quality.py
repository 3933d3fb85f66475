"""pytest tests/test_codec_quality.py: what a codec keeps of clips is measured, and said before anything is trained."""

import json
import logging

import numpy as np
import pytest
import torch
from encoding import Plain
from films import waves, write

import small_models
from pusa_lab import data
from pusa_lab.cli import main
from pusa_lab.data.manifest import codec_psnrs
from pusa_lab.data.quality import FAITHFUL, FEW, warn_of_codec
from pusa_lab.metrics import psnr
from pusa_lab.pixels import to_pixels


class Coarse(Plain):
    """A codec that keeps the mean of every 8 x 8 pixels of every fourth frame."""

    def decode(self, latents):
        frames = [latents[:, :, :1], latents[:, :, 1:].repeat_interleave(4, 2)]
        return torch.cat(frames, 2).repeat_interleave(8, 3).repeat_interleave(8, 4)


class Rounded(Coarse):
    """The same with latents as a cache stores them."""

    def encode_video(self, clip):
        return super().encode_video(clip).bfloat16().float()


class Faithful(Coarse):
    """A codec that returns the clip it was given last."""

    def encode_video(self, clip):
        self.clip = clip
        return super().encode_video(clip)

    def decode(self, latents):
        return (self.clip + 1e-3).clamp(-1, 1)


def noise(folder, count):
    """Clips of which a codec that averages keeps next to nothing."""
    for i in range(count):
        video = np.random.default_rng(i).integers(0, 255, (9, 16, 16, 3), dtype=np.uint8)
        write(folder / f"{i}.mp4", video, 8, f"caption {i}")
    return folder


def test_the_quality_of_a_codec_is_the_psnr_after_encoding_and_decoding():
    clips = np.stack([waves(9, (16, 16), seed) for seed in range(3)])
    found = data.codec_psnr(Coarse(), clips)
    assert found.shape == (3, 9)
    clip, codec = to_pixels(clips[1]), Coarse()
    torch.testing.assert_close(found[1:2], psnr(codec.decode(codec.encode_video(clip)), clip))
    torch.testing.assert_close(found[1:2], data.codec_psnr(codec, clips[1]))
    with pytest.raises(ValueError, match=r"^data.codec_psnr: model is .*Plain.*, which has no decode: give a VideoMo"):
        data.codec_psnr(Plain(), clips)


def test_an_encoding_measures_some_clips_and_warns_once(tmp_path, logged):
    data.encode_folder(noise(tmp_path / "clips", FEW + 2), Coarse(), tmp_path / "cache", "coarse")
    kept = codec_psnrs(data.LatentCache(tmp_path / "cache").manifest)
    true = [data.read_clip(tmp_path / "clips" / f"{i}.mp4", 9) for i in range(FEW)]
    assert kept == pytest.approx([data.codec_psnr(Rounded(), clip).mean().item() for clip in true])
    (said,) = logged
    mean = sum(kept) / FEW
    assert mean < FAITHFUL and said.startswith(
        f"the codec of coarse keeps only {mean:.1f} dB of these clips (mean PSNR "
    )
    assert "`pusa-lab train --model mini --stage codec --data FOLDER`" in said


def test_a_faithful_codec_is_not_warned_of(tmp_path, logged):
    data.encode_folder(noise(tmp_path / "clips", 3), Faithful(), tmp_path / "cache", "faithful")
    kept = codec_psnrs(data.LatentCache(tmp_path / "cache").manifest)
    assert len(kept) == 3 and min(kept) > FAITHFUL
    warn_of_codec("any", [])
    assert not logged


def test_the_warning_comes_from_a_logger_of_the_library(monkeypatch):
    seen = []
    monkeypatch.setattr(logging.getLogger("pusa_lab.data.quality"), "handle", seen.append)
    warn_of_codec("mine", [12.0])
    assert len(seen) == 1 and "train a toy's codec on them first, or for longer, with `" in (
        said := seen[0].getMessage()
    )
    assert "; of a Wan, whose codec is not trained, check that its folder vae is as it was published, or choose" in said


def test_a_codec_that_cannot_decode_is_not_measured(tmp_path, logged):
    data.encode_folder(noise(tmp_path / "clips", 2), Plain(), tmp_path / "cache", "plain")
    assert codec_psnrs(data.LatentCache(tmp_path / "cache").manifest) == [] and not logged


def test_a_clip_that_decodes_to_nan_is_left_out_with_the_reason(tmp_path):
    class Overflowing(Coarse):
        def decode(self, latents):
            return super().decode(latents) * (torch.nan if self.encoded == 2 else 1)

    data.encode_folder(noise(tmp_path / "clips", 3), Overflowing(), tmp_path / "cache", "overflowing")
    manifest = data.LatentCache(tmp_path / "cache").manifest
    assert [clip["name"] for clip in manifest["clips"]] == ["0.mp4", "2.mp4"] and len(codec_psnrs(manifest)) == 2
    (broken,) = manifest["broken"]
    assert broken["name"] == "1.mp4" and broken["reason"].startswith("is NaN after encoding and decoding: use another")


def test_clips_that_are_added_later_are_measured_too(tmp_path):
    for count in (2, 3):
        data.encode_folder(noise(tmp_path / "clips", count), Coarse(), tmp_path / "cache", "coarse")
        assert len(codec_psnrs(data.LatentCache(tmp_path / "cache").manifest)) == count


@pytest.mark.parametrize("kept", ["x", True, float("inf"), None])
def test_a_manifest_with_impossible_numbers_is_refused(tmp_path, kept):
    data.encode_folder(noise(tmp_path / "clips", 1), Coarse(), tmp_path / "cache", "coarse")
    path = tmp_path / "cache" / "manifest.json"
    found = json.loads(path.read_text())
    found["clips"][0]["psnr"] = kept
    path.write_text(json.dumps(found))
    with pytest.raises(ValueError, match=r"psnr (True|inf|None|'x')|is not a valid"):
        data.LatentCache(tmp_path / "cache")


def test_the_command_says_what_minis_codec_keeps_of_other_footage(tmp_path, logged, capsys):
    video = np.random.default_rng(0).integers(0, 255, (33, 64, 64, 3), dtype=np.uint8)
    write(tmp_path / "clips" / "a.mp4", video, 16, "a red circle moves right")
    assert main(["data", "encode", str(tmp_path / "clips"), "--out", str(tmp_path / "cache")]) == 0
    (said,) = logged
    true = data.read_clip(tmp_path / "clips" / "a.mp4", 17)
    kept = data.codec_psnr(small_models.load("mini-vta", device="cpu"), true).mean().item()
    assert said.startswith(f"the codec of mini-vta keeps only {kept:.1f} dB")
    main(["data", "show", str(tmp_path / "cache")])
    assert f"kept      {kept:.1f} dB by the codec (mean PSNR of the beginnings of 1 clip)" in capsys.readouterr().out

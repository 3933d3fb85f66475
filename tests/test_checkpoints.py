"""Shipped checkpoints are whole, say how they were made, and hold what they promise."""

import hashlib
import json
import re
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import small_models
from pusa_lab.metrics import psnr
from pusa_lab.pixels import to_uint8
from pusa_lab.types import VideoModel
from small_models import world
from small_models.evaluation import evaluate, ways
from small_models.evaluation.goals import compare_with_goals
from small_models.files import KEY
from small_models.models.zoo import CHECKPOINTS

NAMES = small_models.list_models()


def test_nano_is_shipped():
    assert {"nano-base", "nano-vta"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_card_and_file_belong_together(name):
    card = small_models.card(name)
    path = CHECKPOINTS / f"{name}.safetensors"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == card["sha256"]
    assert path.stat().st_size < 16 * 2**20
    for field in (
        "name",
        "date",
        "command",
        "seconds",
        "device",
        "versions",
        "data",
        "config",
        "metrics",
        "parameters",
    ):
        assert card[field], field
    assert re.match(r"pusa-lab train|python benchmarks/\w+\.py --train", card["command"]), "a command that trains"
    assert card["name"] == name
    assert "torch" in card["versions"]
    assert {"seed", "max_steps"} <= set(card["config"])


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("nano")])
def test_nano_has_under_a_million_parameters(name):
    model = small_models.load(name, device="cpu")
    count = sum(p.numel() for p in model.parameters())
    assert count == small_models.card(name)["parameters"] < 1_000_000
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())


@pytest.mark.artefact
@pytest.mark.parametrize("clips", [32, pytest.param(64, marks=pytest.mark.nightly)])
def test_the_card_can_be_measured_again(nano_vta, nano_base, clips):
    """Image-to-video on this machine, on fewer clips: exact frame 0, and clearly better than untrained timesteps.

    With twice as many clips, which narrows the standard errors by a third, in `make nightly`.
    """
    scores = {}
    for name, model in {"vta": nano_vta, "untrained": nano_base}.items():
        raw = evaluate.collect(ways.maker(model, guidance=2.0), model, clips)
        scores[name] = evaluate.image_to_video_scores(raw, 1)
        assert (raw["psnr_frame"][:, 0] == 60).all()  # as high as it is counted
        assert evaluate.frame0_latent(model, clips // 4)["frame0_latent_max_error"] == 0
    metrics = small_models.card("nano-vta")["metrics"]
    for name, key in {"vta": "nano-vta", "untrained": "base_with_untrained_timestep_vectors"}.items():
        want = metrics[key]["image_to_video"]
        # Fewer clips, another device: within four standard errors of this size.
        slack = 4 * scores[name]["psnr_db_stderr"]
        assert scores[name]["psnr_db"] == pytest.approx(want["psnr_db"], abs=slack)
    gap = scores["vta"]["psnr_db"] - scores["untrained"]["psnr_db"]
    assert gap > 4 * (scores["vta"]["psnr_db_stderr"] + scores["untrained"]["psnr_db_stderr"])
    assert scores["vta"]["skill"] > scores["untrained"]["skill"]
    assert scores["vta"]["position_error_px"] < scores["untrained"]["position_error_px"]


def scores_of(make, model, clips=50):
    raw = evaluate.collect(make, model, clips)
    return evaluate.image_to_video_scores(raw, 1), evaluate.text_to_video_scores(raw)


def test_the_truth_scores_as_truth(nano_vta):
    i2v, t2v = scores_of(lambda prompts, truth, seed: truth, nano_vta)
    assert i2v["psnr_db"] == 60 and i2v["skill"] == 1
    assert i2v["position_error_px"] < 0.3
    assert i2v["lost_objects"] == 0
    assert t2v["1_objects"]["direction_right"] > 0.85
    assert t2v["1_objects"]["colour_and_shape_right"] > 0.85


def noisy(shape):
    return to_uint8(torch.randn(shape).movedim(-1, 1))


def test_noise_scores_as_noise(nano_vta):
    i2v, t2v = scores_of(lambda prompts, truth, seed: noisy(truth.shape), nano_vta)
    assert i2v["psnr_db"] < 8 and i2v["skill"] < -1
    assert i2v["position_error_px"] > 3
    assert t2v["1_objects"]["direction_right"] < 0.3
    assert t2v["1_objects"]["colour_and_shape_right"] < 0.3


def test_standing_still_has_no_skill(nano_vta):
    i2v, _ = scores_of(ways.copy_of_frame_0, nano_vta)
    assert i2v["skill"] == pytest.approx(0, abs=1e-5) and i2v["position_error_px"] > 1


def test_gains_are_paired():
    raw = {"psnr_frame": torch.tensor([[60.0, 20, 22, 30, 32], [60.0, 30, 32, 10, 12]])}
    other = {"psnr_frame": raw["psnr_frame"] - torch.tensor([0.0, 1, 3, 5, 5])}
    found = evaluate.gain(raw, other, 2)
    assert found == {"db_by_latent_frame": [2.0, 5.0], "stderr": [0.0, 0.0]}


def test_save_and_load_are_inverse_up_to_half_precision(tmp_path):
    model = small_models.ToyModel(small_models.PRESETS["nano"])
    path = tmp_path / "sub" / "own.safetensors"
    small_models.save(model, path, {"name": "own"})
    again = small_models.load(path, device="cpu")
    for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a.half().float(), b)
    assert sorted(p.name for p in path.parent.iterdir()) == ["own.json", "own.safetensors"]


def test_a_crash_while_saving_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "own.safetensors"
    small_models.save(small_models.ToyModel(small_models.PRESETS["nano"]), path, {"name": "old"})
    old = path.read_bytes()

    def half_written(weights, part, metadata):
        part.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("small_models.files.save_file", half_written)
    with pytest.raises(KeyboardInterrupt):
        small_models.save(small_models.ToyModel(small_models.PRESETS["nano"]), path, {"name": "new"})
    assert path.read_bytes() == old
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".safetensors"]
    assert json.loads(path.with_suffix(".json").read_text())["name"] == "old"
    small_models.load(path)


def test_an_unknown_name_is_told_the_known_ones():
    with pytest.raises(ValueError, match=r"no model 'giga', which is not an existing file: choose one of .*nano-vta"):
        small_models.load("giga")


@pytest.mark.parametrize("card", [True, False])
def test_a_truncated_file_is_refused(tmp_path, card):
    path = tmp_path / "nano-vta.safetensors"
    path.write_bytes((CHECKPOINTS / path.name).read_bytes()[:100_000])
    if card:
        shutil.copy(CHECKPOINTS / "nano-vta.json", tmp_path)
    with pytest.raises(ValueError, match="truncated"):
        small_models.load(path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match="not a toy's checkpoint"):
        small_models.load(path)


@pytest.mark.parametrize("card", ["{}", "[1]", "not json"])
def test_another_json_beside_a_checkpoint_does_no_harm(tmp_path, card):
    path = tmp_path / "own.safetensors"
    small_models.save(small_models.ToyModel(small_models.PRESETS["nano"]), path, {"name": "own"})
    path.with_suffix(".json").write_text(card)
    small_models.load(path)


@pytest.mark.parametrize(
    "inside",
    [
        "{}",
        "nonsense",
        json.dumps({"kind": "ToyModel", "preset": {**small_models.PRESETS["nano"], "dit": {"qk": 3, "text_dim": 64}}}),
    ],
)
def test_sizes_of_another_architecture_are_refused(tmp_path, inside):
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(3)}, path, metadata={KEY: inside})
    with pytest.raises(ValueError, match="another architecture"):
        small_models.load(path)


def test_weights_of_another_architecture_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    inside = json.dumps({"kind": "ToyModel", "preset": small_models.PRESETS["nano"]})
    save_file({"a": torch.zeros(3)}, path, metadata={KEY: inside})
    with pytest.raises(ValueError, match="another architecture"):
        small_models.load(path)


MINI = ["mini-base", "mini-codec", "mini-features", "mini-i2v", "mini-vta"]


def test_mini_is_shipped_whole_and_small():
    assert set(MINI) <= set(NAMES)
    sizes = {name: (CHECKPOINTS / f"{name}.safetensors").stat().st_size for name in NAMES}
    assert sum(sizes[name] for name in MINI) < 36 * 2**20
    assert max(size for name, size in sizes.items() if name not in MINI) < 2 * 2**20, "a nano each"


def test_mini_is_a_video_model():
    model = small_models.load("mini-vta", device="cpu")
    assert isinstance(model, VideoModel)
    assert 7e6 < sum(p.numel() for p in model.dit.parameters()) < 8e6
    clip = world.render(world.draw_scenes(1, 5, world.MINI))
    latents = model.encode_video(clip)
    assert latents.shape == model.geometry.latent_shape(1, 9)
    assert 0.5 < latents.std() < 2
    assert psnr(model.decode(latents), clip).mean() > 28


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda clip: clip * 127.5 + 127.5, "the clip's pixels reach 255"),
        (lambda clip: clip * float("nan"), "the clip's pixels reach nan"),
        (lambda clip: (clip > 0).to(torch.uint8), "clip"),
    ],
)
@pytest.mark.parametrize("name", ["nano-vta", "mini-vta"])
def test_pixels_of_another_range_are_not_encoded(name, change, sentence):
    model = small_models.load(name, device="cpu")
    clip = torch.rand(2, 3, *(8, 16, 16) if name == "nano-vta" else (1, 64, 64)) * 2 - 1
    clip[0, 0, 0, 0, 0] = 1
    with pytest.raises(ValueError, match=sentence):
        model.encode_video(change(clip))
    with pytest.raises(ValueError, match=r"unknown words .*: zebra"):
        model.encode_text(["a zebra moves right"])


@pytest.mark.artefact
def test_the_codec_keeps_what_its_card_says():
    codec, card = small_models.load("mini-codec", device="cpu"), small_models.card("mini-codec")["metrics"]
    scores = evaluate.measure_codec(codec, "mini", 12, small_models.load("mini-base", "cpu").geometry)
    assert scores["psnr_db"] == pytest.approx(card["psnr_db"], abs=4 * scores["psnr_db_stderr"])
    assert card["psnr_db"] > 32
    assert card["psnr_db_single_picture"] > 32


def test_cards_of_mini_say_what_was_gained_at_every_distance():
    metrics = small_models.card("mini-vta")["metrics"]
    for other in ("base_with_untrained_timestep_vectors", "base_with_replacement"):
        gain = metrics["mini-vta"]["gain_over"][other]
        assert len(gain["db_by_latent_frame"]) == 8
        assert all(db > 4 * err for db, err in zip(gain["db_by_latent_frame"], gain["stderr"], strict=True))


def test_strength_scales_the_update():
    base, none = small_models.load("mini-base", "cpu"), small_models.load("mini-vta", "cpu", strength=0.0)
    whole, half = small_models.load("mini-vta", "cpu"), small_models.load("mini-vta", "cpu", strength=0.5)
    name = "dit.blocks.3.attn1.to_q.weight"
    a, b, c, d = (m.state_dict()[name] for m in (base, none, half, whole))
    assert torch.equal(a, b)
    assert not torch.equal(a, d)
    torch.testing.assert_close(c, (a + d) / 2)


def parts_of(folder, *names):
    for name in names:
        shutil.copy(CHECKPOINTS / f"{name}.safetensors", folder)
    return folder


def test_another_codec_or_base_than_in_training_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("small_models.models.zoo.CHECKPOINTS", tmp_path)
    parts_of(tmp_path, "mini-base", "mini-vta")
    with pytest.raises(ValueError, match="builds on mini-codec, which is not beside it"):
        small_models.load("mini-vta")
    small_models.save(small_models.Codec(small_models.CODECS["mini"]), tmp_path / "mini-codec.safetensors", {})
    with pytest.raises(ValueError, match="was trained with another mini-codec"):
        small_models.load("mini-base")
    (tmp_path / "mini-codec.json").unlink()
    parts_of(tmp_path, "mini-codec")
    small_models.load("mini-vta")
    small_models.save(small_models.load("mini-base"), tmp_path / "mini-base.safetensors", {})
    with pytest.raises(ValueError, match="was trained with another mini-base"):
        small_models.load("mini-vta")


def test_a_mistake_of_ours_is_not_called_another_architecture(monkeypatch):
    def mistaken(*_):
        raise AttributeError("typo")

    monkeypatch.setattr(small_models.models.zoo, "_build", mistaken)
    with pytest.raises(AttributeError, match="typo"):
        small_models.load("nano-vta")


def test_scores_of_other_clips_are_refused(nano_vta):
    raw = {"psnr_frame": torch.rand(2, 9), **dict.fromkeys(("skill", "position_error", "lost"), torch.rand(2))}
    for call, says in (
        (lambda: evaluate.gain(raw, {}, 1), "other has no 'psnr_frame'"),
        (lambda: evaluate.gain(raw, {"psnr_frame": torch.rand(3, 9)}, 1), r"shape \(2, 9\), other of \(3, 9\)"),
        (lambda: evaluate.gain(raw, raw, 3), "stride=3 for 2 clips of 9 frames"),
        (lambda: evaluate.image_to_video_scores(raw | {"lost": torch.rand(2, 2)}, 1), "'lost' of raw is a tensor"),
        (lambda: evaluate.text_to_video_scores({"number": torch.ones(2).long()}), "raw has no 'shape'"),
        (lambda: evaluate.collect(print, nano_vta, 2, world="moon"), "unknown world 'moon': choose one of nano"),
        (lambda: evaluate.collect(lambda *_: 3, nano_vta, 2), r"make returned an array of shape \(\), int64: it must"),
        (
            lambda: evaluate.collect(lambda *_: np.zeros((2, 8, 9, 9, 3), np.uint8), nano_vta, 2),
            "of shape .2, 8, 16, 16, 3.",
        ),
        (lambda: evaluate.collect(lambda p, truth, s: truth / 255, nano_vta, 2), "make returned .*, uint8"),
        (
            lambda: compare_with_goals({"nano-vta": {"gain_over": {}}}, "nano-vta"),
            "'nano-vta' of metrics has no 'text_to_video'",
        ),
        (lambda: compare_with_goals({}, "nano-vta"), "metrics has no 'nano-vta'"),
    ):
        with pytest.raises(ValueError, match=says):
            call()


def test_presets_that_cannot_be_built_are_refused(nano_base):
    preset = nano_base.preset
    for change, says in (
        ({"geometry": {}}, "it has no channels"),
        ({"world": "moon.py:full"}, "world is 'moon.py:full'"),
        ({"world": 3}, "world is 3"),
        ({"dit": {**preset["dit"], "in_channels": 7}}, "its parts are of different sizes"),
        ({"dit": {**preset["dit"], "num_layers": 10**9}}, "num_layers is 1000000000, and not from 1 to 256"),
    ):
        with pytest.raises(ValueError, match=rf"the preset cannot be built \({says}"):
            small_models.ToyModel({**preset, **change})

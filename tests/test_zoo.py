"""pytest tests/test_zoo.py: shipped checkpoints are whole, say how they were made, and hold what they promise."""

import hashlib
import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

import small_models
from small_models import evaluate, world
from small_models.zoo import CHECKPOINTS, KEY

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
    assert card["command"].startswith("pusa-lab train")
    assert card["name"] == name
    assert "torch" in card["versions"]
    assert {"seed", "steps"} <= set(card["config"])


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("nano")])
def test_nano_has_under_a_million_parameters(name):
    model = small_models.load(name, device="cpu")
    count = sum(p.numel() for p in model.parameters())
    assert count == small_models.card(name)["parameters"] < 1_000_000
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())


def test_the_card_can_be_measured_again(nano_vta, nano_base):
    """Image-to-video on this machine, on fewer clips: exact frame 0, and clearly better than untrained clocks."""
    scenes = world.draw_scenes(96, evaluate.EVAL_SEED)
    first = world.render(scenes, 1, 16)
    schedule = evaluate.hold(10, 8)
    scores = {}
    for name, model in {"vta": nano_vta, "untrained": nano_base}.items():
        clip = evaluate.predict(model, scenes, schedule, first, guidance=2.0, seed=0)
        scores[name] = evaluate.image_to_video_scores(clip, scenes)
        assert scores[name]["frame0_max_error"] == 0
    metrics = small_models.card("nano-vta")["metrics"]
    for name, key in {"vta": "nano-vta", "untrained": "base_with_untrained_vector_clocks"}.items():
        want = metrics[key]["image_to_video"]
        # Fewer clips, another device: within four standard errors of this size.
        slack = 4 * scores[name]["psnr_db_stderr"]
        assert scores[name]["psnr_db"] == pytest.approx(want["psnr_db"], abs=slack)
    gap = scores["vta"]["psnr_db"] - scores["untrained"]["psnr_db"]
    assert gap > 4 * (scores["vta"]["psnr_db_stderr"] + scores["untrained"]["psnr_db_stderr"])
    assert scores["vta"]["position_error_px"] < scores["untrained"]["position_error_px"]


def test_the_truth_scores_as_truth():
    scenes = world.draw_scenes(50, 1)
    scores = evaluate.image_to_video_scores(world.render(scenes), scenes)
    assert scores["psnr_db"] == 60
    assert scores["position_error_px"] < 0.3
    assert scores["lost_objects"] == 0
    assert evaluate.text_to_video_scores(world.render(scenes), scenes)["object_found"] > 0.9


def test_noise_scores_as_noise():
    scenes = world.draw_scenes(50, 1)
    noise = torch.randn(50, 3, 8, 16, 16).clamp(-1, 1)
    scores = evaluate.image_to_video_scores(noise, scenes)
    assert scores["psnr_db"] < 8
    assert scores["position_error_px"] > 3
    assert evaluate.text_to_video_scores(noise, scenes)["direction_right_one_object"] < 0.3


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

    monkeypatch.setattr("small_models.zoo.save_file", half_written)
    with pytest.raises(KeyboardInterrupt):
        small_models.save(small_models.ToyModel(small_models.PRESETS["nano"]), path, {"name": "new"})
    assert path.read_bytes() == old
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".safetensors"]
    assert json.loads(path.with_suffix(".json").read_text())["name"] == "old"
    small_models.load(path)


def test_an_unknown_name_is_told_the_known_ones():
    with pytest.raises(ValueError, match=r"no model 'giga': choose one of .*nano-vta"):
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
    with pytest.raises(ValueError, match="no toy's checkpoint"):
        small_models.load(path)


@pytest.mark.parametrize("card", ["{}", "[1]", "not json"])
def test_another_json_beside_a_checkpoint_does_no_harm(tmp_path, card):
    path = tmp_path / "own.safetensors"
    small_models.save(small_models.ToyModel(small_models.PRESETS["nano"]), path, {"name": "own"})
    path.with_suffix(".json").write_text(card)
    small_models.load(path)


@pytest.mark.parametrize(
    "preset", ["{}", "nonsense", json.dumps({**small_models.PRESETS["nano"], "dit": {"qk": 3, "text_dim": 64}})]
)
def test_sizes_of_another_architecture_are_refused(tmp_path, preset):
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(3)}, path, metadata={KEY: preset})
    with pytest.raises(ValueError, match="another architecture"):
        small_models.load(path)


def test_weights_of_another_architecture_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(3)}, path, metadata={KEY: json.dumps(small_models.PRESETS["nano"])})
    with pytest.raises(ValueError, match="another architecture"):
        small_models.load(path)

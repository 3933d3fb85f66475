"""pytest tests/test_planning_folders.py: a Wan in a folder is planned from its configs."""

import json
import shutil
from dataclasses import asdict, replace

import pytest
import torch
from diffusers import AutoencoderKLWan
from test_planning_counts import Alive, count
from torch.utils.flop_counter import FlopCounterMode
from transformers import UMT5Config
from wan_commands import encode
from wan_tiny import edit, pipeline, transformer

from pusa_lab.cli import main
from pusa_lab.models import ModelFamily, find_family, register_family
from pusa_lab.planning import plan
from pusa_lab.planning.measured import MEASURED
from pusa_lab.planning.result import command
from pusa_lab.planning.settings import find_sizes
from pusa_lab.wan.configs import WAN_CONFIGS
from pusa_lab.wan.sizes import folder_config

XXL = {"vocab_size": 256384, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64}
SMALL = {"size": (64, 96), "num_frames": 9}


def without_weights(folder):
    for file in folder.rglob("*.safetensors"):
        file.unlink()
    return folder


@pytest.fixture
def published(folder):
    """The configs of Wan2.1-14B, as they are on the Hub."""
    without_weights(folder)
    config = {"_class_name": "WanTransformer3DModel", **WAN_CONFIGS["wan2.1-14b"].transformer}
    (folder / "transformer" / "config.json").write_text(json.dumps(config))
    with torch.device("meta"):
        AutoencoderKLWan().save_config(folder / "vae")
    UMT5Config(**XXL).save_pretrained(folder / "text_encoder")
    return folder


def figures(found):
    return {name: value for name, value in asdict(found).items() if name not in ("settings", "advice")}


@pytest.mark.parametrize("family", ["wan2.1-14b", "wan2.2-a14b", "wan2.2-5b"])
def test_a_folder_is_counted_as_what_lies_in_it(family, tmp_path):
    parts = pipeline(family)
    parts.save_pretrained(tmp_path)
    config = folder_config(without_weights(tmp_path))
    assert config.parameters == count(parts.transformer)
    assert config.codec_parameters == count(parts.vae)
    assert config.text_parameters == count(parts.text_encoder)
    assert config.experts == (2 if family == "wan2.2-a14b" else 1)
    assert (config.channels, config.stride[1]) == ((6, 16) if family == "wan2.2-5b" else (4, 8))
    assert config.num_frames == WAN_CONFIGS[family].num_frames and config.fps == WAN_CONFIGS[family].fps
    found = plan(tmp_path, **SMALL)
    assert found == plan(str(tmp_path), "64x96", num_frames=9)
    assert found.tokens == (3 * 2 * 3 if family == "wan2.2-5b" else 3 * 4 * 6)
    assert set(found.sources.values()) == {"arithmetic"}
    assert plan(**asdict(found.settings)) == found


@pytest.mark.parametrize("changes", [{"base_dim": 24}, {"base_dim": 192}], ids=str)
def test_the_codec_of_a_folder_is_counted(changes, folder):
    with torch.device("meta"), torch.no_grad():
        codec = AutoencoderKLWan(**changes, z_dim=4, latents_mean=[0.0] * 4, latents_std=[1.0] * 4)
        with Alive(codec) as alive, FlopCounterMode(display=False) as counted:
            codec.decode(torch.empty(1, 4, 4, 16, 32))
    codec.save_config(folder / "vae")
    config = folder_config(folder)
    assert config.codec_parameters == count(codec)
    assert counted.get_total_flops() == pytest.approx(13 * 128 * 256 * config.codec_flops, rel=0.1)
    assert alive.peak == pytest.approx(128 * 256 * (config.codec_bytes + 12 * 13), rel=0.05)


def test_a_published_model_in_a_folder_has_its_measured_rows(published):
    for row in MEASURED:
        asked = {name: value for name, value in row.given.items() if name != "model"}
        one, other = plan(published, **asked), plan(**asked)
        assert figures(one) == figures(other) and "measured" in one.sources.values()
        assert one.settings == replace(other.settings, model=str(published))


def test_one_number_of_its_own_and_nothing_is_measured(published):
    asked = {"workload": "lora", "gpu": "h100", "compiled": True, "ac_save_attention": 30, "offload_activations": True}
    assert plan(published, optimizer="adamw8bit", **{**asked, "ac_save_attention": 40}).sources["sample"] == "measured"
    edit(published / "transformer" / "config.json", num_layers=30)
    found = plan(published, optimizer="adamw8bit", **asked)
    assert set(found.sources.values()) == {"arithmetic"} and not found.basis
    assert found.parameters == replace(WAN_CONFIGS["wan2.1-14b"], num_layers=30).parameters
    assert set(plan(published, "480p").sources.values()) > {"measured"}, "its text encoder and codec are known"
    assert plan(published, "480p").sources["forward"] == "arithmetic"


def test_a_published_repository_needs_no_download():
    for name, config in WAN_CONFIGS.items():
        assert find_sizes(config.repo) == config
        assert figures(plan(config.repo)) == figures(plan(name))


def printed(capsys, *words):
    code = main([str(word) for word in words])
    found = capsys.readouterr()
    return code, found.out, found.err.split(": ", 1)[-1]


@pytest.mark.parametrize(
    ("planned", "trained"),
    [
        ([], []),
        (["--lora-rank", 4, "--gpus", 2, "--max-steps", 5], ["--lora-rank", 4, "--gpus", 2, "--max-steps", 5]),
        (["--workload", "full", "--gpus", 8], ["--lora-rank", 0, "--gpus", 8]),
        (["--size", "32x48", "--gpu", "l4", "--compiled"], ["--size", "32x48", "--gpu", "l4", "--compiled"]),
        (["--micro-batch-size", 8], ["--micro-batch-size", 0]),
        (["--ac-save-attention", 3], ["--ac-save-attention", 3]),
    ],
    ids=str,
)
def test_both_commands_plan_a_folder(planned, trained, whole, capsys):
    workload = [] if "--workload" in planned else ["--workload", "lora"]
    one = printed(capsys, "plan", "--model", whole, *workload, *planned)
    assert one == printed(capsys, "train", "--recipe", "paper", "--plan-only", "--model", whole, *trained)
    assert f"{whole}, 81 frames of" in one[1] or f"{whole} has 2 blocks, give numbers from 0" in one[2]


def test_the_plan_of_a_run_is_of_its_model_and_clips(whole, tmp_path, capsys):
    cache = encode(whole, tmp_path)
    capsys.readouterr()
    run = ["train", "--recipe", "paper", "--model", whole, "--data", cache, "--lora-rank", 4, "--compiled"]
    asked = ["--workload", "lora", "--size", "32x48", "--num-frames", 9, "--lora-rank", 4, "--compiled"]
    one = printed(capsys, *run, "--plan-only")
    assert one == printed(capsys, "plan", "--model", whole, *asked) and one[0] == 0
    _, config, _ = printed(capsys, *run, "--plan-only", "--print_config")
    (tmp_path / "run.yaml").write_text(config)
    assert printed(capsys, "train", "--config", tmp_path / "run.yaml") == one


def test_a_small_model_is_told_in_mebibytes(whole):
    found = plan(whole, size="32x48", num_frames=9, gpu="l4")
    shown = str(found)
    assert "0.0 GiB" not in shown and " 0.00 MiB" not in shown and "one l4 has 22 GiB" in shown
    assert f"{1024 * found.memory['transformer']:.2f} MiB" in shown and f"{1024 * found.peak:.2f} MiB while" in shown
    assert " GiB " in str(plan()) and "MiB" not in str(plan())


def test_a_folder_without_room_comes_with_advice(published, tmp_path):
    place = shutil.move(published, tmp_path / "a Wan")
    found = plan(place, gpu="rtx4090")
    assert [one.changes for one in found.advice] == [one.changes for one in plan(gpu="rtx4090").advice]
    assert command(found.settings) == f"pusa-lab plan --workload sample --model '{place}' --size 720x1280 --gpu rtx4090"


def test_a_folder_is_read_again(folder):
    before = plan(folder, **SMALL)
    edit(folder / "transformer" / "config.json", num_layers=4)
    after = plan(folder, **SMALL)
    assert after.parameters > before.parameters and after.seconds["forward"] > before.seconds["forward"]


@pytest.mark.parametrize(
    ("file", "changes", "says"),
    [
        ("transformer", {"num_layers": -1}, "num_layers as -1, not as a positive whole number: restore it."),
        ("transformer", {"in_channels": 36}, "this is an image-to-video Wan (36 input channels for 4 latent channels)"),
        ("vae", {"dim_mult": [1] * 9}, "no vae can be built from its config.json"),
        ("text_encoder", {"num_heads": "x"}, "num_heads"),
    ],
)
def test_a_damaged_folder_is_refused(file, changes, says, folder):
    edit(folder / file / "config.json", **changes)
    with pytest.raises(ValueError) as error:
        plan(folder)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_a_family_says_what_is_planned():
    def family(**more):
        return ModelFamily("mine", "a model of mine", lambda name: name == "my-model", lambda name: None, print, **more)

    try:
        register_family(family())
        with pytest.raises(
            ValueError, match=r"'my-model' is a model of mine, whose memory and time cannot be planned: c"
        ):
            plan("my-model")
        register_family(family(sizes=lambda name: transformer().config))
        with pytest.raises(
            ValueError, match=r"`sizes` of the model family mine returned .*: it must return a WanConfig"
        ):
            plan("my-model")
        register_family(family(sizes=lambda name: replace(WAN_CONFIGS["wan2.1-1.3b"], num_layers=2)))
        assert plan("my-model").parameters < plan("wan2.1-1.3b").parameters
        assert find_family("my-model").name == "mine"
    finally:
        from pusa_lab.models import FAMILIES

        del FAMILIES["mine"]


@pytest.mark.parametrize("model", ["a" * 1000, "a\0b"])
def test_what_cannot_be_a_path_is_told(model):
    with pytest.raises(ValueError, match=r"^planning.plan: model is 'a.*: give a path"):
        plan(model)

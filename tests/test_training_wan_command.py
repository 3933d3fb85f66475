"""pytest tests/test_training_wan_command.py: what a user types, from a folder of clips to a LoRA that makes videos."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from wan_commands import encode, logs_of, rows, train, words_of
from wan_tiny import edit, pipeline, rewrite

import pusa_lab as pl
from pusa_lab import media
from pusa_lab.cli import main
from pusa_lab.cli.launch import processes
from pusa_lab.data import LatentCache, read_clip
from pusa_lab.training import Batch, VTAModule, add_lora
from pusa_lab.training.lora import WAN_LAYERS, frozen_mark
from pusa_lab.training.recipes import WAN_RECIPES, CacheBatches
from pusa_lab.types import Geometry
from pusa_lab.wan.folders import check_wan_folder, find_folder
from pusa_lab.wan.loading import read_transformer
from pusa_lab.wan.lora import load_lora, save_lora
from pusa_lab.wan.model import WanModel
from pusa_lab.wan.trainable import TrainableWan

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*litlogger.*"),
    pytest.mark.filterwarnings("ignore:.*in eval mode at the start.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("trained")


@pytest.fixture(scope="module")
def cache(whole, place):
    return encode(whole, place)


@pytest.fixture(scope="module")
def trained(whole, cache, place):
    """The run that others are compared with."""
    return train(whole, cache, place / "lora.safetensors", "validate_every=10")


def same(a, b):
    a, b = load_file(a), load_file(b)
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def wan(whole, name="transformer"):
    return read_transformer(check_wan_folder(find_folder(whole)), name, torch.bfloat16, None)


def loss(whole, cache, lora=None):
    """Of the clips that are learned from, at many timesteps."""
    cache = LatentCache(cache)
    model = TrainableWan(wan(whole), Geometry((4, 8, 8), 4, 3, (32, 48), 8), {"": cache.empty})
    if lora:
        load_lora(model.transformer, lora)
    module = VTAModule(model, WAN_RECIPES["paper"])
    clips = [cache[row] for row in range(len(cache) - 1)]
    batch = Batch(torch.stack([clip["latents"] for clip in clips]).float(), [clip["text"] for clip in clips])
    with torch.no_grad():
        return torch.stack([module.frame_loss(batch, -step, 0.0)[1] for step in range(1, 21)]).mean().item()


def test_from_clips_to_a_lora_that_makes_videos(whole, cache, trained, tmp_path):
    assert loss(whole, cache, trained) < 0.75 * loss(whole, cache)
    model = wan(whole)
    save_lora(model, tmp_path / "comfy.safetensors", load_lora(model, trained).name, "comfyui")
    names = set(load_file(tmp_path / "comfy.safetensors"))
    assert "diffusion_model.blocks.0.self_attn.q.lora_down.weight" in names
    how = {"size": (32, 48), "num_frames": 9, "device": "cpu", "cache": None}
    base, tuned = (WanModel.from_pretrained(whole, lora=x, **how) for x in ((), tmp_path / "comfy.safetensors"))
    a, again, b = (pl.generate(m, "a red circle", steps=3).video.astype(float) for m in (base, base, tuned))
    assert a.shape == (1, 9, 32, 48, 3) and np.array_equal(a, again)
    assert np.abs(a - b).mean() > 2


def test_a_lora_that_a_command_trained_makes_videos_by_a_command(whole, trained, tmp_path):
    def made(name, *words, save="latents"):
        how = ["--size", "32x48", "--num-frames", "9", "--steps", "2", "--device", "cpu", "--save", save]
        out = tmp_path / f"{name}.{'mp4' if save == 'both' else 'safetensors'}"
        assert main(["generate", "a red circle", "--model", str(whole), *words, *how, "--out", str(out)]) == 0
        return load_file(out.with_suffix(".safetensors"))["latents"]

    base, tuned = made("base"), made("tuned", "--lora", str(trained), "--strength", "1.4", save="both")
    assert (base - tuned).abs().mean() > 0.01
    assert torch.equal(made("none", "--lora", str(trained), "--strength", "0"), base)
    about = media.read_metadata(tmp_path / "tuned.mp4")
    assert about["options"]["lora"] == str(trained) and about["options"]["strength"] == 1.4
    model = pl.load(whole, lora=trained, strength=1.4, size=(32, 48), num_frames=9, device="cpu")
    found = pl.generate(
        model, "a red circle", schedule=torch.tensor(about["schedule"]), guidance=2.0, seed=about["seed"]
    )
    torch.testing.assert_close(found.latents, tuned)
    assert np.array_equal(read_clip(tmp_path / "tuned.mp4").shape, (9, 128, 192, 3))


def test_stopped_and_gone_on_with_it_gives_the_same_file(whole, cache, trained, tmp_path):
    part = train(whole, cache, tmp_path / "part.safetensors", "max_steps=8")
    last = logs_of(part) / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 5 and not same(part, trained)
    assert same(train(whole, cache, part, "validate_every=10", options=["--resume", last]), trained)
    assert [row["step"] for row in rows(part) if "val_loss" in row] == [9, 19]


def test_a_held_out_clip_is_watched_and_changes_nothing(whole, cache, trained, tmp_path):
    found = rows(trained)
    watched = [row for row in found if "val_loss" in row]
    assert [row["step"] for row in watched] == [9, 19]
    assert [row["step"] for row in found if "loss" in row] == [*range(20)]
    assert all({"val_loss_frame_2", "first_frame_error", "next_frame_error"} <= set(row) for row in watched)
    assert watched[1]["val_loss"] < watched[0]["val_loss"]
    videos = sorted((logs_of(trained) / "validation").iterdir())
    assert [video.name for video in videos] == ["step-000010.mp4", "step-000020.mp4"]
    made = [read_clip(video) for video in videos]
    assert made[0].shape == made[1].shape == (9, 32, 96, 3)
    left, right = (np.abs(made[0][:, :, x].astype(float) - made[1][:, :, x]).mean() for x in np.split(np.arange(96), 2))
    assert 2 * right < left  # the true clip stays but for the video's compression, what is made changes
    assert same(train(whole, cache, tmp_path / "blind.safetensors"), trained)


def test_validations_are_counted_in_steps_not_in_batches(whole, cache, tmp_path):
    out = train(
        whole,
        cache,
        tmp_path / "x.safetensors",
        "max_steps=4",
        "micro_batch_size=1",
        "validate_every=2",
        "save_every=0",
    )
    assert [row["step"] for row in rows(out) if "val_loss" in row] == [1, 3]


def test_what_is_held_out_is_in_no_batch(cache):
    found, config = LatentCache(cache), replace(WAN_RECIPES["paper"], num_val_clips=2)
    names = [clip["name"] for clip in found.manifest["clips"]]
    batches = CacheBatches(found, config)
    learned = {name for _, batch in zip(range(50), batches, strict=False) for name in batch.names}
    assert learned == set(names[:-2]) and [chunk.names for chunk in batches.chunks()] == [[n] for n in names[-2:]]


def test_averaged_weights_are_written_and_gone_on_with(whole, cache, trained, tmp_path):
    averaged = train(whole, cache, tmp_path / "ema.safetensors", "ema=0.9")
    half, whole_run = (
        load_file(x) for x in (train(whole, cache, tmp_path / "half.safetensors", "max_steps=10"), trained)
    )
    for name, got in load_file(averaged).items():  # two averages: after 10 steps and after 20
        torch.testing.assert_close(got, torch.lerp(half[name], whole_run[name], 1 - 2 / 11))
    assert not same(averaged, trained)
    part = train(whole, cache, tmp_path / "part.safetensors", "ema=0.9", "max_steps=17")
    last = ["--resume", logs_of(part) / "last.ckpt"]
    assert not same(part, averaged)
    assert same(train(whole, cache, part, "ema=0.9", options=last), averaged)


@pytest.fixture(scope="module")
def two_experts(place):
    pipeline("wan2.2-a14b").save_pretrained(place / "a14b")
    return place / "a14b"


def test_each_expert_is_trained_by_its_name(two_experts, cache, tmp_path):
    made = []
    for expert, name, bounds in (("high", "transformer", [0.875, 1.0]), ("low", "transformer_2", [0.0, 0.875])):
        out = tmp_path / f"{expert}.safetensors"
        made.append(train(two_experts, cache, out, "max_steps=2", "save_every=2", options=["--expert", expert]))
        with safe_open(out, "pt") as file:
            told = file.metadata()
        config = json.loads(told["config"])
        assert told["expert"] == name and [config["t_min"], config["t_max"]] == bounds
        names = [clip["name"] for clip in LatentCache(cache).manifest["clips"]]
        assert told["data"].startswith("/") and told["data"].endswith(f", {len(names)} clips")
        assert json.loads(told["held_out"]) == names[-config["num_val_clips"] :] and config["num_val_clips"] == 1
        base = wan(two_experts, name)
        add_lora(base, 3, WAN_LAYERS)
        assert torch.load(logs_of(out) / "last.ckpt", weights_only=True)["base"] == frozen_mark(base)
    how = {"size": (32, 48), "num_frames": 9, "device": "cpu", "cache": None}
    model = WanModel.from_pretrained(two_experts, lora=made[0], lora_low=made[1], **how)
    assert [len(reports[0].matched) for reports in model.loras] == [20, 20]


@pytest.fixture
def said(capsys, monkeypatch):
    """Runs a command that is refused, before any weights are read unless it `reads`; gives its sentence."""

    monkeypatch.setitem(sys.modules, "torchao", None)

    def say(*args, reads=False, **kwargs):
        read = read_transformer if reads else lambda *_: pytest.fail("weights were read")
        monkeypatch.setattr("pusa_lab.wan.loading.read_transformer", read)
        capsys.readouterr()
        assert main(words_of(*args, **kwargs)) == 2
        return capsys.readouterr().err

    return say


def test_experts_that_are_not_named_or_not_there(whole, two_experts, cache, tmp_path, said):
    out = tmp_path / "x.safetensors"
    assert "has two experts, which train one after the other: give --expert high or low." in said(
        two_experts, cache, out
    )
    assert "has one transformer, leave --expert out." in said(whole, cache, out, options=["--expert", "low"])
    assert not out.exists()


@pytest.mark.parametrize(
    ("changes", "options", "says"),
    [
        (["num_val_clips=5"], [], "--num-val-clips 5 of 5 clips: give fewer, so that some are left for training."),
        (
            ["num_val_clips=0", "validate_every=2"],
            [],
            "--validate-every 2, --num-val-clips 0: set --num-val-clips to 1 or more.",
        ),
        (
            ["global_batch_size=3"],
            ["--gpus", "2"],
            "--global-batch-size 3 on 2 processes with --micro-batch-size 0: give a --global-batch-size that is a mult",
        ),
        ([], ["--gpus", "0"], "--gpus 0: give a whole number of at least 1."),
        (
            ["optimizer=adamw8bit"],
            [],
            "--optimizer adamw8bit needs torchao: pip install torchao, or set --optimizer adamw.",
        ),
        (["timestep_sampler=clean_prefix(k=3)"], [], "k=3 frames of history leave none of the video's 3 to generate"),
        (["lora_rank=0"], [], "x.safetensors' for --lora-rank 0: give a name that ends in .safetensors for a LoRA,"),
        ([], ["--resume", "nowhere.ckpt"], "no checkpoint nowhere.ckpt to resume from"),
    ],
)
def test_what_does_not_fit_is_said_before_weights_are_read(whole, cache, tmp_path, said, changes, options, says):
    assert says in said(whole, cache, tmp_path / "x.safetensors", *changes, options=options)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "options", "says"),
    [
        (["optimizer=adamw8bit"], [], "--optimizer adamw8bit, --lora-rank 0: it cannot train sharded weights"),
        ([], ["--float8"], "--float8, --lora-rank 0: float8 is for weights that are not trained"),
        ([], ["--compiled"], "such blocks cannot be compiled: leave out --compiled."),
    ],
)
def test_what_all_weights_cannot_have_is_said_before(whole, cache, tmp_path, said, changes, options, says):
    assert says in said(whole, cache, tmp_path / "all", "lora_rank=0", *changes, options=options)
    assert not any(tmp_path.iterdir())


def test_a_lora_goes_on_from_its_own_run_and_base_alone(whole, folder, cache, trained, tmp_path, said):
    resume, out = ["--resume", logs_of(trained) / "last.ckpt"], tmp_path / "x.safetensors"
    assert "is of a run with --lora-rank 3, but this one has --lora-rank 4" in said(
        whole, cache, out, "lora_rank=4", options=resume
    )
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    rewrite(weights, lambda w: {k: 1.1 * v if "attn1.to_q.weight" in k else v for k, v in w.items()})
    assert "last.ckpt is of a LoRA on another base model: give the model with which its run started." in said(
        folder, cache, out, options=resume, reads=True
    )
    assert not out.exists()


def test_a_cache_of_another_codec_is_refused(folder, cache, tmp_path, said):
    edit(folder / "vae" / "config.json", latents_mean=[0.0] * 4)
    rewrite(folder / "vae" / "diffusion_pytorch_model.safetensors", lambda w: {k: 2 * v for k, v in w.items()})
    assert "encode the clips again with this model" in said(folder, cache, tmp_path / "x.safetensors", reads=True)


def test_more_gpus_than_there_are_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert processes("--gpus", 2, "train") == (2, 1)
    says = r"--gpus 3, but this host has 2 GPUs: give no more, or start `torchrun --nnodes HOSTS .*` on each of several"
    with pytest.raises(ValueError, match=says):
        processes("--gpus", 3, "train")


def test_processes_are_those_of_torchrun(monkeypatch):
    assert processes("--gpus", 3, "train") == (3, 1)
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "6"}.items():
        monkeypatch.setenv(name, value)
    assert processes("--gpus", 1, "train") == processes("--gpus", 6, "train") == (2, 3)
    for gpus in (2, 3, 7):
        with pytest.raises(ValueError, match=rf"^--gpus {gpus}, but torchrun started 6 processes: leave out --gpus\.$"):
            processes("--gpus", gpus, "train")

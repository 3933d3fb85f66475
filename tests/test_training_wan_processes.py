"""pytest tests/test_training_wan_processes.py: several processes train as one, a LoRA and all weights, by command."""

import json
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from processes import python
from safetensors.torch import load_file
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from wan_commands import encode, environment, logs_of, rows, train, words_of

import pusa_lab as pl
from pusa_lab.cli import main
from pusa_lab.data import LatentCache
from pusa_lab.training import LatentVideoDataModule, VTAModule, run
from pusa_lab.training.recipes import WAN_RECIPES, CacheBatches
from pusa_lab.types import Geometry
from pusa_lab.wan.folders import check_wan_folder, find_folder
from pusa_lab.wan.loading import read_transformer
from pusa_lab.wan.trainable import TrainableWan
from pusa_lab.wan.transformer import VTAWanTransformer3DModel

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*litlogger.*"),
    pytest.mark.filterwarnings("ignore:.*in eval mode at the start.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
]
FOUR = ["max_steps=4", "global_batch_size=4", "micro_batch_size=2", "save_every=2", "num_val_clips=2"]
"""Four clips a step: two at a time, in one process or on two."""
EIGHTBIT = Path(sys.prefix) / "eightbit"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def cache(whole, place):
    return encode(whole, place)


@pytest.fixture(scope="module")
def one(whole, cache, place):
    """A LoRA and all weights, in one process."""
    place = place / "one"
    return {
        "lora": train(whole, cache, place / "lora.safetensors", *FOUR, "validate_every=4"),
        "other": train(whole, cache, place / "other.safetensors", *FOUR, "seed=1"),
        "all": train(whole, cache, place / "all", *FOUR, "validate_every=4", "lora_rank=0"),
    }


@pytest.fixture(scope="module")
def two(whole, cache, place):
    """The same, and a run of all weights that stops and resumes, by torchrun's launcher on two processes."""
    place = place / "two"
    full, half = [*FOUR, "lora_rank=0"], place / "half"
    resume = ["--resume", logs_of(half) / "last-step=2.ckpt"]
    commands = [
        words_of(whole, cache, place / "lora.safetensors", *FOUR, "validate_every=4"),
        words_of(whole, cache, place / "all", *full, "validate_every=4"),
        words_of(whole, cache, half, *full, "max_steps=2"),
        words_of(whole, cache, place / "again", *full, options=resume),
    ]
    place.mkdir()
    done = python(f"from wan_commands import torchrun; torchrun({commands!r})")
    assert done.returncode == 0, done.stderr
    return place


def test_all_weights_make_videos_from_the_folder_that_training_wrote(whole, one, tmp_path):
    def made(name, *words):
        out, how = tmp_path / f"{name}.safetensors", ["--size", "32x48", "--num-frames", "9", "--steps", "2"]
        words = [*words, *how, "--device", "cpu", "--save", "latents", "--out", str(out)]
        assert main(["generate", "a red circle", "--model", str(whole), *words]) == 0
        return load_file(out)["latents"]

    trained = made("trained", "--transformer", str(one["all"]))
    assert (trained - made("base")).abs().mean() > 0.01
    file = one["all"] / "diffusion_pytorch_model.safetensors"
    model = pl.load(whole, transformer=file, size=(32, 48), num_frames=9, device="cpu")
    torch.testing.assert_close(pl.generate(model, "a red circle", steps=2, guidance=2.0).latents, trained)


def start(*words):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([*map(str, words)], env=environment(), **pipes)


def finish(*started):
    try:
        outputs = [child.communicate(timeout=600)[0] for child in started]
    finally:
        for child in started:
            child.kill()
            child.wait()
    assert all(child.returncode == 0 for child in started), "\n".join(words[-3000:] for words in outputs)


def same_losses(got, want):
    """All that was logged, also by frame and by timestep, and what validation measured."""
    got, want = rows(got), rows(want)
    assert len(want) > 0 and {"loss", "loss_frame_2"} <= {name for row in want for name in row}
    assert len(got) == len(want)
    for mine, its in zip(got, want, strict=True):
        assert mine == pytest.approx(its, rel=1e-4, nan_ok=True)


def error(got, want):
    """Of all numbers together: where a gradient is nearly zero, AdamW makes a whole step of its rounding."""
    a, b = (torch.cat([state[k].double().flatten() for k in sorted(state)]) for state in (got, want))
    return ((a - b).norm() / b.norm()).item()


def learned(file):
    return {k: v for k, v in load_file(file).items() if "lora_B" in k}


def same_lora(got, one):
    assert error(learned(got), learned(one["lora"])) < 5e-3 < 0.1 < error(learned(one["other"]), learned(one["lora"]))


def test_torchrun_trains_a_lora_on_two_processes_as_one(one, two):
    assert any("val_loss" in row for row in rows(one["lora"]))
    same_losses(two / "lora.safetensors", one["lora"])
    same_lora(two / "lora.safetensors", one)


def test_the_command_starts_its_own_processes(whole, cache, place, one):
    out = place / "gpus" / "lora.safetensors"
    words = words_of(whole, cache, out, *FOUR, options=["--gpus", "2"])
    code = "import runpy; runpy.run_module('pusa_lab', run_name='__main__', alter_sys=True)"
    done = python(code, *words, env=environment())  # it starts the second process as a user's does
    assert done.returncode == 0, done.stderr
    assert rows(out)[0] == pytest.approx(next(row for row in rows(one["lora"]) if "loss" in row), rel=1e-4, nan_ok=True)
    same_lora(out, one)


@pytest.mark.nightly  # two processes train by the same code, above; this adds the command, and how hosts meet
def test_two_hosts_train_as_one(whole, cache, place, one):
    out = place / "hosts" / "lora.safetensors"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meet = [*TORCHRUN, "--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port", port]
    words = ["-m", "--", "pusa_lab", *words_of(whole, cache, out, *FOUR)]
    finish(*(start(*meet, "--node-rank", rank, *words) for rank in (0, 1)))
    assert rows(out)[0] == pytest.approx(next(row for row in rows(one["lora"]) if "loss" in row), rel=1e-4, nan_ok=True)
    same_lora(out, one)


def whole_state(checkpoint, place):
    dcp_to_torch_save(checkpoint, place / "state.pt")
    return torch.load(place / "state.pt", weights_only=True)


def flat(state, name=""):
    if not isinstance(state, dict):
        return {name: state}
    return {k: v for key, value in state.items() for k, v in flat(value, f"{name}/{key}").items()}


class TestAllWeights:
    def test_two_processes_lose_what_one_loses(self, one, two):
        same_losses(two / "all", one["all"])

    def test_the_folder_is_what_a_plain_module_learns_and_diffusers_reads(self, whole, cache, two, tmp_path):
        found = LatentCache(cache)
        transformer = read_transformer(
            check_wan_folder(find_folder(whole)), "transformer", torch.bfloat16, None
        ).float()
        model = TrainableWan(transformer, Geometry((4, 8, 8), 4, 3, (32, 48), 8), {"": found.empty})
        sizes = {
            "max_steps": 4,
            "global_batch_size": 4,
            "lr": 1e-2,
            "lora_rank": 0,
            "num_val_clips": 2,
            "caption_dropout": 0.3,
        }
        config = replace(WAN_RECIPES["paper"], **sizes, micro_batch_size=2)
        before = {k: v.clone() for k, v in model.state_dict().items()}
        run(VTAModule(model, config), LatentVideoDataModule(CacheBatches(found, config)), accelerator="cpu")
        state = flat(whole_state(logs_of(two / "all") / "last-step=4.ckpt", tmp_path)["state_dict"])
        split = {k.removeprefix("/model."): v for k, v in state.items()}
        want = model.state_dict()
        assert split.keys() == want.keys()
        assert error(split, want) < 1e-4 < 0.1 < error(before, want)

        read = VTAWanTransformer3DModel.from_pretrained(two / "all", torch_dtype=torch.bfloat16).state_dict()
        assert read.keys() == {k.removeprefix("transformer.") for k in split}
        assert all(torch.equal(v, split[f"transformer.{k}"].to(v.dtype)) for k, v in read.items())
        wide = {k for k, v in load_file(two / "all" / "diffusion_pytorch_model.safetensors").items() if v.itemsize == 4}
        assert {"scale_shift_table", "condition_embedder.time_embedder.linear_1.weight"} <= wide
        assert json.loads((two / "all" / "training.json").read_text())["recipe"] == "paper"

    def test_stopped_and_gone_on_with_it_ends_the_same(self, two, tmp_path):
        states = [flat(whole_state(logs_of(two / name) / "last-step=4.ckpt", tmp_path)) for name in ("all", "again")]
        tensors = {k for k, v in states[0].items() if isinstance(v, torch.Tensor)}
        assert any("exp_avg_sq" in k for k in tensors) and states[0].keys() == states[1].keys()
        assert all(torch.equal(states[0][k], states[1][k]) for k in tensors)
        assert (two / "again" / "config.json").is_file() and not list(two.glob("*.part"))

    @pytest.mark.parametrize(
        ("name", "changes", "options", "says"),
        [
            ("all", [], [], "exists already: give a new folder for the weights."),
            ("x.safetensors", [], [], "give a name that ends in .safetensors for a LoRA, or that of a folder for all"),
            ("x", [], ["--compiled"], "--lora-rank 0 shards the weights, and such blocks cannot be compiled: leave"),
            ("x", ["ema=0.9"], [], "--lora-rank 0, --ema 0.9: sharded weights cannot be averaged, set --ema 0"),
            ("x", [], ["--resume", "{lora}"], "is of a run with --lora-rank 3, but this one has --lora-rank 0"),
            (
                "x.safetensors",
                ["lora_rank=3"],
                ["--resume", "{all}"],
                "is of a run with --lora-rank 0, but this one has",
            ),
            ("x", [], ["--logs", "{x}/logs"], "the folder of the weights: give another folder for the logs"),
        ],
    )
    def test_refusals(self, whole, cache, one, capsys, name, changes, options, says):
        place = one["all"].parent
        last = {"lora": logs_of(one["lora"]) / "last.ckpt", "all": logs_of(one["all"]) / "last-step=4.ckpt"}
        options = [word.format(**last, x=place / "x") for word in options]
        assert main(words_of(whole, cache, place / name, *FOUR, "lora_rank=0", *changes, options=options)) == 2
        assert says in capsys.readouterr().err
        assert not (place / "x").exists() and not (place / "x.safetensors").exists()


EIGHT = """
import os, sys, torch
from pathlib import Path
torch.compiler.set_stance("force_eager")
from pusa_lab.training import InMemoryDataset, LatentVideoDataModule, TrainConfig, VTAModule, run

class Frames(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(64, 64)

    def encode_text(self, prompts):
        return {}

    def forward(self, x, tau):
        return self.net(x.permute(0, 2, 1, 3, 4).flatten(2)).unflatten(2, (4, 4, 4)).permute(0, 2, 1, 3, 4)

def go(optimizer, until=20, logs=None, resume=None):
    torch.manual_seed(0)
    saved = {"save_every": 10 if logs else 0, "optimizer": optimizer}
    config = TrainConfig(max_steps=20, global_batch_size=4, warmup=5, ema=0.0, **saved)
    module = VTAModule(Frames(), config)
    begin = module.model.net.weight.detach().clone()
    module.on_train_batch_end = lambda *_: setattr(module.trainer, "should_stop", module.global_step >= until)
    videos = torch.randn(8, 4, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    run(module, LatentVideoDataModule(InMemoryDataset(videos, ["a"] * 8, 4, 0)), logs, resume, accelerator="cpu")
    return module.model.net.weight.detach(), begin

place = Path(sys.argv[1])
if not (child := os.fork()):  # so that here, as in a new process, torchao is not known when the run resumes
    whole, begin = go("adamw8bit", logs=place / "a")
    plain = go("adamw")[0]
    error = ((whole - plain).norm() / (plain - begin).norm()).item()
    assert 0 < error < 0.05, error
    (state,) = torch.load(place / "a" / "last.ckpt", weights_only=True)["optimizer_states"]
    kinds = {type(moment["exp_avg"]).__name__ for moment in state["state"].values()}
    assert kinds == {"OptimState8bit", "Tensor"}, kinds  # of weights, and of a bias of 64
    go("adamw8bit", 10, place / "b")
    torch.save(whole, place / "whole.pt")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert "torchao" not in sys.modules
assert torch.equal(go("adamw8bit", 20, place / "b", place / "b" / "last.ckpt")[0], torch.load(place / "whole.pt"))
"""


@pytest.mark.skipif(not EIGHTBIT.is_dir(), reason=f"{EIGHTBIT} has no torchao, which `make` installs there")
def test_moments_of_eight_bits_learn_as_adamw_and_go_on(tmp_path):
    done = python(f"import sys; sys.path.insert(0, {str(EIGHTBIT)!r})\n{EIGHT}", tmp_path, env=environment())
    assert done.returncode == 0, done.stderr

"""pytest tests/test_resume.py: an interrupted run resumes as if nothing had happened, and only from its own file."""

import shutil

import pytest
import torch

import small_models
from pusa_lab.training import CodecModule, LatentVideoDataModule, TrainConfig, VTAModule, add_lora
from pusa_lab.training import run as go
from pusa_lab.training.loop import Averaging
from pusa_lab.types import Geometry
from small_models.models.codec import Codec, codec_loss, initialise
from small_models.training.data import clips_of, pixel_dataset
from small_models.training.train import train

# Lightning's own, about its torch and about a loader that needs no workers.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*litlogger.*"),
    pytest.mark.usefixtures("measured_in_two_steps"),
]
SMALL = {**small_models.PRESETS["nano"]}
SMALL["dit"] = {**SMALL["dit"], "num_layers": 1, "num_attention_heads": 1, "ffn_dim": 32}
CODEC = {**small_models.CODECS["mini"], "base_dim": 4, "dim_mult": [1, 1, 2, 2], "z_dim": 3}
CONFIG = {
    "max_steps": 6,
    "global_batch_size": 4,
    "warmup": 2,
    "ema": 0.9,
    "save_every": 3,
    "timestep_sampler": "independent",
}


def stage(name, init_seed=0):
    """Module and data of a small run; a resumed one may start from another seed, as that must not matter."""
    torch.manual_seed(init_seed)
    more = {"causal": 2, "history": "own_errors(bins=2, slots=8, learned=1)"} if name == "own errors" else {}
    config = TrainConfig(**CONFIG, **more, lora_rank=2 if name == "lora" else 0)
    geometry = small_models.ToyModel(SMALL).geometry
    if name == "codec":
        geometry = Geometry(stride=(4, 8, 8), channels=3, frames=2, size=(16, 16), fps=8)
    data = LatentVideoDataModule(pixel_dataset(clips_of("nano", 32, 0, geometry, "cpu"), 4, 0, "cpu"))
    if name == "codec":
        codec = Codec(CODEC)
        initialise(codec)
        return CodecModule(codec, config, codec_loss), data
    model = small_models.ToyModel(SMALL)
    if name == "lora":
        model.load_state_dict(small_models.ToyModel(SMALL).state_dict() | frozen())
        model.text.requires_grad_(False)
        add_lora(model.dit, config.lora_rank)
    return VTAModule(model, config), data


def frozen():
    """Weights of the model that a low-rank update belongs to."""
    g = torch.Generator().manual_seed(5)
    state = small_models.ToyModel(SMALL).state_dict()
    return {k: 0.1 * torch.randn(v.shape, generator=g) for k, v in state.items() if v.is_floating_point()}


@pytest.mark.parametrize("name", ["transformer", "own errors", "lora", "codec"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, monkeypatch, name):
    monkeypatch.setattr(Averaging, "EVERY", 2)  # once before the interruption, and twice behind it

    def run(folder, until=6, resume=None):
        # Of a run of 6 steps, however many are made: the cosine must not notice the interruption.
        module, data = stage(name, init_seed=1 if resume else 0)
        start = {k: v.clone() for k, v in module.model.state_dict().items()}
        module.on_train_batch_end = lambda *_: setattr(module.trainer, "should_stop", module.global_step >= until)
        go(module, data, folder, resume, accelerator="cpu")
        return start, module.model.state_dict()

    start, whole = run(tmp_path / "a")
    run(tmp_path / "b", until=3)
    _, resumed = run(tmp_path / "b", resume=tmp_path / "b" / "last.ckpt")
    assert any(not torch.equal(whole[k], start[k]) for k in whole)
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Where the base stage left its logs."""
    place = tmp_path_factory.mktemp("base")
    train("nano", "base", place / "out", fast=True, max_steps=2, save_every=2, logs=place / "logs")
    return place / "logs"


@pytest.fixture
def last(trained, tmp_path):
    """Its checkpoint, in a copy that a test may spoil."""
    shutil.copytree(trained, tmp_path / "logs")
    return tmp_path / "logs" / "last.ckpt"


def test_a_checkpoint_of_another_stage_or_setting_is_refused(last, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "small_models.training.train.clips_of", lambda *_: pytest.fail("data were drawn before the check")
    )
    options = {"fast": True, "max_steps": 2, "logs": tmp_path / "logs", "resume": last}
    says = r"last.ckpt is of a run with .*timestep_sampler=shared.*, but this one has .*timestep_sampler=mixture"
    with pytest.raises(ValueError, match=says):
        train("nano", "vta", tmp_path / "new", **options)
    with pytest.raises(ValueError, match=r"last.ckpt is of a run with lr=0.002, but this one has lr=0.003"):
        train("nano", "base", tmp_path / "new", lr=3e-3, **options)
    assert not (tmp_path / "new").exists()


def test_a_checkpoint_of_another_model_is_refused(last):
    module = VTAModule(small_models.ToyModel(SMALL), TrainConfig(**torch.load(last, weights_only=True)["config"]))
    with pytest.raises(ValueError, match=r"last.ckpt is of another model \(they differ in model.dit.*\)"):
        go(module, [], last.parent, last, accelerator="cpu")


@pytest.mark.parametrize("contents", ["text", "nothing", "half", "weights"])
def test_a_file_that_no_run_wrote_is_refused(last, contents, tmp_path):
    wrong = tmp_path / "wrong.ckpt"
    data = {"text": b"not a checkpoint\n", "nothing": b"", "half": last.read_bytes()[: last.stat().st_size // 2]}
    if contents == "weights":
        torch.save({"state_dict": {}}, wrong)
    else:
        wrong.write_bytes(data[contents])
    with pytest.raises(ValueError, match=r"wrong.ckpt is truncated or not a checkpoint to resume from"):
        train("nano", "base", tmp_path / "new", fast=True, max_steps=2, logs=tmp_path / "logs", resume=wrong)

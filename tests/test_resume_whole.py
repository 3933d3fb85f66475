"""pytest tests/test_resume_whole.py: resumed to the weights of an uninterrupted run, or refused."""

import sys
import types
from dataclasses import replace

import pytest
import torch
from torch import nn

from pusa_lab.training import InMemoryDataset, LatentVideoDataModule, TrainConfig, VTAModule, add_lora, run
from pusa_lab.training.resume import OUTLINE, outline
from pusa_lab.types import Geometry
from small_models.training.train import train

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*litlogger.*"),
]
CONFIG = TrainConfig(
    max_steps=13,
    global_batch_size=2,
    warmup=2,
    ema=0.9,
    lr_scheduler="constant",
    timestep_sampler="independent",
    save_every=13,
)


class Tiny(nn.Module):
    """A video model of a dozen numbers."""

    geometry = Geometry((1, 1, 1), 2, 3, (2, 2), 8)
    text = codec = None

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(2, 3), nn.Linear(3, 2)

    def encode_text(self, prompts):
        return {"text": torch.zeros(len(prompts), 1)}

    def forward(self, x, tau, text):
        y = self.second(self.first(x.movedim(1, -1)).tanh()).movedim(-1, 1)
        return y + tau[:, None, :, None, None] * x


def dataset(clips=6):
    g = torch.Generator().manual_seed(4)
    return InMemoryDataset(torch.randn(clips, 2, 3, 2, 2, generator=g), ["a"] * clips, 2, 0)


def trained(folder, config=CONFIG, resume=None, data=None, about=None, until=None, report=None):
    """The weights that a run ends with; each begins elsewhere, as that must not matter to one that is resumed."""
    torch.manual_seed(1 if resume else 0)
    model = Tiny()
    if config.lora_rank:
        torch.manual_seed(3)
        model = Tiny()
        add_lora(model, config.lora_rank)
    module = VTAModule(model, config, report)
    module.about = about or {}
    if until:
        module.on_train_batch_end = lambda *_: setattr(module.trainer, "should_stop", module.global_step >= until)
    run(module, data or LatentVideoDataModule(dataset()), folder, resume, accelerator="cpu")
    return {k: v.clone() for k, v in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("change", [{}, {"max_steps": 20, "save_every": 10}, {"ema": 0.0}, {"lora_rank": 1}])
def test_resumed_at_its_end_a_run_gives_what_it_gave(tmp_path, change):
    config = replace(CONFIG, **change)
    whole = trained(tmp_path, config)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == config.max_steps
    assert same(trained(tmp_path, config, tmp_path / "last.ckpt"), whole)


def test_more_steps_give_what_a_longer_run_gives(tmp_path):
    """The average of step 13, the run's last, is not in that of a longer run."""
    short = trained(tmp_path / "a")
    longer = replace(CONFIG, max_steps=24)
    whole = trained(tmp_path / "b", longer)
    assert not same(short, whole)
    assert same(trained(tmp_path / "a", longer, tmp_path / "a" / "last.ckpt"), whole)


def test_lists_and_generators_go_on_where_they_were(tmp_path):
    batches = [batch for _, batch in zip(range(24), dataset(), strict=False)]
    config = replace(CONFIG, max_steps=24, save_every=12)
    whole = trained(tmp_path / "a", config, data=batches)
    trained(tmp_path / "b", config, data=batches, until=12)
    assert same(trained(tmp_path / "b", config, tmp_path / "b" / "last.ckpt", iter(batches)), whole)


def test_fewer_steps_than_were_taken_are_refused(tmp_path):
    trained(tmp_path)
    with pytest.raises(ValueError, match=r"last.ckpt is of step 13, but max_steps=12: give max_steps=13 or more\."):
        trained(tmp_path, replace(CONFIG, max_steps=12), tmp_path / "last.ckpt")


@pytest.mark.parametrize(
    "change", [{"ema": 0.0}, {"ema": 0.8}, {"optimizer": "adamw8bit"}, {"global_batch_size": 4}, {"seed": 1}]
)
def test_another_configuration_is_refused(tmp_path, change, monkeypatch):
    for name in ("torchao", "torchao.optim"):  # which is imported before the refusal, and not used
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    trained(tmp_path)
    name = next(iter(change))
    with pytest.raises(ValueError, match=rf"is of a run with {name}=.*, but this one has {name}="):
        trained(tmp_path, replace(CONFIG, **change), tmp_path / "last.ckpt")


def test_other_data_are_refused(tmp_path):
    trained(tmp_path, about={"data": "6 clips"})
    with pytest.raises(ValueError, match=r"is of a run with data=6 clips, but this one has data=7 clips"):
        trained(tmp_path, resume=tmp_path / "last.ckpt", about={"data": "7 clips"})
    trained(tmp_path, resume=tmp_path / "last.ckpt", about={"data": "6 clips"})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A checkpoint."""
    place = tmp_path_factory.mktemp("run")
    trained(place)
    return torch.load(place / "last.ckpt", weights_only=True)


KEYS = ["loops", "callbacks", "optimizer_states", "lr_schedulers", "state_dict", "current_model_state"]
KEYS += ["averaging_state", "config", "about", "global_step", OUTLINE]


def refused(found, tmp_path, says):
    torch.save(found, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=says):
        trained(tmp_path, resume=tmp_path / "x.ckpt")


@pytest.mark.parametrize("key", KEYS)
def test_a_checkpoint_without_a_part_or_with_another_thing_is_refused(whole, tmp_path, key):
    says = r"x.ckpt is (incomplete|of a run|truncated|of another model)"
    refused({k: v for k, v in whole.items() if k != key}, tmp_path, says)
    for value in (None, "text", 3, [], {}, [[]], {"state": 1}):
        if value == whole[key]:
            continue
        found = {**whole, key: value}
        refused(found, tmp_path, says)
        if key != OUTLINE:  # also of one who knows how its structure is written
            refused({**found, OUTLINE: outline(found)}, tmp_path, says)


def edited(tree, path, change):
    """The same tree with one leaf changed."""
    if not path:
        return change(tree)
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = edited(tree[path[0]], path[1:], change)
    return copy


MOMENTS = ("optimizer_states", 0, "state")
COUNTED = ("loops", "fit_loop", "epoch_loop.automatic_optimization.optim_progress", "optimizer", "step", "total")


@pytest.mark.parametrize(
    ("path", "change", "says"),
    [
        (MOMENTS, lambda s: {k: v for k, v in s.items() if k}, "parts of it were removed"),
        ((*MOMENTS, 0), lambda s: {k: v for k, v in s.items() if k != "exp_avg_sq"}, "parts of it were removed"),
        ((*MOMENTS, 0, "exp_avg"), lambda x: x * float("nan"), "exp_avg has numbers that are not finite"),
        (("state_dict", "model.first.weight"), lambda x: x / 0, "first.weight has numbers that are not finite"),
        (("current_model_state", "model.first.bias"), lambda x: x / 0, "first.bias has numbers that are not finite"),
        ((*COUNTED, "completed"), lambda n: n - 1, "its parts are of different steps: 13, 12"),
        ((*COUNTED, "completed"), lambda n: "13", "its parts are of different steps"),
        (("loops", "fit_loop", "epoch_progress", "total", "ready"), str, "its loops have values of wrong types"),
        (("global_step",), lambda n: 12, "its parts are of different steps: 12"),
        (("lr_schedulers", 0, "last_epoch"), lambda n: 0, "its parts are of different steps"),
        (("callbacks", "Averaging"), lambda s: {}, "it does not say how often weights were averaged"),
    ],
)
def test_a_checkpoint_that_was_changed_inside_is_refused(whole, tmp_path, path, change, says):
    refused(edited(whole, path, change), tmp_path, says)


def test_a_checkpoint_names_no_file_that_is_deleted(whole, tmp_path):
    """Lightning removes the file that its callback's state calls the best."""
    victim = tmp_path / "logs" / "mine.txt"
    victim.parent.mkdir()
    victim.write_text("dear")
    name = next(k for k in whole["callbacks"] if k.startswith("ModelCheckpoint"))
    found = edited(whole, ("callbacks", name, "best_model_path"), lambda _: str(victim))
    torch.save(found, tmp_path / "x.ckpt")
    trained(tmp_path / "logs", replace(CONFIG, max_steps=26), tmp_path / "x.ckpt")
    assert victim.read_text() == "dear"


def test_the_command_s_run_is_resumed_with_its_own_clips_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("small_models.training.train._ModelJob.measure", lambda *_: {})  # it takes most of the time
    options = {"fast": True, "max_steps": 2, "save_every": 2, "logs": tmp_path / "logs"}
    first = train("nano", "base", tmp_path / "a", **options)
    last = tmp_path / "logs" / "last.ckpt"
    again = train("nano", "base", tmp_path / "b", resume=last, **options)
    assert first.read_bytes() == again.read_bytes()
    with pytest.raises(ValueError, match=r"with data=16 clips of nano, but this one has data=17 clips of nano"):
        train("nano", "base", tmp_path / "c", resume=last, clips=17, **options)
    with pytest.raises(ValueError, match=r"data=16 clips of nano, but this one has data=16 clips of mini"):
        train("nano", "base", tmp_path / "c", resume=last, data="mini", **options)
    with pytest.raises(ValueError, match=r"last.ckpt is of step 2, but max_steps=1"):
        train("nano", "base", tmp_path / "c", resume=last, **{**options, "max_steps": 1})

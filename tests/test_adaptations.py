"""pytest tests/test_adaptations.py: what the tables train, kept between them and shared by processes."""

import importlib
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pusa_lab import training
from small_models.experiments import SMALL, Adaptation, Lab, ToyTrainer
from small_models.experiments import recipe_search as searching
from small_models.experiments import recipe_table as table
from small_models.experiments.recipe_settings import recipe_of
from small_models.experiments.sizes import Sizes
from small_models.models.i2v import NEW_LAYERS
from small_models.training import data
from small_models.training.recipes import RECIPES
from small_models.training.train import train

TINY = replace(SMALL, swept=2, prompts=2, clips=6, batch=2, budgets=(1.0,), marks=(1e-7,), brief=1e-7)
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*litlogger.*"),
]


@pytest.mark.parametrize("variant", ["rslora", "dora"])
def test_adaptations_of_every_variant_are_put_together_again(variant, tmp_path, monkeypatch):
    lab = Lab(TINY, tmp_path, "cpu")
    trainer, adaptation, seen = ToyTrainer(lab), Adaptation(rank=4, variant=variant), {}

    def run(module, data, marks, keep):
        real(module, data, marks=marks, keep=keep)
        g = torch.Generator().manual_seed(0)
        seen["x"], seen["tau"] = torch.randn(2, 3, 8, 16, 16, generator=g), torch.rand(2, 8, generator=g)
        seen["v"] = module.model(seen["x"], seen["tau"], **module.model.encode_text(["a red circle", ""])).detach()

    real = training.run
    monkeypatch.setattr(training, "run", run)
    (update,) = trainer.updates(replace(adaptation, ema=0.0), [1e-6])
    model = trainer.model(adaptation, update)
    made = model(seen["x"], seen["tau"], **model.encode_text(["a red circle", ""]))
    torch.testing.assert_close(made, seen["v"], atol=2e-3, rtol=1e-2)  # kept in half precision
    base = lab.model("base")
    assert (made - base(seen["x"], seen["tau"], **base.encode_text(["a red circle", ""]))).abs().max() > 1e-3


def test_damaged_weights_are_trained_again(tmp_path):
    trainer, adaptation = ToyTrainer(Lab(TINY, tmp_path, "cpu")), Adaptation(rank=4)
    before = {name: x.clone() for name, x in trainer.updates(adaptation, [1e-6])[0].items()}  # no longer of the file
    (path,) = (tmp_path / "weights").rglob(f"{trainer.steps(1e-6):06}.safetensors")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.warns(UserWarning, match="is damaged: it is made again and the file replaced"):
        (after,) = trainer.updates(adaptation, [1e-6])
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_clips_are_encoded_once_for_all_processes(tmp_path, monkeypatch):
    sizes = replace(TINY, preset="mini", clips=2)
    first = ToyTrainer(Lab(sizes, tmp_path, "cpu")).clips()
    monkeypatch.setattr(data, "latent_dataset", None)
    again = ToyTrainer(Lab(sizes, tmp_path, "cpu")).clips()
    assert torch.equal(first.videos, again.videos)
    assert first.captions == again.captions
    monkeypatch.setattr(data, "latent_dataset", lambda *_: pytest.fail("other clips are encoded anew"))
    with pytest.raises(pytest.fail.Exception):
        ToyTrainer(Lab(replace(sizes, seed=1), tmp_path, "cpu")).clips()


def test_processes_share_the_trainings_of_the_tables(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    ahead, begun = importlib.import_module("paper_ahead"), []

    def second(trainer, *run):
        begun.append(run)
        if len(begun) == 1:  # another process comes while the first run is in hand
            ahead.train_ahead(["recipes", "lora"], work=tmp_path, set={"preset": "nano"})

    lab = Lab(Sizes(preset="nano"), tmp_path)
    whole = ahead.runs_of(lab, ["recipes", "lora", "steps"])
    assert len({way for way, _ in whole}) == len(whole) == 3 * (3 + 4) + 3
    assert [shares[-1] for _, shares in whole] == sorted((shares[-1] for _, shares in whole), reverse=True)
    assert (Adaptation(), [1 / 40, 1 / 20, 1 / 10, 1 / 4]) in whole, "once, for both tables"
    monkeypatch.setattr(ToyTrainer, "updates", second)
    ahead.train_ahead(["recipes", "lora"], work=tmp_path, set={"preset": "nano"})
    assert begun == [*whole, *whole[1:]], "the second process passed over the run in hand"
    with pytest.raises(ValueError, match="there is no table 'recipe': choose from suite, cost"):
        ahead.train_ahead(["recipe"], work=tmp_path)


def test_the_shipped_toys_are_trained_by_the_recipe_of_the_tables():
    found = recipe_of(Sizes().recipe)
    for toy in ("mini", "nano"):
        config = RECIPES[toy, "vta"].config
        assert (config.timestep_sampler, config.weight, config.shift) == (
            found.timestep_sampler,
            found.weight,
            found.shift,
        )


@pytest.mark.parametrize(
    ("sampler", "says"),
    [
        ("clean_prefix(k=8)", "k=8 frames of history leave none of the video's 8 to generate"),
        (
            f"{table.__name__.rpartition('.')[0]}.adapt:keep_frames_clean(at=[0, 1, 2, 3, 4, 5, 6, 7])",
            "all 8 frames of a video at timestep 0",
        ),
        ("task_mixture(first=0.9)", "must sum to 1|sum to"),
    ],
)
def test_a_sampler_that_leaves_no_free_frame_is_refused_before_clips_are_drawn(sampler, says, tmp_path, monkeypatch):
    monkeypatch.setattr("small_models.training.train.split_datasets", lambda *_, **__: pytest.fail("clips were drawn"))
    with pytest.raises(ValueError, match=says):
        train("nano", "vta", tmp_path, fast=True, timestep_sampler=sampler)
    assert not list(tmp_path.iterdir())


def test_samplers_that_fit_are_left_alone():
    for fields in searching.TRAINING.values():
        for frames in (1, 2, 3, 8):
            Adaptation(**fields).config(1, 2, "cpu").check_frames(frames)


@pytest.mark.usefixtures("one_thread")
def test_dora_of_wans_way_keeps_its_new_layers(tmp_path):
    trainer = ToyTrainer(Lab(TINY, tmp_path, "cpu"))
    adaptation = Adaptation("i2v", timestep_sampler="shared", rank=4, variant="dora")
    (update,) = trainer.updates(adaptation, [1e-7])
    new = [name for name in update if re.search(NEW_LAYERS, name)]
    assert new
    model = trainer.model(adaptation, update, strength=0.0)
    for name in new:
        torch.testing.assert_close(model.get_parameter(name), update[name].float())

"""pytest tests/test_training_batches.py: what `fit` learns from: counted, checked, and never waited for."""

import lightning as L
import pytest
import torch
from lightning.fabric.utilities import move_data_to_device
from test_resume_whole import Tiny, dataset
from torch.utils.data import DataLoader

from pusa_lab.training import Batch, InMemoryDataset, LatentVideoDataModule, TrainConfig, add_lora, fit

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*litlogger.*"),
]


def taken(count):
    return [batch for _, batch in zip(range(count), dataset(), strict=False)]


def weights(data, max_steps=3, **changes):
    torch.manual_seed(0)
    model = Tiny()
    fit(
        model,
        data,
        TrainConfig(max_steps=max_steps, global_batch_size=2, warmup=1, ema=0.0, **changes),
        accelerator="cpu",
    )
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_a_list_a_generator_and_a_dataset_of_the_same_batches_train_the_same():
    wanted = weights(dataset())
    several = (LatentVideoDataModule(dataset()), taken(3), taken(5), (b for b in taken(3)), iter(dataset()))
    assert all(torch.equal(weights(data), wanted) for data in several)


def test_a_loader_is_begun_anew():
    wanted = weights([*taken(2), *taken(1)])
    assert torch.equal(weights(DataLoader(taken(2), batch_size=None)), wanted)


def test_a_dataset_of_someone_s_own_still_begins_with_its_first_batch():
    own = dataset()
    weights(own)
    assert torch.equal(next(iter(own)).x0, taken(1)[0].x0)


@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.parametrize("kind", [list, iter])
def test_too_few_batches_end_with_a_sentence(kind, count):
    says = (
        rf"^training.fit: data gave {count} batches and the run needs 3: give more batches, or a smaller max_steps\.$"
    )
    with pytest.raises(ValueError, match=says):
        weights(kind(taken(count)))


def test_parts_of_batches_are_counted_as_such():
    parts = [(b.x0[i : i + 1], b.captions[i : i + 1]) for b in taken(3) for i in range(2)]
    weights(parts, micro_batch_size=1)
    with pytest.raises(ValueError, match="data gave 5 batches and the run needs 6"):
        weights(parts[:5], micro_batch_size=1)
    with pytest.raises(
        ValueError, match="micro_batch_size=1, but an InMemoryDataset gives whole batches: set micro_batch_size=0"
    ):
        weights(dataset(), micro_batch_size=1)


def test_a_data_module_that_dries_up_is_not_waited_for():
    class Short(L.LightningDataModule):
        def train_dataloader(self):
            return iter(taken(2))

        def val_dataloader(self):
            return []

    with pytest.raises(ValueError, match="data gave no batch after step 2 of 3: give more"):
        weights(Short())


def test_what_a_generator_raises_comes_through():
    def broken():
        yield from taken(1)
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        weights(broken())


X = torch.zeros(2, 2, 3, 2, 2)


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        ((X, ["a"]), "batch 0 has 2 videos, and its captions are a list of 1 item: give one per video"),
        ((X, "ab"), "its captions are 'ab' .a str.: give one per video"),
        ((X, [1, 2]), "its captions are a list of 2 items: give one per video"),
        (X, "batch 0 is a tensor of shape .2, 2, 3, 2, 2., float32: give .latents"),
        ((X[0], ["a", "b"]), "batch 0 is .a tensor of shape .2, 3, 2, 2., float32, a list of 2 items.: give"),
        ((X.byte(), ["a", "b"]), "uint8, a list of 2 items.: give .latents .b, c, f, h, w. of floating point"),
        (
            (X[:, :1], ["a", "b"]),
            r"latents of shape \(2, 1, 3, 2, 2\) for a model of 2 channels: give latents of its codec",
        ),
        ((X * float("nan"), ["a", "b"]), "batch 0 has numbers that are not finite"),
        ((X[:0], []), "batch 0 is empty"),
        (None, "batch 0 is None: give"),
        ({"x": X}, "batch 0 is a dict of 1 item: give"),
    ],
)
def test_what_is_no_batch_is_refused(batch, says):
    with pytest.raises(ValueError, match=says):
        weights([batch] * 3)


@pytest.mark.parametrize("data", [None, 3, "batches", X, {}, object()])
def test_what_has_no_batches_is_refused(data):
    with pytest.raises(ValueError, match=r"training.fit: data is .*: give batches \(latents, captions\)"):
        weights(data)


def test_datasets_are_checked_when_they_are_made():
    broken = X.clone()
    broken[1, 0, 0, 0, 0] = float("inf")
    with pytest.raises(ValueError, match="video 1 has numbers that are not finite"):
        InMemoryDataset(broken, ["a", "b"], 1, 0)
    with pytest.raises(ValueError, match="extras\\['first'\\] does not have 2 rows: give one row per video"):
        InMemoryDataset(X, ["a", "b"], 1, 0, {"first": X[:1]})
    with pytest.raises(ValueError, match="batch=0"):
        InMemoryDataset(X, ["a", "b"], 0, 0)
    with pytest.raises(ValueError, match="train is a list of 1 item: give an InMemoryDataset"):
        LatentVideoDataModule([1])


def test_weights_that_are_not_finite_are_not_called_trained():
    with pytest.raises(ValueError, match=r"training diverged \(weights are not finite\): try lr below 1e\+38"):
        weights(dataset(), lr=1e38, max_steps=12)


class Raises:
    def __getattr__(self, name):
        raise RuntimeError(name)


@pytest.mark.parametrize("train", [range(3), [1], None, Raises()], ids=["range", "list", "none", "raises"])
def test_only_a_dataset_makes_a_data_module(train):
    with pytest.raises(ValueError, match=r"training.LatentVideoDataModule: train is .*: give an InMemoryDataset"):
        LatentVideoDataModule(train)
    with pytest.raises(
        ValueError, match=r"training.LatentVideoDataModule: val is .*: give an InMemoryDataset, or None"
    ):
        LatentVideoDataModule(dataset(), 3 if train is None else train)


@pytest.mark.parametrize(("rank", "says"), [(0, "rank=0"), (-1, "rank=-1"), ("4", "rank is '4'")])
def test_ranks_that_are_none_are_refused(rank, says):
    with pytest.raises(ValueError, match=f"training.add_lora: {says}"):
        add_lora(Tiny(), rank)
    add_lora(Tiny(), 2)
    with pytest.raises(ValueError, match="layers='nothing' matches no linear layer"):
        add_lora(Tiny(), 1, "nothing")


def test_a_batch_goes_to_the_device_and_into_pinned_memory_whole(monkeypatch):
    batch = Batch(X, ["a", torch.zeros(3)], {"first": X[:, :, :1]}, ["one", "two"])
    moved = move_data_to_device(batch, torch.device("meta"))
    assert isinstance(moved, Batch) and moved.captions[0] == "a" and moved.names == ["one", "two"]
    assert {t.device.type for t in (moved.x0, moved.captions[1], moved.extras["first"])} == {"meta"}
    assert batch.x0.device.type == "cpu"
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda t: t + 1)
    pinned = batch.pin_memory()
    assert all((t == 1).all() for t in (pinned.x0, pinned.captions[1], pinned.extras["first"]))
    assert (pinned.captions[0], pinned.names) == ("a", batch.names)


def test_a_data_module_of_someone_s_own_gives_batches():
    class Own(L.LightningDataModule):
        def __init__(self, batches):
            super().__init__()
            self.batches = batches

        def train_dataloader(self):
            return DataLoader(self.batches, batch_size=None)

        def val_dataloader(self):
            return []

    assert torch.equal(weights(Own(taken(3))), weights(dataset()))
    with pytest.raises(ValueError, match=r"the data module gave a (list|tuple) of 2 items: give training.Batch"):
        weights(Own([(batch.x0, batch.captions) for batch in taken(3)]))


@pytest.mark.parametrize("data", [dataset, lambda: taken(3), lambda: LatentVideoDataModule(dataset())])
def test_batches_of_another_size_than_configured_are_refused(data):
    says = (
        r"fit: the first batch has 2 clips, but global_batch_size=256 on 1 process needs 256: set global_batch_size=2"
    )
    with pytest.raises(ValueError, match=says):
        fit(Tiny(), data(), TrainConfig(max_steps=3, warmup=0, ema=0.0), accelerator="cpu")
    with pytest.raises(ValueError, match=r"first batch has 2 clips, but micro_batch_size=1 .*set micro_batch_size=2"):
        weights(iter(taken(6)), micro_batch_size=1)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"validate_every": 1}, r"validate_every=1, but data has no clips to validate on: give a training.Latent"),
        ({"num_val_clips": 1}, r"num_val_clips=1 is for a latent cache, but data is .*: set num_val_clips=0"),
        ({"warmup": 4}, r"warmup=4 is more than max_steps=3, so the learning rate never .*: set warmup=3 or less\."),
    ],
)
@pytest.mark.parametrize("data", [dataset, lambda: taken(3)])
def test_what_would_have_no_effect_in_training_is_refused(changes, says, data):
    config = TrainConfig(**{"max_steps": 3, "global_batch_size": 2, "warmup": 1, "ema": 0.0, **changes})
    with pytest.raises(ValueError, match=rf"^training.fit: {says}"):
        fit(Tiny(), data(), config, accelerator="cpu")


def test_a_report_that_would_never_be_called_is_refused():
    config = TrainConfig(max_steps=3, global_batch_size=2, warmup=1, ema=0.0)
    with pytest.raises(ValueError, match=r"^training.fit: report is called at validations, but validate_every=0"):
        fit(Tiny(), LatentVideoDataModule(dataset(), dataset()), config, report=lambda *_: {}, accelerator="cpu")

"""pytest tests/test_training_batches.py: what `fit` learns from: counted, checked, and never waited for."""

import lightning as L
import pytest
import torch
from test_resume_whole import Tiny, bank
from torch.utils.data import DataLoader

from pusa_lab.training import Bank, LatentVideoDataModule, TrainConfig, add_lora, fit

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*litlogger.*"),
]


def taken(count):
    return [batch for _, batch in zip(range(count), bank(), strict=False)]


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


def test_a_list_a_generator_and_a_bank_of_the_same_batches_train_the_same():
    wanted = weights(bank())
    several = (LatentVideoDataModule(bank()), taken(3), taken(5), (b for b in taken(3)), iter(bank()))
    assert all(torch.equal(weights(data), wanted) for data in several)


def test_a_loader_is_begun_anew():
    wanted = weights([*taken(2), *taken(1)])
    assert torch.equal(weights(DataLoader(taken(2), batch_size=None)), wanted)


def test_a_bank_of_someone_s_own_still_begins_with_its_first_batch():
    own = bank()
    weights(own)
    assert torch.equal(next(iter(own))[0], taken(1)[0][0])


@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.parametrize("kind", [list, iter])
def test_too_few_batches_end_with_a_sentence(kind, count):
    says = (
        rf"^training.fit: data gave {count} batches and the run needs 3: give more batches, or a smaller max_steps\.$"
    )
    with pytest.raises(ValueError, match=says):
        weights(kind(taken(count)))


def test_parts_of_batches_are_counted_as_such():
    parts = [(x[i : i + 1], captions[i : i + 1]) for x, captions in taken(3) for i in range(2)]
    weights(parts, micro_batch_size=1)
    with pytest.raises(ValueError, match="data gave 5 batches and the run needs 6"):
        weights(parts[:5], micro_batch_size=1)
    with pytest.raises(
        ValueError, match="micro_batch_size=1, but an InMemoryDataset gives whole batches: set micro_batch_size=0"
    ):
        weights(bank(), micro_batch_size=1)


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
        ((X, ["a"]), "batch 0 has 2 videos, and its captions are a list of 1: give one per video"),
        ((X, "ab"), "its captions are 'ab' .a str.: give one per video"),
        ((X, [1, 2]), "its captions are a list of 2: give one per video"),
        (X, "batch 0 is a tensor of shape .2, 2, 3, 2, 2., float32: give .latents"),
        ((X[0], ["a", "b"]), "batch 0 is .a tensor of shape .2, 3, 2, 2., float32, a list of 2.: give"),
        ((X.byte(), ["a", "b"]), "uint8, a list of 2.: give .latents .b, c, f, h, w. of floating point"),
        (
            (X[:, :1], ["a", "b"]),
            r"latents of shape \(2, 1, 3, 2, 2\) for a model of 2 channels: give latents of its codec",
        ),
        ((X * float("nan"), ["a", "b"]), "batch 0 has numbers that are not finite"),
        ((X[:0], []), "batch 0 is empty"),
        (None, "batch 0 is None: give"),
        ({"x": X}, "batch 0 is a dict of 1: give"),
    ],
)
def test_what_is_no_batch_is_refused(batch, says):
    with pytest.raises(ValueError, match=says):
        weights([batch] * 3)


@pytest.mark.parametrize("data", [None, 3, "batches", X, {}, object()])
def test_what_has_no_batches_is_refused(data):
    with pytest.raises(ValueError, match=r"training.fit: data is .*: give batches \(latents, captions\)"):
        weights(data)


def test_banks_are_checked_when_they_are_made():
    broken = X.clone()
    broken[1, 0, 0, 0, 0] = float("inf")
    with pytest.raises(ValueError, match="video 1 has numbers that are not finite"):
        Bank(broken, ["a", "b"], 1, 0)
    with pytest.raises(ValueError, match="extras\\['first'\\] does not have 2 rows: give one row per video"):
        Bank(X, ["a", "b"], 1, 0, {"first": X[:1]})
    with pytest.raises(ValueError, match="batch=0"):
        Bank(X, ["a", "b"], 0, 0)
    with pytest.raises(ValueError, match="train is a list of 1: give a Bank"):
        LatentVideoDataModule([1])


def test_weights_that_are_not_finite_are_not_called_trained():
    with pytest.raises(ValueError, match=r"training diverged \(weights are not finite\): try lr below 1e\+38"):
        weights(bank(), lr=1e38, max_steps=12)


class Raises:
    def __getattr__(self, name):
        raise RuntimeError(name)


@pytest.mark.parametrize("train", [range(3), [1], None, Raises()], ids=["range", "list", "none", "raises"])
def test_only_a_bank_makes_a_data_module(train):
    with pytest.raises(ValueError, match=r"training.LatentVideoDataModule: train is .*: give a Bank"):
        LatentVideoDataModule(train)
    with pytest.raises(ValueError, match=r"training.LatentVideoDataModule: val is .*: give a Bank, or None"):
        LatentVideoDataModule(bank(), 3 if train is None else train)


@pytest.mark.parametrize(("rank", "says"), [(0, "rank=0"), (-1, "rank=-1"), ("4", "rank is '4'")])
def test_ranks_that_are_none_are_refused(rank, says):
    with pytest.raises(ValueError, match=f"training.add_lora: {says}"):
        add_lora(Tiny(), rank)
    add_lora(Tiny(), 2)
    with pytest.raises(ValueError, match="layers='nothing' matches no linear layer"):
        add_lora(Tiny(), 1, "nothing")

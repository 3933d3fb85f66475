"""pytest tests/test_checkpoint_pairs.py: weights and card, killed at any moment, on a full disk, by two at once."""

import errno
import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import small_models
from pusa_lab import files as basic
from small_models import files
from small_models.files import read_card, read_weights
from small_models.models.zoo import CHECKPOINTS
from small_models.training.train import _ModelJob, train

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*litlogger.*"),
]


def put(path, value):
    """A checkpoint whose card says what its weights are."""
    files.write_weights(path, {"w": torch.full((3,), float(value))}, {"kind": "test"}, {"value": value})


def found(path):
    """What the weights are, and what the card says of them."""
    return read_weights(path)[1]["w"][0].item(), (read_card(path) or {})["value"]


class Killed(BaseException):
    """Nothing more happens in this process."""


@pytest.fixture
def kill(monkeypatch):
    """Kills at the n-th step on the disk: from then on every step fails, so that nothing is tidied up either."""
    real = {name: getattr(Path, name) for name in ("replace", "unlink", "write_text")}
    fsync, save = os.fsync, files.save_file

    def within(n, block):
        left = [n]

        def step(function):
            def stepped(*args, **kwargs):
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
                return function(*args, **kwargs)

            return stepped

        with monkeypatch.context() as patch:
            for name, function in real.items():
                patch.setattr(Path, name, step(function))
            patch.setattr(os, "fsync", step(fsync))
            patch.setattr(basic.shutil, "rmtree", step(shutil.rmtree))
            patch.setattr(files, "save_file", step(save))
            try:
                block()
            except Killed:
                return True
            return False

    return within


@pytest.mark.parametrize("way", ["write", "promote"])
def test_killed_at_any_step_the_pair_is_the_old_or_the_new(tmp_path, kill, way):
    seen, n, more = set(), 0, True
    while more:
        folder = tmp_path / str(n)
        path, part = folder / "toy.safetensors", folder / "toy.new.safetensors"
        put(path, 1)
        if way == "write":
            more = kill(n, lambda path=path: put(path, 2))
        else:
            put(part, 2)
            more = kill(n, lambda path=path, part=part: files.promote(part, path, {}))
        weights, card = found(path)
        assert weights == card
        seen.add(weights)
        put(path, 3)
        assert found(path) == (3, 3)
        n += 1
    assert seen == {1, 2} and n > 5
    assert {p.name for p in folder.iterdir()} == {"toy.safetensors", "toy.json"}


def test_a_card_of_other_weights_is_not_theirs(tmp_path):
    put(tmp_path / "a.safetensors", 1)
    put(tmp_path / "b.safetensors", 2)
    shutil.copy(tmp_path / "a.json", tmp_path / "b.json")
    assert read_weights(tmp_path / "b.safetensors")[1]["w"][0] == 2
    assert read_card(tmp_path / "b.safetensors") is None


@pytest.mark.parametrize("card", [True, False])
def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path, card):
    path = tmp_path / "toy.safetensors"
    put(path, 1)
    if not card:
        path.with_suffix(".json").unlink()
    whole, (inside, weights) = path.read_bytes(), read_weights(path)
    refused = 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            got = read_weights(path)
        except ValueError as error:
            assert re.search(r"toy.safetensors is (truncated|not a toy's checkpoint)", str(error))
            refused += 1
            continue
        if set(got[0]) != set(inside):  # no description, or words that are not known, which `load` refuses
            refused += 1
            continue
        assert got[0] == inside and torch.equal(got[1]["w"], weights["w"]), at
    assert refused > 0.8 * len(whole)


def test_shipped_files_are_refused_by_their_cards(tmp_path):
    for ending in (".safetensors", ".json"):
        shutil.copy((CHECKPOINTS / "nano-vta").with_suffix(ending), tmp_path)
    path = tmp_path / "nano-vta.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 4
    path.write_bytes(data)
    with pytest.raises(ValueError, match="truncated or changed"):
        small_models.load(path)


def test_weights_beyond_half_precision_are_refused(tmp_path):
    with pytest.raises(ValueError, match="w has numbers that 16 bits do not hold"):
        put(tmp_path / "toy.safetensors", 1e6)
    assert not any(tmp_path.iterdir())


@pytest.fixture
def untrained(monkeypatch):
    """What is written are the weights that a run begins with, and nothing is measured: that takes most of the time."""
    monkeypatch.setattr("small_models.training.train.run", lambda *_, **__: None)
    monkeypatch.setattr(_ModelJob, "measure", lambda *_: {})


def test_two_trainings_into_one_folder_leave_a_pair_of_one(tmp_path, monkeypatch, untrained):
    """The second begins and ends while the first is measured."""
    options = {"fast": True, "max_steps": 1}
    first = []

    def meanwhile(job, stored, name, clips):
        if not first:
            first.append(stored)
            train("nano", "base", tmp_path, seed=5, **options)
        return {}

    monkeypatch.setattr(_ModelJob, "measure", meanwhile)
    path = train("nano", "base", tmp_path, seed=4, **options)
    assert read_card(path)["config"]["seed"] == 4
    assert {p.name for p in tmp_path.iterdir()} == {"nano-base.safetensors", "nano-base.json"}
    alone = train("nano", "base", tmp_path / "alone", seed=4, **options)
    assert path.read_bytes() == alone.read_bytes()


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_at_the_end_does_not_lose_the_weights(tmp_path, monkeypatch, untrained):
    out, save = tmp_path / "out", files.save_file
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    options = {"fast": True, "max_steps": 1, "save_every": 1, "logs": tmp_path / "logs"}
    monkeypatch.setattr(files, "save_file", lambda w, p, **k: full() if p.parent == out else save(w, p, **k))
    says = r"nano-base.*cannot be written \(No space left on device\): make room.*kept as (\S+): move it to .*out\."
    with pytest.raises(OSError, match=says) as error:
        train("nano", "base", out, **options)
    kept = Path(re.search(says, str(error.value))[1])
    assert type(small_models.load(kept)) is small_models.ToyModel and not list(out.iterdir())
    monkeypatch.setattr(files, "save_file", full)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "last.ckpt").write_text("as a run leaves it")
    says = rf"could not be saved as .* either .*get it again with --resume {tmp_path}/logs/last.ckpt\.$"
    with pytest.raises(OSError, match=says):
        train("nano", "base", out, **options)


def test_a_full_disk_after_measuring_keeps_the_checkpoint(tmp_path, monkeypatch, untrained):
    monkeypatch.setattr("small_models.training.train.promote", full)
    with pytest.raises(OSError, match=r"The checkpoint is kept as (\S+\.new\.safetensors)\.") as error:
        train("nano", "base", tmp_path, fast=True, max_steps=1)
    small_models.load(re.search(r"kept as (\S+)\.$", str(error.value))[1])


def test_places_are_tried_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr("small_models.training.train.clips_of", lambda *_: pytest.fail("data were drawn"))
    (tmp_path / "file").write_text("")
    options = {"fast": True, "max_steps": 1}
    for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none"), "", "a\0b", tmp_path / ("x" * 300)):
        with pytest.raises(ValueError, match=r"small_models.train: out "):
            train("nano", "base", out, **options)
    with pytest.raises(ValueError, match=r"logs .* is a file: give a folder"):
        train("nano", "base", tmp_path / "out", logs=tmp_path / "file", **options)
    (tmp_path / "out" / "nano-base.safetensors").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"nano-base.safetensors is a folder"):
        train("nano", "base", tmp_path / "out", **options)


def test_the_description_is_one_word_of_the_header(tmp_path):
    """Of several words safetensors writes the order at random, and equal runs would give unequal files."""
    put(tmp_path / "toy.safetensors", 1)
    with safe_open(tmp_path / "toy.safetensors", "pt") as file:
        assert set(json.loads(file.metadata().pop(files.KEY))) == {"kind", files.DIGEST} and len(file.metadata()) == 1

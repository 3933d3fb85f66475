"""pytest tests/test_requests.py: digests of weights and arrays, and what a number was made with."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import pusa_lab as pl
from pusa_lab.named import DEEPEST, import_path, source_digest, spelled, spelled_back
from pusa_lab.requests import array_digest, weights_digest
from pusa_lab.sweeps.identity import code_digest
from pusa_lab.versions import device_name


def quantised(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(x, 0.5, 0, torch.quint8)


def nested():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.nested.nested_tensor([torch.rand(2), torch.rand(3)])


KINDS = {
    "float8": lambda x: x.to(torch.float8_e4m3fn),
    "bfloat16": lambda x: x.bfloat16(),
    "complex": lambda x: x * 1j,
    "bool": lambda x: x.bool(),
    "int": lambda x: (2 * x).long(),
    "sparse": lambda x: x.to_sparse(),
    "quantised": quantised,
}


def made(kind, first=0.5):
    """A tensor of a kind, of three numbers."""
    return KINDS[kind](torch.tensor([first, 0.0, 1.5]))


class Mixed(nn.Module):
    """Weights of several kinds, the one of interest between two others."""

    def __init__(self, kind):
        super().__init__()
        self.first = nn.Parameter(torch.arange(200.0))
        self.register_buffer("kind", made(kind))
        self.last = nn.Parameter(torch.arange(3.0))


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_every_kind_have_a_digest_that_a_change_changes(kind):
    found = weights_digest(Mixed(kind))
    assert weights_digest(Mixed(kind)) == found
    for name in ("first", "last"):
        changed = Mixed(kind)
        with torch.no_grad():
            changed.get_parameter(name)[0] = 7
        assert weights_digest(changed) != found
    changed = Mixed(kind)
    changed.kind = made(kind, first=0.0)
    assert weights_digest(changed) != found


def test_weights_come_to_the_host_in_one_copy_of_each_type(monkeypatch):
    copies = []
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: copies.append(self.dtype) or self)
    weights_digest(nn.Sequential(*(nn.Linear(3, 3) for _ in range(9)), nn.Linear(3, 3).double()))
    assert copies == [torch.float32, torch.float64]


def test_weights_swapped_between_layers_have_another_digest():
    layers = [nn.Linear(2, 2), nn.Linear(2, 2).double(), nn.Linear(2, 2)]
    assert weights_digest(nn.Sequential(*layers)) != weights_digest(nn.Sequential(*reversed(layers)))


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_every_kind_have_a_digest(kind):
    assert array_digest(made(kind)) == array_digest(made(kind))
    assert array_digest(made(kind)) != array_digest(made(kind, first=0.0))


def test_arrays_without_numbers_are_refused():
    with pytest.raises(
        ValueError, match=r"array is a tensor of shape \(3,\), float32, on the meta device: give an array"
    ):
        array_digest(torch.empty(3, device="meta"))
    with pytest.raises(ValueError, match="array is a nested tensor, float32: give an array whose numbers"):
        array_digest(nested())
    assert array_digest(np.ones(3, np.float32)) == array_digest(torch.ones(3))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "complex"])
def test_tensors_of_real_numbers_are_spelled_and_made_again(kind):
    tensor = made(kind)
    dense = tensor.dequantize() if tensor.is_quantized else tensor.to_dense()
    assert torch.equal(spelled_back(spelled(tensor), "the guidance"), dense.float())


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (torch.ones(3, dtype=torch.complex64), "a tensor of shape (3,), complex64"),
        (torch.empty(3, device="meta"), "a tensor of shape (3,), float32, on the meta device"),
    ],
)
def test_tensors_that_cannot_be_made_again_are_shown(tensor, text):
    assert spelled(tensor) == {"shown": text}


def test_the_digest_of_code_is_of_names_and_lines(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.py").write_text("x = 1\n")
    (tmp_path / "a" / "notes.txt").write_text("x")
    found = [code_digest(tmp_path / "a"), code_digest(tmp_path / "a" / "one.py")]
    (tmp_path / "a" / "one.py").write_text("x = 2\n")
    found += [code_digest(tmp_path / "a"), code_digest(tmp_path / "a", aside=["one.py"])]
    (tmp_path / "a" / "one.py").rename(tmp_path / "a" / "two.py")
    found.append(code_digest(tmp_path / "a"))
    assert len(set(found)) == 5 and {len(one) for one in found} == {16}
    (tmp_path / "a" / "cli").mkdir()
    (tmp_path / "a" / "cli" / "main.py").write_text("x = 1\n")
    assert code_digest(tmp_path / "a", aside=["cli"]) == found[-1] != code_digest(tmp_path / "a")


def test_a_device_is_named_by_what_it_is(monkeypatch):
    assert device_name("cpu").endswith(f" CPU, {torch.get_num_threads()} threads") and device_name("meta") == "meta"
    assert device_name("cpu", threads=False).endswith(" CPU")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device}")
    assert device_name() == "GPU cuda" and device_name("cuda:1") == "GPU cuda:1" and "CPU" in device_name("cpu")


class Hostile:
    """Fails at whatever it is asked."""

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __call__(self):
        raise RuntimeError


def test_objects_that_fail_at_everything_are_shown():
    assert source_digest(Hostile()) == "unknown" and import_path(Hostile()) == ""
    assert spelled(Hostile()) == {"shown": "Hostile"}


def test_settings_are_spelled_as_deep_as_they_are_read():
    def nested(depth, wrap, value=1.5):
        return wrap(nested(depth - 1, wrap, value)) if depth else value

    for wrap in (lambda one: [one], lambda one: {"a": one}, lambda one: partial(pl.solvers.euler, one)):
        for depth in (1, DEEPEST):
            back = spelled_back(spelled(nested(depth, wrap)), "the solver")
            assert spelled(back) == spelled(nested(depth, wrap))
        with pytest.raises(ValueError, match=r"the solver was .*, which cannot be imported"):
            spelled_back(spelled(nested(DEEPEST + 1, wrap, [1])), "the solver")
    endless = []
    endless.append(endless)
    assert "1 item" in str(spelled(endless))

"""pytest tests/test_bring_toys.py: check_model names what an adapter of a trained toy does wrong."""

import functools
import math
import re
from dataclasses import replace

import pytest

import pusa_lab as pl
import small_models


def per_frame(tau):
    return tau[:, None, :, None, None]


WRONG = [
    ("text", "does not change with the prompt", lambda m, x, tau: m(x, tau, same_text=True)),
    ("timesteps", "not their mean", lambda m, x, tau: m(x, tau.mean(1, keepdim=True).expand_as(tau))),
    (
        "timesteps",
        "frames 0, 1, 2, 3, 4 act on frames 1, 2, 3, 4, 0, shifted by 1:",
        lambda m, x, tau: m(x, tau.roll(1, 1)),
    ),
    (
        "timesteps",
        "frames 0, 1, 2, 3, 4 act on frames 4, 0, 1, 2, 3, shifted by -1:",
        lambda m, x, tau: m(x, tau.roll(-1, 1)),
    ),
    ("timesteps", "act on frames 1, 0, 2, 3, 4: give", lambda m, x, tau: m(x, tau[:, [1, 0, 2, 3, 4]])),
    ("direction", "predicts the noise, eps: return v", lambda m, x, tau: x + (1 - per_frame(tau)) * m(x, tau)),
    ("direction", "predicts the clean video, x0: return v", lambda m, x, tau: x - per_frame(tau) * m(x, tau)),
    ("direction", "returns 2 times the velocity", lambda m, x, tau: 2 * m(x, tau)),
    (
        "direction",
        r"returns 0\.(49|5|51) times .* divide its output by 0\.(49|5|51)",
        lambda m, x, tau: 0.5 * m(x, tau),
    ),
    ("direction", "from noise to data: return its negative", lambda m, x, tau: -m(x, tau)),
    ("direction", "1 is clean: call it with 1 - tau", lambda m, x, tau: m(x, 1 - tau)),
    ("direction", r"call it with tau / 1000", lambda m, x, tau: m(x, 1000 * tau)),
    ("direction", r"call it with 1000 \* tau", lambda m, x, tau: m(x, tau / 1000)),
]


@functools.cache
def loaded(name):
    """A toy that computes the same thing once, since every check of a model asks it for the same."""
    toy, known = small_models.load(name, device="cpu"), {}

    def once(function, *given):
        key = (function, *((tuple(x.shape), x.numpy().tobytes()) for x in given))
        if key not in known:
            known[key] = function(*given)
        return known[key].clone()

    for each in ("encode_video", "decode", "forward"):
        setattr(toy, each, functools.partial(once, getattr(toy, each)))
    return toy


class Around:
    """A toy whose velocity is rule(velocity of the toy, x, tau)."""

    def __init__(self, name, rule):
        self.toy, self.rule = loaded(name), rule
        self.geometry, self.device = replace(self.toy.geometry, frames=5), self.toy.device
        self.encode_text, self.encode_video, self.decode = self.toy.encode_text, self.toy.encode_video, self.toy.decode

    def __call__(self, x, tau, **cond):
        def ask(x, tau, same_text=False):
            return self.toy(x, tau, (self.encode_text(["a red circle"] * len(x)) if same_text else cond)["text"])

        return self.rule(ask, x, tau)


FEW = (0, 2, 6, 8, 11, 12)
"""Faults that are tried on a toy with a codec too, some of each kind: nano shows all, and `make nightly` tries all."""


def case(toy, number):
    marks = [pytest.mark.nightly] * (toy == "mini-vta" and number not in FEW)
    return pytest.param(toy, *WRONG[number], id=f"{WRONG[number][0]}-{number}-{toy}", marks=marks)


CASES = [case(toy, number) for number in range(len(WRONG)) for toy in ("nano-vta", "mini-vta")]


@pytest.mark.parametrize(("toy", "name", "sentence", "rule"), CASES)
def test_each_fault_of_an_adapter_of_a_toy_is_found_and_named(toy, name, sentence, rule):
    faults = pl.check_model(Around(toy, rule)).faults
    assert [fault.name for fault in faults] == [name], faults
    assert re.search(sentence, faults[0].sentence), faults


def diffusion_v(ask, x, tau):
    """The output a eps - s x0 of a diffusion model that is given x for its own a x0 + s eps, and tau for its time."""
    a, s = (0.5 * math.pi * per_frame(tau)).cos(), (0.5 * math.pi * per_frame(tau)).sin()
    return (ask(x / (a + s), (s / (a + s))[:, 0, :, 0, 0]) - (s - a) * x) / (a + s)


def test_the_v_of_a_diffusion_model_is_not_taken_for_another_direction():
    (fault,) = pl.check_model(Around("mini-vta", diffusion_v)).faults
    assert "a diffusion model's v = a eps - s x0, convert x, tau and its output" in fault.sentence

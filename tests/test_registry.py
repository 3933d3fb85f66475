"""pytest tests/test_registry.py: members by name, added by a decorator, by a call, or by another package."""

import functools
import re
import sys
from importlib.metadata import EntryPoint

import pytest
import torch

import pusa_lab as pl
from pusa_lab import registry
from pusa_lab.arguments import ArgumentError
from pusa_lab.registry import Registry, written_calls
from small_models.world import WORLDS


def half(x=1.0):
    return x / 2


def twice(x=1.0):
    return x * 2


@pytest.fixture
def numbers():
    return Registry("number", "tests.numbers", {"half": half})


def test_members_are_found_in_the_order_of_their_coming(numbers):
    assert numbers.register(twice) is twice
    numbers.register(3, "three")
    assert list(numbers.items()) == [("half", half), ("twice", twice), ("three", 3)]
    assert len(numbers) == 3
    assert numbers.find("three") == 3
    assert repr(numbers) == "Registry(number: half, twice, three)"


def test_a_cell_that_is_run_again_replaces_its_own_member(numbers):
    for value in (3, 4):
        numbers["three"] = value
    assert numbers["three"] == 4
    del numbers["three"]
    assert list(numbers) == ["half"]


@pytest.mark.parametrize(
    ("member", "name", "sentence"),
    [
        (half, None, "there is a number half already: register yours under another name"),
        (3, "", "a number was registered as '': give name=, a Python identifier"),
        (twice, "", "registered as ''"),
        (3, None, "registered as ''"),
        (3, "a b", "registered as 'a b'"),
        (lambda: 3, None, "registered as '<lambda>'"),
    ],
)
def test_names_of_others_and_names_that_cannot_be_written_are_refused(numbers, member, name, sentence):
    with pytest.raises(ValueError, match=sentence):
        numbers.register(member, name)
    assert list(numbers) == ["half"]


@pytest.mark.parametrize("name", ["third", "", "half "])
def test_an_unknown_name_is_told_with_those_there_are(numbers, name):
    with pytest.raises(ValueError, match=f"unknown number '{name}': choose one of half."):
        numbers.find(name)
    with pytest.raises(KeyError):
        numbers[name]


def test_a_member_of_another_package_is_imported_when_it_is_asked_for(numbers, monkeypatch, tmp_path):
    (tmp_path / "of_others.py").write_text("def third(x=1.0):\n    return x / 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    points = [EntryPoint("third", "of_others:third", "tests.numbers"), EntryPoint("gone", "of_nobody:f", "")]
    monkeypatch.setattr(registry, "_points_of", lambda group: {point.name: point for point in points})
    assert list(numbers) == ["half", "third", "gone"]
    assert "of_others" not in sys.modules
    assert numbers.find("third")(6) == 2
    with pytest.raises(ValueError, match=r"'gone' of another package cannot be imported .*: reinstall or uninstall"):
        numbers.find("gone")


def test_calls_are_read_from_text(numbers):
    numbers.register(twice)
    assert written_calls("half", numbers) == [(half, {})]
    assert written_calls(" half(x=-3) | twice(x=[1, 'a']) ", numbers) == [
        (half, {"x": -3}),
        (twice, {"x": [1, "a"]}),
    ]
    numbers.register(lambda x=5: x, "five")
    assert written_calls("half(x=twice(x=five))", numbers) == [(half, {"x": 10})]


@pytest.mark.parametrize(
    "text",
    [
        *("", "half(**{'x': 1})", "half(", "half half"),
        *("(" * 5000, "half()()", "half.x", "\0", "half" + " " * 2000),
    ],
)
def test_texts_that_are_no_calls_are_refused(numbers, text):
    with pytest.raises(ValueError, match="is not a name with settings, such as name"):
        written_calls(text, numbers)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("third", "unknown number 'third': choose one of half"),
        ("half | third", "unknown number 'third': choose one of half"),
        ("half(1)", "the number half takes its settings by name: write x=1."),
        ("half(y=1)", "the number half has no setting 'y': its settings are x."),
        ("none(y=1)", "the number none has no setting 'y': it has none."),
        ("none(1)", "the number none has no settings: leave 1 out."),
        ("power", "the number power needs base and exponent: set them, as in 'power(base=..., exponent=...)'"),
        (
            "power(base=2, exp=3)",
            "the number power has no setting 'exp': did you mean 'exponent'? Its settings are base, ",
        ),
        (
            "half(x=__import__('os'))",
            "the number half: x=__import__('os'): give a value as Python writes it, or a number.",
        ),
        ("half(x=open)", "the number half: x=open: give a value as Python writes it"),
        ("half(x=half(y=third))", "the number half has no setting 'y': its settings are x."),
        ("half(x=nan)", "the number half: x=nan: give finite numbers."),
        ("half(x=[1, -inf])", "the number half: x=[1, -inf]: give finite numbers."),
    ],
)
def test_settings_that_do_not_fit_are_told(numbers, text, sentence):
    def power(base, exponent):
        return base**exponent

    numbers.register(power)
    numbers.register(lambda: 3, "none")
    with pytest.raises(ArgumentError, match=re.escape(sentence)):
        written_calls(text, numbers)


def test_settings_that_a_call_inside_refuses_are_told_by_it(numbers):
    def positive(x=1):
        if x < 0:
            raise ValueError(f"x={x}: give a positive number.")

    numbers.register(positive)
    with pytest.raises(ValueError, match="x=-1: give a positive number"):
        written_calls("half(x=positive(x=-1))", numbers)


def test_a_function_without_a_signature_takes_every_setting(numbers):
    numbers.register(torch.zeros_like)
    assert written_calls("zeros_like(device='cpu')", numbers) == [(torch.zeros_like, {"device": "cpu"})]


# What a member must be.


class Late:
    def __call__(self, steps, frames):
        return torch.ones(steps, frames)


def of_one(steps):
    return steps


def sampler(batch, frames, generator=None):
    return torch.rand(batch, frames)


SIGNATURE = "(steps, frames, shift=1.0) -> noise levels (rows, f)"


@pytest.mark.parametrize(
    ("table", "member", "sentence"),
    [
        (pl.schedules.SCHEDULES, Late, f"SCHEDULES.register: Late is a class: give a function {SIGNATURE}."),
        (pl.schedules.SCHEDULES, "pyramid", f"mine is 'pyramid' (a str): give a function {SIGNATURE}."),
        (pl.schedules.SCHEDULES, of_one, f"of_one takes (steps): give a function {SIGNATURE}."),
        (pl.schedules.SCHEDULES, lambda steps, frames, lag: 0, "takes (steps, frames, lag): give a function"),
        (
            pl.schedules.SIGMAS,
            torch.ones(3),
            "SIGMAS.register: mine is a tensor of shape (3,), float32: give a function",
        ),
        (
            pl.schedules.TIMESTEP_SAMPLERS,
            sampler,
            "sampler takes (batch, frames, generator=None): give a function (setting",
        ),
        (
            pl.schedules.TIMESTEP_SAMPLERS,
            pl.schedules.timestep_samplers.shared,
            "takes (batch, frames, generator=None)",
        ),
        (
            pl.solvers.SOLVERS,
            pl.solvers.Churn,
            "SOLVERS.register: Churn is a class: give a StatefulSolver or a function",
        ),
        (
            pl.solvers.SOLVERS,
            of_one,
            "SOLVERS.register: of_one takes (steps): give a StatefulSolver or a function (den",
        ),
        (pl.guidance.GUIDERS, lambda: 0, "GUIDERS.register: mine takes (): give a function (denoiser, null=, known="),
        (pl.tasks.TASKS, pl.tasks.text_to_video(), "TASKS.register: mine is a Task: give a function (...) -> Task."),
        (pl.tasks.MODES, of_one, "MODES.register: of_one is a function: give a Mode."),
        (pl.tasks.MODES, pl.tasks.Mode, "MODES.register: Mode is a class: give a Mode."),
        (pl.losses.WEIGHTS, 3, "WEIGHTS.register: mine is 3 (an int): give a function (tau, ...) -> weights (b, f)."),
        (pl.metrics.METRICS, of_one, "METRICS.register: of_one takes (steps): give a function (clip, truth, known="),
        (WORLDS, "mini", "WORLDS.register: mine is 'mini' (a str): give a World."),
    ],
)
def test_what_cannot_be_a_member_is_refused(table, member, sentence):
    before = list(table)
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        table.register(member, None if hasattr(member, "__name__") and member.__name__.isidentifier() else "mine")
    assert str(caught.value).count("register") == 1
    assert list(table) == before


@pytest.mark.parametrize(
    ("table", "member"),
    [
        (pl.schedules.SCHEDULES, lambda steps, frames: 0),
        (pl.schedules.SCHEDULES, lambda steps, frames, **settings: 0),
        (pl.schedules.SCHEDULES, Late()),
        (pl.schedules.SCHEDULES, functools.partial(pl.schedules.pyramid, lag=2)),
        (pl.schedules.TIMESTEP_SAMPLERS, lambda: sampler),
        (pl.solvers.SOLVERS, pl.solvers.AdamsBashforth(2)),
        (pl.guidance.GUIDERS, functools.partial(pl.guidance.apg, scale=3)),
        (pl.tasks.TASKS, lambda picture, noise: 0),
        (pl.losses.WEIGHTS, torch.ones_like),
        (pl.losses.WEIGHTS, lambda tau, power: tau),
    ],
)
def test_every_other_kind_of_function_is_a_member(table, member, monkeypatch):
    monkeypatch.setattr(table, "_added", {})
    assert table.register(member, "mine") is table["mine"] is member


def test_a_member_of_another_package_that_cannot_be_one_is_told(monkeypatch, tmp_path):
    (tmp_path / "of_others_too.py").write_text("third = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("third", "of_others_too:third", "pusa_lab.schedules")
    monkeypatch.setattr(registry, "_points_of", lambda group: {"third": point})
    with pytest.raises(ValueError, match=r"the schedule third of another package is 3 .an int.: give a function"):
        pl.schedules.SCHEDULES.find("third")

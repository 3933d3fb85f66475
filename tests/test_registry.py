"""pytest tests/test_registry.py: members by name, added by a decorator, by a call, or by another package."""

import sys
from importlib.metadata import EntryPoint

import pytest

from pusa_lab import registry
from pusa_lab.registry import Registry, written_calls


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
    assert written_calls("half", numbers) == [("half", {})]
    assert written_calls(" half(x=-3) | twice(x=[1, 'a']) ", numbers) == [
        ("half", {"x": -3}),
        ("twice", {"x": [1, "a"]}),
    ]
    assert written_calls("half(x=twice(x=half))", {**numbers, "half": lambda x=5: x}) == [("half", {"x": 10})]


@pytest.mark.parametrize(
    "text",
    [
        *("", "third", "half(1)", "half(x=1, x=2)", "half(**{'x': 1})", "half(x=__import__('os'))", "half(x=open)"),
        *("(" * 5000, "half()()", "half.x", "half | third", "\0", "half(x=half(y=third))"),
    ],
)
def test_texts_that_are_no_calls_are_refused(numbers, text):
    with pytest.raises(ValueError, match="is not a name with settings, such as name"):
        written_calls(text, numbers)

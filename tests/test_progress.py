"""pytest tests/test_progress.py: bars where somebody watches, and nowhere else."""

import io
import sys

import pytest

import pusa_lab as pl
from pusa_lab import progress
from pusa_lab.progress import OPEN, SWITCH, bar

PROMPT = "a red circle moves right"


@pytest.fixture(scope="module")
def nano_vta(small_nano):
    """Any toy does here."""
    return small_nano


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """A function that makes the standard error a terminal: pytest sets its own before each test."""
    monkeypatch.setattr(progress, "_in_notebook", lambda: False)

    def made():
        monkeypatch.setattr(sys, "stderr", Terminal())
        return sys.stderr

    return made


def test_a_generation_shows_rows_and_calls_and_leaves_nothing(nano_vta, terminal):
    shown = terminal()
    pl.generate(nano_vta, PROMPT, steps=2)
    said = shown.getvalue()
    assert "sampling" in said and "/2" in said
    assert said.rstrip(" ").endswith("\r") and "\n" not in said  # the bar is removed


@pytest.mark.parametrize("how", ["argument", "environment", "file", "no tqdm"])
def test_nothing_is_shown_when_nobody_watches(nano_vta, terminal, monkeypatch, how):
    shown = terminal()
    if how == "environment":
        monkeypatch.setenv(SWITCH, "0")
    if how == "file":
        monkeypatch.setattr(shown, "isatty", lambda: False)
    if how == "no tqdm":
        monkeypatch.setattr(progress, "find_spec", lambda name: None)
    pl.generate(nano_vta, PROMPT, steps=2, progress=False if how == "argument" else None)
    assert shown.getvalue() == ""


@pytest.mark.parametrize("name", ["", *OPEN])
def test_a_notebook_that_is_executed_shows_none_and_an_open_one_does(monkeypatch, name):
    monkeypatch.setattr(progress, "_in_notebook", lambda: True)
    for other in OPEN:
        monkeypatch.delenv(other, raising=False)
    if name:
        monkeypatch.setenv(name, "1")
    assert progress.watched() is bool(name)


def test_advancing_is_counted(terminal):
    shown = terminal()
    with bar(3, "reading", "GB") as advance:
        advance(1.5, file="a")
        advance(1.5)
    assert "reading" in shown.getvalue() and "GB" in shown.getvalue()


def test_an_error_closes_the_bar(terminal):
    shown = terminal()
    with pytest.raises(KeyError), bar(3, "reading", "GB") as advance:
        advance(1)
        raise KeyError("mine")
    assert shown.getvalue().rstrip(" ").endswith("\r")


class Shown:
    """A picture of a notebook, and what has been in its place."""

    def __init__(self, first):
        self.found = [first]

    def update(self, found):
        self.found.append(found)


@pytest.fixture
def notebook(monkeypatch):
    """Pictures that a notebook shows; a function that says whether a front end has started its kernel."""
    import IPython.display

    shown = []

    def display(found, display_id):
        assert display_id
        shown.append(Shown(found))
        return shown[-1]

    def opened(is_open):
        monkeypatch.setattr(IPython.display, "display", display)
        monkeypatch.setattr(progress, "_in_notebook", lambda: True)
        for name in OPEN:
            monkeypatch.delenv(name, raising=False)
        if is_open:
            monkeypatch.setenv(OPEN[0], "1")
        return shown

    return opened


def test_a_preview_follows_the_rows_and_is_removed(nano_vta, notebook):
    import numpy as np
    from PIL import Image

    shown = notebook(True)
    result = pl.generate(nano_vta, PROMPT, steps=5, callback=pl.viz.preview(nano_vta.decode, every=2), progress=False)
    (picture,) = shown
    assert [type(one).__name__ for one in picture.found] == ["Image", "Image", "HTML"]
    assert picture.found[-1].data == ""  # after rows 2 and 4
    first = np.asarray(Image.open(io.BytesIO(picture.found[0].data)))
    assert first.shape == (128, 256, 3)
    plain = pl.generate(nano_vta, PROMPT, steps=5, progress=False)
    assert (result.video == plain.video).all()


def test_a_notebook_that_is_executed_and_a_terminal_show_no_preview(nano_vta, notebook):
    shown = notebook(False)
    pl.generate(nano_vta, PROMPT, steps=2, callback=pl.viz.preview(), progress=False)
    assert shown == []


@pytest.mark.parametrize("options", [{"every": 0}, {"frames": []}, {"decode": 3}])
def test_a_preview_of_nothing_is_refused(options):
    with pytest.raises(ValueError, match=r"viz\.preview: (every=|decode is 3)"):
        pl.viz.preview(**options)


def test_a_frame_that_is_not_there_is_told(nano_vta, notebook):
    notebook(True)
    with pytest.raises(ValueError, match="frame 8 is outside the video of 8 latent frames"):
        pl.generate(nano_vta, PROMPT, steps=2, callback=pl.viz.preview(frames=[8]), progress=False)


def test_saving_and_a_table_whose_length_is_not_known_show_bars(nano_vta, terminal, tmp_path):
    result = pl.generate(nano_vta, [PROMPT] * 2, steps=1)
    shown = terminal()
    result.save(tmp_path)
    assert "writing" in shown.getvalue() and "/2" in shown.getvalue()
    shown = terminal()
    assert list(progress.progress_bar(iter("ab"), None, "table", "row")) == ["a", "b"]
    assert "table: 0row" in shown.getvalue() and shown.getvalue().rstrip(" ").endswith("\r")

"""pytest tests/test_new_notebook.py: a new chapter has the form of a chapter from its first minute."""

import importlib.util
from pathlib import Path

import nbformat
import pytest

from pusa_lab import cli

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("build", ROOT / "notebooks" / "build.py")
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture
def clone(tmp_path, monkeypatch):
    (tmp_path / "src").mkdir()
    for path in (ROOT / "notebooks" / "chapter.template", ROOT / "notebooks" / "src" / "00_quick_tour.py"):
        where = tmp_path / path.relative_to(ROOT / "notebooks")
        where.write_text(path.read_text())
    monkeypatch.setattr("pusa_lab.cli.clone.NOTEBOOKS", tmp_path)
    return tmp_path


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def test_it_runs_at_once_and_judges_its_exercises(clone, forked_kernels):
    assert cli.main(["new-notebook", "Frames that wait"]) == 0
    path = clone / "src" / "01_frames_that_wait.py"
    notebook = build.read(path)
    assert notebook.cells[0].source.startswith("# 1 · Frames that wait")
    assert tagged(notebook, "setup")[0].source == build.setup_cell()
    answers, checks = ("my_rows = 9", "my_lag = 1.0", "my_schedule = schedule.flip(1)"), tagged(notebook, "check")
    solved = [f"{answer}\n{check.source}" for answer, check in zip(answers, checks, strict=True)]
    notebook.cells += map(nbformat.v4.new_code_cell, solved)
    done = build.execute(notebook, FAST=True)
    assert [cell.outputs[0].text for cell in tagged(done, "check")] == ["… not written yet\n"] * 3
    assert [cell.outputs[0].text for cell in done.cells[-3:]] == ["✓ right\n"] * 3


def test_the_next_one_gets_the_next_number(clone):
    for title in ("One", "Two & three"):
        assert cli.main(["new-notebook", title]) == 0
    assert sorted(p.stem for p in (clone / "src").iterdir())[1:] == ["01_one", "02_two_three"]


def test_a_title_without_letters_is_refused(clone, capsys):
    assert cli.main(["new-notebook", "?!"]) == 2
    assert "has no letters" in capsys.readouterr().err
    assert len(list((clone / "src").iterdir())) == 1


@pytest.mark.parametrize("title", ["../x", "a\\b"])
def test_a_path_is_not_a_title(clone, capsys, title):
    assert cli.main(["new-notebook", title]) == 2
    assert "holds a slash, as a path does" in capsys.readouterr().err
    assert len(list((clone / "src").iterdir())) == 1


def test_outside_a_clone_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("pusa_lab.cli.clone.NOTEBOOKS", tmp_path)
    assert cli.main(["new-notebook", "One"]) == 2
    assert "run this in the clone" in capsys.readouterr().err

"""pytest tests/test_nbval.py: every built chapter runs, prints what is stored, and judges its exercises rightly."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from answers import ANSWERS

ROOT = Path(__file__).parents[1]
BUILT = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
SMALL = ROOT / "notebooks" / "01_one_timestep_per_frame.ipynb"
COMPARED = "nbval-check-output"


def nbval(notebook, folder):
    """Run a notebook where its links lead somewhere, and compare the outputs of cells tagged `nbval-check-output`."""
    place = folder / "notebooks"
    place.mkdir()
    (place / "assets").symlink_to(ROOT / "notebooks" / "assets")
    (folder / "benchmarks").symlink_to(ROOT / "benchmarks")
    nbformat.write(notebook, place / "chapter.ipynb")
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=600", "-p", "no:cacheprovider"]
    words = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-W", "ignore", *options, "chapter.ipynb"]
    return subprocess.run(words, cwd=place, capture_output=True, text=True, timeout=1800)


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def answered(check, wrong, right):
    """The text of a cell that fails unless `check` refuses all the wrong answers and accepts the right one."""
    refused = "".join(
        f"{answer}\ntry:\n{_indent(check)}\nexcept (AssertionError, ValueError):\n    pass\n"
        f"else:\n    raise RuntimeError('accepted a wrong answer')\n"
        for answer in wrong
    )
    said = "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as said:\n"
    judged = "assert '✓ right' in said.getvalue() and 'not written yet' not in said.getvalue(), said.getvalue()"
    return f"{refused}\n{right}\n{said}{_indent(check)}\n{judged}"


def _indent(text):
    return "\n".join(f"    {line}" for line in text.splitlines())


@pytest.mark.parametrize("chapter", BUILT, ids=lambda p: p.stem)
def test_it_runs_prints_what_is_stored_refuses_wrong_answers_and_accepts_right_ones(chapter, tmp_path):
    """One run: the chapter with its exercises as stubs, and behind its last cell every exercise again with answers."""
    notebook = nbformat.read(chapter, as_version=4)
    compared, checks = tagged(notebook, COMPARED), tagged(notebook, "check")
    assert compared, "no printed result of this chapter is compared"
    assert all([o for o in cell.outputs if o.get("name") == "stdout"] for cell in compared), "nothing stored to compare"
    for cell in checks:
        assert "not written yet" in "".join(cell.outputs[0].text)
        cell.metadata["tags"] = [*cell.metadata["tags"], COMPARED]
    pairs = zip(checks, ANSWERS[chapter.stem], strict=True)
    notebook.cells += [nbformat.v4.new_code_cell(answered(check.source, *answers)) for check, answers in pairs]
    done = nbval(notebook, tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]
    code = sum(cell.cell_type == "code" for cell in notebook.cells)
    assert f"{code} passed" in done.stdout


def test_a_changed_number_fails(tmp_path):
    notebook = nbformat.read(SMALL, as_version=4)
    changed = tagged(notebook, COMPARED)[1]
    del notebook.cells[notebook.cells.index(changed) + 1 :]
    (shown,) = changed.outputs
    assert "-0.2500" in shown.text
    shown.text = shown.text.replace("-0.2500", "-0.2501")
    done = nbval(notebook, tmp_path)
    assert done.returncode == 1, done.stdout[-3000:]
    code = sum(cell.cell_type == "code" for cell in notebook.cells)
    assert f"1 failed, {code - 1} passed" in done.stdout
    assert "-0.2501" in done.stdout


def test_an_exercise_that_accepts_a_wrong_answer_fails(tmp_path):
    cell = nbformat.v4.new_code_cell(answered("assert x\nprint('✓ right')", ["x = 1"], "x = 2"))
    done = nbval(nbformat.v4.new_notebook(cells=[cell]), tmp_path)
    assert done.returncode == 1
    assert "accepted a wrong answer" in done.stdout

"""pytest tests/test_nbval.py: the built chapters run again in full, and print what is stored where it is exact."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
BUILT = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
SMALL = ROOT / "notebooks" / "01_one_clock_per_frame.ipynb"
COMPARED = "nbval-check-output"


def nbval(chapter):
    """Only cells tagged `nbval-check-output` are compared (lax); a dead kernel is noticed after a cell's time."""
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=600", "-p", "no:cacheprovider"]
    words = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-W", "ignore", *options, str(chapter)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=900)


def compared(notebook):
    return [cell for cell in notebook.cells if COMPARED in cell.metadata.get("tags", [])]


@pytest.mark.parametrize("chapter", BUILT, ids=lambda p: p.stem)
def test_it_runs_and_prints_what_is_stored(chapter):
    cells = compared(nbformat.read(chapter, as_version=4))
    assert cells, "no printed result of this chapter is compared"
    assert all([o for o in cell.outputs if o.get("name") == "stdout"] for cell in cells), "nothing stored to compare"
    done = nbval(chapter)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout


def test_a_changed_number_fails(tmp_path):
    notebook = nbformat.read(SMALL, as_version=4)
    changed = compared(notebook)[1]
    del notebook.cells[notebook.cells.index(changed) + 1 :]
    (shown,) = changed.outputs
    assert "-0.2500" in shown.text
    shown.text = shown.text.replace("-0.2500", "-0.2501")
    nbformat.write(notebook, tmp_path / SMALL.name)
    done = nbval(tmp_path / SMALL.name)
    assert done.returncode == 1, done.stdout[-3000:]
    code = sum(cell.cell_type == "code" for cell in notebook.cells)
    assert f"1 failed, {code - 1} passed" in done.stdout
    assert "-0.2501" in done.stdout

"""pytest tests/test_nbval.py: every built chapter runs, prints what is stored, and judges its exercises rightly."""

import contextlib
import os
import runpy
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "notebooks"))
import build  # noqa: E402

BUILT = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
SMALL = ROOT / "notebooks" / "01_one_timestep_per_frame.ipynb"
COMPARED = "nbval-check-output"
LONG = (
    "00_quick_tour",
    "02_the_zoo_of_schedules",
    "03_solvers_and_known_frames",
    "04_the_frame_aware_loss",
    "05_train_a_toy",
    "06_tasks_without_training",
    "08_ablations",
    "09_inside",
    "10_from_toy_to_wan",
    "11_playground",
    "12_what_the_toolkit_found",
    "13_a_day_with_your_own_clips",
    "14_videos_without_end",
)
"""With FAST here, which leaves what is compared as it is; as they are built, in `make nightly`."""
FAST = """
FAST = True
import functools
from small_models.training import train
train.measure_clips = functools.partial(train.measure_clips, steps=2)
del functools, train
"""
"""A toy that a chapter trains is measured in two steps instead of ten, as in tests/conftest.py."""
pytestmark = pytest.mark.usefixtures("forked_kernels")
RUNS = [pytest.param(path, path.stem in LONG, id=path.stem) for path in BUILT]
RUNS += [
    pytest.param(path, False, id=f"{path.stem}, whole", marks=pytest.mark.nightly)
    for path in BUILT
    if path.stem in LONG
]


class Reports(list):
    """A plugin of pytest that keeps what every cell came to."""

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            self.append(report)

    def failed(self):
        return [report.longreprtext for report in self if report.failed]


def nbval(notebook, folder):
    """Run a notebook where its links lead somewhere, and compare the outputs of cells tagged `nbval-check-output`.

    In a pytest within this one: only the chapter's kernel is a process.
    """
    place, reports = folder / "notebooks", Reports()
    place.mkdir()
    (place / "assets").symlink_to(ROOT / "notebooks" / "assets")
    (folder / "benchmarks").symlink_to(ROOT / "benchmarks")
    nbformat.write(notebook, place / "chapter.ipynb")
    plugins = ["-p", "nbval.plugin", "-p", "no:cacheprovider", "-p", "no:faulthandler", "--capture=no"]
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=1200"]
    words = ["-q", "--no-summary", "-c", os.devnull, f"--rootdir={place}", "-W", "ignore", *plugins, *options]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        with contextlib.ExitStack() as files:  # nbval leaves the null device of its kernels open
            patch.setattr(
                "nbval.kernel.open", lambda path, mode: files.enter_context(Path(path).open(mode)), raising=False
            )
            code = pytest.main([*words, str(place / "chapter.ipynb")], plugins=[reports])
    assert code == (pytest.ExitCode.TESTS_FAILED if reports.failed() else pytest.ExitCode.OK)
    return reports


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def answered(check, mistakes, right):
    """The text of a cell that fails unless `check` names every mistake with its sentence, and accepts the right one."""
    named = "".join(
        f"{answer}\ntry:\n{_indent(check)}\nexcept (AssertionError, ValueError) as error:\n"
        f"    assert {says!r} in str(error), str(error) + ', instead of ' + {says!r}\n"
        f"else:\n    raise RuntimeError('accepted a wrong answer')\n"
        for answer, says in mistakes
    )
    said = "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as said:\n"
    judged = "assert '✓ right' in said.getvalue() and 'not written yet' not in said.getvalue(), said.getvalue()"
    return f"{named}\n{right}\n{said}{_indent(check)}\n{judged}"


def exercises(name):
    """The mistakes and the right answer of each exercise of a chapter."""
    path = ROOT / "tests" / "mistakes" / f"{name}.py"
    right = [answer for _, answer in build.answers(ROOT / "notebooks" / "src" / f"{name}.py")]
    return list(zip(runpy.run_path(str(path))["MISTAKES"], right, strict=True))


def _indent(text):
    return "\n".join(f"    {line}" for line in text.splitlines())


@pytest.mark.parametrize(("chapter", "fast"), RUNS)
def test_it_runs_prints_what_is_stored_refuses_wrong_answers_and_accepts_right_ones(chapter, fast, tmp_path):
    """One run: the chapter with its exercises as stubs, and behind its last cell every exercise again with answers."""
    notebook = nbformat.read(chapter, as_version=4)
    if fast:
        tagged(notebook, "parameters")[0].source += FAST
    compared, checks = tagged(notebook, COMPARED), tagged(notebook, "check")
    assert compared, "no printed result of this chapter is compared"
    assert all([o for o in cell.outputs if o.get("name") == "stdout"] for cell in compared), "nothing stored to compare"
    for cell in checks:
        assert "not written yet" in "".join(cell.outputs[0].text)
        cell.metadata["tags"] = [*cell.metadata["tags"], COMPARED]
    pairs = zip(checks, exercises(chapter.stem), strict=True)
    notebook.cells += [nbformat.v4.new_code_cell(answered(check.source, *answers)) for check, answers in pairs]
    reports = nbval(notebook, tmp_path)
    assert not reports.failed(), reports.failed()
    assert len(reports) == sum(cell.cell_type == "code" for cell in notebook.cells)


def test_a_changed_number_fails(tmp_path):
    notebook = nbformat.read(SMALL, as_version=4)
    changed = tagged(notebook, COMPARED)[1]
    del notebook.cells[notebook.cells.index(changed) + 1 :]
    (shown,) = changed.outputs
    assert "-0.2500" in shown.text
    shown.text = shown.text.replace("-0.2500", "-0.2501")
    reports = nbval(notebook, tmp_path)
    assert len(reports) == sum(cell.cell_type == "code" for cell in notebook.cells)
    (failed,) = reports.failed()
    assert "-0.2501" in failed


def test_an_exercise_that_accepts_a_wrong_answer_fails(tmp_path):
    cell = nbformat.v4.new_code_cell(answered("assert x\nprint('✓ right')", [("x = 1", "")], "x = 2"))
    (failed,) = nbval(nbformat.v4.new_notebook(cells=[cell]), tmp_path).failed()
    assert "accepted a wrong answer" in failed


def test_a_mistake_that_gets_another_sentence_fails(tmp_path):
    text = answered("assert x == 2, 'x is odd'\nprint('✓ right')", [("x = 1", "x is even")], "x = 2")
    (failed,) = nbval(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text)]), tmp_path).failed()
    assert "x is odd, instead of x is even" in failed

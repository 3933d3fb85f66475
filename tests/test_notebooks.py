"""pytest tests/test_notebooks.py: every chapter is what its text says, and runs with other parameters."""

import ast
import importlib.util
import subprocess
from pathlib import Path

import jupytext
import nbformat
import papermill
import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "notebooks" / "src").glob("*.py"))
SHORTEST = SOURCES[1]
spec = importlib.util.spec_from_file_location("build", ROOT / "notebooks" / "build.py")
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)

# Kernels and papermill warn about their own futures.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(params=SOURCES, ids=lambda p: p.stem)
def source(request):
    return request.param


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def test_twin_has_the_same_cells(source):
    text, built = build.read(source), nbformat.read(source.parents[1] / f"{source.stem}.ipynb", as_version=4)
    for a, b in zip(text.cells, built.cells, strict=True):
        assert (a.cell_type, a.source) == (b.cell_type, b.source), "run `make notebooks`"
        assert a.metadata.get("tags", []) == b.metadata.get("tags", [])


def test_twin_is_executed_clean_and_small(source):
    path = source.parents[1] / f"{source.stem}.ipynb"
    assert path.stat().st_size < build.MOST_BYTES
    built = nbformat.read(path, as_version=4)
    nbformat.validate(built)
    assert set(built.metadata) == {"kernelspec", "language_info"}
    for cell in built.cells:
        assert set(cell.metadata) <= {"tags"}
        if cell.cell_type == "code":
            assert cell.execution_count
            assert not [o for o in cell.outputs if o.output_type == "error" or o.get("name") == "stderr"]


def test_parameters_are_literals_and_say_fast(source):
    (cell,) = tagged(jupytext.read(source), "parameters")
    values = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(cell.source).body}
    assert values["FAST"] is False
    assert "SEED" in values


def test_the_form_of_a_chapter(source):
    notebook, first = build.read(source), build.read(SOURCES[0])
    assert notebook.cells[0].source.startswith(f"# {int(source.stem[:2])} · ")
    assert tagged(notebook, "setup")[0].source == tagged(first, "setup")[0].source
    assert len(tagged(notebook, "exercise")) == len(tagged(notebook, "check")) == 3
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(code))) >= 5
    for word in ("import *", "!pip", "%matplotlib", "filterwarnings"):
        assert word not in code
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 10


@pytest.mark.parametrize(
    "chapter",
    [pytest.param(s, marks=[pytest.mark.nightly] if s != SHORTEST else []) for s in SOURCES],
    ids=lambda source: source.stem,
)
def test_papermill_runs_it_fast(chapter, forked_kernels):
    """With FAST = True, by papermill; that it runs as it is built, tests/test_nbval.py shows."""
    done = build.execute(build.read(chapter), FAST=True)
    (injected,) = tagged(done, "injected-parameters")
    assert "FAST = True" in injected.source
    for cell in tagged(done, "check"):
        assert "not written yet" in cell.outputs[0].text


def test_an_unknown_parameter_is_refused(source):
    with pytest.raises(ValueError, match="no such parameters: FATS"):
        build.execute(build.read(source), FATS=True)


def test_a_failing_chapter_leaves_the_old_one(tmp_path, monkeypatch):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "09_broken.py").write_text("# %%\nraise KeyError('broken')\n")
    (tmp_path / "09_broken.ipynb").write_text("old")
    monkeypatch.setattr(build, "HERE", tmp_path)
    with pytest.raises(papermill.PapermillExecutionError):
        build.main([])
    assert (tmp_path / "09_broken.ipynb").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["09_broken.ipynb", "src"]


@pytest.mark.parametrize("there", [set(), {"torchao"}])
@pytest.mark.parametrize("where", [".", "clone", "clone/notebooks"])
def test_the_setup_cell_finds_the_clone(tmp_path, monkeypatch, where, there):
    clone = tmp_path / "clone"
    (clone / "pusa_lab").mkdir(parents=True)
    (clone / "pusa_lab" / "__init__.py").touch()
    (clone / "notebooks").mkdir()
    called = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in there else None)
    monkeypatch.setattr(subprocess, "run", lambda words, check: called.append(words[5:]))
    monkeypatch.chdir(tmp_path / where)
    exec(tagged(build.read(SOURCES[0]), "setup")[0].source, {})
    newer = ["torchao>=0.16"] if there else []
    assert called == [[*newer, "-e", f"{clone.resolve()}[notebooks,train]"]]
    assert Path.cwd() == clone.resolve() / "notebooks"


def test_the_setup_cell_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError, match="no clone of it is in or beside"):
        exec(tagged(build.read(SOURCES[0]), "setup")[0].source, {})

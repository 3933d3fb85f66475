"""pytest tests/test_notebooks.py: every chapter is what its text says, and runs with other parameters."""

import ast
import importlib.util
import runpy
import subprocess
from pathlib import Path
from xml.etree import ElementTree

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


tagged = build.tagged


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
        assert set(cell.metadata) <= {"tags", "jupyter", "cellView"}
        folded = bool(set(cell.metadata.get("tags", [])) & build.FOLDED)
        assert ("jupyter" in cell.metadata) is folded
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


def test_no_wrapped_sum_becomes_a_bullet(source):
    for cell in build.read(source).cells:
        if cell.cell_type == "markdown":
            assert not [line for line in cell.source.splitlines() if line.lstrip().startswith("+ ")]


def test_an_unknown_parameter_is_refused(source):
    with pytest.raises(ValueError, match="no such parameters: FATS"):
        build.execute(build.read(source), FATS=True)


def test_chapters_are_built_by_name_or_number_and_others_refused(tmp_path, monkeypatch):
    (tmp_path / "src").mkdir()
    for name in ("01_a", "02_b"):
        (tmp_path / "src" / f"{name}.py").write_text("# %%\npass\n")
    monkeypatch.setattr(build, "HERE", tmp_path)
    monkeypatch.setattr(build, "execute", lambda text: text)
    build.main(["02", "02_b"])
    assert [p.name for p in tmp_path.glob("*.ipynb")] == ["02_b.ipynb"]
    with pytest.raises(SystemExit, match=r"^build.py 77: no chapter is called so; choose among 01, 01_a, 02, 02_b\.$"):
        build.main(["01", "77"])
    assert not (tmp_path / "01_a.ipynb").exists()


def test_a_failing_chapter_leaves_the_old_one(tmp_path, monkeypatch, forked_kernels):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "09_broken.py").write_text("# %%\nraise KeyError('broken')\n")
    (tmp_path / "09_broken.ipynb").write_text("old")
    monkeypatch.setattr(build, "HERE", tmp_path)
    with pytest.raises(papermill.PapermillExecutionError):
        build.main([])
    assert (tmp_path / "09_broken.ipynb").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["09_broken.ipynb", "src"]


@pytest.fixture
def bare(monkeypatch):
    """A kernel without the package, and what its setup cell asks pip for."""
    called, there = [], set()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in there else None)
    monkeypatch.setattr(subprocess, "run", lambda words, check: called.append(words[5:]))
    return called, there


@pytest.mark.parametrize("torchao", [set(), {"torchao"}])
@pytest.mark.parametrize("where", [".", "clone", "clone/notebooks"])
def test_the_setup_cell_finds_the_clone(tmp_path, monkeypatch, bare, where, torchao):
    clone = tmp_path / "clone"
    (clone / "pusa_lab").mkdir(parents=True)
    (clone / "pusa_lab" / "__init__.py").touch()
    (clone / "notebooks").mkdir()
    bare[1].update(torchao)
    monkeypatch.chdir(tmp_path / where)
    exec(build.setup_cell(), {})
    newer = ["torchao>=0.16"] if torchao else []
    assert bare[0] == [[*newer, "-e", f"{clone.resolve()}[notebooks,train]"]]
    assert Path.cwd() == clone.resolve() / "notebooks"


def test_the_setup_cell_takes_a_wheel_beside_it(tmp_path, monkeypatch, bare):
    for version in ("0.1.0", "0.2.0"):
        (tmp_path / f"pusa_lab-{version}-py3-none-any.whl").touch()
    monkeypatch.chdir(tmp_path)
    exec(build.setup_cell(), {})
    assert bare[0] == [[f"{tmp_path.resolve()}/pusa_lab-0.2.0-py3-none-any.whl[notebooks,train]"]]


def test_the_setup_cell_takes_the_address_where_one_is_set(tmp_path, monkeypatch, bare):
    (tmp_path / "pyproject.toml").write_text('[project.urls]\nRepository = "https://github.com/some/one/"\n')
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(build.setup_cell(), {})
    assert bare[0] == [["pusa-lab[notebooks,train] @ git+https://github.com/some/one"]]
    badge = "https://colab.research.google.com/github/some/one/blob/main/notebooks/00_quick_tour.ipynb"
    assert badge in build.navigation(SOURCES[0])


def test_the_setup_cell_says_what_is_missing(tmp_path, monkeypatch, bare):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError, match=r"`make wheel` in a clone writes dist/.*or a clone of the project"):
        exec(build.setup_cell(), {})


def test_papers_and_files_become_links():
    text = "Eq. 9 of arXiv 2507.16116 is in `pusa_lab/timesteps.py`; `pusa_lab/none.py` and [arXiv 2407.01392](x) stay."
    linked = build.link(text)
    assert "[arXiv 2507.16116](https://arxiv.org/abs/2507.16116)" in linked
    assert "[`pusa_lab/timesteps.py`](../pusa_lab/timesteps.py); `pusa_lab/none.py` and [arXiv 2407.01392](x)" in linked
    assert build.link(linked) == linked


@pytest.mark.parametrize("chapter", SOURCES, ids=lambda p: p.stem)
def test_a_chapter_asks_answers_and_hints(chapter):
    notebook = build.read(chapter)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    asked, answered = prose.count("**Predict"), prose.count("<details><summary>Answer</summary>")
    assert asked == answered >= 1, "every prediction has its answer, folded"
    assert prose.count("<details><summary>Hint</summary>") == 3, "every exercise has a hint"
    assert prose.count("<details>") == prose.count("</details>")
    assert 1_600 <= len(prose.split()) <= 2_800
    assert [cell.source for cell in tagged(notebook, "navigation")] == [build.navigation(chapter)] * 2
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert "nb.diagram(" in code
    alone = [line for line in code.splitlines() if "../" in line or ("assets/" in line and "nb.asset" not in line)]
    assert not [line for line in alone if not line.startswith(("IMAGE", "VIDEO", "PICTURE"))], "it runs without a clone"


@pytest.mark.parametrize("chapter", SOURCES, ids=lambda p: p.stem)
def test_the_answers_are_of_this_chapter(chapter):
    built = nbformat.read(ROOT / "notebooks" / "answers" / f"{chapter.stem}.ipynb", as_version=4)
    nbformat.validate(built)
    assert [cell.source for cell in tagged(built, "exercise")] == [code for _, code in build.answers(chapter)]
    assert [cell.source for cell in tagged(built, "check")] == [c.source for c in tagged(build.read(chapter), "check")]
    assert all("✓ right" in str(cell.outputs) for cell in tagged(built, "check"))
    mistakes = runpy.run_path(str(ROOT / "tests" / "mistakes" / f"{chapter.stem}.py"))["MISTAKES"]
    assert len(mistakes) == 3
    assert min(map(len, mistakes)) >= 3
    assert all(says for exercise in mistakes for _, says in exercise), "each is named by a sentence of its own"


def test_the_diagrams_are_what_their_code_draws():
    spec = importlib.util.spec_from_file_location("svg", ROOT / "notebooks" / "diagrams" / "svg.py")
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)
    assert drawing.names() == sorted(path.stem for path in drawing.SVG.glob("*.svg"))
    for name in drawing.names():
        text = (drawing.SVG / f"{name}.svg").read_text()
        assert text == drawing.make(name), f"run python notebooks/diagrams/svg.py {name}"
        root = ElementTree.fromstring(text)
        assert float(root.get("width")) <= 760
        sizes = [float(node.get("font-size")) for node in root.iter("{http://www.w3.org/2000/svg}text")]
        assert min(sizes) >= 13

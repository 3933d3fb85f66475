"""pytest tests/test_course.py: the course index is of these chapters, its pictures and links are there."""

import importlib.util
import re
import sys
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.artefact

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
BUILT = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
INDEX = (NOTEBOOKS / "README.md").read_text()


@pytest.fixture(scope="module")
def index():
    sys.path.insert(0, str(NOTEBOOKS))  # it imports build.py beside it
    spec = importlib.util.spec_from_file_location("index", NOTEBOOKS / "index.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(NOTEBOOKS))
    return module


@pytest.mark.parametrize("path", BUILT, ids=lambda p: p.stem)
def test_every_chapter_has_a_picture_a_sentence_and_a_row(index, path):
    notebook = nbformat.read(path, as_version=4)
    title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    assert f"### [{title}]({path.name})\n\n![{title}](assets/{path.name[:2]}.png)" in INDEX
    assert f"\n{index.CHAPTERS[path.stem][0]}\n" in INDEX
    asserts, exercises = index.counts(notebook)
    assert exercises == 3
    assert re.search(rf"^\| \[{re.escape(title)}\]\({path.name}\) \|(?: .* \|)? {asserts} \| 3 \|$", INDEX, re.M)
    assert 0 < (NOTEBOOKS / "assets" / f"{path.name[:2]}.png").stat().st_size < 60_000


def test_a_chapter_without_a_sentence_is_told_before_anything_runs(index, monkeypatch):
    monkeypatch.delitem(index.CHAPTERS, BUILT[0].stem)
    monkeypatch.setattr(sys, "argv", ["index.py", "--times"])
    with pytest.raises(ValueError, match=f"chapter {BUILT[0].stem} has no sentence yet"):
        index.main()


def test_three_ways_lead_through_the_chapters(index):
    assert len(index.PATHS) == 3
    for reader, (question, path) in index.PATHS.items():
        (line,) = re.findall(rf"^- \*\*{reader}\.\*\* {re.escape(question)}.*$", INDEX, re.M)
        assert re.findall(r"\]\((\d\d)_\w+\.ipynb\)", line) == path.split()
    assert {number for _, path in index.PATHS.values() for number in path.split()} == {n[:2] for n in index.CHAPTERS}


def test_all_chapters_together_stay_small():
    assert sum(path.stat().st_size for path in BUILT) < 10_000_000


@pytest.mark.parametrize("path", BUILT, ids=lambda p: p.stem)
def test_headings_go_down_one_by_one_and_links_lead_somewhere(path):
    texts = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    levels = [len(mark) for text in texts for mark in re.findall(r"^(#+) ", text, re.M)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    for text in texts:
        for label, target in re.findall(r"!?\[([^\]]*)\]\((?!http)([^)#]+)", text):
            assert label, f"a link without words to {target}"
            assert (NOTEBOOKS / target).exists(), target

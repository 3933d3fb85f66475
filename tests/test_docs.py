"""pytest tests/test_docs.py: on README and every page of docs/, commands and code run, links lead somewhere, pictures
are of these results."""

import math
import re
import shlex
import subprocess
import sys
from functools import partial
from itertools import pairwise

import matplotlib
import pytest
from pages import ALL, DOCS, PAGES, ROOT, anchors, blocks, commands, links, name, text, without_code
from PIL import Image

from pusa_lab.cli import main
from small_models.training import train as training

matplotlib.use("Agg")

LINES = [(name(page), line) for page in PAGES for line in commands(name(page))]
RUN_ELSEWHERE = {"bring_your_model", "extending", "own_clips", "results", "sweep"}
"""Pages whose code is run in order by a test file of their own."""
CODE = [
    (name(page), at, code)
    for page in PAGES
    if page.stem not in RUN_ELSEWHERE
    for at, code in enumerate(blocks(name(page), "python"))
]
ASSETS = ROOT / "docs" / "assets"
pytestmark = [
    pytest.mark.artefact,
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*does not have many workers.*"),
]


def test_every_command_is_known():
    assert len(LINES) >= 29
    assert len({line for _, line in LINES if line.startswith("pusa-lab")}) >= 15
    assert {shlex.split(line)[0] for _, line in LINES} == {"make", "pusa-lab"}


@pytest.mark.parametrize("line", sorted({line for _, line in LINES if line.startswith("make")}))
def test_make_commands_exist(line):
    done = subprocess.run([*shlex.split(line), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_target_of_the_makefile_is_on_the_page_of_commands():
    targets = set(re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split())
    listed = {shlex.split(line)[1] for _, line in LINES if line.startswith("make")}
    assert targets - {"notebooks", "clean"} <= listed


@pytest.mark.parametrize(
    "line", sorted({line for _, line in LINES if line.startswith("pusa-lab") and " all" not in line})
)
def test_pusa_lab_commands_run(line, tmp_path, monkeypatch):
    words = [str(ROOT / w) if w.startswith("notebooks/") else w for w in shlex.split(line)[1:]]
    if "train" in words:
        words += ["--max-steps", "2", *(["--clips", "2"] if "--fast" in words else [])]
        monkeypatch.setattr(training, "measure", partial(training.measure, steps=2))
    if "--small" in words:
        words += ["--set.swept", "2", "--set.steps", "[1, 2, 3]"]
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0


@pytest.mark.parametrize(("page", "at", "code"), CODE, ids=[f"{page}-{at}" for page, at, _ in CODE])
def test_python_runs(page, at, code, monkeypatch):
    monkeypatch.chdir(ROOT)
    exec(compile(code, page, "exec"), {})


def test_code_is_not_left_out():
    assert len(CODE) >= 3
    for stem in RUN_ELSEWHERE:
        assert any(f'"{stem}.md"' in path.read_text() for path in (ROOT / "tests").glob("test_*.py")), stem


@pytest.mark.parametrize("page", ALL, ids=name)
def test_links_lead_somewhere_and_say_where(page):
    for words, target in links(name(page)):
        assert words.strip(), f"a link or picture without words: {target}"
        path, _, anchor = target.partition("#")
        place = page.parent / path if path else page
        assert place.exists(), target
        if anchor:
            assert anchor in anchors(place), f"{target}: its headings are {sorted(anchors(place))}"


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "bring_your_model.md"], ids=name)
def test_pages_are_of_a_length_to_read(page):
    assert len(text(name(page)).splitlines()) <= 300


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_headings_go_down_one_by_one(page):
    levels = [len(mark) for mark in re.findall(r"^(#+) ", without_code(name(page)), re.M)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_the_index_has_every_page():
    told = {target.split("#")[0] for _, target in links("docs/README.md")}
    assert {page.name for page in DOCS} - {"README.md"} <= told


def test_every_file_in_the_map_exists():
    block = re.search(r"## Map\n\n```\n(.*?)```", text("docs/map.md"), re.S)[1]
    package, named = None, set()
    for line in block.splitlines():
        if found := re.match(r"(\w+)/", line):
            package = found[1]
        elif found := re.match(r"  (\w+(?:\.py|/))", line):
            named.add(f"{package}/{found[1].rstrip('/')}")
            assert (ROOT / package / found[1]).exists(), line
    for file in re.findall(r"(\w+\.py)\b", block):
        assert list(ROOT.glob(f"*/{file}")) + list(ROOT.glob(f"*/*/{file}")), file
    rooms = {f"pusa_lab/{p.name}" for p in (ROOT / "pusa_lab").iterdir()}
    rooms -= {f"pusa_lab/{file}" for file in ("__init__.py", "__main__.py", "__pycache__")}
    assert rooms == {file for file in named if file.startswith("pusa_lab/")}


@pytest.fixture(scope="module")
def figures():
    """The registry of pictures, and the module that writes them."""
    sys.path.insert(0, str(ASSETS))  # its files import each other
    import drawing
    import figures  # noqa: F401

    sys.path.remove(str(ASSETS))
    return drawing


def test_every_picture_has_its_code_and_is_shown(figures):
    drawn = {path.stem for path in ASSETS.glob("*.png")}
    taken = re.search(r"docs/assets/(\w+)\.png", (ROOT / "benchmarks" / "playground.py").read_text())[1]
    assert drawn == {*figures.FIGURES, taken}
    shown = {target for page in PAGES for _, target in links(name(page))}
    assert {f"{stem}.png" for stem in drawn} <= {target.rsplit("/", 1)[-1] for target in shown}
    assert all(path.stat().st_size < 200_000 for path in ASSETS.glob("*.png"))


def test_pictures_are_of_these_results(figures):
    """A result that is measured again asks for its picture to be drawn again."""
    from_results = {stem: sources for stem, (_, sources) in figures.FIGURES.items() if sources}
    assert len(from_results) >= 5
    for stem, sources in from_results.items():
        with Image.open(ASSETS / f"{stem}.png") as picture:
            held = picture.text["Source"]
        assert held == figures.digests(sources), f"python docs/assets/figures.py {stem}"


@pytest.mark.parametrize("stem", ["wan", "toy", "exact", "own_clips"])
def test_pictures_can_be_drawn_again(stem, figures, tmp_path):
    with Image.open(figures.write(stem, tmp_path)) as again, Image.open(ASSETS / f"{stem}.png") as shipped:
        assert again.size == shipped.size


def test_solvers_end_at_the_exact_covariance_with_their_order(figures):
    """What docs/idea.md says of the picture: Euler's error falls with the calls, the others' with their square."""
    for solver, order in (("euler", 1), ("ab2", 2), ("heun", 2)):
        (few, large), (many, small) = (sys.modules["gallery"].miss(solver, steps) for steps in (64, 256))
        assert small < large
        assert abs(math.log(large / small) / math.log(many / few) - order) < 0.2


def test_the_animation_moves_and_is_small():
    path = ASSETS / "timesteps.webp"
    assert path.stat().st_size < 1_500_000
    with Image.open(path) as picture:
        assert picture.n_frames >= 30 and picture.is_animated and picture.width <= 1000

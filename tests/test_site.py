"""pytest tests/test_site.py: the sources of the site are whole, links are turned, and what is missing is told."""

import ast
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.artefact

ROOT = Path(__file__).parents[1]
SITE = ROOT / "site"
FILES = [path for package in ("pusa_lab", "small_models") for path in sorted((ROOT / package).rglob("*.py"))]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in FILES
    if not path.stem.startswith("_") or path.stem == "__init__"
}


@pytest.fixture(scope="module", autouse=True)
def found():
    """The site's own modules can be imported."""
    sys.path.insert(0, str(SITE))
    yield
    sys.path.remove(str(SITE))


@pytest.fixture(scope="module")
def sources(found):
    import site_pages

    return site_pages.sources(playground=True)[0]


@pytest.fixture
def clone(found, tmp_path, monkeypatch):
    """A clone in miniature, with one chapter."""
    import site_front
    import site_links
    import site_pages

    for module in (site_front, site_links, site_pages):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    for name in ("notebooks/src/00_first.py", "notebooks/assets/00.png", "docs/idea.md", "notes/text.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "notebooks" / "README.md").write_text("# The course\n")
    write_chapter(tmp_path, {"cell_type": "code", "source": ["1"], "metadata": {}, "outputs": [{"data": {}}]})
    return tmp_path


def write_chapter(clone, *cells):
    title = {"cell_type": "markdown", "source": ["# First\n"], "metadata": {}}
    (clone / "notebooks" / "00_first.ipynb").write_text(json.dumps({"cells": [title, *cells], "metadata": {}}))


def cell(**metadata):
    return {"cell_type": "code", "source": ["1"], "metadata": metadata, "outputs": []}


def test_every_chapter_and_every_page_of_the_clone_is_on_the_site(sources):
    chapters = [path.name for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")]
    assert len(chapters) >= 12
    assert {f"notebooks/{name}" for name in chapters} <= sources.keys()
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= sources.keys()
    assert {"index.md", "README.md", "notebooks/README.md", "benchmarks/README.md"} <= sources.keys()


def test_every_table_and_benchmark_has_a_page_with_how_it_was_measured(sources):
    tables = [path for path in (ROOT / "small_models/results/paper").glob("*.md") if path.stem != "README"]
    benchmarks = [*(ROOT / "benchmarks/results").glob("*.json")]
    assert len(tables) >= 10 and len(benchmarks) >= 10
    for path in [*tables, *benchmarks]:
        text = sources[str(path.relative_to(ROOT).with_suffix(".md"))]
        assert re.search(r"^- \*\*command\*\*: `.+`$", text, re.M), path
        assert re.search(r"^- \*\*date\*\*: 20\d\d-", text, re.M), path


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_has_a_place_in_the_reference(sources, module):
    text = sources[f"api/{module}.md"]
    for node in ast.parse(MODULES[module].read_text()).body:
        named = [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
        named += [one.id for one in getattr(node, "targets", ()) if isinstance(one, ast.Name)]
        named += [node.target.id] if isinstance(node, ast.AnnAssign) else []
        for name in (name for name in named if not name.startswith("_")):
            assert re.search(rf"^:+\{{py:\w+\}} {name}(\(|$)", text, re.M), name


def test_the_contents_name_every_page_to_read_once(sources):
    blocks = re.findall(r"^```\{toctree\}\n(.*?)^```", sources["index.md"], re.S | re.M)
    listed = [line for block in blocks for line in block.splitlines() if line.startswith("/")]
    assert len(listed) == len({*listed})
    read = [name for name in sources if re.match(r"(docs/\w+\.md|notebooks/\d\d_\w+\.ipynb)$", name)]
    assert {f"/{name.rpartition('.')[0]}" for name in read} - {"/docs/README"} <= {*listed}


def test_signatures_are_as_in_the_source(sources):
    text = sources["api/pusa_lab.losses.md"]
    (line,) = re.findall(r"^:+\{py:function\} fafm_loss\(.*$", text, re.M)
    assert "denoiser: pusa_lab.types.Denoiser" in line and "tau: pusa_lab.types.Tau" in line
    assert ":canonical: \"Float[Tensor, 'b f']\"" in sources["api/pusa_lab.types.md"]


def test_docstrings_keep_their_equations_and_show_every_character(found):
    import site_reference

    text = "Noise a clip.\n\nx_t = a x_s, 0 <= a\nb = 1 - a\n\nIn `**cond` as it is, <any> of them."
    shown = site_reference.prose(text)
    assert "x\\_t = a x\\_s, 0 \\<= a\\\nb = 1 - a" in shown
    assert "`**cond` as it is, \\<any\\> of" in shown


@pytest.mark.parametrize(
    ("page", "text", "turned"),
    [
        ("docs/idea.md", "[a](../pusa_lab/samplers.py)", "[a](../api/pusa_lab.samplers.md)"),
        ("docs/idea.md", "[a](../pusa_lab/wan/lora/)", "[a](../api/pusa_lab.wan.lora.md)"),
        ("docs/idea.md", "[`a`](../pusa_lab/losses.py#bell)", "[`a`](../api/pusa_lab.losses.md#pusa_lab.losses.bell)"),
        ("docs/idea.md", "[a](../pusa_lab/losses.py#L12)", "[a](../api/pusa_lab.losses.md)"),
        ("docs/idea.md", "[a](toy.md#x-y) [b](#z) [c](https://x.org/a.py)", None),
        ("README.md", "[a](notebooks/)", "[a](notebooks/README.md)"),
        ("README.md", "[a](Makefile)", "[a](files/Makefile.md)"),
        ("docs/idea.md", "[a](../benchmarks/core.py)", "[a](../files/benchmarks/core.py.md)"),
        ("docs/idea.md", "`[a](nowhere.md)`\n\n```\n[a](nowhere.md)\n```\n", None),
        ("docs/idea.md", '<a href="toy.md#x">a</a>', '<a href="toy.html#x">a</a>'),
        ("README.md", '<img width="3" src="docs/assets/zoo.png">', None),
        ("README.md", "[![In Colab](https://c.org/b.svg)](https://c.org/n)", "[In Colab](https://c.org/n)"),
    ],
)
def test_links_are_turned(found, page, text, turned):
    import site_links
    import site_pages

    links = site_links.Links({*site_pages.found(*site_pages.PAGES)}, set())
    assert links.rewritten(text, page) == (text if turned is None else turned)


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ("[a](gone.md)", r"docs/idea.md links to gone.md, which is not in the clone: mend the link, or add the file"),
        ("![a](assets/gone.png)", r"docs/idea.md links to assets/gone.png, which is not in the clone"),
        ("[a](../../away.md)", r"docs/idea.md links to ../../away.md, which is not in the clone"),
    ],
)
def test_links_to_nowhere_are_told_with_their_page(clone, link, sentence):
    from site_links import Links, SiteError

    with pytest.raises(SiteError, match=re.escape(sentence)):
        Links({"docs/idea.md"}, set()).rewritten(link, "docs/idea.md")


def test_a_link_to_a_folder_leads_to_a_list_of_what_it_holds(clone):
    import site_links
    import site_pages

    links = site_links.Links({"docs/idea.md"}, set())
    assert links.rewritten("[a](../notes/)", "docs/idea.md") == "[a](../files/notes.md)"
    assert site_pages.listed("notes").endswith("- `text.txt`\n")


def test_a_chapter_that_was_not_built_is_told(clone):
    import site_pages

    assert site_pages.chapters() == ["notebooks/00_first.ipynb"]
    write_chapter(clone, cell())
    with pytest.raises(site_pages.SiteError, match=r"chapter 00_first holds no outputs: run `python notebooks/build"):
        site_pages.chapters()
    (clone / "notebooks" / "00_first.ipynb").write_text("{")
    with pytest.raises(site_pages.SiteError, match=r"notebooks/00_first.ipynb is not a notebook \(.*\): build it"):
        site_pages.chapters()
    (clone / "notebooks" / "00_first.ipynb").unlink()
    with pytest.raises(site_pages.SiteError, match=r"chapter 00_first has a text, notebooks/src/00_first.py, and no"):
        site_pages.chapters()


def test_a_chapter_without_its_picture_is_told(clone):
    import site_front

    assert "{grid-item-card} First\n:img-top: notebooks/assets/00.png" in site_front.card("notebooks/00_first.ipynb")
    (clone / "notebooks" / "assets" / "00.png").unlink()
    with pytest.raises(site_front.SiteError, match=r"chapter 00_first has no picture, notebooks/assets/00.png: `"):
        site_front.card("notebooks/00_first.ipynb")


def test_cells_that_are_folded_stay_folded_and_widgets_are_left_out(clone):
    import site_pages

    widget = {"data": {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "S"}}
    picture = {"data": {**widget["data"], "image/png": "AA"}}
    cells = [cell(jupyter={"source_hidden": True}), cell(tags=["setup"]), cell(tags=["exercise"])]
    write_chapter(clone, *cells, cell() | {"outputs": [widget, picture]})
    made = json.loads(site_pages.chapter("notebooks/00_first.ipynb", site_pages.Links(set(), set())))["cells"][1:]
    assert [one["metadata"]["tags"] for one in made] == [["hide-input"], ["setup", "hide-input"], ["exercise"], []]
    assert [sorted(one["data"]) for one in made[3]["outputs"]] == [["image/png", "text/plain"]]


def test_faults_of_a_built_site_are_sentences(found, tmp_path):
    import site_links

    (tmp_path / "b.html").write_text('<p id="here"></p>')
    good = '<a href="b.html#here">a</a><a href="https://x.org">a</a><img src="data:image/png;base64,AA">'
    (tmp_path / "a.html").write_text(good)
    assert [*site_links.faults(tmp_path)] == []
    bad = '<a href="b.html#gone">a</a><a href="c.html">a</a><script src="https://cdn.org/x.js"></script>'
    (tmp_path / "a.html").write_text(bad)
    assert [*site_links.faults(tmp_path)] == [
        "a.html links to b.html#gone, and b.html has no such anchor.",
        "a.html links to c.html, and there is no such file in the site.",
        "a.html loads https://cdn.org/x.js from the network: keep it in the site, or leave it out.",
    ]


@pytest.mark.parametrize(("links", "told"), [(1, "1 link is wrong."), (2, "2 links are wrong.")])
def test_a_built_site_with_links_to_nowhere_is_refused(found, tmp_path, links, told):
    import make_site
    from site_links import SiteError

    (tmp_path / "a.html").write_text("".join(f'<a href="{n}.html">a</a>' for n in range(links)))
    with pytest.raises(SiteError, match=rf"^{told}\na.html links to 0.html, and there is no such file in the site\."):
        make_site.checked(tmp_path)


def test_a_site_that_is_too_large_is_told_with_what_is_largest(found, tmp_path, monkeypatch):
    import make_site
    from site_links import SiteError

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.txt").write_text("x" * 2**21)
    assert make_site.checked(tmp_path) == 2**21
    monkeypatch.setattr(make_site, "MOST_BYTES", 2**20)
    with pytest.raises(SiteError, match=r"the site has 2.0 MiB and may have 1: shrink a 2.0"):
        make_site.checked(tmp_path)


def test_pictures_are_packed_without_a_change_and_still_linked(found, tmp_path):
    import make_site
    from site_links import faults

    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)
    pixels[0, 0] = 200, 100, 50, 0  # what cannot be seen stays as well
    (tmp_path / "_images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "_images" / "a.png")
    Image.fromarray(pixels).save(tmp_path / "b.png")
    page = tmp_path / "c.html"
    page.write_text('<a href="_images/a.png"><img src="_images/a.png"></a><img src="b.png"> _images/a.png')
    make_site.pack(tmp_path)
    assert page.read_text().count("_images/a.png.webp") == 2
    assert [*faults(tmp_path)] == []
    assert [one.name for one in (tmp_path / "_images").iterdir()] == ["a.png.webp"]
    with Image.open(tmp_path / "_images" / "a.png.webp") as packed:
        assert np.array_equal(np.asarray(packed), pixels)


def test_the_page_is_part_of_the_site_once_it_is_built(found, tmp_path):
    import make_site

    assert not make_site.ready(tmp_path)
    (tmp_path / "index.html").write_text('<link rel="icon" href="data:,"><script src="page.js"></script>')
    assert not make_site.ready(tmp_path)
    (tmp_path / "page.js").write_text("")
    assert make_site.ready(tmp_path)


def test_without_the_extra_one_sentence_says_how_to_install_it(tmp_path):
    """An interpreter that finds no packages."""
    words = [sys.executable, "-S", "-I", SITE / "make_site.py"]
    run = subprocess.run(words, capture_output=True, text=True, timeout=1800)
    how = 'run `python -m pip install -c constraints.txt -e ".[site]"` in the clone, then again'
    assert (run.returncode, run.stdout, run.stderr) == (1, "", f"make site: sphinx is not installed: {how}.\n")


def test_settings_name_nothing_on_the_network(found):
    import conf

    assert conf.nb_execution_mode == "off"
    assert conf.nb_ipywidgets_js == {}
    assert (Path(conf.mathjax()) / conf.MATHJAX).is_file()
    own = [*SITE.glob("assets/*"), *SITE.glob("templates/*")]
    assert len(own) >= 4
    assert not any(re.search(r"(src|href|url|import|fetch)\W{1,3}(https?:)?//", path.read_text()) for path in own)


def test_needed_packages_are_those_of_the_extra(found):
    import make_site

    assert all(importlib.util.find_spec(name) for name in make_site.NEEDED)
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["site"]
    assert len(extra) == len(make_site.NEEDED)

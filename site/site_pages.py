"""The sources of the site: the clone's pages and chapters with their links turned, and the pages made for it."""

import json
import shutil
from pathlib import Path
from typing import Any

import site_front
import site_reference
import site_results
from site_links import ROOT, Links, SiteError

PAGES = ("README.md", "docs/*.md", "notebooks/README.md", "notebooks/answers/README.md", "benchmarks/README.md")
PAGES += ("small_models/results/paper/README.md",)
HERE = Path(__file__).resolve().parent
CHAPTERS = ("notebooks/[0-9][0-9]_*.ipynb", "notebooks/answers/*.ipynb")
FOLDED = {"source_hidden": "hide-input", "outputs_hidden": "hide-output"}
"""What JupyterLab keeps of a folded cell -> the tag that folds it on the site."""
PLUMBING = ("setup", "parameters")
"""Tags of cells that a reader of the page need not see."""


def found(*patterns: str) -> list[str]:
    """Files of the clone, in order: found("docs/*.md").

    Args:
        *patterns: relative to the clone.
    """
    return [str(path.relative_to(ROOT)) for one in patterns for path in sorted(ROOT.glob(one))]


def chapters() -> list[str]:
    """The chapters, each of which has been built.

    Raises:
        SiteError: a chapter's text has no notebook, or the notebook no outputs.
    """
    built = found(CHAPTERS[0])
    for source in found("notebooks/src/[0-9][0-9]_*.py"):
        name = Path(source).stem
        how = f"run `python notebooks/build.py {name}` (or `make notebooks`), then `make site`."
        if (path := f"notebooks/{name}.ipynb") not in built:
            raise SiteError(f"chapter {name} has a text, {source}, and no notebook: {how}")
        cells = [cell for cell in read_notebook(path)["cells"] if cell["cell_type"] == "code"]
        if cells and not any(cell["outputs"] for cell in cells):
            raise SiteError(f"chapter {name} holds no outputs: {how}")
    return built


def read_notebook(path: str) -> dict[str, Any]:
    """A notebook of the clone.

    Args:
        path: relative to the clone.

    Raises:
        SiteError: it is not a notebook.
    """
    try:
        notebook = json.loads((ROOT / path).read_text(encoding="utf-8"))
        _ = [cell["cell_type"] for cell in notebook["cells"]]
    except (ValueError, KeyError, TypeError) as error:
        raise SiteError(f"{path} is not a notebook ({error}): build it again.") from None
    return notebook


def write(folder: Path, texts: dict[str, str], copied: list[str]) -> None:
    """Write the sources of the site, and remove what an earlier site had beside them.

    Args:
        folder: for the sources.
        texts: name -> text.
        copied: files of the clone that go with them.
    """
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:  # what stays is not read again
            path.write_text(text, encoding="utf-8")
    for name in copied:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    kept = {*texts, *copied}
    for path in folder.rglob("*"):
        if path.is_file() and str(path.relative_to(folder)) not in kept:
            path.unlink()


def sources(playground: bool) -> tuple[dict[str, str], list[str]]:
    """Name -> text of every source, and the files of the clone that go with them.

    Args:
        playground: whether the site has the page in which a model runs.
    """
    course, answers = chapters(), found(CHAPTERS[1])
    reference, results = site_reference.pages(), site_results.pages()
    pages = {*found(*PAGES), *course, *answers}
    links = Links(pages, {*reference, *results})
    written = [name for name in sorted(pages - {*results}) if name.endswith(".md")]
    texts = {name: links.rewritten((ROOT / name).read_text(encoding="utf-8"), name) for name in written}
    texts |= {name: chapter(name, links) for name in (*course, *answers)}
    texts |= {name: links.rewritten(text, name) for name, text in results.items()}
    texts["index.md"] = links.rewritten(site_front.page(course, answers, list(results), playground), "index.md")
    if playground:  # for the search alone: the page itself takes its place
        texts["playground/index.md"] = (HERE / "playground.md").read_text(encoding="utf-8")
    texts |= {f"files/{name}.md": listed(name) for name in sorted(links.listed)}
    texts |= reference | {f"files/{name}.md": shown(name) for name in sorted(links.shown)}
    return texts, sorted(links.copied | links.shown)


def chapter(path: str, links: Links) -> str:
    """A chapter as the site shows it: links turned, plumbing folded, widgets left out for the pictures beside them.

    Args:
        path: relative to the clone.
        links: of the site.
    """
    notebook = read_notebook(path)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = links.rewritten("".join(cell["source"]), path)
        elif cell["cell_type"] == "code":
            _fold(cell)
            cell["outputs"] = [one for one in cell["outputs"] if not _only_widget(one)]
            for data in (one.get("data", {}) for one in cell["outputs"]):
                data.pop("application/vnd.jupyter.widget-view+json", None)
                if "text/markdown" in data:
                    data["text/markdown"] = links.rewritten("".join(data["text/markdown"]), path)
    notebook["metadata"].pop("widgets", None)
    return json.dumps(notebook, ensure_ascii=False, indent=1)


def _fold(cell: dict[str, Any]) -> None:
    metadata = cell["metadata"]
    tags, folds = metadata.get("tags", []), metadata.get("jupyter", {})
    new = [tag for name, tag in FOLDED.items() if folds.get(name)]
    new += ["hide-input"] if set(tags) & {*PLUMBING} else []
    metadata["tags"] = [*dict.fromkeys([*tags, *new])]


def _only_widget(output: dict[str, Any]) -> bool:
    kinds = set(output.get("data", {}))
    return "application/vnd.jupyter.widget-view+json" in kinds and kinds <= {
        "application/vnd.jupyter.widget-view+json",
        "text/plain",
    }


def listed(path: str) -> str:
    """A page with the names of what a folder of the clone holds.

    Args:
        path: relative to the clone.
    """
    held = [one for one in sorted((ROOT / path).iterdir()) if not one.name.startswith((".", "__"))]
    names = "\n".join(f"- `{one.name}{'/' if one.is_dir() else ''}`" for one in held)
    return f"---\norphan: true\n---\n# {Path(path).name}/\n\nWhat the folder `{path}` of the clone holds:\n\n{names}\n"


def shown(path: str) -> str:
    """A page on which a file of the clone is read.

    Args:
        path: relative to the clone.
    """
    kinds = {".py": "python", ".sh": "bash", ".yaml": "yaml", ".toml": "toml", ".js": "javascript", ".css": "css"}
    up = "../" * (path.count("/") + 1)
    kind = kinds.get(Path(path).suffix, "text")
    read = f"```{{literalinclude}} {up}{path}\n:language: {kind}\n```\n"
    return f"---\norphan: true\n---\n# {Path(path).name}\n\n`{path}`\n\n{read}"

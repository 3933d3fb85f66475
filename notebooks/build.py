"""Build the chapters: notebooks/src/*.py (py:percent) -> executed notebooks/*.ipynb with outputs.

    python notebooks/build.py [name or number ...]

A chapter is written only once it has run to its end, so a failing one leaves the old file as it was. Its exercises with
answers/NAME.py in place of the stubs become answers/NAME.ipynb.
"""

import re
import sys
import tempfile
from pathlib import Path

import jupytext
import nbformat
import papermill

from pusa_lab.files import writing

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MOST_BYTES = 1_000_000
FOLDED = {"setup", "check", "hide-input"}
"""Tags of cells whose code is hidden until a reader opens it."""
WHOLE = {"05_train_a_toy"}
"""Chapters whose answers are of a run in full, since a check compares nothing in an abridged one."""
BADGE = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({})"


def sources() -> list[Path]:
    """The chapters' texts, in order."""
    return sorted((HERE / "src").glob("*.py"))


def title(source: Path) -> str:
    """Such as "1 · One timestep per frame, by hand"."""
    return source.read_text(encoding="utf-8").splitlines()[1].removeprefix("# # ")


def address() -> str:
    """Where the project is published, from pyproject.toml, or nothing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project.get("urls", {}).get("Repository", "")).rstrip("/")


def setup_cell() -> str:
    """The code that installs the package where it is missing."""
    return (HERE / "setup_cell.py").read_text(encoding="utf-8").replace("{address}", address()).strip()


def navigation(source: Path) -> str:
    """Links to the chapters before and after, and to the index."""
    chapters = sources()
    at = chapters.index(source) if source in chapters else 0
    links = [f"[← {title(p)}]({p.stem}.ipynb)" for p in chapters[max(at - 1, 0) : at]] + ["[All chapters](README.md)"]
    links += [f"[{title(p)} →]({p.stem}.ipynb)" for p in chapters[at + 1 : at + 2]]
    if where := address():
        path = f"{where.removeprefix('https://github.com/')}/blob/main/notebooks/{source.stem}.ipynb"
        links.append(BADGE.format(f"https://colab.research.google.com/github/{path}"))
    return " · ".join(links)


def link(text: str) -> str:
    """Markdown in which papers and files of the project are links."""

    def path(found: re.Match[str]) -> str:
        there = (ROOT / found[1]).exists()
        return f"[`{found[1]}`](../{found[1]})" if there else found[0]

    text = re.sub(r"(?<![\[\w/])arXiv (\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", text)
    return re.sub(r"(?<!\[)`((?:pusa_lab|small_models|benchmarks|docs|notebooks)/[\w./-]+)`", path, text)


def read(source: Path) -> nbformat.NotebookNode:
    """A chapter's text as a notebook without outputs, its cells numbered so that rebuilding changes no ids."""
    notebook = jupytext.read(source)
    for cell in notebook.cells:
        tags = set(cell.metadata.get("tags", []))
        if cell.cell_type == "markdown":
            cell.source = link(cell.source)
        if "setup" in tags:
            cell.source = setup_cell()
        if tags & FOLDED:
            cell.metadata |= {"jupyter": {"source_hidden": True}, "cellView": "form"}
    if source.parent == HERE / "src":
        for at in (1, len(notebook.cells) + 1):
            around = nbformat.v4.new_markdown_cell(navigation(source), metadata={"tags": ["navigation"]})
            notebook.cells.insert(at, around)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = nbformat.from_dict({"kernelspec": python, "language_info": {"name": "python"}})
    return notebook


def execute(notebook: nbformat.NotebookNode, **parameters: object) -> nbformat.NotebookNode:
    """Run a notebook in notebooks/ with papermill; an unknown parameter is an error, not papermill's warning."""
    with tempfile.TemporaryDirectory() as folder:
        path, done = Path(folder) / "in.ipynb", Path(folder) / "out.ipynb"
        nbformat.write(notebook, path)
        if unknown := set(parameters) - set(papermill.inspect_notebook(str(path))):
            raise ValueError(f"no such parameters: {', '.join(sorted(unknown))}.")
        options = {"kernel_name": "python3", "cwd": HERE, "execution_timeout": 1200, "progress_bar": False}
        options["extra_arguments"] = ["--IPKernelApp.log_level=40"]  # it warns of its own socket
        papermill.execute_notebook(str(path), str(done), parameters, **options)
        return nbformat.read(done, as_version=4)


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what changes with every run (times, versions) or breaks GitHub's view (widget state)."""
    for cell in notebook.cells:
        kept = {k: v for k, v in cell.metadata.items() if k in ("tags", "jupyter", "cellView") and v}
        if "jupyter" in kept:
            kept["jupyter"] = {"source_hidden": True}
        cell.metadata = nbformat.from_dict(kept)
    notebook.metadata = nbformat.from_dict({k: notebook.metadata[k] for k in ("kernelspec",)})
    notebook.metadata["language_info"] = nbformat.from_dict({"name": "python"})
    return notebook


def tagged(notebook: nbformat.NotebookNode, tag: str) -> list[nbformat.NotebookNode]:
    """The cells that have a tag."""
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def answers(source: Path) -> list[tuple[str, str]]:
    """What is said of each of a chapter's exercises, and its answer."""
    cells = jupytext.read(HERE / "answers" / f"{source.stem}.py").cells
    code = [i for i, cell in enumerate(cells) if cell.cell_type == "code"]
    return [(link(cells[i - 1].source), cells[i].source) for i in code]


def solved(source: Path) -> nbformat.NotebookNode:
    """The exercises of a chapter with their answers, as they came out of a run of it, FAST or WHOLE."""
    notebook, given, fast = read(source), answers(source), source.stem not in WHOLE
    for cell, (_, answer) in zip(tagged(notebook, "exercise"), given, strict=True):
        cell.source = answer
    done = execute(notebook, FAST=fast)
    back = f"[← {title(source)}](../{source.stem}.ipynb) · [All chapters](../README.md)"
    run = f"Here it was run {'with `FAST = True`, abridged' if fast else 'in full'}."
    head = f"# Answers to {title(source)}\n\n{back}\n\nThese cells go on from the chapter's: run them there. {run}"
    cells = [nbformat.v4.new_markdown_cell(head)]
    for cell, (words, _), check in zip(tagged(done, "exercise"), given, tagged(done, "check"), strict=True):
        asked = done.cells[done.cells.index(cell) - 1]
        text = asked.source.replace("](../", "](../../").removeprefix("## Exercises").strip()
        said = words.replace("](../", "](../../")
        cells += [nbformat.v4.new_markdown_cell(text), nbformat.v4.new_markdown_cell(said), cell, check]
        if "✓ right" not in str(check.outputs):
            raise ValueError(f"answers/{source.name}: the answer `{cell.source[:60]}` is not judged right.")
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number:02d}"
    done.cells = cells
    return clean(done)


def write(notebook: nbformat.NotebookNode, target: Path) -> None:
    """Write a notebook whole or not at all."""
    text = nbformat.writes(notebook) + "\n"
    if len(text) > MOST_BYTES:
        raise ValueError(f"{target.name} would have {len(text)} bytes, the limit is {MOST_BYTES}: shrink a figure.")
    with writing(target) as part:
        part.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{target.relative_to(HERE)}: {len(text) // 1000} kB\n")


def main(names: list[str]) -> None:
    """Build the chapters with these names or numbers, or all."""
    known = {name: source for source in sources() for name in (source.stem, source.stem[:2])}
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"build.py {unknown[0]}: no chapter is called so; choose among {', '.join(sorted(known))}.")
    for source in dict.fromkeys(known[name] for name in names) if names else sources():
        write(clean(execute(read(source))), HERE / f"{source.stem}.ipynb")
        if (HERE / "answers" / source.name).is_file():
            write(solved(source), HERE / "answers" / f"{source.stem}.ipynb")


if __name__ == "__main__":
    main(sys.argv[1:])

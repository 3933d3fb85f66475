"""Build the chapters: notebooks/src/*.py (py:percent) -> executed notebooks/*.ipynb with outputs.

    python notebooks/build.py [name ...]

A chapter is written only once it has run to its end, so a failing one leaves the old file as it was.
"""

import sys
import tempfile
from pathlib import Path

import jupytext
import nbformat
import papermill

from pusa_lab.files import writing

HERE = Path(__file__).resolve().parent
MOST_BYTES = 1_000_000


def sources() -> list[Path]:
    """The chapters' texts, in order."""
    return sorted((HERE / "src").glob("*.py"))


def read(source: Path) -> nbformat.NotebookNode:
    """A chapter's text as a notebook without outputs, its cells numbered so that rebuilding changes no ids."""
    notebook = jupytext.read(source)
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
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k == "tags" and v})
    notebook.metadata = nbformat.from_dict({k: notebook.metadata[k] for k in ("kernelspec",)})
    notebook.metadata["language_info"] = nbformat.from_dict({"name": "python"})
    return notebook


def main(names: list[str]) -> None:
    """Build the named chapters, or all."""
    for source in sources():
        if names and source.stem not in names:
            continue
        target = HERE / f"{source.stem}.ipynb"
        text = nbformat.writes(clean(execute(read(source)))) + "\n"
        if len(text) > MOST_BYTES:
            raise ValueError(f"{target.name} would have {len(text)} bytes, the limit is {MOST_BYTES}: shrink a figure.")
        with writing(target) as part:
            part.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{target.name}: {len(text) // 1000} kB\n")


if __name__ == "__main__":
    main(sys.argv[1:])

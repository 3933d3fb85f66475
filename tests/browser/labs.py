"""What the browser tests share: where pictures go, and notebooks made of cells."""

from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
OUT = ROOT / "outputs" / "browser"
HERE = ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")


def strays(page):
    """A list that grows by every address outside this machine that a page asks for."""
    found = []
    page.on("request", lambda request: None if request.url.startswith(HERE) else found.append(request.url))
    return found


def notebook(path, *cells):
    """Write a notebook of code cells."""
    new = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    new.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(new, path)

"""What the browser tests share: where pictures go, a JupyterLab, and notebooks made of cells."""

import json
from dataclasses import dataclass
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


@dataclass
class Lab:
    """A JupyterLab that runs."""

    address: str
    """Of a notebook in a workspace of its own; both have the name that goes into it."""
    folder: Path

    def set(self, which, **settings):
        """Write settings of JupyterLab, for pages that are opened from now on."""
        path = self.folder / "settings" / "@jupyterlab" / "apputils-extension" / f"{which}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))

    def write(self, name, *cells):
        """Write a notebook of code cells."""
        new = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        new.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
        nbformat.write(new, self.folder / f"{name}.ipynb")

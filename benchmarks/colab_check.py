"""Run every chapter beside the versions that Colab publishes, which are in notebooks/colab.txt.

    make colab-check

The environment .venv-colab starts without pusa_lab: the chapters' own setup cell installs it, as it does on Colab. It
must change none of Colab's packages but torchao, which Colab's peft refuses. Then every chapter runs FAST, and where
one shows a widget, a picture must stand beside it for pages without a kernel. Writes results/colab_check.json.
"""

import importlib
import os
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
from packaging.requirements import Requirement

HERE = Path(__file__).resolve().parent
NOTEBOOKS = HERE.parent / "notebooks"
RESULT = HERE / "results" / "colab_check.json"


def pins(python: tuple[int, int]) -> dict[str, str]:
    """Versions of notebooks/colab.txt for a Python."""
    found = [Requirement(line) for line in (NOTEBOOKS / "colab.txt").read_text().splitlines() if "==" in line]
    there = {"python_version": f"{python[0]}.{python[1]}"}
    return {
        one.name: str(one.specifier).removeprefix("==")
        for one in found
        if one.marker is None or one.marker.evaluate(there)
    }


PINS = pins(sys.version_info[:2])
WIDGET = "application/vnd.jupyter.widget-view+json"


def installed() -> dict[str, str]:
    """Versions of what Colab brings, without their build (+cpu)."""
    importlib.invalidate_caches()
    return {name: version(name).split("+")[0] for name in PINS}


def set_up() -> float:
    """Run the setup cell of the first chapter where a reader's kernel would; seconds."""
    first = nbformat.read(min(NOTEBOOKS.glob("00_*.ipynb")), as_version=4)
    (cell,) = (cell for cell in first.cells if "setup" in cell.metadata.get("tags", []))
    os.chdir(NOTEBOOKS)
    began = time.perf_counter()
    exec(cell.source, {})
    return time.perf_counter() - began


def shown(cell: nbformat.NotebookNode) -> set[str]:
    """Kinds of what a cell shows."""
    return {kind for output in cell.get("outputs", []) for kind in output.get("data", {})}


def look(notebook: nbformat.NotebookNode) -> dict[str, int]:
    """Pictures and widgets of a chapter, and the widgets with no picture in their own cell or the one before."""
    kinds = [shown(cell) for cell in notebook.cells if cell.cell_type == "code"]
    widgets = [i for i, found in enumerate(kinds) if WIDGET in found]
    alone = [i for i in widgets if "image/png" not in kinds[i] | kinds[max(0, i - 1)]]
    pictures = sum("image/png" in found for found in kinds)
    return {"cells with pictures": pictures, "with widgets": len(widgets), "with widgets alone": len(alone)}


def chapters() -> dict[str, Any]:
    """Run them; what each took and showed."""
    import build  # after the setup cell, which installs what it needs

    found: dict[str, Any] = {}
    for source in build.sources():
        began = time.perf_counter()
        done = build.execute(build.read(source), FAST=True)
        found[source.stem] = {"seconds": round(time.perf_counter() - began, 1), **look(done)}
        sys.stdout.write(f"{source.stem}: {found[source.stem]}\n")
    return found


def train_lora() -> None:
    """Give a model a LoRA: peft looks for torchao there, and raises if it is an old one."""
    from torch import nn

    from pusa_lab.training.lora import add_lora

    add_lora(nn.Sequential(nn.Linear(4, 4)), rank=2)


def check() -> None:
    """Set up, run, write what was seen."""
    sys.stdout.write(f"Python {sys.version.split()[0]}; Colab has 3.13.\n")
    if installed() != PINS:
        sys.exit(
            f"these are not Colab's versions: {set(installed().items()) - set(PINS.items())}; run make colab-check."
        )
    result: dict[str, Any] = {"command": "make colab-check", "date": date.today().isoformat()}
    result["seed"] = "each chapter's SEED"
    result["setup seconds"] = round(set_up(), 1)
    if changed := {name: found for name, found in installed().items() if found != PINS[name] and name != "torchao"}:
        sys.exit(f"the setup cell changed what Colab brings: {changed}.")
    sys.path.insert(0, str(NOTEBOOKS))
    train_lora()
    result["chapters"] = chapters()
    if alone := [name for name, found in result["chapters"].items() if found["with widgets alone"]]:
        sys.exit(f"a widget without a static picture: {', '.join(alone)}.")

    from pusa_lab.files import write_json
    from small_models.machine import device_name

    result |= {"device": device_name(), "python": sys.version.split()[0], "versions": installed()}
    write_json(RESULT, result)


if __name__ == "__main__":
    check()

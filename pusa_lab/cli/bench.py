"""`pusa-lab bench NAME`: the benchmarks, scripts of the clone and functions of packages, run as every other command."""

import ast
import importlib
import re
import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from pusa_lab.cli import clone

GROUP = "pusa_lab.benchmarks"
"""Group of the entry points that name modules, each with a function of the benchmark's name, which need no clone."""
SUMMARY = "Run a benchmark; `pusa-lab bench --help` lists them."
"""The line for all benchmarks in the list of commands."""


def benchmarks() -> dict[str, str]:
    """Name -> where its function is: scripts of the clone, and modules of other packages."""
    scripts = [
        path for path in sorted(clone.BENCHMARKS.glob("*.py")) if re.search(r"(?m)^def main\(", path.read_text())
    ]
    found = {point.name: f"{point.value}:{point.name}" for point in points(GROUP)}
    return found | {path.stem: f"{path}:main" for path in scripts}


def points(group: str) -> list[EntryPoint]:
    """What the installed packages name under a group.

    Args:
        group: of entry points.
    """
    return _points(group, tuple(sys.path))


@lru_cache(maxsize=8)
def _points(group: str, _: tuple[str, ...]) -> list[EntryPoint]:
    """Those on a search path, looked up once: it takes as long as reading a file of every installed package."""
    return list(entry_points(group=group))


def summary(place: str) -> str:
    """What a function does: the first line of its docstring, read without running its file; "" where there is none.

    Args:
        place: file:function, or module:function.
    """
    source, _, name = place.rpartition(":")
    path = Path(source) if source.endswith(".py") else _source(source)
    if path is None:
        return ""
    functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    return "".join(ast.get_docstring(node) or "" for node in functions if node.name == name).partition("\n")[0]


def _source(module: str) -> Path | None:
    """The file of a module, whose packages are not imported; None if it is not of Python's source."""
    package, *names = module.split(".")
    spec = find_spec(package)
    if spec is None or not names:
        found = [] if spec is None or spec.origin is None else [Path(spec.origin)]
    else:
        found = [Path(folder, *names).with_suffix(".py") for folder in spec.submodule_search_locations or ()]
    return next((path for path in found if path.suffix == ".py" and path.is_file()), None)


def load_script(path: str) -> ModuleType:
    """Import a script, which finds those beside it.

    Args:
        path: of the script.
    """
    folder = str(Path(path).parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(Path(path).stem)

"""`pusa-lab bench`."""

import ast
import inspect
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

from pusa_lab.cli import clone
from pusa_lab.cli.terminal import say

GROUP = "pusa_lab.benchmarks"
"""Group of the entry points that name modules to run, which need no clone."""


def bench(*words: str) -> None:
    """Run a benchmark, such as paper or core.

    usage: pusa-lab bench NAME ..., where NAME --help lists its own options.

    Args:
        *words: its name, and what it is given.

    Raises:
        ValueError: there is no such benchmark, or it failed.
    """
    if words[:1] in (("-h",), ("--help",)):
        say(*(inspect.getdoc(bench) or "").splitlines()[:3], f"names: {', '.join(_programs())}")
        return
    programs = _programs()
    if not words or words[0] not in programs:
        raise ValueError(f"no benchmark {words[0] if words else ''!r:.60}: choose one of {', '.join(programs)}.")
    script = Path(programs[words[0]][-1])
    if words[1:] and script.is_file() and "argparse" not in (text := script.read_text()):
        if words[1] not in ("-h", "--help"):
            raise ValueError(f"{words[0]} takes no options, but got {words[1]!r:.60}: leave it out.")
        say(*(ast.get_docstring(ast.parse(text)) or "").splitlines())
        return
    done = subprocess.run([sys.executable, *programs[words[0]], *words[1:]], check=False).returncode
    if done:
        raise ValueError(f"{words[0]} ended with {done}: what it printed above says why.")


def _programs() -> dict[str, list[str]]:
    """Name -> what Python is given to run it."""
    scripts = {path.stem: [str(path)] for path in sorted(clone.BENCHMARKS.glob("*.py"))}
    return scripts | {point.name: ["-m", point.value] for point in entry_points(group=GROUP)}

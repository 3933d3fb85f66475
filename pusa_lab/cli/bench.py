"""`pusa-lab bench`."""

import ast
import inspect
import os
import re
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
        fault = f"no benchmark {words[0]!r:.60}" if words and words[0] else "no benchmark was named"
        raise ValueError(f"{fault}: choose one of {', '.join(programs)}.")
    script = Path(programs[words[0]][-1])
    if words[1:] and script.is_file() and "argparse" not in (text := script.read_text()):
        if words[1] not in ("-h", "--help"):
            raise ValueError(f"{words[0]} takes no options, but got {words[1]!r:.60}: leave it out.")
        say(*(ast.get_docstring(ast.parse(text)) or "").splitlines())
        return
    code, fault = _run([sys.executable, *programs[words[0]], *words[1:]])
    if fault:
        raise ValueError(f"{words[0]}: {fault}; `pusa-lab bench {words[0]} --help` lists its options.")
    if code:
        raise ValueError(f"{words[0]} ended with {code}: what it printed above says why.")


def _run(command: list[str]) -> tuple[int, str]:
    """The exit status, and what argparse finds wrong with the options, without the usage that it prints before."""
    with subprocess.Popen(command, stderr=subprocess.PIPE) as running:
        assert running.stderr is not None
        kept = b""
        while part := os.read(running.stderr.fileno(), 2**16):
            kept += part
            if not kept.startswith(b"usage: "[: len(kept)]):
                sys.stderr.write(kept.decode(errors="replace"))
                kept = b""
    found = re.search(r"error: (?:argument )?(.*)", kept.decode(errors="replace"))
    if kept and not (running.returncode == 2 and found):
        sys.stderr.write(kept.decode(errors="replace"))
        return running.returncode, ""
    fault = re.sub(r"\w+\.\w+: ", "", found[1]).strip().rstrip(".") if found else ""
    fault = re.sub(r"^unrecognized arguments: (\S+).*", r"there is no option \1", fault)
    return running.returncode, re.sub(r": invalid \w+ value: (.*)", r" \1 does not fit", fault)


def _programs() -> dict[str, list[str]]:
    """Name -> what Python is given to run it."""
    scripts = {path.stem: [str(path)] for path in sorted(clone.BENCHMARKS.glob("*.py"))}
    return scripts | {point.name: ["-m", point.value] for point in entry_points(group=GROUP)}

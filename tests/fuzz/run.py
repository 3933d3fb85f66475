"""Plays many cases in several processes and counts what came of them."""

import argparse
import faulthandler
import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import judge

CASE_SECONDS = 20
"""CPU seconds that a call may take, many times what any needs, so that a slow machine does not fail."""
CASE_BYTES = 3 * 2**30
"""Memory that a call may take more than what is loaded already."""

OFTEN = 4
"""Times that a kind of command line or file is played for each time of a function."""


class TooLongError(BaseException):
    """A call took more than CASE_SECONDS."""


def kinds(only: str) -> list[Any]:
    """What is played in turn: functions, and the kinds of command lines and files.

    Args:
        only: the beginning of their names.
    """
    from . import calls, commands, files, targets

    functions = [calls.Call(target) for target in targets.targets()]
    return [
        kind for kind in [*functions, *OFTEN * [*commands.commands(), *files.damages()]] if kind.name.startswith(only)
    ]


def play(index: int, seed: int, found: list[Any]) -> dict[str, str]:
    """One case, the same for the same index and seed.

    Args:
        index: of the case.
        seed: of the run.
        found: from `kinds`.
    """
    target = found[index % len(found)]
    rng = random.Random(f"{seed}-{index}")
    try:
        case, verdict = target.played(rng)
    except Exception:
        text = traceback.format_exc(limit=-3).strip()
        return {"module": target.module, "case": target.name, "outcome": judge.ELSE, "why": f"the suite: {text}"}
    return {"module": target.module, "case": str(case), "outcome": verdict.outcome, "why": verdict.why}


def work(only: str, seed: int, indices: range, place: Path) -> None:
    """What a process does: play its cases, one JSON line each; the number of the one in hand lies in a file.

    Args:
        only: as `kinds`.
        seed: of the run.
        indices: of its cases.
        place: of that file.
    """
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    found = kinds(only)
    soft_limits()
    for index in indices:
        place.write_text(str(index))
        signal.setitimer(signal.ITIMER_PROF, CASE_SECONDS)
        faulthandler.dump_traceback_later(10 * CASE_SECONDS, exit=True)
        told = play(index, seed, found)
        signal.setitimer(signal.ITIMER_PROF, 0)
        out.write(json.dumps({"index": index, **told}, ensure_ascii=True) + "\n")
        out.flush()


def soft_limits() -> None:
    """An alarm for calls that take too long, and no more memory than a call may take."""

    def stop(*_: object) -> None:
        raise TooLongError(f"more than {CASE_SECONDS} s")

    signal.signal(signal.SIGPROF, stop)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + CASE_BYTES + 4 * 2**30  # libraries that are loaded later
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def results(only: str, cases: int, seed: int, processes: int) -> Iterator[dict[str, str]]:
    """What came of all cases, in no order; a process that dies is started again behind the case that killed it.

    Args:
        only: as `kinds`.
        cases: how many.
        seed: of the run.
        processes: how many at a time.
    """
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, context.Pool(processes) as pool:
        parts = [(only, seed, range(i, cases, processes), Path(folder) / str(i)) for i in range(processes)]
        for told in pool.imap_unordered(_part, parts):
            yield from told


def _part(part: tuple[str, int, range, Path]) -> list[dict[str, str]]:
    only, seed, indices, place = part
    told: list[dict[str, str]] = []
    while len(indices):
        words = [sys.executable, "-m", "tests.fuzz", "--module", only, "--seed", str(seed)]
        words += ["--part", f"{indices.start}:{indices.stop}:{indices.step}", "--place", str(place)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        told += [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode == 0:
            break
        if not place.is_file():
            raise RuntimeError(done.stderr)
        last = int(place.read_text())
        why = f"the process ended with {done.returncode}: {done.stderr.strip()[-300:]}"
        told.append({"module": "?", "case": f"case {last}", "outcome": judge.ELSE, "why": why})
        indices = range(last + indices.step, indices.stop, indices.step)
    return told


def table(told: list[dict[str, str]]) -> str:
    """Counts for each module, and in all.

    Args:
        told: what came of the cases.
    """
    counts = Counter((t["module"], t["outcome"]) for t in told)
    outcomes = (judge.RIGHT, judge.SENTENCE, judge.ELSE)
    lines = [f"{'module':32}" + "".join(f"{o:>20}" for o in outcomes)]
    for module in sorted({t["module"] for t in told}):
        lines.append(f"{module:32}" + "".join(f"{counts[module, o]:20}" for o in outcomes))
    total = Counter(t["outcome"] for t in told)
    return "\n".join([*lines, f"{f'{len(told)} cases':32}" + "".join(f"{total[o]:20}" for o in outcomes)])


def main() -> int:
    """The command: prints the table and what failed, returns 1 if anything did."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "--module", default="", help="the beginning of the names, such as pusa_lab.schedules, command or file"
    )
    parser.add_argument("--cases", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--show", type=int, default=3, help="failures to show of each function")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        work(args.module, args.seed, range(*map(int, args.part.split(":"))), args.place)
        return 0
    told = list(results(args.module, args.cases, args.seed, args.processes))
    failed = [t for t in told if t["outcome"] == judge.ELSE]
    shown: Counter[str] = Counter()
    for t in sorted(failed, key=lambda t: t["case"]):
        name = t["case"].partition(")")[0] if t["case"].startswith("the(") else t["case"].partition(",")[0]
        shown[name] += 1
        if shown[name] <= args.show:
            print(f"{t['case']}\n    # {t['why']}")
    print(
        "from tests.fuzz.objects import *  # and .commands, .files: makes every line above run\n" if failed else "",
        table(told),
        sep="\n",
    )
    return 1 if failed else 0

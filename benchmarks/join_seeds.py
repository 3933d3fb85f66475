"""A table of `pusa-lab bench paper` that was measured with several seeds, joined into one.

    pusa-lab bench paper --table cost
    pusa-lab bench paper --table cost --set.seed 1 --out outputs/seed1 --work outputs/seed1
    python benchmarks/join_seeds.py outputs/paper outputs/seed1 --table cost --out outputs/joined

Of a single table whose rows have several seeds already, only the intervals are computed anew:

    python benchmarks/join_seeds.py small_models/results/paper --table recipes

Other seeds mean other training clips, initial weights of a LoRA, timesteps and noises, and other noises at sampling;
the scenes of the score are the same. Runs that were ended give the rows that they left, so that some rows have fewer
seeds.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from unfinished import kept_rows

from pusa_lab import cli
from pusa_lab.cli.terminal import say
from pusa_lab.files import check_folder, read_json
from pusa_lab.sentences import counted
from small_models.experiments import RESULTS, TABLES, Sizes, write_table
from small_models.experiments.records import FORMAT, Found, ResultRow, read_results
from small_models.experiments.training_seeds import join_rows, with_intervals
from small_models.experiments.training_tables import ratios

MAY_DIFFER = ("seed", "seeds", "budgets", "marks")
"""Sizes in which the runs may differ: the seed, videos of each prompt, and up to which budget they train."""
MADE = ("checkpoints", "code", "device", "versions")
"""What all runs were made with."""


def run_of(table: str, folder: Path) -> tuple[Found, dict[str, ResultRow]]:
    """What one run was made with, and its rows by their keys as text; of a finished table, or as it was left.

    Args:
        table: name of the table.
        folder: of the run's results.
    """
    if (folder / f"{table}.json").is_file():
        found = read_results(folder / f"{table}.json")
        return found, {json.dumps(row["key"], sort_keys=True): row for row in found["rows"]}
    rows = folder / f"{table}.rows"
    return read_json(rows / "sweep.json", "what rows were made with"), kept_rows(rows)


def command_of(table: str, sizes: dict[str, Any]) -> str:
    """The command that measures a table with these sizes.

    Args:
        table: name of the table.
        sizes: of the run.
    """
    usual = json.loads(json.dumps(asdict(Sizes())))
    words = [f"--set.{name} {json.dumps(value)}" for name, value in sizes.items() if value != usual[name]]
    return " ".join([f"pusa-lab bench paper --table {table}", *words])


def differences(run: Found, first: Found, may: tuple[str, ...] = MAY_DIFFER) -> list[str]:
    """What two runs must have alike and do not.

    Args:
        run: what one was made with.
        first: what the other was.
        may: sizes in which they may differ.
    """
    names = [name for name in MADE if run[name] != first[name]]
    return names + [n for n, value in run["sizes"].items() if n not in may and value != first["sizes"][n]]


def check_alike(table: str, runs: list[Found]) -> None:
    """Refuse runs that differ in more than their seeds.

    Args:
        table: name of the table.
        runs: what each was made with.

    Raises:
        ValueError: they differ in code, device, versions, checkpoints or sizes, or two have the same seed.
    """
    first, seeds = runs[0], [run["sizes"]["seed"] for run in runs]
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"the runs of {table} have the seeds {seeds}: give runs of different ones.")
    for run in runs[1:]:
        if names := differences(run, first):
            raise ValueError(
                f"the runs of {table} with seeds {seeds[0]} and {run['sizes']['seed']} differ in {', '.join(names)}: "
                f"give runs of the same code and sizes."
            )


def check_rows(table: str, rows: list[dict[str, ResultRow]]) -> None:
    """Refuse runs without rows, runs that are joined already, and rows that the first run lacks.

    Args:
        table: name of the table.
        rows: of each run, by their keys as text.

    Raises:
        ValueError: there are such.
    """
    for number, each in enumerate(rows, 1):
        if not each:
            raise ValueError(f"run {number} of {table} has no rows: leave it out.")
        if any("seeds" in row for row in each.values()):
            raise ValueError(f"run {number} of {table} is joined already: give the runs that it was joined from.")
        if more := [key for key in each if key not in rows[0]]:
            raise ValueError(
                f"run {number} of {table} has {counted(len(more), 'row')} that the first lacks, such as {more[0]:.80}: "
                f"give the run with the most rows first."
            )


def joined_rows(runs: Sequence[Found], rows: Sequence[dict[str, ResultRow]]) -> list[ResultRow]:
    """One row of all runs that have it, in the order in which they come.

    Args:
        runs: what each was made with, of different seeds.
        rows: of each run, by their keys as text.
    """
    joined = list[ResultRow]()
    for key in dict.fromkeys(key for each in rows for key in each):
        there = [(run["sizes"]["seed"], each[key]) for run, each in zip(runs, rows, strict=True) if key in each]
        seeds, parts = [seed for seed, _ in there], [part for _, part in there]
        seconds = sum(part["seconds"] for part in parts)
        joined.append({"key": parts[0]["key"], **join_rows(parts, seeds), "seconds": seconds})
    return joined


def note_of(rows: Sequence[ResultRow]) -> str:
    """How many rows of a joined table have how many seeds.

    Args:
        rows: of the table; one that names no seeds has one, of sampling.
    """
    has = Counter(len(row.get("seeds", [0])) for row in rows)
    counts = ", ".join(f"{counted(n, 'seed')} in {number}" for n, number in sorted(has.items(), reverse=True))
    return (
        f"{len(rows)} of {len(rows)} rows. {counts}: of training where a row trains, and else of sampling alone. "
        f"Intervals are Student's, over prompts and seeds."
    )


def anew(table: str, folder: Path, out: Path) -> None:
    """Compute the intervals of a joined table anew.

    Args:
        table: name of the table.
        folder: with it.
        out: folder for <table>.json.

    Raises:
        ValueError: no row has several seeds.
    """
    found = read_results(folder / f"{table}.json")
    rows = found.pop("rows")
    if not any("by_seed" in row for row in rows):
        raise ValueError(f"{table} in {folder} has one seed in all rows: give the runs with the other seeds too.")
    write_table(check_folder(out, "--out") / f"{table}.json", found, [with_intervals(row) for row in rows])
    say(f"{table}: intervals of {counted(sum('by_seed' in row for row in rows), 'row')}, computed anew")


def join_seeds(folders: list[Path], *, table: str, out: Path = RESULTS) -> None:
    """Join a table that was measured with several seeds of training.

    Args:
        folders: of the runs' results; the first one's rows and head are taken, and the others' rows joined to them. Of
            a single one, intervals are computed anew.
        table: name of the table.
        out: folder for <table>.json.

    Raises:
        ValueError: there is no such table, no run or a single one of one seed, a run is missing, or they differ in more
            than seeds.
    """
    if table not in TABLES or not folders:
        raise ValueError(f"join {table!r:.60} of {counted(len(folders), 'run')}: give a table and its runs.")
    if len(folders) == 1:
        anew(table, folders[0], out)
        return
    runs, rows = zip(*(run_of(table, folder) for folder in folders), strict=True)
    check_alike(table, list(runs))
    check_rows(table, [*rows])
    joined = joined_rows(runs, rows)
    note = note_of(joined)
    commands = [command_of(table, run["sizes"]) for run in runs]
    head = {name: runs[0][name] for name in ("table", "sizes", *MADE)}
    head |= {"format": FORMAT, "title": TABLES[table].title, "command": "; ".join(commands), "note": note}
    head |= {name: runs[0][name] for name in ("seed", "scale", "before training") if name in runs[0]}
    head |= {"date": date.today().isoformat()} | ({"ratios": ratios(joined)} if table == "cost" else {})
    path = check_folder(out, "--out") / f"{table}.json"
    write_table(path, head, joined)
    say(f"{table}: {note}")


if __name__ == "__main__":
    sys.exit(cli.main(script=join_seeds))

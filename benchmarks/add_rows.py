"""Rows of longer trainings, added to a table of `pusa-lab bench paper` that is there already.

    pusa-lab bench paper --table cost --set.budgets '[1.0]' --out outputs/long --work outputs/long
    python benchmarks/add_rows.py outputs/long --table cost --out outputs/more

The run is of the same code, device, versions and checkpoints as the table. It may be finished or not, and have fewer
seeds than the rows that are there: sentences compare the seeds that two rows share. Several runs of `cost`, of another
seed each, are joined; rows of `recipes` have their seeds within (`--set.training_seeds`). Rows without training stay
as they are.
"""

import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from join_seeds import MAY_DIFFER, command_of, differences, joined_rows, note_of, run_of
from jsonargparse.typing import PositiveFloat

from pusa_lab import cli
from pusa_lab.cli.terminal import say
from pusa_lab.files import check_folder
from pusa_lab.sentences import counted
from small_models.experiments import RESULTS, write_table
from small_models.experiments.records import Found, ResultRow, read_results
from small_models.experiments.rows import share as written
from small_models.experiments.training_seeds import KEPT, with_intervals, with_seeds
from small_models.experiments.training_tables import ratios

LISTED = {"cost": "budgets", "recipes": "marks"}
"""Tables to which rows can be added, and the size that lists how long they train."""
MAY = (*MAY_DIFFER, "brief", "shorter", "training_seeds")
"""Sizes in which a run may differ from the table: a row's key and its seeds say what it was measured with."""


def check_runs(table: str, found: Found, runs: Sequence[Found]) -> None:
    """Refuse runs that were made with something else than the table, and several of the same seed.

    Args:
        table: name of the table.
        found: the table.
        runs: what each was made with.

    Raises:
        ValueError: there are such.
    """
    for number, run in enumerate(runs, 1):
        if names := differences(run, found, MAY):
            raise ValueError(
                f"run {number} of {table} differs from the table in {', '.join(names)}: add rows of the same code, "
                f"machine and sizes."
            )
    seeds = [run["sizes"]["seed"] for run in runs]
    if table == "recipes" and set(seeds) != {found["sizes"]["seed"]}:
        raise ValueError(
            f"the runs of recipes have the seeds {seeds}, and the table {found['sizes']['seed']}: its seeds of "
            f"training are set by --set.training_seeds."
        )
    if table == "cost" and len(set(seeds)) < len(seeds):
        raise ValueError(f"the runs of {table} have the seeds {seeds}: give runs of different ones.")


def new_rows(
    table: str, runs: Sequence[Found], rows: Sequence[dict[str, ResultRow]], shares: Sequence[float] | None
) -> dict[str, ResultRow]:
    """The rows of the runs that train, one for each key.

    Args:
        table: name of the table.
        runs: what each was made with.
        rows: of each run, by their keys as text.
        shares: of the base's training, of the rows that are wanted; None is all.

    Raises:
        ValueError: there are none, they are joined already, or two runs of `recipes` have the same row.
    """
    chosen = [{k: row for k, row in each.items() if _is_wanted(row["key"]["share"], shares)} for each in rows]
    names = [*dict.fromkeys(key for each in chosen for key in each)]
    if not names:
        raise ValueError(
            f"the runs of {table} have no trained rows that are asked for: give others, or other --shares."
        )
    if table == "recipes":
        if twice := [key for key in names if sum(key in each for each in chosen) > 1]:
            raise ValueError(
                f"{counted(len(twice), 'row')} of recipes {_are(twice)} in several runs: give one of them."
            )
        return {key: _small(with_intervals(row)) for each in chosen for key, row in each.items()}
    if any("seeds" in row for each in chosen for row in each.values()):
        raise ValueError(f"a run of {table} is joined already: give the runs that it was joined from.")
    return dict(zip(names, joined_rows(runs, chosen), strict=True))


def check_prompts(table: str, before: Sequence[ResultRow], more: dict[str, ResultRow]) -> None:
    """Refuse rows of another number of prompts than those that are there.

    Args:
        table: name of the table.
        before: its rows.
        more: rows to be added, by their keys as text.

    Raises:
        ValueError: there are such.
    """
    counts = {len(values) for row in before for values in row["by_prompt"].values()}
    for key, row in more.items():
        if others := {len(values) for values in row["by_prompt"].values()} - counts:
            raise ValueError(
                f"a row of {table} ({key:.80}) has {counted(min(others), 'prompt')}, and the table "
                f"{' or '.join(map(str, sorted(counts)))}: measure it with the table's sizes."
            )


def _small(row: ResultRow) -> dict[str, Any]:
    """A row of `recipes` that names its seeds, and keeps seed by seed what joined rows keep."""
    row = with_seeds(row)
    if "by_seed" not in row:
        return {**row}
    return {**row, "by_seed": {name: values for name, values in row["by_seed"].items() if name in KEPT}}


def _is_wanted(share: float, shares: Sequence[float] | None) -> bool:
    return share in shares if shares else share > 0


def _are(keys: Sequence[str]) -> str:
    return f"{'is' if len(keys) == 1 else 'are'} (such as {keys[0]:.80})"


def in_order(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """Rows as a table has them: way by way, of each its lengths of training, and at each the tasks.

    Args:
        rows: of a table.
    """
    ways, tasks = ([*dict.fromkeys(row["key"].get(name) for row in rows)] for name in ("way", "task"))
    place = lambda key: (ways.index(key["way"]), key["share"], tasks.index(key.get("task")))  # noqa: E731
    return sorted(rows, key=lambda row: place(row["key"]))


def whole_shares(rows: Sequence[ResultRow], lengths: Sequence[float]) -> set[float]:
    """The lengths of training at which a table has every row that it has at each of some.

    Args:
        rows: of the table.
        lengths: shares of the base's training, of these.
    """
    at: dict[float, set[str]] = {}
    for row in rows:
        at.setdefault(row["key"]["share"], set()).add(str({**row["key"], "share": 0}))
    needed = set.intersection(*(at[length] for length in lengths))
    return {share for share, keys in at.items() if needed <= keys}


def add_rows(
    folders: list[Path],
    *,
    table: str,
    to: Path = RESULTS,
    shares: list[PositiveFloat] | None = None,
    out: Path | None = None,
) -> None:
    """Add rows of longer trainings to a table that is there already.

    Args:
        folders: of the runs' results, each with <table>.json or <table>.rows.
        table: name of the table, cost or recipes.
        to: folder of the table.
        shares: of the base's training: only these rows are added (default: all that train).
        out: folder for <table>.json (default: the table's own).

    Raises:
        ValueError: no rows can be added to this table, a run was made with something else or has nothing to add, or a
            row is there already.
    """
    if table not in LISTED or not folders:
        raise ValueError(f"add to {table!r:.60} {counted(len(folders), 'run')}: give {' or '.join(LISTED)}, and runs.")
    found = read_results(to / f"{table}.json")
    head, before = dict(found), [*found["rows"]] if table == "cost" else [*map(_small, found["rows"])]
    runs, rows = zip(*(run_of(table, folder) for folder in folders), strict=True)
    check_runs(table, found, runs)
    more = new_rows(table, runs, rows, shares)
    keys = [row["key"] for row in before]
    if again := [key for key, row in more.items() if row["key"] in keys]:
        raise ValueError(
            f"{counted(len(again), 'row')} of {table} {_are(again)} there already: choose others with --shares."
        )
    check_prompts(table, before, more)
    every = in_order([*before, *more.values()])
    listed, note = LISTED[table], note_of(every)
    lengths = head["sizes"][listed]
    lengths = sorted({*lengths} | whole_shares(every, lengths))
    commands = [command_of(table, run["sizes"]) for run in runs]
    head |= {"sizes": {**head["sizes"], listed: lengths}, "note": note, "date": date.today().isoformat()}
    head |= {"command": "; ".join([head["command"], *commands])} | (
        {"ratios": ratios(every)} if table == "cost" else {}
    )
    del head["rows"]
    write_table(check_folder(out or to, "--out") / f"{table}.json", head, every)
    where = ", ".join(written(share) for share in sorted({row["key"]["share"] for row in more.values()}))
    say(f"{table}: {counted(len(more), 'row')} added, after {where} of the base's training. {note}")


if __name__ == "__main__":
    sys.exit(cli.main(script=add_rows))

"""A table of `pusa-lab bench paper` from the rows that a run left which will not be finished.

    python benchmarks/unfinished.py tasks --rows outputs/paper --out small_models/results/paper --command ... --why ...

The file says in a note how many rows there are, which are missing, and why.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

from torch import Tensor

from pusa_lab import cli
from pusa_lab.cli.terminal import say
from pusa_lab.files import check_folder, read_json
from pusa_lab.sentences import counted
from small_models.experiments import TABLES, Adaptation, Lab, Sizes, ToyTrainer, read_results, write_table
from small_models.experiments.records import FORMAT, ResultRow
from small_models.models.toy import ToyModel

MANY = 6
"""Missing rows up to which each is named."""


class Untrained(ToyTrainer):
    """Gives the base in place of every adaptation, for what only asks which there are."""

    def updates(self, adaptation: Adaptation, shares: Sequence[float]) -> list[dict[str, Tensor]]:
        """No changes."""
        return [{} for _ in shares]

    def model(self, adaptation: Adaptation, update: dict[str, Tensor], strength: float = 1.0) -> ToyModel:
        """The base."""
        return self.lab.model("base")


def keys_of(name: str, lab: Lab) -> list[dict[str, Any]]:
    """The keys of all rows of a table, in its order, without training anything.

    Args:
        name: of the table.
        lab: of its sizes.
    """
    return [json.loads(json.dumps(key)) for key, _ in TABLES[name].rows(lab, Untrained(lab))]


def kept_rows(folder: Path) -> dict[str, ResultRow]:
    """The rows that were measured without an error, by their keys as text.

    Args:
        folder: of the rows.
    """
    found = {}
    for path in sorted((folder / "rows").glob("*.json")):
        row = read_json(path, "a row of a table")
        if not row["error"]:
            seconds = float(path.with_suffix(".seconds").read_text())
            found[json.dumps(row["key"], sort_keys=True)] = {"key": row["key"], **row["scores"], "seconds": seconds}
    return found


def missing_of(keys: Sequence[dict[str, Any]]) -> str:
    """The keys of missing rows in words; of many only their first part, with how many there are.

    Args:
        keys: of the rows.
    """
    if len(keys) <= MANY:
        return "; ".join(", ".join(str(value) for value in key.values()) for key in keys)
    return "; ".join(
        f"{first} ({count} rows)" for first, count in Counter(str(next(iter(k.values()))) for k in keys).items()
    )


def unfinished(table: str, *, rows: Path, command: str, why: str, out: Path) -> None:
    """Write a table from the rows that a run left which will not be finished.

    Args:
        table: name of the table.
        rows: folder of the run's results, with <table>.rows in it.
        command: of the run.
        why: why it will not be finished: a sentence for the note.
        out: folder for <table>.json.

    Raises:
        ValueError: there is no such table, or the run left no rows or all of them.
    """
    if table not in TABLES:
        raise ValueError(f"no table {table!r:.60}: choose one of {', '.join(TABLES)}.")
    folder = rows / f"{table}.rows"
    header, kept = read_json(folder / "sweep.json", "what rows were made with"), kept_rows(folder)
    sizes = {field.name: header["sizes"][field.name] for field in fields(Sizes)}
    lab = Lab(Sizes(**{k: tuple(v) if isinstance(v, list) else v for k, v in sizes.items()}), rows, "cpu")
    keys = keys_of(table, lab)
    there = [kept[json.dumps(key, sort_keys=True)] for key in keys if json.dumps(key, sort_keys=True) in kept]
    missing = [key for key in keys if json.dumps(key, sort_keys=True) not in kept]
    if not there or not missing:
        raise ValueError(f"{folder} holds {counted(len(there), 'row')} of {len(keys)}: run the command itself.")
    note = f"{len(there)} of {len(keys)} rows. {why} Missing: {missing_of(missing)}."
    about = {"title": TABLES[table].title, "command": command, "seed": lab.sizes.seed, "date": date.today().isoformat()}
    head = {**header, "format": FORMAT, **about, "note": note, **TABLES[table].more(lab, there)}
    write_table(check_folder(out, "--out") / f"{table}.json", head, there)
    read_results(out / f"{table}.json")
    say(f"{table}: {note}")


if __name__ == "__main__":
    sys.exit(cli.main(script=unfinished))

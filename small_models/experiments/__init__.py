"""The paper's claims at toy scale, one table each: `pusa-lab bench paper --list`."""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.files import writing
from pusa_lab.progress import progress_bar
from pusa_lab.sentences import counted
from pusa_lab.sweeps.identity import digest_of
from pusa_lab.sweeps.store import Made, RowStore, check_made_with
from small_models.experiments.adapt import Adaptation, ToyTrainer
from small_models.experiments.forgetting import forgetting
from small_models.experiments.generalisation_table import generalisation
from small_models.experiments.inside_table import inside
from small_models.experiments.lab import Lab, Rows
from small_models.experiments.learned_table import learned
from small_models.experiments.prediction import prediction
from small_models.experiments.recipe_table import recipes
from small_models.experiments.records import FORMAT, Record, ResultRow, prompt_table, read_results
from small_models.experiments.sampling_tables import noise, schedules, steps, suite, tasks
from small_models.experiments.sizes import SMALL, Sizes
from small_models.experiments.training_tables import cost, exactness, lora, preserved, ratios, timestep_samplers

__all__ = [
    "RESULTS",
    "SMALL",
    "TABLES",
    "Adaptation",
    "Lab",
    "Sizes",
    "Table",
    "ToyTrainer",
    "kept_rows",
    "measure_part",
    "measured_rows",
    "prompt_table",
    "read_results",
    "run_table",
    "share_rows",
    "write_table",
]

RESULTS = Path(__file__).parents[1] / "results" / "paper"
"""Where the shipped results lie."""


@checked
@dataclass(frozen=True)
class Table:
    """One question, how it is answered, and what to print of the answer."""

    title: str
    """What is asked."""
    rows: Callable[[Lab, ToyTrainer], Rows]
    """The key of each row, and what measures it."""
    columns: tuple[str, ...]
    """Scores to print."""
    more: Callable[[Lab, list[ResultRow]], dict[str, Any]] = lambda lab, rows: {}
    """What else belongs in the file, given the measured rows."""

    @property
    def name(self) -> str:
        """Name of the table, as typed after --table."""
        return self.rows.__name__


_VBENCH = ("total", "quality", "i2v")
_TASK = ("skill", "psnr", "position_error", *_VBENCH, "boundary_colour", "boundary_position", "last_to_first_psnr")
TABLES = {
    table.name: table
    for table in (
        Table(
            "The suite on true, coded, still and destroyed clips",
            suite,
            (*_VBENCH, "skill", "psnr", "text_alignment"),
        ),
        Table(
            "Cost against quality of image-to-video (the 1/200 claim)",
            cost,
            ("skill", "psnr", "position_error", *_VBENCH),
            lambda lab, rows: {"ratios": ratios(rows)},
        ),
        Table(
            "Text to video before and after",
            preserved,
            ("text_alignment", "shape", "direction", "physics_error"),
            lambda lab, rows: {"before training": exactness(lab)},
        ),
        Table(
            "How far text to video is from the base's",
            forgetting,
            ("latent_distance", "velocity_distance", "feature_distance", "text_alignment", "alignment_lost"),
            lambda lab, rows: {"prediction": prediction(rows)},
        ),
        Table(
            "How timesteps are sampled in training (Table 2)",
            timestep_samplers,
            ("skill", "psnr", *_VBENCH, "text_alignment"),
        ),
        Table("LoRA rank, strength and length (Tables 4a, 4c)", lora, ("skill", "psnr", *_VBENCH, "motion")),
        Table("Sampling steps and solvers (Table 4b)", steps, ("skill", "psnr", "position_error", *_VBENCH)),
        Table(
            "Noise on the known frames",
            noise,
            ("skill", "psnr", "known_psnr", *_VBENCH, "motion", "boundary_position"),
        ),
        Table("Every task, beside its specialist", tasks, _TASK),
        Table("Schedules of long videos", schedules, ("psnr", "position_error", "text_alignment", "boundary_colour")),
        Table(
            "Learned schedules and noise at equal calls",
            learned,
            ("psnr", "skill", "position_error", "text_alignment", "motion", "imaging_quality"),
        ),
        Table("One recipe for every task", recipes, ("skill", "psnr", "position_error", "text_alignment")),
        Table("Inside: weights and attention", inside, ()),
        Table(
            "Held-out speeds, sizes and combinations (PhyWorld's question)",
            generalisation,
            ("velocity_error", "relative_velocity_error", "pace", "size", "shape", "skill", "psnr", "position_error"),
        ),
    )
}
"""Name -> table, in the order in which they are best read."""


@checked
def run_table(name: str, lab: Lab, trainer: ToyTrainer, out: Path, command: str) -> Record:
    """Measure one table. Rows are kept in `<out>/<name>.rows` until all are there; the same run is resumed.

    Args:
        name: one of TABLES.
        lab: models and scores.
        trainer: trains; the same one for several tables saves work.
        out: folder for `<name>.json`.
        command: written into the file.

    Raises:
        ValueError: no such table, a row that failed, or a file or rows of another run.
    """
    table, store, path = *_opened(name, lab, out), out / f"{name}.json"
    if (found := _finished(path, store)) is not None:
        return found
    with store:
        rows = measured_rows(store, progress_bar(table.rows(lab, trainer), None, f"table {name}", "row"))
    about = {"title": table.title, "command": command, "seed": lab.sizes.seed, "date": date.today().isoformat()}
    more = {**table.more(lab, rows), "scale": lab.scale}
    write_table(path, {**store.header, "format": FORMAT, **about, **more}, rows)
    shutil.rmtree(store.folder)
    return read_results(path)


@checked
def measure_part(name: str, lab: Lab, trainer: ToyTrainer, out: Path, part: int, parts: int) -> None:
    """Measure some rows of a table, in a process of its own beside `run_table`, which then finds them.

    It ends early when `run_table` has finished the table.

    Args:
        name: as for `run_table`.
        lab: as for `run_table`.
        trainer: as for `run_table`.
        out: as for `run_table`.
        part: row i is measured if i % parts = part, unless another process has it in hand.
        parts: how many processes there are, from 2.

    Raises:
        ValueError: as `run_table`, or there is no such part.
    """
    if parts < 2 or not 0 <= part < parts:
        raise ValueError(f"part={part} of parts={parts}: give at least 2 parts, and one from 0 to parts - 1.")
    table, store, path = *_opened(name, lab, out), out / f"{name}.json"
    if _finished(path, store) is not None:
        return
    with store:
        for i, (key, measure) in enumerate(table.rows(lab, trainer)):
            if path.is_file():  # finished meanwhile, and the rows are in it
                return
            if i % parts == part:
                store.row({"key": key}, partial(_made, measure), wait=False, is_enough=_is_measured)


@checked
def share_rows(store: RowStore, rows: Rows) -> Iterator[dict[str, Any]]:
    """Measure the rows that no other process has in hand, and yield each key, measured or left to another process.

    Args:
        store: of the rows, open.
        rows: the key of each, and what measures it.
    """
    for key, measure in rows:
        store.row({"key": key}, partial(_made, measure), wait=False, is_enough=_is_measured)
        yield key


@checked
def kept_rows(store: RowStore, rows: Rows) -> list[ResultRow]:
    """The rows that are measured so far; nothing is measured.

    Args:
        store: of the rows, open.
        rows: the key of each, and what would measure it.
    """
    there = [store.read(digest_of({**store.header, "key": key})) for key, _ in rows]
    return [_told(row) for row in there if row and not row["error"]]


def _opened(name: str, lab: Lab, out: Path) -> tuple[Table, RowStore]:
    if name not in TABLES:
        raise ValueError(f"no table {name!r}: choose one of {', '.join(TABLES)}.")
    return TABLES[name], RowStore(out / f"{name}.rows", {"table": name, **lab.header()}, "--out")


def _finished(path: Path, store: RowStore) -> Record | None:
    """The table if it is finished; one of another run is refused."""
    if not path.is_file():
        return None
    found = read_results(path)
    check_made_with(path, found, {**store.header, "format": FORMAT}, "--out")
    return found


def _is_measured(row: ResultRow) -> bool:
    return not row["error"]


@checked
def measured_rows(store: RowStore, rows: Rows) -> list[ResultRow]:
    """All rows, read from the store or made and kept there; if some fail, the others are kept all the same.

    Args:
        store: of the rows, open.
        rows: the key of each, and what measures it.

    Raises:
        ValueError: a row failed.
    """
    found, failed = list[ResultRow](), []
    for key, measure in rows:
        row = store.row({"key": key}, partial(_made, measure), is_enough=_is_measured)
        assert row is not None
        if row["error"]:
            failed.append(f"{key} with {row['error']}")
        found.append(_told(row))
    if failed:
        raise ValueError(
            f"{counted(len(failed), 'row')} of {len(found)} failed, the first is {failed[0]}. The others are kept: run "
            f"the same command again."
        )
    return found


def _told(row: ResultRow) -> ResultRow:
    """A row as a results file holds it."""
    return {"key": row["key"], **row["scores"], "seconds": row["seconds"]}


def _made(measure: Callable[[], dict[str, Any]], before: Any) -> Made:
    return Made(_plain(measure()))


def _plain(value: Any) -> Any:
    """Convert to what JSON holds: lists, numbers of nine digits, and None for what is not a number."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    return value


@checked
def write_table(path: Path, head: dict[str, Any], rows: list[ResultRow]) -> None:
    """Write a results file: what is said of all rows, and then one row a line, with nine digits of every number.

    Args:
        path: of the file.
        head: entries besides the rows; what is not a number becomes null.
        rows: of the table.

    Raises:
        ValueError: the file cannot be written.
    """
    head = _plain(head)
    lines = ",\n  ".join(json.dumps(_plain(row), allow_nan=False) for row in rows)
    with writing(path) as part:
        part.write_text(f'{json.dumps(head, indent=1, allow_nan=False)[:-2]},\n "rows": [\n  {lines}\n ]\n}}\n')

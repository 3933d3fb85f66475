"""The paper's claims at toy scale, one table each: `pusa-lab bench paper --list`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pusa_lab.arguments import checked
from small_models.experiments.adapt import Adaptation, ToyTrainer
from small_models.experiments.inside_table import inside
from small_models.experiments.lab import Lab
from small_models.experiments.result_store import ResultStore, read_results
from small_models.experiments.sampling_tables import noise, schedules, steps, tasks
from small_models.experiments.sizes import SMALL, Sizes
from small_models.experiments.suite_table import suite
from small_models.experiments.training_tables import cost, lora, preserved, timestep_samplers

__all__ = [
    "RESULTS",
    "SMALL",
    "TABLES",
    "Adaptation",
    "Lab",
    "ResultStore",
    "Sizes",
    "Table",
    "ToyTrainer",
    "read_results",
    "run_table",
]

RESULTS = Path(__file__).parents[1] / "results" / "paper"
"""Where the shipped results lie."""


@checked
@dataclass(frozen=True)
class Table:
    """One question, how it is answered, and what to print of the answer."""

    title: str
    """What is asked."""
    fill: Callable[[Lab, ToyTrainer, ResultStore], dict[str, Any]]
    """Measures the rows; returns what else belongs in the file."""
    columns: tuple[str, ...]
    """Scores to print."""

    @property
    def name(self) -> str:
        """As typed after --table."""
        return self.fill.__name__


_VBENCH = ("total", "quality", "i2v")
_TASK = ("psnr", "position_error", *_VBENCH, "boundary_colour", "boundary_position", "last_to_first_psnr")
TABLES = {
    table.name: table
    for table in (
        Table("The suite on true, coded, still and destroyed clips", suite, (*_VBENCH, "psnr", "text_alignment")),
        Table("Cost against quality of image-to-video (the 1/200 claim)", cost, ("psnr", "position_error", *_VBENCH)),
        Table("Text to video before and after", preserved, ("text_alignment", "shape", "direction", "physics_error")),
        Table(
            "How timesteps are sampled in training (Table 2)", timestep_samplers, ("psnr", *_VBENCH, "text_alignment")
        ),
        Table("LoRA rank, strength and length (Tables 4a, 4c)", lora, ("psnr", *_VBENCH, "motion")),
        Table("Sampling steps and solvers (Table 4b)", steps, ("psnr", "position_error", *_VBENCH)),
        Table("Noise on the known frames", noise, ("psnr", "known_psnr", *_VBENCH, "motion", "boundary_position")),
        Table("Every task, beside its specialist", tasks, _TASK),
        Table("Schedules of long videos", schedules, ("psnr", "position_error", "text_alignment", "boundary_colour")),
        Table("Inside: weights and attention", inside, ()),
    )
}
"""Name -> table, in the order in which they are best read."""


@checked
def run_table(name: str, lab: Lab, trainer: ToyTrainer, out: Path, command: str) -> dict[str, Any]:
    """Measure one table; what is there of the same run is kept.

    Args:
        name: one of TABLES.
        lab: models and scores.
        trainer: trains; the same one for several tables saves work.
        out: folder for `<name>.json`.
        command: written into the file.

    Raises:
        ValueError: no such table, or a half-finished file of another run.
    """
    if name not in TABLES:
        raise ValueError(f"no table {name!r}: choose one of {', '.join(TABLES)}.")
    table = TABLES[name]
    about = {"table": name, "title": table.title, "command": command, "seed": lab.sizes.seed}
    store = ResultStore(out / f"{name}.json", about, lab.sizes, lab.checkpoints())
    more = table.fill(lab, trainer, store)
    return store.close(**more, scale=lab.scale)

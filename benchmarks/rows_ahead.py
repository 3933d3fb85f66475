"""Measure every n-th row of a table of `pusa-lab bench paper` ahead, in a process of its own.

    python benchmarks/rows_ahead.py recipes --part 1 --parts 3 --work outputs/paper --out outputs/paper &
    python benchmarks/rows_ahead.py recipes --part 2 --parts 3 --work outputs/paper --out outputs/paper &
    pusa-lab bench paper --table recipes --wait --work outputs/paper --out outputs/paper

Several GPUs, or one that a single process leaves idle, then score one table together.
"""

import sys
from pathlib import Path
from typing import Any

from pusa_lab import cli
from pusa_lab.files import check_folder
from pusa_lab.training.quiet import quiet_lightning
from small_models.experiments import Lab, ToyTrainer, measure_part
from small_models.experiments.command import sizes_of


def rows_ahead(
    table: str,
    *,
    part: int,
    parts: int,
    work: Path,
    out: Path,
    train: bool = False,
    small: bool = False,
    set: dict[str, Any] | None = None,
) -> None:
    """Measure every n-th row of a table of `pusa-lab bench paper` ahead.

    Args:
        table: name of the table.
        part: row i is measured if i % parts = part, unless another process has it in hand.
        parts: how many processes there are, that of `pusa-lab bench paper` included.
        work: folder of the trained weights, the table's own.
        out: folder of the results, the table's own.
        train: also train what is missing, rather than wait for another process.
        small: the sizes of `pusa-lab bench paper --small`.
        set: sizes to change, as for `pusa-lab bench paper`.

    Raises:
        ValueError: there is no such table, part or size.
    """
    lab = Lab(sizes_of(small, set or {}), check_folder(work, "--work"))
    with quiet_lightning():
        measure_part(table, lab, ToyTrainer(lab, wait=not train), check_folder(out, "--out"), part, parts)


if __name__ == "__main__":
    sys.exit(cli.main(script=rows_ahead))

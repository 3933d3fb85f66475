"""Where quality drifts: videos of 16 lengths of the model, by every way to sample them, in scenes of known truth.

pusa-lab bench long            # mini on a GPU, less than ten minutes
pusa-lab bench long --small    # nano, three lengths, four scenes: under two minutes on two cores
pusa-lab bench long --show     # the table that was measured
"""

import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from jsonargparse.typing import PositiveInt

import small_models
from pusa_lab import cli
from pusa_lab.cli.terminal import say
from pusa_lab.files import check_writable, read_json
from pusa_lab.progress import progress_bar
from pusa_lab.sweeps.store import RowStore
from small_models.experiments import measured_rows, write_table
from small_models.experiments.drift import SMALL_DRIFT, DriftSizes, changes, drift_rows
from small_models.experiments.drift_report import drift_changes, drift_conditions, drift_finding, drift_table
from small_models.experiments.lab import made_with
from small_models.machine import conditions

OUT = Path(__file__).parent / "results" / "long.json"


def main(
    *,
    small: bool = False,
    show: bool = False,
    lengths: PositiveInt | None = None,
    scenes: PositiveInt | None = None,
    seeds: PositiveInt | None = None,
    out: Path | None = None,
) -> None:
    """How quality drifts with the length of a video, by every way to sample it.

    A run that was killed is resumed from the rows in <out without .json>.rows.

    Args:
        small: measure nano, three lengths of four scenes.
        show: only print what was measured.
        lengths: length of the videos, in lengths of the model's own, at least 2 (default: 16).
        scenes: unseen scenes, at least 2 (default: 32).
        seeds: videos of each scene (default: 3).
        out: file to write (default: benchmarks/results/long.json; with --small outputs/long.json).

    Raises:
        ValueError: the file cannot be written, or there is nothing to show.
    """
    out = out or (Path("outputs/long.json") if small else OUT)
    changed = {name: n for name, n in (("lengths", lengths), ("scenes", scenes), ("seeds", seeds)) if n is not None}
    if show:
        if changed:
            raise ValueError(f"--{next(iter(changed))} with --show, which measures nothing: leave one of them out.")
        say(shown(read_json(out, "what was measured", {"rows": list, "sizes": dict, "changes": list})))
        return
    sizes = replace(SMALL_DRIFT if small else DriftSizes(), **changed)
    check_writable(out, "--out")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = small_models.load(f"{sizes.preset}-vta", device)
    header = {"table": "long", "sizes": asdict(sizes), **made_with(device)}
    with RowStore(out.with_suffix(".rows"), header, "--out") as store:
        rows = measured_rows(store, progress_bar(drift_rows(model, sizes), None, "long videos", "row"))
    shutil.rmtree(store.folder)
    write_table(out, {**store.header, **conditions(), "changes": changes(rows)}, rows)
    say(shown(read_json(out, "what was measured")))


def shown(found: dict[str, Any]) -> str:
    """The results as they are printed."""
    parts = (drift_conditions, drift_table, drift_finding, drift_changes)
    return "\n\n".join(part(found) for part in parts)


if __name__ == "__main__":
    sys.exit(cli.main(script=main))

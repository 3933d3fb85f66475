"""How to train for long videos: with a mask or without, and after which past; all from the same base, at equal budget.

pusa-lab bench forcing            # mini on a GPU; start it several times, and the processes share the trainings
pusa-lab bench forcing --tiny     # nano, trained for two steps: whether it runs
pusa-lab bench forcing --show     # the table that was measured
"""

import sys
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from jsonargparse.typing import PositiveInt

from pusa_lab import cli
from pusa_lab.cli.terminal import say, tell
from pusa_lab.files import check_folder, check_writable, read_json
from pusa_lab.progress import progress_bar
from pusa_lab.sweeps.identity import digest_of
from pusa_lab.sweeps.store import RowStore
from pusa_lab.training.quiet import quiet_lightning
from small_models.experiments import ToyTrainer, kept_rows, measured_rows, share_rows, write_table
from small_models.experiments.forcing import TINY, ForcingSizes, forcing_rows, in_turn
from small_models.experiments.forcing_report import (
    few_calls_table,
    forcing_changes,
    forcing_conditions,
    forcing_finding,
    forcing_intervals,
    forcing_table,
)
from small_models.experiments.lab import made_with
from small_models.machine import conditions

OUT = Path(__file__).parent / "results" / "forcing.json"
WORK = Path("outputs") / "forcing"


def main(
    *,
    tiny: bool = False,
    show: bool = False,
    steps: PositiveInt | None = None,
    training_seeds: PositiveInt | None = None,
    scenes: PositiveInt | None = None,
    seeds: PositiveInt | None = None,
    lengths: PositiveInt | None = None,
    first: list[str] | None = None,
    work: Path = WORK,
    out: Path | None = None,
) -> None:
    """Train a toy for long videos in every way, and measure how far quality drifts.

    Started several times with the same options, the processes share the trainings, each of which is claimed by one. The
    file holds what is measured so far. What is trained and measured stays in --work: a run that was killed goes on.

    Args:
        tiny: train nano for two steps, and measure two scenes.
        show: only print what was measured.
        steps: steps of each training (default: 3000).
        training_seeds: trainings of each kind (default: 3).
        scenes: unseen scenes, at least 2 (default: 32).
        seeds: videos of each scene (default: 3).
        lengths: length of the long videos, in lengths of the model's own, at least 2 (default: 16).
        first: parts of the names of trainings that this process takes first, if no other one has them in hand, such as
            '[causal, flow map]'.
        work: folder for clips, weights and rows.
        out: file to write (default: benchmarks/results/forcing.json; with --tiny outputs/forcing.json).

    Raises:
        ValueError: a size is out of range, no training is called so, a file cannot be written, or there is nothing to
            show.
    """
    out = out or (Path("outputs/forcing.json") if tiny else OUT)
    given = {"steps": steps, "training_seeds": training_seeds, "scenes": scenes, "seeds": seeds, "lengths": lengths}
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if show:
        if unused := {**changed, **({"first": first} if first else {})}:
            option = next(iter(unused)).replace("_", "-")
            raise ValueError(f"--{option} with --show, which measures nothing: leave one of them out.")
        say(shown(read_json(out, "what was measured", {"rows": list, "trainings": int})))
        return
    sizes = replace(TINY if tiny else ForcingSizes(), **changed)
    check_writable(out, "--out")
    lab = sizes.lab(check_folder(work, "--work"))
    header = {"table": "forcing", "sizes": asdict(sizes), "checkpoints": lab.checkpoints(), **made_with(lab.device)}
    rows = partial(forcing_rows, sizes, lab, ToyTrainer(lab))
    turn = list(in_turn(rows(), first or []))
    with quiet_lightning(), RowStore(work / "rows", header, "--work") as store:
        about = {**store.header, **conditions(), "seed": 0, "trainings": len(turn)}
        for key in share_rows(store, progress_bar(turn, None, "trainings", "row")):
            tell(progress(store, key))
            with store.holding(digest_of("the table"), wait=True):  # so that none writes what another has overtaken
                write_table(out, about, kept_rows(store, rows()))
        write_table(out, about, measured_rows(store, rows()))  # once other processes have measured theirs
    say(shown(read_json(out, "what was measured")))


def progress(store: RowStore, key: dict[str, Any]) -> str:
    """What has become of a row."""
    row = store.read(digest_of({**store.header, "key": key}))
    became = "left to another process" if row is None else row["error"] or f"{row['seconds']:.0f} s"
    return f"{time.strftime('%H:%M:%S')} {key['training']}, seed {key['seed']}: {became}"


def shown(found: dict[str, Any]) -> str:
    """The results as they are printed."""
    if not found["rows"]:
        return f"none of {found['trainings']} trainings is measured yet"
    parts = (
        *(forcing_conditions, forcing_table, forcing_finding),
        *(forcing_changes, forcing_intervals, few_calls_table),
    )
    return "\n\n".join(text for part in parts if (text := part(found)))


if __name__ == "__main__":
    sys.exit(cli.main(script=main))

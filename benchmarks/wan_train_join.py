"""Join what the phases of wan_train.sh wrote into one file: what was measured whole, parts, several GPUs, four clips.

    python benchmarks/wan_train_join.py WHERE [WHERE ...]     # -> benchmarks/results/wan_train.json

WHERE is a folder or a file, the joined one too: give that first to add to it. A row takes the place of an older one of
the very same setting. `rows` are whole trainings of 40 blocks, printed as pusa_lab/planning/measured.py has them for
`pusa-lab plan`; `parts` are measured on some of the blocks, their seconds multiplied and their peaks those of the part.
"""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pusa_lab import cli
from pusa_lab.files import check_writable, read_json, write_json
from pusa_lab.planning.measured import Measured
from pusa_lab.planning.tables import find_gpu

OUT = Path(__file__).parent / "results" / "wan_train.json"
BLOCKS = 40
CASES = ("one", "four", "eight", "small")
KINDS = ("rows", "parts", "scaling", "full", "overfit")
SETTING = ("size", "frames", "variant", "model", "checkpointing", "compile", "precision", "attention", "layers", "rank")
SETTING += ("device", "gpus", "global_batch", "steps")
"""Fields that tell two rows of one kind apart; what the optimizer is and what waits on the host is in checkpointing."""


def kind(row: dict[str, Any]) -> str:
    """Under which name a row is kept."""
    mode = row.get("mode", "steps")
    return mode if mode in KINDS else "rows" if row["layers"] == BLOCKS else "parts"


def joined(paths: Sequence[Path]) -> dict[str, Any]:
    """All rows of files, and of folders' files; the later ones win."""
    found: dict[str, Any] = {"command": "; ".join(f"bash benchmarks/wan_train.sh {name}" for name in CASES)}
    rows: dict[str, dict[str, Any]] = {name: {} for name in KINDS}
    for path in (file for p in paths for file in (sorted(p.glob("wan_train*.json")) if p.is_dir() else [p])):
        one = read_json(path, "a file of measured rows", {})
        for name in KINDS:
            if not all(isinstance(row, dict) and "layers" in row for row in _list(one.get(name, []), path)):
                raise ValueError(
                    f"{path} is not a file of measured rows (one of {name!r} has no layers): leave it out."
                )
        found |= {key: one[key] for key in ("date", "weights", "seed") if key in one}
        for row in (row for name in KINDS for row in one.get(name, [])):
            rows[kind(row)][json.dumps([row.get(key) for key in SETTING])] = row
    return found | {name: [*those.values()] for name, those in rows.items()}


def _list(value: Any, path: Path) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{path} is not a file of measured rows (a {type(value).__name__} of rows): leave it out.")
    return value


def measured(row: dict[str, Any]) -> Measured:
    """A whole training of a LoRA as the planner knows it."""
    if (gpu := find_gpu(row["device"])) is None:
        raise ValueError(f"no peak is known for {row['device']!r}: add the card to GPUS in planning/tables.py.")
    counts = {kind: int(n) for kind, n in re.findall(r"(attention|everything) kept: (\d+)", row["checkpointing"])}
    given: dict[str, Any] = {"workload": "lora", "gpu": gpu, "size": tuple(row["size"]), "global_batch_size": 1}
    more = {
        "compiled": row["compile"],
        "ac_save_attention": counts.get("attention"),
        "ac_skip_blocks": counts.get("everything"),
        "optimizer": "adamw8bit" if "8-bit AdamW" in row["checkpointing"] else None,
        "offload_activations": "on host" in row["checkpointing"],
        "float8": row["precision"] == "float8",
        "attention": "fa4" if row["attention"] == "fa4" else None,
    }
    given |= {name: value for name, value in more.items() if value}
    source = f"benchmarks/results/wan_train.json, {row.get('date', '2026-11-26')}"
    return Measured(given, {"sample": row["seconds_per_sample"]}, {"training": row["peak_gib"]}, source)


def join(where: list[Path], *, out: Path | None = None) -> None:
    """Join what the phases of wan_train.sh wrote into one file, and print its rows for the planner.

    Args:
        where: files and folders of rows, the later ones win.
        out: file to write (default: benchmarks/results/wan_train.json).

    Raises:
        ValueError: a file does not hold measured rows.
    """
    out = check_writable(out or OUT, "--out")
    if not where:
        raise ValueError("no file was named: give the files or folders that wan_train.sh wrote.")
    found = joined(where)
    write_json(out, found)
    sys.stdout.writelines(f"{measured(row)},\n" for row in found["rows"])


if __name__ == "__main__":
    sys.exit(cli.main(script=join))

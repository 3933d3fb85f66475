"""Join what the phases of wan_train.sh wrote into one file: what was measured whole, parts, several GPUs, four clips.

    python benchmarks/wan_train_join.py WHERE [WHERE ...]     # -> benchmarks/results/wan_train.json

WHERE is a folder or a file, the joined one too: give that first to add to it. A row takes the place of an older one of
the very same setting. `rows` are whole trainings of 40 blocks, which `pusa-lab train --plan-only` reads; `parts` are
measured on some of the blocks, their seconds multiplied and their peaks those of the part.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import options

from pusa_lab.files import read_json, write_json

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


def main() -> int:
    """Read all, write one; returns 0, or 2 after one sentence on what is wrong with the input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("where", nargs="+", type=Path)
    parser.add_argument("--out", type=options.file, default=str(OUT))
    args = parser.parse_args()
    try:
        write_json(args.out, joined(args.where))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"wan_train_join: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

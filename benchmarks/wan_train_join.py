"""Join what the phases of wan_train.sh wrote into one file: what was measured whole, parts, several GPUs, four clips.

    python benchmarks/wan_train_join.py FOLDER [FOLDER ...]     # -> benchmarks/results/wan_train.json

`rows` are whole trainings of 40 blocks, which `pusa-lab train --plan-only` reads; `parts` are measured on some of the
blocks, their seconds multiplied and their peaks those of the part.
"""

import json
import sys
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "results" / "wan_train.json"
BLOCKS = 40


def kind(row: dict[str, Any]) -> str:
    """Under which name a row is kept."""
    mode = row.get("mode", "steps")
    return mode if mode in ("scaling", "full", "overfit") else "rows" if row["layers"] == BLOCKS else "parts"


def main() -> None:
    """Read all, write one."""
    found: dict[str, Any] = {"command": "bash benchmarks/wan_train.sh one; bash benchmarks/wan_train.sh four"}
    found |= {name: [] for name in ("rows", "parts", "scaling", "full", "overfit")}
    for folder in sys.argv[1:]:
        for path in sorted(Path(folder).glob("wan_train*.json")):
            one = json.loads(path.read_text())
            found |= {key: one[key] for key in ("date", "weights", "seed") if key in one}
            for row in one["rows"]:
                found[kind(row)].append(row)
    part = OUT.with_suffix(".part")
    part.write_text(json.dumps(found, indent=1) + "\n")
    part.replace(OUT)


if __name__ == "__main__":
    main()

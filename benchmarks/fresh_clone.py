"""Time what a newcomer does: clone, `make demo`, `make test`, each from nothing.

    python benchmarks/fresh_clone.py

Writes benchmarks/results/fresh_clone.json. Needs only git, make and Python; the first command also installs.
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

HERE = Path(__file__).resolve().parent


def timed(command: list[str], folder: Path) -> tuple[float, str]:
    """Seconds and output of a command; an error if it fails."""
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return round(time.perf_counter() - began, 1), done.stdout


def main() -> None:
    """Seconds of installing a fresh clone, its demo, its tests, a video and a training."""
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, text=True).strip()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", str(HERE.parent), str(clone)], check=True)
        install, _ = timed(["make", ".venv/.ready"], clone)
        demo, _ = timed(["make", "demo"], clone)
        test, counted = timed(["make", "test"], clone)
        one = [".venv/bin/pusa-lab", "generate", "a red square moves left", "--image", "notebooks/assets/still.png"]
        generate, _ = timed(one, clone)
        train, _ = timed([".venv/bin/pusa-lab", "train", "--model", "mini", "--stage", "vta", "--fast"], clone)
        freeze = timed([".venv/bin/python", "-m", "pip", "freeze"], clone)[1]
    names = ("torch", "diffusers", "lightning", "jupyterlab", "papermill")
    result = {
        "command": "python benchmarks/fresh_clone.py",
        "date": date.today().isoformat(),
        "commit": commit,
        "device": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {n: m[1] for n in names if (m := re.search(rf"^{n}==(\S+)", freeze, re.M))},
        "seconds": {
            "install": install,
            "make demo": demo,
            "make test": test,
            "pusa-lab generate": generate,
            "pusa-lab train --model mini --fast": train,
        },
        "tests": re.search(r"\d+ passed[^\n]*", counted)[0],
    }
    (HERE / "results" / "fresh_clone.json").write_text(json.dumps(result, indent=2) + "\n")
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Write the course index: notebooks/README.md, and one small picture a chapter in assets/.

    python notebooks/index.py            # from the built chapters; a new one first needs its line in CHAPTERS
    python notebooks/index.py --times    # runs every chapter twice first, FAST and full: some minutes

Times go to benchmarks/results/notebooks.json.
"""

import ast
import base64
import io
import json
import os
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import build
import nbformat
from PIL import Image

from pusa_lab.files import write_json, writing
from small_models.machine import device_name, library_versions

HERE = Path(__file__).resolve().parent
TIMES = HERE.parent / "benchmarks" / "results" / "notebooks.json"
CHAPTERS = {
    "00_quick_tour": ("One picture, three sentences, three videos; and the schedule behind them.", 0),
    "01_one_timestep_per_frame": ("The timestep vector by hand, on three frames with an exact answer.", 0),
    "02_the_zoo_of_schedules": ("The order in which frames are denoised, and what it costs; invent one.", 0),
    "03_solvers_and_known_frames": ("What a solver remembers of each frame, checked on the exact Gaussian.", 0),
    "04_the_frame_aware_loss": ("The loss derived, in six lines, and what each noise level can teach.", 0),
    "05_train_a_toy": ("From one timestep to one per frame, live, beside a control; then the videos.", 0),
    "06_tasks_without_training": ("All tasks with one model, latent and pixel frames, and how much noise to keep.", 1),
    "07_measuring": ("What a score detects and what it misses; the paper's claims at toy scale.", 1),
    "08_ablations": ("Run your own ablation, and do not let chance or the score fool you.", 3),
    "09_inside": ("Which weights change, and which frames attend to which.", 4),
    "10_from_toy_to_wan": ("What changes in Wan, tried on a tiny one, and three checks that it is right.", 0),
    "11_playground": ("Draw a schedule, run it, and compare it with another.", 1),
    "12_what_the_toolkit_found": ("A better recipe: built, tried live, searched for, and checked.", 1),
    "13_a_day_with_your_own_clips": ("From a folder of clips to a LoRA and a video, with a Wan of 0.2 MB.", 0),
    "14_videos_without_end": ("Why long videos drift, taken apart one reason at a time, and what helps.", 0),
}
"""Chapter -> a sentence, and which of its pictures shows it best."""
PATHS = {
    "Half an hour": ("What is a timestep per frame, and what does it buy?", "00 01 11"),
    "An afternoon": ("Understand it well enough to use it on your own clips.", "00 01 02 04 05 06 13"),
    "A researcher": ("Judge the claims, and measure your own.", "03 04 07 08 09 10 12 14"),
}
"""Reader -> the question, and the numbers of the chapters to read."""
WIDTH = 480


def pictures(notebook: nbformat.NotebookNode) -> list[bytes]:
    """The PNGs among a chapter's outputs, in order."""
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    found = [o["data"]["image/png"] for o in outputs if "image/png" in o.get("data", {})]
    return [base64.b64decode(picture) for picture in found]


def counts(notebook: nbformat.NotebookNode) -> tuple[int, int]:
    """Asserts and exercises of a chapter."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    asserts = sum(isinstance(node, ast.Assert) for text in code for node in ast.walk(ast.parse(text)))
    return asserts, sum("exercise" in cell.metadata.get("tags", []) for cell in notebook.cells)


def measure(names: list[str]) -> dict[str, Any]:
    """Seconds of every chapter, FAST and full, one after the other, with as many threads as torch takes."""
    found: dict[str, Any] = {"command": "python notebooks/index.py --times", "date": date.today().isoformat()}
    found |= {
        "device": device_name(),
        "versions": library_versions(),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }
    found["seconds"] = {}
    for name in names:
        text, taken = build.read(HERE / "src" / f"{name}.py"), {}
        for label, fast in (("FAST", True), ("full", False)):
            began = time.perf_counter()
            build.execute(text.copy(), FAST=fast)
            taken[label] = round(time.perf_counter() - began, 1)
        found["seconds"][name] = taken
        sys.stdout.write(f"{name}: {taken}\n")
    return found


def main() -> None:
    """Write the index."""
    names = [path.stem for path in build.sources()]
    if new := [name for name in names if name not in CHAPTERS]:
        raise ValueError(f"chapter {new[0]} has no sentence yet: give it one, and a picture, in CHAPTERS of index.py.")
    if "--times" in sys.argv[1:]:
        write_json(TIMES, measure(names))
    times = json.loads(TIMES.read_text()) if TIMES.is_file() else {"seconds": {}}
    runs = ("FAST", "full") if times["seconds"] else ()
    cards, rows = [], []
    for name in names:
        notebook = nbformat.read(HERE / f"{name}.ipynb", as_version=4)
        title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
        sentence, which = CHAPTERS[name]
        picture = Image.open(io.BytesIO(pictures(notebook)[which])).convert("RGB")
        picture.thumbnail((WIDTH, WIDTH))
        picture.quantize(64).save(HERE / "assets" / f"{name[:2]}.png", optimize=True)
        cards.append(f"### [{title}]({name}.ipynb)\n\n![{title}](assets/{name[:2]}.png)\n\n{sentence}\n")
        took = times["seconds"].get(name, {})
        cells = [f"{took[k]:.0f}" if k in took else "not measured" for k in runs]
        rows.append(f"| {' | '.join([f'[{title}]({name}.ipynb)', *cells, *map(str, counts(notebook))])} |")
    links = {source.stem[:2]: f"[{build.title(source)}]({source.stem}.ipynb)" for source in build.sources()}
    ways = [
        f"- **{reader}.** {question} {' → '.join(links[number] for number in path.split())}"
        for reader, (question, path) in PATHS.items()
    ]
    where = f" (`{times['command']}` on {times['device']}, {times['date']})" if "command" in times else ""
    head = (
        "# The course\n\nEach chapter teaches one idea and can be read alone; in order, they build on each other. "
        "Every chapter has three exercises, which judge your answer at once; `answers/` has ours.\n"
    )
    columns = ["chapter", *(f"seconds {run}" for run in runs), "asserts", "exercises"]
    table = "\n".join([f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *rows])
    heading = f"## Times\n\nSeconds per run{where}, and what each chapter contains" if runs else "## What each contains"
    text = "\n".join(
        [
            head,
            "## Three ways through it\n",
            *ways,
            "\n## Chapters\n",
            *cards,
            f"{heading}{':' if runs else ''}\n\n{table}\n",
        ]
    )
    with writing(HERE / "README.md") as part:
        part.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

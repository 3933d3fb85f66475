"""History guidance at equal calls: ways to sample the shipped recipe, on the scenes of the search."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from pusa_lab.arguments import checked
from pusa_lab.files import check_fields, read_json, write_json
from pusa_lab.metrics import bootstrap
from pusa_lab.progress import progress_bar
from pusa_lab.sweeps.store import Made, RowStore
from small_models.evaluation import suite
from small_models.evaluation.ways import generate_from, make_clips
from small_models.experiments.lab import Lab, made_with
from small_models.experiments.pairs import signed
from small_models.experiments.recipe_search import SEARCH_SEED
from small_models.experiments.recipe_settings import SAMPLING, TEXT, with_history
from small_models.experiments.sampling_tables import places
from small_models.experiments.sizes import SMALL, Sizes

FILE = "history.json"
SCENES = 32
HISTORY_TASKS = ("image_to_video", "extension")
"""One known frame, and four of them."""
EQUAL = "text CFG 3"
"""The way that all others are compared with: 20 calls."""
WAYS: dict[str, dict[str, Any]] = {
    name: SAMPLING[name] for name in (EQUAL, "text CFG 3, 5 steps", "history guidance 1.25, 5 steps")
}
WAYS |= {
    "history guidance 1.5, 5 steps": {"history": 1.5, "steps": 5},
    "history guidance 2, 5 steps": SAMPLING["history guidance 2, 5 steps"],
    "history guidance 1.5 by halves, 3 steps": SAMPLING["history guidance 1.5 by halves, 3 steps"],
    "no guidance, 20 steps": SAMPLING["no guidance, 20 steps"],
    "history guidance 1.5, no text CFG": {"history": 1.5, "guidance": "text_cfg(scale=1)"},
}
"""Name -> steps, guidance and history, as in SAMPLING. By halves it takes several known frames."""
SCORES = ("skill", "psnr")
WRITTEN: tuple[tuple[int, Literal[1, 2]], ...] = ((100, 1), (1, 2))
"""Factor and digits of their differences."""


@checked
def measure_history(folder: Path, *, small: bool = False, command: str = "", progress: bool | None = None) -> Any:
    """Sample every task in every way, without training: rows are kept in the folder, and <folder>/history.json written.

    Args:
        folder: for rows and the result; a run that was killed is resumed from it.
        small: nano and two scenes.
        command: written into the file.
        progress: as for `sweep`.

    Returns:
        What was written, as from `read_history`.

    Raises:
        ValueError: the folder holds rows of other code, device or sizes.
    """
    sizes = replace(SMALL if small else Sizes(), swept=2 if small else SCENES, seeds=1)
    lab = Lab(sizes, folder, "cpu", SEARCH_SEED)
    about = {"model": f"{sizes.preset}-vta", "scenes": sizes.swept, "seed": sizes.seed, **made_with("cpu")}
    keys = [
        (task, way) for task in HISTORY_TASKS for way in WAYS if task != HISTORY_TASKS[0] or "halves" not in WAYS[way]
    ]
    with RowStore(folder / "history", about, "--out") as store:
        rows = [
            _kept(store, {"task": task, "way": way}, partial(_measured, lab, task, WAYS[way]))
            for task, way in progress_bar(keys, progress, "history guidance", "row")
        ]
    title = "History guidance at equal calls"
    write_json(
        folder / FILE, {"title": title, "command": command, "date": date.today().isoformat()} | about | {"rows": rows}
    )
    return read_history(folder / FILE)


def _kept(store: RowStore, key: dict[str, str], measure: Any) -> dict[str, Any]:
    row = store.row(key, lambda _: Made(measure()), is_enough=lambda row: not row["error"])
    assert row is not None
    if row["error"]:
        raise ValueError(f"{key['way']} at {key['task']} failed with {row['error']}")
    return key | row["scores"]


def _measured(lab: Lab, task: str, way: Mapping[str, Any]) -> dict[str, Any]:
    """Calls for one video, and every scene's scores."""
    known, steps = places(lab.geometry.frames)[task], way.get("steps", 10)
    guidance = way.get("guidance", TEXT)
    if "history" in way:
        guidance = with_history(guidance, known, way["history"], way.get("halves", False))
    given, calls = [pixel for i in known for pixel in lab.geometry.pixels_at(i)], list[int]()

    def make(prompts: list[str], truth: Any, seed: int) -> Any:
        made = generate_from(lab.model("vta"), prompts, truth, known, guidance=guidance, steps=steps, seed=seed)
        calls.append(made.calls)
        return made.video

    found = dict[str, list[float]]()
    for some, clip, numbers in lab.parts(lab.sizes.swept):
        raw = suite.fidelity(make_clips(make, some, clip, lab.sizes.seed, int(numbers[0])), clip, some, given)
        for name in SCORES:
            found.setdefault(name, []).extend(round(x, 4) for x in raw[name].tolist())
    return {"calls": calls[0], "steps": steps, **found}


@checked
def read_history(path: Path) -> dict[str, Any]:
    """Read what `measure_history` wrote.

    Args:
        path: of its file, history.json.

    Raises:
        ValueError: there is no such file, it is of another kind, or lacks the way that all are compared with.
    """
    what, text = "a comparison of history guidance", ("title", "command", "date", "model", "device")
    found = read_json(path, what, dict.fromkeys(text, str) | {"scenes": int, "seed": int, "rows": list})
    sentence = f"{path} holds a row that is not one of {what}"
    for row in found["rows"]:
        check_fields(row, sentence, {"task": str, "way": str, "calls": int} | dict.fromkeys(SCORES, list))
        for name in SCORES:
            if len(row[name]) != found["scenes"] or not all(
                isinstance(x, float) and math.isfinite(x) for x in row[name]
            ):
                raise ValueError(f"{sentence}: its {name!r} is not a number for each scene, restore the file.")
    for task in {row["task"] for row in found["rows"]}:
        if sum((row["task"], row["way"]) == (task, EQUAL) for row in found["rows"]) != 1:
            raise ValueError(f"{path} holds no single row of {EQUAL} at {task}: restore the file.")
    return dict(found)


@checked
def gains(found: Mapping[str, Any], score: str = "skill") -> dict[tuple[str, str], Any]:
    """By how much each way is above text guidance alone at 20 calls, scene by scene.

    Args:
        found: from `read_history`.
        score: "skill" or "psnr".

    Returns:
        (task, way) -> the difference with its interval over scenes, but for that way itself.

    Raises:
        ValueError: there is no such score.
    """
    if score not in SCORES:
        raise ValueError(f"score={score!r:.40}: give one of {', '.join(SCORES)}.")
    equal = {row["task"]: torch.tensor(row[score]) for row in found["rows"] if row["way"] == EQUAL}
    return {
        (row["task"], row["way"]): bootstrap(torch.tensor(row[score]) - equal[row["task"]])
        for row in found["rows"]
        if row["way"] != EQUAL
    }


@checked
def show_history(found: Mapping[str, Any]) -> str:
    """The comparison in markdown.

    Args:
        found: from `read_history`.
    """
    versions = ", ".join(f"{name} {version}" for name, version in found.get("versions", {}).items())
    lines = [
        f"# {found['title']}",
        "",
        f"`{found['model']}` on {found['scenes']} scenes of the search, against text guidance of scale 3 in ten steps "
        f"(20 calls of the model), scene by scene. History guidance of weight w is v_null + w (v(known frames) - "
        f"v_null), as picture guidance is, with text guidance around it unless said otherwise.",
        "",
        f"{found['device']}, {found['date']}, seed {found['seed']}, {versions}, `{found['command']}`",
        "",
        "| task | sampling | calls | skill | PSNR, dB | over 20 calls of text CFG: skill, in hundredths | PSNR, dB |",
        "|" + "---|" * 7,
    ]
    over = [gains(found, score) for score in SCORES]
    for row in found["rows"]:
        key, means = (row["task"], row["way"]), [_mean(row[score]) for score in SCORES]
        apart = [
            signed(gain[key], *written) if key in gain else "" for gain, written in zip(over, WRITTEN, strict=True)
        ]
        cells = [row["task"].replace("_", " "), row["way"], str(row["calls"]), f"{means[0]:.3f}", f"{means[1]:.2f}"]
        lines.append(f"| {' | '.join([*cells, *apart])} |")
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

"""The search for a recipe, as a command: `pusa-lab bench recipe`."""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pusa_lab.arguments import ArgumentError, checked
from pusa_lab.cli.terminal import line, say
from pusa_lab.files import check_fields, check_folder, read_json, write_json
from pusa_lab.guidance import guide, guider_named
from pusa_lab.sentences import counted
from small_models.experiments import RESULTS
from small_models.experiments import recipe_history as by_history
from small_models.experiments.lab import made_with
from small_models.experiments.recipe_search import OBJECTIVE, search
from small_models.experiments.recipe_settings import SEARCHED_TASKS, TEXT, with_history
from small_models.experiments.rows import share
from small_models.experiments.sampling_tables import CALLS_A_ROW

OUT = Path("outputs/recipe")
"""Where rows and weights of a search are kept, unless --out says otherwise."""
FILE = "recipe.json"


def recipe(
    *, show: bool = False, small: bool = False, history: bool = False, out: Path | None = None, workers: int = 1
) -> None:
    """Search for the recipe that turns a base model into one for all tasks: successive halving over ways to train.

    Settings are trained briefly, and the better ones again for longer; then ways to sample with the best are compared.
    Writes <out>/recipe.json; a search that was killed is resumed from the rows in <out>.

    Args:
        show: only print what was measured.
        small: on nano, with trainings that are far too short, in two minutes on two cores.
        history: train nothing, sample the shipped model with history guidance and without: minutes on a CPU.
        out: folder for rows, weights and the result (default: outputs/recipe; the shipped result for --show).
        workers: processes that train side by side; one leaves most of a GPU idle.

    Raises:
        ValueError: an option has no effect, there is no result to show, or the folder holds rows of another search.
    """
    if show:
        if small or history or workers != 1:
            raise ArgumentError("--show prints all that was measured: leave out --small, --history and --workers.")
        say(_shown(out or RESULTS))
        return
    folder = check_folder(out or OUT, "--out")
    if history:
        if workers != 1:
            raise ArgumentError("--history samples in one process: leave out --workers.")
        say(by_history.show_history(by_history.measure_history(folder, small=small, command=line.get())))
        return
    table = search(folder, small=small, workers=workers)
    about = {"title": "Search for a recipe", "objective": OBJECTIVE, "command": line.get()}
    made = made_with("cuda" if torch.cuda.is_available() else "cpu")
    rows = [{k: v for k, v in row.items() if not _is_missing(v)} for row in table.to_dict("records")]
    write_json(folder / FILE, about | {"date": date.today().isoformat(), "seed": 0} | made | {"rows": rows})
    say(show_search(read_search(folder / FILE)))


def _shown(folder: Path) -> str:
    """What a folder holds: the search, and how history guidance compares."""
    found = [show_search(read_search(folder / FILE))] if (folder / FILE).is_file() else []
    if (path := folder / by_history.FILE).is_file():
        found.append(by_history.show_history(by_history.read_history(path)))
    if not found:
        raise ArgumentError(f"{folder} holds no finished search: run one, or name its folder with --out.")
    return "\n\n".join(found)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


@checked
def read_search(path: Path) -> dict[str, Any]:
    """Read what a search found.

    Args:
        path: of its file, recipe.json.

    Raises:
        ValueError: there is no such file, it is of another kind, or it has no rows.
    """
    what = "a search for a recipe"
    found = read_json(
        path, what, dict.fromkeys(("title", "objective", "command", "device", "date"), str) | {"rows": list}
    )
    if not found["rows"]:
        raise ValueError(f"{path} holds no row of {what}: restore the file.")
    ends = (f"{score}{end}" for score in ("objective", "text_lost") for end in ("", " low", " high"))
    numbers = [*ends, *(f"{task} {score}" for task in SEARCHED_TASKS for score in ("skill", "psnr"))]
    for row in found["rows"]:
        sentence = f"{path} holds a row that is not one of {what}"
        check_fields(row, sentence, dict.fromkeys(("rung", "name", "sampling", "error"), str) | {"share": float})
        check_fields(row, sentence, {} if row["error"] else dict.fromkeys(numbers, int | float))
        if odd := [name for name in numbers if not row["error"] and not math.isfinite(row[name])]:
            raise ValueError(f"{sentence}: its {odd[0]!r} is {row[odd[0]]}, restore the file.")
    names = [(row["rung"], row["name"], row["sampling"]) for row in found["rows"]]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{path} holds the row of {', '.join(twice[0][1:])} more than once: restore the file.")
    return dict(found)


@checked
def show_search(found: Mapping[str, Any]) -> str:
    """A search in markdown: each round, and how the best were sampled, by the constraint and the objective.

    Args:
        found: from `read_search`.

    Raises:
        ValueError: a share of the training is not above 0.
    """
    lines = [f"# {found['title']}", "", found["objective"], ""]
    lines += [f"{found['device']}, {found['date']}, `{found['command']}`", ""]
    rungs = list(dict.fromkeys(row["rung"] for row in found["rows"]))
    for rung in rungs:
        rows = [row for row in found["rows"] if row["rung"] == rung]
        length = share(rows[0]["share"])
        what = f"Sampling, after {length}" if rung == "sampling" else f"Trained for {length}"
        lines += [f"## {what} of the base's training", "", _first(rows), "", *_table(rows, rung == "sampling"), ""]
    return "\n".join(lines).rstrip()


def _first(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many rows keep the constraint, and the best of them."""
    kept = [row for row in rows if not row["error"] and row["text_lost low"] <= 0]
    if not kept:
        return f"None of {counted(len(rows), 'row')} fulfils the constraint."
    best = max(kept, key=lambda row: row["objective"])
    return (
        f"{len(kept)} of {counted(len(rows), 'row')} fulfil the constraint; the best of these is "
        f"{best['name']}, {best['sampling']}: {_interval(best, 'objective', 1, 3)}."
    )


def _table(rows: Sequence[Mapping[str, Any]], sampled: bool) -> list[str]:
    order = sorted(
        (row for row in rows if not row["error"]), key=lambda row: (row["text_lost low"] > 0, -row["objective"])
    )
    first = ["setting", "sampling", "calls"] if sampled else ["setting"]
    head = [*first, "objective", *(f"{task}, skill (dB)" for task in SEARCHED_TASKS), "text alignment lost, points"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in order:
        how = [row["sampling"], str(_calls(row))] if sampled else []
        cells = [row["name"], *how, _interval(row, "objective", 1, 3)]
        cells += [f"{row[f'{task} skill']:.3f} ({row[f'{task} psnr']:.2f})" for task in SEARCHED_TASKS]
        lines.append(f"| {' | '.join([*cells, _interval(row, 'text_lost', 100, 1)])} |")
    return [*lines, *(f"\nFailed: {row['name']} ({row['error']})" for row in rows if row["error"])]


def _calls(row: Mapping[str, Any]) -> int:
    """Calls of the denoiser for one video from frame 0, guidance included: counted at one step of a small one."""
    asked = list[Tensor]()

    def denoiser(x: Tensor, tau: Tensor, **cond: Any) -> Tensor:
        asked.append(tau)
        return x

    x, guidance = torch.zeros(1, 1, 2, 1, 1), row.get("guidance", TEXT)
    if "history" in row:
        guidance = with_history(guidance, [0], row["history"], row.get("halves", False))
    guided = guide(guider_named(guidance), denoiser, null={"null": x}, known=[0], eps=x)
    guided(x, torch.tensor([[0.0, 0.5]]))
    solver = row.get("solver", "euler")
    return len(asked) * (CALLS_A_ROW[solver] * int(row.get("steps", 10)) - (solver == "heun"))


def _interval(row: Mapping[str, Any], name: str, scale: float, digits: int) -> str:
    mean, low, high = (scale * row[key] for key in (name, f"{name} low", f"{name} high"))
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

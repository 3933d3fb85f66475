"""The search for a recipe: many adaptations trained briefly, the better ones for longer, and then ways to sample."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.files import read_json, write_json
from pusa_lab.metrics import bootstrap
from pusa_lab.sentences import counted
from pusa_lab.sweeps import sweep
from pusa_lab.sweeps.identity import package_code
from pusa_lab.sweeps.store import Made, RowStore, check_made_with
from pusa_lab.training.quiet import quiet_lightning
from small_models.evaluation.ways import EVAL_SEED
from small_models.experiments.adapt import Adaptation, ToyTrainer
from small_models.experiments.lab import Lab
from small_models.experiments.recipe_settings import SAMPLING, SEARCHED_TASKS, TEXT, TRAINING, with_history
from small_models.experiments.sampling_tables import places
from small_models.experiments.sizes import SMALL, Sizes

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = Any

SEARCH_SEED = EVAL_SEED + 5
"""Scenes of the search; the tables are measured on others, which the search never saw."""
OBJECTIVE = (
    "Objective: the mean of metrics.skill over image-to-video, start-end frames, extension and completion with all "
    "free frames at one timestep, and over image-to-video on the pyramid and autoregressive schedules. Constraint: "
    "text alignment of text-to-video is not clearly below the base's, prompt by prompt (95 % interval). Settings that "
    "keep the constraint come first."
)
"""Written before anything was measured."""


@checked
@dataclass(frozen=True)
class Rung:
    """One round of the halving."""

    share: float
    """Of the base's training."""
    keep: int
    """Settings that go on to the next one, or to sampling."""


RUNGS = (Rung(1 / 40, 8), Rung(1 / 20, 3), Rung(1 / 10, 2))
SIZES = replace(Sizes(), seeds=2, budgets=(1.0,), marks=(1.0,), brief=1.0)
"""Of the search: one mark a run, two videos of each prompt."""
SMALL_RUNGS = (Rung(1 / 32_000, 3), Rung(1 / 16_000, 1))
SMALL_SIZES = replace(SMALL, swept=3, budgets=(1.0,), marks=(1.0,), brief=1.0)
_kept = SimpleNamespace(folder=Path("outputs/recipe"))
"""Where this process keeps weights; a namespace, so that rows do not depend on it and a folder can be moved."""


def use_folder(folder: Path) -> None:
    """Set where this process keeps weights; every worker of the search begins with it.

    Args:
        folder: of the weights.
    """
    _kept.folder = folder


@cache
def _prepared(sizes: Sizes, folder: Path) -> tuple[ToyTrainer, Tensor]:
    """The trainer, and the base's text alignment prompt by prompt, which one process measures for all."""
    lab = Lab(sizes, folder, scenes_seed=SEARCH_SEED)
    with RowStore(folder / "base", lab.header(), "--out") as store:
        made = store.row({"key": "base"}, lambda _: Made({"aligned": _alignment(lab, lab.model("base")).tolist()}))
    assert made is not None
    if made["error"]:
        raise ValueError(made["error"])
    return ToyTrainer(lab), torch.tensor(made["scores"]["aligned"])


def _alignment(lab: Lab, model: Any, **options: Any) -> Tensor:
    scores = lab.measure(lab.ask(model, **options), truth=False, first=False)
    return torch.tensor(scores["by_prompt"]["text_alignment"])


def measured(
    sizes: Sizes,
    code: str,
    share: float,
    steps: int = 10,
    solver: str = "euler",
    guidance: str = TEXT,
    history: float = 1.0,
    halves: bool = False,
    noise: float = 0.0,
    strength: float = 1.0,
    seed: int = 0,
    prompt: str = "",
    **fields: Any,
) -> dict[str, float]:
    """Train one setting, unless its weights are kept already, and score it: one row of the search.

    Args:
        sizes: how much of everything.
        code: of small_models, so that rows of other code are told apart.
        share: of the base's training.
        steps: of sampling.
        solver: of sampling.
        guidance: of sampling; what needs known frames is left out of text-to-video.
        history: weight of guidance by the known frames, as `with_history` takes it; 1 is none.
        halves: of it.
        noise: on known frames.
        strength: of the change that training made.
        seed: of training.
        prompt: unused, the captions are those of the scenes.
        **fields: of `Adaptation`.
    """
    trainer, base = _prepared(sizes, _kept.folder)
    lab, adaptation = trainer.lab, Adaptation(seed=seed, **fields)
    with quiet_lightning():
        (update,) = trainer.updates(adaptation, [share])
    model = trainer.model(adaptation, update, strength)
    options: dict[str, Any] = {"steps": steps, "solver": solver}
    found, skills, where = dict[str, float](), [], places(lab.geometry.frames)
    for column, (task, schedule) in SEARCHED_TASKS.items():
        guided = with_history(guidance, where[task], history, halves) if history != 1 else guidance
        ask = lab.ask(model, where[task], noise, schedule=schedule, guidance=guided, **options)
        row = lab.measure(ask, where[task])
        skills.append(torch.tensor(row["by_prompt"]["skill"]))
        found |= {f"{column} {score}": row["scores"][score][0] for score in ("skill", "psnr")}
    aligned = _alignment(lab, model, guidance=guidance.rpartition("| ")[2], **options)
    about = {"objective": torch.stack(skills).nanmean(0), "text_lost": base - aligned}
    for name, each in about.items():
        found |= dict(zip((name, f"{name} low", f"{name} high"), bootstrap(each), strict=True))
    return found | {"text_alignment": aligned.mean().item(), "base text_alignment": base.mean().item()}


@checked
def best_settings(table: DataFrame, count: int) -> list[int]:
    """Numbers of the rows that go on: those that keep the constraint first, and of these the largest objectives.

    Args:
        table: rows of `measured`.
        count: how many.

    Raises:
        ValueError: fewer rows than that were measured.
    """
    failed, done = table[table["status"] != "done"], table[table["status"] == "done"]
    if len(table) < count:
        raise ValueError(f"count={count} of {counted(len(table), 'row')}: give at most as many as there are.")
    if len(done) < count:
        raise ValueError(
            f"{counted(len(failed), 'row')} of {len(table)} failed, the first with "
            f"{failed['error'].iloc[0].rstrip('.')}. The others are kept: run the same command again."
        )
    order = done.assign(forgets=done["text_lost low"] > 0)
    order = order.sort_values(["forgets", "objective"], ascending=[True, False])
    return [int(i) for i in order.index[:count]]


@checked
def search(
    folder: Path, *, small: bool = False, sizes: Sizes | None = None, workers: int = 1, progress: bool | None = None
) -> DataFrame:
    """Train and score all settings, the better ones for longer, and then ways to sample the best: one row for each.

    Rows and weights are kept in the folder, so a search that was killed is resumed.

    Args:
        folder: for rows and weights.
        small: on nano, with trainings that are far too short, in two minutes on two cores.
        sizes: how much of everything; None is the usual.
        workers: processes, which share the GPUs.
        progress: as for `sweep`.

    Returns:
        The rows, with the columns rung (a number, or "sampling"), name, sampling, what was set, scores, and error.

    Raises:
        ValueError: too many rows failed, or the folder holds rows of other code or sizes.
    """
    import pandas as pd

    rungs = SMALL_RUNGS if small else RUNGS
    sizes = sizes or (SMALL_SIZES if small else SIZES)
    use_folder(folder)
    _check_folder(folder, sizes)
    if workers > 1:
        ToyTrainer(Lab(sizes, folder)).clips()  # once for all processes
    function = partial(measured, sizes, package_code("small_models"))
    names, tables = list(TRAINING)[: 6 if small else None], []

    def run(settings: Sequence[Mapping[str, Any]]) -> DataFrame:
        options: dict[str, Any] = {"workers": workers, "setup": partial(use_folder, folder), "progress": progress}
        return sweep(function, settings, cache=folder / "rows", retry=True, **options)

    for number, rung in enumerate(rungs):
        table = run([{"share": rung.share, **TRAINING[name]} for name in names])
        tables.append(table.assign(rung=str(number), name=names, sampling=next(iter(SAMPLING))))
        names = [names[i] for i in best_settings(table, rung.keep)]
    ways = dict(list(SAMPLING.items())[: 3 if small else None])
    pairs = [(name, way) for name in names for way in ways]
    table = run([{"share": rungs[-1].share, **TRAINING[name], **ways[way]} for name, way in pairs])
    tables.append(table.assign(rung="sampling", name=[name for name, _ in pairs], sampling=[way for _, way in pairs]))
    return pd.concat(tables, ignore_index=True).drop(columns=["prompt", "seed", "clip", "status"])


def _check_folder(folder: Path, sizes: Sizes) -> None:
    """Refuse a folder with a search of other code or sizes."""
    path = folder / "search.json"
    header = {"code": package_code("small_models"), "sizes": json.loads(json.dumps(asdict(sizes)))}
    if path.is_file():
        check_made_with(
            folder, read_json(path, "what a search was made with", {"code": str, "sizes": dict}), header, "--out"
        )
    else:
        write_json(path, header)

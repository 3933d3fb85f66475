"""A picture of each table: `figure(read(path))`. Drawn from the numbers in the file and nothing else."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from pusa_lab.arguments import checked
from pusa_lab.viz import results as plots
from pusa_lab.viz.inside import MAP_COLOURS, plot_change
from pusa_lab.viz.results import Figure, Numbers
from small_models.evaluation.suite import VBENCH
from small_models.experiments import rows as take
from small_models.experiments.generalisation_table import ANEW
from small_models.experiments.learned_results import learned_figure
from small_models.experiments.recipe_results import recipes_figure
from small_models.experiments.records import PARTS, Found, Record, table_of
from small_models.experiments.training_figures import TRAINED

INTERVALS = "shades, whiskers and ±: 95 % intervals over prompts"


@checked
def figure(found: Found) -> Figure:
    """The picture of a table.

    Args:
        found: a results file as `read` gives it.

    Raises:
        ValueError: there is no such table, nothing was measured, or an entry is missing or has the wrong type.
    """
    found = table_of(found)
    name, rows = found["table"], found["rows"]
    if name not in DRAWN:
        raise ValueError(f"no picture for table {name!r}: there is one for {', '.join(DRAWN)}.")
    if not rows:
        raise ValueError(f"table {name!r} has no rows yet: measure it first, `pusa-lab bench paper --table {name}`.")
    for row in rows:
        row["key"].need(*PARTS[name])
    picture = DRAWN[name](found)
    counts = [row["clips"] for row in rows if "clips" in row]
    about = found["sizes"]["preset"]
    about += f", {' to '.join(map(str, sorted({min(counts), max(counts)})))} clips a number" if counts else ""
    about += f"; {INTERVALS}" if any("scores" in row for row in rows) else ""
    about += " and seeds of training" if any(row.get("by_seed") for row in rows) else ""
    picture.suptitle(f"{found['title']}\n{about}", fontsize=11)
    return picture


def _suite(found: Record) -> Figure:
    """Every dimension of every kind of clips, and their PSNR."""
    rows = found["rows"]
    clips = [row["key"]["clips"] for row in rows]
    names = [*VBENCH, "quality", "i2v", "total", "shape", "direction", "speed", "text_alignment"]
    picture, ax = plots.panels([["grid", "psnr"]], height=5.2, width_ratios=(5.5, 1))
    values = [[take.score_numbers(row, name)[0] for name in names] for row in rows]
    plots.plot_grid(ax["grid"], values, clips, [name.replace("_", " ") for name in names], limits=(0.0, 100.0))
    plots.dress(ax["grid"], "VBench's dimensions, their totals, and obedience to the caption, of 100")
    ax["grid"].tick_params(axis="x", rotation=40)
    for word in ax["grid"].get_xticklabels():
        word.set(ha="right", rotation_mode="anchor")
    plots.plot_bars(
        ax["psnr"], {"": {c: take.score_numbers(r, "psnr") for c, r in zip(clips, rows, strict=True)}}, names=False
    )
    plots.dress(ax["psnr"], "Likeness to the truth", take.NAMES["psnr"])
    ax["psnr"].set_xlabel("PSNR, dB (60 is the most)", fontsize=9)
    return picture


def _steps(found: Record) -> Figure:
    """Scores against calls of the denoiser, a line for each solver."""
    rows, names = found["rows"], ("psnr", "skill", "position_error")
    picture, ax = plots.panels([names], height=4.8)
    calls = take.values(rows, "calls")
    ticks = {t: f"{t:g}" for t in (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0) if min(calls) <= t <= max(calls)}
    for name in names:
        lines = {
            solver: take.line_of(take.pick(rows, solver=solver), "calls", name)
            for solver in take.values(rows, "solver")
        }
        plots.plot_lines(ax[name], lines)
        ax[name].set_xscale("log")
        plots.dress(ax[name], "", "calls of the denoiser, guidance aside", take.NAMES[name], ticks)
    plots.legend(picture, 5)
    return picture


def _noise(found: Record) -> Figure:
    """Scores against the level kept of known frames; right of the line, lists of levels and other modes."""
    rows, names = found["rows"], ("psnr", "known_psnr", "motion", "boundary_position")
    tasks_here = take.values(rows, "task")
    layout = [[f"{name} {task}" for task in tasks_here] for name in names]
    picture, axes = plots.panels(layout, height=9.2)
    for task in tasks_here:
        alone = [r for r in take.pick(rows, task=task, mode="denoise") if not isinstance(r["key"]["noise"], list)]
        others = [r for r in take.pick(rows, task=task) if r not in alone]
        at = {1.14 + 0.12 * i: row for i, row in enumerate(others)}
        ticks = {x: f"{x:g}" for x in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)} | {x: _level(row) for x, row in at.items()}
        for name in names:
            ax, last = axes[f"{name} {task}"], name == names[-1]
            plots.plot_lines(ax, {"one level for all known frames": take.line_of(alone, "noise", name)})
            apart = {
                "": [],
                "published lists of levels, and other modes": [(x, take.score_numbers(r, name)) for x, r in at.items()],
            }
            plots.plot_lines(ax, apart, joined=False)
            ax.axvline(1.07, color="0.8", linewidth=1)
            words = ticks if last else dict.fromkeys(ticks, "")
            title = task.replace("_", " ") if name == names[0] else ""
            up = (
                take.NAMES[name].replace(" frames", "\nframes").replace("jump at", "jump\nat")
                if task == tasks_here[0]
                else ""
            )
            plots.dress(ax, title, "level kept of the known frames" if last else "", up, words)
            ax.xaxis.set_label_coords(0.36, -0.19)  # beside the long words, not below them
            for word in ax.get_xticklabels()[6:]:
                word.set_rotation(90)
    plots.legend(picture)
    return picture


def _level(row: Record) -> str:
    level = row["key"]["noise"]
    label = ", ".join(f"{v:g}" for v in level) if isinstance(level, list) else f"{level:g}"
    return label if row["key"]["mode"] == "denoise" else f"{label}, {row['key']['mode']}"


def _tasks(found: Record) -> Figure:
    """Scores of every model in every task."""
    rows, names = found["rows"], ("psnr", "position_error", "boundary_position", "skill")
    picture, ax = plots.panels([names], height=2.2 + 0.2 * len(rows))
    for name in names:
        bars: dict[str, dict[str, Numbers]] = {}
        for row in rows:
            # One model asked in another way is another row, not another colour.
            model, _, way = row["key"]["model"].partition(", shipped, ")
            task = row["key"]["task"].replace("_", " ") + (f",\n{way}" if way else "")
            bars.setdefault(f"{model}, shipped" if way else model, {})[task] = take.score_numbers(row, name)
        plots.plot_bars(ax[name], bars, names=name == names[0])
        plots.dress(ax[name], "", take.NAMES[name])
    plots.legend(picture, 5)
    return picture


def _schedules(found: Record) -> Figure:
    """Drift along the video, a line for each schedule."""
    rows = found["rows"]
    names = [n for n in ("psnr_frame", "colour_error_frame") if any(n in row["scores"] for row in rows)]
    picture, ax = plots.panels([[*names, "psnr"]], height=4.8, width_ratios=(*[2] * len(names), 1))
    labels = {row["key"]["schedule"]: f"{row['key']['schedule']}, {row['key']['rows a window']} rows" for row in rows}
    for name in names:
        lines: dict[str, list[tuple[float | int, Numbers]]] = {
            labels[row["key"]["schedule"]]: [
                (i, [v, v, v]) for i, v in enumerate(row["scores"].get(name, [])) if v is not None
            ]
            for row in rows
        }
        plots.plot_lines(ax[name], lines)
        plots.dress(ax[name], "", "pixel frame", take.NAMES[name])
    plots.plot_bars(
        ax["psnr"],
        {label: {s: take.score_numbers(take.one(rows, schedule=s), "psnr")} for s, label in labels.items()},
        from_zero=False,
    )
    plots.dress(ax["psnr"], "", take.NAMES["psnr"])
    plots.legend(picture, 6)
    return picture


def _inside(found: Record) -> Figure:
    """Change of every kind of weights; mass on frame 0 by block and step; maps of the last block."""
    changes = {row["key"]["change"]: row["kinds"] for row in found["rows"] if "change" in row["key"]}
    looks = [row for row in found["rows"] if "attention" in row["key"]]
    maps = max((len(row["maps"]) for row in looks), default=1)
    layout = [
        ["change"] * 4 + [f"look {i}"] * 3 + [f"map {i} {j}" for j in range(maps) for _ in "ab"]
        for i in range(max(len(looks), 1))
    ]
    picture, ax = plots.panels(layout, height=1.6 + 1.9 * max(len(looks), 2))
    if changes:
        plot_change(changes, ax["change"])
        ax["change"].legend(fontsize=8.5, frameon=False, loc="lower center", bbox_to_anchor=(0.4, 1), ncols=2)
        ax["change"].tick_params(labelsize=8.5)
    _looks(picture, ax, looks)
    return picture


def _looks(picture: Figure, ax: dict[str, Any], looks: Sequence[Record]) -> None:
    """A row of panels for each model: blocks x steps, then its maps; one scale for each of both."""
    most = max((v for row in looks for step in row["on_frame_0"] for v in step), default=1.0)
    top = max((v for row in looks for one in row["maps"].values() for line in one for v in line), default=1.0)
    for i, row in enumerate(looks):
        last, here = i == len(looks) - 1, ax[f"look {i}"]
        blocks = torch.tensor(row["on_frame_0"]).T.tolist()
        look: dict[str, Any] = {"form": "", "colours": MAP_COLOURS}
        seen = plots.plot_grid(here, blocks, _every(len(blocks)), _every(len(blocks[0])), limits=(0.0, most), **look)
        plots.dress(here, row["key"]["attention"], "sampling step" if last else "", "block")
        picture.colorbar(seen, ax=here, label="attention\non frame 0")
        for j, (name, one) in enumerate(row["maps"].items()):
            panel = ax[f"map {i} {j}"]
            shown = plots.plot_grid(panel, one, _every(len(one)), _every(len(one)), limits=(0.0, top), **look)
            plots.dress(
                panel, f"last block, {name}", "frame looked at" if last else "", "frame that asks" if j == 0 else ""
            )
            panel.set_aspect("equal")
    if looks:
        picture.colorbar(
            shown, ax=[a for name, a in ax.items() if name.startswith("map")], label="share of attention", shrink=0.5
        )


def _generalisation(found: Record) -> Figure:
    """Velocity, pace and size of every way in every split."""
    rows, names = found["rows"], ("relative_velocity_error", "pace", "size", "shape")
    picture, ax = plots.panels([names], height=2.0 + 0.2 * len(rows))
    for name in names:
        bars: dict[str, dict[str, Numbers]] = {}
        for row in rows:
            # One way from new weights is another row, not another colour.
            way, start, _ = row["key"]["way"].partition(ANEW)
            split = row["key"]["split"] + ("\nfrom nothing" if start else "")
            bars.setdefault(way, {})[split] = take.score_numbers(row, name)
        plots.plot_bars(ax[name], bars, from_zero=name == names[0], names=name == names[0])
        plots.dress(ax[name], "", take.NAMES[name])
        if name in ("pace", "size"):
            ax[name].axvline(1, color="0.6", linewidth=1, zorder=0)
    plots.legend(picture, 6)
    return picture


def _every(count: int) -> list[str]:
    """Numbers of a few of so many, the first and others evenly."""
    gap = 1 if count <= 5 else 2 if count <= 10 else 5
    return [str(i) if i % gap == 0 else "" for i in range(count)]


DRAWN: dict[str, Callable[[Record], Figure]] = {
    "suite": _suite,
    **TRAINED,
    "steps": _steps,
    "noise": _noise,
    "tasks": _tasks,
    "schedules": _schedules,
    "learned": learned_figure,
    "recipes": recipes_figure,
    "inside": _inside,
    "generalisation": _generalisation,
}
"""Name of a table -> its picture."""

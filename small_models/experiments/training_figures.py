"""Pictures of the tables that train: cost, what is preserved, timestep samplers, LoRA."""

from collections.abc import Callable, Sequence
from typing import Any

from pusa_lab.viz import results as plots
from pusa_lab.viz.results import EMPTY, Figure, Numbers
from small_models.experiments import rows as take
from small_models.experiments.records import Record
from small_models.experiments.rows import share as fraction

TRAINING = "training, share of the base's own"


def _cost(found: Record) -> Figure:
    """Scores against budget for each way, and how many times less training VTA needs."""
    rows, trained = found["rows"], [row for row in found["rows"] if row["key"]["share"]]
    picture, ax = plots.panels([["psnr", "skill"], ["position_error", "ratio"]], height=8.2)
    ticks = {share: fraction(share) for share in sorted(take.values(trained, "share"))}
    for name in ("psnr", "skill", "position_error"):
        lines = {way: take.line_of(take.pick(trained, way=way), "share", name) for way in take.values(trained, "way")}
        free = {row["key"]["way"]: take.score_numbers(row, name) for row in rows if not row["key"]["share"]}
        plots.plot_lines(ax[name], lines, {way: numbers for way, numbers in free.items() if numbers is not EMPTY})
        ax[name].set_xscale("log")
        plots.dress(ax[name], "", TRAINING, take.NAMES[name], ticks)
    _ratios(ax["ratio"], found.get("ratios", []), ticks)
    plots.legend(picture)
    return picture


def _ratios(ax: Any, ratios: Sequence[Record], ticks: dict[float, str]) -> None:
    """Wan's budget over VTA's for the same PSNR; hollow triangles are bounds."""
    for bound, mark in (("", "o"), ("at most", "v"), ("at least", "^")):
        chosen = [r for r in ratios if r["bound"] == bound and None not in r["ratio"]]
        for i, one in enumerate(chosen):
            mean, low, high = one["ratio"]
            look = {"color": plots.COLOURS[0], "mfc": "white" if bound else plots.COLOURS[0], "capsize": 2.5}
            look["label"] = f"{bound} so much" if bound and not i else None
            arms = [[max(mean - low, 0)], [max(high - mean, 0)]]
            ax.errorbar([one["share"]], [mean], arms, fmt=mark, **look)
    ax.axhline(1, color="0.4", linewidth=1)
    ax.set(xscale="log", yscale="log")
    ends = [end for one in ratios for end in one["ratio"] if end]
    steps_up = (m * 10.0**e for e in range(-3, 4) for m in (1, 2, 5))
    ax.set_yticks([t for t in steps_up if min(ends, default=0.5) / 2 < t < max(ends, default=2) * 2])
    ax.set_yticks([], minor=True)
    ax.yaxis.set_major_formatter("{x:g}")
    title = "How many times more does Wan's way need for the PSNR of VTA?"
    plots.dress(ax, title, f"VTA's {TRAINING}", "Wan's training over VTA's", ticks)


def _preserved(found: Record) -> Figure:
    """Text to video of every model, beside the base's (the line)."""
    names, rows = ("text_alignment", "direction", "physics_error"), found["rows"]
    picture, ax = plots.panels([names], height=2.0 + 0.3 * len(rows))
    base = take.one(rows, model="base")
    for name in names:
        bars: dict[str, dict[str, Numbers]] = {}
        for row in rows:
            model, share = row["key"]["model"], row["key"].get("share")
            label = f"{model}, {fraction(share)}" if share else model
            bars.setdefault(model, {})[label] = take.score_numbers(row, name)
        plots.plot_bars(ax[name], bars, from_zero=False, names=name == names[0])
        ax[name].axvline(take.score_numbers(base, name)[0], color="0.6", linewidth=1, zorder=0)
        ax[name].grid(axis="y", color="0.93")
        plots.dress(ax[name], "", take.NAMES[name])
    return picture


def _forgetting(found: Record) -> Figure:
    """Distance from the base along training and by noise level, and text alignment lost against the distance."""
    rows, shares = found["rows"], sorted(take.values(found["rows"], "share"))
    ranks, draws = take.values(rows, "rank"), take.values(rows, "timestep_sampler")
    far = [one for one in found.get("prediction", []) if None not in one["correlation"]]
    best = max(far, key=lambda one: one["correlation"][0])["distance"] if far else "latent_distance"
    layout = [[f"rank {rank}" for rank in ranks for _ in "ab"], [n for n in ("lost", "level") for _ in ranks]]
    picture, ax = plots.panels(layout, height=8.2)
    ticks = {s: fraction(s) for s in shares}
    for rank in ranks:
        panel = ax[f"rank {rank}"]
        if rank != ranks[0]:
            panel.sharey(ax[f"rank {ranks[0]}"])
        lines = {draw: take.line_of(take.pick(rows, timestep_sampler=draw, rank=rank), "share", best) for draw in draws}
        plots.plot_lines(panel, lines)
        panel.set_xscale("log")
        plots.dress(panel, rank if isinstance(rank, str) else f"LoRA, rank {rank}", TRAINING, take.NAMES[best], ticks)
    ax[f"rank {ranks[0]}"].set_ylim(bottom=0)  # of all, once all are drawn
    points = {draw: _against(take.pick(rows, timestep_sampler=draw), best) for draw in draws}
    plots.plot_lines(ax["lost"], points, joined=False)
    ax["lost"].axhline(0, color="0.6", linewidth=1, zorder=0)
    plots.dress(ax["lost"], "all lengths of training", take.NAMES[best], take.NAMES["alignment_lost"])
    last = {draw: take.one(rows, timestep_sampler=draw, rank=ranks[0], share=shares[-1]) for draw in draws}
    plots.plot_lines(ax["level"], {draw: _by_level(row) for draw, row in last.items() if row is not None})
    title = f"{ranks[0]}, after {fraction(shares[-1])}"
    plots.dress(ax["level"], title, "noise level on the base's path", take.NAMES["velocity_distance"])
    plots.legend(picture, 5)
    return picture


def _against(rows: Sequence[Record], x: str) -> list[tuple[float | int, Numbers]]:
    """Text alignment lost at the mean of another score, for `plot_lines`."""
    numbers = [(take.score_numbers(row, x), take.score_numbers(row, "alignment_lost")) for row in rows]
    return [(far[0], lost) for far, lost in numbers if far is not EMPTY]


def _by_level(row: Record) -> list[tuple[float | int, Numbers]]:
    scores = row["scores"]
    return [(x, [y, y, y]) for x, y in zip(scores.get("levels", []), scores.get("velocity_by_level", []), strict=True)]


def _timestep_samplers(found: Record) -> Figure:
    """Timestep samplers against shift, for each strength; and what is left of text to video."""
    rows = found["rows"]
    columns: list[tuple[str, dict[str, Any]]] = [
        (name, {"strength": s}) for name in ("psnr", "skill") for s in sorted(take.values(rows, "strength"))
    ] + [("text_alignment", {"task": "text_to_video"})]
    labels, shifts = take.values(rows, "timestep_sampler"), sorted(take.values(rows, "shift"))
    picture, axes = plots.panels([[str(i) for i in range(len(columns))]], height=1.6 + 0.55 * len(labels))
    tables = [
        [[take.score_numbers(take.one(rows, timestep_sampler=d, shift=s, **key), name) for s in shifts] for d in labels]
        for name, key in columns
    ]
    for i, ((name, key), table) in enumerate(zip(columns, tables, strict=True)):
        same = [t for t, (n, _) in zip(tables, columns, strict=True) if n == name]
        means = [numbers[0] for t in same for row in t for numbers in row if numbers is not EMPTY]
        if not means:
            axes[str(i)].set_axis_off()
            continue
        half = [[(high - low) / 2 for _, low, high in row] for row in table]
        values = [[numbers[0] for numbers in row] for row in table]
        words = labels if i == 0 else [""] * len(labels)
        plots.plot_grid(axes[str(i)], values, words, [f"{s:g}" for s in shifts], half, (min(means), max(means) + 1e-6))
        where = f"strength {key['strength']:g}" if "strength" in key else "text to video"
        what = take.NAMES[name].replace(" of the frames not given", "")
        plots.dress(axes[str(i)], f"{what}\n{where}", "shift of the timesteps")
    return picture


def _lora(found: Record) -> Figure:
    """Scores against strength, a line for each budget, a column for each rank."""
    rows, names = found["rows"], ("psnr", "skill")
    ranks, shares = take.values(rows, "rank"), sorted(take.values(rows, "share"))
    layout = [[f"{name} {rank}" for rank in ranks] for name in names]
    picture, axes = plots.panels(layout, height=6.6, sharex=True)
    ticks = {s: f"{s:g}" for s in sorted(take.values(rows, "strength"))}
    for name, row in zip(names, layout, strict=True):
        for rank, panel in zip(ranks, row, strict=True):
            if panel != row[0]:
                axes[panel].sharey(axes[row[0]])
            chosen = {share: take.pick(rows, rank=rank, share=share) for share in shares}
            lines = {f"{fraction(s)} of the base's training": take.line_of(chosen[s], "strength", name) for s in shares}
            plots.plot_lines(axes[panel], lines, colours=plots.ordered(len(shares)))
            title = f"{'' if rank == 'all weights' else 'LoRA, rank '}{rank}" if name == names[0] else ""
            across = "strength" if name == names[-1] else ""
            plots.dress(axes[panel], title, across, take.NAMES[name] if panel == row[0] else "", ticks)
    plots.legend(picture)
    return picture


TRAINED: dict[str, Callable[[Record], Figure]] = {
    "cost": _cost,
    "preserved": _preserved,
    "forgetting": _forgetting,
    "timestep_samplers": _timestep_samplers,
    "lora": _lora,
}
"""Name of a table that trains -> its picture."""

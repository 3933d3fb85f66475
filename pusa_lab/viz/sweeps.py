"""Plots of a sweep's table: curves with bands, the best trade-offs, and the clips behind a point."""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from pusa_lab.arguments import ArgumentError, checked
from pusa_lab.sentences import counted
from pusa_lab.sweeps.compare import averages, by_setting, chosen_scores, columns_of, compare, split_by
from pusa_lab.sweeps.store import read_kept_clip
from pusa_lab.viz.results import COLOURS, DPI, MARKS, WIDTH, dress, legend, ordered, plot_lines
from pusa_lab.viz.strips import filmstrip

MOST_LINES = 16
"""More lines in a panel cannot be told apart."""
MOST_TICKS = 12
"""More values of a setting are not written one by one."""


@checked
def plot_sweep(
    df: Any,
    x: str,
    y: str | Sequence[str] | None = None,
    baseline: Mapping[str, Any] | None = None,
    ax: Axes | None = None,
    title: str = "",
) -> Any:
    """Draw scores over one setting, with 95 % intervals as bands: a line for each combination of the other settings.

    Args:
        df: a table that `sweep` returned, or rows of it.
        x: the setting along the horizontal axis; values that are no numbers stand side by side, with whiskers.
        y: a score, or several, each in a panel of its own; None is all of them.
        baseline: values of one setting, whose scores are subtracted, as `compare` does with all these scores; the bands
            are then those of the paired differences. None draws the scores themselves.
        ax: axes to draw a single score on; None makes a figure.
        title: above all panels.

    Returns:
        The figure.

    Raises:
        ValueError: the table has no such columns, there are more than 16 lines, or as `compare`.
    """
    names = chosen_scores(df, y)
    if ax is not None and len(names) > 1:
        raise ValueError(f"ax was given for {counted(len(names), 'score')}: name one score as y.")
    places, numeric = _places(df, x)
    figure: Any
    if ax is None:
        figure = plt.figure(figsize=(min(WIDTH, 2.4 + 4.4 * len(names)), 4.2), dpi=DPI, layout="constrained")
        figure.suptitle(title, fontsize=11)
        axes = dict(zip(names, figure.subplots(1, len(names), squeeze=False)[0], strict=True))
    else:
        figure, axes = ax.figure, {names[0]: ax}
    found = averages(df, names) if baseline is None else _differences(df, baseline, names)
    for name in names:
        lines = _lines(df, x, found[found["metric"] == name], places)
        colours = COLOURS if len(lines) <= len(COLOURS) else ordered(len(lines))
        plot_lines(axes[name], lines, colours=colours, joined=numeric)
        ticks = {place: str(value) for value, place in places.items()} if len(places) <= MOST_TICKS else None
        dress(axes[name], "", x, name if baseline is None else f"{name}, difference to {_in_words(baseline)}", ticks)
    if len(lines) > 1:
        legend(figure, columns=max(1, round(figure.get_figwidth() / 3))) if ax is None else ax.legend(fontsize=8)
    return figure


def _places(df: Any, x: str) -> tuple[dict[Any, float], bool]:
    """Where each value of the setting stands, and whether they are numbers."""
    settings, _ = columns_of(df)
    if x not in settings:
        names = ", ".join(settings) or "none"
        raise ArgumentError(f"x={x!r:.40} is not a setting of the table: choose one of {names}.")
    values: list[Any] = list(dict.fromkeys(None if value != value else value for value in df[x]))
    numeric = all(isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in values)
    return {value: float(value) if numeric else float(i) for i, value in enumerate(values)}, numeric


def _differences(df: Any, baseline: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Averages of the differences, as in `averages`; those of the baseline itself are 0."""
    import pandas as pd

    found = compare(df, baseline, names)[[*columns_of(df)[0], "metric", "difference", "low", "high"]]
    [(first, _)], _ = split_by(df, baseline)
    zero = [{**first, "metric": name, "difference": 0.0, "low": 0.0, "high": 0.0} for name in names]
    return pd.concat([pd.DataFrame(zero), found]).rename(columns={"difference": "mean"})


def _in_words(setting: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in setting.items())


def _lines(df: Any, x: str, found: Any, places: Mapping[Any, float]) -> dict[str, list[tuple[float, Any]]]:
    """Label -> points, for each combination of the other settings that vary."""
    others = [name for name in columns_of(df)[0] if name != x and df[name].nunique(dropna=False) > 1]
    lines: dict[str, list[tuple[float, Any]]] = {}
    for row in found.to_dict("records"):
        label = _in_words({name: row[name] for name in others if row[name] == row[name]}) or row["metric"]
        place = places[None if row[x] != row[x] else row[x]]
        low, high = (row[end] if isfinite(row[end]) else row["mean"] for end in ("low", "high"))
        lines.setdefault(label, []).append((place, (row["mean"], low, high)))
    if len(lines) > MOST_LINES:
        raise ValueError(
            f"{counted(len(lines), 'line')} over {x}: give rows with fewer other settings, at most {MOST_LINES}."
        )
    return lines


@checked
def plot_pareto(
    df: Any,
    x: str,
    y: str,
    best: tuple[Literal["low", "high"], Literal["low", "high"]] = ("low", "high"),
    ax: Axes | None = None,
) -> Any:
    """Draw one point per setting; those that no other setting beats in both scores are filled and joined.

    Of more than 16 settings only these are named.

    Args:
        df: a table that `sweep` returned, or rows of it.
        x: a score, or "seconds", along the horizontal axis.
        y: a score, or "seconds", along the vertical axis.
        best: which end of x and of y is better.
        ax: axes to draw on; None makes a figure.

    Returns:
        The figure.

    Raises:
        ValueError: the table has no such scores.
    """
    points, names = _points(df, x, y)
    front = pareto_front(points, best)
    alone = ax is None
    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 4.6), dpi=DPI, layout="constrained")
    line = sorted(points[i] for i in front)
    ax.plot([place for place, _ in line], [height for _, height in line], color="0.6", linewidth=1.2, zorder=1)
    named = range(len(points)) if len(points) <= MOST_LINES else front
    for i, (place, height) in enumerate(points):
        colour, mark = COLOURS[i % len(COLOURS)] if i in named else "0.6", MARKS[i // len(COLOURS) % len(MARKS)]
        look: dict[str, Any] = {"edgecolor": colour, "facecolor": colour if i in front else "none", "marker": mark}
        ax.scatter(place, height, s=42, zorder=2, label=names[i] if i in named else None, **look)
    dress(ax, "", f"{x} ({best[0]} is better)", f"{y} ({best[1]} is better)")
    figure: Any = ax.figure
    legend(figure, columns=2) if alone else ax.legend(fontsize=8)
    return figure


def _points(df: Any, x: str, y: str) -> tuple[list[tuple[float, float]], list[str]]:
    """Means of every setting that has both scores, and its name by the settings that vary."""
    chosen_scores(df, [x, y])
    varying = [name for name in columns_of(df)[0] if df[name].nunique(dropna=False) > 1]
    points, names = [], []
    for setting, rows in by_setting(df):
        done = rows[rows["status"] == "done"]
        point = (float(done[x].mean()), float(done[y].mean()))
        if all(map(isfinite, point)):
            points.append(point)
            names.append(_in_words({name: setting[name] for name in varying if setting[name] == setting[name]}))
    return points, names


@checked
def pareto_front(
    points: Sequence[tuple[float, float]], best: tuple[Literal["low", "high"], Literal["low", "high"]] = ("low", "high")
) -> list[int]:
    """Indices of the points that no other point beats: better in one coordinate and no worse in the other.

    Args:
        points: (x, y) of each.
        best: which end of x and of y is better.
    """
    signs = [1.0 if end == "high" else -1.0 for end in best]
    values = [tuple(sign * value for sign, value in zip(signs, point, strict=True)) for point in points]
    return [i for i, (a, b) in enumerate(values) if not any(c >= a and d >= b and (c > a or d > b) for c, d in values)]


@checked
def plot_clips(df: Any, setting: Mapping[str, Any] | None = None, most: int = 8, frames: int = 9) -> Any:
    """Draw the clips behind a point of a sweep as rows of frames; they were kept with `keep_clips=True`.

    Args:
        df: a table that `sweep` returned, or rows of it.
        setting: values of settings, such as {"noise": 0.2}; None shows all rows of the table, the same prompt and seed
            below each other.
        most: largest number of clips, at least 1.
        frames: largest number of frames of each, at least 1.

    Returns:
        The figure.

    Raises:
        ValueError: no row of these settings has a clip, or a number is below 1.
    """
    names, _ = columns_of(df)
    for name, value in (setting or {}).items():
        if name not in names:
            raise ArgumentError(f"setting names {name!r:.40}: choose from {', '.join(names) or 'none'}.")
        df = df[df[name] == value]
    rows = df[df["clip"].astype(bool)] if "clip" in df.columns else df[:0]
    if most < 1 or frames < 1:
        raise ValueError(f"most={most}, frames={frames}: give at least 1 of each.")
    if not len(rows):
        raise ValueError("no row of these settings has a clip: sweep with keep_clips=True.")
    varying = [name for name in (*names, "prompt", "seed") if rows[name].nunique(dropna=False) > 1]
    rows = rows.sort_values(["prompt", "seed"], kind="stable").head(most)
    clips = {_caption(row, varying): read_kept_clip(Path(row["clip"])) for row in rows.to_dict("records")}
    length, height, width = next(iter(clips.values())).shape[:3]
    left, below, side = 0.2 + 0.072 * max(len(line) for name in clips for line in name.split("\n")), 0.45, 1.05
    inside = (side * min(frames, length), side * len(clips) * height / width)
    size = (left + inside[0] + 0.1, below + inside[1] + 0.1)
    figure = plt.figure(figsize=size, dpi=DPI)
    ax = figure.add_axes((left / size[0], below / size[1], inside[0] / size[0], inside[1] / size[1]))
    filmstrip(clips, ax=ax, most=frames)
    ax.tick_params(labelsize=8)
    return figure


def _caption(row: Mapping[str, Any], varying: Sequence[str]) -> str:
    """What tells a clip from the others, the prompt cut to what there is room for."""
    parts = [f"{name}={row[name]}" for name in varying if name != "prompt" and row[name] == row[name]]
    prompt = str(row["prompt"])
    prompt = prompt if len(prompt) <= 36 else f"{prompt[:35]}…"
    return "\n".join([*([prompt] if "prompt" in varying or not parts else []), ", ".join(parts)]).strip()

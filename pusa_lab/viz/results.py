"""Measured numbers as pictures: lines and bars with 95 % intervals, and tables in colour."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from math import inf, isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like
from matplotlib.figure import Figure
from PIL import Image

from pusa_lab.arguments import checked
from pusa_lab.files import writing

if TYPE_CHECKING:
    Numbers = Sequence[float]
    Three = Sequence[float]
else:
    Numbers = Sequence[SupportsFloat]  # at the door, a float is never NaN, which stands here for what is missing
    Three = tuple[SupportsFloat, SupportsFloat, SupportsFloat]
"""Numbers; and mean, low and high end of the 95 % interval."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
"""Okabe and Ito's, without the yellow: told apart with every kind of colour vision."""
MOST_HEIGHT = 200
"""Inches of a figure: 20,000 pixels."""
MARKS = "os^DvPXd"
WIDTH, DPI = 12.8, 100
"""Inches and dots per inch: 1280 pixels."""
MANY = 40
"""Lines of more points show no marks."""


@checked
def panels(layout: Sequence[Sequence[str]], title: str = "", height: float | int = 5.0, **options: Any) -> Any:
    """A figure 1280 pixels wide with named panels.

    Args:
        layout: rows of names; neighbours of one name are one panel, "." is empty.
        title: above all.
        height: inches.
        **options: of `Figure.subplot_mosaic`: width_ratios, sharex, ...

    Returns:
        (figure, name -> axes).

    Raises:
        ValueError: the layout is no grid in which every panel is a rectangle, or the height is out of range.
    """
    _check_layout(layout)
    if not 0 < height <= MOST_HEIGHT:
        raise ValueError(f"height={height}: give inches above 0 and up to {MOST_HEIGHT}.")
    figure = plt.figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=11)
    return figure, figure.subplot_mosaic([list(row) for row in layout], empty_sentinel=".", **options)


def _check_layout(layout: Sequence[Sequence[str]]) -> None:
    wide = {len(row) for row in layout}
    if len(wide) != 1 or 0 in wide:
        raise ValueError(f"layout has rows of {sorted(wide) or 'no'} names: give one row or more, all of one length.")
    cells: dict[str, list[tuple[int, int]]] = {}
    for r, row in enumerate(layout):
        for c, name in enumerate(row):
            cells.setdefault(name, []).append((r, c))
    for name, places in cells.items():
        spans = [max(line) - min(line) + 1 for line in zip(*places, strict=True)]
        if name != "." and spans[0] * spans[1] != len(places):
            raise ValueError(f"layout: the panel {name!r:.40} is not a rectangle; give neighbours of one name only.")


def _check_colours(colours: Sequence[str]) -> None:
    if not colours:
        raise ValueError("colours is empty: give at least one, or leave it out.")
    for colour in colours:
        if not is_color_like(colour):
            raise ValueError(f"colours holds {colour!r:.40}: give names or codes such as '#0072B2'.")


@checked
def ordered(count: int) -> list[str]:
    """Colours from dark to bright for what has an order, as budgets have.

    Args:
        count: how many.
    """
    if not 0 <= count <= 256:
        raise ValueError(f"count={count}: give the number of colours, 0 to 256.")
    shades = plt.get_cmap("viridis")(np.linspace(0.0, 0.85, count))
    return ["#" + "".join(f"{round(255 * part):02x}" for part in shade[:3]) for shade in shades]


@checked
def plot_lines(
    ax: Axes,
    lines: Mapping[str, Sequence[tuple[float | int, Three]]],
    levels: Mapping[str, Three] | None = None,
    colours: Sequence[str] = COLOURS,
    joined: bool = True,
) -> None:
    """One line for each label through the means, its interval shaded; a single point has whiskers.

    Args:
        ax: where to draw.
        lines: label -> (x, (mean, low, high)); a label without points keeps its colour for other panels.
        levels: label -> (mean, low, high), drawn across the whole width in the colours after those of the lines.
        colours: of the labels, in turn.
        joined: False leaves points with whiskers.

    Raises:
        ValueError: a colour is none.
    """
    _check_colours(colours)
    for i, (label, points) in enumerate(lines.items()):
        points = sorted((x, numbers) for x, numbers in points if isfinite(numbers[0]))
        if not points:
            continue
        x, (mean, low, high) = [p[0] for p in points], zip(*(p[1] for p in points), strict=True)
        look: dict[str, Any] = {"color": colours[i % len(colours)], "label": label, "markersize": 4}
        look["marker"] = MARKS[i % len(MARKS)] if len(x) <= MANY else ""
        if joined and len(x) > 1:
            ax.plot(x, mean, linewidth=1.4, **look)
            ax.fill_between(x, low, high, color=look["color"], alpha=0.14, linewidth=0)
        else:
            ax.errorbar(x, mean, _arms(mean, low, high), linestyle="", capsize=2.5, elinewidth=1, **look)
    for i, (label, (middle, bottom, top)) in enumerate((levels or {}).items(), start=len(lines)):
        ink = colours[i % len(colours)]
        ax.axhline(middle, color=ink, linestyle=("--", ":")[i % 2], linewidth=1.4, label=label)
        ax.axhspan(bottom, top, color=ink, alpha=0.1, linewidth=0)


@checked
def plot_bars(
    ax: Axes,
    bars: Mapping[str, Mapping[str, Three]],
    colours: Sequence[str] = COLOURS,
    from_zero: bool = True,
    names: bool = True,
) -> None:
    """Bars to the right with whiskers for the intervals: a row of them for each name, a colour for each label.

    Args:
        ax: where to draw.
        bars: label -> name -> (mean, low, high); numbers that are not finite leave their place empty.
        colours: of the labels, in turn.
        from_zero: False draws dots instead, on an axis that begins where they do.
        names: whether to write the names of the rows.

    Raises:
        ValueError: a colour is none.
    """
    _check_colours(colours)
    places, middles = _places(bars)
    for i, (label, values) in enumerate(bars.items()):
        where = [places[label, row] for row in values]
        mean, low, high = zip(*values.values(), strict=True) if values else ((), (), ())
        ink, arms = colours[i % len(colours)], _arms(mean, low, high)
        if from_zero:
            ax.barh(where, mean, 0.86, color=ink, label=label)
            ax.errorbar(mean, where, xerr=arms, linestyle="", color="0.25", elinewidth=1, capsize=2)
        else:
            mark: dict[str, Any] = {"marker": MARKS[i % len(MARKS)], "markersize": 5, "capsize": 2.5}
            ax.errorbar(mean, where, xerr=arms, linestyle="", color=ink, label=label, **mark)
    ax.set_yticks(list(middles.values()), list(middles) if names else [""] * len(middles))
    ax.set_ylim(max(places.values(), default=0) + 0.8, -0.8)
    ax.tick_params(axis="y", length=0)


def _places(bars: Mapping[str, Mapping[str, Three]]) -> tuple[dict[tuple[str, str], float], dict[str, float]]:
    """Heights of the bars, row after row with a gap, and the middle of each row."""
    places: dict[tuple[str, str], float] = {}
    middles: dict[str, float] = {}
    y = 0.0
    for row in dict.fromkeys(row for values in bars.values() for row in values):
        here = [label for label, values in bars.items() if row in values]
        places |= {(label, row): y + i for i, label in enumerate(here)}
        middles[row] = y + (len(here) - 1) / 2
        y += len(here) + 0.7
    return places, middles


def _arms(mean: Sequence[float], low: Sequence[float], high: Sequence[float]) -> np.ndarray:
    """Lengths of whiskers; never negative by rounding."""
    return np.clip([np.subtract(mean, low), np.subtract(high, mean)], 0, None)


@checked
def plot_grid(
    ax: Axes,
    values: Sequence[Numbers],
    rows: Sequence[str],
    columns: Sequence[str],
    spread: Sequence[Numbers] | None = None,
    limits: tuple[float | int, float | int] | None = None,
    form: str = ".1f",
    colours: str = "cividis",
) -> Any:
    """A table in colour, with its numbers written in.

    Args:
        ax: where to draw.
        values: rows of numbers; NaN stays empty.
        rows: their names, downwards.
        columns: names across.
        spread: written below each number after a ±.
        limits: of the colours; None is the range of the values.
        form: how numbers are written; "" writes none.
        colours: name of a colour map.

    Returns:
        The picture, for a colour bar.

    Raises:
        ValueError: there is not one value for each row and column, or limits, form or colours cannot be used.
    """
    for name, numbers in (("values", values), ("spread", spread)):
        _check_table(name, numbers, len(rows), len(columns))
    _check_look(limits, form, colours)
    table = np.array(values, dtype=float)
    known = table[np.isfinite(table)]
    low, high = limits or ((known.min(), known.max()) if known.size else (0.0, 1.0))
    picture = ax.imshow(table, vmin=low, vmax=high, cmap=colours, aspect="auto", interpolation="nearest")
    for (r, c), value in np.ndenumerate(table):
        if form and isfinite(value):
            told = f"{value:{form}}" + (f"\n± {spread[r][c]:{form}}" if spread else "")
            ink = "black" if _bright(picture.cmap(picture.norm(value))) else "white"
            ax.text(c, r, told, ha="center", va="center", color=ink, fontsize=8.5)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return picture


def _check_table(name: str, numbers: Sequence[Numbers] | None, rows: int, columns: int) -> None:
    if numbers is None:
        return
    wide = sorted({len(row) for row in numbers})
    if len(numbers) != rows or wide != [columns] or not columns:
        raise ValueError(
            f"{name} has {len(numbers)} rows of {wide} numbers for {rows} rows and {columns} columns: give one number "
            f"for each."
        )


def _check_look(limits: tuple[float | int, float | int] | None, form: str, colours: str) -> None:
    if limits and not -inf < limits[0] <= limits[1] < inf:
        raise ValueError(f"limits={limits}: give two finite numbers, the lower one first.")
    try:
        format(0.5, form)
    except ValueError:
        raise ValueError(f"form={form!r:.40}: give how a number is written, such as '.1f', or '' for none.") from None
    if colours not in matplotlib.colormaps:
        raise ValueError(f"colours={colours!r:.40}: give the name of a colour map, such as 'cividis'.")


def _bright(colour: Any) -> bool:
    """Whether black can be read on it."""
    return bool(np.dot(colour[:3], (0.299, 0.587, 0.114)) > 0.5)


@checked
def dress(ax: Axes, title: str = "", x: str = "", y: str = "", ticks: Mapping[float, str] | None = None) -> None:
    """Names and sizes of a panel's words, and no frame where none is needed.

    Args:
        ax: the panel.
        title: above it.
        x: of the axis across, with its unit.
        y: of the axis upwards, with its unit.
        ticks: place -> word, for the axis across; None leaves them.
    """
    ax.set_title(title, fontsize=10)
    ax.set_xlabel(x, fontsize=9)
    ax.set_ylabel(y, fontsize=9)
    if ticks is not None:
        ax.set_xticks(list(ticks), list(ticks.values()))
        ax.set_xticks([], minor=True)
    ax.tick_params(labelsize=8.5)
    ax.spines[["top", "right"]].set_visible(False)


@checked
def legend(figure: Figure, columns: int = 4) -> None:
    """One legend below all panels, where it covers nothing.

    Args:
        figure: whose labels are told.
        columns: at most so many beside each other.
    """
    found: dict[str, Any] = {}
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    place: dict[str, Any] = {"loc": "outside lower center", "frameon": False}
    if found:
        figure.legend(list(found.values()), list(found), ncols=min(columns, len(found)), fontsize=9, **place)


@checked
def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG of at most 256 colours through another name, so that a kill leaves no half of it; forget the figure.

    Args:
        figure: to write.
        path: of the file.
    """
    whole = BytesIO()
    figure.savefig(whole, format="png", dpi=DPI)
    # A palette takes a third of the bytes, and a clone has all of them; this kind keeps colours of few dots.
    image = Image.open(whole).convert("RGB").quantize(method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    with writing(path) as part:
        image.save(part, format="png", optimize=True)
    plt.close(figure)


EMPTY = (nan, nan, nan)
"""Numbers of what was not measured."""

"""Plots of measured numbers: lines and bars with 95 % intervals, and coloured tables."""

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
from pusa_lab.sentences import counted

if TYPE_CHECKING:
    Numbers = Sequence[float]
    Three = Sequence[float]
else:
    Numbers = Sequence[SupportsFloat]  # `checked` refuses NaN as a float, but here NaN stands for a missing number
    Three = tuple[SupportsFloat, SupportsFloat, SupportsFloat]
"""Numbers; and mean, lower and upper end of the 95 % interval."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
"""The colours of Okabe and Ito, without yellow: they can be told apart with every kind of colour vision."""
MOST_HEIGHT = 200
"""Largest height of a figure in inches: 20,000 pixels."""
MARKS = "os^DvPXd"
WIDTH, DPI = 12.8, 100
"""Inches and dots per inch: 1280 pixels."""
MANY = 40
"""Lines with more points than this have no marks."""


@checked
def panels(layout: Sequence[Sequence[str]], title: str = "", height: float | int = 5.0, **options: Any) -> Any:
    """Make a figure with named panels, 1280 pixels wide.

    Args:
        layout: rows of names; neighbours with the same name are one panel, "." is empty.
        title: title above all panels.
        height: height in inches, above 0 and at most 200.
        **options: options of `Figure.subplot_mosaic`: width_ratios, sharex, ...

    Returns:
        (figure, name -> axes).

    Raises:
        ValueError: the rows differ in length, a panel is not a rectangle, or the height is out of range.
    """
    _check_layout(layout)
    if not 0 < height <= MOST_HEIGHT:
        raise ValueError(f"height={height}: give inches above 0 and at most {MOST_HEIGHT}.")
    figure = plt.figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=11)
    return figure, figure.subplot_mosaic([list(row) for row in layout], empty_sentinel=".", **options)


def _check_layout(layout: Sequence[Sequence[str]]) -> None:
    wide = {len(row) for row in layout}
    if len(wide) != 1 or 0 in wide:
        raise ValueError(f"layout has rows of {sorted(wide) or 'no'} names: give at least one row, all of one length.")
    cells: dict[str, list[tuple[int, int]]] = {}
    for r, row in enumerate(layout):
        for c, name in enumerate(row):
            cells.setdefault(name, []).append((r, c))
    for name, places in cells.items():
        spans = [max(line) - min(line) + 1 for line in zip(*places, strict=True)]
        if name != "." and spans[0] * spans[1] != len(places):
            raise ValueError(f"layout: the panel {name!r:.40} is not a rectangle; give a name only to one rectangle.")


def _check_colours(colours: Sequence[str]) -> None:
    if not colours:
        raise ValueError("colours is empty: give at least one, or leave it out.")
    for colour in colours:
        if not is_color_like(colour):
            raise ValueError(f"colours holds {colour!r:.40}: give names or codes such as '#0072B2'.")


@checked
def ordered(count: int) -> list[str]:
    """Return colours from dark to bright for labels with an order, such as budgets.

    Args:
        count: number of colours, 0 to 256.

    Raises:
        ValueError: count is out of range.
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
    """Draw one line per label through the means, with the interval shaded; a single point gets whiskers.

    Args:
        ax: axes to draw on.
        lines: label -> (x, (mean, low, high)) of each point; a label without points still uses up its colour, so that
            colours agree between panels.
        levels: label -> (mean, low, high), drawn across the whole width in the colours after those of the lines.
        colours: colours of the labels, used in turn.
        joined: whether to connect the points; if not, all points get whiskers.

    Raises:
        ValueError: a colour is not valid.
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
    """Draw horizontal bars with whiskers for the intervals: one row of bars per name, one colour per label.

    Args:
        ax: axes to draw on.
        bars: label -> name -> (mean, low, high); the place of numbers that are not finite stays empty.
        colours: colours of the labels, used in turn.
        from_zero: whether to draw bars from zero; if not, dots are drawn, on an axis that need not include zero.
        names: whether to write the names of the rows.

    Raises:
        ValueError: a colour is not valid.
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
    """Vertical positions of the bars, with a gap between rows, and the middle of each row."""
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
    """Lengths of the whiskers, never negative through rounding."""
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
    """Draw a coloured table with its numbers.

    Args:
        ax: axes to draw on.
        values: rows of numbers; cells with NaN stay empty.
        rows: names of the rows.
        columns: names of the columns.
        spread: numbers written below each value after a ±, in the same shape; None writes none.
        limits: values of the first and last colour; None takes the range of the values.
        form: format of the numbers, such as ".1f"; "" writes none.
        colours: name of a colour map of Matplotlib.

    Returns:
        The image, for a colour bar.

    Raises:
        ValueError: there is not one value per row and column, or limits, form or colours are not valid.
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
            text = f"{value:{form}}" + (f"\n± {spread[r][c]:{form}}" if spread else "")
            ink = "black" if _bright(picture.cmap(picture.norm(value))) else "white"
            ax.text(c, r, text, ha="center", va="center", color=ink, fontsize=8.5)
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
            f"{name} has {counted(len(numbers), 'row')} of {wide} numbers for {counted(rows, 'row')} and "
            f"{counted(columns, 'column')}: give one number per cell."
        )


def _check_look(limits: tuple[float | int, float | int] | None, form: str, colours: str) -> None:
    if limits and not -inf < limits[0] <= limits[1] < inf:
        raise ValueError(f"limits={limits}: give two finite numbers, the lower one first.")
    try:
        format(0.5, form)
    except ValueError:
        raise ValueError(f"form={form!r:.40}: give the format of a number, such as '.1f', or '' for none.") from None
    if colours not in matplotlib.colormaps:
        raise ValueError(f"colours={colours!r:.40}: give the name of a colour map, such as 'cividis'.")


def _bright(colour: Any) -> bool:
    """Whether black text is legible on a colour."""
    return bool(np.dot(colour[:3], (0.299, 0.587, 0.114)) > 0.5)


@checked
def dress(ax: Axes, title: str = "", x: str = "", y: str = "", ticks: Mapping[float, str] | None = None) -> None:
    """Set title, labels and font sizes of a panel, and remove the frame at the top and right.

    Args:
        ax: axes of the panel.
        title: title above the panel.
        x: label of the horizontal axis, with its unit.
        y: label of the vertical axis, with its unit.
        ticks: place -> text of ticks on the horizontal axis; None keeps the ticks.
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
    """Add one legend for all panels below them, where it covers nothing.

    Args:
        figure: figure with labelled lines or bars.
        columns: largest number of columns, at least 1.
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
    """Write a figure as a PNG with at most 256 colours, atomically, and close it.

    Args:
        figure: figure to write.
        path: path of the file.

    Raises:
        OSError: the file cannot be written.
    """
    whole = BytesIO()
    figure.savefig(whole, format="png", dpi=DPI)
    # A palette makes files in the repository a third as large; this method also keeps colours of few pixels.
    image = Image.open(whole).convert("RGB").quantize(method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    with writing(path) as part:
        image.save(part, format="png", optimize=True)
    plt.close(figure)


EMPTY = (nan, nan, nan)
"""Mean, low and high of what was not measured."""

"""Plots of the inside of a transformer: which frames attend to which, and what training changed."""

from collections.abc import Mapping
from math import inf
from typing import Any

import matplotlib.pyplot as plt
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.metrics.inside import KINDS
from pusa_lab.sentences import counted

MAP_COLOURS = "Blues"
BARS = ("tab:blue", "tab:orange", "tab:green", "tab:purple", "tab:brown", "tab:grey")


@checked
def plot_attention(
    mass: Float[Tensor, "f f"] | Mapping[str, Tensor], columns: int = 4, most: float | None = None, title: str = ""
) -> Figure:
    """Plot heat maps of attention mass on a common scale: query frames downwards, key frames across.

    Args:
        mass: attention mass (f, f) of one layer and sample from `metrics.inside.attention_mass`, whose rows sum to 1;
            or title -> such a map.
        columns: largest number of maps in a row, at least 1.
        most: share that gets the darkest colour, above 0 and at most 1; None takes the largest one.
        title: title above all maps.

    Raises:
        ValueError: there is no map, a map is not square, `columns` is below 1, or `most` is out of range.
    """
    if most is not None and not 0 < most <= 1:
        raise ValueError(f"most={most}: give a share above 0 and at most 1.")
    maps = dict(mass) if isinstance(mass, Mapping) else {"": mass}
    if not maps or columns < 1:
        raise ValueError(
            f"{counted(len(maps), 'map')} in {counted(columns, 'column')}: give at least 1 map and 1 column."
        )
    for name, one in maps.items():
        if one.ndim != 2 or one.shape[0] != one.shape[1] or not one.numel():
            raise ValueError(f"the map {name!r} has shape {tuple(one.shape)}: give (f, f), one layer of one sample.")
    columns = min(columns, len(maps))
    rows = -(-len(maps) // columns)
    figure = plt.figure(figsize=(1.9 * columns + 1.5, 2.0 * rows + 0.9), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    top = max(float(one.max()) for one in maps.values()) if most is None else most
    for ax, (name, one) in zip(axes, maps.items(), strict=False):
        numbers = one.detach().float().cpu().numpy()
        picture = ax.imshow(numbers, vmin=0, vmax=top, cmap=MAP_COLOURS, interpolation="nearest")
        ax.set_title(name, fontsize=10)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(5, integer=True))
    for ax in axes[len(maps) :]:
        ax.set_axis_off()
    figure.supxlabel("frame looked at", fontsize=10)
    figure.supylabel("frame that asks", fontsize=10)
    figure.colorbar(picture, ax=list(axes), label="share of attention", extend="neither" if most is None else "max")
    figure.suptitle(title)
    return figure


@checked
def plot_change(changes: Mapping[str, Mapping[str, Any]], ax: Axes | None = None, title: str = "") -> Axes:
    """Plot how much each kind of weights changed, as bars on a logarithmic axis, with one colour per training run.

    "0" means that nothing changed, "from 0" that all weights were 0 before, and "new" that there are weights which the
    other model does not have, or has in another shape.

    Args:
        changes: label -> result of `metrics.inside.parameter_change`, 1 to 6 labels.
        ax: axes to draw on; None makes a figure.
        title: title of the plot.

    Raises:
        ValueError: there are no labels, or more than 6.
    """
    if not changes:
        raise ValueError("changes is empty: give at least one training run.")
    if len(changes) > len(BARS):
        raise ValueError(
            f"{counted(len(changes), 'label')}: {len(BARS)} can be told apart, plot the others in another figure."
        )
    kinds = [kind for kind, _ in KINDS if any(kind in c or _added(c, kind) for c in changes.values())]
    if ax is None:
        size = (5.6 if len(changes) == 1 else 7.4, 1.1 + len(kinds) * (0.16 + 0.19 * len(changes)))
        _, ax = plt.subplots(figsize=size, layout="constrained")
    thick = 0.8 / len(changes)
    drawn = [w for c in changes.values() for kind in kinds if 0 < (w := _moved(c, kind)) < inf]
    left = min(drawn, default=1.0) / 3
    for i, (label, change) in enumerate(changes.items()):
        where = [row + (i - (len(changes) - 1) / 2) * thick for row in range(len(kinds))]
        widths = [w if (w := _moved(change, kind)) < inf else 0.0 for kind in kinds]
        ax.barh(where, widths, thick * 0.9, color=BARS[i], label=label)
        for y, width, kind in zip(where, widths, kinds, strict=True):
            place: dict[str, Any] = {"xytext": (3, 0), "textcoords": "offset points", "va": "center", "fontsize": 8}
            ax.annotate(_said(change, kind), (max(width, left), y), **place)
    ax.set(xlim=(left, 2 * max(drawn, default=1.0)), xscale="log", title=title, xlabel="relative change of the weights")
    ax.set_yticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds])
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right"]].set_visible(False)
    if len(changes) > 1:
        ax.legend(fontsize=9, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def _moved(change: Mapping[str, Any], kind: str) -> float:
    return change[kind]["relative"] if kind in change else 0.0


def _added(change: Mapping[str, Any], kind: str) -> bool:
    return kind in change.get("new", {}).get("kinds", {})


def _said(change: Mapping[str, Any], kind: str) -> str:
    """Label for what a bar cannot show: no change, a change from 0, and new weights."""
    moved = _moved(change, kind)
    said = {0.0: "0" if kind in change else "", inf: "from 0"}.get(moved, "")
    if not _added(change, kind):
        return said
    return f"{said} + new".lstrip() if kind in change else "new"

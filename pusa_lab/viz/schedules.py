"""Plot of a schedule."""

from collections.abc import Callable

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pusa_lab.arguments import checked
from pusa_lab.schedules import as_matrix
from pusa_lab.types import Schedule

COLOURS = "cividis"
"""Colour map that is legible with every kind of colour vision, and in grey."""


@checked
def plot_schedule(
    schedule: str | Callable[..., Schedule] | Schedule,
    ax: Axes | None = None,
    title: str = "",
    colorbar: bool = True,
    *,
    steps: int | None = None,
    frames: int | None = None,
    shift: float | int | None = None,
) -> Axes:
    """Plot a schedule as a heat map: frames across, rows downwards, tau as colour (dark is clean, bright is noise).

    Matrices of at most 60 cells show their numbers.

    Args:
        schedule: noise levels (rows, f) in [0, 1], which may have faults (see `schedules.faults`), a name in
            `schedules.SCHEDULES`, or a function (steps, frames, shift=...).
        ax: axes to draw on; None makes a figure.
        title: title of the plot.
        colorbar: whether to add a colour bar.
        steps: steps of each frame, at least 1; None is 10. Refused when schedule holds noise levels.
        frames: latent frames, at least 1; None is 9, or as many as the noise levels are for.
        shift: shift of the sigmas, positive; None is 1. Refused when schedule holds noise levels.

    Raises:
        ValueError: the matrix is empty, the name is unknown, or an argument is out of range or does not fit a matrix.
    """
    matrix = as_matrix(schedule, steps, frames, shift).detach().float().cpu().numpy()
    rows, frames = matrix.shape
    if not matrix.size:
        raise ValueError(f"the schedule has shape {matrix.shape} (rows, frames): give at least 1 row and 1 frame.")
    if ax is None:
        _, ax = plt.subplots(figsize=(1.6 + 0.42 * min(frames, 16), 1.0 + 0.22 * min(rows, 16)), layout="constrained")
    picture = ax.imshow(matrix, vmin=0, vmax=1, cmap=COLOURS, aspect="auto", interpolation="nearest")
    ax.set(xlabel="frame", ylabel="row", title=title)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    if rows * frames <= 60:
        for row in range(rows):
            for frame in range(frames):
                level = matrix[row, frame]
                ink = "white" if level < 0.5 else "black"
                ax.text(frame, row, f"{level:.2g}", ha="center", va="center", color=ink, fontsize=8)
    if colorbar:
        ax.figure.colorbar(picture, ax=ax, label="tau", shrink=0.9)
    return ax

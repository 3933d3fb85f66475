"""The clocks as a picture."""

from collections.abc import Callable

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pusa_lab.arguments import checked
from pusa_lab.schedules import as_matrix
from pusa_lab.types import Schedule

COLOURS = "cividis"
"""Readable with every kind of colour vision, and in grey."""


@checked
def plot_schedule(
    schedule: str | Callable[..., Schedule] | Schedule,
    ax: Axes | None = None,
    title: str = "",
    colorbar: bool = True,
    *,
    steps: int = 10,
    frames: int = 9,
    shift: float | int = 1.0,
) -> Axes:
    """Heat-map of a schedule: frames across, rows downwards, colour is tau (dark clean, bright noise).

    Small matrices show their numbers.

    Args:
        schedule: levels (rows, f) in [0, 1], where faulty ones are drawn too, see `schedules.faults`; or a name in
            `schedules.SCHEDULES`, or a function (steps, frames, shift=...).
        ax: where to draw; None makes a figure.
        title: above the picture.
        colorbar: whether to explain the colours.
        steps: moves of each frame, at least 1; unused when schedule holds levels.
        frames: latent frames, at least 1; unused when schedule holds levels.
        shift: shift of the grid; unused when schedule holds levels.

    Raises:
        ValueError: there is nothing to draw, the name is unknown, or an argument is out of range.
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

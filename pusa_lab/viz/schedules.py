"""Plot of a schedule."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pusa_lab.arguments import checked
from pusa_lab.sampling_inputs import AnySchedule, as_matrix, levels_of
from pusa_lab.sentences import counted

COLOURS = "cividis"
"""Colour map that is legible with every kind of colour vision, and in grey."""


@checked
def plot_schedule(
    schedule: AnySchedule,
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
        schedule: noise levels (rows, f) in [0, 1], which may have faults (see `schedules.faults`) or rise, a name in
            `schedules.SCHEDULES`, or a function (steps, frames, shift=...).
        ax: axes to draw on; None makes a figure.
        title: title of the plot.
        colorbar: whether to add a colour bar.
        steps: steps of each frame, at least 1; None is 10. Refused when schedule holds noise levels.
        frames: latent frames, at least 1; None is 9, or as many as the noise levels are for.
        shift: shift of the sigmas, positive; None is 1. Refused when schedule holds noise levels.

    Raises:
        ValueError: the matrix is empty or there is one for each sample, the name is unknown, or an argument is out of
            range or does not fit a matrix.
    """
    levels = levels_of(as_matrix(schedule, steps, frames, shift))
    if levels.ndim == 3:
        raise ValueError(f"there are schedules for {counted(len(levels), 'sample')}: plot one of them, such as S[0].")
    matrix = levels.detach().float().cpu().numpy()
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

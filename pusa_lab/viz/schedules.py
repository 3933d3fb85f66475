"""The clocks as a picture."""

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

COLOURS = "cividis"
"""Readable with every kind of colour vision, and in grey."""


def plot_schedule(schedule: torch.Tensor, ax: Axes | None = None, title: str = "", colorbar: bool = True) -> Axes:
    """Heat-map of a schedule: frames across, rows downwards, colour is tau (dark clean, bright noise).

    Small matrices show their numbers.

    Args:
        schedule: clocks (rows, f) in [0, 1]; faulty ones are drawn too, see `schedules.faults`.
        ax: where to draw; None makes a figure.
        title: above the picture.
        colorbar: whether to explain the colours.
    """
    matrix = schedule.detach().float().cpu().numpy()
    rows, frames = matrix.shape
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

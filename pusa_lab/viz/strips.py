"""Videos as rows of frames."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pusa_lab.arguments import checked, shown
from pusa_lab.runs import Result
from pusa_lab.sentences import counted
from pusa_lab.viz.schedules import plot_schedule

KNOWN = "tab:orange"


@checked
def filmstrip(
    videos: Mapping[str, np.ndarray] | np.ndarray, known: Sequence[int] = (), ax: Axes | None = None, most: int = 12
) -> Axes:
    """Plot frames side by side, one row per video; known frames have an orange border.

    Args:
        videos: one video (frames, h, w, 3) uint8, or name -> video, all of the same size.
        known: known pixel frames.
        ax: axes to draw on; None makes a figure.
        most: largest number of frames to show, at least 1; longer videos show evenly spaced frames.

    Raises:
        ValueError: there is no video, a video has another shape or type, or the videos differ in size.
    """
    rows = dict(videos) if isinstance(videos, Mapping) else {"": videos}
    _check_rows(rows, most)
    first = next(iter(rows.values()))
    shown = np.unique(np.linspace(0, len(first) - 1, min(len(first), most)).round().astype(int))
    h, w = first.shape[1:3]
    gap = max(1, w // 16)
    sheet = np.full((len(rows) * (h + gap) - gap, len(shown) * (w + gap) - gap, 3), 255, np.uint8)
    for r, video in enumerate(rows.values()):
        for c, frame in enumerate(shown):
            sheet[r * (h + gap) : r * (h + gap) + h, c * (w + gap) : c * (w + gap) + w] = video[frame]
    if ax is None:
        _, ax = plt.subplots(figsize=(0.95 * len(shown) + 1.2, 0.95 * len(rows) * h / w + 0.5), layout="constrained")
    ax.imshow(sheet, interpolation="nearest")
    for c, frame in enumerate(shown):
        if frame in known:
            corner = (c * (w + gap) - 0.5, -0.5)
            ax.add_patch(Rectangle(corner, w, sheet.shape[0], fill=False, edgecolor=KNOWN, linewidth=2.5))
    ax.set_xticks([c * (w + gap) + w / 2 - 0.5 for c in range(len(shown))], [str(frame) for frame in shown])
    ax.set_yticks([r * (h + gap) + h / 2 - 0.5 for r in range(len(rows))], list(rows))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("pixel frame")
    return ax


def _check_rows(rows: Mapping[str, np.ndarray], most: int) -> None:
    if not rows or most < 1:
        raise ValueError(
            f"{counted(len(rows), 'video')} with most={most}: give at least 1 video, and most of at least 1."
        )
    for video in rows.values():
        if video.dtype != np.uint8 or video.ndim != 4 or video.shape[-1] != 3 or not video.size:
            raise ValueError(f"a video is {shown(video)}: give uint8 (frames, h, w, 3).")
    if len(shapes := {video.shape for video in rows.values()}) > 1:
        raise ValueError(f"videos have shapes {', '.join(map(str, sorted(shapes)))}: give videos of equal size.")


@checked
def plot_result(result: Result, known: Sequence[int] = (), title: str | None = None) -> Figure:
    """Plot the schedule of a result beside its video.

    Args:
        result: result of `generate`; its first sample is shown.
        known: known pixel frames.
        title: title above both; None takes the name of the task.
    """
    video = result.video[0]
    figure = plt.figure(figsize=(10, 2.2), layout="constrained")
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": (1, 3.2), "wspace": 0.1})
    plot_schedule(result.schedule[0] if result.schedule.ndim == 3 else result.schedule, left)
    filmstrip(video, known, right)
    figure.suptitle(result.task if title is None else title)
    return figure

"""Helpers for the chapters: setup, players for small videos, and immediate checks of exercises."""

import sys
from typing import Any

import matplotlib.pyplot as plt
import mediapy
import numpy as np
import torch

from pusa_lab import media
from pusa_lab.arguments import checked, shown
from pusa_lab.data.clips import check_times


@checked
def setup(seed: int = 0, shapes: bool = False) -> str:
    """Seed torch and NumPy, set the plot style, and choose the device.

    Args:
        seed: seed of torch and NumPy, from 0 to 2^32 - 1.
        shapes: whether to check jaxtyping's shapes in the functions of this notebook (needs beartype).

    Returns:
        "cuda" if a GPU is available, else "cpu".

    Raises:
        ValueError: the seed is out of range.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed={seed}: give 0 to {2**32 - 1}.")
    torch.manual_seed(seed)
    np.random.seed(seed)
    plt.rcParams.update({"figure.dpi": 80, "axes.titlesize": "medium", "image.cmap": "cividis"})
    if shapes and "IPython" in sys.modules:
        from IPython import get_ipython

        if (shell := get_ipython()) is not None:
            shell.run_line_magic("load_ext", "jaxtyping")
            shell.run_line_magic("jaxtyping.typechecker", "beartype.beartype")
    return "cuda" if torch.cuda.is_available() else "cpu"


@checked
def play(videos: dict[str, np.ndarray], fps: int | float = 8, width: int = 128) -> None:
    """Show small videos side by side in a loop, with every pixel enlarged to a sharp square.

    Args:
        videos: title -> (frames, h, w, 3) uint8.
        fps: frames per second, 0.001 to 1000.
        width: approximate width of each video on the screen, in pixels, at least 1.

    Raises:
        ValueError: there is no video, a video has another shape or type, or fps or width is out of range.
    """
    if not videos:
        raise ValueError("no videos to play: give a dict, title -> (frames, h, w, 3) uint8.")
    for title, video in videos.items():
        if video.dtype != np.uint8 or video.ndim != 4 or video.shape[3] != 3 or 0 in video.shape:
            raise ValueError(f"{title!r:.80} has shape {video.shape}, {video.dtype}: give (frames, h, w, 3) uint8.")
    check_times(fps)
    if width < 1:
        raise ValueError(f"width={width}: give 1 pixel or more.")
    big = {title: media.enlarge(video, max(1, width // video.shape[2])) for title, video in videos.items()}
    mediapy.show_videos(big, fps=fps, codec="h264", qp=16)


@checked
def check(mine: Any, reference: Any, *args: Any, tolerance: float = 1e-5) -> None:
    """Compare the answer to an exercise with the library: print a note if it is unwritten, and a tick if it is right.

    Args:
        mine: the reader's function or value; unwritten if it raises NotImplementedError or gives None or `...`.
        reference: the library's function, or the right value.
        *args: arguments for both functions.
        tolerance: largest absolute difference that counts as equal.

    Raises:
        AssertionError: the answer holds no numbers, has another shape, or differs by more than the tolerance.
    """
    try:
        got = mine(*args) if callable(mine) else mine
    except NotImplementedError:
        got = None
    if got is None or got is Ellipsis:
        print("… not written yet")
        return
    want = reference(*args) if callable(reference) else reference
    try:
        got_t, want_t = torch.as_tensor(got), torch.as_tensor(want)
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"your answer is {shown(got)}, which holds no numbers: expected {shown(want)}.") from None
    if got_t.shape != want_t.shape:
        raise AssertionError(f"your answer has shape {tuple(got_t.shape)}, expected {tuple(want_t.shape)}.")
    difference = (got_t.double() - want_t.double()).abs()
    if not difference.numel() or difference.max() <= tolerance:
        print("✓ right")
        return
    where = tuple(int(i) for i in np.unravel_index(int(difference.nan_to_num(torch.inf).argmax()), difference.shape))
    at = f"at {where} it is {got_t[where]:.4g}, expected {want_t[where]:.4g}"
    raise AssertionError(f"your answer differs by up to {difference.max():.4g}: {at}.")

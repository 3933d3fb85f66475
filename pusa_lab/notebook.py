"""What every chapter needs: one setup, players for small videos, and exercises that answer at once."""

import sys
from typing import Any

import matplotlib.pyplot as plt
import mediapy
import numpy as np
import torch

from pusa_lab import media
from pusa_lab.arguments import checked, shown


@checked
def setup(seed: int = 0, shapes: bool = False) -> str:
    """Seed everything, set the plot style, and say where to compute: returns "cuda" or "cpu".

    Args:
        seed: for torch and numpy, from 0 to 2^32 - 1.
        shapes: check jaxtyping's shapes in the functions of this notebook (needs beartype).
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
    """Show small videos side by side, looping, each pixel a crisp square.

    Args:
        videos: title -> (frames, h, w, 3) uint8.
        fps: frames per second, 0.001 to 1000.
        width: on the screen, in pixels, at least 1.

    Raises:
        ValueError: a video has another shape or type, or there is none.
    """
    if not videos:
        raise ValueError("no videos to play: give a dict, title -> (frames, h, w, 3) uint8.")
    for title, video in videos.items():
        if video.dtype != np.uint8 or video.ndim != 4 or video.shape[3] != 3 or 0 in video.shape:
            raise ValueError(f"{title!r:.80} has shape {video.shape}, {video.dtype}: give (frames, h, w, 3) uint8.")
    if not (1 / media.MOST_FPS <= fps <= media.MOST_FPS and width >= 1):
        most = media.MOST_FPS
        raise ValueError(f"fps={fps}, width={width}: give {1 / most} to {most} frames a second, and 1 pixel or more.")
    big = {title: media.enlarge(video, max(1, width // video.shape[2])) for title, video in videos.items()}
    mediapy.show_videos(big, fps=fps, codec="h264", qp=16)


@checked
def check(mine: Any, reference: Any, *args: Any, tolerance: float = 1e-5) -> None:
    """Compare an exercise with the library: quiet if unwritten, a tick if right, an error if wrong.

    Args:
        mine: the reader's function, or value.
        reference: the library's function, or the right value.
        *args: given to both where they are functions.
        tolerance: largest difference that still counts as equal.

    Raises:
        AssertionError: the shapes differ, or the values by more than the tolerance; or there are none.
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
        raise AssertionError(f"yours is {shown(got)}, which holds no numbers: wanted is {shown(want)}.") from None
    if got_t.shape != want_t.shape:
        raise AssertionError(f"yours has shape {tuple(got_t.shape)}, wanted is {tuple(want_t.shape)}.")
    difference = (got_t.double() - want_t.double()).abs()
    if not difference.numel() or difference.max() <= tolerance:
        print("✓ right")
        return
    where = tuple(int(i) for i in np.unravel_index(int(difference.nan_to_num(torch.inf).argmax()), difference.shape))
    at = f"at {where} it gives {got_t[where]:.4g}, wanted is {want_t[where]:.4g}"
    raise AssertionError(f"yours differs by up to {difference.max():.4g}: {at}.")

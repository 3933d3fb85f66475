"""A look at a video while it is made, in a notebook: `generate(..., callback=viz.preview(model.decode))`."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pusa_lab.arguments import checked
from pusa_lab.progress import in_open_notebook
from pusa_lab.samplers import State
from pusa_lab.schedules import frame_indices
from pusa_lab.types import Clip, Video
from pusa_lab.viz.animate import clean_estimate, pictures

HEIGHT = 128
"""Pixels; smaller pictures are enlarged to it."""


@checked
def preview(
    decode: Callable[[Video], Clip] | None = None, every: int = 1, frames: Sequence[int] = (0, -1)
) -> Callable[[int, int, State], None]:
    """A callback for `generate` that shows the clean estimate of a few frames while a video is made.

    The picture appears in a notebook that is open, not in one that papermill executes, and is removed at the last row,
    so that stored outputs hold none. Each frame is decoded by itself, which takes little time and is close enough to
    judge a video by.

    Args:
        decode: function from latents to pixels, such as model.decode; None shows the first channels as colours.
        every: rows between two pictures, at least 1.
        frames: latent frames that are shown side by side; negative numbers count from the end.

    Returns:
        (row, rows, state) -> None.

    Raises:
        ValueError: every is below 1, or frames is empty.
    """
    if every < 1 or not frames:
        raise ValueError(f"every={every}, frames={list(frames)}: give at least 1, and at least one frame.")
    shown: list[Any] = []

    def callback(row: int, rows: int, state: State) -> None:
        if not in_open_notebook() or (row < rows and (row == 0 or row % every)):
            return
        from IPython.display import HTML, Image, display

        found = HTML("") if row == rows else Image(_png(_picture(clean_estimate(state), decode, frames)))
        if shown:
            shown[0].update(found)
        elif row < rows:
            shown.append(display(found, display_id=True))

    return callback


def _picture(latents: Video, decode: Callable[[Video], Clip] | None, frames: Sequence[int]) -> np.ndarray:
    places = dict.fromkeys(frame_indices([i], latents.shape[2])[0] for i in frames)
    side_by_side = np.concatenate([pictures(latents[:, :, [i]], decode)[0] for i in places], axis=1)
    scale = max(1, HEIGHT // len(side_by_side))
    return side_by_side.repeat(scale, 0).repeat(scale, 1)


def _png(picture: np.ndarray) -> bytes:
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(picture).save(data, "PNG")
    return data.getvalue()

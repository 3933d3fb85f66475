"""Known frames in the studio: pictures and clips, their places, and the published noise levels of their task."""

import base64
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pusa_lab.arguments import checked
from pusa_lab.conditions import place
from pusa_lab.data import read_clip, read_picture
from pusa_lab.data.folders import SUFFIXES
from pusa_lab.tasks import PRESETS, Known, Task
from pusa_lab.types import Geometry

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")
"""Suffixes of files that are read as pictures; those of clips are `SUFFIXES`."""

MOST_DROPPED_BYTES = 256 * 2**20
"""Largest file that can be dropped."""


@dataclass(frozen=True)
class Given:
    """One known picture or clip."""

    name: str
    """Name to show."""
    clip: Any
    """(h, w, 3) or (pixel frames, h, w, 3) uint8."""
    at: int = 0
    """Latent frame where it starts."""
    noise: float | tuple[float, ...] = 0.0
    """Noise level m in [0, 1], one for all latent frames or one per latent frame."""
    mode: str = "denoise"
    """How it is kept, one of `tasks.MODES`."""

    @property
    def known(self) -> Known:
        """The same for a task."""
        return Known(self.clip, at=self.at, noise=self.noise, mode=self.mode)


@checked
def task_from(given: Sequence[Given], geometry: Geometry, frames: int) -> Task:
    """Make the task of known frames, with a name that fits them, and check it against the model.

    Args:
        given: known pictures and clips.
        geometry: geometry of the model.
        frames: number of latent frames of the video.

    Raises:
        ValueError: a clip does not fit, or two clips overlap.
    """
    task = Task(name_of(given, frames), tuple(one.known for one in given))
    place(task, geometry, frames)
    return task


@checked
def name_of(given: Sequence[Given], frames: int) -> str:
    """Return the name of the task that known frames make, such as "image_to_video" or "keyframes".

    Args:
        given: known pictures and clips.
        frames: number of latent frames of the video, at least 1.

    Raises:
        ValueError: frames is below 1 although frames are known.
    """
    if not given:
        return "text_to_video"
    if frames < 1:
        raise ValueError(f"frames={frames}: give 1 or more.")
    places = sorted(one.at % frames for one in given)
    clips = any(np.ndim(one.clip) == 4 and len(one.clip) > 1 for one in given)
    if places == [0]:
        return "extension" if clips else "image_to_video"
    if places == [0, frames - 1]:
        return "start_end"
    return "completion" if clips else "keyframes"


@checked
def with_preset(given: Sequence[Given], geometry: Geometry, frames: int) -> list[Given]:
    """Set the noise levels of known frames to the first published levels of their task that have the right number.

    Args:
        given: known pictures and clips, in order of time.
        geometry: geometry of the model.
        frames: number of latent frames of the video.

    Returns:
        The known frames, unchanged if no published levels have the right number.
    """
    for preset in PRESETS.get(name_of(given, frames), ()):
        levels = np.atleast_1d(preset.noise).tolist()
        if len(given) == 1 and len(levels) in (1, count := len(place(_bare(given), geometry, frames).at)):
            return [replace(given[0], noise=tuple(levels) if count == len(levels) > 1 else levels[0])]
        if len(given) == len(levels) > 1:
            return [replace(one, noise=m) for one, m in zip(given, levels, strict=True)]
    return list(given)


def _bare(given: Sequence[Given]) -> Task:
    return Task("known", tuple(replace(one, noise=0.0, mode="freeze").known for one in given))


@checked
def read_dropped(name: str, content: str | bytes | memoryview, fps: float | int | None = None) -> np.ndarray:
    """Read a dropped file as (h, w, 3) or (pixel frames, h, w, 3) uint8.

    Args:
        name: name of the file; its ending says whether it is a picture or a clip.
        content: bytes of the file, or their base64 text, at most 256 MiB.
        fps: frame rate at which a clip is read, as for `data.read_clip`; None keeps every frame.

    Raises:
        ValueError: the file is neither a picture nor a clip, is too large, or cannot be read.
    """
    ending = Path(name).suffix.lower()
    if ending not in (known := dict.fromkeys(PICTURES + SUFFIXES)):
        raise ValueError(f"{name:.80} is not a picture or clip: drop one of {', '.join(known)}.")
    if len(content) > MOST_DROPPED_BYTES:
        raise ValueError(f"{name:.80} has {len(content):,} bytes: the studio takes at most {MOST_DROPPED_BYTES:,}.")
    try:
        data = base64.b64decode(content, validate=True) if isinstance(content, str) else bytes(content)
    except ValueError as error:
        raise ValueError(f"{name:.80} came as text that is not base64 ({error}): drop the file again.") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"dropped{ending}"
        path.write_bytes(data)
        try:
            return read_picture(path) if ending in PICTURES else read_clip(path, fps=fps)
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), name)) from error

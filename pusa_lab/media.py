"""Write and enlarge pictures and videos, with metadata; `data` reads them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import mediapy
import numpy as np
from PIL import Image

from pusa_lab.arguments import checked
from pusa_lab.data.clips import check_times
from pusa_lab.data.damage import opened
from pusa_lab.files import check_writable, existing_file, writing

mediapy.set_ffmpeg(imageio_ffmpeg.get_ffmpeg_exe())

MOST_ENLARGED_BYTES = 8 * 2**30
"""Largest video that `enlarge` makes."""
MOST_WRITTEN_SIDE = 8192
"""Largest side of a video that is written, in pixels; players accept no more."""
MOST_METADATA = 16 * 2**20
"""Largest metadata in the file of a video, in bytes."""


@checked
def write_clip(
    path: str | Path, video: np.ndarray, fps: int | float, scale: int = 1, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write a video as an MP4 file; a crash leaves no half-written file.

    Args:
        path: path of the file, ending in .mp4; its folder is created if missing.
        video: (frames, h, w, 3) uint8, at least 1 frame.
        fps: frames per second, 0.001 to 1000.
        scale: factor by which both sides are enlarged, at least 1; the sides of an MP4 must be even and at most 8192.
        metadata: how it was made, kept in the file; `read_metadata` gives it back. Text, numbers, lists and dicts.

    Raises:
        ValueError: an argument is not as described, JSON cannot hold the metadata, or the path cannot be written to.
        OSError: writing failed, for example because the disk is full.
    """
    path = Path(path)
    if video.ndim != 4 or video.shape[3] != 3 or path.suffix.lower() != ".mp4":
        raise ValueError(
            f"{path} from shape {video.shape}: give a name that ends in .mp4 and a video (frames, h, w, 3)."
        )
    _check_pixels(video, "video")
    check_writable(path, "the video")
    check_times(fps)
    text = "" if metadata is None else _json(metadata)
    h, w = (n * scale for n in video.shape[1:3])
    if scale >= 1 and max(h, w) > MOST_WRITTEN_SIDE:
        raise ValueError(f"a video of {h} x {w} pixels: give at most {MOST_WRITTEN_SIDE} pixels per side.")
    frames = enlarge(video, scale)
    if h % 2 or w % 2:
        raise ValueError(f"a video of {h} x {w} pixels: MP4 needs even sides, use scale=2.")
    with writing(path) as part:
        mediapy.write_video(part.absolute(), frames, fps=fps, qp=14)  # ffmpeg takes "a:b.mp4" for a protocol
        if text:
            _add_comment(part.absolute(), text)


def _json(metadata: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(metadata)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"metadata cannot be written as JSON ({error}): give text, numbers, lists or dicts."
        ) from error
    if len(text) > MOST_METADATA:
        raise ValueError(f"metadata of {len(text)} bytes: give at most {MOST_METADATA}.")
    return text


def _add_comment(path: Path, text: str) -> None:
    """Write the same packets into a new container with a comment, which takes the file's place."""
    import av

    with writing(path) as part, av.open(str(path)) as old, av.open(str(part), "w") as new:
        new.metadata["comment"] = text
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)


@checked
def read_metadata(path: str | Path) -> dict[str, Any]:
    """How a video was made, as `write_clip` and `pusa-lab generate` put it into the file.

    Args:
        path: of the video.

    Returns:
        For a video of `pusa-lab generate`: prompt, seed, task, command, options, schedule (rows of levels), versions,
        and request, the whole of `pusa_lab.Request`.

    Raises:
        ValueError: no such file, not a video, or one without such metadata.
    """
    import av

    path = existing_file(path, "clip")
    try:
        container, _ = opened(path)
        with container:
            found = json.loads(container.metadata.get("comment", ""))
    except (av.FFmpegError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} has no metadata of pusa_lab: give a video that `pusa-lab generate` wrote.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} has no metadata of pusa_lab: give a video that `pusa-lab generate` wrote.")
    return found


@checked
def write_picture(path: str | Path, picture: np.ndarray) -> None:
    """Write a picture as a PNG file; a crash leaves no half-written file.

    Args:
        path: path of the file, ending in .png; its folder is created if missing.
        picture: (h, w, 3) uint8.

    Raises:
        ValueError: the name, type or shape is wrong, or the path cannot be written to.
        OSError: writing failed, for example because the disk is full.
    """
    path = Path(path)
    if picture.ndim != 3 or picture.shape[2] != 3 or path.suffix.lower() != ".png":
        raise ValueError(f"{path} from shape {picture.shape}: give a name that ends in .png and a picture (h, w, 3).")
    _check_pixels(picture, "picture")
    check_writable(path, "the picture")
    with writing(path) as part:
        Image.fromarray(np.ascontiguousarray(picture)).save(part, format="png")


@checked
def enlarge(video: np.ndarray, scale: int) -> np.ndarray:
    """Enlarge pictures or videos without interpolation: every pixel becomes a square of scale x scale pixels.

    Args:
        video: (..., h, w, 3).
        scale: factor for both sides, at least 1.

    Returns:
        (..., scale * h, scale * w, 3) in the dtype of the video.

    Raises:
        ValueError: the shape or scale is wrong, or the result would take more than 8 GiB.
    """
    if video.ndim < 3:
        raise ValueError(f"video has shape {video.shape}: give (..., h, w, 3).")
    if scale < 1:
        raise ValueError(f"scale={scale}: give a whole number of at least 1.")
    if video.nbytes * scale**2 > MOST_ENLARGED_BYTES and scale > 1:
        raise ValueError(
            f"scale={scale} would make a video of {video.nbytes * scale**2 / 2**30:.0f} GiB: give a smaller scale."
        )
    return video.repeat(scale, axis=-3).repeat(scale, axis=-2)


def _check_pixels(pixels: np.ndarray, what: str) -> None:
    if pixels.dtype != np.uint8:
        raise ValueError(f"a {what} of type {pixels.dtype}: give uint8, such as from pixels.to_uint8.")
    if 0 in pixels.shape:
        raise ValueError(f"a {what} of shape {pixels.shape} is empty: give at least one frame and one pixel.")

"""Write and enlarge pictures and videos, with metadata; `data` reads them."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
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

PLAYS = "matchMedia('(prefers-reduced-motion: reduce)').matches || this.play()"
"""What a video in a page does when it is there: it plays, unless its reader asked for less motion."""
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
    with writing_clip(path, (video.shape[1], video.shape[2]), fps, scale, metadata) as add:
        add(video)


@contextlib.contextmanager
@checked
def writing_clip(
    path: str | Path,
    size: tuple[int, int],
    fps: int | float,
    scale: int = 1,
    metadata: Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None = None,
) -> Iterator[Callable[[np.ndarray], None]]:
    """Context manager to write a video as it is made, in parts: gives add(frames), frames (n, h, w, 3) uint8.

    The file is there when the block has ended; if the block fails, there is none, and what was there before is kept.

    Args:
        path: as `write_clip`.
        size: height and width of the frames, in pixels.
        fps: as `write_clip`.
        scale: as `write_clip`.
        metadata: as `write_clip`; or a function that returns it, which is called when all frames are there.

    Raises:
        ValueError: as `write_clip`; and of add, if frames are of another size or type.
        OSError: as `write_clip`.
    """
    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise ValueError(f"{path}: give a name that ends in .mp4.")
    check_writable(path, "the video")
    check_times(fps)
    text = "" if metadata is None or callable(metadata) else _json(metadata)
    h, w = (n * scale for n in size)
    if scale < 1 or min(size) < 1:
        raise ValueError(f"size={size}, scale={scale}: give whole numbers of at least 1.")
    if max(h, w) > MOST_WRITTEN_SIDE:
        raise ValueError(f"a video of {h} x {w} pixels: give at most {MOST_WRITTEN_SIDE} pixels per side.")
    if h % 2 or w % 2:
        raise ValueError(f"a video of {h} x {w} pixels: MP4 needs even sides, use scale=2.")
    with writing(path) as part:
        # ffmpeg takes "a:b.mp4" for a protocol
        with mediapy.VideoWriter(part.absolute(), (h, w), fps=fps, qp=14) as writer:

            def add(frames: np.ndarray) -> None:
                _check_pixels(frames, "video")
                if frames.shape[1:] != (*size, 3):
                    raise ValueError(f"frames of shape {frames.shape}: give (n, {size[0]}, {size[1]}, 3).")
                for frame in enlarge(frames, scale):
                    writer.add_image(frame)

            yield add
        if callable(metadata):
            text = _json(metadata())
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

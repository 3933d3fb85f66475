"""Pictures and clips from and to files, through mediapy and the ffmpeg that imageio-ffmpeg ships."""

from collections import deque
from pathlib import Path

import imageio_ffmpeg
import mediapy
import numpy as np

from pusa_lab.decode import Shown, at_rate, decoded

mediapy.set_ffmpeg(imageio_ffmpeg.get_ffmpeg_exe())

MOST_BYTES = 2 * 2**30
"""Larger clips are refused rather than read until memory ends."""
MOST_FPS = 1000
"""Frames per second that a clip is read or written at; no camera whose clips are shown goes beyond."""


def read_picture(path: str | Path) -> np.ndarray:
    """A picture file as RGB (h, w, 3) uint8; transparency is laid over white.

    Args:
        path: PNG, JPEG, or whatever Pillow reads.

    Raises:
        ValueError: no such file, or no picture.
    """
    _exists(path, "picture")
    try:
        picture = np.asarray(mediapy.read_image(path, apply_exif_transpose=True))
    except Exception as error:
        raise ValueError(f"{path} is no readable picture ({_reason(error)}): give a PNG or JPEG file.") from error
    if picture.dtype != np.uint8:
        picture = mediapy.to_uint8(picture)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    if picture.shape[2] == 2:
        picture = picture[..., [0, 0, 0, 1]]
    if picture.shape[2] == 4:
        alpha = picture[..., 3:] / 255
        picture = np.round(picture[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return picture[..., :3]


def read_clip(path: Path, last: int | None = None, fps: int | float | None = None) -> np.ndarray:
    """A video file as RGB (frames, h, w, 3) uint8, as a player shows it: upright, with square pixels.

    Args:
        path: MP4, WebM, MOV or whatever else PyAV reads.
        last: keep only this many frames of its end, so that long videos fit in memory; None keeps all.
        fps: frames per second to read, at most 1000, whatever the file's own rate: of each moment k / fps the nearest
            frame. With a model's `geometry.fps` what moves in the clip keeps its speed in pixels per second. None reads
            every frame once, whenever it is shown.

    Raises:
        ValueError: no such file, no video, a damaged one, or one too large to keep.
    """
    _exists(path, "clip")
    if last is not None and last < 1:
        raise ValueError(f"last={last}: keep at least 1 frame.")
    if fps is not None and not 0 < fps <= MOST_FPS:
        raise ValueError(f"fps={fps}: give a number of frames per second above 0, at most {MOST_FPS}.")
    shown = decoded(Path(path))
    kept: deque[Shown] = deque(maxlen=last)
    taken = 0
    for now in shown if fps is None else at_rate(shown, fps):
        kept.append(now)
        taken = len(kept) * 3 * now.size[0] * now.size[1]
        if taken > MOST_BYTES:
            raise ValueError(f"{path} would take {taken / 2**30:.1f} GiB of memory: read fewer frames with last=...")
    if not kept:
        raise ValueError(f"{path} holds no frames: give a video with at least one.")
    return np.stack([now.picture() for now in kept])


def write_clip(path: str | Path, video: np.ndarray, fps: int | float, scale: int = 1) -> None:
    """Write (frames, h, w, 3) uint8 as MP4; a crash leaves no half-written file.

    Args:
        path: where to; its folder is made.
        video: the frames.
        fps: frames per second.
        scale: every pixel becomes scale x scale; MP4 wants even sides.

    Raises:
        ValueError: another name or shape, or an odd side after scaling.
    """
    path = Path(path)
    if video.ndim != 4 or path.suffix != ".mp4":
        raise ValueError(f"{path} from shape {video.shape}: give a name that ends in .mp4 and one (frames, h, w, 3).")
    frames = enlarge(video, scale)
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise ValueError(f"a video of {frames.shape[1]} x {frames.shape[2]} pixels: MP4 wants even sides, use scale=2.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".part-{path.name}")
    try:
        mediapy.write_video(part, frames, fps=fps, qp=14)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_picture(path: str | Path, picture: np.ndarray) -> None:
    """Write (h, w, 3) uint8 as PNG; a crash leaves no half-written file.

    Args:
        path: where to; its folder is made.
        picture: the pixels.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".part-{path.name}")
    try:
        mediapy.write_image(part, picture, fmt="png")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def enlarge(video: np.ndarray, scale: int) -> np.ndarray:
    """Every pixel becomes scale x scale, so that small videos can be seen.

    Args:
        video: (..., h, w, 3).
        scale: at least 1.
    """
    return video.repeat(scale, axis=-3).repeat(scale, axis=-2)


def _exists(path: str | Path, what: str) -> None:
    if not Path(path).is_file():
        raise ValueError(f"no {what} at {path}: give the path of an existing file.")


def _reason(error: Exception) -> str:
    """The first words of an error; ffmpeg's can run over pages."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:120]

"""Read pictures and clips with Pillow and PyAV; write them with Pillow, mediapy and the ffmpeg of imageio-ffmpeg."""

import json
import math
import warnings
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import mediapy
import numpy as np
from PIL import Image

from pusa_lab.arguments import checked
from pusa_lab.damage import opened
from pusa_lab.decode import Shown, at_rate, decoded
from pusa_lab.files import check_writable, writing

mediapy.set_ffmpeg(imageio_ffmpeg.get_ffmpeg_exe())

MOST_BYTES = 2 * 2**30
"""Largest clip in memory; larger ones are refused before memory runs out."""
MOST_PIXELS = 2**27
"""Most pixels of a picture: 134 million, more than photo cameras have; they take less than 1 GiB."""
MOST_FRAMES = 2**20
"""Most frames of a clip that is read: nearly five hours at 60 frames per second."""
MOST_FPS = 1000
"""Highest frame rate at which a clip is read or written."""
MOST_SIDE = 8192
"""Largest side of a video that is written, in pixels; players accept no more."""
MOST_METADATA = 16 * 2**20
"""Largest metadata in the file of a video, in bytes."""
STRIP = 2**22
"""Pixels converted at a time."""
BITS, PHOTOMETRIC, SAMPLE_FORMAT, WHITE_IS_ZERO = 258, 262, 339, 0
"""Three TIFF tags, and the value of PHOTOMETRIC with which larger numbers are darker."""


@checked
def read_picture(path: str | Path) -> np.ndarray:
    """Read a picture file as RGB (h, w, 3) uint8, turned upright by its EXIF orientation.

    Pictures with 8 bits per channel are converted by Pillow; 16-bit numbers are divided by 65535. Floats in [0, 1] are
    kept; other floats, and integers beyond 16 bits, are scaled so that the smallest value is black and the largest
    white. Transparent pixels are blended with white. If the file has several frames, the first is read.

    Args:
        path: file in PNG, JPEG, or another format that Pillow reads.

    Raises:
        ValueError: the file does not exist, is not a picture, is damaged, or has more than `MOST_PIXELS` pixels.
    """
    _exists(path, "picture")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about unusual but harmless files
        try:
            with Image.open(path) as image:
                if image.width * image.height <= MOST_PIXELS:
                    _refuse_programs(image, path)
                    image.load()
                    return _upright(_rgb(image, path), image.getexif().get(0x0112, 1))
        except Image.DecompressionBombError:
            pass
        except Exception as error:
            raise ValueError(
                f"{path} is not a readable picture ({_reason(error)}): give a PNG or JPEG file."
            ) from error
    raise ValueError(f"{path} has more than {MOST_PIXELS / 1e6:.0f} million pixels: scale the picture down first.")


def _refuse_programs(image: Image.Image, path: str | Path) -> None:
    """Refuse formats that are programs to be run, and PNG files with a wrong checksum."""
    if image.format in ("EPS", "WMF"):
        raise ValueError(f"{image.format} is a program that draws")
    if image.format == "PNG":
        with Image.open(path) as again:
            again.verify()


def _rgb(image: Image.Image, path: str | Path) -> np.ndarray:
    """Convert a loaded picture to RGB a few rows at a time, so that memory holds little more than its pixels."""
    hole = _hole(image, path)
    tags = getattr(image, "tag_v2", {})
    low, high = _range(image, tags)
    out = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        if image.mode[0] in "IF":
            values = _values(strip, tags)
            grey = (values.astype(np.float64) - low) * (255 / (high - low))
            if "transparency" in image.info:
                grey[values == image.info["transparency"]] = 255
            out[top : top + rows] = np.round(grey)[..., None]
        elif hole is None and image.has_transparency_data:
            strip.info = image.info
            out[top : top + rows] = _on_white(strip)
        else:
            out[top : top + rows] = np.asarray(strip.convert("RGB"))
    if hole is not None:
        out[hole] = 255
    return out


def _hole(image: Image.Image, path: str | Path) -> np.ndarray | None:
    """Mask of the transparent colour of a PNG with 16 bits per channel, which Pillow cuts to 8 bits; else None."""
    if image.format != "PNG" or image.mode != "RGB" or "transparency" not in image.info:
        return None
    data = Path(path).read_bytes()
    if data[24] != 16:  # bits per channel, from the header
        return None
    import av

    reader = av.CodecContext.create("png", "r")
    frame = (*reader.decode(av.Packet(data)), *reader.decode(None))[0]  # type: ignore[attr-defined]
    return frame.to_ndarray()[..., 3] == 0


def _values(image: Image.Image, tags: Mapping[int, Any]) -> np.ndarray:
    """Pixel values of a grey picture; Pillow reads 32-bit integers of a TIFF as signed even where they are unsigned."""
    values = np.asarray(image)
    unsigned = image.mode == "I" and tags.get(BITS) == (32,) and tags.get(SAMPLE_FORMAT, (1,)) == (1,)
    return values.view(np.uint32) if unsigned else values


def _on_white(image: Image.Image) -> np.ndarray:
    rgba = np.asarray(image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA"))
    alpha = rgba[..., 3:]
    if alpha.min() == 255:
        return rgba[..., :3]
    return (rgba[..., :3] * alpha.astype(np.uint16) + 255 * (255 - alpha.astype(np.uint16)) + 127) // 255


def _range(image: Image.Image, tags: Mapping[int, Any]) -> tuple[float, float]:
    """Values that become black and white in pictures with more than 8 bits per channel."""
    low, high = 0.0, 1.0 if image.mode == "F" else 65535.0
    if image.mode in ("I", "F"):
        values = _values(image, tags)
        least, greatest = float(values.min()), float(values.max())
        if not math.isfinite(least + greatest):
            raise ValueError("it holds NaN or infinite numbers")
        if least < low or greatest > high:
            low, high = least, greatest if greatest > least else least + 1
    elif tags.get(BITS) == (12,):
        high = 4095.0
    return (high, low) if image.mode[0] in "IF" and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else (low, high)


def _upright(picture: np.ndarray, orientation: int) -> np.ndarray:
    """Turn or mirror a picture by its EXIF orientation."""
    if orientation in (5, 6, 7, 8):
        picture = picture.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    return np.ascontiguousarray(picture)


@checked
def read_clip(path: str | Path, last: int | None = None, fps: int | float | None = None) -> np.ndarray:
    """Read a video file as RGB (frames, h, w, 3) uint8, as a player shows it: upright, with square pixels.

    Args:
        path: file in MP4, WebM, MOV or another format that PyAV reads.
        last: number of frames to keep from the end, at least 1, so that long videos fit in memory; None keeps all.
        fps: frames per second to read, 0.001 to 1000, regardless of the file's own rate: for each time k / fps, the
            nearest frame. With a model's `geometry.fps`, motion keeps its speed in pixels per second. None reads every
            frame once, regardless of its time.

    Raises:
        ValueError: the file does not exist, is not a video, is damaged, or is too large for memory, or an argument is
            out of range.
    """
    _exists(path, "clip")
    if last is not None and last < 1:
        raise ValueError(f"last={last}: keep at least 1 frame.")
    if fps is not None:
        _check_fps(fps)
    kept: deque[Shown] = deque(maxlen=last if last is None else min(last, MOST_FRAMES))
    shown = decoded(Path(path))
    for number, now in enumerate(shown if fps is None else at_rate(shown, fps)):
        kept.append(now)
        taken = 3 * len(kept) * math.prod(now.size)
        if taken > MOST_BYTES:
            raise ValueError(f"{path} would take {taken / 2**30:.1f} GiB of memory: read fewer frames with last=...")
        if number >= MOST_FRAMES:
            raise ValueError(f"{path} has more than {MOST_FRAMES} frames: cut it into shorter parts first.")
    if not kept:
        raise ValueError(f"{path} has no frames: give a video with at least one.")
    picture = kept.popleft().picture()
    clip = np.empty((1 + len(kept), *picture.shape), np.uint8)
    for i in range(len(clip)):
        clip[i] = picture if i == 0 else kept.popleft().picture()
    return clip


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
    _check_fps(fps)
    text = "" if metadata is None else _json(metadata)
    h, w = (n * scale for n in video.shape[1:3])
    if scale >= 1 and max(h, w) > MOST_SIDE:
        raise ValueError(f"a video of {h} x {w} pixels: give at most {MOST_SIDE} pixels per side.")
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
        For a video of `pusa-lab generate`: prompt, seed, task, command, options, schedule (rows of levels), versions.

    Raises:
        ValueError: no such file, not a video, or one without such metadata.
    """
    import av

    _exists(path, "clip")
    try:
        container, _ = opened(Path(path))
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
    if video.nbytes * scale**2 > 4 * MOST_BYTES and scale > 1:
        raise ValueError(
            f"scale={scale} would make a video of {video.nbytes * scale**2 / 2**30:.0f} GiB: give a smaller scale."
        )
    return video.repeat(scale, axis=-3).repeat(scale, axis=-2)


def _check_fps(fps: int | float) -> None:
    if not 1 / MOST_FPS <= fps <= MOST_FPS:
        raise ValueError(f"fps={fps}: give frames per second from {1 / MOST_FPS} to {MOST_FPS}.")


def _check_pixels(pixels: np.ndarray, what: str) -> None:
    if pixels.dtype != np.uint8:
        raise ValueError(f"a {what} of type {pixels.dtype}: give uint8, such as from pixels.to_uint8.")
    if 0 in pixels.shape:
        raise ValueError(f"a {what} of shape {pixels.shape} is empty: give at least one frame and one pixel.")


def _exists(path: str | Path, what: str) -> None:
    try:
        there = Path(path).is_file()
    except (OSError, ValueError):  # for example, a name that is too long or contains a NUL
        there = False
    if not there:
        raise ValueError(f"no {what} at {str(path)!r:.300}: give the path of an existing file.")


def _reason(error: Exception) -> str:
    """The last line of an error message, cut short, because those of ffmpeg can be pages long."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:120]

"""Pictures read with Pillow, as RGB in 8 bits: upright, on white, and scaled where they have more bits."""

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pusa_lab.arguments import checked
from pusa_lab.files import existing_file
from pusa_lab.pixels import on_white

MOST_PICTURE_PIXELS = 2**27
"""Most pixels of a picture: 134 million, more than photo cameras have; they take less than 1 GiB."""
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

    Damage is found in PNG and usually in JPEG and GIF. WebP, AVIF, JPEG 2000, TIFF and BMP have no checksums, so
    a damaged file may be read as another picture.

    Args:
        path: file in PNG, JPEG, or another format that Pillow reads.

    Raises:
        ValueError: the file does not exist, is not a picture, is damaged, or has more pixels than MOST_PICTURE_PIXELS.
    """
    path = existing_file(path, "picture")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about unusual but harmless files
        try:
            with Image.open(path) as image:
                if image.width * image.height <= MOST_PICTURE_PIXELS:
                    _refuse_programs(image, path)
                    _check_jpeg(image, path)
                    image.load()
                    return _upright(_rgb(image, path), image.getexif().get(0x0112, 1))
        except Image.DecompressionBombError:
            pass
        except Exception as error:
            raise ValueError(
                f"{path} is not a readable picture ({_reason(error)}): give a PNG or JPEG file."
            ) from error
    raise ValueError(
        f"{path} has more than {MOST_PICTURE_PIXELS / 1e6:.0f} million pixels: scale the picture down first."
    )


def _refuse_programs(image: Image.Image, path: Path) -> None:
    """Refuse formats that are programs to be run, and PNG files with a wrong checksum."""
    if image.format in ("EPS", "WMF"):
        raise ValueError(f"{image.format} is a program that draws")
    if image.format == "PNG":
        with Image.open(path) as again:
            again.verify()


def _check_jpeg(image: Image.Image, path: Path) -> None:
    """Refuse a damaged JPEG, which Pillow reads without a word; FFmpeg's strict decoder finds most damage."""
    if image.format not in ("JPEG", "MPO"):
        return
    import av

    from pusa_lab.data.damage import STRICT, listening

    reader = av.CodecContext.create("mjpeg", "r")
    reader.options = STRICT
    with listening() as said:
        try:
            reader.decode(av.Packet(path.read_bytes()))  # type: ignore[attr-defined]
        except av.error.PatchWelcomeError:
            return  # a sound file of a kind that FFmpeg does not read
        except av.FFmpegError as error:
            said.append(("mjpeg", error.strerror or str(error)))
    wrong = [message for name, message in said if name == "mjpeg"]
    if wrong and not any("nsupported" in message for message in wrong):
        raise ValueError(f"it is damaged: {wrong[0].strip()}")


def _rgb(image: Image.Image, path: Path) -> np.ndarray:
    """Convert a loaded picture to RGB a few rows at a time, so that memory holds little more than its pixels."""
    hole, info = _hole(image, path), image.info
    if image.format == "PNG" and image.mode == "L" and "transparency" in info and (bits := _bits(path)) < 8:
        info = info | {"transparency": info["transparency"] * 255 // (2**bits - 1)}  # Pillow scales the pixels alone
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
            strip.info = info
            out[top : top + rows] = on_white(
                np.asarray(strip.convert("LA" if strip.mode == "La" else "RGBA").convert("RGBA"))
            )
        else:
            out[top : top + rows] = np.asarray(strip.convert("RGB"))
    if hole is not None:
        out[hole] = 255
    return out


def _hole(image: Image.Image, path: Path) -> np.ndarray | None:
    """Mask of the transparent colour of a PNG with 16 bits per channel, which Pillow cuts to 8 bits; else None."""
    if image.format != "PNG" or image.mode != "RGB" or "transparency" not in image.info:
        return None
    if _bits(path) != 16:
        return None
    import av

    reader = av.CodecContext.create("png", "r")
    frame = (*reader.decode(av.Packet(path.read_bytes())), *reader.decode(None))[0]  # type: ignore[attr-defined]
    return frame.to_ndarray()[..., 3] == 0


def _bits(path: Path) -> int:
    """Bits per channel, from the header of a PNG."""
    with path.open("rb") as stream:
        return stream.read(25)[24]


def _values(image: Image.Image, tags: Mapping[int, Any]) -> np.ndarray:
    """Pixel values of a grey picture; Pillow reads 32-bit integers of a TIFF as signed even where they are unsigned."""
    values = np.asarray(image)
    unsigned = image.mode == "I" and tags.get(BITS) == (32,) and tags.get(SAMPLE_FORMAT, (1,)) == (1,)
    return values.view(np.uint32) if unsigned else values


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


def _reason(error: Exception) -> str:
    """The last line of an error message, cut short, because those of ffmpeg can be pages long."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:120]

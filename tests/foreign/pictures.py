"""Pictures as Pillow writes them, of every kind, with the RGB that a viewer shows on a white page."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

Made = tuple[Path, np.ndarray, int]
"""A file, its RGB (h, w, 3), and how many levels may be off."""


def colours(h: int = 12, w: int = 16) -> np.ndarray:
    """Blocks of 4 x 4 in 12 bright colours, which palettes and JPEG keep."""
    levels = np.random.default_rng(3).integers(30, 226, (h // 4, w // 4, 3))
    return levels.repeat(4, 0).repeat(4, 1).astype(np.uint8)


def ramp(h: int = 12, w: int = 16) -> np.ndarray:
    """All values from 0 to 1."""
    return np.linspace(0, 1, h * w).reshape(h, w)


def grey(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] as RGB."""
    return np.repeat((values * 255).round().astype(np.uint8)[..., None], 3, 2)


def _holes(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which blocks are transparent, and the picture on white."""
    hole = np.zeros(rgb.shape[:2], bool)
    hole[:4, :8] = True
    return hole, np.where(hole[..., None], 255, rgb).astype(np.uint8)


def palette(folder: Path, suffix: str = ".png") -> Made:
    """Indices into a palette, in PNG or GIF."""
    rgb = colours()
    Image.fromarray(rgb).convert("P", palette=Image.Palette.ADAPTIVE).save(path := folder / f"palette{suffix}")
    return path, rgb, 2


def palette_transparent(folder: Path, suffix: str = ".png") -> Made:
    """A palette of which one entry is transparent."""
    rgb = colours()
    hole, want = _holes(rgb)
    indexed = np.array(Image.fromarray(rgb).convert("P", palette=Image.Palette.ADAPTIVE, colors=100))
    table = np.zeros((256, 3), np.uint8)
    for y in range(rgb.shape[0]):
        table[indexed[y]] = rgb[y]
    indexed[hole] = 200
    image = Image.new("P", rgb.shape[1::-1])
    image.putdata(indexed.ravel().tolist())
    image.putpalette(table.ravel().tolist())
    image.save(path := folder / f"holes{suffix}", transparency=200)
    return path, want, 0


def palette_alphas(folder: Path) -> Made:
    """A palette of which each entry has its own transparency."""
    image = Image.new("P", (16, 12))
    image.putpalette([0, 0, 0, 200, 40, 40])
    image.putdata([0] * 96 + [1] * 96)
    image.save(path := folder / "alphas.png", transparency=bytes([255, 51]))
    want = np.zeros((12, 16, 3), np.uint8)
    want[6:] = np.round(np.array([200, 40, 40]) * 0.2 + 255 * 0.8)
    return path, want, 0


def one_bit(folder: Path) -> Made:
    """Black and white in bits."""
    values = (ramp() > 0.4).astype(float)
    Image.fromarray((values * 255).astype(np.uint8)).convert("1").save(path := folder / "bits.png")
    return path, grey(values), 0


def grey_alpha(folder: Path) -> Made:
    """Grey with transparency."""
    values, alpha = ramp(), np.round(ramp().T.reshape(ramp().shape) * 255)
    image = Image.merge("LA", [Image.fromarray(x.astype(np.uint8)) for x in (np.round(values * 255), alpha)])
    image.save(path := folder / "la.png")
    want = np.round(values * 255) * alpha / 255 + 255 - alpha
    return path, np.repeat(np.round(want)[..., None], 3, 2).astype(np.uint8), 0


def colour_key(folder: Path) -> Made:
    """RGB of which one colour is meant to be transparent."""
    rgb = colours()
    hole, want = _holes(rgb)
    rgb[hole] = (1, 2, 3)
    Image.fromarray(rgb).save(path := folder / "key.png", transparency=(1, 2, 3))
    return path, want, 0


def rgba(folder: Path, suffix: str = ".png") -> Made:
    """RGB with transparency."""
    rgb, alpha = colours(), np.round(ramp() * 255).astype(np.uint8)
    Image.fromarray(np.dstack([rgb, alpha])).save(path := folder / f"rgba{suffix}", lossless=True, exact=True)
    want = rgb * (alpha[..., None] / 255) + 255 - alpha[..., None]
    return path, np.round(want).astype(np.uint8), 0


def cmyk(folder: Path, suffix: str = ".tif") -> Made:
    """Inks of a printer; JPEG holds them inverted, as Adobe does."""
    rgb = colours()
    Image.fromarray(rgb).convert("CMYK").save(
        path := folder / f"cmyk{suffix}", **({"quality": 100} if "j" in suffix else {})
    )
    return path, rgb, 6 if "j" in suffix else 0


def ycbcr(folder: Path) -> Made:
    """TIFF of luma and chroma."""
    rgb = colours()
    Image.fromarray(rgb).convert("YCbCr").save(path := folder / "ycbcr.tif")
    return path, rgb, 3


def lab(folder: Path) -> Made:
    """CIE LAB in TIFF, by a colour management of its own."""
    rgb = colours()
    image = Image.fromarray(rgb)
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    there = ImageCms.applyTransform(image, ImageCms.buildTransform(*profiles, "RGB", "LAB"))
    there.save(path := folder / "lab.tif")
    return path, rgb, 10  # 8 bits of LAB are coarse where it is dark


def sixteen(folder: Path, suffix: str = ".png") -> Made:
    """Grey of 16 bits."""
    Image.fromarray(np.round(ramp() * 65535).astype(np.uint16)).save(path := folder / f"deep{suffix}")
    return path, grey(ramp()), 1


def sixteen_big_endian(folder: Path) -> Made:
    """Grey of 16 bits as another computer writes it."""
    path, want, off = sixteen(folder, ".tif")
    data = np.round(ramp() * 65535).astype(">u2").tobytes()
    Image.frombytes("I;16B", (16, 12), data).save(path)
    return path, want, off


def sixteen_dark(folder: Path) -> Made:
    """A dark picture of 16 bits stays dark."""
    Image.fromarray(np.full((12, 16), 6553, np.uint16)).save(path := folder / "dark.png")
    return path, np.full((12, 16, 3), 25, np.uint8), 1


def floats(folder: Path) -> Made:
    """Floating point numbers in [0, 1]."""
    Image.fromarray((0.5 * ramp()).astype(np.float32)).save(path := folder / "float.tif")
    return path, grey(0.5 * ramp()), 1


def floats_wide(folder: Path) -> Made:
    """Floating point numbers from -3 to 7, by their own range."""
    Image.fromarray((10 * ramp() - 3).astype(np.float32)).save(path := folder / "wide.tif")
    return path, grey(ramp()), 1


def whole_32(folder: Path) -> Made:
    """Whole numbers of 32 bits, by their own range."""
    Image.fromarray((ramp() * 2**30).astype(np.int32)).save(path := folder / "whole.tif")
    return path, grey(ramp()), 1


def white_is_zero(folder: Path, kind: type = np.uint16) -> Made:
    """TIFF in which greater numbers are darker."""
    dark = (1 - ramp()) * (65535 if kind is np.uint16 else 1)
    values = dark.round().astype(kind) if kind is np.uint16 else dark.astype(kind)
    Image.fromarray(values).save(path := folder / "white.tif", tiffinfo={262: 0})
    return path, grey(ramp()), 1


def _tiff(path: Path, data: bytes, size: tuple[int, int], bits: int, photometric: int = 1) -> Path:
    """TIFF of unsigned grey numbers, by hand: Pillow writes these kinds in no way."""
    h, w = size
    entries = [(256, 3, w), (257, 3, h), (258, 3, bits), (259, 3, 1), (262, 3, photometric)]
    entries += [(273, 4, 200), (277, 3, 1), (278, 3, h), (279, 4, len(data)), (339, 3, 1)]
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4)
    path.write_bytes(head.ljust(200, b"\0") + data)
    return path


def unsigned_32(folder: Path) -> Made:
    """Whole numbers of 32 bits without a sign, by their own range."""
    values = (ramp() * (2**32 - 1)).astype("<u4")
    return _tiff(folder / "unsigned.tif", values.tobytes(), (12, 16), 32), grey(ramp()), 1


def twelve(folder: Path) -> Made:
    """Grey of 12 bits, two numbers in three bytes."""
    pairs = np.round(ramp() * 4095).astype(int).reshape(-1, 2)
    data = b"".join(int(a << 12 | b).to_bytes(3, "big") for a, b in pairs)
    return _tiff(folder / "twelve.tif", data, (12, 16), 12), grey(ramp()), 1


def deep_colour_key(folder: Path) -> Made:
    """PNG with 16 bits a colour of which one is transparent, and another differs from it in its last bits only."""
    rgb = colours().astype(np.uint16) * 257
    want = colours()
    rgb[:4, :4], want[:4, :4] = (0x1234, 0x5678, 0x9ABC), 255
    rgb[4:8, :4], want[4:8, :4] = (0x1235, 0x5678, 0x9ABC), (0x12, 0x56, 0x9A)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rgb)
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", 16, 12, 16, 2, 0, 0, 0),
        b"tRNS": struct.pack(">HHH", 0x1234, 0x5678, 0x9ABC),
        b"IDAT": zlib.compress(rows),
        b"IEND": b"",
    }
    parts = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks.items()
    )
    (path := folder / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path, want, 1


def turned(folder: Path, orientation: int) -> Made:
    """A note says how to hold it."""
    upright = colours()
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpositions that undo each orientation
    image = Image.fromarray(upright)
    if orientation > 1:
        image = image.transpose(Image.Transpose(back[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path := folder / f"turned{orientation}.png", exif=exif)
    return path, upright, 0


def moving(folder: Path, suffix: str) -> Made:
    """An animation, of which the first picture counts."""
    rgb = colours()
    first, second = Image.fromarray(rgb), Image.fromarray(255 - rgb)
    options = {"lossless": True} if suffix == ".webp" else {}
    first.save(path := folder / f"moving{suffix}", save_all=True, append_images=[second], duration=100, **options)
    return path, rgb, 2 if suffix == ".gif" else 0


MAKERS: dict[str, Callable[[Path], Made]] = {
    "palette PNG": palette,
    "palette GIF": lambda folder: palette(folder, ".gif"),
    "palette with a hole, PNG": palette_transparent,
    "palette with a hole, GIF": lambda folder: palette_transparent(folder, ".gif"),
    "palette with transparencies": palette_alphas,
    "1 bit": one_bit,
    "LA": grey_alpha,
    "RGBA": rgba,
    "RGBA WebP": lambda folder: rgba(folder, ".webp"),
    "RGBA TIFF": lambda folder: rgba(folder, ".tif"),
    "RGB with a transparent colour": colour_key,
    "CMYK TIFF": cmyk,
    "CMYK JPEG": lambda folder: cmyk(folder, ".jpg"),
    "YCbCr TIFF": ycbcr,
    "LAB TIFF": lab,
    "16 bits PNG": sixteen,
    "16 bits TIFF": lambda folder: sixteen(folder, ".tif"),
    "16 bits PGM": lambda folder: sixteen(folder, ".pgm"),
    "16 bits, big-endian": sixteen_big_endian,
    "16 bits, dark": sixteen_dark,
    "float": floats,
    "float beyond [0, 1]": floats_wide,
    "32 bits": whole_32,
    "32 bits without a sign": unsigned_32,
    "12 bits": twelve,
    "16 bits, white is 0": white_is_zero,
    "float, white is 0": lambda folder: white_is_zero(folder, np.float32),
    "16 bits with a transparent colour": deep_colour_key,
    **{f"orientation {i}": lambda folder, i=i: turned(folder, i) for i in range(1, 9)},
    **{f"moving {s}": lambda folder, s=s: moving(folder, s) for s in (".gif", ".png", ".webp")},
}
"""What it is -> writes it into a folder."""

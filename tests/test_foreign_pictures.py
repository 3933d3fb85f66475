"""pytest tests/test_foreign_pictures.py: pictures of all kinds that Pillow writes, against what a viewer shows."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from foreign import pictures
from PIL import Image

from pusa_lab import media
from pusa_lab.data import read_picture
from pusa_lab.data.named import with_files


@pytest.mark.parametrize("kind", pictures.MAKERS)
def test_pictures_are_read_as_a_viewer_shows_them(tmp_path, kind):
    path, want, off = pictures.MAKERS[kind](tmp_path)
    got = read_picture(path)
    assert got.dtype == np.uint8
    assert got.shape == want.shape
    assert np.abs(got.astype(int) - want).max() <= off


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_grey_level_of_few_bits_is_transparent(tmp_path, bits):
    levels = np.arange(2**bits, dtype=np.uint8)[None].repeat(3, 0)
    lines = np.unpackbits(levels[..., None], axis=2)[..., 8 - bits :].reshape(3, -1)
    head = struct.pack(">IIBBBBB", 2**bits, 3, bits, 0, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + np.packbits(line).tobytes() for line in lines))
    parts = {b"IHDR": head, b"tRNS": struct.pack(">H", 1), b"IDAT": data, b"IEND": b""}
    whole = [struct.pack(">I", len(v)) + k + v + struct.pack(">I", zlib.crc32(k + v)) for k, v in parts.items()]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(whole))
    want = np.where(levels == 1, 255, levels.astype(int) * 255 // (2**bits - 1))
    assert np.array_equal(read_picture(tmp_path / "a.png"), want[..., None].repeat(3, 2))


def test_large_pictures_are_converted_in_parts(tmp_path, monkeypatch):
    path, want, _ = pictures.rgba(tmp_path)
    monkeypatch.setattr("pusa_lab.data.pictures.STRIP", 5 * 16)
    assert np.array_equal(read_picture(path), want)


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    Image.fromarray(np.array([[0, np.nan], [1, 2]], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="NaN or infinite numbers"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("side", [12_000, 13_000, 20_000, 60_000])
def test_a_picture_too_large_for_memory_is_refused_by_its_header(tmp_path, side):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    with pytest.raises(ValueError, match=r"more than 134 million pixels: scale the picture down"):
        read_picture(tmp_path / "bomb.png")


def test_a_flipped_bit_in_png_is_refused(tmp_path):
    path = pictures.rgba(tmp_path)[0]
    data = path.read_bytes()
    at = data.index(b"IDAT") + 6
    found = 0
    for i in range(at, at + 60, 6):
        path.write_bytes(data[:i] + bytes([data[i] ^ 4]) + data[i + 1 :])
        with pytest.raises(ValueError, match="not a readable picture"):
            read_picture(path)
        found += 1
    assert found == 10


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 95}, {"restart_marker_blocks": 2}])
def test_changed_bytes_in_jpeg_are_found(tmp_path, options):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path := tmp_path / "a.jpg", **options)
    sound, data, unseen = read_picture(path), path.read_bytes(), 0
    for number in range(20):
        g, copy = np.random.default_rng(number), bytearray(data)
        for at in g.integers(0, len(data), 16):
            copy[at] = g.integers(0, 256)
        path.write_bytes(copy)
        try:
            unseen += not np.array_equal(read_picture(path), sound)
        except ValueError as error:
            assert str(error).startswith(f"data.read_picture: {path} ")
    assert unseen <= 2  # without the strict decoder 7 to 14


def test_programs_that_draw_are_not_run(tmp_path):
    Image.fromarray(pictures.colours()).save(tmp_path / "a.eps")
    with pytest.raises(ValueError, match="EPS is a program that draws"):
        read_picture(tmp_path / "a.eps")


@pytest.mark.parametrize("name", ["a:b.png", "-a.png", "a%d.png", "a b.png", "ä.PNG"])
def test_names_are_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    media.write_picture(name, pictures.colours())
    assert np.array_equal(read_picture(name), pictures.colours())
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "picture"),
    [
        ("a.jpg", np.zeros((4, 4, 3), np.uint8)),
        ("a.png", np.zeros((4, 4), np.uint8)),
        ("a.png", np.zeros((0, 4, 3), np.uint8)),
        ("a.png", np.zeros((4, 4, 3))),
        ("a.png", None),
        ("a.png", "picture"),
        (7, np.zeros((4, 4, 3), np.uint8)),
    ],
)
def test_what_is_no_picture_gets_a_sentence(tmp_path, monkeypatch, name, picture):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^media\.write_picture: .*give"):
        media.write_picture(name, picture)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("within", [list, tuple])
def test_options_name_pictures_and_clips_by_their_files(tmp_path, kind, within):
    media.write_picture(tmp_path / "a.png", pictures.colours())
    value = within([kind(tmp_path / "a.png"), within([kind(tmp_path / "b.MP4")]), "a.txt", 0.5])
    found = with_files(value, lambda path: ("clip", path))
    assert type(found) is within and np.array_equal(found[0], pictures.colours())
    assert found[1:] == within([within([("clip", tmp_path / "b.MP4")]), "a.txt", 0.5])

"""pytest tests/test_media.py: real files in, real files out, and what is no file gets a sentence."""

import mediapy
import numpy as np
import pytest
from PIL import Image

from pusa_lab import media
from pusa_lab.data import read_clip, read_picture

RNG = np.random.default_rng(0)


def smooth(frames=7, h=32, w=48):
    """Video codecs lose noise, so test on something smooth."""
    t, y, x = np.meshgrid(np.arange(frames), np.arange(h), np.arange(w), indexing="ij")
    return np.stack([x * 5, y * 7, t * 30], axis=-1).astype(np.uint8)


def test_clip_round_trip(tmp_path):
    video = smooth()
    media.write_clip(tmp_path / "deep" / "a.mp4", video, fps=8)
    again = read_clip(tmp_path / "deep" / "a.mp4")
    assert again.shape == video.shape
    assert np.abs(again.astype(int) - video).mean() < 4
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.mp4"]


def test_the_end_of_a_clip(tmp_path):
    media.write_clip(tmp_path / "a.mp4", smooth(), fps=8)
    whole = read_clip(tmp_path / "a.mp4")
    assert np.array_equal(read_clip(tmp_path / "a.mp4", last=3), whole[-3:])
    assert np.array_equal(read_clip(tmp_path / "a.mp4", last=30), whole)


def test_a_clip_larger_than_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    media.write_clip(tmp_path / "a.mp4", smooth(), fps=8)
    monkeypatch.setattr("pusa_lab.data.clips.MOST_CLIP_BYTES", 3 * 6 * 32 * 48)
    with pytest.raises(ValueError, match=r"would take 0\.0 GiB of memory: read fewer frames"):
        read_clip(tmp_path / "a.mp4")
    assert len(read_clip(tmp_path / "a.mp4", last=6)) == 6


def test_asking_for_more_than_there_is_or_for_nothing(tmp_path):
    media.write_clip(tmp_path / "a.mp4", smooth(), fps=8)
    assert len(read_clip(tmp_path / "a.mp4", last=10**9)) == 7
    with pytest.raises(ValueError, match="last=-1: keep at least 1"):
        read_clip(tmp_path / "a.mp4", last=-1)


@pytest.mark.parametrize(("name", "shape"), [("a.gif", (2, 4, 4, 3)), ("a", (2, 4, 4, 3)), ("a.mp4", (1, 2, 4, 4, 3))])
def test_other_names_and_shapes_are_refused(tmp_path, name, shape):
    with pytest.raises(ValueError, match=r"give a name that ends in \.mp4"):
        media.write_clip(tmp_path / name, np.zeros(shape, np.uint8), fps=8)
    assert not list(tmp_path.iterdir())


def test_scale_makes_squares_of_pixels():
    video = smooth(2, 3, 4)
    big = media.enlarge(video, 5)
    assert big.shape == (2, 15, 20, 3)
    assert (big[:, 5:10, 15:20] == video[:, 1:2, 3:4]).all()


def test_odd_sides_are_refused_and_leave_nothing(tmp_path):
    with pytest.raises(ValueError, match="even sides"):
        media.write_clip(tmp_path / "a.mp4", smooth(2, 15, 16), fps=8)
    assert not list(tmp_path.iterdir())


def test_a_crash_while_writing_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    media.write_clip(path, smooth(), fps=8)
    old = path.read_bytes()

    def breaks(writer, image):
        writer.path.write_bytes(b"half")
        raise RuntimeError("disk full")

    monkeypatch.setattr(mediapy.VideoWriter, "add_image", breaks)
    with pytest.raises(RuntimeError, match="disk full"):
        media.write_clip(path, smooth(), fps=8)
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16", "CMYK"])
def test_pictures_of_every_kind_become_rgb(tmp_path, mode):
    rgb = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    picture = Image.fromarray(rgb)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    if mode == "I;16":
        Image.fromarray(rgb[..., 0].astype(np.uint16) * 257).save(path)
    else:
        picture.convert(mode).save(path)
    out = read_picture(path)
    assert out.shape == (6, 9, 3)
    assert out.dtype == np.uint8
    if mode in ("RGB", "RGBA"):
        assert (out == rgb).all()


def test_transparency_lies_on_white(tmp_path):
    Image.fromarray(np.zeros((4, 4, 4), np.uint8)).save(tmp_path / "a.png")
    assert (read_picture(tmp_path / "a.png") == 255).all()


@pytest.mark.parametrize(("read", "what"), [(read_picture, "picture"), (read_clip, "clip")])
def test_missing_and_unreadable_files(tmp_path, read, what):
    with pytest.raises(ValueError, match=f"no {what} at .*nowhere"):
        read(tmp_path / "nowhere.bin")
    with pytest.raises(ValueError, match=f"no {what} at"):
        read(tmp_path)
    broken = tmp_path / "broken.bin"
    broken.write_bytes(b"\x00not a picture\xff" * 40)
    with pytest.raises(ValueError, match=r"broken.bin (is not a readable picture|cannot be read as a video)"):
        read(broken)


def test_a_truncated_video_is_refused_or_read_in_part(tmp_path):
    media.write_clip(tmp_path / "a.mp4", smooth(), fps=8)
    half = tmp_path / "half.mp4"
    data = (tmp_path / "a.mp4").read_bytes()
    half.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"half.mp4"):
        read_clip(half)

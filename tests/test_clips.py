"""pytest tests/test_clips.py: finding and reading real files, against ffmpeg's own programs where there is one."""

import subprocess
from fractions import Fraction

import av
import imageio_ffmpeg
import numpy as np
import pytest
from films import collection, cut, stairs, waves, write
from wan_tiny import refused

from pusa_lab.data import find_clips, read_clip
from pusa_lab.pixels import crop_and_resize, to_pixels, to_uint8


def ffmpeg(*words):
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, words)], check=True, timeout=600)


def numbers(video):
    """Which frames of `stairs` these are."""
    return ((video.astype(float).mean((1, 2, 3)) - 16) / 4).round().astype(int).tolist()


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mov"])
@pytest.mark.parametrize("size", [(48, 64), (34, 50)])
def test_pixels_are_those_that_ffmpeg_decodes(tmp_path, suffix, size):
    """At the file's own size and rate; the two scale colour differently by a level or two."""
    path = write(tmp_path / f"clip{suffix}", waves(12, size), 8)
    got, want = read_clip(path, 12, size, 8), read_clip(path)
    assert got.shape == want.shape == (12, *size, 3)
    assert np.abs(got.astype(int) - want).max() <= 3
    assert np.abs(got.astype(int) - want).mean() < 1


def test_odd_sizes(tmp_path):
    path = write(tmp_path / "odd.mp4", waves(3, (33, 47)), 8)
    assert np.abs(read_clip(path, 3, (33, 47), 8).astype(int) - waves(3, (33, 47))).mean() < 3


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mov"])
@pytest.mark.parametrize(("own", "fps"), [(8, 8), (16, 16), (30, 16), (24, 16), (10, 25), (12, 7.5), (30, 29.97)])
def test_every_moment_gets_the_nearest_frame(tmp_path, suffix, own, fps):
    """WebM rounds times to milliseconds: ties may go either way there."""
    path = write(tmp_path / f"clip{suffix}", stairs(40), own)
    count = int(39 / own * fps)
    got = numbers(read_clip(path, count, (16, 16), fps))
    off = np.abs(np.array(got) - np.arange(count) * own / fps)
    assert off.max() <= 0.5 + 0.001 * own
    assert got == sorted(got)


def test_the_files_own_rate_takes_every_frame_once(tmp_path):
    for suffix in (".mp4", ".webm", ".mov"):
        for fps in (16, 24, 30):
            path = write(tmp_path / f"{fps}{suffix}", stairs(33), fps)
            assert numbers(read_clip(path, 33, (16, 16), fps)) == list(range(33))


def test_start_and_the_last_frame_that_there_is(tmp_path):
    path = write(tmp_path / "clip.mp4", stairs(20), 8)
    assert numbers(read_clip(path, 5, (16, 16), 8, start=1.25)) == [10, 11, 12, 13, 14]
    assert numbers(read_clip(path, 10, (16, 16), 8, start=1.25))[-1] == 19
    refused(
        r"too short: its last frame is at 2\.38 s, and a frame at 2\.50 s is needed",
        read_clip,
        path,
        11,
        (16, 16),
        8,
        1.25,
    )
    refused(
        r"too short: its last frame is at 2\.38 s, and a frame at 9\.00 s is needed",
        read_clip,
        path,
        1,
        (16, 16),
        8,
        9.0,
    )


def test_resized_and_cropped_as_pictures_are(tmp_path):
    path = write(tmp_path / "clip.mp4", waves(5, (40, 90)), 8)
    whole = to_pixels(read_clip(path, 5, (40, 90), 8))
    got = read_clip(path, 5, (24, 32), 8)
    assert np.abs(got.astype(int) - to_uint8(crop_and_resize(whole, (24, 32)))[0]).max() <= 1
    centre = read_clip(path, 5, (40, 40), 8)
    assert np.array_equal(centre, to_uint8(whole)[0][:, :, 25:65])


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_clips_of_a_telephone_are_upright(tmp_path, degrees):
    """The picture lies turned in the file, and a note says how to hold it; ffmpeg's program follows the note."""
    plain_ = write(tmp_path / "plain.mp4", waves(4, (32, 64)), 8)
    turned = tmp_path / "turned.mov"
    ffmpeg("-display_rotation", degrees, "-i", plain_, "-c", "copy", turned)
    ffmpeg("-i", turned, "-c:v", "libx264rgb", "-qp", 0, tmp_path / "upright.mp4")
    want = read_clip(tmp_path / "upright.mp4")
    got = read_clip(turned, 4, want.shape[1:3], 8)
    assert got.shape[1:3] == ((32, 64) if degrees == 180 else (64, 32))
    assert np.abs(got.astype(int) - want).mean() < 2


@pytest.mark.parametrize(("matrix", "levels"), [("bt709", "tv"), ("smpte170m", "tv"), ("bt709", "pc")])
def test_colours_are_read_as_the_file_says(tmp_path, matrix, levels):
    video = waves(4, (32, 64))
    path = write(tmp_path / "plain.mp4", video, 8)
    tagged = tmp_path / "tagged.mp4"
    scale = f"scale=out_color_matrix={matrix}:out_range={levels},format=yuv444p"
    tags = [word for name in ("space", "_primaries", "_trc") for word in (f"-color{name}", matrix)]
    ffmpeg("-i", path, "-vf", scale, *tags, "-color_range", levels, "-crf", 4, tagged)
    got = read_clip(tagged, 4, (32, 64), 8).astype(int)
    assert np.abs(got - read_clip(tagged)).max() <= 1
    assert np.abs(got - video).mean() < 2


def test_frames_at_uneven_times(tmp_path):
    path = tmp_path / "uneven.mp4"
    times = [0, 1, 2, 10, 11, 30]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt, stream.options = 32, 48, "yuv444p", {"crf": "4"}
        for time, picture in zip(times, stairs(6), strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    want = [min(range(6), key=lambda i: (abs(times[i] - now), i)) for now in range(31)]
    assert numbers(read_clip(path, 31, (16, 16), 10)) == want


class TestDamage:
    def test_cut_short(self, tmp_path):
        for suffix in (".mp4", ".mov", ".webm"):
            path = cut(write(tmp_path / f"clip{suffix}", waves(30, (48, 64)), 8))
            refused("cannot be read|too short|damaged", read_clip, path, 30, (16, 16), 8)

    def test_no_video_inside(self, tmp_path):
        path = tmp_path / "sound.mov"
        ffmpeg("-f", "lavfi", "-i", "sine=duration=0.2", path)
        refused("holds no video", read_clip, path, 1, (16, 16), 8)
        path.write_bytes(b"")
        refused("cannot be read", read_clip, path, 1, (16, 16), 8)


class TestFinding:
    def test_clips_come_by_name_with_captions_or_with_what_is_wrong(self, tmp_path):
        found = {clip.name: clip for clip in find_clips(collection(tmp_path))}
        assert list(found) == sorted(found)
        good = {name: clip.caption for name, clip in found.items() if not clip.problem}
        assert good == {
            "a walk.mp4": "a red circle moves right",
            "deep/b.webm": "a blue square bounces left",
            "c-odd.MOV": "a green circle moves up",
            "in the table.mp4": "a white square, a red circle",
            "Füße 走.mp4": "a yellow circle",
            **dict.fromkeys(("short.mp4", "truncated.mp4", "truncated.webm", "text.mov"), "a red circle"),
        }
        assert found["silent.mp4"].problem == "has no caption: write one into silent.txt beside it."
        assert found["gone.mp4"].problem == "is named in a caption table, but there is no such clip."
        assert len(found) == len(good) + 2

    def test_the_text_beside_a_clip_wins_over_a_table(self, tmp_path):
        write(tmp_path / "a.mp4", stairs(2), 8, "beside")
        (tmp_path / "captions.csv").write_text("caption,file\nin the table,./a.mp4\n", encoding="utf-8-sig")
        assert [clip.caption for clip in find_clips(tmp_path)] == ["beside"]
        (tmp_path / "a.txt").unlink()
        assert [clip.caption for clip in find_clips(tmp_path)] == ["in the table"]
        (tmp_path / "a.txt").write_bytes(b"\xff\xfe\xff")
        assert [clip.problem for clip in find_clips(tmp_path)] == [
            "has a caption that is not in UTF-8: save a.txt in UTF-8."
        ]

    def test_nothing_to_find(self, tmp_path):
        refused("no folder .*nowhere", find_clips, tmp_path / "nowhere")
        (tmp_path / "a.pdf").write_bytes(b"x")
        refused("no clips in .*end in .mp4, .webm, .mov", find_clips, tmp_path)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("captions.csv", b"name,text\na.mp4,b\n"),
            ("captions.csv", b"file,caption\na.mp4,\xff\n"),
            ("captions.jsonl", b'{"file": "a.mp4"}\n'),
            ("captions.jsonl", b"[1]\n"),
            ("captions.jsonl", b"{\n"),
        ],
    )
    def test_a_table_that_cannot_be_read(self, tmp_path, name, text):
        write(tmp_path / "a.mp4", stairs(2), 8)
        (tmp_path / name).write_bytes(text)
        refused(f"{name} cannot be read .*give rows with `file` and `caption`", find_clips, tmp_path)

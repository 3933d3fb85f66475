"""pytest tests/test_foreign_clips.py: clips of other programs as a player shows them, in both readers; and damage."""

import logging
from fractions import Fraction

import av
import numpy as np
import pytest
from foreign import clips
from wan_tiny import refused

from pusa_lab import media
from pusa_lab.data import find_clips, read_clip
from pusa_lab.data.folders import SUFFIXES

SIZE = (48, 64)


def both(path, frames, size=None, fps=25):
    """What the two readers give, which must be the same at a file's own size and rate."""
    whole = read_clip(path)
    again = read_clip(path, frames, size or whole.shape[1:3], fps)
    assert len(whole) == frames
    assert np.array_equal(whole, again)
    return whole


@pytest.mark.parametrize("suffix", clips.KINDS)
def test_every_kind_of_file_is_found_and_read(tmp_path, suffix):
    video = clips.busy(6, SIZE)
    path = clips.write(tmp_path / f"clip{suffix}", video, clips.KINDS[suffix])
    (tmp_path / "clip.txt").write_text("waves")
    assert [(clip.name, clip.problem) for clip in find_clips(tmp_path)] == [(path.name, "")]
    assert suffix in SUFFIXES
    got = both(path, 6)
    if suffix not in (".ts", ".mts"):  # ffmpeg's program as imageio-ffmpeg brings it crashes
        assert np.abs(got.astype(int) - clips.shown(path, SIZE)).max() <= 4
    assert np.abs(got.astype(int) - video).mean() < 25


@pytest.mark.parametrize(
    ("suffix", "codec", "size", "aspect"),
    [
        (".mp4", "libx264", (96, 72), Fraction(16, 11)),
        (".mp4", "libx264", (72, 120), Fraction(8, 15)),
        (".webm", "libvpx-vp9", (96, 72), Fraction(4, 3)),
        (".mkv", "libx264", (96, 72), Fraction(64, 45)),
        (".mpg", "mpeg2video", (480, 720), Fraction(32, 27)),
        (".avi", "dvvideo", (480, 720), Fraction(32, 27)),
        (".ts", "libx264", (96, 72), Fraction(2, 1)),
    ],
)
def test_pixels_that_are_not_square(tmp_path, suffix, codec, size, aspect):
    path = clips.write(tmp_path / f"disc{suffix}", clips.disc(size, aspect), codec, aspect=aspect)
    got = both(path, 3)
    assert clips.roundness(got[1]) == pytest.approx(1, abs=0.02)
    assert got.shape[1] / got.shape[2] == pytest.approx(size[0] / size[1] / aspect, rel=0.02)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("flip", [[], ["-display_hflip"], ["-display_vflip"], ["-display_hflip", "-display_vflip"]])
@pytest.mark.parametrize("degrees", [0, 90])
def test_turned_and_mirrored_clips_are_held_as_ffmpeg_holds_them(tmp_path, suffix, flip, degrees):
    video = clips.busy(3, (32, 48))
    path = clips.turned(tmp_path / f"a{suffix}", video, "-display_rotation", degrees, *flip)
    size = (48, 32) if degrees else (32, 48)
    got = both(path, 3)
    assert got.shape[1:3] == size
    assert np.abs(got.astype(int) - clips.shown(path, size)).max() <= 4


@pytest.mark.parametrize("kind", clips.SEE_THROUGH)
def test_transparency_lies_on_white_as_in_pictures(tmp_path, kind):
    """The left half is red that half of the light passes; the right half is not there at all, whatever its colour."""
    got = both(clips.see_through(tmp_path, kind), 4, SIZE).astype(int)
    assert np.abs(got[:, 8:40, 4:28] - [255, 127, 127]).max() <= 3
    assert np.abs(got[:, 8:40, 36:60] - 255).max() <= 3


def test_palettes_of_clips_and_gif_lie_on_white(tmp_path):
    for path in (clips.with_hole(tmp_path / "a.mov"), clips.with_hole(tmp_path / "a.gif")):
        got = read_clip(path)[-1]
        assert got[4, 4].tolist() == [255, 255, 255]
        assert got[20, 20].tolist() == [200, 0, 0]


def test_transparency_that_cannot_be_read_is_not_left_out(tmp_path, monkeypatch):
    path = clips.see_through(tmp_path, "VP9")
    monkeypatch.setattr("pusa_lab.data.damage._eight_bits", lambda context: False)
    refused("a.webm has transparency that cannot be read: convert it to a video without", read_clip, path)


def test_a_slant_is_refused(tmp_path):
    path = clips.turned(tmp_path / "a.mp4", clips.busy(3, (32, 48)), "-display_rotation", 30)
    refused("a.mp4 is rotated by an angle that is not a multiple of 90 degrees: rotate", read_clip, path)


def test_a_cover_is_not_the_clip(tmp_path):
    video = clips.busy(5, SIZE)
    path = clips.covered(tmp_path / "a.mp4", video, np.zeros((200, 300, 3), np.uint8))
    assert np.abs(both(path, 5).astype(int) - video).mean() < 10


@pytest.mark.parametrize(("kind", "codec"), [("mpegts", "libx264"), ("matroska", "libx264"), ("avi", "mpeg4")])
def test_the_content_tells_the_kind_and_not_the_name(tmp_path, kind, codec):
    video = clips.busy(5, SIZE)
    assert np.abs(both(clips.write(tmp_path / "a.mp4", video, codec, kind=kind), 5).astype(int) - video).mean() < 12


@pytest.mark.parametrize("name", ["a:b.mp4", "http:c.mp4", "-i.mp4", "a%03d.mp4", "a b.mp4", "pipe:0.mp4"])
def test_names_are_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for path in (name, f"a:folder/{name}"):
        media.write_clip(path, clips.busy(3, SIZE), fps=25)
        assert both(path, 3).shape == (3, *SIZE, 3)
    assert sorted(p.name for p in tmp_path.rglob("*.mp4")) == [name, name]


@pytest.mark.parametrize(("own", "fps"), [(30, 16), (8, 16), (25, 25), (24, 7.5)])
def test_at_another_rate_things_keep_their_speed(tmp_path, own, fps):
    """A square that goes 48 px/s in the file goes 48 / fps px from frame to frame, and nothing at the end is lost."""
    seconds = 1
    video = np.zeros((own * seconds, 32, 80, 3), np.uint8)
    for i in range(len(video)):
        left = round(48 * i / own)
        video[i, 8:24, left : left + 16] = 255
    got = read_clip(clips.write(tmp_path / "a.mp4", video, "libx264", own), fps=fps)
    assert len(got) == pytest.approx(seconds * fps, abs=1)
    at = (got.astype(float).mean(3).mean(1) * np.arange(80)).sum(1) / got.astype(float).mean(3).mean(1).sum(1)
    assert np.abs(at - at[0] - 48 * np.arange(len(got)) / fps).max() <= 24 / own + 1
    assert np.array_equal(read_clip(tmp_path / "a.mp4", last=3, fps=fps), got[-3:])


@pytest.mark.parametrize("fps", [0, -1, 1e9, float("nan"), float("inf"), "8", True])
def test_rates_that_no_clip_has(tmp_path, fps):
    path = clips.write(tmp_path / "a.mp4", clips.busy(3, SIZE), "libx264")
    for call in (
        lambda: read_clip(path, fps=fps),
        lambda: read_clip(path, 1, SIZE, fps),
        lambda: media.write_clip(tmp_path / "b.mp4", clips.busy(3, SIZE), fps),
    ):
        with pytest.raises(ValueError, match=r"^(media|data)\.\w+: fps.*give"):
            call()
    assert not (tmp_path / "b.mp4").exists()


@pytest.mark.parametrize(
    ("video", "scale"),
    [
        (np.zeros((0, 16, 16, 3), np.uint8), 1),
        (np.zeros((2, 0, 16, 3), np.uint8), 1),
        (np.zeros((2, 16, 16, 1), np.uint8), 1),
        (np.zeros((2, 16, 16, 3)), 1),
        (np.zeros((2, 15, 16, 3), np.uint8), 1),
        (np.zeros((2, 16, 16, 3), np.uint8), 0),
        (np.zeros((2, 16, 16, 3), np.uint8), 10**6),
        (np.zeros((2, 16, 16, 3), np.uint8), 1.5),
        (None, 1),
        ("video", 1),
    ],
)
def test_what_is_no_video_gets_a_sentence(tmp_path, video, scale):
    with pytest.raises(ValueError, match=r"^media\.write_clip: .*(give|use)"):
        media.write_clip(tmp_path / "a.mp4", video, 8, scale)
    assert not list(tmp_path.iterdir())


def test_playlists_and_pictures_are_no_clips(tmp_path):
    inside = clips.write(tmp_path / "inside.ts", clips.busy(3, SIZE), "libx264")
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{inside.name}\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.mp4").write_text(text)
    (tmp_path / "concat.mp4").write_text(f"ffconcat version 1.0\nfile {inside.name}\n")
    media.write_picture(tmp_path / "a.png", clips.busy(1, SIZE)[0])
    for name in ("list.mp4", "concat.mp4", "a.png"):
        refused(f"{name} cannot be read as a video .*or convert it to MP4", read_clip, tmp_path / name)


@pytest.mark.parametrize(("suffix", "codec"), [(".h264", "libx264"), (".hevc", "libx265")])
def test_a_bare_stream_is_not_called_damaged(tmp_path, suffix, codec):
    plain = clips.write(tmp_path / "a.mp4", clips.busy(3, SIZE), codec)
    clips.ffmpeg("-i", plain, "-c", "copy", path := tmp_path / f"a{suffix}")
    refused(rf"a{suffix} (has a frame without a time|states no size).* bare stream of .*: convert", read_clip, path)


def test_a_frame_too_large_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = clips.write(tmp_path / "a.mp4", clips.busy(3, SIZE), "libx264")
    monkeypatch.setattr("pusa_lab.data.decode.MOST_FRAME_PIXELS", 48 * 64 - 1)
    monkeypatch.setattr("pusa_lab.data.decode.checked_frames", lambda *_: pytest.fail("it was decoded"))
    refused("a.mp4 has frames of 48 x 64 pixels: scale it down", read_clip, path)


def test_odd_notes_do_not_matter(tmp_path):
    path = clips.write(tmp_path / "a.mp4", clips.busy(3, SIZE), "libx264")
    clips.ffmpeg("-i", path, "-c", "copy", "-metadata", "title=XXXX", tmp_path / "b.mp4")
    data = (tmp_path / "b.mp4").read_bytes().replace(b"XXXX", b"\xff\xfe\xfd\xfc")
    (tmp_path / "b.mp4").write_bytes(data)
    assert len(read_clip(tmp_path / "b.mp4")) == 3


@pytest.mark.parametrize("kind", clips.SOUND)
def test_files_that_are_sound_in_an_odd_way_are_read_as_ffmpeg_shows_them(tmp_path, kind):
    path = clips.SOUND[kind](tmp_path)
    got, want = read_clip(path).astype(int), clips.shown(path, SIZE)
    assert len(want) >= 10
    assert got.shape == want.shape
    assert np.abs(got - want).mean() <= 2  # ffmpeg's program blends colours of more than 8 bits otherwise
    assert path.suffix in SUFFIXES


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".ts", "libx264"), (".ts", "libx265"), (".ts", "mpeg2video"), (".mpg", "mpeg2video")]
)
def test_files_that_are_joined_end_to_end_go_on(tmp_path, suffix, codec):
    once, thrice = clips.joined(tmp_path / f"a{suffix}", codec)
    want = np.concatenate([read_clip(once)] * 3)
    assert np.array_equal(both(thrice, 60), want)
    assert len(read_clip(thrice, fps=12.5)) == pytest.approx(30, abs=1)


def test_packets_that_are_lost_in_the_middle_are_no_joint(tmp_path):
    path = clips.write(tmp_path / "a.ts", clips.busy(40, SIZE), "libx264", crf="1")
    data = path.read_bytes()
    path.write_bytes(data[: 188 * 200] + data[188 * 203 :])
    refused("a.ts is damaged", read_clip, path)


def test_bytes_in_a_row_are_found_where_pages_have_check_sums(tmp_path):
    drawn = clips.write(tmp_path / "drawn.mp4", clips.busy(40, SIZE), "libx264")
    clips.ffmpeg("-i", drawn, "-c:v", "libtheora", "-q:v", 8, path := tmp_path / "sound.ogv")
    assert len(read_clip(path)) >= 20
    refusals = 0
    for data in (*clips.damaged_in_a_run(path, COPIES), *clips.damaged(path, COPIES)):
        (broken := tmp_path / "broken.ogv").write_bytes(data)
        try:
            read_clip(broken)
        except ValueError as error:
            assert "is damaged" in str(error) or "cannot be read" in str(error)
            refusals += 1
    assert refusals >= 2 * COPIES - 3  # where a run hides the very beginning of a page, it is skipped without a word


COPIES = 20
ESCAPE = {"vp8": 1}
"""Codec -> copies of which some frames are others and no decoder notices; VP8 has no redundancy at all."""


@pytest.mark.parametrize("kind", clips.CODECS)
def test_sixteen_changed_bytes_are_found(tmp_path, kind):
    """Every copy is refused, or gives the very frames of the sound file."""
    suffix, codec, options = clips.CODECS[kind]
    path = clips.write(tmp_path / f"sound{suffix}", clips.busy(40, SIZE), codec, **options)
    sound = read_clip(path)
    assert len(sound) == 40
    refusals = others = 0
    for data in clips.damaged(path, COPIES):
        (broken := path.with_name(f"broken{suffix}")).write_bytes(data)
        try:
            others += not np.array_equal(read_clip(broken), sound)
        except ValueError as error:
            assert str(error).startswith(f"data.read_clip: {broken} ")
            refusals += 1
    assert others <= ESCAPE.get(kind, 0)
    assert refusals >= COPIES - 2


RUNS = {
    **{kind: how for kind, how in clips.CODECS.items() if kind != "vp8"},  # which tells nothing
    "h264 CAVLC": (".mp4", "libx264", {"x264-params": f"{clips.ALIKE}:cabac=0"}),
    "h264 in slices": (".mkv", "libx264", {"x264-params": f"{clips.ALIKE}:slices=3"}),
}
UNSEEN = {
    "h264": 4,
    "h264 in mkv": 4,
    "h264 CAVLC": 4,
    "h264 in slices": 4,
    "hevc": 5,
    "vp9": 4,
    "prores": 5,
    "mjpeg": 10,
}
"""Codec -> at most so many copies of 20 give other frames without a word (other builds of an encoder may differ)."""


@pytest.mark.parametrize("kind", RUNS)
def test_sixteen_changed_bytes_in_a_row_are_found_as_far_as_a_codec_tells(tmp_path, kind):
    suffix, codec, options = RUNS[kind]
    path = clips.write(tmp_path / f"sound{suffix}", clips.busy(40, SIZE), codec, **options)
    sound = read_clip(path)
    others = 0
    for data in clips.damaged_in_a_run(path, COPIES):
        (broken := path.with_name(f"broken{suffix}")).write_bytes(data)
        try:
            others += not np.array_equal(read_clip(broken), sound)
        except ValueError as error:
            assert str(error).startswith(f"data.read_clip: {broken} ")
    assert others <= UNSEEN.get(kind, 0)


@pytest.mark.parametrize("how", clips.H264)
def test_no_sound_kind_of_h264_is_taken_for_damaged(tmp_path, how):
    clips.h264(tmp_path / "a.mp4", how)
    clips.ffmpeg("-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "a.ts")
    assert len(read_clip(tmp_path / "a.mp4")) == len(read_clip(tmp_path / "a.ts")) == 24


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".webm", ".mkv", ".avi", ".ts"])
def test_a_clip_cut_short_is_not_read_in_part(tmp_path, suffix):
    path = clips.write(tmp_path / f"a{suffix}", clips.busy(30, SIZE), clips.KINDS[suffix])
    data = path.read_bytes()
    for share in (0.3, 0.6, 0.9):
        path.write_bytes(data[: int(share * len(data)) | 1])  # odd: between packets of MPEG-TS nobody can tell
        refused("cannot be read|is damaged", read_clip, path)


def test_damage_behind_the_frames_that_are_wanted_does_not_matter(tmp_path):
    path = clips.write(tmp_path / "a.mkv", clips.busy(40, SIZE), "ffv1")
    want = read_clip(path, 9, SIZE, 25)
    data = bytearray(path.read_bytes())
    data[int(0.9 * len(data))] ^= 255
    path.write_bytes(data)
    assert np.array_equal(read_clip(path, 9, SIZE, 25), want)
    refused("is damaged", read_clip, path)


def test_what_others_log_and_listen_to_stays(tmp_path):
    path = clips.write(tmp_path / "a.mp4", clips.busy(3, SIZE), "libx264")
    before = av.logging.get_level(), av.logging.get_skip_repeated(), logging.getLogger("libav").level
    read_clip(path)
    assert (av.logging.get_level(), av.logging.get_skip_repeated(), logging.getLogger("libav").level) == before

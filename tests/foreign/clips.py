"""Clips as PyAV and ffmpeg's program write them: every kind of file, odd pixels, turned, with covers, and damaged."""

import subprocess
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
from PIL import Image

KINDS = {
    ".mp4": "libx264",
    ".m4v": "mpeg4",
    ".mov": "prores_ks",
    ".mkv": "libx265",
    ".webm": "libvpx-vp9",
    ".avi": "mjpeg",
    ".mpg": "mpeg2video",
    ".mpeg": "mpeg1video",
    ".ts": "libx264",
    ".mts": "libx264",
    ".wmv": "wmv2",
    ".flv": "flv",
    ".3gp": "mpeg4",
    ".ogv": "libvpx",
    ".gif": "gif",
    ".apng": "apng",
}
"""Ending of a name -> a codec that is usual there."""
ALIKE = "threads=1:asm=0"
"""Settings with which x264 writes the same file of the same pictures every time."""
CODECS: dict[str, tuple[str, str, dict[str, str]]] = {
    "h264": (".mp4", "libx264", {"x264-params": ALIKE}),
    "h264 in mkv": (".mkv", "libx264", {"x264-params": ALIKE}),
    "hevc": (".mp4", "libx265", {"x265-params": "log-level=none"}),
    "vp9": (".webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "vp8": (".webm", "libvpx", {"deadline": "realtime", "cpu-used": "8"}),
    "mpeg4": (".mp4", "mpeg4", {}),
    "mpeg2": (".mpg", "mpeg2video", {}),
    "prores": (".mov", "prores_ks", {}),
    "mjpeg": (".avi", "mjpeg", {}),
    "ffv1": (".mkv", "ffv1", {}),
}
"""What it is -> ending, encoder and its options, of those that are damaged."""
H264: dict[str, dict[str, str]] = {
    "plain": {},
    "coarse": {"crf": "50"},
    "without loss": {"qp": "0"},
    "samples as they are": {"qp": "1", "preset": "ultrafast", "x264-params": "cabac=1"},
    "CAVLC": {"x264-params": "cabac=0:bframes=2"},
    "CAVLC in slices": {"x264-params": "cabac=0:slices=3"},
    "slices": {"x264-params": "slices=4"},
    "slices of 200 bytes": {"x264-params": "slice-max-size=200"},
    "interlaced": {"x264-params": "tff=1"},
    "key frames only": {"g": "1"},
    "many B-frames": {"bf": "8", "x264-params": "b-pyramid=normal:direct=temporal"},
    "open groups": {"x264-params": "open-gop=1:keyint=8:bframes=3"},
    "refreshed in columns": {"x264-params": "intra-refresh=1:keyint=10"},
    "scaling lists": {"x264-params": "cqm=jvt"},
    "10 bits": {"pix_fmt": "yuv420p10le"},
    "4:4:4": {"pix_fmt": "yuv444p", "x264-params": "cqm=jvt"},
    "constant rate, filled up": {
        "b:v": "300k", "minrate": "300k", "maxrate": "300k", "bufsize": "100k", "x264-params": "nal-hrd=cbr"
    },
    "delimiters": {"x264-params": "aud=1"},
}  # fmt: skip
"""What is special -> ffmpeg's options for libx264."""
PATTERNS = (
    "testsrc2=s=80x64:r=25:d=0.32,format=yuv420p[a];nullsrc=s=80x64:r=25:d=0.32,geq=random(1)*255:128:128,format=yuv420p[b];"
    "color=c=gray:s=80x64:r=25:d=0.32,format=yuv420p[c];[a][b][c]concat=n=3"
)
"""8 frames each of a test pattern, of noise and of grey."""
FORMATS = {"prores_ks": "yuv422p10le", "mjpeg": "yuvj420p", "gif": "rgb8", "apng": "rgb24", "dvvideo": "yuv411p"}


def ffmpeg(*words: object) -> None:
    """Run ffmpeg's program."""
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, words)], check=True, timeout=600)


def shown(path: Path, size: tuple[int, int]) -> np.ndarray:
    """What ffmpeg's program decodes, turned by itself: (frames, h, w, 3)."""
    words = ["-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *words], check=True, timeout=600, capture_output=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, *size, 3)


def busy(frames: int, size: tuple[int, int]) -> np.ndarray:
    """Waves, noise that drifts and a square that moves: something to encode in every frame."""
    g = np.random.default_rng(1)
    y, x = np.mgrid[: size[0], : size[1]]
    noise, square = g.integers(-8, 8, (*size, 3)), g.integers(0, 255, (16, 16, 3))
    video = np.empty((frames, *size, 3), np.uint8)
    for i in range(frames):
        waves = np.stack([np.sin(x / 9 + i / 10), np.cos(y / 7 + i / 10), np.sin((x + y) / 11)], 2)
        video[i] = np.clip(128 + 90 * waves + np.roll(noise, i, 1), 0, 255)
        video[i, 8 + i // 2 : 24 + i // 2, i : i + 16] = square
    return video


def disc(size: tuple[int, int], aspect: Fraction, frames: int = 3) -> np.ndarray:
    """A white disc on black that is round once a pixel is `aspect` as wide as it is high."""
    y, x = np.mgrid[: size[0], : size[1]]
    far = ((x - size[1] / 2 + 0.5) * float(aspect)) ** 2 + (y - size[0] / 2 + 0.5) ** 2
    inside = far < (0.3 * min(size[0], size[1] * float(aspect))) ** 2
    return np.broadcast_to((255 * inside[..., None]).astype(np.uint8), (frames, *size, 3)).copy()


def roundness(picture: np.ndarray) -> float:
    """Width of the white thing by its height, from its second moments."""
    weight = picture.astype(float).mean(2) / 255
    y, x = np.mgrid[: weight.shape[0], : weight.shape[1]]
    spread = [np.sqrt(np.average((a - np.average(a, weights=weight)) ** 2, weights=weight)) for a in (x, y)]
    return float(spread[0] / spread[1])


def write(
    path: Path,
    video: np.ndarray,
    codec: str,
    fps: int = 25,
    aspect: Fraction | None = None,
    kind: str | None = None,
    **options: str,
) -> Path:
    """A file as PyAV writes it; `kind` is its container, whatever its name says."""
    with av.open(f"file:{path}", "w", format=kind) as out:
        stream = out.add_stream(codec, rate=fps)
        stream.height, stream.width = video.shape[1:3]
        stream.pix_fmt = FORMATS.get(codec, "yuv420p")
        if codec not in ("libx264", "libx265"):
            stream.bit_rate = 1_000_000
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        stream.options = options
        for picture in video:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    if aspect is not None and path.suffix == ".webm":  # PyAV leaves it out of the container
        path.rename(plain := path.with_name("plain.webm"))
        ffmpeg("-i", plain, "-c", "copy", "-aspect", aspect * video.shape[2] / video.shape[1], path)
    return path


def covered(path: Path, video: np.ndarray, picture: np.ndarray) -> Path:
    """MP4 with a cover in front of the clip, as shops of films and music write it."""
    plain, cover = path.with_name("plain.mp4"), path.with_name("cover.png")
    write(plain, video, "libx264", crf="4")
    with av.open(str(cover), "w", format="image2") as out:
        stream = out.add_stream("png", rate=1)
        stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], "rgb24"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    ffmpeg("-i", cover, "-i", plain, "-map", 0, "-map", 1, "-c", "copy", "-disposition:v:0", "attached_pic", path)
    plain.unlink()
    cover.unlink()
    return path


def turned(path: Path, video: np.ndarray, *how: object) -> Path:
    """A clip with a display matrix: `how` are ffmpeg's words, such as -display_hflip."""
    write(plain := path.with_name(f"plain{path.suffix}"), video, "libx264", crf="4")
    ffmpeg(*how, "-i", plain, "-c", "copy", path)
    plain.unlink()
    return path


def h264(path: Path, how: str) -> Path:
    """A clip of 24 frames of 64 x 80 pixels, as libx264 codes it with the options that `H264` names."""
    options = {"pix_fmt": "yuv420p", **H264[how]}
    words = [word for name, value in options.items() for word in (f"-{name}", value)]
    ffmpeg("-f", "lavfi", "-i", PATTERNS, "-threads", 1, "-c:v", "libx264", *words, path)
    return path


def _drawn(path: Path, seconds: float, *how: object) -> Path:
    """ffmpeg's test pattern, 48 x 64 pixels, 25 frames per second."""
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=64x48:r=25:d={seconds}", *how, path)
    return path


def _cut(folder: Path, suffix: str) -> Path:
    """A part taken without encoding anew: its first frames shown refer to ones before the cut."""
    gop = "open-gop=1:keyint=20:min-keyint=20:scenecut=0:bframes=3:b-pyramid=normal"
    whole = _drawn(folder / "whole.mp4", 3, "-c:v", "libx264", "-x264-params", gop)
    ffmpeg("-ss", 0.9, "-i", whole, "-c", "copy", path := folder / f"cut{suffix}")
    return path


SOUND: dict[str, Callable[[Path], Path]] = {
    "VP9 of 10 bits": lambda f: _drawn(
        f / "a.webm", 0.4, "-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p10le", "-profile:v", 2
    ),
    "VP9 of 12 bits": lambda f: _drawn(
        f / "a.webm", 0.4, "-c:v", "libvpx-vp9", "-pix_fmt", "yuv422p12le", "-profile:v", 3
    ),
    "VP9 with transparency": lambda f: _drawn(f / "a.webm", 0.4, "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p"),
    "VP8 with transparency": lambda f: _drawn(
        f / "a.webm", 0.4, "-c:v", "libvpx", "-pix_fmt", "yuva420p", "-auto-alt-ref", 0
    ),
    "H.264, cut, MP4": lambda f: _cut(f, ".mp4"),
    "H.264, cut, Matroska": lambda f: _cut(f, ".mkv"),
    "APNG": lambda f: _drawn(f / "a.apng", 0.4, "-f", "apng"),
}
"""Files that are sound in an odd way -> writes one."""


SEE_THROUGH: dict[str, tuple[str, str, str, dict[str, str]]] = {
    "APNG": (".apng", "apng", "rgba", {}),
    "PNG": (".mov", "png", "rgba", {}),
    "PNG of 16 bits": (".mov", "png", "rgba64be", {}),
    "Animation": (".mov", "qtrle", "argb", {}),
    "ProRes 4444": (".mov", "prores_ks", "yuva444p10le", {}),
    "FFV1": (".mkv", "ffv1", "yuva420p", {}),
    "Ut Video": (".avi", "utvideo", "gbrap", {}),
    "VP9": (".webm", "libvpx-vp9", "yuva420p", {}),
    "VP8": (".webm", "libvpx", "yuva420p", {"auto-alt-ref": "0"}),
}
"""Codec with transparency -> ending, encoder, pixel format and options."""


def see_through(folder: Path, kind: str) -> Path:
    """4 frames of 48 x 64 pixels: the left half red and half transparent, the right half wholly transparent red."""
    suffix, codec, pixels, options = SEE_THROUGH[kind]
    picture = np.empty((48, 64, 4), np.uint8)
    picture[:, :32], picture[:, 32:] = (255, 0, 0, 128), (255, 0, 0, 0)
    with av.open(str(path := folder / f"a{suffix}"), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt, stream.bit_rate = 48, 64, pixels, 2_000_000
        for _ in range(4):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgba")))
        out.mux(stream.encode())
    return path


def with_hole(path: Path) -> Path:
    """A clip with a palette, one of whose colours is transparent: a red square, and nothing around it."""
    indices = np.zeros((32, 32), np.uint8)
    indices[8:24, 8:24] = 1
    image = Image.fromarray(indices, "P")
    image.putpalette([0, 0, 90, 200, 0, 0])
    if path.suffix == ".gif":
        image.save(path, save_all=True, append_images=[image, image], duration=40, transparency=0, disposal=2)
        return path
    image.save(still := path.with_name("still.png"), transparency=0)
    ffmpeg("-framerate", 25, "-loop", 1, "-i", still, "-frames:v", 3, "-c:v", "copy", path)
    return path


def joined(path: Path, codec: str) -> tuple[Path, Path]:
    """A file, and another of it three times, end to end."""
    once = write(path, busy(20, (48, 64)), codec)
    thrice = path.with_name(f"thrice{path.suffix}")
    thrice.write_bytes(3 * once.read_bytes())
    return once, thrice


def damaged_in_a_run(path: Path, copies: int, changed: int = 16) -> Iterator[bytes]:
    """Copies of a file in which some bytes in a row are others, behind its head."""
    data = np.fromfile(path, np.uint8)
    for number in range(copies):
        g = np.random.default_rng([1, number])
        copy, at = data.copy(), g.integers(len(data) // 4, len(data) - changed)
        copy[at : at + changed] ^= g.integers(1, 256, changed, dtype=np.uint8)
        yield copy.tobytes()


def damaged(path: Path, copies: int, changed: int = 16) -> Iterator[bytes]:
    """Copies of a file in which some bytes, drawn by the copy's number, are others."""
    data = np.fromfile(path, np.uint8)
    for number in range(copies):
        g = np.random.default_rng([0, number])
        copy, at = data.copy(), g.choice(len(data), changed, replace=False)
        copy[at] ^= g.integers(1, 256, changed, dtype=np.uint8)
        yield copy.tobytes()

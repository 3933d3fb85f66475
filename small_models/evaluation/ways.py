"""Ways to make clips from captions and the known frames of true clips: with a model through `generate`, or without."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pusa_lab.arguments import checked
from pusa_lab.evaluation import known_frames
from pusa_lab.generate import Result, generate
from pusa_lab.pixels import to_pixels, to_uint8
from pusa_lab.tasks import Task
from small_models.models.toy import ToyModel

Maker = Callable[[list[str], np.ndarray, int], np.ndarray]
"""(captions, true clips (b, pf, h, w, 3) uint8, seed) -> clips of the same shape and type."""


@checked
def generate_from(
    model: ToyModel,
    prompts: Sequence[str],
    truth: np.ndarray,
    known: Sequence[int] = (0,),
    noise: float | Sequence[float] = 0.0,
    mode: str = "denoise",
    **options: Any,
) -> Result:
    """Generate from captions and known latent frames of true clips.

    Args:
        model: a toy; an `ImageToVideo` takes frame 0 alone.
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
    model: ToyModel,
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

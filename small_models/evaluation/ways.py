"""Ways to make clips from captions and the known frames of true clips: with a model through `generate`, or without."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pusa_lab.arguments import checked, shown
from pusa_lab.generate import Result, generate
from pusa_lab.pixels import to_pixels, to_uint8
from pusa_lab.sentences import counted
from pusa_lab.tasks import Known, Task
from pusa_lab.types import Geometry
from small_models.models.i2v import ImageToVideo
from small_models.models.toy import ToyModel

Maker = Callable[[list[str], np.ndarray, int], np.ndarray]
"""(captions, true clips (b, pf, h, w, 3) uint8, seed) -> clips of the same shape and type."""


@checked
def known_frames(
    truth: np.ndarray,
    known: Sequence[int],
    geometry: Geometry,
    noise: float | Sequence[float] = 0.0,
    mode: str = "denoise",
) -> tuple[Known, ...]:
    """The known latent frames of true clips; neighbours are encoded together, and nothing else with them.

    Args:
        truth: clips (b, pf, h, w, 3) uint8.
        known: latent frames, ascending.
        geometry: of the model.
        noise: noise level at which they are kept, one for all or one each.
        mode: one of `tasks.MODES`.

    Raises:
        ValueError: a known frame is not in the clips, or the levels are more or fewer than the frames.
    """
    levels = [*noise] if isinstance(noise, Sequence) else [noise] * len(known)
    if len(levels) != len(known):
        raise ValueError(
            f"{counted(len(levels), 'level')} of noise for {counted(len(known), 'known frame')}: give one each, or one "
            "for all."
        )
    last = max((p for i in known for p in geometry.pixels_at(i)), default=0)
    if truth.ndim != 5 or last >= truth.shape[1]:
        raise ValueError(
            f"known frames reach pixel frame {last} of truth, which is {shown(truth)}: give clips (b, pf, h, w, 3) "
            "that are long enough."
        )
    runs: list[list[int]] = []
    for i, frame in enumerate(known):
        if runs and known[runs[-1][-1]] + 1 == frame:
            runs[-1].append(i)
        else:
            runs.append([i])
    out = []
    for run in runs:
        pixels = [p for i in run for p in geometry.pixels_at(known[i])]
        levels_here = [levels[i] for i in run]
        out.append(Known(truth[:, pixels], at=known[run[0]], noise=levels_here, mode=mode))
    return tuple(out)


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
    """Generate from captions and known latent frames of true clips: one timestep per frame, or Wan's own way.

    Args:
        model: a toy; an `ImageToVideo` is given frame 0 as its picture instead of a known frame.
        prompts: one caption per clip.
        truth: clips (b, pf, h, w, 3) uint8.
        known: latent frames, ascending; none is text-to-video.
        noise: noise level at which they are kept, one for all or one each.
        mode: one of `tasks.MODES`; "replacement" with noise 1 is replacement, which needs no timestep per frame.
        **options: of `generate`: steps, schedule, shift, guidance, solver, seed.

    Raises:
        ValueError: as `known_frames` and `generate`; or an `ImageToVideo` is asked for more than frame 0 without noise.
    """
    if not isinstance(model, ImageToVideo) or not known:
        return generate(
            model, prompts, Task("known frames", known_frames(truth, known, model.geometry, noise, mode)), **options
        )
    if [*known] != [0] or noise != 0:
        raise ValueError(
            f"known={[*known]!r:.60}, noise={noise!r:.60} for a model that takes frame 0 as its picture: "
            f"give known=[0] and noise=0."
        )
    return generate(model.given(truth[:, :1]), prompts, **options)


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

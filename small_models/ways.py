"""Ways to make a clip: from a caption and frame 0 with one clock per frame, or as others do it, or from words alone."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.guidance import text_cfg
from pusa_lab.samplers import sample_steps
from pusa_lab.schedules import hold, synchronous
from pusa_lab.timesteps import interpolate
from pusa_lab.types import Clip, Schedule, Video
from small_models.i2v import ImageToVideo
from small_models.model import ToyModel
from small_models.world import Scenes, captions

Way = Callable[[Any, Scenes, Clip, int], Clip]
"""(model, scenes, true clips, seed) -> clips made from captions and true frame 0."""


@checked
class Sampling:
    """How clips are sampled: Euler steps on a linear grid, with text guidance.

    Args:
        steps: of the sampler.
        guidance: scale of text guidance.
        words: seed of the captions' wording; None is the plain one.
    """

    def __init__(self, steps: int = 10, guidance: float = 2.0, words: int | None = None):
        self.steps, self.guidance, self.words = steps, guidance, words

    @torch.no_grad()
    def walk(
        self,
        model: ToyModel,
        scenes: Scenes,
        schedule: Schedule,
        seed: int,
        known: Float[Tensor, "b c n h w"] | None = None,
        replace: bool = False,
        **cond: Any,
    ) -> Video:
        """Latents sampled along a schedule.

        Args:
            model: the toy.
            scenes: give the captions.
            schedule: clocks (rows, f).
            seed: of the noise.
            known: latents (b, c, n, h, w) put at the first frames, at their clock's level.
            replace: put them there anew at every row, which needs no vector of clocks.
            **cond: further arguments of the denoiser call.
        """
        frames, n = schedule.shape[1], 0 if known is None else known.shape[2]
        shape = model.geometry.latent_shape(len(scenes), frames)
        eps = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(model.device)
        schedule = schedule.to(model.device)
        x = eps.clone()

        def put(x: Video, row: Tensor) -> None:
            if known is not None:
                x[:, :, :n] = interpolate(known, eps[:, :, :n], row[:n].expand(len(x), -1))

        put(x, schedule[0])
        text = model.encode_text(captions(scenes, self.words)) | cond
        null = model.encode_text([""] * len(scenes)) | cond
        for state in sample_steps(text_cfg(model, null, self.guidance), x, schedule, **text):
            if replace:
                put(state.x, schedule[state.row])
        return state.x

    def vector(self, model: ToyModel, scenes: Scenes, truth: Clip, seed: int) -> Clip:
        """Frame 0 clean with its clock at 0, all others from noise: one clock per frame."""
        frames = model.geometry.latent_frames(truth.shape[2])
        known = model.encode_video(truth[:, :, :1])
        return model.decode(self.walk(model, scenes, hold(self.steps, frames), seed, known))

    def replacement(self, model: ToyModel, scenes: Scenes, truth: Clip, seed: int) -> Clip:
        """One clock for all; frame 0 is replaced at every step by the true one at that noise."""
        frames = model.geometry.latent_frames(truth.shape[2])
        known = model.encode_video(truth[:, :, :1])
        return model.decode(self.walk(model, scenes, synchronous(self.steps, frames), seed, known, replace=True))

    def picture(self, model: ImageToVideo, scenes: Scenes, truth: Clip, seed: int) -> Clip:
        """One clock for all, and frame 0 as further input: Wan's own image-to-video."""
        frames = model.geometry.latent_frames(truth.shape[2])
        first = model.encode_video(truth[:, :, :1])
        return model.decode(self.walk(model, scenes, synchronous(self.steps, frames), seed, first=first))

    def text(self, model: ToyModel, scenes: Scenes, truth: Clip, seed: int) -> Clip:
        """From the caption alone."""
        frames = model.geometry.latent_frames(truth.shape[2])
        return model.decode(self.walk(model, scenes, synchronous(self.steps, frames), seed))


@checked
def copy_of_frame_0(model: ToyModel, scenes: Scenes, truth: Clip, seed: int) -> Clip:
    """Nothing moves."""
    return truth[:, :, :1].expand_as(truth)


@checked
def through_the_codec(model: ToyModel, scenes: Scenes, truth: Clip, seed: int) -> Clip:
    """The truth, as far as the codec keeps it: no model can do better."""
    return model.decode(model.encode_video(truth))

"""Latent frames decoded as they come, as if all had been decoded at once."""

from collections.abc import Callable
from typing import TypeAlias

import torch

from pusa_lab.annotations import attribute
from pusa_lab.arguments import checked
from pusa_lab.types import Clip, Video, VideoModel

LatentDecoder: TypeAlias = Callable[[Video], Clip]
"""Latents (b, c, f, h, w) that follow those of the call before -> their pixels (b, 3, pf, h, w) in [-1, 1]."""


@checked
def decoder_of(model: VideoModel) -> LatentDecoder:
    """A function that decodes a video in parts, the first latent frame first.

    A model that offers `init_decoder() -> decoder` keeps its codec's state between the parts, so that the pixels are
    those of one decoding. The parts of any other are decoded behind as many frames as its usual video has, and the
    pixels of these are left out: exact if its codec looks back no further.

    Args:
        model: with a codec, or in pixel space.
    """
    own = attribute(model, "init_decoder")
    return own() if callable(own) else _overlapping(model)


def _overlapping(model: VideoModel) -> LatentDecoder:
    geometry = model.geometry
    before: list[Video] = []

    def decode(latents: Video) -> Clip:
        whole = torch.cat([*before, latents], dim=2)
        new = geometry.stride[0] * latents.shape[2] if before else geometry.pixel_frames(latents.shape[2])
        before[:] = [whole[:, :, -geometry.frames :].clone()]
        return model.decode(whole)[:, :, -new:]

    return decode

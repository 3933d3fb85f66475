"""What a codec keeps of clips: measured before anything is trained on its latents."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.annotations import attribute
from pusa_lab.arguments import ArgumentError, checked, shown
from pusa_lab.metrics import frame_scores
from pusa_lab.pixels import to_pixels
from pusa_lab.sentences import counted
from pusa_lab.types import Clip

log = logging.getLogger(__name__)
FAITHFUL = 25.0
"""dB of PSNR from which on a person sees little of a codec's losses; below it, there is a warning."""
FEW = 8
"""Clips that are measured before a training or during an encoding: enough for a mean within about 1 dB."""


@checked
@torch.no_grad()
def reconstruct(model: Any, clip: Clip) -> Clip:
    """Return what remains of clips when a model's codec has encoded and decoded them.

    No video that the model generates can follow a clip more closely.

    Args:
        model: a `VideoModel`, or another object with `encode_video`, `decode` and `device`.
        clip: pixels (b, 3, pf, h, w) in [-1, 1].

    Raises:
        ValueError: the model has no such methods, or does not accept the clip's size.
    """
    if missing := [name for name in ("encode_video", "decode", "device") if attribute(model, name) is None]:
        raise ArgumentError(f"model is {shown(model)}, which has no {missing[0]}: give a VideoModel.")
    made = torch.cat([model.decode(model.encode_video(one.to(model.device))) for one in clip.split(1)])
    return made.to(clip).clamp(-1, 1)


@checked
def codec_psnr(model: Any, clips: Any) -> Float[Tensor, "b pf"]:
    """Measure what a model's codec keeps of clips, as the PSNR of every frame in dB, at most 60.

    PSNR of D(E(x)) against x

    Args:
        model: a `VideoModel`, or another object with `encode_video`, `decode` and `device`.
        clips: (pixel frames, h, w, 3) or (b, pixel frames, h, w, 3), uint8 or floats in [0, 1], of a size that the
            model accepts.

    Raises:
        ValueError: the model has no codec, or does not accept the clips.
    """
    pixels = to_pixels(clips)
    return frame_scores(reconstruct(model, pixels), pixels, ["psnr"])["psnr"]


@checked
def warn_of_codec(name: str, db: Sequence[float | int], just_trained: bool = False) -> None:
    """Log one warning if a codec keeps too little of clips to train on its latents.

    Args:
        name: of the model.
        db: mean PSNR of each clip that was measured, in dB; with none there is no warning.
        just_trained: whether the codec was trained on these clips in the same run.
    """
    mean = sum(db) / max(len(db), 1)
    if not db or mean >= FAITHFUL:
        return
    train = "`pusa-lab train --model mini --stage codec --data FOLDER`"
    cure = f"train it for longer, with a larger --max-steps of {train}"
    if not just_trained:
        cure = f"train a toy's codec on them first, or for longer, with {train}; of a Wan, whose codec is not trained, "
        cure += "check that its folder vae is as it was published"
    log.warning(
        "the codec of %s keeps only %.1f dB of these clips (mean PSNR of %s after encoding and decoding; from %.0f dB "
        "on losses are hard to see), and no video made with it can be better: %s, or choose a model whose codec keeps "
        "more.",
        name,
        mean,
        counted(len(db), "clip"),
        FAITHFUL,
        cure,
    )

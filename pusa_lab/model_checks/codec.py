"""Checks of `encode_text`, `encode_video` and `decode`."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from pusa_lab.model_checks.report import Finding, Verdict, failed
from pusa_lab.sentences import in_one_line, shown
from pusa_lab.types import Clip, Geometry, Video

SPREAD = (0.2, 5.0)
"""Standard deviations of latents that pass for normalised ones."""

FAR = 0.5
"""Share of latent frame 0 by which that of the picture alone may differ: norms over all frames change it a little."""


def raised(name: str, what: str, error: Exception) -> Finding:
    """What is found when a call of the model ends in an error.

    Args:
        name: of the check.
        what: was called, for the sentence.
        error: that it raised.
    """
    return Finding(
        name, "failed", f"{what} raised {type(error).__name__}: {in_one_line(str(error))[:200].rstrip('.')}."
    )


def check_text(model: Any, prompts: Sequence[str]) -> Iterator[Finding]:
    """Check that captions become one row each, and that there is a null prompt.

    Args:
        model: the `VideoModel`.
        prompts: captions that it knows.
    """
    try:
        cond, null = model.encode_text(list(prompts)), model.encode_text([""])
    except Exception as error:
        yield raised("encode_text", "encode_text", error)
        return
    yield Finding("encode_text", *_text(cond, null, len(prompts), torch.device(model.device)))


def _text(cond: Any, null: Any, rows: int, device: torch.device) -> tuple[Verdict, str]:
    if not isinstance(cond, dict) or not isinstance(null, dict):
        return "failed", f"encode_text returned {shown(cond)}: return keyword arguments of the denoiser call, a dict."
    if cond.keys() != null.keys():
        return "failed", f"the null prompt gives {sorted(null)}, a caption {sorted(cond)}: give the same arguments."
    for name, value in cond.items():
        if not isinstance(value, Tensor):
            continue
        if value.ndim == 0 or len(value) != rows:
            return "failed", f"{name} is {shown(value)} for {rows} prompts: its first axis must be the prompts."
        if value.device.type != device.type:
            return "failed", f"{name} is on {value.device}, but model.device is {device}: move it there."
        if not value.isfinite().all():
            return "failed", f"{name} is not finite for {rows} prompts: fix the text encoder."
    return "passed", f"gives {', '.join(cond) or 'nothing'}, one row per prompt"


def check_codec(model: Any, clip: Clip, frames: int) -> Iterator[Finding | Video]:
    """Check the shapes of latents and pixels, and measure what the codec keeps of a clip.

    Args:
        model: the `VideoModel`.
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        frames: latent frames that the clip fills.

    Yields:
        Findings, and the latents once they are known to be right.
    """
    geometry: Geometry = model.geometry
    try:
        z = model.encode_video(clip)
    except Exception as error:
        yield raised("encode_video", "encode_video", error)
        return
    verdict, sentence = _encoded(z, clip, geometry, frames)
    yield Finding("encode_video", verdict, sentence)
    if verdict == "failed":
        return
    yield z
    yield _first_frame(model, clip, z)
    yield _decoded(model, clip, z)


def _encoded(z: Any, clip: Clip, geometry: Geometry, frames: int) -> tuple[Verdict, str]:
    expected = geometry.latent_shape(len(clip), frames)
    if not isinstance(z, Tensor) or z.ndim != 5 or tuple(z.shape) != expected:
        advice = (
            _advice(tuple(z.shape), clip, geometry) if isinstance(z, Tensor) and z.ndim == 5 else "return (b c f h w)"
        )
        return "failed", (
            f"encode_video made {shown(z)} of a clip {tuple(clip.shape)}, but geometry says {expected}: {advice}."
        )
    if not z.isfinite().all():
        return "failed", "encode_video made latents that are not finite: fix the codec, or use a higher precision."
    spread = float(z.float().std())
    if not SPREAD[0] <= spread <= SPREAD[1]:
        return "inconclusive", (
            f"the latents have a standard deviation of {spread:.3g}, where models are trained on about 1: with a "
            "trained codec, normalise them as its model was trained (mean and std, or scaling_factor)."
        )
    return "passed", f"{tuple(clip.shape)} became {expected}, standard deviation {spread:.2f}"


def _advice(got: tuple[int, ...], clip: Clip, geometry: Geometry) -> str:
    """What to change in the geometry so that it says what the codec does."""
    if got[1] != geometry.channels:
        return f"set geometry.channels={got[1]}, or use the codec that belongs to the model"
    pixel_frames, height, width = clip.shape[2:]
    time = (pixel_frames - 1) / (got[2] - 1) if got[2] > 1 else pixel_frames
    stride = (time, height / got[3], width / got[4])
    if all(side.is_integer() for side in map(float, stride)):
        return f"set geometry.stride={tuple(int(side) for side in stride)}"
    return "set geometry.stride to what the codec does; 1 + stride * k pixel frames become 1 + k latent frames"


def _first_frame(model: Any, clip: Clip, z: Video) -> Finding:
    """Latent frame 0 must be that of pixel frame 0 alone, because that is how a picture is given."""
    try:
        first = model.encode_video(clip[:, :, :1])
    except Exception as error:
        return raised("first frame", "encode_video of a picture, a clip of one frame,", error)
    if not isinstance(first, Tensor) or first.shape != z[:, :, :1].shape:
        return failed("first frame", f"a picture became {shown(first)}: it must be one latent frame.")
    off = float((first - z[:, :, :1]).norm() / z[:, :, :1].norm().clamp(min=1e-12))
    found = f"a picture alone is off latent frame 0 of its clip by {100 * off:.2g} %"
    if off > FAR:
        advice = "with a trained codec, let latent frame 0 depend on the first pixel frame alone"
        return Finding("first frame", "inconclusive", f"{found}: {advice}.")
    return Finding("first frame", "passed", found)


def _decoded(model: Any, clip: Clip, z: Video) -> Finding:
    try:
        made = model.decode(z)
    except Exception as error:
        return raised("decode", "decode", error)
    if not isinstance(made, Tensor) or made.shape != clip.shape:
        return failed(
            "decode", f"decode made {shown(made)} of the latents of a clip {tuple(clip.shape)}: they must agree."
        )
    if not made.isfinite().all():
        return failed("decode", "decode made pixels that are not finite: fix the codec, or use a higher precision.")
    clip, made = clip.float().cpu(), made.float().cpu()
    off = float((made - clip).square().mean())
    if float((2 * made - 1 - clip).square().mean()) < 0.5 * off:
        return failed("decode", "decode returns pixels in [0, 1]: return 2 x - 1, in [-1, 1].")
    kept = f"keeps {10 * math.log10(4 / max(off, 1e-10)):.1f} dB of the clip"
    if off > float((clip - clip.mean()).square().mean()):
        return Finding(
            "decode",
            "inconclusive",
            f"{kept}, less than plain grey: with a trained codec, let decode undo encode_video's normalisation.",
        )
    return Finding("decode", "passed", kept)

"""Whether a model of one's own offers what `generate` and training need, and what is wrong if it does not."""

from collections.abc import Sequence
from typing import Any

import torch

from pusa_lab.annotations import attribute
from pusa_lab.arguments import checked
from pusa_lab.model_checks.codec import check_codec, check_text
from pusa_lab.model_checks.denoiser import Probe, check_denoiser
from pusa_lab.model_checks.direction import check_direction
from pusa_lab.model_checks.report import Finding, ModelReport, failed
from pusa_lab.pixels import crop_and_resize, to_pixels
from pusa_lab.sentences import counted
from pusa_lab.tasks import MOST_LATENT_FRAMES
from pusa_lab.types import Clip, Denoiser, Geometry

__all__ = ["Finding", "ModelReport", "check_model"]

PROMPTS = ("a red circle moves right", "a blue square moves up")
"""Captions that the toys know too."""


@checked
def check_model(
    model: Any,
    clip: Any = None,
    *,
    prompts: Sequence[str] = PROMPTS,
    latent_frames: int | None = None,
    scalar: Denoiser | None = None,
    seed: int = 0,
    strict: bool = False,
) -> ModelReport:
    """Check a model of your own: `print(check_model(model))`.

    The codec and the denoiser are called with a clip. The checks are of shapes, finite numbers, what the codec keeps,
    the effect of every frame's timestep and of the prompt, whether samples of a batch influence each other and, if the
    weights are trained, the direction of time and whether the output is v = eps - x0. With two prompts that is about 30
    calls of the model, and one more per frame.

    Args:
        model: an object with what a `VideoModel` offers.
        clip: as `tasks.Known.clip`, preferably of the kind that the model was trained on; None takes waves of colour.
        prompts: captions that the model knows, one per sample, at least two.
        latent_frames: of the clip; None takes the model's own number, and fewer are cheaper.
        scalar: the network itself with one timestep per sample, (x, tau (b,), **cond) -> v, to compare with.
        seed: of the noise.
        strict: raise if a check fails.

    Returns:
        What was found; it prints as a table.

    Raises:
        ValueError: an argument is not valid, or, if `strict`, a check failed.
    """
    if len(prompts) < 2:
        raise ValueError(f"prompts={list(prompts)}: give at least two, so that samples can be compared.")
    found = [_interface(model)]
    if found[0].verdict == "passed":
        frames = model.geometry.frames if latent_frames is None else latent_frames
        if not 1 <= frames <= MOST_LATENT_FRAMES:
            raise ValueError(f"latent_frames={frames}: give 1 to {MOST_LATENT_FRAMES:,} latent frames.")
        pixels = _clip(clip, model.geometry, frames, len(prompts))
        with torch.no_grad():
            found += _all_checks(model, pixels, prompts, frames, scalar, seed)
    report = ModelReport(tuple(found))
    if strict and not report.ok:
        raise ValueError("; ".join(f"{fault.name}: {fault.sentence}" for fault in report.faults))
    return report


def _interface(model: Any) -> Finding:
    if isinstance(model, str):
        return failed("interface", f"model is the text {model!r}: give the loaded model, pl.load({model!r}).")
    geometry = attribute(model, "geometry")
    if not isinstance(geometry, Geometry):
        return failed("interface", "model.geometry is not a pusa_lab.types.Geometry: give the model one.")
    calls = ("encode_text", "encode_video", "decode", "__call__")
    if lacking := [name for name in calls if not callable(getattr(type(model), name, None) or attribute(model, name))]:
        return failed("interface", f"the model has no {lacking[0]}: add this method.")
    try:
        torch.device(model.device)
    except (AttributeError, RuntimeError, TypeError):
        return failed("interface", "model.device is not a valid device: return that of the weights.")
    return Finding("interface", "passed", "has geometry, device, encode_text, encode_video, decode and the call")


def _clip(clip: Any, geometry: Geometry, frames: int, batch: int) -> Clip:
    """Pixels (b, 3, pf, h, w) that fill `frames` latent frames."""
    n, (height, width) = geometry.pixel_frames(frames), geometry.size
    if clip is None:
        t, y, x = (torch.linspace(0, 1, size) for size in (n, height, width))
        plane = 6 * y[:, None] + 4 * x + 3 * t[:, None, None]
        shifts = torch.arange(3 * batch).view(batch, 3, 1, 1, 1) * 1.3
        return 0.8 * torch.sin(plane + shifts)
    pixels = crop_and_resize(to_pixels(clip), geometry.size)
    if pixels.shape[2] < n or len(pixels) not in (1, batch):
        given = f"{counted(len(pixels), 'sample')} of {counted(pixels.shape[2], 'pixel frame')}"
        raise ValueError(f"clip has {given}: give 1 or {batch} of at least {n}.")
    return pixels[:, :, :n].expand(batch, -1, -1, -1, -1)


def _all_checks(
    model: Any, clip: Clip, prompts: Sequence[str], frames: int, scalar: Denoiser | None, seed: int
) -> list[Finding]:
    found, device = list(check_text(model, prompts)), torch.device(model.device)
    x0 = None
    for step in check_codec(model, clip.to(device), frames):
        if isinstance(step, Finding):
            found.append(step)
        else:
            x0 = step
    if found[0].verdict == "failed":
        return [*found, Finding("velocity", "inconclusive", "encode_text has to work first.")]
    shape = model.geometry.latent_shape(len(prompts), frames)
    generator = torch.Generator().manual_seed(seed)
    eps, other = (torch.randn(shape, generator=generator).to(device) for _ in range(2))
    probe = Probe(model, other if x0 is None else x0.to(eps), eps, prompts, model.encode_text(list(prompts)))
    found += check_denoiser(probe, scalar)
    if all(fault.name not in ("velocity", "determinism") for fault in found if fault.verdict == "failed"):
        unknown = Finding("direction", "inconclusive", "encode_video has to work first.")
        found.append(unknown if x0 is None else check_direction(probe))
    return found

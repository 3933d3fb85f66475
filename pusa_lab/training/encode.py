"""A folder of clips into a latent cache: each read and encoded once, by the codec and text encoder of any model."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.clips import Found, find_clips, read_clip
from pusa_lab.pixels import to_pixels
from pusa_lab.training.cache import PER_SHARD, CacheWriter
from pusa_lab.training.latents import CacheSettings, file_hash, identity
from pusa_lab.types import Clip, Cond, Geometry, Video


@runtime_checkable
class Encoder(Protocol):
    """What encoding needs of a `VideoModel`; its `codec`, and `prompts` or `text`, tell it from others."""

    geometry: Geometry

    @property
    def device(self) -> torch.device:
        """As `VideoModel`."""

    def encode_text(self, prompts: list[str]) -> Cond:
        """As `VideoModel`."""

    def encode_video(self, clip: Clip) -> Video:
        """As `VideoModel`."""


@dataclass(frozen=True)
class Step:
    """What became of one clip."""

    name: str
    """Of the file, from the folder."""
    outcome: str
    """encoded, kept (it was in the cache already), or skipped."""
    reason: str
    """Why it was skipped: what follows its name in a sentence."""
    number: int
    """Of the clip, from 1."""
    total: int
    """Clips in all."""


@dataclass
class Report:
    """What became of a folder. Print it."""

    encoded: list[str] = field(default_factory=list)
    """Clips that were added to the cache."""
    kept: list[str] = field(default_factory=list)
    """Clips that were in it already."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Clips that cannot be used, and why."""
    seconds: float = 0.0
    """In all."""

    def __str__(self) -> str:
        """A line of numbers, and one for each clip that was skipped."""
        head = f"{len(self.encoded)} encoded in {self.seconds:.1f} s, {len(self.kept)} in the cache already, "
        lines = [f"{name} {reason}" for name, reason in self.skipped.items()]
        return "\n".join([f"{head}{len(lines)} skipped{':' if lines else ''}", *lines])


def encode_folder(folder: str | Path, model: Encoder, out: str | Path, name: str, **options: Any) -> Report:
    """Encode a folder of clips. Arguments and errors as `encode_steps`.

    Args:
        folder: of clips.
        model: encodes.
        out: folder of the cache.
        name: of the model.
        **options: size, frames, fps, start and per_shard.
    """
    return report(encode_steps(folder, model, out, name, **options))


def encode_steps(
    folder: str | Path,
    model: Encoder,
    out: str | Path,
    name: str,
    *,
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    fps: int | float | None = None,
    start: int | float = 0.0,
    per_shard: int = PER_SHARD,
) -> Iterator[Step]:
    """Encode a folder of clips, and tell of each; what is in the cache already is not encoded again.

    Args:
        folder: of clips and captions, see `pusa_lab.clips.find_clips`.
        model: encodes.
        out: folder of the cache, new, or begun with the same settings.
        name: of the model, for the manifest.
        size: height and width in pixels; None is the model's.
        frames: pixel frames of each clip, the model's if None.
        fps: frames per second to read from the files, the model's if None.
        start: seconds into each file.
        per_shard: clips of a shard; a killed run loses less than these.

    Raises:
        ValueError: sizes that the model does not take; no clips, or none of them can be used; or a cache of other
            settings.
        OSError: the disk is full; what was encoded before is kept.
    """
    found = find_clips(folder)
    settings, empty = settle(model, name, size, frames, fps, start)
    writer = CacheWriter(out, settings, empty, per_shard)
    reasons = []
    for number, clip in enumerate(found, 1):
        outcome, reason = _one(writer, model, clip, settings)
        reasons += [f"{clip.name} {reason}"] if reason else []
        yield Step(clip.name, outcome, reason, number, len(found))
    writer.close()
    if len(reasons) == len(found):
        raise ValueError(f"none of the {len(found)} clips in {folder} can be used; the first: {reasons[0]}")


def report(steps: Iterator[Step]) -> Report:
    """Go through all steps and sum them up.

    Args:
        steps: from `encode_steps`.
    """
    begun, found = time.perf_counter(), Report()
    for step in steps:
        if step.outcome == "skipped":
            found.skipped[step.name] = step.reason
        else:
            (found.encoded if step.outcome == "encoded" else found.kept).append(step.name)
    found.seconds = time.perf_counter() - begun
    return found


@torch.no_grad()
def settle(
    model: Encoder,
    name: str,
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    fps: int | float | None = None,
    start: int | float = 0.0,
) -> tuple[CacheSettings, Float[Tensor, "n d"]]:
    """The settings of a cache, with the model's own where none are given, and the embedding of the empty caption.

    Args:
        model: encodes.
        name: of the model.
        size: height and width in pixels.
        frames: pixel frames.
        fps: frames per second.
        start: seconds into each file.

    Raises:
        ValueError: numbers that are no sizes, or sizes that the model does not take.
    """
    g = model.geometry
    size, fps = size or g.size, g.fps if fps is None else fps
    frames = g.pixel_frames(g.frames) if frames is None else frames
    if any(n < step or n % step for n, step in zip(size, g.stride[1:], strict=True)):
        raise ValueError(
            f"a size of {size[0]} x {size[1]}: height and width must be multiples of {g.stride[1]} and {g.stride[2]}."
        )
    if not (math.isfinite(fps) and fps > 0 and math.isfinite(start) and start >= 0):
        raise ValueError(f"fps={fps}, start={start}: give a positive rate, and a time in seconds from 0.")
    empty = model.encode_text([""])["text"][0]
    settings = CacheSettings(
        model=name,
        size=(size[0], size[1]),
        pixel_frames=frames,
        frames=g.latent_frames(frames),
        channels=g.channels,
        fps=float(fps),
        start=float(start),
        codec=codec_hash(model),
        text_encoder=text_hash(model),
        text_length=len(empty),
    )
    return settings, empty


def codec_hash(model: Any) -> str:
    """The hash of a model's codec, which a cache of another codec does not have.

    Args:
        model: a `VideoModel`.
    """
    return identity(getattr(model, "codec", None))


def text_hash(model: Any) -> str:
    """The hash of a model's text encoder: Wan's `prompts`, or a toy's `text`.

    Args:
        model: a `VideoModel`.
    """
    return identity(getattr(model, "prompts", None) or getattr(model, "text", None))


def _one(writer: CacheWriter, model: Encoder, clip: Found, settings: CacheSettings) -> tuple[str, str]:
    """Outcome and reason of one clip."""
    reason = clip.problem
    if not reason:
        digest = file_hash(clip.path)
        if writer.has(digest, clip.caption):
            return "kept", ""
        try:
            latents, text = _encode(model, clip, settings)
        except ValueError as error:
            reason = str(error).rpartition(f"{clip.path} ")[2]
        else:
            writer.add(clip.name, digest, clip.caption, latents, text)
            return "encoded", ""
    writer.mark_broken(clip.name, reason)
    return "skipped", reason


@torch.no_grad()
def _encode(model: Encoder, clip: Found, s: CacheSettings) -> tuple[Tensor, Tensor]:
    """Latents and embedding of one clip."""
    pixels = to_pixels(read_clip(clip.path, s.pixel_frames, s.size, s.fps, s.start))
    try:
        text = model.encode_text([clip.caption])["text"][0]
    except ValueError as error:  # a toy knows few words, and lists them
        raise ValueError(f"has a caption that the model does not take: {str(error).split('. ')[0]}.") from error
    latents = model.encode_video(pixels.to(model.device))[0]
    if not torch.isfinite(latents).all():
        raise ValueError("has pixels for which the codec gives numbers that are not finite.")
    return latents, text

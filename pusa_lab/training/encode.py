"""A folder of clips into a latent cache: each read and encoded once, by the codec and text encoder of any model."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import calling, checked
from pusa_lab.clips import Found, find_clips, read_clip
from pusa_lab.files import locked
from pusa_lab.pixels import to_pixels
from pusa_lab.training.cache import PER_SHARD, UNKNOWN, CacheWriter, check_place
from pusa_lab.training.latents import identity
from pusa_lab.training.manifest import CacheSettings, FileState, check_times, file_state
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


@checked
@dataclass(frozen=True)
class Step:
    """What became of one clip."""

    name: str
    """Of the file, from the folder."""
    outcome: str
    """encoded, kept (it was in the cache already), skipped, or dropped from the cache."""
    reason: str
    """Why it was skipped or dropped: what follows its name in a sentence."""
    number: int
    """Of the clip, from 1."""
    total: int
    """Clips in all."""


@checked
@dataclass
class Report:
    """What became of a folder. Print it."""

    encoded: list[str] = field(default_factory=list)
    """Clips that were added to the cache."""
    kept: list[str] = field(default_factory=list)
    """Clips that were in it already."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Clips that cannot be used, and why."""
    dropped: list[str] = field(default_factory=list)
    """Clips that were in the cache and are no longer in the folder, at least not by this name."""
    seconds: float = 0.0
    """In all."""

    def __str__(self) -> str:
        """A line of numbers, and one for each clip that was skipped."""
        head = f"{len(self.encoded)} encoded in {self.seconds:.1f} s, {len(self.kept)} in the cache already, "
        head += f"{len(self.dropped)} no longer in the folder, " if self.dropped else ""
        lines = [f"{name} {reason}" for name, reason in self.skipped.items()]
        return "\n".join([f"{head}{len(lines)} skipped{':' if lines else ''}", *lines])


@checked
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


@checked
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

    The cache becomes what the folder is: clips that are gone, changed, or have another caption or name, do not stay in
    it as they were. No other process can encode into it at the same time.

    Args:
        folder: of clips and captions, see `pusa_lab.clips.find_clips`.
        model: encodes.
        out: folder of the cache, new, or begun with the same settings; left as it is where the arguments are refused.
        name: of the model, for the manifest.
        size: height and width in pixels; None is the model's.
        frames: pixel frames of each clip, the model's if None.
        fps: frames per second to read from the files, the model's if None.
        start: seconds into each file.
        per_shard: clips of a shard, 1 to 4096; a killed run loses less than these.

    Raises:
        ValueError: sizes that the model does not take; no clips, or none of them can be used; a cache of other
            settings or of another folder; or another process is encoding into it.
        OSError: the disk is full; what was encoded before is kept.
    """
    found = check_encode(folder, out)
    settings, empty = settle(model, name, size, frames, fps, start)

    def steps() -> Iterator[Step]:
        with _alone(Path(out)):
            yield from _steps(found, model, CacheWriter(out, settings, empty, per_shard, folder), settings)

    return _named("training.encode_steps", steps())


@checked
def check_encode(folder: str | Path, out: str | Path, settings: dict[str, Any] | None = None) -> list[Found]:
    """Refuse what can be known to fail before a model is loaded; returns the clips.

    Args:
        folder: of clips.
        out: folder of the cache, which is left as it is.
        settings: those fields of `CacheSettings` that are known.

    Raises:
        ValueError: there are no clips, none has what is needed, or the cache cannot be written.
    """
    found = find_clips(folder)
    there = check_place(out, folder, settings or {})
    if all(clip.problem for clip in found) and there is None:
        raise ValueError(_none_of(folder, [f"{clip.name} {clip.problem}" for clip in found]))
    return found


def _none_of(folder: str | Path, reasons: list[str]) -> str:
    return f"none of the {len(reasons)} clips in {folder} can be used; the first: {reasons[0]}"


def _named(name: str, steps: Iterator[Step]) -> Iterator[Step]:
    """The same steps; what is refused on the way begins with the name of what was called."""
    while True:
        with calling(name):
            step = next(steps, None)
        if step is None:
            return
        yield step


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep other processes out of a folder; one that was made for nothing is taken away again."""
    made = [path for path in (out, *out.parents) if not path.exists()]
    try:
        with locked(out):
            yield
    finally:
        with contextlib.suppress(OSError):
            for path in made:
                path.rmdir()  # if it is empty


def _steps(found: list[Found], model: Encoder, writer: CacheWriter, settings: CacheSettings) -> Iterator[Step]:
    known = {}
    if writer.places:  # what was encoded before is found again by its hash, before anything is dropped
        known = {clip.name: (clip.caption, state) for clip in found if not clip.problem and (state := _state(clip))}
    gone = writer.bring_in_line([clip.name for clip in found], known)
    total, reasons = len(gone) + len(found), []
    for number, name in enumerate(gone, 1):
        yield Step(name, "dropped", "is no longer in the folder.", number, total)
    for number, clip in enumerate(found, 1 + len(gone)):
        state = known[clip.name][1] if clip.name in known else _state(clip)
        outcome, reason = _one(writer, model, clip, state or UNKNOWN, settings)
        reasons += [f"{clip.name} {reason}"] if reason else []
        yield Step(clip.name, outcome, reason, number, total)
    if len(reasons) < len(found) or writer.seen:
        writer.close()
    if len(reasons) == len(found):
        raise ValueError(_none_of(writer.manifest["source"], reasons))


def _state(clip: Found) -> FileState | None:
    """Of its file; None where it cannot be read."""
    try:
        return None if clip.problem else file_state(clip.path)
    except OSError:
        return None


@checked
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
            {"encoded": found.encoded, "kept": found.kept, "dropped": found.dropped}[step.outcome].append(step.name)
    found.seconds = time.perf_counter() - begun
    return found


@checked
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
    check_times(fps, start)
    latent_frames = g.latent_frames(frames)
    empty = model.encode_text([""])["text"][0]
    settings = CacheSettings(
        model=name,
        size=(size[0], size[1]),
        pixel_frames=frames,
        frames=latent_frames,
        channels=g.channels,
        fps=float(fps),
        start=float(start),
        codec=codec_hash(model),
        text_encoder=text_hash(model),
        text_length=len(empty),
    )
    return settings, empty


@checked
def codec_hash(model: Encoder) -> str:
    """The hash of a model's codec, which a cache of another codec does not have.

    Args:
        model: a `VideoModel`.
    """
    return identity(getattr(model, "codec", None))


@checked
def text_hash(model: Encoder) -> str:
    """The hash of a model's text encoder: Wan's `prompts`, or a toy's `text`.

    Args:
        model: a `VideoModel`.
    """
    return identity(getattr(model, "prompts", None) or getattr(model, "text", None))


def _one(
    writer: CacheWriter, model: Encoder, clip: Found, state: FileState, settings: CacheSettings
) -> tuple[str, str]:
    """Outcome and reason of one clip."""
    reason = clip.problem
    if not reason:
        if writer.keep(clip.name, clip.caption, state):
            return "kept", ""
        try:
            latents, text = _encode(model, clip, settings)
            _check_still(clip, state)
        except ValueError as error:
            reason = str(error).rpartition(f"{clip.path} ")[2]
        else:
            writer.add(clip.name, state.hash, clip.caption, latents, text, state)
            return "encoded", ""
    writer.mark_broken(clip.name, reason, clip.caption, state)
    return "skipped", reason


def _check_still(clip: Found, state: FileState) -> None:
    """Refuse a file that was written while it was read, such as one that is still being copied."""
    with contextlib.suppress(OSError):
        stat = clip.path.stat()
        if (stat.st_size, stat.st_mtime_ns) == (state.bytes, state.mtime):
            return
    raise ValueError("was changed while it was read: run the same command again.")


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

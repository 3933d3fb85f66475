"""Encoding of a folder of clips into a latent cache, once per clip, by the codec and text encoder of any model."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import calling, checked
from pusa_lab.data.cache import PER_SHARD, UNKNOWN, CacheWriter, check_place
from pusa_lab.data.clips import check_times
from pusa_lab.data.folders import ClipFile, find_clips
from pusa_lab.data.latents import identity
from pusa_lab.data.manifest import CacheSettings, FileState, codec_psnrs, file_state
from pusa_lab.data.quality import FEW, warn_of_codec
from pusa_lab.files import locked
from pusa_lab.metrics import frame_scores
from pusa_lab.pixels import to_pixels
from pusa_lab.progress import bar
from pusa_lab.sentences import counted, in_one_line
from pusa_lab.types import Clip, Cond, Geometry, Video

BEGIN = 5
"""Latent frames at the beginning of a clip on which the codec is measured, so that decoding takes little memory."""


@runtime_checkable
class Encoder(Protocol):
    """The part of a `VideoModel` that encoding needs; its `codec`, and `prompts` or `text`, identify it.

    If it has `decode` too, the quality of its codec is measured.
    """

    geometry: Geometry

    @property
    def device(self) -> torch.device:
        """The device of the model, as in `VideoModel`."""

    def encode_text(self, prompts: list[str]) -> Cond:
        """Encode captions, as in `VideoModel`."""

    def encode_video(self, clip: Clip) -> Video:
        """Encode pixels to latents, as in `VideoModel`."""


@checked
@dataclass(frozen=True)
class EncodedClip:
    """The outcome of one clip."""

    name: str
    """Path of the file, relative to the folder."""
    outcome: str
    """encoded, kept (already in the cache), skipped, or dropped from the cache."""
    reason: str
    """Why it was skipped or dropped; continues a sentence that begins with its name."""
    number: int
    """Number of the clip, counted from 1."""
    total: int
    """Number of clips in all."""


@checked
@dataclass
class EncodeReport:
    """The outcome of a folder; print it for a summary."""

    encoded: list[str] = field(default_factory=list)
    """Clips that were added to the cache."""
    kept: list[str] = field(default_factory=list)
    """Clips that were already in the cache."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Clips that cannot be used -> the reason."""
    dropped: list[str] = field(default_factory=list)
    """Clips of the cache that are no longer in the folder under this name."""
    seconds: float = 0.0
    """Total time."""

    def __str__(self) -> str:
        """A line with the numbers of clips, and a line for each clip that was skipped."""
        head = f"{len(self.encoded)} encoded in {self.seconds:.1f} s, {len(self.kept)} in the cache already, "
        head += f"{len(self.dropped)} no longer in the folder, " if self.dropped else ""
        lines = [f"{name} {reason}" for name, reason in self.skipped.items()]
        return "\n".join([f"{head}{len(lines)} skipped{':' if lines else ''}", *lines])


@checked
def encode_folder(
    folder: str | Path, model: Encoder, out: str | Path, name: str, progress: bool | None = None, **options: Any
) -> EncodeReport:
    """Encode a folder of clips into a latent cache; see `encode_steps` for details.

    Args:
        folder: of clips and captions.
        model: whose codec and text encoder are used.
        out: folder of the cache.
        name: of the model, for the manifest.
        progress: whether to show a bar; None shows it where it is seen, see `pusa_lab.progress`.
        **options: size, num_frames, fps, start, per_shard and need_captions, as in `encode_steps`.

    Raises:
        ValueError: as `encode_steps`.
        OSError: as `encode_steps`.
    """
    return encode_report(encode_steps(folder, model, out, name, **options), progress)


@checked
def encode_steps(
    folder: str | Path,
    model: Encoder,
    out: str | Path,
    name: str,
    *,
    size: tuple[int, int] | None = None,
    num_frames: int | None = None,
    fps: int | float | None = None,
    start: int | float = 0.0,
    per_shard: int = PER_SHARD,
    need_captions: bool = True,
) -> Iterator[EncodedClip]:
    """Encode a folder of clips into a latent cache, yielding the outcome of each clip.

    Clips already in the cache are not encoded again. The cache is brought up to date with the folder: clips that are
    gone, changed or renamed, or have another caption, are dropped or updated. No other process can encode into the
    cache at the same time. The beginnings of the first clips are decoded again; if the codec keeps too little of them
    (see `codec_psnr`), one warning says so at the end. The PSNRs stay in the manifest.

    Args:
        folder: of clips and captions, see `find_clips`.
        model: whose codec and text encoder are used.
        out: folder of the cache, new or with the same settings; it is not changed if the arguments are refused.
        name: of the model, for the manifest.
        size: height and width in pixels; None takes the model's.
        num_frames: pixel frames of each clip; None takes the model's.
        fps: frames per second to read from the files, 0.001 to 1000; None takes the model's.
        start: time in each file at which its clip begins, in seconds.
        per_shard: clips per shard, 1 to 4096; a killed run loses fewer clips than this.
        need_captions: whether a clip without a caption is skipped; otherwise its caption is the null prompt.

    Raises:
        ValueError: the model does not accept the sizes; there are no clips, or none can be used; the cache has other
            settings or is of another folder; or another process is encoding into it.
        OSError: a file cannot be written; the clips in earlier shards are kept.
    """
    found = check_encode(folder, out, need_captions=need_captions)
    settings, empty = settle(model, name, size, num_frames, fps, start)

    def steps() -> Iterator[EncodedClip]:
        with _alone(Path(out)):
            yield from _steps(found, model, CacheWriter(out, settings, empty, per_shard, folder), settings)

    return _named("data.encode_steps", steps())


@checked
def check_encode(
    folder: str | Path, out: str | Path, settings: dict[str, Any] | None = None, need_captions: bool = True
) -> list[ClipFile]:
    """Check, before a model is loaded, that a folder can be encoded; return its clips.

    Args:
        folder: of clips and captions.
        out: folder of the cache, which is not changed.
        settings: those fields of `CacheSettings` that are known.
        need_captions: whether a clip without a caption is skipped.

    Raises:
        ValueError: there are no clips, none can be used, or the cache cannot be written or is another one.
    """
    found = find_clips(folder, need_captions)
    there = check_place(out, folder, settings or {})
    if all(clip.problem for clip in found) and there is None:
        raise ValueError(_none_of(folder, [f"{clip.name} {clip.problem}" for clip in found]))
    return found


def _none_of(folder: str | Path, reasons: list[str]) -> str:
    return f"no clip in {folder} can be used ({counted(len(reasons), 'clip')} tried); the first: {reasons[0]}"


def _named(name: str, steps: Iterator[EncodedClip]) -> Iterator[EncodedClip]:
    """The same steps, with the name of the called function on the errors of each."""
    while True:
        with calling(name):
            step = next(steps, None)
        if step is None:
            return
        yield step


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Lock a folder against other processes; a new folder that stays empty is removed again."""
    made = [path for path in (out, *out.parents) if not path.exists()]
    try:
        with locked(out):
            yield
    finally:
        with contextlib.suppress(OSError):
            for path in made:
                path.rmdir()  # if it is empty


def _steps(
    found: list[ClipFile], model: Encoder, writer: CacheWriter, settings: CacheSettings
) -> Iterator[EncodedClip]:
    known = {}
    if writer.places:  # clips encoded earlier are found by their hash, before anything is dropped
        known = {clip.name: (clip.caption, state) for clip in found if not clip.problem and (state := _state(clip))}
    gone = writer.bring_in_line([clip.name for clip in found], known)
    total, reasons = len(gone) + len(found), []
    for number, name in enumerate(gone, 1):
        yield EncodedClip(name, "dropped", "is no longer in the folder.", number, total)
    for number, clip in enumerate(found, 1 + len(gone)):
        state = known[clip.name][1] if clip.name in known else _state(clip)
        outcome, reason = _one(writer, model, clip, state or UNKNOWN, settings)
        reasons += [f"{clip.name} {reason}"] if reason else []
        yield EncodedClip(clip.name, outcome, reason, number, total)
    if len(reasons) < len(found) or writer.seen:
        writer.close()
        warn_of_codec(settings.model, codec_psnrs(writer.manifest))
    if len(reasons) == len(found):
        raise ValueError(_none_of(writer.manifest["source"], reasons))


def _state(clip: ClipFile) -> FileState | None:
    """State of the clip's file; None if the clip cannot be used."""
    try:
        return None if clip.problem else file_state(clip.path)
    except OSError:
        return None


@checked
def encode_report(steps: Iterator[EncodedClip], progress: bool | None = None) -> EncodeReport:
    """Run through all steps and report them.

    Args:
        steps: from `encode_steps`.
        progress: whether to show a bar; None shows it where it is seen, see `pusa_lab.progress`.
    """
    begun, found = time.perf_counter(), EncodeReport()
    for step in _watched(steps, progress):
        if step.outcome == "skipped":
            found.skipped[step.name] = step.reason
        else:
            {"encoded": found.encoded, "kept": found.kept, "dropped": found.dropped}[step.outcome].append(step.name)
    found.seconds = time.perf_counter() - begun
    return found


def _watched(steps: Iterator[EncodedClip], progress: bool | None) -> Iterator[EncodedClip]:
    """The same steps, with a bar of clips."""
    with contextlib.ExitStack() as stack:
        advance: Callable[..., None] | None = None
        for step in steps:
            if advance is None:
                advance = stack.enter_context(bar(step.total, "encoding", "clip", progress))
            advance(1, clip=in_one_line(step.name)[-40:])
            yield step


@checked
@torch.no_grad()
def settle(
    model: Encoder,
    name: str,
    size: tuple[int, int] | None = None,
    num_frames: int | None = None,
    fps: int | float | None = None,
    start: int | float = 0.0,
) -> tuple[CacheSettings, Float[Tensor, "n d"]]:
    """Return the settings of a cache, with the model's own where none are given, and the null prompt's embedding.

    Args:
        model: whose codec and text encoder are used.
        name: of the model.
        size: height and width in pixels.
        num_frames: pixel frames of each clip.
        fps: frames per second, 0.001 to 1000.
        start: time in each file at which its clip begins, in seconds.

    Returns:
        The settings, and the embedding (n, d).

    Raises:
        ValueError: a number is out of range, or the model does not accept the sizes.
    """
    g = model.geometry
    size, fps = size or g.size, g.fps if fps is None else fps
    num_frames = g.pixel_frames(g.frames) if num_frames is None else num_frames
    if any(n < step or n % step for n, step in zip(size, g.stride[1:], strict=True)):
        raise ValueError(
            f"a size of {size[0]} x {size[1]}: height and width must be multiples of {g.stride[1]} and {g.stride[2]}."
        )
    check_times(fps, start)
    latent_frames = g.latent_frames(num_frames)
    empty = model.encode_text([""])["text"][0]
    settings = CacheSettings(
        model=name,
        size=(size[0], size[1]),
        num_frames=num_frames,
        latent_frames=latent_frames,
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
    """Return a hash that identifies a model's codec.

    Args:
        model: a `VideoModel`.
    """
    return identity(getattr(model, "codec", None))


@checked
def text_hash(model: Encoder) -> str:
    """Return a hash that identifies a model's text encoder: Wan's `prompts`, or a toy's `text`.

    Args:
        model: a `VideoModel`.
    """
    return identity(getattr(model, "prompts", None) or getattr(model, "text", None))


def _one(
    writer: CacheWriter, model: Encoder, clip: ClipFile, state: FileState, settings: CacheSettings
) -> tuple[str, str]:
    """Outcome and reason of one clip."""
    reason = clip.problem
    if not reason:
        if writer.keep(clip.name, clip.caption, state):
            return "kept", ""
        try:
            pixels, latents, text = _encode(model, clip, settings)
            _check_still(clip, state)
            kept = _kept(model, pixels, latents) if writer.measured < FEW else None
        except ValueError as error:
            reason = str(error)
        else:
            writer.add(clip.name, state.hash, clip.caption, latents, text, state, kept)
            return "encoded", ""
    writer.mark_broken(clip.name, reason, clip.caption, state)
    return "skipped", reason


def _check_still(clip: ClipFile, state: FileState) -> None:
    """Refuse a file that changed while it was read, such as one that is still being copied."""
    with contextlib.suppress(OSError):
        stat = clip.path.stat()
        if (stat.st_size, stat.st_mtime_ns) == (state.bytes, state.mtime):
            return
    raise ValueError("changed while it was being read: run the same command again.")


@torch.no_grad()
def _kept(model: Encoder, pixels: Clip, latents: Tensor) -> float | None:
    """What the codec keeps of the beginning of a clip, in dB; None if the model decodes nothing."""
    if not hasattr(model, "decode"):
        return None
    made = model.decode(latents[None, :, :BEGIN]).float().clamp(-1, 1)
    if made.isnan().any():
        raise ValueError("is NaN after encoding and decoding: use another codec or precision, or leave the clip out.")
    return frame_scores(made, pixels[:, :, : made.shape[2]].to(made), ["psnr"])["psnr"].mean().item()


@torch.no_grad()
def _encode(model: Encoder, clip: ClipFile, s: CacheSettings) -> tuple[Clip, Tensor, Tensor]:
    """Pixels, latents and embedding of one clip."""
    pixels = to_pixels(next(clip.pieces(s.num_frames, s.size, s.fps, s.start)))
    try:
        text = model.encode_text([clip.caption])["text"][0]
    except ValueError as error:  # a toy knows few words; its sentence then lists them
        raise ValueError(f"has a caption that the model does not accept: {str(error).split('. ')[0]}.") from error
    latents = model.encode_video(pixels.to(model.device))[0]
    if not torch.isfinite(latents).all():
        raise ValueError("gives latents that are not finite: use another codec or precision, or leave the clip out.")
    return pixels, latents, text

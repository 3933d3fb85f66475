"""Encoding of a folder of clips into a latent cache, once per clip, by the codec and text encoder of any model."""

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pusa_lab.arguments import calling, checked
from pusa_lab.data.cache import PER_SHARD, UNKNOWN, CacheWriter, check_place
from pusa_lab.data.encoder import Encoder, settle
from pusa_lab.data.folders import ClipFile, find_clips
from pusa_lab.data.manifest import CacheSettings, FileState, codec_psnrs, file_state
from pusa_lab.data.pieces import Pieces
from pusa_lab.data.quality import FEW, warn_of_codec
from pusa_lab.data.shared_work import OtherProcessError, SharedWork
from pusa_lab.files import locked
from pusa_lab.progress import bar
from pusa_lab.sentences import counted, in_one_line


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
    work: SharedWork | None = None,
) -> Iterator[EncodedClip]:
    """Encode a folder of clips into a latent cache, yielding the outcome of each clip.

    Clips already in the cache are not encoded again, nor those that a killed run had finished. The cache is brought up
    to date with the folder: clips that are gone, changed or renamed, or have another caption, are dropped or updated.
    No other run can encode into the cache at the same time. The beginnings of the first clips are decoded again; if the
    codec keeps too little of them (see `codec_psnr`), one warning says so at the end. The PSNRs stay in the manifest.

    Args:
        folder: of clips and captions, see `find_clips`.
        model: whose codec and text encoder are used.
        out: folder of the cache, new or with the same settings; it is not changed if the arguments are refused.
        name: of the model, for the manifest.
        size: height and width in pixels; None takes the model's.
        num_frames: pixel frames of each clip; None takes the model's.
        fps: frames per second to read from the files, 0.001 to 1000; None takes the model's.
        start: time in each file at which its clip begins, in seconds.
        per_shard: clips per shard, 1 to 4096.
        need_captions: whether a clip without a caption is skipped; otherwise its caption is the null prompt.
        work: shared with other processes, which encode a part of the clips with `pieces.encode_share`; this one is the
            first and alone writes the cache, which is the same, byte for byte, as that of one process.

    Raises:
        ValueError: the model does not accept the sizes; there are no clips, or none can be used; the cache has other
            settings or is of another folder; or another process is encoding into it.
        OSError: a file cannot be written; the clips in earlier shards are kept.
    """
    work = work or SharedWork()
    found = check_encode(folder, out, need_captions=need_captions, processes=work.count)
    settings, empty = settle(model, name, size, num_frames, fps, start)

    def steps() -> Iterator[EncodedClip]:
        with _alone(Path(out)):
            yield from _steps(found, model, CacheWriter(out, settings, empty, per_shard, folder), settings, work)

    return _named("data.encode_steps", steps())


@checked
def check_encode(
    folder: str | Path,
    out: str | Path,
    settings: dict[str, Any] | None = None,
    need_captions: bool = True,
    processes: int = 1,
) -> list[ClipFile]:
    """Check, before a model is loaded, that a folder can be encoded; return its clips.

    Args:
        folder: of clips and captions.
        out: folder of the cache, which is not changed.
        settings: those fields of `CacheSettings` that are known.
        need_captions: whether a clip without a caption is skipped.
        processes: that share the work.

    Raises:
        ValueError: there are no clips, none can be used, or fewer than processes; or the cache cannot be written or is
            another one.
    """
    found = find_clips(folder, need_captions)
    there = check_place(out, folder, settings or {})
    if all(clip.problem for clip in found) and there is None:
        raise ValueError(_none_of(folder, [f"{clip.name} {clip.problem}" for clip in found]))
    usable = sum(not clip.problem for clip in found)
    if processes > max(usable, 1):
        raise ValueError(
            f"{processes} processes, but {folder} has {counted(usable, 'clip')} that can be encoded: start at most "
            f"{max(usable, 1)}."
        )
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
    found: list[ClipFile], model: Encoder, writer: CacheWriter, settings: CacheSettings, work: SharedWork
) -> Iterator[EncodedClip]:
    with ThreadPoolExecutor() as pool:
        states = dict(zip([clip.name for clip in found], pool.map(_state, found), strict=True))
    known = {clip.name: (clip.caption, state) for clip in found if (state := states[clip.name]).hash}
    gone = writer.bring_in_line([clip.name for clip in found], known)
    total, reasons = len(gone) + len(found), []
    for number, name in enumerate(gone, 1):
        yield EncodedClip(name, "dropped", "is no longer in the folder.", number, total)
    pieces = Pieces(model, settings, writer.unsealed, _left(found, states, writer), work)
    clips = [[clip.name, clip.caption, *state] for clip, state in pieces.clips]
    work.tell("clips", [writer.unsealed.head, clips])
    for number, clip in enumerate(found, 1 + len(gone)):
        outcome, reason = _one(writer, pieces, clip, states[clip.name])
        reasons += [f"{clip.name} {reason}"] if reason else []
        yield EncodedClip(clip.name, outcome, reason, number, total)
    if len(reasons) < len(found) or writer.seen:
        writer.close()
        warn_of_codec(settings.model, codec_psnrs(writer.manifest))
    if len(reasons) == len(found):
        raise ValueError(_none_of(writer.manifest["source"], reasons))


def _state(clip: ClipFile) -> FileState:
    """State of the clip's file, as far as it can be used."""
    try:
        return UNKNOWN if clip.problem else file_state(clip.path)
    except OSError:
        return UNKNOWN


def _left(found: list[ClipFile], states: dict[str, FileState], writer: CacheWriter) -> list[tuple[ClipFile, FileState]]:
    """The clips that are to be encoded, each contents with each caption once."""
    left = {}
    for clip in found:
        key = (states[clip.name].hash, clip.caption)
        if not (clip.problem or key in left or writer.has(*key) or writer.unsealed.read(key)):
            left[key] = (clip, states[clip.name])
    return list(left.values())


def _one(writer: CacheWriter, pieces: Pieces, clip: ClipFile, state: FileState) -> tuple[str, str]:
    """Outcome and reason of one clip."""
    reason = clip.problem
    if not reason:
        if writer.keep(clip.name, clip.caption, state):
            return "kept", ""
        try:
            tensors, psnr = pieces.made(clip, state, writer.measured < FEW)
        except OtherProcessError:
            raise
        except ValueError as error:
            reason = str(error)
        else:
            latents, text = tensors["latents"], tensors["text"]
            writer.add(clip.name, state.hash, clip.caption, latents, text, state, psnr)
            return "encoded" if pieces.is_new(clip, state) else "kept", ""
    writer.mark_broken(clip.name, reason, clip.caption, state)
    return "skipped", reason


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

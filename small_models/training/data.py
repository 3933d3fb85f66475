"""Clips to learn from: a world's scenes, or a folder of videos with captions."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from pusa_lab.arguments import checked, shown
from pusa_lab.data.folders import ClipFile, find_clips, read_folder
from pusa_lab.sentences import counted
from pusa_lab.training import InMemoryDataset
from pusa_lab.types import Geometry, VideoModel, computes_in_bfloat16
from small_models.world import WORLDS, captions, draw_scenes, render, world_named

PART = 500
"""Scenes drawn at a time."""
Part = tuple[Tensor, list[str]]


@checked
def world_clips(
    name: str, count: int, seed: int, geometry: Geometry, device: str | torch.device = "cpu"
) -> Iterator[Part]:
    """Parts of clips (n, 3, pf, h, w) in uint8, with captions in varying words.

    Args:
        name: one of WORLDS.
        count: clips in all.
        seed: of the scenes.
        geometry: of the model.
        device: where to draw them.

    Raises:
        ValueError: there is no such world.
    """
    scenes = draw_scenes(count, seed, world_named(name))
    for i in range(0, count, PART):
        part = scenes[i : i + PART]
        clips = render(part.to(device), geometry.pixel_frames(geometry.frames), geometry.size[0])
        yield to_bytes(clips), captions(part, seed=seed + i)


@checked
def split_folder(folder: str | Path, num_val_clips: int = 0) -> tuple[list[ClipFile], list[ClipFile]]:
    """The videos of a folder to learn from, and those held out: the last ones in the order of their names.

    So the same videos are held out in every stage and run, whatever its seed, and names decide which.

    Args:
        folder: with clips and captions as `pusa_lab.data.find_clips` finds them; a video without a caption has the null
            prompt.
        num_val_clips: videos to hold out.

    Raises:
        ValueError: there is no video, or none would be left to learn from.
    """
    found = find_clips(folder, need_captions=False)
    usable = [clip for clip in found if not clip.problem]
    if not 0 <= num_val_clips < max(len(usable), 1):
        raise ValueError(
            f"num_val_clips={num_val_clips} of {counted(len(usable), 'video')} in {folder}: give fewer, so that some "
            "are left for training."
        )
    held_out = usable[len(usable) - num_val_clips :]
    return [clip for clip in found if clip not in held_out], held_out


@checked
def folder_clips(
    folder: str | Path, geometry: Geometry, need_captions: bool = False, files: Sequence[ClipFile] | None = None
) -> Iterator[Part]:
    """Clips of the model's length, size and frame rate, cut one after the other out of every video of a folder.

    What cannot be used is logged.

    Args:
        folder: with clips and captions as `pusa_lab.data.find_clips` finds them.
        geometry: of the model.
        need_captions: whether a video without a caption is left out; otherwise its caption is the null prompt.
        files: those of its videos to read; None is all of them.

    Raises:
        ValueError: no video there can be read, or none is long enough.
    """
    num_frames = geometry.pixel_frames(geometry.frames)
    for clip, pieces in read_folder(folder, num_frames, geometry.size, geometry.fps, need_captions, files):
        yield torch.from_numpy(pieces).permute(0, 4, 1, 2, 3).contiguous(), [clip.caption] * len(pieces)


@checked
def clips_of(
    source: str | Path,
    count: int,
    seed: int,
    geometry: Geometry,
    device: str | torch.device,
    num_val_clips: int = 0,
    held_out: bool = False,
) -> Iterator[Part]:
    """Clips of a world, or of a folder.

    Args:
        source: one of WORLDS, or the path of a folder.
        count: clips of a world; of a folder, the most that are read, in the order of its videos.
        seed: of a world's scenes.
        geometry: of the model.
        device: where a world is drawn.
        num_val_clips: videos of a folder that are held out, as `split_folder` does.
        held_out: whether to read those, instead of the others.

    Raises:
        ValueError: the source is neither, or nothing of a folder is left.
    """
    if count < 1:
        raise ValueError(f"count={count}: give at least 1 clip.")
    if str(source) in WORLDS:
        return world_clips(str(source), count, seed, geometry, device)
    if not Path(source).is_dir():
        raise ValueError(f"no data {str(source)!r:.300}: give a folder of clips, or one of {', '.join(WORLDS)}.")
    return _first(count, folder_clips(source, geometry, files=split_folder(source, num_val_clips)[held_out]))


def _first(count: int, parts: Iterator[Part]) -> Iterator[Part]:
    """The first clips; no more parts are read than they need."""
    for clips, texts in parts:
        yield clips[:count], texts[:count]
        count -= len(texts)
        if count <= 0:
            return


@checked
def folder_captions(folder: str | Path) -> list[str]:
    """The captions of a folder's videos, empty where there is none.

    Args:
        folder: with captions as `pusa_lab.data.find_clips` finds them.
    """
    return [clip.caption for clip in find_clips(folder, need_captions=False) if not clip.problem]


@checked
def split_datasets(
    clips: Callable[[int, int, bool], Iterator[Part]],
    build: Callable[[Iterator[Part], int, int], InMemoryDataset],
    counts: tuple[int, int],
    batches: tuple[int, int],
    seeds: tuple[int, int],
) -> tuple[InMemoryDataset, InMemoryDataset | None]:
    """What is learned from, and what is held out: other scenes of a world, or other videos of a folder.

    Args:
        clips: (count, seed, whether they are held out) -> parts of clips.
        build: (parts, batch, seed) -> dataset.
        counts: clips to learn from, and to hold out; 0 holds out nothing.
        batches: batch sizes of both datasets.
        seeds: of both.

    Raises:
        ValueError: `build` returns something else than a dataset.
    """
    first = build(clips(counts[0], seeds[0], False), batches[0], seeds[0])
    if not isinstance(first, InMemoryDataset):
        raise ValueError(f"build returned {shown(first)}: let it return an InMemoryDataset, as pixel_dataset does.")
    return first, build(clips(counts[1], seeds[1], True), batches[1], seeds[1]) if counts[1] else None


@checked
def pixel_dataset(parts: Iterator[Part], batch: int, seed: int, device: str | torch.device) -> InMemoryDataset:
    """Clips kept as bytes.

    Args:
        parts: from `clips_of`.
        batch: size of a batch.
        seed: of the batches.
        device: where they are kept.
    """
    there = [(clip.to(device), text) for clip, text in parts]
    if not there:
        raise ValueError("there are no clips to learn from: give parts with at least one.")
    clips, texts = zip(*there, strict=True)
    return InMemoryDataset(torch.cat(clips), [t for text in texts for t in text], batch, seed)


@checked
@torch.no_grad()
def latent_dataset(parts: Iterator[Part], model: VideoModel, batch: int, seed: int) -> InMemoryDataset:
    """Clips kept as latents in half precision, where the model is.

    Args:
        parts: from `clips_of`.
        model: gives the codec.
        batch: size of a batch.
        seed: of the batches.
    """
    latents, captions_ = [], []
    half = model.device.type == "cuda" and computes_in_bfloat16(model.device)
    for clips, text in parts:
        for piece in clips.split(64 if model.device.type == "cuda" else 4):
            pixels = piece.to(model.device).float() / 127.5 - 1
            with torch.autocast(model.device.type, torch.bfloat16, enabled=half):
                latents.append(model.encode_video(pixels).half())
        captions_ += text
    if not latents:
        raise ValueError("there are no clips to learn from: give parts with at least one.")
    return InMemoryDataset(torch.cat(latents), captions_, batch, seed)


@checked
def to_bytes(clip: Tensor) -> Tensor:
    """Pixels in [-1, 1] to 0..255.

    Args:
        clip: pixels (b, 3, pf, h, w).
    """
    return ((clip + 1) * 127.5).round().to(torch.uint8)


@checked
def to_arrays(clips: UInt8[Tensor, "b 3 pf h w"]) -> np.ndarray:
    """Clips as the toys keep them, as arrays (b, pf, h, w, 3) uint8.

    Args:
        clips: (b, 3, pf, h, w) uint8.
    """
    return clips.permute(0, 2, 3, 4, 1).cpu().numpy()

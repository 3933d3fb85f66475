"""Clips to learn from: a world's scenes, or a folder of videos with captions."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pusa_lab.arguments import checked, shown
from pusa_lab.data.folders import Unusable, find_clips
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
def folder_clips(folder: str | Path, geometry: Geometry, need_captions: bool = False) -> Iterator[Part]:
    """Clips of the model's length, size and frame rate, cut one after the other out of every video of a folder.

    What cannot be used is logged.

    Args:
        folder: with clips and captions as `pusa_lab.data.find_clips` finds them.
        geometry: of the model.
        need_captions: whether a video without a caption is left out; otherwise its caption is the null prompt.

    Raises:
        ValueError: no video there can be read, or none is long enough.
    """
    num_frames, problems = geometry.pixel_frames(geometry.frames), []
    found = find_clips(folder, need_captions)
    for clip in found:
        try:
            pieces = list(clip.pieces(num_frames, geometry.size, geometry.fps))
        except Unusable as reason:
            problems.append(f"{clip.name} {reason}")
            continue
        yield torch.from_numpy(np.stack(pieces)).permute(0, 4, 1, 2, 3).contiguous(), [clip.caption] * len(pieces)
    if len(problems) == len(found):
        why = " ".join(problems[:3])
        raise ValueError(
            f"no video in {folder} can be used: {why} Give videos of at least {counted(num_frames, 'frame')} at "
            f"{geometry.fps} frames per second."
        )
    if problems:
        logging.warning("%d of %d clips are left out: %s", len(problems), len(found), " ".join(problems))


@checked
def clips_of(
    source: str | Path, count: int, seed: int, geometry: Geometry, device: str | torch.device
) -> Iterator[Part]:
    """Clips of a world, or of a folder.

    Args:
        source: one of WORLDS, or the path of a folder.
        count: clips of a world; a folder gives all it has.
        seed: of a world's scenes.
        geometry: of the model.
        device: where a world is drawn.

    Raises:
        ValueError: the source is neither.
    """
    if count < 1:
        raise ValueError(f"count={count}: give at least 1 clip.")
    if str(source) in WORLDS:
        return world_clips(str(source), count, seed, geometry, device)
    if not Path(source).is_dir():
        raise ValueError(f"no data {str(source)!r:.300}: give a folder of clips, or one of {', '.join(WORLDS)}.")
    return folder_clips(Path(source), geometry)


@checked
def folder_captions(folder: str | Path) -> list[str]:
    """The captions of a folder's videos, empty where there is none.

    Args:
        folder: with captions as `pusa_lab.data.find_clips` finds them.
    """
    return [clip.caption for clip in find_clips(folder, need_captions=False) if not clip.problem]


@checked
def split_datasets(
    source: str,
    clips: Callable[[int, int], Iterator[Part]],
    build: Callable[[Iterator[Part], int, int], InMemoryDataset],
    counts: tuple[int, int],
    batches: tuple[int, int],
    seeds: tuple[int, int],
) -> tuple[InMemoryDataset, InMemoryDataset | None]:
    """What is learned from, and what is held out: other scenes of a world, or every tenth clip of a folder.

    Args:
        source: one of WORLDS, or a folder.
        clips: (count, seed) -> parts of clips.
        build: (parts, batch, seed) -> dataset.
        counts: clips of a world to learn from, and to hold out; 0 holds out nothing, of a folder neither.
        batches: batch sizes of both datasets.
        seeds: of both.

    Raises:
        ValueError: `build` returns something else than a dataset.
    """
    first = build(clips(counts[0], seeds[0]), batches[0], seeds[0])
    if not isinstance(first, InMemoryDataset):
        raise ValueError(f"build returned {shown(first)}: let it return an InMemoryDataset, as pixel_dataset does.")
    if not counts[1]:
        return first, None
    if source in WORLDS:
        return first, build(clips(counts[1], seeds[1]), batches[1], seeds[1])
    held = torch.arange(len(first.captions)) % 10 == 9
    return first.part(~held), first.part(held) if held.any() else None


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

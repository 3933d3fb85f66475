"""Writing a latent cache: whole shards first, then the manifest that names them, so that it is valid at any moment."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor

import pusa_lab
from pusa_lab.training.latents import EMPTY, FORMAT, MANIFEST, CacheSettings, check_same, read_manifest

PER_SHARD = 32
"""Clips of a shard: some 300 MB of Wan's at 720p, and the most that a killed run encodes again."""


class CacheWriter:
    """Adds clips to a cache, new or begun; what is there already is known by the file's hash and its caption.

    Args:
        folder: of the cache; made if there is none.
        settings: of the clips to come.
        empty: embedding (rows, d) of the empty caption.
        per_shard: clips of a shard.

    Raises:
        ValueError: the folder holds a cache of other settings or of another version, or something else.
    """

    def __init__(
        self,
        folder: str | Path,
        settings: CacheSettings,
        empty: Float[Tensor, "n d"],
        per_shard: int = PER_SHARD,
    ):
        self.folder, self.per_shard = Path(folder), per_shard
        self.waiting: list[tuple[dict[str, Any], dict[str, Tensor]]] = []
        head = {"format": FORMAT, "version": pusa_lab.__version__, **asdict(settings)}
        if (self.folder / MANIFEST).is_file():
            there = read_manifest(self.folder)
            check_same(self.folder, there, head, "use the same settings, or another folder")
            self.manifest = {**there, "broken": []}  # they may be mended by now
            return
        if others := _others(self.folder):
            raise ValueError(f"{self.folder} holds {others[0]} and no cache: give a new or empty folder.")
        self.manifest = {**head, "size": list(settings.size), "clips": [], "broken": []}
        self._safely(lambda: self._start(empty))

    def has(self, digest: str, caption: str) -> bool:
        """Whether a clip is there.

        Args:
            digest: of its file, from `file_hash`.
            caption: its caption.
        """
        known = [*self.manifest["clips"], *(clip for clip, _ in self.waiting)]
        return any(clip["hash"] == digest and clip["caption"] == caption for clip in known)

    def add(
        self, name: str, digest: str, caption: str, latents: Float[Tensor, "c f h w"], text: Float[Tensor, "n d"]
    ) -> None:
        """Add a clip; an older one of this name is dropped.

        Args:
            name: of its file, from the folder of clips.
            digest: of its file, from `file_hash`.
            caption: its caption.
            latents: of its pixels.
            text: embedding of its caption; rows of zeros at the end, which are padding, are not stored.

        Raises:
            ValueError: the latents have another shape than the settings say.
            OSError: the disk is full; the clips of the shards before are kept.
        """
        wanted = (self.manifest["channels"], self.manifest["frames"])
        if tuple(latents.shape[:2]) != wanted:
            raise ValueError(f"latents of shape {tuple(latents.shape)} for {name}: the cache holds {wanted} (c f) h w.")
        tensors = {"latents": _stored(latents), "text": _stored(_unpadded(text))}
        self.waiting.append(({"name": name, "hash": digest, "caption": caption}, tensors))
        if len(self.waiting) >= self.per_shard:
            self._safely(self._seal)

    def mark_broken(self, name: str, reason: str) -> None:
        """Note a file that could not be used; the notes of an earlier run are forgotten.

        Args:
            name: of the file.
            reason: why not.
        """
        self.manifest["broken"].append({"name": name, "reason": reason})

    def close(self) -> None:
        """Write what is waiting.

        Raises:
            OSError: the disk is full; the clips of the shards before are kept.
        """
        self._safely(self._seal)

    def _seal(self) -> None:
        """Write the shard, then the manifest that names it."""
        names, kept = {clip["name"] for clip, _ in self.waiting}, self.manifest["clips"]
        number = 1 + max((int(clip["shard"][6:11]) for clip in kept), default=-1)
        shard = f"shard-{number:05}.safetensors"
        added = [{**clip, "shard": shard, "index": i} for i, (clip, _) in enumerate(self.waiting)]
        if added:
            rows = [parts for _, parts in self.waiting]
            _write(self.folder / shard, {f"{i}.{key}": x for i, row in enumerate(rows) for key, x in row.items()})
        self.manifest["clips"] = [clip for clip in kept if clip["name"] not in names] + added
        self.waiting = []
        self._write_manifest()

    def _start(self, text: Tensor) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self.folder / EMPTY, {"text": _stored(_unpadded(text))})
        self._write_manifest()

    def _write_manifest(self) -> None:
        part = self.folder / f"{MANIFEST}.part"
        part.write_text(json.dumps(self.manifest, indent=1) + "\n")
        part.replace(self.folder / MANIFEST)

    def _safely(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            for part in self.folder.glob("*.part"):
                part.unlink(missing_ok=True)
            raise OSError(
                f"{self.folder} cannot be written ({error}): make room and run the same command again, "
                f"it goes on after the {self._on_disk()} clips that are there."
            ) from error

    def _on_disk(self) -> int:
        return len(read_manifest(self.folder)["clips"]) if (self.folder / MANIFEST).is_file() else 0


def _others(folder: Path) -> list[str]:
    """What lies in a folder and is no beginning of a cache."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return [name for name in names if name != EMPTY and not name.endswith(".part")]


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(save(tensors))
    part.replace(path)


def _unpadded(text: Tensor) -> Tensor:
    """Without the rows of zeros at the end."""
    filled = torch.nonzero(text.any(1))
    return text[: int(filled[-1]) + 1 if len(filled) else 1]


def _stored(x: Tensor) -> Tensor:
    return x.detach().to("cpu", torch.bfloat16, copy=True).contiguous()

"""Writer of the latent cache: each shard is complete before the manifest lists it, so the cache is always valid."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor

import pusa_lab
from pusa_lab.arguments import checked
from pusa_lab.data.latents import PARTS, damaged
from pusa_lab.data.manifest import (
    EMPTY,
    FORMAT,
    MANIFEST,
    CacheSettings,
    FileState,
    difference,
    manifest_digest,
    read_manifest,
)
from pusa_lab.data.unsealed import UNSEALED, Key, Unsealed, stored, unpadded, unsealed_settings
from pusa_lab.files import PART, check_folder, content_digest, locked, write_json, writing
from pusa_lab.sentences import counted

PER_SHARD = 32
"""Clips per shard: about 300 MB for Wan at 720p."""
MOST_PER_SHARD = 4096
UNKNOWN = FileState("", 0, 0)


@checked
def head_of(settings: CacheSettings) -> dict[str, Any]:
    """The part of a manifest in which two caches must agree for their clips to be mixed.

    Args:
        settings: of the clips.
    """
    return {"format": FORMAT, "version": pusa_lab.__version__, **asdict(settings), "size": list(settings.size)}


@checked
class CacheWriter:
    """Adds clips to a new or existing cache; clips already in it are recognised by the file's hash and the caption.

    Only one writer may run at a time; `encode_steps` takes a lock. Nothing is written before the first shard is full
    or `close` is called, which also removes clips that were encoded and are in no shard. A cache without clips accepts
    other settings. Clips in damaged shards count as missing.

    Args:
        folder: of the cache; created if missing.
        settings: of the clips to be added.
        empty: embedding (n, d) of the null prompt.
        per_shard: clips per shard, 1 to 4096.
        source: the folder of clips, with which the cache is compared before training; "" compares nothing.

    Raises:
        ValueError: per_shard is out of range, or the folder holds a cache with other settings or of another version, or
            other files.
    """

    def __init__(
        self,
        folder: str | Path,
        settings: CacheSettings,
        empty: Float[Tensor, "n d"],
        per_shard: int = PER_SHARD,
        source: str | Path = "",
    ):
        if not 1 <= per_shard <= MOST_PER_SHARD:
            raise ValueError(f"per_shard={per_shard}: give 1 to {MOST_PER_SHARD} clips.")
        check_folder(folder)
        self.folder, self.per_shard, self.empty = Path(folder), per_shard, stored(unpadded(empty))
        head = head_of(settings)
        there = begun(self.folder)
        _refuse_other(self.folder, there, head)
        self.unsealed = Unsealed(self.folder, head)
        if there and difference(there, head):
            there = None
        new = {**head, "source": "", "files": {}, "clips": [], "spare": [], "broken": []}
        self.manifest: dict[str, Any] = {**(there or new), "broken": []}  # broken clips may have been repaired since
        if source:
            self.manifest["source"] = str(Path(source).resolve())
        self.clips: dict[str, dict[str, Any]] = {}  # by name
        self.places: dict[Key, dict[str, Any]] = {}  # clips that wait to be written have no shard yet
        self.waiting: list[tuple[Key, dict[str, Tensor]]] = []
        self.order: dict[str, int] = {}
        self.seen = _bytes(self.folder)
        self.ready = False
        self._take_over()

    @property
    def measured(self) -> int:
        """Number of clips of which it is known what the codec keeps."""
        return sum("psnr" in place for place in self.places.values())

    def has(self, digest: str, caption: str) -> bool:
        """Whether the cache holds the tensors of a clip, or they wait to be written.

        Args:
            digest: sha256 of its file, from `files.digest`.
            caption: of the clip.
        """
        return (digest, caption) in self.places

    @checked
    def keep(self, name: str, caption: str, state: FileState) -> bool:
        """Keep a clip whose tensors are in the cache, possibly under a new name; return False if they are not.

        Args:
            name: path of its file, relative to the folder of clips.
            caption: of the clip.
            state: of its file.
        """
        if not self.has(state.hash, caption):
            return False
        self.clips[name] = {"name": name, "caption": caption, **state._asdict()}
        return True

    @checked
    def bring_in_line(self, names: list[str], known: Mapping[str, tuple[str, FileState]]) -> list[str]:
        """Update the manifest to the present state of the folder of clips; return the names of clips that are gone.

        Tensors of clips that are gone stay in their shards, unused unless the clip comes back.

        Args:
            names: of all clips in the folder, in its order, which becomes the order of the cache.
            known: caption and file state of each usable clip; clips that the cache does not hold are added later.

        Raises:
            ValueError: another process has written into the cache.
            OSError: the manifest cannot be written; the cache on disk is unchanged.
        """
        before, self.clips, self.order = self.clips, {}, {name: i for i, name in enumerate(names)}
        for name, (caption, state) in known.items():
            self.keep(name, caption, state)
        if self.places:
            self._check_alone()
            self._safely(self._write_manifest)
        return [name for name in before if name not in self.order]

    @checked
    def add(
        self,
        name: str,
        digest: str,
        caption: str,
        latents: Float[Tensor, "c f h w"],
        text: Float[Tensor, "n d"],
        state: FileState = UNKNOWN,
        psnr: float | None = None,
    ) -> None:
        """Add a clip; it replaces an older one of the same name.

        Args:
            name: path of its file, relative to the folder of clips.
            digest: sha256 of its file, from `files.digest`.
            caption: of the clip.
            latents: (c, f, h, w), stored in bfloat16.
            text: embedding (n, d) of its caption; rows of zeros at the end, which are padding, are not stored.
            state: of its file, with which the folder is compared before training.
            psnr: what the codec keeps of it, in dB; None if that was not measured.

        Raises:
            ValueError: the shapes differ from the settings or from those of the other clips, or another process has
                written into the cache.
            OSError: a shard cannot be written; the clips in earlier shards are kept.
        """
        tensors = {"latents": stored(latents), "text": stored(unpadded(text))}
        place: dict[str, Any] = {key: list(x.shape) for key, x in tensors.items()}
        self._check_shapes(name, place)
        if psnr is not None:
            place["psnr"] = psnr
        self.clips[name] = {"name": name, "caption": caption, **state._replace(hash=digest)._asdict()}
        self.places[digest, caption] = place
        self.waiting.append(((digest, caption), tensors))
        if len(self.waiting) >= self.per_shard:
            self._safely(self._seal)

    @checked
    def mark_broken(self, name: str, reason: str, caption: str = "", state: FileState = UNKNOWN) -> None:
        """Record a file that could not be used; a new writer forgets the records of earlier runs.

        Args:
            name: path of the file, relative to the folder of clips.
            reason: why not; continues a sentence that begins with the name.
            caption: of the clip.
            state: of the file.
        """
        self.clips.pop(name, None)
        self.manifest["broken"].append({"name": name, "reason": reason, "caption": caption, **state._asdict()})

    def close(self) -> None:
        """Write the clips that wait, and the manifest.

        Raises:
            ValueError: another process has written into the cache.
            OSError: a file cannot be written; the clips in earlier shards are kept.
        """
        self._safely(self._seal)
        self.unsealed.clear()

    def _take_over(self) -> None:
        """Take over the clips that an existing cache has in undamaged shards."""
        found = [*self.manifest["clips"], *self.manifest["spare"]]
        lost = damaged(self.folder, self.manifest["files"], dict.fromkeys(clip["shard"] for clip in found))
        for clip in found:
            if clip["shard"] not in lost:
                self.places[clip["hash"], clip["caption"]] = {
                    key: clip[key] for key in ("shard", "index", *PARTS, "psnr") if key in clip
                }
        for clip in self.manifest["clips"]:
            if clip["shard"] not in lost:
                self.clips[clip["name"]] = {key: clip[key] for key in ("name", "caption", *FileState._fields)}

    def _check_shapes(self, name: str, place: Mapping[str, list[int]]) -> None:
        """Refuse tensors that do not fit the settings or the clips already in the cache."""
        latents, text = place["latents"], place["text"]
        expected = (self.manifest["channels"], self.manifest["latent_frames"])
        if tuple(latents[:2]) != expected:
            raise ValueError(
                f"the latents of {name} have shape {tuple(latents)}: give (c, f, h, w) with (c, f) = {expected}, "
                "as in the settings of the cache."
            )
        first = next(iter(self.places.values()), place)
        if latents != first["latents"] or text[1] != self.empty.shape[1] or text[0] > self.manifest["text_length"]:
            raise ValueError(
                f"{name} has latents of shape {tuple(latents)} and text of shape {tuple(text)}: give latents of shape "
                f"{tuple(first['latents'])} and text of at most {self.manifest['text_length']} x {self.empty.shape[1]}."
            )

    def _seal(self) -> None:
        """Write the shard, then the manifest that names it."""
        self._check_alone()
        self._prepare()
        sealed: list[Key] = []
        if self.waiting:
            numbers = [int(found[1]) for name in self.manifest["files"] if (found := re.search(r"(\d{1,18})\.", name))]
            shard = f"shard-{1 + max(numbers, default=-1):05}.safetensors"
            rows = [parts for _, parts in self.waiting]
            self._write(shard, {f"{i}.{key}": x for i, row in enumerate(rows) for key, x in row.items()})
            sealed = [key for key, _ in self.waiting]
            for i, key in enumerate(sealed):
                self.places[key] = {"shard": shard, "index": i, **self.places[key]}
            self.waiting = []
        self._write_manifest()
        self.unsealed.remove(sealed)

    def _prepare(self) -> None:
        """Before the first shard: write an empty cache if there is none, and delete what a killed run left."""
        if self.ready:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        named = {place["shard"] for place in self.places.values() if "shard" in place}
        self.manifest["files"] = {name: self.manifest["files"][name] for name in named}
        self._write(EMPTY, {"text": self.empty})
        self._write_manifest()
        for path in self.folder.iterdir():
            if _ours(path.name) and path.name not in self.manifest["files"]:
                path.unlink(missing_ok=True)
        self.ready = True

    def _write(self, name: str, tensors: dict[str, Tensor]) -> None:
        data = save(tensors)
        with writing(self.folder / name) as part:
            part.write_bytes(data)
        self.manifest["files"][name] = content_digest(data)

    def _write_manifest(self) -> None:
        """Write the manifest, with those clips only whose tensors are in a shard."""
        known = [clip for clip in self.clips.values() if "shard" in self.places[clip["hash"], clip["caption"]]]
        known.sort(key=lambda clip: self.order.get(clip["name"], len(self.order)))
        used = {(clip["hash"], clip["caption"]) for clip in known}
        self.manifest["clips"] = [{**clip, **self.places[clip["hash"], clip["caption"]]} for clip in known]
        spare = [
            {"hash": key[0], "caption": key[1], **place}
            for key, place in self.places.items()
            if "shard" in place and key not in used
        ]
        self.manifest["spare"] = sorted(spare, key=lambda place: (place["shard"], place["index"]))
        self.manifest["files"] = dict(sorted(self.manifest["files"].items()))
        write_json(self.folder / MANIFEST, {**self.manifest, "digest": manifest_digest(self.manifest)})
        self.seen = _bytes(self.folder)

    def _check_alone(self) -> None:
        if _bytes(self.folder) != self.seen:
            raise ValueError(f"another process wrote into {self.folder} at the same time: run the same command again.")

    def _safely(self, write: Callable[[], None]) -> None:
        with making_room(self.unsealed):
            write()


@contextlib.contextmanager
@checked
def making_room(unsealed: Unsealed) -> Iterator[None]:
    """A block that writes into a cache; if it fails, the sentence says how many clips are there.

    Args:
        unsealed: clips of the cache that are in no shard yet.

    Raises:
        OSError: the block raised it.
    """
    try:
        yield
    except OSError as error:
        folder, reason = unsealed.cache, getattr(error.__cause__, "strerror", None) or error
        there = len(read_manifest(folder)["clips"]) if (folder / MANIFEST).is_file() else 0
        raise OSError(
            f"{folder} cannot be written ({reason}): make room and run the same command again; it continues after the "
            f"{counted(there + len(unsealed), 'clip')} already encoded."
        ) from error


@checked
def check_place(
    folder: str | Path, source: str | Path = "", settings: dict[str, Any] | None = None
) -> dict[str, Any] | None:
    """Refuse a folder that cannot hold a cache of these clips, before a model is loaded; nothing is written there.

    Args:
        folder: of the cache, which need not exist.
        source: the folder of clips.
        settings: those fields of `CacheSettings` that are known.

    Returns:
        The manifest of an existing cache, else None.

    Raises:
        ValueError: the folder cannot be written, holds other files, a cache with other settings or one of another
            folder of clips that still exists, or another process is writing into it.
    """
    there = begun(check_folder(folder, "the cache"))
    _refuse_other(Path(folder), there, settings or {})
    if there and there["clips"]:
        other = Path(there["source"]) if there["source"] and source else Path(source)
        if other.resolve() != Path(source).resolve() and other.is_dir():
            raise ValueError(
                f"the cache {folder} holds the clips of the folder {other}: give another folder for those of {source}, "
                "or put all clips into one folder."
            )
    if Path(folder).is_dir():
        with locked(folder):
            pass
    return there


def _refuse_other(folder: Path, there: dict[str, Any] | None, settings: dict[str, Any]) -> None:
    """Refuse settings other than those of the clips that are in the cache, or were left in no shard yet."""
    made = there if there and there["clips"] else unsealed_settings(folder)
    if made and (differs := difference(made, settings)):
        raise ValueError(f"the cache {folder} {differs}: use the same settings, or another folder.")


@checked
def begun(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of an existing cache, or None if the folder is missing or empty.

    Args:
        folder: of the cache.

    Raises:
        ValueError: the folder holds other files, or a manifest that cannot be read.
    """
    if (folder / MANIFEST).is_file():
        return read_manifest(folder)
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    others = [name for name in names if name not in (EMPTY, UNSEALED, ".lock") and not _unfinished(name)]
    if others:
        raise ValueError(f"{folder} holds {others[0]} and is not a cache: give a new or empty folder.")
    return None


def _unfinished(name: str) -> bool:
    return name.startswith(PART) or name.endswith(".part")


def _ours(name: str) -> bool:
    """Whether a file in a cache's folder was written by a `CacheWriter`, which may delete it."""
    return _unfinished(name) or bool(re.fullmatch(r"shard-\d+\.safetensors", name))


def _bytes(folder: Path) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return (folder / MANIFEST).read_bytes()
    return b""

"""The latent cache: clips and captions encoded once, in safetensors shards with a manifest of the settings.

    manifest.json, empty.safetensors (the null prompt), shard-00000.safetensors ("0.latents", "0.text", ...)

A shard is complete and renamed before the manifest lists it with its hash. So a killed run leaves a valid, smaller
cache, and a shard that was swapped or damaged is refused when the cache is opened.
"""

import os
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypedDict

import torch
from jaxtyping import BFloat16
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.utils.data import Dataset

from pusa_lab.annotations import attribute
from pusa_lab.arguments import checked, shown
from pusa_lab.data.manifest import EMPTY, difference, read_manifest, source_differences
from pusa_lab.digests import array_digest
from pusa_lab.files import content_digest, digest


class CachedClip(TypedDict):
    """One item of a `LatentCache`."""

    latents: BFloat16[Tensor, "c f h w"]
    text: BFloat16[Tensor, "n d"]
    caption: str
    name: str


@checked
class LatentCache(Dataset[CachedClip]):
    """The clips of a cache, in the manifest's order; the tensors of each are read from disk when it is indexed.

    Opening a cache reads all files once to compare their hashes, which takes about a second per GB and core; 1 GB is
    about 240 clips of Wan at 480p. Headers are read then too, and not again: the files stay mapped into memory.

    Args:
        folder: written by a `CacheWriter`.

    Raises:
        ValueError: there is no cache, or one of its files is missing, damaged or not the one that was written.
    """

    manifest: dict[str, Any]
    """The settings by name, and: format, version, source (the folder of clips), files (name: hash), clips (name, hash,
    bytes and mtime of the file; caption, shard, index, shapes; of the first ones psnr, what the codec keeps of their
    beginning, in dB), spare (clips in the shards that are no longer in the folder), broken (files that could not be
    used, with name and reason)."""
    empty: BFloat16[Tensor, "n d"]
    """The embedding of the null prompt, for caption dropout."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.mapped: dict[str, Any] = {}
        self.manifest = read_manifest(self.folder)
        clips = self.manifest["clips"]
        shards = dict.fromkeys(clip["shard"] for clip in clips)
        for name, why in damaged(self.folder, self.manifest["files"], [EMPTY, *shards]).items():
            raise ValueError(self._lost(name, why))
        for shard in shards:
            expected = {f"{c['index']}.{key}": c[key] for c in clips if c["shard"] == shard for key in PARTS}
            self._check_tensors(shard, expected)
        self.empty = self._read(EMPTY, "text")[0]
        width = clips[0]["text"][1:] if clips else list(self.empty.shape[1:])
        if self.empty.ndim != 2 or self.empty.dtype != torch.bfloat16 or list(self.empty.shape[1:]) != width:
            raise ValueError(self._lost(EMPTY, f"it holds {shown(self.empty)}"))

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.manifest["clips"])

    @checked
    def __getitem__(self, i: int) -> CachedClip:
        """Clip i: latents (c, f, h, w) from `encode_video`, and the embedding (n, d) of its caption without padding."""
        clip = self.manifest["clips"][i]
        latents, text = self._read(clip["shard"], *(f"{clip['index']}.{key}" for key in PARTS))
        return {"latents": latents, "text": text, "caption": clip["caption"], "name": clip["name"]}

    def require(self, **wanted: Any) -> None:
        """Refuse a cache whose settings are not those that a run needs.

        Args:
            **wanted: fields of `CacheSettings`, such as codec=identity(model.codec), size=(480, 832), latent_frames=21.

        Raises:
            ValueError: one of them has another value in the cache.
        """
        if differs := difference(self.manifest, wanted):
            raise ValueError(
                f"the cache {self.folder} {differs}: encode the clips again with this model and these sizes."
            )

    def require_source(self) -> None:
        """Refuse a cache that no longer agrees with its folder of clips.

        If that folder cannot be read, as on another machine, the cache is accepted as it is, with a warning.

        Raises:
            ValueError: clips have been added, changed, renamed or removed since, or have other captions.
        """
        if (source := self.manifest["source"]) and not os.access(source, os.R_OK | os.X_OK):
            warnings.warn(
                f"no folder of clips can be read at {source}, so the cache {self.folder} is not compared with it.",
                stacklevel=3,
            )
        if differences := source_differences(self.manifest):
            raise ValueError(
                f"the cache {self.folder} differs from its folder of clips {source}: {', '.join(differences)}. Run "
                f"`pusa-lab data encode {source} --out {self.folder}` with its options again, or restore the clips."
            )

    def _check_tensors(self, shard: str, expected: dict[str, list[int]]) -> None:
        """Refuse a shard whose tensors do not agree with the manifest; only its header is read."""
        tensors = self._mapped(shard)
        names = set(tensors.keys())
        for key, shape in expected.items():
            found = tensors.get_slice(key) if key in names else None
            if found is None or found.get_shape() != shape or found.get_dtype() != "BF16":
                raise ValueError(self._lost(shard, f"it holds no {key} of shape {tuple(shape)} in bfloat16"))

    def _read(self, file: str, *keys: str) -> list[Tensor]:
        try:
            return [self._mapped(file).get_tensor(key) for key in keys]
        except SafetensorError as error:
            raise ValueError(self._lost(file, f"{error!s:.120}")) from error

    def _mapped(self, file: str) -> Any:
        """The file opened by safetensors, once for all its tensors."""
        if file not in self.mapped:
            try:
                self.mapped[file] = safe_open(self.folder / file, framework="pt")
            except (SafetensorError, OSError) as error:
                raise ValueError(self._lost(file, f"{error!s:.120}")) from error
        return self.mapped[file]

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs; it maps the files itself."""
        return {**self.__dict__, "mapped": {}}

    def _lost(self, file: str, why: str) -> str:
        return (
            f"{self.folder / file} is missing or damaged ({why}): restore the file, or run `pusa-lab data encode` into "
            f"{self.folder} again, which encodes the missing clips."
        )


PARTS = ("latents", "text")
"""Names of the tensors of a clip."""


@checked
def damaged(folder: Path, hashes: dict[str, str], names: Iterable[str]) -> dict[str, str]:
    """Find the files of a cache that are missing or differ from what was written.

    Args:
        folder: of the cache.
        hashes: sha256 of each file, from the manifest.
        names: of the files to check.

    Returns:
        Name of each such file -> the reason.
    """

    def why(name: str) -> str:
        path = folder / name
        try:
            if not path.is_file():
                return "there is no such file"
            return "" if digest(path) == hashes.get(name) else "its hash differs from the manifest"
        except OSError as error:
            return str(error.strerror or error)

    names = list(names)
    with ThreadPoolExecutor() as pool:
        return {name: reason for name, reason in zip(names, pool.map(why, names), strict=True) if reason}


@checked
def identity(part: Any) -> str:
    """Return a short name that identifies a part of a model: its own `identity` if it has one, else a weight hash.

    Args:
        part: a codec or text encoder; None means no codec, as in pixel space.

    Raises:
        ValueError: the part is neither a module nor has an `identity`.
    """
    if part is None:
        return "none"
    if not isinstance(part, nn.Module):
        name = attribute(part, "identity")
        if not isinstance(name, str):
            raise ValueError(
                f"part is {shown(part)}: give a codec or text encoder that is a module or has an `identity`."
            )
        return name
    state = "".join(f"{name} {array_digest(tensor)}\n" for name, tensor in part.state_dict().items())
    return content_digest(state)[:16]

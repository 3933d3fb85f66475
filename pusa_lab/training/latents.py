"""The latent cache: clips and captions encoded once, in sharded safetensors beside a manifest that says how.

    manifest.json, empty.safetensors (the empty caption), shard-00000.safetensors ("0.latents", "0.text", ...)

A shard is written whole and renamed before the manifest names it, so a killed run leaves a valid, smaller cache.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch
from jaxtyping import BFloat16
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.utils.data import Dataset

FORMAT = 1
"""Of the manifest; a reader refuses others."""
MANIFEST, EMPTY = "manifest.json", "empty.safetensors"


@dataclass(frozen=True)
class CacheSettings:
    """What decides the numbers in a cache; caches of different settings are never mixed."""

    model: str
    """Name of the model, or where it was loaded from."""
    size: tuple[int, int]
    """Height and width in pixels."""
    pixel_frames: int
    """Length of each clip in pixel frames."""
    frames: int
    """The same in latent frames."""
    channels: int
    """Of the latents."""
    fps: float
    """Pixel frames per second that were read from the files."""
    start: float
    """Seconds into each file where its clip begins."""
    codec: str
    """Hash of the codec, from `identity`."""
    text_encoder: str
    """Hash of the text encoder, from `identity`."""
    text_length: int
    """Rows to which the model pads a caption's embedding, with zeros."""
    dtype: str = "bfloat16"
    """Of the numbers in the shards."""


class CachedClip(TypedDict):
    """One item of a `LatentCache`."""

    latents: BFloat16[Tensor, "c f h w"]
    text: BFloat16[Tensor, "n d"]
    caption: str
    name: str


class LatentCache(Dataset[CachedClip]):
    """The clips of a cache, in the manifest's order; each is read from disk when it is asked for.

    Args:
        folder: written by a `CacheWriter`.

    Raises:
        ValueError: there is no cache, or a file of it is missing or damaged.
    """

    manifest: dict[str, Any]
    """The settings by name, format, version, clips (name, hash, caption, shard, index), broken files (name, reason)."""
    empty: BFloat16[Tensor, "n d"]
    """The embedding of the empty caption, for text dropout."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder)
        self.empty = self._read(EMPTY, "text")[0]
        for shard in dict.fromkeys(clip["shard"] for clip in self.manifest["clips"]):
            self._read(shard)

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.manifest["clips"])

    def __getitem__(self, i: int) -> CachedClip:
        """Latents as `encode_video` gave them and the caption's embedding without padding, both in bfloat16."""
        clip = self.manifest["clips"][i]
        latents, text = self._read(clip["shard"], f"{clip['index']}.latents", f"{clip['index']}.text")
        return {"latents": latents, "text": text, "caption": clip["caption"], "name": clip["name"]}

    def require(self, **wanted: Any) -> None:
        """Refuse a cache of other settings than a run needs.

        Args:
            **wanted: fields of `CacheSettings`, such as codec=identity(model.codec), size=(480, 832), frames=21.

        Raises:
            ValueError: one of them is another in the cache.
        """
        check_same(self.folder, self.manifest, wanted, "encode the clips again with this model and these sizes")

    def _read(self, file: str, *keys: str) -> list[Tensor]:
        path = self.folder / file
        try:
            with safe_open(path, framework="pt") as tensors:
                return [tensors.get_tensor(key) for key in keys]
        except (SafetensorError, OSError) as error:
            raise ValueError(
                f"{path} is missing or damaged ({error}): delete {self.folder} and encode the clips again."
            ) from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """A cache's manifest.

    Args:
        folder: of the cache.

    Raises:
        ValueError: there is none, or one that this package does not read.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except FileNotFoundError:
        raise ValueError(f"{folder} holds no {MANIFEST}: make a cache with `pusa-lab data encode`.") from None
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{folder / MANIFEST} cannot be read ({error}): encode the clips into a new folder."
        ) from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise ValueError(
            f"{folder} holds a cache of format {found}, this version reads {FORMAT}: encode the clips again."
        )
    return manifest


def identity(part: Any) -> str:
    """A short name that changes with a model's part: its own `identity` if it has one, else a hash of its weights.

    Args:
        part: a codec or text encoder; None is no codec, as in pixel space.
    """
    if part is None:
        return "none"
    if not isinstance(part, nn.Module):
        return str(part.identity)
    told = hashlib.sha256()
    for name, tensor in part.state_dict().items():
        told.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        told.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return told.hexdigest()[:16]


def file_hash(path: Path) -> str:
    """sha256 of a file.

    Args:
        path: the file.
    """
    told = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(2**20):
            told.update(piece)
    return told.hexdigest()


def check_same(folder: Path, manifest: dict[str, Any], wanted: dict[str, Any], then: str) -> None:
    """Refuse a cache that differs from what is wanted.

    Args:
        folder: of the cache.
        manifest: its manifest.
        wanted: fields and their values.
        then: what to do otherwise.

    Raises:
        ValueError: with the first field that differs.
    """
    for name, value in wanted.items():
        value = list(value) if isinstance(value, tuple) else value
        if (there := manifest.get(name)) != value:
            raise ValueError(f"the cache {folder} has {name}={there!r}, wanted is {value!r}: {then}.")

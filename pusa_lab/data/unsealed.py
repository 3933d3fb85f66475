"""Clips of a cache that are encoded and in no shard yet: a file for each, so that a killed run loses next to nothing.

    unsealed/settings.json, unsealed/KEY-DIGEST.safetensors ("latents", "text")

They are there while a run encodes, and after it was killed. Any process may write them; the one that writes the shards
takes them over, and removes them.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import BFloat16, Float
from safetensors.torch import load, save
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.files import content_digest, read_json, write_json, writing

UNSEALED, SETTINGS = "unsealed", "settings.json"
Key = tuple[str, str]
"""Identifies the tensors of a clip: hash of its file, and caption."""


@checked
class Unsealed:
    """The clips of a cache that are encoded and in no shard yet.

    Args:
        cache: its folder.
        head: settings of the clips, from `manifest.head_of`; clips of other settings are not found.
    """

    def __init__(self, cache: Path, head: Mapping[str, Any]) -> None:
        self.cache, self.folder, self.head = cache, cache / UNSEALED, dict(head)

    def write(self, key: Key, latents: Float[Tensor, "c f h w"], text: Float[Tensor, "n d"]) -> None:
        """Write a clip.

        Args:
            key: of the clip.
            latents: (c, f, h, w), stored in bfloat16.
            text: embedding (n, d); rows of zeros at the end are not stored.

        Raises:
            OSError: it cannot be written.
        """
        if not (self.folder / SETTINGS).is_file():
            write_json(self.folder / SETTINGS, self.head)
        data = save({"latents": stored(latents), "text": stored(unpadded(text))})
        with writing(self.folder / f"{self._name(key)}-{content_digest(data)}.safetensors") as part:
            part.write_bytes(data)

    def read(self, key: Key) -> dict[str, BFloat16[Tensor, "..."]] | None:
        """Latents and text of a clip; None if it is not there, or damaged.

        Args:
            key: of the clip.
        """
        for path in self._files(key):
            data = path.read_bytes()
            if content_digest(data) == path.stem.rpartition("-")[2]:
                return load(data)
        return None

    def remove(self, keys: Iterable[Key]) -> None:
        """Remove clips that are in a shard by now.

        Args:
            keys: of the clips.
        """
        for key in keys:
            for path in self._files(key):
                path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all clips."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def __len__(self) -> int:
        """Number of clips."""
        return sum(1 for _ in self.folder.glob("[0-9a-f]*-*.safetensors"))

    def _files(self, key: Key) -> list[Path]:
        return list(self.folder.glob(f"{self._name(key)}-*.safetensors"))

    def _name(self, key: Key) -> str:
        return content_digest(json.dumps([self.head, key], sort_keys=True))[:32]


@checked
def unsealed_settings(cache: Path) -> dict[str, Any] | None:
    """Settings of the clips that a killed run left in no shard; None if there are none.

    Args:
        cache: folder of the cache.

    Raises:
        ValueError: they cannot be read.
    """
    path = cache / UNSEALED / SETTINGS
    if not path.is_file():
        return None
    try:
        found: dict[str, Any] = read_json(path, "the settings of clips", {"version": str})
    except ValueError as error:
        raise ValueError(f"{path} is damaged: delete {path.parent}, whose clips are then encoded again.") from error
    return found


@checked
def unpadded(text: Float[Tensor, "n d"]) -> Float[Tensor, "m d"]:
    """An embedding without the rows of zeros at its end; at least one row.

    Args:
        text: embedding (n, d).
    """
    filled = torch.nonzero(text.any(1))
    return text[: int(filled[-1]) + 1 if len(filled) else 1]


@checked
def stored(x: Tensor) -> BFloat16[Tensor, "..."]:
    """A copy of a tensor as a cache stores it: in bfloat16, on the CPU.

    Args:
        x: any.
    """
    return x.detach().to("cpu", torch.bfloat16, copy=True).contiguous()

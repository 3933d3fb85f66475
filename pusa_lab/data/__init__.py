"""Pictures, clips and folders of clips from files, and the latent cache; everything opens on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pusa_lab.data.cache import CacheWriter
    from pusa_lab.data.clips import read_clip, read_pieces
    from pusa_lab.data.encode import encode_folder, encode_steps
    from pusa_lab.data.encoder import codec_hash, text_hash
    from pusa_lab.data.folders import ClipFile, find_clips, read_folder
    from pusa_lab.data.latents import LatentCache
    from pusa_lab.data.manifest import CacheSettings
    from pusa_lab.data.pictures import read_picture
    from pusa_lab.data.quality import codec_psnr, reconstruct

_NAMES = {
    "cache": ("CacheWriter",),
    "clips": ("read_clip", "read_pieces"),
    "encode": ("encode_folder", "encode_steps"),
    "encoder": ("codec_hash", "text_hash"),
    "folders": ("ClipFile", "find_clips", "read_folder"),
    "latents": ("LatentCache",),
    "manifest": ("CacheSettings",),
    "pictures": ("read_picture",),
    "quality": ("codec_psnr", "reconstruct"),
}
"""Module -> its public names."""
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "CacheSettings",
    "CacheWriter",
    "ClipFile",
    "LatentCache",
    "codec_hash",
    "codec_psnr",
    "encode_folder",
    "encode_steps",
    "find_clips",
    "read_clip",
    "read_folder",
    "read_picture",
    "read_pieces",
    "reconstruct",
    "text_hash",
]


def __dir__() -> list[str]:
    return list(__all__)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pusa_lab.data' has no attribute {name!r}")
    return getattr(import_module(f"pusa_lab.data.{_HOME[name]}"), name)

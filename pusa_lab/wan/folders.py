"""Wan's folders, as published for diffusers: found, and checked before gigabytes are read."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PARTS = {
    "transformer": "the video transformer",
    "vae": "the codec",
    "text_encoder": "UMT5, which reads captions",
    "tokenizer": "UMT5's vocabulary",
}
"""Folder of each part -> what it is; two-expert models also have transformer_2."""


@dataclass(frozen=True)
class Folder:
    """A checked folder: every part is there, and every file is whole."""

    path: Path
    """Where it is."""
    index: dict[str, Any]
    """Its model_index.json."""
    parameters: dict[str, int]
    """Part -> number of its weights."""

    @property
    def experts(self) -> list[str]:
        """The transformers' folders, that for high noise first."""
        return [name for name in ("transformer", "transformer_2") if name in self.parameters]

    def config(self, part: str) -> dict[str, Any]:
        """A part's config.json.

        Args:
            part: one of `PARTS`, or transformer_2.
        """
        return json.loads((self.path / part / "config.json").read_text())

    def identity(self, part: str) -> str:
        """A short name that changes when a part's weights do: of its config and its files' headers and sizes.

        Args:
            part: one of `PARTS`, or transformer_2.
        """
        told = hashlib.sha256((self.path / part / "config.json").read_bytes())
        for file in weight_files(self.path / part):
            told.update(f"{file.name} {file.stat().st_size}".encode() + _header(file))
        return told.hexdigest()[:16]


def find(source: str | Path) -> Path:
    """The local folder of a model; a repository's name is downloaded from the Hugging Face Hub, safetensors only.

    Args:
        source: a folder, or such a name as Wan-AI/Wan2.1-T2V-14B-Diffusers.

    Raises:
        ValueError: there is no such folder and no such repository within reach.
    """
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.json", "*.safetensors", "tokenizer/*"]
    try:
        return Path(snapshot_download(str(source), allow_patterns=wanted))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ValueError(
            f"{source} is no folder here, and the Hugging Face Hub did not give it ({type(error).__name__}): "
            f"give a folder in diffusers' layout, or a name such as Wan-AI/Wan2.1-T2V-1.3B-Diffusers."
        ) from error


def check(path: Path) -> Folder:
    """See that a folder has all of a text-to-video Wan, and that no file is cut short.

    Args:
        path: of the folder.

    Raises:
        ValueError: a part or a shard is missing or truncated, or it is another kind of model.
    """
    if not (path / "model_index.json").is_file():
        raise ValueError(
            f"{path} has no model_index.json: give a folder in diffusers' layout (Wan-AI's repositories ending in "
            f"-Diffusers), or wrap a pipeline of your own with WanModel.from_pipeline."
        )
    index = _json(path / "model_index.json")
    names = dict(PARTS)
    if (index.get("transformer_2") or [None])[0]:
        names["transformer_2"] = "the transformer for low noise"
    for name, what in names.items():
        if not (path / name).is_dir():
            raise ValueError(f"{path} has no folder {name} ({what}): download the whole repository again.")
    weights = [name for name in names if name != "tokenizer"]
    for name in weights:
        _json(path / name / "config.json")
    return Folder(path, index, {name: sum(check_whole(f) for f in weight_files(path / name)) for name in weights})


def weight_files(folder: Path) -> list[Path]:
    """The safetensors of one part: all shards that its index names, or the single file.

    Args:
        folder: of the part.

    Raises:
        ValueError: a shard is missing, or there are only pickles.
    """
    if indices := sorted(folder.glob("*.safetensors.index.json")):
        shards = [folder / name for name in sorted(set(_json(indices[0])["weight_map"].values()))]
        if missing := [shard.name for shard in shards if not shard.is_file()]:
            raise ValueError(f"{folder} lacks {', '.join(missing)} of {len(shards)} shards: download it again.")
        return shards
    if not (files := sorted(folder.glob("*.safetensors"))):
        raise ValueError(f"{folder} has no safetensors: pickled weights are not read, get the safetensors instead.")
    return files


def check_whole(file: Path) -> int:
    """Number of the weights in a safetensors file, from its header.

    Args:
        file: a .safetensors.

    Raises:
        ValueError: it is truncated, or no such file.
    """
    size, header = file.stat().st_size, _header(file)
    try:
        entries = [entry for name, entry in json.loads(header).items() if name != "__metadata__"]
        held = max((entry["data_offsets"][1] for entry in entries), default=0)
        parameters = sum(math.prod(entry["shape"]) for entry in entries)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{file} is no safetensors file: download it again.") from None
    if size != 8 + len(header) + held:
        raise ValueError(f"{file} has {size} bytes, its header wants {8 + len(header) + held}: download it again.")
    return parameters


def _header(file: Path) -> bytes:
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        return stream.read(min(length, 100_000_000))


def _json(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} cannot be read ({type(error).__name__}): download it again.") from error

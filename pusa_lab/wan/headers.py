"""Safetensors files of a Wan: finding those of a part, and reading the header of each, once."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.files import existing_file, parse_json, path_inside, read_bounded
from pusa_lab.sentences import counted, shown

FILES = ("diffusion_pytorch_model.safetensors", "model.safetensors")
"""Names under which diffusers and transformers look for weights in a single file."""
INDEX = ".index.json"
"""Suffix of the file that lists the shards."""
SAMPLES, SAMPLE = 64, 4096
"""Number of samples from a file of weights, which identify it, and their length in bytes."""
LARGEST_HEADER = 100_000_000
"""Largest header that is read, in bytes, as for safetensors itself."""


@dataclass(frozen=True)
class WeightFile:
    """A safetensors file that is whole; its header has been read, its weights have not."""

    path: Path
    """Path of the file."""
    header: bytes = field(repr=False)
    """The header as it is in the file."""
    tensors: dict[str, dict[str, Any]] = field(repr=False)
    """Name of each tensor -> its dtype, shape and data_offsets."""

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(math.prod(entry["shape"]) for entry in self.tensors.values())

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name of each tensor -> its shape."""
        return {name: tuple(entry["shape"]) for name, entry in self.tensors.items()}

    def samples(self) -> Iterator[bytes]:
        """The header, and samples spread over the file, among them one from the middle of each tensor."""
        size = self.path.stat().st_size
        middles = {8 + len(self.header) + sum(entry["data_offsets"]) // 2 for entry in self.tensors.values()}
        spread = {i * max(0, size - SAMPLE) // (SAMPLES - 1) for i in range(SAMPLES)}
        yield self.header
        with self.path.open("rb") as stream:
            for place in sorted(middles | spread):
                stream.seek(place)
                yield stream.read(SAMPLE)


@checked
def read_header(path: Path) -> WeightFile:
    """Read the header of a safetensors file, and check the size of the file against it.

    Args:
        path: of a .safetensors file.

    Raises:
        ValueError: the file is missing, truncated, or not a safetensors file.
    """
    with existing_file(path, "safetensors file").open("rb") as stream:
        size = path.stat().st_size
        length = int.from_bytes(stream.read(8), "little")
        text = stream.read(length) if length <= min(LARGEST_HEADER, size - 8) else b""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        header = None
    entries = {k: v for k, v in header.items() if k != "__metadata__"} if isinstance(header, dict) else {}
    if not isinstance(header, dict) or not all(map(_is_entry, entries.values())):
        raise ValueError(f"{path} is not a safetensors file: download it again.")
    expected = 8 + length + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    if size != expected:
        raise ValueError(f"{path} has {size} bytes, but its header needs {expected}: download it again.")
    return WeightFile(path, text, entries)


def _is_entry(entry: Any) -> bool:
    """Whether a header's entry describes a tensor."""
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        return False
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if not isinstance(shape, list) or not isinstance(offsets, list) or len(offsets) != 2:
        return False
    return all(type(n) is int and 0 <= n < 2**63 for n in (*shape, *offsets)) and offsets[0] <= offsets[1]


@checked
def read_object(file: Path) -> tuple[dict[str, Any], bytes]:
    """Read a JSON file that holds an object; returns the object, and the bytes of the file.

    Args:
        file: a .json file.

    Raises:
        ValueError: the file is missing, is not JSON, or holds something else.
    """
    try:
        found = parse_json(content := read_bounded(file, "JSON"), file, "JSON")
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({type(error).__name__}): download it again.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{file} holds {shown(found)} instead of a JSON object: download it again.")
    return found, content


@checked
def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of one part: all shards that its index lists, or the single file.

    Args:
        folder: of the part.

    Raises:
        ValueError: a shard or the index is missing, a file has another name, or there are only pickles.
    """
    if indices := sorted(
        folder.glob("*.safetensors.index.json"), key=lambda file: file.name[: -len(INDEX)] not in FILES
    ):
        shards, *_ = map(_shards, indices)  # all indices are checked, because diffusers may read another one
        if missing := [shard.name for shard in shards if not shard.is_file()]:
            raise ValueError(
                f"{folder} lacks {', '.join(missing)} of {counted(len(shards), 'shard')}: download it again."
            )
        return shards
    if not (files := sorted(folder.glob("*.safetensors"))):
        raise ValueError(f"{folder} has no safetensors files: download those, because pickled weights are not read.")
    if len(files) > 1 or "-of-" in files[0].name:
        raise ValueError(
            f"{folder} has no index (*.safetensors.index.json) of its safetensors ({len(files)}, first "
            f"{files[0].name}): download the whole folder again, or keep a single file with all weights."
        )
    if files[0].name not in FILES:
        raise ValueError(
            f"{files[0].name!r} is not a name that diffusers looks for: rename {str(files[0])!r:.300} to "
            f"{' or '.join(FILES)}."
        )
    return files


def _shards(index: Path) -> list[Path]:
    """The files that an index lists, all in its own folder."""
    named = read_object(index)[0].get("weight_map")
    if not isinstance(named, dict) or not named:
        raise ValueError(f"{index} lists no shards: download it again.")
    # links are not resolved: in the Hub's cache they point to files elsewhere
    found = [path_inside(index.parent, name, str(index)) for name in named.values()]
    return sorted(set(found))

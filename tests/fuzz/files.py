"""Damaged files: bytes flipped, cut or added, fields of JSON lost or changed; read right, or one clear sentence."""
# ruff: noqa: E501, tables of values

import json
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import judge, objects

VALUES: list[Any] = [
    None, -1, 0, 1, 10**9, 1.5, 10**400, float("nan"), True, "", "a", "../../x", "/etc/passwd", "\0", "x" * 5000, [], [[]], [1, "a"], {},
    {"a": {"a": []}}, "1e999", [None] * 100,
]  # fmt: skip
"""What a field of JSON may become."""


def of_bytes(data: bytes, rng: random.Random) -> bytes:
    """A copy with some bytes changed, cut off, doubled or put in.

    Args:
        data: of a file.
        rng: of the case.
    """
    way, at = rng.randrange(7), rng.randrange(len(data) + 1)
    if way == 0:
        return data[:at]
    if way == 1:
        return data + rng.randbytes(rng.choice((1, 100, 5000)))
    if way == 2:
        return data[:at] + rng.randbytes(16) + data[at:]
    if way == 3:
        return b"" if rng.random() < 0.3 else rng.randbytes(len(data) % 5000)
    if way == 4:
        return data[at:] + data[:at]
    changed = bytearray(data)
    for _ in range(rng.choice((1, 4, 16))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def of_json(data: bytes, rng: random.Random) -> bytes:
    """A copy with a field lost, changed or nested deeply.

    Args:
        data: a JSON object's text.
        rng: of the case.
    """
    if rng.random() < 0.25:
        return of_bytes(data, rng)
    found = json.loads(data)
    if rng.random() < 0.1:
        return json.dumps(rng.choice(VALUES)).encode()
    if rng.random() < 0.05:
        return b"[" * 100_000
    place = found
    while isinstance(place, dict | list) and place:
        key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
        if not (isinstance(place[key], dict | list) and place[key] and rng.random() < 0.6):
            if rng.random() < 0.3:
                place.pop(key)
            else:
                place[key] = rng.choice(VALUES)
            break
        place = place[key]
    return json.dumps(found).encode()


def of_safetensors(data: bytes, rng: random.Random) -> bytes:
    """A copy whose header tells something else.

    Args:
        data: of a .safetensors file.
        rng: of the case.
    """
    if rng.random() < 0.4:
        return of_bytes(data, rng)
    size = struct.unpack("<Q", data[:8])[0]
    header = data[8 : 8 + size]
    if rng.random() < 0.5 and "__metadata__" in (found := json.loads(header)):
        name = rng.choice(list(found["__metadata__"]))
        text = found["__metadata__"][name].encode()
        found["__metadata__"][name] = (of_json(text, rng) if text[:1] == b"{" else of_bytes(text, rng)).decode(
            "latin-1"
        )
        header = json.dumps(found).encode()
    else:
        header = of_json(header, rng)
    return struct.pack("<Q", rng.choice((len(header), len(header), len(header), 2**40))) + header + data[8 + size :]


HASHED = ("file checkpoint", "file shard", "file picture")
"""Kinds whose files tell whether they are whole: what is read from a damaged one is what was written."""


class Damage:
    """One kind of file, as a thing that is played."""

    module = "files"

    def __init__(
        self, name: str, make: Callable[[], Path], inside: str, how: Any, read: Any, names: tuple[str, ...]
    ) -> None:
        self.name, self.make, self.inside, self.how, self.read, self.names = (
            f"file {name}",
            make,
            inside,
            how,
            read,
            names,
        )

    def played(self, rng: random.Random) -> tuple[str, judge.Verdict]:
        """Damage a copy and read it.

        Args:
            rng: of the case.
        """
        source, number = self.make(), rng.randrange(2**32)
        at = objects.new("damaged")
        if source.is_dir():
            shutil.copytree(source, at)
        else:
            at.mkdir()
            shutil.copy(source, at / source.name)
            if source.with_suffix(".json").is_file():
                shutil.copy(source.with_suffix(".json"), at)
        choices = sorted(at.glob(self.inside))
        file = choices[number % len(choices)]
        file.write_bytes(self.how(file.read_bytes(), random.Random(number)))
        verdict = judge.judged(lambda: self.read(file, at), {}, self.names, lambda result: self._fault(result, source))
        if verdict.outcome != judge.ELSE:
            shutil.rmtree(at, ignore_errors=True)
        return f"damaged({self.name!r}, {number})", verdict

    def _fault(self, result: Any, source: Path) -> str:
        if judge.not_finite(result):
            return "read numbers that are not finite"
        if self.name not in HASHED:
            return ""
        file = source if source.is_file() else sorted(source.glob(self.inside))[0]
        sound = self.read(file, source)
        same = len(sound) == len(result) and all(np.array_equal(a, b) for a, b in zip(sound, result, strict=True))
        return "" if same else "read other values than were written, without a word"


def _the(name: str) -> Any:
    return objects.the(name)


def _cache(file: Path, at: Path) -> Any:
    cache = _the("pusa_lab.data.latents.LatentCache")(at)
    return [cache[i]["latents"].float() for i in range(len(cache))]


def _wan(file: Path, at: Path) -> Any:
    return bool(_the("pusa_lab.wan.folders.check_wan_folder")(at))


def _lora(file: Path, at: Path) -> Any:
    _the("pusa_lab.wan.lora.load_lora")(objects.transformer(), file)


def _captioned() -> Path:
    """A folder of clips with a table of captions."""
    at = objects.folder() / "captioned"
    if not at.is_dir():
        at.mkdir()
        shutil.copy(objects.clip_file(), at / "0.mp4")
        (at / "captions.csv").write_text('file,caption\n0.mp4,"a red circle, moving"\n')
    return at


def _jpeg() -> Path:
    from PIL import Image

    at = objects.folder() / "picture.jpg"
    Image.fromarray(objects.picture()).save(at)
    return at


def damages() -> list[Damage]:
    """All kinds."""
    picture, load = ("data.read_picture: ",), ("small_models.load: ",)
    cache = ("data.LatentCache: ", "data.LatentCache.__getitem__: ")
    return [
        Damage("checkpoint", objects.kept_checkpoint, "*.safetensors", of_safetensors, lambda f, at: small(f), load),
        Damage("checkpoint without card", _bare, "*.safetensors", of_safetensors, lambda f, at: small(f), load),
        Damage("card", objects.kept_checkpoint, "*.json", of_json, lambda f, at: small(f.with_suffix(".safetensors")), load),
        Damage("manifest", objects.cache_folder, "manifest.json", of_json, _cache, cache),
        Damage("shard", objects.cache_folder, "*.safetensors", of_safetensors, _cache, cache),
        Damage("lora", objects.lora_file, "*.safetensors", of_safetensors, _lora, ("wan.load_lora: ",)),
        Damage("wan's JSON", objects.wan_folder, "**/*.json", of_json, _wan, ("wan.check_wan_folder: ",)),
        Damage("wan's weights", objects.wan_folder, "**/*.safetensors", of_safetensors, _wan, ("wan.check_wan_folder: ",)),
        Damage("picture", objects.picture_file, "*", of_bytes, lambda f, at: _the("pusa_lab.data.read_picture")(f), picture),
        Damage("photograph", _jpeg, "*", of_bytes, lambda f, at: _the("pusa_lab.data.read_picture")(f), picture),
        Damage("clip", objects.clip_file, "*.mp4", of_bytes, lambda f, at: _the("pusa_lab.data.read_clip")(f), ("data.read_clip: ",)),
        Damage("captions", _captioned, "captions.csv", of_bytes, lambda f, at: len(_the("pusa_lab.data.find_clips")(at)), ("data.find_clips: ",)),
        Damage("results", _results, "*.json", of_json, lambda f, at: bool(_the("small_models.experiments.records.read_results")(f)), ("small_models.read_results: ",)),
    ]  # fmt: skip


def small(path: Path) -> Any:
    """The weights of a checkpoint.

    Args:
        path: of the file.
    """
    return list(_the("small_models.models.zoo.load")(path, "cpu").state_dict().values())


def _bare() -> Path:
    at = objects.folder() / "bare.safetensors"
    if not at.is_file():
        shutil.copy(objects.kept_checkpoint(), at)
    return at


def _results() -> Path:
    return objects.ROOT / "small_models" / "results" / "paper" / "steps.json"


def damaged(name: str, number: int) -> Any:
    """Damage and read again: what a printed case calls.

    Args:
        name: of the kind.
        number: of the damage.
    """

    class Fixed(random.Random):
        def randrange(self, *args: Any) -> int:
            return number

    return next(d for d in damages() if d.name == name).played(Fixed())

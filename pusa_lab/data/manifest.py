"""The manifest of a latent cache: settings, the place of each clip, and differences from the folder of clips."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from pusa_lab.arguments import checked
from pusa_lab.data.clips import check_times
from pusa_lab.data.folders import ClipFile, find_clips
from pusa_lab.files import check_fields, content_digest, digest, path_inside, read_json
from pusa_lab.sentences import counted

FORMAT = 3
"""Version of the manifest's format; a reader refuses others."""
MANIFEST, EMPTY = "manifest.json", "empty.safetensors"
MOST_CACHED_FRAMES, MOST_CACHED_SIDE, MOST_CACHED_PIXELS = 2**16, 2**14, 2**31
"""Most frames of a clip, pixels along a side, and pixels of a whole clip (28 times 81 frames at 720p)."""
HEAD = {
    "format": int,
    "version": str,
    "digest": str,
    "source": str,
    "files": dict,
    "clips": list,
    "spare": list,
    "broken": list,
}
PLACE = {"hash": str, "caption": str, "shard": str, "index": int, "latents": list, "text": list}
CLIP = {"name": str, "bytes": int, "mtime": int, **PLACE}
BROKEN = {"name": str, "reason": str, "hash": str, "caption": str, "bytes": int, "mtime": int}


@checked
@dataclass(frozen=True)
class CacheSettings:
    """The settings that determine the numbers in a cache; clips of different settings are never mixed."""

    model: str
    """Name of the model, or where it was loaded from."""
    size: tuple[int, int]
    """Height and width in pixels."""
    num_frames: int
    """Length of each clip in pixel frames."""
    latent_frames: int
    """Length of each clip in latent frames."""
    channels: int
    """Channels of the latents."""
    fps: int | float
    """Pixel frames per second read from the files."""
    start: int | float
    """Time in each file at which its clip begins, in seconds."""
    codec: str
    """Hash of the codec, from `identity`."""
    text_encoder: str
    """Hash of the text encoder, from `identity`."""
    text_length: int
    """Number of rows to which the model pads the embedding of a caption, with zeros."""
    dtype: str = "bfloat16"
    """Type of the numbers in the shards."""

    def __post_init__(self) -> None:
        """Refuse impossible sizes before anything is built for them."""
        (h, w), n = self.size, self.num_frames
        if min(h, w) < 1 or max(h, w) > MOST_CACHED_SIDE:
            raise ValueError(f"size={h} x {w}: give a height and a width of 1 to {MOST_CACHED_SIDE} pixels.")
        if not 1 <= n <= MOST_CACHED_FRAMES:
            raise ValueError(f"num_frames={n}: give 1 to {MOST_CACHED_FRAMES}.")
        if not 1 <= self.latent_frames <= n:
            raise ValueError(f"latent_frames={self.latent_frames} for num_frames={n}: give 1 to {n}.")
        if n * h * w > MOST_CACHED_PIXELS:
            many = f"{counted(n, 'frame')} of {h} x {w} have more than {MOST_CACHED_PIXELS} pixels"
            raise ValueError(f"{many}: give shorter or smaller clips.")
        if not (1 <= self.channels <= 4096 and 1 <= self.text_length <= 2**16):
            raise ValueError(
                f"channels={self.channels}, text_length={self.text_length}: give 1 to 4096, and 1 to 65536."
            )
        check_times(self.fps, self.start)
        if self.dtype != "bfloat16":
            raise ValueError(f"dtype={self.dtype!r:.40}: give 'bfloat16', the only type that a cache holds.")


class FileState(NamedTuple):
    """Tells whether a file has changed: equal size and time mean that it has not, otherwise the hash decides."""

    hash: str
    """sha256; "" if the file was not read."""
    bytes: int
    """Size in bytes."""
    mtime: int
    """Time of the last change, in nanoseconds."""


@checked
def file_state(path: Path) -> FileState:
    """Return the state of a file; the whole file is read.

    Args:
        path: of the file.

    Raises:
        OSError: the file cannot be read.
    """
    found, stat = digest(path), path.stat()
    return FileState(found, stat.st_size, stat.st_mtime_ns)


@checked
def read_manifest(folder: Path) -> dict[str, Any]:
    """Read and check the manifest of a cache, which need not come from this package.

    Args:
        folder: of the cache.

    Returns:
        Its fields by name, without the digest.

    Raises:
        ValueError: there is no manifest, it is of another format, a field has an impossible value, or it was changed.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ValueError(f"{folder} holds no {MANIFEST}: make a cache with `pusa-lab data encode`.")
    wrong = f"{path} cannot be read as the manifest of a cache"
    try:
        found = read_json(path, "a manifest")
    except ValueError as error:
        raise ValueError(f"the cache {folder} cannot be read: {error}") from error
    check_fields(found, wrong, {"format": object})
    if found["format"] != FORMAT or isinstance(found["format"], bool):
        raise ValueError(
            f"{folder} holds a cache of format {found['format']!r:.40}, and this version reads format {FORMAT}: "
            "encode the clips again, into a new folder."
        )
    check_fields(found, wrong, HEAD)
    try:
        _check(folder, found)
    except ValueError as error:
        because = str(error).removesuffix(": restore the file.").rstrip(".")
        raise ValueError(f"{wrong} ({because}): restore the file.") from error
    if found.pop("digest") != manifest_digest(found):
        raise ValueError(f"{wrong} (it was changed after it was written): restore the file.")
    return found


@checked
def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """Return the sha256 of a whole manifest, so that no clip can be given the tensors or caption of another.

    Args:
        manifest: as read or to be written; its own digest is ignored.
    """
    text = json.dumps({k: v for k, v in manifest.items() if k != "digest"}, sort_keys=True)
    return content_digest(text)


def _check(folder: Path, found: dict[str, Any]) -> None:
    """Refuse impossible values."""
    names = [field.name for field in fields(CacheSettings)]
    check_fields(found, "its settings", dict.fromkeys(names, object))
    settings = CacheSettings(**{name: found[name] for name in names})
    for name, value in found["files"].items():
        path_inside(folder, name, "files")
        if not isinstance(value, str):
            raise ValueError(f"the hash of {name:.80} is {value!r:.40}")
    if EMPTY not in found["files"]:
        raise ValueError(f"no hash of {EMPTY}")
    shape: list[Any] = []
    for kind, expected in (("clips", CLIP), ("spare", PLACE), ("broken", BROKEN)):
        for number, entry in enumerate(found[kind]):
            check_fields(entry, f"{kind} {number}", expected)
            if kind != "broken":
                shape = shape or [entry["latents"][2:], entry["text"][1:]]
                _check_place(folder, entry, found["files"], settings, shape)
    _check_names(found)


def _check_names(found: Mapping[str, Any]) -> None:
    """Refuse two clips with the same name or the same tensors, and a folder of clips that is not an absolute path."""
    clips = [clip["name"] for clip in found["clips"]]
    if len(set(clips)) < len(clips):
        raise ValueError("two clips have the same name")
    owners: dict[tuple[str, int], tuple[str, str]] = {}
    for place in (*found["clips"], *found["spare"]):
        owner, at = (place["hash"], place["caption"]), (place["shard"], place["index"])
        if owners.setdefault(at, owner) != owner:
            raise ValueError(f"two clips share index {at[1]} of {at[0]:.80}")
    if "\0" in found["source"] or (found["source"] and not Path(found["source"]).is_absolute()):
        raise ValueError(f"the folder of clips is {found['source']!r:.80}")


def _check_place(
    folder: Path, entry: Mapping[str, Any], files: Mapping[str, str], settings: CacheSettings, shape: list[Any]
) -> None:
    """Refuse a clip whose place is impossible, or whose shape differs from the others."""
    path_inside(folder, entry["shard"], "clips")
    if entry["shard"] not in files:
        raise ValueError(f"no hash of {entry['shard']:.80}")
    latents, text = entry["latents"], entry["text"]
    sizes = [*latents, *text, entry["index"] + 1]
    if any(not isinstance(n, int) or isinstance(n, bool) or not 1 <= n <= 2**31 for n in sizes):
        raise ValueError(f"index {entry['index']!r:.30}, latents {latents!r:.60}, text {text!r:.60}")
    if len(latents) != 4 or len(text) != 2 or latents[:2] != [settings.channels, settings.latent_frames]:
        raise ValueError(
            f"latents {latents!r:.60}, text {text!r:.60} for {settings.channels} x {settings.latent_frames}"
        )
    if settings.size[0] < latents[2] or settings.size[1] < latents[3]:
        raise ValueError(f"latents {latents!r:.60} for {settings.size[0]} x {settings.size[1]} pixels")
    if not (type(db := entry.get("psnr", 0)) in (int, float) and abs(db) < math.inf):
        raise ValueError(f"psnr {db!r:.40}")
    if [latents[2:], text[1:]] != shape or text[0] > settings.text_length:
        raise ValueError(f"latents {latents!r:.60}, text {text!r:.60}, unlike those of other clips")


@checked
def codec_psnrs(manifest: Mapping[str, Any]) -> list[float]:
    """What the codec keeps of those clips of a cache that were measured, in dB.

    Args:
        manifest: of the cache.

    Raises:
        ValueError: it is not the manifest of a cache.
    """
    check_fields(manifest, "manifest is not that of a cache", {"clips": list})
    return [float(clip["psnr"]) for clip in manifest["clips"] if "psnr" in clip]


@checked
def difference(manifest: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Describe the first setting in which a cache differs, as the end of a sentence; "" if there is none.

    Args:
        manifest: of the cache.
        wanted: the expected settings by name.
    """
    for name, value in wanted.items():
        value = list(value) if isinstance(value, tuple) else value
        if (there := manifest.get(name)) != value:
            return f"was made with {name}={there!r}, but {value!r} is expected"
    return ""


@checked
def source_differences(manifest: dict[str, Any]) -> list[str]:
    """List how the folder of clips differs from what was encoded, such as "2 gone (a.mp4, b.mp4)".

    Size and time of each file are compared; if either has changed, the file is read and its hash compared.

    Args:
        manifest: of the cache. If its folder of clips no longer exists, nothing is compared.

    Raises:
        ValueError: it is not the manifest of a cache.
    """
    check_fields(manifest, "manifest is not that of a cache", {"source": str, "clips": list, "broken": list})
    source = Path(manifest["source"])
    try:
        if not manifest["source"] or not source.is_dir():
            return []
        found = find_clips(source, need_captions=all(clip["caption"] for clip in manifest["clips"]))
    except OSError:  # such as a folder of the same name that belongs to another user
        return []
    except ValueError as error:
        return [str(error).rstrip(".")]
    there = {clip["name"]: clip for clip in manifest["clips"]}
    broken = {clip["name"]: clip for clip in manifest["broken"]}
    kinds: dict[str, list[str]] = {}
    for clip in found:
        if kind := _changed(clip, there.get(clip.name), broken.get(clip.name)):
            kinds.setdefault(kind, []).append(clip.name)
    if gone := sorted(set(there) - {clip.name for clip in found}):
        kinds["gone"] = gone
    return [
        f"{len(names)} {kind} ({', '.join(names[:3])}{', ...' * (len(names) > 3)})" for kind, names in kinds.items()
    ]


def _changed(clip: ClipFile, there: Mapping[str, Any] | None, broken: Mapping[str, Any] | None) -> str:
    """What has happened to a clip since it was encoded or found broken; "" if nothing."""
    if there is None and broken is None:
        return "" if clip.problem else "new"
    if clip.problem:
        return "no longer usable" if there is not None else ""
    before = there or broken or {}
    if before["caption"] != clip.caption:
        return "with another caption"
    try:
        stat = clip.path.stat()
        if (stat.st_size, stat.st_mtime_ns) == (before["bytes"], before["mtime"]):
            return ""
        return "" if digest(clip.path) == before["hash"] else "changed"
    except OSError:
        return "no longer usable" if there is not None else ""

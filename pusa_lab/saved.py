"""Results as files: the video, and everything that is needed to make it again.

`save_result` writes, next to the MP4s, `NAME.request.json` (the request, which every MP4 holds too) and, if there is
something to put into it, `NAME.safetensors` (known clips, embeddings, and the latents if asked for).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.digests import array_digest
from pusa_lab.files import check_fields, check_folder, check_writable, path_inside, read_json, write_json, writing
from pusa_lab.progress import progress_bar
from pusa_lab.requests import Request, restore_request
from pusa_lab.runs import Result
from pusa_lab.sentences import shown

FORMAT = 1
"""Version of the files' format; a reader refuses others."""
NAME = "video"
"""Name of the files in a folder, without extension."""
SUFFIXES = (".mp4", ".safetensors")
"""How a name may end, if it is not a folder's."""
MOST_FILES = 100_000
"""Videos of one result."""
KEY = "pusa_lab"
"""Where the request stands in a .safetensors file."""
_FIELDS: dict[str, Any] = {
    **{"request": dict, "schedule": list, "videos": list, "tensors": (str, type(None)), "digest": str, "scale": int},
    **{"seconds": (int, float), "calls": int, "row": (int, type(None))},
    **{"share": (int, float)},
}


@dataclass(frozen=True)
class Saved:
    """What a file of a result says."""

    path: Path
    """Path of the file that was read."""
    request: Request
    """How it was made."""
    about: dict[str, Any]
    """Names of the other files, and the numbers of the result."""
    tensors: dict[str, Tensor]
    """Known clips, embeddings and latents."""


@checked
def save_result(
    result: Result, path: str | Path, latents: bool = False, about: Mapping[str, Any] | None = None
) -> list[Path]:
    """Write a result and what is needed to make it again.

    Args:
        result: of `generate`.
        path: a folder; or a file that ends in .mp4, which the others lie beside, several videos numbered; or one that
            ends in .safetensors, which then holds latents, inputs and request, and no video is written.
        latents: whether the latents are written too.
        about: more to put into the files, such as the command; JSON holds it.

    Returns:
        The files, the videos first.

    Raises:
        ValueError: the name ends otherwise, or the result has no request, or no video for an .mp4.
        OSError: writing failed, for example because the disk is full.
    """
    if result.request is None:
        raise ValueError("the result has no request, since it was not made by generate: write its video alone.")
    path = Path(path)
    alone = path.suffix == ".safetensors"
    videos, tensors, note = files_of(path, len(result.latents))
    if not alone and not result.video.shape[1]:
        raise ValueError("the result has no video, only latents: give a .safetensors name, or result.decode(model).")
    held = dict(result.inputs) | ({"latents": result.latents} if latents or alone else {})
    scale = written_scale(result.request.size)
    whole = _whole(result.request, about or {}) | {
        **{"format": FORMAT, "videos": [] if alone else [one.name for one in videos], "scale": scale},
        **{"tensors": tensors.name if held else None, "digest": array_digest(result.latents)},
        **{"seconds": result.seconds, "calls": result.calls, "row": result.row},
        **{"share": result.share},
    }
    one = _of_sample(whole, 0) if len(videos) == 1 else whole
    for file in (*(() if alone else (*videos, note)), *((tensors,) if held else ())):
        check_writable(file, "the result")
    if held:
        _write_tensors(tensors, held | {"schedule": result.schedule}, one)
    if alone:
        return [tensors]
    _write_videos(videos, result, scale, whole)
    write_json(note, one)
    return [*videos, note, *([tensors] if held else [])]


@checked
def files_of(path: Path, count: int) -> tuple[list[Path], Path, Path]:
    """The files that a result of so many samples is written to: its videos, its tensors and its request.

    Args:
        path: as `save_result`.
        count: samples.

    Raises:
        ValueError: the name ends otherwise, or there are too many samples.
    """
    if not 1 <= count <= MOST_FILES:
        raise ValueError(f"count={count}: give 1 to {MOST_FILES:,} samples.")
    if path.suffix and path.suffix not in SUFFIXES and not path.is_dir():
        raise ValueError(f"{path} ends in {path.suffix}: give a folder, or a name that ends in .mp4 or .safetensors.")
    if path.suffix in SUFFIXES and not path.is_dir():
        stem = path.with_suffix("")
    else:
        stem = check_folder(path, "the result") / NAME
    numbers = [""] if count == 1 else [f"-{i}" for i in range(count)]
    videos = [stem.with_name(f"{stem.name}{number}.mp4") for number in numbers]
    return videos, stem.with_name(f"{stem.name}.safetensors"), stem.with_name(f"{stem.name}.request.json")


@checked
def written_scale(size: list[int]) -> int:
    """How much a video is enlarged when it is written: at least to 128 pixels high, and to even sides, as MP4 needs.

    Args:
        size: height and width in pixels, each at least 1.

    Raises:
        ValueError: they are not two such numbers.
    """
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size={size}: give height and width in pixels, at least 1.")
    scale = max(1, 128 // size[0])
    return scale + 1 if any(side * scale % 2 for side in size) else scale


def _whole(request: Request, about: Mapping[str, Any]) -> dict[str, Any]:
    """The request, with what people look for first outside."""
    held = request.as_dict()
    schedule = held.pop("schedule")
    return {"task": request.task, "versions": request.versions, **about, "schedule": schedule, "request": held}


def _of_sample(whole: dict[str, Any], i: int) -> dict[str, Any]:
    request = whole["request"]
    return {"prompt": request["prompts"][i], "seed": request["seeds"][i], "sample": i} | whole


def _write_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    held = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with writing(path) as part:
        save_file(held, part, {KEY: json.dumps(about)})


def _write_videos(paths: list[Path], result: Result, scale: int, whole: dict[str, Any]) -> None:
    from pusa_lab import media

    assert result.request is not None
    for i, path in progress_bar(enumerate(paths), len(paths), "writing", "video"):
        media.write_clip(path, result.video[i], result.request.fps, scale, _of_sample(whole, i))


@checked
def read_saved(path: Path) -> Saved:
    """A result's request and tensors, from any of its files.

    Args:
        path: of a file, or of the folder.

    Raises:
        ValueError: there is no result, a file is damaged or missing, or it is of another version.
    """
    if path.is_dir():
        if not (path / f"{NAME}.request.json").is_file():
            raise ValueError(f"{path} holds no {NAME}.request.json: give the folder that Result.save wrote.")
        path = path / f"{NAME}.request.json"
    found = _about(path)
    sentence = f"{path} is not a result that can be read"
    if not isinstance(found, dict) or "format" not in found:
        raise ValueError(f"{sentence} (no 'format' in it): give a file that Result.save or `pusa-lab generate` wrote.")
    if found["format"] != FORMAT or isinstance(found["format"], bool):
        raise ValueError(
            f"{path} is a result in format {shown(found['format'])}, and this pusa_lab reads format {FORMAT}: use the "
            f"version that wrote it."
        )
    found.setdefault("share", 1.0)  # older files lack it
    check_fields(found, sentence, _FIELDS)
    if not 1 <= found["scale"] <= 256:
        raise ValueError(f"{sentence} ('scale' is {shown(found['scale'])}): restore the file.")
    request = restore_request(found["request"] | {"schedule": found["schedule"]}, sentence)
    tensors = path_inside(path.parent, found["tensors"], str(path)) if found["tensors"] else None
    return Saved(path, request, found, _tensors(tensors) if tensors else {})


def _about(path: Path) -> Any:
    if path.suffix == ".mp4":
        from pusa_lab import media

        return media.read_metadata(path)
    if path.suffix != ".safetensors":
        return read_json(path, "a result")
    try:
        with safe_open(path, "pt") as file:
            return json.loads((file.metadata() or {}).get(KEY, "null"))
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a result that can be read ({_reason(error)}): restore the file.") from None


def _reason(error: Exception) -> str:
    return " ".join(f"{error}".split())[:120]


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path}, to which the result refers, cannot be read ({_reason(error)}).") from None

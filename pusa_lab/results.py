"""Results that were saved: read again, and made again bit for bit."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pusa_lab.arguments import checked
from pusa_lab.digests import UNKNOWN, array_digest
from pusa_lab.files import path_inside
from pusa_lab.generate import generate
from pusa_lab.guidance import GUIDERS
from pusa_lab.import_paths import import_paths, is_import_path
from pusa_lab.models import families, load
from pusa_lab.named import plug_in, source_changes, source_digest, spelled_back
from pusa_lab.requests import Request, describe_model, requested_task, spelled_name, torch_settings
from pusa_lab.runs import Result
from pusa_lab.saved import Saved, read_saved
from pusa_lab.solvers import SOLVERS
from pusa_lab.tasks import MODES
from pusa_lab.types import Rising, VideoModel
from pusa_lab.versions import device_name, versions

NAMED: tuple[Mapping[str, Any], ...] = (SOLVERS, GUIDERS, MODES)
"""Registries whose names a request holds."""


@checked
def load_result(path: str | Path) -> Result:
    """Read a result that `Result.save` or `pusa-lab generate` wrote.

    Args:
        path: its folder, or one of its files.

    Returns:
        The result. Its video is read from the MP4s, whose compression is lossy: `rerun`, or `Result.decode` of saved
        latents, gives the frames exactly. Latents that were not saved are empty, (b, 0, 0, 0, 0).

    Raises:
        ValueError: there is no result, a file is damaged or missing, or it is of another version.
    """
    saved = read_saved(Path(path))
    request, about = saved.request, saved.about
    count, scale = len(request.prompts), about["scale"]
    latents = saved.tensors.pop("latents", torch.empty(count, 0, 0, 0, 0))
    saved.tensors.pop("schedule", None)
    video = np.empty((count, 0, *request.size, 3), np.uint8)
    if about["videos"]:
        video = np.stack(_same_shape(saved, [_clip(saved, name, scale) for name in about["videos"]]))
    row = about["row"]
    numbers = about["seconds"], request.task, about["calls"], row, request, saved.tensors
    return Result(video, latents, torch.tensor(request.schedule), *numbers, share=about["share"])


def _clip(saved: Saved, name: Any, scale: int) -> np.ndarray:
    from pusa_lab.data import read_clip

    clip = read_clip(path_inside(saved.path.parent, name, str(saved.path)))
    return clip[:, scale // 2 :: scale, scale // 2 :: scale]


def _same_shape(saved: Saved, clips: list[np.ndarray]) -> list[np.ndarray]:
    if len({clip.shape for clip in clips}) > 1 or len(clips) != len(saved.request.prompts):
        raise ValueError(f"{saved.path} has videos that do not belong together: restore the files.")
    return clips


@checked
def rerun(path: str | Path, model: VideoModel | None = None, **options: Any) -> Result:
    """Make a saved result again: the same frames bit for bit, on the same machine with the same versions.

    Modules of plug-ins that the file names are imported, so rerun only files that you trust.

    Args:
        path: a folder or file of `Result.save` or `pusa-lab generate`.
        model: the model that makes the result; None loads the one that the file names.
        **options: as `generate`, in place of what the file says, such as solver= if it was a lambda; callback=None runs
            without the callback that changed latents.

    Returns:
        The result. If its frames are not those of the file, a warning says what differs.

    Raises:
        ValueError: the file is damaged or incomplete; the model, its weights, or a function of your own is not the same
            here, or cannot be found; or the latents were changed during the run by something that cannot be imported.
    """
    saved = read_saved(Path(path))
    request, own_model = saved.request, model is None
    _refuse_import_paths(saved, own_model, options)
    model = _model(saved) if model is None else model
    differences = _differences(saved, model, own_model, options) + _check_own(saved, options)
    asked = _options(saved, options)
    prompts, task = asked.pop("prompt"), asked.pop("task")
    result = generate(model, prompts, task, **asked)
    if not options.keys() - {"progress", "callback"} and array_digest(result.latents) != saved.about["digest"]:
        if request.steered:
            differences.append(f"{_listed(request.steered)} had been changed on the way{_by(request)}")
        why = "; ".join(differences) or "the file records no other difference, so the run may have been steered"
        warnings.warn(f"the frames differ from those of {saved.path}: {why}.", stacklevel=3)
    return _called_so(result, request, options)


def _listed(steered: list[str]) -> str:
    more = f" and {len(steered) - 1} more" if len(steered) > 1 else ""
    return f"{steered[0]:.80}{more}"


def _by(request: Request) -> str:
    return f" by the callback {spelled_name(request.callback):.80}" if request.callback is not None else ""


def _called_so(result: Result, saved: Request, options: Mapping[str, Any]) -> Result:
    """The same with the call that made the matrix, which `generate` was given as it is, and the callback."""
    assert result.request is not None
    asked: dict[str, Any] = {} if "callback" in options else {"callback": saved.callback}
    if "schedule" not in options:
        asked |= {name: getattr(saved, name) for name in ("schedule_call", "steps", "shift")}
        name = saved.schedule_call.partition("(")[0]
        schedule = {key: place for key, place in saved.own.items() if key.rpartition(":")[2] == name}
        asked["own"] = result.request.own | schedule
    return replace(result, request=replace(result.request, **asked))


def _refuse_import_paths(saved: Saved, own_model: bool, options: Mapping[str, Any]) -> None:
    """A file names no code to be run under the names of solvers, guiders, modes and models."""
    request = saved.request
    named = {"solver": request.solver, "guidance": request.guidance}
    named = {name: text for name, text in named.items() if name not in options}
    named |= {"model": request.model["name"]} if own_model else {}
    modes = [] if "task" in options else [("task", known.get("mode")) for known in request.known]
    for name, text in (*named.items(), *modes):
        if isinstance(text, str) and (paths := import_paths(text)):
            raise ValueError(
                f"{saved.path} names {paths[0]:.200}, which is imported only where you name it: give {name}= if you "
                f"trust it."
            )


def _model(saved: Saved) -> VideoModel:
    name, options = saved.request.model["name"], saved.request.model["options"]
    if saved.request.model["digest"] == UNKNOWN and not options and not _is_known(name):
        raise ValueError(f"{saved.path} was made by {name!r:.80}, which pl.load did not make: give model=.")
    return load(name, **{key: spelled_back(one, f"the model's {key}") for key, one in options.items()})


def _is_known(name: str) -> bool:
    return any(family.knows(name) for family in families())


def _differences(saved: Saved, model: VideoModel, own_model: bool, options: Mapping[str, Any]) -> list[str]:
    """What is not as it was, in words; other weights of a model that the file names are refused."""
    request, here = saved.request, describe_model(model)
    there = request.model
    if here["weights"] != there["weights"]:
        if own_model:
            raise ValueError(
                f"{there['name']} has other weights here than when {saved.path} was made (digest {here['weights']} "
                f"instead of {there['weights']:.16}): restore them, or give model= to run it with others."
            )
        return [f"the model's weights (digest {here['weights']} instead of {there['weights']:.16})"]
    found = [
        f"{name} {version} instead of {request.versions.get(name, 'none')!s:.40}"
        for name, version in versions().items()
        if request.versions.get(name) != version
    ]
    if (device := device_name(model.device)) != request.device:
        found.append(f"the device, {device} instead of {request.device:.60}")
    found += [
        f"{name}, {value} instead of {request.arithmetic.get(name, 'unknown')!s:.40}"
        for name, value in torch_settings().items()
        if request.arithmetic.get(name, value) != value
    ]
    if (hooks := here["hooks"]) != (were := there.get("hooks", [])):
        found.append(f"the model's hooks, {_each(hooks)} instead of {_each(were)}")
    called = {"callback": request.callback if request.steered else None}
    for what, spelling in {"solver": request.solver, "guidance": request.guidance, **called}.items():
        if what not in options and isinstance(spelling, dict) and "shown" not in spelling:
            found += [f"the source of {path} ({what})" for path in source_changes(spelling)]
    return found


def _each(hooks: list[str]) -> str:
    return ", ".join(map(str, hooks))[:200] or "none"


def _check_own(saved: Saved, options: Mapping[str, Any]) -> list[str]:
    """Import what was registered by name and is not known here, which registers it; and what has another source."""
    changed = []
    for name, place in saved.request.own.items():
        path = place.get("path", "") if isinstance(place, dict) else ""
        used = _is_used(name, saved.request, options)
        if used and not any(name in registry for registry in NAMED):
            plug_in(str(path))
            if not any(name in registry for registry in NAMED):
                raise ValueError(f"{name!r:.60} is not registered here, also after importing {path:.80}: register it.")
        here = next((registry[name] for registry in NAMED if used and name in registry), None)
        if here is not None and source_digest(getattr(here, "levels", here)) != place.get("digest"):
            changed.append(f"the source of {name:.60}")
    return changed


def _is_used(name: str, request: Request, options: Mapping[str, Any]) -> bool:
    """Whether a name of a registry stands where nothing is given in its place; import paths are found without one."""
    texts = [getattr(request, what) for what in ("solver", "guidance") if what not in options]
    texts += [] if "task" in options else [known.get("mode") for known in request.known]
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    return not is_import_path(name) and any(isinstance(text, str) and word.search(text) for text in texts)


def _options(saved: Saved, options: Mapping[str, Any]) -> dict[str, Any]:
    """What `generate` is called with."""
    request = saved.request
    levels = torch.tensor(request.matrix or request.schedule)
    rises = bool((levels.diff(dim=-2) > 0).any())  # which was accepted as a `Rising` only
    found: dict[str, Any] = {"schedule": Rising(levels) if rises else levels, "seed": request.seeds}
    found |= {"latent_frames": request.latent_frames, "height": request.size[0], "width": request.size[1]}
    found |= {"prompt": request.prompts, "task": requested_task(request, saved.tensors, str(saved.path))}
    if any(request.negative_prompts):
        found["negative_prompt"] = request.negative_prompts
    for name in ("solver", "guidance"):
        if name not in options:
            value = spelled_back(getattr(request, name), f"the {name}")
            found[name] = torch.tensor(value) if isinstance(value, list) else value
    found |= {"refresh": request.refresh} | _embeds(saved)
    if "callback" not in options:
        found["callback"] = _callback(saved)
    return found | dict(options)


def _callback(saved: Saved) -> Any:
    """What changes the latents as it was done, or cancels where the run was cancelled."""
    request, row = saved.request, saved.about["row"]
    if request.steered and request.callback is None:
        raise ValueError(
            f"{saved.path} was changed by hand on the way ({_listed(request.steered)}), which no file can repeat: give "
            f"callback=, a function (row, rows, state) that does the same, or callback=None to run without."
        )
    if request.steered:
        return spelled_back(request.callback, f"the latents of {saved.path} were changed on the way, and the callback")
    return None if row is None else lambda at, rows, state: at < row


def _embeds(saved: Saved) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in saved.request.embeds:
        kind, _, key = name.partition(".")
        if name not in saved.tensors:
            raise ValueError(f"{saved.path} lacks {name}, which it was made with: restore its .safetensors file.")
        found.setdefault(kind, {})[key] = saved.tensors[name]
    return found | ({"prompt": None} if "prompt_embeds" in found else {})

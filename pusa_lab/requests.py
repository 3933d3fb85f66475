"""How a video was made: everything that `generate` was given and ran with, as plain values that JSON holds."""

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pusa_lab.arguments import checked, shown
from pusa_lab.digests import UNKNOWN, array_digest, as_tensor, modules_of, weights_digest
from pusa_lab.files import check_fields
from pusa_lab.guidance import GUIDERS, guider_named
from pusa_lab.import_paths import absolute, file_digest_of, import_paths, is_import_path
from pusa_lab.inputs import Samples
from pusa_lab.models import Origin, origin_of
from pusa_lab.named import import_path, source_digest, spelled
from pusa_lab.pixels import MOST_SIDE
from pusa_lab.registry import Registry, members_in
from pusa_lab.sampling_inputs import Matrix, levels_of
from pusa_lab.schedulers import differing
from pusa_lab.schedules import SCHEDULES
from pusa_lab.solvers import SOLVERS
from pusa_lab.tasks import MODES, Known, Task
from pusa_lab.types import Geometry, Rising, Schedule, Schedules, VideoModel
from pusa_lab.versions import device_name, versions


@dataclass(frozen=True)
class Request:
    """The whole request behind a result; JSON holds every field."""

    prompts: list[str]
    """One per sample; empty where embeddings were given."""
    negative_prompts: list[str]
    """One per sample."""
    seeds: list[int]
    """One per sample."""
    model: dict[str, Any]
    """name (as `load` was given it, or the class), digest (of its files), weights (digest of samples of the weights in
    use), options (of `load`), loras (file -> digest), hooks (of its modules, by name)."""
    task: str
    """Name of the task."""
    known: list[dict[str, Any]]
    """Properties of each known clip: at, pixel_at, noise, mode, digest and shape."""
    schedule: list[list[Any]] = dataclasses.field(repr=False)
    """The noise levels that were sampled through, known frames included: (rows, f), or (b, rows, f) if each sample had
    its own."""
    matrix: list[list[Any]] = dataclasses.field(repr=False)
    """The noise levels that were asked for, before the task set those of known frames; empty if these are the same."""
    schedule_call: str
    """The call that made the matrix, as text."""
    steps: int | None
    """Number of steps that was asked for; None with a matrix."""
    shift: float | None
    """The shift that was asked for, or the model's own; None with noise levels or a scheduler, which hold theirs."""
    solver: Any
    """A name, or an import path with settings."""
    guidance: Any
    """A scale, one per latent frame, a guider as text, or an import path with settings."""
    latent_frames: int
    """Number of latent frames of the video."""
    size: list[int]
    """Height and width in pixels."""
    fps: int
    """Frames per second."""
    embeds: dict[str, str]
    """Name -> digest of the embeddings that were given in place of captions."""
    own: dict[str, dict[str, str]]
    """Name or import path -> path, digest, file and file_digest, as `plugged_in`, of solvers, guiders, modes and
    schedules of one's own."""
    versions: dict[str, str]
    """Versions of Python and of the packages on which a video depends."""
    device: str
    """On which the model computed: the GPU's name, or the processor's architecture and threads."""
    arithmetic: dict[str, str] = dataclasses.field(default_factory=dict)
    """PyTorch's global settings on which numbers depend, such as the precision of products."""
    callback: Any = None
    """What was called at every row: an import path with digest and settings, or {"shown": its name}; None is none."""
    refresh: int | None = None
    """Rows after which frames at rest were computed again; None if all frames were computed at every call."""
    steered: list[str] = dataclasses.field(default_factory=list)
    """What a callback or the caller changed on the way, such as "the latents at row 1"."""

    def as_dict(self) -> dict[str, Any]:
        """The same as a dict, for JSON."""
        return dataclasses.asdict(self)


_KINDS: dict[str, Any] = {
    **dict.fromkeys(("prompts", "negative_prompts", "seeds", "known", "schedule", "matrix", "size"), list),
    **dict.fromkeys(("model", "embeds", "own", "versions"), dict),
    **dict.fromkeys(("task", "schedule_call", "device"), str),
    **dict.fromkeys(("latent_frames", "fps"), int),
}

_YOUNGER: dict[str, Any] = {"arithmetic": {}, "callback": None, "refresh": None, "steered": []}
"""Fields that older files lack -> their value then."""


@checked
def restore_request(found: Any, sentence: str) -> Request:
    """The request that a file holds.

    Args:
        found: from JSON; further entries are left out.
        sentence: the beginning of what is said if it is damaged.

    Raises:
        ValueError: an entry is missing or is not what it must be.
    """
    check_fields(found, sentence, _KINDS)
    names = [one.name for one in dataclasses.fields(Request)]
    if missing := [name for name in names if name not in found and name not in _YOUNGER]:
        raise ValueError(f"{sentence} (no {missing[0]!r} in it): restore the file.")
    check_fields(_YOUNGER | found, sentence, {"arithmetic": dict, "refresh": (int, type(None)), "steered": list})
    request = Request(**{name: found[name] for name in names if name in found})
    texts = dict.fromkeys(("prompts", "negative_prompts", "steered"), str)
    for name, kind in {**texts, "seeds": int, "known": dict, "size": int}.items():
        if odd := [one for one in getattr(request, name) if not isinstance(one, kind) or isinstance(one, bool)]:
            raise ValueError(f"{sentence} ({name!r} holds {shown(odd[0])}): restore the file.")
    kinds = {"name": str, "digest": str, "weights": str, "options": dict, "hooks": list}
    check_fields({"hooks": [], **request.model}, f"{sentence} in 'model'", kinds)
    rows, matrices = _rows(request.schedule, request.matrix)
    for row in rows:
        if not isinstance(row, list) or not all(type(one) in (int, float) and 0 <= one <= 1 for one in row):
            raise ValueError(f"{sentence} (its schedule is not rows of numbers from 0 to 1): restore the file.")
    counts = {len(request.prompts), len(request.negative_prompts), len(request.seeds), *matrices}
    columns = {len(row) for row in rows}
    sizes = len(request.size) == 2 and all(1 <= one <= MOST_SIDE for one in (*request.size, request.fps))
    if len(counts) != 1 or 0 in counts or columns != {request.latent_frames} or not sizes:
        raise ValueError(f"{sentence} (its entries are not for the same samples and frames): restore the file.")
    return request


def _rows(*schedules: list[Any]) -> tuple[list[Any], list[int]]:
    """All rows of schedules as JSON holds them, and the number of matrices of those with one for each sample."""
    rows, matrices = [], []
    for schedule in schedules:
        own = bool(schedule and isinstance(schedule[0], list) and schedule[0] and isinstance(schedule[0][0], list))
        matrices += [len(schedule)] if own else []
        rows += [row for one in schedule for row in (one if isinstance(one, list) else [one])] if own else schedule
    return rows, matrices


@checked
def describe_request(
    model: VideoModel,
    samples: Any,
    task: Task,
    options: Mapping[str, Any],
    matrix: Matrix,
    schedule: Schedule | Schedules,
    geometry: Geometry,
) -> Request:
    """The request behind a run.

    Args:
        model: which ran.
        samples: `inputs.Samples`.
        task: what was known.
        options: schedule, steps, shift, solver and guidance, as they were given; and refresh.
        matrix: noise levels that were asked for.
        schedule: noise levels with the known frames at theirs.
        geometry: with the size that was asked for.
    """
    given: Samples = samples
    rows, own = schedule.cpu().tolist(), levels_of(matrix).cpu().tolist()
    return Request(
        prompts=given.prompts,
        negative_prompts=given.negative_prompts,
        seeds=given.seeds,
        model=describe_model(model),
        task=task.name,
        known=[_known(one) for one in task.known],
        schedule=rows,
        matrix=[] if rows == own else own,
        schedule_call=_call(options, matrix, geometry),
        steps=options["steps"],
        shift=_shift(options, geometry),
        solver=_solver(options["solver"]),
        guidance=_guidance(options["guidance"]),
        latent_frames=schedule.shape[-1],
        size=list(geometry.size),
        fps=geometry.fps,
        embeds={name: array_digest(value) for name, value in embeddings(given).items()},
        own=_own(options, task),
        versions=versions(),
        device=device_name(model.device),
        arithmetic=torch_settings(),
        refresh=options["refresh"],
    )


def _guidance(guidance: Any) -> Any:
    if isinstance(guidance, str) and import_paths(guidance):
        return spelled(guider_named(guidance))
    return guidance.tolist() if isinstance(guidance, Tensor) else spelled(guidance)


def _shift(options: Mapping[str, Any], geometry: Geometry) -> float | None:
    if options["shift"] is None and (isinstance(options["schedule"], str) or callable(options["schedule"])):
        return geometry.shift
    return options["shift"]


def _solver(solver: Any) -> Any:
    return spelled(SOLVERS.find(solver) if isinstance(solver, str) and import_paths(solver) else solver)


def _call(options: Mapping[str, Any], matrix: Matrix, geometry: Geometry) -> str:
    """The call as it could be typed: pyramid(steps=10, frames=9, lag=4, shift=5.0)."""
    schedule, (*samples, rows, frames) = options["schedule"], levels_of(matrix).shape
    if isinstance(schedule, Tensor | Rising):
        what = f"{samples[0]} matrices" if samples else "a matrix"
        return f"{what} of {rows} rows and {frames} columns{', rising' if isinstance(matrix, Rising) else ''}"
    if not isinstance(schedule, str) and not callable(schedule):
        held = ", ".join(f"{key}={value!r:.80}" for key, value in differing(schedule).items())
        return f"{type(schedule).__name__}({held}) of diffusers, {rows - 1} steps"
    found = SCHEDULES.find(schedule) if isinstance(schedule, str) else schedule
    function = found.func if isinstance(found, partial) else found
    is_name = isinstance(schedule, str) and schedule.isidentifier()
    name = schedule if is_name else getattr(function, "__name__", type(function).__name__)
    shift = geometry.shift if options["shift"] is None else options["shift"]
    settings = {"steps": options["steps"] or 10, "frames": frames, **getattr(found, "keywords", {})}
    settings["shift"] = settings.pop("shift", shift)
    return f"{name}({', '.join(f'{key}={value!r:.80}' for key, value in settings.items())})"


def _known(known: Any) -> dict[str, Any]:
    noise = known.noise if isinstance(known.noise, int | float) else np.asarray(known.noise).tolist()
    held = {"at": known.at, "pixel_at": known.pixel_at, "noise": noise, "mode": known.mode}
    return held | {"digest": array_digest(known.clip), "shape": list(known.clip.shape)}


def _own(options: Mapping[str, Any], task: Task) -> dict[str, dict[str, str]]:
    """What was named that the toolkit does not have itself."""
    named: list[tuple[Registry[Any], Any]] = [(MODES, known.mode) for known in task.known]
    named += [(SOLVERS, options["solver"]), (SCHEDULES, options["schedule"]), (GUIDERS, options["guidance"])]
    found = plugged_in(named)
    schedule = options["schedule"]
    function = schedule.func if isinstance(schedule, partial) else schedule
    if inspect.isfunction(function) and import_path(function) and _is_own(function):
        found[function.__name__] = _plug_in(import_path(function), function)
    return found


@checked
def plugged_in(named: Sequence[tuple[Registry[Any], Any]]) -> dict[str, dict[str, str]]:
    """Members of one's own that settings name, by what they are called there.

    Args:
        named: registry, and the text that names its members; anything but text names none.

    Returns:
        Name or import path -> path, by which it can be imported; digest, of its source; and if there is one, file and
        file_digest, of the file in which it stands.
    """
    found: dict[str, dict[str, str]] = {}
    for registry, text in named:
        for name, one in members_in(text, registry).items() if isinstance(text, str) else ():
            thing = getattr(one, "levels", one)  # of a mode
            if is_import_path(name) or _is_own(thing):
                found[name] = _plug_in(absolute(name) if is_import_path(name) else import_path(thing), thing)
    return found


def _is_own(thing: Any) -> bool:
    return not (getattr(thing, "__module__", None) or type(thing).__module__).startswith(("pusa_lab.", "small_models."))


def _plug_in(path: str, thing: Any) -> dict[str, str]:
    return {"path": path or shown(thing), "digest": source_digest(thing), **file_digest_of(path)}


@checked
def describe_model(model: VideoModel) -> dict[str, Any]:
    """Name, digests and options of a model.

    Args:
        model: any.

    Returns:
        name, digest, weights, options, loras and hooks, as `Request.model`.
    """
    origin = origin_of(model) or Origin(type(model).__name__, UNKNOWN)
    options = {key: spelled(value) for key, value in origin.options.items()}
    held = {"name": origin.name, "digest": origin.digest, "weights": weights_digest(model)}
    return held | {"options": options, "loras": origin.loras, "hooks": _hooks(model)}


def _hooks(model: VideoModel) -> list[str]:
    """What is called before or after the modules of a model and may change what they return."""
    named = [pair for one in modules_of(model) for pair in one.named_modules()]
    each = [(name, hook) for name, one in named for hook in _held(one, "_forward")]
    each += [("every module", hook) for hook in _held(nn.modules.module, "_global_forward")]
    return [f"{name or 'the model'}: {spelled_name(spelled(hook))}" for name, hook in each]


def _held(owner: Any, prefix: str) -> list[Any]:
    return [hook for kind in ("pre_hooks", "hooks") for hook in getattr(owner, f"{prefix}_{kind}").values()]


def spelled_name(spelling: Any) -> str:
    """What a function is called in a sentence.

    Args:
        spelling: as `spelled` wrote it.
    """
    found = spelling if isinstance(spelling, dict) else {}
    return str(found.get("path") or found.get("shown") or shown(spelling))


def torch_settings() -> dict[str, str]:
    """PyTorch's global settings on which the numbers of a video depend."""
    return {
        "float32 products": torch.get_float32_matmul_precision(),
        "autocast": "on" if any(map(torch.is_autocast_enabled, ("cpu", "cuda"))) else "off",
        "deterministic algorithms": "on" if torch.are_deterministic_algorithms_enabled() else "off",
        "default dtype": str(torch.get_default_dtype()).removeprefix("torch."),
    }


def embeddings(samples: Samples) -> dict[str, Tensor]:
    """The tensors that were given in place of captions, under the names that a file has for them.

    Args:
        samples: what was asked for.
    """
    given = {"prompt_embeds": samples.embeds, "negative_prompt_embeds": samples.negative_embeds}
    return {f"{name}.{key}": value for name, embeds in given.items() for key, value in (embeds or {}).items()}


def inputs_of(samples: Samples, task: Task) -> dict[str, Tensor]:
    """Everything but JSON that the request needs to be run again: known clips and embeddings.

    Args:
        samples: what was asked for.
        task: what was known.
    """
    clips = {f"known.{i}": as_tensor(known.clip) for i, known in enumerate(task.known)}
    return clips | embeddings(samples)


def requested_task(request: Request, inputs: Mapping[str, Tensor], whose: str) -> Task:
    """The task that a request was for.

    Args:
        request: of a result.
        inputs: from `inputs_of`, or the file that keeps them.
        whose: the result, or its file, for the sentence.

    Raises:
        ValueError: a known clip is missing, or is another one.
    """
    known = []
    for i, one in enumerate(request.known):
        if (clip := inputs.get(f"known.{i}")) is None or array_digest(clip) != one.get("digest"):
            raise ValueError(
                f"{whose} has no known clip {i} as it was made with: restore the .safetensors file beside it."
            )
        place: Any = [one.get(name) for name in ("at", "pixel_at", "noise", "mode")]
        known.append(Known(clip, *place))
    return Task(request.task, tuple(known))

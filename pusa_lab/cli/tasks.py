"""Which task the options of `pusa-lab generate` ask for."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pusa_lab.cli.values import annotation, fit_options, flag, given, in_flags

if TYPE_CHECKING:
    from pusa_lab.tasks import Task

NEEDS = {
    "end_image": ("image",),
    "loop": ("image",),
    "end_video": ("video",),
    "known": ("video",),
    "known_parts": ("video",),
    "at": ("keyframes",),
    "pixel_at": ("keyframes",),
    "noise": ("image", "video", "keyframes", "task"),
    "mode": ("image", "video", "keyframes", "task"),
    "task_options": ("task",),
}
"""Option -> one of these has to be there too."""
APART = (
    ("image", "video", "keyframes", "task"),
    ("end_image", "loop"),
    ("end_video", "known", "known_parts"),
    ("at", "pixel_at"),
)
"""Options that exclude each other."""


def check_task(options: Mapping[str, Any]) -> None:
    """Refuse options that exclude each other, or lack what they belong to.

    Args:
        options: the options of the command.

    Raises:
        ValueError: the first of these.
    """
    there = given(options)
    for name, value in options.items():
        if isinstance(value, list) and not value and name != "prompt":
            raise ValueError(f"{flag(name)} is an empty list: give at least one value, or leave it out.")
    for group in APART:
        if len(both := [name for name in group if name in there]) > 1:
            raise ValueError(f"both {flag(both[0])} and {flag(both[1])} were given: give one of them.")
    for name, needed in NEEDS.items():
        if name in there and not any(other in there for other in needed):
            raise ValueError(f"{flag(name)} was given without {' or '.join(map(flag, needed))}: give both.")
    if options["task"] is not None:
        check_named_task(options["task"], options["task_options"] or {}, [n for n in ("noise", "mode") if n in there])
    if options["known"] is not None and options["known"] < 1:
        raise ValueError(
            f"--known {options['known']}: give at least 1 pixel frame of the clip, or leave it out for a third of the "
            "video."
        )
    if "keyframes" in there and not {"at", "pixel_at"} & there.keys():
        raise ValueError("--keyframes was given without --at or --pixel-at: say at which frames they are.")


def check_loading(model: str, options: Iterable[str]) -> None:
    """Refuse options that the model's family does not take.

    Args:
        model: its name, file or folder.
        options: those that are given, for loading it.

    Raises:
        ValueError: no family knows the model, or it does not take one of the options.
    """
    from pusa_lab.models import find_family

    takes = inspect.signature(find_family(model).load).parameters
    several = any(p.kind is p.VAR_KEYWORD for p in takes.values())
    if other := [name for name in options if name not in takes and not several]:
        listed = ", ".join(map(flag, list(takes)[1:]))
        raise ValueError(f"{flag(other[0])} is not for {model}, which takes {listed}: leave it out.")


def outline_of(model: str, loading: Mapping[str, Any]) -> Any:
    """A model of the same sizes, on which a request is tried before weights are read; None where these are read soon.

    Args:
        model: its name, file or folder.
        loading: options for loading it.

    Raises:
        ValueError: there is no such model, or it does not make videos of this size.
    """
    from pusa_lab.models import find_family

    made = find_family(model).outline
    return None if made is None else made(model, **{name: loading[name] for name in ("size",) if name in loading})


def look_at_clip(option: str, path: str) -> None:
    """Refuse a clip that cannot be read, and say so of a picture.

    Args:
        option: that names it, such as "--video".
        path: of the clip.

    Raises:
        ValueError: it cannot be read.
    """
    from pusa_lab.data import read_clip
    from pusa_lab.data.named import PICTURES

    try:
        read_clip(path, last=1)
    except ValueError as error:
        if Path(path).suffix.lower() in PICTURES and Path(path).is_file():
            raise ValueError(f"{option} {path} is a picture: give a clip, or give the picture as --image.") from error
        raise


def read_pictures(options: Mapping[str, Any]) -> dict[str, Any]:
    """The pictures among the options, read before a model is, and a named task of pictures; clips are only looked at.

    Args:
        options: the options.

    Raises:
        ValueError: one cannot be read.
    """
    from pusa_lab.data import read_picture

    found: dict[str, Any] = {n: read_picture(options[n]) for n in ("image", "end_image") if options[n] is not None}
    for name in ("video", "end_video"):
        if options[name] is not None:
            look_at_clip(flag(name), options[name])
    named = options["task_options"] or {}
    if options["task"] is not None and not any(map(_names_clip, named.values())):
        found["task"] = _by_name(options, fps=0)
    return found | {"keyframes": [read_picture(path) for path in options["keyframes"] or ()]}


def task_of(options: Mapping[str, Any], pictures: Mapping[str, Any], model: Any, frames: int) -> "Task":
    """The task to generate with.

    Args:
        options: the options, checked.
        pictures: those among them.
        model: loaded.
        frames: latent frames of the video.

    Raises:
        ValueError: the model is not made for the task, or a clip is too short.
    """
    from pusa_lab import tasks
    from pusa_lab.models import picture_input

    if picture_input(model):
        others = ("end_image", "loop", "noise", "mode")
        if options["image"] is None or any(given({name: options[name] for name in others})):
            names = ", ".join(map(flag, others[:-1]))
            raise ValueError(f"{options['model']} takes one picture as input: give --image, without {names} or --mode.")
        return tasks.image_to_video(pictures["image"])
    levels = _levels(options)
    if options["task"] is not None:
        return pictures.get("task") or _by_name(options, model.geometry.fps)
    if options["video"] is not None:
        return _of_clips(options, model.geometry, frames, levels)
    if options["keyframes"] is not None:
        return tasks.keyframes(pictures["keyframes"], options["at"], pixel_at=options["pixel_at"], **levels)
    if options["end_image"] is not None:
        return tasks.start_end(pictures["image"], pictures["end_image"], **levels)
    if options["loop"]:
        return tasks.loop(pictures["image"], **levels)
    if options["image"] is not None:
        return tasks.image_to_video(pictures["image"], **levels)
    return tasks.text_to_video()


def check_named_task(name: str, options: Mapping[str, Any], levels: Iterable[str] = ()) -> None:
    """Refuse a task that is not registered, options that it does not take, and files that cannot be read.

    Args:
        name: in `pusa_lab.tasks.TASKS`.
        options: its arguments, as they were typed.
        levels: those of noise and mode that were given.

    Raises:
        ValueError: the first of these.
    """
    from pusa_lab.data.named import with_files
    from pusa_lab.models import check_options
    from pusa_lab.tasks import TASKS

    function = TASKS.find(name)
    check_options(function, options, f"the task {name}", ("noise", "mode"), first=0)
    for level in levels:
        if level not in inspect.signature(function).parameters:
            raise ValueError(f"{flag(level)} is not for the task {name}: leave it out.")
    parameters = inspect.signature(function).parameters.values()
    if missing := [
        p.name for p in parameters if p.default is p.empty and p.name not in options and p.kind != p.VAR_KEYWORD
    ]:
        raise ValueError(f"the task {name} needs {missing[0]}: give --task-options.{missing[0]}.")
    files = {key: value for key, value in options.items() if _names_file(value) and _is_read(function, key)}
    for value in files.values():
        with_files(value, lambda path: look_at_clip("--task-options", str(path)))
    fit_options(function, {key: value for key, value in options.items() if key not in files}, "--task-options")


def _levels(options: Mapping[str, Any]) -> dict[str, Any]:
    """Noise and mode of known frames, where they are given."""
    noise = options["noise"]
    return given({"noise": tuple(noise) if isinstance(noise, list) else noise, "mode": options["mode"]})


def _by_name(options: Mapping[str, Any], fps: float) -> "Task":
    """The task of --task; clips are read at so many frames per second."""
    from pusa_lab.arguments import returned
    from pusa_lab.data import read_clip
    from pusa_lab.data.named import with_files
    from pusa_lab.tasks import TASKS, Task

    name = options["task"]
    function, values = TASKS.find(name), dict(options["task_options"] or {})
    for key in filter(lambda key: _is_read(function, key), values):
        values[key] = with_files(values[key], lambda path: read_clip(path, fps=fps))
    values = fit_options(function, values, "--task-options")
    try:
        return returned(function(**values, **_levels(options)), Task, f"the task {name}")
    except ValueError as error:
        error.args = (in_flags(str(error), [f"task_options.{key}" for key in inspect.signature(function).parameters]),)
        raise


def _is_read(function: Callable[..., Any], key: str) -> bool:
    """Whether an argument may be what is in a picture or clip: not the name of a file, or a number."""
    hint = annotation(function, key)
    return not {str, Path, int, float, bool} & {hint, *get_args(hint)}


def _names_file(value: Any) -> bool:
    """Whether it is the name of a picture or clip, or a list with one."""
    from pusa_lab.data.named import PICTURES

    return _ends(value, PICTURES) or _names_clip(value)


def _names_clip(value: Any) -> bool:
    """The same for clips alone."""
    from pusa_lab.data.folders import SUFFIXES

    return _ends(value, tuple(SUFFIXES))


def _ends(value: Any, suffixes: tuple[str, ...]) -> bool:
    if isinstance(value, list):
        return any(_ends(one, suffixes) for one in value)
    return isinstance(value, str) and Path(value).suffix.lower() in suffixes


def _of_clips(options: Mapping[str, Any], geometry: Any, frames: int, levels: Mapping[str, Any]) -> "Task":
    from pusa_lab import tasks
    from pusa_lab.data import read_clip
    from pusa_lab.sentences import counted

    def read(name: str, last: int | None = None) -> Any:
        return read_clip(Path(options[name]), last=last, fps=geometry.fps)

    if options["end_video"] is not None:
        return tasks.transition(read("video"), read("end_video"), **levels)
    if options["known_parts"] is not None:
        clip = read("video")
        parts = [_part(text, clip.shape[-4]) for text in options["known_parts"]]
        return tasks.completion(clip, parts, **levels)
    third = geometry.pixel_frames(max(1, frames // 3))
    known = third if options["known"] is None else options["known"]
    clip = read("video", known)
    if known > len(clip):
        raise ValueError(
            f"--known {known} of a clip that has {counted(len(clip), 'frame')} at the model's {geometry.fps} frames a "
            f"second: give --known {len(clip)} or less, or a longer clip."
        )
    return tasks.extension(clip, known, **levels)


def _part(text: str, frames: int) -> range:
    """0..4, both ends included, of a clip of so many frames."""
    from pusa_lab.sentences import counted

    if not (found := re.fullmatch(r"\s*(\d{1,9})\.\.(\d{1,9})\s*", text)):
        raise ValueError(
            f"--known-parts {text!r:.40}: give the first and the last pixel frame, such as [0..4, 77..80]."
        )
    first, last = int(found[1]), int(found[2])
    if not first <= last < frames:
        raise ValueError(
            f"--known-parts {text!r:.40} of a clip of {counted(frames, 'pixel frame')}: give first..last with first no "
            f"larger than last, within 0..{frames - 1}."
        )
    return range(first, last + 1)

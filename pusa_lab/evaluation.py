"""Scores of any model on clips, or on captions alone: each task is generated, and compared with the clip itself."""

import contextlib
import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pusa_lab.arguments import ArgumentError, checked, shown
from pusa_lab.data.folders import find_clips, read_folder
from pusa_lab.files import read_json
from pusa_lab.generate import generate
from pusa_lab.metrics import dynamic_degree, imaging_quality, motion_smoothness
from pusa_lab.models import Origin, load, origin_of, picture_input
from pusa_lab.pixels import crop_and_resize, to_pixels, to_uint8
from pusa_lab.progress import progress_bar
from pusa_lab.runs import Result, decode
from pusa_lab.sentences import counted
from pusa_lab.sweeps.scores import Metric, metrics_of, scores_of
from pusa_lab.tasks import Known, Task
from pusa_lab.types import Geometry, VideoModel

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = Any

KNOWN: dict[str, Callable[[int], list[int]]] = {
    "text_to_video": lambda frames: [],
    "image_to_video": lambda frames: [0],
    "start_end": lambda frames: sorted({0, frames - 1}),
    "extension": lambda frames: list(range(max(1, frames // 3))),
    "reconstruction": lambda frames: [],
    "keyframes": lambda frames: sorted({0, (frames - 1) // 2, frames - 1}),
    "completion": lambda frames: sorted({*range(frames)[:2], frames - 1}),
    "transition": lambda frames: sorted({*range(frames)[:3], *range(frames)[-3:]}),
}
"""Task -> latent frames of a clip that are known, from their number. Extension continues the first third. A
reconstruction is the clip after encoding and decoding: no video of the model can follow it more closely."""
USUAL = ("text_to_video", "image_to_video", "start_end", "extension", "reconstruction")
"""Tasks that are evaluated unless others are named."""


@dataclass(frozen=True)
class _Clip:
    """What one row of the table is about."""

    name: str
    """Name of the clip; "" without one."""
    prompt: str
    pixels: np.ndarray | None
    """(pixel frames, h, w, 3) uint8 in the model's size; None if there is only a prompt."""
    seen: bool = False
    """Whether it was not held out when the model was trained on its folder."""
    number: int = 0
    """What its seed adds to that of the table; the same for every model."""


def _of_clip(measure: Callable[[Tensor], Tensor]) -> Callable[[Any], float]:
    """A measure of clips as one of results."""

    def of_result(result: Any) -> float:
        return float(measure(to_pixels(result.video)).mean())

    return of_result


ALONE = {measure.__name__: _of_clip(measure) for measure in (motion_smoothness, dynamic_degree, imaging_quality)}
"""Metrics that need no truth, by name."""


@checked
def evaluate(
    model: str | Path | VideoModel,
    clips: Any = None,
    prompts: str | Sequence[str] | None = None,
    *,
    tasks: str | Sequence[str] | None = None,
    metrics: Any = None,
    num_clips: int | None = None,
    held_out: bool | None = None,
    seed: int = 0,
    progress: bool | None = None,
    **sampling: Any,
) -> DataFrame:
    """Score a model on clips that it was not trained on, or on captions alone: one row for each task and clip.

    Each task takes its known frames from the clip, and the metrics that need a truth compare the frames that were not
    given with those of the clip. For each clip, every task starts from the same noise, so rows are paired.

    Args:
        model: a name for `load`, or a model.
        clips: a folder, whose files are cut into consecutive clips of the model's length, size and frame rate; or
            clips (n, pixel frames, h, w, 3) or one of them, uint8 or floats in [0, 1], or a list; None measures
            captions alone.
        prompts: one caption per clip, or one for all; None takes those of the folder, and the null prompt for arrays.
        tasks: names in `KNOWN`. Without clips, None is text_to_video; with clips, it is those in `USUAL` that leave
            frames to generate and that the model can do: one that takes its picture as an input can only do
            image_to_video.
        metrics: as for `sweep`; None is PSNR and SSIM where there are clips, and those in `ALONE`. With "skill", which
            compares with repeating the known frames, tasks without any are left out unless they are named.
        num_clips: the most clips to use, in the order of the folder or array; None uses all.
        held_out: whether to use only those files of a folder that were held out when the model was trained on it, as
            named on its card or in the metadata of its LoRA; None does so if they are named and all in the folder.
            There is a warning if a clip that was not held out is scored.
        seed: clip i of an array, and caption i, are generated from the noise of seed + i; clip k of file i of a folder
            with n files from that of seed + i + k n, whichever of them are held out.
        progress: whether to show a bar; None shows it where somebody can see it, see `pusa_lab.progress`.
        **sampling: arguments of `generate`, such as steps and guidance.

    Returns:
        A table as `sweep` returns, for `sweeps.averages`, `compare` and `viz.plot_sweep`: model, task, prompt, seed,
        scores, seconds, status, error, clip, and truth, the name of the clip. The model is named as `load` was given
            it, with its LoRAs.

    Raises:
        ValueError: there are neither clips nor prompts, they do not fit each other or the model, a task needs clips
            that are not there or leaves no frame of one to generate, or has no known frame while a metric needs one, or
            a clip stands still, so that it gives no skill; a name is unknown; held_out=True, but none of the clips is
            known to be held out; or a metric returns no numbers.
    """
    import pandas as pd  # takes long to import

    chosen = _tasks(tasks, clips is not None)
    wanted = metrics_of(_metrics(metrics, clips is not None))
    for name in ("task", "prompt"):
        if name in sampling:
            raise ValueError(f"there is no argument {name!r}: give {name}s.")
    for name in ("generator", "num_videos_per_prompt", "output", *["latent_frames"] * (clips is not None)):
        if name in sampling:
            raise ValueError(f"{name} is settled by the evaluation, which makes one video of each clip: leave it out.")
    if clips is None and (needy := [metric.name for metric in wanted if metric.needs_truth]):
        raise ValueError(f"the metric {needy[0]} compares with a truth: give clips, or other metrics.")
    if num_clips is not None and num_clips < 1:
        raise ValueError(f"num_clips={num_clips}: give at least 1.")
    loaded = load(model) if isinstance(model, str | Path) else model
    origin = origin_of(loaded)
    label = " + ".join((origin.name, *origin.loras)) if origin else type(loaded).__name__
    held = _held_out(clips, origin)
    if held_out and not held:
        raise ValueError(
            f"held_out=True, but no card of {label} names a held-out clip of {shown(clips)}: give held_out=None, or a "
            "model that was trained on that folder with --num-val-clips."
        )
    found = _clips(clips, prompts, loaded.geometry, held, held_out is not False, num_clips)
    unfit = _without_known(chosen, wanted) | _unfit(chosen, found, loaded)
    if unfit and (tasks is not None or len(unfit) == len(chosen)):
        task, why = next(iter(unfit.items()))
        raise ValueError(f"the task {task} {why}.")
    chosen = [task for task in chosen if task not in unfit]
    _check_truths(wanted, chosen, found, loaded.geometry)
    _warn_of_seen(label, found)
    rows = (
        {"model": label, "task": task, **_row(loaded, task, clip, seed + clip.number, wanted, sampling)}
        for clip in found
        for task in chosen
    )
    lines = list(progress_bar(rows, len(found) * len(chosen), "evaluation", "video", progress))
    table = pd.DataFrame(lines)
    return table.sort_values("task", key=lambda names: names.map(chosen.index), kind="stable", ignore_index=True)


def _tasks(tasks: str | Sequence[str] | None, have_clips: bool) -> list[str]:
    if tasks is None:
        return list(USUAL) if have_clips else ["text_to_video"]
    chosen = list(dict.fromkeys([tasks] if isinstance(tasks, str) else tasks))
    for name in chosen:
        if name not in KNOWN:
            raise ArgumentError(f"there is no task {name!r:.40} to evaluate: choose from {', '.join(KNOWN)}.")
        if name != "text_to_video" and not have_clips:
            raise ArgumentError(f"the task {name} needs clips: give clips, or tasks=['text_to_video'].")
    if not chosen:
        raise ArgumentError(f"tasks is an empty list: choose from {', '.join(KNOWN)}.")
    return chosen


def _unfit(tasks: Sequence[str], clips: Sequence[_Clip], model: VideoModel) -> dict[str, str]:
    """Tasks that a model cannot do, or in which all frames of one of the clips are known, and why."""
    counts = {model.geometry.latent_frames(len(clip.pixels)) for clip in clips if clip.pixels is not None}
    full = [task for task in tasks if any(len(KNOWN[task](count)) == count for count in counts)]
    found = dict.fromkeys(full, "leaves no frame of a clip to generate: give longer clips or other tasks")
    other = [task for task in tasks if picture_input(model) and KNOWN[task](model.geometry.frames) not in ([], [0])]
    why = "needs known frames, and this model takes a picture as its input instead: give tasks=['image_to_video']"
    return found | dict.fromkeys(other, why)


def _without_known(tasks: Sequence[str], metrics: Sequence[Metric]) -> dict[str, str]:
    """Tasks without known frames, and why they are unfit where a metric compares with repeating these."""
    needy = [metric.name for metric in metrics if metric.needs_known]
    why = "has no known frame, which the metric {} needs: give image_to_video, or other metrics"
    return {task: why.format(needy[0]) for task in tasks if needy and not KNOWN[task](9)}


def _check_truths(metrics: Sequence[Metric], tasks: Sequence[str], clips: Sequence[_Clip], g: Geometry) -> None:
    """Refuse clips, before any video is made, for which not even the truth itself has a score; they stand still."""
    needy = [metric for metric in metrics if metric.needs_known]
    pixels = [(clip, clip.pixels) for clip in clips if needy and clip.pixels is not None]
    for (clip, truth), task in product(pixels, tasks):
        try:
            scores_of(needy, truth, truth, _given(task, g.latent_frames(len(truth)), g))
        except ValueError as error:
            raise ArgumentError(f"clip {clip.name!r:.60}, task {task}: {error}") from error


def _given(task: str, count: int, g: Geometry) -> set[int]:
    """Pixel frames that a task knows of a clip of `count` latent frames."""
    return {pixel for i in KNOWN[task](count) for pixel in g.pixels_at(i)}


def _metrics(metrics: Any, have_clips: bool) -> Any:
    if metrics is not None:
        return metrics
    return ({"psnr": "psnr", "ssim": "ssim"} if have_clips else {}) | ALONE


def _clips(
    clips: Any,
    prompts: str | Sequence[str] | None,
    geometry: Geometry,
    held: set[str] | None,
    only_held: bool,
    most: int | None,
) -> list[_Clip]:
    """The first clips with their names and prompts; of a folder no more is read than they need."""
    if clips is None:
        if not prompts:
            raise ArgumentError("there are neither clips nor prompts: give one of them.")
        given = [prompts] if isinstance(prompts, str) else prompts
        return [_Clip("", prompt, None, number=i) for i, prompt in enumerate(given[:most])]
    of_folder = isinstance(clips, str | Path)
    made = _of_folder(clips, geometry, held, only_held) if of_folder else _of_arrays(clips, geometry)
    if prompts is None:
        return list(islice(made, most))
    found = list(islice(made, most) if isinstance(prompts, str) else made)  # a list has one for each, used or not
    given = [prompts] * len(found) if isinstance(prompts, str) else list(prompts)
    if len(given) != len(found):
        raise ArgumentError(
            f"{counted(len(given), 'prompt')} for {counted(len(found), 'clip')}: give one per clip, or one for all."
        )
    return [replace(clip, prompt=prompt) for clip, prompt in zip(found, given, strict=True)][:most]


def _of_folder(folder: str | Path, g: Geometry, held: set[str] | None, only_held: bool) -> Iterator[_Clip]:
    there = find_clips(folder, need_captions=False)
    place = {file.name: i for i, file in enumerate(there)}
    files = [file for file in there if file.name in held] if held and only_held else there
    for file, pieces in read_folder(folder, g.pixel_frames(g.frames), g.size, g.fps, need_captions=False, files=files):
        for number, piece in enumerate(pieces):
            seen = held is not None and file.name not in held
            yield _Clip(f"{file.name} {number}", file.caption, piece, seen, place[file.name] + number * len(there))


def _held_out(folder: Any, origin: Origin | None) -> set[str] | None:
    """Names of the files of a folder that a model was not trained on; None if it is not known to be trained on it."""
    if origin is None or not isinstance(folder, str | Path):
        return None
    there = {file.name for file in find_clips(folder, need_captions=False)}
    cards = [(set(card["held_out"]), card.get("data")) for card in _cards(origin)]
    found = [names for names, data in cards if (names and names <= there) or _is_of(data, Path(folder))]
    return set.intersection(there, *found) if found else None


def _is_of(data: Any, folder: Path) -> bool:
    """Whether a card's words on its data, "FOLDER, 3 clips", name a folder."""
    name = data.rpartition(", ")[0] if isinstance(data, str) else ""
    return bool(name) and Path(name).resolve() == folder.resolve()


def _cards(origin: Origin) -> Iterator[Mapping[str, Any]]:
    """What the files of a model say of its training, where they name held-out clips."""
    files = (origin.name, *map(origin.options.get, ("transformer", "transformer_low")), *origin.loras)
    for file in (Path(one) for one in files if isinstance(one, str | Path)):
        for card in (_beside(file), _inside(file)):
            held = card.get("held_out")
            with contextlib.suppress(ValueError):  # no JSON
                held = json.loads(held) if isinstance(held, str) else held
            if isinstance(held, list) and all(isinstance(name, str) for name in held):
                yield {**card, "held_out": held}


def _beside(file: Path) -> Mapping[str, Any]:
    """The card of a checkpoint of a toy, or of a Wan whose weights were all trained."""
    path = file.with_suffix(".json") if file.is_file() else file / "training.json"
    with contextlib.suppress(ValueError, OSError):
        card = read_json(path, "a card")
        return card if isinstance(card, dict) else {}
    return {}


def _inside(file: Path) -> Mapping[str, str]:
    """The metadata of a safetensors file."""
    if file.is_file() and file.suffix == ".safetensors":
        with contextlib.suppress(SafetensorError, OSError), safe_open(file, "np") as opened:
            return opened.metadata() or {}
    return {}


def _warn_of_seen(label: str, clips: Sequence[_Clip]) -> None:
    if seen := [clip.name for clip in clips if clip.seen]:
        were = "was" if len(seen) == 1 else "were"
        warnings.warn(
            f"{len(seen)} of {counted(len(clips), 'clip')} {were} not held out when {label} was trained, such as "
            f"{seen[0]!r}, and their scores say little about new clips: train with --num-val-clips, and leave out "
            "held_out=False.",
            stacklevel=4,
        )


def _of_arrays(clips: Any, g: Geometry) -> Iterator[_Clip]:
    several = isinstance(clips, list | tuple | np.ndarray | Tensor) and getattr(clips, "ndim", 1) > 0
    if not several or getattr(clips, "is_nested", False) or not len(clips):
        raise ArgumentError(f"clips is {shown(clips)}: give a folder, or clips (n, pixel frames, h, w, 3).")
    for number, clip in enumerate([clips] if getattr(clips, "ndim", 0) == 4 else clips):
        if isinstance(clip, str) or len(pixels := to_pixels(clip)) != 1:
            use = ", or captions as prompts=" if isinstance(clip, str) else ""
            raise ArgumentError(
                f"clip {number} is {shown(clip)}: give clips (n, pixel frames, h, w, 3), or a folder{use}."
            )
        g.latent_frames(pixels.shape[2])
        yield _Clip(str(number), "", to_uint8(crop_and_resize(pixels, g.size))[0], number=number)


def _row(
    model: VideoModel, task: str, clip: _Clip, seed: int, metrics: Sequence[Metric], sampling: dict[str, Any]
) -> dict[str, Any]:
    g, began = model.geometry, time.perf_counter()
    count = g.frames if clip.pixels is None else g.latent_frames(len(clip.pixels))
    known = KNOWN[task](count)
    if task == "reconstruction":
        result: Any = _reconstruction(model, clip.pixels)
    else:
        frames = {} if clip.pixels is None else {"latent_frames": count}
        made = Task(task, known_frames(clip.pixels[None], known, g)) if known and clip.pixels is not None else None
        result = generate(model, clip.prompt, made, seed=seed, progress=False, **{**frames, **sampling})
    scores = scores_of(metrics, result, clip.pixels, _given(task, count, g))
    about = {"status": "done", "error": "", "clip": None, "truth": clip.name}
    return {"prompt": clip.prompt, "seed": seed, **scores, "seconds": time.perf_counter() - began, **about}


@torch.no_grad()
def _reconstruction(model: VideoModel, pixels: Any) -> Result:
    latents = model.encode_video(to_pixels(pixels).to(model.device))
    return Result(decode(model, latents), latents, latents.new_zeros(1, latents.shape[2]), 0.0, "reconstruction", 0)


@checked
def known_frames(
    truth: np.ndarray,
    known: Sequence[int],
    geometry: Geometry,
    noise: float | Sequence[float] = 0.0,
    mode: str = "denoise",
) -> tuple[Known, ...]:
    """The known latent frames of true clips; neighbours are encoded together, and nothing else with them.

    Args:
        truth: clips (b, pf, h, w, 3) uint8.
        known: latent frames, ascending.
        geometry: of the model.
        noise: noise level at which they are kept, one for all or one each.
        mode: one of `tasks.MODES`.

    Raises:
        ValueError: a known frame is not in the clips, or the levels are more or fewer than the frames.
    """
    levels = [*noise] if isinstance(noise, Sequence) else [noise] * len(known)
    if len(levels) != len(known):
        raise ValueError(
            f"{counted(len(levels), 'level')} of noise for {counted(len(known), 'known frame')}: give one each, or one "
            "for all."
        )
    last = max((p for i in known for p in geometry.pixels_at(i)), default=0)
    if truth.ndim != 5 or last >= truth.shape[1]:
        raise ValueError(
            f"known frames reach pixel frame {last} of truth, which is {shown(truth)}: give clips (b, pf, h, w, 3) "
            "that are long enough."
        )
    runs: list[list[int]] = []
    for i, frame in enumerate(known):
        if runs and known[runs[-1][-1]] + 1 == frame:
            runs[-1].append(i)
        else:
            runs.append([i])
    out = []
    for run in runs:
        pixels = [p for i in run for p in geometry.pixels_at(known[i])]
        levels_here = [levels[i] for i in run]
        out.append(Known(truth[:, pixels], at=known[run[0]], noise=levels_here, mode=mode))
    return tuple(out)

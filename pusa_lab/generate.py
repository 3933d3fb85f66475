"""The front door: one call for every model, task and schedule."""

import functools
import inspect
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import ArgumentError, calling, checked
from pusa_lab.conditions import Conditions, place
from pusa_lab.guidance import Guided, Guider, calls, guide, guider_named, num_layers, text_cfg
from pusa_lab.guidance.guided import MOST_SCALE
from pusa_lab.pixels import to_uint8
from pusa_lab.samplers import SOLVERS, Solver, State, sample_steps
from pusa_lab.schedules import SCHEDULES, as_matrix, as_schedule, schedule_name
from pusa_lab.schedules.functions import call
from pusa_lab.sentences import counted
from pusa_lab.tasks import MOST, Task, text_to_video
from pusa_lab.timesteps import velocity_by
from pusa_lab.types import Cond, Denoiser, Schedule, Tau, Video, VideoModel

GUIDANCE = 2.0
"""Default scale of text guidance, of the command line and the planner too."""
MOST_STEPS = 10_000
"""A larger number is taken for a mistake."""
MOST_LEVELS = 10_000_000
"""Steps times latent frames of a schedule that is made."""
MOST_LATENTS = 2**32
"""Numbers in the latents of one call; more would fill memory long before the model is asked."""
GUIDE_ROW = 100_002
"""Beyond all rows: where the noise of a guider's views is drawn, as `_noise` draws that of the rows."""
OTHERS = {
    "num_inference_steps": "steps",
    "guidance_scale": "guidance",
    "negative_prompt": "negative",
    "num_frames": "frames, which counts latent frames: model.geometry.latent_frames(num_frames)",
    "generator": "seed, a whole number",
    "image": "task=tasks.image_to_video(image)",
    "last_image": "task=tasks.start_end(image, last_image)",
    "video": "task=tasks.extension(video)",
    "num_videos_per_prompt": "a list of prompts",
    "scheduler": "schedule and solver",
}
"""What diffusers' pipelines call their arguments -> what to use here."""


@dataclass(frozen=True, eq=False)
class Result:
    """A finished video and how it was made."""

    video: np.ndarray
    """(b, pixel frames, h, w, 3) uint8."""
    latents: Video
    """(b, c, f, h, w)."""
    schedule: Schedule
    """(rows, f): the noise levels that were sampled through, known frames included."""
    seconds: float
    """Wall time of sampling and decoding."""
    task: str
    """Name of the task."""
    calls: int
    """Times that the model was asked for a velocity: twice a step with text guidance and a solver of first order."""


@dataclass
class Asked:
    """A denoiser that counts how often it is asked."""

    denoiser: Denoiser
    """(x, tau, **cond) -> v."""
    times: int = 0
    """So far."""

    @property
    def num_layers(self) -> int | None:
        """As the denoiser's: for guidance that skips some of them."""
        return num_layers(self.denoiser)

    def __call__(self, x: Video, tau: Tau, **cond: Any) -> Video:
        """The denoiser's velocity."""
        self.times += 1
        return velocity_by("the denoiser", self.denoiser, x, tau, **cond)


@dataclass(frozen=True, eq=False)
class Run:
    """A checked and encoded request, ready to sample: iterate `states()` to watch it."""

    denoiser: Denoiser
    """Guided: (x, tau) -> v."""
    x: Video
    """Start (b, c, f, h, w)."""
    schedule: Schedule
    """(rows, f) with the known frames at their levels."""
    conditions: Conditions
    """The known frames."""
    solver: str | Solver
    """How to move from row to row."""
    seed: int | list[int]
    """Seed of the start and of the fresh noise of replaced frames, one for all or one per sample."""
    model: Asked
    """The model, which counts how often it was asked."""

    def states(self) -> Iterator[State]:
        """Every state from noise to video; known frames that their mode replaces are set anew each row."""
        for state in sample_steps(self.denoiser, self.x, self.schedule, self.solver):
            if any(self.conditions.replaced):
                eps = _noise(self.x.shape, self.seed, state.row).to(self.x)
                state.x = self.conditions.replace_known(state.x, eps, state.tau)
                if state.x0 is not None:
                    state.x0 = self.conditions.replace_known(state.x0, eps, torch.zeros_like(state.tau))
            yield state


def _with_our_names(function: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse unknown keywords with a sentence that says what to use instead."""

    @functools.wraps(function)
    def renamed(*args: Any, **kwargs: Any) -> Any:
        if unknown := [word for word in kwargs if word not in inspect.signature(prepare).parameters]:
            word, ours = unknown[0], ", ".join(list(inspect.signature(prepare).parameters)[2:])
            use = f"use {OTHERS[word]}" if word in OTHERS else f"choose from {ours}"
            with calling(function.__name__):
                raise ArgumentError(f"there is no argument {word!r}: {use}.")
        return function(*args, **kwargs)

    return renamed


@_with_our_names
@checked
def prepare(
    model: VideoModel,
    prompt: str | Sequence[str],
    task: Task | None = None,
    *,
    schedule: str | Schedule | Callable[..., Any] = "synchronous",
    steps: int | None = None,
    shift: float | None = None,
    guidance: float | Float[Tensor, " f"] | str | Guider = GUIDANCE,
    negative: str | Sequence[str] = "",
    frames: int | None = None,
    solver: str | Solver = "euler",
    seed: int | Sequence[int] = 0,
) -> Run:
    """Check a request, then encode what it needs: nothing is encoded before everything but the words is checked.

    Args:
        model: any `VideoModel`.
        prompt: one caption, or one per sample.
        task: from `pusa_lab.tasks`; None is text-to-video.
        schedule: a name in `schedules.SCHEDULES`, a function (steps, frames, shift=...), which may go without shift,
            or a matrix (rows, f). It says how unknown frames run; the task alone sets the levels of known ones.
        steps: steps of each frame, at least 1; None is 10. Refused when schedule is a matrix.
        shift: shift of the sigmas; None is the model's own. A matrix, or a function without it, takes none.
        guidance: scale of text guidance, one for all or one for each latent frame (f,); 1 is none and halves the work.
            Or any guider: as text, such as "apg(scale=5)", or a function of `pusa_lab.guidance` or your own with its
            settings, such as partial(guidance.picture_guidance, scale=1.5); `guidance.chain` makes one of several.
        negative: caption to be guided away from, one for all or one per sample; refused without guidance.
        frames: latent frames; None is the model's own number.
        solver: a name in `solvers.SOLVERS`, a function, or settings such as `solvers.AdamsBashforth(3)`.
        seed: sample i of the batch starts from the noise of seed + i, whatever the batch; or one seed per sample.

    Raises:
        ValueError: with one sentence on what was received and what to do.
    """
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    if not prompts:
        raise ValueError("no prompt was given: pass a caption, or a list with one caption per sample.")
    solver = _solver(solver)
    frames = _count("frames", model.geometry.frames if frames is None else frames, MOST)
    negatives = _each("negative", negative, len(prompts))
    seed = seed if isinstance(seed, int) else _each("seed", seed, len(prompts))
    guider = _guider(guidance, frames)
    if _is_none(guidance) and any(negatives):
        raise ValueError("negative has no effect without guidance: leave it out, or give a guidance above 1.")
    matrix = _matrix(schedule, steps, frames, shift, model.geometry.shift)
    shape = model.geometry.latent_shape(len(prompts), frames)
    if math.prod(shape) > MOST_LATENTS:
        raise ValueError(f"latents of shape {shape} (b c f h w) are more than memory holds: ask for fewer frames.")
    conditions = place(task or text_to_video(), model.geometry, frames, len(prompts))
    if isinstance(seed, list) and all(len(clip) == 1 for clip in conditions.clips):
        _check_seeds(seed, prompts, negatives)
    matrix = conditions.schedule(matrix)
    eps, asked = _noise(shape, seed).to(model.device), Asked(model)
    given: dict[str, Any] = {"known": conditions.at}
    if getattr(guider, "func", None) is not text_cfg:
        given["eps"] = _noise(shape, seed, GUIDE_ROW).to(eps)
    _try(guider, asked, eps, matrix[0].to(eps).expand(len(prompts), -1), given)
    with torch.no_grad():
        cond = model.encode_text(prompts)
        null = model.encode_text(negatives) if not _is_none(guidance) else cond
        conditions = conditions.encode(model)
    x = conditions.start(eps, matrix[0].to(eps).expand(len(prompts), -1))
    if getattr(solver, "seed", 0) is None:
        solver = replace(solver, seed=seed)  # type: ignore[type-var]
    denoiser = _bound(guide(guider, asked, null=null, **given), cond)
    return Run(denoiser, x, matrix, conditions, solver, seed, asked)


@_with_our_names
@checked
def generate(model: VideoModel, prompt: str | Sequence[str], task: Task | None = None, **options: Any) -> Result:
    """Make a video: `generate(model, "a red circle moves right", task=tasks.image_to_video(picture))`.

    Args:
        model: any `VideoModel`: the toy or Wan-14B.
        prompt: one caption, or one per sample.
        task: from `pusa_lab.tasks`; None is text-to-video.
        **options: as `prepare`: schedule, steps, shift, guidance, negative, frames, solver, seed.

    Raises:
        ValueError: with one sentence on what was received and what to do.
    """
    run = prepare(model, prompt, task, **options)
    start = time.perf_counter()
    for state in run.states():
        last = state
    with torch.no_grad():
        video = to_uint8(model.decode(last.x))
    name = (task or text_to_video()).name
    return Result(video, last.x, run.schedule, time.perf_counter() - start, name, run.model.times)


generate.__signature__ = inspect.signature(prepare).replace(return_annotation=Result)  # type: ignore[attr-defined]
"""So that help and tab completion show the options."""


def _solver(solver: str | Solver) -> Solver:
    if inspect.isclass(solver):
        raise ValueError(f"solver is the class {solver.__name__}: give its settings, such as {solver.__name__}().")
    if isinstance(solver, str):
        return SOLVERS.find(solver)
    if inspect.isfunction(solver):
        try:
            inspect.signature(solver).bind(*["denoiser", "x", "tau", "tau_next"])
        except TypeError:
            raise ValueError("solver does not take (denoiser, x, tau, tau_next): give a function that does.") from None
    return solver


def _count(name: str, value: int, most: int) -> int:
    if not 1 <= value <= most:
        raise ValueError(f"{name}={value}: give 1 to {most:,}.")
    return value


def _each(name: str, value: Any, batch: int) -> list[Any]:
    """One per sample."""
    if isinstance(value, list):
        if len(value) != batch:
            values, prompts = counted(len(value), "value"), counted(batch, "prompt")
            raise ValueError(f"{values} of {name} for {prompts}: give one for all, or one per prompt.")
        return value
    return [value] * batch


def _guider(guidance: float | Float[Tensor, " f"] | str | Guider, frames: int) -> Guider:
    """A number is the scale of text guidance."""
    if isinstance(guidance, str):
        return guider_named(guidance)
    if isinstance(guidance, Tensor):
        if len(guidance) != frames:
            raise ValueError(
                f"guidance of {counted(len(guidance), 'number')} for {counted(frames, 'latent frame')}: give one "
                f"finite number, or one per latent frame."
            )
        if not (guidance.abs() <= MOST_SCALE).all():
            raise ValueError(f"guidance={guidance.tolist()}: give numbers from -{MOST_SCALE:,} to {MOST_SCALE:,}.")
    elif callable(guidance):
        return guidance
    elif not abs(guidance) <= MOST_SCALE:
        raise ValueError(f"guidance={guidance}: give a number from -{MOST_SCALE:,} to {MOST_SCALE:,}; 1 is none.")
    return partial(text_cfg, scale=guidance)


def _is_none(guidance: float | Float[Tensor, " f"] | str | Guider) -> bool:
    """Whether no guidance is asked for, so that nothing but the caption needs to be encoded."""
    if isinstance(guidance, Tensor):
        return bool((guidance == 1).all())
    return not callable(guidance) and guidance == 1


def _try(guider: Guider, model: Asked, x: Video, tau: Tau, given: dict[str, Any]) -> None:
    """One velocity with another model in place of this one: what does not fit is refused before words are encoded."""
    stand_in = Guided(lambda x, tau, **cond: torch.zeros_like(x), 1, model.num_layers)
    guided = guide(guider, stand_in, null={}, **given)
    try:
        guided(x, tau)
    except ValueError:
        raise
    except Exception:
        return  # someone's own guider reads the caption, of which there is none yet


def _bound(denoiser: Denoiser, cond: Cond) -> Guided:
    """The same with its caption: (x, tau) -> v."""
    return Guided(lambda x, tau: denoiser(x, tau, **cond), calls(denoiser))


def _matrix(
    schedule: str | Schedule | Callable[..., Any], steps: int | None, frames: int, shift: float | None, own_shift: float
) -> Schedule:
    """The matrix (rows, f) that was asked for, checked."""
    if isinstance(schedule, Tensor):
        return as_schedule(as_matrix(schedule, steps, frames, shift), name="the matrix")
    steps = _count("steps", 10 if steps is None else steps, MOST_STEPS)
    if steps * frames > MOST_LEVELS:
        raise ValueError(
            f"{steps:,} steps of {frames:,} latent frames are more than {MOST_LEVELS:,} levels: ask for fewer."
        )
    found, name = SCHEDULES.find(schedule) if isinstance(schedule, str) else schedule, schedule_name(schedule)
    return as_schedule(call(name, found, steps, frames, shift, own_shift), name=name)


def _check_seeds(seeds: list[int], prompts: list[str], negatives: list[str]) -> None:
    """Refuse samples that would come out equal."""
    rows = list(zip(seeds, prompts, negatives, strict=True))
    if again := [row for i, row in enumerate(rows) if row in rows[:i]]:
        raise ValueError(
            f"seed={again[0][0]} was given twice for the prompt {again[0][1]!r:.60}: the same seed makes the same "
            f"video, give another one."
        )


def _noise(shape: tuple[int, ...], seed: int | Sequence[int], row: int = 0) -> Video:
    """Sample i is drawn on the CPU from its own seed, so it depends neither on the batch nor on the device."""
    seeds = [seed + i for i in range(shape[0])] if isinstance(seed, int) else seed
    generators = [torch.Generator().manual_seed((one * 100_003 + row) % 2**63) for one in seeds]
    return torch.stack([torch.randn(*shape[1:], generator=g) for g in generators])

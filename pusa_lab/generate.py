"""The front door: one call for every model, task and schedule."""

import inspect
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.conditions import Conditions, place
from pusa_lab.guidance import text_cfg
from pusa_lab.pixels import to_uint8
from pusa_lab.samplers import SOLVERS, Solver, State, sample_steps
from pusa_lab.schedules import SCHEDULES, validate
from pusa_lab.tasks import Task, text_to_video
from pusa_lab.types import Denoiser, Schedule, Video, VideoModel


@dataclass(frozen=True, eq=False)
class Result:
    """A finished video and how it was made."""

    video: np.ndarray
    """(b, pixel frames, h, w, 3) uint8."""
    latents: Video
    """(b, c, f, h, w)."""
    schedule: Schedule
    """(rows, f): the clocks that were walked, known frames included."""
    seconds: float
    """Wall time of sampling and decoding."""
    task: str
    """Name of the task."""


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
    seed: int
    """Seed of the start and of the fresh noise of imposed frames."""

    def states(self) -> Iterator[State]:
        """Every state from noise to video; in the modes hold, reimpose and label known frames are set anew each row."""
        for state in sample_steps(self.denoiser, self.x, self.schedule, self.solver):
            if any(self.conditions.imposed):
                eps = _noise(self.x.shape, self.seed, state.row).to(self.x)
                state.x = self.conditions.impose(state.x, eps, state.tau)
                if state.x0 is not None:
                    state.x0 = self.conditions.impose(state.x0, eps, torch.zeros_like(state.tau))
            yield state


def prepare(
    model: VideoModel,
    prompt: str | list[str],
    task: Task | None = None,
    *,
    schedule: str | Schedule | Callable[..., Schedule] = "synchronous",
    steps: int = 10,
    shift: float | None = None,
    guidance: float | Float[Tensor, " f"] = 2.0,
    negative: str = "",
    frames: int | None = None,
    solver: str | Solver = "euler",
    seed: int = 0,
) -> Run:
    """Check a request, then encode what it needs: nothing is encoded before everything but the words is checked.

    Args:
        model: any `VideoModel`.
        prompt: one caption, or one per sample.
        task: from `pusa_lab.tasks`; None is text-to-video.
        schedule: a name in `schedules.SCHEDULES`, a function (steps, frames, shift=...), or a tensor (rows, f).
        steps: moves of each frame, at least 1; unused when schedule is a tensor.
        shift: shift of the grid; None is the model's own; unused when schedule is a tensor.
        guidance: scale of text guidance, one for all or one for each latent frame (f,); 1 is none and halves the work.
        negative: caption to be guided away from.
        frames: latent frames; None is the model's own number.
        solver: a name in `solvers.SOLVERS`, a function, or settings such as `solvers.AdamsBashforth(3)`.
        seed: sample i of the batch starts from the noise of seed + i, whatever the batch.

    Raises:
        ValueError: with one sentence on what was received and what to do.
    """
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    if not prompts:
        raise ValueError("no prompt was given: pass a caption, or a list with one caption per sample.")
    if isinstance(solver, str) and solver not in SOLVERS:
        raise ValueError(f"unknown solver {solver!r}: choose one of {', '.join(SOLVERS)}.")
    frames = model.geometry.frames if frames is None else frames
    matrix = _matrix(schedule, steps, frames, model.geometry.shift if shift is None else shift)
    if not isinstance(task, Task | None):
        raise ValueError(f"task is a {type(task).__name__}: make one, such as tasks.image_to_video(picture).")
    conditions = place(task or text_to_video(), model.geometry, frames, len(prompts))
    _check_start(matrix, conditions.at)
    matrix = conditions.schedule(matrix)
    free = bool((torch.as_tensor(guidance) == 1).all())
    with torch.no_grad():
        cond = model.encode_text(prompts)
        null = model.encode_text([negative] * len(prompts)) if not free else cond
        conditions = conditions.encode(model)
    eps = _noise(model.geometry.latent_shape(len(prompts), frames), seed).to(model.device)
    x = conditions.start(eps, matrix[0].to(eps).expand(len(prompts), -1))
    solver = SOLVERS[solver] if isinstance(solver, str) else solver
    if getattr(solver, "seed", 0) is None:
        solver = replace(solver, seed=seed)  # type: ignore[type-var]
    return Run(text_cfg(model, cond, null, 1.0 if free else guidance), x, matrix, conditions, solver, seed)


def generate(model: VideoModel, prompt: str | list[str], task: Task | None = None, **options: object) -> Result:
    """Make a video: `generate(model, "a red circle moves right", task=tasks.image_to_video(picture))`.

    Args:
        model: any `VideoModel`: the toy or Wan-14B.
        prompt: one caption, or one per sample.
        task: from `pusa_lab.tasks`; None is text-to-video.
        **options: as `prepare`: schedule, steps, shift, guidance, negative, frames, solver, seed.

    Raises:
        ValueError: with one sentence on what was received and what to do.
    """
    run = prepare(model, prompt, task, **options)  # type: ignore[arg-type]
    start = time.perf_counter()
    for state in run.states():
        last = state
    with torch.no_grad():
        video = to_uint8(model.decode(last.x))
    name = (task or text_to_video()).name
    return Result(video, last.x, run.schedule, time.perf_counter() - start, name)


generate.__signature__ = inspect.signature(prepare).replace(return_annotation=Result)  # type: ignore[attr-defined]
"""So that help and tab completion show the options."""


def _matrix(schedule: str | Schedule | Callable[..., Schedule], steps: int, frames: int, shift: float) -> Schedule:
    if isinstance(schedule, str):
        if schedule not in SCHEDULES:
            raise ValueError(f"unknown schedule {schedule!r}: choose one of {', '.join(SCHEDULES)}.")
        schedule = SCHEDULES[schedule]
    matrix = torch.as_tensor(schedule(steps, frames, shift=shift) if callable(schedule) else schedule)
    validate(matrix)
    if matrix.shape[1] != frames:
        raise ValueError(
            f"the schedule has {matrix.shape[1]} frames, the video {frames}: make it with frames={frames}, "
            f"or pass frames={matrix.shape[1]}."
        )
    return matrix


def _check_start(matrix: Schedule, known: list[int]) -> None:
    if half := [i for i, level in enumerate(matrix[0].tolist()) if level < 1 and i not in known]:
        raise ValueError(
            f"frame {half[0]} starts at {matrix[0, half[0]]:.4g} but nothing is known of it: start it at 1, "
            f"or name it among the task's known frames."
        )


def _noise(shape: tuple[int, ...], seed: int, row: int = 0) -> Video:
    """Sample i is drawn on the CPU from its own seed, so it depends neither on the batch nor on the device."""
    generators = [torch.Generator().manual_seed(((seed + i) * 100_003 + row) % 2**63) for i in range(shape[0])]
    return torch.stack([torch.randn(*shape[1:], generator=g) for g in generators])

"""A run of the sampling loop as `prepare` makes it, and its result."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from pusa_lab.annotations import attribute
from pusa_lab.arguments import checked, shown
from pusa_lab.causal import Causal, CausalKeeper
from pusa_lab.conditions import Conditions, place
from pusa_lab.guidance import num_layers
from pusa_lab.inputs import Samples
from pusa_lab.noise import noise_of
from pusa_lab.pixels import to_pixels, to_uint8
from pusa_lab.requests import Request, describe_request, inputs_of, requested_task
from pusa_lab.resting import Keeper, moving_frames, plan_steps
from pusa_lab.samplers import Solver, State, sample_steps
from pusa_lab.sampling_inputs import with_levels
from pusa_lab.tasks import Task
from pusa_lab.timesteps import velocity_by
from pusa_lab.types import Cond, Denoiser, Geometry, Schedule, Schedules, Tau, Video, VideoModel


@dataclass(frozen=True, eq=False)
class Result:
    """A finished video and how it was made."""

    video: np.ndarray
    """(b, pixel frames, h, w, 3) uint8; without pixel frames if output="latents" was asked for."""
    latents: Video
    """(b, c, f, h, w)."""
    schedule: Schedule | Schedules
    """(rows, f), or (b, rows, f) if each sample had its own, float32 on the CPU: the noise levels that were sampled
    through, known frames included."""
    seconds: float
    """Wall time of sampling and decoding."""
    task: str
    """Name of the task."""
    calls: int
    """Times that the model was asked for a velocity: twice a step with text guidance and a solver of first order."""
    row: int | None = None
    """Row at which the run was cancelled, whose clean estimate this is; None if it ran to its end."""
    request: Request | None = None
    """Everything it was made with; None if `generate` did not make it."""
    inputs: dict[str, Tensor] = field(default_factory=dict, repr=False)
    """The known clips and the embeddings that the request names by their digests."""
    share: float = 1.0
    """Share of the frames that the model computed in these calls; below 1 if frames at rest, or finished frames of a
    causal model, were not computed anew."""

    @property
    def known_pixels(self) -> list[int]:
        """Pixel frames that the task gave: all that the known latent frames hold, without those of noise 1.

        Raises:
            ValueError: `generate` did not make the result, or its video is not decoded.
        """
        request, pixel_frames = self.request, self.video.shape[1]
        if request is None or not pixel_frames:
            lacks = "request, so nothing says which frames were given" if request is None else "video: call decode"
            raise ValueError(f"this result has no {lacks}.")
        frames = request.latent_frames
        stride = (pixel_frames - 1) // (frames - 1) if frames > 1 else 1
        geometry = Geometry((stride, 1, 1), 1, frames, (request.size[0], request.size[1]))
        task = requested_task(request, self.inputs, "this result")
        found = place(task, geometry, frames, max((len(to_pixels(one.clip)) for one in task.known), default=1))
        given = [i for i, noise in zip(found.at, found.noise, strict=True) if noise < 1]
        return [pixel for i in given for pixel in geometry.pixels_at(i)]

    @checked
    def save(self, path: str | Path, latents: bool = False) -> list[Path]:
        """Write the video, and what is needed to make it again: see `saved.save_result`.

        Args:
            path: a folder, or a file that ends in .mp4 or .safetensors.
            latents: whether the latents are written too.

        Returns:
            The files.
        """
        return import_module("pusa_lab.saved").save_result(self, path, latents)

    @checked
    def decode(self, model: VideoModel) -> "Result":
        """The same with its video, for output="latents".

        Args:
            model: which made it.
        """
        return replace(self, video=decode(model, self.latents))

    def _repr_html_(self) -> str:
        """Shown in a notebook: the video beside the schedule, the request folded."""
        return import_module("pusa_lab.html").result_html(self)


@dataclass
class Asked:
    """A denoiser that counts how often it is asked, and what else happened in the run."""

    denoiser: Denoiser
    """(x, tau, **cond) -> v."""
    times: int = 0
    """So far."""
    began: float | None = None
    """When the run began, by `time.perf_counter`."""
    given: tuple[int, list[Tensor]] = (-1, [])
    """The last row that `states` gave, and copies of its tensors."""
    steered: list[int] = field(default_factory=list)
    """Rows whose tensors were changed after `states` gave them."""
    keeper: Keeper | CausalKeeper | None = None
    """What is asked in its place, if frames at rest, or finished frames of a causal model, are not computed anew."""

    def begin_step(self, step: int | None) -> None:
        """Tell a model that wants to know, by a method of this name, that a step begins; None: that the run has ended.

        Args:
            step: number of the row from which it leads.
        """
        if callable(begin := attribute(self.denoiser, "begin_step")):
            begin(step)

    def note_changes(self, state: State) -> None:
        """Note whether the state that `states` gave last was changed since.

        Args:
            state: as it is now.
        """
        row, before = self.given
        after = _held(state)
        same = len(before) == len(after) and all(map(torch.equal, before, after))
        if state.row == row and not same and row not in self.steered:
            self.steered.append(row)

    @property
    def share(self) -> float:
        """Share of the frames that were computed, of those of all calls."""
        return self.keeper.frames / self.keeper.asked if self.keeper is not None and self.keeper.asked else 1.0

    @property
    def num_layers(self) -> int | None:
        """The denoiser's number of layers, for guidance that skips some of them."""
        return num_layers(self.denoiser)

    @checked
    def velocities(self, x: Video, tau: Tau, conds: Sequence[Cond]) -> Sequence[Video] | None:
        """The denoiser's velocities under several conditions, if its class makes them at once; else None.

        Args:
            x: latents (b, c, f, h, w).
            tau: timesteps (b, f).
            conds: keyword arguments of each call.
        """
        together = getattr(type(self.denoiser), "velocities", None)
        found = together(self.denoiser, x, tau, conds) if together and self.keeper is None else None
        self.times += 0 if found is None else len(conds)
        return found

    def __call__(self, x: Video, tau: Tau, **cond: Any) -> Video:
        """The denoiser's velocity."""
        self.times += 1
        if self.keeper is not None:
            return self.keeper(x, tau, **cond)
        return velocity_by("the denoiser", self.denoiser, x, tau, **cond)


@dataclass(frozen=True, eq=False)
class Run:
    """A checked and encoded request, ready to sample: iterate `states()` to watch and steer it, then `finish`."""

    denoiser: Denoiser
    """Guided: (x, tau) -> v."""
    x: Video
    """Start (b, c, f, h, w)."""
    schedule: Schedule | Schedules
    """(rows, f) or (b, rows, f), with the known frames at their levels."""
    conditions: Conditions
    """The known frames."""
    solver: str | Solver
    """How to move from row to row."""
    seed: int | list[int]
    """Seed of the start and of the fresh noise of frames that are replaced or noised on, one for all or one per
    sample."""
    model: Asked
    """The model, which counts how often it was asked."""
    samples: Samples
    """Captions and seeds of all samples."""
    task: Task
    """What is known."""
    geometry: Geometry
    """Geometry of the model, with the size that was asked for."""
    options: dict[str, Any]
    """schedule, steps, shift, solver and guidance, as they were given; matrix, what the schedule made; and refresh, as
    it was chosen."""
    prepared: "Run | None" = None
    """The run as `prepare` made it, from which fields of this one may have been replaced since."""

    @property
    def last_row(self) -> int:
        """Number of the last row; the first is 0."""
        return self.schedule.shape[-2] - 1

    @cached_property
    def request(self) -> Request:
        """Everything that this run is made with."""
        model: Any = self.model.denoiser
        levels = self.options["matrix"], self.schedule
        return describe_request(model, self.samples, self.task, self.options, *levels, self.geometry)

    @checked
    def states(self, watched: bool = True) -> Iterator[State]:
        """Every state from noise to video; known frames that their mode replaces are set anew each row.

        Args:
            watched: whether you may change the states: then every row is copied, and checked for changes.

        Raises:
            ValueError: latents that are not finite, or of another shape, were assigned to a state.
        """
        asked = self.model
        asked.times, asked.began, asked.given, asked.steered = 0, time.perf_counter(), (-1, []), []
        asked.keeper = self._keeper()
        schedule = with_levels(self.options["matrix"], self.schedule)
        try:
            for state in sample_steps(self.denoiser, self.x, schedule, self.solver, seed=self.seed):
                if any(self.conditions.replaced):
                    eps = noise_of(self.x.shape, self.seed, state.row).to(self.x)
                    state.x = self.conditions.replace_known(state.x, eps, state.tau)
                    if state.x0 is not None:
                        state.x0 = self.conditions.replace_known(state.x0, eps, torch.zeros_like(state.tau))
                if watched:
                    # NumPy and .data write without a version
                    asked.given = state.row, [x.clone() for x in _held(state)]
                yield state
                if watched:
                    _check_latents(state.x, self.x)
                    asked.note_changes(state)
                if asked.keeper is not None:
                    asked.keeper.begin(state.row)
                if state.row < self.last_row:
                    asked.begin_step(state.row)
        finally:
            asked.begin_step(None)

    def _keeper(self) -> Keeper | CausalKeeper | None:
        refresh, model = self.options["refresh"], self.model.denoiser
        if refresh is None and not isinstance(model, Causal):
            return None
        moving = moving_frames(self.schedule, self.conditions.renewed)
        if isinstance(model, Causal):
            return CausalKeeper(model, moving, model.window)
        return Keeper(model, plan_steps(moving, refresh))

    @checked
    def finish(self, state: State, output: Literal["video", "latents"] = "video") -> Result:
        """The result of a run at a state: decoded, with its request.

        Args:
            state: the last of `states()`; of an earlier one, the clean estimate is the result.
            output: "latents" decodes nothing; `Result.decode` does so later.
        """
        _check_latents(state.x, self.x)
        row = state.row if state.row < self.last_row else None
        latents = state.x if row is None or state.x0 is None else state.x0
        model: Any = self.model.denoiser
        if self.model.keeper is not None:
            self.model.keeper.branches.clear()  # decoding needs the memory
        if output == "video":
            video = decode(model, latents)
        else:
            video = np.empty((len(latents), 0, *self.geometry.size, 3), np.uint8)
        seconds = 0.0 if self.model.began is None else time.perf_counter() - self.model.began
        self.model.note_changes(state)
        request = replace(self.request, steered=self._steered())
        found = Result(video, latents, self.schedule, seconds, self.task.name, self.model.times, row, request)
        return replace(found, inputs=inputs_of(self.samples, self.task), share=self.model.share)

    def _steered(self) -> list[str]:
        """What was changed by hand: fields of the run since it was prepared, and states on the way."""
        names = ("denoiser", "x", "schedule", "conditions", "solver", "seed")
        was = self.prepared or self
        replaced = [f"the run's {name}" for name in names if getattr(self, name) is not getattr(was, name)]
        return replaced + [f"the latents at row {row}" for row in self.model.steered]


def _held(state: State) -> list[Tensor]:
    """The tensors that go on from a state."""
    return [x for x in (state.x, state.v, state.x0) if isinstance(x, Tensor)]


def _check_latents(x: Any, start: Video) -> None:
    """Refuse latents assigned to a state that are not as those at the start."""
    if not isinstance(x, Tensor) or x.shape != start.shape or not x.is_floating_point():
        raise ValueError(f"state.x is {shown(x)}: assign latents (b, c, f, h, w) of shape {tuple(start.shape)}.")
    if not torch.isfinite(x).all():
        raise ValueError("state.x holds NaN or infinite numbers: assign finite latents.")


@checked
def decode(model: VideoModel, latents: Video) -> np.ndarray:
    """The pixels (b, pixel frames, h, w, 3) uint8 of latents, such as those of output="latents".

    Args:
        model: the model that made the latents.
        latents: (b, c, f, h, w).

    Raises:
        ValueError: the latents are not of this model.
    """
    if latents.shape[1] != (c := model.geometry.channels):
        raise ValueError(f"latents has shape {tuple(latents.shape)}: give (b, {c}, f, h, w), as the model makes them.")
    with torch.no_grad():
        return to_uint8(model.decode(latents.to(model.device)))

"""The loop of a stream: a window of frames goes down the rows and moves on with them, for ever."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from pusa_lab.arguments import calling, checked
from pusa_lab.causal import Causal, CausalKeeper
from pusa_lab.conditions import Conditions, place
from pusa_lab.guidance import Guider, guide, text_cfg
from pusa_lab.memory import NEW_FRAME
from pusa_lab.noise import noise_of
from pusa_lab.pixels import to_uint8
from pusa_lab.runs import Asked
from pusa_lab.samplers import State, next_state
from pusa_lab.schedules.matrices import MOST_FRAMES
from pusa_lab.solvers import Step
from pusa_lab.streaming.actions import FrameActions
from pusa_lab.streaming.captions import FramePrompts
from pusa_lab.streaming.decoding import LatentDecoder
from pusa_lab.streaming.plan import SteadyWindow
from pusa_lab.tasks import MODES, Known, Task
from pusa_lab.timesteps import interpolate
from pusa_lab.types import Cond, Denoiser, Geometry, Tau, Video, VideoModel

GUIDE_FRAME = 100_003
"""Added to the row of the noise of a guider's views."""


@dataclass(frozen=True, eq=False)
class Streamed:
    """Frames that a stream has finished."""

    at: range
    """Latent frames, counted from the start of the video."""
    pixels_at: range
    """Pixel frames that they hold."""
    latents: Video
    """(1, c, frames, h, w)."""
    video: np.ndarray
    """(pixel frames, h, w, 3) uint8; without pixel frames if output="latents" was asked for."""
    prompts: tuple[str, ...]
    """Prompt of each latent frame."""
    row: int
    """Row at which they became final, counted from the start of the video."""
    calls: int
    """Times that the model was asked for a velocity so far."""
    seconds: float
    """Wall time since the first frames were asked for."""
    share: float = 1.0
    """Share of the frames that the model computed in these calls; below 1 of a causal model."""


@dataclass(eq=False, repr=False)
class Stream(Iterator[Streamed]):
    """A video without end: iterate to get its frames as they become final; change prompts and give frames on the way.

    `pusa_lab.stream` makes one.
    """

    model: VideoModel
    """The model."""
    plan: SteadyWindow
    """How every frame runs."""
    frames: int
    """Latent frames of the window."""
    overlap: int | None
    """Final frames that stay in it; None is as many as fit."""
    step: Step
    """Step function of the solver; a stateful one is `memory.Movable`."""
    guider: Guider
    """Guides the model."""
    null: Cond
    """The negative prompt, encoded."""
    captions: FramePrompts
    """Prompts of the frames in the window."""
    decoder: LatentDecoder | None
    """Decodes latents as they come; None leaves them latents."""
    seed: int
    """Every frame draws its own noise from it."""
    actions: FrameActions | None = None
    """Actions of the frames in the window; None is a model that takes none, or is given none."""
    asked: Asked = field(init=False)
    """The model, which counts how often it was asked."""
    row: int = field(default=0, init=False)
    """Row at which the window is."""
    first: int = field(default=0, init=False)
    """First latent frame of the window."""
    done: int = field(default=0, init=False)
    """Latent frames that are final and were given out."""
    x: Video = field(init=False)
    """Latents (1, c, frames, h, w) of the window."""

    def __post_init__(self) -> None:
        self.asked, self.began = Asked(self.model), 0.0
        if isinstance(self.model, Causal):
            self.asked.keeper = CausalKeeper(self.model, window=self.model.window or self.frames)
        self.known: dict[int, tuple[Video, float]] = {}
        self._guided: tuple[Any, Denoiser] | None = None
        self.x = torch.zeros(self._geometry.latent_shape(1, 0), device=self.model.device)
        self._slide(0, self.frames)

    @property
    def _geometry(self) -> Geometry:
        return self.model.geometry

    def __iter__(self) -> "Stream":
        """The stream itself."""
        return self

    def __next__(self) -> Streamed:
        """The frames that become final next, one or several."""
        self.began = self.began or time.perf_counter()
        with calling("stream"):
            while (final := self.plan.oldest(self.row)) == self.done:
                self._move_on()
            return self._finished(range(self.done, final))

    @checked
    def set_prompt(self, prompt: str, at: int | None = None) -> None:
        """Change the prompt from a frame on: frames in progress follow it from their next step.

        Args:
            prompt: for this frame and all after it.
            at: latent frame; None is the first that has not started.

        Raises:
            ValueError: the frame is final already, or the model cannot encode the prompt.
        """
        at = self.plan.newest(self.row - 1) + 1 if at is None else at
        self._refuse_final(at, "its prompt cannot change any more")
        self.captions.change(prompt, at)

    @checked
    def add_known(self, known: Known) -> None:
        """Give a picture or a clip on the way: frames that the video is to show, in the window or still to come.

        Args:
            known: with `at` or `pixel_at` counted from the start of the video, in a mode that does not set frames anew
                at every row, or with noise=0.

        Raises:
            ValueError: a frame is final already, counted from the end, or kept in a mode that a stream does not have.
        """
        found = placed_in_stream(Task("stream", (known,)), self._geometry)
        self._refuse_final(min(found.at), "nothing can be known of it any more")
        self.keep(found.encode(self.model))

    def keep(self, found: Conditions) -> None:
        """Keep known frames, which are encoded: those in the window are put in their place.

        Args:
            found: of `placed_in_stream`, encoded.
        """
        latents = found.latents if found.latents is not None else self.x[:, :, :0]
        for k, (frame, noise) in enumerate(zip(found.at, found.noise, strict=True)):
            self.known[frame] = latents[:, :, k : k + 1].to(self.x), noise
            if frame < self.first + self.frames:
                here = frame - self.first
                self.x = torch.cat([self.x[:, :, :here], self._start(frame), self.x[:, :, here + 1 :]], dim=2)

    def check_guider(self) -> None:
        """Refuse a guider that does not fit, or one whose memory cannot move.

        Raises:
            ValueError: as said.
        """
        if getattr(self._guide(self._levels(0)), "remembers", False):
            raise ValueError(
                "the guider keeps a velocity of the row before, which cannot move with the frames: give one without "
                "momentum."
            )

    def _refuse_final(self, frame: int, so: str) -> None:
        if frame < 0:
            raise ValueError(f"at={frame}: frames are counted from the start, give {self.done} or more.")
        if frame < self.done:
            raise ValueError(
                f"frame {frame} became final at row {self.plan.track(frame).end} and the stream is at row {self.row}, "
                f"so {so}: give a frame from {self.done} on."
            )

    def _level(self, frame: int, row: int) -> float:
        return self.plan.level(frame, row) * (self.known[frame][1] if frame in self.known else 1.0)

    def _levels(self, row: int) -> Tau:
        window = range(self.first, self.first + self.frames)
        return torch.tensor([[self._level(frame, row) for frame in window]], device=self.x.device)

    def _slide(self, drop: int, add: int) -> None:
        """Move the window on: latents, prompts and the solver's memory."""
        self.first += drop
        new = range(self.first + self.x.shape[2] - drop, self.first + self.x.shape[2] - drop + add)
        self.captions.slide(drop, add)
        if self.actions is not None:
            self.actions.slide(drop)
        self.known = {frame: one for frame, one in self.known.items() if frame >= self.first}
        self.x = torch.cat([self.x[:, :, drop:], *(self._start(frame) for frame in new)], dim=2)
        if isinstance(self.asked.keeper, CausalKeeper):
            self.asked.keeper.slide(drop)
        if (slide := getattr(self.step, "slide", None)) is not None:
            slide(drop, add)

    def _start(self, frame: int) -> Video:
        """A frame as it enters, or as it becomes known: noise, with as much of what is known as its level leaves."""
        eps = self._noise(frame, 0)
        if frame not in self.known:
            return eps
        return interpolate(self.known[frame][0], eps, eps.new_full((1, 1), self._level(frame, self.row)))

    def _noise(self, frame: int, more: int) -> Video:
        shape = self._geometry.latent_shape(1, 1)
        return noise_of(shape, self.seed, (frame + 1) * NEW_FRAME + more).to(self.model.device)

    def _move_on(self) -> None:
        """Go down one row."""
        if drop := self.plan.first(self.row, self.frames, self.overlap) - self.first:
            self._slide(drop, drop)
        tau, tau_next = self._levels(self.row), self._levels(self.row + 1)
        state = State(self.row, tau, self.x)
        self.x = next_state(self.step, self._denoiser(tau, tau_next), state, tau, tau_next, {}).x
        self.row += 1

    def _denoiser(self, tau: Tau, tau_next: Tau) -> Denoiser:
        """Every frame that moves has the velocity of its own prompt: one guided velocity for each prompt among them."""
        guided = self._guide(tau)
        moving = (tau != tau_next)[0].nonzero().flatten().tolist()
        if moving and isinstance(self.asked.keeper, CausalKeeper):
            self.asked.keeper.show(moving[-1])
        inputs: Cond = {}
        if self.actions is not None:
            self.actions.ask(self.plan.newest(self.row))
            inputs = self.actions.encoded(self.frames)
        frames: dict[str, list[int]] = {}
        for i in moving:
            frames.setdefault(self.captions[self.first + i], []).append(i)

        def velocity(x: Video, tau: Tau) -> Video:
            found = [guided(x, tau, **self.captions.encoded[text], **inputs) for text in frames]
            v = found[0] if len(found) == 1 else found[0].clone()
            for one, at in zip(found[1:], [*frames.values()][1:], strict=True):
                v[:, :, at] = one[:, :, at]
            return v

        return velocity

    def _guide(self, tau: Tau) -> Denoiser:
        """The model, guided; what is final or known and clean is what a guider knows."""
        known = (tau[0] == 0).nonzero().flatten().tolist()
        key = (self.first, known)
        if self._guided is None or self._guided[0] != key:
            given: dict[str, Any] = {"known": known}
            if getattr(self.guider, "func", None) is not text_cfg:
                window = range(self.first, self.first + self.frames)
                given["eps"] = torch.cat([self._noise(frame, GUIDE_FRAME) for frame in window], dim=2)
            self._guided = key, guide(self.guider, self.asked, null=self.null, **given)
        return self._guided[1]

    def _finished(self, at: range) -> Streamed:
        self.done = at.stop
        latents = self.x[:, :, at.start - self.first : at.stop - self.first].clone()
        geometry = self._geometry
        video = np.empty((0, *geometry.size, 3), np.uint8)
        if self.decoder is not None:
            with torch.no_grad():
                video = to_uint8(self.decoder(latents))[0]
        pixels = range(geometry.pixels_at(at[0]).start, geometry.pixels_at(at[-1]).stop)
        prompts = tuple(self.captions[frame] for frame in at)
        seconds = time.perf_counter() - self.began
        asked = self.asked
        return Streamed(at, pixels, latents, video, prompts, self.row, asked.times, seconds, asked.share)


def placed_in_stream(task: Task, geometry: Geometry) -> Conditions:
    """The known frames of a task in a video without end, checked.

    Args:
        task: what is known.
        geometry: of the model.

    Raises:
        ValueError: a frame is counted from the end, is kept in a mode that a stream does not have, or does not fit.
    """
    if ends := [known.at for known in task.known if known.at is not None and known.at < 0]:
        raise ValueError(f"a known frame at={ends[0]}, but a stream has no end to count from: give at=0 or more.")
    found = place(task, geometry, MOST_FRAMES)
    each = zip(found.at, found.noise, found.mode, strict=True)
    if odd := [(i, m, mode) for i, m, mode in each if m > 0 and mode != "denoise"]:
        frame, noise, mode = odd[0]
        why = "which sets it anew at every row" if MODES.find(mode).replaced else "whose levels are its own"
        raise ValueError(
            f"known frame {frame} is at noise {noise:.4g} in mode {mode}, {why}: in a stream give noise=0, or "
            f"mode='denoise'."
        )
    return found

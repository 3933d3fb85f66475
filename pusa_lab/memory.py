"""What a stateful solver remembers, frame by frame, so that its memory moves along with the frames of a stream."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional as F

from pusa_lab.arguments import checked
from pusa_lab.noise import Seed, seeds_of
from pusa_lab.timesteps import per_frame
from pusa_lab.types import Tau, Video

NEW_FRAME = 0x85EBCA6B
"""Between the seeds of neighbouring frames; odd, so that 2^32 frames, which PyTorch tells apart, have their own."""


@runtime_checkable
class Movable(Protocol):
    """A step function whose memory can move along with the frames."""

    def slide(self, drop: int, add: int) -> None:
        """Forget the first `drop` frames, and have a fresh memory for `add` new ones after the last.

        A stream says so before the first step too: slide(0, frames).
        """


@dataclass(frozen=True)
class MovingStep:
    """A solver's step function, and how its memory moves."""

    step: Callable[..., tuple[Video, Video]]
    """(denoiser, x, tau, tau_next, **cond) -> (x_next, v)."""
    slide: Callable[[int, int], None]
    """(drop, add), as `Movable.slide`."""

    def __call__(self, *given: Any, **cond: Any) -> tuple[Video, Video]:
        """Make a step."""
        return self.step(*given, **cond)


class Past:
    """Per-frame history of a quantity over the last steps, newest first: `changes`, and `gaps` of the frame's time.

    A frame that does not move adds nothing to its history: what other frames do to it is not a change along its own
    time. A missing gap is infinite and its change 0, so that a frame with a short history uses a lower order.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.seen: tuple[Video, Tau, Tau] | None = None

    def see(self, value: Video, time: Tau, until: Tau) -> None:
        """Add the value at this row; `time` is each frame's time (b, f): its timestep, or a function of it.

        The step that follows leads to `until`. A frame that is elsewhere at the next row was noised on, because its
        schedule rises, or is new, and starts a new history.
        """
        if self.seen is None:
            self.changes = [torch.zeros_like(value)] * self.length
            self.gaps = [torch.full_like(time, torch.inf)] * self.length
        else:
            old, since, reached = self.seen
            now, gaps = per_frame(time, value), [time - since, *self.gaps[:-1]]
            moved, rose = now != per_frame(since, value), now != per_frame(reached, value)
            newer = zip([value - old, *self.changes[:-1]], self.changes, strict=True)
            self.changes = [torch.where(moved, new, kept).masked_fill(rose, 0) for new, kept in newer]
            gaps = [torch.where(time != since, new, kept) for new, kept in zip(gaps, self.gaps, strict=True)]
            self.gaps = [gap.masked_fill(time != reached, torch.inf) for gap in gaps]
        self.seen = value, time, until

    def slide(self, drop: int, add: int) -> None:
        """As `Movable.slide`: new frames were last at time NaN, which is no time, so that their history is new."""
        if self.seen is None:
            return
        value, time, until = self.seen
        self.changes = [F.pad(change[:, :, drop:], (0, 0, 0, 0, 0, add)) for change in self.changes]
        self.gaps = [F.pad(gap[:, drop:], (0, add), value=torch.inf) for gap in self.gaps]
        since, reached = (F.pad(one[:, drop:], (0, add), value=torch.nan) for one in (time, until))
        self.seen = F.pad(value[:, :, drop:], (0, 0, 0, 0, 0, add)), since, reached


@checked
class Streams:
    """Noise, fresh at every call: a stream for each sample, which only its own moves advance.

    After `slide`, which adds them, every frame has a stream of its own, so that the frames around it do not matter.

    Args:
        seed: sample i has seed + i, or its own from a list.
    """

    def __init__(self, seed: Seed) -> None:
        self.seed = seed
        self.samples: list[torch.Generator] = []
        self.frames: list[list[torch.Generator]] = []
        self.first = self.stop = 0

    def __call__(self, x: Video, moves: Bool[Tensor, "b f"]) -> Video:
        """Noise like x (b, c, f, h, w); samples, or frames with streams of their own, that do not move get zeros."""
        if self.stop:
            return self._by_frame(x, moves)
        self.samples.extend(map(_fresh, seeds_of(self.seed, len(x))[len(self.samples) :]))
        rest = torch.zeros(x.shape[1:])
        rows = zip(self.samples, moves.any(1).tolist(), strict=True)
        return torch.stack([torch.randn(x.shape[1:], generator=g) if moved else rest for g, moved in rows]).to(x)

    def slide(self, drop: int, add: int) -> None:
        """As `Movable.slide`."""
        self.first, self.stop = self.first + drop, self.stop + add
        self.frames = [streams[drop:] for streams in self.frames]

    def _by_frame(self, x: Video, moves: Bool[Tensor, "b f"]) -> Video:
        seeds = seeds_of(self.seed, len(x))
        self.frames = self.frames or [[] for _ in seeds]
        for seed, streams in zip(seeds, self.frames, strict=True):
            numbers = range(self.first + len(streams), self.stop)
            streams.extend(_fresh(seed + (number + 1) * NEW_FRAME) for number in numbers)
        out = torch.zeros(x.shape)
        for i, frame in moves.nonzero().tolist():
            out[i, :, frame] = torch.randn(out[i, :, frame].shape, generator=self.frames[i][frame])
        return out.to(x)


def _fresh(seed: int) -> torch.Generator:
    # far from the seeds that users start x with, because the same numbers again would not be fresh noise
    return torch.Generator().manual_seed((seed + 0x9E3779B9) % 2**63)

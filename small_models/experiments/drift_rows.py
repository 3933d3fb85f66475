"""The ways to sample a long video that the drift laboratory compares, all with the same model as it is."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from pusa_lab import schedules
from pusa_lab.arguments import checked
from pusa_lab.streaming import Move, anchored, early_steps, queue_moves, scheduled_moves, step_first_moves

BLOCK, PART = 3, 8
"""Latent frames of a block, and of a part of FIFO's queue, which must be even and fit the windows of both toys."""
LEVELS, SHIFT = 5, 5.0
"""Rolling Forcing's levels 1000, 800, ..., 200, warped with a shift."""
CHANGED = ("full sequence with overlap", "block after block")
"""Ways that are also tried with noise on the final frames that they see."""
HISTORY = (0.1, 0.3)
"""Its levels."""
ANCHORED = (*CHANGED, "rolling", "step before block")
"""Ways that are also tried with frame 0 in view."""
ANCHOR = "frame 0 stays in view"
"""What the other change is called."""


@checked
@dataclass(frozen=True)
class LongVideo:
    """A long video, and the window of the model."""

    frames: int
    """Latent frames of the video."""
    known: int
    """The first of them, which are given; each window keeps as many."""
    window: int
    """Latent frames that the model sees."""
    calls: int
    """Calls for each latent frame that is made, guidance aside, at which ways are compared."""

    @property
    def made(self) -> int:
        """Latent frames that are made."""
        return self.frames - self.known

    @property
    def new(self) -> int:
        """Latent frames of a window beside those that it keeps."""
        return self.window - self.known


@checked
@dataclass(frozen=True)
class Way:
    """How a long video is sampled."""

    name: str
    source: str
    """The methods of this kind, and a paper."""
    moves: list[Move]
    """The calls."""
    solver: Literal["euler", "consistency"] = "euler"
    """As `streaming.sample_moves` takes it."""
    history: float = 0.0
    """Noise level at which final frames are seen."""
    change: str = "none"
    """What is changed of the way of this name."""


@checked
def drift_ways(video: LongVideo) -> list[Way]:
    """All ways, and some with a change: frame 0 kept in view, or noise on final frames.

    Left out are those that need another model or training: blocks with a cache of keys and values (causal attention),
    Self Forcing's and SVI's trainings on own output, and step counts chosen by a learned confidence (2606.04432).

    Args:
        video: its sizes.

    Raises:
        ValueError: the sizes have no room for a way.
    """
    plain = [*_chunks(video), *_rolling(video), *_queues(video), *_blocks(video)]
    anchors = [replace(way, moves=anchored(way.moves), change=ANCHOR) for way in plain if way.name in ANCHORED]
    noisy = [
        replace(way, history=m, change=f"history at noise {m:g}")
        for way in plain
        if way.name in CHANGED
        for m in HISTORY
    ]
    return [*plain, *anchors, *noisy]


def _chunks(video: LongVideo) -> Iterator[Way]:
    """Each window makes all its new frames before the next."""
    n, c, new = video.made, video.calls, video.new
    whole = schedules.staircase(c * new, video.frames, video.window, video.known)[:, video.known :]
    yield Way(CHANGED[0], "SkyReels-V2, 2504.13074", _moves(video, whole, new))
    lag = c // 2
    sizes = [min(new, n - start) for start in range(0, n, new)]
    steps = c * new - lag * (new - 1)
    turns = [schedules.pyramid(steps, size, lag) for size in sizes]
    yield Way(
        "pyramid within a window",
        "Diffusion Forcing, 2407.01392",
        _moves(video, schedules.concatenate_frames(turns, "turn"), new),
    )
    yield Way("frame after frame", "Diffusion Forcing, 2407.01392", _moves(video, schedules.autoregressive(c, n)))


def _rolling(video: LongVideo) -> Iterator[Way]:
    """A window that moves on by one frame at a time: five blocks of the source's three frames have no room in it."""
    n, new = video.made, video.new
    moves = _moves(video, schedules.rolling(video.calls * new, n, new))
    yield Way("rolling", "Rolling Diffusion, 2402.09470", moves)
    yield Way("rolling, noised anew", "2402.09470 with x0 of 2509.25161", moves, "consistency")
    five = _moves(video, schedules.blockwise(LEVELS, n, 1, 1, shift=SHIFT))
    yield Way("rolling, five levels", "levels of 2509.25161", five)
    yield Way("rolling, five levels, noised anew", "Rolling Forcing, 2509.25161", five, "consistency")


def _queues(video: LongVideo) -> Iterator[Way]:
    """FIFO-Diffusion: a queue of several windows."""
    for lookahead in (False, True):
        n = video.calls // 2 if lookahead else video.calls
        moves = queue_moves(video.frames, video.known, PART, n, lookahead)
        name = f"queue of {n} windows{' with lookahead' if lookahead else ''}"
        yield Way(name, "FIFO-Diffusion, 2405.11473", moves)


def _blocks(video: LongVideo) -> Iterator[Way]:
    """Blocks of frames that share their level; the first two make 2 and 1.5 times the steps in the last way."""
    n, c, steps = video.made, video.calls, video.calls * BLOCK
    one = _moves(video, schedules.blockwise(steps, n, BLOCK, steps))
    yield Way(CHANGED[1], "CausVid, 2412.07772, without its cache", one)
    yield Way(
        "blocks that begin early",
        "MAGI-1, 2505.13211, without its cache",
        _moves(video, schedules.blockwise(c * video.new, n, 2, 2 * c)),
    )
    moves = step_first_moves(video.frames, video.known, video.window, steps, BLOCK)
    yield Way("step before block", "HiAR, 2603.08703", moves)
    early = early_steps([schedules.linear(times * steps // 4) for times in (8, 6, 4)], n, BLOCK)
    yield Way("more steps for early blocks", "Diagonal Distillation, 2603.09488", _moves(video, early))


def _moves(video: LongVideo, schedule: schedules.Schedule, together: int = 1) -> list[Move]:
    return scheduled_moves(schedule, video.window, video.known, together)

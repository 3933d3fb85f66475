"""Long videos as lists of moves: which frames the model sees in each call, and to which levels some of them go.

Every published way to sample a long video with a model of fixed length is such a list, whatever its order: windows of a
schedule, queues that are denoised part by part, steps before blocks. `sample_moves` follows it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from pusa_lab.arguments import checked
from pusa_lab.schedules import starts_as_noise, validate
from pusa_lab.schedules.compose import PartialSchedule, concatenate_frames
from pusa_lab.schedules.matrices import check_frames
from pusa_lab.schedules.sigmas import Sigmas, levels
from pusa_lab.sentences import counted
from pusa_lab.types import Levels, Schedule

MOST_SEEN = 2**22
"""Frames that all moves together may see; asking for more is taken for a mistake."""


@checked
@dataclass(frozen=True)
class Move:
    """One call of the model."""

    seen: tuple[int, ...]
    """Latent frames of the long video that the model sees, in this order."""
    to: dict[int, float]
    """Those that move, and the noise level in [0, 1] to which each goes."""


@checked
def scheduled_moves(schedule: Schedule, window: int, known: int = 0, together: int = 1) -> list[Move]:
    """The moves of a schedule for a long video: one for each row in which a level falls.

    In row r the model sees the `window` frames that end with the last i that moves, S[r + 1, i] < S[r, i], or with the
    last of its chunk; at the start, the first `window` frames. A `stream` has the same windows.

    Args:
        schedule: noise levels (rows, f) of the frames after the known ones, from noise to 0.
        window: latent frames that the model sees, at least 1.
        known: latent frames before them that are final from the start.
        together: frames of a chunk, which enter the window together, at least 1.

    Raises:
        ValueError: it is not a schedule from noise, a number is out of range, or frames that move have no room.
    """
    validate(schedule)
    if low := [i for i, level in enumerate(schedule[0].tolist()) if not starts_as_noise(level)]:
        raise ValueError(f"frame {low[0]} starts at {schedule[0, low[0]]:.4g}: start the frames to be made at 1.")
    total = known + schedule.shape[1]
    _check(total, known, len(schedule) - 1, window, together)
    moves = []
    for row, (now, after) in enumerate(pairwise(schedule)):
        if moving := (now != after).nonzero().flatten().tolist():
            chunks = -(-(moving[-1] + 1) // together)
            stop = min(total, max(window, known + chunks * together))
            start = max(0, stop - window)
            if known + moving[0] < start:
                raise ValueError(
                    f"frames {known + moving[0]} to {stop - 1} are in progress in row {row}, which is "
                    f"{stop - known - moving[0]} for a window of {window}: give a larger window, or a schedule with "
                    f"fewer frames in progress."
                )
            moves.append(Move(tuple(range(start, stop)), {known + i: after[i].item() for i in moving}))
    return moves


@checked
def queue_moves(
    frames: int,
    known: int = 0,
    window: int = 8,
    partitions: int = 4,
    lookahead: bool = False,
    shift: float | int = 1.0,
    sigmas: Sigmas = "linear",
) -> list[Move]:
    """The moves of FIFO-Diffusion: a queue longer than the window, denoised part by part, the noisiest part first.

    The queue has n w places, frame j of those to be made is in place q = j + n w - 1 - r in row r, and goes from
    g[n w - 1 - q] to g[n w - q]. Part k sees the places k w .. (k + 1) w - 1, and all of them move. With lookahead
    there are 2 n parts, part k sees the places (k - 1) w / 2 .. (k + 1) w / 2 - 1, and the second half of them moves.

    The queue fills as frames come, where the source starts with one that is full of copies of frame 0, and empties at
    the end.

    Args:
        frames: latent frames of the video, above `known`.
        known: latent frames that are final from the start.
        window: w, latent frames that the model sees, at least 1; even for lookahead.
        partitions: n, windows that the queue is long, at least 1.
        lookahead: whether every frame moves where the model sees w / 2 cleaner ones before it, for twice the calls.
        shift: shift of the sigmas g, positive; must be 1 for your own sigmas.
        sigmas: a name in `sigmas.SIGMAS`, a function (steps) -> levels, or n w + 1 levels.

    Raises:
        ValueError: a number is out of range.

    Source: Algorithms 1 to 3 of arXiv 2405.11473, and `fifo_ddim_sampling` of its code.
    """
    length, calls = window * partitions, partitions * (1 + lookahead)
    _check(frames, known, (frames - known + length) * calls, window, partitions)
    if lookahead and window % 2:
        raise ValueError(f"window={window} with lookahead: give an even number, as half of it moves.")
    part = length // calls
    g = levels(sigmas, length, shift).tolist()
    moves = []
    for row in range(frames - known + length - 1):
        first = known + row - (length - 1)  # the frame in place 0
        for stop in range(first + length, first, -part):
            moving = range(max(known, stop - part), min(stop, frames))
            if moving:
                seen = range(max(0, stop - window), min(stop, frames))
                moves.append(Move(tuple(seen), {i: g[row + 1 - (i - known)] for i in moving}))
    return moves


@checked
def step_first_moves(
    frames: int,
    known: int = 0,
    window: int = 9,
    steps: int = 10,
    block: int = 3,
    shift: float | int = 1.0,
    sigmas: Sigmas = "linear",
) -> list[Move]:
    """The moves of HiAR: every step is made of all blocks, one after the other, before the next step begins.

    In step s, block n goes from g[s] to g[s + 1], and sees the blocks before it at g[s + 1], which they have just
    reached. Known frames stay clean.

    Args:
        frames: latent frames of the video, above `known`.
        known: latent frames that are final from the start.
        window: latent frames that the model sees, the block last, at least `block`.
        steps: steps of each frame, at least 1.
        block: frames per block, at least 1; the last may have fewer.
        shift: shift of the sigmas g, positive; must be 1 for your own sigmas.
        sigmas: a name in `sigmas.SIGMAS`, a function (steps) -> levels, or the levels themselves.

    Raises:
        ValueError: a number is out of range.

    Source: arXiv 2603.08703, and the order "timestep_first" of its code, of which `sample_moves` is the trajectory
        without fresh noise.
    """
    _check(frames, known, steps * (frames - known) // max(block, 1), window, block)
    if block > window:
        raise ValueError(f"blocks of {block} frames in a window of {window}: give a block of 1 to {window}.")
    stops = [min(start + block, frames) for start in range(known, frames, block)]
    return [
        Move(tuple(range(max(0, stop - window), stop)), dict.fromkeys(range(start, stop), level))
        for level in levels(sigmas, steps, shift).tolist()[1:]
        for start, stop in zip(range(known, frames, block), stops, strict=True)
    ]


@checked
def early_steps(sigmas: Sequence[Levels], frames: int, block: int = 3) -> Schedule:
    """Blocks one after the other, the first through more levels: a schedule for `scheduled_moves`.

    Block c goes through sigmas[min(c, len(sigmas) - 1)] once the block before is final

    Args:
        sigmas: for each of the first blocks its noise levels, from noise to 0; the others go through the last.
        frames: latent frames, at least 1.
        block: frames per block, at least 1.

    Raises:
        ValueError: a number is out of range, or the levels of a block are not those of a schedule.

    Source: arXiv 2603.09488, whose first blocks make 4, 3 and 2 steps, and all others 2.
    """
    check_frames(frames)
    if block < 1 or not sigmas:
        raise ValueError(f"block={block}, levels of {counted(len(sigmas), 'block')}: give at least 1 of each.")
    parts: list[PartialSchedule] = []
    for c, start in enumerate(range(0, frames, block)):
        column = torch.as_tensor(sigmas[min(c, len(sigmas) - 1)], dtype=torch.float32)
        if column.ndim != 1:
            raise ValueError(f"sigmas of block {c} have the shape {tuple(column.shape)}: give levels for each.")
        parts.append(column[:, None].expand(-1, min(block, frames - start)))
    return concatenate_frames(parts, "turn")


@checked
def anchored(moves: Sequence[Move]) -> list[Move]:
    """The same moves, each of which sees frame 0 in the first place, where an older frame would be at rest.

    Args:
        moves: of any kind; those that see frame 0 anyway, or whose first frame moves, stay as they are.
    """
    return [move if 0 in move.seen or move.seen[0] in move.to else Move((0, *move.seen[1:]), move.to) for move in moves]


def _check(frames: int, known: int, moves: int, window: int, other: int) -> None:
    if not 0 <= known < len(check_frames(frames)) or min(window, other) < 1:
        raise ValueError(
            f"known={known} of {counted(frames, 'latent frame')}, {window} and {other}: leave at least one frame to "
            f"make, and give numbers of at least 1."
        )
    if moves * min(window, frames) > MOST_SEEN:
        raise ValueError(
            f"{moves:,} moves that see {min(window, frames)} frames, at most {MOST_SEEN:,} in all: give fewer frames "
            f"or steps, or a smaller window."
        )

"""The sampling loop of a long video that follows a list of moves, for a batch of videos."""

from collections.abc import Iterable
from typing import Any, Literal

import torch

from pusa_lab.arguments import checked
from pusa_lab.noise import Seed, noise_of, seeds_of
from pusa_lab.samplers import State, next_state
from pusa_lab.sentences import counted
from pusa_lab.solvers import Consistency, euler
from pusa_lab.streaming.moves import Move
from pusa_lab.timesteps import interpolate
from pusa_lab.types import Denoiser, Video

HISTORY = 100_019
"""Row of the noise on final frames, beyond those that other noise is drawn for."""


@checked
def sample_moves(
    denoiser: Denoiser,
    x: Video,
    moves: Iterable[Move],
    known: int = 0,
    solver: Literal["euler", "consistency"] = "euler",
    history: float | int = 0.0,
    seed: Seed = 0,
    **cond: Any,
) -> Video:
    """Follow a list of moves, and return the video in which they end.

    In each move, the frames it moves make one step of the solver from where they are, and all others in view rest. With
    `history` m, final frames are seen as (1 - m) x + m eps at level m, with the same eps of a frame each time, and are
    final all the same.

    Args:
        denoiser: (x, tau, **cond) -> v, such as a guided model.
        x: latents (b, c, f, h, w) of the whole video: known frames clean, then noise.
        moves: as the functions of `moves` make them for so many frames.
        known: frames that are final from the start, 0 to f.
        solver: "consistency" predicts x0 and noises it to the next level with fresh noise.
        history: noise level m in [0, 1] at which final frames are seen.
        seed: of fresh noise; sample i has seed + i, or its own from a list.
        **cond: passed to the denoiser at every call.

    Raises:
        ValueError: a number is out of range, a move is of other frames or does not go down, or a velocity is not
            finite.
    """
    total = x.shape[2]
    if not (0 <= known <= total and 0 <= history <= 1):
        raise ValueError(f"known={known} of {counted(total, 'frame')}, history={history}: give 0 to {total}, 0 to 1.")
    x, eps = x.clone(), noise_of(x.shape, seed, HISTORY).to(x) if history else torch.zeros_like(x)
    level = [0.0] * known + [1.0] * (total - known)
    step = euler if solver == "euler" else Consistency(seeds_of(seed, len(x))).init_state()
    for move in moves:
        _check(move, level)
        seen = list(move.seen)
        tau = x.new_tensor([level[i] or history for i in seen]).expand(len(x), -1)
        tau_next = x.new_tensor([move.to.get(i, level[i] or history) for i in seen]).expand(len(x), -1)
        final = x.new_tensor([0.0 if level[i] else history for i in seen]).expand(len(x), -1)
        part = interpolate(x[:, :, seen], eps[:, :, seen], final)
        made = next_state(step, denoiser, State(0, tau, part), tau, tau_next, cond).x
        at = [k for k, i in enumerate(seen) if i in move.to]
        x[:, :, [seen[k] for k in at]] = made[:, :, at]
        for i, reached in move.to.items():
            level[i] = reached
    return x


def _check(move: Move, level: list[float]) -> None:
    if odd := [i for i in move.seen if not 0 <= i < len(level)]:
        raise ValueError(f"a move sees frame {odd[0]} of a video of {counted(len(level), 'frame')}: give others.")
    if odd := [i for i, to in move.to.items() if i not in move.seen or not 0 <= to < level[i]]:
        there = f"which is at {level[odd[0]]:.4g}" if odd[0] in move.seen else "which it does not see"
        raise ValueError(f"a move takes frame {odd[0]} to {move.to[odd[0]]:.4g}, {there}: let it see it, and go down.")

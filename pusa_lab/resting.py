"""Frames at rest: known, finished and waiting frames, whose noise level does not fall, are not computed again.

A frame at rest needs no velocity. The others need its keys and values of self-attention, which are kept from the last
row in which all frames were computed. They are then as old as that row: every layer after the first would see the other
frames a little cleaner by now. So all frames are computed again every `refresh` rows, and in every row in which other
frames move than in the row before; with refresh = 1 that is every row, which is exact.

What is kept takes memory: of Wan-14B at 480 x 832, 1.2 GiB for each frame at rest, of each sample, for the prompt and
again for the negative prompt.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Bool
from torch import Tensor

from pusa_lab.annotations import attribute
from pusa_lab.arguments import checked
from pusa_lab.sentences import counted
from pusa_lab.timesteps import velocity_by
from pusa_lab.types import Denoiser, Schedule, Schedules, Tau, Video

MOST_REFRESH = 10_000
"""A larger number of rows is taken for a mistake."""
WORTHWHILE = 0.75
"""Largest share of the frames that is left to compute where "auto" does not compute all of them always."""
Refresh: TypeAlias = int | Literal["auto"] | None
"""All frames are computed every so many rows; None is every row, "auto" is what `auto_refresh` chooses."""
TokenPart: TypeAlias = tuple[int, int, int, int]
"""First query and the one after the last, first key and the one after the last."""
Moving: TypeAlias = Bool[Tensor, "steps f"]
"""Which frames are computed in each step from a row to the next."""


@dataclass(frozen=True)
class PlannedStep:
    """What is computed in a step from a row to the next."""

    moving: tuple[int, ...]
    """Frames that are computed in any case; in a step without any, the model is not asked."""
    whole: bool
    """Whether all others are computed too."""
    keep: bool
    """Whether the keys and values of the others are kept for the next step."""


@checked
def moving_frames(schedule: Schedule | Schedules, renewed: Sequence[int] = ()) -> Moving:
    """Which frames move in each step: those whose noise level falls, in any sample, or whose latents are set anew.

    Args:
        schedule: noise levels (rows, f) or (b, rows, f).
        renewed: frames that get fresh noise at every row, at a level above 0.

    Raises:
        ValueError: one of these is not a frame of the schedule.
    """
    frames = schedule.shape[-1]
    if unknown := [i for i in renewed if not 0 <= i < frames]:
        raise ValueError(f"renewed holds frame {unknown[0]} of {counted(frames, 'frame')}: give numbers from 0.")
    falls = schedule.diff(dim=-2) < 0
    moving = falls if falls.ndim == 2 else falls.any(0)
    again = torch.zeros_like(moving[:1]).index_fill(1, torch.tensor(renewed, dtype=torch.long), True)
    return moving | (again & moving.any(1, keepdim=True))


@checked
def plan_steps(moving: Moving, refresh: int) -> list[PlannedStep]:
    """What is computed in each step, if all frames are every `refresh` rows and whenever other frames move.

    Args:
        moving: from `moving_frames`.
        refresh: at least 1.

    Raises:
        ValueError: refresh is out of range.
    """
    _check_refresh(refresh)
    steps: list[PlannedStep] = []
    last: tuple[int, ...] = ()
    age = 0
    for row in moving.tolist():
        now = tuple(i for i, moves in enumerate(row) if moves)
        whole = now != last or age + 1 >= refresh or len(now) == len(row)
        if now:
            last, age = now, 0 if whole else age + 1
        steps.append(PlannedStep(now, whole and bool(now), False))
    kept = False
    for i in reversed(range(len(steps))):
        steps[i] = PlannedStep(steps[i].moving, steps[i].whole, kept)
        kept = not steps[i].whole if steps[i].moving else kept
    return steps


@checked
def computed_share(moving: Moving, refresh: int) -> float:
    """Share of the frames that are computed, of all frames in all steps in which the model is asked.

    Args:
        moving: from `moving_frames`.
        refresh: at least 1.

    Raises:
        ValueError: refresh is out of range.
    """
    steps, frames = [one for one in plan_steps(moving, refresh) if one.moving], moving.shape[1]
    return sum(frames if one.whole else len(one.moving) for one in steps) / max(1, frames * len(steps))


@checked
def refresh_of(
    refresh: Refresh, model: Any, moving: Moving, shape: tuple[int, int, int, int, int], branches: int
) -> int | None:
    """The number of rows that was asked for, checked; None computes all frames in every row.

    Args:
        refresh: as `generate` takes it.
        model: any; one that can keep keys and values has a method `check_resting(frames, size)`, which refuses more
            frames, of latents of that height and width, than it has room for.
        moving: from `moving_frames`.
        shape: of the latents (b, c, f, h, w).
        branches: conditions for which keys and values are kept at once, such as prompt and negative prompt.

    Raises:
        ValueError: it is out of range, or the model cannot keep keys and values.
    """
    if refresh is None:
        return None
    if refresh != "auto":
        _check_refresh(refresh)
    check = attribute(model, "check_resting")
    if not callable(check):
        raise ValueError(
            f"refresh={refresh!r}: this model computes all frames at every call, and keeps no keys and values of those "
            f"at rest: leave refresh out."
        )
    chosen = auto_refresh(moving) if refresh == "auto" else refresh
    kept = [shape[2] - len(step.moving) for step in plan_steps(moving, chosen or 1) if step.keep]
    check(shape[0] * branches * max(kept, default=0), shape[3:])
    return chosen


def _check_refresh(refresh: int) -> None:
    if not 1 <= refresh <= MOST_REFRESH:
        raise ValueError(f"refresh={refresh}: give 1 (every row) to {MOST_REFRESH:,} rows, 'auto', or None.")


@checked
def auto_refresh(moving: Moving) -> int | None:
    """A number of rows that costs `mini` about 0.1 dB or less; None where too little is gained.

    2 k / 5, if the same frames move in at most k rows in a row, and only where at most `WORTHWHILE` of the frames are
    left to compute: lone known pictures, which rest alone, lose more and gain less.

    Args:
        moving: from `moving_frames`.

    Source: benchmarks/results/resting.json, from `pusa-lab bench resting --part mini`.
    """
    refresh = 2 * max((len([*same]) for _, same in groupby(filter(any, moving.tolist()))), default=0) // 5
    return refresh if refresh > 1 and computed_share(moving, refresh) <= WORTHWHILE else None


@dataclass(eq=False)
class Kept:
    """Keys and values of the frames at rest, of every self-attention of a model: its call's argument `kept`.

    A call with `whole` computes all frames and leaves keys and values here. A call without computes the moving frames
    alone, which attend to what was left; its velocity is 0 for the frames at rest.
    """

    moving: list[int]
    """Frames that move."""
    rest: list[int]
    """The others."""
    whole: bool = True
    """Whether all frames are computed."""
    layers: dict[Hashable, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """Layer -> keys and values (b, s, n, d) of the frames at rest, one after the other."""
    first: int = 0
    """Position of the first frame."""

    def cut(self, x: Tensor, dim: int) -> Tensor:
        """What is computed of x: the moving frames, which lie along a dimension, or all."""
        return x if self.whole else x.index_select(dim, torch.tensor(self.moving, device=x.device))

    @property
    def fresh(self) -> list[int]:
        """Of the frames that are computed, those whose keys and values are to be kept."""
        return self.rest if self.whole else []

    def old(self, layer: Hashable) -> tuple[Tensor, Tensor] | None:
        """Keys and values of other frames, to which those that are computed attend too."""
        return None if self.whole else self.layers[layer]

    def store(self, layer: Hashable, k: Tensor, v: Tensor) -> None:
        """Keep the keys and values of the fresh frames."""
        self.layers[layer] = k, v

    def join(self, layer: Hashable, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (b, s, n, d) to which a layer attends, from those of the frames that are computed."""
        old = self.old(layer)
        if self.fresh:
            self.store(layer, self.freshly(k), self.freshly(v))
        return (k, v) if old is None else (torch.cat([old[0], k], dim=1), torch.cat([old[1], v], dim=1))

    def freshly(self, x: Tensor) -> Tensor:
        """Of the tokens (b, s, ...) of the frames that are computed, those of the fresh ones."""
        frames = len(self.moving) + (len(self.rest) if self.whole else 0)
        return x.unflatten(1, (frames, -1))[:, self.fresh].flatten(1, 2)

    def parts(self, per_frame: int) -> tuple[TokenPart, ...] | None:
        """Which tokens attend to which, of so many per frame, for `attend_in_parts`; None is all to all."""
        return None

    def fill(self, v: Video) -> Video:
        """The velocity of all frames, from that of those that were computed."""
        if self.whole:
            return v
        out = v.new_zeros(*v.shape[:2], len(self.moving) + len(self.rest), *v.shape[3:])
        out[:, :, self.moving] = v
        return out


@dataclass(eq=False)
class _Branch:
    """What is kept for the calls with one condition, such as those with the negative prompt."""

    cond: dict[str, Any]
    x: Video
    tau: Tau
    kept: Kept
    v: Video
    used: bool = True

    def fits(self, x: Video, tau: Tau, cond: dict[str, Any]) -> bool:
        """Whether the condition, and the latents and timesteps of the frames at rest, are those it was kept for."""
        rest = self.kept.rest
        return same_condition(cond, self.cond) and _equal(tau[:, rest], self.tau) and _equal(x[:, :, rest], self.x)


def attend_in_parts(
    attention: Callable[[Tensor, Tensor, Tensor], Tensor],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    parts: Sequence[TokenPart] | None,
) -> Tensor:
    """Attention (b, s, n, d) in which each part of the queries sees its own part of the keys and values.

    Args:
        attention: (q, k, v) -> tokens (b, s, n, d), all to all.
        q: queries (b, s, n, d).
        k: keys (b, t, n, d).
        v: values (b, t, n, d).
        parts: of `Kept.parts`; None is all to all.
    """
    if parts is None:
        return attention(q, k, v)
    return torch.cat([attention(q[:, a:b], k[:, c:d], v[:, c:d]) for a, b, c, d in parts], dim=1)


def same_condition(cond: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two calls have equal keyword arguments.

    Args:
        cond: those of one call.
        other: those of the other.
    """
    return cond.keys() == other.keys() and all(_equal(one, other[name]) for name, one in cond.items())


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        alike = one.shape == other.shape and one.dtype == other.dtype and one.device == other.device
        return one is other or (alike and torch.equal(one, other))
    return one is other or bool(one == other)


@dataclass(eq=False)
class Keeper:
    """A denoiser that computes frames at rest as seldom as a plan says: (x, tau, **cond) -> v.

    Every condition has keys and values of its own. They serve a call only if the frames at rest are in it what they
    were: otherwise all frames are computed. Frames at rest get the velocity of when they were computed.
    """

    denoiser: Denoiser
    """Takes `kept` as a further argument."""
    steps: list[PlannedStep]
    """From `plan_steps`."""
    frames: int = 0
    """Frames computed so far, in each sample."""
    asked: int = 0
    """Frames asked for so far."""
    now: PlannedStep | None = None
    """The step that is being made; None computes all frames."""
    branches: list[_Branch] = field(default_factory=list)
    """One for each condition."""

    def begin(self, step: int) -> None:
        """Begin a step, after which nothing older than the step before it is kept."""
        self.now = self.steps[step] if step < len(self.steps) else None
        if self.now is None or self.now.whole:
            self.branches = []
        elif self.now.moving:
            self.branches = [one for one in self.branches if one.used]
            for one in self.branches:
                one.used = False

    def __call__(self, x: Video, tau: Tau, **cond: Any) -> Video:
        """The velocity at x (b, c, f, h, w) with timesteps tau (b, f)."""
        self.asked += x.shape[2]
        if self.now is None or (self.now.whole and not self.now.keep):
            return self._whole(x, tau, cond)
        experts = attribute(self.denoiser, "experts_at")
        key = cond | ({"experts": experts(tau)} if callable(experts) else {})
        branch = next((one for one in self.branches if one.fits(x, tau, key)), None)
        if branch is not None and not self.now.whole:
            return self._moving(branch, x, tau, cond)
        self.branches = [one for one in self.branches if one is not branch]
        if not self.now.keep:
            return self._whole(x, tau, cond)
        moving = list(self.now.moving)
        kept = Kept(moving, [i for i in range(x.shape[2]) if i not in moving])
        v = self._whole(x, tau, cond | {"kept": kept})
        kept.whole = False
        self.branches.append(_Branch(key, x[:, :, kept.rest], tau[:, kept.rest], kept, v))
        return v

    def _whole(self, x: Video, tau: Tau, cond: dict[str, Any]) -> Video:
        self.frames += x.shape[2]
        return velocity_by("the denoiser", self.denoiser, x, tau, **cond)

    def _moving(self, branch: _Branch, x: Video, tau: Tau, cond: dict[str, Any]) -> Video:
        moving, branch.used = branch.kept.moving, True
        self.frames += len(moving)
        v = velocity_by("the denoiser", self.denoiser, x, tau, **cond, kept=branch.kept)
        out = branch.v.clone()
        out[:, :, moving] = v[:, :, moving]
        return out

"""Block-causal attention with a cache of keys and values: finished frames cost nothing, and nothing of them gets old.

A frame sees the frames of its block and of the blocks before it. So what a layer makes of a block depends on that block
and earlier ones alone, and once these are clean, their keys and values are final: they are kept and never computed
again. That is exact, where frames at rest (`pusa_lab.resting`) in a model that sees both ways get old and need a
refresh.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pusa_lab.annotations import attribute
from pusa_lab.arguments import checked
from pusa_lab.blocks import Blocks
from pusa_lab.digests import modules_of
from pusa_lab.resting import Kept, Moving, TokenPart, same_condition
from pusa_lab.timesteps import velocity_by
from pusa_lab.types import Clip, Cond, Geometry, Schedule, Schedules, Tau, Video, VideoModel


@dataclass(eq=False, kw_only=True)
class CausalKept(Kept):
    """Which frames a call computes and which they see; their numbers are counted from the start of the video."""

    blocks: Blocks
    """Of the frames."""
    window: int | None
    """Frames that a block sees, itself among them; None is all."""
    start: int
    """First frame that is computed."""
    stop: int
    """The one after the last that is computed."""
    keep: int
    """Keys and values of the computed frames before this one are kept."""
    begin: int
    """First frame that is seen."""
    held: int
    """First frame whose keys and values are in `layers`."""
    held_stop: int
    """The one after the last in `layers`."""

    @property
    def fresh(self) -> list[int]:
        """Of the frames that are computed, those whose keys and values are to be kept."""
        return list(range(self.keep - self.start))

    def old(self, layer: Hashable) -> tuple[Tensor, Tensor] | None:
        """Keys and values of other frames, to which those that are computed attend too."""
        if self.begin == self.start:
            return None
        k, v = self.layers[layer]
        per_frame = k.shape[1] // (self.held_stop - self.held)
        some = slice((self.begin - self.held) * per_frame, (self.start - self.held) * per_frame)
        return k[:, some], v[:, some]

    def store(self, layer: Hashable, k: Tensor, v: Tensor) -> None:
        """Keep the keys and values of the fresh frames, beside those that are seen."""
        old = self.old(layer)
        self.layers[layer] = (k, v) if old is None else (torch.cat([old[0], k], dim=1), torch.cat([old[1], v], dim=1))

    def cut(self, x: Tensor, dim: int) -> Tensor:
        """What is computed of x, whose frames lie along a dimension: the last of them."""
        return x.narrow(dim, len(self.rest), len(self.moving))

    def freshly(self, x: Tensor) -> Tensor:
        """Of the tokens (b, s, ...) of the frames that are computed, those of the fresh ones: the first."""
        return x[:, : x.shape[1] // len(self.moving) * (self.keep - self.start)]

    def fill(self, v: Video) -> Video:
        """The velocity of all frames, 0 for those that were not computed."""
        return torch.cat([v.new_zeros(*v.shape[:2], len(self.rest), *v.shape[3:]), v], dim=2) if self.rest else v

    def parts(self, per_frame: int) -> tuple[TokenPart, ...] | None:
        """Block by block, which of the computed tokens attend to which of those that are seen; None is all to all."""
        found: list[TokenPart] = []
        a, n = self.start, per_frame
        while a < self.stop:
            end = self.blocks.end(a)
            seen = self.begin if self.window is None else max(self.begin, end - self.window)
            last = min(end, self.stop)
            queries = (a - self.start) * n, (last - self.start) * n
            found.append((*queries, (seen - self.begin) * n, (last - self.begin) * n))
            a = end
        return None if len(found) == 1 and found[0][2] == 0 else tuple(found)


class Causal(nn.Module):
    """A `VideoModel` whose frames see no later block; made by `causal`. A plain call computes all frames.

    Args:
        model: as `causal`.
        block: as `causal`.
        window: as `causal`.
        cache: as `causal`.
        first_alone: as `causal`.
    """

    def __init__(self, model: VideoModel, block: int, window: int | None, cache: bool, first_alone: bool = False):
        super().__init__()
        self.model: Any = model
        self.blocks, self.window, self.cache = Blocks(block, first_alone), window, cache
        if not isinstance(model, nn.Module):
            self.parts = nn.ModuleList(modules_of(model))
        sees = torch.tensor([block, window or 0, *([1] if first_alone else [])])
        self.register_buffer("sees", sees, persistent=False)  # for digests of the model

    def __getattr__(self, name: str) -> Any:
        """What this class has not is the model's."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "model":
                raise
            return getattr(self.model, name)

    @property
    def block(self) -> int:
        """Frames of a block."""
        return self.blocks.size

    @property
    def geometry(self) -> Geometry:
        """The model's."""
        return self.model.geometry

    @property
    def device(self) -> torch.device:
        """The model's."""
        return self.model.device

    def encode_text(self, prompts: list[str]) -> Cond:
        """As the model does."""
        return self.model.encode_text(prompts)

    def encode_video(self, clip: Clip) -> Video:
        """As the model does."""
        return self.model.encode_video(clip)

    def decode(self, latents: Video) -> Clip:
        """As the model does."""
        return self.model.decode(latents)

    def check_resting(self, frames: int, size: tuple[int, int]) -> None:
        """Refuse `refresh`, which this model does not need.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "refresh with a causal model, whose keys and values of finished frames never get old: leave refresh out."
        )

    def forward(self, x: Video, tau: Tau, **cond: Any) -> Video:
        """The velocity at x (b, c, f, h, w) with timesteps tau (b, f), in which no frame sees a later block.

        Raises:
            ValueError: the frames are not whole blocks.
        """
        return causal_velocity(self.model, x, tau, self.blocks, self.window, **cond)

    def check_frames(self, frames: int) -> None:
        """Refuse frames that cannot be divided into blocks.

        Raises:
            ValueError: as `Blocks.check`.
        """
        self.blocks.check(frames)

    def check_run(self, levels: Schedule | Schedules, shape: tuple[int, ...], branches: int) -> None:
        """Refuse a run that is no use to a causal model.

        Args:
            levels: noise levels (rows, f) or (b, rows, f), known frames at theirs.
            shape: of the latents (b, c, f, h, w).
            branches: conditions for which keys and values are kept at once.

        Raises:
            ValueError: the frames are not whole blocks, an earlier block is noisier than a later one, or a final frame
                is noised again; or there is not enough memory.
        """
        self.check_frames(frames := shape[2])
        spans = self.blocks.spans(0, frames)
        noisiest = torch.stack([levels[..., a:b].amax(-1) for a, b in spans], -1)  # (rows, blocks) or (b, rows, blocks)
        for *_, row, n in (noisiest[..., :-1] > noisiest[..., 1:]).nonzero().tolist()[:1]:
            raise ValueError(
                f"in row {row} block {n} (frames {spans[n][0]} to {spans[n][1] - 1}) is noisier than block {n + 1}, "
                f"which it never sees: give a schedule in which earlier blocks are cleaner, such as blockwise "
                f"or autoregressive, and known frames at the start."
            )
        again = (levels[..., :-1, :] == 0) & (levels[..., 1:, :] > 0)
        for *_, row, i in again.nonzero().tolist()[:1]:
            raise ValueError(
                f"frame {i} is final in row {row} and noised again in the next, and a causal model keeps final frames: "
                f"give a schedule that only falls."
            )
        kept = frames - self.block if self.cache else 0
        self.model.check_resting(shape[0] * branches * min(kept, self.window or kept), shape[3:])


def causal_velocity(model: Any, x: Video, tau: Tau, blocks: Blocks, window: int | None = None, **cond: Any) -> Video:
    """The velocity under the mask of `causal`, in one call that computes all frames.

    Args:
        model: as `causal`.
        x: latents (b, c, f, h, w).
        tau: timesteps (b, f) in [0, 1].
        blocks: of the frames.
        window: as `causal`.
        **cond: passed to the model.

    Raises:
        ValueError: the frames are not whole blocks.
    """
    blocks.check(frames := x.shape[2])
    place: dict[str, Any] = {"blocks": blocks, "window": window, "start": 0, "stop": frames, "keep": 0}
    kept = CausalKept([*range(frames)], [], begin=0, held=0, held_stop=0, **place)
    return model(x, tau, **cond, kept=kept)


@checked
def causal(
    model: VideoModel, block: int = 3, window: int | None = None, cache: bool = True, first_alone: bool = False
) -> Causal:
    """The same model with block-causal attention: `generate(causal(model, block=3), ..., schedule="autoregressive")`.

    Attention(q_i, K, V) over the frames j with b_j <= b_i and j >= B (b_i + 1) - a - W, where b_i = (i + a) // B is the
    block of frame i, and a = B - 1 if frame 0 is alone, otherwise 0

    Weights are shared with the model, which stays as it is. `generate` and `stream` keep keys and values of finished
    blocks: with `blockwise(block=3, lag=steps)` a step computes the one block in progress, and frames that have not
    started, which no other sees, have velocity 0. A model that was trained to see both ways loses by the mask: train
    the masked model first, as any other.

    Args:
        model: a toy, a Wan, or any model that can keep keys and values, see docs/bring_your_model.md.
        block: B, frames of a block, at least 1, which see each other; a video has whole blocks.
        window: W, frames that a block sees, itself among them: a multiple of B; None is all, and in a stream as many as
            its window holds.
        cache: whether runs keep keys and values; False computes all frames that have started at every call.
        first_alone: whether frame 0 is a block by itself, as in `schedules.blockwise`, for models that go on from one
            latent frame; a video then has one frame more than whole blocks.

    Raises:
        ValueError: a number is out of range, or the model cannot keep keys and values.

    Source: CausVid, arXiv 2412.07772, and Self Forcing, arXiv 2506.08009.
    """
    if isinstance(model, Causal):
        raise ValueError(f"the model is causal already, with blocks of {model.block}: give causal(model.model, ...).")
    if block < 1 or (window is not None and (window < block or window % block)):
        raise ValueError(
            f"block={block}, window={window}: give a block of at least 1 frame, and as window a multiple or None."
        )
    check = attribute(model, "check_resting")
    if not callable(check):
        raise ValueError(
            f"a {type(model).__name__} takes no `kept` in its call, so that its attention cannot be masked or cached: "
            f"give a toy, a Wan, or a model of your own as in docs/bring_your_model.md."
        )
    geometry = model.geometry
    check(0, geometry.latent_shape(1, geometry.frames)[3:])
    return Causal(model, block, window, cache, first_alone)


@dataclass(eq=False)
class _Branch:
    """What is kept for the calls with one condition."""

    cond: dict[str, Any]
    origin: int
    """First frame that was ever computed."""
    begin: int
    """First frame whose keys and values are kept."""
    end: int
    """The one after the last of them."""
    first: int
    """First frame of x and v."""
    x: Video
    """Clean latents of the frames before `end`."""
    v: Video
    """Their velocity."""
    layers: dict[Hashable, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def valid(self, x: Video, first: int) -> int:
        """The frame before which all clean latents x, which begin at a frame `first`, are those that were kept."""
        mine = self.x[:, :, first - self.first :]
        frames = min(mine.shape[2], x.shape[2])
        if mine.shape[:2] != x.shape[:2] or mine.shape[3:] != x.shape[3:] or mine.dtype != x.dtype:
            return first
        same = (mine[:, :, :frames] == x[:, :, :frames]).movedim(2, 0).flatten(1).all(1)
        return first + int(same.long().cumprod(0).sum())


@dataclass(eq=False)
class CausalKeeper:
    """A causal model of one run, which computes no frame that is finished: (x, tau, **cond) -> v.

    Every condition has keys and values of its own. They serve a call for as many blocks as are in it what they were.
    """

    model: Causal
    """Is asked."""
    moving: Moving | None = None
    """Which frames move in each step, from `moving_frames`."""
    window: int | None = None
    """Frames that a block sees; None is all."""
    first: int = 0
    """Number of the first frame of x in the video."""
    frames: int = 0
    """Frames computed so far, in each sample."""
    asked: int = 0
    """Frames asked for so far."""
    until: int | None = None
    """Number of frames of x that have started; None is all."""
    branches: list[_Branch] = field(default_factory=list)
    """One for each condition."""

    def begin(self, step: int) -> None:
        """Begin a step of the schedule."""
        moving = [] if self.moving is None else self.moving[step : step + 1].any(0).nonzero().flatten().tolist()
        self.until = None
        if moving:
            self.show(moving[-1])

    def show(self, i: int) -> None:
        """Show the model the frames of x up to the block of frame i."""
        self.until = self.model.blocks.end(self.first + i) - self.first

    def slide(self, drop: int) -> None:
        """Forget the first `drop` frames of x, which others see for as long as `window` says."""
        self.first += drop
        self.branches = [one for one in self.branches if one.end >= self.first]

    def __call__(self, x: Video, tau: Tau, **cond: Any) -> Video:
        """The velocity at x (b, c, f, h, w) with timesteps tau (b, f)."""
        until = min(self.until or x.shape[2], x.shape[2])
        self.asked += x.shape[2]
        v = torch.zeros_like(x)
        v[:, :, :until] = self._started(x[:, :, :until], tau[:, :until], cond)
        return v

    def _started(self, x: Video, tau: Tau, cond: dict[str, Any]) -> Video:
        """The velocity of frames that have started: no other one is shown to the model."""
        first, stop = self.first, self.first + x.shape[2]
        clean = first + int((tau == 0).all(0).long().cumprod(0).sum())
        experts = attribute(self.model, "experts_at")
        key = cond | ({"experts": experts(tau)} if callable(experts) else {})
        old = next((one for one in self.branches if same_condition(key, one.cond)), None)
        start = first if old is None else max(first, self.model.blocks.start(min(old.valid(x, first), clean, stop - 1)))
        if old is not None and self._needed(start, old.origin) >= old.begin:
            branch = old
            self.branches.remove(old)  # whose layers are of no use if the call fails
        else:
            branch, start = _Branch(key, first, first, first, first, x[:, :, :0], x[:, :, :0]), first
        keep = max(start, self.model.blocks.start(clean)) if self.model.cache else start
        v = self._computed(branch, x, tau, cond, start, keep)
        if keep > start:
            branch.x, branch.v, branch.first = x[:, :, : keep - first].clone(), v[:, :, : keep - first].clone(), first
        if branch.end > first and (branch is old or old is None or branch.end >= old.end):
            self.branches = [one for one in self.branches if one is not old] + [branch]
        return v

    def _computed(self, branch: _Branch, x: Video, tau: Tau, cond: dict[str, Any], start: int, keep: int) -> Video:
        """The velocity, of which the frames from `start` are computed; keys and values before `keep` are kept."""
        first, stop = self.first, self.first + x.shape[2]
        begin = self._needed(start, branch.origin)
        here, place = start - first, dict[str, Any]({"blocks": self.model.blocks, "window": self.window})
        place |= {"start": start, "stop": stop, "keep": keep}
        place |= {"begin": begin, "held": branch.begin, "held_stop": branch.end}
        moving, rest = list(range(here, x.shape[2])), list(range(here))
        kept = CausalKept(moving, rest, not rest, branch.layers, first, **place)
        v = velocity_by("the denoiser", self.model.model, x, tau, **cond, kept=kept)
        self.frames += len(moving)
        if rest:
            old = branch.v[:, :, first - branch.first :]
            v = torch.cat([old[:, :, :here], v[:, :, here:]], dim=2)
        if keep > start:
            branch.begin, branch.end = begin, keep
        return v

    def _needed(self, frame: int, origin: int) -> int:
        """The first frame that this one sees, if there is none before `origin`."""
        if self.window is None:
            return origin
        return max(origin, self.model.blocks.end(frame) - self.window)

"""Forcing: what the frames of a clip see of its past in training, and with which mask.

In sampling, a frame is made after others that are final: clean to the model (timestep 0), but its own work. Training
that only ever shows the true past leaves a gap between the two, through which errors grow from block to block. A
history (`pusa_lab.training.histories`) says what is shown of the past instead, always as if it were clean.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor

from pusa_lab.arguments import shown
from pusa_lab.blocks import Blocks
from pusa_lab.causal import Causal, CausalKept, causal, causal_velocity
from pusa_lab.timesteps import interpolate, per_frame
from pusa_lab.types import Tau, Video

Draw: TypeAlias = Callable[[Callable[..., Tensor], tuple[int, ...]], Tensor]
"""(torch.rand or torch.randn, shape of one clip's numbers) -> numbers (b, *shape)."""


def velocity_after(
    model: Any,
    x: Video,
    tau: Tau,
    past: Video | None = None,
    blocks: Blocks | None = None,
    window: int | None = None,
    **cond: Any,
) -> Video:
    """The velocity of noisy frames that see a given past.

    Without blocks, known frames are shown as the past has them: v(where(tau = 0, past, x), tau). With blocks, attention
    is masked as in `pusa_lab.causal`, and every block n sees the past's blocks as final ones, all blocks at once:

    v_n = v(x_n, tau_n | keys and values of past_0 .. past_(n-1) at timestep 0)

    which is what sampling computes with its cache. With the true clip as its past this is teacher forcing. Without a
    past, blocks see the noisy blocks before them, which is diffusion forcing.

    Args:
        model: (x, tau, **cond) -> v, which with blocks also takes `kept`.
        x: latents (b, c, f, h, w).
        tau: timesteps (b, f) in [0, 1].
        past: latents of x's shape; None is x itself.
        blocks: of the frames; None is no mask.
        window: frames that a block sees, itself among them: a multiple of the block; None is all.
        **cond: passed to the model.

    Raises:
        ValueError: the frames are not whole blocks.

    Source: teacher forcing with the cache of CausVid, arXiv 2412.07772; Diffusion Forcing, arXiv 2407.01392.
    """
    if past is None:
        return causal_velocity(model, x, tau, blocks, window, **cond) if blocks else model(x, tau, **cond)
    if not blocks:
        return model(torch.where(per_frame((tau == 0).to(x), x) > 0, past, x), tau, **cond)
    blocks.check(frames := x.shape[2])
    kept = partial(CausalKept, blocks=blocks, window=window, held=0)
    before = blocks.start(frames - 1)
    layers: dict[Any, tuple[Tensor, Tensor]] = {}
    if before:
        all_kept = kept([*range(before)], [], True, layers, start=0, stop=before, keep=before, begin=0, held_stop=0)
        model(past[:, :, :before], torch.zeros_like(tau[:, :before]), **cond, kept=all_kept)
    found = []
    for start, stop in blocks.spans(0, frames):
        begin = 0 if window is None else max(0, stop - window)
        place: dict[str, Any] = {"start": start, "stop": stop, "keep": start, "begin": begin, "held_stop": before}
        one = kept([*range(start, stop)], [*range(start)], not start, layers, **place)
        found.append(model(x[:, :, :stop], tau[:, :stop], **cond, kept=one)[:, :, start:])
    return torch.cat(found, dim=2)


@dataclass(frozen=True, eq=False)
class HistoryInputs:
    """What a history is made from."""

    model: Any
    """The model that is trained, without a mask."""
    x0: Video
    """True clips (b, c, f, h, w)."""
    x: Video
    """The same at their timesteps, as they are trained on."""
    tau: Tau
    """Timesteps (b, f); without blocks, those of the past are 0."""
    draw: Draw
    """Makes random numbers, which depend on seed and step alone."""
    cond: dict[str, Any]
    """Arguments of the model."""
    blocks: Blocks | None = None
    """Of the frames; None where the model sees both ways."""
    window: int | None = None
    """Frames that a block sees; None is all."""
    learning: bool = True
    """Whether this is a step of training, and not a validation."""

    @torch.no_grad()
    def velocity(self, x: Video, tau: Tau, past: Video | None = None) -> Video:
        """The model's velocity as in `velocity_after`, without a gradient; of the first clips, if x has fewer."""
        cond = {name: one[: len(x)] if isinstance(one, Tensor) else one for name, one in self.cond.items()}
        return velocity_after(self.model, x, tau, past, self.blocks, self.window, **cond)


History: TypeAlias = Callable[[HistoryInputs], Video]
"""(inputs) -> the past (b, c, f, h, w) that is shown in place of the true clips."""


class Forcing:
    """How the past is shown in a run of training: blocks and mask, and the history.

    Args:
        model: that is trained; a `Causal` has blocks of its own.
        block: frames of a block, for another model; 0 is no mask.
        history: makes the past; None leaves the frames as they are.
        first_alone: whether frame 0 is a block by itself.

    Raises:
        ValueError: the model cannot be masked, or has other blocks.
    """

    def __init__(self, model: Any, block: int = 0, history: History | None = None, first_alone: bool = False):
        self.blocks = Blocks(block, first_alone) if block else None
        self.window: int | None = None
        self.history = history
        if isinstance(model, Causal):
            self.blocks, self.window = model.blocks, model.window
        elif block:
            causal(model, block)  # refuses a model that cannot be masked
        if self.blocks and (block not in (0, self.blocks.size) or (first_alone and not self.blocks.first_alone)):
            asked = f"causal={block}" + ", first_alone=True" * first_alone
            raise ValueError(
                f"{asked} for a causal model with blocks of {model.block}: leave causal out, or give the model "
                f"without its mask, model.model."
            )

    def loss(self, loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """The same loss, (model, x0, tau, eps, past=None, **cond) -> (b, f), of the velocity after the past.

        Args:
            loss: (denoiser, x0, tau, eps, **cond) -> (b, f).
        """
        if self.blocks is None and self.history is None:
            return loss
        blocks, window = self.blocks, self.window

        def forced(model: Any, x0: Video, tau: Tau, eps: Video, past: Video | None = None, **cond: Any) -> Tensor:
            denoiser = partial(velocity_after, unmasked(model), past=past, blocks=blocks, window=window)
            return loss(denoiser, x0, tau, eps, **cond)

        return forced

    def past(
        self, model: Any, x0: Video, tau: Tau, eps: Video, draw: Draw, learning: bool, cond: dict[str, Any]
    ) -> dict[str, Video]:
        """The argument `past` of that loss; nothing where there is no history.

        Args:
            model: that is trained.
            x0: true clips (b, c, f, h, w).
            tau: timesteps (b, f) in [0, 1].
            eps: their noise.
            draw: as `HistoryInputs` holds it.
            learning: as `HistoryInputs` holds it.
            cond: arguments of the model.

        Raises:
            ValueError: the history returned anything but a tensor of x0's shape.
        """
        if self.history is None:
            return {}
        with torch.no_grad():
            x = interpolate(x0, eps, tau)
            past = self.history(
                HistoryInputs(unmasked(model), x0, x, tau, draw, cond, self.blocks, self.window, learning)
            )
        if not isinstance(past, Tensor) or past.shape != x0.shape:
            raise ValueError(f"the history returned {shown(past)}: it must return latents of shape {tuple(x0.shape)}.")
        return {"past": past}

    def state(self) -> dict[str, Any]:
        """What the history has learned, to resume a run from; empty where it learns nothing."""
        return self.history.state_dict() if hasattr(self.history, "state_dict") else {}  # type: ignore[union-attr]

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave.

        Args:
            state: of the run that is resumed.
        """
        if state:
            self.history.load_state_dict(state)  # type: ignore[union-attr]


def unmasked(model: Any) -> Any:
    """The model itself, of a causal one the model within.

    Args:
        model: any.
    """
    return model.model if isinstance(model, Causal) else model

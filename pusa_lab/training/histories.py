"""Histories for training: what is shown of the past, in place of true frames, so that a model learns to bear its own.

Each is made by a function of its settings, as in `TrainConfig(history="noised(level=0.3)")`. What is shown of the past
always has timestep 0, as final frames have in sampling; what is learned is the true video.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.causal import Causal, CausalKeeper
from pusa_lab.registry import Registry
from pusa_lab.timesteps import interpolate, per_frame, x0_from_v
from pusa_lab.training.forcing import History, HistoryInputs
from pusa_lab.types import Tau, Video

MOST_BINS, MOST_SLOTS = 1000, 100_000
"""More are taken for a mistake."""
MOST_RESAMPLING_STEPS = 1000
"""The same, of steps in every step of training."""


@checked
def true_past() -> History:
    """The true past: with blocks, teacher forcing; without, known frames as they are.

    past = x0

    Source: teacher forcing as CausVid's, arXiv 2412.07772.
    """
    return lambda inputs: inputs.x0


@checked
def noised(level: float | int = 1 / 3, clean: float | int = 0.1) -> History:
    """A past with noise, in every frame as much as chance has it.

    past_i = (1 - m_i) x0_i + m_i eps'_i, m_i ~ U[0, level) iid, and m = 0 in a share `clean` of the clips

    Args:
        level: largest noise level, in [0, 1].
        clean: share of the clips whose past stays as it is, in [0, 1].

    Raises:
        ValueError: a number is out of range.

    Source: Helios, arXiv 2603.04379.
    """
    _check_shares(level=level, clean=clean)

    def history(inputs: HistoryInputs) -> Video:
        x0 = inputs.x0
        m = level * inputs.draw(torch.rand, (x0.shape[2],))
        m = torch.where(inputs.draw(torch.rand, (1,)) < clean, 0, m)
        return interpolate(x0, inputs.draw(torch.randn, tuple(x0.shape[1:])), m)

    return history


@checked
def resampled(steps: int = 2, low: float | int = 0.0, high: float | int = 0.6) -> History:
    """The model's own past: true frames are noised, and the model denoises them in a few steps, block after block.

    past_n = x^s_n + integral from s to 0 of v(x_n, tau | past_<n) dtau by Euler, x^s = (1 - s) x0 + s eps',
    s ~ U[low, high) for each clip; no gradient passes through it

    Without blocks, the known frames of a clip are denoised together, in sight of its noisy frames. With low = high = 1
    the past is a roll-out from pure noise, as in Self Forcing. That past no longer is the past of the true clip that
    the loss asks for: Self Forcing therefore compares distributions, which is not done here, and levels up to 0.6 keep
    what the clip shows.

    Args:
        steps: Euler steps, at least 1.
        low: lowest level s, in [0, high].
        high: highest level s, in [0, 1].

    Raises:
        ValueError: a number is out of range.

    Source: Resampling Forcing, arXiv 2512.15702; Self Forcing, arXiv 2506.08009.
    """
    _check_shares(low=low, high=high)
    if low > high or not 1 <= steps <= MOST_RESAMPLING_STEPS:
        raise ValueError(
            f"steps={steps}, low={low}, high={high}: give 1 to {MOST_RESAMPLING_STEPS} steps and low <= high."
        )

    def history(inputs: HistoryInputs) -> Video:
        s = low + (high - low) * inputs.draw(torch.rand, (1,))
        eps = inputs.draw(torch.randn, tuple(inputs.x0.shape[1:]))
        return (_block_after_block if inputs.blocks else _together)(inputs, steps, s, eps)

    return history


def _together(inputs: HistoryInputs, steps: int, s: Tau, eps: Video) -> Video:
    """Known frames, denoised from level s (b, 1) in sight of the others, which stay as noisy as they are."""
    known = inputs.tau == 0
    is_known = per_frame(known.to(eps), eps) > 0
    x = torch.where(is_known, interpolate(inputs.x0, eps, s.expand_as(inputs.tau)), inputs.x)
    for k in range(steps):
        v = inputs.velocity(x, torch.where(known, s * (1 - k / steps), inputs.tau))
        x = torch.where(is_known, x - per_frame((s / steps).expand_as(inputs.tau), x) * v, x)
    return torch.where(is_known, x, inputs.x0)


def _block_after_block(inputs: HistoryInputs, steps: int, s: Tau, eps: Video) -> Video:
    """All blocks but the last, denoised from level s (b, 1) after those before, whose keys and values are kept."""
    assert inputs.blocks is not None
    model = Causal(inputs.model, inputs.blocks.size, inputs.window, True, inputs.blocks.first_alone)
    keeper, frames = CausalKeeper(model, window=inputs.window), inputs.x0.shape[2]
    x = interpolate(inputs.x0, eps, s.expand(-1, frames))
    i, spans = torch.arange(frames, device=x.device), inputs.blocks.spans(0, frames)
    for start, stop in spans[:-1]:
        keeper.show(start)
        now = ((i >= start) & (i < stop))[:, None, None]
        for k in range(steps):
            v = keeper(x, torch.where(i < start, 0, s * (1 - k / steps)), **inputs.cond)
            x = torch.where(now, x - per_frame((s / steps).expand(-1, frames), x) * v, x)
    return torch.where((i >= spans[-1][0])[:, None, None], inputs.x0, x)


class OwnErrors:
    """A past with errors that the model made before, kept by the timestep at which it made them; see `own_errors`.

    Args:
        bins: as `own_errors`.
        slots: as `own_errors`.
        share: as `own_errors`.
        learned: as `own_errors`.
    """

    def __init__(self, bins: int, slots: int, share: float | int, learned: float | int):
        self.bins, self.slots, self.share, self.learned = bins, slots, share, learned
        self.memory: Tensor | None = None
        """Errors (bins, slots, c, f, h, w), 0 where there was none yet."""
        self.added = 0
        """Clips whose errors were added so far."""

    def __call__(self, inputs: HistoryInputs) -> Video:
        """The true clips, to some of which errors are added; the model's new errors are kept."""
        x0 = inputs.x0
        tau, which, chance = (inputs.draw(torch.rand, ()) for _ in range(3))
        errors = torch.where(_of_clips(chance < self.share, x0), self.at(tau, which, x0), 0)
        past = x0 + errors
        n = min(len(x0), self.slots, max(1, round(self.learned * len(x0))))
        if inputs.learning and self.learned:
            x, t = inputs.x[:n], inputs.tau[:n]
            self.add(x0_from_v(x, inputs.velocity(x, t, past[:n]), t) - x0[:n], t)
        return past

    def at(self, tau: Tensor, which: Tensor, like: Video) -> Video:
        """Errors that were made at about these timesteps, one for each clip.

        Args:
            tau: timesteps (b,) in [0, 1].
            which: numbers (b,) in [0, 1] that choose among the errors.
            like: clips (b, c, f, h, w) that the errors are for.
        """
        if self.memory is None:
            return torch.zeros_like(like)
        return self.memory[self._bin(tau), (which * self.slots).long().clamp(max=self.slots - 1)].to(like)

    def add(self, errors: Video, tau: Tau) -> None:
        """Keep errors, in place of the oldest ones; those of frames at timestep 0 are none.

        Args:
            errors: (b, c, f, h, w), of at most as many clips as there are slots.
            tau: timesteps (b, f) at which they were made.
        """
        if self.memory is None:
            self.memory = errors.new_zeros(self.bins, self.slots, *errors.shape[1:])
        self.memory = self.memory.to(errors)
        slot = (self.added + torch.arange(len(errors), device=errors.device)) % self.slots
        frame = torch.arange(errors.shape[2], device=errors.device)
        place = (self._bin(tau), slot[:, None], slice(None), frame)
        new = errors.movedim(2, 1)
        made = (tau > 0)[:, :, None, None, None]
        self.memory[place] = torch.where(made, new, self.memory[place])
        self.added += len(errors)

    def state_dict(self) -> dict[str, Any]:
        """The errors; of several processes those of the first."""
        return {"memory": self.memory, "added": self.added}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the errors of a run that is resumed.

        Args:
            state: from `state_dict`.
        """
        self.memory, self.added = state["memory"], state["added"]

    def _bin(self, tau: Tensor) -> Tensor:
        return (tau * self.bins).long().clamp(0, self.bins - 1)


@checked
def own_errors(bins: int = 10, slots: int = 256, share: float | int = 0.5, learned: float | int = 0.25) -> OwnErrors:
    """A past with errors that the model made in earlier steps, kept by the timestep at which it made them.

    past = x0 + E(tau'), tau' ~ U[0, 1) for each clip, in a share of the clips;
    E(tau) is one of the errors x_tau - tau v(x_tau, tau) - x0 that were kept of timesteps close to tau

    The errors of a clip's frames stay together where they were made at about the same timestep. Errors are also added
    to what is kept while the past that the model saw had errors, so that they accumulate as in a long video.

    Args:
        bins: parts of [0, 1] by which errors are kept, 1 to 1000.
        slots: errors kept in each, 1 to 100,000; the oldest go.
        share: of the clips whose past has errors, in [0, 1].
        learned: share of the clips whose errors are kept, in [0, 1], for which the model is asked once more.

    Raises:
        ValueError: a number is out of range.

    Source: the errors of the past in Stable Video Infinity, arXiv 2510.09212; its errors of the noise and of the frames
    that are made are left out.
    """
    _check_shares(share=share, learned=learned)
    if not (1 <= bins <= MOST_BINS and 1 <= slots <= MOST_SLOTS):
        raise ValueError(f"bins={bins}, slots={slots}: give 1 to {MOST_BINS} bins and 1 to {MOST_SLOTS:,} slots.")
    return OwnErrors(bins, slots, share, learned)


def _of_clips(chosen: Tensor, like: Video) -> Tensor:
    return chosen.view(-1, *[1] * (like.ndim - 1))


def _check_shares(**shares: float) -> None:
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name}={value}: give a number in [0, 1].")


HISTORIES: Registry[Callable[..., History]] = Registry(
    "history",
    "pusa_lab.histories",
    (true_past, noised, resampled, own_errors),
    "(setting=1) -> ((inputs) -> latents of the past)",
)
"""Name -> maker of a history, such as HISTORIES["noised"](level=0.3); all arguments have defaults."""

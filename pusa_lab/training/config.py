"""The configuration of a training run, checked before it starts."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from pusa_lab.arguments import ArgumentError, checked, returned
from pusa_lab.blocks import Blocks
from pusa_lab.losses import WEIGHTS
from pusa_lab.registry import Registry, written_calls
from pusa_lab.requests import plugged_in
from pusa_lab.schedules.timestep_samplers import TIMESTEP_SAMPLERS, TimestepSampler, shift_timesteps
from pusa_lab.sentences import counted
from pusa_lab.training.forcing import History
from pusa_lab.training.histories import HISTORIES
from pusa_lab.types import Tau

LARGEST_FIELDS = {"max_steps": 10**9, "global_batch_size": 2**20, "lora_rank": 2**16, "seed": 2**53}
"""Upper bounds of fields; a larger number is a typing error that could take all memory."""
NOT_NEGATIVE = (
    *("warmup", "lora_rank", "validate_every", "num_val_clips"),
    *("save_every", "micro_batch_size", "causal", "seed"),
)
"""Fields that are 0 or more."""


@checked
@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run; the defaults train a scalar base model.

    Raises:
        ValueError: a field is out of range, or names an unknown choice.
    """

    max_steps: int = 10_000
    """Optimizer steps."""
    global_batch_size: int = 256
    """Clips per optimizer step, over all GPUs."""
    micro_batch_size: int = 0
    """Clips per forward pass on each GPU; gradients are accumulated. 0 takes all clips of the GPU at once."""
    optimizer: Literal["adamw", "adamw8bit"] = "adamw"
    """adamw, or adamw8bit (from torchao), whose moments are blocks of 8-bit numbers in a quarter of the memory."""
    lr: float = 1e-3
    """Peak learning rate of AdamW."""
    lr_scheduler: Literal["cosine", "constant"] = "cosine"
    """Learning rate after the warm-up: cosine (decays to zero) or constant."""
    warmup: int = 400
    """Steps over which the learning rate rises linearly to its peak."""
    weight_decay: float = 0.01
    """Weight decay of AdamW."""
    beta2: float = 0.99
    """Decay of AdamW's second moment; PyTorch's default is 0.999."""
    max_grad_norm: float = 1.0
    """Largest norm of the gradient; a longer gradient is scaled down. inf never scales it."""
    ema: float = 0.999
    """Decay of the averaged weights, which replace the raw ones in the result; 0 averages nothing."""
    caption_dropout: float = 0.1
    """Share of clips trained with the null prompt, for guidance."""
    timestep_sampler: str = "shared"
    """How timesteps are drawn: shared (for a scalar base model), independent (for VTA), mixed, clean_prefix,
    uniform_future, per_block, nondecreasing, noisy_first_frame, task_mixture, next_frame, mixture, or an import path
    such as mine.py:walk; with settings if need be: clean_prefix(k=2, rest=shared), or mixture(samplers=[independent,
    task_mixture]) for half of the samples each."""
    p_async: float = 1.0
    """Share of samples with independent timesteps if timestep_sampler is mixed (PTSS)."""
    shift: float = 1.0
    """Shift of the sampled timesteps; the released Pusa trainer uses 5."""
    t_min: float = 0.0
    """Smallest timestep tau that is sampled, except for known frames at 0; for the high-noise expert, the boundary."""
    t_max: float = 1.0
    """Largest timestep tau that is sampled; for the low-noise expert, the boundary."""
    weight: str = "uniform"
    """Weight of each frame's loss by its timestep: uniform (as in the paper), free_frames, bell, min_snr,
    fused_min_snr, or an import path such as mine.py:middle; perhaps with settings, as in "min_snr(gamma=2)"."""
    per_sample_weighting: bool = False
    """Multiply the mean loss of a clip by its mean weight, as the released trainer does, instead of frame by frame."""
    causal: int = 0
    """Frames of a block: attention is masked so that no frame sees a later block. 0 has no mask."""
    first_alone: bool = False
    """With causal: frame 0 is a block by itself, for models that go on from one latent frame; a video then has one
    frame more than whole blocks, and per_block takes the same setting."""
    history: str = "none"
    """What is shown of the past, with causal of all earlier blocks, otherwise of frames at timestep 0: true_past (with
    causal this is teacher forcing), noised, resampled, own_errors, or an import path such as mine.py:blurred; perhaps
    with settings, as in "resampled(steps=3)"; none shows frames as they are: with causal, diffusion forcing."""
    lora_rank: int = 0
    """Rank of the LoRA that is trained on a frozen model; 0 trains all weights."""
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    """32-true, bf16-mixed, or auto: bf16-mixed on a GPU with bfloat16 (a T4 has none), 32-true elsewhere."""
    log_every: int = 50
    """Steps between logged values; a run with fewer steps logs once, at its end."""
    validate_every: int = 0
    """Steps between validations (held-out loss, and a sheet of samples if the stage has one); 0 never validates."""
    num_val_clips: int = 0
    """Clips that are held out for validation and never trained on: the last ones of a latent cache, or the last videos
    of a folder, in the order of their names."""
    save_every: int = 0
    """Steps between checkpoints from which a run can be resumed; 0 writes none."""
    compile: Literal["", "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"] = ""
    """Mode of torch.compile for the loss; "" does not compile. reduce-overhead is several times faster on a GPU."""
    check_finite: bool = False
    """Stop at a loss that is not finite and name its clips; this waits for the GPU in every step."""
    seed: int = 0
    """Seed of weights, data, timesteps and noise."""

    def __post_init__(self) -> None:
        for name in ("max_steps", "global_batch_size", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give at least 1.")
        for name in ("ema", "caption_dropout", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give a number in [0, 1).")
        for name in NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: give 0 or more.")
        for name, most in LARGEST_FIELDS.items():
            if getattr(self, name) > most:
                raise ValueError(f"{name}={getattr(self, name)}: give at most {most}.")
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr={self.lr}: give a finite number above 0.")
        if not self.max_grad_norm > 0:
            raise ValueError(f"max_grad_norm={self.max_grad_norm}: give a number above 0.")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay={self.weight_decay}: give a finite number of at least 0.")
        if not 0 <= self.p_async <= 1:
            raise ValueError(f"p_async={self.p_async}: give a probability in [0, 1].")
        if self.first_alone and not self.causal:
            raise ValueError("first_alone=True without causal, which says how long a block is: give both, or none.")
        self.make_timestep_sampler()
        self.make_history()
        tried = self.make_weight()(torch.linspace(0, 1, 32)[None])
        if not (tried >= 0).all() or not 0 < tried.sum() < math.inf:
            raise ValueError(
                f"weight={self.weight!r:.60} is negative, 0 everywhere or not finite: give weights above 0."
            )
        if self.per_sample_weighting and self._written("weight", WEIGHTS).func is WEIGHTS["free_frames"]:
            raise ValueError(
                f"weight={self.weight!r:.60} with per_sample_weighting=True, which counts the known frames of a clip "
                "like all others: give another weight, or per_sample_weighting=False."
            )

    def make_timestep_sampler(self) -> TimestepSampler:
        """Return the timestep sampler of this configuration: (batch, frames, generator) -> tau (batch, frames).

        Raises:
            ValueError: there is no such timestep sampler or setting, or t_min, t_max and shift are not a range and a
                positive number.
        """
        maker = self._written("timestep_sampler", TIMESTEP_SAMPLERS)
        if maker.func is TIMESTEP_SAMPLERS["mixed"]:
            maker = partial(maker.func, **{"p_async": self.p_async, **maker.keywords})
        sampler = self._fitting("timestep_sampler", maker)
        sampler = returned(sampler, TimestepSampler, f"the timestep sampler {self.timestep_sampler:.60}")
        if (self.t_min, self.t_max) != (0, 1):
            if not (0 <= self.t_min < self.t_max <= 1 and 0 < self.shift < math.inf):
                raise ValueError(
                    f"t_min={self.t_min}, t_max={self.t_max}, shift={self.shift}: "
                    "give 0 <= t_min < t_max <= 1, and a positive shift."
                )
            # restricted before the shift, so that tau follows the shifted distribution, conditioned on the range
            back = [tau / (self.shift - (self.shift - 1) * tau) for tau in (self.t_min, self.t_max)]
            sampler = within(sampler, *back)
        return shift_timesteps(sampler, self.shift)

    def make_weight(self) -> Callable[[Tau], Tau]:
        """Return the weight of this configuration: tau (b, f) -> weights (b, f).

        Raises:
            ValueError: there is no such weight or setting.
        """
        written = self._written("weight", WEIGHTS)

        def weight(tau: Tau) -> Tau:
            w = returned(self._fitting("weight", written, tau), Tensor, f"the weight {self.weight}")
            if w.shape != tau.shape:
                raise ValueError(
                    f"the weight {self.weight} returned shape {tuple(w.shape)} for tau of shape {tuple(tau.shape)}: "
                    f"it must return one weight per frame."
                )
            return w

        return weight

    def make_history(self) -> History | None:
        """Return the history of this configuration: (inputs) -> latents of the past; None if it names none.

        Raises:
            ValueError: there is no such history or setting.
        """
        if self.history == "none":
            return None
        made = self._fitting("history", self._written("history", HISTORIES))
        return returned(made, Callable[..., Any], f"the history {self.history:.60}")

    @checked
    def check_frames(self, latent_frames: int) -> None:
        """Refuse a timestep sampler, blocks or a history that do not fit videos of this length, before any work.

        Args:
            latent_frames: of the videos, at least 1.

        Raises:
            ValueError: the timestep sampler needs longer videos, or leaves a video without a frame to generate; blocks
                do not divide the video; or no frame would see the history.
        """
        sampler, samples = self.make_timestep_sampler(), torch.Generator().manual_seed(0)
        tau = self._fitting("timestep_sampler", sampler, 256, latent_frames, samples)
        if (tau == 0).all(dim=1).any():
            raise ValueError(
                f"timestep_sampler={self.timestep_sampler!r:.60} puts all {counted(latent_frames, 'frame')} of a video "
                "at timestep 0, so that none is left to generate: give one that leaves a frame above 0."
            )
        self._check_past(tau)

    def _check_past(self, tau: Tau) -> None:
        """Refuse blocks that do not divide the frames of tau (b, f), and a history that no frame would see."""
        frames, given = tau.shape[1], self.history != "none"
        rest = frames - self.first_alone
        if self.causal and rest % self.causal:
            fits = ", ".join(str(n) for n in range(1, rest + 1) if rest % n == 0)
            alone = ", the first one alone" * self.first_alone
            raise ValueError(
                f"causal={self.causal} with videos of {counted(frames, 'latent frame')}{alone}: give 0, {fits}."
            )
        if given and self.causal and not Blocks(self.causal, self.first_alone).start(frames - 1):
            raise ValueError(
                f"history={self.history!r:.60} with causal={self.causal}, which makes one block of all frames, so that "
                "none has a past: give smaller blocks, or leave the history out."
            )
        if given and not self.causal and not (tau == 0).any():
            raise ValueError(
                f"history={self.history!r:.60} has no effect with timestep_sampler={self.timestep_sampler!r:.60}, "
                "which keeps no frame at 0: give causal, or a sampler such as task_mixture or clean_prefix."
            )

    def plugged_in(self) -> dict[str, dict[str, str]]:
        """The timestep samplers, weights and histories of one's own that are named, as `requests.plugged_in`."""
        named = (TIMESTEP_SAMPLERS, self.timestep_sampler), (WEIGHTS, self.weight), (HISTORIES, self.history)
        return plugged_in(named)

    def code(self) -> dict[str, str]:
        """What these are called -> digest of their source; a run is resumed with the same alone."""
        return {name: found["digest"] for name, found in self.plugged_in().items()}

    def _written(self, field: str, registry: Registry[Callable[..., Any]]) -> partial[Any]:
        """The function that a field names, with the settings that it gives."""
        text = getattr(self, field)
        try:
            written = written_calls(text, registry)
        except ValueError as error:
            raise ValueError(f"{field}={text!r:.60}: {error}") from error
        if len(written) > 1:
            raise ArgumentError(f"{field}={text!r:.60} names {len(written)} of them: give one {registry.kind}.")
        ((function, settings),) = written
        return partial(function, **settings)

    def _fitting(self, field: str, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return function(*args)
        except ValueError as error:
            raise ValueError(f"{field}={getattr(self, field)!r:.60}: {error}") from error
        except TypeError as error:
            raise ValueError(
                f"{field}={getattr(self, field)!r:.60} fails with these settings: give others, or correct its function."
            ) from error

    @checked
    def accumulate(self, processes: int) -> int:
        """Return how many times each process computes gradients before a step.

        Args:
            processes: number of processes on all hosts.

        Raises:
            ValueError: the global batch size cannot be divided evenly.
        """
        at_once = processes * (self.micro_batch_size or max(1, self.global_batch_size // processes))
        if self.global_batch_size % at_once:
            raise ValueError(
                f"global_batch_size={self.global_batch_size} on {counted(processes, 'process')} with "
                f"micro_batch_size={self.micro_batch_size}: give a global_batch_size that is a multiple of {at_once}."
            )
        return self.global_batch_size // at_once


@checked
def within(sampler: TimestepSampler, low: float, high: float) -> TimestepSampler:
    """Return a timestep sampler scaled into a range; uniform timesteps stay uniform, and frames at 0 known.

    tau' = low + (high - low) tau for tau > 0, and tau' = 0 for tau = 0

    Args:
        sampler: any timestep sampler.
        low: smallest timestep, at least 0.
        high: largest timestep, above low and at most 1.

    Raises:
        ValueError: the range is empty or leaves [0, 1].
    """
    if not 0 <= low < high <= 1:
        raise ValueError(f"low={low}, high={high}: give 0 <= low < high <= 1.")

    def sample(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        tau = sampler(batch, frames, generator)
        return torch.where(tau > 0, low + (high - low) * tau, tau)

    return sample

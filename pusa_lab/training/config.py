"""What a training run is made of, checked before it starts."""

import math
from dataclasses import dataclass

import torch

from pusa_lab.arguments import checked
from pusa_lab.losses import WEIGHTS
from pusa_lab.schedules.draws import DRAWS, Draw, mixed, shifted
from pusa_lab.types import Tau

RATES = ("cosine", "constant")
OPTIMIZERS = ("adamw", "adamw8bit")
PRECISIONS = ("auto", "32-true", "bf16-mixed")
COMPILE_MODES = ("", "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


LARGEST = {"steps": 10**9, "batch": 2**20, "lora_rank": 2**16, "seed": 2**53}
"""No run is larger; beyond these, numbers are typing errors that would take all memory."""


@checked
@dataclass(frozen=True)
class TrainConfig:
    """Dials of a run; the defaults train a scalar base."""

    steps: int = 10_000
    """Optimizer steps."""
    batch: int = 256
    """Clips per step, on all GPUs together."""
    micro: int = 0
    """Clips at a time on each GPU, gradients of the others are added up; 0 is all of the GPU's."""
    optimizer: str = "adamw"
    """adamw, or adamw8bit (torchao's): moments in blocks of 8-bit numbers, a quarter of their memory."""
    lr: float = 1e-3
    """Peak learning rate of AdamW."""
    rate: str = "cosine"
    """How the rate goes on after the warm-up: cosine (to zero) or constant."""
    warmup: int = 400
    """Steps in which the learning rate climbs to its peak."""
    weight_decay: float = 0.01
    """Of AdamW."""
    beta2: float = 0.99
    """Memory of AdamW's second moment; torch's default is .999."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.999
    """Decay of the averaged weights, which are the ones kept; 0 keeps the raw ones."""
    caption_dropout: float = 0.1
    """Share of clips trained with the empty caption, for guidance."""
    draw: str = "shared"
    """Draw of the clocks: shared (a scalar base), independent (VTA), or mixed."""
    p_async: float = 1.0
    """Share of samples with independent clocks when draw is mixed (PTSS)."""
    shift: float = 1.0
    """Shift of the drawn clocks; the released Pusa trainer uses 5."""
    lowest: float = 0.0
    """Smallest clock that is drawn: the boundary for an expert of high noise."""
    highest: float = 1.0
    """Largest clock that is drawn: the boundary for an expert of low noise."""
    weight: str = "uniform"
    """Weight of each frame's loss by its clock, a name in losses.WEIGHTS; the paper's is uniform."""
    weight_by_clip: bool = False
    """Multiply a clip's mean loss by its mean weight, as the released trainer does, not each frame's by its own."""
    lora_rank: int = 0
    """Rank of the low-rank update that is trained on a frozen model; 0 trains all weights."""
    precision: str = "auto"
    """32-true, bf16-mixed, or auto: bf16-mixed on a GPU that has bfloat16 (not a T4) and 32-true elsewhere."""
    log_every: int = 50
    """Steps between entries in the curves; a shorter run has one, at its end."""
    validate_every: int = 0
    """Steps between validations (held-out loss, and a sheet of samples where the stage has one); 0 is never."""
    held_out: int = 0
    """Clips at the end of a latent cache that are not learned from, for validation."""
    save_every: int = 0
    """Steps between checkpoints from which a run can be resumed; 0 is never."""
    compile: str = ""
    """Mode of torch.compile for the loss: empty is none; reduce-overhead is several times faster on a GPU."""
    check_finite: bool = False
    """Stop at a loss that is not finite and name its clips; waits for the GPU in every step."""
    seed: int = 0
    """Of weights, data, clocks and noise."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give at least 1.")
        for name in ("ema", "caption_dropout", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give a number in [0, 1).")
        for name in ("warmup", "lora_rank", "validate_every", "held_out", "save_every", "micro", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: give 0 or more.")
        for name, most in LARGEST.items():
            if getattr(self, name) > most:
                raise ValueError(f"{name}={getattr(self, name)}: give at most {most}.")
        choices = {"rate": RATES, "optimizer": OPTIMIZERS, "precision": PRECISIONS, "compile": COMPILE_MODES}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                listed = ", ".join(word or "'' (none)" for word in known)
                raise ValueError(f"{name}={getattr(self, name)!r:.40}: choose one of {listed}.")
        if self.draw not in DRAWS:
            raise ValueError(f"unknown draw {self.draw!r:.40}: choose one of {', '.join(DRAWS)}.")
        if self.weight not in WEIGHTS:
            raise ValueError(f"unknown weight {self.weight!r:.40}: choose one of {', '.join(WEIGHTS)}.")
        if not (0 < self.lr < math.inf and self.clip > 0):
            raise ValueError(f"lr={self.lr}, clip={self.clip}: both must be positive, and lr finite.")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay={self.weight_decay}: give a number from 0.")
        if not 0 <= self.p_async <= 1:
            raise ValueError(f"p_async={self.p_async}: a probability lies in [0, 1].")
        self.make_draw()

    def make_draw(self) -> Draw:
        """The draw (batch, frames, generator) -> tau that this configuration names."""
        draw = mixed(self.p_async) if self.draw == "mixed" else DRAWS[self.draw]()
        if (self.lowest, self.highest) != (0, 1):
            if not (0 <= self.lowest < self.highest <= 1 and 0 < self.shift < math.inf):
                raise ValueError(
                    f"lowest={self.lowest}, highest={self.highest}, shift={self.shift}: "
                    "give 0 <= lowest < highest <= 1, and a positive shift."
                )
            # before the shift, so that what is drawn is the shifted draw, given that it lies in the range
            back = [tau / (self.shift - (self.shift - 1) * tau) for tau in (self.lowest, self.highest)]
            draw = within(draw, *back)
        return shifted(draw, self.shift)

    @checked
    def accumulate(self, processes: int) -> int:
        """How many times each process computes gradients before a step.

        Args:
            processes: on all hosts together.

        Raises:
            ValueError: the batch does not divide.
        """
        at_once = processes * (self.micro or max(1, self.batch // processes))
        if self.batch % at_once:
            raise ValueError(
                f"batch={self.batch} on {processes} processes, micro={self.micro} at a time: give a batch that "
                f"{at_once} divides."
            )
        return self.batch // at_once


@checked
def within(draw: Draw, low: float, high: float) -> Draw:
    """A draw squeezed into a range: tau' = low + (high - low) tau; independent uniform clocks are then uniform in it.

    Args:
        draw: any draw.
        low: smallest clock, at least 0.
        high: largest, above low and at most 1.

    Raises:
        ValueError: the range is empty or leaves [0, 1].
    """
    if not 0 <= low < high <= 1:
        raise ValueError(f"clocks within [{low}, {high}]: give 0 <= low < high <= 1.")

    def squeezed(batch: int, frames: int, generator: torch.Generator | None = None) -> Tau:
        return low + (high - low) * draw(batch, frames, generator)

    return squeezed

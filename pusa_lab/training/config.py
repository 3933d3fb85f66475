"""What a training run is made of, checked before it starts."""

from dataclasses import dataclass

from pusa_lab.schedules.draws import DRAWS, Draw, mixed, shifted

RATES = ("cosine", "constant")
PRECISIONS = ("auto", "32-true", "bf16-mixed")
COMPILE_MODES = ("", "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


@dataclass(frozen=True)
class TrainConfig:
    """Dials of a run; the defaults train a scalar base."""

    steps: int = 10_000
    """Optimizer steps."""
    batch: int = 256
    """Clips per step."""
    lr: float = 1e-3
    """Peak learning rate of AdamW."""
    rate: str = "cosine"
    """How the rate goes on after the warm-up: cosine (to zero) or constant."""
    warmup: int = 400
    """Steps in which the learning rate climbs to its peak."""
    weight_decay: float = 0.01
    """Of AdamW."""
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
    lora_rank: int = 0
    """Rank of the low-rank update that is trained on a frozen model; 0 trains all weights."""
    precision: str = "auto"
    """32-true, bf16-mixed, or auto: bf16-mixed on a GPU that has bfloat16 (not a T4) and 32-true elsewhere."""
    validate_every: int = 0
    """Steps between validations (held-out loss, and a sheet of samples where the stage has one); 0 is never."""
    save_every: int = 0
    """Steps between checkpoints from which a run can be resumed; 0 is never."""
    compile: str = ""
    """Mode of torch.compile for the loss: empty is none; reduce-overhead is several times faster on a GPU."""
    seed: int = 0
    """Of weights, data, clocks and noise."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give at least 1.")
        for name in ("ema", "caption_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give a number in [0, 1).")
        for name in ("lora_rank", "validate_every", "save_every"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: give 0 or more.")
        for name, choices in (("rate", RATES), ("precision", PRECISIONS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}={getattr(self, name)!r}: choose one of {', '.join(choices)}.")
        if self.draw not in DRAWS:
            raise ValueError(f"unknown draw {self.draw!r}: choose one of {', '.join(DRAWS)}.")
        if not (self.lr > 0 and self.clip > 0):
            raise ValueError(f"lr={self.lr}, clip={self.clip}: both must be positive.")
        if self.warmup < 0 or self.weight_decay < 0:
            raise ValueError(f"warmup={self.warmup}, weight_decay={self.weight_decay}: neither may be negative.")
        if self.compile not in COMPILE_MODES:
            raise ValueError(f"compile={self.compile!r}: choose one of {', '.join(map(repr, COMPILE_MODES))}.")
        self.make_draw()

    def make_draw(self) -> Draw:
        """The draw (batch, frames, generator) -> tau that this configuration names."""
        draw = mixed(self.p_async) if self.draw == "mixed" else DRAWS[self.draw]()
        return shifted(draw, self.shift)

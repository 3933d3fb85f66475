"""How large an experiment is: full on a GPU, small on two cores."""

from dataclasses import dataclass

from pusa_lab.arguments import checked

SEEDS = 5
"""Videos of each prompt, as VBench asks for."""


@checked
@dataclass(frozen=True)
class Sizes:
    """Dials of all tables together; the defaults are those of the shipped results."""

    preset: str = "mini"
    """Whose checkpoints are used: mini or nano."""
    prompts: int = 128
    """Unseen scenes in the tables that the claims rest on."""
    swept: int = 64
    """Unseen scenes at every point of a sweep."""
    seeds: int = SEEDS
    """Videos of each prompt."""
    clips: int = 64_000
    """Different clips in training."""
    batch: int = 256
    """Clips per step."""
    budgets: tuple[float, ...] = (1 / 400, 1 / 200, 1 / 100, 1 / 40, 1 / 20, 1 / 10, 1 / 4, 1 / 2, 1.0)
    """Shares of the base's own training at which adaptations are measured."""
    shorter: float = 1 / 10
    """The largest of them for LoRA and for the control."""
    marks: tuple[float, ...] = (1 / 40, 1 / 20, 1 / 10, 1 / 4)
    """Likewise in the table of LoRA ranks."""
    brief: float = 1 / 20
    """Likewise, where many adaptations are compared with each other."""
    ranks: tuple[int, ...] = (8, 64, 128)
    """LoRA ranks compared; the second is the shipped one."""
    strengths: tuple[float, ...] = (1.0, 1.4, 1.7, 2.0)
    """Strengths compared, those of the paper."""
    shifts: tuple[float, ...] = (1.0, 3.0, 5.0)
    """Shifts of the sampled timesteps compared; 1 is uniform."""
    steps: tuple[int, ...] = (2, 4, 5, 10, 20, 50)
    """Sampling steps compared."""
    calls: tuple[int, ...] = (4, 8, 16)
    """Calls of the denoiser, guidance aside, at which schedules are learned."""
    generations: int = 6
    """Generations of the search for each of them."""
    noises: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
    """Noise multipliers compared."""
    lengths: tuple[int, ...] = (1, 2, 4)
    """Extensions, in lengths of the model's own video."""
    train: int = 1
    """0 leaves out what needs training, so that `tasks` and `inside` run on a CPU for the shipped models."""
    training_seeds: int = 3
    """Seeds of training in the table `recipes`."""
    recipe: str = "half, free frames in the loss"
    """Name of its recipe: the one that `pusa-lab bench recipe` found, or another of its settings."""
    guidance: float = 3.0
    """Scale of text guidance everywhere."""
    seed: int = 0
    """Seed of training and sampling."""

    def __post_init__(self) -> None:
        for name in ("prompts", "swept", "seeds", "clips", "batch", "training_seeds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give at least 1.")
        if self.prompts < 2 or self.swept < 2:
            raise ValueError(f"prompts={self.prompts}, swept={self.swept}: intervals want at least 2 of each.")
        if self.generations < 1 or min(self.calls, default=0) < 2:
            raise ValueError(
                f"calls={self.calls}, generations={self.generations}: give calls from 2 and generations from 1."
            )
        if len(self.ranks) < 2 or 1.0 not in self.strengths or 1.0 not in self.shifts:
            raise ValueError("ranks, strengths, shifts: give at least two ranks, and 1 among strengths and shifts.")
        if min(*self.budgets, *self.marks, self.brief) <= 0:
            raise ValueError("budgets, marks and brief are shares of the base's training: give numbers above 0.")


SMALL = Sizes(
    preset="nano",
    prompts=12,
    swept=8,
    seeds=1,
    clips=1_000,
    batch=8,
    budgets=(1 / 16_000, 1 / 8_000, 1 / 4_000),
    shorter=1 / 8_000,
    marks=(1 / 16_000, 1 / 8_000),
    brief=1 / 32_000,
    ranks=(4, 32),
    strengths=(1.0, 1.4, 2.0),
    shifts=(1.0, 5.0),
    steps=(2, 5, 10, 20),
    calls=(4,),
    generations=3,
    noises=(0.0, 0.2, 0.5, 1.0),
    lengths=(1, 2),
    training_seeds=1,
    guidance=2.0,
)
"""Under two minutes a table on two cores: `nano`, few prompts, trainings that are far too short."""

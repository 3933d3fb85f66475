"""Schedules, and noise on known frames, that are learned by an evolution strategy for a score of any kind.

`pusa_lab.schedules` has `optimise`, `optimise_noise` and `generation_score` too.
"""

from pusa_lab.optimise.evolution import Evolution
from pusa_lab.optimise.learned import STARTS, Optimised, OptimisedNoise, fit_schedule, optimise, optimise_noise
from pusa_lab.optimise.scores import generation_score

__all__ = [
    "STARTS",
    "Evolution",
    "Optimised",
    "OptimisedNoise",
    "fit_schedule",
    "generation_score",
    "optimise",
    "optimise_noise",
]

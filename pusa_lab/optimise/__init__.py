"""Schedules, and noise on known frames, that are learned by an evolution strategy for a score of any kind.

`pusa_lab.schedules` has `optimise`, `optimise_noise`, `generation_score` and `fit_schedule` too:

    score = pl.schedules.generation_score(model, clips, prompts, task="image_to_video")
    found = pl.schedules.optimise(score, steps=4, frames=model.geometry.frames)
    pl.generate(model, prompt, pl.tasks.image_to_video(picture), schedule=found.matrix)
    found.save("mine.npy")  # for `pusa-lab generate --schedule mine.npy`
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

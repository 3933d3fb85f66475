"""Is what a search over schedules finds the same with another seed? The comparison of docs/findings.md, by seed.

pusa-lab bench learned_seeds benchmarks/results/learned_seeds.json
"""

import sys
from pathlib import Path
from typing import Any

from jsonargparse.typing import PositiveInt
from torch import Tensor

import pusa_lab as pl
import small_models
from pusa_lab import cli, pixels, schedules, tasks
from pusa_lab.cli.terminal import say
from pusa_lab.evaluation import known_frames
from pusa_lab.files import write_json
from small_models import world
from small_models.machine import conditions

CALLS = 4
SEEN, UNSEEN = 5000, 6000
"""Seeds of the scenes that schedules are learned on, and of those on which they are compared."""


def main(out: Path, *, seeds: PositiveInt = 5, clips: PositiveInt = 16, generations: PositiveInt = 4) -> None:
    """Learned schedules of several searches against one timestep for all frames, on clips they were not learned on.

    Args:
        out: JSON file to write.
        seeds: searches, with the seeds 0, 1, ...
        clips: that a schedule is learned on; three times as many are unseen.
        generations: of a search.
    """
    model = small_models.load("nano-vta")
    video, captions = _clips(model, clips, SEEN)
    score = schedules.generation_score(model, pixels.to_uint8(video), captions, guidance=1.0, seed=0)
    compare = Comparison(model, 3 * clips)
    rows = []
    for seed in range(seeds):
        options: dict[str, Any] = {"generations": generations, "population": 8, "seed": seed, "progress": False}
        found = schedules.optimise(score, CALLS, model.geometry.frames, start=["synchronous", "pyramid"], **options)
        rows.append({"seed": seed, "seen": found.score - found.starts["synchronous"], **compare(found.matrix)})
        say(f"seed {seed}: {rows[-1]['seen']:+.2f} dB on seen clips, {rows[-1]['unseen'][0]:+.2f} on unseen ones")
    one = compare(schedules.synchronous(1, model.geometry.frames))
    about = {"model": "nano-vta", "calls": CALLS, "clips": clips, "generations": generations}
    write_json(out, about | {"rows": rows, "one step": one} | conditions())


class Comparison:
    """A schedule against others on unseen clips, without and with guidance."""

    def __init__(self, model: Any, count: int) -> None:
        self.model = model
        self.video, self.captions = _clips(model, count, UNSEEN)
        self.task = tasks.Task("frame 0", known_frames(pixels.to_uint8(self.video), [0], model.geometry))
        steps = {"plain": CALLS, "one": 1}
        schedule = {name: schedules.synchronous(n, model.geometry.frames) for name, n in steps.items()}
        self.rivals = {(name, g): self._made(one, g) for name, one in schedule.items() for g in (1.0, 2.0)}

    def __call__(self, schedule: Tensor) -> dict[str, Any]:
        """Gain over one timestep for all frames (mean and half of its 95 % interval, dB), and contrast."""
        made = {guidance: self._made(schedule, guidance) for guidance in (1.0, 2.0)}
        return {
            "unseen": self._gain(made[1.0], self.rivals["plain", 1.0]),
            "guided": self._gain(made[2.0], self.rivals["plain", 2.0]),
            "above one step": self._gain(made[1.0], self.rivals["one", 1.0]),
            "contrast": (made[1.0].std() / self.video[:, :, 1:].std()).item(),
        }

    def _made(self, schedule: Tensor, guidance: float) -> Tensor:
        options: dict[str, Any] = {"schedule": schedule, "guidance": guidance, "seed": 0}
        return pl.generate(self.model, self.captions, self.task, **options).latents[:, :, 1:]

    def _gain(self, ours: Tensor, theirs: Tensor) -> list[float]:
        apart = self._closeness(ours) - self._closeness(theirs)
        return [apart.mean().item(), 1.96 * apart.std().item() / len(apart) ** 0.5]

    def _closeness(self, latents: Tensor) -> Tensor:
        return -10 * (latents - self.video[:, :, 1:]).square().mean(dim=(1, 3, 4)).log10().mean(1)


def _clips(model: Any, count: int, seed: int) -> tuple[Tensor, list[str]]:
    scenes = world.draw_scenes(count, seed, world.WORLDS["nano"])
    return world.render(scenes, model.geometry.frames, model.geometry.size[0]), world.captions(scenes)


if __name__ == "__main__":
    sys.exit(cli.main(script=main))

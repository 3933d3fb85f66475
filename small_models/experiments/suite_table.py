"""The suite measured on what is known: true clips, the codec, and clips that are worthless on purpose."""

from functools import partial
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.pixels import to_pixels, to_uint8
from small_models.evaluation import suite as scores
from small_models.evaluation.ways import copy_of_frame_0, through_the_codec
from small_models.experiments.adapt import ToyTrainer
from small_models.experiments.lab import Lab, Rows


@checked
def suite(lab: Lab, trainer: ToyTrainer) -> Rows:
    """What true, coded, still and destroyed clips score; the first row is the reader's own accuracy.

    Args:
        lab: models and scores.
        trainer: unused, nothing is trained.
    """
    base = lab.model("base")
    ways: dict[str, Any] = {"truth": lambda _, truth, seed: truth}
    if base.codec:
        ways["truth through the codec"] = through_the_codec(base)
    ways["frame 0 repeated"] = copy_of_frame_0
    for name in scores.destroyed(next(lab.parts(2))[1]):
        ways[name] = lambda _, truth, seed, n=name: to_uint8(scores.destroyed(to_pixels(truth).to(lab.device))[n])
    for label, make in ways.items():
        yield {"clips": label}, partial(lab.measure, make, [0], count=lab.sizes.prompts, seeds=1)

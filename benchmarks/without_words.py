"""Does a model read the speed from the frames that it is given, or from the caption? Both ways, scene by scene.

pusa-lab bench without_words benchmarks/results/without_words.json
pusa-lab bench without_words benchmarks/results/without_words_base.json --model base --scenes 16
pusa-lab bench without_words benchmarks/results/without_words_i2v.json --model i2v --scenes 32

As in the table `generalisation` of `pusa-lab bench paper`, the first latent frames are given that hold three pixel
frames, without guidance. In its slower and faster scenes, captions name the nearest speed of training. Here each is
also sampled with an empty caption. Wan's own way as it is shipped takes one frame, which shows no speed, so that it is
asked in distribution alone.
"""

import sys
from pathlib import Path
from typing import Any, Literal

import torch
from jsonargparse.typing import PositiveInt

from pusa_lab import cli, metrics
from pusa_lab.cli.terminal import say
from pusa_lab.files import check_writable, write_json
from small_models.evaluation import suite
from small_models.evaluation.ways import EVAL_SEED, Maker, make_clips, parts
from small_models.experiments import Lab, Sizes
from small_models.experiments.generalisation_table import shown_frames
from small_models.experiments.held_out import INSIDE, split_scenes
from small_models.machine import conditions
from small_models.world import WORLDS

SPLITS = (INSIDE, "slower", "faster")
SCORES = ("pace", "relative_velocity_error")


def main(out: Path, *, model: Literal["vta", "base", "i2v"] = "vta", scenes: PositiveInt = 64) -> None:
    """Pace and velocity error of mini by split, with captions, without, and by how much they differ.

    Args:
        out: JSON file to write.
        model: which of mini's.
        scenes: of each split, at least 2.
    """
    check_writable(out, "--out")
    lab = Lab(Sizes(prompts=scenes, seeds=1), out.parent / "unused", "cpu")
    known = [0] if model == "i2v" else shown_frames(lab.geometry)
    with_words = lab.ask(lab.model(model), known, guidance=1.0)
    ways: dict[str, Maker] = {
        "caption": with_words,
        "no caption": lambda prompts, truth, seed: with_words([""] * len(prompts), truth, seed),
    }
    drawn, rows = split_scenes(WORLDS[lab.geometry_world], lab.sizes.prompts, EVAL_SEED), []
    given = [pixel for i in known for pixel in lab.geometry.pixels_at(i)]
    for split in SPLITS[: 1 if model == "i2v" else None]:
        ((some, clip, _),) = parts(drawn[split], lab.geometry, "cpu", lab.sizes.prompts, 1)
        raw = {
            name: suite.fidelity(make_clips(make, some, clip, 0, 0), clip, some, given) for name, make in ways.items()
        }
        means = {name: _means(one) for name, one in raw.items()}
        means["difference"] = _means({k: raw["no caption"][k] - raw["caption"][k] for k in SCORES})
        rows.append({"split": split, **means})
        say(f"{split}: pace {means['caption']['pace'][0]:.2f}, without caption {means['no caption']['pace'][0]:.2f}")
    write_json(out, {"model": f"mini-{model}", "scenes": lab.sizes.prompts, "seed": 0, "rows": rows} | conditions())


def _means(raw: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {name: list(metrics.bootstrap(raw[name].float())) for name in SCORES}


if __name__ == "__main__":
    sys.exit(cli.main(script=main))

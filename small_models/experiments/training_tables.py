"""Tables that train: what an adaptation costs, what it keeps, how its timesteps are sampled, and which LoRA."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.metrics import Interval, bootstrap_of
from small_models.experiments.adapt import Adaptation, ToyTrainer
from small_models.experiments.lab import Lab, Rows
from small_models.experiments.pairs import by_seed, over_seeds
from small_models.experiments.recipe_settings import recipe_of
from small_models.experiments.records import ResultRow
from small_models.experiments.rows import pick
from small_models.experiments.sizes import Sizes
from small_models.models.i2v import ImageToVideo

SPOKEN: dict[str, Any] = {"truth": False, "first": False}
"""Options of `Lab.score` for text-to-video."""


@checked
def cost(lab: Lab, trainer: ToyTrainer) -> Rows:
    """Image-to-video at every budget, for one timestep per frame and for Wan's own way; and without any training.

    Args:
        lab: models and scores.
        trainer: trains.
    """
    base, known = lab.model("base"), [0]
    free = {
        "replacement, no training": lab.ask(base, known, noise=1.0, mode="replacement"),
        "timestep vectors, no training": lab.ask(base, known),
    }
    for way, make in free.items():
        yield {"way": way, "share": 0.0}, partial(_i2v, lab, make)
    for way, (adaptation, shares) in cost_ways(lab.sizes).items():
        for share, update in zip(shares, trainer.updates(adaptation, shares), strict=True):
            make = lab.ask(trainer.model(adaptation, update), known)
            yield {"way": way, "share": share}, partial(_i2v, lab, make)


@checked
def cost_ways(sizes: Sizes) -> dict[str, tuple[Adaptation, list[float]]]:
    """What the table `cost` trains, and at which budgets it is measured.

    Args:
        sizes: with budgets, the middle rank and the recipe.
    """
    rank, theirs = sizes.ranks[1], Adaptation("i2v", timestep_sampler="shared")
    long = {
        "VTA, all weights": Adaptation(),
        "Wan's way, all weights": theirs,
        "recipe, all weights": recipe_of(sizes.recipe),
    }
    brief = {
        f"VTA, LoRA {rank}": Adaptation(rank=rank),
        f"Wan's way, LoRA {rank}": replace(theirs, rank=rank),
        f"recipe, LoRA {rank}": recipe_of(sizes.recipe, rank),
        "control: one timestep, all weights": Adaptation(timestep_sampler="shared"),
    }
    few = [share for share in sizes.budgets if share <= sizes.shorter]
    return {way: (each, [*sizes.budgets]) for way, each in long.items()} | {way: (x, few) for way, x in brief.items()}


def _i2v(lab: Lab, make: Any) -> dict[str, Any]:
    return lab.measure(make, [0], count=lab.sizes.prompts)


@checked
def ratios(rows: Sequence[ResultRow], score: str = "psnr") -> list[dict[str, Any]]:
    """How much less training one timestep per frame needs than Wan's own way for the same score, with intervals.

    For every budget of VTA with all weights, the budget at which Wan's way reaches its score, read off a straight line
    between its neighbours in log(budget): ratio = theirs / ours, above 1 where VTA is cheaper. Where Wan's way is
    never as bad, or never as good, the end of its curve bounds the ratio.

    Args:
        rows: of the table `cost`.
        score: which, one of `lab.PER_PROMPT` that is better if higher.

    Raises:
        ValueError: a row lacks the score prompt by prompt, or has it for another number of prompts than the others.
    """
    (ours, mine), (theirs, other) = (_curve(rows, way, score) for way in ("VTA, all weights", "Wan's way, all weights"))
    if not ours or not theirs:
        return []
    prompts, found = mine[0].shape[1], []
    if other[0].shape[1] != prompts:
        raise ValueError(f"the ways have {prompts} and {other[0].shape[1]} prompts: give rows of the same prompts.")
    for share, values in zip(ours, mine, strict=True):
        length, bound = length_reaching(theirs, other, values)
        ratio = [each / share for each in length]
        found.append({"share": share, "score": values.mean().item(), "ratio": ratio, "bound": bound})
    return found


@checked
def length_reaching(shares: Sequence[float], curve: Sequence[Tensor], wanted: Tensor) -> tuple[Interval, str]:
    """How long a way trains until it has a score, read off a straight line between its neighbours in log(share).

    Args:
        shares: of the base's training at which the way was measured, ascending.
        curve: its score at each, (seeds, prompts).
        wanted: the score that it should reach (seeds, prompts), for the same prompts.

    Returns:
        The share of the base's training with its interval over prompts and seeds, and what an end of the curve makes of
        it: "at most" where the curve begins above the score, "at least" where it stays below, else "".

    Raises:
        ValueError: there is no length, or one that is not above 0 and above the last, or scores are of other prompts.
    """
    odd = any(each <= last for last, each in pairwise([0, *shares])) or len(shares) != len(curve)
    if (
        odd
        or not shares
        or any(x.ndim != 2 or not x.numel() or x.shape[1:] != wanted.shape[1:] for x in (*curve, wanted))
    ):
        shapes = [tuple(x.shape) for x in (*curve, wanted)]
        raise ValueError(
            f"shares={list(shares)!s:.80}, scores {shapes!s:.80}: give ascending lengths above 0, and at each a score "
            f"(seeds, prompts) of the same prompts."
        )
    prompts, seeds = wanted.shape[1], max(len(values) for values in (*curve, wanted))
    lengths = [math.log(share) for share in shares]

    def length(prompts: Tensor, scores: Tensor) -> float:
        """Its logarithm, over some prompts."""
        *means, goal = scores[:, prompts].mean(1).tolist()
        return _reached(lengths, means, goal)

    def over(seeds: Tensor) -> Tensor:
        """All scores and the wanted one, over some seeds; a row of fewer than others repeats its own."""
        return torch.stack([each[seeds % len(each)].mean(0) for each in (*curve, wanted)])

    every = torch.arange(seeds if len(wanted) > 1 else 1)  # a row of one seed is compared with that of the others
    over_prompts = bootstrap_of(partial(length, scores=over(every)), range(prompts))
    alone = [length(torch.arange(prompts), over(seed[None])) for seed in every]
    score, scores = wanted.mean().item(), [each.mean().item() for each in curve]
    bound = "at most" if score < scores[0] else "at least" if score > max(scores) else ""
    return Interval(*(math.exp(x) for x in over_seeds(over_prompts, alone))), bound


def _curve(rows: Sequence[ResultRow], way: str, score: str) -> tuple[list[float], list[Tensor]]:
    """The shares of training at which a way was measured, ascending, and its score at each (seeds, prompts)."""
    chosen = [row for row in pick(rows, way=way) if row["key"]["share"]]
    chosen = sorted(chosen, key=lambda row: row["key"]["share"])
    scores = [by_seed(row, score) for row in chosen]
    if len({each.shape[1] for each in scores}) > 1 or any(each.isnan().any() for each in scores):
        raise ValueError(f"rows of {way!r} have {score!r:.60} for different prompts: measure the table anew.")
    return [row["key"]["share"] for row in chosen], scores


def _reached(budgets: Sequence[float], scores: Sequence[float], wanted: float) -> float:
    """log(budget) at which a curve first reaches a score; its ends if it never is so low or so high."""
    j = next((i for i, score in enumerate(scores) if score >= wanted), len(scores))
    if j in (0, len(scores)):
        return budgets[0 if j == 0 else -1]
    best = max(scores[:j])
    return budgets[j - 1] + (wanted - best) / (scores[j] - best) * (budgets[j] - budgets[j - 1])


@checked
def preserved(lab: Lab, trainer: ToyTrainer) -> Rows:
    """Text-to-video before and after adaptation, and whether equal timesteps give the base's own output before it.

    Args:
        lab: models and scores.
        trainer: trains.
    """

    def spoken(model: Any) -> dict[str, Any]:
        return lab.measure(lab.ask(model), count=lab.sizes.prompts, **SPOKEN)

    shipped = {"base": "base", "VTA, shipped": "vta", "Wan's way, shipped, without its picture": "i2v"}
    for label, stage in shipped.items():
        if lab.has(stage):
            yield {"model": label, "share": None}, partial(spoken, lab.model(stage))
    for label, (adaptation, shares) in preserved_ways(lab.sizes).items():
        for share, update in zip(shares, trainer.updates(adaptation, shares), strict=True):
            yield {"model": label, "share": share}, partial(spoken, trainer.model(adaptation, update))


@checked
def preserved_ways(sizes: Sizes) -> dict[str, tuple[Adaptation, list[float]]]:
    """What the table `preserved` trains with all weights: the same runs as `cost`, at every third budget.

    Args:
        sizes: with budgets and the recipe.
    """
    every = sizes.budgets[2::3]
    ways = {way: run for way, run in cost_ways(sizes).items() if way.endswith("all weights")}
    ways = {way: (adaptation, [s for s in shares if s in every]) for way, (adaptation, shares) in ways.items()}
    return {f"{way}{', without its picture' if run[0].way == 'i2v' else ''}": run for way, run in ways.items()}


@checked
def exactness(lab: Lab) -> dict[str, Any]:
    """Largest differences before training: of equal timesteps from diffusers' Wan with one timestep, of the base's own
    weights; and of Wan's own way, with room for a picture but none given, from the base.

    Args:
        lab: gives the base.
    """
    base, g = lab.model("base"), torch.Generator().manual_seed(lab.sizes.seed)
    shape = lab.geometry.latent_shape(3, lab.geometry.frames)
    x, tau = (t.to(base.device) for t in (torch.randn(shape, generator=g), torch.rand(3, generator=g)))
    cond = base.encode_text(["a red circle moves right", "", "a blue square moves down"])
    with torch.no_grad():
        many = base(x, tau[:, None].expand(-1, shape[2]), **cond)
        one = base.dit.to_diffusers().to(base.device)(x, 1000 * tau, cond["text"]).sample
        room = ImageToVideo.from_base(base).eval()(x, tau[:, None].expand(-1, shape[2]), **cond)
    differences = {"timestep per frame": (many - one).abs().max().item(), "Wan's way": (room - many).abs().max().item()}
    return {"largest difference": differences, "of outputs up to": one.abs().max().item()}


SAMPLERS: dict[str, dict[str, Any]] = {
    "independent": {"timestep_sampler": "independent"},
    "PTSS 0.8": {"timestep_sampler": "mixed", "p_async": 0.8},
    "PTSS 0.5": {"timestep_sampler": "mixed", "p_async": 0.5},
    "PTSS 0.2": {"timestep_sampler": "mixed", "p_async": 0.2},
    "first frame clean, the rest alike": {"timestep_sampler": "shared", "clean": (0,)},
    "non-decreasing": {"timestep_sampler": "nondecreasing"},
}
"""Table 2 of the paper, and that of AR-Diffusion."""


@checked
def timestep_samplers(lab: Lab, trainer: ToyTrainer) -> Rows:
    """How timesteps are sampled in training: six ways, each uniform and with shift 3 and 5, at strengths 1 and 1.4.

    Args:
        lab: models and scores.
        trainer: trains.
    """
    for label, options in SAMPLERS.items():
        for shift in lab.sizes.shifts:
            adaptation = Adaptation(rank=lab.sizes.ranks[1], shift=shift, **options)
            for strength in (1.0, 1.4):
                key = {"timestep_sampler": label, "shift": shift, "strength": strength}
                yield key, partial(_adapted, lab, trainer, adaptation, strength)
            key = {"timestep_sampler": label, "shift": shift, "task": "text_to_video"}
            yield key, partial(_adapted, lab, trainer, adaptation, 1.0, spoken=True)


def _adapted(
    lab: Lab, trainer: ToyTrainer, adaptation: Adaptation, strength: float, spoken: bool = False
) -> dict[str, Any]:
    (update,) = trainer.updates(adaptation, [lab.sizes.brief])
    model = trainer.model(adaptation, update, strength)
    return lab.measure(lab.ask(model), **SPOKEN) if spoken else lab.measure(lab.ask(model, [0]), [0])


@checked
def lora(lab: Lab, trainer: ToyTrainer) -> Rows:
    """Rank, strength and length of training; for all weights the strength stretches W - W0 in the same way.

    Args:
        lab: models and scores.
        trainer: trains.
    """
    for rank, adaptation in lora_ways(lab.sizes).items():
        updates = trainer.updates(adaptation, lab.sizes.marks)
        for share, update in zip(lab.sizes.marks, updates, strict=True):
            for strength in lab.sizes.strengths:
                key = {"rank": rank or "all weights", "share": share, "strength": strength}
                make = lab.ask(trainer.model(adaptation, update, strength), [0])
                yield key, partial(lab.measure, make, [0])


@checked
def lora_ways(sizes: Sizes) -> dict[int, Adaptation]:
    """What the table `lora` trains: rank, where 0 is all weights, and adaptation.

    Args:
        sizes: with the ranks.
    """
    return {rank: Adaptation(rank=rank) for rank in (*sizes.ranks, 0)}

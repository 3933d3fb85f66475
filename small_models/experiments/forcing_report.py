"""What the trainings for long videos have shown, as tables in Markdown and in words."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan, nan, sqrt
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.metrics import Interval
from pusa_lab.sentences import counted
from pusa_lab.sweeps.expanded import MANY, t_quantile
from small_models.experiments.drift_report import Results
from small_models.experiments.forcing import FLOW_MAP, KNOWN_FRAMES, PASTS
from small_models.experiments.pairs import clearly, signed

INDEPENDENT, DIFFUSION, TEACHER = (
    "both ways, independent timesteps",
    "causal, diffusion forcing",
    "causal, teacher forcing",
)
ROLLED_OUT = "causal, rolled-out past"
DRAWN, MASK = "timesteps as at sampling", "the mask, true past"
SHORT = {"image_to_video": "image to video, PSNR", "extension": "extension, PSNR"}
"""Task -> head of its column, dB."""
LONG = {"psnr": "long: PSNR, dB", "position_error": "long: position, pixels", "colour_error": "long: colour, of 255"}
"""Score in the last length of long videos -> head of its column."""
HEADS = SHORT | LONG
CHANGES = {
    DRAWN: (INDEPENDENT, KNOWN_FRAMES),
    **{f"{name}, both ways": (KNOWN_FRAMES, f"both ways, {name}") for name in PASTS},
    MASK: (KNOWN_FRAMES, TEACHER),
    "noisy blocks as the past, causal": (TEACHER, DIFFUSION),
    **{f"{name}, causal": (TEACHER, f"causal, {name}") for name in PASTS},
    "rolled-out past, causal": (TEACHER, ROLLED_OUT),
}
"""What is changed -> training without it, and with it."""


@dataclass(frozen=True)
class Change:
    """What a change of the training does to one score, on the same scenes."""

    over_scenes: Interval
    """The mean over seeds of training, and its interval over scenes."""
    by_seed: tuple[float, ...]
    """The mean of each seed of training."""

    @property
    def is_repeated(self) -> bool:
        """Whether there are several seeds of training."""
        return len(self.by_seed) > 1

    @property
    def beyond_chance(self) -> int:
        """1 if the score rises and -1 if it falls, in at least two seeds and all of them; 0 if that may be chance."""
        sign = clearly(self.over_scenes)
        return sign if self.is_repeated and all(sign * one > 0 for one in self.by_seed) else 0

    def __str__(self) -> str:
        """As a cell: bold if it is beyond chance, with the value of each seed if there are several."""
        if isnan(self.over_scenes.low):
            return "-"
        value, interval = signed(self.over_scenes).split(" ", 1)
        each = ", ".join(f"{round(one, 2) + 0.0:+.2f}" for one in self.by_seed)  # no -0.0
        return f"{f'**{value}**' if self.beyond_chance else value} {interval}" + f"; {each}" * self.is_repeated


@checked
def forcing_conditions(found: Results) -> str:
    """How it was trained and measured, on what, when, and by which command.

    Args:
        found: what `pusa-lab bench forcing` measured.
    """
    sizes, measured = found["sizes"], len(found["rows"])
    share = "All" if measured == found["trainings"] else f"{measured} of"
    return (
        f"{share} {counted(found['trainings'], 'training')} are measured: {_kinds(found)}. Each trains "
        f"`{sizes['preset']}-base` for another {counted(found['rows'][0]['steps'], 'step')} of "
        f"{counted(sizes['batch'], 'clip')}. Scores are of {counted(sizes['scenes'], 'unseen scene')} with "
        f"{counted(sizes['seeds'], 'video')} each: image to video and extension in {counted(sizes['sampling'], 'step')}"
        f", and long videos of {counted(sizes['lengths'], 'length')} in {counted(sizes['calls'], 'call')} a latent "
        f"frame, all made block after block with guidance {sizes['guidance']:g} ({found['device']}, {found['date']}, "
        f"`{found['command']}`)."
    )


@checked
def forcing_table(found: Results) -> str:
    """All trainings, in dB, pixels and grey levels: means over the seeds of training, and their range.

    Args:
        found: as `forcing_conditions`.
    """
    cells = {
        name: [_spread([_mean(row, score) for row in rows]) for score in HEADS]
        for name, rows in _by_name(found).items()
    }
    return _table(["training", *HEADS.values()], [[name, *each] for name, each in cells.items()])


@checked
def forcing_effects(found: Results) -> dict[str, dict[str, Change]]:
    """Change of the training -> score -> what it does to it, with intervals as `forcing_intervals` says.

    Args:
        found: as `forcing_conditions`.
    """
    pairs = _pairs(found)
    level = _level(len(HEADS) * len(pairs)) if pairs else 0.0
    return {name: {score: _change(each, score, level) for score in HEADS} for name, each in pairs.items()}


@checked
def forcing_changes(found: Results) -> str:
    """What each change of the training does, as `forcing_intervals` says; bold is beyond chance.

    Args:
        found: as `forcing_conditions`.
    """
    rows = [[name, *map(str, each.values())] for name, each in forcing_effects(found).items()]
    return _table(["change", *HEADS.values()], rows)


@checked
def forcing_intervals(found: Results) -> str:
    """What the cells of `forcing_changes` hold, and when a change is called beyond chance; empty if there is none.

    Args:
        found: as `forcing_conditions`.
    """
    number = len(HEADS) * len(_pairs(found))
    if not number:
        return ""
    return (
        "A change is the mean difference on the same scenes, over the seeds of training that both have; if there are "
        "several, the difference of each follows. Intervals are over scenes and know nothing of other trainings: "
        f"Student's, at {100 * _level(number):.4g} % each, so that all {number} together have 95 % (Bonferroni). A "
        "change is called beyond chance, and bold, if its interval excludes 0 and at least two seeds, and all of them, "
        "agree in its direction."
    )


@checked
def few_calls_table(found: Results) -> str:
    """Image to video in few calls: means over the seeds of training, and their range.

    Args:
        found: as `forcing_conditions`.
    """
    rows = [
        [*map(str, key), *(_spread([one[name][0] for one in scores]) for name in ("psnr", "text_alignment"))]
        for key, scores in _few_calls(found).items()
    ]
    return _table(["training", "schedule", "calls a frame", "PSNR, dB", "text alignment"], rows)


@checked
def forcing_finding(found: Results) -> str:
    """What the tables say of colour, of which people complain most, of the mask, and of few calls.

    Args:
        found: as `forcing_conditions`.
    """
    return " ".join([*_said_of_colour(found), *_said_of_changes(found), *_said_of_few_calls(found)])


def _said_of_colour(found: Results) -> Iterator[str]:
    """After which trainings the colour is least and most off."""
    off = {
        name: fmean(_mean(row, "colour_error") for row in rows)
        for name, rows in _by_name(found).items()
        if name != FLOW_MAP
    }
    if len(off) > 1:
        least, most = min(off, key=off.__getitem__), max(off, key=off.__getitem__)
        yield (
            f"In the last of {found['sizes']['lengths']} lengths the mean colour is off by {off[least]:.1f} grey "
            f"levels after the training *{least}*, the least of all, and by {off[most]:.1f} after *{most}*, the most."
        )


def _said_of_changes(found: Results) -> Iterator[str]:
    """What other pasts do to the colour, and what the timesteps and the mask do to it and to image to video."""
    changes = forcing_effects(found)
    if changes and not any(one.is_repeated for each in changes.values() for one in each.values()):
        yield "With a single seed of each training no change is called beyond chance."
    pasts = {name: each["colour_error"] for name, each in changes.items() if "past" in name and name != MASK}
    if repeated := {name: one for name, one in pasts.items() if one.is_repeated}:
        lower, higher = ([name for name, one in repeated.items() if one.beyond_chance == sign] for sign in (-1, 1))
        yield (
            f"Of {counted(len(repeated), 'other past')} shown in training, each with several seeds, "
            f"{_some(lower, 'lower')} that error beyond chance{_named(lower)}, and {_some(higher, 'raise')} "
            f"it{_named(higher)}."
        )
    said = {DRAWN: "Timesteps drawn as at sampling change", MASK: "The mask, after the true past, changes"}
    for name, who in said.items():
        if name in changes:
            task, colour = (changes[name][score] for score in ("image_to_video", "colour_error"))
            yield f"{who} image to video by {_told(task, 'dB')}, and that error by {_told(colour, 'grey levels')}."


def _some(names: list[str], verb: str) -> str:
    return f"{len(names) or 'none'} {verb}{'s' * (len(names) < 2)}"


def _named(names: list[str]) -> str:
    return f" ({'; '.join(names)})" if names else ""


def _told(change: Change, unit: str) -> str:
    verdict = (", beyond chance" if change.beyond_chance else ", not beyond chance") if change.is_repeated else ""
    return f"{signed(change.over_scenes, digits=1)} {unit}{verdict}"


def _said_of_few_calls(found: Results) -> Iterator[str]:
    """What the map and Euler's steps reach in as many calls, and Euler's in many, all frames together."""
    few = {key: fmean(one["psnr"][0] for one in scores) for key, scores in _few_calls(found).items()}
    maps, steps = (
        {calls: value for (name, schedule, calls), value in few.items() if (name, schedule) == (which, "synchronous")}
        for which in (FLOW_MAP, KNOWN_FRAMES)
    )
    if maps and steps:
        ours, theirs = (_and([f"{each[calls]:.1f}" for calls in maps]) for each in (maps, steps))
        yield (
            f"With all frames together and {_and([*map(str, maps)])} calls of the model, the PSNR of image to video is "
            f"{ours} dB by the flow map, and {theirs} dB by Euler's steps, of which {max(steps)} reach "
            f"{steps[max(steps)]:.1f} dB."
        )


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _kinds(found: Results) -> str:
    """How many kinds of training have how many seeds."""
    seeds = Counter(len(rows) for rows in _by_name(found).values())
    parts = [f"{counted(kinds, 'kind')} with {counted(each, 'seed')}" for each, kinds in sorted(seeds.items())[::-1]]
    return ", ".join(parts)


def _by_name(found: Results) -> dict[str, list[Results]]:
    """Training -> its rows, one for each seed."""
    each: dict[str, list[Results]] = {}
    for row in found["rows"]:
        each.setdefault(row["key"]["training"], []).append(row)
    return each


def _pairs(found: Results) -> dict[str, list[tuple[Results, Results]]]:
    """Every change whose two trainings are there -> both after the same seed, for each seed that both have."""
    rows = {(row["key"]["training"], row["key"]["seed"]): row for row in found["rows"]}
    seeds = dict.fromkeys(seed for _, seed in rows)
    pairs = {
        name: [(rows[without, s], rows[changed, s]) for s in seeds if (without, s) in rows and (changed, s) in rows]
        for name, (without, changed) in CHANGES.items()
    }
    return {name: each for name, each in pairs.items() if each}


def _level(number: int) -> float:
    """At which each of so many intervals must hold, so that all together do at 95 %: Bonferroni's correction."""
    return 1 - 0.05 / number


def _change(pairs: list[tuple[Results, Results]], score: str, level: float) -> Change:
    """The difference of the second rows from the first, scene by scene: Student's interval over scenes."""
    each = torch.stack([_by_scene(changed, score) - _by_scene(without, score) for without, changed in pairs])
    scenes = each.nanmean(0)
    known = scenes[~scenes.isnan()]
    mean, half = known.mean().item(), nan
    if len(known) > 1:
        half = t_quantile(level, min(len(known) - 1, MANY)) * known.std().item() / sqrt(len(known))
    return Change(Interval(mean, mean - half, mean + half), tuple(each.nanmean(1).tolist()))


def _mean(row: Results, score: str) -> float:
    found = row[score]["scores"]["psnr"] if score in SHORT else row["long"]["scores"][score]["last"]
    return nan if found[0] is None else found[0]


def _by_scene(row: Results, score: str) -> Float[Tensor, " scenes"]:
    values = row[score]["by_prompt"]["psnr"] if score in SHORT else row["long"]["scores"][score]["by scene"]["last"]
    return torch.tensor([nan if value is None else value for value in values], dtype=torch.double)


def _few_calls(found: Results) -> dict[tuple[str, str, int], list[dict[str, Any]]]:
    """(training, schedule, calls) -> scores, one for each seed of training."""
    each: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for row in found["rows"]:
        for one in row.get("few calls", ()):
            each.setdefault((row["key"]["training"], one["schedule"], one["calls"]), []).append(one["scores"])
    return each


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    return "\n".join([lines[0], f"|{' --- |' * len(heads)}", *lines[1:]])


def _spread(values: list[float]) -> str:
    there = [value for value in values if not isnan(value)]
    if not there:
        return "-"
    return f"{fmean(there):.2f}" + (f" ({min(there):.2f} to {max(there):.2f})" if len(there) > 1 else "")

"""What the trainings for long videos have shown, as tables in Markdown and in words."""

from collections.abc import Iterator
from statistics import fmean
from typing import Any

import torch

from pusa_lab.arguments import checked
from pusa_lab.metrics import Interval, bootstrap
from pusa_lab.sentences import counted
from small_models.experiments.drift_report import Results
from small_models.experiments.forcing import FLOW_MAP, KNOWN_FRAMES, PASTS
from small_models.experiments.pairs import signed

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
CHANGES = {
    DRAWN: (INDEPENDENT, KNOWN_FRAMES),
    **{f"{name}, both ways": (KNOWN_FRAMES, f"both ways, {name}") for name in PASTS},
    MASK: (KNOWN_FRAMES, TEACHER),
    "noisy blocks as the past, causal": (TEACHER, DIFFUSION),
    **{f"{name}, causal": (TEACHER, f"causal, {name}") for name in PASTS},
    "rolled-out past, causal": (TEACHER, ROLLED_OUT),
}
"""What is changed -> training without it, and with it."""


@checked
def forcing_conditions(found: Results) -> str:
    """How it was trained and measured, on what, when, and by which command.

    Args:
        found: what `pusa-lab bench forcing` measured.
    """
    sizes, steps = found["sizes"], found["rows"][0]["steps"]
    videos, once = counted(sizes["seeds"], "video"), sizes["training_seeds"] == 1
    return (
        f"{len(found['rows'])} of {counted(found['trainings'], 'training')}, each from `{sizes['preset']}-base`, "
        f"{counted(steps, 'step')} of {counted(sizes['batch'], 'clip')}; {counted(sizes['scenes'], 'unseen scene')} "
        f"with {videos} each; image to video and extension in {sizes['sampling']} steps, long videos of "
        f"{sizes['lengths']} lengths in {sizes['calls']} calls a latent frame, all block after block; guidance "
        f"{sizes['guidance']:g}; intervals are over scenes{', of one training of each kind' if once else ''}; "
        f"{found['device']}, {found['date']} (`{found['command']}`)"
    )


@checked
def forcing_table(found: Results) -> str:
    """All trainings, in dB, pixels and grey levels: means over the seeds of training, and their range.

    Args:
        found: as `forcing_conditions`.
    """
    lines = _head("training", *SHORT.values(), *LONG.values())
    for name in dict.fromkeys(row["key"]["training"] for row in found["rows"]):
        rows = [row for row in found["rows"] if row["key"]["training"] == name]
        cells = [_spread([row[task]["scores"]["psnr"][0] for row in rows]) for task in SHORT]
        cells += [_spread([row["long"]["scores"][score]["last"][0] for row in rows]) for score in LONG]
        lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join(lines)


@checked
def forcing_changes(found: Results) -> str:
    """What each change of the training does, on the same scenes, with 95 % intervals over scenes.

    Args:
        found: as `forcing_conditions`.
    """
    lines = _head("change", *SHORT.values(), *LONG.values())
    for name, each in _changes(found):
        cells = (f"{one.mean:+.2f} ({one.low:+.2f} to {one.high:+.2f})" for one in each.values())
        lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join(lines)


@checked
def few_calls_table(found: Results) -> str:
    """Image to video in few calls: means over the seeds of training, and their range.

    Args:
        found: as `forcing_conditions`.
    """
    lines = _head("training", "schedule", "calls a frame", "PSNR, dB", "text alignment")
    for key, scores in _few_calls(found).items():
        cells = [_spread([one[name][0] for one in scores]) for name in ("psnr", "text_alignment")]
        lines.append(f"| {' | '.join([*map(str, key), *cells])} |")
    return "\n".join(lines)


@checked
def forcing_finding(found: Results) -> str:
    """What the tables say of colour, of which people complain most, of the mask, and of few calls.

    Args:
        found: as `forcing_conditions`.
    """
    rows = [row for row in found["rows"] if row["key"]["training"] != FLOW_MAP]
    off = {
        name: fmean(row["long"]["scores"]["colour_error"]["last"][0] for row in rows if row["key"]["training"] == name)
        for name in dict.fromkeys(row["key"]["training"] for row in rows)
    }
    parts, changed = list[str](), dict(_changes(found))
    if len(off) > 1:
        least, most = min(off, key=off.__getitem__), max(off, key=off.__getitem__)
        parts.append(
            f"In the last of {found['sizes']['lengths']} lengths the mean colour is least off after the training "
            f"*{least}* ({off[least]:.1f} grey levels), and most after *{most}* ({off[most]:.1f})."
        )
    pasts = {name: changed[name]["colour_error"] for name in CHANGES if "past" in name and name in changed}
    pasts.pop(MASK, None)
    if pasts:
        lower = [name for name, one in pasts.items() if one.high < 0]
        higher = [name for name, one in pasts.items() if one.low > 0]
        parts.append(
            f"Of {counted(len(pasts), 'other past')} shown in training, beyond chance that error is lower with "
            f"{_listed(lower)}, and higher with {_listed(higher)}."
        )
    for name, who in {DRAWN: "Timesteps drawn as at sampling change", MASK: "The mask changes"}.items():
        if name in changed:
            task, colour = (signed(changed[name][score], digits=1) for score in ("image_to_video", "colour_error"))
            parts.append(f"{who} image to video by {task} dB, and that error by {colour} grey levels.")
    return " ".join([*parts, *_said_of_few_calls(found)])


def _said_of_few_calls(found: Results) -> Iterator[str]:
    """The best that many steps give, and what the map and the velocity give in few, all frames together."""
    few = {key: fmean(one["psnr"][0] for one in scores) for key, scores in _few_calls(found).items()}
    maps, steps = (
        {calls: value for (name, schedule, calls), value in few.items() if (name, schedule) == (which, "synchronous")}
        for which in (FLOW_MAP, KNOWN_FRAMES)
    )
    if maps and steps:
        listed = ", ".join(f"{calls}: {maps[calls]:.1f} ({steps[calls]:.1f})" for calls in maps)
        yield (
            f"PSNR of image to video in dB by calls of the flow map (by as many of Euler's steps): {listed}; "
            f"{max(steps)} of Euler's steps: {steps[max(steps)]:.1f}."
        )


def _changes(found: Results) -> Iterator[tuple[str, dict[str, Interval]]]:
    """Every change whose two trainings are there: score -> difference, on the same scenes after the same seeds."""
    rows = {(row["key"]["training"], row["key"]["seed"]): row for row in found["rows"]}
    seeds = dict.fromkeys(seed for _, seed in rows)
    for name, (without, changed) in CHANGES.items():
        pairs = [(rows[without, s], rows[changed, s]) for s in seeds if (without, s) in rows and (changed, s) in rows]
        if pairs:
            yield name, {score: _difference(pairs, score) for score in (*SHORT, *LONG)}


def _difference(pairs: list[tuple[Results, Results]], score: str) -> Interval:
    """The mean difference of the second rows from the first, with its interval over scenes."""
    each = [torch.tensor([_by_scene(row, score) for row in pair], dtype=torch.float).diff(dim=0)[0] for pair in pairs]
    scenes = [scene for one in each for scene in range(len(one))]
    return bootstrap(torch.cat(each), scenes)


def _by_scene(row: Results, score: str) -> list[Any]:
    values = row[score]["by_prompt"]["psnr"] if score in SHORT else row["long"]["scores"][score]["by scene"]["last"]
    return [torch.nan if value is None else value for value in values]


def _few_calls(found: Results) -> dict[tuple[str, str, int], list[dict[str, Any]]]:
    """(training, schedule, calls) -> scores, one for each seed of training."""
    each: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for row in found["rows"]:
        for one in row.get("few calls", ()):
            each.setdefault((row["key"]["training"], one["schedule"], one["calls"]), []).append(one["scores"])
    return each


def _head(*heads: str) -> list[str]:
    return [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]


def _listed(names: list[str]) -> str:
    return f"{len(names)} ({'; '.join(names)})" if names else "none"


def _spread(values: list[float | None]) -> str:
    there = [value for value in values if value is not None]
    if not there:
        return "-"
    return f"{fmean(there):.4g}" + (f" ({min(there):.4g} to {max(there):.4g})" if len(there) > 1 else "")

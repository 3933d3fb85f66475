"""What the drift laboratory found, as a table in Markdown and in words."""

from collections.abc import Mapping
from typing import Any

import torch

from pusa_lab.arguments import checked
from pusa_lab.metrics import bootstrap
from small_models.experiments.drift import SCORES

Results = Mapping[str, Any]
"""What `pusa-lab bench long` measured, or a row of it."""
HEADS = {"psnr": "PSNR, dB", "position_error": "position, pixels", "colour_error": "colour, of 255", "motion": "motion"}
"""Score -> head of its column."""


@checked
def drift_conditions(found: Results) -> str:
    """What was measured, on what, when, and by which command.

    Args:
        found: what was measured.
    """
    sizes = found["sizes"]
    videos = f"{sizes['seeds']} video{'s' * (sizes['seeds'] > 1)} each"
    return (
        f"`{sizes['preset']}-vta`, {sizes['lengths']} lengths, {sizes['scenes']} scenes with {videos}, "
        f"guidance {sizes['guidance']:g}, seed {sizes['seed']}, {found['device']}, {found['date']} "
        f"(`{found['command']}`)"
    )


@checked
def drift_table(found: Results) -> str:
    """Every way: each score in the last length, and its change a length with half of the 95 % interval.

    Args:
        found: what was measured.
    """
    heads = ["way", "calls", *(HEADS[name] for name in SCORES), "colour at seams"]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for row in found["rows"]:
        cells = [_name(row), f"{row['calls a latent frame']:.1f}" if "source" in row else "-"]
        cells += [f"{row['scores'][n]['last'][0]:.3g}, {_change(row['scores'][n]['slope'])}" for n in SCORES]
        lines.append(f"| {' | '.join(cells)} | {_change(row['seam']['colour']) if 'seam' in row else '-'} |")
    return "\n".join(lines)


@checked
def drift_finding(found: Results) -> str:
    """What the table says of colour, of which people complain most.

    Args:
        found: what was measured.
    """
    codec, *plain = (row for row in found["rows"] if row["key"]["change"] == "none")
    ways = sorted((row for row in plain if "source" in row), key=lambda row: _colour(row)["last"][0])
    least, *others = ways
    lengths = found["sizes"]["lengths"]
    lower = sum(_difference(row, least)[1] > 0 for row in others)
    drift = sum(_colour(row)["slope"][1] > 0 for row in ways)
    early = sum(_colour(row)["by length"][lengths // 2 - 1] > 0.75 * _colour(row)["last"][0] for row in ways)
    return (
        f"In the last of {lengths} lengths the mean colour is off by {_colour(least)['last'][0]:.1f} to "
        f"{_colour(ways[-1])['last'][0]:.1f} grey levels, where the codec alone is off by "
        f"{_colour(codec)['last'][0]:.1f}; beyond chance, {drift} of the {len(ways)} ways drift. Least off is "
        f"{_last(least)}, beyond chance lower than {lower} of the others; most is {_last(ways[-1])}. In {early} ways "
        f"more than three quarters of that is there after half of the lengths: a slope says how soon a way reaches its "
        f"end, not how far it goes."
    )


@checked
def drift_changes(found: Results) -> str:
    """What each change does to the error of colour in the last length, compared scene by scene.

    Args:
        found: what was measured.
    """
    lines = []
    for one in (one for one in found["changes"] if one["score"] == "colour_error"):
        _, low, high = one["last"]
        word = "helps" if high < 0 else "harms" if low > 0 else "no difference beyond chance"
        lines.append(f"- {one['way']}, {one['change']}: {_change(one['last'])} grey levels, {word}")
    return "\n".join(lines)


def _name(row: Results) -> str:
    key = row["key"]
    if key["change"] != "none":
        return f"{key['way']}, {key['change']}"
    return f"{key['way']} ({row['source']})" if "source" in row else str(key["way"])


def _colour(row: Results) -> Results:
    return row["scores"]["colour_error"]


def _difference(row: Results, other: Results) -> tuple[float, float, float]:
    """By how much the colour error of the last length is above another's, on the same scenes."""
    ours, theirs = (torch.tensor(_colour(one)["by scene"]["last"]) for one in (row, other))
    return bootstrap(ours - theirs)


def _last(row: Results) -> str:
    mean, low, high = _colour(row)["last"]
    return f"{row['key']['way']} ({mean:.1f} ± {(high - low) / 2:.1f})"


def _change(interval: list[float | None]) -> str:
    mean, low, high = interval
    if mean is None or low is None or high is None:
        return "-"
    return f"{mean:+.2g} ± {(high - low) / 2:.2g}"

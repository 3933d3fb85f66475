"""Does the direction agree with the paper? One sentence a table, computed from its rows.

Rows of a table share prompts and seeds, so they are compared prompt by prompt: "clearly" means that the 95 % interval
of the paired difference leaves out 0.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch

from pusa_lab.arguments import shown
from pusa_lab.metrics import Interval, bootstrap
from small_models.entries import needs_entries

Row = dict[str, Any]
Found = dict[str, Any]
Verdict = tuple[bool | None, str]
"""Whether the direction agrees (None: the paper has no number), and the sentence."""
OURS, THEIRS = "VTA, all weights", "Wan's way, all weights"
"""The two ways that the table `cost` compares at every budget."""
PAPERS_ORDER = ("independent", "PTSS 0.8", "PTSS 0.5", "PTSS 0.2", "first frame clean, the rest alike")
"""Draws of Table 2, best first (but for PTSS 0.8 and 0.5, which are close)."""
HUNDREDS = ("total", "quality", "i2v", "text_alignment", "shape", "direction", "speed")
"""Scores in [0, 1], printed as VBench prints its own: times 100."""


@needs_entries
def find(found: Found, **key: Any) -> Row:
    """The row of this key.

    Args:
        found: a table.
        **key: what the row's key has.

    Raises:
        ValueError: there is none.
    """
    for row in found["rows"]:
        if all(row["key"].get(k) == v for k, v in key.items()):
            return row
    raise ValueError(f"{found['table']} has no row {key}: run `pusa-lab bench paper --table {found['table']}` anew.")


@needs_entries
def lead(row: Row, other: Row, score: str = "psnr") -> Interval:
    """By how much one row's score is above another's, prompt by prompt where both rows kept that.

    Otherwise the two intervals are taken as independent, sqrt(half^2 + half^2), which is wider where good prompts are
    good for both.

    Args:
        row: one.
        other: of the same prompts.
        score: one of both rows.
    """
    if not all(score in r.get("by_prompt", {}) for r in (row, other)):
        (mean, *_), (base, *_) = ends = [r["scores"][score] for r in (row, other)]
        half = math.hypot(*((high - low) / 2 for _, low, high in ends))
        return Interval(mean - base, mean - base - half, mean - base + half)
    a, b = (torch.tensor([x if x is not None else torch.nan for x in r["by_prompt"][score]]) for r in (row, other))
    return bootstrap(a - b)


@needs_entries
def clearly(difference: Interval) -> int:
    """1 if a difference is above 0, -1 if it is below, 0 if its interval holds 0.

    Args:
        difference: with its interval.
    """
    return int(difference.low > 0) - int(difference.high < 0)


@needs_entries
def cost(found: Found) -> Verdict:
    """Table 5a has VTA ahead of Wan's way after the same fine-tuning, at every budget."""
    shares = sorted({row["key"]["share"] for row in found["rows"] if row["key"]["way"] == OURS})
    told, ahead = [], 0
    for score in ("psnr", "total"):
        signs = [clearly(lead(find(found, way=OURS, share=s), find(found, way=THEIRS, share=s), score)) for s in shares]
        ahead += sum(sign > 0 for sign in signs)
        behind = [share(s) for s, sign in zip(shares, signs, strict=True) if sign < 0]
        told.append(
            f"{NAMES[score]} clearly ahead at {sum(x > 0 for x in signs)}, behind at {len(behind)} ({_list(behind)})"
        )
    return ahead == 2 * len(shares), (
        f"The paper has VTA ahead of Wan's way after the same fine-tuning; here, of {len(shares)} budgets: "
        f"{'; '.join(told)}."
    )


@needs_entries
def preserved(found: Found) -> Verdict:
    """Adapted models obey captions as the base does, and Wan's way does not."""
    base = find(found, model="base")
    rows = [row for row in found["rows"] if row is not base]
    signs = {_named(row): clearly(lead(row, base, "text_alignment")) for row in rows}
    ours = {name: sign for name, sign in signs.items() if name.startswith("VTA")}
    theirs = {name: sign for name, sign in signs.items() if name.startswith("Wan")}
    told = ", ".join(f"{_named(row)} {_cell('text_alignment', row)}" for row in rows)
    worse = [name for name, sign in ours.items() if sign < 0]
    return not worse and all(sign < 0 for sign in theirs.values()), (
        f"Text alignment of the base {_cell('text_alignment', base)}; {told}. Clearly below the base among VTA: "
        f"{_list(worse)}; above: {_list([name for name, sign in ours.items() if sign > 0])}."
    )


@needs_entries
def draws(found: Found) -> Verdict:
    """Independent clocks are best, then PTSS by its share of them, and a clean first frame worst (uniform, 1.4)."""
    rows = [row for row in found["rows"] if row["key"].get("strength") == 1.4 and row["key"]["shift"] == 1.0]
    order = sorted(rows, key=lambda row: -row["scores"]["total"][0])
    names = [row["key"]["draw"] for row in order]
    missing = [name for name in PAPERS_ORDER if name not in names]
    best = max((r for r in found["rows"] if "strength" in r["key"]), key=lambda r: r["scores"]["psnr"][0])
    first = find(found, draw=PAPERS_ORDER[0], shift=1.0, strength=1.4)
    behind = [r["key"]["draw"] for r in rows if r is not first and clearly(lead(first, r, "total")) > 0]
    told = ", ".join(f"{row['key']['draw']} {_cell('total', row)}" for row in order)
    agrees = names[0] == PAPERS_ORDER[0] and [n for n in names if n in PAPERS_ORDER][-1] == PAPERS_ORDER[-1]
    return None if missing else agrees, (
        f"In the paper independent clocks are best and a clean first frame worst; here, uniform at strength 1.4, "
        f"Total: {told}. Clearly behind independent clocks: {_list(behind)}; not measured: {_list(missing)}. The "
        f"highest PSNR of all: {_named(best)}, {_cell('psnr', best)} dB."
    )


@needs_entries
def best_strengths(found: Found, rank: int | str, score: str) -> list[float]:
    """The strength with the highest mean score after every length of training.

    Args:
        found: the table `lora`.
        rank: of its rows.
        score: total or psnr.
    """
    shares = sorted({row["key"]["share"] for row in found["rows"]})
    at = [[r for r in found["rows"] if r["key"]["rank"] == rank and r["key"]["share"] == s] for s in shares]
    if not all(at):
        raise ValueError(
            f"the table has no rows of rank {shown(rank)} for every length of training: give one of its ranks."
        )
    return [max(rows, key=lambda row: row["scores"][score][0])["key"]["strength"] for rows in at]


@needs_entries
def lora(found: Found) -> Verdict:
    """By Total, the best strength is above 1 and falls as training grows."""
    shares = sorted({row["key"]["share"] for row in found["rows"]})
    told, agrees = [], True
    for rank in dict.fromkeys(row["key"]["rank"] for row in found["rows"]):
        total, psnr = (best_strengths(found, rank, score) for score in ("total", "psnr"))
        agrees &= total == sorted(total, reverse=True) and total[0] > max(1.0, total[-1])
        name = rank if rank == "all weights" else f"rank {rank}"
        told.append(f"{name} {_slashed(total)} (by PSNR {_slashed(psnr)})")
    return agrees, (
        f"In the paper the best strength is above 1 and falls with training (2.0 to 1.4); here, by Total, at "
        f"{' / '.join(map(share, shares))} of the base's training: {'; '.join(told)}."
    )


@needs_entries
def steps(found: Found) -> Verdict:
    """Total rises up to 10 Euler steps and stays from there."""
    rows = {row["key"]["steps"]: row for row in found["rows"] if row["key"]["solver"] == "euler"}
    few, more = [rows[s] for s in sorted(rows) if s <= 10], [rows[s] for s in sorted(rows) if s > 10]
    rises = all(lead(b, a, "total").mean > 0 for a, b in pairwise(few))
    flat = all(abs(lead(row, few[-1], "total").mean) < 0.01 for row in more)
    told = ", ".join(f"{row['key']['steps']} steps {_cell('total', row)}" for row in few + more)
    return rises and flat, f"In the paper Total rises up to 10 steps and then stays; here with Euler: {told}."


@needs_entries
def noise(found: Found) -> Verdict:
    """The level with the highest PSNR for each task, and those that are not clearly below it."""
    told = []
    for task in dict.fromkeys(row["key"]["task"] for row in found["rows"]):
        rows = [row for row in found["rows"] if row["key"]["task"] == task and row["key"]["mode"] == "denoise"]
        best = max(rows, key=lambda row: row["scores"]["psnr"][0])
        alike = [_level(r) for r in rows if r is not best and clearly(lead(best, r)) <= 0]
        told.append(f"{task} {_level(best)} ({_cell('psnr', best)} dB; not clearly below: {_list(alike)})")
    return None, f"Nothing was published; the highest PSNR of the free frames is at noise {'; '.join(told)}."


@needs_entries
def tasks(found: Found) -> Verdict:
    """VTA is ahead of Wan's way in image-to-video; elsewhere the question is what a specialist would gain."""
    how = "same budget" if any(row["key"]["model"] == "VTA, same budget" for row in found["rows"]) else "shipped"
    ours, theirs = (find(found, task="image_to_video", model=f"{way}, {how}") for way in ("VTA", "Wan's way"))
    gains = {
        row["key"]["task"]: lead(row, find(found, task=row["key"]["task"], model="VTA, same budget"))
        for row in found["rows"]
        if row["key"]["model"] == "specialist, same budget"
    }
    told = ", ".join(
        f"{task} {gain.mean:+.1f} dB ({gain.low:+.1f} to {gain.high:+.1f})" for task, gain in gains.items()
    )
    return lead(ours, theirs, "total").mean > 0, (
        f"Image-to-video ({how}): VTA {_cell('total', ours)} and {_cell('psnr', ours)} dB, Wan's way "
        f"{_cell('total', theirs)} and {_cell('psnr', theirs)} dB (the paper: 87.32 and 86.86). What a model trained "
        f"for one task alone gains over VTA with the same budget: {told or 'not measured'}."
    )


@needs_entries
def schedules(found: Found) -> Verdict:
    """Which schedule drifts least."""
    order = sorted(found["rows"], key=lambda row: -row["scores"]["psnr"][0])
    told = ", ".join(f"{row['key']['schedule']} {_cell('psnr', row)} dB" for row in order)
    return None, f"Nothing was published; fidelity of long extensions here, best first: {told}."


@needs_entries
def inside(found: Found) -> Verdict:
    """Wan's way changes the weights more, and VTA's frames look at frame 0 more than the base's."""
    change = {row["key"]["change"]: row["kinds"] for row in found["rows"] if "change" in row["key"]}
    ours, theirs = (OURS, THEIRS) if OURS in change else ("VTA, shipped", "Wan's way, shipped")
    ratio = farther(change[theirs], change[ours])
    told = ", ".join(f"{name}: {_largest(kinds)}" for name, kinds in change.items())
    ends = looks(found)
    seen = ", ".join(f"{name} {first:.0f} to {last:.0f} %" for name, (first, last) in ends.items())
    return ratio > 1 and ends["VTA, frame 0 clean"][1] > ends["Wan's way, its picture"][1], (
        f"Over all the base's weights {theirs} moves {ratio:.2f} times as far as {ours} (the paper: more than 10 "
        f"times). The largest part of the change: {told}. Attention on frame 0 from the first to the last step, mean "
        f"of all blocks: {seen}."
    )


@needs_entries
def farther(kinds: dict[str, Any], other: dict[str, Any]) -> float:
    """How many times as far one model's weights moved as another's from the same base, new weights aside.

    |dW| / |dW'| over all kinds; of one kind k |dW_k|^2 = share_k |dW|^2 = (relative_k |W_k|)^2, and |W_k| is the same

    Args:
        kinds: from `parameter_change`.
        other: likewise.
    """
    one, two = (k["self_attention"] for k in (kinds, other))
    return math.sqrt(one["relative"] ** 2 / one["share"] / (two["relative"] ** 2 / two["share"]))


@needs_entries
def looks(found: Found) -> dict[str, tuple[float, float]]:
    """Percent of attention on frame 0 at the first and the last step, mean of all blocks and of the other frames.

    Args:
        found: the table `inside`.
    """
    rows = {row["key"]["attention"]: row["on_frame_0"] for row in found["rows"] if "attention" in row["key"]}
    return {name: (100 * sum(s[0]) / len(s[0]), 100 * sum(s[-1]) / len(s[-1])) for name, s in rows.items()}


@needs_entries
def suite(found: Found) -> Verdict:
    """What known clips score, and the reader's own accuracy."""
    told = ", ".join(f"{row['key']['clips']} {_cell('total', row)}" for row in found["rows"])
    truth = find(found, clips="truth")
    return None, f"Total: {told}. The reader finds {_cell('text_alignment', truth)} % of what true clips show."


NAMES = {"psnr": "PSNR", "total": "Total"}
VERDICTS: dict[str, Callable[[Found], Verdict]] = {
    rule.__name__: rule for rule in (suite, cost, preserved, draws, lora, steps, noise, tasks, schedules, inside)
}
"""Table -> whether and how its direction agrees."""


@needs_entries
def largest(kinds: dict[str, Any]) -> tuple[str, float]:
    """The kind of weights with the largest part of the change, and that part in percent.

    Args:
        kinds: from `parameter_change`.
    """
    parts = {kind: found["share"] for kind, found in kinds.items() if kind != "new"}
    if not parts:
        raise ValueError("the table names no kind of weights: give one from metrics.parameter_change.")
    kind = max(parts, key=lambda kind: parts[kind])
    return kind.replace("_", "-"), 100 * parts[kind]


def _largest(kinds: dict[str, Any]) -> str:
    kind, part = largest(kinds)
    return f"{kind} {part:.0f} %"


def _slashed(values: Sequence[float]) -> str:
    return " / ".join(f"{value:g}" for value in values)


def _cell(name: str, row: Row) -> str:
    return f"{(100 if name in HUNDREDS else 1) * row['scores'][name][0]:.1f}"


def _named(row: Row) -> str:
    key = {k: v for k, v in row["key"].items() if v is not None}
    return " ".join(
        share(v) if k == "share" else f"{k} {v:g}" if isinstance(v, float) else str(v) for k, v in key.items()
    )


def _level(row: Row) -> str:
    level = row["key"]["noise"]
    return " / ".join(map(str, level)) if isinstance(level, list) else str(level)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


@needs_entries
def share(value: float) -> str:
    """A share of the base's training as a fraction.

    Args:
        value: above 0.
    """
    return f"1/{round(1 / value):,}" if value < 1 else f"{value:g}"

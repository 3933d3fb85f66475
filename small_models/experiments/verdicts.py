"""Does the direction agree with the paper? One sentence a table, computed from its rows.

Rows of a table share prompts and seeds, so they are compared prompt by prompt: "clearly" means that the 95 % interval
of the paired difference leaves out 0.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.metrics import Interval
from small_models.experiments.generalisation_table import answer
from small_models.experiments.learned_results import learned_verdict
from small_models.experiments.pairs import clearly, lead, signed
from small_models.experiments.prediction import forgetting_verdict
from small_models.experiments.recipe_results import recipes_verdict
from small_models.experiments.records import (
    HUNDREDS,
    Found,
    MissingError,
    Record,
    ResultRow,
    changes_of,
    interval,
    ranked,
    table_of,
)
from small_models.experiments.rows import find_row, pick, share, values

Kinds = Mapping[str, Mapping[str, Any]]
"""What `parameter_change` returns."""
ClaimVerdict = tuple[bool | None, str]
"""Whether the direction agrees (None: the paper has no number), and the sentence."""
OURS, THEIRS = "VTA, all weights", "Wan's way, all weights"
"""The two ways that the table `cost` compares at every budget."""
PAPERS_ORDER = ("independent", "PTSS 0.8", "PTSS 0.5", "PTSS 0.2", "first frame clean, the rest alike")
"""Draws of Table 2, best first (but for PTSS 0.8 and 0.5, which are close)."""


@checked
def verdict(found: Found) -> ClaimVerdict:
    """Whether a table agrees with the paper in its direction, and one sentence on it.

    Args:
        found: a table.

    Raises:
        ValueError: the table is not known, or rows are missing that the answer is read from.
    """
    table = table_of(found)
    if table["table"] not in VERDICTS:
        raise ValueError(f"no rule for the table {table['table']!r:.60}: there is one for {', '.join(VERDICTS)}.")
    return VERDICTS[table["table"]](table)


def _cost(found: Record) -> ClaimVerdict:
    """Table 5a has VTA ahead of Wan's way after the same fine-tuning, at every budget."""
    both = [set(_shares(pick(found["rows"], way=way))) for way in (OURS, THEIRS)]
    shares, listed, ahead = sorted(both[0] & both[1] or set.union(*both)), [], 0
    for score in ("psnr", "total"):
        signs = [
            clearly(lead(find_row(found, way=OURS, share=s), find_row(found, way=THEIRS, share=s), score))
            for s in shares
        ]
        ahead += sum(sign > 0 for sign in signs)
        behind = [share(s) for s, sign in zip(shares, signs, strict=True) if sign < 0]
        after = f" (after {_list(behind)})" if behind else ""
        listed.append(f"{NAMES[score]} clearly ahead at {sum(x > 0 for x in signs)}, behind at {len(behind)}{after}")
    return ahead == 2 * len(shares), (
        f"The paper has VTA ahead of Wan's way after the same fine-tuning; here, of {len(shares)} budgets: "
        f"{'; '.join(listed)}."
    )


def _preserved(found: Record) -> ClaimVerdict:
    """Adapted models obey captions as the base does, and Wan's way does not."""
    base = find_row(found, model="base")
    rows = [row for row in found["rows"] if row is not base]
    signs = {_named(row): clearly(lead(row, base, "text_alignment")) for row in rows}
    ours = {name: sign for name, sign in signs.items() if name.startswith("VTA")}
    theirs = {name: sign for name, sign in signs.items() if name.startswith("Wan")}
    listed = ", ".join(f"{_named(row)} {_cell('text_alignment', row)}" for row in rows)
    worse = [name for name, sign in ours.items() if sign < 0]
    return not worse and all(sign < 0 for sign in theirs.values()), (
        f"Text alignment of the base {_cell('text_alignment', base)}; {listed}. Clearly below the base among VTA: "
        f"{_list(worse)}; above: {_list([name for name, sign in ours.items() if sign > 0])}."
    )


def _timestep_samplers(found: Record) -> ClaimVerdict:
    """Independent timesteps are best, then PTSS by its share of them, and a clean first frame worst (uniform, 1.4)."""
    rows = [row for row in found["rows"] if row["key"].get("strength") == 1.4 and row["key"]["shift"] == 1.0]
    order = ranked(rows, "psnr")
    names = [row["key"]["timestep_sampler"] for row in order]
    missing = [name for name in PAPERS_ORDER if name not in names]
    best = ranked([row for row in found["rows"] if "strength" in row["key"]], "psnr")[0]
    first = find_row(found, timestep_sampler=PAPERS_ORDER[0], shift=1.0, strength=1.4)
    behind = [r["key"]["timestep_sampler"] for r in rows if r is not first and clearly(lead(first, r, "psnr")) > 0]
    listed = ", ".join(f"{row['key']['timestep_sampler']} {_cell('psnr', row)}" for row in order)
    agrees = names[0] == PAPERS_ORDER[0] and [n for n in names if n in PAPERS_ORDER][-1] == PAPERS_ORDER[-1]
    return None if missing else agrees, (
        f"In the paper independent timesteps are best and a clean first frame worst; here, uniform at strength 1.4, "
        f"PSNR in dB: {listed}. Clearly behind independent timesteps: {_list(behind)}; not measured: {_list(missing)}. "
        f"The highest PSNR of all: {_named(best)}, {_cell('psnr', best)} dB."
    )


def _lora(found: Record) -> ClaimVerdict:
    """A LoRA needs a strength above 1 at first, and no longer clearly so in the end."""
    gains, above = strength_gains(found), strength_above_1(found)
    loras = [each for rank, each in gains.items() if rank != "all weights"]
    agrees = bool(loras) and all(clearly(each[0]) > 0 and clearly(each[-1]) <= 0 for each in loras)
    named = ((rank if rank == "all weights" else f"rank {rank}", each) for rank, each in gains.items())
    listed = (f"{name} {', '.join(signed(gain) for gain in each)}" for name, each in named)
    return agrees, (
        f"In the paper the best strength is above 1 and falls with training (2.0 to 1.4); here, PSNR at strength "
        f"{above:g} over strength 1, in dB, prompt by prompt, at "
        f"{' / '.join(map(share, _shares(found['rows'])))} of the base's training: {'; '.join(listed)}."
    )


@checked
def strength_gains(found: Found) -> dict[int | str, list[Interval]]:
    """By how much PSNR at the least strength above 1 is above that at strength 1, for each rank, along training.

    Args:
        found: the table `lora`.

    Raises:
        ValueError: a row is missing.
    """
    found, above = table_of(found), strength_above_1(found)
    gains: dict[int | str, list[Interval]] = {}
    for rank in values(found["rows"], "rank"):
        for each in _shares(pick(found["rows"], rank=rank)):
            strong, plain = (find_row(found, rank=rank, share=each, strength=s) for s in (above, 1.0))
            gains.setdefault(rank, []).append(lead(strong, plain))
    return gains


@checked
def strength_above_1(found: Found) -> float:
    """The least strength above 1 that was measured.

    Args:
        found: the table `lora`.

    Raises:
        ValueError: there is none.
    """
    above = [strength for strength in values(table_of(found)["rows"], "strength") if strength > 1]
    if not above:
        raise MissingError("lora has no row of a strength above 1: run `pusa-lab bench paper --table lora` anew.")
    return min(above)


def _steps(found: Record) -> ClaimVerdict:
    """The skill rises up to 10 Euler steps and stays from there."""
    rows = {row["key"]["steps"]: row for row in found["rows"] if row["key"]["solver"] == "euler"}
    few, more = [rows[s] for s in sorted(rows) if s <= 10], [rows[s] for s in sorted(rows) if s > 10]
    if not few:
        raise MissingError(
            "steps has no Euler row of 10 steps or fewer: run `pusa-lab bench paper --table steps` anew."
        )
    rises = all(lead(b, a, "skill").mean > 0 for a, b in pairwise(few))
    flat = all(abs(lead(row, few[-1], "skill").mean) < 0.01 for row in more)
    listed = ", ".join(f"{row['key']['steps']} steps {_cell('skill', row)}" for row in few + more)
    return rises and flat, (
        f"In the paper Total rises up to 10 steps and then stays; here the skill, with Euler: {listed}."
    )


def _noise(found: Record) -> ClaimVerdict:
    """The level with the highest PSNR for each task, and those that are not clearly below it."""
    listed = []
    for task in values(found["rows"], "task"):
        rows = pick(found["rows"], task=task, mode="denoise")
        best = ranked(rows, "psnr")[0]
        alike = [_level(r) for r in rows if r is not best and clearly(lead(best, r)) <= 0]
        listed.append(f"{task} {_level(best)} ({_cell('psnr', best)} dB; not clearly below: {_list(alike)})")
    return None, f"Nothing was published; the highest PSNR of the free frames is at noise {'; '.join(listed)}."


def _tasks(found: Record) -> ClaimVerdict:
    """VTA is ahead of Wan's way in image-to-video; elsewhere the question is what a specialist would gain."""
    how = "same budget" if any(row["key"]["model"] == "VTA, same budget" for row in found["rows"]) else "shipped"
    ours, theirs = (find_row(found, task="image_to_video", model=f"{way}, {how}") for way in ("VTA", "Wan's way"))
    gains = {
        row["key"]["task"]: lead(row, find_row(found, task=row["key"]["task"], model="VTA, same budget"))
        for row in found["rows"]
        if row["key"]["model"] == "specialist, same budget"
    }
    listed = ", ".join(
        f"{task} {gain.mean:+.1f} dB ({gain.low:+.1f} to {gain.high:+.1f})" for task, gain in gains.items()
    )
    return lead(ours, theirs).mean > 0, (
        f"Image-to-video ({how}): VTA {_cell('psnr', ours)} dB, Wan's way {_cell('psnr', theirs)} dB (the paper, by "
        f"Total: 87.32 and 86.86). What a model trained "
        f"for one task alone gains over VTA with the same budget: {listed or 'not measured'}."
    )


def _schedules(found: Record) -> ClaimVerdict:
    """Which schedule drifts least."""
    order = ranked(found["rows"], "psnr")
    listed = ", ".join(f"{row['key']['schedule']} {_cell('psnr', row)} dB" for row in order)
    return None, f"Nothing was published; fidelity of long extensions here, best first: {listed}."


def _inside(found: Record) -> ClaimVerdict:
    """Wan's way changes the weights more, and VTA's frames look at frame 0 more than the base's."""
    change = {name: find_row(found, change=name)["kinds"] for name in values(found["rows"], "change")}
    ours, theirs = (OURS, THEIRS) if OURS in change else ("VTA, shipped", "Wan's way, shipped")
    ratio = farther(*(find_row(found, change=way)["kinds"] for way in (theirs, ours)))
    listed = ", ".join(f"{name}: {_largest(kinds)}" for name, kinds in change.items())
    ends = Record(looks(found), "the attention on frame 0")
    seen = ", ".join(f"{name} {first:.0f} to {last:.0f} %" for name, (first, last) in ends.items())
    return ratio > 1 and ends["VTA, frame 0 clean"][1] > ends["Wan's way, its picture"][1], (
        f"Over all the base's weights {theirs} moves {ratio:.2f} times as far as {ours} (the paper: more than 10 "
        f"times). The largest part of the change: {listed}. Attention on frame 0 from the first to the last step, mean "
        f"of all blocks: {seen}."
    )


@checked
def farther(kinds: Kinds, other: Kinds) -> float:
    """How many times as far one model's weights moved as another's from the same base, new weights aside.

    |dW| / |dW'| over all kinds; of one kind k |dW_k|^2 = share_k |dW|^2 = (relative_k |W_k|)^2, and |W_k| is the same

    Args:
        kinds: from `parameter_change`.
        other: likewise.

    Raises:
        ValueError: the self-attention is missing from one of them, or did not change.
    """
    both = [changes_of(each)["self_attention"] for each in (kinds, other)]
    relative, shares = ([each[name] for each in both] for name in ("relative", "share"))
    if not all(relative) or not all(shares):
        raise ValueError(
            f"the self-attention changed by {relative[0]} and {relative[1]}: give models that both changed."
        )
    return math.sqrt(relative[0] ** 2 / shares[0] / (relative[1] ** 2 / shares[1]))


@checked
def looks(found: Found) -> dict[str, tuple[float, float]]:
    """Percent of attention on frame 0 at the first and the last step, mean of all blocks and of the other frames.

    Args:
        found: the table `inside`.
    """
    rows = [row for row in table_of(found)["rows"] if "attention" in row["key"]]
    ends = {row["key"]["attention"]: (row["on_frame_0"][0], row["on_frame_0"][-1]) for row in rows}
    return {name: (100 * sum(a) / len(a), 100 * sum(b) / len(b)) for name, (a, b) in ends.items()}


def _suite(found: Record) -> ClaimVerdict:
    """What known clips score, and the reader's own accuracy."""
    listed = ", ".join(f"{row['key']['clips']} {_cell('total', row)}" for row in found["rows"])
    truth = find_row(found, clips="truth")
    return None, f"Total: {listed}. The reader finds {_cell('text_alignment', truth)} % of what true clips show."


def _generalisation(found: Record) -> ClaimVerdict:
    """Nothing was published for timesteps per frame."""
    return None, f"Nothing was published; {answer(found)}."


NAMES = {"psnr": "PSNR", "total": "Total"}
VERDICTS: dict[str, Callable[[Record], ClaimVerdict]] = {
    "suite": _suite,
    "cost": _cost,
    "preserved": _preserved,
    "forgetting": forgetting_verdict,
    "timestep_samplers": _timestep_samplers,
    "lora": _lora,
    "steps": _steps,
    "noise": _noise,
    "tasks": _tasks,
    "schedules": _schedules,
    "learned": learned_verdict,
    "recipes": recipes_verdict,
    "inside": _inside,
    "generalisation": _generalisation,
}
"""Table -> whether and how its direction agrees."""


@checked
def largest(kinds: Kinds) -> tuple[str, float]:
    """The kind of weights with the largest part of the change, and that part in percent.

    Args:
        kinds: from `parameter_change`.

    Raises:
        ValueError: no kind of weights is named, or one has no share.
    """
    parts = {kind: change["share"] for kind, change in changes_of(kinds).items()}
    if not parts:
        raise ValueError("the table names no kind of weights: give one from metrics.parameter_change.")
    kind = max(parts, key=lambda kind: parts[kind])
    return kind.replace("_", "-"), 100 * parts[kind]


def _largest(kinds: Kinds) -> str:
    kind, part = largest(kinds)
    return f"{kind} {part:.0f} %"


def _shares(rows: Sequence[Record]) -> list[float]:
    """The lengths of training in these rows, ascending."""
    return sorted(share for share in values(rows, "share") if share is not None)


def _slashed(values: Sequence[float]) -> str:
    return " / ".join(f"{value:g}" for value in values)


def _cell(name: str, row: ResultRow) -> str:
    return f"{(100 if name in HUNDREDS else 1) * interval(row, name).mean:.1f}"


def _named(row: ResultRow) -> str:
    key = {k: v for k, v in row["key"].items() if v is not None}
    return " ".join(
        share(v) if k == "share" else f"{k} {v:g}" if isinstance(v, float) else str(v) for k, v in key.items()
    )


def _level(row: ResultRow) -> str:
    level = row["key"]["noise"]
    return " / ".join(map(str, level)) if isinstance(level, list) else str(level)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"

"""The paper's claims in one table: claim, the paper's number, ours. Every number is read from the results."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from small_models.entries import needs_entries
from small_models.experiments import RESULTS, read
from small_models.experiments.verdicts import (
    OURS,
    PAPERS_ORDER,
    THEIRS,
    best_strengths,
    clearly,
    farther,
    find,
    largest,
    lead,
    looks,
    share,
)

Found = dict[str, Any]


@needs_entries
def mean(row: Found, score: str, digits: int = 1) -> str:
    """A score's mean, VBench's and shares times 100.

    Args:
        row: of a table.
        score: its name.
        digits: after the point, 0 to 15.

    Raises:
        ValueError: the digits are out of range.
    """
    if not 0 <= digits <= 15:
        raise ValueError(f"digits={digits}: give 0 to 15 of them after the point.")
    hundred = score not in ("psnr", "known_psnr", "position_error", "physics_error", "motion")
    return f"{(100 if hundred else 1) * row['scores'][score][0]:.{digits}f}"


@needs_entries
def cost(found: Found) -> str:
    """The 1/200 claim, read both ways: against the other's whole training, and at the same budget."""
    one, whole = found["sizes"]["budgets"][1], found["sizes"]["budgets"][-1]
    ours, theirs, end = (find(found, way=w, share=s) for w, s in ((OURS, one), (THEIRS, one), (THEIRS, whole)))
    start = find(found, way="clocks per frame, no training")
    ratio = next(r for r in found["ratios"] if r["share"] == one)["ratio"]
    return (
        f"VTA after {share(one)} of the base's training {mean(ours, 'psnr')} dB, Total {mean(ours, 'total')} (no "
        f"training {mean(start, 'psnr')} dB, {mean(start, 'total')}); Wan's way after as much {mean(theirs, 'psnr')} "
        f"dB, {mean(theirs, 'total')}, after all of it {mean(end, 'psnr')} dB, {mean(end, 'total')}. For the PSNR of "
        f"VTA at {share(one)} it needs {ratio[0]:.2f} ({ratio[1]:.2f} to {ratio[2]:.2f}) of that budget"
    )


@needs_entries
def equal(found: Found) -> str:
    """Table 5a: after the same fine-tuning, VTA is ahead of Wan's way."""
    told, counts = [], {}
    pairs = [[find(found, way=way, share=value) for way in (OURS, THEIRS)] for value in found["sizes"]["budgets"]]
    for value, rows in zip(found["sizes"]["budgets"], pairs, strict=True):
        told.append(f"{share(value)}: {' / '.join(mean(row, 'total') for row in rows)}")
    for score in ("total", "psnr"):
        signs = [clearly(lead(rows[0], rows[1], score)) for rows in pairs]
        counts[score] = f"clearly ahead at {signs.count(1)}, behind at {signs.count(-1)} of {len(signs)}"
    return f"Total of VTA / Wan's way after {', '.join(told)}: {counts['total']} budgets; by PSNR {counts['psnr']}"


@needs_entries
def preserved(found: Found) -> str:
    """Non-destructive: text to video."""
    told = []
    names = {"VTA": OURS, "Wan's way without its picture": f"{THEIRS}, without its picture"}
    names["one clock"] = "control: one clock, all weights"
    for label, name in names.items():
        rows = [row for row in found["rows"] if row["key"]["model"] == name]
        cells = (f"{mean(row, 'text_alignment', 0)} ({share(row['key']['share'])})" for row in rows)
        told.append(f"{label} {', '.join(cells)}")
    base, shipped = (find(found, model=name) for name in ("base", "VTA, shipped"))
    return (
        f"text alignment in %: base {mean(base, 'text_alignment', 0)}; {'; '.join(told)}; shipped VTA "
        f"{mean(shipped, 'text_alignment', 0)}. Before training, equal clocks differ from diffusers' one clock by at "
        f"most {found['before training']['largest difference']['clock per frame']:.0e}"
    )


@needs_entries
def draws(found: Found) -> str:
    """Table 2."""
    rows = {(r["key"]["draw"], r["key"]["shift"]): r for r in found["rows"] if r["key"].get("strength") == 1.4}
    told = {}
    for shift in (min(found["sizes"]["shifts"]), max(found["sizes"]["shifts"])):
        cells = (rows.get((name, shift)) for name in PAPERS_ORDER)
        told[shift] = " / ".join(mean(row, "total") if row else "-" for row in cells)
    flat, shifted = (rows[PAPERS_ORDER[0], shift] for shift in told)
    clean, rising = rows[PAPERS_ORDER[-1], max(told)], rows["non-decreasing", max(told)]
    spoken, other = (
        find(found, draw=d, shift=max(told), task="text_to_video") for d in (PAPERS_ORDER[-1], PAPERS_ORDER[0])
    )
    return (
        f"Total {', with shift '.join(f'{cells}' if s == 1 else f'{s:g} {cells}' for s, cells in told.items())}; the "
        f"shift alone brings PSNR from {mean(flat, 'psnr')} to {mean(shifted, 'psnr')} dB. A clean frame 0 has "
        f"{mean(clean, 'psnr')} dB, for this is its own task, and says {mean(spoken, 'text_alignment', 0)} % of a "
        f"caption without a picture (independent clocks {mean(other, 'text_alignment', 0)} %); non-decreasing clocks "
        f"{mean(rising, 'psnr')} dB and {mean(rising, 'total')}"
    )


@needs_entries
def lora(found: Found) -> str:
    """Tables 4a and 4c."""
    told = []
    for rank in (found["sizes"]["ranks"][1], "all weights"):
        best = [" / ".join(f"{s:g}" for s in best_strengths(found, rank, score)) for score in ("total", "psnr")]
        told.append(f"{rank if isinstance(rank, str) else f'rank {rank}'} {best[0]} (by PSNR {best[1]})")
    return f"best strength by Total after {' / '.join(map(share, found['sizes']['marks']))}: {', '.join(told)}"


@needs_entries
def steps(found: Found) -> str:
    """Table 4b."""
    rows = {count: find(found, solver="euler", steps=count) for count in found["sizes"]["steps"]}
    told = ", ".join(f"{count}: {mean(row, 'total')}" for count, row in rows.items())
    few = max((count for count in rows if count <= 5), default=min(rows))
    five = [row for row in found["rows"] if row["key"]["calls"] == few]
    five = sorted(five, key=lambda row: -row["scores"]["psnr"][0])
    solvers = ", ".join(f"{row['key']['solver']} {mean(row, 'psnr')}" for row in five)
    return f"Total by Euler steps {told}; PSNR at {few} calls in dB: {solvers}"


@needs_entries
def noise(found: Found) -> str:
    """Noise multipliers, never measured before."""
    told = []
    for task in dict.fromkeys(row["key"]["task"] for row in found["rows"]):
        rows = [r for r in found["rows"] if r["key"]["task"] == task and r["key"]["mode"] == "denoise"]
        best = max(rows, key=lambda row: row["scores"]["psnr"][0])
        none = find(found, task=task, noise=0.0)
        free, known = ([mean(row, score) for row in (none, best)] for score in ("psnr", "known_psnr"))
        sure = "" if clearly(lead(best, none)) else ", not clearly"
        told.append(
            f"{task.replace('_', ' ')} {best['key']['noise']} (free frames {' to '.join(free)} dB{sure}; known ones "
            f"{' to '.join(known)} dB)"
        )
    held = [r for r in found["rows"] if r["key"]["mode"] in ("hold", "reimpose")]
    others = ", ".join(f"{r['key']['mode']} at {r['key']['noise']} {mean(r, 'psnr')} dB" for r in held)
    return f"best PSNR of the free frames, against noise 0: {'; '.join(told)}; in other modes: {others}"


@needs_entries
def tasks(found: Found) -> str:
    """Zero-shot tasks."""
    names = [r["key"]["task"] for r in found["rows"] if r["key"]["model"] == "VTA, shipped" and "psnr" in r["scores"]]
    told = ", ".join(f"{n.replace('_', ' ')} {mean(find(found, task=n, model='VTA, shipped'), 'psnr')}" for n in names)
    alone = [row for row in found["rows"] if row["key"]["model"] == "specialist, same budget"]
    gains = {r["key"]["task"]: lead(r, find(found, task=r["key"]["task"], model="VTA, same budget")) for r in alone}
    more = ", ".join(f"{task.replace('_', ' ')} {gain.mean:+.1f}" for task, gain in gains.items())
    return f"PSNR in dB: {told}. Trained for that task alone, with the same budget, a model gains {more} dB"


@needs_entries
def schedules(found: Found) -> str:
    """Long videos."""
    order = sorted(found["rows"], key=lambda row: -row["scores"]["psnr"][0])
    told = ", ".join(f"{row['key']['schedule']} {mean(row, 'psnr')}" for row in order)
    return f"PSNR over {max(found['sizes']['lengths'])} lengths in dB: {told}"


@needs_entries
def inside(found: Found) -> str:
    """Mechanism."""
    change = {row["key"]["change"]: row["kinds"] for row in found["rows"] if "change" in row["key"]}
    ours, theirs = (change[f"{way}, shipped"] for way in ("VTA", "Wan's way"))
    parts = ["{} {:.0f} %".format(*largest(kinds)) for kinds in (ours, theirs)]
    seen = ", ".join(f"{name} {first:.0f} to {last:.0f} %" for name, (first, last) in looks(found).items())
    frames = len(next(row for row in found["rows"] if "maps" in row)["maps"]["step 0"])
    return (
        f"largest part of the change: {parts[0]} (VTA), {parts[1]} (Wan's way), both LoRA of the same rank on all "
        f"layers; Wan's way moves the base's weights {farther(theirs, ours):.2f} times as far. Attention on frame 0, "
        f"first to last step (even would be {100 / frames:.0f} %): {seen}"
    )


CLAIMS: dict[str, tuple[str, str, str, Callable[[Found], str]]] = {
    "cost": (
        "cost",
        "Image to video for 1/200 of the cost",
        "87.32 against Wan-I2V's 86.86, whose whole training cost 200 times as much (the authors' estimate)",
        cost,
    ),
    "equal": ("cost", "Ahead of Wan's way after the same fine-tuning", "84.06 against 73.21 (Table 5a)", equal),
    "preserved": ("preserved", "Text to video is kept", "pictures only", preserved),
    "draws": (
        "draws",
        "Independent clocks are the best draw",
        "87.69 / 85.98 / 86.38 / 81.57 for p = 1 / 0.8 / 0.5 / 0.2, 72.54 with frame 0 clean (Table 2)",
        draws,
    ),
    "lora": (
        "lora",
        "A LoRA wants a strength above 1, less so the longer it is trained",
        "best 2.0 / 1.7 / 1.7 / 1.4 after 150 / 450 / 750 / 900 iterations (Table 4c)",
        lora,
    ),
    "steps": ("steps", "Ten steps are enough", "79.92 / 86.03 / 87.69 / 87.84 for 2 / 5 / 10 / 20 (Table 4b)", steps),
    "noise": ("noise", "A little noise on known frames helps", "0.2 advised, no number", noise),
    "tasks": ("tasks", "All tasks without training for them", "pictures only", tasks),
    "schedules": ("schedules", "(long videos: which schedule?)", "none", schedules),
    "inside": (
        "inside",
        "Few weights move, and frames look at frame 0",
        "figures only: Wan-I2V moves them over 10 times as far",
        inside,
    ),
}
"""Name -> table, claim, what the paper has, and how ours is read from the table."""


@needs_entries
def claims(folder: Path = RESULTS) -> list[tuple[str, str, str]]:
    """(claim, paper, here) for every table that was measured.

    Args:
        folder: of the results.
    """
    rows = []
    for table, claim, paper, here in CLAIMS.values():
        if (folder / f"{table}.json").is_file():
            rows.append((claim, paper, here(read(folder / f"{table}.json"))))
    return rows

"""The paper's claims in one table: claim, the paper's number, ours. Every number is read from the results."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pusa_lab.metrics import Interval
from small_models.experiments import RESULTS, read
from small_models.experiments.verdicts import OURS, THEIRS, clearly, find, largest

Found = dict[str, Any]


def share(value: float) -> str:
    """A share of the base's training as a fraction.

    Args:
        value: in (0, 1].
    """
    return f"1/{round(1 / value):,}" if value < 1 else "all"


def mean(row: Found, score: str, digits: int = 1) -> str:
    """A score's mean, VBench's and shares times 100.

    Args:
        row: of a table.
        score: its name.
        digits: after the point.
    """
    hundred = score not in ("psnr", "known_psnr", "position_error", "physics_error", "motion")
    return f"{(100 if hundred else 1) * row['scores'][score][0]:.{digits}f}"


def cost(found: Found) -> str:
    """The 1/200 claim: the same fine-tuning budget for both ways."""
    parts = []
    for value in (found["sizes"]["budgets"][1], found["sizes"]["budgets"][-1]):
        ours, theirs = (mean(find(found, way=way, share=value), "psnr") for way in (OURS, THEIRS))
        ratio = next(r for r in found["ratios"] if r["share"] == value)["ratio"]
        parts.append(
            f"after {share(value)} of the base's training {ours} dB (Wan's way {theirs}, which gets as far with "
            f"{ratio[0]:.2f} of the budget, {ratio[1]:.2f} to {ratio[2]:.2f})"
        )
    start = find(found, way="clocks per frame, no training")
    return f"{mean(start, 'psnr')} dB without training; {'; '.join(parts)}"


def equal(found: Found) -> str:
    """Table 5a: after the same fine-tuning, VTA is ahead of Wan's way."""
    told = []
    for value in found["sizes"]["budgets"]:
        rows = [find(found, way=way, share=value) for way in (OURS, THEIRS)]
        told.append(f"{share(value)}: {' / '.join(mean(row, 'total') for row in rows)}")
    ahead = sum(clearly(Interval(0, *(math.log(v) for v in r["ratio"][1:]))) > 0 for r in found["ratios"])
    return (
        f"Total of VTA / Wan's way after {', '.join(told)}; by PSNR VTA is clearly cheaper at {ahead} of "
        f"{len(found['ratios'])} budgets"
    )


def preserved(found: Found) -> str:
    """Non-destructive: text to video."""
    rows = {name: find(found, model=name) for name in ("base", "VTA, shipped")}
    lost = find(found, model="Wan's way, all weights, without its picture", share=0.1)
    told = ", ".join(f"{name} {mean(row, 'text_alignment', 0)} %" for name, row in rows.items())
    return (
        f"text alignment {told}, Wan's way without its picture {mean(lost, 'text_alignment', 0)} % after 1/10; before "
        f"training, equal clocks differ from diffusers' one clock by at most "
        f"{found['before training']['largest difference']['clock per frame']:.0e}"
    )


def draws(found: Found) -> str:
    """Table 2."""
    names = ("independent", "PTSS 0.8", "PTSS 0.5", "PTSS 0.2")
    flat, shifted = (
        [find(found, draw=n, shift=s, strength=1.4) for n in names if _has(found, n, s)] for s in (1.0, 5.0)
    )
    return (
        f"Total {' / '.join(mean(row, 'total') for row in flat)}; with the trainer's shift 5 (the paper says uniform) "
        f"{' / '.join(mean(row, 'total') for row in shifted)}, PSNR {mean(shifted[0], 'psnr')} against "
        f"{mean(flat[0], 'psnr')} dB"
    )


def _has(found: Found, draw: str, shift: float) -> bool:
    keys = [row["key"] for row in found["rows"]]
    return any(k["draw"] == draw and k["shift"] == shift and k.get("strength") == 1.4 for k in keys)


def lora(found: Found) -> str:
    """Tables 4a and 4c."""
    told = []
    for rank in (found["sizes"]["ranks"][1], "all weights"):
        best = []
        for value in found["sizes"]["marks"]:
            rows = [r for r in found["rows"] if r["key"]["rank"] == rank and r["key"]["share"] == value]
            best.append(max(rows, key=lambda row: row["scores"]["psnr"][0])["key"]["strength"])
        told.append(f"{rank if isinstance(rank, str) else f'rank {rank}'} {' / '.join(f'{b:g}' for b in best)}")
    shares = " / ".join(map(share, found["sizes"]["marks"]))
    return f"best strength by PSNR after {shares}: {', '.join(told)}"


def steps(found: Found) -> str:
    """Table 4b."""
    rows = {count: find(found, solver="euler", steps=count) for count in found["sizes"]["steps"]}
    told = ", ".join(f"{count}: {mean(row, 'total')}" for count, row in rows.items())
    five = [find(found, solver=name, steps=5) for name in ("euler", "dpmpp_2m", "unipc", "ab2")]
    five = sorted(five, key=lambda row: -row["scores"]["psnr"][0])
    solvers = ", ".join(f"{row['key']['solver']} {mean(row, 'psnr')}" for row in five)
    return f"Total by Euler steps {told}; PSNR at 5 calls in dB: {solvers}"


def noise(found: Found) -> str:
    """Noise multipliers, never measured before."""
    told = []
    for task in ("image_to_video", "start_end", "extension"):
        rows = [r for r in found["rows"] if r["key"]["task"] == task and r["key"]["mode"] == "denoise"]
        best = max(rows, key=lambda row: row["scores"]["psnr"][0])
        none = find(found, task=task, noise=0.0)
        free, known = ([mean(row, score) for row in (none, best)] for score in ("psnr", "known_psnr"))
        told.append(
            f"{task.replace('_', ' ')} {best['key']['noise']:g} (free frames {' to '.join(free)} dB, known ones "
            f"{' to '.join(known)} dB)"
        )
    return f"best PSNR of the free frames, against noise 0: {', '.join(told)}"


def tasks(found: Found) -> str:
    """Zero-shot tasks."""
    names = [r["key"]["task"] for r in found["rows"] if r["key"]["model"] == "VTA, shipped" and "psnr" in r["scores"]]
    told = ", ".join(f"{n.replace('_', ' ')} {mean(find(found, task=n, model='VTA, shipped'), 'psnr')}" for n in names)
    return f"PSNR in dB: {told}"


def schedules(found: Found) -> str:
    """Long videos."""
    order = sorted(found["rows"], key=lambda row: -row["scores"]["psnr"][0])
    told = ", ".join(f"{row['key']['schedule']} {mean(row, 'psnr')}" for row in order)
    return f"PSNR over {max(found['sizes']['lengths'])} lengths in dB: {told}"


def inside(found: Found) -> str:
    """Mechanism."""
    change = {row["key"]["change"]: row["kinds"] for row in found["rows"] if "change" in row["key"]}
    both = [change[f"{way}, shipped"] for way in ("VTA", "Wan's way")]
    ours, theirs = (kinds["self_attention"]["relative"] for kinds in both)
    most = [largest(kinds).replace("_", "-") for kinds in both]
    looks = {row["key"]["attention"]: row["on_frame_0"] for row in found["rows"] if "attention" in row["key"]}
    seen = {name: 100 * sum(map(sum, on)) / sum(map(len, on)) for name, on in looks.items()}
    return (
        f"most of the change is in {most[0]} (VTA) and {most[1]} (Wan's way), but as large: self-attention moves by "
        f"{ours:.2f} and {theirs:.2f} of its norm; attention on frame 0: "
        f"{', '.join(f'{name} {value:.1f} %' for name, value in seen.items())}"
    )


CLAIMS: dict[str, tuple[str, str, str, Callable[[Found], str]]] = {
    "cost": (
        "cost",
        "Image to video for 1/200 of the cost",
        "87.32 against Wan-I2V's 86.86, whose whole training cost 200 times as much",
        cost,
    ),
    "equal": ("cost", "Ahead of Wan's way after the same fine-tuning", "84.06 against 73.21 (Table 5a)", equal),
    "preserved": ("preserved", "Text to video is kept", "pictures only", preserved),
    "draws": (
        "draws",
        "Independent clocks are the best draw",
        "87.69 / 85.98 / 86.38 / 81.57 for p = 1 / 0.8 / 0.5 / 0.2 (Table 2)",
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

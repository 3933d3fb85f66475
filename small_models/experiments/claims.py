"""The paper's claims in one table: claim, the paper's number, ours. Every number is read from the results."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pusa_lab.arguments import checked
from small_models.experiments import RESULTS, read_results
from small_models.experiments.generalisation_table import answer
from small_models.experiments.pairs import signed
from small_models.experiments.records import MissingError, Record, interval, ranked
from small_models.experiments.rows import pick, share, values
from small_models.experiments.verdicts import (
    OURS,
    PAPERS_ORDER,
    THEIRS,
    clearly,
    farther,
    find_row,
    largest,
    lead,
    looks,
    strength_above_1,
    strength_gains,
)


def _mean(row: Record, score: str, digits: int = 1) -> str:
    """A score's mean, VBench's and shares times 100."""
    hundred = score not in ("psnr", "known_psnr", "position_error", "physics_error", "motion")
    return f"{(100 if hundred else 1) * interval(row, score).mean:.{digits}f}"


def _size(found: Record, name: str, at: int) -> Any:
    """One of the sizes that the table was measured with, such as its second budget."""
    several = found["sizes"][name]
    if at >= len(several):
        raise MissingError(
            f"{found.where} has {len(several)} {name}, and the claim is read from {at + 1}: measure more."
        )
    return several[at]


def _cost(found: Record) -> str:
    """The 1/200 claim, read both ways: against the other's whole training, and at the same budget."""
    one, whole = _size(found, "budgets", 1), found["sizes"]["budgets"][-1]
    ours, theirs, end = (find_row(found, way=w, share=s) for w, s in ((OURS, one), (THEIRS, one), (THEIRS, whole)))
    start = find_row(found, way="timestep vectors, no training")
    ratios = [r["ratio"] for r in found["ratios"] if r["share"] == one and None not in r["ratio"]]
    if not ratios:
        raise MissingError(f"{found.where} has no ratio at {share(one)} of the training: measure it anew.")
    ratio = ratios[0]
    far = "all of it" if whole == 1 else share(whole)
    return (
        f"VTA after {share(one)} of the base's training {_mean(ours, 'psnr')} dB, Total {_mean(ours, 'total')} (no "
        f"training {_mean(start, 'psnr')} dB, {_mean(start, 'total')}); Wan's way after as much "
        f"{_mean(theirs, 'psnr')} dB, {_mean(theirs, 'total')}, after {far} {_mean(end, 'psnr')} dB, "
        f"{_mean(end, 'total')}. For the PSNR of VTA at {share(one)} it needs {ratio[0]:.2f} ({ratio[1]:.2f} to "
        f"{ratio[2]:.2f}) of that budget"
    )


def _equal(found: Record) -> str:
    """Table 5a: after the same fine-tuning, VTA is ahead of Wan's way."""
    listed, counts = [], {}
    pairs = [[find_row(found, way=way, share=value) for way in (OURS, THEIRS)] for value in found["sizes"]["budgets"]]
    for value, rows in zip(found["sizes"]["budgets"], pairs, strict=True):
        listed.append(f"{share(value)}: {' / '.join(_mean(row, 'psnr') for row in rows)}")
    for score in ("psnr", "total"):
        signs = [clearly(lead(rows[0], rows[1], score)) for rows in pairs]
        counts[score] = f"clearly ahead at {signs.count(1)} of {len(signs)} budgets, behind at {signs.count(-1)}"
    return f"PSNR of VTA / Wan's way in dB after {', '.join(listed)}: {counts['psnr']}; by Total {counts['total']}"


def _preserved(found: Record) -> str:
    """Non-destructive: text to video."""
    listed = []
    names = {"VTA": OURS, "Wan's way without its picture": f"{THEIRS}, without its picture"}
    names["one timestep for all frames"] = "control: one timestep, all weights"
    for label, name in names.items():
        rows = pick(found["rows"], model=name)
        cells = (f"{_mean(row, 'text_alignment', 0)} ({share(row['key']['share'])})" for row in rows)
        listed.append(f"{label} {', '.join(cells)}")
    base, shipped = (find_row(found, model=name) for name in ("base", "VTA, shipped"))
    return (
        f"text alignment in %: base {_mean(base, 'text_alignment', 0)}; {'; '.join(listed)}; shipped VTA "
        f"{_mean(shipped, 'text_alignment', 0)}. Before training, equal timesteps differ from diffusers' scalar one "
        f"by at most {found['before training']['largest difference']['timestep per frame']:.0e}"
    )


def _timestep_samplers(found: Record) -> str:
    """Table 2."""
    rows = {
        (r["key"]["timestep_sampler"], r["key"]["shift"]): r for r in found["rows"] if r["key"].get("strength") == 1.4
    }
    listed = {}
    for shift in (min(found["sizes"]["shifts"]), max(found["sizes"]["shifts"])):
        cells = (rows.get((name, shift)) for name in PAPERS_ORDER)
        listed[shift] = " / ".join(_mean(row, "psnr") if row else "-" for row in cells)
    flat, shifted, clean, rising = (
        find_row(found, timestep_sampler=sampler, shift=shift, strength=1.4)
        for sampler, shift in (
            (PAPERS_ORDER[0], min(listed)),
            (PAPERS_ORDER[0], max(listed)),
            (PAPERS_ORDER[-1], max(listed)),
            ("non-decreasing", max(listed)),
        )
    )
    spoken, other = (
        find_row(found, timestep_sampler=d, shift=max(listed), task="text_to_video")
        for d in (PAPERS_ORDER[-1], PAPERS_ORDER[0])
    )
    by_shift = (cells if shift == 1 else f"{shift:g} {cells}" for shift, cells in listed.items())
    return (
        f"PSNR in dB {', with shift '.join(by_shift)}; the shift alone brings {_mean(flat, 'psnr')} to "
        f"{_mean(shifted, 'psnr')} dB. With frame 0 always clean it is {_mean(clean, 'psnr')} dB, because this is its "
        f"own task, but text alignment is {_mean(spoken, 'text_alignment', 0)} % without a picture (independent "
        f"timesteps {_mean(other, 'text_alignment', 0)} %); non-decreasing timesteps {_mean(rising, 'psnr')} dB"
    )


def _lora(found: Record) -> str:
    """Tables 4a and 4c."""
    gains, rank = strength_gains(found), _size(found, "ranks", 1)
    names = {rank: f"rank {rank}", "all weights": "all weights"}
    listed = (f"{name} {', '.join(signed(gain) for gain in gains[rank])}" for rank, name in names.items())
    return (
        f"PSNR at strength {strength_above_1(found):g} over strength 1, in dB, after "
        f"{' / '.join(map(share, found['sizes']['marks']))}: {'; '.join(listed)}"
    )


def _steps(found: Record) -> str:
    """Table 4b."""
    rows = {count: find_row(found, solver="euler", steps=count) for count in found["sizes"]["steps"]}
    listed = ", ".join(f"{count}: {interval(row, 'skill').mean:.2f}" for count, row in rows.items())
    few = max((count for count in rows if count <= 5), default=min(rows))
    five = ranked(pick(found["rows"], calls=few), "psnr")
    solvers = ", ".join(f"{row['key']['solver']} {_mean(row, 'psnr')}" for row in five)
    return f"skill by Euler steps {listed}; PSNR at {few} calls in dB: {solvers}"


def _noise(found: Record) -> str:
    """Noise multipliers, never measured before."""
    listed = []
    for task in values(found["rows"], "task"):
        best = ranked(pick(found["rows"], task=task, mode="denoise"), "psnr")[0]
        none = find_row(found, task=task, noise=0.0)
        free, known = ([_mean(row, score) for row in (none, best)] for score in ("psnr", "known_psnr"))
        sure = "" if clearly(lead(best, none)) else ", not clearly"
        if best is none:
            listed.append(f"{task.replace('_', ' ')} none ({free[0]} dB)")
            continue
        listed.append(
            f"{task.replace('_', ' ')} {best['key']['noise']} (free frames {' to '.join(free)} dB{sure}; known ones "
            f"{' to '.join(known)} dB)"
        )
    held = [r for r in found["rows"] if r["key"]["mode"] in ("hold", "replacement")]
    others = ", ".join(f"{r['key']['mode']} at {r['key']['noise']} {_mean(r, 'psnr')} dB" for r in held)
    return f"best PSNR of the free frames, against noise 0: {'; '.join(listed)}; in other modes: {others}"


def _tasks(found: Record) -> str:
    """Zero-shot tasks."""
    names = [r["key"]["task"] for r in pick(found["rows"], model="VTA, shipped") if "psnr" in r["scores"]]
    listed = ", ".join(
        f"{n.replace('_', ' ')} {_mean(find_row(found, task=n, model='VTA, shipped'), 'psnr')}" for n in names
    )
    alone, gains = pick(found["rows"], model="specialist, same budget"), []
    for way in ("VTA", "recipe"):
        rows = {r["key"]["task"]: r for r in pick(found["rows"], model=f"{way}, same budget")}
        each = ((r["key"]["task"], lead(r, rows[r["key"]["task"]])) for r in alone if r["key"]["task"] in rows)
        gains.append(", ".join(f"{task.replace('_', ' ')} {gain.mean:+.1f}" for task, gain in each))
    return (
        f"PSNR in dB: {listed}. Trained for that task alone, with the same budget, a model gains over independent "
        f"timesteps {gains[0]} dB, and over the recipe {gains[1] or 'not measured'} dB"
    )


def _schedules(found: Record) -> str:
    """Long videos."""
    order = ranked(found["rows"], "psnr")
    listed = ", ".join(f"{row['key']['schedule']} {_mean(row, 'psnr')}" for row in order)
    return f"PSNR over {max(found['sizes']['lengths'])} lengths in dB: {listed}"


def _inside(found: Record) -> str:
    """Mechanism."""
    ours, theirs = (find_row(found, change=f"{way}, shipped")["kinds"] for way in ("VTA", "Wan's way"))
    parts = ["{} {:.0f} %".format(*largest(kinds)) for kinds in (ours, theirs)]
    seen = ", ".join(f"{name} {first:.0f} to {last:.0f} %" for name, (first, last) in looks(found).items())
    frames = len(find_row(found, attention="VTA, frame 0 clean")["maps"]["step 0"])
    return (
        f"largest part of the change: {parts[0]} (VTA), {parts[1]} (Wan's way), both LoRA of the same rank on all "
        f"layers; Wan's way moves the base's weights {farther(theirs, ours):.2f} times as far. Attention on frame 0, "
        f"first to last step (even would be {100 / frames:.0f} %): {seen}"
    )


CLAIMS: dict[str, tuple[str, str, str, Callable[[Record], str]]] = {
    "cost": (
        "cost",
        "Image to video for 1/200 of the cost",
        "87.32 against Wan-I2V's 86.86, whose whole training cost 200 times as much (the authors' estimate)",
        _cost,
    ),
    "equal": ("cost", "Ahead of Wan's way after the same fine-tuning", "84.06 against 73.21 (Table 5a)", _equal),
    "preserved": ("preserved", "Text to video is kept", "pictures only", _preserved),
    "timestep_samplers": (
        "timestep_samplers",
        "Independent timesteps are the best to train on",
        "87.69 / 85.98 / 86.38 / 81.57 for p = 1 / 0.8 / 0.5 / 0.2, 72.54 with frame 0 clean (Table 2)",
        _timestep_samplers,
    ),
    "lora": (
        "lora",
        "A LoRA needs a strength above 1, but less so the longer it is trained",
        "best 2.0 / 1.7 / 1.7 / 1.4 after 150 / 450 / 750 / 900 iterations (Table 4c)",
        _lora,
    ),
    "steps": ("steps", "Ten steps are enough", "79.92 / 86.03 / 87.69 / 87.84 for 2 / 5 / 10 / 20 (Table 4b)", _steps),
    "noise": ("noise", "A little noise on known frames helps", "0.2 advised, no number", _noise),
    "tasks": ("tasks", "All tasks without training for them", "pictures only", _tasks),
    "schedules": ("schedules", "(long videos: which schedule?)", "none", _schedules),
    "inside": (
        "inside",
        "Few weights change, and frames attend to frame 0",
        "figures only: Wan-I2V's move over 10 times as far",
        _inside,
    ),
    "generalisation": (
        "generalisation",
        "(laws of motion, or cases learned by heart?)",
        "none; PhyWorld, with one timestep for all frames: small errors in distribution, large ones outside",
        answer,
    ),
}
"""Name -> table, claim, what the paper has, and how ours is read from the table."""


@checked
def claims(folder: Path = RESULTS) -> list[tuple[str, str, str]]:
    """(claim, paper, here) for every table that was measured.

    Args:
        folder: of the results.
    """
    rows = []
    for table, claim, paper, here in CLAIMS.values():
        if (folder / f"{table}.json").is_file():
            rows.append((claim, paper, here(read_results(folder / f"{table}.json"))))
    return rows

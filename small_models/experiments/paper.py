"""The paper's own numbers beside ours, and one sentence on whether the direction agrees: computed, not written.

All from arXiv 2507.16116v2: VBench-I2V, 750 videos, 10 steps; Total unless said otherwise.
"""

from collections.abc import Sequence
from typing import Any

Found = dict[str, Any]
Verdict = tuple[bool | None, str]
"""Whether the direction agrees (None: the paper has no number), and the sentence."""

PUBLISHED: dict[str, list[str]] = {
    "suite": ["No counterpart: VBench's scores are learned, these are exact."],
    "cost": [
        "Table 5a, 480p: Wan's way 75.01 / 74.02 / 73.29 / 73.21 after 150 / 300 / 600 / 900 iterations; "
        "VTA with all weights 83.78 / 83.35 / 85.21 / 84.06; VTA with LoRA 81.62 (150) to 87.09 (900).",
        "The 1/200 claim compares VTA's 7,200 samples with Wan-I2V's whole training (at least 10 million, the authors' "
        "estimate), not with the same fine-tuning budget.",
    ],
    "preserved": ["Said to be non-destructive; text-to-video is shown (Fig. 14) and not measured."],
    "draws": [
        "Table 2, 900 iterations, strength 1.4 (1.0): independent 87.69 (81.78), PTSS 0.8 85.98 (80.71), PTSS 0.5 86.38 "
        "(79.63), PTSS 0.2 81.57 (77.96), first frame clean and the rest alike 72.54 (73.27).",
    ],
    "lora": [
        "Table 4a, 750 iterations, strength 1.0 / 1.4 / 1.7 / 2.0: rank 256 79.75 / 83.12 / 85.86 / 84.22; rank 512 "
        "80.17 / 86.46 / 87.11 / 85.98.",
        "Table 4c, best strength by iterations: 2.0 (150), 1.7 (450, 750), 1.4 (900, 1200). All weights: not stretched.",
    ],
    "steps": [
        "Table 4b, Total / Quality / I2V: 2 steps 79.92 / 67.97 / 91.87, 5: 86.03 / 77.59 / 94.48, 10: 87.69 / "
        "80.55 / 94.83, 20: 87.84 / 81.17 / 94.51."
    ],
    "noise": ["No numbers: 0.2 is advised for image-to-video, 0.2 and 0.5 for start and end, pictures only (Fig. 9)."],
    "tasks": ["No numbers but image-to-video's (Table 1): Pusa 87.32, Wan-I2V 86.86."],
    "schedules": ["No numbers: the paper samples with one clock for all free frames."],
    "inside": [
        "Figures only: Wan-I2V changes text embedding and cross-attention most, Pusa almost only self-attention and ten "
        "times less; Pusa's frames look at frame 0 at all steps, Wan-I2V's at the first.",
    ],
}


def score(rows: Sequence[Found], name: str = "total", **key: Any) -> float | None:
    """The mean of a score in the row of this key; None if there is no such row.

    Args:
        rows: of a table.
        name: of the score.
        **key: what the row's key has.
    """
    chosen = [row for row in rows if all(row["key"].get(k) == v for k, v in key.items())]
    return chosen[0]["scores"][name][0] if chosen and name in chosen[0].get("scores", {}) else None


def cost(found: Found) -> Verdict:
    """Whether VTA is ahead of Wan's way at every same budget, as in Table 5a."""
    ours, theirs = ("VTA, all weights", "Wan's way, all weights")
    rows = found["rows"]
    shares = sorted({row["key"]["share"] for row in rows if row["key"]["way"] == ours})
    ahead = [s for s in shares if score(rows, way=ours, share=s) > score(rows, way=theirs, share=s)]  # type: ignore[operator]
    told = ", ".join(_share(s) for s in ahead) or "none"
    return len(ahead) == len(shares), (
        f"The paper has VTA ahead of Wan's way at every budget; here its Total is ahead at {len(ahead)} of {len(shares)} "
        f"({told} of the base's training)."
    )


def preserved(found: Found) -> Verdict:
    """Whether adapted models obey captions as well as the base, and Wan's way does not."""
    rows = found["rows"]
    base = next(row for row in rows if row["key"]["model"] == "base")["scores"]["text_alignment"]
    kept = {label: score(rows, "text_alignment", model=label) for label in ("VTA, shipped",)}
    lost = [r["scores"]["text_alignment"][0] for r in rows if r["key"]["model"].startswith("Wan's way")]
    good = kept["VTA, shipped"] is not None and kept["VTA, shipped"] >= base[1]
    return good and max(lost) < base[1], (
        f"Text alignment of the base {_percent(base[0])}, of shipped VTA {_percent(kept['VTA, shipped'])}, of Wan's way "
        f"without its picture {_percent(min(lost))} to {_percent(max(lost))}: "
        f"{'VTA keeps it' if good else 'VTA loses some of it'}."
    )


def draws(found: Found) -> Verdict:
    """Whether independent clocks are best and a clean first frame with one clock worst, uniform, strength 1.4."""
    rows = found["rows"]
    labels = list(dict.fromkeys(row["key"]["draw"] for row in rows))
    totals = {d: score(rows, draw=d, shift=1.0, strength=1.4) for d in labels}
    order = sorted((d for d in labels if totals[d] is not None), key=lambda d: -totals[d])  # type: ignore[operator]
    agrees = order[0] == "independent" and order[-1] == "first frame clean, the rest alike"
    best = max((r for r in rows if "strength" in r["key"]), key=lambda r: r["scores"]["total"][0])["key"]
    return agrees, (
        f"The paper's order is independent first, a clean first frame last; here, uniform at strength 1.4: "
        f"{', '.join(f'{d} {_percent(totals[d])}' for d in order)}. Best of all: {best['draw']}, shift {best['shift']:g}, "
        f"strength {best['strength']:g}."
    )


def lora(found: Found) -> Verdict:
    """Whether the best strength is above 1 and falls as training grows."""
    rows = found["rows"]
    shares = sorted({row["key"]["share"] for row in rows})
    told, agrees = [], True
    for rank in dict.fromkeys(row["key"]["rank"] for row in rows):
        best = [_best(rows, rank, share)["strength"] for share in shares]
        agrees &= best == sorted(best, reverse=True) and best[0] > 1
        told.append(f"{'rank ' * (rank != 'all weights')}{rank}: {' / '.join(f'{b:g}' for b in best)}")
    return agrees, (
        f"In the paper the best strength is above 1 and falls with training (2.0 to 1.4); here, at "
        f"{' / '.join(_share(s) for s in shares)} of the base's training: {'; '.join(told)}."
    )


def _best(rows: Sequence[Found], rank: Any, share: float) -> Found:
    chosen = [row for row in rows if row["key"]["rank"] == rank and row["key"]["share"] == share]
    return max(chosen, key=lambda row: row["scores"]["total"][0])["key"]


def steps(found: Found) -> Verdict:
    """Whether Total rises up to 10 Euler steps and is nearly flat from there."""
    rows = [row for row in found["rows"] if row["key"]["solver"] == "euler"]
    total = {row["key"]["steps"]: row["scores"]["total"][0] for row in rows}
    few = [s for s in sorted(total) if s <= 10]
    rises = all(total[a] < total[b] for a, b in zip(few, few[1:], strict=False))
    after = [total[s] - total[10] for s in total if s > 10]
    flat = max(map(abs, after)) < 0.01 if after else True
    return rises and flat, (
        f"In the paper Total rises to 10 steps and then stays; here with Euler: "
        f"{', '.join(f'{s} steps {_percent(total[s])}' for s in sorted(total))}."
    )


def noise(found: Found) -> Verdict:
    """The level with the highest Total for each task, and those it cannot be told from."""
    told = []
    for task in dict.fromkeys(row["key"]["task"] for row in found["rows"]):
        rows = [row for row in found["rows"] if row["key"]["task"] == task]
        best = max(rows, key=lambda row: row["scores"]["total"][0])
        alike = [r["key"]["noise"] for r in rows if r["scores"]["total"][2] >= best["scores"]["total"][0]]
        told.append(f"{task} {best['key']['noise']} (not told from it: {', '.join(map(str, alike))})")
    return None, f"Nothing was published; the best Total here: {'; '.join(told)}."


def tasks(found: Found) -> Verdict:
    """Whether VTA is ahead of Wan's way in image-to-video, and how far specialists are ahead of it elsewhere."""
    rows = found["rows"]
    ours = score(rows, task="image_to_video", model="VTA, same budget")
    theirs = score(rows, task="image_to_video", model="Wan's way, same budget")
    names = [r["key"]["task"] for r in rows if r["key"]["model"] == "specialist, same budget"]
    wins = [
        t
        for t in names
        if score(rows, "psnr", task=t, model="VTA, same budget")
        >= score(rows, "psnr", task=t, model="specialist, same budget")
    ]  # type: ignore[operator]
    return ours > theirs, (  # type: ignore[operator]
        f"Image-to-video at the same budget: VTA {_percent(ours)}, Wan's way {_percent(theirs)} (the paper: 87.32 and "
        f"86.86). Against a model trained for the one task with that budget, VTA's PSNR is at least as high in "
        f"{len(wins)} of {len(names)} tasks ({', '.join(wins) or 'none'})."
    )


def schedules(found: Found) -> Verdict:
    """Which schedule drifts least."""
    order = sorted(found["rows"], key=lambda row: -row["scores"]["psnr"][0])
    told = ", ".join(f"{r['key']['schedule']} {r['scores']['psnr'][0]:.1f} dB" for r in order)
    return None, f"Nothing was published; fidelity of long extensions here, best first: {told}."


def inside(found: Found) -> Verdict:
    """Whether Wan's way changes the weights more, and whether VTA's frames look at frame 0 more than the base's."""
    change = {r["key"]["change"]: r["kinds"] for r in found["rows"] if "change" in r["key"]}
    ours, theirs = change["VTA, all weights"], change["Wan's way, all weights"]
    most = {
        label: max((k for k in kinds if k != "new"), key=lambda k, c=kinds: c[k]["share"])
        for label, kinds in change.items()
    }
    ratio = theirs["self_attention"]["relative"] / ours["self_attention"]["relative"]
    look = {r["key"]["attention"]: r["on_frame_0"] for r in found["rows"] if "attention" in r["key"]}
    mean = {label: sum(map(sum, steps)) / sum(map(len, steps)) for label, steps in look.items()}
    agrees = ratio > 1 and mean["VTA, frame 0 clean"] > mean["base, frame 0 clean"]
    return agrees, (
        f"With all weights and the same budget Wan's way moves self-attention {ratio:.1f} times as far as VTA (the paper: "
        f"more than 10 over all); most of the change lies in {', '.join(f'{k.replace(chr(95), chr(32))} ({v})' for v, k in most.items())}. "
        f"Attention on frame 0: {', '.join(f'{k} {_percent(v)}' for k, v in mean.items())}."
    )


def suite(found: Found) -> Verdict:
    """The reader's own accuracy on true clips, and what worthless clips score."""
    rows = found["rows"]
    told = ", ".join(f"{r['key']['clips']} {_percent(r['scores']['total'][0])}" for r in rows)
    return (
        None,
        f"Total: {told}. The reader finds {_percent(score(rows, 'text_alignment', clips='truth'))} on true clips.",
    )


def _share(share: float) -> str:
    return f"1/{1 / share:.3g}" if share < 1 else f"{share:g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"

"""What a training run costs, from measured steps alone: hours and dollars by GPU, size, precision and checkpointing.

`benchmarks/wan_train.py` measures and stores the rows; nothing here is assumed but that a share of the peak reached on
one card is reached on another, and such rows are marked.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.files import check_fields, read_json
from pusa_lab.wan.configs import WAN_CONFIGS
from pusa_lab.wan.plan_costs import flops
from pusa_lab.wan.plan_settings import SIZES
from pusa_lab.wan.plan_tables import GPUS

PAPER_SAMPLES = 900 * 8
"""Clips that the paper's run goes through: iterations times batch (App. C, arXiv 2507.16116)."""
NEEDED: dict[str, Any] = {
    "size": (str, list),
    "checkpointing": str,
    "compile": (bool, str),  # an empty text is eager
    "seconds_per_sample": (int, float),
    "peak_gib": (int, float),
    "device": str,
}
"""Of each row in the file: name -> type."""
MORE: dict[str, Any] = {"precision": str, "model": str, "frames": int}
"""What a row may have besides."""


@dataclass(frozen=True)
class TrainingRow:
    """One measured setting of LoRA training, a sample a step."""

    gpu: str
    """Name in GPUS."""
    size: tuple[int, int]
    """Height and width in pixels."""
    checkpointing: str
    """What is computed twice: full is every block, none is nothing."""
    compiled: bool
    """Whether the blocks are."""
    seconds: float
    """Of one sample."""
    peak: float
    """GiB that PyTorch had allocated at the most."""
    precision: str = "bfloat16"
    """Of the matrix products."""
    model: str = "wan2.1-14b"
    """Name in WAN_CONFIGS."""
    frames: int = 81
    """Pixel frames."""

    @property
    def forward(self) -> float:
        """Floating point operations of one forward, one clock per frame."""
        config = WAN_CONFIGS[self.model]
        clocks = 1 + (self.frames - 1) // config.stride[0]
        return sum(flops(config, config.tokens(self.size, self.frames), clocks=clocks).values())

    def tflops(self, recomputed: bool = False) -> float:
        """TFLOP/s: three forwards a sample, the backward counted as two; a fourth where recomputation counts too."""
        return (3 + recomputed) * self.forward / self.seconds / 1e12


@dataclass(frozen=True)
class TrainingCost:
    """A run of some samples with one setting on one kind of GPU."""

    row: TrainingRow
    """What was measured."""
    gpu: str
    """Name in GPUS; where it is not the row's, time is scaled by the peaks of the two."""
    seconds: float
    """Of one sample."""
    hours: float
    """Of one such GPU for all samples."""
    price: float
    """US dollars an hour."""
    money: float
    """US dollars for all samples; the same on several GPUs, as far as they scale."""
    fits: bool
    """Whether the peak that was measured is within the GPU's memory, and the GPU has the products."""


@checked
def read_training(path: str | Path) -> list[TrainingRow]:
    """The rows that `benchmarks/wan_train.py` wrote.

    Args:
        path: a JSON file with `rows`; each has `NEEDED`, and may have precision, model and frames.

    Raises:
        ValueError: there is no such file, or a row lacks something.
    """
    try:
        rows = read_json(path, "a file of measured rows", {"rows": list})["rows"]
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} holds no measured rows ({error}): run `python benchmarks/wan_train.py`.") from error
    return [_row(Path(path), row) for row in rows]


@checked
def training_costs(
    rows: Sequence[TrainingRow],
    samples: int = PAPER_SAMPLES,
    gpus: Sequence[str] = ("h200", "h100", "a100-80"),
    prices: Mapping[str, float] | None = None,
) -> list[TrainingCost]:
    """Each measured setting on each GPU.

    seconds = seconds measured * peak of the measured GPU / peak of this one

    Args:
        rows: measured.
        samples: clips that the run goes through.
        gpus: names in GPUS.
        prices: US dollars an hour by GPU; those of GPUS, rough guesses, where it has none.

    Raises:
        ValueError: an unknown GPU, no samples, or a price that is none.
    """
    if unknown := [name for name in gpus if name not in GPUS]:
        raise ValueError(f"unknown gpu {unknown[0]!r}: choose from {', '.join(GPUS)}.")
    if samples < 1:
        raise ValueError(f"samples={samples}: give 1 or more.")
    for name, price in (prices or {}).items():
        if not (name in GPUS and 0 <= price < math.inf):
            raise ValueError(
                f"a price of {price} for {name!r}: give 0 or more US dollars an hour for {', '.join(GPUS)}."
            )
    return [_cost(row, name, samples, (prices or {}).get(name, GPUS[name].price)) for row in rows for name in gpus]


@checked
def training_table(costs: Sequence[TrainingCost]) -> str:
    """The page: a Markdown table, by size and money, of what fits.

    Args:
        costs: from `training_costs`.
    """
    head = "| size | GPU | checkpointing | blocks | precision | s a sample | GiB | GPU hours | $ an hour | $ | time |"
    kept = sorted((c for c in costs if c.fits), key=lambda c: (c.row.size, c.money))
    lines = [
        f"| {c.row.size[0]} x {c.row.size[1]} | {c.gpu} | {c.row.checkpointing} | "
        f"{'compiled' if c.row.compiled else 'eager'} | {c.row.precision} | {c.seconds:.1f} | {c.row.peak:.1f} | "
        f"{c.hours:,.1f} | {c.price:g} | {c.money:,.0f} | "
        f"{'measured' if c.gpu == c.row.gpu else f'scaled from {c.row.gpu}'} |"
        for c in kept
    ]
    return "\n".join([head, "|---|---|---|---|---|---:|---:|---:|---:|---:|---|", *lines])


def _cost(row: TrainingRow, gpu: str, samples: int, price: float) -> TrainingCost:
    seconds = row.seconds * GPUS[row.gpu].tflops / GPUS[gpu].tflops
    hours = samples * seconds / 3600
    fits = row.peak <= GPUS[gpu].memory and (row.precision != "float8" or GPUS[gpu].float8)
    return TrainingCost(row, gpu, seconds, hours, price, hours * price, fits)


def _row(path: Path, row: dict[str, Any]) -> TrainingRow:
    check_fields(row, f"{path}: a row is not one of `python benchmarks/wan_train.py`", {})
    if missing := [key for key in NEEDED if key not in row]:
        raise ValueError(f"{path}: a row has no {missing[0]}: run `python benchmarks/wan_train.py` again.")
    fields = NEEDED | {key: kind for key, kind in MORE.items() if key in row}
    check_fields(row, f"{path}: a row is not one of `python benchmarks/wan_train.py`", fields)
    if not (0 < row["seconds_per_sample"] < math.inf and 0 <= row["peak_gib"] < math.inf):
        raise ValueError(f"{path}: a row has seconds or GiB that are not finite, or below 0: measure it again.")
    if isinstance(row["compile"], str) and row["compile"]:
        raise ValueError(f"{path}: a row has compile={row['compile']!r:.40}: give true or false.")
    flat = str(row["device"]).lower().replace(" ", "")
    cards = [name for name in GPUS if all(part in flat for part in name.split("-"))]
    if not cards:
        raise ValueError(f"{path}: no peak is known for {row['device']!r}: add the card to GPUS in plan_tables.py.")
    size = SIZES.get(row["size"], ()) if isinstance(row["size"], str) else tuple(row["size"])
    frames = row.get("frames", 81)
    if len(size) != 2 or not all(isinstance(n, int) and n > 0 for n in (*size, frames)):
        raise ValueError(f"{path}: a row has size {row['size']!r:.40} and frames {frames}: measure it again.")
    if row.get("model", "wan2.1-14b") not in WAN_CONFIGS:
        raise ValueError(f"{path}: a row is of the model {row['model']!r:.40}: choose from {', '.join(WAN_CONFIGS)}.")
    more = {key: row[key] for key in ("precision", "model", "frames") if key in row}
    return TrainingRow(
        gpu=max(cards, key=len),
        size=(size[0], size[1]),
        checkpointing=str(row["checkpointing"]),
        compiled=bool(row["compile"]),
        seconds=float(row["seconds_per_sample"]),
        peak=float(row["peak_gib"]),
        **more,
    )

"""One figure of a plan and where it comes from: measured, interpolated between measured rows, or counted."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.planning import measured
from pusa_lab.planning.arithmetic import GIB, sampling_bytes, sampling_seconds
from pusa_lab.planning.settings import Settings, _choose
from pusa_lab.planning.training import sample_seconds, training_bytes

SOURCES = ("measured", "interpolated", "arithmetic")
"""From the surest; a sum has the least sure of its parts'."""


@dataclass(frozen=True)
class Figure:
    """A number and its source."""

    value: float
    """Seconds, or GiB."""
    source: str = "arithmetic"
    """One of SOURCES."""
    basis: str = ""
    """The rows behind it, in words; nothing where it is counted alone."""


@checked
def seconds_figure(s: Settings, part: str) -> Figure:
    """Seconds of one part.

    Args:
        s: settings.
        part: sample in training; text, forward, decoding or moving in sampling.
    """
    return _figure(s, part, seconds_counted, lambda row, known: row.seconds.get(part))


@checked
def activations_figure(s: Settings, stage: str) -> Figure:
    """GiB of activations at the peak of a stage: of a measured one, what is left beside weights and gradients.

    Args:
        s: settings.
        stage: training; or encoding text, denoising or decoding.
    """

    _choose("stage", stage, bytes_counted(s))

    def left(row: measured.Measured, known: Settings) -> float | None:
        held = sum(n for name, n in bytes_counted(known)[stage].items() if name != "activations") / GIB
        return row.peaks[stage] - held if stage in row.peaks else None

    return _figure(s, stage, lambda known, at: bytes_counted(known)[at]["activations"] / GIB, left, True)


@checked
def error_figure(s: Settings) -> Figure | None:
    """Relative error of a forward's output against bfloat16: that of the measured row nearest in tokens; None without.

    Args:
        s: settings.
    """
    way = _way(s, "error")
    rows = [r for r in measured.MEASURED if r.error is not None and _way(r.settings, "error") == way]
    if s.precision is None or not rows:
        return None
    row = min(rows, key=lambda r: abs(r.settings.tokens - s.tokens))
    known = row.settings
    same = (known.size, known.num_frames) == (s.size, s.num_frames)
    where = f"{row.error:.4f} of random weights at {known.size[0]} x {known.size[1]}, {row.source}"
    return Figure(row.error or 0.0, "measured" if same else "arithmetic", where)


@checked
def seconds_counted(s: Settings, part: str) -> float:
    """Seconds of one part by arithmetic alone.

    Args:
        s: settings.
        part: as for `seconds_figure`.
    """
    parts = _seconds(s, s.config, tuple(measured.MEASURED))
    _choose("part", part, parts)
    return parts[part]


@checked
def bytes_counted(s: Settings) -> dict[str, dict[str, float]]:
    """Bytes by stage and part, by arithmetic alone.

    Args:
        s: settings.
    """
    return _bytes(s, s.config, tuple(measured.MEASURED))


@lru_cache(4096)
def _seconds(s: Settings, *_: Any) -> dict[str, float]:
    """Known for these sizes of the model, and these rows, on which constants are calibrated."""
    return {"sample": sample_seconds(s)} if s.training else sampling_seconds(s)


@lru_cache(4096)
def _bytes(s: Settings, *_: Any) -> dict[str, dict[str, float]]:
    return {"training": training_bytes(s)} if s.training else sampling_bytes(s)


def _figure(
    s: Settings,
    name: str,
    count: Callable[[Settings, str], float],
    read: Callable[[measured.Measured, Settings], float | None],
    peak: bool = False,
) -> Figure:
    """A measured row as it is; between two sizes the ratio of measured and counted, linear in tokens, times counted.

    Beyond the sizes, or on another GPU, the ratio is that of the row with the nearest number of tokens.
    """
    rows = {}
    for row in measured.MEASURED:
        known = row.settings
        if known.training == s.training and _way(known, name) == _way(s, name) and (value := read(row, known)):
            rows[_place(known, name)] = (known, value, row)
    if (place := _place(s, name)) in rows:
        known, value, row = rows[place]
        return Figure(value, "measured", f"{_source(name, peak, known, row)}, {row.source}")
    counted = count(s, name)
    same = [entry for entry in rows.values() if _regime(entry[0], name) == _regime(s, name)] or [*rows.values()]
    ratios = [
        (k.tokens, value / count(k, name), _source(name, peak, k, row)) for k, value, row in same if count(k, name)
    ]
    if not ratios or not counted:
        return Figure(counted)
    ratios.sort()
    below, above = ([r for r in ratios if (r[0] - s.tokens) * sign > 0] for sign in (-1, 1))
    if below and above and _regime(same[0][0], name) == _regime(s, name):
        (few, low, one), (many, high, two) = below[-1], above[0]
        ratio = low + (high - low) * (s.tokens - few) / (many - few)
        source = f"{ratio:.3f} times the arithmetic, linear in tokens between {one} and {two}"
        return Figure(ratio * counted, "interpolated", source)
    _, ratio, near = min(ratios, key=lambda r: abs(r[0] - s.tokens))
    source = f"{ratio:.3f} times the arithmetic, from the nearest measured row; {near}"
    return Figure(ratio * counted, "arithmetic", source)


def _source(name: str, peak: bool, known: Settings, row: measured.Measured) -> str:
    """A row in words."""
    count = known.global_batch_size
    clips = f", {count} clip{'s' if count != 1 else ''} a step" if known.training else ""
    number = f"a peak of {row.peaks[name]:.2f} GiB" if peak else f"{row.seconds[name]:.2f} s"
    return f"{number} measured on {known.gpus} x {known.gpu} at {known.size[0]} x {known.size[1]}{clips}"


def _way(s: Settings, name: str) -> tuple[Any, ...]:
    """What a row must share for its ratio to say something."""
    transformer = *s.config.transformer.values(), s.attention if name in ("sample", "forward", "denoising") else ""
    if name in ("sample", "training"):
        saved = (s.ac_save_attention, s.ac_skip_blocks, s.offload_activations)
        how = (s.micro_batch_size, s.optimizer, s.float8, s.compiled)
        return transformer, s.workload, s.lora_rank, *saved, *how
    if name in ("forward", "denoising"):
        return transformer, s.num_videos, s.precision, s.compiled, s.lora_rank, s.offload == "group"
    if name == "error":
        return transformer, s.precision
    if name == "decoding":
        return s.config.codec_parameters, s.num_videos
    return s.config.text_parameters, s.num_videos, s.cached_prompts


def _regime(s: Settings, name: str) -> tuple[Any, ...]:
    """What it must share to be measured, or a neighbour, besides the size: the GPU, and in a peak how many share it."""
    return (s.gpu, s.gpus, s.accumulated > 1) if name == "training" else (s.gpu, s.gpus if s.workload == "full" else 1)


def _place(s: Settings, name: str) -> tuple[Any, ...]:
    what = (s.guidance == 1,) if name in ("text", "encoding text") else (s.size, s.num_frames)
    return *_regime(s, name), *what

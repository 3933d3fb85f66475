"""What was measured: seconds and peaks that a plan gives as they are, interpolates between, and calibrates on.

Another run of the benchmarks has its rows here by `python benchmarks/wan_train_join.py`, which prints them.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pusa_lab.planning.settings import Settings, _settle


@dataclass(frozen=True, eq=False)
class Measured:
    """One run on a GPU, at random weights."""

    given: dict[str, Any]
    """Arguments of `plan` that say what ran."""
    seconds: dict[str, float]
    """Seconds by part: `forward` (of the model), `text`, `decoding`, or `sample` (a clip and the optimizer's step)."""
    peaks: dict[str, float]
    """Peak of PyTorch's allocated memory by stage, in GiB."""
    source: str
    """Where it is documented, and when it was measured."""
    error: float | None = None
    """Relative difference of the output from bfloat16's, where `precision` is given and nothing else differs."""

    @cached_property
    def settings(self) -> Settings:
        """What ran, every default filled in."""
        return _settle(self.given)


FORWARDS = "one forward of the transformer alone, torch 2.11, diffusers 0.42.1"
WHOLE = "benchmarks/results/wan_end_to_end.json, 2026-11-22"
FASTER = "benchmarks/results/wan_forward.json, 2026-11-30"
FASTEST = "benchmarks/results/wan_float8.json, 2026-11-30"
STEPS = "benchmarks/results/wan_train.json, 2026-11-26"


def _alone(size: tuple[int, int], compiled: bool, seconds: float, peak: float) -> Measured:
    given = {"gpu": "h200", "size": size, "compiled": compiled, "offload": "model"}
    return Measured(given, {"forward": seconds}, {"denoising": peak}, FORWARDS)


def _step(gpu: str, size: tuple[int, int], seconds: float, peak: float, **more: Any) -> Measured:
    """A step of a LoRA of rank 512 on one clip."""
    given = {"workload": "lora", "gpu": gpu, "size": size, "global_batch_size": 1, "compiled": True} | more
    return Measured(given, {"sample": seconds}, {"training": peak}, STEPS)


def _fast(
    size: tuple[int, int], seconds: float, peak: float, source: str, error: float | None = None, **how: Any
) -> Measured:
    """A compiled forward with other attention or in 8 bits."""
    given = {"gpu": "h200", "size": size, "compiled": True, "offload": "model"} | how
    return Measured(given, {"forward": seconds}, {"denoising": peak}, source, error)


SMALL, LARGE = (480, 832), (720, 1280)
SAVED: dict[str, Any] = {"ac_save_attention": 40}
EIGHT: dict[str, Any] = SAVED | {"optimizer": "adamw8bit"}
MEASURED: list[Measured] = [
    _alone(SMALL, False, 3.29, 30.3),
    _alone(LARGE, False, 12.34, 34.9),
    _alone(SMALL, True, 2.86, 28.8),
    _alone(LARGE, True, 11.35, 31.3),
    Measured(
        {"gpu": "h200", "size": SMALL},
        {"text": 0.442901, "decoding": 2.858227},
        {"encoding text": 38.32, "denoising": 41.36, "decoding": 46.64},
        WHOLE,
    ),
    Measured(
        {"gpu": "h200", "size": SMALL, "lora_rank": 512},
        {"text": 0.113971, "forward": 73.734573 / 20, "decoding": 2.84595},
        {"encoding text": 42.89, "denoising": 46.59, "decoding": 51.21},
        WHOLE,
    ),
    _fast(SMALL, 2.643653, 28.65, FASTER, attention="fa4"),
    _fast(LARGE, 10.147662, 31.15, FASTER, attention="fa4"),
    _fast(SMALL, 2.424053, 17.98, FASTER, 0.018394, precision="float8"),
    _fast(SMALL, 2.204027, 17.98, FASTEST, precision="float8", attention="fa4"),
    _fast(LARGE, 9.124927, 21.08, FASTEST, precision="float8", attention="fa4"),
    _step("h200", SMALL, 10.514, 89.62, **SAVED),
    _step("h200", LARGE, 45.738, 119.76, ac_save_attention=18),
    _step("h200", SMALL, 10.538, 136.11, optimizer="adamw8bit", ac_save_attention=30, ac_skip_blocks=10),
    _step("h200", SMALL, 9.694, 77.27, **EIGHT, float8=True),
    _step("h200", LARGE, 41.373, 122.23, **EIGHT),
    _step("h200", LARGE, 38.598, 125.17, **EIGHT, float8=True),
    _step("h200", SMALL, 10.395, 122.74, ac_save_attention=34, ac_skip_blocks=6),
    _step("h100", SMALL, 12.045, 60.34, **EIGHT, offload_activations=True),
    _step("h100", LARGE, 44.381, 74.46, **EIGHT, offload_activations=True),
    Measured(
        {"workload": "full", "gpu": "h100", "gpus": 4, "size": SMALL, "global_batch_size": 4},
        {"sample": 15.508464893999985},
        {"training": 67.91},
        STEPS,
    ),
]
"""The measured rows; of several with the same settings the last counts."""
COMPARED: dict[str, dict[tuple[int, int], tuple[float, float]]] = {
    "per token": {SMALL: (3.61, 36.9), LARGE: (13.08, 50.1)},
    "scalar": {SMALL: (3.27, 30.3), LARGE: (12.32, 34.9)},
    "official Pusa": {SMALL: (3.34, 35.0), LARGE: (12.42, 45.7)},
}
"""Other code, measured in the same run as FORWARDS: seconds of a forward, and GiB."""

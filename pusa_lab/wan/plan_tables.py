"""What a plan starts from: graphics cards, ways of offloading, and measurements. Replace `MEASURED` to recalibrate."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """One kind of card."""

    memory: float
    """GiB that PyTorch can fill: what the maker says less the driver's context."""
    tflops: float
    """Peak of dense bfloat16 matrix products, sums in float32, in TFLOP/s (float16 where there is no bfloat16)."""
    price: float
    """Rough guess at the rent in US dollars an hour: it moves by the week and the shop, so give your own `price`."""
    bfloat16: bool = True
    """Whether it computes in bfloat16."""
    float8: bool = True
    """Whether it multiplies in 8 bits."""


GPUS: dict[str, Gpu] = {
    "h200": Gpu(139.0, 989.0, 3.5),
    "h100": Gpu(78.0, 989.0, 2.5),
    "a100-80": Gpu(78.0, 312.0, 1.6, float8=False),
    "a100-40": Gpu(39.0, 312.0, 1.2, float8=False),
    "l40s": Gpu(44.0, 362.0, 0.9),
    "rtx5090": Gpu(31.0, 210.0, 0.7),
    "rtx4090": Gpu(23.5, 165.0, 0.4),
    "l4": Gpu(22.0, 121.0, 0.6),
    "t4": Gpu(14.5, 65.0, 0.3, bfloat16=False, float8=False),
}
"""Name -> card. h200's memory is measured; peaks are the makers' data sheets; prices are rough assumptions."""

OFFLOADS: dict[str, str] = {
    "none": "everything stays on the GPU",
    "model": "only the part at work is on the GPU: text encoder, one expert of the transformer, or codec",
    "group": "as model, and of the transformer two blocks at a time: the next one comes while one computes",
    "checkpoints": "for training: the blocks' inputs, kept for the backward pass, wait in the host's memory",
}
"""Name -> what is on the GPU. The rest waits in the host's memory, which must hold it."""

MODES: dict[str, tuple[str, ...]] = {
    "sample": ("none", "model", "group"),
    "lora": ("none", "checkpoints"),
    "full": ("none", "checkpoints"),
}
"""What is to be done -> the ways of offloading that it knows."""

DTYPES: dict[str, int] = {"bfloat16": 2, "float16": 2, "float8": 1}
"""Bytes of a frozen weight of the transformer; float8 is for storage alone, its arithmetic is bfloat16 or float16."""


@dataclass(frozen=True)
class Measurement:
    """One forward of one transformer alone, its weights in bfloat16 on the GPU, batch 1, no gradient."""

    gpu: str
    """Name in GPUS."""
    variant: str
    """Which code: "per frame" and "per frame, compiled" (block by block) calibrate the plan, others compare."""
    size: tuple[int, int]
    """Height and width in pixels."""
    seconds: float
    """Of one forward."""
    peak: float
    """GiB that PyTorch had allocated at the most, weights included."""
    model: str = "wan2.1-14b"
    """Name in WAN_CONFIGS."""
    frames: int = 81
    """Pixel frames."""
    source: str = "one run, random weights; torch 2.11, diffusers 0.42.1"
    """How it was measured."""


MEASURED: list[Measurement] = [
    Measurement("h200", "per frame", (480, 832), 3.29, 30.3),
    Measurement("h200", "per frame", (720, 1280), 12.34, 34.9),
    Measurement("h200", "per frame, compiled", (480, 832), 2.86, 28.8),
    Measurement("h200", "per frame, compiled", (720, 1280), 11.35, 31.3),
    Measurement("h200", "per token", (480, 832), 3.61, 36.9),
    Measurement("h200", "per token", (720, 1280), 13.08, 50.1),
    Measurement("h200", "scalar", (480, 832), 3.27, 30.3),
    Measurement("h200", "scalar", (720, 1280), 12.32, 34.9),
    Measurement("h200", "official Pusa", (480, 832), 3.34, 35.0),
    Measurement("h200", "official Pusa", (720, 1280), 12.42, 45.7),
]
"""What the efficiency and the activations of a plan are calibrated on."""

"""What a plan starts from: graphics cards, ways of offloading, number formats and optimizers."""

from dataclasses import dataclass

from pusa_lab.arguments import checked


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
    fa4: bool = False
    """Whether it runs FlashAttention 4."""

    @property
    def dtype(self) -> str:
        """In which 16 bits it computes."""
        return "bfloat16" if self.bfloat16 else "float16"


GPUS: dict[str, Gpu] = {
    "h200": Gpu(139.0, 989.0, 3.5, fa4=True),
    "h100": Gpu(78.0, 989.0, 2.5, fa4=True),
    "a100-80": Gpu(78.0, 312.0, 1.6, float8=False),
    "a100-40": Gpu(39.0, 312.0, 1.2, float8=False),
    "l40s": Gpu(44.0, 362.0, 0.9),
    "rtx5090": Gpu(31.0, 210.0, 0.7, fa4=True),
    "rtx4090": Gpu(23.5, 165.0, 0.4),
    "l4": Gpu(22.0, 121.0, 0.6),
    "t4": Gpu(14.5, 65.0, 0.3, bfloat16=False, float8=False),
}
"""Name -> card. h200's memory is measured; peaks are the makers' data sheets; prices are rough assumptions."""


@checked
def find_gpu(device: str) -> str | None:
    """The name in GPUS of a device, or None.

    Args:
        device: as PyTorch names it, such as "NVIDIA H100 80GB HBM3".
    """
    flat = device.lower().replace(" ", "")
    return max((name for name in GPUS if all(part in flat for part in name.split("-"))), key=len, default=None)


OFFLOADS: dict[str, str] = {
    "none": "everything stays on the GPU",
    "model": "only the part at work is on the GPU: text encoder, one expert of the transformer, or codec",
    "group": "as model, and of the transformer two blocks at a time: the next one comes while one computes",
}
"""Name -> what is on the GPU in sampling. The rest waits in the host's memory, which must hold it."""

WORKLOADS: dict[str, str] = {
    "sample": "make videos",
    "lora": "train a LoRA on frozen weights, as `pusa-lab train --recipe paper` does",
    "full": "train all weights, split over the GPUs (FSDP2), as `--lora-rank 0` does",
}
"""Name -> what is to be done."""

ATTENTIONS: dict[str, str] = {
    "native": "PyTorch's choice, or cuDNN's by name, which are as fast",
    "fa4": "FlashAttention 4, counted at the speed of native where it was not measured",
}
"""Name -> with what attention is computed. No kind needs more memory than the other."""

DTYPES = ("bfloat16", "float16")
"""Names of the 16-bit numbers in which the transformer computes."""

PRECISIONS: dict[str, str] = {
    "float8": "the transformer's large layers multiply 8-bit numbers, with a scale for each row",
    "float8-storage": "the transformer's weights are stored in 8 bits, and computed in 16",
}
"""Name -> what sampling keeps or computes in 8 bits, as `WanModel.from_pretrained` does."""

OPTIMIZERS: dict[str, float] = {"adamw": 8.0, "adamw8bit": 2 * (1 + 4 / 256)}
"""Name -> bytes of the two moments of a trained number; torchao's 8-bit ones have a scale for each 256."""

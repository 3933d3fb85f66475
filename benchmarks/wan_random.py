"""Wan at its true sizes with random weights: what time and memory depend on, without a download."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed

from pusa_lab.files import write_json
from pusa_lab.wan.configs import WAN_CONFIGS
from pusa_lab.wan.transformer import VTAWanTransformer3DModel
from small_models.machine import conditions

SIZES = {"480p": (480, 832), "720p": (720, 1280)}
TINY = {"num_attention_heads": 2, "attention_head_dim": 12, "ffn_dim": 40, "num_layers": 2, "text_dim": 16}
RANDOM = "random weights, bf16 but for what diffusers keeps in float32; batch 1"


@dataclass
class Log:
    """Results so far: written after every entry, so that a run that is cut short keeps what it has."""

    path: Path
    seed: int = 0
    found: dict[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)

    def __setitem__(self, name: str, value: Any) -> None:
        self.found[name] = value
        about = conditions() | {"seed": self.seed, "weights": RANDOM}
        about |= {"seconds": round(time.perf_counter() - self.began, 1)}
        write_json(self.path, about | self.found)
        sys.stdout.write(f"[{about['seconds']} s] {name}: {json.dumps(value)[:600]}\n")
        sys.stdout.flush()


def transformer(
    device: str, dtype: torch.dtype = torch.bfloat16, tiny: bool = False, **changes: Any
) -> VTAWanTransformer3DModel:
    """Wan2.1-T2V-14B, or a tiny one, in the precisions that from_pretrained gives it."""
    config = {**WAN_CONFIGS["wan2.1-14b"].transformer, **(TINY if tiny else {}), **changes}
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = VTAWanTransformer3DModel(**config).eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(torch.float32)
    model.rope = WanRotaryPosEmbed(config["attention_head_dim"], config["patch_size"], 1024).to(device)
    kept = model._keep_in_fp32_modules
    for name, tensor in [*model.named_parameters()]:
        if any(part in kept for part in name.split(".")):
            tensor.data = tensor.data.float()
    return model


def latents(device: str, size: tuple[int, int], frames: int = 81, channels: int = 16) -> torch.Tensor:
    """Noise of one video, in bf16."""
    shape = (1, channels, 1 + (frames - 1) // 4, size[0] // 8, size[1] // 8)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device, torch.bfloat16)


@contextmanager
def measured(into: dict[str, Any], name: str) -> Iterator[None]:
    """Seconds and peak memory of what happens inside."""
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    yield
    if gpu:
        torch.cuda.synchronize()
    into[name] = {"seconds": round(time.perf_counter() - began, 6)}
    if gpu:
        into[name]["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)

"""Low-rank training through peft."""

import hashlib
import re

import torch
from torch import Tensor, nn

from pusa_lab.arguments import checked

MOST_RANK = 2**16
"""Of a low-rank update."""
WAN_LAYERS = r"(^|\.)blocks\.\d+\.(attn[12]\.to_(q|k|v|out)|ffn\.)"
"""Pusa's choice: q, k, v, o, ffn.0 and ffn.2 of every block, in self- and cross-attention."""


class _Float32Linear(nn.Linear):
    """A linear layer with weights in float32 that computes in its input's precision."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight.to(x.dtype))


@checked
def add_lora(model: nn.Module, rank: int, layers: str = "") -> None:
    """Freeze a model and give its linear layers trainable low-rank updates: W x + B A x, B = 0 at first.

    A and B are in float32 whatever W is, so that small steps of the optimizer are not rounded away.

    Args:
        model: changed in place.
        rank: of the updates, 1 to MOST_RANK.
        layers: regular expression for the names of the layers, all linear ones if empty.

    Raises:
        ValueError: no layer has such a name, or the rank is out of range.

    Source: arXiv 2106.09685.
    """
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    linear = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    targets = [name for name in linear if re.search(layers, name)]
    if not targets:
        raise ValueError(f"layers={layers!r:.60} names no linear layer of the model: give another expression.")
    if not 1 <= rank <= MOST_RANK:
        raise ValueError(f"rank={rank}: a low-rank update has a rank of 1 to {MOST_RANK:,}.")
    model.requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=targets), model)
    for layer in model.modules():
        if isinstance(layer, LoraLayer):
            layer.cast_input_dtype_enabled = False
            for low in (*layer.lora_A.values(), *layer.lora_B.values()):
                low.float().__class__ = _Float32Linear


@checked
def lora_state(model: nn.Module) -> dict[str, Tensor]:
    """What was trained: "<layer>.lora_A.weight" and "<layer>.lora_B.weight", and other trained parameters by name.

    Args:
        model: after `add_lora` and training.
    """
    trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    return {name.replace(".default.", ".").replace(".base_layer.", "."): torch.clone(p) for name, p in trained.items()}


@checked
def frozen_mark(model: nn.Module) -> str:
    """A short name that changes with the frozen weights, made of some numbers of each: there may be billions.

    Args:
        model: after `add_lora`.
    """
    frozen = [p.detach().flatten() for p in model.parameters() if not p.requires_grad]
    some = [p[:: max(1, len(p) // 64)].float() for p in frozen]
    return hashlib.sha256(torch.cat(some).cpu().numpy().tobytes() if some else b"").hexdigest()[:16]

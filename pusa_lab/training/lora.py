"""LoRA training with PEFT."""

import re

import torch
from torch import Tensor, nn

from pusa_lab.arguments import checked
from pusa_lab.digests import numbers_digest

MOST_RANK = 2**16
"""Largest rank of a low-rank update."""
WAN_LAYERS = r"(^|\.)blocks\.\d+\.(attn[12]\.to_(q|k|v|out)|ffn\.)"
"""Pusa's choice: q, k, v and o of self- and cross-attention, and ffn.0 and ffn.2, in every block."""


class _Float32Linear(nn.Linear):
    """A linear layer with float32 weights that computes in the type of its input."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight.to(x.dtype))


@checked
def add_lora(model: nn.Module, rank: int, layers: str = "") -> None:
    """Freeze a model and add a trainable low-rank update to its linear layers.

    y = W x + B A x, with B = 0 at first

    A and B are in float32 whatever the type of W, so that small optimizer steps are not rounded away.

    Args:
        model: changed in place.
        rank: of the updates, 1 to MOST_RANK.
        layers: regular expression, searched in the names of the linear layers; "" selects all of them.

    Raises:
        ValueError: no linear layer matches, or the rank is out of range.

    Source: arXiv 2106.09685.
    """
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    linear = {name: module for name, module in model.named_modules() if name and isinstance(module, nn.Linear)}
    targets = [name for name in linear if re.search(layers, name)]
    if not targets:
        raise ValueError(f"layers={layers!r:.60} matches no linear layer of the model: give another expression.")
    if not 1 <= rank <= MOST_RANK:
        raise ValueError(f"rank={rank}: give 1 to {MOST_RANK:,}.")
    model.requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=targets), model)
    for layer in model.modules():
        if isinstance(layer, LoraLayer):
            layer.cast_input_dtype_enabled = False
            for low in (*layer.lora_A.values(), *layer.lora_B.values()):
                low.float().__class__ = _Float32Linear


@checked
def lora_state(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of the trained parameters: "<layer>.lora_A.weight" and "<layer>.lora_B.weight", and any others.

    Args:
        model: after `add_lora` and training.
    """
    trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    return {name.replace(".default.", ".").replace(".base_layer.", "."): torch.clone(p) for name, p in trained.items()}


@checked
def frozen_mark(model: nn.Module) -> str:
    """Digest of the frozen weights, from 64 numbers of each.

    Args:
        model: after `add_lora`.
    """
    return numbers_digest(p for p in model.parameters() if not p.requires_grad)

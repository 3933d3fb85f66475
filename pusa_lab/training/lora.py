"""Low-rank training through peft."""

import re

import torch
from torch import Tensor, nn


def add_lora(model: nn.Module, rank: int, layers: str = "") -> None:
    """Freeze a model and give its linear layers trainable low-rank updates: W x + B A x, B = 0 at first.

    Args:
        model: changed in place.
        rank: of the updates.
        layers: regular expression for the names of the layers, all linear ones if empty.

    Source: arXiv 2106.09685.
    """
    from peft import LoraConfig, inject_adapter_in_model

    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    targets = [name for name in linear if re.search(layers, name)]
    model.requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=targets), model)


def lora_state(model: nn.Module) -> dict[str, Tensor]:
    """What was trained: "<layer>.lora_A.weight" and "<layer>.lora_B.weight", and other trained parameters by name.

    Args:
        model: after `add_lora` and training.
    """
    trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    return {name.replace(".default.", ".").replace(".base_layer.", "."): torch.clone(p) for name, p in trained.items()}

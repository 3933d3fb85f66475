"""Low-rank updates put into the weights they belong to."""

import torch
from torch import nn

A, B = ".lora_A.weight", ".lora_B.weight"


def merge(model: nn.Module, update: dict[str, torch.Tensor], strength: float = 1.0) -> None:
    """Add low-rank updates to a model's weights, and set the layers that an update brings whole.

    W <- W + strength B A

    Args:
        model: changed in place.
        update: "<layer>.lora_A.weight" (rank, in), "<layer>.lora_B.weight" (out, rank), or whole parameters by name.
        strength: 1 is as trained.

    Raises:
        ValueError: a tensor belongs nowhere, or does not fit where it belongs.
    """
    state = model.state_dict(keep_vars=True)
    with torch.no_grad():
        for name, value in update.items():
            if name.endswith(B):
                continue
            layer = name.removesuffix(A)
            target = state.get(f"{layer}.weight" if name.endswith(A) else name)
            change = update[layer + B] @ value if name.endswith(A) else value
            if target is None or target.shape != change.shape:
                raise ValueError(f"the update's {name} {tuple(value.shape)} fits no layer of the model: give its own.")
            target.copy_(target + strength * change if name.endswith(A) else change)

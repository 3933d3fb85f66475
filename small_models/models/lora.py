"""Low-rank updates put into the weights they belong to."""

import torch
from torch import nn

from pusa_lab.arguments import checked
from small_models.files import all_finite

A, B = ".lora_A.weight", ".lora_B.weight"


@checked
def merge_update(model: nn.Module, update: dict[str, torch.Tensor], strength: float = 1.0) -> None:
    """Add low-rank updates to a model's weights, and set the layers that an update brings whole.

    W <- W + strength B A

    Args:
        model: changed in place.
        update: "<layer>.lora_A.weight" (rank, in), "<layer>.lora_B.weight" (out, rank), or whole parameters by name.
        strength: 1 is as trained.

    Raises:
        ValueError: a tensor belongs nowhere, does not fit where it belongs or lacks its other factor, or the strength
            makes weights that are not finite.
    """
    state = model.state_dict(keep_vars=True)
    with torch.no_grad():
        for name, value in update.items():
            low = name.endswith((A, B))
            layer = name.removesuffix(A).removesuffix(B)
            target = state.get(f"{layer}.weight" if low else name)
            a, b = (update.get(layer + A), update.get(layer + B)) if low else (None, None)
            if target is None or not (_fits(target, a, b) if low else value.shape == target.shape):
                raise ValueError(f"the update's {name} {tuple(value.shape)} fits no layer of the model: give its own.")
            if a is not None and b is not None and name.endswith(A):
                target.copy_(target + strength * (b @ a))
            elif not low:
                target.copy_(value)
            if not all_finite(target):
                raise ValueError(f"strength={strength} gives weights of {layer} that are not finite: give less.")


def _fits(target: torch.Tensor, a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
    """Before they are multiplied: small factors may have a huge product."""
    if a is None or b is None or not a.ndim == b.ndim == target.ndim == 2:
        return False
    return target.shape == (b.shape[0], a.shape[1]) and a.shape[0] == b.shape[1]

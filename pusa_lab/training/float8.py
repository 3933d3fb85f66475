"""Frozen linear layers that multiply in 8 bits: faster, with an error that must be measured."""

from typing import Any

import torch
from torch import Tensor, nn

from pusa_lab.arguments import checked
from pusa_lab.float8 import product, quantise
from pusa_lab.sentences import counted


@checked
class Float8Linear(nn.Module):
    """A frozen linear layer that computes its output and its input gradient from 8-bit numbers, scaled row by row.

    y = s_x s_w (q_x q_w^T) + b, q = round(x / s), s = max|x| / 448 of each row

    The weights are stored twice, with scales per output and per input, which takes as much memory as 16 bits.

    Args:
        linear: a frozen layer; its numbers of inputs and outputs are multiples of 16.

    Raises:
        ValueError: the layer is not frozen, or a size is not a multiple of 16.
    """

    forward_weight: Tensor
    forward_scale: Tensor
    backward_weight: Tensor
    backward_scale: Tensor

    def __init__(self, linear: nn.Linear):
        super().__init__()
        if linear.weight.requires_grad or linear.in_features % 16 or linear.out_features % 16:
            raise ValueError(
                f"linear has {counted(linear.in_features, 'input')} and {counted(linear.out_features, 'output')}, "
                f"requires_grad={linear.weight.requires_grad}: give a frozen layer with multiples of 16."
            )
        self.bias = linear.bias
        for name, weight in (("forward", linear.weight), ("backward", linear.weight.T)):
            q, scale = quantise(weight.detach())
            self.register_buffer(f"{name}_weight", q.contiguous(), persistent=False)  # the product takes the transpose
            self.register_buffer(f"{name}_scale", scale.T.contiguous(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer: (..., inputs) to (..., outputs), in the type of x.

        Args:
            x: (..., inputs) in bfloat16.
        """
        weights = (self.forward_weight, self.forward_scale, self.backward_weight, self.backward_scale)
        y = _Product.apply(x.flatten(0, -2), *weights).unflatten(0, x.shape[:-1])
        return y if self.bias is None else y + self.bias


@checked
def to_float8(model: nn.Module) -> None:
    """Replace the frozen layer under every LoRA by a `Float8Linear`.

    Args:
        model: after `add_lora`; changed in place.

    Raises:
        ValueError: as `Float8Linear`.
    """
    from peft.tuners.lora import LoraLayer

    for layer in model.modules():
        if isinstance(layer, LoraLayer):
            layer.base_layer = Float8Linear(layer.base_layer)  # type: ignore[arg-type]


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, s: Tensor, back_w: Tensor, back_s: Tensor) -> Tensor:
        ctx.save_for_backward(back_w, back_s)
        return product(x, w, s)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        return product(grads[0].contiguous(), *ctx.saved_tensors), None, None, None, None

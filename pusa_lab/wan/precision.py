"""In which numbers Wan's transformer computes, and its large linear layers in float8, for sampling."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pusa_lab.arguments import checked
from pusa_lab.float8 import product, quantise
from pusa_lab.types import computes_in_bfloat16

DTYPES = (torch.bfloat16, torch.float16, torch.float32)
"""Types in which the transformer can compute."""
PRECISIONS = ("float8", "float8-storage")
"""float8: the large linear layers multiply 8-bit numbers; float8-storage: large weights are stored in 8 bits, and cast
to `dtype` before each use."""
LAYERS = (
    *("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0"),
    *("attn2.to_q", "attn2.to_out.0", "ffn.net.0.proj", "ffn.net.2"),
)
"""Layers of each block that multiply in float8: those that see every token."""
CAPABILITY = (8, 9)
"""Compute capability from which NVIDIA's GPUs multiply 8-bit numbers: Ada and Hopper."""


@checked
def settle_precision(
    precision: str | None, dtype: torch.dtype | None, device: torch.device, config: Mapping[str, Any]
) -> torch.dtype:
    """The type in which the transformer computes beside `precision`, checked before any weights are read.

    Args:
        precision: one of `PRECISIONS`, or None.
        dtype: one of `DTYPES`; None is bfloat16, or float16 on a GPU without bfloat16.
        device: on which it will compute.
        config: of the transformer, with diffusers' names.

    Raises:
        ValueError: precision or dtype is unknown, they do not go together, or device or sizes do not allow float8.
    """
    if precision not in (None, *PRECISIONS):
        raise ValueError(f"unknown precision {precision!r:.60}: choose float8 or float8-storage, or leave it out.")
    if dtype is None:
        dtype = torch.bfloat16 if computes_in_bfloat16(device) else torch.float16
    if dtype not in DTYPES:
        raise ValueError(
            f"dtype={dtype!r}: give one of {', '.join(map(str, DTYPES))}; for 8 bits precision='float8' or "
            "'float8-storage'."
        )
    if precision == "float8":
        _check_float8(dtype, device, config)
    return dtype


def _check_float8(dtype: torch.dtype, device: torch.device, config: Mapping[str, Any]) -> None:
    instead = "use precision='float8-storage', or leave it out"
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < CAPABILITY:
        raise ValueError(
            f"precision='float8' on a {torch.cuda.get_device_name(device)}: products of 8-bit numbers need an Ada, "
            f"Hopper or newer GPU (compute capability 8.9); {instead}."
        )
    if dtype != torch.bfloat16:
        raise ValueError(f"precision='float8' with dtype={dtype}: its sums are in bfloat16; leave out dtype.")
    widths = config["num_attention_heads"] * config["attention_head_dim"], config["ffn_dim"]
    if device.type == "cuda" and any(width % 16 for width in widths):
        raise ValueError(
            f"precision='float8' for a transformer {widths[0]} wide, {widths[1]} in the feed-forward: a GPU takes "
            f"multiples of 16; {instead}."
        )


@checked
def saved_bytes(precision: str | None, dtype: torch.dtype, config: Mapping[str, Any], whole: int) -> int:
    """What the weights of a transformer take less in `precision` than in dtype, scales left out.

    Args:
        precision: one of `PRECISIONS`, or None.
        dtype: of the weights.
        config: of the transformer, with diffusers' names.
        whole: bytes in dtype.
    """
    less = dtype.itemsize - 1
    if precision != "float8":
        return whole * less // dtype.itemsize if precision else 0
    d = config["num_attention_heads"] * config["attention_head_dim"]
    return less * config["num_layers"] * (6 * d * d + 2 * d * config["ffn_dim"])


@checked
class RowScaledLinear(nn.Linear):
    """A linear layer for sampling that multiplies 8-bit numbers, with a scale for each row of inputs and weights.

    y = s_x s_w (q_x q_w^T) + b, q = round(x / s), s = max|x| / 448 of each row

    An `nn.Linear` with plain tensors, so PEFT puts adapters on it, and offloading moves it like any other.

    Args:
        linear: the layer; its weights are left as they are.
        device: on which they are quantised; None is their own, which is where the results stay.
    """

    scale: Tensor
    """Of each output, (1, outputs)."""
    compute_dtype = torch.bfloat16
    """In which adapters compute: PEFT would take the type of the weights."""

    def __init__(self, linear: nn.Linear, device: torch.device | None = None):
        super().__init__(linear.in_features, linear.out_features, bias=False, device="meta")
        home = linear.weight.device
        q, scale = quantise(linear.weight.detach().to(device or home))
        self.weight = nn.Parameter(q.to(home), requires_grad=False)
        self.bias = linear.bias
        self.register_buffer("scale", scale.T.contiguous().to(home))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer: (..., inputs) to (..., outputs), in the type of x.

        Args:
            x: (..., inputs) in bfloat16.

        Raises:
            ValueError: a gradient is wanted.
        """
        if x.requires_grad and torch.is_grad_enabled():
            raise ValueError(
                "a gradient through a model with precision='float8', which has none: sample under torch.no_grad(); to "
                "train, load it without precision= and call train_wan(..., float8=True)."
            )
        y = product(x.flatten(0, -2), self.weight, self.scale).unflatten(0, x.shape[:-1])
        return y if self.bias is None else y + self.bias


@checked
def large_linears(transformer: nn.Module) -> dict[str, nn.Linear]:
    """The layers of each block that are worth multiplying in float8, by path; below an adapter, the one that it adapts.

    They see every token: queries, keys, values and output of self-attention, queries and output of cross-attention, and
    both layers of the feed-forward; all but 1 % of what the 14B multiplies outside attention itself. Keys and values of
    cross-attention see 512 tokens of the caption. Embeddings, modulation and the output head are small too, and an
    error there reaches every block or the video itself.

    Args:
        transformer: a Wan, with or without adapters.
    """
    found = {}
    for path, module in transformer.named_modules():
        plain = path.removesuffix(".base_layer")
        if isinstance(module, nn.Linear) and plain.startswith("blocks.") and plain.split(".", 2)[2] in LAYERS:
            found[path] = module
    return found


@checked
def use_float8(transformer: nn.Module, device: torch.device | None = None) -> None:
    """Make a transformer's `large_linears` multiply in float8; LoRAs that are to be merged are merged before.

    Args:
        transformer: a Wan in bfloat16, with or without attached adapters; changed in place.
        device: on which weights are quantised, one layer at a time; None is their own.

    Raises:
        ValueError: the weights are not in bfloat16, or the model is compiled or offloaded.
    """
    linears = large_linears(transformer)
    check_plain(transformer, "use_float8(transformer)")
    if wrong := [path for path, layer in linears.items() if layer.weight.dtype != torch.bfloat16]:
        dtype = linears[wrong[0]].weight.dtype
        raise ValueError(f"{wrong[0]} has weights in {dtype}: load the model in torch.bfloat16, without precision=.")
    for path, layer in linears.items():
        parent, _, name = path.rpartition(".")
        setattr(transformer.get_submodule(parent), name, RowScaledLinear(layer, device))


@checked
def check_plain(transformer: nn.Module, call: str) -> None:
    """Refuse a model whose layers can no longer be replaced or watched.

    Args:
        transformer: a Wan.
        call: what the person wrote, for the sentence.

    Raises:
        ValueError: there are no blocks of a Wan, or the model is compiled or offloaded.
    """
    for module in transformer.modules():
        if hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None:
            raise ValueError(f"{call} of a compiled model: call it before the model is compiled.")
        if hasattr(module, "_hf_hook") or _in_groups(module):
            raise ValueError(f"{call} of an offloaded model: call it before the model is offloaded.")
    if not large_linears(transformer):
        raise ValueError(f"{call} of a {type(transformer).__name__}: give a Wan's transformer.")


def _in_groups(module: Any) -> bool:
    registry = getattr(module, "_diffusers_hook", None)
    return registry is not None and registry.get_hook("group_offloading") is not None

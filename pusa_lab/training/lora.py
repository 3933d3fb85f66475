"""LoRA training with PEFT."""

import copy
import re
from typing import Any, Literal

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
def add_lora(
    model: nn.Module,
    rank: int,
    layers: str = "",
    variant: Literal["lora", "rslora", "dora"] = "lora",
    alpha: float | int | None = None,
) -> None:
    """Freeze a model and add a trainable low-rank update to its linear layers.

    y = W x + s B A x, with B = 0 at first; s = alpha / rank, and alpha / sqrt(rank) with rsLoRA. DoRA trains the norm m
    of every row of the sum too: y = m (W + s B A) / ||W + s B A|| x, with m = ||W|| at first

    A and B are in float32 whatever the type of W, so that small optimizer steps are not rounded away.

    Args:
        model: changed in place.
        rank: of the updates, 1 to MOST_RANK.
        layers: regular expression, searched in the names of the linear layers; "" selects all of them.
        variant: lora, rslora or dora.
        alpha: above 0; None is the rank.

    Raises:
        ValueError: no linear layer matches, the rank or alpha is out of range, or the model has such updates already.

    Source: LoRA, arXiv 2106.09685; rsLoRA, 2312.03732; DoRA, 2402.09353.
    """
    from peft import LoraConfig, inject_adapter_in_model

    if _lora_layers(model):
        raise ValueError("the model has a low-rank update already: load the model anew, and give one rank for all.")
    linear = {name: module for name, module in model.named_modules() if name and isinstance(module, nn.Linear)}
    try:
        targets = [name for name in linear if re.search(layers, name)]
    except re.error as error:
        raise ValueError(f"layers={layers!r:.60} is not a valid regular expression ({error}): mend it.") from None
    if not targets:
        raise ValueError(f"layers={layers!r:.60} matches no linear layer of the model: give another expression.")
    if not 1 <= rank <= MOST_RANK:
        raise ValueError(f"rank={rank}: give 1 to {MOST_RANK:,}.")
    alpha = rank if alpha is None else alpha
    if not 0 < alpha <= MOST_RANK:
        raise ValueError(f"alpha={alpha}: give a number above 0, at most {MOST_RANK:,}.")
    model.requires_grad_(False)
    kind = {"use_rslora": variant == "rslora", "use_dora": variant == "dora"}
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets, **kind), model)
    for layer in _lora_layers(model).values():
        layer.cast_input_dtype_enabled = False
        for low in (*layer.lora_A.values(), *layer.lora_B.values()):
            low.float().__class__ = _Float32Linear


@checked
def lora_state(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of the trained parameters: "<layer>.lora_A.weight" and "<layer>.lora_B.weight", and any others.

    The factor s of `add_lora` is in B, so that the whole update is B A.

    Args:
        model: after `add_lora` and training.

    Raises:
        ValueError: the model has no update of `add_lora`, or it is DoRA's, which is not a product of two factors.
    """
    scales = {f"{name}.lora_B": layer.scaling["default"] for name, layer in _updated_layers(model).items()}
    found = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            if "lora_magnitude_vector" in name:
                raise ValueError("the update is DoRA's, which has no two factors: use training.lora_changes(model).")
            part = name.removesuffix(".default.weight")
            found[name.replace(".default.", ".").replace(".base_layer.", ".")] = p.detach() * scales.get(part, 1.0)
    return found


@checked
def lora_changes(model: nn.Module) -> dict[str, Tensor]:
    """Return what training changed of every weight that has a low-rank update, W' - W, whatever its variant.

    The changes are computed and returned in float32, so that those of weights in half precision are not rounded away.

    Args:
        model: after `add_lora` and training, with the updates not merged into W; it is not changed.

    Raises:
        ValueError: the model has no update of `add_lora`, or PEFT has merged it.
    """
    found = {}
    for name, layer in _updated_layers(model).items():
        if layer.merged:
            raise ValueError(f"the update of {name} is merged into its weight: call unmerge() on the layer first.")
        merged = copy.deepcopy(layer).float()
        merged.merge()
        found[f"{name}.weight"] = (merged.get_base_layer().weight - layer.get_base_layer().weight).detach()
    return found


def _updated_layers(model: nn.Module) -> dict[str, Any]:
    """The layers that `add_lora` changed."""
    layers = {name: layer for name, layer in _lora_layers(model).items() if "default" in layer.scaling}
    if not layers:
        raise ValueError("the model has no low-rank update: call training.add_lora(model, rank) and train it first.")
    return layers


def _lora_layers(model: nn.Module) -> dict[str, Any]:
    from peft.tuners.lora import LoraLayer

    return {name: layer for name, layer in model.named_modules() if isinstance(layer, LoraLayer)}


@checked
def frozen_mark(model: nn.Module) -> str:
    """Digest of the frozen weights, from 64 numbers of each.

    Args:
        model: after `add_lora`.
    """
    return numbers_digest(p for p in model.parameters() if not p.requires_grad)

"""Low-rank pairs as PEFT adapters of a model, or added to its weights."""

import math
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from diffusers.hooks.group_offloading import _maybe_remove_and_reapply_group_offloading
from torch import Tensor, nn

from pusa_lab.arguments import checked, shown
from pusa_lab.wan.lora.match import Pair
from pusa_lab.wan.lora.names import WRAPPERS
from pusa_lab.wan.precision import RowScaledLinear


@checked
def unwrapped(model: nn.Module) -> Any:
    """Return the model itself, without the wrapper of torch.compile.

    Args:
        model: compiled or not.
    """
    return getattr(model, "_orig_mod", model)


def _plain(path: str) -> str:
    """Path of a module without the names of wrappers, such as that of torch.compile."""
    return re.sub(rf"(^|\.)(?:(?:{WRAPPERS})\.)+", r"\1", f"{path}.").removesuffix(".")


@checked
def base_weights(model: WanTransformer3DModel) -> dict[str, nn.Parameter]:
    """Return the model's own parameters, named as without adapters.

    Args:
        model: with or without adapters.
    """
    named = model.named_parameters()
    return {_plain(name).replace(".base_layer.", "."): p for name, p in named if ".lora_" not in name}


@checked
def layers(model: WanTransformer3DModel, name: str | None = None) -> dict[str, Any]:
    """Return PEFT's layers by path.

    Args:
        model: with or without adapters.
        name: of an adapter; only layers that hold it are returned. None returns all.
    """
    wrapped = {
        _plain(path): m for path, m in model.named_modules() if hasattr(m, "lora_A") and hasattr(m, "base_layer")
    }
    return {path: m for path, m in wrapped.items() if name is None or name in m.lora_A}


@checked
def active_names(model: WanTransformer3DModel) -> list[str]:
    """Return the names of the active adapters.

    Args:
        model: with or without adapters.
    """
    return list(dict.fromkeys(n for layer in layers(model).values() for n in layer.active_adapters))


@checked
def check_ready(model: nn.Module) -> None:
    """Refuse a model that cannot take a LoRA.

    Args:
        model: to be changed.

    Raises:
        ValueError: the model is not a transformer, is offloaded or has no weights, its weights cannot compute beside an
            adapter, or diffusers has fused weights or projections.
    """
    if not hasattr(model, "load_lora_adapter"):
        raise ValueError(
            f"a {type(model).__name__} takes no LoRA: give the transformer (of a pipeline, its .transformer)."
        )
    if any(layer.merged for layer in layers(model).values()):
        raise ValueError("diffusers has fused adapters into these weights: call model.unfuse_lora() first.")
    if any(getattr(m, "fused_projections", False) for m in model.modules()):
        raise ValueError(
            "attention uses fused projections, which bypass any LoRA: call model.unfuse_qkv_projections() first."
        )
    if any(hasattr(m, "_hf_hook") for m in model.modules()):
        raise ValueError(
            "the model is offloaded by accelerate (enable_model_cpu_offload or enable_sequential_cpu_offload): load "
            "the LoRA before that, or use offload='model' or 'group' of WanModel."
        )
    if any(p.is_meta for p in model.parameters()):
        raise ValueError("the model's weights are on the meta device and have no numbers: load them before a LoRA.")
    _check_precision(model)


def _check_precision(model: nn.Module) -> None:
    """Refuse weights in 8 bits or less that are not cast to a wider type in the forward."""
    if any(type(m).__name__ == "Float8Linear" for m in model.modules()):
        raise ValueError("the model's layers were converted by to_float8 for training: load the LoRA before that.")
    for path, module in model.named_modules():
        for p in module.parameters(recurse=False):
            if not p.is_floating_point() or (p.dtype.itemsize < 2 and _casting(module) is None):
                kind = str(p.dtype).removeprefix("torch.")
                raise ValueError(
                    f"{path} has weights in {kind}, which no hook casts to a type that a LoRA can be added to: load "
                    f"the model in bfloat16, then the LoRA, then call model.enable_layerwise_casting()."
                )


def _casting(module: Any) -> torch.dtype | None:
    """Type in which a layer with weights in 8 bits computes; None where it is that of its weights."""
    if isinstance(module, RowScaledLinear):
        return module.compute_dtype
    registry = getattr(module, "_diffusers_hook", None)
    hook = registry and registry.get_hook("layerwise_casting")
    return hook.compute_dtype if hook else None


@checked
def check_exact(model: nn.Module, parameters: Iterable[str]) -> None:
    """Refuse to change weights that are stored in 8 bits, where most of a LoRA's update would be rounded away.

    Args:
        model: to be changed.
        parameters: names of the parameters that would change.

    Raises:
        ValueError: one of them is stored in 8 bits, or is not in the model.
    """
    weights = base_weights(model)
    parameters = list(parameters)
    _check_known(parameters, weights)
    for name in parameters:
        if weights[name].dtype.itemsize < 2:
            raise ValueError(
                f"{name} is stored in {str(weights[name].dtype).removeprefix('torch.')}, which would round most of the "
                f"LoRA's update away: merge in bfloat16 and cast afterwards, or leave the LoRA attached."
            )


def _check_known(names: Iterable[str], weights: Mapping[str, Tensor]) -> None:
    if unknown := [name for name in names if name not in weights]:
        raise ValueError(f"the model has no weight {unknown[0]!r:.100}: give names of its own weights.")


@checked
def attach(model: WanTransformer3DModel, name: str, pairs: Mapping[str, Pair]) -> None:
    """Add pairs to a model as an adapter, and activate it in addition to the active ones.

    Args:
        model: changed in place.
        name: of the new adapter.
        pairs: by module; copied to the device and type of the weights that they change.

    Raises:
        ValueError: the name is empty, holds a dot or is taken, or a pair fits no module of the model.
    """
    if not pairs:
        return
    if not name or "." in name or name in getattr(model, "peft_config", {}):
        raise ValueError(f"name={name!r:.60}: give an adapter's name without dots that the model does not have yet.")
    _check_pairs(pairs, base_weights(model))
    active, weights, modules = active_names(model), base_weights(model), {}
    for path, module in model.named_modules():
        if _plain(path) in pairs:
            modules[_plain(path)] = path, _casting(getattr(module, "base_layer", module))
    tensors = {}
    for path, pair in pairs.items():
        like, (real, casting) = weights[f"{path}.weight"], modules[path]
        tensors[f"{real}.lora_A.weight"] = pair.a.to(like.device, casting or like.dtype, copy=True)
        tensors[f"{real}.lora_B.weight"] = pair.b.to(like.device, casting or like.dtype, copy=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config`")  # several adapters are intended
        model.load_lora_adapter(
            tensors,
            prefix=None,
            adapter_name=name,
            metadata=_config({modules[path][0]: pair for path, pair in pairs.items()}),
            low_cpu_mem_usage=True,
        )
    model.set_adapter([*active, name])  # loading deactivates the others in every layer that holds this one
    for path, layer in layers(model, name).items():
        layer.scaling[name] = pairs[path].scale
        real, casting = modules[path]
        if casting:  # PEFT gives A and B the type in which the weights are stored
            layer.lora_A[name].weight.data = tensors[f"{real}.lora_A.weight"]
            layer.lora_B[name].weight.data = tensors[f"{real}.lora_B.weight"]
    _maybe_remove_and_reapply_group_offloading(model)  # otherwise it ignores the new weights


def _check_pairs(pairs: Mapping[str, Pair], weights: Mapping[str, Tensor]) -> None:
    _check_known([f"{path}.weight" for path in pairs], weights)
    for path, pair in pairs.items():
        weight, rank = weights[f"{path}.weight"], len(pair.a)
        if not rank or pair.a[0].numel() != weight[0].numel() or pair.b.numel() != len(weight) * rank:
            raise ValueError(
                f"A {tuple(pair.a.shape)} and B {tuple(pair.b.shape)} of {path} do not fit a weight of "
                f"{tuple(weight.shape)}: give the pairs of a LoRA for this model."
            )


def _config(pairs: Mapping[str, Pair]) -> dict[str, Any]:
    rank, ranks = _common({path: pair.rank for path, pair in pairs.items()})
    alpha, alphas = _common({path: pair.alpha for path, pair in pairs.items()})
    return {
        "r": rank,
        "rank_pattern": ranks,
        "lora_alpha": alpha,
        "alpha_pattern": alphas,
        "target_modules": list(pairs),
    }


def _common(values: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The most common value, and a pattern of paths for each other value, as in PEFT's configuration."""
    common = Counter(values.values()).most_common(1)[0][0]
    others: dict[Any, list[str]] = {}
    for path, value in values.items():
        if value != common:
            others.setdefault(value, []).append(f"^{re.escape(path)}")
    return common, {"|".join(paths): value for value, paths in others.items()}


@checked
def detach(model: WanTransformer3DModel, name: str) -> None:
    """Remove an adapter from a model; with the last one, PEFT's layers are removed too.

    Args:
        model: with or without the adapter.
        name: of the adapter.
    """
    if name not in getattr(model, "peft_config", {}):
        return
    # otherwise PEFT would activate another adapter in its place, even one that was switched off
    model.set_adapter([n for n in active_names(model) if n != name])
    model.delete_adapters(name)
    if not getattr(model, "peft_config", None):
        model.unload_lora()


@checked
def pairs_of(model: WanTransformer3DModel, name: str) -> dict[str, Pair]:
    """Return the pairs of an adapter, by module, as the forward uses them.

    Args:
        model: with or without the adapter.
        name: of the adapter.
    """
    return {
        path: Pair(
            layer.lora_A[name].weight.detach(),
            layer.lora_B[name].weight.detach(),
            layer.lora_alpha[name],
            layer.scaling[name],
        )
        for path, layer in layers(model, name).items()
    }


@checked
@torch.no_grad()
def add_pairs(model: WanTransformer3DModel, pairs: Mapping[str, Pair], sign: int) -> None:
    """Add low-rank pairs to the weights, computed in float32 and rounded once.

    W <- W + sign * scale * B A

    Args:
        model: changed in place.
        pairs: by module.
        sign: 1 to add, -1 to subtract.

    Raises:
        ValueError: a pair fits no module of the model.
    """
    weights = base_weights(model)
    _check_pairs(pairs, weights)
    for path, pair in pairs.items():
        weight = weights[f"{path}.weight"]
        a, b = (t.flatten(1).to(weight.device).float() for t in (pair.a, pair.b))
        changed = torch.addmm(weight.flatten(1).float(), b, a, alpha=sign * pair.scale)
        weight.copy_(changed.view_as(weight))


@checked
@torch.no_grad()
def add_dense(model: WanTransformer3DModel, changes: Mapping[str, Tensor], factor: float) -> None:
    """Add updates to whole parameters, computed in float32 and rounded once.

    p <- p + factor * change

    Args:
        model: changed in place.
        changes: by parameter, each of the parameter's shape.
        factor: any finite number.

    Raises:
        ValueError: a change fits no parameter of the model, or factor is not finite.
    """
    weights = base_weights(model)
    _check_known(changes, weights)
    for name, change in changes.items():
        if change.shape != weights[name].shape or change.is_meta or not math.isfinite(factor):
            raise ValueError(
                f"factor={factor} and a change of {name} that is {shown(change)}: give a finite number and a change "
                f"of shape {tuple(weights[name].shape)}."
            )
    for name, change in changes.items() if factor else ():
        weights[name].copy_(weights[name].float() + factor * change.to(weights[name].device).float())

"""Pipelines that accelerate or diffusers offloads already: their hooks are taken off, and the model moves the parts."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from pusa_lab.arguments import checked

PARTS = ("transformer", "transformer_2", "vae", "text_encoder")
"""Parts of a pipeline that have weights."""
HOOKS = ("group_offloading", "layer_execution_tracker", "lazy_prefetch_group_offloading")
"""Hooks of diffusers' offloading in groups, in the order in which it takes them off itself."""


@checked
def take_over(pipe: Any) -> tuple[str, torch.device | None]:
    """Take the hooks that offload a pipeline off its parts, whose weights are then on the CPU.

    Args:
        pipe: a pipeline of diffusers, perhaps with `enable_model_cpu_offload`, `enable_sequential_cpu_offload` or
            `enable_group_offload`.

    Returns:
        The way of offloading that is nearest: model if parts were moved as a whole, group if they were moved in pieces,
        none if they were not; and the device on which they computed, None if they were not offloaded.

    Raises:
        ValueError: a part has no weights in memory, as when they are offloaded to the disk.
    """
    parts = {name: part for name in PARTS if (part := getattr(pipe, name)) is not None}
    for name, part in parts.items():
        if any(hook.config.offload_to_disk_path for hook in _group_hooks(part)):
            raise _refusal(name)
    found = [pair for part in parts.values() for pair in _lifted(part)]
    for name, part in parts.items():
        if any(weight.is_meta for weight in part.parameters()):
            raise _refusal(name)
    ways = [way for way, _ in found]
    way = "none" if not ways else "group" if "group" in ways else "model"
    return way, torch.device(found[0][1]) if found else None


def _refusal(name: str) -> ValueError:
    return ValueError(
        f"the pipeline's {name} has no weights in memory: load the pipeline without offloading to the disk and let the "
        f"model offload it, with from_pipeline(pipe, offload='model') or 'group'."
    )


def _lifted(part: nn.Module) -> Iterator[tuple[str, Any]]:
    """Take off a part's hooks; gives how each of them offloads, and the device on which it computes."""
    accelerates = [hook for module in part.modules() for hook in _accelerates(module)]
    found = [("model" if type(hook).__name__ == "CpuOffload" else "group", hook) for hook in accelerates]
    yield from ((way, hook.execution_device) for way, hook in found)
    if found:
        from accelerate.hooks import remove_hook_from_module

        remove_hook_from_module(part, recurse=True)
    if groups := _group_hooks(part):
        yield "group", groups[0].config.onload_device
        from diffusers.hooks import HookRegistry

        registry = HookRegistry.check_if_exists_or_initialize(part)
        for name in HOOKS:
            registry.remove_hook(name, recurse=True)
    for module in part.modules():  # where both put back the method of the class as an attribute
        forward = vars(module).get("forward")
        if getattr(forward, "__func__", None) is type(module).forward:
            del module.forward


def _accelerates(module: nn.Module) -> list[Any]:
    """Hooks of accelerate that move weights."""
    hook = getattr(module, "_hf_hook", None)
    hooks = getattr(hook, "hooks", [hook])
    return [one for one in hooks if getattr(one, "offload", False) or type(one).__name__ == "CpuOffload"]


def _group_hooks(part: nn.Module) -> list[Any]:
    """Hooks of diffusers that move groups of layers."""
    registries: list[Any] = [one._diffusers_hook for one in part.modules() if hasattr(one, "_diffusers_hook")]
    return [hook for one in registries if (hook := one.get_hook(HOOKS[0])) is not None]

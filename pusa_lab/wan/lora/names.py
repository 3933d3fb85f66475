"""Names of layers in LoRA files: conversion of keys from any naming to diffusers', and to the namings for writing."""

import re
from collections.abc import Iterable
from typing import Literal

from pusa_lab.arguments import checked

ATTENTION = {"attn1": "self_attn", "attn2": "cross_attn"}
IN_ATTENTION = {
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "o",
    "add_k_proj": "k_img",
    "add_v_proj": "v_img",
    "norm_added_k": "norm_k_img",
}
# diffusers numbers the norms of a block in the order of their use, Wan in the order of their definition
IN_BLOCK = {"norm2": "norm3", "scale_shift_table": "modulation", "ffn.net.0.proj": "ffn.0", "ffn.net.2": "ffn.2"}
OUTSIDE = {
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "condition_embedder.image_embedder.norm1": "img_emb.proj.0",
    "condition_embedder.image_embedder.ff.net.0.proj": "img_emb.proj.1",
    "condition_embedder.image_embedder.ff.net.2": "img_emb.proj.3",
    "condition_embedder.image_embedder.norm2": "img_emb.proj.4",
    "proj_out": "head.head",
    "scale_shift_table": "head.modulation",
}

WRAPPERS = r"_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module"
"""Names that torch.compile, FSDP and activation checkpointing insert into the paths of modules."""
LOW_NOISE = r"transformer_2|dit2|low_noise_model"
"""Prefixes of Wan2.2's expert for low noise."""
HIGH_NOISE = "high_noise_model"
"""Prefix of Wan2.2's expert for high noise, which no other model has."""
_MODELS = rf"base_model|module|model|pipe|unet|dit|diffusion_model|transformer|{HIGH_NOISE}|{LOW_NOISE}"
PREFIXES = rf"(?:(?:{_MODELS}|{WRAPPERS})\.)*(?:(?:lora_unet|lora_transformer|lora_dit|lycoris)_+)?"
_ADAPTER = r"(?:\.(?!weight$|bias$)[\w-]+)?"
PARTS = {
    "a": rf"(?:(?:lora_[aA]|lora_down){_ADAPTER}|lora\.down|lora_linear_layer\.down)(?:\.weight)?",
    "b": rf"(?:(?:lora_[bB]|lora_up){_ADAPTER}|lora\.up|lora_linear_layer\.up)(?:\.weight)?",
    "alpha": "alpha",
    "weight": "diff|w_norm",
    "bias": "diff_b|b_norm",
    "bias of b": rf"(?:lora_[bB]|lora_up){_ADAPTER}\.bias",
}
KEYS = {part: re.compile(rf"{PREFIXES}(.+?)\.(?:{end})") for part, end in PARTS.items()}
WRITTEN = {
    "diffusers": ("transformer.", {"a": "lora_A.weight", "b": "lora_B.weight", "bias of b": "lora_B.bias"}),
    "diffsynth": ("", {"a": "lora_A.default.weight", "b": "lora_B.default.weight"}),
    "comfyui": ("diffusion_model.", {"a": "lora_down.weight", "b": "lora_up.weight", "alpha": "alpha"}),
}
"""Namings for writing -> prefix, and the ends of the keys of a low-rank pair."""


@checked
def original_name(path: str) -> str:
    """Return the name of a layer in Wan's own code.

    Args:
        path: of a module or a bare parameter, in diffusers' naming; an unknown path is returned unchanged.
    """
    block = re.fullmatch(r"(blocks\.\d+)\.(.+)", path)
    if not block:
        return OUTSIDE.get(path, path)
    attention = re.fullmatch(r"(attn[12])\.(.+)", block[2])
    if attention:
        return f"{block[1]}.{ATTENTION[attention[1]]}.{IN_ATTENTION.get(attention[2], attention[2])}"
    return f"{block[1]}.{IN_BLOCK.get(block[2], block[2])}"


@checked
def aliases(paths: Iterable[str]) -> dict[str, str]:
    """Map every name that a file may use for a layer to its path in diffusers' naming.

    Args:
        paths: of modules with weights, and of bare parameters.
    """
    names = [(name, path) for path in paths for name in (path, original_name(path))]
    names += [(name.removesuffix(".0"), path) for name, path in names if name.endswith("to_out.0")]
    return {spelled: path for name, path in names for spelled in (name, name.replace(".", "_"))}


@checked
def is_low_noise(key: str) -> bool:
    """Whether a key is marked as belonging to Wan2.2's expert for low noise.

    Args:
        key: as it stands in the file.
    """
    return bool(re.match(rf"(?:(?:{_MODELS}|{WRAPPERS})\.)*?(?:{LOW_NOISE})\.", key))


@checked
def is_high_noise(key: str) -> bool:
    """Whether a key is marked as belonging to Wan2.2's expert for high noise and to no other model.

    Args:
        key: as it stands in the file.
    """
    return bool(re.match(rf"(?:(?:{_MODELS}|{WRAPPERS})\.)*?{HIGH_NOISE}\.", key))


@checked
def read_key(key: str) -> tuple[str, str]:
    """Split a key into its layer and its part.

    Args:
        key: as it stands in the file.

    Returns:
        The layer, as named in the file, and the part, one of `PARTS`, or "" if the key is not of a LoRA.
    """
    # LightX2V's update of a block's modulation, which is a bare parameter
    key = re.sub(r"\.diff_m$", ".modulation.diff", key)
    key = re.sub(rf"\.(?:{WRAPPERS}|processor)(?=\.)", "", key)
    key = re.sub(r"_lora\.(up|down)(?=\.|$)", r".lora.\1", key)  # to_q_lora.up.weight, written by diffusers in 2023
    for part, pattern in KEYS.items():
        if found := pattern.fullmatch(key):
            return found[1], part
    return re.sub(f"^{PREFIXES}", "", key), ""


@checked
def naming_of(key: str, layer: str, path: str) -> str:
    """Return the tool that writes keys of this form.

    Args:
        key: as it stands in the file.
        layer: its layer, as named in the file.
        path: of the layer, in diffusers' naming.
    """
    if re.search(r"(?:^|\.)lora_(?:unet|transformer|dit)_", key):
        return "musubi"
    if re.search(r"(?:^|\.)lycoris_", key):
        return "lycoris"
    if "diffusion_model." in key:
        return "comfyui"
    return "diffusers" if layer == path else "diffsynth"


@checked
def written_key(naming: Literal["diffusers", "diffsynth", "comfyui"], path: str, part: str) -> str:
    """Return the key under which a part is written.

    Args:
        naming: one of `WRITTEN`.
        path: of the layer, in diffusers' naming.
        part: "a", "b", "weight" or "bias"; also "bias of b" for diffusers, and "alpha" for comfyui.

    Raises:
        ValueError: the naming has no such part.
    """
    prefix, ends = WRITTEN[naming]
    known = {"weight": "diff", "bias": "diff_b", **ends}
    if part not in known:
        raise ValueError(f"part={part!r:.60}: give a part that {naming} has, {', '.join(map(repr, known))}.")
    end = known[part]
    return f"{prefix}{path if naming == 'diffusers' else original_name(path)}.{end}"

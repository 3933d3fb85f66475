"""One layer, many names: what a LoRA file's keys mean in diffusers' naming, and how they are written in others."""

import re
from collections.abc import Iterable

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
# diffusers numbers a block's norms in the order they are used, Wan in the order they are made
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

PREFIXES = r"(?:(?:base_model|model|pipe|dit2?|diffusion_model|transformer|transformer_2)\.)*(?:lora_unet_)?"
PARTS = {
    "a": r"(?:(?:lora_A|lora_down)(?:\.[\w-]+)?|lora\.down|lora_linear_layer\.down)\.weight",
    "b": r"(?:(?:lora_B|lora_up)(?:\.[\w-]+)?|lora\.up|lora_linear_layer\.up)\.weight",
    "alpha": "alpha",
    "weight": "diff",
    "bias": r"diff_b|lora_B(?:\.[\w-]+)?\.bias",
}
KEYS = {part: re.compile(rf"{PREFIXES}(.+?)\.(?:{end})") for part, end in PARTS.items()}
WRITTEN = {
    "diffusers": ("transformer.", {"a": "lora_A.weight", "b": "lora_B.weight"}),
    "diffsynth": ("", {"a": "lora_A.default.weight", "b": "lora_B.default.weight"}),
    "comfyui": ("diffusion_model.", {"a": "lora_down.weight", "b": "lora_up.weight", "alpha": "alpha"}),
}
"""The namings that can be written: a prefix, and the ends of the keys of a low-rank pair."""


def original_name(path: str) -> str:
    """What Wan's own code calls a layer.

    Args:
        path: of a module or a bare parameter, in diffusers' naming; an unknown one keeps its name.
    """
    block = re.fullmatch(r"(blocks\.\d+)\.(.+)", path)
    if not block:
        return OUTSIDE.get(path, path)
    attention = re.fullmatch(r"(attn[12])\.(.+)", block[2])
    if attention:
        return f"{block[1]}.{ATTENTION[attention[1]]}.{IN_ATTENTION.get(attention[2], attention[2])}"
    return f"{block[1]}.{IN_BLOCK.get(block[2], block[2])}"


def aliases(paths: Iterable[str]) -> dict[str, str]:
    """Every name under which a file may know a layer -> its path in diffusers' naming.

    Args:
        paths: modules with weights, and bare parameters.
    """
    names = [(name, path) for path in paths for name in (path, original_name(path))]
    return {spelled: path for name, path in names for spelled in (name, name.replace(".", "_"))}


def read_key(key: str) -> tuple[str, str]:
    """A key's layer, as the file calls it, and its part: a, b, alpha, weight, bias, or "" for a key that is no LoRA's.

    Args:
        key: as it stands in the file.
    """
    # LightX2V's change of a block's modulation, which is no module of its own
    key = re.sub(r"\.diff_m$", ".modulation.diff", key)
    for part, pattern in KEYS.items():
        if found := pattern.fullmatch(key):
            return found[1], part
    return key, ""


def naming_of(key: str, layer: str, path: str) -> str:
    """Which tool writes such a key.

    Args:
        key: as it stands in the file.
        layer: its layer, as the file calls it.
        path: the same in diffusers' naming.
    """
    if key.startswith("lora_unet_"):
        return "musubi"
    if "diffusion_model." in key:
        return "comfyui"
    return "diffusers" if layer == path else "diffsynth"


def written_key(naming: str, path: str, part: str) -> str:
    """The key under which a part is written.

    Args:
        naming: one of `WRITTEN`.
        path: of the layer, in diffusers' naming.
        part: one that this naming writes: a, b, weight or bias, and alpha for comfyui.
    """
    prefix, ends = WRITTEN[naming]
    end = {"weight": "diff", "bias": "diff_b", **ends}[part]
    return f"{prefix}{path if naming == 'diffusers' else original_name(path)}.{end}"

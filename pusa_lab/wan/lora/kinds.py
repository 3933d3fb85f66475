"""Recognition of other kinds of updates, and of LoRAs for other models, by their keys."""

import re
from collections.abc import Iterable

from pusa_lab.arguments import checked

KINDS = {
    r"lora_magnitude_vector|dora_scale|\.magnitude$": "DoRA, whose magnitudes change the weights with every strength",
    r"hada_[wt]\d": "LoHa (a product of two low-rank matrices)",
    r"lokr_[wt]\d": "LoKr (a Kronecker product)",
    r"lora_mid": "LoCon with a middle tensor (Tucker or CP decomposition)",
    r"oft_|boft_|coft_": "OFT or BOFT (a rotation)",
    r"ia3_|\.on_input$": "IA3 (factors of activations)",
    r"vera_lambda|lora_E(?:\.|$)|ranknum|lora_embedding|randlora|fourierft|\.(?:hra|bone)_": "another adapter",
    r"\.[ab][12]\.weight$": "GLoRA",
    r"\.set_weight$|\.reshape_weight$": "a patch that replaces weights or their shapes",
    r"modules_to_save": "a LoRA with whole modules that were trained with it (modules_to_save)",
    r"absmax|quant_map|quant_state|scaled_fp8|scale_weight|weight_scale": "a quantised file",
}
"""Pattern in a key -> kind of the file, which would give wrong weights if it were read as a LoRA."""
OTHERS = {
    r"double_blocks|single_blocks|single_transformer_blocks": "FLUX or HunyuanVideo",
    r"(?:^|[._])(?:down|up|mid|input|middle|output)_blocks?[._]": "Stable Diffusion",
    r"(?:^|[._])(?:transformer_blocks|joint_blocks)[._]": "LTX, CogVideoX, Qwen-Image or Stable Diffusion 3",
    r"(?:^|[._])(?:lora_te\d?_|text_encoder|text_model)": "a text encoder",
    r"(?:^|\.)layers\.\d+\.": "a language model",
}
"""Pattern in a key -> another model."""


@checked
def check_kind(keys: Iterable[str], where: str) -> None:
    """Refuse other kinds of updates, even if a part of them could be read as a LoRA.

    Args:
        keys: of the file.
        where: what to call the file in a sentence.

    Raises:
        ValueError: the file is of another kind, which the sentence names.
    """
    for key in keys:
        for pattern, kind in KINDS.items():
            if re.search(pattern, key):
                refuse_kind(where, kind, key)


@checked
def refuse_kind(where: str, kind: str, proof: str) -> None:
    """Raise an error that says that a file is not a LoRA.

    Args:
        where: what to call the file in a sentence.
        kind: of the file.
        proof: the key or setting that shows it.

    Raises:
        ValueError: always.
    """
    raise ValueError(
        f"{where} is {kind} ({proof:.100}), and only LoRA is supported: merge it into the weights with the tool that "
        f"made it and give these as transformer=, or convert it to a LoRA (LyCORIS has extract_locon.py)."
    )


@checked
def model_of(keys: Iterable[str]) -> str:
    """Name the other model that a file seems to be for, as the end of a sentence; "" if unknown.

    Args:
        keys: of the file.
    """
    for key in keys:
        for pattern, model in OTHERS.items():
            if re.search(pattern, key):
                return f", the keys are those of {model}"
    return ""

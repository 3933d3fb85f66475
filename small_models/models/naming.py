"""Names of the transformer's weights here and in diffusers' WanTransformer3DModel."""

import re

from pusa_lab.arguments import checked

OURS_TO_DIFFUSERS = {
    r"^time_embedder\.0\.": "condition_embedder.time_embedder.linear_1.",
    r"^time_embedder\.2\.": "condition_embedder.time_embedder.linear_2.",
    r"^time_proj\.1\.": "condition_embedder.time_proj.",
    r"^text_embedder\.0\.": "condition_embedder.text_embedder.linear_1.",
    r"^text_embedder\.2\.": "condition_embedder.text_embedder.linear_2.",
    r"^image_embedder\.0\.": "condition_embedder.image_embedder.norm1.",
    r"^image_embedder\.1\.": "condition_embedder.image_embedder.ff.net.0.proj.",
    r"^image_embedder\.3\.": "condition_embedder.image_embedder.ff.net.2.",
    r"^image_embedder\.4\.": "condition_embedder.image_embedder.norm2.",
    r"\.to_out\.": ".to_out.0.",
    r"\.ffn\.up\.": ".ffn.net.0.proj.",
    r"\.ffn\.down\.": ".ffn.net.2.",
}
DIFFUSERS_TO_OURS = {
    ("^" if ours.startswith("^") else "") + re.escape(theirs): re.sub(r"\\|\^", "", ours)
    for ours, theirs in OURS_TO_DIFFUSERS.items()
}


@checked
def rename(key: str, rules: dict[str, str]) -> str:
    """A weight's name after all rules.

    Args:
        key: the name.
        rules: pattern -> replacement.

    Raises:
        ValueError: a pattern or its replacement is not a regular expression.
    """
    for pattern, name in rules.items():
        try:
            key = re.sub(pattern, name, key)
        except re.error as error:
            raise ValueError(
                f"rules has {pattern!r:.60} -> {name!r:.60} ({error}): give regular expressions."
            ) from error
    return key

"""By what a LoRA file wants its products multiplied, wherever it says so: alpha / rank, or alpha / sqrt(rank)."""

import contextlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.wan.lora_files import CONFIG, LoRAFile
from pusa_lab.wan.lora_kinds import refuse_kind
from pusa_lab.wan.lora_names import LOW_NOISE, PREFIXES

METADATA = "lora_adapter_metadata"
"""Where diffusers keeps PEFT's configuration in the header of a file."""
CONFIGS = (METADATA, "lora_config", "peft_config", "adapter_config")
"""Entries, of a header or of a pickle, with a configuration as PEFT writes it."""
ALPHAS = ("lora_alpha", "network_alpha", "alpha")
RANKS = ("r", "rank", "lora_rank", "network_dim")
TOLERANCE = 2**-8
"""Relative difference of two statements of the same scale, one of which was stored in bfloat16."""
MOST, REPEATS = 4096, 4
"""Patterns for the names of layers, and repetitions in each: matching more could take minutes."""
PLAIN_STARTS = (None, True, False, "gaussian", "orthogonal", "eva")
"""Initialisations of A and B that leave the weights alone; the others change them in training."""
FORWARDS = (
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "layer_replication",
    "alora_invocation_tokens",
    "trainable_token_indices",
    "target_parameters",
    "modules_to_save",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "velora_config",
)
"""Settings of PEFT with which a layer computes something else than W x + s B A x, or other weights were trained too."""


@dataclass(frozen=True)
class Statement:
    """What one place says of the scale of a LoRA's layers."""

    source: str
    """The place, for a report or a sentence."""
    alpha: float
    """Of all layers that have none of their own."""
    rank: float | None = None
    """Of all layers that have none of their own; None where it is not stated."""
    rslora: bool = False
    """Whether the scale is alpha / sqrt(rank) instead of alpha / rank."""
    alphas: Mapping[re.Pattern[str], float] = field(default_factory=dict)
    """Pattern for names of layers -> their alpha."""
    ranks: Mapping[re.Pattern[str], float] = field(default_factory=dict)
    """Pattern for names of layers -> their rank."""

    def of(self, names: Sequence[str], rank: int, where: str) -> tuple[float, float]:
        """A layer's alpha, and its scale.

        alpha / rank, or alpha / sqrt(rank) for rsLoRA

        Args:
            names: under which patterns may know the layer.
            rank: of its pair.
            where: what to call the file in a sentence.

        Raises:
            ValueError: another rank is stated than the pair has.

        Source: Kalajdzievski, arXiv 2312.03732, for the square root.
        """
        stated = _by_pattern(self.ranks, names, self.rank)
        if stated is not None and stated != rank:
            raise ValueError(
                f"{where} has rank {rank} in {names[-1]}, but {self.source} states rank {stated:g}: give the file "
                f"together with its own settings."
            )
        alpha = _by_pattern(self.alphas, names, self.alpha)
        return alpha, alpha / (math.sqrt(rank) if self.rslora else rank)


def _by_pattern(patterns: Mapping[re.Pattern[str], Any], names: Sequence[str], default: Any) -> Any:
    return next((value for pattern, value in patterns.items() if any(map(pattern.match, names))), default)


@checked
def scale_of(
    statements: Sequence[Statement], own: float | None, names: Sequence[str], rank: int, where: str
) -> tuple[float, float, str]:
    """The alpha and scale of one layer, and the place that states them.

    Args:
        statements: of the file, the most specific first.
        own: the layer's alpha among the tensors; None if it has none.
        names: of the layer, its path in the model last.
        rank: of its pair.
        where: what to call the file in a sentence.

    Returns:
        alpha = rank, scale 1 and "" where nothing is stated.

    Raises:
        ValueError: two places state different scales, or a place another rank.
    """
    found = [] if own is None else [(own, own / rank, "the alphas among the tensors")]
    found += [(*statement.of(names, rank, where), statement.source) for statement in statements]
    for _, scale, source in found[1:]:
        if not math.isclose(scale, found[0][1], rel_tol=TOLERANCE):
            raise ValueError(
                f"{where} states two scales for {names[-1]}, {found[0][1]:g} in {found[0][2]} and {scale:g} in "
                f"{source}: give the file together with its own settings, or take the wrong ones out."
            )
    return found[0] if found else (float(rank), 1.0, "")


@checked
def statements_of(file: LoRAFile, low: bool) -> list[Statement]:
    """All that a file says of its scale outside its layers' own alphas.

    Args:
        file: from `lora_files.read`.
        low: whether the expert for low noise is meant, where a file is for two.

    Raises:
        ValueError: a statement cannot be read, or says that this is no plain LoRA.
    """
    found = [_configured(file.config, f"{CONFIG} beside the file", file.where)] if file.config else []
    for name in CONFIGS:
        if name in file.header:
            config = _of_expert(_parsed(file.header[name], name, file.where), low)
            found.append(_configured(config, f"{name} in the header", file.where))
        if isinstance(file.settings.get(name), Mapping):
            found.append(_configured(file.settings[name], f"{name} in the file", file.where))
    found.append(_kohya(file))
    found.append(_plain(file.header, "in the header", file.where))
    found.append(_plain(_of_expert(file.settings, low), "in the file", file.where))
    return [statement for statement in found if statement]


def _parsed(text: str, name: str, where: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, Mapping):
        raise ValueError(f"{where} has a {name} in its header that is not a JSON object: fetch the file again.")
    return found


def _of_expert(settings: Mapping[str, Any], low: bool) -> dict[str, Any]:
    """Settings without the prefix of their model; those of other models are left out."""
    out: dict[str, Any] = {}
    second = any(re.match(rf"(?:{LOW_NOISE})\.", key) for key in settings)
    for key, value in settings.items():
        name = re.sub(f"^{PREFIXES}", "", key)
        marked = bool(re.match(rf"(?:{LOW_NOISE})\.", key))
        if "." not in name and (name == key or not second or marked == low):
            out[name] = value
    return out


def _configured(config: Mapping[str, Any], source: str, where: str) -> Statement | None:
    """From PEFT's configuration."""
    _check_plain_lora(config, source, where)
    if "lora_alpha" not in config:
        if "r" in config or config.get("alpha_pattern"):
            raise ValueError(f"{where} has no lora_alpha in {source}: give the file together with its own settings.")
        return None
    patterns = {
        name: _patterns(config.get(name) or {}, f"{name} of {source}", where)
        for name in ("alpha_pattern", "rank_pattern")
    }
    return Statement(
        source=f"lora_alpha of {source}",
        alpha=_number(config["lora_alpha"], f"lora_alpha of {source}", where),
        rank=None if config.get("r") is None else _number(config["r"], f"r of {source}", where),
        rslora=_flag(config.get("use_rslora"), f"use_rslora of {source}", where),
        alphas=patterns["alpha_pattern"],
        ranks=patterns["rank_pattern"],
    )


def _check_plain_lora(config: Mapping[str, Any], source: str, where: str) -> None:
    kind = config.get("peft_type", "LORA")
    if str(kind).rsplit(".", 1)[-1].upper() != "LORA":
        refuse_kind(where, f"an adapter of the kind {kind!s:.40}", f"peft_type of {source}")
    for name in FORWARDS:
        if config.get(name):
            refuse_kind(where, "DoRA" if name == "use_dora" else f"a LoRA with {name}", f"{name} of {source}")
    if config.get("bias", "none") not in ("none", None):
        refuse_kind(where, f"a LoRA with trained biases (bias {config['bias']!r:.20})", f"bias of {source}")
    start = config.get("init_lora_weights")
    if not any(start is plain or start == plain for plain in PLAIN_STARTS):
        refuse_kind(where, f"a LoRA that began as {start!r:.40}, on changed weights", f"init_lora_weights of {source}")


def _kohya(file: LoRAFile) -> Statement | None:
    """From the header of kohya's trainers and of those that follow them."""
    header = file.header
    arguments: Mapping[str, Any] = {}
    with contextlib.suppress(ValueError, RecursionError):
        arguments = json.loads(header.get("ss_network_args", "{}"))
    arguments = arguments if isinstance(arguments, Mapping) else {}
    for name in ("use_dora", "dora_wd", "weight_decompose"):
        if str(arguments.get(name)).lower() in ("true", "1"):
            refuse_kind(file.where, "DoRA", f"{name} of ss_network_args in the header")
    alpha, rank = _word(header.get("ss_network_alpha")), _word(header.get("ss_network_dim"))
    own = {str(value) for key, value in file.entries.items() if key.endswith(".alpha")}
    converted = any(re.search(r"\.lora_A(\.|$)", key) for key in file.entries) and "ss_network_module" in header
    # Converters to the names lora_A and lora_B (Musubi's convert_lora.py) multiply alpha into the tensors and keep the
    # header of the file they read.
    if alpha is None or len(own) > 1 or (converted and not own):
        return None  # alphas that differ are meant for their layers
    rslora = any(str(arguments.get(name)).lower() == "true" for name in ("rs_lora", "use_rslora", "rslora"))
    return Statement("ss_network_alpha in the header", alpha, None if own else rank, rslora)


def _word(text: str | None) -> float | None:
    """A number of a header; None for "None", "Dynamic" and whatever else stands for none."""
    with contextlib.suppress(TypeError, ValueError):
        number = float(text)  # type: ignore[arg-type]
        return number if math.isfinite(number) else None
    return None


def _plain(settings: Mapping[str, Any], place: str, where: str) -> Statement | None:
    """From single entries such as lora_alpha."""
    found = {name: _number(settings[name], f"{name} {place}", where) for name in ALPHAS if name in settings}
    if not found:
        return None
    if len(set(found.values())) > 1:
        one, other = list(found)[:2]
        raise ValueError(
            f"{where} states two scales, {one} {found[one]:g} and {other} {found[other]:g} {place}: take the wrong one "
            f"out."
        )
    name, alpha = next(iter(found.items()))
    ranks = {_number(settings[key], f"{key} {place}", where) for key in RANKS if key in settings}
    rslora = _flag(settings.get("use_rslora"), f"use_rslora {place}", where)
    return Statement(f"{name} {place}", alpha, ranks.pop() if len(ranks) == 1 else None, rslora)


def _number(value: Any, name: str, where: str) -> float:
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_meta and value.dtype != torch.bool:
        value = value.item()
    if isinstance(value, str):
        value = _word(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise ValueError(f"{where} has {value!r:.60} as {name}: that must be a number, fetch the file again.")
    return float(value)


def _flag(value: Any, name: str, where: str) -> bool:
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_meta:
        value = bool(value)
    if isinstance(value, str) and value.lower() in ("true", "false", "1", "0", "none"):
        value = value.lower() in ("true", "1")
    if value in (0, 1) and isinstance(value, int | float):
        value = bool(value)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{where} has {value!r:.60} as {name}: that must be true or false, fetch the file again.")
    return bool(value)


def _patterns(found: Any, name: str, where: str) -> dict[re.Pattern[str], float]:
    if not isinstance(found, Mapping) or len(found) > MOST:
        raise ValueError(f"{where} has {found!r:.60} as {name}: that must be an object of at most {MOST} entries.")
    return {_pattern(key, name, where): _number(value, name, where) for key, value in found.items()}


def _pattern(pattern: Any, name: str, where: str) -> re.Pattern[str]:
    """As PEFT, the end of a name from a dot on; quickly matched, whoever wrote it."""
    repeats = re.findall(r"[*+{]", str(pattern))
    try:
        if re.search(r"\)[*+{]", str(pattern)) or len(repeats) > REPEATS:
            raise ValueError("it repeats too much")
        return re.compile(rf"(.*\.)?({pattern})$")
    except (re.error, TypeError, ValueError, RecursionError, OverflowError) as error:
        raise ValueError(
            f"{where} has {str(pattern)[:60]!r} in {name}, which cannot be used to match names ({error}): mend it."
        ) from None


@checked
def sources(found: Iterable[str]) -> str:
    """The places that stated scales, for a report.

    Args:
        found: of each layer; "" where nothing was stated.
    """
    places = list(dict.fromkeys(place for place in found if place))
    return " and ".join(places) or "no alpha is stated, so alpha = rank"

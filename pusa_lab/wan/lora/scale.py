"""The scale of a LoRA, alpha / rank or alpha / sqrt(rank), from all places in which a file may state it."""

import contextlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.wan.lora.files import CONFIG, TRAINING, LoRAFile, plain_value, same
from pusa_lab.wan.lora.kinds import refuse_kind
from pusa_lab.wan.lora.names import PREFIXES, is_high_noise, is_low_noise
from pusa_lab.wan.lora.unknown_scales import ALPHAS, is_other_scale, refuse_alphas, refuse_scale

METADATA = "lora_adapter_metadata"
"""Entry of the header in which diffusers stores PEFT's configuration."""
CONFIGS = (METADATA, "lora_config", "peft_config", "adapter_config")
"""Entries of a header or pickle with a configuration in PEFT's form."""
RANKS = ("r", "rank", "lora_rank", "network_dim")
PATTERNS = ("alpha_pattern", "rank_pattern")
STATED = (*ALPHAS, *RANKS, *PATTERNS, "use_rslora", "use_dora")
TOLERANCE = 2**-8
"""Relative difference allowed between two statements of a scale, one of which may be stored in bfloat16."""
DEEPEST_SETTINGS = 4
"""Most levels of nested training settings that are searched."""
MOST_PATTERNS, REPEATS = 4096, 4
"""Most patterns for names of layers, and most repetitions in each; matching more could take minutes."""
PLAIN_STARTS = (None, True, False, "gaussian", "orthogonal", "eva")
"""Initialisations of A and B that do not change the base weights; the others do."""
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
"""Settings of PEFT with which a layer does not compute W x + s B A x, or other weights are trained too."""

WORDS = (*FORWARDS, "peft_type", "init_lora_weights")
"""Settings of PEFT that mean the same as single entries of a file."""


@dataclass(frozen=True)
class Statement:
    """What one place in a file states about the scale of the layers."""

    source: str
    """Name of the place, for a report or a sentence."""
    alpha: float | None
    """Alpha of all layers without their own; None if another place states it."""
    rank: float | None = None
    """Rank of all layers without their own; None if it is not stated."""
    rslora: bool | None = None
    """Whether the scale is alpha / sqrt(rank) instead of alpha / rank; None if it is not stated."""
    alphas: Mapping[re.Pattern[str], float] | None = None
    """Pattern for names of layers -> their alpha; None if none are stated."""
    ranks: Mapping[re.Pattern[str], float] | None = None
    """Pattern for names of layers -> their rank; None if none are stated."""

    def of(self, names: Sequence[str], rank: int, where: str) -> tuple[float, float] | None:
        """Return alpha and scale of a layer, or None if this place states no alpha for it.

        scale = alpha / rank, or alpha / sqrt(rank) for rsLoRA

        Args:
            names: of the layer, against which patterns are matched; its path in the model comes last.
            rank: of its pair.
            where: what to call the file in a sentence.

        Raises:
            ValueError: the stated rank is not that of the pair.

        Source: Kalajdzievski, arXiv 2312.03732, for the square root.
        """
        stated = _by_pattern(self.ranks, names, self.rank)
        if stated is not None and stated != rank:
            raise ValueError(
                f"{where} has rank {rank} in {names[-1]}, but {self.source} states rank {stated:g}: give the file "
                f"together with its own settings."
            )
        alpha = _by_pattern(self.alphas, names, self.alpha)
        return None if alpha is None else (alpha, alpha / (math.sqrt(rank) if self.rslora else rank))


def _by_pattern(patterns: Mapping[re.Pattern[str], Any] | None, names: Sequence[str], default: Any) -> Any:
    return next((value for pattern, value in (patterns or {}).items() if any(map(pattern.match, names))), default)


@checked
def scale_of(
    statements: Sequence[Statement], own: float | None, names: Sequence[str], rank: int, where: str
) -> tuple[float, float, str]:
    """Return alpha and scale of one layer, and the place that states them.

    Args:
        statements: of the file, the most specific first.
        own: alpha of the layer among the tensors; None if it has none.
        names: of the layer, its path in the model last.
        rank: of its pair.
        where: what to call the file in a sentence.

    Returns:
        Alpha, scale and place; alpha = rank, scale 1 and "" if nothing is stated.

    Raises:
        ValueError: two places state different scales, a stated rank is not that of the pair, or there is no name.
    """
    if not names:
        raise ValueError("names is empty: give at least the path of the layer.")
    if rank < 1:
        raise ValueError(f"rank={rank}: give the rank of the pair, at least 1.")
    found = []
    if own is not None:
        rslora = any(statement.alpha is None and statement.rslora for statement in statements)
        found.append((own, own / (math.sqrt(rank) if rslora else rank), "the alphas among the tensors"))
    for statement in statements:
        if (stated := statement.of(names, rank, where)) is not None:
            found.append((*stated, statement.source))
    for _, scale, source in found[1:]:
        if not math.isclose(scale, found[0][1], rel_tol=TOLERANCE):
            raise ValueError(
                f"{where} states two scales for {names[-1]}, {found[0][1]:g} in {found[0][2]} and {scale:g} in "
                f"{source}: give the file together with its own settings, or remove the wrong ones."
            )
    if not found and (lacking := next((s.source for s in statements if s.alphas), None)):
        raise ValueError(
            f"{where} has no lora_alpha for {names[-1]}, which {lacking} does not cover: give the file together with "
            f"its own settings."
        )
    return found[0] if found else (float(rank), 1.0, "")


@checked
def statements_of(file: LoRAFile, low: bool) -> list[Statement]:
    """Return all statements of a file about its scale, apart from the alphas of single layers.

    Args:
        file: from `files.read_lora`.
        low: whether the model is the expert for low noise, for files with the LoRAs of both experts.

    Raises:
        ValueError: a statement is not valid, statements disagree, or they say that the file is not a plain LoRA.
    """
    for key, value in file.header.items():
        if is_other_scale(key) and plain_value(value) is not None:
            refuse_scale(key, plain_value(value), "the header", file.where)
    found = [_configured(file.config, f"{CONFIG} beside the file", file.where)] if file.config else []
    for settings, place in ((file.header, "in the header"), (file.settings, "in the file")):
        found += _in_place(_of_expert(settings, low, place, file.where), low, place, file.where)
    found.append(_kohya(file))
    return _joined([statement for statement in found if statement], file.where)


def _in_place(settings: Mapping[str, Any], low: bool, place: str, where: str) -> list[Statement | None]:
    """Statements in the configurations of one place, then in its single entries."""
    found = []
    for name in CONFIGS:
        if name in settings:
            source = f"{name} {place}"
            config = _of_expert(_parsed(settings[name], source, where), low, f"in {source}", where)
            found.append(_configured(config, source, where))
    for name, value in settings.items():
        other = name not in (*CONFIGS, *STATED) and not name.startswith("ss_")  # those of kohya are read by `_kohya`
        if name.split(" ")[0] in TRAINING or (other and isinstance(plain_value(value), Mapping)):
            found += _in_training(value, low, f"in {name} {place}", where)
    return [*found, _single(settings, place, where)]


def _in_training(value: Any, low: bool, place: str, where: str, depth: int = 0) -> list[Statement | None]:
    """Statements in the settings of a training, of which only some concern the LoRA."""
    value = plain_value(value) if isinstance(value, str) else value
    if isinstance(value, str) and (named := re.search(r"(?i)(?:lora|network|linear)_?alpha", value)):
        refuse_scale(named[0], value, place.removeprefix("in "), where)
    if not isinstance(value, Mapping) or depth > DEEPEST_SETTINGS:
        return []
    settings = {k: v for k, v in _of_expert(value, low, place, where).items() if v is not None}
    refuse_alphas(settings, place.removeprefix("in "), where)
    if not any(name in settings for name in RANKS):
        settings.pop("alpha", None)  # it may have another meaning
    if same(settings.get("rank"), 0):
        settings.pop("rank")  # number of a process, counted from 0
    found = [_single(settings, place, where)]
    for name in (*CONFIGS, *TRAINING, "lora", "network", "model"):
        found += _in_training(settings.get(name), low, f"in {name} {place}", where, depth + 1)
    return found


def _joined(statements: list[Statement], where: str) -> list[Statement]:
    """Complete statements by each other, for files that state alpha in one place and other settings in another.

    Raises:
        ValueError: the places disagree about use_rslora.
    """
    parts = [statement for statement in statements if statement.alpha is None]
    flags = [part for part in parts if part.rslora is not None]
    for flag in flags:
        for other in statements:
            if other.rslora not in (None, flag.rslora):
                raise ValueError(
                    f"{where} states use_rslora {flag.rslora} in {flag.source}, and {other.rslora} in {other.source}: "
                    f"remove the wrong one."
                )
    return [_completed(statement, statements if statement.alpha is None else parts) for statement in statements]


def _completed(statement: Statement, others: list[Statement]) -> Statement:
    for name in ("rslora", "alphas", "ranks"):
        giver = next((other for other in others if getattr(other, name)), None)
        if giver and giver is not statement and getattr(statement, name) is None:
            source = statement.source if giver.source in statement.source else f"{statement.source} with {giver.source}"
            statement = replace(statement, **{name: getattr(giver, name)}, source=source)
    return statement


def _parsed(value: Any, name: str, where: str) -> Mapping[str, Any]:
    found = plain_value(value) if isinstance(value, str) else value
    if not isinstance(found, Mapping):
        raise ValueError(f"{where} has a {name} that is not a JSON object: download the file again.")
    return found


def _of_expert(settings: Mapping[str, Any], low: bool, place: str, where: str) -> dict[str, Any]:
    """Settings without the prefix of their model; those of other models are omitted.

    Raises:
        ValueError: a setting has different values under two prefixes.
    """
    keys: dict[str, str] = {}
    named = [key for key in settings if isinstance(key, str)]
    second = any(map(is_low_noise, named))
    for key in named:
        name = re.sub(f"^{PREFIXES}", "", key)
        if "." in name or (name != key and second and is_low_noise(key) != low) or (low and is_high_noise(key)):
            continue
        first = keys.setdefault(name, key)
        if name in STATED and not same(settings[first], settings[key]):
            raise ValueError(
                f"{where} states two values {place}, {first} {plain_value(settings[first])!r:.40} and {key} "
                f"{plain_value(settings[key])!r:.40}: remove the wrong one."
            )
    return {name: settings[key] for name, key in keys.items()}


def _configured(config: Mapping[str, Any], source: str, where: str) -> Statement | None:
    """The statement of PEFT's configuration."""
    _check_plain_lora({key: plain_value(value) for key, value in config.items()}, f"of {source}", where)
    if "lora_alpha" not in config and ("r" in config or config.get("alpha_pattern")):
        raise ValueError(f"{where} has no lora_alpha in {source}: give the file together with its own settings.")
    rank = config.get("r")
    return _stated(
        config,
        "lora_alpha" if "lora_alpha" in config else None,
        None if rank is None else _number(rank, f"r of {source}", where),
        f"of {source}",
        where,
    )


def _stated(
    settings: Mapping[str, Any], alpha: str | None, rank: float | None, place: str, where: str
) -> Statement | None:
    """The statement under PEFT's names, with alpha under the given name; None if nothing is stated."""
    given = {name: plain_value(settings[name]) for name in PATTERNS if settings.get(name) is not None}
    patterns = {name: _patterns(found or {}, f"{name} {place}", where) for name, found in given.items()}
    flag = settings.get("use_rslora")
    rslora = None if flag is None else _flag(flag, f"use_rslora {place}", where)
    names = [alpha or "", *(name for name in PATTERNS if patterns.get(name)), "" if rslora is None else "use_rslora"]
    if not any(names):
        return None
    return Statement(
        source=f"{next(filter(None, names))} {place}",
        alpha=_number(settings[alpha], f"{alpha} {place}", where) if alpha else None,
        rank=rank if alpha else None,
        rslora=rslora,
        alphas=patterns.get("alpha_pattern"),
        ranks=patterns.get("rank_pattern"),
    )


def _check_plain_lora(config: Mapping[str, Any], place: str, where: str) -> None:
    kind = config.get("peft_type", "LORA")
    if str(kind).rsplit(".", 1)[-1].upper() != "LORA":
        refuse_kind(where, f"an adapter of the kind {kind!s:.40}", f"peft_type {place}")
    for name in FORWARDS:
        if config.get(name):
            refuse_kind(where, "DoRA" if name == "use_dora" else f"a LoRA with {name}", f"{name} {place}")
    if config.get("bias", "none") not in ("none", None):
        refuse_kind(where, f"a LoRA with trained biases (bias {config['bias']!r:.20})", f"bias {place}")
    start = config.get("init_lora_weights")
    if not any(start is known or start == known for known in PLAIN_STARTS):
        kind = f"a LoRA initialised by {start!r:.40}, which changes the base weights"
        refuse_kind(where, kind, f"init_lora_weights {place}")


def _kohya(file: LoRAFile) -> Statement | None:
    """The statement in the header written by kohya's trainers and their descendants."""
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
    # Converters to the names lora_A and lora_B (Musubi's convert_lora.py) multiply the tensors by alpha and keep the
    # header of the original file.
    if alpha is None or len(own) > 1 or (converted and not own):
        return None  # different alphas are meant for single layers
    rslora = any(str(arguments.get(name)).lower() == "true" for name in ("rs_lora", "use_rslora", "rslora"))
    return Statement("ss_network_alpha in the header", alpha, None if own else rank, rslora or None)


def _word(text: str | None) -> float | None:
    """A number in a header; None for "None", "Dynamic" and any other text."""
    with contextlib.suppress(TypeError, ValueError):
        number = float(text)  # type: ignore[arg-type]
        return number if math.isfinite(number) else None
    return None


def _single(settings: Mapping[str, Any], place: str, where: str) -> Statement | None:
    """The statement of single entries such as lora_alpha."""
    _check_plain_lora({k: plain_value(v) for k, v in settings.items() if k in WORDS}, place, where)
    found = {name: _number(settings[name], f"{name} {place}", where) for name in ALPHAS if name in settings}
    if len(set(found.values())) > 1:
        one, other = list(found)[:2]
        raise ValueError(
            f"{where} states two scales, {one} {found[one]:g} and {other} {found[other]:g} {place}: remove the wrong "
            f"one."
        )
    ranks = {_number(settings[key], f"{key} {place}", where) for key in RANKS if key in settings}
    return _stated(settings, next(iter(found), None), ranks.pop() if len(ranks) == 1 else None, place, where)


def _number(value: Any, name: str, where: str) -> float:
    given = value
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_meta and value.dtype != torch.bool:
        given = value = value.item()
    if isinstance(value, str):
        value = _word(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise ValueError(f"{where} has {given!r:.60} as {name}, which must be a number: download the file again.")
    return float(value)


def _flag(value: Any, name: str, where: str) -> bool:
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_meta:
        value = bool(value)
    if isinstance(value, str) and value.lower() in ("true", "false", "1", "0", "none"):
        value = value.lower() in ("true", "1")
    if isinstance(value, int | float) and value in (0, 1):
        value = bool(value)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{where} has {value!r:.60} as {name}, which must be true or false: download the file again.")
    return bool(value)


def _patterns(found: Any, name: str, where: str) -> dict[re.Pattern[str], float]:
    if not isinstance(found, Mapping) or len(found) > MOST_PATTERNS:
        raise ValueError(f"{where} has {found!r:.60} as {name}: give an object of at most {MOST_PATTERNS} entries.")
    return {_pattern(key, name, where): _number(value, name, where) for key, value in found.items()}


def _pattern(pattern: Any, name: str, where: str) -> re.Pattern[str]:
    """Compile a pattern as PEFT does, for the end of a name after a dot; slow patterns are refused."""
    repeats = re.findall(r"[*+{]", str(pattern))
    try:
        if re.search(r"\)[*+{]", str(pattern)) or len(repeats) > REPEATS:
            raise ValueError("it repeats too much")
        return re.compile(rf"(.*\.)?({pattern})$")
    except (re.error, TypeError, ValueError, RecursionError, OverflowError) as error:
        raise ValueError(
            f"{where} has {str(pattern)[:60]!r} in {name}, which cannot be used to match names ({error}): correct it."
        ) from None


@checked
def sources(found: Iterable[str]) -> str:
    """List the places that state scales, for a report.

    Args:
        found: place for each layer; "" if nothing is stated.
    """
    places = list(dict.fromkeys(place for place in found if place))
    return " and ".join(places) or "no alpha is stated, so alpha = rank"

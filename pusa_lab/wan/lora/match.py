"""Matching of the entries of a LoRA file to a model's weights, without changing the model."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.wan.lora.files import LoRAFile, plain_value
from pusa_lab.wan.lora.kinds import check_kind
from pusa_lab.wan.lora.names import aliases, is_high_noise, is_low_noise, naming_of, read_key
from pusa_lab.wan.lora.scale import Statement, scale_of, statements_of
from pusa_lab.wan.lora.unknown_scales import is_other_scale, refuse_scale

WIDTHS = {1536: " (Wan 1.3B)", 3072: " (Wan2.2 5B)", 5120: " (Wan 14B)"}
# layers whose input has the width of the model
WIDE = re.compile(r"blocks\.\d+\.(?:attn[12]\.to_(?:q|k|v|out\.0)|ffn\.net\.0\.proj)")


@dataclass(frozen=True)
class Pair:
    """A low-rank update of one weight, scale * B A."""

    a: Tensor
    """(rank, in ...)"""
    b: Tensor
    """(out, rank ...)"""
    alpha: float
    """alpha / rank is the scale at strength 1; equal to the rank if the file states no alpha."""
    scale: float
    """strength * alpha / rank."""

    @property
    def rank(self) -> int:
        """Rank of the update, the rows of A."""
        return self.a.shape[0]


@dataclass
class Match:
    """The updates of a model by a file."""

    naming: str = ""
    """Tool whose naming the file has."""
    pairs: dict[str, Pair] = field(default_factory=dict)
    """Low-rank updates, by module."""
    dense: dict[str, Tensor] = field(default_factory=dict)
    """Updates of whole parameters, by parameter; `diff` and `diff_b` in a file."""
    alphas: dict[str, float] = field(default_factory=dict)
    """Alphas stated by the file, by module."""
    sources: dict[str, str] = field(default_factory=dict)
    """Where the file states the scale of a pair, by module; "" if it does not."""
    unmatched: dict[str, str] = field(default_factory=dict)
    """Keys that match nothing in the model -> the reason."""

    @property
    def modules(self) -> tuple[str, ...]:
        """Paths of all changed modules, and of changed parameters that belong to no module of their own."""
        return tuple(dict.fromkeys([*self.pairs, *map(module_of, self.dense)]))


@checked
def module_of(parameter: str) -> str:
    """Return the path of the module of a weight or bias; the path of a bare parameter is returned unchanged.

    Args:
        parameter: path of the parameter.
    """
    return re.sub(r"\.(weight|bias)$", "", parameter)


@checked
def match(weights: Mapping[str, Tensor], file: LoRAFile, strength: float, expert: str | None = None) -> Match:
    """Match each entry of a file to the weight that it changes.

    Args:
        weights: the model's parameters, in diffusers' naming.
        file: from `files.read_lora`.
        strength: factor of every update.
        expert: "high" or "low" if the model is one of two experts, for files that may hold the LoRAs of both.

    Raises:
        ValueError: two entries are for the same weight, a pair lacks one half, a number is not finite, the file is for
            a model of another width or for the other expert, is not a plain LoRA, or states different scales.
    """
    entries, where = of_expert(file, expert), file.where
    check_kind(entries, where)
    statements = statements_of(file, low=expert == "low" or any(map(is_low_noise, entries)))
    out = Match()
    found = _by_module(weights, entries, where, out)
    _check_width(weights, found, where)
    for path, parts in found.items():
        if ("a" in parts) != ("b" in parts) or ("bias of b" in parts and "b" not in parts):
            have, lack = ("A", "B") if "a" in parts else ("B", "A")
            for key, reason in out.unmatched.items():
                if read_key(key)[1] == lack.lower() and aliases([path]).get(read_key(key)[0]):
                    raise ValueError(f"{where} holds {lack} of {path} as {reason}: convert it to floating point.")
            raise ValueError(f"{where} holds {have} of {path} without its {lack}: download the file again.")
        _fit_pair(weights, path, parts, statements, strength, out, where)
        for part in ("weight", "bias"):
            _fit_dense(weights, path, part, parts, out)
        if "alpha" in parts and not parts.keys() - {"alpha"}:
            out.unmatched[parts["alpha"][0]] = "an alpha without a LoRA"
    _check_finite(out, where)
    return out


@checked
def of_expert(file: LoRAFile, expert: str | None) -> dict[str, Any]:
    """Return the entries for one of Wan2.2's two experts, or all if the file does not distinguish experts.

    Args:
        file: from `files.read_lora`.
        expert: "high" or "low" if the model is one of two experts, otherwise None.

    Raises:
        ValueError: the file is for the other expert, or for both while `expert` is None.
    """
    low = {key: value for key, value in file.entries.items() if is_low_noise(key)}
    high = {key: value for key, value in file.entries.items() if key not in low}
    marked = next(filter(is_high_noise, high), None)
    if not low and marked and expert == "low":
        raise ValueError(
            f"{file.where} is for Wan2.2's expert for high noise (first {marked}): give it as lora=, or in Python to "
            f"`load_lora` for that transformer with expert='high'."
        )
    if not low:
        return high
    if expert is None and high:
        raise ValueError(
            f"{file.where} holds both {next(iter(high))} and {next(iter(low))}, of Wan2.2's two experts: give a model "
            "with both, or the entries of one expert only; in Python, `load_lora` takes expert='high' or 'low'."
        )
    if not high and expert != "low":
        raise ValueError(
            f"{file.where} is for Wan2.2's expert for low noise only (first {next(iter(low))}): give it as lora_low=, "
            f"or in Python to `load_lora` for that transformer with expert='low'."
        )
    return low if expert == "low" else high


Parts = dict[str, tuple[str, Any]]
"""Part of a module -> key and value in the file."""


def _by_module(weights: Mapping[str, Tensor], entries: Mapping[str, Any], where: str, out: Match) -> dict[str, Parts]:
    known = aliases(module_of(name) for name in weights)
    found: dict[str, Parts] = {}
    for key, value in entries.items():
        layer, part = read_key(key)
        path = known.get(layer)
        if not part:
            if is_other_scale(key):
                refuse_scale(key, plain_value(value), "the file", where)
            _check_foreign(key, layer, known, where)
            out.unmatched[key] = "not a key of a LoRA"
        elif path is None:
            out.unmatched[key] = "the model has no such layer"
        elif part in found.get(path, {}):
            first = found[path][part][0]
            raise ValueError(f"{where} holds both {first} and {key}: give the entries of a single model.")
        elif reason := _unfit(value, part):
            out.unmatched[key] = reason
        else:
            found.setdefault(path, {})[part] = key, value
            if out.naming in ("", "diffusers"):  # the namings share the names of some layers
                out.naming = naming_of(key, layer, path)
    return found


def _check_foreign(key: str, layer: str, known: Mapping[str, str], where: str) -> None:
    """Refuse an unknown part of a layer of the model, without which the known parts would mean something else."""
    heads = [layer[: dot.start()] for dot in re.finditer(r"\.", layer)]
    if any(head in known for head in heads):
        raise ValueError(
            f"{where} changes {key:.120} in a way that is not LoRA, and without it the rest would not be the update "
            f"that was trained: give a LoRA only, and whole weights as transformer=."
        )


def _unfit(value: Any, part: str) -> str:
    """Why a value cannot be a part of a layer; "" if it can."""
    if not isinstance(value, Tensor):
        return "" if part == "alpha" and isinstance(value, int | float) else f"a {type(value).__name__}, not a tensor"
    if part == "alpha":
        return "" if value.numel() == 1 and not value.is_meta else f"{tuple(value.shape)}, not a number"
    if value.layout != torch.strided or value.is_meta or not value.is_floating_point():
        return f"{value.dtype} {str(value.layout).removeprefix('torch.')} on {value.device}, not plain numbers"
    return ""


def _check_width(weights: Mapping[str, Tensor], found: Mapping[str, Parts], where: str) -> None:
    for path, parts in found.items():
        key, value = parts.get("a", parts.get("weight", ("", None)))
        if WIDE.fullmatch(path) and value is not None and value.ndim > 1:
            got, want = value.shape[1], weights[f"{path}.weight"].shape[1]
            if got != want:
                raise ValueError(
                    f"{where} is for a model {got} wide{WIDTHS.get(got, '')}, but this one is {want} wide"
                    f"{WIDTHS.get(want, '')} ({key} is {tuple(value.shape)}): give a LoRA for this model's size."
                )


def _fit_pair(
    weights: Mapping[str, Tensor],
    path: str,
    parts: Parts,
    statements: list[Statement],
    strength: float,
    out: Match,
    where: str,
) -> None:
    if "a" not in parts:
        return
    (key_a, a), (_, b), weight = parts["a"], parts["b"], weights.get(f"{path}.weight")
    if weight is None or not _fits(a, b, weight):
        shape = "a layer without a matrix" if weight is None else f"a weight of {tuple(weight.shape)}"
        reason = f"A {tuple(a.shape)} and B {tuple(b.shape)} do not fit {shape}"
        out.unmatched |= {parts[part][0]: reason for part in ("a", "b", "bias of b", "alpha") if part in parts}
        return
    rank = a.shape[0]
    own = float(parts["alpha"][1]) if "alpha" in parts else None
    names = [re.sub(r"^base_model\.model\.|\.lora_.*$", "", key_a), read_key(key_a)[0], path]
    alpha, scale, out.sources[path] = scale_of(statements, own, names, rank, where)
    if out.sources[path]:
        out.alphas[path] = alpha
    # some tools flatten the pair of a convolution
    a, b = a.reshape(rank, *weight.shape[1:]), b.reshape(weight.shape[0], rank, *(1 for _ in weight.shape[2:]))
    out.pairs[path] = Pair(a, b, scale * rank, strength * scale)
    if "bias of b" in parts:  # PEFT scales this bias like B
        key, bias = parts["bias of b"]
        if "bias" in parts:
            raise ValueError(f"{where} holds both {key} and {parts['bias'][0]}: give the entries of a single tool.")
        parts["bias"] = key, bias.float() * scale


def _fits(a: Tensor, b: Tensor, weight: Tensor) -> bool:
    if min(a.ndim, b.ndim, weight.ndim) < 2 or not a.shape[0]:
        return False
    return b.shape[1] == a.shape[0] and b[:, 0].numel() == len(weight) and a[0].numel() == weight[0].numel()


def _fit_dense(weights: Mapping[str, Tensor], path: str, part: str, parts: Parts, out: Match) -> None:
    if part not in parts:
        return
    key, change = parts[part]
    name = path if part == "weight" and path in weights else f"{path}.{part}"
    if name not in weights:
        out.unmatched[key] = f"the model's {path} has no {part}"
    elif weights[name].shape != change.shape:
        out.unmatched[key] = f"{tuple(change.shape)} does not fit {tuple(weights[name].shape)}"
    else:
        out.dense[name] = change


def _check_finite(out: Match, where: str) -> None:
    numbers = dict(out.dense)
    for path, pair in out.pairs.items():
        numbers |= {f"{path}'s A": pair.a, f"{path}'s B": pair.b, f"{path}'s alpha": torch.tensor(pair.alpha)}
    for name, values in numbers.items():
        if not torch.isfinite(values.float()).all():
            raise ValueError(f"{where} holds numbers that are not finite in {name}: download the file again.")


@checked
def changes_nothing(match: Match) -> tuple[str, ...]:
    """Return the modules whose update is exactly zero, without multiplying A and B.

    Args:
        match: the updates by a file.
    """
    alive = {path for path, pair in match.pairs.items() if pair.a.any() and pair.b.any() and pair.alpha}
    alive |= {module_of(name) for name, change in match.dense.items() if change.any()}
    return tuple(path for path in match.modules if path not in alive)

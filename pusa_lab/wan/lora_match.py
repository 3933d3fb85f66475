"""Fit the entries of a LoRA file to a model's weights, and refuse what does not fit before the model is touched."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pusa_lab.wan.lora_names import aliases, naming_of, read_key

WIDTHS = {1536: " (Wan 1.3B)", 3072: " (Wan2.2 5B)", 5120: " (Wan 14B)"}
# layers whose input is as wide as the model
WIDE = re.compile(r"blocks\.\d+\.(?:attn[12]\.to_(?:q|k|v|out\.0)|ffn\.net\.0\.proj)")


@dataclass(frozen=True)
class Pair:
    """A low-rank change of one weight, scale * B A."""

    a: Tensor
    """(rank, in ...)"""
    b: Tensor
    """(out, rank ...)"""
    alpha: float
    """The file's alpha, or the rank where it carries none."""
    scale: float
    """strength * alpha / rank."""

    @property
    def rank(self) -> int:
        """Rows of A."""
        return self.a.shape[0]


@dataclass
class Match:
    """What a file changes in a model."""

    naming: str = ""
    """Which tool's naming the file has."""
    pairs: dict[str, Pair] = field(default_factory=dict)
    """Low-rank changes, by module."""
    dense: dict[str, Tensor] = field(default_factory=dict)
    """Changes of whole parameters, by parameter; `diff` and `diff_b` in a file."""
    alphas: dict[str, float] = field(default_factory=dict)
    """Alphas that the file carries, by module."""
    unmatched: dict[str, str] = field(default_factory=dict)
    """Keys left over, each with the reason."""

    @property
    def modules(self) -> tuple[str, ...]:
        """All that is changed, by module, or by parameter where it is in no module of its own."""
        return tuple(dict.fromkeys([*self.pairs, *map(module_of, self.dense)]))


def module_of(parameter: str) -> str:
    """The module of a weight or bias; a bare parameter is its own.

    Args:
        parameter: its path.
    """
    return re.sub(r"\.(weight|bias)$", "", parameter)


def match(weights: Mapping[str, Tensor], entries: Mapping[str, Any], where: str, strength: float) -> Match:
    """Find the weight that each entry changes.

    Args:
        weights: the model's parameters, in diffusers' naming.
        entries: of a LoRA file.
        where: what to call the file in a sentence.
        strength: multiplies every change.

    Raises:
        ValueError: two entries for the same, half a pair, numbers that are not finite, or a model of another width.
    """
    out = Match()
    found = _by_module(weights, entries, where, out)
    _check_width(weights, found, where)
    for path, parts in found.items():
        if ("a" in parts) != ("b" in parts):
            have, lack = ("A", "B") if "a" in parts else ("B", "A")
            raise ValueError(f"{where} holds {have} of {path} without its {lack}: fetch the file again.")
        _fit_pair(weights, path, parts, strength, out)
        for part in ("weight", "bias"):
            _fit_dense(weights, path, part, parts, out)
        if "alpha" in parts and not parts.keys() - {"alpha"}:
            out.unmatched[parts["alpha"][0]] = "an alpha without a LoRA"
    _check_finite(out, where)
    return out


Parts = dict[str, tuple[str, Any]]
"""Of one module: part -> key and value."""


def _by_module(weights: Mapping[str, Tensor], entries: Mapping[str, Any], where: str, out: Match) -> dict[str, Parts]:
    known = aliases(module_of(name) for name in weights)
    found: dict[str, Parts] = {}
    for key, value in entries.items():
        layer, part = read_key(key)
        path = known.get(layer)
        if not part:
            out.unmatched[key] = "not a LoRA's key"
        elif path is None:
            out.unmatched[key] = "the model has no such layer"
        elif not (isinstance(value, Tensor) or (part == "alpha" and isinstance(value, int | float))):
            out.unmatched[key] = f"a {type(value).__name__}, no tensor"
        elif part == "alpha" and isinstance(value, Tensor) and value.numel() != 1:
            out.unmatched[key] = f"{tuple(value.shape)}, no number"
        elif part in found.get(path, {}):
            first = found[path][part][0]
            raise ValueError(f"{where} holds both {first} and {key}: give the entries of one model alone.")
        else:
            found.setdefault(path, {})[part] = key, value
            if out.naming in ("", "diffusers"):  # the namings share some layers' names
                out.naming = naming_of(key, layer, path)
    return found


def _check_width(weights: Mapping[str, Tensor], found: Mapping[str, Parts], where: str) -> None:
    for path, parts in found.items():
        key, value = parts.get("a", parts.get("weight", ("", None)))
        if WIDE.fullmatch(path) and value is not None and value.ndim > 1:
            got, want = value.shape[1], weights[f"{path}.weight"].shape[1]
            if got != want:
                raise ValueError(
                    f"{where} is for a model {got} wide{WIDTHS.get(got, '')}, this one is {want} wide"
                    f"{WIDTHS.get(want, '')} ({key} is {tuple(value.shape)}): give the LoRA of this model's size."
                )


def _fit_pair(weights: Mapping[str, Tensor], path: str, parts: Parts, strength: float, out: Match) -> None:
    if "a" not in parts:
        return
    (key_a, a), (key_b, b), weight = parts["a"], parts["b"], weights.get(f"{path}.weight")
    if weight is None or not _fits(a, b, weight):
        shape = "a layer without a matrix" if weight is None else f"a weight of {tuple(weight.shape)}"
        reason = f"A {tuple(a.shape)} and B {tuple(b.shape)} do not fit {shape}"
        out.unmatched |= {key_a: reason, key_b: reason}
        return
    rank = a.shape[0]
    if "alpha" in parts:
        out.alphas[path] = float(parts["alpha"][1])
    alpha = out.alphas.get(path, float(rank))
    # tools differ in whether a convolution's pair is flat
    a, b = a.reshape(rank, *weight.shape[1:]), b.reshape(weight.shape[0], rank, *(1 for _ in weight.shape[2:]))
    out.pairs[path] = Pair(a, b, alpha, strength * alpha / rank)


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
            raise ValueError(f"{where} holds numbers that are not finite in {name}: fetch another copy.")


def changes_nothing(match: Match) -> tuple[str, ...]:
    """Modules whose change is exactly zero, found without multiplying A and B.

    Args:
        match: what a file changes.
    """
    alive = {path for path, pair in match.pairs.items() if pair.a.any() and pair.b.any() and pair.alpha}
    alive |= {module_of(name) for name, change in match.dense.items() if change.any()}
    return tuple(path for path in match.modules if path not in alive)

"""LoRA for Wan's transformer: files of many tools, several at a time, each with its own strength.

Low-rank updates become PEFT adapters of the model, so diffusers' set_adapters, disable_lora and similar methods work.
Updates of whole parameters (`diff`, `diff_b`) are added to the weights, and subtracted when the LoRA is unloaded.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from pusa_lab.arguments import checked
from pusa_lab.files import check_writable
from pusa_lab.sentences import counted
from pusa_lab.wan.lora.adapters import (
    active_names,
    add_dense,
    add_pairs,
    attach,
    base_weights,
    check_exact,
    check_ready,
    detach,
    layers,
    pairs_of,
    unwrapped,
)
from pusa_lab.wan.lora.files import Source, read_lora, write_lora
from pusa_lab.wan.lora.kinds import model_of
from pusa_lab.wan.lora.match import Match, Pair, changes_nothing, match, module_of
from pusa_lab.wan.lora.names import written_key
from pusa_lab.wan.lora.scale import sources

Expert: TypeAlias = Literal["high", "low"]
"""Which of Wan2.2's two experts a transformer is: the one for high noise or the one for low noise."""


@dataclass(frozen=True)
class LoRAReport:
    """The result of loading a LoRA; print it for a summary."""

    name: str
    """Name of the adapter in the model."""
    naming: str
    """Tool whose naming was recognised: diffsynth, diffusers, comfyui, musubi or lycoris."""
    matched: tuple[str, ...]
    """Changed modules, in diffusers' naming."""
    unmatched: tuple[str, ...]
    """Keys of the file that match nothing in the model."""
    zero_norm: tuple[str, ...]
    """Matched modules whose update is exactly zero."""
    rank: dict[str, int]
    """Rank of each low-rank update, by module."""
    alpha: dict[str, float] | None
    """Alphas stated by the file, by module; None if it states none."""
    scale: dict[str, float]
    """Factor of each update, strength * alpha / rank (sqrt(rank) for rsLoRA), by module."""
    scale_source: str = ""
    """Where the scale is stated: the alphas among the tensors, a header or a configuration."""

    def __str__(self) -> str:
        zero = f"{len(self.zero_norm)} of them change nothing" if self.zero_norm else "none of them zero"
        keys = counted(len(self.unmatched), "key")
        left = f"{keys} left over, first {self.unmatched[0]}" if self.unmatched else "no key left"
        alpha = f"{_span(self.alpha.values())} from {self.scale_source}" if self.alpha else "none in the file"
        return (
            f"LoRA {self.name!r}, {self.naming} naming\n"
            f"  {counted(len(self.matched), 'module')} changed, {zero}; {left}\n"
            f"  rank {_span(self.rank.values())}, alpha {alpha}, effective scale {_span(self.scale.values())}"
        )

    def _repr_html_(self) -> str:
        """Shown in a notebook: the summary, and a row for each kind of layer."""
        kinds: dict[str, list[str]] = {}
        for path in self.matched:
            kinds.setdefault(re.sub(r"^.*?\.\d+\.", "", path), []).append(path)
        rows = []
        for kind, paths in kinds.items():
            spans = [_span(found[path] for path in paths if path in found) for found in (self.rank, self.scale)]
            rows.append([kind, len(paths), *spans, sum(path in self.zero_norm for path in paths)])
        head = ["layer", "changed", "rank", "scale", "of them zero"]
        return str(
            import_module("pusa_lab.html").table_html("; ".join(map(str.strip, str(self).splitlines())), head, rows)
        )


def _span(values: Iterable[float | int]) -> str:
    ends = sorted(set(values))
    return " to ".join(f"{end:g}" for end in dict.fromkeys([*ends[:1], *ends[-1:]])) or "none"


EXPERT = "_pusa_expert"
"""Attribute of a transformer that tells which expert it is."""


@dataclass
class _Loaded:
    """State of a LoRA in the model that PEFT does not store."""

    strength: float
    dense: dict[str, Tensor]
    merged: dict[str, Pair] | None = None
    """The low-rank updates while they are merged into the weights, otherwise None."""


def _loaded(model: nn.Module) -> dict[str, _Loaded]:
    return model.__dict__.setdefault("_pusa_loras", {})


@checked
def load_lora(
    model: nn.Module,
    source: Source,
    *,
    strength: float = 1.0,
    name: str | None = None,
    partial: bool = False,
    expert: Expert | None = None,
) -> LoRAReport:
    """Attach a LoRA to a model, in addition to others, with its own strength.

    W' = W + strength * (alpha / rank) * B A, with alpha = rank if none is stated, and alpha / sqrt(rank) for rsLoRA

    Alpha is read from the tensors, from the header (diffusers, kohya), from entries such as lora_alpha, and from PEFT's
    adapter_config.json beside the file; the report says from which.

    Args:
        model: a WanTransformer3DModel, compiled or not. The adapter takes the device of its weights and the type in
            which they compute; PEFT freezes the weights themselves.
        source: a file (.safetensors, or a pickle with tensors only), a folder of PEFT, or tensors by key, as written by
            Pusa, DiffSynth, PEFT, diffusers, ComfyUI, LightX2V, Musubi or LyCORIS (its LoRA only).
        strength: any finite number; 1 is as trained, and Pusa's authors use 1.4.
        name: of the adapter, letters, digits, _ and -; by default made from the file's name.
        partial: load what fits even if some keys do not, for example an image-to-video LoRA on a text-to-video model.
        expert: which of Wan2.2's experts the model is, for files with the LoRAs of both; None if it is not one of two.
            Not needed for the experts of a `WanModel`.

    Returns:
        What was matched, with ranks and scales.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be read, states two different scales, is not a plain LoRA (DoRA, LoHa, LoKr) or does
            not fit; the name is taken; or the model is not ready for a LoRA. The model is then unchanged.
    """
    model = unwrapped(model)
    check_strength(strength)
    check_ready(model)
    file = read_lora(source)
    name = _name_for(model, name, file.stem)
    found = match(base_weights(model), file, strength, expert or model.__dict__.get(EXPERT))
    check_matched(found, file.entries, file.where, partial)
    check_exact(model, found.dense)
    report = _report(name, found, strength)
    dense = {key: change.to("cpu", copy=True) for key, change in found.dense.items()}
    attach(model, name, found.pairs)
    add_dense(model, dense, strength)
    _loaded(model)[name] = _Loaded(strength, dense)
    return report


@checked
def check_strength(strength: float) -> None:
    """Refuse a strength that is not finite.

    Args:
        strength: of a LoRA.

    Raises:
        ValueError: strength is infinite or NaN.
    """
    if not math.isfinite(strength):
        raise ValueError(f"strength={strength}: give a finite number; 1 is as trained.")


def _name_for(model: Any, name: str | None, stem: str) -> str:
    taken = {*_loaded(model), *getattr(model, "peft_config", {})}
    reserved = nn.ModuleDict()  # PEFT stores adapters in one, so names of its methods are not possible
    if name is None:
        stem = re.sub(r"[^\w-]+", "_", stem, flags=re.ASCII)
        stem = f"{stem}_lora" if hasattr(reserved, stem) else stem
        numbered = (f"{stem}_{i}" for i in range(2, len(taken) + 3))
        return stem if stem not in taken else next(n for n in numbered if n not in taken)
    if not re.fullmatch(r"[\w-]+", name, flags=re.ASCII) or hasattr(reserved, name):
        raise ValueError(f"an adapter cannot be called {name!r}: give a name of letters, digits, _ and -.")
    if name in taken:
        raise ValueError(f"the model already has an adapter {name!r}: give another name, or unload that one first.")
    return name


@checked
def check_matched(found: Match, entries: Mapping[str, Any], where: str, partial: bool) -> None:
    """Refuse a file in which no key fits the model, or not every key.

    Args:
        found: from `match`.
        entries: of the file.
        where: what to call the file in a sentence.
        partial: whether some keys may remain unmatched.

    Raises:
        ValueError: the sentence gives the first key that does not fit, and why.
    """
    first, reason = next(iter(found.unmatched.items()), ("", ""))
    if not found.modules:
        example = f", first {first}: {reason}{model_of(entries)}" if first else ""
        raise ValueError(
            f"nothing in {where} fits this model ({counted(len(entries), 'key')}{example}): give a LoRA for Wan."
        )
    if found.unmatched and not partial:
        raise ValueError(
            f"{len(found.unmatched)} of {counted(len(entries), 'key')} in {where} do not fit this model, first {first} "
            f"({reason}): give a LoRA made for it, or partial=True to load the rest."
        )


def _report(name: str, found: Match, strength: float) -> LoRAReport:
    return LoRAReport(
        name=name,
        naming=found.naming,
        matched=found.modules,
        unmatched=tuple(found.unmatched),
        zero_norm=changes_nothing(found),
        rank={path: pair.rank for path, pair in found.pairs.items()},
        alpha=dict(found.alphas) or None,
        scale={path: found.pairs[path].scale if path in found.pairs else strength for path in found.modules},
        scale_source=sources(found.sources.values()),
    )


@checked
def set_strengths(model: nn.Module, strengths: Mapping[str, float]) -> None:
    """Change the strengths of attached LoRAs.

    Args:
        model: the model with the LoRAs; changed in place.
        strengths: name of an adapter -> its strength; the others keep theirs.

    Raises:
        ValueError: there is no such LoRA, it is merged, its whole-weight updates are in 8-bit weights, or a strength is
            not finite.
    """
    model = unwrapped(model)
    check_ready(model)
    for name, strength in strengths.items():
        check_strength(strength)
        if _get(model, name).merged is not None:
            raise ValueError(f"LoRA {name!r} is merged into the weights: unmerge the model, then change its strength.")
        check_exact(model, _get(model, name).dense)
    for name, strength in strengths.items():
        lora = _get(model, name)
        for layer in layers(model, name).values():
            layer.set_scale(name, strength)
        add_dense(model, lora.dense, strength - lora.strength)
        lora.strength = strength


def _get(model: Any, name: str) -> _Loaded:
    if name not in _loaded(model):
        there = ", ".join(map(repr, _loaded(model))) or "none"
        raise ValueError(f"no LoRA {name!r} in the model: give one of its LoRAs ({there}).")
    return _loaded(model)[name]


@checked
def merge(model: nn.Module, names: str | Sequence[str] | None = None) -> None:
    """Merge low-rank updates into the weights, so that a forward costs no more than without LoRAs.

    W <- W + strength * (alpha / rank) * B A; A and B are moved to the CPU

    Args:
        model: the model with the LoRAs; changed in place.
        names: of one or several adapters; by default all active ones.

    Raises:
        ValueError: there is no such LoRA, it is already merged, or its weights are stored in 8 bits.
    """
    model = unwrapped(model)
    check_ready(model)
    if names is None:
        names = [name for name in active_names(model) if name in _loaded(model)]
    chosen = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    for name in chosen:
        if _get(model, name).merged is not None:
            raise ValueError(f"LoRA {name!r} is already merged: merge each LoRA once.")
        check_exact(model, [f"{path}.weight" for path in layers(model, name)])
    for name in chosen:
        pairs = pairs_of(model, name)
        add_pairs(model, pairs, 1)
        _get(model, name).merged = {k: Pair(p.a.cpu(), p.b.cpu(), p.alpha, p.scale) for k, p in pairs.items()}
        detach(model, name)


@checked
def unmerge(model: nn.Module) -> None:
    """Subtract all merged LoRAs from the weights and attach them again; weights are restored up to rounding.

    W <- W - strength * (alpha / rank) * B A

    Args:
        model: the model with the merged LoRAs; changed in place.

    Raises:
        ValueError: diffusers has fused adapters of this model, or its weights are stored in 8 bits.
    """
    model = unwrapped(model)
    check_ready(model)
    for lora in _loaded(model).values():
        check_exact(model, [f"{path}.weight" for path in lora.merged or ()])
    for name, lora in _loaded(model).items():
        if lora.merged is not None:
            add_pairs(model, lora.merged, -1)
            attach(model, name, lora.merged)
            lora.merged = None


@checked
def unload_lora(model: nn.Module, name: str) -> None:
    """Remove a LoRA from the model, whether merged or attached; weights are restored up to rounding.

    Args:
        model: the model with the LoRA; changed in place.
        name: of the adapter.

    Raises:
        ValueError: there is no such LoRA, or it would have to be subtracted from weights that are stored in 8 bits.
    """
    model = unwrapped(model)
    check_ready(model)
    lora = _get(model, name)
    check_exact(model, [*(f"{path}.weight" for path in lora.merged or ()), *lora.dense])
    if lora.merged is not None:
        add_pairs(model, lora.merged, -1)
    detach(model, name)
    add_dense(model, lora.dense, -lora.strength)
    del _loaded(model)[name]


@checked
def save_lora(
    model: nn.Module, path: str | Path, name: str, naming: Literal["diffusers", "diffsynth", "comfyui"] = "diffusers"
) -> None:
    """Write a LoRA to a file for other tools, without its strength.

    The comfyui naming stores alpha beside A and B; the others have no alpha, so B is multiplied by alpha / rank.

    Args:
        model: the model with the LoRA, merged or attached.
        path: of the file, ending in .safetensors; it is written atomically.
        name: of the adapter.
        naming: "diffusers", "diffsynth" (as in Pusa's own files) or "comfyui". diffusers and PEFT have no keys for
            updates of whole weights, which comfyui and diffsynth store as diff and diff_b.

    Raises:
        ValueError: there is no such LoRA, the naming cannot hold its updates, or the path has another suffix.
        OSError: the file cannot be written.
    """
    model, path = unwrapped(model), Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"{path} does not end in .safetensors: give a path that does.")
    lora = _get(model, name)
    check_writable(path)
    pairs = pairs_of(model, name) if lora.merged is None else lora.merged
    parts = {(module, part): t for module, pair in pairs.items() for part, t in _written(pair, naming).items()}
    if naming == "diffusers":
        parts |= _biases(lora.dense, pairs)
    else:
        for key, change in lora.dense.items():
            parts[module_of(key), "bias" if key.endswith(".bias") else "weight"] = change
    write_lora(path, {written_key(naming, *where): tensor for where, tensor in parts.items()})


def _written(pair: Pair, naming: str) -> dict[str, Tensor]:
    if naming == "comfyui":
        return {"a": pair.a, "b": pair.b, "alpha": torch.tensor(pair.alpha)}
    factor = pair.alpha / pair.rank
    return {"a": pair.a, "b": pair.b if factor == 1 else (pair.b.float() * factor).to(pair.b.dtype)}


def _biases(dense: Mapping[str, Tensor], pairs: Mapping[str, Pair]) -> dict[tuple[str, str], Tensor]:
    """Updates of biases as PEFT stores them: beside a low-rank pair, and if any, beside every pair."""
    changed = {module_of(key): change for key, change in dense.items() if key.endswith(".bias")}
    for key in dense:
        if not key.endswith(".bias") or module_of(key) not in pairs:
            raise ValueError(
                f"this LoRA changes the whole of {key}, for which diffusers has no key: write it with naming='comfyui'."
            )
    zeros = {path: torch.zeros(len(pair.b), dtype=pair.b.dtype) for path, pair in pairs.items()} if changed else {}
    return {(path, "bias of b"): change for path, change in (zeros | changed).items()}

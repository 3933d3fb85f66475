"""How values and file names are shown in error sentences: short, and on one line."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


def shown(value: Any) -> str:
    """Describe a value for an error sentence: "3 (an int)", "a tensor of shape (2, 3), float32".

    Args:
        value: any object.
    """
    if value is None or isinstance(value, bool):
        return repr(value)
    kind = type(value).__name__
    article = "an" if kind[0].lower() in "aeiou" else "a"
    if isinstance(value, Tensor) and value.is_nested:
        return f"a nested tensor, {str(value.dtype).removeprefix('torch.')}"  # of no single shape
    if isinstance(value, Tensor):
        layout = "" if value.layout == torch.strided else f", {str(value.layout).removeprefix('torch.')}"
        place = ", on the meta device" if value.is_meta else ""
        return f"a tensor of shape {tuple(value.shape)}, {str(value.dtype).removeprefix('torch.')}{layout}{place}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}, {value.dtype}"
    if isinstance(value, str | int | float | complex | bytes | range):
        try:
            return f"{value!r:.80} ({article} {kind})"
        except ValueError:  # Python refuses to print an int of more than 4300 digits
            return f"{article} {kind} of too many digits"
    if isinstance(value, Path):
        return f"the path {str(value)!r:.80}"
    if isinstance(value, Sequence | Mapping | set | frozenset):
        return f"{article} {kind} of {counted(len(value), 'item')}" if value else f"an empty {kind}"
    return f"{article} {kind}"


def counted(number: int, noun: str) -> str:
    """A number and its noun: "1 prompt", "2 processes", "10,000 latent frames".

    Args:
        number: of the things.
        noun: of one of them, whose plural ends in s, or in es after an s.
    """
    plural = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{plural}"


def memory_shown(gib: float) -> str:
    """An amount of memory: "58.4 GiB", or below 0.1 GiB "41.20 MiB".

    Args:
        gib: of it, at least 0.
    """
    return f"{gib:.1f} GiB" if gib >= 0.1 else f"{1024 * gib:.2f} MiB"


def listed(faults: Sequence[str]) -> str:
    """The first five of a list of faults, and the number of the others: "a; b (and 2 more)".

    Args:
        faults: one phrase each.
    """
    return "; ".join(faults[:5]) + (f" (and {len(faults) - 5:,} more)" if len(faults) > 5 else "")


THEIRS = {
    "num_inference_steps": ("steps",),
    "guidance_scale": ("guidance", "scale"),
    "num_frames": ("latent_frames", "frames"),
    "latent_frames": ("frames",),
    "flow_shift": ("shift",),
    "image": ("picture", "first"),
    "video": ("clip",),
    "last_image": ("last",),
}
"""What diffusers calls an argument, or what ours is called elsewhere -> its names here."""


def misfit_call(function: Callable[..., Any], args: Sequence[Any], keywords: Mapping[str, Any]) -> str:
    """The sentence for a call that does not match a function's signature; empty if it does.

    Args:
        function: what was called; of a method, the first argument, self or cls, does not count.
        args: the arguments given by position.
        keywords: those given by name.
    """
    signature = inspect.signature(function)
    try:
        signature.bind(*args, **keywords)
    except TypeError:
        known = [p for p in signature.parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    else:
        return ""
    own = [p.name for p in known if p.name in ("self", "cls")]
    places = [p.name for p in known if p.kind is not p.KEYWORD_ONLY]
    names = [p.name for p in known if p.kind is not p.POSITIONAL_ONLY and p.name not in own]
    takes_others = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    if not takes_others and (unknown := [name for name in keywords if name not in names]):
        ours = next((name for name in THEIRS.get(unknown[0], ()) if name in names), "")
        use = f"use {ours}" if ours else f"choose from {', '.join(names)}"
        return f"there is no argument {unknown[0]}: {use}."
    if len(args) > len(places):
        most, given = (len(found) - len(own) for found in (places, args))
        return f"{counted(given, 'argument')} by position, but at most {most} can be given so: give the others by name."
    if twice := [name for name in places[: len(args)] if name in keywords]:
        return f"{twice[0]} is given by position and by name: give it once."
    needed = [p.name for p in known if p.default is p.empty and p.name not in own]
    missing = [name for name in needed if name not in keywords and name not in places[: len(args)]]
    return f"{missing[0]} is missing: give {', '.join(needed)}."


def in_one_line(text: str) -> str:
    """Escape line breaks and control characters, which file names may contain, as in a Python string.

    Args:
        text: a sentence.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)

"""Sorts what a call did: right, one clear sentence, or anything else."""

import contextlib
import copy
import inspect
import io
import itertools
import linecache
import re
import sys
import typing
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pusa_lab.annotations import has_fixed_axes, is_array

from .guard import guarded

RIGHT, SENTENCE, ELSE = "right", "one clear sentence", "anything else"
RAW = re.compile(
    r"object at 0x|invalid literal|could not convert|has no attribute|must match the size|mat1 and mat2|"
    r"not subscriptable|unhashable|not supported between|unsupported operand|is not iterable|values to unpack|NoneType|"
    r"broadcast together|Expected all|indices must be|required argument|index out of range|codec can|Traceback|"
    r"CPUAllocator|torch\.Size"
)
"""Text that only libraries write."""
UNBOUND = re.compile(r"\w[\w.<>]*(\(\))?:? (missing|got|takes) .*(argument|positional)", re.S)
"""Python's own sentence on a missing or unknown argument."""


@dataclass(frozen=True)
class Verdict:
    """What a call came to."""

    outcome: str
    why: str = ""


def sentence_faults(text: str, names: tuple[str, ...]) -> list[str]:
    """What keeps a text from being one clear sentence of the thing that was called.

    Args:
        text: of the error.
        names: with one of which it must start.
    """
    short = re.sub(r"\S{60,}", "x" * 60, text)
    found = {
        f"starts with none of {names}": not text.startswith(names),
        "fewer than 5 words": len(text.split()) < 5,
        "no full stop": not text.rstrip().endswith((".", "?")),
        "a new line": "\n" in text.strip(),
        "raw text": bool(RAW.search(text)),
        "over 400 characters": len(short) > 400,
        "NUL": "\0" in text,
    }
    return [name for name, wrong in found.items() if wrong]


def raised_by_us(error: BaseException) -> bool:
    """Whether a line of ours that begins with `raise` raised it.

    Args:
        error: what was caught.
    """
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    if at is None:
        return False
    package = at.tb_frame.f_globals.get("__name__", "").split(".")[0]
    line = linecache.getline(at.tb_frame.f_code.co_filename, at.tb_lineno).strip()
    return package in ("pusa_lab", "small_models") and line.startswith("raise")


def of_error(error: BaseException, names: tuple[str, ...]) -> Verdict:
    """The verdict on an exception.

    Args:
        error: what was caught.
        names: by which people know what was called.
    """
    if isinstance(error, ModuleNotFoundError):
        return Verdict(SENTENCE)
    try:
        text = str(error)
    except Exception as other:
        return Verdict(ELSE, f"an error without text ({type(other).__name__})")
    if isinstance(error, TypeError) and UNBOUND.match(text):
        return Verdict(SENTENCE)
    if not isinstance(error, ValueError | TypeError | OSError) or not raised_by_us(error):
        return Verdict(ELSE, f"{type(error).__name__}: {text[:300]}")
    faults = sentence_faults(text, names)
    return Verdict(ELSE, f"{', '.join(faults)}: {text[:500]}") if faults else Verdict(SENTENCE)


def judged(
    call: Callable[[], Any], given: dict[str, Any], names: tuple[str, ...], right: Callable[[Any], str]
) -> Verdict:
    """Make a call and sort what it does.

    Args:
        call: without arguments.
        given: its arguments, which it may not change.
        names: by which people know what is called.
        right: what is wrong with the result, or "".
    """
    before = {name: _kept(value) for name, value in given.items()}
    with guarded(), warnings.catch_warnings(record=True) as heard, contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("always")
        try:
            result = _whole(call())
            wrong = right(result)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return of_error(error, names)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")  # a person closes figures, or a notebook does
    heard = [w for w in heard if not issubclass(w.category, DeprecationWarning | ResourceWarning)]
    changed = [name for name, value in given.items() if not _same(before[name], value)]
    if heard:
        return Verdict(ELSE, f"a warning: {heard[0].category.__name__}: {str(heard[0].message)[:200]}")
    if changed:
        return Verdict(ELSE, f"{', '.join(changed)} changed in place")
    return Verdict(ELSE, wrong) if wrong else Verdict(RIGHT)


def _whole(result: Any) -> Any:
    """What lies behind a generator (its first items) or a context (its value)."""
    if isinstance(result, contextlib.AbstractContextManager) and type(result).__name__ == "_GeneratorContextManager":
        with result as value:
            return value
    if inspect.isgenerator(result) or isinstance(result, itertools.chain | map | filter | zip):
        return list(itertools.islice(result, 20))
    return result


def _kept(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().clone() if value.layout == torch.strided and not value.is_nested else None
    if isinstance(value, np.ndarray):
        return value.copy()
    with contextlib.suppress(BaseException):
        return copy.deepcopy(value) if type(value) in (list, dict) else None
    return None


def _same(before: Any, after: Any) -> bool:
    if before is None:
        return True
    if isinstance(before, torch.Tensor):
        if before.is_meta or before.is_quantized:
            return True
        return before.shape == after.shape and torch.allclose(before, after.detach(), 0, 0, equal_nan=True)
    if isinstance(before, np.ndarray):
        kind = before.dtype.kind in "fc"
        return before.dtype.kind in "OV" or np.array_equal(before, np.asarray(after), equal_nan=kind)
    try:
        return bool(before == after) or repr(before) == repr(after)
    except BaseException:
        return True


# Invariants


def shape_fault(result: Any, hint: Any, sizes: dict[str, int]) -> str:
    """How a result differs from its annotation's axes, or "".

    Args:
        result: a tensor, or a tuple of them.
        hint: what the function says that it returns.
        sizes: axis -> size, from the arguments.
    """
    if is_array(hint) and isinstance(result, torch.Tensor) and has_fixed_axes(hint):
        dims = hint.dim_str.split()
        if result.ndim != len(dims):
            return f"returned shape {tuple(result.shape)} instead of ({' '.join(dims)})"
        wanted = [int(d) if d.isdecimal() else sizes.get(d) for d in dims]
        if any(w not in (None, n) for w, n in zip(wanted, result.shape, strict=True)):
            return f"returned shape {tuple(result.shape)} instead of ({' '.join(dims)}) with {sizes}"
    if typing.get_origin(hint) is tuple and isinstance(result, tuple):
        parts = typing.get_args(hint)
        if len(parts) == len(result):
            return next(filter(None, (shape_fault(r, h, sizes) for r, h in zip(result, parts, strict=True))), "")
    return ""


def tensors_in(value: Any, depth: int = 0) -> Iterator[torch.Tensor]:
    """The dense tensors of a value; lists, tuples, dicts and nested tensors are opened.

    Args:
        value: anything.
        depth: how deep it lies.
    """
    if isinstance(value, torch.Tensor):
        if value.layout == torch.strided and not value.is_meta and not value.is_quantized:
            yield from value.unbind() if value.is_nested else (value,)
    elif type(value) in (list, tuple, dict) and depth < 3:
        for part in list(value.values() if isinstance(value, dict) else value)[:20]:
            yield from tensors_in(part, depth + 1)


def not_finite(value: Any, depth: int = 0) -> bool:
    """Whether a value holds NaN or infinity.

    Args:
        value: anything.
        depth: of the lists that it is in.
    """
    if isinstance(value, float | np.floating):
        return not np.isfinite(value)
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and not np.isfinite(value).all()
    if type(value) in (list, tuple) and depth < 5 and any(not_finite(part, depth + 1) for part in value):
        return True
    return any(t.is_floating_point() and not torch.isfinite(t).all() for t in tensors_in(value))

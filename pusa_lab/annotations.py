"""Checks of values, made from annotations such as `int`, `Tau`, `Sequence[float] | None` or a class."""

import contextlib
import inspect
import operator
import os
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pusa_lab.annotations_arrays import (
    Check,
    Unfit,
    array_check,
    has_fixed_axes,
    is_array,
    is_plain,
    ndarray,
    numbers,
)
from pusa_lab.sentences import counted, shown
from pusa_lab.signatures import signature_of

__all__ = [
    "Check",
    "Unfit",
    "array_check",
    "bare",
    "check_for",
    "has_fixed_axes",
    "is_array",
    "nothing",
    "one_of",
    "shown",
]

NOT_NAN = "a number, not NaN"
RANGE = "from -2**63 to 2**63 - 1"
"""The range of whole numbers, which fit into 64 bits."""
MOST_NAME, MOST_PATH = 255, 4096
"""Bytes of a file name and of a whole path that Linux accepts: looking for a longer one is already an error."""


# From an annotation to a check


def check_for(hint: Any) -> Check:
    """Return the check for an annotation: it takes a value and returns it converted, or raises `Unfit`.

    Annotations of unknown kinds accept every value unchanged.

    Args:
        hint: an annotation, such as int, Tau, `Sequence[float] | None`, or a class.
    """
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        wider = {int: float, str: torch.device}  # the wider check accepts the narrower kind too
        kinds = [part for part in parts if wider.get(part, part) not in parts or part not in wider]
        names = {str, Path} <= set(kinds)
        return one_of([_name_or_path if names and part in (str, Path) else check_for(part) for part in kinds])
    if origin is typing.Annotated:  # a function, with the least number of arguments it is called with
        return _function(parts[1], typing.get_args(parts[0])[-1])
    if origin is typing.Literal:
        return _literal(parts)
    if is_array(hint):
        return array_check(hint)
    if hint in PLAIN:
        return PLAIN[hint]
    container = origin or hint
    if container in (Sequence, list, tuple, set, frozenset):
        return _sequence(container, parts)
    if container in (Iterable, Iterator):
        return _iterable(parts, lazy=container is Iterator)
    if container in (Mapping, dict):
        return _mapping(parts)
    if container is Callable or container is typing.get_origin(Callable[..., Any]):
        return _function(len(parts[0]) if parts and isinstance(parts[0], list) else 0, parts[-1] if parts else Any)
    if inspect.isclass(container):
        return _instance(container)
    return lambda value: value


def _none(hint: Any) -> list[Check]:
    return [nothing] if type(None) in typing.get_args(hint) else []


def bare(hint: Any) -> Any:
    """Return the annotation without `| None`; unions of several other types stay as they are.

    Args:
        hint: an annotation, such as `Tau | None`.
    """
    parts = [part for part in typing.get_args(hint) if part is not type(None)]
    return parts[0] if typing.get_origin(hint) in (typing.Union, types.UnionType) and len(parts) == 1 else hint


def _whole(value: Any) -> int:
    if type(value) is int and -(2**63) <= value < 2**63:  # the common case, kept fast
        return value
    if not isinstance(value, bool | np.bool_) and not (isinstance(value, Tensor) and value.dtype == torch.bool):
        with contextlib.suppress(TypeError, RuntimeError):
            number = operator.index(value)
            if not -(2**63) <= number < 2**63:
                raise Unfit(f"a whole number {RANGE}")
            return number
    raise Unfit("a whole number")


def _number(value: Any) -> int | float:
    """A finite or infinite real number; an int stays an int."""
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
        number = value
    elif isinstance(value, np.number | np.ndarray | Tensor):
        if isinstance(value, Tensor) and not is_plain(value):
            raise Unfit("a number")
        if value.ndim or (isinstance(value, np.number | np.ndarray) and value.dtype.kind not in "uif"):
            raise Unfit("a number")
        number = value.item()
    else:
        raise Unfit("a number")
    if number != number:
        raise Unfit(NOT_NAN)
    if isinstance(number, int) and not -(2**63) <= number < 2**63:
        raise Unfit(f"a number {RANGE}")
    return number


def _measured(value: Any) -> Any:
    """A number, or NaN for a missing value."""
    return nan if _is_nan(value) else _number(value)


def _is_nan(value: Any) -> bool:
    plain = isinstance(value, float | np.floating) or (
        isinstance(value, Tensor) and not value.ndim and value.is_floating_point() and is_plain(value)
    )
    return plain and bool(value != value)


def _truth(value: Any) -> bool:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise Unfit("True or False")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    raise Unfit("a text (str)")


def _path(value: Any) -> Any:
    if not isinstance(value, str | os.PathLike) or not str(value) or "\0" in str(value):
        raise Unfit("a path")
    try:
        path = Path(value)
        longest = max(len(os.fsencode(name)) for name in (*path.parts, ""))
    except (TypeError, UnicodeEncodeError):  # a path of bytes, or one with a lone surrogate
        raise Unfit("a path") from None
    if longest > MOST_NAME or len(os.fsencode(path)) >= MOST_PATH:
        raise Unfit(f"a path of less than {MOST_PATH} bytes, with names of at most {MOST_NAME}")
    return path


def _name_or_path(value: Any) -> Any:
    """Check a path but keep the value as it is, because the name of a model must stay a str."""
    _path(value)
    return value


def nothing(value: Any) -> None:
    """Accept None only.

    Args:
        value: the value to check.

    Raises:
        Unfit: it is not None.
    """
    if value is not None:
        raise Unfit("None")


def _device(value: Any) -> torch.device:
    try:
        return torch.device(value)
    except (RuntimeError, TypeError, ValueError, OverflowError):
        raise Unfit('a device such as "cpu" or "cuda"') from None


def _tensor(value: Any) -> Tensor:
    """Zeros and ones in lists become float32, as [[1, 1], [0, 0]] is a schedule; tensors and arrays stay."""
    found = numbers(value, "a tensor")
    listed = isinstance(value, list | tuple) and found.dtype == torch.int64 and found.numel()
    return found.float() if listed and found.min() >= 0 and found.max() <= 1 else found


PLAIN: dict[Any, Check] = {
    Any: lambda value: value,
    object: lambda value: value,
    inspect.Parameter.empty: lambda value: value,
    int: _whole,
    float: _number,
    typing.SupportsFloat: _measured,
    bool: _truth,
    str: _text,
    Path: _path,
    type(None): nothing,
    torch.device: _device,
    Tensor: _tensor,
    np.ndarray: ndarray,
}
"""Checks of annotations that need no further reading."""


def one_of(checks: list[Check]) -> Check:
    """Return a check that applies the first of several checks that accepts the value.

    Args:
        checks: tried in this order.
    """

    def check(value: Any) -> Any:
        found = []
        for one in checks:
            try:
                return one(value)
            except Unfit as unfit:
                if str(unfit) == NOT_NAN:  # the value itself, not an item of it
                    raise
                found.append(unfit)
        items = [unfit.item for unfit in found if unfit.item]
        raise Unfit(_alternatives([str(unfit) for unfit in found]), items[0] if len(items) == 1 else None)

    return check


def _alternatives(kinds: Iterable[str]) -> str:
    """What is expected, several kinds of it: "a number, a list or None"."""
    kinds = list(dict.fromkeys(kinds))
    if len(kinds) < 3 or any("," in kind for kind in kinds):
        return " or ".join(kinds)
    return f"{', '.join(kinds[:-1])} or {kinds[-1]}"


def _each(check: Check, value: Any, key: Any) -> Any:
    """Check an item of a list or dict."""
    try:
        return check(value)
    except Unfit as unfit:
        inner, item, expected = unfit.item or ("", value, str(unfit))
        raise Unfit(str(unfit), (f"[{key!r:.40}]{inner}", item, expected)) from None


def _literal(choices: tuple[Any, ...]) -> Check:
    def check(value: Any) -> Any:
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            raise Unfit(f"one of {', '.join(map(repr, choices))}")
        return value

    return check


def _sequence(container: Any, parts: tuple[Any, ...]) -> Check:
    item = check_for(parts[0]) if parts else PLAIN[Any]
    each = [check_for(p) for p in parts] if container is tuple and parts and parts[-1] is not Ellipsis else None
    kind = tuple if container is tuple else set if container in (set, frozenset) else list

    def check(value: Any) -> Any:
        if isinstance(value, np.ndarray) or (isinstance(value, Tensor) and is_plain(value)):
            value = value.tolist() if value.ndim == 1 else list(value) if value.ndim else value
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence | set | frozenset):
            raise Unfit("a list")
        if each and len(value) != len(each):
            raise Unfit(counted(len(each), "value"))
        try:
            rows = zip(each or [item] * len(value), value, strict=True)
            return kind(_each(one, x, i) for i, (one, x) in enumerate(rows))
        except Unfit as unfit:
            raise Unfit(f"a list, each item {unfit}", None if kind is set else unfit.item) from None

    return check


def _iterable(parts: tuple[Any, ...], lazy: bool) -> Check:
    """Items of an iterator, which may be long, are checked one by one as they are read."""
    item = check_for(parts[0]) if parts else PLAIN[Any]

    def each(values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            try:
                yield item(value)
            except Unfit as unfit:
                raise ValueError(f"an item is {shown(value)}: give a list, each item {unfit}.") from None

    def check(value: Any) -> Any:
        if isinstance(value, np.ndarray | Tensor):
            value = list(value) if value.ndim and not (isinstance(value, Tensor) and value.is_nested) else None
        if isinstance(value, Iterator):
            return each(value)
        if isinstance(value, str | bytes | bytearray) or not isinstance(value, Collection):
            raise Unfit("a list")
        if lazy:
            return each(value)
        try:
            return [_each(item, one, i) for i, one in enumerate(value)]
        except Unfit as unfit:
            unordered = not isinstance(value, Sequence)
            raise Unfit(f"a list, each item {unfit}", None if unordered else unfit.item) from None

    return check


def _mapping(parts: tuple[Any, ...]) -> Check:
    keys, values = [check_for(p) for p in parts] if len(parts) == 2 else [PLAIN[Any]] * 2

    def check(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise Unfit("a dict")
        try:
            return {keys(k): _each(values, v, k) for k, v in value.items()}
        except Unfit as unfit:
            raise Unfit(f"a dict whose keys and values all fit, here {unfit}", unfit.item) from None

    return check


def _callable(value: Any) -> Any:
    if not callable(value):
        raise Unfit("a function")
    return value


def _function(count: int, result: Any) -> Check:
    """Check of a function called with `count` arguments; a class is refused where a tensor must be returned."""
    makes_tensors = result is Tensor or is_array(result)

    def check(value: Any) -> Any:
        _callable(value)
        if makes_tensors and inspect.isclass(value):
            raise Unfit("a function that returns a tensor, not a class")
        if inspect.isfunction(value) and not vars(value) and value.__code__.co_argcount >= count:
            return value  # a plain function takes them: no need for its signature, which costs more than all the rest
        with contextlib.suppress(ValueError):  # functions written in C may have no signature
            signature = signature_of(value)
            try:
                signature.bind_partial(*[None] * count)
            except TypeError:
                raise Unfit(f"a function of {counted(count, 'argument')} or more") from None
        return value

    return check


def _instance(kind: type) -> Check:
    """Check of an instance of a class, or of a protocol that can be tested at run time."""
    protocol = getattr(kind, "_is_protocol", False)
    if protocol and not getattr(kind, "_is_runtime_protocol", False):
        return _callable if "__call__" in vars(kind) else lambda value: value
    article, example = "an" if kind.__name__[0] in "AEIOU" else "a", EXAMPLES.get(kind.__name__, "")

    def check(value: Any) -> Any:
        try:
            fits = isinstance(value, kind) and not isinstance(value, type)
        except Exception:  # reading the members of a protocol may run any code of the object
            fits = False
        if not fits:
            raise Unfit(f"{article} {kind.__name__}{example and ', such as '}{example}")
        return value

    return check


EXAMPLES = {
    "VideoModel": 'pusa_lab.load("mini-vta")',
    "StatefulSolver": "solvers.AdamsBashforth(3)",
    "Task": "tasks.image_to_video(picture)",
    "dtype": "torch.bfloat16",
}
"""Class name -> how to get an instance, for the error sentence."""


def attribute(value: Any, name: str) -> Any:
    """Return an attribute of an object of unknown origin, or None if it has none or raises on access.

    Args:
        value: any object.
        name: the name of the attribute.
    """
    try:
        return getattr(value, name, None)
    except Exception:
        return None

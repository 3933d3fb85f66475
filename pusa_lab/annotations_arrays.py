"""Checks for annotations of arrays, such as Float[Tensor, "b f"]; a part of `annotations`."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import AbstractArray
from torch import Tensor

Check = Callable[[Any], Any]
"""Takes a value and returns it converted, or raises `Unfit` with a description of what is expected."""


QUANTISED = {torch.qint8, torch.quint8, torch.qint32}


class Unfit(Exception):
    """A value does not fit; the text says what is expected, and the caller makes a sentence of it.

    Args:
        expected: "a number", say.
        item: (place, value, what it is expected to be) of the item of a list or dict at fault, such as
            ("[1]", "x", "a number"); None if the value itself is.
    """

    def __init__(self, expected: str, item: tuple[str, Any, str] | None = None):
        super().__init__(expected)
        self.item = item


def is_plain(value: Tensor) -> bool:
    """Whether a tensor is dense and real and has its numbers in memory (complex, quantised, bool and meta have not).

    Args:
        value: a tensor of any shape.
    """
    odd = value.is_complex() or value.is_quantized or value.is_meta or value.dtype == torch.bool
    return is_dense(value) and not odd


def is_dense(value: Tensor) -> bool:
    """Whether a tensor is one block of numbers (sparse and nested ones are not).

    Args:
        value: a tensor of any shape.
    """
    return value.layout is torch.strided and not value.is_nested


def ndarray(value: Any) -> np.ndarray:
    """Convert a value to a NumPy array of real numbers.

    Args:
        value: an array, or anything `numbers` accepts.

    Raises:
        Unfit: it is complex, holds objects, or is a tensor on the meta device.
    """
    if (isinstance(value, np.ndarray) and value.dtype.kind not in "buif") or (
        isinstance(value, Tensor) and value.is_meta
    ):
        raise Unfit("an array of real numbers")
    return value if isinstance(value, np.ndarray) else numbers(value, "an array").detach().cpu().numpy()


def is_array(hint: Any) -> bool:
    """Whether an annotation is one of jaxtyping's, such as Float[Tensor, "b f"].

    Args:
        hint: an annotation.
    """
    return inspect.isclass(hint) and issubclass(hint, AbstractArray)


def array_check(hint: Any, inner: bool = True) -> Check:
    """Return the check for one of jaxtyping's annotations.

    Args:
        hint: the annotation.
        inner: whether to check the number of axes too. False for a whole argument: `checked` compares its shape with
            the other arguments and writes a more exact sentence.
    """
    names = " ".join(name.lstrip("_") or name for name in hint.dim_str.split())  # _f is f, whatever the others are
    wide = has_fixed_axes(hint) and len(hint.dims) >= 4
    any_shape = len(hint.dims) == 1 and not has_fixed_axes(hint)
    expected = "a tensor" if any_shape else f"a tensor ({names})" if names else "a number"
    floating = "float32" in hint.dtypes
    passed = {getattr(torch, name) for name in hint.dtypes if hasattr(torch, name)} - QUANTISED

    def check(value: Any) -> Any:
        if isinstance(value, Tensor) and value.dtype in passed and not inner and is_dense(value):
            return value
        if hint.array_type is np.ndarray:
            x: Any = ndarray(value)
            kind = str(x.dtype)
        else:
            x = numbers(value, expected)
            if floating and not x.is_floating_point() and not (wide and isinstance(value, Tensor | np.ndarray)):
                x = x.float() if x.dtype != torch.bool else x
            kind = str(x.dtype).removeprefix("torch.")
        if inner and isinstance(x, Tensor) and x.is_meta:
            raise Unfit(f"{expected} on the CPU or a GPU, with numbers in it")
        if hint.dtypes and kind not in hint.dtypes:
            raise Unfit(f"{expected} of {' or '.join(_few(hint.dtypes))} numbers")
        if inner and has_fixed_axes(hint) and x.ndim != len(hint.dims):
            raise Unfit(expected)
        return x

    return check


def _few(dtypes: Sequence[str]) -> list[str]:
    return ["floating point"] if "float32" in dtypes and len(dtypes) > 1 else sorted(dtypes)[:4]


def numbers(value: Any, expected: str) -> Tensor:
    """Convert a value to a dense tensor of real numbers; lists and float64 arrays become float32, tensors stay.

    Args:
        value: a tensor, an array, a number or nested lists.
        expected: description of what is expected, for the error.

    Raises:
        Unfit: it is sparse, nested, complex, quantised or not numeric.
    """
    if isinstance(value, Tensor):
        if not is_dense(value) or value.is_complex() or value.is_quantized:
            raise Unfit(f"{expected}, dense and of real numbers")
        return value
    if isinstance(value, str | bytes | bool | Mapping | set | frozenset) or value is None:
        raise Unfit(expected)
    if isinstance(value, list | tuple) and bool in (kinds := set(map(type, value))) and len(kinds) > 1:
        raise Unfit(f"{expected}, of real numbers")  # NumPy would read True as 1
    try:
        array = np.asarray(torch.stack(list(value)).numpy() if _tensors(value) else value)
    except Exception:  # NumPy may run any code of the object
        raise Unfit(expected) from None
    if array.dtype.kind not in "buif" or array.dtype.itemsize > 8:
        raise Unfit(f"{expected}, of real numbers")
    if array.dtype == np.float64:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, as in torch
            array = array.astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))).reshape(array.shape))


def _tensors(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(x, Tensor) for x in value)


def has_fixed_axes(hint: Any) -> bool:
    """Whether an annotation fixes the number of axes, which "..." and "*any" do not.

    Args:
        hint: one of jaxtyping's annotations.
    """
    return all(type(dim).__name__ != "_NamedVariadicDim" and dim is not ... for dim in hint.dims)

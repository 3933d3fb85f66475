"""Digests of numbers: of arrays, and of the weights of a model of any size."""

import inspect
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pusa_lab.annotations import attribute
from pusa_lab.arguments import checked, shown
from pusa_lab.files import content_digest
from pusa_lab.named import dense

UNKNOWN = "unknown"
"""Digest of what has none."""


@checked
@torch.no_grad()
def weights_digest(model: Any) -> str:
    """Digest of the weights in use, LoRAs included: of the shape, type and 64 numbers of every parameter and buffer.

    Args:
        model: a module, or an object that holds modules or lists of them.

    Returns:
        16 hexadecimal digits, equal on every device; "unknown" if it holds no weights whose numbers can be read.
    """
    named = [pair for one in modules_of(model) for pair in (*one.named_parameters(), *one.named_buffers())]
    about = "".join(f"{name} {tuple(value.shape)} {value.dtype}" for name, value in named)
    return numbers_digest([value for _, value in named], about)


@torch.no_grad()
def numbers_digest(tensors: Iterable[Tensor], about: str = "") -> str:
    """Digest of 64 numbers of every tensor, cheap for billions of weights.

    Args:
        tensors: of any shapes and types, on any devices; empty ones, and those without numbers, are passed over.
        about: what else counts, as text.

    Returns:
        16 hexadecimal digits, equal on every device; "unknown" if no numbers can be read.
    """
    rows, kinds = defaultdict(list), []
    for value in tensors:
        here = dense(value.to_local() if hasattr(value, "to_local") else value)  # of sharded weights, their part
        if here is not None and here.numel():
            every = max(1, here.numel() // 64)
            kinds.append((here.device, here.dtype))
            rows[kinds[-1]].append(here.flatten()[: 64 * every : every])
    if not kinds:
        return UNKNOWN
    numbers = {kind: _each_in_bytes(parts) for kind, parts in rows.items()}
    # in the model's order, which no placement on devices changes
    return content_digest([about, *(next(numbers[kind]) for kind in kinds)])[:16]


def _each_in_bytes(parts: list[Tensor]) -> Iterator[memoryview]:
    """The numbers of each tensor; all of them come to the host in one copy."""
    copied, start = _bytes_of(torch.cat(parts)), 0
    for part in parts:
        stop = start + part.numel() * part.element_size()
        yield copied[start:stop]
        start = stop


def _bytes_of(tensor: Tensor) -> memoryview:
    return memoryview(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())  # type: ignore[arg-type]


def modules_of(model: Any) -> list[nn.Module]:
    """A model itself, or the modules among its attributes and in lists of them.

    Args:
        model: a module, or any object.
    """
    if isinstance(model, nn.Module):
        return [model]
    held = (attribute(model, "__dict__") or {}).values() if not inspect.isclass(model) else ()
    each = [one for value in held for one in (value if isinstance(value, list | tuple) else [value])]
    return [one for one in each if isinstance(one, nn.Module)]


@checked
def array_digest(array: Any) -> str:
    """Digest of an array's shape, type and numbers.

    Args:
        array: a tensor or NumPy array, of any shape.

    Returns:
        16 hexadecimal digits.

    Raises:
        ValueError: its numbers cannot be read, as those of a tensor on the meta device.
    """
    if (tensor := dense(as_tensor(array))) is None:
        raise ValueError(f"array is {shown(array)}: give an array whose numbers are in memory.")
    return content_digest([f"{tuple(tensor.shape)} {tensor.dtype}", _bytes_of(tensor)])[:16]


def as_tensor(array: Any) -> Tensor:
    """A tensor, or an array of any byte order, as a tensor.

    Args:
        array: of numbers.
    """
    if isinstance(array, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))))
    return torch.as_tensor(array)

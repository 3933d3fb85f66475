"""How functions supplied by the caller can be called."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from torch import nn


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """The parameters with which a function is called; of a module, which takes anything, those of its `forward`.

    Args:
        function: any function, perhaps with settings by functools.partial.

    Raises:
        ValueError: it has no signature, as some functions written in C.
        TypeError: it is not callable.
    """
    if isinstance(function, functools.partial):
        return inspect.signature(functools.partial(_called(function.func), *function.args, **function.keywords))
    return inspect.signature(_called(function))


def _called(function: Callable[..., Any]) -> Callable[..., Any]:
    return function.forward if isinstance(function, nn.Module) else function

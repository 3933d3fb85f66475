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


def takes_keyword(function: Callable[..., Any], name: str) -> bool:
    """Whether a function takes an argument of this name, or any; one without a signature is taken to do so.

    Args:
        function: as `signature_of`.
        name: of the argument; what functools.partial has set is not taken any more.
    """
    if name in getattr(function, "keywords", ()):
        return False
    try:
        found = signature_of(function).parameters
    except ValueError:
        return True
    return name in found or any(one.kind is one.VAR_KEYWORD for one in found.values())


def _called(function: Callable[..., Any]) -> Callable[..., Any]:
    return function.forward if isinstance(function, nn.Module) else function

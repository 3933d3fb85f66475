"""A door for functions that read what no annotation names: entries of tables, sizes that belong together."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from pusa_lab.arguments import checked

F = TypeVar("F", bound=Callable[..., Any])


def needs_entries(function: F) -> F:
    """`checked`, and one sentence if a table lacks an entry, or arguments do not fit each other.

    Args:
        function: that reads tables, or tensors whose sizes depend on an object; or a class that is built from a table.
    """

    if inspect.isclass(function):
        function.__init__ = _careful(function.__init__)  # type: ignore[method-assign]
        return checked(function)
    return cast(F, checked(cast(F, _careful(function))))


def _careful(function: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(function)

    @functools.wraps(function)
    def read(*args: Any, **kwargs: Any) -> Any:
        try:
            signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # Python's own error names the function
        try:
            return function(*args, **kwargs)
        except (LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError, AssertionError) as error:
            raise ValueError(
                f"the arguments do not fit each other, or lack what is read from them ({type(error).__name__}): "
                "give what the description of the arguments says."
            ) from error

    return read

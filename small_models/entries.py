"""A door for functions that read tables: dicts whose entries no annotation names."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from pusa_lab.arguments import checked

F = TypeVar("F", bound=Callable[..., Any])


def needs_entries(function: F) -> F:
    """`checked`, and one sentence if a table lacks an entry, or holds something else there.

    Args:
        function: that reads dicts and lists of them.
    """

    @functools.wraps(function)
    def read(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError) as error:
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            raise ValueError(
                f"an argument does not hold what is read from it ({said:.120}): give a whole table, "
                "as the description of the arguments says."
            ) from error

    return cast(F, checked(cast(F, read)))

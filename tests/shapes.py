"""How the shapes of the core are enforced while tests run: by beartype, and everything once.

jaxtyping asks its type checker for two checks of a function: one of its arguments, before the call, and one of all of
it with its result, after the call, which looks at the arguments again. The names of axes are bound by then, so that
the result alone shows the same. Functions within functions are made anew in each call of the outer one; their checks
are not.
"""

from typing import Any

from beartype import beartype

_checks = {}


def checked_once(function):
    """The type checker for --jaxtyping-packages.

    Args:
        function: one that jaxtyping makes, with the parameters and annotations of the one to be checked. That for the
            result is given it under the name of its last parameter; that for the arguments returns Any.
    """
    code, hints = function.__code__, function.__annotations__
    key = (function.__module__, function.__qualname__, code, len(function.__defaults__ or ()), *hints.items())
    if key not in _checks:
        result = hints.get("return", Any)
        last = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount][-1:]
        _checks[key] = beartype(function) if result is Any else _check_of_result(result, *last)
    return _checks[key]


def _check_of_result(hint, name):
    def returned(value):
        return value

    returned.__annotations__ = {"return": hint}
    check = beartype(returned)
    return lambda *_, **given: check(given[name])

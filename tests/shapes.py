"""How the shapes of the core are enforced while tests run: by beartype, and everything once.

jaxtyping asks its type checker for two checks of a function: one of its arguments, before the call, and one of all of
it with its result, after the call, which looks at the arguments again. The names of axes are bound by then, so that
the result alone shows the same. Functions within functions are made anew in each call of the outer one; their checks
are not. And what jaxtyping prepares for its messages, it prepares here when a check has failed.
"""

import functools
import types
from typing import Any

import jaxtyping
from beartype import beartype

_checks = {}
_pairs = {}
_jaxtyped, _scope = jaxtyping.jaxtyped, jaxtyping.jaxtyped("context")


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
    check = _returning(hint)
    return lambda *_, **given: check(given[name])


def _returning(hint):
    def returned(value):
        return value

    returned.__annotations__ = {"return": hint}
    return beartype(returned)


def _enforced(*given, **options):
    """jaxtyping's decorator, in its place: calls that fit pass without the preparation of its messages."""
    if not (_is_ours(**options) and all(isinstance(one, types.FunctionType) for one in given)):
        return _jaxtyped(*given, **options)
    if not given:
        return functools.partial(_enforced, **options)
    (function,) = given
    fits, returns = _checks_of(function)

    @functools.wraps(function)
    def checked(*args, **kwargs):
        if jaxtyping.config.jaxtyping_disable:
            return function(*args, **kwargs)
        with _scope:
            try:
                fits(*args, **kwargs)
            except Exception:
                return _jaxtyped(function, **options)(*args, **kwargs)
            result = function(*args, **kwargs)
            try:
                returns(result)
            except Exception:
                made = functools.wraps(function)(lambda *_, **__: result)
                return _jaxtyped(made, **options)(*args, **kwargs)
            return result

    return checked


def _is_ours(typechecker=None):
    """Whether it is the type checker above, or the function by which jaxtyping calls it when it is given as text."""
    code = getattr(typechecker, "__code__", None)
    return code is checked_once.__code__ or "checked_once" in getattr(code, "co_names", ())


def _checks_of(function):
    """The check of a function's arguments, and that of its result, from what jaxtyping has its type checker check."""
    key = (function.__code__, len(function.__defaults__ or ()), *function.__annotations__.items())
    if key not in _pairs:
        asked = []
        _jaxtyped(function, typechecker=lambda one: asked.append(one) or one)
        of_all, of_arguments = asked
        hint = of_all.__annotations__.get("return", Any)
        _pairs[key] = beartype(of_arguments), (lambda _: None) if hint is Any else _returning(hint)
    return _pairs[key]


jaxtyping.jaxtyped = _enforced

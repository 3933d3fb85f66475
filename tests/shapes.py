"""How the shapes of the core are enforced while tests run: by beartype, and everything once.

jaxtyping asks its type checker for two checks of a function: one of its arguments, before the call, and one of all of
it with its result, after the call, which looks at the arguments again. The names of axes are bound by then, so that
the result alone shows the same. Functions within functions are made anew in each call of the outer one; their checks
are not. And what jaxtyping prepares for its messages, it prepares here when a check has failed. A call whose tensors
have shapes and types that fitted before, with a result that fitted them, fits again: it is looked up.
"""

import contextlib
import functools
import types
from collections.abc import Collection
from typing import Any

import jaxtyping
import numpy as np
import torch
from beartype import beartype

_PLAIN, _MORE = {bool, int, str, type(None)}, (Collection, torch.Tensor)
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
    fits, returns, fitted = _checks_of(function)

    @functools.wraps(function)
    def checked(*args, **kwargs):
        if jaxtyping.config.jaxtyping_disable:
            return function(*args, **kwargs)
        try:
            given = *map(_kind, args), *kwargs, *map(_kind, kwargs.values())
        except _Unknown:
            given = None
        if given in fitted:
            result = function(*args, **kwargs)
            with contextlib.suppress(_Unknown):
                if _kind(result) in fitted[given]:
                    return result
            return looked_at(lambda *_, **__: result, given, args, kwargs)
        return looked_at(function, given, args, kwargs)

    def looked_at(call, given, args, kwargs):
        with _scope:
            try:
                fits(*args, **kwargs)
            except Exception:
                return _jaxtyped(function, **options)(*args, **kwargs)
            result = call(*args, **kwargs)
            try:
                returns(result)
            except Exception:
                made = functools.wraps(function)(lambda *_, **__: result)
                return _jaxtyped(made, **options)(*args, **kwargs)
        if given is not None:
            with contextlib.suppress(_Unknown):
                fitted.setdefault(given, set()).add(_kind(result))
        return result

    return checked


class _Unknown(Exception):
    """What a type checker makes of a value depends on more than `_kind` tells."""


def _kind(value):
    """All that a type checker sees of a value: shape and type of a tensor, a number or text itself, else the type."""
    kind = type(value)
    if kind is torch.Tensor or kind is np.ndarray or kind is torch.nn.Parameter:
        return kind, value.dtype, value.shape
    if kind in _PLAIN:
        return kind, value
    if kind in (tuple, list) and len(value) < 10:
        return kind, *map(_kind, value)
    if kind is dict and len(value) < 10:
        return kind, *value, *map(_kind, value.values())
    if issubclass(kind, _MORE) or (kind is types.FunctionType and vars(value)):
        raise _Unknown
    return kind


def _is_ours(typechecker=None):
    """Whether it is the type checker above, or the function by which jaxtyping calls it when it is given as text."""
    code = getattr(typechecker, "__code__", None)
    return code is checked_once.__code__ or "checked_once" in getattr(code, "co_names", ())


def _checks_of(function):
    """The checks of a function's arguments and of its result, from what jaxtyping has its type checker check.

    And what fitted: kinds of arguments -> kinds of results.
    """
    key = (function.__code__, len(function.__defaults__ or ()), *function.__annotations__.items())
    if key not in _pairs:
        asked = []
        _jaxtyped(function, typechecker=lambda one: asked.append(one) or one)
        of_all, of_arguments = asked
        hint = of_all.__annotations__.get("return", Any)
        _pairs[key] = beartype(of_arguments), (lambda _: None) if hint is Any else _returning(hint), {}
    return _pairs[key]


jaxtyping.jaxtyped = _enforced

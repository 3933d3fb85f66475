"""The door of every public function: `@checked` converts and checks the arguments by their annotations.

Lists and arrays become tensors where tensors are meant; anything else that does not fit gets one sentence, which names
the function that was called. So a function's body may trust its own signature.
"""

import contextlib
import functools
import inspect
import typing
from collections.abc import Callable, Generator, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

import torch

from pusa_lab.annotations import (
    Check,
    Unfit,
    array_check,
    bare,
    check_for,
    has_fixed_axes,
    is_array,
    nothing,
    one_of,
)
from pusa_lab.sentences import in_one_line, shown

__all__ = ["ArgumentError", "calling", "checked", "returned", "shown"]

F = TypeVar("F", bound=Callable[..., Any])


class ArgumentError(ValueError, TypeError):
    """An argument of a wrong type or shape; a ValueError like all other wrong arguments, and a TypeError too."""


_called: ContextVar[str] = ContextVar("called", default="")


@contextlib.contextmanager
def calling(name: str) -> Iterator[None]:
    """Put the name of what a person called before the sentences of all ValueErrors and OSErrors that come from inside.

    Only the outermost name counts: a function that is used by another one keeps silent.

    Args:
        name: such as "schedules.pyramid" or "pusa-lab generate".
    """
    if _called.get():
        yield
        return
    token = _called.set(name)
    try:
        yield
    except (ValueError, OSError) as error:
        told = error.args and isinstance(error.args[0], str)  # the operating system's own begin with a number
        if _ours(error) and told:
            sentence = in_one_line(error.args[0])
            error.args = (sentence if sentence.startswith(name) else f"{name}: {sentence}", *error.args[1:])
        raise
    finally:
        _called.reset(token)


def _ours(error: BaseException) -> bool:
    """Whether it was raised in this package, not in a function that the person brought."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return at is not None and at.tb_frame.f_globals.get("__name__", "").split(".")[0] in ("pusa_lab", "small_models")


def checked(function: F) -> F:
    """Check and convert the arguments of a public function by its annotations, before it runs.

    Sizes that several arguments share by the names of their axes, such as b and f of `Video` and `Tau`, must agree.

    Args:
        function: or a class, whose constructor is then checked.
    """
    if inspect.isclass(function):
        function.__init__ = _door(function.__init__, _short(function))  # type: ignore[method-assign]
        return function
    return typing.cast(F, _door(function, _short(function)))


def _short(function: Any) -> str:
    """The name by which people call it: schedules.pyramid, tasks.Known, generate."""
    room, *path = function.__module__.split(".")
    name = function.__qualname__
    if room != "pusa_lab":
        return f"{room}.{name}"
    return name if path[0] in ("generate", "extend") else f"{path[0]}.{name}"


def _door(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.cache
    def checks() -> tuple[inspect.Signature, dict[str, Check], dict[str, Any]]:
        signature, hints = inspect.signature(function), typing.get_type_hints(function, include_extras=True)
        named = [k for k, p in signature.parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        found = {k: check_for(hints[k]) for k in named if k in hints}
        arrays = {k: hint for k in found if is_array(hint := bare(hints[k]))}
        arrays = dict(sorted(arrays.items(), key=lambda item: -len(item[1].dims)))  # videos tell what tau must be
        for k, hint in arrays.items():
            found[k] = one_of([array_check(hint, inner=False), *([nothing] if hint is not hints[k] else [])])
        return signature, found, arrays

    @functools.wraps(function)
    def door(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return function(*args, **kwargs)
        signature, found, arrays = checks()
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # Python's own error names the function
        with calling(name):
            for key, value in bound.arguments.items():
                if key in found:
                    try:
                        bound.arguments[key] = found[key](value)
                    except Unfit as unfit:
                        raise ArgumentError(f"{key}{_said(value, unfit)}: give {unfit}.") from None
            _same_sizes(bound.arguments, arrays, function.__name__ == "__init__")
            result = function(*bound.args, **bound.kwargs)
        if isinstance(result, contextlib.AbstractContextManager) and inspect.isgenerator(getattr(result, "gen", None)):
            result.gen = _stepped(result.gen, name)  # type: ignore[attr-defined]
        return _stepped(result, name) if inspect.isgenerator(result) else result

    return door


def _stepped(steps: Generator[Any, Any, Any], name: str) -> Iterator[Any]:
    """The same steps, each made in the name of the function that was called: a generator's body runs after its door."""
    go_on: Callable[[], Any] = steps.__next__
    speaking: contextlib.AbstractContextManager[None] = calling(name)
    while True:
        with speaking:
            try:
                step = go_on()
            except StopIteration:
                return
        try:
            yield step
            go_on, speaking = steps.__next__, calling(name)
        except GeneratorExit:
            steps.close()
            raise
        except (
            BaseException
        ) as error:  # what the block of a `with` raised is the generator's to handle, in its own words
            go_on, speaking = functools.partial(steps.throw, error), contextlib.nullcontext()


def returned(value: Any, hint: Any, name: str) -> Any:
    """What a function that somebody brought has returned, checked and converted by an annotation.

    Args:
        value: what it returned.
        hint: the annotation, such as float or Tau.
        name: of the function, as the argument is called.

    Raises:
        ValueError: the value does not fit.
    """
    try:
        return check_for(hint)(value)
    except Unfit as unfit:
        raise ValueError(f"{name} returned {shown(value)}: it must return {unfit}.") from None


def _said(value: Any, unfit: Unfit) -> str:
    """NaN where a number is expected is written as the library's own sentences write a number."""
    return f"={value}" if isinstance(value, float) and "not NaN" in str(unfit) else f" is {shown(value)}"


def _same_sizes(arguments: Mapping[str, Any], arrays: Mapping[str, Any], records: bool) -> None:
    """Refuse arrays of another number of axes, those whose shared axes differ in size, and what only a record may hold:
    tensors without numbers.
    """
    sizes: dict[str, int] = {}
    first = ""
    for key, hint in arrays.items():
        x, axes = arguments.get(key), hint.dim_str.split()
        if x is None or not has_fixed_axes(hint):
            continue
        if getattr(x, "is_meta", False) and not records:  # arrays have no device
            raise ArgumentError(f"{key} is on the device meta, without numbers: give a tensor on the CPU or a GPU.")
        expected = [int(axis) if axis.isdecimal() else sizes.get(axis, axis) for axis in axes]
        if x.ndim != len(axes) or any(isinstance(n, int) and n != m for n, m in zip(expected, x.shape, strict=True)):
            shape, names = f"{key} has shape {tuple(x.shape)}", " ".join(axes)
            if not any(axis in sizes for axis in axes):
                raise ArgumentError(f"{shape}: give a tensor ({names}).")
            there = f"{first} of shape {tuple(arguments[first].shape)} ({arrays[first].dim_str})"
            raise ArgumentError(
                f"{shape}, but {there} needs {key} ({', '.join(map(str, expected))}), that is ({names})."
            )
        named = {axis: n for axis, n in zip(axes, x.shape, strict=True) if axis.isidentifier() and axis[0] != "_"}
        first, sizes = first or (key if named else ""), named | sizes

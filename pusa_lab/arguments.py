"""`@checked` converts and checks the arguments of a public function by their annotations.

Lists and arrays become tensors where the annotation is a tensor. Anything else that does not fit raises one sentence
that names the called function, so the body of a function can rely on its own signature.
"""

import contextlib
import functools
import inspect
import sys
import typing
from collections.abc import Callable, Generator, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

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
from pusa_lab.sentences import in_one_line, listed, misfit_call, shown
from pusa_lab.signatures import signature_of

__all__ = [
    "ArgumentError",
    "CallError",
    "called",
    "calling",
    "check_takes",
    "checked",
    "listed",
    "name_of_first_nan",
    "recording",
    "returned",
    "shown",
]

F = TypeVar("F", bound=Callable[..., Any])


class ArgumentError(ValueError, TypeError):
    """An argument has a wrong type or shape: a ValueError like every refused argument, and a TypeError too."""


class CallError(ArgumentError):
    """A call does not match the function's parameters."""


_called: ContextVar[str] = ContextVar("called", default="")
_results: ContextVar[list[tuple[str, Any]] | None] = ContextVar("results", default=None)


_CORE = frozenset(
    f"pusa_lab.{name}"
    for name in (
        *("timesteps", "losses", "analytic", "samplers", "solvers.onestep", "solvers.multistep", "solvers.noisy"),
        *("schedules.checks", "schedules.matrices", "schedules.waves", "arguments", "memory"),
    )
)
"""Modules that hand on arguments which a door above has checked: functions that they call are not checked again."""


class calling:
    """Context manager that puts the called function's name before ValueErrors and OSErrors of this package.

    Only the outermost name is used: when a public function calls another one, the caller's name is shown.

    Args:
        name: of the function or command, such as "schedules.pyramid" or "pusa-lab generate".
    """

    __slots__ = ("name", "token")

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        self.token = None if _called.get() else _called.set(self.name)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self.token is None:
            return
        _called.reset(self.token)
        # errors raised by the operating system have a number as their first argument and need no name
        readable = isinstance(error, ValueError | OSError) and error.args and isinstance(error.args[0], str)
        if error is not None and readable and _ours(error):
            sentence = in_one_line(error.args[0])
            error.args = (sentence if sentence.startswith(self.name) else f"{self.name}: {sentence}", *error.args[1:])


def _ours(error: BaseException) -> bool:
    """Whether the error was raised in this package, not in a function that the caller supplied."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return at is not None and at.tb_frame.f_globals.get("__name__", "").split(".")[0] in ("pusa_lab", "small_models")


def checked(function: F, **more: Callable[[Any], None]) -> F:
    """Decorator: check and convert the arguments of a public function by its annotations before it runs.

    Axes with the same name in several arguments, such as b and f in `Video` and `Tau`, must have the same size. The
    decorated function raises `ArgumentError` for an argument that does not fit. Calls from one function of the core to
    another are not checked again; those of a person's own function, called by the core, are.

    Args:
        function: a function, or a class, whose constructor is then checked.
        **more: argument -> a function that refuses values which its annotation allows; for arguments that are there.
    """
    if inspect.isclass(function):
        function.__init__ = _wrapper(function.__init__, _short(function), more)  # type: ignore[method-assign]
        return function
    return typing.cast(F, _wrapper(function, _short(function), more))


def _short(function: Any) -> str:
    """The name by which people call it: schedules.pyramid, tasks.Known, generate, Run.finish."""
    package, *path = function.__module__.split(".")
    name = function.__qualname__
    if package != "pusa_lab":
        return f"{package}.{name}"
    home = sys.modules[package]._HOME.get(name.partition(".")[0])  # of what is called as pusa_lab.name
    return name if path[0] in (home, name) else f"{path[0]}.{name}"


@dataclass(frozen=True)
class _Shape:
    """Shape that the annotation of an array argument asks for."""

    names: str
    axes: tuple[str, ...]
    fixed: tuple[int | None, ...]
    shared: tuple[bool, ...]


@dataclass(frozen=True)
class _Checks:
    """Checks of a function's arguments."""

    positional: tuple[str, ...]
    several: bool
    known: frozenset[str]
    found: dict[str, Check]
    arrays: dict[str, _Shape]


def _checks(function: Callable[..., Any]) -> _Checks:
    parameters, hints = inspect.signature(function).parameters, typing.get_type_hints(function, include_extras=True)
    plain = {k: p for k, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    found = {k: check_for(hints[k]) for k in plain if k in hints}
    found |= {k: _with_numbers(found[k]) for k in found if bare(hints[k]) is torch.Tensor}
    arrays = {k: hint for k in found if is_array(hint := bare(hints[k]))}
    for k, hint in arrays.items():
        found[k] = one_of(
            [array_check(hint, inner=not has_fixed_axes(hint)), *([nothing] if hint is not hints[k] else [])]
        )
    shapes = {}
    # videos come before tau, so that an error says which tau the video needs
    for k, hint in sorted(arrays.items(), key=lambda item: -len(item[1].dims)):
        if has_fixed_axes(hint):
            axes = tuple(hint.dim_str.split())
            sizes = tuple(int(axis) if axis.isdecimal() else None for axis in axes)
            shared = tuple(axis.isidentifier() and axis[0] != "_" for axis in axes)
            shapes[k] = _Shape(" ".join(axes), axes, sizes, shared)
    several = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
    positional = tuple(k for k, p in plain.items() if p.kind is not p.KEYWORD_ONLY)
    keywords = frozenset(k for k, p in plain.items() if p.kind is not p.POSITIONAL_ONLY)
    return _Checks(positional, several, keywords, found, shapes)


def _with_numbers(check: Check) -> Check:
    """Return the check of a tensor that also refuses tensors on the meta device."""

    def check_numbers(value: Any) -> Any:
        if getattr(found := check(value), "is_meta", False):
            raise Unfit("a tensor on the CPU or a GPU, with numbers in it")
        return found

    return check_numbers


def _wrapper(function: Callable[..., Any], name: str, more: Mapping[str, Callable[[Any], None]]) -> Callable[..., Any]:
    checks: list[_Checks] = []
    steps = inspect.isgeneratorfunction(inspect.unwrap(function))
    builds = function.__name__ == "__init__"

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling() or (_called.get() and sys._getframe(1).f_globals.get("__name__") in _CORE):
            return function(*args, **kwargs)
        if not checks:
            checks.append(_checks(function))
        known = checks[0]
        with calling(name):
            # calls that do not match the signature are refused below, when Python has refused them
            given = dict(zip(known.positional, args, strict=False))
            if (known.several or len(args) <= len(known.positional)) and given.keys().isdisjoint(kwargs):
                rest = args[len(given) :]
                args = tuple(_one(known, key, value) for key, value in given.items())
                kwargs = {k: _one(known, k, value) if k in known.known else value for k, value in kwargs.items()}
                bound = {**dict(zip(given, args, strict=True)), **kwargs}
                if known.arrays:
                    _same_sizes(bound, known.arrays, builds and hasattr(args[0], "to"))
                for key in more.keys() & bound.keys():
                    more[key](bound[key])
                args += rest
            try:
                result = function(*args, **kwargs)
            except TypeError as error:
                trace = error.__traceback__
                if trace is None or trace.tb_next is not None or not (fault := misfit_call(function, args, kwargs)):
                    raise
                raise CallError(fault) from None
        if steps and isinstance(result, contextlib.AbstractContextManager) and hasattr(result, "gen"):
            result.gen = _stepped(result.gen, name)
        return _stepped(result, name) if inspect.isgenerator(result) else result

    return wrapper


def _one(known: _Checks, key: str, value: Any) -> Any:
    check = known.found.get(key)
    if check is None:
        return value
    try:
        return check(value)
    except Unfit as unfit:
        place, item, expected = unfit.item or ("", value, str(unfit))
        raise ArgumentError(f"{key}{place}{_said(item, expected)}: give {expected}.") from None


def _stepped(steps: Generator[Any, Any, Any], name: str) -> Iterator[Any]:
    """The same generator, with the function's name on the errors of each step, as its body runs after the call."""
    advance: Callable[[], Any] = steps.__next__
    naming: contextlib.AbstractContextManager[None] = calling(name)
    while True:
        with naming:
            try:
                step = advance()
            except StopIteration:
                return
        try:
            yield step
            advance, naming = steps.__next__, calling(name)
        except GeneratorExit:
            steps.close()
            raise
        except BaseException as error:
            # raised by the block of a `with`: the generator handles it, and its message stays as it is
            advance, naming = functools.partial(steps.throw, error), contextlib.nullcontext()


def returned(value: Any, hint: Any, name: str) -> Any:
    """Check and convert what a function supplied by the caller returned.

    Args:
        value: what it returned.
        hint: the annotation that the value must fit, such as float or Tau.
        name: what to call the function in the sentence, such as "the denoiser".

    Raises:
        ValueError: the value does not fit.
    """
    try:
        return check_for(hint)(value)
    except Unfit as unfit:
        raise ValueError(f"{name} returned {shown(value)}: it must return {unfit}.") from None


def called(name: str, function: Callable[..., Any], given: Mapping[str, Any], /, **keywords: Any) -> Any:
    """Call a function supplied by the caller; one sentence if it does not take what it is given.

    Args:
        name: what to call the function in the sentence, such as "the denoiser".
        function: what is called.
        given: the arguments by place, under the names that the sentence uses.
        **keywords: more arguments, by name.

    Raises:
        ArgumentError: the function has other parameters. Errors from inside the function stay as they are.
    """
    try:
        result = function(*given.values(), **keywords)
    except TypeError as error:
        if _takes(function, error, *given.values(), **keywords):
            raise
        raise _unfit(name, given, keywords) from error
    if (results := _results.get()) is not None:
        results.append((name, result))
    return result


def check_takes(name: str, function: Callable[..., Any], given: Mapping[str, Any], /, **keywords: Any) -> None:
    """Refuse a function supplied by the caller if it does not take what it will be given, as `called` does.

    Args:
        name: what to call the function in the sentence.
        function: what will be called; one without a signature, written in C, is accepted.
        given: the arguments by place, under the names that the sentence uses.
        **keywords: more arguments, by name.

    Raises:
        ArgumentError: the function has other parameters.
    """
    try:
        signature_of(function).bind(*given.values(), **keywords)
    except TypeError:
        raise _unfit(name, given, keywords) from None
    except ValueError:
        return


def _unfit(name: str, given: Mapping[str, Any], keywords: Mapping[str, Any]) -> ArgumentError:
    names = ", ".join([*given, *(f"{key}=..." for key in keywords)])
    return ArgumentError(f"{name} does not take ({names}): give a function that does.")


@contextlib.contextmanager
def recording() -> Iterator[list[tuple[str, Any]]]:
    """What functions supplied by the caller return within this block, with their names, the innermost first.

    A sampling loop that ends in NaN can then say who returned it first, without a check of every result.
    """
    results: list[tuple[str, Any]] = []
    token = _results.set(results)
    try:
        yield results
    finally:
        _results.reset(token)


def name_of_first_nan(results: list[tuple[str, Any]]) -> str:
    """Name of the function that was the first to return NaN or infinity; "" if none did.

    Args:
        results: as `recording` gives them, tensors or tuples of them.
    """
    for name, found in results:
        tensors = [one for one in (found if isinstance(found, tuple | list) else [found]) if isinstance(one, Tensor)]
        if not all(bool(torch.isfinite(one).all()) for one in tensors):
            return name
    return ""


def _takes(function: Callable[..., Any], error: TypeError, /, *args: Any, **keywords: Any) -> bool:
    """Whether a call fits the signature; of a function without one, whether the error came from inside it."""
    try:
        signature_of(function).bind(*args, **keywords)
    except TypeError:
        return False
    except ValueError:
        return error.__traceback__ is not None and error.__traceback__.tb_next is not None
    return True


def _said(value: Any, expected: str) -> str:
    """The middle of the sentence: NaN in place of a number is written "name=nan", other values with their type."""
    return f"={value}" if isinstance(value, float) and "not NaN" in expected else f" is {shown(value)}"


def _same_sizes(arguments: Mapping[str, Any], arrays: Mapping[str, _Shape], movable: bool) -> None:
    """Refuse wrong numbers of axes, axes of one name with different sizes, and tensors on the meta device.

    Only an object that can be moved to another device (`movable`) may be given meta tensors.
    """
    sizes: dict[str, int] = {}
    first = ""
    for key, shape in arrays.items():
        x = arguments.get(key)
        if x is None:
            continue
        if not movable and getattr(x, "is_meta", False):  # arrays have no device
            raise ArgumentError(f"{key} is on the meta device and has no numbers: give a tensor on the CPU or a GPU.")
        there = tuple(x.shape)
        expected = [sizes.get(axis) if n is None else n for axis, n in zip(shape.axes, shape.fixed, strict=True)]
        if len(there) != len(expected) or any(n is not None and n != m for n, m in zip(expected, there, strict=True)):
            got = f"{key} has shape {there}"
            if not any(axis in sizes for axis in shape.axes):
                raise ArgumentError(f"{got}: give a tensor ({shape.names}).")
            other = f"{first} of shape {tuple(arguments[first].shape)} ({arrays[first].names})"
            needed = ", ".join(str(axis if n is None else n) for axis, n in zip(shape.axes, expected, strict=True))
            raise ArgumentError(f"{got}, but {other} needs {key} ({needed}), that is ({shape.names}).")
        for axis, n, shared in zip(shape.axes, there, shape.shared, strict=True):
            if shared:
                sizes.setdefault(axis, n)
        first = first or (key if any(shape.shared) else "")

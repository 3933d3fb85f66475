"""What a value is by its content, so that a cache knows it again: functions by source, arrays by their numbers."""

import functools
import inspect
import json
import sys
import sysconfig
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pusa_lab.annotations import attribute
from pusa_lab.arguments import shown
from pusa_lab.data.latents import identity
from pusa_lab.digests import array_digest
from pusa_lab.files import content_digest
from pusa_lab.registry import Registry, members_in
from pusa_lab.schedulers import Scheduler, differing
from pusa_lab.sentences import in_one_line
from pusa_lab.signatures import signature_of

PLAIN = (str, int, float, type(None), torch.device, torch.dtype, range, Path)
"""Types of values that their text describes."""
ASIDE = ("cli", "notebook.py", "planning", "studio", "tour", "viz")
"""Parts of pusa_lab on which no score depends."""
SHORTEST = 24
"""Characters of a written value that a table has room for."""


def digest_of(value: Any) -> str:
    """The SHA-256 of a value's description by `described`, as 64 hexadecimal digits.

    Args:
        value: as `described`.

    Raises:
        ValueError: as `described`.
    """
    return content_digest(json.dumps(described(value), sort_keys=True))


def code_digest(*places: Path, aside: Collection[str] = ()) -> str:
    """Digest of Python files: of their names and of every line.

    Args:
        *places: files, or folders with all the files in them.
        aside: names of files and folders that do not count, directly in one of the folders.

    Returns:
        16 hexadecimal digits.
    """
    pieces: list[str | bytes] = []
    for place in places:
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            name = file.relative_to(place.parent)
            if set(aside).isdisjoint(name.parts[1:2]):
                pieces += [f"{name.as_posix()}\0", file.read_bytes(), b"\0"]
    return content_digest(pieces)[:16]


def described(value: Any) -> Any:
    """A description of a value as JSON has it, which is equal for values of equal content alone.

    A function is described by its import path, its source, its defaults and what it closes over, and the functions and
    values of its module that it names; an array or the weights of a module by a hash of their numbers.

    Args:
        value: text, numbers, tensors, arrays, functions, partials, dataclasses, modules, schedulers of diffusers, and
            lists and dicts of them.

    Raises:
        ValueError: it is of another kind, or is a function whose source cannot be read.
    """
    return _described(value, frozenset())


def _described(value: Any, seen: frozenset[int]) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, PLAIN):
        return value if value is None or isinstance(value, bool | int | str) else f"{type(value).__name__} {value!r}"
    if isinstance(value, Tensor | np.ndarray):
        return _array(value)
    if isinstance(value, Mapping):
        return {"entries": [[_described(k, seen), _described(v, seen)] for k, v in value.items()]}
    if isinstance(value, list | tuple | slice):
        entries = (value.start, value.stop, value.step) if isinstance(value, slice) else value
        return [type(value).__name__, *(_described(one, seen) for one in entries)]
    if isinstance(value, functools.partial):
        return {"partial": [_described(part, seen) for part in (value.func, value.args, value.keywords)]}
    if isinstance(value, types.MethodType):
        return {"method": value.__name__, "of": _described(value.__self__, seen)}
    if inspect.isclass(value) or inspect.isroutine(value):
        return _code(value, seen)
    if isinstance(value, nn.Module):
        return {"class": _code(type(value), seen), "weights": identity(value)}
    if is_dataclass(value):
        parts = {field.name: _described(getattr(value, field.name), seen) for field in fields(value)}
        return {"class": _code(type(value), seen), "fields": parts}
    if isinstance(value, Scheduler):
        sigmas = None if attribute(value, "num_inference_steps") is None else attribute(value, "sigmas")
        parts = {"settings": differing(value), "sigmas that were set": sigmas}
        return {"class": _code(type(value), seen), **{name: _described(part, seen) for name, part in parts.items()}}
    if isinstance(value, torch.Generator):
        raise ValueError("a torch.Generator cannot be a setting: use seeds=.")
    raise ValueError(
        f"{shown(value)} cannot be told from others of its kind: give text, numbers, tensors, functions or dataclasses."
    )


def _array(x: Tensor | np.ndarray) -> Any:
    """Tensors and arrays by their numbers; arrays of text or objects by their entries."""
    if isinstance(x, np.ndarray) and x.dtype.kind not in "biufc":
        return {"array": _described(x.tolist(), frozenset())}
    return {type(x).__name__: array_digest(x)}


def _code(thing: Any, seen: frozenset[int]) -> Any:
    """A function or class; those of the package are covered by the digest of its code, those of libraries by none."""
    thing = inspect.unwrap(thing)
    module = str(getattr(thing, "__module__", None))
    path = f"{Path(module).name if module.endswith('.py') else module}:{thing.__qualname__}"
    if id(thing) in seen or not isinstance(thing, types.FunctionType | type) or not _is_own(thing):
        return path
    try:
        source = inspect.getsource(thing)
    except (OSError, TypeError):
        raise ValueError(f"the source of {path} cannot be read: define it in a file or in a notebook.") from None
    found = {"path": path, "source": source}
    return found if isinstance(thing, type) else found | _surroundings(thing, seen | {id(thing)})


def _surroundings(function: types.FunctionType, seen: frozenset[int]) -> dict[str, Any]:
    """What a function depends on beside its source; its bytecode tells two lambdas in one line apart."""
    code, cells = function.__code__, function.__closure__ or ()
    closed = {name: cell.cell_contents for name, cell in zip(code.co_freevars, cells, strict=True)}
    named = {name: function.__globals__[name] for name in sorted(_names(code)) if name in function.__globals__}
    found = {"defaults": [function.__defaults__, function.__kwdefaults__], "closed over": closed}
    return {
        **{part: _described(value, seen) for part, value in found.items()},
        "named": {name: _named(value, seen) for name, value in named.items()},
        "bytecode": _bytecode(code),
    }


def _named(value: Any, seen: frozenset[int]) -> Any:
    """Something that a function finds in its module."""
    if isinstance(value, types.ModuleType):
        return package_code(value.__name__.split(".")[0])
    try:
        return _described(value, seen)
    except ValueError:
        return type(value).__qualname__


def _names(code: types.CodeType) -> set[str]:
    inside = [_names(one) for one in code.co_consts if isinstance(one, types.CodeType)]
    return set(code.co_names).union(*inside)


def _bytecode(code: types.CodeType) -> list[Any]:
    constants = [_bytecode(one) if isinstance(one, types.CodeType) else repr(one) for one in code.co_consts]
    return [code.co_code.hex(), list(code.co_names), list(code.co_varnames), constants]


def _is_own(thing: Any) -> bool:
    """Whether the code of a function or class belongs to the person at work: no library, and not pusa_lab."""
    module = sys.modules.get(str(getattr(thing, "__module__", "")))
    return module is None or (module.__name__.split(".")[0] != "pusa_lab" and _is_changeable(module))


def _is_changeable(module: types.ModuleType) -> bool:
    """Whether a module belongs neither to Python nor to an installed library."""
    if (path := getattr(module, "__file__", None)) is None:
        return module.__name__ == "__main__"
    libraries = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platlib", "purelib")}
    return libraries.isdisjoint(Path(path).resolve().parents)


def label_of(value: Any) -> Any:
    """A value as a table shows it: itself if it is a short text or a number, else its name.

    Args:
        value: as `described`.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, functools.partial):
        settings = ", ".join(
            [*map(str, map(label_of, value.args)), *(f"{k}={label_of(v)}" for k, v in value.keywords.items())]
        )
        return f"{label_of(value.func)}({settings})"
    if isinstance(value, Tensor | np.ndarray):
        return f"{'x'.join(map(str, value.shape))} {digest_of(value)[:6]}"
    name = getattr(value, "__name__", None) or getattr(value, "name", None)
    if isinstance(name, str):
        return f"lambda {digest_of(value)[:6]}" if name == "<lambda>" else name
    if isinstance(value, Scheduler):
        settings = ", ".join(f"{name}={label_of(setting)}" for name, setting in differing(value).items())
        return f"{type(value).__name__}({settings})"
    written = in_one_line(repr(value))
    return written if len(written) <= SHORTEST else f"{type(value).__name__} {digest_of(value)[:6]}"


def registered_code(text: str, registry: Registry[Any]) -> dict[str, Any]:
    """Descriptions of the members that a text names and that are not the toolkit's own, whose code may change.

    Args:
        text: a name, or a written call such as "apg(scale=5)".
        registry: whose members it may name.
    """
    return {name: described(member) for name, member in members_in(text, registry).items()}


@functools.cache
def package_code(package: str) -> str:
    """Digest of the files of a package, or of one module, on which a score may depend; "" for an installed library.

    Args:
        package: its import name.
    """
    module = sys.modules.get(package)
    if module is None or not getattr(module, "__file__", None) or not (package == "pusa_lab" or _is_changeable(module)):
        return ""
    place = Path(str(module.__file__))
    aside = ASIDE if package == "pusa_lab" else ()
    return code_digest(place.parent if place.name == "__init__.py" else place, aside=aside)


def model_digest(model: Any) -> dict[str, Any]:
    """What tells a loaded model from others: the hashes of its weights, its class and its sizes.

    Args:
        model: any `VideoModel`.

    """
    found = {"class": described(type(model)), "geometry": repr(model.geometry)}
    found["code"] = package_code(type(model).__module__.split(".")[0])
    if isinstance(model, nn.Module):
        return found | {"weights": identity(model)}
    parts = {name: _part(value) for name, value in sorted(vars(model).items()) if name != "geometry"}
    return found | {"parts": {name: part for name, part in parts.items() if part is not None}}


def _part(value: Any) -> Any:
    """An attribute of a model: modules by their weights, an encoder of captions by its identity; None for the rest."""
    if isinstance(value, nn.Module) or isinstance(getattr(value, "identity", None), str):
        return identity(value)
    if isinstance(value, list | tuple):
        return [_part(one) for one in value]
    return described(value) if isinstance(value, bool | int | float | str | Tensor | np.ndarray) else None


def takes(function: Callable[..., Any]) -> dict[str, inspect.Parameter] | None:
    """The parameters of a function by name; None if it takes any keyword, or has no signature.

    Args:
        function: any.
    """
    try:
        found = signature_of(function).parameters
    except (TypeError, ValueError):
        return None
    return None if any(p.kind is p.VAR_KEYWORD for p in found.values()) else dict(found)

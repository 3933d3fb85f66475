"""Functions and settings as JSON and back: by import path, with a digest of their source."""

import dataclasses
import functools
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pusa_lab.annotations import attribute
from pusa_lab.arguments import checked
from pusa_lab.files import content_digest
from pusa_lab.import_paths import is_import_path
from pusa_lab.sentences import shown

PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
"""An import path: "package.module:name"."""
DEEPEST = 20
"""Levels of settings within settings."""


@checked
def spelled(value: Any) -> Any:
    """A value as JSON holds it: numbers and texts as they are, functions and settings by import path.

    Args:
        value: a number, a text, a list or dict, a tensor, a path, a function, a `functools.partial` or a dataclass.

    Returns:
        What `spelled_back` takes. What cannot be made again, such as a lambda, a complex tensor, or settings nested
        more than DEEPEST levels deep, is {"shown": what to call it}.
    """
    return _spelled(value, 0)


def _spelled(value: Any, depth: int) -> Any:
    each: Callable[[Any], Any] = functools.partial(_spelled, depth=depth + 1)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        numbers = None if value.is_complex() else dense(value)
        return {"shown": shown(value)} if numbers is None else {"tensor": numbers.float().cpu().tolist()}
    if isinstance(value, Path | torch.dtype):
        return str(value) if isinstance(value, Path) else {"dtype": str(value).removeprefix("torch.")}
    if depth >= DEEPEST:
        return {"shown": shown(value)}
    if isinstance(value, Mapping):
        return {"dict": {str(key): each(one) for key, one in value.items()}}
    if isinstance(value, list | tuple):
        return [each(one) for one in value]
    if isinstance(value, functools.partial):
        return _settings(value.func, each, value.keywords, value.args)
    if dataclasses.is_dataclass(value) and not inspect.isclass(value):
        held = {one.name: getattr(value, one.name) for one in dataclasses.fields(value) if one.init}
        return _settings(type(value), each, held)
    return _settings(value, each) if callable(value) else {"shown": shown(value)}


def dense(tensor: Tensor) -> Tensor | None:
    """The numbers of a tensor in strided layout; None if it holds none, as on the meta device, or is nested.

    Args:
        tensor: of any layout, perhaps quantised.
    """
    tensor = tensor.detach()
    if tensor.is_meta or tensor.is_nested:
        return None
    if tensor.is_quantized:
        return tensor.dequantize()
    return tensor if tensor.layout == torch.strided else tensor.to_dense()


def _settings(
    function: Any, each: Callable[[Any], Any], settings: Mapping[str, Any] | None = None, places: Iterable[Any] = ()
) -> Any:
    path = import_path(function)
    if not path:
        return {"shown": _place(function)}
    found: dict[str, Any] = {"path": path, "digest": source_digest(function)}
    if places:
        found["places"] = [each(one) for one in places]
    return found | ({"settings": {key: each(one) for key, one in settings.items()}} if settings else {})


def _place(function: Any) -> str:
    code = attribute(function, "__code__")
    name = attribute(function, "__qualname__") or type(function).__qualname__
    return f"{name} ({Path(code.co_filename).name}, line {code.co_firstlineno})" if code else name


@checked
def import_path(function: Any) -> str:
    """The path by which a function or class is imported, "package.module:name"; "" if it is not.

    Args:
        function: any object.
    """
    name, module = attribute(function, "__qualname__"), attribute(function, "__module__")
    if not isinstance(name, str) or not isinstance(module, str):
        return ""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if found is function or _same(found, function) else ""


def _same(found: Any, function: Any) -> bool:
    """Whether a decorator stands between them."""
    return callable(found) and inspect.unwrap(found) is inspect.unwrap(function)


@checked
def source_digest(function: Any) -> str:
    """Digest of the source of a function or class; "unknown" if there is none.

    Args:
        function: any object.
    """
    try:
        return content_digest(inspect.getsource(inspect.unwrap(function)))[:16]
    except Exception:  # an object may fail in any way
        return "unknown"


@checked
def plug_in(path: str) -> Any:
    """The function or class of an import path, for use as a plug-in; functions of Python's own library are refused.

    Args:
        path: "package.module:name".

    Raises:
        ValueError: it is not written so, or is of a file, which no saved result may run; it cannot be imported, or is
            neither a Python function nor a dataclass.
    """
    if is_import_path(path) and path.rpartition(":")[0].endswith(".py"):
        raise ValueError(f"{path} is in a file, which is run only where you name it: give it as an argument.")
    module, _, name = path.partition(":")
    if not PATH.fullmatch(path) or module.split(".")[0] in sys.stdlib_module_names:
        raise ValueError(f"{path!r:.100} is not the import path of a plug-in: give package.module:name.")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:  # a module may fail in any way
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise ValueError(
            f"{path} cannot be found ({reason}): start where {module} can be imported, or give it as an argument."
        ) from None
    if not (inspect.isfunction(found) or (inspect.isclass(found) and dataclasses.is_dataclass(found))):
        raise ValueError(f"{path} is {shown(found)}: a plug-in is a Python function or a dataclass.")
    return found


@checked
def spelled_back(spelling: Any, what: str) -> Any:
    """The value that `spelled` wrote.

    Args:
        spelling: from JSON, perhaps damaged.
        what: it is, for the sentence, such as "the solver".

    Raises:
        ValueError: it cannot be made again, or is damaged.
    """
    return _back(spelling, what, 0)


def _back(spelling: Any, what: str, depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError(f"{what} is nested more than {DEEPEST} deep: restore the file.")
    back: Callable[[Any], Any] = functools.partial(_back, what=what, depth=depth + 1)
    if isinstance(spelling, list):
        return [back(one) for one in spelling]
    if not isinstance(spelling, dict):
        return spelling
    if isinstance(spelling.get("shown"), str):
        raise ValueError(
            f"{what} was {spelling['shown']:.80}, which cannot be imported: give {what.split()[-1]}=, or put it into a "
            f"module of its own next time."
        )
    try:
        if "tensor" in spelling:
            return torch.tensor(spelling["tensor"], dtype=torch.float32)
        if "dict" in spelling:
            return {key: back(one) for key, one in spelling["dict"].items()}
        if "dtype" in spelling and isinstance(found := getattr(torch, spelling["dtype"]), torch.dtype):
            return found
        settings = {key: back(one) for key, one in spelling.get("settings", {}).items()}
        places, path = [back(one) for one in spelling.get("places", [])], spelling["path"]
    except (KeyError, TypeError, AttributeError, RuntimeError, OverflowError):
        raise ValueError(f"{what} is damaged in the file: restore the file.") from None
    return _made(plug_in(path), places, settings, what)


def _made(found: Any, places: list[Any], settings: dict[str, Any], what: str) -> Any:
    if not inspect.isclass(found):
        return functools.partial(found, *places, **settings) if places or settings else found
    if not any(name in vars(one) for one in found.__mro__ for name in ("init_state", "__call__")):
        raise ValueError(f"{what} is {shown(found)}: a plug-in is a function, or the settings of a solver.")
    try:
        return found(*places, **settings)
    except TypeError:
        raise ValueError(f"{what} takes other settings here than in the file: give {what.split()[-1]}=.") from None


@checked
def source_changes(spelling: Any) -> list[str]:
    """Import paths in a spelling whose source is another one here.

    Args:
        spelling: as `spelled` wrote it; all paths in it can be imported.
    """
    own, rest = [], [(spelling, 0)]
    while rest:
        one, depth = rest.pop()
        if isinstance(one, dict) and "path" in one and source_digest(plug_in(one["path"])) != one.get("digest"):
            own.append(one["path"])
        parts = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        rest.extend((part, depth + 1) for part in reversed(list(parts)) if depth < DEEPEST)
    return own

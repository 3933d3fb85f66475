"""Import paths: functions and objects of one's own, as "package.module:name" or "file.py:name".

A registry takes one wherever it takes a name. Modules are looked for where Python finds them and then in the current
folder; a file's folder is searched for what the file imports.
"""

import functools
import importlib
import importlib.util
import linecache
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from pusa_lab.arguments import checked, returned
from pusa_lab.files import content_digest, digest
from pusa_lab.sentences import in_one_line

_NAME = r"[^\W\d]\w*"
_MODULE = rf"(?<![\w.]){_NAME}(?:\.{_NAME})*"
_FILE = r"""[^\s'"(),=|\[\]{}][^'"(),=|\[\]{}]*\.py"""
_PATH = rf"(?:{_FILE}|{_MODULE}):{_NAME}(?:\.{_NAME})*"
_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_FOUND = re.compile(rf"{_QUOTED}|(?P<path>{_PATH})")
MOST_SOURCE_BYTES = 2**24
"""Largest file that is run, in bytes."""
_DIGESTS: dict[str, str] = {}
"""File that was run -> SHA-256 of what it held."""


def is_import_path(value: Any) -> bool:
    """Whether a value is text such as "mymodule:function" or "file.py:function".

    Args:
        value: anything.
    """
    return isinstance(value, str) and re.fullmatch(_PATH, value) is not None


@checked
def import_paths(text: str) -> list[str]:
    """The import paths in a written call such as "clean_prefix(k=2, rest=mine.py:walk)"; none of those in quotes.

    Args:
        text: any.
    """
    return [found["path"] for found in _FOUND.finditer(text) if found["path"]]


@checked
def with_import_paths(text: str, change: Callable[[str], str]) -> str:
    """A written call with others in place of its import paths.

    Args:
        text: any.
        change: import path -> what stands there instead.
    """

    def replaced(found: re.Match[str]) -> str:
        return returned(change(found["path"]), str, "change") if found["path"] else found[0]

    return _FOUND.sub(replaced, text)


@checked
def imported(path: str) -> Any:
    """What an import path names; its module or file is run.

    Args:
        path: "package.module:name", or "file.py:name".

    Raises:
        ValueError: there is no such module, file or name, or the module fails when it is run.
    """
    module, _, name = path.rpartition(":")
    try:
        found = run_file(_file_of(path)) if module.endswith(".py") else _module(module)
    except FileNotFoundError as error:
        raise ValueError(f"{path!r:.300} cannot be imported ({error}): {GIVE}.") from None
    except ModuleError as error:
        raise ValueError(f"{path!r:.300} cannot be imported ({error}): correct it, and try again.") from error
    try:
        return functools.reduce(getattr, name.split("."), found)
    except Exception:  # an attribute may fail in any way
        near = "".join(f"did you mean {one!r}? Otherwise " for one in get_close_matches(name, vars(found), 1))
        raise ValueError(
            f"{path!r:.300} cannot be imported ({module} has no attribute {name!r:.40}): {near}give a name that it "
            f"defines."
        ) from None


GIVE = "give module:name, of a module that Python finds, or file.py:name"
"""What an import path is."""


class ModuleError(ValueError):
    """A module or file fails when it is run; the sentence says in which line."""


def _file_of(path: str) -> Path:
    """The file of an import path such as "file.py:name": from the current folder, or where Python looks for modules."""
    file = Path(path.rpartition(":")[0]).expanduser()
    for folder in ("", *sys.path):
        if (place := Path(folder) / file).is_file():
            return place.resolve()
    raise FileNotFoundError(f"there is no file {str(file)!r:.300}")


@checked
def absolute(path: str) -> str:
    """An import path that means the same in every folder: files by their absolute path, as modules of the current one.

    Args:
        path: "module:name" or "file.py:name"; other text, and what is not found, stays as it is.
    """
    if not is_import_path(path):
        return path
    module, _, name = path.rpartition(":")
    try:
        if module.endswith(".py"):
            return f"{_file_of(path)}:{name}"
        spec = importlib.util.find_spec(module) if "." not in module else None
    except (FileNotFoundError, ValueError):
        return path
    here = Path(f"{module}.py").resolve()
    is_here = here.is_file() and (spec is None or spec.origin == str(here))
    return f"{here}:{name}" if is_here else path


@checked
def run_file(path: Path, again: bool = False) -> ModuleType:
    """Run a Python file as a module, whose name is the file's absolute path; once, until the file changes.

    Args:
        path: of the file.
        again: run it even if it was run before.

    Raises:
        ModuleError: it fails; the sentence names the line.
        OSError: it is not a file, or has more than MOST_SOURCE_BYTES.
    """
    path = path.resolve()
    if not path.is_file() or path.stat().st_size > MOST_SOURCE_BYTES:
        raise OSError(f"{path} is not a Python file of at most {MOST_SOURCE_BYTES:,} bytes: give one.")
    source, name = path.read_bytes(), str(path)
    found = content_digest(source)
    if not again and name in sys.modules and _DIGESTS.get(name) == found:
        return sys.modules[name]
    add_folder(path.parent)
    linecache.checkcache(name)
    module, before = ModuleType(name), sys.modules.get(name)
    module.__file__, module.__package__ = name, ""
    sys.modules[name] = module  # where dataclasses and `import_path` find it
    try:
        exec(compile(source, name, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before
        raise ModuleError(_place(error)) from error
    _DIGESTS[name] = found
    return module


@checked
def add_folder(folder: Path) -> None:
    """Let modules be found in a folder too, after those of Python and of installed packages.

    Args:
        folder: any.
    """
    if (name := str(folder.resolve())) not in sys.path:
        sys.path.append(name)


def _module(name: str) -> ModuleType:
    add_folder(Path.cwd())
    importlib.invalidate_caches()  # the file may be new
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise FileNotFoundError(f"No module named {error.name!r:.100}") from None
        raise ModuleError(_place(error)) from error
    except (Exception, SystemExit) as error:  # a module may fail in any way
        raise ModuleError(_place(error)) from error


def _place(error: BaseException) -> str:
    """The line of a person's own file in which an error was raised, and the error."""
    fault = f"{type(error).__name__}: {str(error).rstrip('.')}"
    if isinstance(error, SyntaxError) and error.filename:
        fault = f"{error.filename}, line {error.lineno}: {type(error).__name__}: {error.msg}"
    else:
        places = [place for place in traceback.extract_tb(error.__traceback__) if _is_own(place.filename)]
        fault = f"{places[-1].filename}, line {places[-1].lineno}: {fault}" if places else fault
    return in_one_line(" ".join(fault.split()))[:400]


def _is_own(file: str) -> bool:
    """Whether a file belongs to the person at work: no part of Python, of a library, or of this package."""
    libraries = [sysconfig.get_path(name) for name in ("stdlib", "platlib", "purelib")]
    return not file.startswith(("<", str(Path(__file__).parent), *libraries))


@checked
def file_digest_of(path: str) -> dict[str, str]:
    """The file of an import path whose module was run, and its digest.

    Args:
        path: "package.module:name", or "file.py:name".

    Returns:
        file, and file_digest, 16 hexadecimal digits of its SHA-256; nothing if there is no file.
    """
    module = path.rpartition(":")[0]
    try:
        own = str(getattr(sys.modules.get(module), "__file__", ""))
        place = _file_of(path) if module.endswith(".py") else Path(own)
        return {"file": str(place), "file_digest": digest(place)[:16]}
    except OSError:
        return {}

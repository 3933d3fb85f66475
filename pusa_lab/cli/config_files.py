"""Files of options, for --config: looked at before jsonargparse reads them, which says less about what is wrong."""

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import yaml

from pusa_lab.cli.terminal import tell

FITTING = "give one option a line as NAME: VALUE, as --print_config prints them"
"""What a file of options holds."""


class UsageError(ValueError):
    """A command line that does not fit the command."""


def split_configs(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Paths of the files of options, and the other words.

    Args:
        words: after the command.

    Raises:
        UsageError: --config has no value, or names a file twice.
    """
    files: list[str] = []
    others: list[str] = []
    left = iter(words)
    for word in left:
        name, equals, value = word.partition("=")
        if word == "--":
            return files, [*others, word, *left]
        if name != "--config":
            others.append(word)
        elif (path := value if equals else next(left, None)) is None:
            raise UsageError("--config was given without a value: give the path of a YAML file of options.")
        elif path in files:
            raise UsageError(f"--config {path!r:.300} was given twice: give it once.")
        else:
            files.append(path)
    return files, others


def check_configs(paths: Sequence[str], several: Collection[str], empty: Collection[str]) -> None:
    """Refuse files that do not hold options, and say which values of one give way to a later one.

    Args:
        paths: of the files, in the order in which they were typed.
        several: options that take a list, of which one entry alone is often written as text.
        empty: options whose value may be an empty text.

    Raises:
        UsageError: a file is missing, is not YAML, or does not hold options.
    """
    before: dict[str, tuple[str, Any]] = {}
    for path in paths:
        found = _read_options(path, several, empty)
        others = {name: before[name] for name in found if name in before and before[name][1] != found[name]}
        if gone := [f"{_written({name: value})} of {other!r:.300}" for name, (other, value) in others.items()]:
            tell(f"--config {path!r:.300} comes later, and replaces {', '.join(gone)}.")
        before |= {name: (path, value) for name, value in found.items()}


def _read_options(path: str, several: Collection[str], empty: Collection[str]) -> dict[str, Any]:
    """The options of a file, by the names of a function's parameters."""
    shown = f"--config {path!r:.300}"
    if not Path(path).is_file():
        kind = "is a folder" if path and Path(path).is_dir() else "is not an existing file"
        raise UsageError(f"{shown} {kind}: give the path of a YAML file of options.")
    if (folder := str(Path(path).resolve().parent)) not in sys.path:
        sys.path.append(folder)  # for import paths in the file
    options = _read_yaml(path, shown)
    if options is None:
        raise UsageError(f"{shown} is empty: {FITTING}, or leave it out.")
    if not isinstance(options, dict):
        kind = "a list" if isinstance(options, list) else f"{options!r:.60}"
        raise UsageError(f"{shown} holds {kind}, not options: {FITTING}.")
    found: dict[str, Any] = {}
    for name, value in options.items():
        if fault := _fault(name, value, several, empty):
            raise UsageError(f"{shown} has {_written({name: value}):.60}: {fault}.")
        if (own := name.replace("-", "_")) in found:
            raise UsageError(f"{shown} has {own} twice: give it once.")
        found[own] = value
    return found


def _fault(name: Any, value: Any, several: Collection[str], empty: Collection[str]) -> str:
    """What to do about an entry that is no option, or of no option's kind; "" if there is nothing to do."""
    if not isinstance(name, str):
        return f"that is not the name of an option; {FITTING}"
    if name == "config":
        return "a file of options cannot name another one, type its --config too"
    if name.replace("-", "_") == "print_config":
        return "leave it out, and type it where it is wanted"
    option, dot, key = name.partition(".")
    if dot:
        return f"write it as {_written({option: {key: value}}):.60}"
    if not isinstance(value, str):
        return ""
    if not value.strip() and name not in empty:
        return "it is empty, give it a value or leave it out"
    return f"write a list, [{value:.60}]" if name in several else ""


def _written(options: dict[Any, Any]) -> str:
    """Options as a file has them, on one line."""
    return yaml.safe_dump(options, default_flow_style=True, sort_keys=False, width=10**6).strip()[1:-1]


class _OnceLoader(yaml.SafeLoader):
    """Refuses an option that a file has twice, of which YAML would take the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        names = [key.value for key, _ in getattr(node, "value", [])]
        if twice := [name for name in names if names.count(name) > 1]:
            raise UsageError(f"has {twice[0]!s:.60} twice: give it once.")
        return super().construct_mapping(node, deep)


def _read_yaml(path: str, shown: str) -> Any:
    try:
        return yaml.load(Path(path).read_bytes(), _OnceLoader)
    except UsageError as error:
        raise UsageError(f"{shown} {error}") from error
    except (yaml.YAMLError, UnicodeError, RecursionError, ValueError) as error:
        mark, problem = (getattr(error, name, None) for name in ("problem_mark", "problem"))
        where = "" if mark is None else f" (line {mark.line + 1}: {problem})"
        raise UsageError(f"{shown} cannot be read as YAML{where}: correct it, and {FITTING}.") from error

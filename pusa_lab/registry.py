"""Registries: members of one kind by name, to which a person or another package can add."""

import ast
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from pusa_lab.arguments import ArgumentError, checked

T = TypeVar("T")
LONGEST_TEXT = 2000
"""Characters of a written call that are read."""


class Registry(MutableMapping[str, T]):
    """Members of one kind by name: the toolkit's own, those added here, and those of installed packages.

    `@SCHEDULES.register` above a function adds it under its name. A package adds a member through an entry point of
    the group, whose name is the member's; it is imported when it is first asked for.
    """

    @checked
    def __init__(self, kind: str, group: str, members: Mapping[str, T]) -> None:
        self.kind = kind
        """In words, for error sentences: "schedule"."""
        self.group = group
        """Group of the entry points: "pusa_lab.schedules"."""
        self._own = dict(members)
        self._added: dict[str, T] = {}

    @checked
    def register(self, member: Any, name: str | None = None) -> Any:
        """Add a member, as a decorator or a call; one added before under the same name is replaced.

        Args:
            member: a function, class or object of this kind.
            name: its name; None is the function's or class's own.

        Returns:
            The member, unchanged.

        Raises:
            ValueError: it has no name, or the name of a member of the toolkit.
        """
        name = getattr(member, "__name__", "") if name is None else name
        if not name.isidentifier():
            raise ArgumentError(f"a {self.kind} was registered as {name!r:.60}: give name=, a Python identifier.")
        if name in self._own:
            raise ArgumentError(f"there is a {self.kind} {name} already: register yours under another name.")
        self._added[name] = member
        return member

    @checked
    def find(self, name: str) -> T:
        """The member of a name.

        Args:
            name: one of this registry's.

        Raises:
            ValueError: there is none of this name; the sentence lists all.
        """
        if name not in self:
            raise ArgumentError(f"unknown {self.kind} {name!r:.60}: choose one of {', '.join(self)}.")
        return self[name]

    def __getitem__(self, name: str) -> T:
        for members in (self._own, self._added):
            if name in members:
                return members[name]
        return _loaded(self._points()[name])

    def __setitem__(self, name: str, member: T) -> None:
        self.register(member, name)

    def __delitem__(self, name: str) -> None:
        del self._added[name]

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._added or name in self._points()

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._own, *self._added, *self._points()]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"Registry({self.kind}: {', '.join(self)})"

    def _points(self) -> dict[str, EntryPoint]:
        return _points_of(self.group)


@cache
def _points_of(group: str) -> dict[str, EntryPoint]:
    """In alphabetical order, those of other packages first."""
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=group), key=lambda point: (_package(point) == "pusa-lab", point.name)):
        found.setdefault(point.name, point)
    return found


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "another package"


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"{point.name!r} of {_package(point)} cannot be imported ({error}): reinstall or uninstall that package."
        ) from error


@checked
def written_calls(text: str, functions: Mapping[str, Callable[..., Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Names and settings of calls written as text, joined by |: "apg(scale=5) | text_cfg(scale=3)".

    A name alone has no settings. Settings are values as Python writes them, or calls in turn, which are made.

    Args:
        text: the calls.
        functions: what may be named.

    Raises:
        ValueError: it is not written so, or a name is unknown.
    """
    try:
        return [_call(part, functions) for part in _joined(ast.parse(text[:LONGEST_TEXT].strip(), mode="eval").body)]
    except (SyntaxError, TypeError, RecursionError, MemoryError):
        raise ValueError(f"{text!r:.80} is not a name with settings, such as name(setting=1).") from None


def _joined(tree: ast.expr) -> list[ast.expr]:
    both = isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.BitOr)
    return [*_joined(tree.left), *_joined(tree.right)] if both else [tree]  # type: ignore[attr-defined]


def _call(tree: ast.expr, functions: Mapping[str, Callable[..., Any]]) -> tuple[str, dict[str, Any]]:
    call = tree if isinstance(tree, ast.Call) else ast.Call(tree, [], [])
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    names = [keyword.arg for keyword in call.keywords]
    if name not in functions or call.args or None in names or len(set(names)) < len(names):
        raise SyntaxError(name)
    return name, {str(keyword.arg): _value(keyword.value, functions) for keyword in call.keywords}


def _value(tree: ast.expr, functions: Mapping[str, Callable[..., Any]]) -> Any:
    if not isinstance(tree, ast.Name | ast.Call):
        return ast.literal_eval(tree)
    name, settings = _call(tree, functions)
    return functions[name](**settings)

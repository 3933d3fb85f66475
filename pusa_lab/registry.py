"""Registries: members of one kind by name, to which a person or another package can add."""

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from keyword import iskeyword
from typing import Any, TypeVar

from pusa_lab.arguments import ArgumentError, calling, checked
from pusa_lab.sentences import shown

T = TypeVar("T")
LONGEST_TEXT = 2000
"""Characters of a written call that are read."""


class Registry(MutableMapping[str, T]):
    """Members of one kind by name: the toolkit's own, those added here, and those of installed packages.

    `@SCHEDULES.register` above a function adds it under its name. A package adds a member through an entry point of
    the group, whose name is the member's; it is imported when it is first asked for.
    """

    @checked
    def __init__(
        self, kind: str, group: str, members: Mapping[str, Any] | Sequence[Callable[..., Any]], *fits: type | str
    ) -> None:
        self.kind = kind
        """In words, for error sentences: "schedule"."""
        self.group = group
        """Group of the entry points: "pusa_lab.schedules"."""
        self.fits = fits
        """What a member must be, one of them: a type, or the signature of a function, such as "(steps, frames,
        shift=1.0) -> noise levels". It is called with these arguments, those with = by name if it has them; ... stands
        for settings that have no default. Nothing here accepts everything."""
        by_name: Mapping[str, Any] = (
            members if isinstance(members, Mapping) else {getattr(one, "__name__", kind): one for one in members}
        )
        self._own: dict[str, T] = dict(by_name)
        self._added: dict[str, T] = {}

    def register(self, member: Any, name: str | None = None) -> Any:
        """Add a member, as a decorator or a call; one added before under the same name is replaced.

        Args:
            member: a function or object of this kind.
            name: its name; None is the function's own.

        Returns:
            The member, unchanged.

        Raises:
            ValueError: it is not of this kind, or has no name, or the name of a member of the toolkit.
        """
        with calling(f"{self._title}.register"):
            return self._add(member, name)

    @checked
    def _add(self, member: Any, name: str | None) -> Any:
        name = getattr(member, "__name__", "") if name is None else name
        if fault := self._fault(member):
            raise ArgumentError(f"{name or f'the {self.kind}'} {fault}.")
        if not name.isidentifier() or iskeyword(name):
            raise ArgumentError(f"a {self.kind} was registered as {name!r:.60}: give name=, a Python identifier.")
        if name in self._own:
            raise ArgumentError(f"there is a {self.kind} {name} already: register yours under another name.")
        self._added[name] = member
        return member

    def find(self, name: str) -> T:
        """The member of a name.

        Args:
            name: one of this registry's.

        Raises:
            ValueError: there is none of this name; the sentence lists all.
        """
        with calling(f"{self._title}.find"):
            return self._find(name)

    @checked
    def _find(self, name: str) -> T:
        if name not in self:
            raise ArgumentError(f"unknown {self.kind} {name!r:.60}: choose one of {', '.join(self)}.")
        return self[name]

    def __getitem__(self, name: str) -> T:
        for members in (self._own, self._added):
            if name in members:
                return members[name]
        member = _loaded(point := self._points()[name])
        if fault := self._fault(member):
            raise ValueError(f"the {self.kind} {name} of {_package(point)} {fault}.")
        return member

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

    @property
    def _title(self) -> str:
        """As it is written in a program: SCHEDULES."""
        return self.group.rpartition(".")[2].upper()

    def _arguments(self) -> tuple[list[str], list[str]]:
        """Names of the arguments that a member is called with: by place, and by name if it has them."""
        written = next((one for one in self.fits if isinstance(one, str)), "()")
        names = [word.strip() for word in written[1 : written.index(")")].split(",") if word.strip(" .")]
        places = [word for word in names if "=" not in word and "*" not in word]
        return places, [word.partition("=")[0] for word in names if "=" in word]

    def _fault(self, member: Any) -> str:
        """What keeps an object from being a member, in words; "" if nothing does."""
        if not self.fits or (not inspect.isclass(member) and isinstance(member, self._types())):
            return ""
        words = " or ".join(f"a {one.__name__}" if isinstance(one, type) else f"a function {one}" for one in self.fits)
        if inspect.isclass(member):
            return f"is a class: give {words}"
        if not callable(member) or len(self._types()) == len(self.fits):
            return f"is {shown(member)}: give {words}"
        return "" if self._can_be_called(member) else f"takes {_without_types(member)}: give {words}"

    def _types(self) -> tuple[type, ...]:
        return tuple(one for one in self.fits if isinstance(one, type))

    def _can_be_called(self, member: Callable[..., Any]) -> bool:
        places, named = self._arguments()
        try:
            signature = inspect.signature(member)
        except (TypeError, ValueError):  # functions written in C may have none
            return True
        bind = signature.bind_partial if any("..." in str(one) for one in self.fits) else signature.bind
        try:
            bind(*places, **{name: name for name in named if name in signature.parameters})
        except TypeError:
            return False
        return True


def _without_types(function: Callable[..., Any]) -> inspect.Signature:
    signature = inspect.signature(function)
    plain = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
    return signature.replace(parameters=plain, return_annotation=signature.empty)


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
@checked
def misfit(function: Callable[..., Any], settings: Sequence[str], places: int, named: Sequence[str] = ()) -> str:
    """What is wrong with the settings of a function: it does not have one, or needs one; "" if they fit.

    Args:
        function: what is called.
        settings: names of the settings that are given.
        places: number of arguments that are given before them, by place; no settings.
        named: arguments that are given by name if the function has them; no settings either, unless they are set.
    """
    takes, is_open = _settings_of(function, places)
    if not is_open and (other := [name for name in settings if name not in takes]):
        near = get_close_matches(other[0], takes, 1) or [key for key in takes if other[0] and key.startswith(other[0])]
        meant = f"did you mean {near[0]!r}? " if near else ""
        listed = ", ".join(key for key in takes if key not in named)
        its = f"{'Its' if near else 'its'} settings are {listed}" if listed else "it has none"
        return f"has no setting {other[0]!r:.40}: {meant}{its}"
    given = {*settings, *named}
    if lacks := [key for key, one in takes.items() if one.default is one.empty and key not in given]:
        name, written = getattr(function, "__name__", ""), ", ".join(f"{key}=..." for key in lacks)
        example = f", as in '{name}({written})' or partial({name}, {written})" if name.isidentifier() else ""
        return f"needs {' and '.join(lacks)}: set {'it' if len(lacks) == 1 else 'them'}{example}"
    return ""


def _settings_of(function: Callable[..., Any], places: int) -> tuple[dict[str, inspect.Parameter], bool]:
    """The parameters behind the first ones, and whether the function takes any others by name."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # functions written in C may have no signature
        return {}, True
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    is_open = any(one.kind is one.VAR_KEYWORD for one in parameters)
    return {one.name: one for one in parameters[places:] if one.kind not in several}, is_open


@checked
def written_calls(text: str, registry: Registry[Callable[..., Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Names and settings of calls written as text, joined by |: "apg(scale=5) | text_cfg(scale=3)".

    A name alone has no settings. Settings are values as Python writes them, or calls in turn, which are made.

    Args:
        text: the calls.
        registry: what may be named.

    Raises:
        ArgumentError: a name is unknown, or a setting is unknown, missing, not finite or without its name.
        ValueError: the text is not written so, or a call in turn refuses its settings.
    """
    try:
        if len(text) > LONGEST_TEXT or "\0" in text:
            raise SyntaxError(text)
        return [_call(part, registry) for part in _joined(ast.parse(text.strip(), mode="eval").body)]
    except (SyntaxError, RecursionError, MemoryError):
        if text.strip().startswith("|") or text.strip().endswith("|"):
            raise ArgumentError(f"a {registry.kind} is missing beside a |: give one, or leave out the |.") from None
        raise ValueError(f"{text!r:.80} is not a name with settings, such as name(setting=1).") from None


def _joined(tree: ast.expr) -> list[ast.expr]:
    both = isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.BitOr)
    return [*_joined(tree.left), *_joined(tree.right)] if both else [tree]  # type: ignore[attr-defined]


def _call(tree: ast.expr, registry: Registry[Callable[..., Any]]) -> tuple[str, dict[str, Any]]:
    call = tree if isinstance(tree, ast.Call) else ast.Call(tree, [], [])
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    names = [str(keyword.arg or "") for keyword in call.keywords]
    if not name or "" in names:
        raise SyntaxError(name)
    function, (places, named) = registry.find(name), registry._arguments()
    what = f"the {registry.kind} {name}"
    if twice := [key for key in names if names.count(key) > 1]:
        raise ArgumentError(f"{what} is given {twice[0]} more than once: give it once.")
    if call.args:
        takes = [key for key in _settings_of(function, len(places))[0] if key not in named]
        written = f"{ast.unparse(call.args[0]):.40}"
        cure = (
            f"takes its settings by name: write {takes[0]}={written}"
            if takes
            else f"has no settings: leave {written} out"
        )
        raise ArgumentError(f"{what} {cure}.")
    if fault := misfit(function, names, len(places), named):
        raise ArgumentError(f"{what} {fault}.")
    return name, {
        key: _value(f"{what}: {key}", one.value, registry) for key, one in zip(names, call.keywords, strict=True)
    }


def _value(what: str, tree: ast.expr, registry: Registry[Callable[..., Any]]) -> Any:
    written = f"{what}={ast.unparse(tree):.40}"
    if any(isinstance(node, ast.Name) and node.id in ("nan", "inf") for node in ast.walk(tree)):
        raise ArgumentError(f"{written}: give finite numbers.")
    if isinstance(tree, ast.Name | ast.Call) and ast.unparse(getattr(tree, "func", tree)) in registry:
        name, settings = _call(tree, registry)
        return registry[name](**settings)
    try:
        return ast.literal_eval(tree)
    except (ValueError, TypeError):
        raise ArgumentError(f"{written}: give a value as Python writes it, or a {registry.kind}.") from None

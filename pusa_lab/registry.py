"""Registries: members of one kind by name, to which a person or another package can add."""

import ast
import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from keyword import iskeyword
from typing import Any, TypeVar

from pusa_lab.arguments import ArgumentError, calling, checked
from pusa_lab.import_paths import import_paths, imported, is_import_path, with_import_paths
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
        """What a member is called in error sentences, such as "schedule"."""
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

    def find(self, text: str) -> T:
        """The member that a text names: "pyramid", "pyramid(lag=2)", "mymodule:late", "folder/mine.py:late(wait=3)".

        Args:
            text: one of this registry's names, or an import path, whose module or file is then run; perhaps with
                settings. A class of one's own is made with them.

        Raises:
            ValueError: there is no such name, and the sentence lists all; or it cannot be imported, is not of this
                kind, or does not have these settings.
        """
        with calling(f"{self._title}.find"):
            return self._find(text)

    @checked
    def _find(self, text: str) -> T:
        if text in self:
            return self[text]
        if not import_paths(text) and "(" not in text:
            raise ArgumentError(f"unknown {self.kind} {text!r:.60}: choose one of {', '.join(self)}.")
        found = [(self.named(text), {})] if is_import_path(text) else written_calls(text, self)
        if len(found) > 1:
            raise ArgumentError(f"{text!r:.60} names {len(found)} of them: give one {self.kind}.")
        member = with_settings(*found[0])
        if fault := self._fault(member):
            raise ArgumentError(f"the {self.kind} {text:.100} {fault}.")
        return member

    def named(self, name: str) -> Any:
        """What a name or an import path without settings stands for: a member, or a class that makes one.

        Args:
            name: as `find`.

        Raises:
            ValueError: as `find`.
        """
        if not is_import_path(name):
            return self.find(name)
        found = imported(name)
        if not inspect.isclass(found) and (fault := self._fault(found)):
            raise ArgumentError(f"the {self.kind} {name:.100} {fault}.")
        return found

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
        """The registry's name in a program, such as SCHEDULES."""
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
def with_settings(member: Any, settings: Mapping[str, Any]) -> Any:
    """A member with settings: a function with arguments that are set, or an object with other fields.

    Args:
        member: a function; a dataclass's object; or a class, which is made with the settings.
        settings: name -> value, as `written_calls` checked them.

    Raises:
        ValueError: a class or object refuses them, or takes none.
    """
    maker, _ = _maker(member, 0)
    if maker is member and not inspect.isclass(member):
        if settings and not callable(member):
            raise ArgumentError(f"{shown(member)} takes no settings: give a function, a class or a dataclass's object.")
        return functools.partial(member, **settings) if settings else member
    if maker is not member and not settings:
        return member
    try:
        return maker(**settings)
    except TypeError as error:
        name = getattr(member, "__name__", type(member).__name__)
        raise ArgumentError(f"{name} cannot be made with these settings ({error}): give others.") from error


def _maker(member: Any, places: int) -> tuple[Callable[..., Any], int]:
    """What takes the settings of a member, and the number of its arguments before them."""
    if inspect.isclass(member):
        return member, 0
    if is_dataclass(member):
        held, kind = {one.name: getattr(member, one.name) for one in fields(member) if one.init}, type(member)
        return functools.partial(kind, **held), 0  # type: ignore[misc, operator]
    return member, places


@checked
def members_in(text: str, registry: Registry[Any]) -> dict[str, Any]:
    """The members that a written call names, by name or import path.

    Args:
        text: such as "apg(scale=5) | mine.py:sharper".
        registry: whose members it may name.
    """
    paths = import_paths(text)
    rest = with_import_paths(text, lambda path: "")
    names = [name for name in dict.fromkeys(re.findall(r"[A-Za-z_]\w*", rest)) if name in registry]
    return {name: registry.named(name) for name in dict.fromkeys([*names, *paths])}


@checked
def written_calls(text: str, registry: Registry[Any]) -> list[tuple[Any, dict[str, Any]]]:
    """Members and settings of calls written as text, joined by |: "apg(scale=5) | mine.py:sharper(scale=3)".

    A name alone has no settings. Settings are values as Python writes them, or calls in turn, which are made.

    Args:
        text: the calls; what they name are names in the registry, or import paths.
        registry: what may be named.

    Raises:
        ArgumentError: a name is unknown, or a setting is unknown, missing, not finite or without its name.
        ValueError: the text is not written so, what it names cannot be imported, or a call in turn refuses its
            settings.
    """
    paths: dict[str, str] = {}

    def stand_in(path: str) -> str:
        paths[f"_import_path_{len(paths)}_"] = path
        return list(paths)[-1]

    try:
        if len(text) > LONGEST_TEXT or "\0" in text:
            raise SyntaxError(text)
        tree = ast.parse(with_import_paths(text.strip(), stand_in), mode="eval").body
        return [_Reader(registry, paths).call(part) for part in _joined(tree)]
    except (SyntaxError, RecursionError, MemoryError):
        if text.strip().startswith("|") or text.strip().endswith("|"):
            raise ArgumentError(f"a {registry.kind} is missing beside a |: give one, or leave out the |.") from None
        raise ValueError(f"{text!r:.80} is not a name with settings, such as name(setting=1).") from None


def _joined(tree: ast.expr) -> list[ast.expr]:
    both = isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.BitOr)
    return [*_joined(tree.left), *_joined(tree.right)] if both else [tree]  # type: ignore[attr-defined]


@dataclass(frozen=True)
class _Reader:
    """Reads calls of one registry's members."""

    registry: Registry[Any]
    paths: Mapping[str, str]
    """What stands for an import path -> the path."""

    def call(self, tree: ast.expr) -> tuple[Any, dict[str, Any]]:
        """The member that a call names, and its settings."""
        call = tree if isinstance(tree, ast.Call) else ast.Call(tree, [], [])
        name = self.written(call.func) if isinstance(call.func, ast.Name) else ""
        keys = [str(keyword.arg or "") for keyword in call.keywords]
        if not name or "" in keys:
            raise SyntaxError(name)
        member, (places, named) = self.registry.named(name), self.registry._arguments()
        function, count = _maker(member, len(places))
        what = f"the {self.registry.kind} {name:.100}"
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise ArgumentError(f"{what} is given {twice[0]} more than once: give it once.")
        if call.args:
            takes = [key for key in _settings_of(function, count)[0] if key not in named]
            value = f"{self.written(call.args[0]):.40}"
            cure = f"takes its settings by name: write {takes[0]}={value}" if takes else ""
            raise ArgumentError(f"{what} {cure or f'has no settings: leave {value} out'}.")
        if fault := misfit(function, keys, count, named):
            raise ArgumentError(f"{what} {fault}.")
        pairs = zip(keys, call.keywords, strict=True)
        return member, {key: self.value(f"{what}: {key}", one.value) for key, one in pairs}

    def value(self, what: str, tree: ast.expr) -> Any:
        """The value of a setting."""
        said = f"{what}={self.written(tree):.40}"
        if any(isinstance(node, ast.Name) and node.id in ("nan", "inf") for node in ast.walk(tree)):
            raise ArgumentError(f"{said}: give finite numbers.")
        name = getattr(tree, "func", tree)
        if isinstance(name, ast.Name) and (name.id in self.registry or name.id in self.paths):
            member, settings = self.call(tree)
            return member(**settings)
        if isinstance(tree, ast.List):
            return [self.value(what, one) for one in tree.elts]
        try:
            return ast.literal_eval(tree)
        except (ValueError, TypeError):
            near = get_close_matches(getattr(name, "id", ""), self.registry, 1)
            meant = f"did you mean {near[0]!r}? Otherwise " if near else ""
            raise ArgumentError(
                f"{said}: {meant}give a value as Python writes it, or a {self.registry.kind}."
            ) from None

    def written(self, tree: ast.expr) -> str:
        """A part as it was written."""
        return functools.reduce(lambda text, name: text.replace(name, self.paths[name]), self.paths, ast.unparse(tree))

"""Tables of named entries, from files and functions: their types are checked, and whatever is missing is named."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from pusa_lab.annotations import Unfit, check_for
from pusa_lab.sentences import shown


class MissingError(ValueError):
    """A table lacks a row, an entry or a number."""


class Record(dict[str, Any]):
    """A dict of which one cannot read what is not there: that raises a `MissingError`, which names it.

    Args:
        entries: what it holds; dicts within are made records too.
        where: what to call it in the sentence.
    """

    def __init__(self, entries: Mapping[str, Any], where: str):
        super().__init__({name: _nested(value, f"{name!r:.60} of {where}") for name, value in entries.items()})
        self.where = where

    def __missing__(self, name: str) -> Any:
        there = textwrap.shorten(", ".join(map(str, self)), 120, placeholder=" ...") or "nothing"
        raise MissingError(f"{self.where} has no {name!r:.60} (it has {there}): ask for another, or measure it anew.")

    def need(self, *names: str) -> None:
        """Raise a `MissingError` for the first of these entries that is not there."""
        for name in names:
            self[name]


def _nested(value: Any, where: str) -> Any:
    if isinstance(value, Mapping):
        return Record(value, where)
    return [_nested(one, where) for one in value] if isinstance(value, list | tuple) else value


def check_entries(entries: Any, types: Mapping[str, Any], where: str, needed: Sequence[str] = ()) -> None:
    """Refuse a table that lacks an entry, or has one of another type.

    Args:
        entries: the table.
        types: entry -> annotation of its value, if it is there.
        where: what to call the table in the sentence.
        needed: entries that must be there.

    Raises:
        MissingError: an entry is not there.
        ValueError: the table is not a dict, or a value does not fit its annotation.
    """
    if not isinstance(entries, Mapping):
        raise ValueError(f"{where} is {shown(entries)}: give a dict.")
    for name in needed:
        if name not in entries:
            there = textwrap.shorten(", ".join(map(str, entries)), 120, placeholder=" ...") or "nothing"
            raise MissingError(f"{where} has no {name!r} (it has {there}): give a dict with {', '.join(needed):.150}.")
    for name, hint in types.items():
        try:
            check_for(hint)(entries[name]) if name in entries else None
        except Unfit as unfit:
            raise ValueError(f"{name!r} of {where} is {shown(entries[name])}: give {unfit}.") from None

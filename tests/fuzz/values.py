"""Arguments as Python text: valid by the annotation, nearly valid, and hostile."""

import collections.abc
import functools
import inspect
import random
import types
import typing
from pathlib import Path
from typing import Any

import numpy as np

from pusa_lab.annotations import Unfit, check_for, is_array

from . import objects, recipes

Text = str
"""Python text of a value, to be evaluated with the names of `objects`."""


class Draw:
    """The random choices of one call; axes of the same name get the same size."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.sizes: dict[str, int] = {}

    def one(self, *choices: Any) -> Any:
        return self.rng.choice(choices)

    def size(self, axis: str) -> int:
        if axis.isdecimal():
            return int(axis)
        if axis not in self.sizes:
            self.sizes[axis] = self.rng.choice(recipes.AXES.get(axis, (1, 2, 3, 4)))
        return self.sizes[axis]

    def shape(self, dims: str) -> list[int]:
        return [self.rng.randint(1, 4) if axis[0] in "*_." else self.size(axis) for axis in dims.split()]


def valid(draw: Draw, owner: str, name: str, hint: Any) -> Text | None:
    """A value that ought to be taken, or None if nobody knows one.

    Args:
        draw: the call's choices.
        owner: full name of what is called.
        name: of the parameter.
        hint: its annotation.
    """
    if own := recipes.own(owner, name):
        return _filled(draw, draw.one(*own))
    if name in recipes.NAMES and not is_array(_bare(hint)):
        fitting = [t for text in recipes.NAMES[name] if _fits(t := _filled(draw, text), hint)]
        if fitting:
            return draw.one(*fitting)
    return by_hint(draw, name, hint)


@functools.cache
def _fits(text: Text, hint: Any) -> bool:
    """Whether the annotation takes it: `at` may be one place or several."""
    try:
        check_for(hint)(eval(text, vars(objects)))
    except Unfit:
        return False
    return True


def _filled(draw: Draw, text: Text) -> Text:
    """`falling({rows}, {f})` with the sizes of this call."""
    while "{" in text and "}" in text:
        before, _, rest = text.partition("{")
        axis, _, after = rest.partition("}")
        if not axis.isidentifier():
            return text
        text = f"{before}{draw.size(axis)}{after}"
    return text


def _bare(hint: Any) -> Any:
    parts = [p for p in typing.get_args(hint) if p is not type(None)]
    return parts[0] if _union(hint) and len(parts) == 1 else hint


def _union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def by_hint(draw: Draw, name: str, hint: Any) -> Text | None:
    """A value that fits the annotation, whatever the parameter is called.

    Args:
        draw: the call's choices.
        name: of the parameter.
        hint: its annotation.
    """
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if is_array(hint):
        return array(draw, name, hint)
    if _union(hint):
        known = [text for part in parts if (text := by_hint(draw, name, part)) is not None]
        return draw.one(*known) if known else None
    if origin is typing.Literal:
        return repr(draw.one(*parts))
    container = origin or hint
    if container in recipes.PLAIN:
        return draw.one(*recipes.PLAIN[container])
    if container in (list, tuple, set, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Iterator):
        return _list(draw, name, container, parts)
    if container in (dict, collections.abc.Mapping):
        pair = [by_hint(draw, name, p) for p in parts] if parts else ["'a'", "1"]
        return None if None in pair else f"{{{pair[0]}: {pair[1]}}}"
    if container is collections.abc.Callable:
        return _filled(draw, draw.one(*recipes.FUNCTIONS.get(name, ["velocity"])))
    if inspect.isclass(container):
        choices = recipes.CLASSES.get(container.__name__)
        return _filled(draw, draw.one(*choices)) if choices else None
    return None


def _list(draw: Draw, name: str, container: Any, parts: tuple[Any, ...]) -> Text | None:
    if container is tuple and parts and parts[-1] is not Ellipsis:
        items = [by_hint(draw, name, p) for p in parts]
    else:
        items = [by_hint(draw, name, parts[0]) if parts else "1" for _ in range(draw.rng.randint(1, 3))]
    if None in items:
        return None
    text = ", ".join(typing.cast(list[str], items))
    if container is collections.abc.Iterator:
        return f"iter([{text}])"
    return f"({text},)" if container is tuple else f"[{text}]"


def array(draw: Draw, name: str, hint: Any, dims: str | None = None) -> Text:
    """A tensor of the annotation's axes, sometimes as a list, an array or of another precision.

    Args:
        draw: the call's choices.
        name: of the parameter.
        hint: jaxtyping's annotation.
        dims: its axes.
    """
    dims = hint.dim_str if dims is None else dims
    shape = draw.shape(dims)
    sizes = ", ".join(map(str, shape))
    if "float32" not in hint.dtypes:
        made = f"whole(2, {sizes})" if any("int" in kind for kind in hint.dtypes) else f"rand({sizes}) > 0.5"
        return f"({made})"
    if dims.split() == ["rows", "f"]:
        made = f"falling({max(2, shape[0])}, {shape[1]})"
        draw.sizes["rows"] = max(2, shape[0])
    else:
        kind = "rand" if name in recipes.LEVELS else "clip" if "hp" in dims else "randn"
        made = f"{kind}({sizes})"
    if hint.array_type is np.ndarray:
        return f"{made}.numpy()"
    forms = ["", "", "", "", "", "", ".tolist()", ".numpy()", ".double()"]
    return made + draw.one(*forms)


def nearly(draw: Draw, name: str, hint: Any, value: Text) -> Text:
    """A value of the right type that is off: one axis more or less, out of range, not finite, too large.

    Args:
        draw: the call's choices.
        name: of the parameter.
        hint: its annotation.
        value: a valid one.
    """
    bare = _bare(hint)
    if is_array(bare):
        return _near_array(draw, name, bare, value)
    kinds = (
        {int, float, str, bool, Path, *(typing.get_args(hint))} if _union(hint) else {typing.get_origin(bare) or bare}
    )
    choices = [text for kind in kinds for text in recipes.NEAR.get(_hashable(kind), [])]
    return draw.one(*choices) if choices else draw.one(*recipes.HOSTILE)


def _hashable(kind: Any) -> Any:
    kind = typing.get_origin(kind) or kind
    return kind if inspect.isclass(kind) else None


def _near_array(draw: Draw, name: str, hint: Any, value: Text) -> Text:
    if draw.rng.random() < 0.4 and hint.dim_str.split():
        sizes = draw.shape(hint.dim_str)
        at = draw.rng.randrange(len(sizes))
        changed = draw.one(
            [*sizes[:at], max(0, sizes[at] + draw.one(-1, 1, 2, 30)), *sizes[at + 1 :]],
            [*sizes[:at], 0, *sizes[at + 1 :]],
            sizes[:at] + sizes[at + 1 :],
            [*sizes, 1],
            [1, *sizes],
        )
        return f"rand({', '.join(map(str, changed)) if changed else '()'})"
    return draw.one(*recipes.NEAR_ARRAYS).replace("X", f"torch.as_tensor({value})")


def hostile(draw: Draw) -> Text:
    """Anything but what is meant.

    Args:
        draw: the call's choices.
    """
    return draw.one(*recipes.HOSTILE)

"""The API reference: a page for every public module, read from the source by griffe, nothing is imported."""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import griffe
from site_links import PACKAGES, ROOT

WIDTH = 120
"""Columns at which the docstrings are wrapped."""
SPECIAL = re.compile(r"([\\*_<>$\[\]#|~{}])")
SECTIONS = {"parameters": "param", "other parameters": "param", "attributes": "ivar", "raises": "raises"}


def pages() -> dict[str, str]:
    """Name -> text of the pages of the reference."""
    modules = public_modules()
    texts = {f"api/{module.path}.md": page(module) for module in modules}
    return texts | {"api/index.md": index(modules)}


@lru_cache(maxsize=1)
def public_modules() -> tuple[Any, ...]:
    """Every module of the packages whose name has no underscore, packages before what is in them."""
    loader = griffe.GriffeLoader(docstring_parser="google", search_paths=[ROOT])
    for package in PACKAGES:
        loader.load(package)
    loader.resolve_aliases()
    return tuple(one for package in PACKAGES for one in _within(loader.modules_collection[package]))


def _within(module: Any) -> Iterator[Any]:
    yield module
    for name, member in sorted(module.members.items()):
        if not member.is_alias and member.is_module and not name.startswith("_"):
            yield from _within(member)


def public_names(owner: Any) -> list[Any]:
    """What a module or class defines itself under a name without an underscore, in the order of the source."""
    own = [one for name, one in owner.members.items() if not one.is_alias and not name.startswith("_")]
    return [one for one in own if not one.is_module]


def reexported(module: Any) -> list[Any]:
    """What a package offers of its modules: the names in `__all__` that it only imports."""
    names = [name for name in module.exports or () if isinstance(name, str) and name in module.members]
    own = [module.members[name] for name in names if module.members[name].is_alias]
    return [one.final_target for one in own if _inside(one.target_path)]


def _inside(path: str) -> bool:
    return path.split(".")[0] in PACKAGES


def index(modules: tuple[Any, ...]) -> str:
    """The page that lists the modules, each with its first sentence.

    Args:
        modules: of both packages.
    """
    lines = ["# API reference\n", "Every public name, from the docstrings. Start at [`pusa_lab`](pusa_lab.md), the"]
    lines += ["front door, or at [`pusa_lab.timesteps`](pusa_lab.timesteps.md) and follow the [map](../docs/map.md).\n"]
    for module in modules:
        depth = module.path.count(".")
        lines += [f"\n## {module.path}\n"] if not depth else []
        name = f"[`{module.path}`]({module.path}.md)"
        lines.append(f"{'  ' * max(0, depth - 1)}- {name}: {summary(module)}" if depth else f"{summary(module)}\n")
    toctree = "\n".join(module.path for module in modules if module.path in PACKAGES)
    return "\n".join(lines) + f"\n\n```{{toctree}}\n:hidden:\n\n{toctree}\n```\n"


def summary(one: Any) -> str:
    """The first paragraph of a docstring in a line."""
    return escaped(" ".join(one.docstring.value.partition("\n\n")[0].split())) if one.docstring else ""


def page(module: Any) -> str:
    """The page of one module.

    Args:
        module: as griffe read it.
    """
    parts = module.path.split(".")
    above = [f"[{name}]({'.'.join(parts[: i + 1])}.md)" for i, name in enumerate(parts[:-1])]
    lines = ["---\norphan: true\n---\n"] if len(parts) > 1 else []
    lines += [
        f"(module-{module.path})=",
        f"# {module.path}\n",
        f"{' / '.join(['[API reference](index.md)', *above])}\n",
    ]
    lines += [f"```{{py:module}} {module.path}\n```\n", *documented(module)]
    inner = [one for name, one in sorted(module.members.items()) if not one.is_alias and one.is_module]
    if inner := [one for one in inner if not one.name.startswith("_")]:
        lines += ["\n## Modules\n", *(f"- [`{one.name}`]({one.path}.md): {summary(one)}" for one in inner)]
    if offered := reexported(module):
        lines += [f"\n## Offered as `{module.name}.NAME`\n"]
        lines += [f"- {reference(one)}: {summary(one)}" for one in sorted(offered, key=lambda one: one.name)]
    if names := public_names(module):
        lines += ["\n## Names\n" if inner or offered else "", *(line for one in names for line in entry(one))]
    return "\n".join(lines) + "\n"


def reference(one: Any) -> str:
    """A link to an object of the packages, or to a module."""
    if one.is_module:
        return f"[`{one.name}`]({one.path}.md)"
    return f"[`{one.name}`]({one.module.path}.md#{one.path})"


def entry(one: Any, depth: int = 0) -> list[str]:
    """An object as a directive of Sphinx's Python domain, with what is in it.

    Args:
        one: a function, class or value, as griffe read it.
        depth: of the class it is in.
    """
    fence = ":" * (6 - depth)
    kind, signature = form(one)
    name = one.path.removeprefix(f"{one.module.path}.")
    head = [f"\n{fence}{{py:{kind}}} {name}{signature}", f":module: {one.module.path}"]
    if kind == "type":
        head += [f":canonical: {quoted(qualified(one.value))}"]
    elif one.is_attribute:
        head += [f":type: {quoted(qualified(one.annotation))}"] if one.annotation is not None else []
        head += [f":value: {quoted(shortened(one.value))}"] if one.value is not None else []
    body = [*head, "", *documented(one)]
    if one.is_class:
        body += [line for member in public_names(one) for line in entry(member, depth + 1)]
    return [*body, fence]


def form(one: Any) -> tuple[str, str]:
    """The directive for an object, and its signature."""
    method = one.parent.is_class
    if one.is_class:
        made = one.members.get("__init__")
        return "class", arguments(made, drop_self=True) if made and not made.is_alias and made.is_function else ""
    if one.is_function:
        returns = f" -> {qualified(one.returns)}" if one.returns is not None else ""
        return "method" if method else "function", arguments(one, drop_self=method) + returns
    if str(one.annotation) == "TypeAlias" and one.value is not None:
        return "type", ""
    return ("property" if one.has_labels("property") else "attribute") if method else "data", ""


def arguments(function: Any, drop_self: bool) -> str:
    """A signature with the annotations as they stand in the source, the names in them ready to be linked.

    Args:
        function: as griffe read it.
        drop_self: whether the first parameter is left out.
    """
    parts, starred = [], False
    for one in list(function.parameters)[int(drop_self and not function.has_labels("staticmethod")) :]:
        kind = one.kind.value
        star = {"variadic positional": "*", "variadic keyword": "**"}.get(kind, "")
        if kind == "keyword-only" and not starred:
            parts.append("*")
        starred = starred or kind in ("keyword-only", "variadic positional")
        typed = f": {qualified(one.annotation)}" if one.annotation is not None else ""
        default = "" if one.default is None or star else f" = {one.default}" if typed else f"={one.default}"
        parts.append(f"{star}{one.name}{typed}{default}")
    return f"({', '.join(parts)})"


def qualified(annotation: Any) -> str:
    """An annotation in one line, in which our own names are spelled with their modules, so that they become links."""
    if isinstance(annotation, str):
        return annotation
    parts = []
    for token in annotation.iterate(flat=True):
        if isinstance(token, griffe.ExprName):
            path = token.canonical_path
            parts.append(path if _inside(path) and path.count(".") > 1 else token.name)
        else:
            parts.append(token)
    return " ".join("".join(parts).split())


def quoted(text: str) -> str:
    """A directive's option, which is read as YAML."""
    return json.dumps(text, ensure_ascii=False)


def shortened(value: Any, most: int = 100) -> str:
    """A value in one line, cut where it is long."""
    text = " ".join(str(value).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def documented(one: Any) -> list[str]:
    """A docstring as Markdown: prose, then a field for every argument, attribute and error."""
    lines: list[str] = []
    for section in one.docstring.parsed if one.docstring else ():
        kind = section.kind.value
        if kind == "text":
            lines += [prose(section.value), ""]
        elif kind in SECTIONS:
            for item in section.value:
                name = item.annotation if kind == "raises" else item.name.lstrip("*")
                lines += [f":{SECTIONS[kind]} {name}: {' '.join(escaped(item.description).split())}"]
            lines += [""]
        elif kind in ("returns", "yields"):
            said = "; ".join(_returned(item) for item in section.value)
            lines += [f":returns: {' '.join(escaped(said).split())}", ""]
        elif kind == "examples":
            for how, text in section.value:
                lines.append(f"```python\n{text}\n```\n" if how.value == "examples" else prose(text))
        else:
            lines += [prose(section.value.contents if hasattr(section.value, "contents") else str(section.value)), ""]
    return lines


def _returned(item: Any) -> str:
    """What griffe took for a name or a type at the start of a sentence belongs to the sentence."""
    start = f"{item.name}: " if item.name else ""
    return start + (item.description or str(item.annotation or ""))


def prose(text: str) -> str:
    """Plain text as Markdown, its deliberate line breaks kept: those after which another word would have fitted."""
    blocks = []
    for block in text.split("\n\n"):
        if re.match(r"\s*(```|[-*] |\d+\. |>>> )", block):
            blocks.append(block if "```" in block else "\n".join(map(escaped_item, block.splitlines())))
            continue
        if block.startswith("|") or all(line.startswith("    ") for line in block.splitlines()):
            blocks.append(block)  # a table, or code
            continue
        lines = block.splitlines()
        joined = []
        for line, after in zip(lines, [*lines[1:], ""], strict=True):
            word = after.split(" ")[0] if after.strip() else ""
            deliberate = word and (len(line) + 5 + len(word) < WIDTH or after.startswith("  "))
            joined.append(escaped(line.strip()) + ("\\" if deliberate else ""))
        blocks.append("\n".join(joined))
    return "\n\n".join(blocks)


def escaped_item(line: str) -> str:
    """A line of a list, its mark kept."""
    mark = re.match(r"\s*([-*] |\d+\. )?", line)[0]
    return mark + escaped(line[len(mark) :])


def escaped(text: str) -> str:
    """Plain text with code in backticks as Markdown that shows it as it is."""
    pieces = re.split(r"(`+[^`]+`+)", text)
    return "".join(piece if i % 2 else SPECIAL.sub(r"\\\1", piece) for i, piece in enumerate(pieces))

"""Values of options."""

import contextlib
import inspect
import json
import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pusa_lab.cli.terminal import tell


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given; the others are None, or False where the option alone sets them.

    Args:
        options: name -> value.
    """
    return {name: value for name, value in options.items() if value is not None and value is not False}


def flag(name: str) -> str:
    """An option as it is typed: --end-image for end_image, --schedule-options.wait_for for schedule_options.wait_for.

    Args:
        name: of the option, perhaps with a key of its values after a dot.
    """
    option, dot, key = name.partition(".")
    return f"--{option.replace('_', '-')}{dot}{key}"


def annotation(function: Callable[..., Any], name: str) -> Any:
    """The annotation of what a function calls so; Any if there is none, or one that cannot be resolved.

    Args:
        function: that will be called.
        name: of an argument, perhaps one of its **options.
    """
    parameters = inspect.signature(function).parameters
    if name not in parameters:
        name = next((other for other, p in parameters.items() if p.kind is p.VAR_KEYWORD), name)
    with contextlib.suppress(NameError, TypeError, AttributeError):
        return typing.get_type_hints(function, include_extras=True).get(name, Any)
    return Any


def fit_options(function: Callable[..., Any], options: Mapping[str, Any], option: str) -> dict[str, Any]:
    """Check and convert what was typed for a function's parameters, by their annotations.

    Args:
        function: that will be called.
        options: its arguments by name.
        option: that they were typed behind: --task-options, say.

    Returns:
        The same, converted; as it was where there is no annotation.

    Raises:
        ValueError: a value is of another type.
    """
    from pusa_lab.annotations import Unfit, check_for  # brings torch, which help does without

    found = {}
    for name, value in options.items():
        try:
            found[name] = check_for(annotation(function, name))(value)
        except Unfit as unfit:
            place, item, kind = unfit.item or ("", value, str(unfit))
            kind = re.sub(r" or None$", "", kind).replace("True or False", "true or false")
            if "a text" in kind and isinstance(item, int | float) and not place:
                kind += f", as in {option} '{json.dumps({name: str(value)})}'"  # which tells a text from a number
            raise ValueError(f"{option}.{name}{place} {_typed(item)}: give {kind}.") from None
    return found


def _typed(value: Any) -> str:
    """A value as it was typed."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float | list | dict):
        return f"{value!r:.60}"
    from pusa_lab.sentences import shown

    return f"({shown(value)})"


def run_command(name: str, function: Callable[..., Any], options: Mapping[str, Any], nested: bool = True) -> None:
    """Call a command's function, whose sentences then name the command and its flags.

    Args:
        name: of the command.
        function: that runs it.
        options: its arguments.
        nested: whether names with values are options too: --schedule-options.lag.

    Raises:
        ValueError: as the function.
    """
    from pusa_lab.arguments import calling  # brings torch, which help does without

    with calling(name):
        try:
            function(**options)
        except (ValueError, OSError) as error:
            if len(error.args) != 1:  # the system's own has a number and a path beside its text
                raise
            dicts = {key: value for key, value in options.items() if nested and isinstance(value, dict)}
            keys = [f"{option}.{key}" for option, value in dicts.items() for key in value]
            error.args = (in_flags(with_blanks(str(error), options), [*options, *keys]),)
            raise


def with_blanks(sentence: str, options: Mapping[str, Any]) -> str:
    """A sentence with what was typed in quotes wherever blanks in it would be lost.

    Args:
        sentence: of an error.
        options: of the command.
    """
    entries = [entry for value in options.values() for entry in (value if isinstance(value, list) else [value])]
    for typed in {str(entry) for entry in entries if isinstance(entry, str | Path)}:
        if " " in typed:
            path = rf"(?<![\w/'\"]){re.escape(typed)}(?:/[^\s:,;)]*)?(?![\w'\"])"
            sentence = re.sub(path, lambda found: repr(found[0]), sentence)
    return sentence


def in_flags(sentence: str, names: Iterable[str]) -> str:
    """A sentence of the library as the command line says it: --max-steps 5 for max_steps=5, without types and None.

    Args:
        sentence: of an error.
        names: of the command's options, as its function calls them; schedule_options.lag for a key of its values.
    """
    sentence, function, signature = sentence.partition("a function (")  # whose arguments are no options
    flags = {name.rpartition(".")[2]: flag(name) for name in names}
    own = "|".join(sorted(map(re.escape, flags), key=len, reverse=True)) or "(?!)"
    free, end = r"(?<![\w./'\"-])(?<!\w\()", r"(?=[\s,:;)]|\.?$|\.\s)"  # not of a written call, such as apg(scale=5)

    def typed(found: re.Match[str]) -> str:
        value = found[2]
        shown = value.strip(chr(39)) if " " not in value else value
        return flags[found[1]] + ("" if value in ("", "True") else f" {shown or value}")

    number, path, items = r"-?\w+(?:\.\d+)?(?:[+-]\d+)?", r"[^\s'=]*/[^\s'=]*?", r"[\[{][^\]}]*[\]}]"
    sentence = re.sub(rf"{free}({own})=('[^']*'||{number}|{path}|{items}){end}", typed, sentence)
    sentence = re.sub(
        rf"^({own})(?=(?:\[\d+\])? is | \S+ (?:is a (?:file|folder)|cannot be|holds))",
        lambda found: flags[found[1]],
        sentence,
    )
    sentence = re.sub(rf"^({own}) (\d+) x (\d+)", lambda found: f"{flags[found[1]]} {found[2]}x{found[3]}", sentence)
    sentence = re.sub(rf"{free}({own}){end}", lambda found: flags[found[1]] if "_" in found[1] else found[1], sentence)
    sentence = re.sub(r" \((?:an? )?(?:str|int|float|bool)\)", "", sentence)
    pair = r"[\[(](\d+), (\d+)[\])]"
    sentence = re.sub(rf"(--size) {pair}(?:, but {pair})?", _sizes_as_typed, sentence)
    sentence = re.sub(r"('\w+\(.*?\)') or partial\(.*?\)", r"\1", sentence)
    return re.sub(r" or None(?= or |\.$)", "", sentence) + function + signature


def check_prompts(prompts: Sequence[str]) -> None:
    """Refuse to make videos of no prompt, and of an empty one.

    Args:
        prompts: captions.

    Raises:
        ValueError: there is none, or one is empty.
    """
    if not prompts:
        raise ValueError("no prompt was given: give a caption in quotes, or several.")
    if not all(prompt.strip() for prompt in prompts):
        raise ValueError(
            "a prompt is empty, as a shell variable is that was not set: give a caption, or --guidance 0 beside any "
            "caption for a video without one."
        )
    if len(prompts) > 1 and not any(" " in prompt.strip() for prompt in prompts):
        tell(f"{len(prompts)} prompts of one word each: {', '.join(prompts)[:200]}; put the words of one in quotes.")


def check_finite_guidance(guidance: Any) -> None:
    """Refuse numbers that are not finite, of which a guider's name would be made.

    Args:
        guidance: a number, a list of them, or the name of a guider.

    Raises:
        ValueError: it is not finite.
    """
    if re.search(r"\b(nan|inf|infinity)\b", str(guidance).lower()) and "(" not in str(guidance):
        raise ValueError(f"--guidance {guidance}: give finite numbers; 1 is none.")


def _sizes_as_typed(found: re.Match[str]) -> str:
    option, height, width, other_height, other_width = found.groups()
    return f"{option} {height}x{width}" + (f", but {other_height}x{other_width}" if other_height else "")


def pixels(size: str | None) -> tuple[int, int] | None:
    """480x832 as (480, 832), None as None.

    Args:
        size: of a video in pixels.

    Raises:
        ValueError: it is not written so.
    """
    if size is None:
        return None
    height, _, width = size.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise ValueError(f"--size {size!r:.60}: give HEIGHTxWIDTH in pixels, such as 480x832.")
    return int(height), int(width)

"""Parsers made from the signatures and docstrings of the commands' functions; errors are one sentence."""

import argparse
import difflib
import inspect
import itertools
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import NoneType
from typing import Any, Literal, NoReturn, get_args, get_origin

import jsonargparse
from docstring_parser import parse as parse_docstring
from jsonargparse.typing import PositiveFloat, PositiveInt

from pusa_lab.cli.config_files import UsageError, check_configs, split_configs
from pusa_lab.cli.terminal import tell

CONFIG = (
    "YAML file of options, such as --print_config prints; options that are typed as well override it, and of several "
    "files a later one those before it"
)
"""Help of --config."""
PRINT_CONFIG = "print all options with their values as YAML, for --config, and exit; =skip_default omits defaults"
"""Help of --print_config; jsonargparse's own is not grammatical."""
OTHERS = {
    "--num-inference-steps": "--steps",
    "--guidance-scale": "--guidance",
    "--generator": "--seed",
    "--num-videos-per-prompt": "--num-videos",
    "--last-image": "--end-image",
    "--frames": "--num-frames",
    "--schedule-args": "--schedule-options",
    "--devices": "--gpus",
    "--gpus": "--devices",
    "--nodes": "--gpus",
    "--mode": "--workload",
    "--float8": "--precision",
}
"""What diffusers' pipelines, others, or commands of ours that have it not call an option -> ours."""
WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    dict: "names with values",
    PositiveInt: "a whole number of at least 1",
    PositiveFloat: "a number above 0",
}
"""Type -> what to give, for error sentences."""


REFUSED = ("(?s)Given value: (.*)", "(?s)Got value: (.*)", r": '?(\S*?)'?(?: does not conform.*)?$")
"""Where jsonargparse's sentences have the value that was given, the first that is found."""


class HelpFormatter(jsonargparse.DefaultHelpFormatter):
    """Says in words what an option takes, and its default where there is one."""

    def _get_help_string(self, action: argparse.Action) -> str:
        hint = getattr(action, "_typehint", None) or action.type
        if isinstance(action, argparse._StoreTrueAction):
            return action.help or ""
        if hint is None or isinstance(action, jsonargparse.ActionConfigFile):
            return super()._get_help_string(action)
        notes = ["required"] * action.required
        notes += [] if get_origin(hint) is Literal else [expected(hint, items=False)]  # choices stand beside the name
        if action.default not in (None, "", argparse.SUPPRESS) and "(default" not in (action.help or ""):
            notes.append("default: %(default)s")
        return (action.help or "") + (f" ({', '.join(notes)})" if notes else "")


class Parser(jsonargparse.ArgumentParser):
    """Options are written with dashes, a bool is set by its option alone, and every error is one sentence."""

    settled: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    """All options -> values of those that are None, as the command will settle them; for --print_config."""

    def dump(self, cfg: Any, *args: Any, **options: Any) -> str:
        """Write options as YAML, with the values that the command settles; what stays null it leaves to the model.

        Of the processes that torchrun starts, the first alone writes them.

        With skip_default, values that it would settle anyway are left out, as all other defaults are.

        Args:
            cfg: the options.
            *args: as jsonargparse has them.
            **options: as jsonargparse has them.
        """
        if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK", "0") != "0":
            return ""
        if self.settled is not None:
            cfg = cfg.clone()
            for name, value in self.settled(cfg.as_dict()).items():
                if options.get("skip_default"):
                    cfg[name] = self.get_default(name) if cfg[name] == value else cfg[name]
                else:
                    cfg[name] = value if cfg[name] is None else cfg[name]
        return super().dump(cfg, *args, **options)

    def add_argument(self, *names: Any, **options: Any) -> Any:
        """Add an argument, as argparse does.

        Args:
            *names: of the option; underscores become dashes.
            **options: type, default, help and so on.
        """
        # jsonargparse copies this method into its groups, where nothing of this module is known
        renamed = [name.startswith("--") and not name.startswith("--print_") for name in names]
        dashed = [name.replace("_", "-") if yes else name for name, yes in zip(names, renamed)]  # noqa: B905
        if options.get("type") is bool and options.get("default") is False:
            del options["type"]
            options["action"] = "store_true"
        return super().add_argument(*dashed, **options)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the sentence.

        Args:
            message: argparse's or jsonargparse's.
            ex: its cause.
        """
        raise UsageError(self._sentence(message)) from ex

    def _sentence(self, message: str) -> str:
        said = " ".join(message.split())
        if found := re.match(r"unrecognized arguments: (.*)|(?:Option|Key) '(\S+)' is not accepted", said):
            return self._unknown(found[1] or "--" + found[2].replace("_", "-"))
        if found := re.match(r"argument (\S+?)(?:/\S+)?: expected", said):
            return f"{found[1]} was given without a value: give one; {found[1]}=-x if it begins with a dash."
        if found := re.match(r"argument (\S+): ignored explicit argument (.*)", said):
            return f"{found[1]} takes no value: leave out {found[2]}."
        if found := re.match(r'Invalid option "(.*)" for (\S+)', said):
            return f"{found[2]} {found[1]!r}: give {found[2]} alone, or {found[2]}=skip_default to leave out defaults."
        if found := re.match(r"the following arguments are required: ([\w-]+)", said):
            places = [action.dest for action in self._actions if not action.option_strings]
            what = f"the argument {found[1].upper()}" if found[1] in places else f"--{found[1]}"
            return f"{what} is missing: `{self.prog} --help` says what to give."
        if found := re.match(r"argument (\S+): invalid \w+ value: (.*)", said):
            return self._unfit(found[1].lstrip("-").replace("-", "_"), found[2])
        if found := re.match(r'(?s)Parser key "([\w.]+)"(.*)', message.strip()):  # whose value may hold blanks
            value = next(filter(None, (re.search(pattern, found[2]) for pattern in REFUSED)), None)
            return self._unfit(found[1], repr(value[1] if value else ""))
        return f"{said.rstrip('.')}: `{self.prog} --help` lists the options."

    def _unknown(self, words: str) -> str:
        if not words.startswith("-"):
            return (
                f"unexpected {words!r:.60}: leave it out, put words that belong together in quotes, or give several "
                'values of an option as a list, such as "[a, b]".'
            )
        word = words.split()[0].split("=")[0]
        places = [action.dest for action in self._actions if not action.option_strings]
        if word.lstrip("-").replace("-", "_") in places:
            return f"there is no option {word}: type its value by itself, `{self.prog} {word.lstrip('-').upper()} ...`."
        known = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
        name = word.partition(".")[0]  # of --schedule-args.lag
        ours = OTHERS.get(name.replace("_", "-"), name)
        near = [ours] if ours in known else difflib.get_close_matches(name, known, 1, cutoff=0.8)
        return f"there is no option {word:.60}: " + (
            f"did you mean {near[0]}?" if near else f"`{self.prog} --help` lists those there are."
        )

    def _unfit(self, key: str, value: str) -> str:
        """A value of another type."""
        action = next((action for action in self._actions if action.dest == key.split(".")[0]), None)
        name = action.option_strings[0] if action is not None and action.option_strings else key
        hint = getattr(action, "_typehint", None) or getattr(action, "type", None) or str
        kinds = {get_origin(part) or part for part in get_args(hint)} - {NoneType}
        if kinds == {list} and not value.strip("'").startswith("["):
            return f"{name} {value:.300}: give a list, such as [{value.strip(chr(39)):.300}]."
        wanted = expected(hint)
        if re.fullmatch("nan|inf|infinity", value.strip("'+-").lower()):
            endless = "inf " in (getattr(action, "help", None) or "")
            wanted = f"{wanted}, or .inf for infinity" if endless else wanted.replace("a number", "a finite number")
        return f"{name} {value:.60}: give {wanted}."


def expected(hint: Any, items: bool = True) -> str:
    """What an option takes, in words.

    Args:
        hint: its type, or a function that reads it and has what it takes as attribute `expected`.
        items: say of a list what its items are.
    """
    parts = get_args(hint)
    if get_origin(hint) is Literal and len(parts) == 1:
        return str(parts[0])
    if get_origin(hint) is Literal:
        return f"one of {', '.join(str(part) or repr(part) for part in parts)}"
    if get_origin(hint) is list:
        return "a list such as [A, B]" + (f", each of them {expected(parts[0])}" if items else "")
    if parts and get_origin(hint) is not dict:
        return " or ".join(dict.fromkeys(expected(part, items) for part in parts if part is not NoneType))
    return WORDS.get(get_origin(hint) or hint, getattr(hint, "expected", "a path"))


def parse_line(name: str, function: Callable[..., Any], words: Sequence[str]) -> dict[str, Any] | None:
    """What a function is to be called with.

    A required parameter is given by its place, others are options; of a list that is required every word is an entry.
    A function with **options has more, which `add_options` of its module puts into the parser. For --print_config,
    `settled_NAME` of its module, for a function NAME, gives the values that stand for what was left out.

    Args:
        name: of the command, as it is typed: "pusa-lab data encode".
        function: that runs it.
        words: after the command.

    Returns:
        Its arguments; None if help was asked for, which is printed.

    Raises:
        UsageError: the line does not fit, in one sentence.
    """
    parser, several = make_parser(name, function)
    files, typed = split_configs(words)
    check_configs(files, several, [a.dest for a in parser._actions if a.default == ""])
    _check_words(parser, typed)
    try:
        found = _parse(parser, files, typed).as_dict()
    except SystemExit:
        return None
    return {**{name: [] for name in several}, **{key: value for key, value in found.items() if key != "config"}}


def make_parser(name: str, function: Callable[..., Any]) -> tuple[Parser, list[str]]:
    """The parser of `parse_line`, and the names of the required lists.

    Args:
        name: of the command, as it is typed.
        function: that runs it.
    """
    about = parse_docstring(inspect.getdoc(function) or "")
    description = "\n\n".join(filter(None, (about.short_description, about.long_description)))
    parser = Parser(prog=name, description=description, allow_abbrev=False, formatter_class=HelpFormatter)
    parameters = inspect.signature(function).parameters.values()
    several = [p for p in parameters if p.default is p.empty and get_origin(p.annotation) is list]
    helps = {param.arg_name: param.description for param in about.params}
    for p in several:
        kind = get_args(p.annotation)[0]
        parser.add_argument(p.name, nargs="*", type=kind, default=argparse.SUPPRESS, help=helps.get(p.name))
    parser.add_function_arguments(function, as_group=False, as_positional=True, skip={p.name for p in several})
    module = sys.modules[function.__module__]
    parser.settled = getattr(module, f"settled_{function.__name__}", None)
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        module.add_options(parser)
    parser.add_argument("--config", action="config", help=CONFIG)
    parser._option_string_actions["--print_config"].help = PRINT_CONFIG
    return parser, [p.name for p in several]


def _parse(parser: Parser, files: Sequence[str], typed: Sequence[str]) -> jsonargparse.Namespace:
    """Options of files, and those that were typed, which override them.

    What a file has as the command settles it anyway was printed, and not chosen: it may stand beside a typed option
    with which it has no effect.
    """
    first = [f"--config={path}" for path in files]
    try:
        if not files or parser.settled is None:
            return parser.parse_args([*first, *typed])
        chosen = parser.parse_args(first)
        settled = {name: v for name, v in parser.settled(chosen.as_dict()).items() if chosen[name] == v}
        for name in settled:
            chosen[name] = parser.get_default(name)
        plain = [word for word in typed if not word.startswith("--print_config")]  # printing would end the process
        found = parser.parse_args(plain, chosen.clone())
        typed_too = {name: found[name] for name in settled if found[name] != parser.get_default(name)}
        _tell_other_defaults(files, settled, parser.settled(found.as_dict()) | typed_too)
        return found if len(plain) == len(typed) else parser.parse_args(list(typed), chosen)
    except UsageError as error:
        if files and str(error) == _fault(parser, first):
            raise UsageError(f"--config {_named(files)}: {error}") from error
        raise


def _tell_other_defaults(files: Sequence[str], before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Say which values of files give way, since what was typed settles others."""
    if gone := [f"{name}: {value}" for name, value in before.items() if name in now and now[name] != value]:
        tell(
            f"--config {_named(files)}: what was typed beside it settles {', '.join(gone)} anew, since the "
            f"file has what would be settled without it; to keep a value, type its option too."
        )


def _named(files: Sequence[str]) -> str:
    return f"{', '.join(map(repr, files)):.300}"


def _fault(parser: Parser, words: Sequence[str]) -> str:
    """The sentence with which words are refused; "" if they are not."""
    try:
        parser.parse_args(list(words))
    except UsageError as error:
        return str(error)
    return ""


def _check_words(parser: Parser, words: Sequence[str]) -> None:
    """Refuse an option that is typed twice, which would lose its first value, and one with an empty value."""
    actions = {option: action for action in parser._actions for option in action.option_strings}
    places = [action.dest for action in parser._actions if not action.option_strings]
    seen = set[str]()
    options = itertools.takewhile(lambda pair: pair[0] != "--", itertools.pairwise(["", *words, "."]))
    for word, after in options:
        name, equals, value = word.partition("=")
        option, dot, _ = name.partition(".")
        if word.startswith("--") and option in actions:
            _check_once(name, seen)
            if dot and name not in actions and not _takes_keys(actions[option]):
                raise UsageError(f"{option} takes no keys, as in {name:.60}: give it a value of its own.")
            seen.add(name)
            if not (value if equals else after).strip() and name != "--negative-prompt":
                raise UsageError(f"{name} is empty: give it a value, or leave it out.")
        elif after == "" and not word.startswith("--") and places and places[0] != "prompt":
            raise UsageError(f"{places[0]} is empty: give a value.")


def _check_once(name: str, seen: Iterable[str]) -> None:
    """Refuse an option whose value would take the place of one that was typed before it."""
    if name in seen and not name.endswith("+"):
        raise UsageError(f"{name} was given twice: give it once.")
    whole = name.partition(".")[0]
    for other in seen:
        if other == f"{name}+":
            raise UsageError(f"{name} after {other} would replace its values: give {name} first, or {other} alone.")
        if name != other and whole in (name, other) and whole == other.partition(".")[0]:
            one = max(name, other)
            raise UsageError(f"{whole} was given as a whole and as {one}: give it in one of the two ways.")


def _takes_keys(action: argparse.Action) -> bool:
    """Whether an option takes names with values, which can be typed one by one: --schedule-options.lag 4."""
    hint = getattr(action, "_typehint", None)
    return not {dict, Mapping}.isdisjoint(get_origin(part) or part for part in (hint, *get_args(hint)))

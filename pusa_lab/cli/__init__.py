"""The command line: every command is a function, whose signature and docstring make its options and its help.

Packages add commands of their own through entry points of the group `pusa_lab.commands`.
"""

import inspect
import shlex
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from pusa_lab.cli import bench
from pusa_lab.cli.terminal import drop_output, line, make_output_safe, say
from pusa_lab.cli.values import run_command
from pusa_lab.versions import missing_package

GROUP = "pusa_lab.commands"
"""Group of the entry points that name further commands."""
COMMANDS = {
    "demo": "pusa_lab.cli.demo:demo",
    "generate": "pusa_lab.cli.generate:generate_videos",
    "stream": "pusa_lab.cli.stream:stream_video",
    "data encode": "pusa_lab.cli.data:encode",
    "data show": "pusa_lab.cli.data:show",
    "train": "pusa_lab.cli.train:train_command",
    "plan": "pusa_lab.cli.plan:plan_command",
    "sweep": "pusa_lab.cli.sweep:sweep_command",
    "new-notebook": "pusa_lab.cli.new_notebook:new_notebook",
    "doctor": "pusa_lab.cli.doctor:doctor",
}
"""Command -> the function that runs it. One with *words takes them as they are typed."""


USAGE = [
    "usage: pusa-lab [--import FILE.py] COMMAND ...",
    "",
    "Video diffusion with one timestep per frame.",
    "",
    "commands:",
]
ENDING = [
    "",
    "`pusa-lab COMMAND --help` lists a command's options. --import runs a Python file first, so that the schedules,",
    "tasks, solvers and so on that it registers are known by name; or name one as FILE.py:NAME. In a clone,",
    "docs/extending.md shows how.",
]


def main(argv: Sequence[str] | None = None, script: Callable[..., Any] | None = None) -> int:
    """Run one command; returns 0, or 2 after one sentence on what is wrong with the input.

    Args:
        argv: the words after `pusa-lab`, or after the script's name; None takes them from the shell.
        script: the function of a script in benchmarks/, which is run instead of a command.
    """
    make_output_safe()
    words = typed = list(sys.argv[1:] if argv is None else argv)
    name = "pusa-lab" if script is None else f"python benchmarks/{Path(inspect.getfile(script)).name}"
    front, before = name, line.set(f"{name} {shlex.join(words)}".strip())
    try:
        function = script
        if function is None:
            words = with_imports(words)
            name, known = " ".join([name, *words[:1]]), commands()
            if (shown := _asked_help(words, known)) is not None:
                say(*shown)
                return 0 if words else 2
            command = _command(words, known)
            name, function, words = f"pusa-lab {command}", _function(known[command]), words[len(command.split()) :]
        line.set(f"{front} {shlex.join(_anywhere(typed))}".strip())
        _run(name, function, words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, such as head, has closed the pipe
        drop_output()
        return 1
    except (ValueError, OSError, MemoryError, RecursionError, RuntimeError, ModuleNotFoundError) as error:
        if (sentence := _sentence(error)) is None:
            raise
        if isinstance(error, OSError):
            drop_output()
        sys.stderr.write(f"{name}: {sentence.removeprefix(f'{name}: ')}\n")
        return 2
    finally:
        line.reset(before)
    return 0


def with_imports(words: list[str]) -> list[str]:
    """Run the files of the leading `--import FILE`s, so that what they register is known by name.

    Args:
        words: after `pusa-lab`.

    Returns:
        The words that are left.

    Raises:
        ValueError: a file is missing, or fails.
    """
    while words[:1] == ["--import"]:
        path = Path(words[1]) if len(words) > 1 else None
        if path is None or path.suffix != ".py" or not path.is_file():
            fault = (
                "--import without a file"
                if path is None
                else f"--import {str(path)!r:.300} is not an existing .py file"
            )
            raise ValueError(f"{fault}: give the path of a Python file, before the command.")
        from pusa_lab.import_paths import ModuleError, run_file  # brings torch, which help does without

        try:
            run_file(path, again=True)
        except ModuleError as error:
            raise ValueError(f"{error}; correct the file, and try again.") from error
        words = words[2:]
    return words


def _anywhere(words: Sequence[str]) -> list[str]:
    """The words with absolute paths of files of code and options, so that the line can be run again in any folder."""
    found = list(words)
    for i, (before, word) in enumerate(zip(["", *words], words, strict=False)):
        if before in ("--import", "--config", "sweep") and Path(word).is_file():
            found[i] = str(Path(word).resolve())
        elif word.startswith("--config="):
            found[i] = f"--config={Path(word.partition('=')[2]).resolve()}"
        elif ":" in word:
            from pusa_lab.import_paths import absolute, with_import_paths

            found[i] = with_import_paths(word, absolute)
    return found


def commands() -> dict[str, str]:
    """Every command and where its function is: ours, and those of other packages under names that we have not."""
    benchmarks = {f"bench {name}": place for name, place in bench.benchmarks().items()}
    return {**{point.name: point.value for point in bench.points(GROUP)}, **COMMANDS, **benchmarks}


def _asked_help(words: Sequence[str], known: dict[str, str]) -> list[str] | None:
    """The list of all commands or of a group, if the line asks for it or is empty."""
    if not words or words[0] in ("-h", "--help"):
        return [*USAGE, *_summaries(_listed(known)), f"  {'bench NAME':14}{bench.SUMMARY}", *ENDING]
    group = {command: place for command, place in known.items() if command.startswith(f"{words[0]} ")}
    if not group or words[1:] not in (["-h"], ["--help"]):
        return None
    lines = [f"usage: pusa-lab {words[0]} COMMAND ...", "", "commands:", *_summaries(group)]
    return [*lines, "", f"`pusa-lab {next(iter(group))} --help` lists its options."]


def _listed(known: dict[str, str]) -> dict[str, str]:
    """The commands that are listed one by one; the benchmarks have a list of their own."""
    return {command: place for command, place in known.items() if not command.startswith("bench ")}


def _summaries(known: dict[str, str]) -> list[str]:
    """Every command with the first line of its docstring."""
    width = max(14, *(len(command) + 2 for command in known))
    return [f"  {command:{width}}{bench.summary(place) or _summary(place)}" for command, place in known.items()]


def _summary(place: str) -> str:
    return (inspect.getdoc(_function(place)) or "").partition("\n")[0]


def _command(words: Sequence[str], known: dict[str, str]) -> str:
    """The command that a line begins with."""
    for count in (2, 1):
        if (command := " ".join(words[:count])) in known:
            return command
    seconds = [command.split()[1] for command in known if command.split()[0] == words[0] and " " in command]
    if seconds:
        fault = f"there is no command {' '.join(words[:2])!r:.60}" if words[1:] else "a subcommand is missing"
        raise ValueError(f"{fault}: choose one of {', '.join(f'{words[0]} {second}' for second in seconds)}.")
    raise ValueError(f"there is no command {words[0]!r:.60}: choose one of {', '.join(_listed(known))}, bench.")


def _function(place: str) -> Callable[..., Any]:
    module, _, name = place.rpartition(":")
    return getattr(bench.load_script(module) if module.endswith(".py") else import_module(module), name)


def _run(name: str, function: Callable[..., Any], words: Sequence[str]) -> None:
    if any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(function).parameters.values()):
        function(*words)
        return
    from pusa_lab.cli.parser import parse_line

    if (options := parse_line(name, function, words)) is None:
        return
    run_command(name, function, options)


def _sentence(error: BaseException) -> str | None:
    """The error as one line; None for an error in this package, whose traceback is needed."""
    said = " ".join(line.strip() for line in str(error).splitlines()).strip()
    if isinstance(error, ModuleNotFoundError):
        return missing_package(error.name) if error.name else said
    if isinstance(error, RecursionError):
        return "the input is nested too deeply: give another file."
    if isinstance(error, MemoryError) or "out of memory" in said or "can't allocate memory" in said:
        return "memory is full: ask for a smaller size, fewer frames or fewer steps."
    if isinstance(error, OSError) and error.errno and said.startswith("[Errno"):
        where = f"{error.filename or 'the output'}: " if error.filename else ""
        return f"{where}{error.strerror}; give another path, or free space on the disk."
    return said if isinstance(error, ValueError | OSError) else None

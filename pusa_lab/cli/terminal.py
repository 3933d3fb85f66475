"""What commands print, what they say about themselves, and outputs that are closed, full, or lack characters."""

import contextlib
import io
import os
import sys
from contextvars import ContextVar
from pathlib import Path

line: ContextVar[str] = ContextVar("line", default="pusa-lab")
"""The command line that is running, as it could be typed again."""


def say(*lines: str) -> None:
    """Write lines to the standard output.

    Args:
        *lines: without line breaks at their ends.
    """
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def tell(line: str) -> None:
    """Write a line beside the output, to the standard error.

    Args:
        line: without a line break at its end.
    """
    sys.stderr.write(f"{line}\n")


def escaped(text: str) -> str:
    """Escape control characters, with which an untrusted file could change the terminal.

    Args:
        text: from a file.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def make_output_safe() -> None:
    """Escape characters that the output's encoding lacks, and write to the null device where an output is closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def drop_output() -> None:
    """Redirect an output that cannot be written to the null device, so that Python does not fail again at exit."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        return
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

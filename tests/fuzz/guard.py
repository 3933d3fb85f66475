"""While cases are played, nothing outside the suite's own folder can be written, renamed or removed.

Odd arguments name devices and folders of the system; a library that renamed over /dev/null would break the machine.
"""

import contextlib
import errno
import functools
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_on = False
PLACES = (tempfile.gettempdir(), str(Path.home() / ".cache"), "/dev/shm")  # found once: finding it opens files
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {
    "os.rename": 2,
    "os.remove": 1,
    "os.mkdir": 1,
    "os.rmdir": 1,
    "os.link": 2,
    "os.symlink": 2,
    "os.truncate": 1,
    "os.chmod": 1,
}
"""Event of the interpreter -> how many of its arguments are paths."""


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Refuse changes outside the folder, as a disk without permissions does."""
    global _on
    _hooked()
    before, _on = _on, True
    try:
        yield
    finally:
        _on = before


@functools.cache
def _hooked() -> None:
    sys.addaudithook(_heard)


def _heard(event: str, args: tuple[Any, ...]) -> None:
    if not _on:
        return
    if event == "open" and isinstance(args[2], int) and args[2] & WRITES:
        _check(args[0], devices=True)
    elif event in CHANGES:
        for path in args[: CHANGES[event]]:
            _check(path)


def _check(path: Any, devices: bool = False) -> None:
    if not isinstance(path, str | bytes | os.PathLike):
        return
    place = os.path.realpath(os.fsdecode(path))
    if not place.startswith(PLACES) and not (devices and place in ("/dev/null", "/dev/full", "/dev/tty")):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

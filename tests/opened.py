"""How often our own code opens each file in a folder; what a library opens by itself is not counted."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_WATCHED: dict[str, Counter[str]] = {}
_LIBRARIES = ("/diffusers/", "/transformers/", "/tokenizers/", "/safetensors/", "/huggingface_hub/")


@contextmanager
def opened(folder: Path) -> Iterator[Counter[str]]:
    """Path relative to the folder -> how often it was opened for reading while the block ran."""
    _WATCHED[str(folder)] = found = Counter()
    _install()
    try:
        yield found
    finally:
        del _WATCHED[str(folder)]


def _install(done: list[bool] = []) -> None:  # noqa: B006
    if not done:  # a hook stays for the life of the process
        sys.addaudithook(_heard)
        done.append(True)


def _heard(event: str, words: tuple[object, ...]) -> None:
    if event != "open" or not _WATCHED:
        return
    for folder, found in _WATCHED.items():
        path = str(words[0])
        if path.startswith(f"{folder}/") and "w" not in str(words[1]) and _ours(sys._getframe(1)):
            found[path[len(folder) + 1 :]] += 1


def _ours(frame: FrameType | None) -> bool:
    """Whether the nearest caller outside the standard library is ours."""
    while frame:
        file = frame.f_code.co_filename
        if "/pusa_lab/" in file:
            return True
        if any(name in file for name in _LIBRARIES):
            return False
        frame = frame.f_back
    return False

"""Pictures and clips that options name by their files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.data.folders import SUFFIXES
from pusa_lab.data.pictures import read_picture
from pusa_lab.named import DEEPEST

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
"""How names of pictures end."""


@checked
def with_files(value: Any, read: Callable[[Path], Any]) -> Any:
    """The same value with the pixels of pictures and clips in place of their paths, also inside lists and tuples.

    Lists nested more than DEEPEST levels deep stay as they are.

    Args:
        value: an option; other values than paths of pictures and clips are returned as they are.
        read: reads a clip.

    Raises:
        ValueError: a picture cannot be read.
    """
    return _with_files(value, read, 0)


def _with_files(value: Any, read: Callable[[Path], Any], depth: int) -> Any:
    if isinstance(value, list | tuple):
        return value if depth > DEEPEST else type(value)([_with_files(one, read, depth + 1) for one in value])
    suffix = Path(value).suffix.lower() if isinstance(value, str | Path) else ""
    return read_picture(value) if suffix in PICTURES else read(Path(value)) if suffix in SUFFIXES else value

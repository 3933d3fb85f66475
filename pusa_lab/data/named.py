"""Pictures and clips that options name by their files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.data.folders import SUFFIXES
from pusa_lab.data.pictures import read_picture

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
"""How names of pictures end."""


@checked
def with_files(value: Any, read: Callable[[Path], Any]) -> Any:
    """The same value with the pixels of pictures and clips in place of their paths, also inside lists and tuples.

    Args:
        value: an option; other values than paths of pictures and clips are returned as they are.
        read: reads a clip.

    Raises:
        ValueError: a picture cannot be read.
    """
    if isinstance(value, list | tuple):
        return type(value)([with_files(one, read) for one in value])
    suffix = Path(value).suffix.lower() if isinstance(value, str | Path) else ""
    return read_picture(value) if suffix in PICTURES else read(Path(value)) if suffix in SUFFIXES else value

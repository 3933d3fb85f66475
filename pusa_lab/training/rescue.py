"""What was trained is not lost where it cannot be written."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from pusa_lab.arguments import checked

FAILED = (OSError, SafetensorError)
"""How writing ends on a full disk, or in a folder that is gone."""


@checked
def save_or_rescue(save: Callable[[Path], None], path: Path, logs: Path | None = None) -> None:
    """Write what was trained; where this fails, write it into the folder for temporary files, and say so.

    Args:
        save: writes to a path.
        path: where to.
        logs: folder in which the run may have left checkpoints.

    Raises:
        OSError: it could not be written to `path`, with where it is now, or how to get it again.
    """
    try:
        save(path)
        return
    except FAILED as error:
        first = error
    again = ""
    if logs is not None and (left := sorted(Path(logs).glob("last*.ckpt"))):
        again = f" Make room and get it again with --resume {left[-1]}."
    other = Path(tempfile.mkdtemp(prefix="pusa-lab-")) / path.name
    try:
        save(other)
    except FAILED as second:
        other.parent.rmdir()
        raise OSError(f"{first} What was trained could not be kept as {other} either ({second}).{again}") from first
    raise OSError(f"{first} What was trained is kept as {other}: move it to {path.parent}.{again}") from first

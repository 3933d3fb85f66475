"""Saving of trained weights, with a second try in another folder, so that a run is not lost."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from pusa_lab.arguments import checked

FAILED = (OSError, SafetensorError)
"""Errors of writing to a full disk or a missing folder."""


@checked
def save_or_rescue(save: Callable[[Path], None], path: Path, logs: Path | None = None) -> None:
    """Write trained weights; if this fails, write them to a folder for temporary files instead, and raise.

    Args:
        save: writes the weights to a path.
        path: of the file.
        logs: folder in which the run may have left checkpoints.

    Raises:
        OSError: `path` could not be written; the sentence says where the weights are now, or how to get them again.
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
        raise OSError(f"{first} What was trained could not be saved as {other} either ({second}).{again}") from first
    raise OSError(f"{first} What was trained is kept as {other}: move it to {path.parent}.{again}") from first

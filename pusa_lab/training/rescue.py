"""Saving of what was trained in another folder, if its own cannot be written, so that a run is not lost."""

import errno
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
from safetensors import SafetensorError

from pusa_lab.arguments import checked

FAILED = (OSError, SafetensorError)
"""Errors of writing to a full disk or a missing folder."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""Numbers of errors of a disk."""


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
    except FAILED as error:
        raise OSError(_rescue(save, path, error, f"move it to {path.parent}", logs)) from error


def _rescue(save: Callable[[Path], None], path: Path, first: Any, then: str, logs: Path | None) -> str:
    """Write elsewhere what could not be written to `path`, and return the sentence that says so."""
    again = ""
    if logs is not None and (left := sorted(Path(logs).glob("last*.ckpt"))):
        again = f" Make room and get it again with --resume {left[-1]}."
    try:
        other = Path(tempfile.mkdtemp(prefix="pusa-lab-")) / path.name
    except OSError as second:
        return f"{first} What was trained could not be saved elsewhere either ({second}).{again}"
    try:
        save(other)
    except FAILED as second:
        other.parent.rmdir()
        return f"{first} What was trained could not be saved as {other} either ({second}).{again}"
    return f"{first} What was trained is kept as {other}: {then}.{again}"


class KeepTrained(L.Callback):
    """Saves a checkpoint elsewhere when a run ends because its folder of logs cannot be written.

    Args:
        logs: the folder.
        split: whether the weights are sharded; then nothing is saved.
    """

    def __init__(self, logs: Path, split: bool):
        self.logs, self.split = logs, split
        self.ended = False
        self.sentence = ""

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note that the weights are those of the whole run."""
        self.ended = True

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Save a checkpoint if the error is one of writing and the run has not ended; `sentence` says where it is."""
        self.sentence = self._fault(exception)
        if self.sentence and not self.ended and trainer.global_step and trainer.is_global_zero and not self.split:
            self.sentence = _rescue(
                # not by trainer.save_checkpoint, which waits for the other processes
                lambda path: trainer.strategy.save_checkpoint(trainer._checkpoint_connector.dump_checkpoint(), path),
                self.logs / "last.ckpt",
                self.sentence,
                "make room, and resume from it",
                None,
            )

    def _fault(self, error: BaseException) -> str:
        """The sentence for an error of writing into the folder; empty for other errors."""
        if not isinstance(error, OSError):
            return ""
        if "cannot be written" in str(error):  # by `files.writing`
            return str(error)
        inside = error.filename is not None and self.logs.absolute() in Path(error.filename).absolute().parents
        if not inside and (error.errno not in FULL or error.filename is not None):
            return ""
        return f"logs {self.logs} cannot be written ({error.strerror}): make room, or give another folder."

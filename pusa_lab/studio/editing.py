"""The studio's editing model: a schedule, the edits that can be made to it, and their history. It needs no widget."""

import inspect
import json
import re
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.schedules import SCHEDULES, describe, frame_indices, marks
from pusa_lab.studio import edits
from pusa_lab.types import Rising, Schedule

MOST_UNDONE = 200
"""Steps that can be undone."""
MOST_CHARACTERS = 8 * 2**20
"""Most characters of a file that is read."""


@dataclass(frozen=True)
class Fault:
    """A cell that keeps the matrix from being a schedule."""

    row: int
    """Its row."""
    frame: int
    """Its latent frame."""
    what: str
    """What is wrong, in one phrase."""
    fix: str
    """What the fix changes, in one phrase."""


@dataclass(frozen=True)
class EditStep:
    """One entry of the history."""

    matrix: Schedule
    """(rows, f)."""
    origin: tuple[str, dict[str, Any]] | None = None
    """Name in the zoo and arguments, if the matrix is unchanged since; else None."""
    gesture: str | None = None
    """Edits in a row with the same gesture, such as one drag of the mouse, are one entry."""


@checked
class Editor:
    """A schedule that is edited, with undo and redo.

    Args:
        frames: number of latent frames, 1 to 10,000; it cannot be changed later.
        steps: steps of the first schedule, which is synchronous, at least 1.
        shift: shift of its sigmas, positive.

    Raises:
        ValueError: an argument is out of range, or the schedule would be too large to draw.
    """

    def __init__(self, frames: int = 9, steps: int = 20, shift: float = 1.0) -> None:
        if not 1 <= frames <= edits.MOST_DRAWN_ROWS:
            raise ValueError(f"frames={frames}: give 1 to {edits.MOST_DRAWN_ROWS:,}.")
        self.frames = frames
        self._steps: list[EditStep] = []
        self._at = -1
        self.load("synchronous", steps=steps, shift=shift)

    @property
    def schedule(self) -> Schedule:
        """The schedule (rows, f), as a copy; setting it adds an entry to the history."""
        return self._step.matrix.clone()

    @schedule.setter
    def schedule(self, matrix: Any) -> None:
        self._push(edits.as_levels(matrix, self.frames))

    @property
    def origin(self) -> tuple[str, dict[str, Any]] | None:
        """Name in the zoo and arguments, if the matrix is unchanged since; else None."""
        return self._step.origin

    @checked
    def load(self, name: str, **arguments: Any) -> None:
        """Load a member of the zoo: `load("pyramid", steps=20, lag=4)`; see `edits.parameters` for the arguments.

        Args:
            name: a name in `schedules.SCHEDULES`.
            **arguments: its arguments without `frames`; steps is 20 if it is not given.

        Raises:
            ValueError: there is no such member, or an argument is unknown or out of range.
        """
        schedule = SCHEDULES.find(name)
        arguments = {"steps": 20, **arguments}
        allowed = inspect.signature(schedule).parameters.keys() - {"frames"}
        if unknown := sorted(arguments.keys() - allowed):
            raise ValueError(f"{name} has no {unknown[0]!r:.40}: choose from {', '.join(sorted(allowed))}.")
        for word, value in arguments.items():
            if isinstance(value, int) and abs(value) > edits.MOST_DRAWN_ROWS:
                raise ValueError(f"{word}={value:.3g}: the studio takes at most {edits.MOST_DRAWN_ROWS:,}.")
        for word in arguments.keys() & {"shift", "noise"}:
            arguments[word] = float(arguments[word]) if isinstance(arguments[word], int) else arguments[word]
        made = schedule(frames=self.frames, **arguments)
        if isinstance(made, Rising):
            raise ValueError(
                f"{name} goes back up, which the studio does not draw: give schedule={name!r} to generate."
            )
        self._push(edits.small(made), (name, arguments))

    @checked
    def edit(self, kind: str, gesture: str | None = None, **arguments: Any) -> None:
        """Make an edit, one of `edits.EDITS`: `edit("drag", frame=3, row=5, level=0.4)`.

        Args:
            kind: drag, paint, freeze, delay or copy.
            gesture: edits in a row with the same gesture are undone together.
            **arguments: arguments of the edit.

        Raises:
            ValueError: there is no such edit, its arguments are wrong, or a cell does not exist.
        """
        if kind not in edits.EDITS:
            raise ValueError(f"unknown edit {kind!r}: choose one of {', '.join(edits.EDITS)}.")
        asked = inspect.signature(edits.EDITS[kind]).parameters.keys() - {"S"}
        if arguments.keys() != asked:
            raise ValueError(f"{kind} takes {', '.join(sorted(asked))}, but got {', '.join(arguments) or 'none'}.")
        self._push(edits.small(edits.EDITS[kind](self.schedule, **arguments)), gesture=gesture)

    def undo(self) -> None:
        """Undo the last step, if there is one."""
        self._at = max(self._at - 1, 0)

    def redo(self) -> None:
        """Redo the last step that was undone, if there is one."""
        self._at = min(self._at + 1, len(self._steps) - 1)

    @property
    def can(self) -> dict[str, bool]:
        """Whether there is a step to undo and one to redo: {"undo": bool, "redo": bool}."""
        return {"undo": self._at > 0, "redo": self._at < len(self._steps) - 1}

    def faults(self) -> list[Fault]:
        """List the faults of all cells, row by row."""
        S = self._step.matrix
        found = [
            Fault(row, frame, f"row {row}, frame {frame}: {S[row, frame]:.4g} {what}", edits.fix(S, row, frame)[1])
            for what, mask in marks(S).items()
            for row, frame in mask.nonzero().tolist()
        ]
        return sorted(found, key=lambda fault: (fault.row, fault.frame))

    def fix(self, fault: Fault) -> str:
        """Fix a fault as `fault.fix` says, and return that phrase."""
        matrix, said = edits.fix(self._step.matrix, fault.row, fault.frame)
        self._push(matrix)
        return said

    def facts(self, seconds: float | None = None) -> dict[str, Any]:
        """Return the numbers of rows, frames and denoiser calls, the order in which frames finish, and the time.

        seconds = calls * seconds per call

        Args:
            seconds: seconds per denoiser call; with None, the estimated time is None.
        """
        S = self._step.matrix
        calls = int((S[1:] != S[:-1]).any(dim=1).sum())
        order = [] if self.faults() else [list(group) for group in describe(S).order]
        estimate = None if seconds is None else calls * seconds
        return {"rows": len(S), "frames": self.frames, "calls": calls, "order": order, "seconds": estimate}

    def line(self) -> str:
        """Return the line of Python that rebuilds the schedule exactly."""
        if self.origin is not None:
            name, arguments = self.origin
            settings = {"steps": arguments["steps"], "frames": self.frames} | arguments
            return f"pl.schedules.{name}({', '.join(f'{key}={value!r}' for key, value in settings.items())})"
        if self.faults():
            return f"torch.tensor({_text(self._step.matrix)})".replace("nan", "float('nan')")
        return f"pl.schedules.from_columns({_text(self._step.matrix.T)})"

    def to_json(self) -> str:
        """Return the schedule as JSON; numbers that are not finite become null."""
        rows = [[float(str(x)) if isfinite(x) else None for x in row] for row in self._step.matrix.numpy()]
        return json.dumps({"frames": self.frames, "schedule": rows}) + "\n"

    @checked
    def from_json(self, text: str) -> None:
        """Load the schedule from text that `to_json` made.

        Args:
            text: JSON of at most 8 Mi characters.

        Raises:
            ValueError: the text is not such JSON, or its schedule has another number of frames.
        """
        wanted = 'give JSON such as {"schedule": [[1, 1], [0, 0]]}, with a level or null in each place'
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"no schedule in this text of {len(text):,} characters: give at most {MOST_CHARACTERS:,}.")
        try:
            found = json.loads(text)
            rows = [[nan if x is None else x for x in row] for row in found["schedule"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"no schedule in this text: {wanted}.") from error
        except RecursionError:
            raise ValueError(f"no schedule in this text, which is nested too deeply: {wanted}.") from None
        if (frames := found.get("frames", self.frames)) != self.frames:
            raise ValueError(
                f"the schedule in this text has frames={frames!r:.40}, the studio {self.frames}: open a studio with "
                f"as many frames."
            )
        self.schedule = rows

    @property
    def _step(self) -> EditStep:
        return self._steps[self._at]

    def _push(self, matrix: Schedule, origin: Any = None, gesture: str | None = None) -> None:
        together = gesture is not None and self._steps and self._step.gesture == gesture
        kept = self._steps[: self._at + (0 if together else 1)]
        self._steps = [*kept, EditStep(matrix, origin, gesture)][-MOST_UNDONE:]
        self._at = len(self._steps) - 1


def _text(rows: Schedule) -> str:
    """Write rows with the shortest decimals that give the same float32 numbers."""
    return "[" + ", ".join("[" + ", ".join(map(str, row)) + "]" for row in rows.numpy()) + "]"


@checked
def columns(text: str, frames: int) -> list[int]:
    """Read frames from text such as "2", "3-5", "0, 4-6" or "-1".

    Args:
        text: numbers and ranges, separated by commas; a negative number counts from the end.
        frames: number of latent frames of the video.

    Raises:
        ValueError: the text has another form, or a frame is outside the video or given twice.
    """
    found: list[int] = []
    for part in text.replace(" ", "").split(","):
        if not (read := re.fullmatch(r"(-?\d{1,6})(?:-(\d{1,6}))?", part)):
            raise ValueError(f"frames {text!r:.80}: give numbers and ranges, such as 0, 4-6.")
        first, last = int(read[1]), int(read[2] or read[1])
        if last >= frames:
            frame_indices([last], frames)  # raises, and says which frames exist
        found += range(first, last + 1)
        if len(found) > frames:
            break  # some frame is given twice
    return frame_indices(found, frames)

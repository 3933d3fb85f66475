"""What a person types to a studio, whichever front end it has."""

import os
from abc import abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.files import check_writable, writing
from pusa_lab.types import Schedule
from pusa_lab.widgets.runs import Lane
from pusa_lab.widgets.session import Session


def plain() -> bool:
    """Whether widgets are made of ipywidgets alone: anywidget is missing, or PUSA_LAB_WIDGETS=plain asks for it."""
    return os.environ.get("PUSA_LAB_WIDGETS") == "plain" or find_spec("anywidget") is None


class Hands:
    """The studio from Python: `studio.schedule` is the tensor that is drawn, both ways."""

    session: Session
    """What is drawn and what came of it."""

    def __repr__(self) -> str:
        """For pages without a kernel."""
        return f"<schedule studio, {self.session.editor.frames} frames, to be opened with a kernel>"

    @abstractmethod
    def refresh(self) -> None:
        """Draw the session anew, each front end in its own way."""

    def act(self, **message: Any) -> None:
        """A gesture, as from the page: `act(do="edit", move="freeze", frame=0)`; errors are raised and shown."""
        self.session.do(message)
        self.refresh()
        if self.session.error:
            raise ValueError(self.session.error)

    @property
    def schedule(self) -> Schedule:
        """The matrix (rows, f); setting it redraws, another number of frames is refused with a sentence."""
        return self.session.editor.schedule

    @schedule.setter
    def schedule(self, matrix: Any) -> None:
        self.act(do="set", schedule=matrix)

    @property
    def line(self) -> str:
        """The Python line that rebuilds the matrix."""
        return self.session.editor.line()

    @property
    def results(self) -> dict[str, Lane]:
        """What was sampled last: "A", and "B" after a comparison."""
        return dict(self.session.lanes)

    def run(self, compare: bool = False) -> Lane:
        """Sample what is drawn and wait for it: what the button does.

        Raises:
            ValueError: with the sentence that the widget shows.
        """
        self.act(do="compare" if compare else "run")
        self.session.wait()
        self.refresh()
        if self.session.error:
            raise ValueError(self.session.error)
        return self.session.lanes["A"]

    @checked
    def save(self, path: str | Path) -> None:
        """The matrix as a .json file; a crash leaves no half of it.

        Raises:
            ValueError: it cannot be written there.
        """
        with writing(check_writable(path, "the schedule's file")) as part:
            part.write_text(self.session.editor.to_json(), encoding="utf-8")

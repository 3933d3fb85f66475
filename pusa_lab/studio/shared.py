"""The Python interface of the studio, the same for both front ends."""

import os
from abc import abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pusa_lab.arguments import checked
from pusa_lab.files import check_writable, writing
from pusa_lab.sentences import counted
from pusa_lab.studio.runs import Lane
from pusa_lab.studio.session import Session
from pusa_lab.types import Schedule


def needs_plain_widgets() -> bool:
    """Whether widgets are made of ipywidgets alone: if anywidget is missing, or if PUSA_LAB_WIDGETS=plain is set."""
    return os.environ.get("PUSA_LAB_WIDGETS") == "plain" or find_spec("anywidget") is None


class StudioMixin:
    """The studio from Python: `studio.schedule` is the schedule that is drawn, and can be set."""

    session: Session
    """The state of the studio."""

    def __repr__(self) -> str:
        """Describe the studio on pages without a kernel."""
        return f"<schedule studio, {counted(self.session.editor.frames, 'frame')}, to be opened with a kernel>"

    @abstractmethod
    def refresh(self) -> None:
        """Redraw everything from the session."""

    def act(self, **message: Any) -> None:
        """Send a message as the page does: `act(do="edit", kind="freeze", frame=0)`.

        Raises:
            ValueError: it cannot be carried out; the sentence is also shown in the widget.
        """
        self.session.do(message)
        self.refresh()
        if self.session.error:
            raise ValueError(self.session.error)

    @property
    def schedule(self) -> Schedule:
        """The schedule (rows, f); setting it redraws the widget, and raises ValueError for another number of frames."""
        return self.session.editor.schedule

    @schedule.setter
    def schedule(self, matrix: Any) -> None:
        self.act(do="set", schedule=matrix)

    @property
    def line(self) -> str:
        """Line of Python that rebuilds the schedule."""
        return self.session.editor.line()

    @property
    def results(self) -> dict[str, Lane]:
        """The last results: "A", and "B" after a comparison."""
        return dict(self.session.lanes)

    def run(self, compare: bool = False) -> Lane:
        """Sample the schedule that is drawn, as the button does, and wait for the result.

        Args:
            compare: whether to sample the pinned schedule too.

        Returns:
            The result of the schedule that is drawn.

        Raises:
            ValueError: the run failed; the sentence is also shown in the widget.
        """
        self.act(do="compare" if compare else "run")
        self.session.wait()
        self.refresh()
        if self.session.error:
            raise ValueError(self.session.error)
        return self.session.lanes["A"]

    @checked
    def save(self, path: str | Path) -> None:
        """Write the schedule to a JSON file, atomically.

        Args:
            path: path of the file; its folder is created if missing.

        Raises:
            ValueError: the path cannot be written to.
            OSError: writing failed, for example because the disk is full.
        """
        with writing(check_writable(path, "the schedule's file")) as part:
            part.write_text(self.session.editor.to_json(), encoding="utf-8")

"""The studio and the player as anywidgets: Python sends what JavaScript draws, and receives messages from it."""

from pathlib import Path
from typing import Any

import anywidget
import traitlets

from pusa_lab.arguments import checked
from pusa_lab.studio.session import Session
from pusa_lab.studio.shared import StudioMixin

STATIC = Path(__file__).parent / "static"


@checked
class Studio(StudioMixin, anywidget.AnyWidget):
    """The schedule studio in the page; made by `ScheduleStudio`."""

    _esm = STATIC / "studio.js"
    _css = STATIC / "studio.css"
    kind = traitlets.Unicode("studio").tag(sync=True)
    view = traitlets.Dict().tag(sync=True)
    lanes = traitlets.Dict().tag(sync=True)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._heard: dict[str, Any] = {}
        session.tell = self._tell
        self.on_msg(self._hear)
        self.refresh()

    def refresh(self) -> None:
        """Redraw everything from the session; pictures only between runs, because a run sends its rows one by one."""
        self._show()
        if not self.session.running:
            self.lanes = {name: lane.message() for name, lane in self.session.lanes.items()}

    def _show(self, **more: Any) -> None:
        self.view = self.session.view() | {"heard": self._heard} | more

    def _hear(self, _: Any, message: Any, __: Any) -> None:
        if isinstance(message, dict):  # the page puts what is still on its way on top of the answer
            self._heard = {"page": message.pop("page", ""), "number": message.pop("number", 0)}
        self.session.do(message)
        self.refresh()
        self.send({"heard": message.get("do", "") if isinstance(message, dict) else ""})

    def _tell(self, name: str, row: int) -> None:
        if name:
            lane = self.session.lanes[name]
            about = {"title": lane.title, "schedule": lane.schedule.tolist(), "frames": lane.schedule.shape[1]}
            about |= {"scores": lane.scores, "clip": lane.clip}
            self.send({"lane": name, "row": row, "sheet": lane.sheets.get(row, ""), "about": about})
            self._show(running=True)
        else:
            self.refresh()


class StatesPlayer(anywidget.AnyWidget):
    """The player in the page; made by `Player`."""

    _esm = STATIC / "studio.js"
    _css = STATIC / "studio.css"
    kind = traitlets.Unicode("player").tag(sync=True)
    lane = traitlets.Dict().tag(sync=True)

    def __repr__(self) -> str:
        """Describe the player on pages without a kernel."""
        return "<states to scrub over, with a kernel>"

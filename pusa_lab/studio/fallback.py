"""The studio made of ipywidgets alone (7.7 and 8): the same session, with sliders in place of the canvas."""

import base64
import io
from typing import Any

import ipywidgets as w
import matplotlib
import numpy as np
from PIL import Image

from pusa_lab.arguments import checked, shown
from pusa_lab.schedules import SCHEDULES
from pusa_lab.studio.editing import Fault
from pusa_lab.studio.edits import EDITS, parameters
from pusa_lab.studio.runs import Lane
from pusa_lab.studio.session import Session
from pusa_lab.studio.shared import StudioMixin
from pusa_lab.tasks import MODES
from pusa_lab.types import Schedule
from pusa_lab.viz.schedules import COLOURS

WIDE = w.Layout(width="340px")


@checked
class PlainStudio(StudioMixin, w.VBox):
    """The schedule studio without its own JavaScript; made by `ScheduleStudio`."""

    def __init__(self, session: Session) -> None:
        self.session, self._quiet = session, False
        frames = session.editor.frames
        self.picture = w.Image(format="png", layout=w.Layout(width="360px", height="320px"))
        self.zoo = w.Dropdown(options=[*SCHEDULES, "(edited)"], description="zoo", layout=WIDE)
        self.sliders = w.VBox()
        self.frame = w.IntSlider(0, 0, frames - 1, description="frame", layout=WIDE)
        self.row = w.IntSlider(0, 0, 1, description="row", layout=WIDE)
        self.level = w.FloatSlider(0.5, min=0, max=1, step=0.01, description="level", layout=WIDE)
        self.to = w.Text("1-3", description="copy to", layout=WIDE)
        self.edits = {name: _button(name, self._move) for name in (*EDITS, "earlier")}
        self.undo, self.redo, self.fix = (_button(name, self._do) for name in ("undo", "redo", "fix"))
        self.faults = w.Select(options=[], rows=3, layout=w.Layout(width="700px"))
        self.facts, self.code, self.error, self.status = (w.HTML() for _ in range(4))
        self.prompt = w.Text(session.settings["prompt"], description="caption", layout=w.Layout(width="500px"))
        self.seed = w.IntText(0, description="seed", layout=w.Layout(width="180px"))
        self.asset = w.Dropdown(options=session.view()["assets"], description="known", layout=WIDE)
        self.upload = w.FileUpload(accept="image/*,video/*", multiple=False)
        self.mode = w.Dropdown(options=list(MODES), value="denoise", description="policy", layout=WIDE)
        self.known = w.HTML()
        self.add, self.policy, self.keep = (_button(name, self._known) for name in ("add", "apply", "forget"))
        self.buttons = {name: _button(name, self._do) for name in ("run", "pin", "compare", "cancel")}
        self.strips = w.VBox()
        session.tell = lambda lane, row: self.refresh()
        super().__init__(self._layout())
        self.zoo.observe(self._choose, "value")
        self.frame.observe(lambda _: self.refresh(), "value")
        self.row.observe(lambda _: self.refresh(), "value")
        self.upload.observe(self._uploaded, "value")
        self.prompt.observe(lambda change: self._send(do="settings", prompt=change["new"]), "value")
        self.seed.observe(lambda change: self._send(do="settings", seed=change["new"]), "value")
        self.refresh()

    def _layout(self) -> list[Any]:
        hands = [self.zoo, self.sliders, self.frame, self.row, self.level, self.to]
        hands += [
            w.HBox([*self.edits.values()][:3]),
            w.HBox([*self.edits.values()][3:]),
            w.HBox([self.undo, self.redo]),
        ]
        known = [self.asset, self.upload, self.add, self.mode, self.policy, self.keep]
        return [
            w.HBox([self.picture, w.VBox(hands)]),
            self.facts,
            w.HBox([self.faults, self.fix]),
            self.code,
            w.HBox(known[:3]),
            w.HBox(known[3:]),
            self.known,
            w.HBox([self.prompt, self.seed]),
            w.HBox([*self.buttons.values(), self.status]),
            self.error,
            self.strips,
        ]

    def refresh(self) -> None:
        """Redraw everything from the session."""
        self._quiet = True
        view, editor = self.session.view(), self.session.editor
        self.row.max = len(view["matrix"]) - 1
        self.picture.value = heat_map(editor.schedule, self.row.value, self.frame.value, editor.faults())
        name = view["origin"][0] if view["origin"] else "(edited)"
        if self.zoo.value != name or not self.sliders.children:
            self.zoo.value = name
            self._build(name, view["origin"][1] if view["origin"] else {})
        facts = view["facts"]
        order = ", ".join("+".join(map(str, group)) for group in facts["order"]) or "fix the faults first"
        seconds = "" if facts["seconds"] is None else f", about {facts['seconds']:.1f} s"
        self.facts.value = f"{facts['rows']} rows, {facts['calls']} denoiser calls{seconds}. Frames finish: {order}."
        self.faults.options = [(f"{f['what']} -> {f['fix']}", (f["row"], f["frame"])) for f in view["faults"]]
        self.code.value = f"<code>{_escape(view['line'][:160])}</code>"
        self.known.value = f"{view['task'].replace('_', ' ')}: " + _escape(
            "; ".join(f"{k['name']} at {k['at']}, level {k['noise']}, {k['mode']}" for k in view["known"]) or "nothing"
        )
        self.error.value = f"<b style='color:#b00020'>{_escape(view['error'])}</b>"
        self.status.value = _escape(view["status"])
        self.undo.disabled, self.redo.disabled = not view["can"]["undo"], not view["can"]["redo"]
        if not view["running"]:
            self.strips.children = [strip(lane, name) for name, lane in self.session.lanes.items()]
        self._quiet = False

    def _send(self, **message: Any) -> None:
        self.session.do(message)
        self.refresh()

    def _do(self, button: w.Button) -> None:
        name = button.description
        if name == "fix" and self.faults.options:
            row, frame = self.faults.value or self.faults.options[0][1]
            self._send(do="fix", row=row, frame=frame)
        elif name != "fix":
            self._send(do=name)

    def _move(self, button: w.Button) -> None:
        name, i, r = button.description, self.frame.value, self.row.value
        settings = {
            "drag": {"row": r, "level": self.level.value},
            "delay": {"by": 1},
            "earlier": {"by": -1},
            "copy": {"to": self.to.value},
        }
        if name == "paint":
            self._send(do="edit", kind="paint", frames=[i], rows=[r], level=self.level.value)
        else:
            self._send(do="edit", kind="delay" if name == "earlier" else name, frame=i, **settings.get(name, {}))

    def _choose(self, change: dict[str, Any]) -> None:
        if not self._quiet and change["new"] in SCHEDULES:
            self._build(change["new"], self._values())
            self._load()

    def _build(self, name: str, values: dict[str, Any]) -> None:
        self.sliders.children = [_slider(p, values.get(p.name, p.start)) for p in _parameters(name, self.session)]
        for slider in self.sliders.children:
            slider.observe(lambda _: self._load(), "value")

    def _load(self) -> None:
        if not self._quiet:
            self._send(do="load", name=self.zoo.value, arguments=self._values())

    def _values(self) -> dict[str, Any]:
        return {slider.description: slider.value for slider in self.sliders.children}

    def _known(self, button: w.Button) -> None:
        if button.description == "add":
            self._send(do="drop", name=self.asset.value, at=self.frame.value)
        elif button.description == "forget":
            self._send(do="forget", index=len(self.session.given) - 1)
        else:
            last = len(self.session.given) - 1
            self._send(do="level", index=last, noise=self.level.value)
            self._send(do="policy", index=last, mode=self.mode.value)

    def _uploaded(self, change: dict[str, Any]) -> None:
        """Add files: ipywidgets 7 has {name: {"content": bytes}}, 8 a tuple of {"name": ..., "content": ...}."""
        files = change["new"]
        pairs = [(n, f["content"]) for n, f in files.items()] if isinstance(files, dict) else []
        for name, content in pairs or [(f["name"], f["content"]) for f in files if not isinstance(files, dict)]:
            self._send(do="drop", name=name, content=bytes(content), at=self.frame.value)


@checked
def heat_map(schedule: Schedule, row: int, frame: int, faults: list[Fault]) -> bytes:
    """Draw a schedule as a PNG, with the selected cell in white and faults in magenta.

    Args:
        schedule: noise levels (rows, f), with faults or without.
        row: row of the selected cell.
        frame: frame of the selected cell.
        faults: faults from `Editor.faults`.

    Returns:
        The bytes of the PNG.

    Raises:
        ValueError: the schedule has no rows or no frames.
    """
    if not schedule.numel():
        raise ValueError(f"schedule is {shown(schedule)}: give at least 1 row and 1 frame.")
    levels = schedule.detach().nan_to_num(0.0).clamp(0, 1).numpy()
    high, wide = max(4, 320 // len(levels)), max(8, 360 // levels.shape[1])
    colours = (matplotlib.colormaps[COLOURS](levels)[..., :3] * 255).astype(np.uint8)
    big = colours.repeat(high, axis=0).repeat(wide, axis=1)
    big[:, ::wide] = 255
    for r, f, ink in [*((x.row, x.frame, (208, 0, 111)) for x in faults), (row, frame, (255, 255, 255))]:
        cell = big[r * high : (r + 1) * high, f * wide : (f + 1) * wide]
        cell[:2], cell[-2:], cell[:, :3], cell[:, -3:] = ink, ink, ink, ink
    with io.BytesIO() as file:
        Image.fromarray(big).save(file, "PNG")
        return file.getvalue()


@checked
def strip(lane: Lane, title: str = "states") -> w.VBox:
    """Make a widget that shows a run, with a slider over its rows and the scores of each frame.

    Args:
        lane: the run, with at least one row.
        title: title of the slider.
    """
    there = sorted(lane.sheets)
    picture = w.Image(format="jpeg", layout=w.Layout(height="64px", width=f"{64 * lane.schedule.shape[1]}px"))
    row = w.SelectionSlider(options=there, value=there[-1], description=f"{title}: row", layout=WIDE)
    said = w.HTML()

    def show(_: Any) -> None:
        picture.value = base64.b64decode(lane.sheets[row.value].split(",")[1])
        said.value = "tau " + ", ".join(f"{level:.2f}" for level in lane.schedule[row.value].tolist())

    row.observe(show, "value")
    show(None)
    cells = [
        f"<tr><th>{name}</th>{''.join(f'<td>{value:.2f}</td>' for value in values)}</tr>"
        for name, values in lane.scores.items()
    ]
    table = w.HTML(f"<table>{''.join(cells)}</table>")
    return w.VBox([w.HTML(f"<code>{_escape(lane.title[:160])}</code>"), picture, w.HBox([row, said]), table])


def _button(name: str, pressed: Any) -> w.Button:
    button = w.Button(description=name, layout=w.Layout(width="90px"))
    button.on_click(pressed)
    return button


def _parameters(name: str, session: Session) -> list[Any]:
    return parameters(name, session.editor.frames) if name in SCHEDULES else []


def _slider(p: Any, value: Any) -> Any:
    if p.choices:
        return w.Dropdown(options=list(p.choices), value=value, description=p.name, layout=WIDE)
    if isinstance(p.start, bool):
        return w.Checkbox(value=value, description=p.name, layout=WIDE)
    kind = w.FloatSlider if isinstance(p.start, float) else w.IntSlider
    return kind(value=value, min=p.low, max=p.high, step=p.step, description=p.name, layout=WIDE)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")

"""What both front ends of the studio share: schedule, known frames, runs, and the sentence if something is wrong."""

import inspect
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from pusa_lab.annotations import Unfit, check_for
from pusa_lab.arguments import ArgumentError, calling, checked, shown
from pusa_lab.generate import prepare
from pusa_lab.import_paths import import_paths
from pusa_lab.schedules import frame_indices, noise_levels
from pusa_lab.studio import known
from pusa_lab.studio.editing import Editor, columns
from pusa_lab.studio.edits import drawable, parameters
from pusa_lab.studio.runs import Lane, shots
from pusa_lab.tasks import MODES
from pusa_lab.types import VideoModel

ASSETS = Path(__file__).parents[1] / "tour" / "assets"
SETTINGS: dict[str, type] = {"prompt": str, "seed": int, "guidance": float}
MOST_PROMPT = 10_000
"""Most characters of a prompt."""


@checked
class Session:
    """The state of one studio; front ends send it messages, and draw what `view` and `lanes` hold.

    Args:
        model: any `VideoModel`, or None to draw schedules only.
        frames: number of latent frames, at least 1.
        steps: steps of the first schedule, at least 1.
        prompt: first prompt.
        truth: (pixel frames, h, w, 3) uint8 to compare results with, or None.

    Raises:
        ValueError: frames or steps is out of range.
    """

    def __init__(
        self,
        model: VideoModel | None = None,
        frames: int = 9,
        steps: int = 20,
        prompt: str = "",
        truth: np.ndarray | None = None,
    ) -> None:
        self.model, self.truth = model, truth
        self.editor = Editor(frames, steps, 1.0 if model is None else model.geometry.shift)
        self.settings: dict[str, Any] = {"prompt": prompt, "seed": 0, "guidance": 2.0}
        self.given: list[known.Given] = []
        self.lanes: dict[str, Lane] = {}
        self.pinned: Editor | None = None
        self.status, self.error = "ready" if model else "no model: draw only", ""
        self.tell: Callable[[str, int], None] = lambda lane, row: None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._call: float | None = None
        if model is not None and frames != model.geometry.frames:
            self.error = (
                f"the studio has {frames} latent frames, the model {model.geometry.frames}: "
                f"open it with frames={model.geometry.frames} to run."
            )
        elif model is not None:
            self._call = self._time_call(model)

    @property
    def running(self) -> bool:
        """Whether a run is in progress."""
        return self._thread is not None and self._thread.is_alive() and threading.current_thread() is not self._thread

    def do(self, message: dict[str, Any]) -> None:
        """Carry out one message {"do": name, ...}; if that fails, `error` gets one sentence, and nothing else changes.

        Args:
            message: name of a method below without its underscore, and its arguments.
        """
        self.error, name = "", "the message"
        try:
            with calling("studio"):
                method, arguments = self._method(message)
                name = message["do"]
                method(**arguments)
        except ValueError as error:
            self.error = str(error).removeprefix("studio: ")
        except Exception as error:  # a page may send anything, and errors must be shown in it, not in the kernel's log
            self.error = f"{name} cannot be done ({type(error).__name__}: {error!s:.200}): check the arguments."

    def _method(self, message: Any) -> tuple[Callable[..., None], dict[str, Any]]:
        """The method named in a message, and its arguments."""
        if not isinstance(message, Mapping) or not all(isinstance(key, str) for key in message):
            raise ArgumentError(f'the studio was sent {shown(message)}: give a dict such as {{"do": "undo"}}.')
        arguments = dict(message)
        name = arguments.pop("do", "")
        if not isinstance(name, str) or name not in DOES:
            asked = f"{name!r:.40}" if isinstance(name, str) else shown(name)
            raise ArgumentError(f"unknown gesture {asked}: choose one of {', '.join(DOES)}.")
        method = getattr(self, f"_{name}")
        signature = inspect.signature(method)
        try:
            signature.bind(**arguments)
        except TypeError:
            takes = ", ".join(signature.parameters) or "nothing"
            raise ArgumentError(f"{name} takes {takes}, but got {', '.join(arguments)[:80] or 'nothing'}.") from None
        return method, arguments

    def view(self) -> dict[str, Any]:
        """Return everything but pictures, as JSON has it."""
        editor, geometry = self.editor, None if self.model is None else self.model.geometry
        levels = [[level if isfinite(level) else None for level in row] for row in editor.schedule.tolist()]
        return {
            "frames": editor.frames,
            "matrix": levels,
            "line": editor.line(),
            "json": editor.to_json(),
            "origin": editor.origin and [editor.origin[0], {k: v for k, v in editor.origin[1].items() if k != "at"}],
            "can": editor.can,
            "facts": editor.facts(self._call),
            "faults": [asdict(fault) for fault in editor.faults()],
            "zoo": {name: [asdict(p) for p in parameters(name, editor.frames)] for name in drawable()},
            "known": [{"name": g.name, "at": g.at, "noise": g.noise, "mode": g.mode} for g in self.given],
            "task": known.name_of(self.given, editor.frames),
            "modes": list(MODES),
            "assets": [name for name in ("still.png", "clip.mp4") if (ASSETS / name).is_file()],
            "pinned": "" if self.pinned is None else self.pinned.line(),
            "model": geometry is not None,
            "fps": 16 if geometry is None else geometry.fps,
            "settings": self.settings,
            "status": self.status,
            "error": self.error,
            "running": self.running,
        }

    def wait(self, seconds: float | int | None = None) -> None:
        """Wait until a run has ended.

        Args:
            seconds: longest time to wait; None waits as long as it takes.
        """
        if self._thread is not None:
            self._thread.join(seconds)

    @checked
    def _edit(self, kind: str, **arguments: Any) -> None:
        if isinstance(arguments.get("to"), str):
            arguments["to"] = columns(arguments["to"], self.editor.frames)
        self.editor.edit(kind, **arguments)

    @checked
    def _load(self, name: str, arguments: dict[str, Any]) -> None:
        _refuse_import_paths(name)
        self.editor.load(name, **arguments)

    def _undo(self) -> None:
        self.editor.undo()

    def _redo(self) -> None:
        self.editor.redo()

    @checked
    def _fix(self, row: int, frame: int) -> None:
        for fault in self.editor.faults():
            if (fault.row, fault.frame) == (row, frame):
                self.status = f"fixed: {self.editor.fix(fault)}"
                return

    def _set(self, schedule: Any) -> None:
        self.editor.schedule = schedule

    @checked
    def _read(self, text: str) -> None:
        self.editor.from_json(text)

    @checked
    def _settings(self, **settings: Any) -> None:
        found = {}
        for name, value in settings.items():
            if name not in SETTINGS:
                raise ValueError(f"no setting {name!r:.40}: choose from {', '.join(SETTINGS)}.")
            try:
                found[name] = check_for(SETTINGS[name])(value)
            except Unfit as unfit:
                raise ArgumentError(f"{name} is {shown(value)}: give {unfit}.") from None
        if len(found.get("prompt", "")) > MOST_PROMPT:
            raise ValueError(f"a prompt of {len(found['prompt']):,} characters: give at most {MOST_PROMPT:,}.")
        self.settings |= found

    @checked
    def _drop(self, name: str, content: str | bytes | memoryview = "", at: int = 0) -> None:
        """Add a file from the page, or one of the assets by name."""
        frame_indices([at], self.editor.frames)
        if content == "":
            if name not in ("still.png", "clip.mp4"):
                raise ValueError(f"no asset {name!r}: choose still.png or clip.mp4.")
            content = (ASSETS / name).read_bytes()
        clip = known.read_dropped(name, content, None if self.model is None else self.model.geometry.fps)
        if clip.ndim == 4 and self.model is not None:
            clip = clip[: self.model.geometry.pixel_frames(max(1, self.editor.frames // 2))]
        self._give([*self.given, known.Given(name, clip, at)], preset=True)

    @checked
    def _level(self, index: int, noise: float) -> None:
        self._change(index, noise=float(noise))

    @checked
    def _policy(self, index: int, mode: str) -> None:
        _refuse_import_paths(mode)
        self._change(index, mode=mode)

    @checked
    def _forget(self, index: int) -> None:
        self._there(index)
        self.given = [one for i, one in enumerate(self.given) if i != index]

    def _change(self, index: int, **changes: Any) -> None:
        self._there(index)
        self._give([replace(one, **changes) if i == index else one for i, one in enumerate(self.given)])

    def _there(self, index: int) -> None:
        if not 0 <= index < len(self.given):
            raise ValueError(f"no known picture or clip {index}: there are {len(self.given)}, counted from 0.")

    def _give(self, given: list[known.Given], preset: bool = False) -> None:
        given = sorted(given, key=lambda one: one.at % self.editor.frames)
        for one in given:
            _ = noise_levels(one.noise, np.size(one.noise)), one.known  # both raise if something is wrong
        if self.model is not None:
            given = known.with_preset(given, self.model.geometry, self.editor.frames) if preset else given
            known.task_from(given, self.model.geometry, self.editor.frames)
        self.given = given

    def _pin(self) -> None:
        self.pinned = Editor(self.editor.frames)
        if self.editor.origin is not None:
            self.pinned.load(self.editor.origin[0], **self.editor.origin[1])
        else:
            self.pinned.schedule = self.editor.schedule
        self.status = "pinned as B: draw another one, then compare"

    def _run(self) -> None:
        self._begin({"A": self.editor})

    def _compare(self) -> None:
        if self.pinned is None:
            raise ValueError("nothing to compare with: pin a schedule as B first, then draw another.")
        self._begin({"A": self.editor, "B": self.pinned})

    def _cancel(self) -> None:
        self._stop.set()

    def _begin(self, editors: dict[str, Editor]) -> None:
        if self.model is None:
            raise ValueError("no model to run: open the studio with one, such as pusa_lab.load('mini-vta').")
        if self.running:
            raise ValueError("a run is in progress: cancel it, or wait for it.")
        plans = {lane: (editor.line(), editor.schedule) for lane, editor in editors.items()}
        self._stop.clear()
        self.status = "starting"
        self._thread = threading.Thread(target=self._work, args=(plans,), daemon=True)
        self._thread.start()

    def _work(self, plans: dict[str, tuple[str, Any]]) -> None:
        try:
            lanes: dict[str, Lane] = {}
            for name, (line, schedule) in plans.items():
                self._sample(name, line, schedule, lanes)
            self.status = "cancelled: what was there is kept" if self._stop.is_set() else self._done(lanes)
        except Exception as error:  # any error of a model must be shown in the widget, not lost with the thread
            self.error, self.status = str(error) or type(error).__name__, "stopped"
        self.tell("", -1)

    def _sample(self, name: str, line: str, schedule: Any, lanes: dict[str, Lane]) -> None:
        if self._stop.is_set() or self.model is None:
            return
        began, settings = time.perf_counter(), dict(self.settings)
        task = known.task_from(self.given, self.model.geometry, self.editor.frames)
        run = prepare(self.model, settings.pop("prompt"), task, schedule=schedule, **settings)
        lanes[name] = lane = Lane(line, run.schedule)
        self.lanes = dict(lanes)
        calls = max(1, int((run.schedule[1:] != run.schedule[:-1]).any(dim=1).sum()))
        for shot in shots(run, self.model.decode):
            if self._stop.is_set():
                return
            lane.add(shot, self.truth)
            if shot.video is not None:
                lane.seconds, self._call = time.perf_counter() - began, shot.sampling / calls
            self.status = f"{name}: row {shot.row} of {run.last_row}"
            self.tell(name, shot.row)

    def _done(self, lanes: dict[str, Lane]) -> str:
        return "done: " + ", ".join(f"{name} in {lane.seconds:.1f} s" for name, lane in lanes.items())

    def _time_call(self, model: VideoModel) -> float:
        run = prepare(model, self.settings["prompt"], steps=2, guidance=self.settings["guidance"])
        for state in run.states(watched=False):  # the first call warms up, the second is timed
            if state.row == 1:
                began = time.perf_counter()
        return time.perf_counter() - began


DOES = (
    *("edit", "load", "undo", "redo", "fix", "set", "read", "settings"),
    *("drop", "level", "policy", "forget", "pin", "run", "compare", "cancel"),
)
"""Names of messages that `Session.do` accepts."""


def _refuse_import_paths(text: str) -> None:
    """A page runs no code: it names what is registered."""
    if import_paths(text):
        raise ValueError(f"{text!r:.100} is an import path: register what it names, and choose it by its name.")

"""A stream to play: buttons for its actions, and its newest picture."""

import html
import io
import threading
import time
from collections.abc import Callable
from typing import Any

import ipywidgets as w
import numpy as np
from PIL import Image

from pusa_lab.arguments import checked
from pusa_lab.streaming import stream
from pusa_lab.tasks import image_to_video
from pusa_lab.types import VideoModel

SHOWN = 256
"""Pixels of the side of the picture on the page."""
OWN = {"actions": "the buttons give them", "output": "it shows decoded frames"}
"""Options of `stream` that a player sets itself, and why."""


@checked
class PlaySession:
    """A stream that is given actions while it runs.

    Args:
        model: that takes actions, as `streaming.ActionConditioned` says.
        prompt: what is there.
        picture: first frame (h, w, 3) uint8; None leaves it to the model.
        **options: of `stream`; without them a frame begins when the one before is there, and takes 2 steps.

    Raises:
        ValueError: the model takes no actions, an option is the player's own, or as `stream`.
    """

    def __init__(self, model: VideoModel, prompt: str, picture: np.ndarray | None = None, **options: Any) -> None:
        for name, why in OWN.items():
            if name in options:
                raise ValueError(f"{name} is the player's own: leave it out, {why}.")
        task = None if picture is None else image_to_video(picture)
        usual: dict[str, Any] = {"schedule": "autoregressive", "steps": 2, "guidance": 1.0}
        self.stream = stream(model, prompt, task, actions=self._take, **(usual | options))
        self.names: tuple[str, ...] = model.actions  # type: ignore[attr-defined]
        self.fps = model.geometry.fps
        self.next = self.given = self.names[0]
        self.picture = np.zeros((*model.geometry.size, 3), np.uint8)
        self.rate, self.error = 0.0, ""
        self.tell: Callable[[], None] = lambda: None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def _take(self, frame: int) -> str:
        name, self.next = self.next, self.names[0]
        if name != self.names[0]:
            self.given = name
        return name

    @checked
    def press(self, name: str) -> None:
        """Ask for an action: the next frame that begins has it, and those after it keep on.

        Args:
            name: one of the model's actions.

        Raises:
            ValueError: there is no such action.
        """
        if name not in self.names:
            raise ValueError(f"no action {name!r:.60}: choose one of {', '.join(self.names)}.")
        self.next = name

    def step(self) -> np.ndarray:
        """Make the next frames, and return the newest picture (h, w, 3) uint8."""
        began = time.perf_counter()
        video = next(self.stream).video
        self.rate = len(video) / (time.perf_counter() - began)
        self.picture = video[-1]
        return self.picture

    def play(self) -> None:
        """Go on in the background, at the model's frame rate or as fast as it can."""
        if self._thread is None or not self._thread.is_alive():
            self._stop.clear()
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()

    def pause(self) -> None:
        """Stand still until `play`."""
        self._stop.set()
        if self._thread is not None and threading.current_thread() is not self._thread:
            self._thread.join()

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                began = time.perf_counter()
                self.step()
                self.tell()
                self._stop.wait(max(0.0, 1 / self.fps - (time.perf_counter() - began)))
        except Exception as error:  # any error of a model must be shown on the page, not lost with the thread
            self.error = str(error) or type(error).__name__
            self.tell()


@checked
class ActionPanel(w.VBox):
    """The newest picture of a `PlaySession`, a button for each action, and one to play and to pause.

    Args:
        session: that is played.
    """

    def __init__(self, session: PlaySession) -> None:
        self.session = session
        self.picture = w.Image(format="png", layout=w.Layout(width=f"{SHOWN}px", height=f"{SHOWN}px"))
        self.buttons = {name: w.Button(description=name, layout=w.Layout(width="80px")) for name in session.names[1:]}
        self.running = w.ToggleButton(description="play", layout=w.Layout(width="80px"))
        self.status = w.HTML()
        for name, button in self.buttons.items():
            button.on_click(lambda _, name=name: session.press(name))
        self.running.observe(self._run, "value")
        session.tell = self.refresh
        super().__init__([self.picture, w.HBox([*self.buttons.values(), self.running]), self.status])
        self.refresh()

    def _run(self, change: Any) -> None:
        if change["new"]:
            self.session.play()
        else:
            self.session.pause()

    def refresh(self) -> None:
        """Show the session's newest picture."""
        picture = Image.fromarray(self.session.picture).resize((SHOWN, SHOWN), Image.Resampling.NEAREST)
        with io.BytesIO() as file:
            picture.save(file, "PNG")
            self.picture.value = file.getvalue()
        self.status.value = (
            html.escape(self.session.error) or f"{self.session.given}, {self.session.rate:.0f} frames a second"
        )

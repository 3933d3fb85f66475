"""The schedule studio, to draw a schedule and watch its frames; a player for the states of the sampling loop; and one
for streams that take actions.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from pusa_lab.arguments import ArgumentError, checked, shown
from pusa_lab.samplers import State
from pusa_lab.studio.editing import Editor, Fault
from pusa_lab.studio.runs import Lane, sprite_sheet
from pusa_lab.studio.session import Session
from pusa_lab.studio.shared import StudioMixin, needs_plain_widgets
from pusa_lab.types import Clip, Video, VideoModel
from pusa_lab.viz.animate import clean_estimate, pictures

__all__ = ["ActionPlayer", "Editor", "Fault", "Lane", "Player", "ScheduleStudio", "Session"]


@checked
def ScheduleStudio(
    model: VideoModel | None = None,
    frames: int = 9,
    steps: int = 20,
    *,
    prompt: str = "",
    truth: np.ndarray | None = None,
) -> StudioMixin:
    """Open a schedule to draw on, with a button that samples it if there is a model; `studio.schedule` is the tensor.

    Args:
        model: any `VideoModel`; without one, schedules can only be drawn.
        frames: number of latent frames, at least 1; to sample, it must be that of the model.
        steps: steps of the first schedule, which is synchronous, at least 1.
        prompt: first prompt.
        truth: (pixel frames, h, w, 3) uint8, with which the result is compared frame by frame; None compares nothing.

    Raises:
        ValueError: frames or steps is out of range.
    """
    session = Session(model, frames, steps, prompt, truth)
    if needs_plain_widgets():
        from pusa_lab.studio.fallback import PlainStudio

        return PlainStudio(session)
    from pusa_lab.studio.studio import Studio

    return Studio(session)


@checked
def Player(states: Iterable[State], decode: Callable[[Video], Clip] | None = None) -> Any:
    """Open a player that shows the clean estimate at each (row, frame) of the states of the sampling loop.

    Args:
        states: states such as those of `sample_steps` or `Run.states`; the first sample of the batch is shown.
        decode: function from latents to pixels; None shows the first channels as colours.

    Raises:
        ValueError: there are no states.
    """
    sheets, rows = {}, []
    for k, state in enumerate(states):
        if not isinstance(state, State):
            raise ArgumentError(f"states holds {shown(state)}: give the states of sample_steps.")
        sheets[k] = sprite_sheet(pictures(clean_estimate(state), decode))
        rows.append(state.tau[0].detach().float().cpu())
    if not rows:
        raise ValueError("no states to show: give those of sample_steps, or a list of them.")
    lane = Lane("", torch.stack(rows), sheets)
    if needs_plain_widgets():
        from pusa_lab.studio.fallback import strip

        return strip(lane)
    from pusa_lab.studio.studio import StatesPlayer

    return StatesPlayer(lane=lane.message())


@checked
def ActionPlayer(model: VideoModel, prompt: str, picture: np.ndarray | None = None, **options: Any) -> Any:
    """Open a stream with a button for each action, and one to play and to pause.

    Args:
        model: that takes actions, as `streaming.ActionConditioned` says.
        prompt: what is there.
        picture: first frame (h, w, 3) uint8; None leaves it to the model.
        **options: of `stream`; without them a frame begins when the one before is there, and takes 2 steps.

    Raises:
        ValueError: the model takes no actions, an option is the player's own, or as `stream`.
    """
    from pusa_lab.studio.play import ActionPanel, PlaySession

    return ActionPanel(PlaySession(model, prompt, picture, **options))

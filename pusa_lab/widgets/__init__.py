"""The schedule studio: draw the clocks, watch the frames; and a player for the states of any sampler."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from pusa_lab.arguments import ArgumentError, checked, shown
from pusa_lab.samplers import State
from pusa_lab.types import Clip, Video, VideoModel
from pusa_lab.viz.animate import estimate, pictures
from pusa_lab.widgets.editing import Editor, Fault
from pusa_lab.widgets.runs import Lane, sheet
from pusa_lab.widgets.session import Session
from pusa_lab.widgets.shared import Hands, plain

__all__ = ["Editor", "Fault", "Lane", "Player", "ScheduleStudio", "Session"]


@checked
def ScheduleStudio(
    model: VideoModel | None = None,
    frames: int = 9,
    steps: int = 20,
    *,
    prompt: str = "",
    truth: np.ndarray | None = None,
) -> Hands:
    """A matrix of clocks to draw on, and with a model a button that samples it; `studio.schedule` is the tensor.

    Args:
        model: any `VideoModel`; None draws only.
        frames: latent frames, those of the model.
        steps: moves of the synchronous schedule it opens with.
        prompt: caption to begin with.
        truth: (pixel frames, h, w, 3) uint8: what comes out is measured against it, frame by frame.
    """
    session = Session(model, frames, steps, prompt, truth)
    if plain():
        from pusa_lab.widgets.fallback import PlainStudio

        return PlainStudio(session)
    from pusa_lab.widgets.studio import Studio

    return Studio(session)


@checked
def Player(states: Iterable[State], decode: Callable[[Video], Clip] | None = None) -> Any:
    """Scrub over (row, frame) of the states that a sampler yields: each shows its clean estimate.

    Args:
        states: such as those of `sample_steps` or `Run.states`; the first sample of the batch is shown.
        decode: latents to pixels; None shows the first channels as colours.

    Raises:
        ValueError: there are no states.
    """
    sheets, rows = {}, []
    for k, state in enumerate(states):
        if not isinstance(state, State):
            raise ArgumentError(f"states holds {shown(state)}: give the states of sample_steps.")
        sheets[k] = sheet(pictures(estimate(state), decode))
        rows.append(state.tau[0].detach().float().cpu())
    if not rows:
        raise ValueError("no states to show: give those of sample_steps, or a list of them.")
    lane = Lane("", torch.stack(rows), sheets)
    if plain():
        from pusa_lab.widgets.fallback import strip

        return strip(lane)
    from pusa_lab.widgets.studio import StatesPlayer

    return StatesPlayer(lane=lane.told())

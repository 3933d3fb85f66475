"""Whether a toy obeys actions: the share of a stream's frames that move as they were told, beside controls."""

from itertools import islice
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.metrics import bootstrap
from pusa_lab.pixels import to_uint8
from pusa_lab.sentences import counted
from pusa_lab.streaming import stream
from pusa_lab.tasks import image_to_video
from pusa_lab.types import Clip
from small_models.evaluation.ways import EVAL_SEED
from small_models.models.actions import ActionToy
from small_models.world import Scenes, draw_scenes
from small_models.world.actions import (
    ACTION_WORLD,
    ACTIONS,
    ActionIndices,
    check_actions,
    draw_actions,
    name_objects,
    push_speed,
    render_actions,
)
from small_models.world.reader import locate

LENGTH = 25
"""Frames of a stream that is scored: three windows after the picture that it starts from."""
SCHEDULE = "autoregressive"
"""A frame begins when the one before is there, so that an action is seen in the next frame."""
STEPS = 2
"""Steps of each frame."""
OPPOSITE = {"keep": "keep", "left": "right", "right": "left", "up": "down", "down": "up", "stop": "keep"}
"""What a control is told instead: it should obey less than one that is told nothing."""


@checked
def obeyed(clip: Clip, scenes: Scenes, actions: ActionIndices) -> Float[Tensor, "n frames"]:
    """Whether the object moves at each frame as it was last told: 1 or 0, NaN where nothing is asked.

    With d_t = p_t - p_{t-1} of the centres that are seen, and s the distance of a push: a push is obeyed where d_t is
    at least s / 2 long and within 45 degrees of it, a stop where d_t is shorter than s / 2. What is lost obeys nothing.
    An action is asked for at its frame and at those after it, until the next one, or until a push would lead through a
    wall. Before the first action nothing is asked.

    Args:
        clip: pixels (n, 3, frames, h, w) in [-1, 1].
        scenes: with one object each, whose colours are looked for.
        actions: indices into ACTIONS, one for each frame.

    Raises:
        ValueError: the scenes or the actions are not those of the clips.
    """
    check_actions(actions, len(clip))
    if len(scenes) != len(clip) or actions.shape[1] != clip.shape[2]:
        raise ValueError(
            f"{counted(len(scenes), 'scene')} with {counted(actions.shape[1], 'action')} for "
            f"{counted(len(clip), 'clip')} of {counted(clip.shape[2], 'frame')}: give the scene of each clip, and the "
            f"action of each frame."
        )
    where = locate(clip, scenes.colour[:, :1], scenes.world)[0][:, :, 0]
    radius, s = scenes.radius()[:, 0, None], push_speed(scenes.world)
    ways = torch.tensor([way or (0, 0) for way in ACTIONS.values()]).float()
    last, found = torch.zeros(len(clip)).long(), torch.full(actions.shape, torch.nan)
    for t in range(1, clip.shape[2]):
        last = torch.where(actions[:, t] > 0, actions[:, t], last)
        way, moved = ways[last], where[:, t] - where[:, t - 1]
        free = where[:, t - 1] + s * way
        last = torch.where((((free < radius) | (free > 1 - radius)) & (way != 0)).any(-1), 0, last)
        length, along = moved.norm(dim=-1), (moved * way).sum(-1)
        goes = (length >= s / 2) & (along >= length * 0.5**0.5)
        done = torch.where((way != 0).any(-1), goes, length < s / 2).float()
        found[:, t] = torch.where(last > 0, done, torch.nan)
    return found


@checked
def action_rollout(
    model: ActionToy, scenes: Scenes, first: Clip, actions: ActionIndices, steps: int = STEPS, seed: int = 0
) -> Clip:
    """The videos of streams that start from a picture, each frame with its action.

    Args:
        model: a toy that takes actions, in pixel space.
        scenes: whose captions, without motion, it is given.
        first: the picture (n, 3, 1, h, w) of each.
        actions: indices into ACTIONS, one for each frame.
        steps: of each frame.
        seed: of the first stream; the next ones follow.
    """
    names, made = list(ACTIONS), []
    for i, (caption, picture) in enumerate(zip(name_objects(scenes), to_uint8(first)[:, 0], strict=True)):
        told = [names[k] for k in actions[i].tolist()]
        options: dict[str, Any] = {"schedule": SCHEDULE, "steps": steps, "guidance": 1.0, "seed": seed + i}
        frames = islice(stream(model, caption, image_to_video(picture), actions=told, **options), len(told))
        made.append(np.concatenate([part.video for part in frames]))
    return torch.from_numpy(np.stack(made)).movedim(-1, 1).float() / 127.5 - 1


@checked
def measure_actions(
    model: ActionToy,
    count: int,
    steps: int = STEPS,
    *,
    frames: int | None = None,
    seed: int = EVAL_SEED,
    controls: bool = True,
) -> dict[str, Any]:
    """How well a model obeys actions on unseen scenes, with 95 % intervals over scenes.

    Beside it the renderer, which obeys by construction, and controls that are scored by the same actions: the same
    model told nothing, which shows what chance obeys, and told the opposite.

    Args:
        model: that takes actions.
        count: scenes, at least 2.
        steps: of each frame.
        frames: of each stream; None is LENGTH.
        seed: of scenes and actions, at least EVAL_SEED.
        controls: whether those are measured too.
    """
    frames = LENGTH if frames is None else frames
    scenes, actions = draw_scenes(count, seed, ACTION_WORLD), draw_actions(count, frames, seed)
    truth, names = render_actions(scenes, actions), list(ACTIONS)
    told = {"right actions": actions}
    if controls:
        opposite = torch.tensor([names.index(OPPOSITE[name]) for name in names])
        told |= {"no actions": torch.zeros_like(actions), "opposite actions": opposite[actions]}
    clips = {"renderer": truth}
    for name, given in told.items():
        clips[name] = action_rollout(model, scenes, truth[:, :, :1], given, steps)
    how = f"streams of {frames} frames, {SCHEDULE}, {counted(steps, 'step')}, no guidance, float32, unseen scenes"
    return {"how": how, "clips": count, **{name: _scores(clip, scenes, actions) for name, clip in clips.items()}}


def _scores(clip: Clip, scenes: Scenes, actions: ActionIndices) -> dict[str, Any]:
    """Shares of the frames with an action, and of those after it, that obey; of the first also by action."""
    done, new = obeyed(clip, scenes, actions), actions > 0
    rows = torch.arange(len(done)).repeat_interleave(done.shape[1])
    found: dict[str, Any] = {}
    for name, chosen in {"at once": new, "afterwards": ~new}.items():
        values = done.masked_fill(~chosen, torch.nan)
        mean, low, high = bootstrap(values.flatten(), rows)
        found[name] = {"obeyed": mean, "low": low, "high": high, "asked": int((~values.isnan()).sum())}
    each = {name: done[actions == k].nanmean().item() for k, name in enumerate(ACTIONS) if k}
    return found | {"by action": {name: share for name, share in each.items() if share == share}}

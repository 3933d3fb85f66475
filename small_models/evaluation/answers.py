"""Whether a toy does what it is told: the share of actions that its stream obeys, beside the renderer and chance."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.metrics import bootstrap
from pusa_lab.sentences import counted
from pusa_lab.streaming import stream
from pusa_lab.streaming.actions import Answers
from pusa_lab.tasks import image_to_video
from pusa_lab.types import Clip
from small_models.evaluation.ways import EVAL_SEED
from small_models.models.toy import ToyModel
from small_models.world import Scenes, draw_scenes
from small_models.world.actions import (
    ACTIONS,
    ANSWERS,
    ActionIndices,
    check_actions,
    draw_actions,
    name_objects,
    push,
    render_answered,
)
from small_models.world.reader import locate

LENGTH = 25
"""Frames of a stream that is scored: three windows after the picture that it starts from."""
HOW = "autoregressive"
"""Schedule: a frame begins when the one before is there, so that an action is seen in the next frame."""

Obeyed = Float[Tensor, "n frames"]


@checked
def obeyed(clip: Clip, scenes: Scenes, actions: ActionIndices) -> Obeyed:
    """Whether the object does at each frame what its action asks: 1 or 0, NaN where nothing is asked or can be done.

    With d_t = p_t - p_{t-1} of the centres that are seen, and s the distance of a push: a push is obeyed where d_t is
    at least s / 2 long and within 45 degrees of it, a stop where d_t is shorter than s / 2. What is lost obeys nothing.
    Nothing is asked of frame 0 and of those whose action is the first of ACTIONS, and a push cannot be followed where
    it would lead through a wall.

    A trivial clip cannot win: what stands still obeys the stops alone, and what always moves none of them.

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
    radius, far = scenes.radius()[:, :1, None], push(scenes.world)
    ways = torch.tensor([way or (0, 0) for way in ACTIONS.values()])[actions[:, 1:]].float()
    moved, free = where.diff(dim=1), where[:, :-1] + far * ways
    length, along = moved.norm(dim=-1), (moved * ways).sum(-1)
    goes = (length >= far / 2) & (along >= length * 0.5**0.5)
    pushed = ways.abs().sum(-1) > 0
    done = torch.where(pushed, goes, length < far / 2).float()
    through = pushed & ((free < radius) | (free > 1 - radius)).any(-1)
    asked = (actions[:, 1:] > 0) & ~through
    return torch.cat([torch.full((len(clip), 1), torch.nan), done.where(asked, torch.nan)], dim=1)


@checked
def answered_clip(
    model: ToyModel, scenes: Scenes, first: Clip, actions: ActionIndices, steps: int = 4, seed: int = 0
) -> Clip:
    """The videos of streams that start from a picture and are told the actions, if the model takes any.

    Args:
        model: a toy in pixel space.
        scenes: whose captions, without motion, it is given.
        first: the picture (n, 3, 1, h, w) of each.
        actions: indices into ACTIONS, one for each frame.
        steps: of each frame.
        seed: of the first stream; the next ones follow.
    """
    made = []
    for i, caption in enumerate(name_objects(scenes)):
        names = [list(ACTIONS)[k] for k in actions[i].tolist()]
        more: dict[str, Any] = {"actions": names} if isinstance(model, Answers) else {}
        task = image_to_video(first[i].movedim(0, -1)[0].add(1).mul(127.5).round().byte().numpy())
        frames, found = 0, []
        for part in stream(model, caption, task, schedule=HOW, steps=steps, guidance=1.0, seed=seed + i, **more):
            found.append(part.video)
            frames += len(part.video)
            if frames >= len(names):
                break
        made.append(torch.from_numpy(np.concatenate(found)[: len(names)]))
    return torch.stack(made).movedim(-1, 1).float() / 127.5 - 1


@checked
def measure_answers(models: Mapping[str, ToyModel], count: int, steps: int = 4) -> dict[str, Any]:
    """Obedience of models on unseen scenes, beside that of the renderer, with 95 % intervals over scenes.

    Args:
        models: by name; those that take no actions show how much is obeyed by chance.
        count: scenes, at least 2.
        steps: of each frame.
    """
    scenes, actions = draw_scenes(count, EVAL_SEED, ANSWERS), draw_actions(count, LENGTH, EVAL_SEED)
    truth = render_answered(scenes, actions)
    clips = {"renderer": truth}
    for name, model in models.items():
        clips[name] = answered_clip(model, scenes, truth[:, :, :1], actions, steps)
    how = f"streams of {LENGTH} frames, {HOW}, {steps} steps, no guidance, seed 0, float32, unseen scenes"
    return {"how": how, "clips": count, **{name: _scores(clip, scenes, actions) for name, clip in clips.items()}}


def _scores(clip: Clip, scenes: Scenes, actions: ActionIndices) -> dict[str, Any]:
    done = obeyed(clip, scenes, actions)
    rows = torch.arange(len(done)).repeat_interleave(done.shape[1])
    mean, low, high = bootstrap(done.flatten(), rows)
    each = {name: done[actions == k].nanmean().item() for k, name in enumerate(ACTIONS) if k}
    return {"obeyed": mean, "low": low, "high": high, "asked": int((~done.isnan()).sum()), "by_action": each}

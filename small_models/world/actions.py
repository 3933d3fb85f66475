"""Actions in the world of moving shapes: at every frame one may push its objects another way, or stop them."""

from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.sentences import counted
from pusa_lab.types import Clip
from small_models.world.pictures import render
from small_models.world.scenes import Centres, Scenes, angles, check_sizes
from small_models.world.tables import COLOURS, NANO, World

ACTIONS: dict[str, tuple[int, int] | None] = {
    "keep": None,
    "left": (-1, 0),
    "right": (1, 0),
    "up": (0, -1),
    "down": (0, 1),
    "stop": (0, 0),
}
"""Name -> where an object goes from then on; None leaves it on its way. The first is that of a frame without one."""
ACTION_WORLD = replace(NANO, objects=(1.0,))
"""Nano's world with one object, the one that actions are meant for."""
SHARE = 0.25
"""Of frames that have an action other than the first: two in a second of nano's videos."""

ActionIndices = Int[Tensor, "n frames"]


@checked
def draw_actions(n: int, frames: int, seed: int) -> ActionIndices:
    """Random actions for n clips, as indices into ACTIONS; frame 0, into which nothing moves, has the first.

    Args:
        n: number of clips.
        frames: of each, at least 1.
        seed: the same seed gives the same actions.
    """
    check_sizes(frames)
    g = torch.Generator().manual_seed(seed)
    given = torch.rand(n, frames, generator=g) < SHARE
    given[:, 0] = False
    return torch.randint(1, len(ACTIONS), (n, frames), generator=g) * given


@checked
def check_actions(actions: ActionIndices, clips: int) -> None:
    """Refuse actions that are not a row for each clip, or that point outside the table.

    Args:
        actions: indices into ACTIONS, one for each frame.
        clips: number of them.

    Raises:
        ValueError: as said.
    """
    if len(actions) != clips or not ((actions >= 0) & (actions < len(ACTIONS))).all():
        raise ValueError(
            f"actions of shape {tuple(actions.shape)} for {counted(clips, 'clip')}: give a row for each, with numbers "
            f"from 0 to {len(ACTIONS) - 1}."
        )


@checked
def push_speed(world: World) -> float:
    """How far a pushed object goes in a frame, in sides: at the world's highest speed.

    Args:
        world: with its speeds.
    """
    return max(speed for _, speed in world.speeds)


@checked
def action_positions(scenes: Scenes, actions: ActionIndices) -> Centres:
    """Exact centres (x, y) at every frame of objects that follow actions, and bounce off the walls.

    p_t = fold(p_{t-1} + v_t), where v_t is what the action of frame t asks for, or v_{t-1}, reflected where the object
    touches a wall; v_0 is the scene's

    Args:
        scenes: n scenes.
        actions: indices into ACTIONS, one for each frame.

    Raises:
        ValueError: there are not n rows of actions, or an index points outside the table.
    """
    check_actions(actions, len(scenes))
    ways = torch.tensor([way or (0, 0) for way in ACTIONS.values()], device=scenes.start.device)
    asked, radius = push_speed(scenes.world) * ways[actions.to(ways.device)], scenes.radius()[..., None]
    at, velocity = scenes.start, scenes.velocity()
    found = [at]
    for t in range(1, actions.shape[1]):
        new = (actions[:, t] > 0).to(at.device)[:, None, None]
        velocity = torch.where(new, asked[:, t, None], velocity)
        low, high = radius, 1 - radius
        free = at + velocity
        outside = (free < low) | (free > high)
        at = torch.where(free < low, 2 * low - free, torch.where(free > high, 2 * high - free, free))
        velocity = torch.where(outside, -velocity, velocity)
        found.append(at)
    return torch.stack(found, dim=1)


@checked
def render_actions(scenes: Scenes, actions: ActionIndices) -> Clip:
    """Draw scenes whose objects follow actions, as `render` draws the others: (n, 3, frames, size, size) in [-1, 1].

    Args:
        scenes: n scenes of a world whose camera rests.
        actions: indices into ACTIONS, one for each frame.
    """
    n, frames = actions.shape
    centres, turned = action_positions(scenes, actions), angles(scenes, frames)
    each = scenes[torch.arange(n).repeat_interleave(frames)]  # every frame is drawn as a clip of one
    stills = replace(each, start=centres.flatten(0, 1), angle=turned.flatten(0, 1))
    return render(stills, 1).unflatten(0, (n, frames))[:, :, :, 0].transpose(1, 2).contiguous()


@checked
def name_objects(scenes: Scenes) -> list[str]:
    """Captions that say what is there and nothing of how it moves, which actions change: "a red circle".

    Args:
        scenes: n scenes.
    """
    names, nouns = list(COLOURS), scenes.world.nouns
    rows = zip(scenes.present.tolist(), scenes.colour.tolist(), scenes.shape.tolist(), strict=True)
    each = [[f"a {names[c]} {nouns[s]}" for there, c, s in zip(*row, strict=True) if there] for row in rows]
    return [", ".join(parts).replace("a orange", "an orange") for parts in each]

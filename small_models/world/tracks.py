"""Which law of motion explains a track best: every motion, direction and speed of the world, fitted to it."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pusa_lab.arguments import checked
from small_models.world import DIRECTIONS, MOTIONS, TURNS, Scenes, World, positions

Indices = Int[Tensor, "b objects"]
Where = Float[Tensor, "b pf objects 2"]
Area = Float[Tensor, "b pf objects"]
Costs = Float[Tensor, "b objects motions directions speeds"]


@checked
def motion_costs(where: Where, area: Area, world: World, size: Indices) -> Costs:
    """Distance of each track from the path of every motion, direction and speed, in sides; infinite if none has it.

    Each path is moved to the start that fits best, by Gauss-Newton steps on a weighted square of the distance. The
    cost is the mean distance, of at most a fifth of a side, weighted by the square of the visible area.
    The arguments are those of `reader.read_motion`.

    Raises:
        ValueError: a size points outside the world's sizes.
    """
    check_indices(size, len(world.sizes), "size")
    names = [name for name, _ in world.motions]
    ways = {name: len(TURNS if name == "circle" else DIRECTIONS) for name in names}
    kinds = [(MOTIONS.index(m), d, v) for m in names for d in range(ways[m]) for v in range(len(world.speeds))]
    motion, direction, speed = torch.tensor(kinds, device=where.device).T
    track = where.transpose(1, 2).flatten(0, 1).nan_to_num(0.5)
    weight = weights(where, area).flatten(0, 1)
    seen = track.take_along_dim((weight > 0.25 * weight.amax(1, keepdim=True)).int().argmax(1)[:, None, None], 1)
    paths = _paths(world, size.flatten(), seen, motion, direction, speed)
    for _ in range(4):
        paths = replace(paths, start=_closer(paths, track, weight))
    gap = (positions(paths, track.shape[1]) - track[:, :, None]).norm(dim=-1).clamp(max=0.2)
    costs = where.new_full((*size.shape, len(MOTIONS), len(DIRECTIONS), len(world.speeds)), torch.inf)
    costs[:, :, motion, direction, speed] = (gap * weight[..., None]).sum(1).view(*size.shape, -1).to(costs)
    return costs


@checked
def check_indices(index: Indices, count: int, name: str) -> None:
    """Refuse indices that point outside a table.

    Args:
        index: of each object.
        count: rows of the table.
        name: of the argument, for the sentence.

    Raises:
        ValueError: one is below 0, or not below the count.
    """
    if not ((index >= 0) & (index < count)).all():
        raise ValueError(f"{name} has indices from {index.min()} to {index.max()}: give them from 0 to {count - 1}.")


def _closer(paths: Scenes, track: Float[Tensor, "n pf 2"], weight: Float[Tensor, "n pf"]) -> Float[Tensor, "n paths 2"]:
    """Starts after one Gauss-Newton step, in which what is far off counts less."""
    step, frames = 1e-3, track.shape[1]
    path = positions(paths, frames)
    by_x, by_y = (
        (positions(replace(paths, start=paths.start + step * axis), frames) - path) / step
        for axis in torch.eye(2, device=track.device)
    )
    gap = track[:, :, None] - path
    w = weight[..., None] / (1 + gap.square().sum(-1) / 0.05**2)
    xx, xy, yy = ((w * (a * b).sum(-1)).sum(1) for a, b in ((by_x, by_x), (by_x, by_y), (by_y, by_y)))
    gx, gy = ((w * (a * gap).sum(-1)).sum(1) for a in (by_x, by_y))
    xx, yy = xx + 1e-3, yy + 1e-3
    move = torch.stack([yy * gx - xy * gy, xx * gy - xy * gx], dim=-1) / (xx * yy - xy * xy)[..., None]
    walls = (paths.motion == MOTIONS.index("bounce")) | (paths.motion == MOTIONS.index("gravity"))
    edge = (paths.radius() * walls)[..., None]
    return (paths.start + move.clamp(-0.1, 0.1)).clamp(edge, 1 - edge)


def _paths(world: World, size: Int[Tensor, " n"], start: Float[Tensor, "n 1 2"], *kind: Int[Tensor, " k"]) -> Scenes:
    """One scene a track, with one object for every motion, direction and speed."""
    zero = torch.zeros(len(start), len(kind[0]), dtype=torch.long, device=start.device)
    motion, direction, speed = (index + zero for index in kind)
    path = {"motion": motion, "direction": direction, "speed": speed, "size": size[:, None] + zero}
    path |= {"start": start + zero[..., None], "angle": zero.float(), "spin": zero > 0}
    path |= {"present": zero == 0, "shape": zero, "colour": zero, "look": zero}
    return Scenes(world, **path, ground=zero[:, 0], level=zero[:, 0].float(), pan=zero[:, 0])


@checked
def weights(where: Where, area: Area) -> Float[Tensor, "b objects pf"]:
    """Square of the visible area, adding up to 1: where less is seen, the centre is off."""
    weight = (area.square() * ~where[..., 0].isnan()).transpose(1, 2)
    if weight.isinf().any():
        raise ValueError("area has numbers whose squares are not finite: give pixels of a clip.")
    return weight / weight.sum(2, keepdim=True).clamp(min=1e-12)


@checked
def still(where: Where, area: Area) -> Float[Tensor, "b objects"]:
    """Mean distance of each track from its middle, weighted like `motion_costs`."""
    track, weight = where.transpose(1, 2).nan_to_num(0.5), weights(where, area)
    middle = (track * weight[..., None]).sum(2, keepdim=True)
    return ((track - middle).norm(dim=-1).clamp(max=0.2) * weight).sum(2)

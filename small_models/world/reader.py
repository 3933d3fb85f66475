"""Read the world back from pixels: which colours, shapes and motions does a clip show, and where?

Colours come first: every pixel is explained as a mix of the ground's grey and one ink. Shapes and motions are then
read by synthesis: what the world would draw for each answer is compared with what is seen.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from pusa_lab.arguments import checked, shown
from pusa_lab.sentences import counted
from pusa_lab.types import Clip
from small_models.world import COLOURS, DIGITS, DIRECTIONS, MOTIONS, NANO, TURNS, Scenes, World
from small_models.world.digits import bitmaps
from small_models.world.pictures import distance
from small_models.world.tracks import Area, Costs, Indices, Where, check_indices, motion_costs, still

Inks = tuple[Float[Tensor, "b pf h w"], Int[Tensor, "b pf h w"]]

CONFIRMED = ("present", "colour", "shape", "motion", "direction", "speed", "off_law", "extra")
"""What `confirm` answers."""
SEEN, EXTRA = 0.01, 0.015
"""Share of the picture above which a colour counts as seen, and as an object that was not asked for."""
LARGEST_PIXEL = 2.0
"""Pixels of a decoder reach a little beyond [-1, 1]; what is far beyond is not a picture."""
SHARPEST, REACH, GRID = 7, 1.25, 28
"""Shapes are read in the frames of largest area, within 1.25 radii, on a grid of so many points a side."""


@checked
def locate(clip: Clip, colour: Indices, world: World = NANO) -> tuple[Where, Area]:
    """Centre and visible area of the object of each colour, frame by frame.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        colour: indices into the world's colours, one for each object sought.
        world: whose colours can occur.

    Returns:
        Centres (x, y) in units of the picture's side, NaN where nothing of that colour is seen, and the area as a
        share of the picture.
    """
    return _in_parts(lambda c, i: _track(_masks(_inks(c, world.colours), i)), clip, colour)


@checked
def subjects(clip: Clip, colour: Indices, world: World = NANO) -> Float[Tensor, "b objects pf h w"]:
    """How much of each pixel shows the object of each colour, in [0, 1]: what the world's `masks` are for true clips.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        colour: indices into the world's colours, one for each object sought.
        world: whose colours can occur.
    """
    return _in_parts(lambda c, i: (_masks(_inks(c, world.colours), i),), clip, colour)[0]


@checked
def read_shape(clip: Clip, colour: Indices, world: World) -> tuple[Indices, Indices]:
    """Shape and size of the object of each colour, as indices into the world's nouns and sizes.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        colour: indices into the world's colours, one for each object sought.
        world: whose nouns and sizes can occur.
    """
    return _in_parts(lambda c, i: _shape(_inks(c, world.colours), i, world), clip, colour)


@checked
def read_motion(where: Where, area: Area, world: World, size: Indices) -> tuple[Indices, Indices, Indices]:
    """Motion, direction and speed that explain each track best, as indices into MOTIONS, DIRECTIONS and speeds.

    What moves straight and what bounces look alike until a wall: then the first of MOTIONS is returned.

    Args:
        where: centres from `locate`.
        area: areas from `locate`.
        world: whose motions and speeds can occur.
        size: from `read_shape`; objects bounce where they touch the walls.
    """
    best, chosen = motion_costs(where, area, world, size).flatten(3).min(3)
    motion = (best <= 1.25 * best.amin(2, keepdim=True) + 0.002).int().argmax(2)
    chosen = chosen.gather(2, motion[..., None])[..., 0]
    return motion, chosen // len(world.speeds), chosen % len(world.speeds)


@checked
def read_direction(costs: Costs, motion: Indices, speed: Indices) -> Indices:
    """Direction that explains each track best if motion and speed are known; what circles has 0 or 1.

    Args:
        costs: from `motion_costs`.
        motion: indices into MOTIONS.
        speed: indices into the world's speeds.

    Raises:
        ValueError: an index points outside its table.
    """
    check_indices(motion, costs.shape[2], "motion")
    check_indices(speed, costs.shape[4], "speed")
    b, k = torch.meshgrid(*(torch.arange(n, device=costs.device) for n in motion.shape), indexing="ij")
    return costs[b, k, motion, :, speed].argmin(-1)


@checked
def confirm(clip: Clip, scenes: Scenes) -> dict[str, Tensor]:
    """What a clip shows of what it should.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1].
        scenes: the b scenes whose captions were given, on any device.

    Returns:
        Booleans (b, objects), False for objects that the scenes do not have: "present" where the colour is seen in
        most frames; and where this holds, "colour" if it is seen in each third of the clip, "shape" if it is right,
        "motion" if none explains the track much better, "direction" if it is the best one for the motion and speed
        of the scene, and better than standing still; "speed" if it is the best one for its motion and direction.
        "off_law", floats (b, objects): mean distance from the path that the scene's motion, direction and speed ask
        for, from the start that fits best, in sides (0.2 at most). And (b,): "extra" where another colour is seen in
        most frames.
    """
    if len(scenes) != len(clip):
        raise ValueError(
            f"{counted(len(scenes), 'scene')} for {counted(len(clip), 'clip')}: give the scene of each clip."
        )
    scenes, number = scenes.to(clip.device), torch.arange(len(clip))[:, None]
    answers = _in_parts(lambda c, i: _confirm(c, scenes[i[:, 0]]), clip, number)
    return dict(zip(CONFIRMED, answers, strict=True))


def _confirm(clip: Clip, scenes: Scenes) -> tuple[Tensor, ...]:
    world, inks = scenes.world, _inks(clip, scenes.world.colours)
    where, area = _track(_masks(inks, scenes.colour))
    shape, size = _shape(inks, scenes.colour, world)
    costs = motion_costs(where, area, world, size)
    seen = area > SEEN
    here = scenes.present & (seen.float().mean(1) > 0.5)
    thirds = torch.stack([part.any(1) for part in seen.tensor_split(min(3, seen.shape[1]), dim=1)])
    best = costs.flatten(3).amin(3)
    asked = best.gather(2, scenes.motion[..., None])[..., 0]
    direction = read_direction(costs, scenes.motion, scenes.speed)
    ways = torch.where(scenes.motion == MOTIONS.index("circle"), len(TURNS), len(DIRECTIONS))
    every = torch.arange(world.colours, device=clip.device).expand(len(clip), -1)
    other = ((every[:, :, None] != scenes.colour[:, None]) | ~scenes.present[:, None]).all(2)
    large = (_masks(inks, every).mean((-1, -2)) > EXTRA).float().mean(2) > 0.5
    kept, obeyed = thirds.all(0), asked <= 1.25 * best.amin(2) + 0.004
    headed = (direction == scenes.direction % ways) & (asked < still(where, area))
    law = costs.gather(2, scenes.motion[..., None, None, None].expand(-1, -1, 1, *costs.shape[3:]))[:, :, 0]
    law = law.take_along_dim((scenes.direction % ways)[..., None, None], 2)[:, :, 0]
    right = (here, kept, shape == scenes.shape, obeyed, headed, law.argmin(-1) == scenes.speed)
    off = law.take_along_dim(scenes.speed[..., None], 2)[..., 0]
    return *(here & answer for answer in right), off, (large & other).any(1)


@checked
def check_pixels(clip: Clip) -> None:
    """Refuse clips whose numbers are too large for pixels.

    Args:
        clip: pixels (b, 3, pf, h, w) in [-1, 1], or a little beyond.

    Raises:
        ValueError: a number is beyond `LARGEST_PIXEL`, or NaN.
    """
    if not (clip.abs() <= LARGEST_PIXEL).all():
        raise ValueError(f"clip holds numbers beyond {LARGEST_PIXEL:g}: give pixels in [-1, 1].")


def _in_parts(read: Callable[..., tuple[Tensor, ...]], clip: Clip, index: Int[Tensor, "b k"]) -> Any:
    """Read a few clips at a time: what fits the processor's cache, or the accelerator's memory."""
    if 0 in clip.shape or clip.shape[1] != 3:
        raise ValueError(f"clip is {shown(clip)}: give clips (b, 3, frames, height, width), none of these 0.")
    check_pixels(clip)
    count = max(1, 2 ** (20 if clip.device.type == "cpu" else 25) // clip[0, 0].numel())
    parts = zip(clip.split(count), index.to(clip.device).split(count), strict=True)
    return tuple(map(torch.cat, zip(*(read(*part) for part in parts), strict=True)))


def _inks(clip: Clip, colours: int) -> Inks:
    """How much of each pixel is ink, in [0, 1], and which colour's.

    Every pixel is explained as (1 - a) grey + a ink for the ink that leaves the smallest residual, with the median
    of the clip as its grey. It counts where a > 1/4 and the residual is below 0.03 (squared, pixels in [0, 1]), so
    noise is not mistaken for objects, and near solid ink, since two inks can mix to a third along an edge.
    """
    pixels = (clip.float() + 1) / 2
    grey = pixels.flatten(2).median(dim=2).values.mean(dim=1).view(-1, 1, 1)
    ink = torch.tensor(list(COLOURS.values())[:colours], device=clip.device) - grey
    offset = pixels.flatten(2) - grey
    weight = ink.square().sum(2, keepdim=True)
    along = ink @ offset
    a = (along / weight).clamp_(0, 1)
    residual, colour = (a * weight).sub_(along, alpha=2).mul_(a).min(1)
    a = a.gather(1, colour[:, None])[:, 0]
    seen = residual + offset.square().sum(1) < 0.03
    a, seen, colour = (value.view(len(clip), *clip.shape[2:]) for value in (a, seen, colour))
    return a * (seen & (a > 0.25) & _near_solid(colour, seen & (a > 0.5))), colour


def _near_solid(colour: Int[Tensor, "b pf h w"], seen: Bool[Tensor, "b pf h w"]) -> Bool[Tensor, "b pf h w"]:
    """Within a pixel or two of 3 x 3 pixels all of the same colour, at 64 x 64; everything in the smallest pictures."""
    margin = round(min(seen.shape[-2:]) / 64)
    if not margin:
        return torch.ones_like(seen)
    bit = torch.ones_like(colour, dtype=torch.uint8) << colour.to(torch.uint8)
    solid = bit * seen
    for reach, outside, join in ((margin, 255, torch.bitwise_and), (margin + 1, 0, torch.bitwise_or)):
        for axis in (-1, -2):  # shrink to the middles of squares, then grow
            wide = F.pad(solid.transpose(axis, -1), (reach, reach), value=outside)
            solid = functools.reduce(join, wide.unfold(-1, 2 * reach + 1, 1).unbind(-1)).transpose(axis, -1)
    return (solid & bit) > 0


def _masks(inks: Inks, colour: Indices) -> Float[Tensor, "b objects pf h w"]:
    """How much of each pixel shows each colour."""
    a, which = inks
    return a[:, None] * (which[:, None] == colour[..., None, None, None])


def _track(mask: Float[Tensor, "b objects pf h w"]) -> tuple[Where, Area]:
    """Centres and areas of masks."""
    mask = mask.transpose(1, 2)
    h, w = mask.shape[-2:]
    area = mask.sum((-1, -2))
    x = (mask.sum(-2) * ((torch.arange(w, device=mask.device) + 0.5) / w)).sum(-1) / area
    y = (mask.sum(-1) * ((torch.arange(h, device=mask.device) + 0.5) / h)).sum(-1) / area
    return torch.stack([x, y], dim=-1), area / (h * w)


def _shape(inks: Inks, colour: Indices, world: World) -> tuple[Indices, Indices]:
    """Noun and size whose picture is most alike what is seen, in the frames of largest area.

    <m, t> / (<m, m> + <t, t> - <m, t>) for mask m and picture t, where pixels of other inks count a quarter, since
    they may hide the object.
    """
    mask, radii = _masks(inks, colour), [r for _, r in world.sizes]
    where, area = (value.transpose(1, 2) for value in _track(mask))
    area, frame = area.topk(min(SHARPEST, area.shape[2]), dim=2)
    centre = where.take_along_dim(frame[..., None], 2).nan_to_num(0.5)
    pair = torch.stack([mask, inks[0][:, None] - mask], dim=3)
    pair = pair.take_along_dim(frame[..., None, None, None], 2).flatten(0, 2)
    around = torch.stack([r * _grid(mask.device) for r in radii])
    grid = 2 * (centre.flatten(0, 2)[:, None, None, None] + around) - 1
    seen = F.grid_sample(pair, grid.flatten(1, 2), align_corners=False).unflatten(2, (len(radii), GRID)).flatten(3)
    m, weight = seen[:, 0], 1 - 0.75 * seen[:, 1].clamp(0, 1)
    pictures, counts = _pictures(world, 1 / (mask.shape[-1] * radii[0]), mask.device)
    t = pictures.flatten(1).T
    both = (weight * m) @ t
    alike = both / ((weight * m * m).sum(-1, keepdim=True) + weight @ (t * t) - both).clamp(min=1e-6)
    best = torch.stack([part.amax(-1) for part in alike.split(counts, -1)], dim=-1)
    score = (best.unflatten(0, area.shape) * area[..., None, None]).sum(2)  # b objects sizes nouns
    chosen = score.flatten(2).argmax(2)
    return chosen % len(world.nouns), chosen // len(world.nouns)


def _grid(device: torch.device) -> Float[Tensor, "side side 2"]:
    """Points (x, y) around an object of radius 1."""
    line = REACH * ((torch.arange(GRID, device=device) + 0.5) * 2 / GRID - 1)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)


def _pictures(world: World, edge: float, device: torch.device) -> tuple[Float[Tensor, "n h w"], list[int]]:
    """Each noun of radius 1 around its centre, at every angle or in every handwriting, and how many each noun has."""
    grid = _grid(device)
    if world.nouns == DIGITS:
        ink = bitmaps().to(device).flatten(0, 1)[:, None]
        line = (torch.arange(ink.shape[-1], device=device) + 0.5) * 2 / ink.shape[-1] - 1
        x, y = ((ink.sum((1, axis)) * line).sum(1) / ink.sum((1, 2, 3)) for axis in (2, 3))
        shown = F.grid_sample(ink, grid + torch.stack([x, y], dim=1)[:, None, None], align_corners=False)[:, 0]
        return shown, [len(ink) // len(DIGITS)] * len(DIGITS)
    pictures, counts = [], []
    for noun in world.nouns:
        period = {"square": 90, "cross": 90, "triangle": 120}.get(noun, 1) if world.spin else 1
        for degrees in range(0, period, 10):
            turn = torch.polar(torch.tensor(1.0), torch.tensor(-degrees * torch.pi / 180))
            x, y = torch.view_as_real(torch.view_as_complex(grid) * turn).unbind(-1)
            pictures.append((0.5 - distance(x, y, noun, torch.ones_like(x)) / (1.5 * edge)).clamp(0, 1))
        counts.append(len(range(0, period, 10)))
    return torch.stack(pictures), counts

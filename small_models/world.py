"""A world whose truth is known: coloured shapes that move and bounce, with captions and exact positions.

Everything is drawn with torch from a seed. Lengths are in units of the picture's side, so the same scene can be
rendered at any size; (0, 0) is the top left corner, x points right and y down.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pusa_lab.types import Clip

SHAPES = ("circle", "square", "triangle")
COLOURS = {
    "red": (0.90, 0.15, 0.15),
    "green": (0.15, 0.75, 0.20),
    "blue": (0.20, 0.35, 0.95),
    "yellow": (0.95, 0.85, 0.15),
    "purple": (0.75, 0.20, 0.85),
    "cyan": (0.15, 0.85, 0.90),
}
DIRECTIONS = {
    "right": (1, 0),
    "down and right": (1, 1),
    "down": (0, 1),
    "down and left": (-1, 1),
    "left": (-1, 0),
    "up and left": (-1, -1),
    "up": (0, -1),
    "up and right": (1, -1),
}
SPEEDS = {"slowly ": 0.03, "": 0.06, "quickly ": 0.09}
"""Adverb in the caption -> distance per frame."""
RADIUS = 0.17
"""Of the circle, the others are alike in size; centres bounce this far from the walls."""


@dataclass(frozen=True, eq=False)
class Scenes:
    """n scenes of up to two objects, the second drawn over the first. Indices point into the tables above."""

    present: Bool[Tensor, "n objects"]
    shape: Int[Tensor, "n objects"]
    colour: Int[Tensor, "n objects"]
    direction: Int[Tensor, "n objects"]
    speed: Int[Tensor, "n objects"]
    start: Float[Tensor, "n objects 2"]
    """Centre (x, y) at frame 0."""
    background: Float[Tensor, " n"]
    """Grey level in [0, 1]."""

    def __len__(self) -> int:
        return len(self.background)

    def __getitem__(self, index: slice) -> "Scenes":
        return replace(self, **{name: value[index] for name, value in vars(self).items()})

    def to(self, device: torch.device | str) -> "Scenes":
        """The same scenes on another device, where they will be rendered."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items()})


def draw_scenes(n: int, seed: int) -> Scenes:
    """n random scenes; two objects (40 in 100 scenes) never share a colour.

    Args:
        n: number of scenes.
        seed: the same seed gives the same scenes.
    """
    g = torch.Generator().manual_seed(seed)

    def pick(table: object, *shape: int) -> Tensor:
        return torch.randint(len(table), shape, generator=g)  # type: ignore[arg-type]

    colour = pick(COLOURS, n, 2)
    colour[:, 1] = (colour[:, 0] + 1 + torch.randint(len(COLOURS) - 1, (n,), generator=g)) % len(COLOURS)
    return Scenes(
        present=torch.stack([torch.ones(n), torch.rand(n, generator=g) < 0.4], dim=1).bool(),
        shape=pick(SHAPES, n, 2),
        colour=colour,
        direction=pick(DIRECTIONS, n, 2),
        speed=pick(SPEEDS, n, 2),
        start=RADIUS + (1 - 2 * RADIUS) * torch.rand(n, 2, 2, generator=g),
        background=0.4 * torch.rand(n, generator=g),
    )


def positions(scenes: Scenes, frames: int) -> Float[Tensor, "n frames objects 2"]:
    """Exact centres (x, y) at every frame: straight lines, reflected at the walls.

    p_t = RADIUS + fold(p_0 - RADIUS + t v), fold = the triangle wave between 0 and 1 - 2 RADIUS

    Args:
        scenes: n scenes.
        frames: pixel frames.
    """
    device = scenes.start.device
    heading = torch.tensor(list(DIRECTIONS.values()), dtype=torch.float32, device=device)
    heading = heading / heading.norm(dim=1, keepdim=True)
    v = heading[scenes.direction] * torch.tensor(list(SPEEDS.values()), device=device)[scenes.speed][..., None]
    t = torch.arange(frames, device=device)[:, None, None]
    room = 1 - 2 * RADIUS
    along = (scenes.start[:, None] - RADIUS + t * v[:, None]) % (2 * room)
    return RADIUS + room - (along - room).abs()


def render(scenes: Scenes, frames: int = 8, size: int = 16) -> Clip:
    """Draw scenes as video (n, 3, frames, size, size) in [-1, 1], edges antialiased over one pixel.

    Args:
        scenes: n scenes.
        frames: pixel frames.
        size: height and width in pixels.
    """
    centre = positions(scenes, frames)
    pixel = (torch.arange(size, device=centre.device) + 0.5) / size
    picture = scenes.background.view(-1, 1, 1, 1, 1).expand(-1, 3, frames, size, size)
    palette = torch.tensor(list(COLOURS.values()), device=centre.device)
    for i in range(centre.shape[2]):
        dx = pixel - centre[:, :, i, 0, None]
        dy = pixel - centre[:, :, i, 1, None]
        distance = _distance(dx[:, :, None, :], dy[:, :, :, None], scenes.shape[:, i])
        cover = (0.5 - distance * size).clamp(0, 1) * scenes.present[:, i].view(-1, 1, 1, 1)
        ink = palette[scenes.colour[:, i]].view(-1, 3, 1, 1, 1)
        picture = picture + cover[:, None] * (ink - picture)
    return picture * 2 - 1


def _distance(
    dx: Float[Tensor, "n f 1 w"], dy: Float[Tensor, "n f h 1"], shape: Int[Tensor, " n"]
) -> Float[Tensor, "n f h w"]:
    """Signed distance to the edge of each shape, negative inside."""
    circle = (dx**2 + dy**2).sqrt() - RADIUS
    square = torch.maximum(dx.abs().expand_as(circle), dy.abs().expand_as(circle)) - 0.85 * RADIUS
    # An equilateral triangle around its centroid, a little larger to look as heavy as the others.
    around = 1.15 * RADIUS
    triangle = torch.maximum((3**0.5 * dx.abs() - dy - around) / 2, (dy - around / 2).expand_as(circle))
    which = shape.view(-1, 1, 1, 1)
    return torch.where(which == 0, circle, torch.where(which == 1, square, triangle))


def captions(scenes: Scenes) -> list[str]:
    """One sentence a scene, such as "a red circle moves quickly up and right, a blue square moves down".

    Args:
        scenes: n scenes.
    """
    colours, directions, speeds = list(COLOURS), list(DIRECTIONS), list(SPEEDS)
    rows = zip(
        *(getattr(scenes, name).tolist() for name in ("present", "colour", "shape", "speed", "direction")),
        strict=True,
    )
    return [
        ", ".join(
            f"a {colours[c]} {SHAPES[s]} moves {speeds[v]}{directions[d]}"
            for here, c, s, v, d in zip(*row, strict=True)
            if here
        )
        for row in rows
    ]

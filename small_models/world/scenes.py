"""Scenes as numbers: what is where, and how it moves, exactly, at every frame."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pusa_lab.arguments import checked
from small_models.world.tables import DIRECTIONS, GRAVITY, MOTIONS, NANO, SPIN, STOP, World

Centres = Float[Tensor, "n frames objects 2"]


@checked
@dataclass(frozen=True, eq=False)
class Scenes:
    """n scenes of up to `objects` objects, later ones drawn over earlier ones. Indices point into the tables."""

    world: World
    """Where they come from."""
    present: Bool[Tensor, "n objects"]
    shape: Int[Tensor, "n objects"]
    """Index into the world's nouns."""
    colour: Int[Tensor, "n objects"]
    motion: Int[Tensor, "n objects"]
    """Index into MOTIONS."""
    direction: Int[Tensor, "n objects"]
    """Index into DIRECTIONS; even is clockwise for what circles."""
    speed: Int[Tensor, "n objects"]
    """Index into the world's speeds."""
    size: Int[Tensor, "n objects"]
    """Index into the world's sizes."""
    spin: Bool[Tensor, "n objects"]
    start: Float[Tensor, "n objects 2"]
    """Centre (x, y) at frame 0."""
    angle: Float[Tensor, "n objects"]
    """In radians at frame 0."""
    look: Int[Tensor, "n objects"]
    """Which handwriting a digit is in."""
    ground: Int[Tensor, " n"]
    """Index into GROUNDS."""
    level: Float[Tensor, " n"]
    """The ground's grey in [0, 1]."""
    pan: Int[Tensor, " n"]
    """-1, 0, 1: the camera goes left, rests, goes right."""

    def __len__(self) -> int:
        return len(self.level)

    def __getitem__(self, index: slice | Tensor) -> "Scenes":
        return self._each(lambda value: value[index])

    def to(self, device: torch.device | str) -> "Scenes":
        """The same scenes on another device, where they will be rendered."""
        return self._each(lambda value: value.to(device))

    def radius(self) -> Float[Tensor, "n objects"]:
        """Radius of the circle of each object's size."""
        return _look_up([r for _, r in self.world.sizes], self.size)

    def velocity(self) -> Float[Tensor, "n objects 2"]:
        """At frame 0, in sides per frame, of everything that does not circle."""
        heading = torch.nn.functional.normalize(torch.tensor(list(DIRECTIONS.values())).float())
        pace = _look_up([v for _, v in self.world.speeds], self.speed)
        return heading.to(self.start)[self.direction] * pace[..., None]

    def _each(self, change: Any) -> "Scenes":
        return replace(self, **{k: change(v) for k, v in vars(self).items() if k != "world"})


MOST_SCENES = 10**7


@checked
def draw_scenes(n: int, seed: int, world: World = NANO) -> Scenes:
    """n random scenes; no two objects of a scene share a colour.

    Args:
        n: number of scenes.
        seed: the same seed gives the same scenes.
        world: which scenes can occur.
    """
    if not 1 <= n <= MOST_SCENES:
        raise ValueError(f"n={n}: give a number of scenes from 1 to {MOST_SCENES}.")
    g = torch.Generator().manual_seed(seed)
    k = len(world.objects)

    def pick(count: int, *shape: int) -> Tensor:
        return torch.randint(count, shape, generator=g)

    number = torch.multinomial(torch.tensor(world.objects), n, replacement=True, generator=g) + 1
    ground = pick(world.grounds, n)
    panned = (torch.rand(n, generator=g) < world.pan) & (ground >= 2)
    motions = torch.tensor([MOTIONS.index(name) for name, _ in world.motions])
    spin = torch.rand(n, k, generator=g) < world.spin
    scenes = Scenes(
        world=world,
        present=torch.arange(k) < number[:, None],
        shape=pick(len(world.nouns), n, k),
        colour=torch.rand(n, world.colours, generator=g).argsort(dim=1)[:, :k],
        motion=motions[pick(len(motions), n, k)],
        direction=pick(len(DIRECTIONS), n, k),
        speed=pick(len(world.speeds), n, k),
        size=pick(len(world.sizes), n, k),
        spin=spin,
        start=torch.zeros(n, k, 2),
        angle=2 * torch.pi * torch.rand(n, k, generator=g) * spin,
        look=pick(2**31, n, k),
        ground=ground,
        level=0.4 * torch.rand(n, generator=g),
        pan=(2 * pick(2, n) - 1) * panned,
    )
    return replace(scenes, start=_place(scenes, g))


def _place(scenes: Scenes, g: torch.Generator) -> Float[Tensor, "n objects 2"]:
    """Starting places from which objects stay in the picture (quick straight ones reach a little beyond its edge),
    as far from each other as a few tries allow.
    """
    low, high = _room(scenes)
    tries = torch.rand(scenes.world.apart, *low.shape, generator=g)
    centre = low + (high - low) * tries
    ring = 0.5 - scenes.radius()
    reach = 0.15 + (ring - 0.15) * tries[..., 0]
    turn = 2 * torch.pi * tries[..., 1]
    circling = 0.5 + reach[..., None] * torch.stack([turn.cos(), turn.sin()], dim=-1)
    centre = torch.where((scenes.motion == MOTIONS.index("circle"))[..., None], circling, centre)
    placed = centre[0, :, :1]
    for i in range(1, low.shape[1]):
        gap = (centre[:, :, i, None] - placed).norm(dim=-1).amin(-1)
        best = gap.argmax(0)
        placed = torch.cat([placed, centre[best, torch.arange(len(best)), i][:, None]], dim=1)
    return placed


def _room(scenes: Scenes) -> tuple[Tensor, Tensor]:
    """Corners (n, objects, 2) of the places that each object may start from."""
    r = scenes.radius()[..., None]
    way = {"straight": scenes.world.frames - 1.0, "stop": STOP / 2}
    length = _look_up([way.get(name, 0.0) for name in MOTIONS], scenes.motion)
    travel = scenes.velocity() * length[..., None]
    low, high = r - travel.clamp(max=0), 1 - r - travel.clamp(min=0)
    thrown = torch.tensor([[0.0, 0.25]]) * (scenes.motion == MOTIONS.index("gravity"))[..., None]
    low, high = low + thrown, high - 0.5 * thrown
    middle = (low + high) / 2
    return torch.minimum(low, middle), torch.maximum(high, middle)


MOST_SCENE_FRAMES, MOST_SCENE_SIDE = 10_000, 4096
"""The longest and the largest video that is drawn."""


@checked
def check_sizes(frames: int, size: int = 1) -> None:
    """Refuse what would fill the memory before the first picture is there.

    Args:
        frames: of a video.
        size: its height and width.

    Raises:
        ValueError: fewer than 1, or more than MOST_SCENE_FRAMES or MOST_SCENE_SIDE.
    """
    for name, value, most in (("frames", frames, MOST_SCENE_FRAMES), ("size", size, MOST_SCENE_SIDE)):
        if not 1 <= value <= most:
            raise ValueError(f"{name}={value}: give a whole number from 1 to {most}.")


@checked
def positions(scenes: Scenes, frames: int) -> Centres:
    """Exact centres (x, y) at every frame, in closed form.

    straight p0 + t v; bounce fold(p0 + t v), reflected where the object touches a wall; gravity: x bounces, y falls
    with GRAVITY and bounces off the floor without loss; circle: around the middle of the picture, at constant speed;
    stop: p0 + v (t - t^2 / (2 STOP)) until STOP, then at rest

    Args:
        scenes: n scenes.
        frames: pixel frames.
    """
    check_sizes(frames)
    t = torch.arange(frames, device=scenes.start.device).float()[:, None]
    start, velocity, radius = scenes.start, scenes.velocity(), scenes.radius()
    out = start[:, None] + t[..., None] * velocity[:, None]  # straight
    for name, path in _BENT.items():
        n, k = (scenes.motion == MOTIONS.index(name)).nonzero(as_tuple=True)
        if len(n):
            given = start[n, k], velocity[n, k], radius[n, k], scenes.direction[n, k]
            out[n, :, k] = path(*given, t).movedim(0, 1)
    return out


@checked
def angles(scenes: Scenes, frames: int) -> Float[Tensor, "n frames objects"]:
    """By how much every object is turned, in radians clockwise: angle + SPIN t for what spins.

    Args:
        scenes: n scenes.
        frames: pixel frames.
    """
    check_sizes(frames)
    t = torch.arange(frames, device=scenes.start.device)[:, None]
    return scenes.angle[:, None] + SPIN * t * scenes.spin[:, None]


@checked
def velocities(scenes: Scenes, frames: int) -> Centres:
    """Movement (x, y) from each frame to the next, in sides per frame: p_{t+1} - p_t.

    Args:
        scenes: n scenes.
        frames: pixel frames.
    """
    check_sizes(frames)
    return positions(scenes, frames + 1).diff(dim=1)


def _fold(x: Tensor, room: Tensor) -> Tensor:
    """Reflect a number into [0, room]: the triangle wave."""
    return room - (x % (2 * room) - room).abs()


def _fall(y: Tensor, v: Tensor, r: Tensor, t: Tensor) -> Tensor:
    """Height under gravity with an elastic floor at 1 - r: one parabola, repeated with its own period."""
    above = 1 - r - y
    half = torch.sqrt(2 * above.clamp(min=1e-6) / GRAVITY + (v / GRAVITY) ** 2)
    since_apex = t + v / GRAVITY
    phase = (since_apex + half) % (2 * half) - half
    return 1 - r - GRAVITY / 2 * (half**2 - phase**2)


def _bounce(p: Tensor, v: Tensor, r: Tensor, direction: Tensor, t: Tensor) -> Tensor:
    """Centres (frames, n, 2), as of all paths below; p and v are (n, 2), r and direction (n,), t (frames, 1)."""
    r = r[:, None]
    return r + _fold(p + t[..., None] * v - r, 1 - 2 * r)


def _gravity(p: Tensor, v: Tensor, r: Tensor, direction: Tensor, t: Tensor) -> Tensor:
    fallen = _fall(p[:, 1], v[:, 1], r, t)
    return torch.stack([r + _fold(p[:, 0] + t * v[:, 0] - r, 1 - 2 * r), fallen], dim=-1)


def _circle(p: Tensor, v: Tensor, r: Tensor, direction: Tensor, t: Tensor) -> Tensor:
    arm = p - 0.5
    reach = arm.norm(dim=-1).clamp(min=1e-3)
    turn = (1 - 2 * (direction % 2)) * v.norm(dim=-1) / reach * t
    cos, sin = turn.cos(), turn.sin()
    x, y = arm.unbind(-1)
    return 0.5 + torch.stack([x * cos - y * sin, x * sin + y * cos], dim=-1)


def _stop(p: Tensor, v: Tensor, r: Tensor, direction: Tensor, t: Tensor) -> Tensor:
    s = t[..., None].clamp(max=STOP)
    return p + v * (s - s * s / (2 * STOP))


_BENT = {"bounce": _bounce, "gravity": _gravity, "circle": _circle, "stop": _stop}
"""How objects move that do not go straight."""


def _look_up(table: list[float], index: Tensor) -> Tensor:
    return torch.tensor(table, device=index.device)[index]

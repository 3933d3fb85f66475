"""Scenes as pixels: shapes with edges antialiased over one pixel, on a ground that may pass by."""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

from pusa_lab.arguments import checked, shown
from pusa_lab.types import Clip
from small_models.world import digits
from small_models.world.scenes import Scenes, angles, check_sizes, positions
from small_models.world.tables import COLOURS, DIGITS, PAN, SHAPES

Grid = Float[Tensor, "n f h w"]


@checked
def render(scenes: Scenes, frames: int | None = None, size: int | None = None) -> Clip:
    """Draw scenes as video (n, 3, frames, size, size) in [-1, 1].

    Args:
        scenes: n scenes.
        frames: pixel frames; None is the world's own number.
        size: height and width in pixels; None is the world's own.
    """
    frames, size = _sizes(scenes, frames, size)
    out = torch.empty(len(scenes), 3, frames, size, size, device=scenes.level.device)
    chunk = max(4, 32 // frames) if out.device.type == "cpu" else 512  # small enough for the processor's cache
    for i in range(0, len(scenes), chunk):
        out[i : i + chunk] = _render(scenes[i : i + chunk], frames, size)
    return out


@checked
def masks(scenes: Scenes, frames: int | None = None, size: int | None = None) -> Float[Tensor, "n objects f h w"]:
    """How much of each pixel shows each object, in [0, 1], after occlusion.

    m_i = c_i prod_{j > i} (1 - c_j) for the cover c of each object alone

    Args:
        scenes: n scenes.
        frames: pixel frames; None is the world's own number.
        size: height and width in pixels; None is the world's own.
    """
    cover = _cover(scenes, *_sizes(scenes, frames, size))
    free = torch.ones_like(cover[:, 0])
    shown = []
    for alone in reversed(cover.unbind(1)):
        shown.append(alone * free)
        free = free * (1 - alone)
    return torch.stack(shown[::-1], dim=1)


def _sizes(scenes: Scenes, frames: int | None, size: int | None) -> tuple[int, int]:
    """The frames and the size that were asked for, or the world's own."""
    frames, size = scenes.world.frames if frames is None else frames, scenes.world.size if size is None else size
    check_sizes(frames, size)
    return frames, size


def _render(scenes: Scenes, frames: int, size: int) -> Clip:
    picture = _ground(scenes, frames, size)[:, None].expand(-1, 3, -1, -1, -1)
    palette = torch.tensor(list(COLOURS.values()), device=picture.device)
    for i, cover in enumerate(_cover(scenes, frames, size).unbind(1)):
        ink = palette[scenes.colour[:, i]].view(-1, 3, 1, 1, 1)
        picture = torch.lerp(picture, ink, cover[:, None])
    return picture * 2 - 1


def _ground(scenes: Scenes, frames: int, size: int) -> Grid:
    """Grey of the ground: plain, shaded from top to bottom, soft stripes or soft checkers."""
    device = scenes.level.device
    pixel = (torch.arange(size, device=device) + 0.5) / size
    x = (pixel + PAN * torch.arange(frames, device=device)[:, None] * scenes.pan[:, None, None])[:, :, None, :]
    y = pixel[None, None, :, None]
    wave_x, wave_y = (torch.sin(2 * torch.pi * 4 * u) for u in (x, y))
    kind = scenes.ground.view(-1, 1, 1, 1)
    shade = torch.where(kind == 1, 2 * y - 1, torch.where(kind == 2, wave_x, wave_x * wave_y))
    level = scenes.level.view(-1, 1, 1, 1)
    return level + level.clamp(max=0.06) * shade.expand(-1, frames, size, size) * (kind > 0)


def _cover(scenes: Scenes, frames: int, size: int) -> Float[Tensor, "n objects f h w"]:
    """Share of each pixel inside each object, as if it were alone."""
    n, k = scenes.shape.shape
    centre, angle = positions(scenes, frames), angles(scenes, frames)
    pixel = (torch.arange(size, device=centre.device) + 0.5) / size
    out = torch.zeros(n, k, frames, size, size, device=centre.device)
    for s, noun in enumerate(scenes.world.nouns):
        scene, i = torch.nonzero(scenes.present & (scenes.shape == s), as_tuple=True)
        dx = pixel - centre[scene, :, i, 0, None]
        dy = pixel - centre[scene, :, i, 1, None]
        cos, sin = angle[scene, :, i].cos()[..., None, None], angle[scene, :, i].sin()[..., None, None]
        x, y = dx[:, :, None] * cos + dy[..., None] * sin, dy[..., None] * cos - dx[:, :, None] * sin
        r = scenes.radius()[scene, i].view(-1, 1, 1, 1)
        if noun in DIGITS:
            out[scene, i] = digits.cover(x, y, r, scenes.look[scene, i], s)
        else:
            out[scene, i] = (0.5 - size * distance(x, y, noun, r)).clamp(0, 1)
    return out


def _broadcast(r: Tensor, x: Tensor) -> torch.Size | None:
    """The shape of both together, if they have one."""
    pairs = itertools.zip_longest(r.shape[::-1], x.shape[::-1], fillvalue=1)
    return torch.broadcast_shapes(r.shape, x.shape) if all(n == m or 1 in (n, m) for n, m in pairs) else None


@checked
def distance(x: Tensor, y: Tensor, shape: str, r: Tensor) -> Tensor:
    """Signed distance to the edge of an upright shape around (0, 0), negative inside, all alike in weight.

    Args:
        x: to the right, any shape.
        y: down, the same shape.
        shape: one of SHAPES.
        r: radius of the circle of the same size, of a shape that broadcasts to theirs.

    Raises:
        ValueError: the shape is not known, or the sizes do not fit.
    """
    if x.shape != y.shape or _broadcast(r, x) != x.shape:
        raise ValueError(
            f"x is {shown(x)}, y is {shown(y)}, r is {shown(r)}: give x and y of one shape, and an r for all or each."
        )
    match shape:
        case "circle":
            return torch.hypot(x, y) - r
        case "square":
            return torch.maximum(x.abs(), y.abs()) - 0.85 * r
        case "triangle":  # equilateral, around its centroid
            return torch.maximum((3**0.5 * x.abs() - y) / 2, y) - 1.15 * r / 2
        case "cross":
            long, short = torch.maximum(x.abs(), y.abs()), torch.minimum(x.abs(), y.abs())
            return torch.maximum(long - r, short - 0.36 * r)
        case "ring":
            return (torch.hypot(x, y) - 0.75 * r).abs() - 0.28 * r
        case _:
            raise ValueError(f"shape={shape!r:.60}: choose one of {', '.join(SHAPES)}.")

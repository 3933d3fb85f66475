"""A world whose truth is known: coloured shapes that move, in captions, in pixels and in exact numbers.

Everything is drawn with torch from a seed. Lengths are in units of the picture's side, so the same scene can be
rendered at any size; (0, 0) is the top left corner, x points right and y down. `NANO` is the world of the smallest
toy, `MINI` has everything.
"""

from small_models.world.captions import captions, parse, vocabulary
from small_models.world.pictures import masks, render
from small_models.world.scenes import Scenes, angles, draw_scenes, positions, velocities
from small_models.world.tables import (
    COLOURS,
    DIGITS,
    DIRECTIONS,
    GROUNDS,
    HANDWRITING,
    LONGEST,
    MINI,
    MOTIONS,
    NANO,
    SHAPES,
    TURNS,
    WORLDS,
    World,
    add_world,
    world_named,
)

__all__ = [
    "COLOURS",
    "DIGITS",
    "DIRECTIONS",
    "GROUNDS",
    "HANDWRITING",
    "LONGEST",
    "MINI",
    "MOTIONS",
    "NANO",
    "SHAPES",
    "TURNS",
    "WORLDS",
    "Scenes",
    "World",
    "add_world",
    "angles",
    "captions",
    "draw_scenes",
    "masks",
    "parse",
    "positions",
    "render",
    "velocities",
    "vocabulary",
    "world_named",
]

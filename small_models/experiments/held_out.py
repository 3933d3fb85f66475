"""Scenes outside of what was trained on: other speeds, other sizes, combinations that were left out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from pusa_lab.arguments import checked
from pusa_lab.sentences import counted
from small_models.world import COLOURS, MOTIONS, Scenes, World, draw_scenes, parse, positions
from small_models.world.captions import Phrase

HELD_OUT = 5
"""One of so many combinations of colour, shape and motion is held out."""
OUTSIDE = {
    "slower": ("speeds", min, 0.5),
    "faster": ("speeds", max, 1.5),
    "smaller": ("sizes", min, 0.8),
    "larger": ("sizes", max, 1.25),
}
"""Split -> what is outside the world's range: beyond which end of it, and how many times that."""
INSIDE, UNSEEN = "in distribution", "unseen combinations"
SPLITS = (INSIDE, *OUTSIDE, UNSEEN)
"""What models are asked for."""
STEADY = ("straight", "bounce", "circle")
"""Motions of constant speed, on which models are asked, so that errors can be told as parts of it."""
DRAWN = 16
"""Scenes drawn for each that is kept."""


@checked
def held_out(scenes: Scenes) -> Bool[Tensor, "n objects"]:
    """Which objects have a combination that is held out: colour + shape + motion, as indices, divisible by HELD_OUT.

    So every colour, shape and motion is seen, but not every combination.

    Args:
        scenes: any.
    """
    return _held_out(scenes.colour, scenes.shape, scenes.motion) & scenes.present


def _held_out(colour: Any, shape: Any, motion: Any) -> Any:
    return (colour + shape + motion) % HELD_OUT == 0


@checked
def trained_on(captions: Sequence[str], world: World) -> Bool[Tensor, " n"]:
    """Whether every combination that a caption names is one to train on: none is held out.

    Args:
        captions: in the words of the world's `captions`.
        world: whose words they are.

    Raises:
        ValueError: a caption is not in the world's grammar.
    """
    return torch.tensor([not any(_names(world, one) for one in parse(text, world).objects) for text in captions])


def _names(world: World, phrase: Phrase) -> bool:
    """Whether a phrase names a combination that is held out."""
    shape, colour = world.nouns.index(phrase.shape), list(COLOURS).index(phrase.colour)
    return _held_out(colour, shape, MOTIONS.index(phrase.motion))


@checked
def split_scenes(world: World, count: int, seed: int) -> dict[str, Scenes]:
    """The same scenes in every split, of one object at constant speed: they differ in speed, size or colour.

    Where objects start depends on the room that their speed and size leave.
    Objects whose centres come nearer to an edge than half their radius, in any split, are left out.

    Args:
        world: of training.
        count: scenes of each split.
        seed: the same seed gives the same scenes.

    Raises:
        ValueError: the world has too few colours, or too few scenes are left.
    """
    if world.colours < HELD_OUT:
        raise ValueError(f"the world has {counted(world.colours, 'colour')}: give one with at least {HELD_OUT}.")
    steady = tuple(row for row in world.motions if row[0] in STEADY)
    alone = replace(world, objects=(1.0,), motions=steady)
    worlds = {INSIDE: alone} | {name: _outside(alone, *how) for name, how in OUTSIDE.items()}
    drawn = {name: draw_scenes(DRAWN * count, seed, one) for name, one in worlds.items()}
    kept = torch.stack([_stays(scenes) for scenes in drawn.values()]).all(0) & ~held_out(drawn[INSIDE])[:, 0]
    found = {name: scenes[_first(kept, count)] for name, scenes in drawn.items()}
    return found | {UNSEEN: _recoloured(found[INSIDE])}


def _outside(world: World, table: str, end: Any, factor: float) -> World:
    """The same world with one speed, or one size, beyond its range."""
    word, value = end(getattr(world, table), key=lambda row: row[1])
    changed: dict[str, Any] = {table: ((word, factor * value),)}
    return replace(world, **changed)


def _recoloured(scenes: Scenes) -> Scenes:
    """The same scenes in colours whose combinations are held out."""
    colour = -(scenes.shape + scenes.motion) % HELD_OUT
    other = colour + HELD_OUT
    return replace(scenes, colour=other.where((other < scenes.world.colours) & (scenes.colour >= HELD_OUT), colour))


def _stays(scenes: Scenes) -> Bool[Tensor, " n"]:
    path, margin = positions(scenes, scenes.world.frames), scenes.radius()[:, None, :, None] / 2
    return ((path > margin) & (path < 1 - margin)).flatten(1).all(1)


def _first(kept: Bool[Tensor, " n"], count: int) -> Tensor:
    rows = kept.nonzero()[:count, 0]
    if len(rows) < count:
        raise ValueError(f"only {counted(len(rows), 'scene')} of {len(kept)} can be used: ask for fewer than {count}.")
    return rows

"""Scenes that the tests of the world and of its captions share."""

from dataclasses import replace

import torch

from small_models.world import MINI, WORLDS, draw_scenes

SCENES = {name: draw_scenes(1000, 3, world) for name, world in WORLDS.items()}
ONE = torch.tensor([True, False, False])


def scene(n=1, world=MINI, **changes):
    """n scenes of one medium fast, big, upright red circle in the middle of black, with changes."""
    scenes = draw_scenes(n, 0, world)
    zero = torch.zeros_like(scenes.shape)
    base = {name: zero for name in ("shape", "motion", "direction")} | {"speed": zero + 1, "size": zero + 1}
    base |= {"colour": torch.arange(3).expand(n, 3), "present": ONE.expand(n, 3), "spin": zero > 0}
    base |= {"start": torch.full((n, 3, 2), 0.5), "angle": torch.zeros(n, 3)}
    base |= {"ground": zero[:, 0], "level": torch.zeros(n), "pan": zero[:, 0]}
    return replace(scenes, **{**base, **changes})

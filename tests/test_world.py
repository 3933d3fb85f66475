"""pytest tests/test_world.py: the world is what its captions and positions say, at any size."""

import pytest
import torch

from small_models import world
from small_models.reader import locate
from small_models.text import MAX_WORDS, TextEncoder, tokenize

SCENES = world.draw_scenes(400, seed=3)


def one(**changes):
    """A single red circle in the middle, moving right."""
    base = {
        "present": torch.tensor([[True, False]]),
        "shape": torch.tensor([[0, 0]]),
        "colour": torch.tensor([[0, 1]]),
        "direction": torch.tensor([[0, 0]]),
        "speed": torch.tensor([[1, 1]]),
        "start": torch.full((1, 2, 2), 0.5),
        "background": torch.zeros(1),
    }
    return world.Scenes(**{**base, **changes})


def test_the_seed_decides():
    again = world.draw_scenes(400, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(vars(SCENES).values(), vars(again).values(), strict=True))
    assert not torch.equal(world.draw_scenes(400, seed=4).start, SCENES.start)


def test_two_objects_never_share_a_colour():
    assert (SCENES.colour[:, 0] != SCENES.colour[:, 1]).all()


def test_motion_is_straight_until_a_wall():
    p = world.positions(one(), 4)[0, :, 0]
    torch.testing.assert_close(p, torch.tensor([[0.5, 0.5], [0.56, 0.5], [0.62, 0.5], [0.68, 0.5]]))


def test_walls_reflect():
    # Independent of the folded formula: step by step, turning the speed at each wall.
    p, v = SCENES.start.clone(), world.positions(SCENES, 2)[:, 1] - SCENES.start
    inside = world.positions(SCENES, 40)
    low, high = world.RADIUS, 1 - world.RADIUS
    heading = torch.tensor(list(world.DIRECTIONS.values())).float()
    v = torch.nn.functional.normalize(heading)[SCENES.direction]
    v = v * torch.tensor(list(world.SPEEDS.values()))[SCENES.speed][..., None]
    for t in range(40):
        torch.testing.assert_close(inside[:, t], p, atol=1e-4, rtol=0)
        p = p + v
        for wall, sign in ((low, 1), (high, -1)):
            over = (p - wall) * sign < 0
            p = torch.where(over, 2 * wall - p, p)
            v = torch.where(over, -v, v)


@pytest.mark.parametrize("size", [16, 33, 64])
def test_pixels_have_the_shapes_area(size):
    r = world.RADIUS
    area = {0: torch.pi * r**2, 1: (1.7 * r) ** 2, 2: 3 * 3**0.5 / 4 * (1.15 * r) ** 2}
    for shape, want in area.items():
        clip = world.render(one(shape=torch.tensor([[shape, 0]])), 1, size)
        ink = torch.tensor(world.COLOURS["red"]).view(1, 3, 1, 1, 1)
        cover = ((clip + 1) / 2 * ink).sum(1) / ink.square().sum()
        assert cover.mean().item() == pytest.approx(want, rel=0.06)


def test_sizes_show_the_same_scene():
    small, big = world.render(SCENES[:20], 4, 16), world.render(SCENES[:20], 4, 64)
    assert (torch.nn.functional.avg_pool3d(big, (1, 4, 4)) - small).abs().mean() < 0.02


def test_captions_in_plain_words():
    assert world.captions(one()) == ["a red circle moves right"]
    two = one(present=torch.tensor([[True, True]]), speed=torch.tensor([[2, 0]]), direction=torch.tensor([[7, 2]]))
    assert world.captions(two) == ["a red circle moves quickly up and right, a green circle moves slowly down"]


def test_the_reader_finds_true_positions():
    clip, truth = world.render(SCENES), world.positions(SCENES, 8)
    alone = ~SCENES.present[:, 1]
    where, area = locate(clip, SCENES.colour)
    error = (where - truth)[alone][:, :, 0].norm(dim=-1) * 16
    assert error.mean() < 0.2
    assert (area[alone][:, :, 1] == 0).all()
    assert where[alone][:, :, 1].isnan().all()


def test_the_reader_sees_nothing_in_noise():
    _, area = locate(torch.randn(20, 3, 2, 16, 16).clamp(-1, 1), torch.zeros(20, 1, dtype=torch.long))
    assert area.mean() < 0.03


def test_every_caption_can_be_read():
    tokens = tokenize(world.captions(SCENES))
    assert tokens.shape == (400, MAX_WORDS)
    assert (tokens[:, 0] > 0).all()


def test_tokens_ignore_case_and_full_stop():
    assert torch.equal(tokenize(["A red circle moves right."]), tokenize(["a red circle moves right"]))
    assert (tokenize([""]) == 0).all()


@pytest.mark.parametrize("prompt", ["a red elephant", "<empty>", "a red circle; moves"])
def test_unknown_words_are_told(prompt):
    with pytest.raises(ValueError, match="unknown words"):
        tokenize([prompt])


def test_words_meet_each_other():
    encoder = TextEncoder(16)
    a, b = encoder(tokenize(["a red circle moves up, a blue square moves down"] * 2)), None
    b = encoder(tokenize(["a blue circle moves up, a blue square moves down"]))
    # The word "circle" is the same, but its embedding knows its colour.
    assert not torch.allclose(a[0, 2], b[0, 2])

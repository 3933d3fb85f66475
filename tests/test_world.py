"""pytest tests/test_world.py: the world moves and looks as its formulas say, at any size."""

import math
from dataclasses import replace

import pytest
import torch
from scenes import SCENES, scene
from torch.nn import functional as F

from small_models.world import (
    COLOURS,
    DIRECTIONS,
    MINI,
    MOTIONS,
    NANO,
    SHAPES,
    TURNS,
    WORLDS,
    angles,
    captions,
    draw_scenes,
    masks,
    positions,
    render,
    velocities,
)
from small_models.world.pictures import distance
from small_models.world.tables import GRAVITY, PAN, SPIN, STOP

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_seed_decides():
    for name, world in WORLDS.items():
        again, other = draw_scenes(1000, 3, world), draw_scenes(1000, 4, world)
        fields = [field for field in vars(again) if field != "world"]
        assert all(torch.equal(getattr(SCENES[name], field), getattr(again, field)) for field in fields)
        assert not torch.equal(other.start, again.start)
        assert captions(again, 1) == captions(SCENES[name], 1)


@pytest.mark.parametrize("name", WORLDS)
def test_everything_occurs_and_fits(name):
    scenes, world = SCENES[name], WORLDS[name]
    assert set(scenes.present.sum(1).tolist()) == set(range(1, len(world.objects) + 1))
    assert set(scenes.shape.unique().tolist()) == set(range(len(world.nouns)))
    assert {MOTIONS[i] for i in scenes.motion.unique()} == {motion for motion, _ in world.motions}
    assert len(scenes.ground.unique()) == world.grounds
    assert len(scenes.speed.unique()) == 3 and len(scenes.direction.unique()) == 8
    assert scenes.colour.max() == world.colours - 1
    assert all(len(set(row)) == len(row) for row in scenes.colour.tolist())  # no colour twice
    assert (scenes.ground[scenes.pan != 0] >= 2).all()
    assert (scenes.level <= 0.4).all()


def test_objects_stay_in_the_picture():
    for name, world in WORLDS.items():
        scenes = SCENES[name]
        path, r = positions(scenes, world.frames), scenes.radius()[:, None, :, None]
        out = torch.maximum(r - path, path - (1 - r)).amax((1, 3))
        walled = scenes.motion == MOTIONS.index("bounce")
        assert out[walled].max() < 1e-5
        assert out.max() < 0.11  # what moves quickly from side to side is wider than its way
        assert (path > 0.1).all() and (path < 0.9).all()


def of(motion, n=400):
    """Scenes of MINI in which everything moves one way."""
    scenes = draw_scenes(n, 7, replace(MINI, motions=tuple(row for row in MINI.motions if row[0] == motion)))
    assert (scenes.motion == MOTIONS.index(motion)).all()
    return scenes


def first_velocity(scenes):
    """From the words of the tables, independently of `Scenes.velocity`."""
    heading = torch.tensor([(x / math.hypot(x, y), y / math.hypot(x, y)) for x, y in DIRECTIONS.values()])
    return heading[scenes.direction] * torch.tensor([v for _, v in scenes.world.speeds])[scenes.speed][..., None]


def simulated(scenes, frames, steps, gravity=0.0, floor_only_y=False):
    """Step by step, with mirror reflections at the walls, in double precision."""
    p, v = scenes.start.double(), first_velocity(scenes).double()
    r, path, dt = scenes.radius().double()[..., None], [], 1 / steps
    for _ in range(frames):
        path.append(p)
        for _ in range(steps):
            p = p + v * dt
            p[..., 1] += gravity * dt**2 / 2
            v[..., 1] += gravity * dt
            low, high = p < r, p > 1 - r
            low[..., 1] &= not floor_only_y
            p = torch.where(low, 2 * r - p, torch.where(high, 2 * (1 - r) - p, p))
            v = torch.where(low, v.abs(), torch.where(high, -v.abs(), v))
    return torch.stack(path, dim=1).float()


def test_straight_is_straight():
    scenes = of("straight")
    t = torch.arange(33.0).view(1, -1, 1, 1)
    path = scenes.start[:, None] + t * first_velocity(scenes)[:, None]
    torch.testing.assert_close(positions(scenes, 33), path, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["nano", "mini"])
def test_what_bounces_is_reflected_at_the_walls(name):
    scenes = SCENES["nano"] if name == "nano" else of("bounce")
    torch.testing.assert_close(positions(scenes, 65), simulated(scenes, 65, steps=1), atol=1e-4, rtol=0)


def test_what_is_thrown_falls_and_bounces_off_the_floor():
    scenes = of("gravity", 60)
    simulation = simulated(scenes, 49, steps=100, gravity=GRAVITY, floor_only_y=True)
    torch.testing.assert_close(positions(scenes, 49), simulation, atol=2e-3, rtol=0)
    # Energy is kept: it rises as high as it was thrown.
    path, v = positions(scenes, 400), first_velocity(scenes)
    height = v[..., 1].square() / 2 - GRAVITY * scenes.start[..., 1]
    top = -(path[..., 1].amin(1)) * GRAVITY
    torch.testing.assert_close(top, height, atol=2e-6, rtol=0)


def test_what_circles_keeps_its_radius_and_pace():
    scenes = of("circle")
    arm = positions(scenes, 33) - 0.5
    reach = arm.norm(dim=-1)
    torch.testing.assert_close(reach, reach[:, :1].expand_as(reach), atol=1e-5, rtol=0)
    assert reach.min() > 0.149
    a, b = arm[:, :-1], arm[:, 1:]
    turn = torch.atan2(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0], (a * b).sum(-1))
    pace = torch.tensor([v for _, v in MINI.speeds])[scenes.speed]
    way = torch.tensor(list(TURNS.values()))[scenes.direction % 2]  # y points down, so a positive turn is clockwise
    torch.testing.assert_close(turn * reach[:, 1:], (way * pace)[:, None].expand_as(turn), atol=1e-4, rtol=0)


def test_what_stops_brakes_evenly_and_rests():
    scenes = of("stop")
    path = positions(scenes, 33)
    assert torch.equal(path[:, STOP:], path[:, STOP : STOP + 1].expand(-1, 33 - STOP, -1, -1))
    p, v = scenes.start.double(), first_velocity(scenes).double()
    for t in range(STOP):
        torch.testing.assert_close(path[:, t].double(), p, atol=1e-5, rtol=0)
        p = p + v * (1 - (t + 0.5) / STOP)  # the speed falls linearly, so the middle of the frame is its mean
    torch.testing.assert_close(path[:, STOP].double(), p, atol=1e-5, rtol=0)


def test_velocities_lead_from_frame_to_frame():
    scenes = SCENES["mini"][:50]
    path = positions(scenes, 34)
    torch.testing.assert_close(path[:, :-1] + velocities(scenes, 33), path[:, 1:], atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [33, 64, 200])
def test_pixels_have_the_shapes_area(size):
    r = dict(MINI.sizes)["big"]
    inner = 1.15 * r / 2
    areas = {
        "circle": math.pi * r**2,
        "square": (1.7 * r) ** 2,
        "triangle": 3 * 3**0.5 * inner**2,
        "cross": 2 * (2 * r * 0.72 * r) - (0.72 * r) ** 2,
        "ring": math.pi * (1.03**2 - 0.47**2) * r**2,
    }
    assert tuple(areas) == SHAPES
    for spin in (False, True):
        scenes = scene(5, shape=torch.arange(5)[:, None].expand(5, 3), spin=torch.full((5, 3), spin))
        got = masks(scenes, 9, size)[:, 0].mean((-1, -2))
        want = torch.tensor(list(areas.values()))[:, None].expand(-1, 9)
        torch.testing.assert_close(got, want, atol=0, rtol=0.4 / size)


def test_masks_are_what_is_seen():
    scenes = SCENES["mini"][:24]
    shown = masks(scenes, 9)
    assert shown.shape == (24, 3, 9, 64, 64)
    assert shown.min() >= 0 and shown.sum(1).max() <= 1 + 1e-5
    assert (shown[~scenes.present] == 0).all()
    whole = render(scenes, 9)
    ink = torch.tensor(list(COLOURS.values()))[scenes.colour].view(24, 3, 3, 1, 1, 1) * 2 - 1
    for i in range(3):
        # Taken away, the object uncovers what is below: the difference of the two pictures is mask x (ink - below).
        present = scenes.present.clone()
        present[:, i:] = False
        below = render(replace(scenes, present=present), 9)
        upto = present.clone()
        upto[:, i] = scenes.present[:, i]
        alone = masks(replace(scenes, present=upto), 9)[:, i, None]
        with_it = render(replace(scenes, present=upto), 9)
        torch.testing.assert_close(with_it - below, alone * (ink[:, i] - below), atol=1e-5, rtol=0)
        assert (shown[:, i, None] <= alone + 1e-6).all()  # the later ones hide it
    ground = render(replace(scenes, present=torch.zeros_like(scenes.present)), 9)
    total = (shown[:, :, None] * ink).sum(1) + (1 - shown.sum(1, keepdim=True)) * ground
    torch.testing.assert_close(whole, total, atol=1e-5, rtol=0)


def test_later_objects_hide_earlier_ones():
    together = scene(present=torch.tensor([[True, True, True]]))
    middle = render(together, 1, 63)[0, :, 0, 31, 31]
    torch.testing.assert_close(middle, torch.tensor(COLOURS["blue"]) * 2 - 1)
    shown = masks(together, 1, 63)[0].sum((-1, -2, -3))
    assert shown[2] > 400 and shown[0] < 20 and shown[1] < 20


def test_what_spins_turns():
    still, spinning = (scene(motion=torch.full((1, 3), 4), spin=torch.full((1, 3), s)) for s in (False, True))
    assert (angles(still, 9) == 0).all()
    torch.testing.assert_close(angles(spinning, 9)[0, :, 0], SPIN * torch.arange(9.0))
    # A square that has turned by a right angle is as it was; by half of it, its corner points up.
    square = torch.ones(1, 3, dtype=torch.long)
    for turn, top in ((0, 0.85), (math.pi / 4, 0.85 * 2**0.5), (math.pi / 2, 0.85)):
        column = masks(scene(shape=square, angle=torch.full((1, 3), float(turn))), 1, 255)[0, 0, 0, :, 127]
        assert column.sum().item() / 255 / 2 == pytest.approx(top * 0.19, abs=0.005)
    # Clockwise on the screen: turned by 90 degrees, the top of a triangle looks right.
    tip = masks(scene(shape=2 * square, angle=torch.full((1, 3), math.pi / 2)), 1, 255)[0, 0, 0]
    x = torch.arange(255).float()
    assert tip.sum(0).nonzero().max() - 127 > 127 - tip.sum(0).nonzero().min()
    assert (tip.sum(1) * x).sum() / tip.sum() == pytest.approx(127, abs=0.5)


@pytest.mark.parametrize("ground", range(4))
@pytest.mark.parametrize("pan", [-1, 0, 1])
def test_the_ground_passes_by(ground, pan):
    fields = {"ground": torch.tensor([ground]), "pan": torch.tensor([pan]), "level": torch.tensor([0.3])}
    clip = (render(scene(**fields, present=torch.zeros(1, 3).bool()), 5, 320) + 1) / 2
    assert torch.equal(clip[:, :1].expand(-1, 3, -1, -1, -1), clip)
    assert (clip - 0.3).abs().max() <= 0.0601
    assert (clip[0, 0, 0].std() > 0.02) == (ground > 0)
    pixels = round(4 * PAN * 320) * pan  # after 4 frames
    torch.testing.assert_close(clip[0, 0, 4].roll(pixels, -1), clip[0, 0, 0], atol=1e-4, rtol=0)
    if ground >= 2 and pan:
        assert (clip[0, 0, 4] - clip[0, 0, 0]).abs().max() > 0.03


@pytest.mark.parametrize("name", WORLDS)
def test_sizes_show_the_same_scene(name):
    scenes = SCENES[name][:20]
    small, big = render(scenes, 5, 32), render(scenes, 5, 128)
    assert (F.avg_pool3d(big, (1, 4, 4)) - small).abs().mean() < 0.01


def test_any_number_of_frames():
    scenes = SCENES["mini"][:6]
    long = render(scenes, 65, 32)
    for frames in (1, 5, 9, 33):
        torch.testing.assert_close(render(scenes, frames, 32), long[:, :, :frames])
    assert render(scenes).shape == (6, 3, 33, 64, 64)
    assert render(SCENES["nano"][:2]).shape == (2, 3, 8, 16, 16)
    assert long.min() >= -1 and long.max() <= 1


def test_scenes_can_be_chosen_and_moved():
    scenes = SCENES["mini"]
    some = scenes[torch.tensor([5, 2])]
    assert len(some) == 2 and len(scenes[3:7]) == 4
    torch.testing.assert_close(render(some, 1, 16), torch.cat([render(scenes[i : i + 1], 1, 16) for i in (5, 2)]))
    assert scenes[:3].to("meta").level.device.type == "meta"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"nouns": ("hexagon",)}, "nouns="),
        ({"motions": (("zigzag", ("zigzags {}",)),)}, "motions="),
        ({"speeds": ()}, "0 speeds"),
        ({"colours": 9}, "colours=9"),
        ({"objects": (0.0,)}, "objects="),
        ({"objects": (0.5,) * 7}, "objects="),
        ({"pan": 2.0}, "pan=2"),
    ],
)
def test_worlds_that_cannot_be_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        replace(NANO, **change)


def test_a_shape_that_is_not_known_is_not_drawn_as_a_ring():
    x = torch.rand(2, 3)
    with pytest.raises(ValueError, match="shape='hexagon': choose one of circle"):
        distance(x, x, "hexagon", x)
    with pytest.raises(ValueError, match="give x and y of one shape"):
        distance(x, x.T, "ring", x)

"""pytest tests/test_reader.py: the reader sees what the world drew, also blurred and noisy, and what is wrong."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from small_models.world import HANDWRITING, MINI, MOTIONS, NANO, draw_scenes, positions, reader, render

SCENES = draw_scenes(12, seed=21, world=MINI)
SMALL = draw_scenes(150, seed=5)


def through_a_codec(clip):
    """Blurred by 0.8 pixels, with noise of 0.03 of the range: about what a small autoencoder leaves."""
    kernel = torch.exp(-(torch.arange(-3, 4).float() ** 2) / (2 * 0.8**2))
    kernel = kernel / kernel.sum()
    frames = F.pad(clip.flatten(0, 1), (3, 3, 3, 3), mode="replicate").flatten(0, 1)[:, None]
    blurred = F.conv2d(F.conv2d(frames, kernel.view(1, 1, 1, 7)), kernel.view(1, 1, 7, 1)).view_as(clip)
    return (blurred + 0.06 * torch.randn_like(clip)).clamp(-1, 1)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def clip():
    return render(SCENES)


def share(answers, scenes, name):
    return answers[name][scenes.present].float().mean().item()


def test_true_clips_are_confirmed(clip):
    answers = reader.confirm(clip, SCENES)
    for name in ("present", "colour", "shape", "motion", "direction"):
        assert answers[name].shape == SCENES.present.shape
        assert share(answers, SCENES, name) > 0.97
        assert not answers[name][~SCENES.present].any()
    assert not answers["extra"].any()


def test_blurred_and_noisy_clips_are_confirmed(clip):
    answers = reader.confirm(through_a_codec(clip), SCENES)
    assert min(share(answers, SCENES, name) for name in ("present", "colour", "shape", "motion", "direction")) > 0.97
    assert not answers["extra"].any()


def test_places_are_exact(clip):
    where, area = reader.locate(clip, SCENES.colour, MINI)
    error = (where - positions(SCENES, 33)).norm(dim=-1) * 64
    alone = SCENES.present & (SCENES.present.sum(1, keepdim=True) == 1)
    assert error.transpose(1, 2)[alone].quantile(0.95) < 0.3
    assert error.transpose(1, 2)[SCENES.present].nanmedian() < 0.1
    assert (area.transpose(1, 2)[~SCENES.present] < 0.002).all()


def test_every_colour_is_found_on_every_ground():
    scenes = draw_scenes(32, seed=3, world=MINI)
    only = torch.tensor([True, False, False]).expand(32, 3)
    every = torch.arange(32)[:, None].expand(32, 3)
    scenes = replace(scenes, present=only, colour=every % 8, ground=every[:, 0] // 8, level=torch.full((32,), 0.4))
    where, area = reader.locate(render(scenes, 5), scenes.colour, MINI)
    assert ((where - positions(scenes, 5)).norm(dim=-1)[..., 0] * 64 < 0.5).all()
    others = (scenes.colour[:, :1] + torch.arange(1, 8)) % 8
    assert (reader.locate(render(scenes, 5), others, MINI)[1] == 0).all()
    assert (area[..., 0] > 0.03).all()


def test_edges_do_not_mix_to_a_third_colour():
    # Red and yellow mix to orange, where they overlap and move as one.
    scenes = draw_scenes(20, seed=8, world=MINI)
    two = torch.tensor([True, True, False]).expand(20, 3)
    start = scenes.start[:, :1].expand(-1, 3, -1) + 0.08 * torch.tensor([0, 1, 0]).view(1, 3, 1)
    scenes = replace(scenes, present=two, colour=torch.tensor([0, 3, 6]).expand(20, 3), start=start)
    for clip in (render(scenes, 5), through_a_codec(render(scenes, 5))):
        assert reader.locate(clip, scenes.colour, MINI)[1][..., 2].max() < 0.003
        assert not reader.confirm(clip, scenes)["extra"].any()


def wrong_direction(scenes):
    return replace(scenes, direction=torch.where(scenes.motion == 3, scenes.direction + 1, scenes.direction + 2) % 8)


def wrong_shape(scenes):
    return replace(scenes, shape=(scenes.shape + 1 + torch.arange(len(scenes))[:, None] % 4) % 5)


def wrong_colour(scenes):
    """The first object in a colour that no object of the scene has."""
    free = torch.ones(len(scenes), 8).scatter(1, scenes.colour, 0).argmax(1)
    return replace(scenes, colour=torch.cat([free[:, None], scenes.colour[:, 1:]], dim=1))


def wrong_motion(scenes):
    moves = torch.where(scenes.motion == MOTIONS.index("circle"), MOTIONS.index("gravity"), MOTIONS.index("circle"))
    return replace(scenes, motion=moves, start=0.5 + 0.6 * (scenes.start - 0.5), speed=torch.full_like(moves, 2))


def test_what_is_wrong_is_caught():
    claimed = draw_scenes(6, seed=31, world=MINI)
    alone = torch.tensor([True, False, False]).expand(6, 3)
    claimed = replace(claimed, present=claimed.present & (alone | (torch.arange(6) % 2 == 0)[:, None]))

    def read(scenes):
        return reader.confirm(through_a_codec(render(scenes)), claimed)

    answers = read(wrong_direction(claimed))
    assert share(answers, claimed, "direction") < 0.05
    assert share(answers, claimed, "shape") > 0.9  # some now hide each other
    answers = read(wrong_shape(claimed))
    assert share(answers, claimed, "shape") < 0.03
    assert share(answers, claimed, "direction") > 0.95
    assert share(read(wrong_motion(claimed)), claimed, "motion") < 0.1
    answers = read(wrong_colour(claimed))
    assert answers["extra"].float().mean() > 0.9
    assert not any(answers[name][:, 0].any() for name in ("present", "colour", "shape", "motion", "direction"))


def test_a_still_object_has_no_direction(clip):
    still = clip[:12, :, :1].expand_as(clip)
    answers = reader.confirm(still, SCENES)
    assert share(answers, SCENES, "present") == 1
    assert share(answers, SCENES, "direction") == 0


def test_an_object_that_changes_its_colour_is_present_but_not_right(clip):
    other = render(wrong_colour(SCENES))
    changed = torch.cat([clip[:12, :, :20], other[:, :, 20:]], dim=2)
    answers = reader.confirm(changed, SCENES)
    assert answers["present"][:, 0].float().mean() > 0.95
    assert not answers["colour"][:, 0].any()


def test_tracks_tell_motion_direction_and_speed():
    scenes = draw_scenes(24, seed=2, world=MINI)
    where, area = positions(scenes, 33), torch.full((24, 33, 3), 0.05)
    where = where + 0.3 / 64 * torch.randn_like(where)
    where[:, 10:14] = torch.nan
    where[:12, 0] = torch.nan
    motion, direction, speed = reader.read_motion(where, area, MINI, scenes.size)
    same = (motion == scenes.motion) & (speed == scenes.speed)
    same &= direction == torch.where(scenes.motion == MOTIONS.index("circle"), scenes.direction % 2, scenes.direction)
    # What bounces and meets no wall moves straight.
    assert same[scenes.motion != MOTIONS.index("bounce")].float().mean() > 0.97
    costs = reader.motion_costs(where, area, MINI, scenes.size)
    way = reader.read_direction(costs, scenes.motion, scenes.speed)
    right = way == torch.where(scenes.motion == MOTIONS.index("circle"), scenes.direction % 2, scenes.direction)
    assert right.float().mean() > 0.98
    assert costs[:, :, MOTIONS.index("circle"), 2:].isinf().all()


def test_shapes_and_sizes(clip):
    shape, size = reader.read_shape(clip, SCENES.colour, MINI)
    assert (shape == SCENES.shape)[SCENES.present].float().mean() > 0.98
    assert (size == SCENES.size)[SCENES.present].float().mean() > 0.98


def test_noise_shows_nothing():
    scenes = draw_scenes(4, seed=1, world=MINI)
    for scale in (0.3, 1.0):
        noise = (scale * torch.randn(4, 3, 9, 64, 64)).clamp(-1, 1)
        where, area = reader.locate(noise, scenes.colour, MINI)
        assert area.max() < 0.002
        assert not torch.stack(list(value.any() for value in reader.confirm(noise, scenes).values())).any()
    blank = torch.zeros(1, 3, 5, 64, 64)
    where, area = reader.locate(blank, torch.tensor([[0, 7]]), MINI)
    assert (area == 0).all() and where.isnan().all()


def test_nano_is_read_as_before():
    """Six inks and no filter: the sum over pixels of the share of ink, written out."""
    clip = render(SMALL[:40])
    where, area = reader.locate(clip, SMALL.colour[:40])
    pixels = (clip + 1) / 2
    grey = pixels.flatten(2).median(dim=2).values.mean(dim=1).view(-1, 1, 1, 1, 1, 1)
    ink = torch.tensor(list(reader.COLOURS.values())[: NANO.colours]).view(1, -1, 3, 1, 1, 1) - grey
    offset = pixels[:, None] - grey
    a = ((offset * ink).sum(2) / ink.square().sum(2)).clamp(0, 1)
    residual = (offset - a[:, :, None] * ink).square().sum(2)
    a = a * (residual == residual.amin(1, keepdim=True)) * (residual < 0.03) * (a > 0.25)
    for i in range(2):
        mask = a[torch.arange(40), SMALL.colour[:40, i]]
        torch.testing.assert_close(area[..., i], mask.mean((-1, -2)), atol=1e-6, rtol=0)
        x = (mask.sum(-2) * (torch.arange(16) + 0.5) / 16).sum(-1) / mask.sum((-1, -2))
        torch.testing.assert_close(where[..., i, 0], x, atol=1e-5, rtol=0, equal_nan=True)


def test_nano_is_confirmed():
    clip = render(SMALL)
    where, area = reader.locate(clip, SMALL.colour)
    alone = ~SMALL.present[:, 1]
    error = (where - positions(SMALL, 8))[alone][:, :, 0].norm(dim=-1) * 16
    assert error.mean() < 0.2
    assert (area[alone][:, :, 1] == 0).all() and where[alone][:, :, 1].isnan().all()
    answers = reader.confirm(clip, SMALL)
    assert share(answers, SMALL, "shape") > 0.97
    assert share(answers, SMALL, "direction") > 0.96
    _, area = reader.locate(torch.randn(20, 3, 2, 16, 16).clamp(-1, 1), torch.zeros(20, 1, dtype=torch.long))
    assert area.mean() < 0.03


def test_digits_are_confirmed():
    scenes = draw_scenes(16, seed=6, world=HANDWRITING)
    answers = reader.confirm(render(scenes), scenes)
    assert share(answers, scenes, "shape") > 0.95
    assert share(answers, scenes, "direction") > 0.9


@pytest.mark.parametrize(("frames", "size"), [(9, 48), (17, 65), (5, 96), (1, 64)])
def test_other_sizes(frames, size):
    scenes = draw_scenes(6, seed=12, world=MINI)
    clip = render(scenes, frames, size)
    where, _ = reader.locate(clip, scenes.colour, MINI)
    assert where.shape == (6, frames, 3, 2)
    assert (where - positions(scenes, frames)).norm(dim=-1)[:, 0][scenes.present].nanmedian() * size < 0.5
    assert share(reader.confirm(clip, scenes), scenes, "shape") > 0.9


def test_pictures_that_are_not_square():
    scenes = draw_scenes(4, seed=12, world=MINI)
    wide = F.interpolate(render(scenes, 3), scale_factor=(1, 1, 2))
    torch.testing.assert_close(
        reader.locate(wide, scenes.colour, MINI)[0],
        reader.locate(render(scenes, 3), scenes.colour, MINI)[0],
        atol=0.02,
        rtol=0,
        equal_nan=True,
    )


def test_answers_do_not_depend_on_the_batch(clip):
    whole = reader.confirm(clip[:5], SCENES[:5])
    parts = [reader.confirm(clip[i : i + 1], SCENES[i : i + 1]) for i in range(5)]
    for name, value in whole.items():
        assert torch.equal(value, torch.cat([part[name] for part in parts]))

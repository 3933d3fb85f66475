"""pytest tests/test_metrics_appearance.py: looks kept and lost, in the world with its truth and in a real clip."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from pusa_lab import metrics, pixels
from pusa_lab.data import read_clip
from pusa_lab.metrics import background_consistency, foreground, i2v_background, i2v_subject, subject_consistency
from small_models.world import WORLDS, draw_scenes, masks, render

pytestmark = pytest.mark.usefixtures("one_thread")


def disc(n=2, frames=5, size=(30, 44), step=4):
    """Colourful discs of radius 5 on a grey ground that move by whole pixels, and their masks (n, 2, ...)."""
    y, x = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    mask = torch.zeros(n, 2, frames, *size)
    for t in range(frames):
        mask[:, 0, t] = ((x - 10 - step * t) ** 2 + (y - 12) ** 2 < 25).float()
    ink = torch.rand(n, 3, 1, 1, 1)
    return torch.lerp(torch.tensor(0.25), ink, mask[:, :1]) * 2 - 1, mask


def test_where_a_subject_is_does_not_matter():
    clip, mask = disc()
    ones = torch.ones(2)
    torch.testing.assert_close(subject_consistency(clip, mask), ones, atol=1e-4, rtol=0)
    torch.testing.assert_close(i2v_subject(clip, mask, clip[:, :, 2:3], mask[:, :, 2:3]), ones, atol=1e-4, rtol=0)
    assert (background_consistency(clip, mask) == 1).all()
    assert (i2v_background(clip, mask, clip[:, :, :1], mask[:, :, :1]) == 1).all()


def test_a_subject_that_vanishes_is_0_and_half_a_clip_counts_half():
    clip, mask = disc()
    mask[0, :, 1:] = 0
    mask[1, :, 3:] = 0
    # Of the second: frames 1 and 2 are 1, frame 3 and 4 are 0.
    torch.testing.assert_close(subject_consistency(clip, mask), torch.tensor([0, 0.5]), atol=1e-4, rtol=0)
    found = i2v_subject(clip, mask, clip[:, :, :1], mask[:, :, :1])
    torch.testing.assert_close(found, torch.tensor([0.2, 0.6]), atol=1e-4, rtol=0)


def test_a_colour_that_fades_by_hand():
    _, mask = disc(step=0)
    value = torch.tensor([1.0, 0.5, 0.5, 0.5, 0.5])[:, None, None]  # white turns grey
    clip = (mask[:, :1] * value * 2 - 1).expand(-1, 3, -1, -1, -1).contiguous()
    far = (3 * 0.5 + 1) / 4  # three channels halved, the mask kept
    want = torch.full((2,), (far + (far + 1) / 2 * 3) / 4)
    torch.testing.assert_close(subject_consistency(clip, mask), want, atol=1e-5, rtol=0)


def test_only_subjects_seen_at_the_start_count():
    clip, mask = disc()
    late = mask.clone()
    late[:, 1, 2:] = mask[:, 0, :3]  # another one that comes in
    torch.testing.assert_close(subject_consistency(clip, late), subject_consistency(clip, mask))
    both = mask.clone()
    both[:, 1, 0] = mask[:, 0, 0]  # seen once, gone later
    torch.testing.assert_close(subject_consistency(clip, both), torch.full((2,), 0.5), atol=1e-4, rtol=0)
    mask[1] = 0
    assert subject_consistency(clip, mask).isnan().tolist() == [False, True]
    assert subject_consistency(clip, torch.zeros_like(mask)).isnan().all()


def test_a_background_that_changes_by_hand():
    mask = torch.zeros(2, 1, 4, 6, 7)
    mask[0, 0, 2, :3] = 1
    clip = torch.zeros(2, 3, 4, 6, 7)
    clip[:, :, 2, :3] = 1  # half of frame 2 turns white, in [0, 1] by .5; in the first clip under the subject
    found = background_consistency(clip, mask).tolist()
    assert found == pytest.approx([1, 1 - 0.25 * (1 + 0.5) / 3], abs=1e-6)
    given = i2v_background(clip, mask, clip[:, :, :1], mask[:, :, :1])
    assert given.tolist() == pytest.approx([1, 1 - 0.25 / 4], abs=1e-6)
    mask[1, 0, 2] = 1  # nothing of frame 2 is left to compare
    assert background_consistency(clip, mask).tolist() == pytest.approx([1, 1])


@pytest.mark.usefixtures("as_user")
def test_masks_that_do_not_fit_are_refused():
    clip, mask = disc()
    picture, one = clip[:, :, :1], mask[:, :, :1]
    for wrong, said in ((mask[:, :, 1:], "masks have shape"), (mask > 0, "dtype"), (mask * 2, r"in \[0, 1\]")):
        for measure in (subject_consistency, background_consistency, metrics.flicker):
            with pytest.raises(ValueError, match=said):
                measure(clip, wrong)
    for measure in (i2v_subject, i2v_background):
        with pytest.raises(ValueError, match="one frame as large"):
            measure(clip, mask, clip[:, :, :2], mask[:, :, :2])
        with pytest.raises(ValueError, match="same subjects"):
            measure(clip, mask, picture, one[:, :1])


def test_foreground_finds_what_moves():
    clip, mask = disc(frames=9)
    assert torch.equal(foreground(clip), mask[:, :1])
    clip = clip[:, :, :1].expand(-1, -1, 9, -1, -1)
    assert foreground(clip).sum() == 0


def test_foreground_finds_what_it_says(truth):
    _, clip, mask = truth
    found, seen = foreground(clip)[:, 0] > 0, mask.sum(1) > 0.5
    assert (found & seen).sum() > 0.58 * found.sum()
    assert (found & seen).sum() > 0.5 * seen.sum()


SCENES = {name: draw_scenes(24, 11, WORLDS[name]) for name in ("mini", "nano")}


@pytest.fixture(scope="module", params=["mini", "nano"])
def truth(request):
    """Scenes, their clips and masks."""
    scenes = SCENES[request.param]
    return scenes, render(scenes), masks(scenes)


def half(clip, other):
    """The second half from another clip."""
    middle = clip.shape[2] // 2
    return torch.cat([clip[:, :, :middle], other[:, :, middle:]], dim=2)


def test_lost_and_repainted_subjects_score_lower(truth):
    scenes, clip, mask = truth
    bare = render(replace(scenes, present=torch.zeros_like(scenes.present)))
    painted = render(replace(scenes, colour=(scenes.colour + 1) % scenes.world.colours))
    picture = clip[:, :, :1], mask[:, :, :1]
    for spoiled, seen in ((half(clip, bare), half(mask, 0 * mask)), (half(clip, painted), mask)):
        assert (subject_consistency(spoiled, seen) < subject_consistency(clip, mask) - 0.02).all()
        assert (i2v_subject(spoiled, seen, *picture) < i2v_subject(clip, mask, *picture) - 0.02).all()


def test_an_unsteady_background_scores_lower(truth):
    _, clip, mask = truth
    light = 0.06 * (torch.arange(clip.shape[2]) % 2)[:, None, None]
    spoiled = (clip + light).clamp(-1, 1)
    picture = clip[:, :, :1], mask[:, :, :1]
    assert (background_consistency(spoiled, mask) < background_consistency(clip, mask)).all()
    assert (i2v_background(spoiled, mask, *picture) < i2v_background(clip, mask, *picture)).all()
    assert (metrics.flicker(spoiled, mask) > metrics.flicker(clip, mask)).all()
    assert (metrics.motion_smoothness(spoiled) < metrics.motion_smoothness(clip)).all()


def test_blur_scores_lower(truth):
    _, clip, _ = truth
    blurred = F.avg_pool3d(clip, (1, 3, 3), 1, (0, 1, 1), count_include_pad=False)
    assert (metrics.imaging_quality(blurred) < metrics.imaging_quality(clip) - 0.02).all()
    assert (metrics.ssim(blurred, clip) < metrics.ssim(clip, clip)).all()
    assert (metrics.psnr(blurred, clip) < 60).all()


def test_order_and_seams_are_seen(truth):
    _, clip, _ = truth
    shuffled = clip[:, :, torch.randperm(clip.shape[2])]
    assert (metrics.motion_smoothness(shuffled) < metrics.motion_smoothness(clip)).all()
    middle = clip.shape[2] // 2
    seam = half(clip, (clip + 0.1).clamp(-1, 1))
    assert (metrics.boundary_jump(seam, [middle]) > metrics.boundary_jump(clip, [middle]) + 2).all()


def test_dynamic_degree_separates_as_it_says():
    share = {}
    for name, scenes in SCENES.items():
        clip = render(scenes)
        share[name] = metrics.dynamic_degree(clip).mean().item()
        still = clip[:, :, :1].expand_as(clip)
        bare = render(replace(scenes, present=torch.zeros_like(scenes.present)))
        for spoiled in (still, (still + torch.randn_like(clip) / 127.5).clamp(-1, 1), bare):
            assert (metrics.dynamic_degree(spoiled) == 0).all()
    assert share["mini"] > 0.9
    assert share["nano"] == 1


def test_a_real_clip_is_measured():
    path = Path(__file__).parents[1] / "notebooks" / "assets" / "clip.mp4"
    video = read_clip(path)
    clip = pixels.to_pixels(video)
    mask, middle = foreground(clip), clip.shape[2] // 2
    found = {
        "subject_consistency": subject_consistency(clip, mask),
        "background_consistency": background_consistency(clip, mask),
        "i2v_subject": i2v_subject(clip, mask, clip[:, :, :1], mask[:, :, :1]),
        "i2v_background": i2v_background(clip, mask, clip[:, :, :1], mask[:, :, :1]),
        "motion_smoothness": metrics.motion_smoothness(clip),
        "imaging_quality": metrics.imaging_quality(clip),
        "dynamic_degree": metrics.dynamic_degree(clip),
    }
    assert all(value.shape == (1,) and 0 <= value.item() <= 1 for value in found.values()), found
    assert metrics.flicker(clip, mask).item() < 5
    assert abs(metrics.boundary_jump(clip, [middle]).item()) < 5
    totals = metrics.totals({name: value.item() for name, value in found.items()})
    assert 0 < totals["total"] < 1
    with pytest.raises(ValueError, match="to_pixels"):
        metrics.check_clips(torch.from_numpy(video)[None].permute(0, 4, 1, 2, 3))

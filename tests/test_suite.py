"""pytest tests/test_suite.py: the suite knows true clips from worthless ones, and measures what it says it measures."""

from dataclasses import replace

import pytest
import torch
from pages import prose
from torch.nn import functional as F

from pusa_lab import metrics
from small_models.evaluation import suite
from small_models.evaluation.ways import EVAL_SEED
from small_models.world import COLOURS, MINI, NANO, SHAPES, draw_scenes, masks, render
from small_models.world.reader import confirm, subjects


@pytest.fixture(scope="module")
def scenes():
    return draw_scenes(4, 4321, MINI)


@pytest.fixture(scope="module")
def truth(scenes):
    return render(scenes)


@pytest.fixture(scope="module")
def true_scores(scenes, truth):
    return suite.appearance(truth, scenes, truth[:, :, :1])


@pytest.fixture(scope="module")
def still_scores(scenes, truth):
    return suite.appearance(truth[:, :, :1].expand_as(truth), scenes, truth[:, :, :1])


@pytest.fixture(scope="module")
def worst_scores(scenes, truth):
    return [suite.appearance(bad, scenes, truth[:, :, :1]) for bad in suite.destroyed(truth).values()]


def test_subjects_are_the_worlds_masks(scenes, truth):
    seen = subjects(truth, scenes.colour, MINI) * scenes.present[:, :, None, None, None]
    wanted = masks(scenes) * scenes.present[:, :, None, None, None]
    both = torch.minimum(seen, wanted).sum((2, 3, 4)) / torch.maximum(seen, wanted).sum((2, 3, 4))
    assert both[scenes.present].mean() > 0.9  # faint edges do not count as seen


@pytest.mark.parametrize("name", suite.VBENCH)
def test_every_dimension_has_its_floor_in_some_destroyed_clip(name, true_scores, still_scores, worst_scores):
    floor = min(scores[name].mean() for scores in (still_scores, *worst_scores))
    assert floor < true_scores[name].mean() - 0.02


def test_no_dimension_but_motion_sees_that_a_clip_stands_still(scenes, truth, true_scores, still_scores):
    """What VBench's consistency rewards, and why position errors stand beside it."""
    assert (still_scores["subject_consistency"] > true_scores["subject_consistency"] - 1e-4).all()
    assert still_scores["dynamic_degree"].sum() == 0
    assert suite.fidelity(truth[:, :, :1].expand_as(truth), truth, scenes, [0])["position_error"].mean() > 5


def test_a_subject_that_is_gone_scores_nothing(scenes, truth):
    empty = torch.zeros_like(truth)
    found = suite.appearance(empty, scenes, truth[:, :, :1])
    assert found["i2v_subject"].abs().max() == 0
    assert found["subject_consistency"].abs().max() == 0


def test_true_clips_obey_their_captions(scenes, truth):
    found = suite.obedience(truth, scenes)
    assert found["text_alignment"].mean() > 0.95
    assert found["physics_error"].max() < 1.0


def test_mirrored_clips_go_the_wrong_way(truth, scenes):
    sideways = (scenes.velocity()[..., 0].abs() > 1e-6) & (scenes.motion != 3)
    answers = confirm(truth.flip(-1), scenes)["direction"]
    assert answers[sideways & scenes.present].float().mean() < 0.2
    assert suite.obedience(truth.flip(-1), scenes)["shape"].mean() > 0.7  # triangles are mirrored too


def test_speed_is_read():
    scenes = draw_scenes(24, 7, replace(MINI, motions=MINI.motions[:1], objects=(1.0,), pan=0.0))
    slow = scenes[scenes.speed[:, 0] == 0]
    assert confirm(render(slow), slow)["speed"][:, 0].float().mean() > 0.9
    quick = replace(slow, speed=slow.speed + 2)
    assert confirm(render(quick), slow)["speed"][:, 0].float().mean() < 0.1


def test_what_leaves_its_law_is_measured_in_pixels():
    scenes = draw_scenes(8, 11, replace(MINI, motions=MINI.motions[:1], objects=(1.0,), pan=0.0))
    true = suite.obedience(render(scenes), scenes)["physics_error"]
    stopped = torch.cat([render(scenes)[:, :, :17], render(scenes)[:, :, 16:17].expand(-1, -1, 16, -1, -1)], 2)
    assert (suite.obedience(stopped, scenes)["physics_error"] > true + 0.3).all()


def test_only_frames_that_were_not_given_count(scenes, truth):
    clip = truth.clone()
    clip[:, :, :9] = -1
    found = suite.fidelity(clip, truth, scenes, range(9))
    assert found["psnr"].min() == 60
    assert found["known_psnr"].max() < 20
    torch.testing.assert_close(found["psnr_frame"][:, 9:], torch.full((4, 24), 60.0))


def test_a_jump_at_the_seam_is_as_wide_as_it_is():
    scenes = draw_scenes(8, 5, replace(MINI, objects=(1.0,), pan=0.0, grounds=1))
    truth = render(scenes)
    jumped = truth.clone()
    jumped[:, :, 9:] = truth[:, :, 9:].roll(4, -1)
    found = suite.fidelity(jumped, truth, scenes, range(9))
    assert found["boundary_position"].median() == pytest.approx(4, abs=0.2)
    assert found["position_error"].median() == pytest.approx(4, abs=0.2)
    assert suite.fidelity(truth, truth, scenes, range(9))["boundary_position"].median() < 0.3


def test_a_colour_that_changes_at_the_seam_is_seen(scenes, truth):
    clip = 0.8 * truth  # room to become darker
    darker = clip.clone()
    darker[:, :, 9:] -= 0.1
    found = suite.fidelity(darker, clip, scenes, range(9))
    assert found["boundary_colour"].mean() == pytest.approx(12.75, abs=2)  # 0.1 of 2 is 12.75 of 255
    assert found["colour_error"].mean() == pytest.approx(12.75, abs=1e-3)


def test_lost_objects_count_as_half_a_picture(scenes, truth):
    found = suite.fidelity(torch.zeros_like(truth), truth, scenes, [0])
    assert found["lost"].min() == 1
    assert found["position_error"].min() == 32


def sliding(*speeds, size=64, batch=2):
    """Discs that go right from the same place, as fast as told, in pixels per frame of a picture of this size."""
    world = replace(
        MINI,
        **{"objects": (1.0,), "motions": MINI.motions[:1], "grounds": 1, "pan": 0.0, "nouns": SHAPES[:1], "spin": 0.0},
        **{"speeds": tuple((f"{v}", v / size) for v in speeds), "sizes": (("", 0.14),)},
    )
    scenes = draw_scenes(batch, 3, world)
    start, zero = torch.tensor([[[0.25, 0.5]]]).expand(batch, 1, 2), torch.zeros(batch, 1, dtype=torch.long)
    scenes = replace(scenes, start=start, direction=zero)
    return [replace(scenes, speed=zero + i) for i in range(len(speeds))]


@pytest.mark.parametrize(("size", "frames"), [(64, 17), (45, 12), (64, 3)])
@pytest.mark.parametrize("made", [0.0, 0.5, 1.5])
def test_velocities_are_off_by_what_they_are(size, frames, made):
    asked, shown = sliding(1.0, made, size=size)
    truth, clip = render(asked, frames, size), render(shown, frames, size)
    found = suite.fidelity(clip, truth, asked, [0])
    for name, wanted in (
        ("velocity_error", abs(made - 1)),
        ("relative_velocity_error", abs(made - 1)),
        ("pace", made),
        ("size", 1),
        ("size_error", 0),
    ):
        torch.testing.assert_close(found[name], torch.full((2,), float(wanted)), atol=0.03, rtol=0)


def test_velocities_are_taken_from_the_frames_that_were_not_given():
    asked, shown = sliding(1.0, 0.0)
    truth = render(asked)
    clip = truth.clone()
    clip[:, :, :9] = render(shown)[:, :, :9]
    found = suite.fidelity(clip, truth, asked, range(13))
    assert found["velocity_error"].max() < 0.03 and (found["pace"] - 1).abs().max() < 0.03


def test_what_goes_back_or_is_lost_is_off_by_twice_its_speed():
    asked, shown = sliding(1.0, -1.0)
    truth = render(asked, 9)
    for clip, pace in ((render(shown, 9), -1), (torch.zeros_like(truth), 0)):
        found = suite.fidelity(clip, truth, asked, [0])
        assert found["relative_velocity_error"].tolist() == pytest.approx([2, 2], abs=0.03)
        assert found["pace"].tolist() == pytest.approx([pace, pace], abs=0.03)
    assert found["size"].tolist() == [0, 0] and found["size_error"].tolist() == [1, 1]


def test_each_clip_has_its_own_velocity_and_size():
    asked, shown = sliding(1.0, 0.5)
    truth, large = render(asked, 9), replace(asked, world=replace(asked.world, sizes=(("", 0.21),)))
    clip = torch.cat([render(shown, 9)[:1], render(large, 9)[1:]])
    found = suite.fidelity(clip, truth, asked, [0])
    assert found["velocity_error"].tolist() == pytest.approx([0.5, 0], abs=0.03)
    assert found["size"].tolist() == pytest.approx([1, 1.5], abs=0.03)
    assert found["size_error"].tolist() == pytest.approx([0, 0.5], abs=0.03)


def test_a_truth_that_does_not_move_has_no_relative_velocity():
    asked, shown = sliding(0.0, 1.0)
    found = suite.fidelity(render(shown, 9), render(asked, 9), asked, [0])
    assert found["velocity_error"].tolist() == pytest.approx([1, 1], abs=0.03)
    assert found["relative_velocity_error"].isnan().all() and found["pace"].isnan().all()


def test_scores_of_clips_of_which_one_has_come_to_rest_are_summarised():
    (moving, _), (resting, shown) = sliding(1.0, 0.0), sliding(0.0, 1.0)
    truth = torch.cat([render(moving, 9), render(resting, 9)])
    made = torch.cat([render(moving, 9), render(shown, 9)])
    raws = [
        suite.fidelity(made[part], truth[part], scenes, [0])
        for part, scenes in ((slice(2), moving), (slice(2, None), resting))
    ]
    raw = {name: torch.cat([one[name] for one in raws]) for name in ("relative_velocity_error", "pace")}
    found = suite.summarise(raw, torch.arange(4))
    assert found["relative_velocity_error"][0] == pytest.approx(0, abs=0.03)
    assert found["pace"][0] == pytest.approx(1, abs=0.03)


def test_one_picture_does_not_move_and_is_refused_in_one_sentence(scenes, truth):
    with pytest.raises(ValueError, match="a clip has 1 frame: this measure needs at least 2"):
        suite.fidelity(truth[:, :, :1], truth[:, :, :1], scenes)


def test_what_vanishes_at_the_seam_counts_as_half_a_picture():
    scenes = draw_scenes(8, 5, replace(MINI, objects=(1.0,), pan=0.0, grounds=1))
    truth = render(scenes)
    gone = truth.clone()
    gone[:, :, 9:] = truth[:, :, :1, :1, :1]
    assert suite.fidelity(gone, truth, scenes, range(9))["boundary_position"].min() == 32


def test_what_nobody_asked_for_is_reported():
    scenes = draw_scenes(8, 5, replace(MINI, objects=(1.0,), pan=0.0, grounds=1))
    truth = render(scenes)
    more = truth.clone()
    ink = (torch.tensor(list(COLOURS.values()))[(scenes.colour[:, 0] + 1) % 8] * 2 - 1)[:, :, None, None, None]
    more[..., :12, :12] = ink
    assert suite.obedience(truth, scenes)["extra"].sum() == 0
    assert suite.obedience(more, scenes)["extra"].sum() == 8


def test_one_clip_alone_cannot_be_mixed(truth):
    with pytest.raises(ValueError, match="at least 2"):
        suite.destroyed(truth[:1])


def test_totals_are_vbenchs_of_the_means(true_scores, worst_scores):
    scale = suite.ranges([true_scores], worst_scores)
    assert scale["dynamic_degree"] == (0.0, 1.0)
    assert all(low < high for low, high in scale.values())
    found = suite.add_totals(true_scores, scale)
    of_means = metrics.totals({name: true_scores[name].mean().item() for name in suite.VBENCH}, scale)
    assert found["total"].mean().item() == pytest.approx(of_means["total"], abs=1e-5)
    assert found["total"].mean() > 0.95


def test_summary_keeps_prompts_together_and_leaves_out_what_nobody_has():
    values = torch.randn(6).repeat_interleave(5)
    raw = {
        "a": values,
        "none": torch.full((30,), torch.nan),
        "b_frame": torch.ones(30, 4),
        "features": torch.ones(30, 2),
    }
    found = suite.summarise(raw, torch.arange(6).repeat_interleave(5))
    assert set(found) == {"a", "b_frame"}
    mean, low, high = found["a"]
    assert mean == pytest.approx(values.mean().item(), abs=1e-6)
    alone = metrics.bootstrap(values)
    assert high - low > 1.5 * (alone.high - alone.low)  # five seeds of a prompt are no five prompts
    assert found["b_frame"] == [1.0] * 4


def test_the_smallest_world_works_too():
    scenes = draw_scenes(6, 3, NANO)
    truth = render(scenes)
    raw = suite.appearance(truth, scenes, truth[:, :, :1]) | suite.fidelity(truth, truth, scenes, [0])
    assert all(value.isfinite().all() for name, value in raw.items() if not name.endswith("_frame"))


def late(clip, frames):
    """The same clip, which begins some frames later."""
    return torch.cat([clip[:, :, :1].expand(-1, -1, frames, -1, -1), clip[:, :, :-frames]], 2)


def headlines(clip, scenes, truth):
    """The scores that a comparison may rest on, with the sign that makes more the better; NaN where nothing is seen."""
    found = suite.fidelity(clip, truth, scenes, [0]) | suite.obedience(clip, scenes)
    signs = {"skill": 1, "position_error": -1, "text_alignment": 1, "physics_error": -1}
    signs |= {"velocity_error": -1, "relative_velocity_error": -1}
    return {name: sign * found[name].nanmean().item() for name, sign in signs.items()}


def blurred(clip, sigma):
    """Every frame under a Gaussian of this many pixels."""
    reach = int(3 * sigma)
    weights = torch.exp(-(torch.arange(-reach, reach + 1) / sigma).square() / 2)
    weights = (weights / weights.sum()).view(1, 1, -1, 1)
    wide = F.pad(clip.flatten(0, 2)[:, None], [reach] * 4, mode="replicate")
    return F.conv2d(F.conv2d(wide, weights), weights.transpose(2, 3)).view_as(clip)


SIGMAS = (1, 2, 4, 6, 8)


@pytest.fixture(scope="module")
def rivals(truth):
    """Clips that nobody would want, though some are made from the truth."""
    order = torch.randperm(truth.shape[2] - 1, generator=torch.Generator().manual_seed(0)) + 1
    return {
        "still": metrics.repeat_known(truth, [0]),
        "one frame late": late(truth, 1),
        "six frames late": late(truth, 6),
        "shuffled": torch.cat([truth[:, :, :1], truth[:, :, order]], 2),
        "backwards": truth.flip(2),
        "mean of the frames": truth.mean(2, keepdim=True).expand_as(truth),
        "grey": torch.zeros_like(truth),
        **{f"still, blurred by {n}": blurred(truth[:, :, :1], n).expand_as(truth) for n in SIGMAS},
        **suite.destroyed(truth),
    }


@pytest.fixture(scope="module")
def compared(rivals, scenes, truth):
    return {name: headlines(clip, scenes, truth) for name, clip in {"truth": truth, **rivals}.items()}


def test_no_trivial_clip_beats_the_truth(compared, rivals):
    best = compared["truth"]
    assert best["skill"] == 1
    for name in rivals:
        found = compared[name]
        assert not any(found[score] > best[score] for score in best), name  # NaN is not more
        assert found["skill"] < 1 and found["position_error"] < best["position_error"] - 0.5, name
        assert found["physics_error"] == found["physics_error"] or found["text_alignment"] == 0, "nothing is shown"


def test_every_headline_score_sees_that_a_clip_stands_still_and_the_total_does_not(
    compared, true_scores, still_scores, worst_scores
):
    still, true = compared["still"], compared["truth"]
    assert still["skill"] == pytest.approx(0, abs=1e-5)
    assert still["position_error"] < true["position_error"] - 5
    assert still["velocity_error"] < true["velocity_error"] - 0.3
    assert still["relative_velocity_error"] == pytest.approx(-1, abs=0.05)
    assert still["text_alignment"] < true["text_alignment"] - 0.2
    assert still["physics_error"] < true["physics_error"] - 1
    scale = suite.ranges([true_scores], worst_scores)
    ours, theirs = (suite.add_totals(scores, scale)["total"].mean() for scores in (still_scores, true_scores))
    assert ours > theirs - 0.03


def test_a_blurred_still_gains_skill_alone(compared):
    """Squared errors reward blur; position and velocity errors and the words do not."""
    still = compared["still"]
    for sigma in SIGMAS:
        found = compared[f"still, blurred by {sigma}"]
        assert still["skill"] < found["skill"] < 0.5
        for score in ("position_error", "velocity_error", "relative_velocity_error", "text_alignment"):
            assert found[score] < still[score] + 0.02 * abs(still[score]), (score, sigma)


def test_what_is_said_of_a_blurred_still_is_so():
    """On the scenes of the tables, whose squared error from a still needs their mean over time alone."""
    truth = render(draw_scenes(64, EVAL_SEED, MINI))
    first, rest = truth[:, :, :1], truth[:, :, 1:]
    mean, square = rest.mean(2, keepdim=True), rest.square().mean((1, 2, 3, 4))

    def error(still):
        return square + (still.square() - 2 * still * mean).mean((1, 2, 3, 4))

    skills = {n: (1 - error(blurred(first, n)) / error(first)).mean().item() for n in range(1, 13)}
    best = max(skills, key=skills.get)
    found = metrics.skill(blurred(first, best).expand_as(truth), truth, [0]).mean().item()
    assert found == pytest.approx(skills[best], abs=1e-4)
    assert f"a blurred still has up to {found:.2f}" in " ".join(suite.fidelity.__doc__.split())
    assert f"A still that is blurred has up to {found:.2f}" in prose("docs/claims.md")


def test_skill_alone_prefers_the_mean_of_what_may_happen_to_motion_that_is_late(compared):
    """As every squared error does: position errors say which of the two is nearer."""
    mean, behind = compared["mean of the frames"], compared["six frames late"]
    assert mean["skill"] > behind["skill"] and mean["position_error"] < behind["position_error"]


def test_a_truth_that_stands_still_has_no_skill_and_the_others_have(scenes, truth):
    mixed = torch.cat([truth[:1, :, :1].expand_as(truth[:1]), truth[1:3]])
    found = suite.fidelity(mixed.flip(2), mixed, scenes[:3], [0])
    assert found["skill"][0].isnan()
    torch.testing.assert_close(found["skill"][1:], metrics.skill(truth[1:3].flip(2), truth[1:3], [0]))
    assert "skill" not in suite.fidelity(mixed, mixed, scenes[:3])
    alone = suite.fidelity(mixed[:1], mixed[:1], scenes[:1], [0])
    assert alone["skill"].isnan().all()


def test_clips_that_are_no_pixels_are_not_destroyed():
    with pytest.raises(ValueError, match="clip holds numbers beyond 2: give pixels in"):
        suite.destroyed(torch.full((2, 3, 5, 16, 16), 1e38))

"""pytest tests/test_metrics_skill.py: a score of 0 for standing still and of 1 for the truth."""

import numpy as np
import pytest
import sweeping
import torch

import pusa_lab as pl
from pusa_lab import evaluation, metrics
from pusa_lab.metrics import frame_scores, repeat_known, skill, skill_by_frame
from pusa_lab.pixels import to_pixels, to_uint8
from pusa_lab.types import Geometry
from small_models import world

SCENES = world.draw_scenes(2, seed=1, world=world.NANO)
CLIPS, PROMPTS = to_uint8(world.render(SCENES)), world.captions(SCENES)
STILL = np.repeat(CLIPS[:1, :1], 8, 1)


@pytest.fixture
def nano_vta(small_nano):
    """Any toy does here."""
    return small_nano


def noise(*shape):
    """A random clip."""
    return torch.rand(*shape) * 2 - 1


def plain_skill(clip, truth, known):
    """The definition, one clip and one frame after the other, in float64."""
    found = []
    for made, true in zip(clip.double().numpy(), truth.double().numpy(), strict=True):
        error = reference = 0.0
        for t in range(true.shape[1]):
            if t in known:
                continue
            near = sorted(known)[np.argmin([abs(k - t) for k in sorted(known)])]  # the first of equals
            error += ((made[:, t] - true[:, t]) ** 2).mean()
            reference += ((true[:, near] - true[:, t]) ** 2).mean()
        found.append(1 - error / reference)
    return torch.tensor(found)


@pytest.mark.parametrize("known", [[0], [6], [1, 5], [5, 1, 3, 3], [0, 1, 2, 4, 5, 6]])
def test_skill_agrees_with_its_definition(known):
    clip, truth = noise(3, 3, 7, 5, 9), noise(3, 3, 7, 5, 9)
    found = skill(clip, truth, known)
    torch.testing.assert_close(found.double(), plain_skill(clip, truth, known), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(skill(clip.half(), truth.half(), known), found, rtol=0.01, atol=0.01)
    free = [t for t in range(7) if t not in known]
    torch.testing.assert_close(skill_by_frame(clip, truth, known)[:, free].mean(1), found)


def test_the_clip_that_stands_still_repeats_the_nearest_known_frame_and_of_equals_the_earlier():
    clip = torch.linspace(-1, 1, 9).view(1, 1, 9, 1, 1).expand(2, 3, 9, 4, 5)
    for known, nearest in {
        (0,): [0] * 9,
        (8, 0): [0, 0, 0, 0, 0, 8, 8, 8, 8],
        (2, 5): [2, 2, 2, 2, 5, 5, 5, 5, 5],
    }.items():
        torch.testing.assert_close(repeat_known(clip, known), clip[:, :, nearest])


@pytest.mark.parametrize("known", [[0], [0, 6], [3]])
def test_standing_still_has_0_the_truth_1_and_what_is_worse_than_standing_still_less(known):
    truth = noise(2, 3, 7, 5, 9)
    torch.testing.assert_close(skill(repeat_known(truth, known), truth, known), torch.zeros(2), rtol=0, atol=1e-6)
    assert skill(truth, truth, known).tolist() == [1, 1]
    assert (skill(-truth, truth, known) < 0).all()


def test_what_moves_by_less_than_bytes_can_show_stands_still():
    truth = torch.zeros(3, 3, 4, 8, 8)
    truth[1, :, 2:] = 1e-7  # rounding
    truth[2, 0, 3, 0, 0] = 2 / 255  # one grey level of one pixel
    assert metrics.stands_still(truth, [0, 1]).tolist() == [True, True, False]
    assert skill(truth[2:], truth[2:], [0, 1]).item() == 1


def test_frames_that_were_given_do_not_count():
    clip, truth = noise(2, 3, 7, 5, 9), noise(2, 3, 7, 5, 9)
    other = clip.clone()
    other[:, :, [0, 6]] = 1
    assert torch.equal(skill(other, truth, [0, 6]), skill(clip, truth, [0, 6]))


MOVING = noise(2, 3, 5, 4, 4)


@pytest.mark.parametrize(
    ("clip", "truth", "known", "says"),
    [
        (MOVING[:, :, :4], MOVING, [0], r"\(2, 3, 5, 4, 4\).*\(2, 3, 4, 4, 4\)|\(2, 3, 4, 4, 4\).*\(2, 3, 5, 4, 4\)"),
        (MOVING, MOVING, [], "no frame is known, as in text to video, and skill is measured against repeating"),
        (MOVING, MOVING, [5], "known frame 5 of 5 frames: give frames from 0 to 4"),
        (MOVING, MOVING, [-1], "known frame -1 of 5 frames: give frames from 0 to 4"),
        (MOVING, MOVING, [0, 1, 2, 3, 4], "all 5 frames are known: leave at least one"),
        (MOVING, MOVING[:, :, :1].expand_as(MOVING), [0], "the truth of clip 0 stands still, so repeating"),
        (MOVING, torch.cat([MOVING[:1], torch.zeros_like(MOVING[:1])]), [2], "the truth of clip 1 stands still"),
        (MOVING[:1], torch.zeros_like(MOVING[:1]), [2], "the truth stands still, so repeating its known frames has no"),
        (2 * MOVING, MOVING, [0], "give finite numbers in"),
    ],
)
def test_what_has_no_skill_is_refused(clip, truth, known, says):
    for measure in (skill, skill_by_frame):
        with pytest.raises(ValueError, match=says) as caught:
            measure(clip, truth, known)
        assert "\n" not in str(caught.value)


def test_a_clip_without_known_frames_cannot_be_repeated():
    with pytest.raises(ValueError, match="no frame is known"):
        repeat_known(MOVING, ())


def test_it_is_one_of_the_metrics_wherever_frames_are_known():
    clip, truth = noise(2, 3, 5, 12, 12), noise(2, 3, 5, 12, 12)
    assert list(frame_scores(clip, truth)) == ["psnr", "ssim"]
    found = frame_scores(clip, truth, known=[0])
    assert list(found) == ["psnr", "ssim", "skill"]
    assert torch.equal(found["skill"], skill_by_frame(clip, truth, [0]))
    with pytest.raises(ValueError, match="no frame is known"):
        frame_scores(clip, truth, ["skill"])


def test_a_metric_of_ones_own_is_given_the_known_frames(monkeypatch):
    number = lambda clip, truth, known: torch.full((len(clip), clip.shape[2]), float(sum(known)))  # noqa: E731
    monkeypatch.setitem(metrics.METRICS, "number", number)
    assert frame_scores(MOVING, MOVING, ["number"], [1, 2])["number"].unique().tolist() == [3]
    assert metrics.needs_known(number) and not metrics.needs_known(metrics.psnr) and not metrics.needs_known(max)


def test_a_result_knows_the_pixel_frames_that_its_task_gave():
    """Also behind a codec, where latent frame 0 holds one pixel frame and every later one four."""
    model, clip = pl.load("mini-vta", device="cpu"), np.zeros((9, 64, 64, 3), np.uint8)
    made = {
        "text": (pl.tasks.text_to_video(), []),
        "first": (pl.tasks.image_to_video(clip[0]), [0]),
        "ends": (pl.tasks.start_end(clip[0], clip[-1]), [0, 5, 6, 7, 8]),
        "prefix": (pl.tasks.extension(clip[:5]), [0, 1, 2, 3, 4]),
        "free": (pl.tasks.Task("free", (pl.tasks.Known(clip[0], 0), pl.tasks.Known(clip[0], 1, noise=1.0))), [0]),
    }
    for name, (task, known) in made.items():
        result = pl.generate(model, "a red circle", task, steps=1, guidance=1.0, latent_frames=3)
        assert result.video.shape[1] == 9 and result.known_pixels == known, name


def test_it_knows_them_of_several_videos_a_prompt_too(nano_vta):
    pictures = pl.tasks.image_to_video(CLIPS[:2, :1])
    for prompt, task, each in ((PROMPTS[:2], pictures, 2), ("a", pl.tasks.extension(CLIPS[0, :5]), 5)):
        options = {"steps": 1, "guidance": 1.0, "num_videos_per_prompt": each}
        result = pl.generate(nano_vta, prompt, task, **options)
        assert result.known_pixels == [*range(1 if task is pictures else 5)] and len(result.video) > 3


def test_a_result_that_cannot_know_says_so(nano_vta):
    latents = pl.generate(nano_vta, "a", steps=1, output="latents")
    with pytest.raises(ValueError, match="this result has no video: call decode"):
        _ = latents.known_pixels
    assert latents.decode(nano_vta).known_pixels == []
    with pytest.raises(ValueError, match="this result has no request, so nothing says which frames were given"):
        _ = pl.runs.Result(CLIPS, latents.latents, latents.schedule, 0.0, "mine", 0).known_pixels


def test_evaluation_takes_it_by_name(nano_vta):
    table = pl.evaluate(nano_vta, CLIPS, PROMPTS, metrics=["skill", "psnr"], steps=2, guidance=1.5)
    assert list(table.task.unique()) == ["image_to_video", "start_end", "extension"], "those with known frames"
    given = {
        "image_to_video": (pl.tasks.image_to_video(CLIPS[1, 0]), [0]),
        "start_end": (pl.tasks.start_end(CLIPS[1, 0], CLIPS[1, -1]), [0, 7]),
        "extension": (pl.tasks.extension(CLIPS[1, :2]), [0, 1]),
    }
    for name, (task, known) in given.items():
        result = pl.generate(nano_vta, PROMPTS[1], task, steps=2, guidance=1.5, seed=1)
        want = plain_skill(to_pixels(result.video), to_pixels(CLIPS[1]), known).item()
        assert table.set_index(["task", "truth"]).loc[(name, "1"), "skill"] == pytest.approx(want, abs=1e-4)


def test_evaluation_behind_a_codec_counts_pixel_frames():
    g = Geometry((4, 8, 8), 8, 3, (64, 64))
    assert evaluation._given("start_end", 3, g) == {0, 5, 6, 7, 8}
    assert evaluation._given("completion", 4, g) == {0, 1, 2, 3, 4, 9, 10, 11, 12}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"tasks": "text_to_video"}, "the task text_to_video has no known frame, which the metric skill needs"),
        ({"tasks": ["image_to_video", "reconstruction"]}, "the task reconstruction has no known frame"),
        ({"clips": [CLIPS[0, :1]]}, "the task text_to_video has no known frame"),
        (
            {"clips": [*CLIPS, *STILL]},
            "clip '2', task image_to_video: .*the truth stands still, so repeating its known",
        ),
        ({"clips": None, "prompts": "a red circle"}, "the metric skill compares with a truth: give clips"),
    ],
)
def test_evaluation_refuses_it_before_a_video_is_made(nano_vta, monkeypatch, given, says):
    monkeypatch.setattr(evaluation, "generate", None)
    with pytest.raises(ValueError, match=says):
        pl.evaluate(nano_vta, **{"clips": CLIPS, "metrics": ["skill"], "steps": 1, **given})


TRUTH = dict(zip(PROMPTS, CLIPS, strict=True))


def first_frame(prompt):
    """Image to video from the clip of the prompt."""
    return pl.tasks.image_to_video(TRUTH[prompt][0])


def no_frame(prompt):
    """Text to video, which only the task itself says."""
    return pl.tasks.text_to_video()


def test_sweeps_take_it_by_name(nano_vta, tmp_path):
    given = {"prompts": PROMPTS, "truth": TRUTH, "cache": tmp_path / "c", "keep_clips": True}
    settings = {"task": first_frame, "steps": [1, 2]}
    pl.sweep(nano_vta, settings, metrics=["psnr"], **given)
    with pytest.warns(UserWarning, match="only the video of the result was kept, and not its request: they are made a"):
        table = pl.sweep(nano_vta, settings, metrics=["psnr", "skill"], **given)
    for row in table.itertuples():
        result = pl.generate(nano_vta, row.prompt, first_frame(row.prompt), steps=row.steps, seed=0)
        want = plain_skill(to_pixels(result.video), to_pixels(TRUTH[row.prompt]), [0]).item()
        assert row.skill == pytest.approx(want, abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"steps": 1}, "the metric skill compares with repeating the known frames, and steps=1 is text to video"),
        ({"task": "text_to_video", "steps": 1}, "task=text_to_video, steps=1 is text to video, which has none: give a"),
        ({"task": no_frame, "steps": 1}, "but was given a video of a task without any: give a task with known frames"),
    ],
)
def test_sweeps_refuse_it_where_no_frame_is_known(nano_vta, tmp_path, settings, says):
    with pytest.raises(ValueError, match=says):
        pl.sweep(nano_vta, settings, prompts=PROMPTS, metrics=["skill"], truth=TRUTH, cache=tmp_path / "c")


def test_what_a_function_returns_has_no_known_frames(tmp_path):
    with pytest.raises(ValueError, match="the metric skill compares with repeating the known frames, but was given"):
        pl.sweep(lambda a: sweeping.CLIP, {"a": 1}, metrics=["skill"], truth={"": sweeping.CLIP}, cache=tmp_path / "c")

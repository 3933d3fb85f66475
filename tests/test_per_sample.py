"""pytest tests/test_per_sample.py: with a schedule each, samples are what they are alone."""

from functools import partial

import numpy as np
import pytest
import torch
from test_generate import TASKS, truth  # noqa: F401, a fixture

import pusa_lab as pl
from pusa_lab import guidance, schedules, viz
from pusa_lab.html import result_html
from pusa_lab.samplers import SOLVERS, sample
from pusa_lab.schedules import Rising, repaint_rows

PROMPTS = ["a red circle moves right", "a blue square moves up", "a red square moves left"]
SEEDS = [4, 9, 4]


@pytest.fixture(scope="module")
def nano_vta(small_nano):
    """Any toy does here."""
    return small_nano


def padded(*parts):
    """Matrices (3, rows, 8), the shorter ones with rows at their end or start in which nothing moves."""
    rows = max(map(len, parts))
    ends = [torch.cat([S, S[-1:].expand(rows - len(S), -1)]) for S in parts[:-1]]
    last = parts[-1]
    return torch.stack([*ends, torch.cat([last[:1].expand(rows - len(last), -1), last])])


FALLING = padded(schedules.pyramid(3, 8, lag=1), schedules.synchronous(4, 8, shift=3.0), schedules.trapezoid(3, 8))
UP = [schedules.repaint(5, 8, 1, 2).levels, schedules.pyramid(3, 8, 1), schedules.synchronous(2, 8).repeat(2, 1)]
RISING = Rising(padded(*UP))


def alone(matrix, i, trim):
    """The schedule of one sample, perhaps without the rows in which nothing changes for it."""
    return Rising(matrix.levels[i]) if isinstance(matrix, Rising) else schedules.crop(matrix[i], trim=trim)


def each_is_itself_alone(model, matrix, task=None, tolerance=1e-4, trim=False, **options):
    options["output"] = "latents"
    together = pl.generate(model, PROMPTS, task, schedule=matrix, seed=SEEDS, **options)
    for i, (prompt, seed) in enumerate(zip(PROMPTS, SEEDS, strict=True)):
        one = pl.generate(model, prompt, task, schedule=alone(matrix, i, trim), seed=seed, **options)
        torch.testing.assert_close(together.latents[i : i + 1], one.latents, atol=tolerance, rtol=0)
    return together


def both_ways(names, shown):
    """Each name with both matrices; going up, what those in `shown` show already is left to `make nightly`."""
    more = [pytest.param(one, RISING, marks=() if one in shown else pytest.mark.nightly) for one in names]
    return [*((one, FALLING) for one in names), *more]


@pytest.mark.parametrize(("solver", "matrix"), both_ways(sorted(SOLVERS), ("heun", "unipc", "churn")))
def test_every_sample_is_itself_alone_with_every_solver(nano_vta, solver, matrix):
    """Each kind of solver goes up: of two calls, of several steps, with noise of its own."""
    result = each_is_itself_alone(nano_vta, matrix, solver=solver, guidance=1.0, trim=True)
    assert torch.equal(result.schedule, matrix.levels if isinstance(matrix, Rising) else matrix)


OF_EVERY_MODE = ("text_to_video", "image_to_video", "keyframes", "completion", "loop")


@pytest.mark.parametrize(("name", "matrix"), both_ways(TASKS, OF_EVERY_MODE))
def test_every_sample_is_itself_alone_in_every_task(nano_vta, truth, name, matrix):  # noqa: F811
    """The others keep their known frames as image-to-video does."""
    make, known = TASKS[name]
    result = each_is_itself_alone(nano_vta, matrix, make(truth), solver="ab2", guidance=1.0)
    assert (result.schedule[:, -1] == 0).all()
    want = pl.prepare(nano_vta, PROMPTS, make(truth), schedule=matrix, guidance=1.0, seed=SEEDS).conditions.latents
    if known:
        torch.testing.assert_close(result.latents[:, :, known], want.expand(3, -1, -1, -1, -1))


@pytest.mark.parametrize(
    "guider",
    [
        2.0,
        "apg(scale=3, momentum=-0.5, threshold=5)",
        "cfg_zero_star(scale=2, zero_from=0.9)",
        partial(guidance.text_cfg, scale=3.0, rescale=0.7, interval=(0.2, 0.8)),
    ],
)
def test_every_sample_is_itself_alone_with_every_kind_of_guidance(nano_vta, guider):
    each_is_itself_alone(nano_vta, FALLING, guidance=guider, tolerance=5e-4, trim=True)


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_samples_of_equal_matrices_are_bit_for_bit_those_of_one_matrix(solver):
    def mixing(x, tau):
        return x.roll(1, dims=2) - x * tau[:, None, :, None, None].cos()

    x, S = torch.randn(3, 2, 8, 3, 4), FALLING[0]
    assert torch.equal(sample(mixing, x, S.expand(3, -1, -1), solver), sample(mixing, x, S, solver))


def test_known_frames_that_are_not_replaced_are_not_noised_on(nano_vta, truth):  # noqa: F811
    levels = {}
    for mode in ("denoise", "replacement", "hold", "label"):
        task = pl.tasks.image_to_video(truth[0], noise=0.5, mode=mode)
        run = pl.prepare(nano_vta, PROMPTS[0], task, schedule="repaint", steps=6, guidance=1.0)
        levels[mode] = run.schedule[:, 0]
        assert schedules.faults(run.schedule, rising=True) == []
        for state in run.states():
            assert torch.equal(state.tau[0], run.schedule[state.row])
    S = schedules.repaint(6, 1, shift=nano_vta.geometry.shift).levels[:, 0]
    torch.testing.assert_close(levels["denoise"], 0.5 * S.cummin(0).values)
    torch.testing.assert_close(levels["replacement"], 0.5 * S)
    assert (levels["hold"][:-1] == 0.5).all() and torch.equal(levels["label"], levels["hold"])


def test_the_same_prompt_and_seed_may_have_schedules_to_compare(nano_vta):
    result = pl.generate(nano_vta, [PROMPTS[0]] * 3, schedule=FALLING, seed=[1, 1, 1], guidance=1.0)
    assert not torch.allclose(result.latents[0], result.latents[1])
    several = pl.generate(
        nano_vta, PROMPTS[0], schedule=FALLING[:2], num_videos_per_prompt=2, seed=[1, 1], guidance=1.0
    )
    torch.testing.assert_close(several.latents, result.latents[:2], atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="seed=1 was given twice"):
        pl.generate(nano_vta, [PROMPTS[0]] * 3, schedule=FALLING[0], seed=[1, 1, 1])


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        (FALLING[:2], r"the schedule has shape \(2, \d+, 8\) \(b rows f\) for 3 samples: give one matrix"),
        (FALLING[:, :, :5], "a matrix of 5 columns for 8 frames: give one per frame"),
        (FALLING.flip(1), "the matrix of sample 0 is not valid: row 1, .* rises above the row before"),
        (RISING.levels, "the matrix of sample 0 is not valid: .*; one that is to rise is given as schedules.Rising"),
        (Rising(RISING.levels[:, :-1]), "the matrix of sample 0 is not valid: .*should be 0"),
        (FALLING * 0.5, "frame 0 of sample 0 starts at 0.5 but nothing is known of it"),
        (FALLING[:0], r"the schedule has shape \(0, \d+, 8\)"),
        (FALLING[None], r"schedule is a tensor of shape \(1, 3, \d+, 8\), float32: give"),
    ],
)
def test_what_does_not_fit_is_named(nano_vta, matrix, says):
    with pytest.raises(ValueError, match=f"generate: {says}"):
        pl.generate(nano_vta, PROMPTS, schedule=matrix)


@pytest.mark.parametrize(
    ("schedule", "task"),
    [
        *((FALLING, None), (RISING, "image_to_video"), (Rising(RISING.levels[0]), None)),
        *(("repaint", "image_to_video"), ("restart", None), ("restart", "image_to_video")),
        *(
            pytest.param(*pair, marks=pytest.mark.nightly)
            for pair in (
                *((FALLING, "image_to_video"), (RISING, None)),
                *((Rising(RISING.levels[0]), "image_to_video"), ("repaint", None)),
            )
        ),
    ],
)
def test_a_saved_result_is_made_again_bit_for_bit(nano_vta, truth, tmp_path, schedule, task):  # noqa: F811
    task = task and pl.tasks.image_to_video(truth[0], noise=0.3, mode="replacement")
    options = {"steps": 4} if isinstance(schedule, str) else {}
    options |= {"seed": SEEDS, "solver": "churn", "guidance": 1.0}
    result = pl.generate(nano_vta, PROMPTS, task, schedule=schedule, **options)
    result.save(tmp_path / "kept")
    again = pl.rerun(tmp_path / "kept", nano_vta)
    assert torch.equal(again.latents, result.latents)
    read = pl.load_result(tmp_path / "kept")
    for other in (again, read):
        assert torch.equal(other.schedule, result.schedule)
        assert other.request.schedule_call == result.request.schedule_call


def test_the_call_that_made_the_levels_is_recorded(nano_vta):
    calls = {
        "3 matrices of 11 rows and 8 columns": FALLING,
        f"3 matrices of {RISING.levels.shape[1]} rows and 8 columns, rising": RISING,
        "repaint(steps=4, frames=8, jump_length=1, shift=1.0)": partial(schedules.repaint, jump_length=1),
    }
    for call, schedule in calls.items():
        options = {"steps": 4} if callable(schedule) else {}
        assert pl.prepare(nano_vta, PROMPTS, schedule=schedule, **options).request.schedule_call == call


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept["schedule"].pop(),
        lambda kept: kept["schedule"][1].append([0.0] * 7),
        lambda kept: kept["schedule"][1][0].append(2.0),
        lambda kept: kept["schedule"].__setitem__(0, 3),
        lambda kept: kept["schedule"].__setitem__(0, []),
    ],
)
def test_a_damaged_request_is_refused(nano_vta, change):
    kept = pl.prepare(nano_vta, PROMPTS, schedule=FALLING).request.as_dict()
    assert pl.requests.restore_request(kept, "it is damaged").schedule == kept["schedule"]
    change(kept)
    with pytest.raises(ValueError, match=r"it is damaged \(its (schedule is not rows|entries are not for the same)"):
        pl.requests.restore_request(kept, "it is damaged")


def test_pictures_of_a_result_show_the_schedule_of_the_first_sample(nano_vta, tmp_path):
    result = pl.generate(nano_vta, PROMPTS, schedule=FALLING, guidance=1.0)
    drawn = viz.plot_result(result).axes[0].images[0].get_array()
    assert np.array_equal(drawn, FALLING[0].numpy())
    assert "10 rows" in result_html(result)


def test_a_longer_video_of_windows_takes_them_too(nano_vta, truth):  # noqa: F811
    clip = np.broadcast_to(truth[:1], (3, 1, *truth.shape[1:]))
    long = pl.extend_to(nano_vta, [PROMPTS, PROMPTS], clip, 14 / 8, 2, schedule=FALLING, guidance=1.0)
    assert long.video.shape[:2] == (3, 14)


def test_rows_beyond_the_last_move_are_counted(nano_vta):
    rows = []
    pl.generate(
        nano_vta, PROMPTS, schedule=FALLING, guidance=1.0, callback=lambda row, last, state: rows.append((row, last))
    )
    assert rows == [(row, FALLING.shape[1] - 1) for row in range(FALLING.shape[1])]


def test_the_order_of_repaint_is_for_any_schedule(nano_vta):
    S = schedules.pyramid(4, 8, lag=1)
    result = pl.generate(nano_vta, PROMPTS[0], schedule=Rising(S[repaint_rows(len(S) - 1, 3, 2)]), guidance=1.0)
    assert result.calls == schedules.describe(Rising(result.schedule)).calls

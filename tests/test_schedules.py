"""pytest tests/test_schedules.py: one battery over every registered schedule, then each one's own promise."""

import numpy as np
import pytest
import torch
from falling import FALLING

from pusa_lab import schedules
from pusa_lab.schedules import SCHEDULES

BOTH_WAYS = {"trapezoid", "two_sided"}
"""Their last frames are made before the middle: time has no direction there."""

SIZES = [(1, 1), (1, 4), (4, 1), (5, 3), (6, 8), (10, 9), (7, 21)]


@pytest.fixture(params=FALLING)
def make(request):
    return SCHEDULES[request.param]


@pytest.mark.parametrize("shift", [0.5, 1.0, 5.0])
@pytest.mark.parametrize(("steps", "frames"), SIZES)
def test_every_schedule_is_one(make, steps, frames, shift):
    S = make(steps, frames, shift=shift)
    assert S.dtype == torch.float32
    assert S.shape[0] >= steps + 1
    assert S.shape[1] == frames
    assert schedules.faults(S) == []
    assert (S[-1] == 0).all()


@pytest.mark.parametrize(("steps", "frames"), SIZES)
def test_generated_frames_start_at_noise_and_visit_the_sigmas(make, steps, frames):
    # A window that does not divide the steps reads the sigmas between their levels: tests/test_equivalence.py.
    window = {"window": steps} if make is schedules.rolling else {}
    S = make(steps, frames, shift=3.0, **window)
    sigmas = schedules.shift_levels(schedules.linear(steps), 3.0)
    for column in S.T:
        if column[0] == 0:  # a frozen frame
            assert (column == 0).all()
            continue
        assert column[0] == 1
        assert torch.equal(column.unique().flip(0), sigmas)


@pytest.mark.parametrize("frames", [2, 5, 8])
@pytest.mark.parametrize("name", sorted(set(FALLING) - BOTH_WAYS))
def test_the_past_is_never_noisier_than_the_future(name, frames):
    assert (SCHEDULES[name](6, frames).diff(dim=1) >= 0).all()


@pytest.mark.parametrize("frames", [2, 5, 8])
@pytest.mark.parametrize("name", sorted(BOTH_WAYS))
def test_what_runs_both_ways_looks_the_same_from_both_ends(name, frames):
    S = SCHEDULES[name](6, frames)
    assert torch.equal(S, S.flip(1))
    assert (S[:, : (frames + 1) // 2].diff(dim=1) >= 0).all()


def test_shift_one_is_the_default(make):
    assert torch.equal(make(6, 5), make(6, 5, shift=1.0))


@pytest.mark.parametrize("bad", [{"steps": 0}, {"frames": 0}, {"shift": 0.0}, {"shift": -1.0}])
def test_arguments_out_of_range_are_named(make, bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        make(**{"steps": 4, "frames": 3, **bad})


def test_linear_and_shift_by_hand():
    assert schedules.linear(4).tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
    # 5 * .5 / (1 + 4 * .5) = 2.5 / 3
    assert schedules.shift_levels(torch.tensor([0.5]), 5.0).item() == pytest.approx(2.5 / 3)


def test_noise_and_clean_stay_exactly_at_every_shift():
    ends = torch.tensor([0.0, 1.0])
    for shift in torch.linspace(0.01, 20, 2000).tolist():
        assert torch.equal(schedules.shift_levels(ends, shift), ends), shift


def test_shift_one_changes_nothing():
    for steps in range(1, 101):
        assert torch.equal(schedules.shift_levels(schedules.linear(steps), 1.0), schedules.linear(steps))


def test_shift_has_an_inverse_and_composes():
    g = torch.rand(100, dtype=torch.float64)
    torch.testing.assert_close(schedules.shift_levels(schedules.shift_levels(g, 5.0), 0.2), g)
    twice = schedules.shift_levels(schedules.shift_levels(g, 2.0), 3.0)
    torch.testing.assert_close(twice, schedules.shift_levels(g, 6.0))


@pytest.mark.parametrize(("steps", "shift"), [(10, 5.0), (40, 12.0), (7, 3.0)])
def test_shifted_sigmas_are_those_diffusers_makes(steps, shift):
    from diffusers import FlowMatchEulerDiscreteScheduler

    theirs = FlowMatchEulerDiscreteScheduler(shift=shift)
    theirs.set_timesteps(sigmas=np.linspace(1, 0, steps + 1)[:-1])
    ours = schedules.shift_levels(schedules.linear(steps), shift)
    torch.testing.assert_close(ours, theirs.sigmas, atol=1e-6, rtol=0)


def test_synchronous_has_equal_columns():
    S = schedules.synchronous(5, 4)
    assert (S[:, :1] == S).all()


def test_pyramid_by_hand():
    want = torch.tensor([[2, 2, 2], [1, 2, 2], [0, 1, 2], [0, 0, 1], [0, 0, 0]]) / 2
    assert torch.equal(schedules.pyramid(2, 3, lag=1), want)


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_pyramid_rows_and_lag(lag):
    S = schedules.pyramid(6, 5, lag=lag)
    assert len(S) == 6 + 4 * lag + 1
    for i in range(1, 5):
        assert torch.equal(S[lag:, i], S[: len(S) - lag, i - 1])


def test_pyramid_spans_from_synchronous_to_autoregressive():
    assert torch.equal(schedules.pyramid(6, 5, lag=0), schedules.synchronous(6, 5))
    assert torch.equal(schedules.pyramid(6, 5, lag=6), schedules.autoregressive(6, 5))


def test_autoregressive_moves_one_frame_at_a_time():
    moving = schedules.autoregressive(3, 4).diff(dim=0) != 0
    assert (moving.sum(dim=1) == 1).all()


def test_negative_lag_is_refused():
    with pytest.raises(ValueError, match="lag=-1"):
        schedules.pyramid(4, 3, lag=-1)


def test_columns_are_multiplied_after_the_shift():
    # m * shift(g), not shift(m * g): PAPER App. B and the released code agree on this.
    sigmas = schedules.synchronous(8, 5, shift=5.0)
    S = schedules.scale_columns(sigmas, (0, -1), (0.2, 0.5))
    torch.testing.assert_close(S[:, 0], 0.2 * sigmas[:, 0])
    torch.testing.assert_close(S[:, 4], 0.5 * sigmas[:, 4])
    assert torch.equal(S[:, 1:4], sigmas[:, 1:4])


@pytest.mark.parametrize("kind", [tuple, list, np.array, torch.tensor])
def test_levels_of_every_kind_mean_the_same(kind):
    S = schedules.scale_columns(schedules.synchronous(4, 5), (0, 2), kind([0.25, 0.5]))
    assert S[0].tolist() == [0.25, 1, 0.5, 1, 1]


def test_hold_at_zero_freezes():
    S = schedules.hold(8, 5, at=(0, -1), shift=3.0)
    assert (S[:, [0, 4]] == 0).all()
    assert torch.equal(S[:, 1:4], schedules.synchronous(8, 3, shift=3.0))


@pytest.mark.parametrize(
    ("at", "noise", "says"),
    [
        ((5,), 0.0, "frame 5 is outside the video of 5"),
        ((-6,), 0.0, "frame -6 is outside"),
        ((0, 0), 0.0, "two known frames at latent frame 0"),
        ((4, -1), 0.0, "two known frames at latent frame 4"),
        ((0,), 1.5, "noise level 1.5"),
        ((0,), -0.1, "noise level -0.1"),
        ((0, 1), (0.1, 0.2, 0.3), "3 noise levels for 2 known latent frames"),
    ],
)
def test_known_columns_that_cannot_be_are_refused(at, noise, says):
    with pytest.raises(ValueError, match=says):
        schedules.scale_columns(schedules.synchronous(4, 5), at, noise)
    if noise == 0:
        with pytest.raises(ValueError, match=says):
            schedules.hold(4, 5, at=at)


def test_faults_are_found_where_they_are():
    S = schedules.synchronous(4, 3)
    S[2, 1] = 0.9
    S[4, 2] = 0.1
    S[0, 0] = float("nan")
    found = schedules.faults(S)
    assert any(f.startswith("row 2, frame 1: 0.9 rises") for f in found)
    assert any(f.startswith("row 4, frame 2: 0.1 should be 0") for f in found)
    assert any(f.startswith("row 0, frame 0: nan is outside") for f in found)
    assert len(found) == 3
    with pytest.raises(ValueError, match="row 2, frame 1"):
        schedules.validate(S)


@pytest.mark.parametrize(
    "bad", [torch.zeros(3), torch.zeros(1, 3), torch.zeros(3, 0), torch.zeros(3, 3, dtype=torch.long)]
)
def test_what_is_no_matrix_of_timestep_is_refused(bad):
    with pytest.raises(ValueError, match=r"rows|floating"):
        schedules.validate(bad)


def test_many_faults_are_counted():
    S = torch.full((6, 4), 2.0)
    S[-1] = 0
    S[0, 1] = 3.0
    assert len(schedules.faults(S)) == 6
    says = r": row 0, frames 0\+2\+3: 2 is outside [^;]*; row 0, frame 1: 3 is .*; row 3, frames 0-3: .*\(and 1 more\)"
    with pytest.raises(ValueError, match=says):
        schedules.validate(S)


def test_a_lag_may_be_a_fraction():
    """Diffusion Forcing's uncertainty scale: frame i starts floor(i lag) rows late."""
    S = schedules.pyramid(6, 5, lag=0.5)
    assert [int((column == 1).sum()) - 1 for column in S.T] == [0, 0, 1, 1, 2]
    assert torch.equal(schedules.pyramid(6, 5, lag=2.0), schedules.pyramid(6, 5, lag=2))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("blockwise", {"lag": float("inf")}),
        ("rolling", {"window": 2.5}),
        ("staircase", {"chunk": 1.5}),
        ("pyramid", {"steps": 6.5}),
        ("synchronous", {"shift": float("inf")}),
        ("synchronous", {"frames": 2.5}),
    ],
)
def test_what_must_be_whole_or_finite_is_said(name, options, as_user):
    with pytest.raises(ValueError, match=r"whole number|finite"):
        SCHEDULES[name](**{"steps": 6, "frames": 8, **options})

"""pytest tests/test_schedule_compose.py: schedules out of schedules, and what is said about them."""

import itertools

import pytest
import torch
from falling import FALLING
from hypothesis import given, settings
from hypothesis import strategies as st

from pusa_lab import schedules
from pusa_lab.schedules import SCHEDULES

any_of = settings(deadline=None, database=None, derandomize=True, max_examples=12)
"""Drawn at random, but the same in every run."""

FRAMES, SHIFT = st.integers(1, 64), st.floats(0.1, 20)
falling = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40).map(lambda v: [*sorted(v, reverse=True), 0.0])
"""Explicit levels: any numbers that never rise and end at 0."""


@any_of
@given(st.lists(falling, min_size=1, max_size=8), st.sampled_from(["start", "end"]))
def test_columns_are_kept_exactly(columns, wait):
    S = schedules.from_columns(columns, wait)
    assert len(S) == max(map(len, columns))
    for column, own in zip(S.T, columns, strict=True):
        pad = len(S) - len(own)
        assert torch.equal(column[pad:] if wait == "start" else column[: len(own)], torch.tensor(own))
        assert (column[:pad] == own[0]).all() if wait == "start" else (column[len(own) :] == 0).all()


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ([[1.0, 0.0], [1.0, 0.5]], "row 1, frame 1: 0.5 should be 0"),
        ([[1.0, 0.0], [0.5, 0.6, 0.0]], "row 1, frame 1: 0.6 rises"),
        ([[1.0, 0.0], []], r"frame 1 has levels of shape \(0,\)"),
        ([[1.0, 0.0], 0.0], r"frame 1 has levels of shape \(\)"),
        ([], "nothing to put side by side"),
        ([[0.0], [0.0]], "at least 2 rows"),
    ],
)
def test_columns_that_make_no_schedule_are_refused(columns, says):
    with pytest.raises(ValueError, match=says):
        schedules.from_columns(columns)
    with pytest.raises(ValueError, match="wait='turn'"):
        schedules.from_columns(columns, wait="turn")


def test_frames_side_by_side():
    a, b = schedules.synchronous(2, 1), schedules.synchronous(4, 2)
    together = schedules.concatenate_frames([a, b])
    assert torch.equal(together[:, 1:], b)
    assert together[:, 0].tolist() == [1, 0.5, 0, 0, 0]
    assert schedules.concatenate_frames([a, b], "start")[:, 0].tolist() == [1, 1, 1, 0.5, 0]
    in_turn = schedules.concatenate_frames([a] * 4, "turn")
    assert torch.equal(in_turn, schedules.autoregressive(2, 4))
    blocks = schedules.concatenate_frames([schedules.synchronous(3, n) for n in (3, 3, 2)], "turn")
    assert torch.equal(blocks, schedules.blockwise(3, 8, lag=3))
    with pytest.raises(ValueError, match="wait='now'"):
        schedules.concatenate_frames([a], "now")


@any_of
@given(FRAMES, st.integers(2, 30), st.data())
def test_rows_cut_apart_go_together_again(frames, steps, data):
    S = schedules.pyramid(steps, frames, lag=2)
    cut = data.draw(st.integers(1, len(S) - 2))
    meet = [schedules.crop(S, rows=slice(cut + 1)), schedules.crop(S, rows=slice(cut, None))]
    apart = [schedules.crop(S, rows=slice(cut)), schedules.crop(S, rows=slice(cut, None))]
    assert torch.equal(schedules.concatenate_rows(meet), S)
    assert torch.equal(schedules.concatenate_rows(apart), S)


def test_rows_that_do_not_fit_are_refused():
    S = schedules.synchronous(4, 3)
    with pytest.raises(ValueError, match="row 5, frames 0-2: 1 rises"):
        schedules.concatenate_rows([S, S])
    with pytest.raises(ValueError, match=r"parts of \[3, 2\] frames"):
        schedules.concatenate_rows([S, S[:, :2]])
    with pytest.raises(ValueError, match=r"parts of \[\] frames"):
        schedules.concatenate_rows([])


def test_repeated_columns_are_blocks():
    S = schedules.pyramid(5, 4, lag=2)
    assert torch.equal(schedules.repeat_columns(S, 3, frames=10), schedules.blockwise(5, 10, lag=2))
    assert torch.equal(schedules.repeat_columns(S, [1, 3, 3, 3]), schedules.blockwise(5, 10, lag=2, first_alone=True))
    for times, frames, says in [(0, None, "times=0"), ([1, 2], None, "for 4 columns"), (2, 9, "frames=9 of 8")]:
        with pytest.raises(ValueError, match=says):
            schedules.repeat_columns(S, times, frames)


@pytest.mark.parametrize("name", FALLING)
@any_of
@given(st.integers(1, 7), st.integers(1, 30), SHIFT, st.integers(1, 9))
def test_stretched_rows_are_exact_where_they_were(name, frames, steps, shift, times):
    S = SCHEDULES[name](steps, frames, shift=shift)
    fine = schedules.stretch(S, times)
    assert fine.dtype == S.dtype
    assert torch.equal(fine[::times], S)
    assert schedules.faults(fine) == []
    want = torch.nn.functional.interpolate(S.T[None], len(fine), mode="linear", align_corners=True)[0].T
    torch.testing.assert_close(fine, want, atol=1e-5, rtol=0)


def test_stretch_and_crop_refuse():
    S = schedules.synchronous(4, 3)
    with pytest.raises(ValueError, match="times=0"):
        schedules.stretch(S, 0)
    with pytest.raises(ValueError, match="leave nothing"):
        schedules.crop(S, frames=slice(3, None))


def test_cropped_frames_lose_the_rows_in_which_they_stand():
    S = schedules.autoregressive(3, 5)
    one = schedules.crop(S, frames=slice(2, 3), trim=True)
    assert torch.equal(one, schedules.synchronous(3, 1))
    assert torch.equal(schedules.crop(S, frames=slice(2, 4), trim=True), schedules.autoregressive(3, 2))
    assert torch.equal(schedules.crop(S, slice(3, 10), slice(1, 3)), S[3:10, 1:3])


# What is said about a schedule


def test_remarks():
    assert schedules.remarks(schedules.pyramid(4, 5)) == []
    assert schedules.remarks(schedules.hold(4, 2)) == [
        "frame 0 never starts moving from 0: it is final from the start, so it must be known"
    ]
    assert schedules.remarks(schedules.scale_columns(schedules.synchronous(4, 2), [0], 0.5)) == [
        "frame 0 starts at 0.5: only a known frame can start below 1"
    ]
    assert schedules.remarks(schedules.pyramid(2, 2, lag=4)) == [
        "nothing moves after row 2, 3: these rows cost nothing and change nothing"
    ]
    # A lag too long for the rows there are.
    cut = schedules.pyramid(4, 3, lag=3)[:8]
    assert schedules.remarks(cut) == [
        "frame 2 leaves row 6 and never finishes: 0.75 at the end; reduce the lag, or add rows",
    ]
    assert any("frame 2: 0.75 should be 0" in fault for fault in schedules.faults(cut))
    assert schedules.remarks(cut[:7])[-1] == "frame 2 never starts moving from 1: give it a way down to 0"


def test_part_of_a_schedule_need_not_end_clean():
    part = schedules.pyramid(4, 3)[:4]
    schedules.validate(part, whole=False)
    with pytest.raises(ValueError, match="row 3, frame 0: 0\\.25 should be 0"):
        schedules.validate(part)
    with pytest.raises(ValueError, match="row 1, frame 2"):
        schedules.validate(torch.tensor([[1.0, 1, 0.5], [1, 1, 1]]), whole=False)


def test_describe_by_hand():
    S = torch.tensor([[1.0, 1.0, 0.0, 1.0], [0.5, 1.0, 0.0, 0.5], [0.5, 1.0, 0.0, 0.5], [0, 0.5, 0, 0], [0, 0, 0, 0]])
    d = schedules.describe(S)
    assert (d.rows, d.frames, d.calls) == (5, 4, 3)
    assert d.active == (2, 0, 3, 1)
    assert d.order == ((0, 3), (1,))
    assert d.clean == (2,)
    assert d.cost == pytest.approx((3 + 3 + 1) / (4 * 2))
    assert str(d) == (
        "5 rows x 4 frames, 3 denoiser calls, 0 to 3 frames moving at a time\n"
        "frames finish in the order 0+3, then 1; final at the start: 2\n"
        "0.88 times the work of synchronous frames, if final frames are dropped from the update"
    )


@pytest.mark.parametrize("name", FALLING)
@any_of
@given(st.integers(2, 12), st.integers(1, 8))
def test_describe_counts_what_the_sampler_does(name, frames, steps):
    from pusa_lab.samplers import sample_steps

    S, called = SCHEDULES[name](steps, frames), []
    done = [
        (state.tau[0] == 0).tolist()
        for state in sample_steps(lambda x, tau: called.append(tau) or x, torch.ones(1, 1, frames, 1, 1), S)
    ]
    d = schedules.describe(S)
    assert d.calls == len(called)
    assert len(d.active) == len(S) - 1
    most = int((S[1:] != S[:-1]).sum(dim=0).max())
    assert most == steps or (name == "rolling" and most == steps + 1)
    assert d.cost == pytest.approx(sum(int((tau > 0).sum()) for tau in called) / (frames * most))
    seen = list(d.clean)
    assert seen == [i for i, yes in enumerate(done[0]) if yes]
    for before, now in itertools.pairwise(done):
        group = tuple(i for i in range(frames) if now[i] and not before[i])
        assert not group or group in d.order
        seen += group
    assert tuple(seen) == d.clean + tuple(itertools.chain(*d.order))
    assert str(d).startswith(f"{len(S)} rows x {frames} frames, {d.calls} denoiser calls")


def test_describe_compares_with_synchronous_frames():
    assert schedules.describe(schedules.synchronous(10, 7)).cost == 1
    assert schedules.describe(schedules.hold(10, 8)).cost == pytest.approx(7 / 8)
    # Frame i of f is in i + 1 frames' calls: (f + 1) / 2 on average.
    assert schedules.describe(schedules.autoregressive(10, 7)).cost == pytest.approx(4)
    still = schedules.describe(torch.zeros(3, 2))
    assert (still.calls, still.cost, still.order, still.clean) == (0, 0, (), (0, 1))
    with pytest.raises(ValueError, match="rises"):
        schedules.describe(schedules.synchronous(4, 3).flip(0))

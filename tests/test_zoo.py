"""pytest tests/test_zoo.py: every schedule at any size, and each one's promise."""

import pytest
import torch
from falling import FALLING
from hypothesis import given, settings
from hypothesis import strategies as st

from pusa_lab import schedules
from pusa_lab.schedules import SCHEDULES, SIGMAS, sigmas

any_of = settings(deadline=None, database=None, derandomize=True, max_examples=12)
"""Drawn at random, but the same in every run."""

FRAMES, STEPS, SHIFT = st.integers(1, 64), st.integers(1, 200), st.floats(0.1, 20)
falling = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40).map(lambda v: [*sorted(v, reverse=True), 0.0])
"""Explicit levels: any numbers that never rise and end at 0."""


# The zoo, at any size


@pytest.mark.parametrize("name", FALLING)
@any_of
@given(FRAMES, STEPS, SHIFT, st.sampled_from(sorted(SIGMAS)))
def test_any_size_is_a_schedule(name, frames, steps, shift, sigmas):
    S = SCHEDULES[name](steps, frames, shift=shift, sigmas=sigmas)
    assert S.dtype == torch.float32
    assert S.shape[1] == frames
    assert ((S >= 0) & (S <= 1)).all()
    assert (S.diff(dim=0) <= 0).all()
    assert (S[-1] == 0).all()
    assert schedules.faults(S) == []
    assert (S.diff(dim=0) != 0).any() or frames == 1  # `hold` of one frame is that frame


@pytest.mark.parametrize("name", FALLING)
@any_of
@given(st.integers(1, 24), falling)
def test_levels_of_ones_own_are_untouched(name, frames, own):
    S = SCHEDULES[name](len(own) - 1, frames, sigmas=own)
    for column in S.T[S[0] > 0]:
        # Every column is the levels in their order and number, after a wait and before a rest.
        here = (column.unfold(0, len(own), 1) == torch.tensor(own)).all(dim=1).nonzero()
        assert len(here) == 1
        assert (column[: here[0, 0]] == own[0]).all()
        assert (column[here[0, 0] + len(own) :] == 0).all()


@pytest.mark.parametrize("name", FALLING)
def test_sigmas_by_name_as_a_function_and_as_numbers_are_the_same(name):
    by_name = SCHEDULES[name](6, 5, sigmas="karras")
    assert torch.equal(SCHEDULES[name](6, 5, sigmas=sigmas.karras), by_name)
    assert torch.equal(SCHEDULES[name](6, 5, sigmas=sigmas.karras(6).tolist()), by_name)
    assert torch.equal(SCHEDULES[name](6, 5, sigmas=sigmas.karras(6).numpy()), by_name)
    assert torch.equal(
        SCHEDULES[name](6, 5, sigmas=sigmas.shifted(3.0, sigmas.cosine)),
        SCHEDULES[name](6, 5, shift=3.0, sigmas="cosine"),
    )


@pytest.mark.parametrize("name", FALLING)
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sigmas": [1.0, 0.5, 0.0], "shift": 3.0}, r"shift=3.0 and sigmas of your own"),
        ({"sigmas": sigmas.cosine, "shift": 3.0}, r"shift=3.0 and sigmas of your own"),
        ({"sigmas": [1.0, 0.5, 0.0], "steps": 3}, r"shape \(3,\) for steps=3: give 4 levels"),
        ({"sigmas": [1.0, 0.5, 0.25]}, r"row 2: 0.25 should be 0"),
        ({"sigmas": [0.5, 0.6, 0.0]}, r"row 1: 0.6 rises"),
        ({"sigmas": [1.5, 0.6, 0.0]}, r"row 0: 1.5 is outside"),
        ({"sigmas": [1.0, float("nan"), 0.0]}, r"row 1: nan is outside"),
        ({"sigmas": "wavy"}, r"unknown sigma function 'wavy': choose one of linear"),
    ],
)
def test_sigmas_that_are_not_valid_are_refused(name, options, says):
    with pytest.raises(ValueError, match=says):
        SCHEDULES[name](**{"steps": 2, "frames": 3, **options})


# Each one's promise


def test_trapezoid_by_hand():
    odd = torch.tensor([[2, 2, 2], [1, 2, 1], [0, 1, 0], [0, 0, 0]]) / 2
    even = torch.tensor([[2, 2, 2, 2], [1, 2, 2, 1], [0, 1, 1, 0], [0, 0, 0, 0]]) / 2
    assert torch.equal(schedules.trapezoid(2, 3), odd)
    assert torch.equal(schedules.trapezoid(2, 4), even)


def test_two_sided_by_hand():
    inward = torch.tensor([[2, 2, 2, 2, 2], [1, 1, 2, 1, 1], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]) / 2
    assert torch.equal(schedules.two_sided(2, 5), inward)
    known = torch.tensor([[0, 2, 2, 2, 1], [0, 1, 2, 1, 0.5], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]) / 2
    assert torch.equal(schedules.scale_columns(inward, [0, -1], [0.0, 0.5]), known)
    outward = torch.tensor([[2, 2, 2, 2, 2, 2], [2, 1, 1, 1, 1, 2], [1, 0, 0, 0, 0, 1], [0] * 6]) / 2
    assert torch.equal(schedules.two_sided(2, 6, outward=True), outward)


@any_of
@given(st.integers(3, 64), st.integers(1, 40), st.integers(1, 50), st.booleans())
def test_two_sided_starts_beside_what_is_known(frames, steps, lag, outward):
    S = schedules.two_sided(steps, frames, lag=lag, outward=outward)
    known = sorted({(frames - 1) // 2, frames // 2} if outward else {0, frames - 1})
    assert all(torch.equal(S[: steps + 1, i], schedules.sigmas.levels("linear", steps)) for i in known)
    start = (S == 1).sum(dim=0) - 1
    for i in set(range(frames)) - set(known):
        assert start[i] == lag * (min(abs(i - k) for k in known) - 1)


@any_of
@given(FRAMES, st.integers(1, 60), st.integers(1, 20))
def test_rolling_never_has_more_than_a_window_in_progress(frames, steps, window):
    S = schedules.rolling(steps, frames, window)
    # Where the window does not divide the steps, frames end and others start in the middle of a row.
    turns = -(-window // steps) if steps % window else 0
    assert ((S[1:] != S[:-1]).sum(dim=1) <= window + turns).all()
    assert (((S > 0) & (S < 1)).sum(dim=1) <= window).all()
    assert (S[1:] != S[:-1]).any(dim=1).all()


def test_the_rolling_window_is_the_diagonal_of_rolling_diffusion():
    # Local time t_k = (k + t) / W, t from 1 down to 0.
    W, lag = 5, 3
    t = 1 - torch.arange(lag + 1)[:, None] / lag
    torch.testing.assert_close(schedules.rolling_window(W * lag, W), (torch.arange(W) + t) / W)


@any_of
@given(st.integers(1, 30), st.integers(1, 60), st.integers(1, 8), SHIFT)
def test_ramp_shifts_and_ramp_are_rolling(more, steps, window, shift):
    # Endless video, ended: fill the window, move it on again and again, let it empty.
    one = schedules.rolling_window(steps, window, shift)
    assert one.shape[1] == window
    assert torch.equal(one[-1, 1:], one[0, :-1])
    assert (one[-1, 0] == 0) and (one[0, 0] > 0)
    assert schedules.faults(one, whole=False) == []
    lag = len(one) - 1
    steps = lag * window  # every shift has equally many rows
    edge = schedules.rolling(steps, window, window, shift)
    frames = window + more
    times = torch.ones(frames)
    rows = [torch.cat([row, times[window:]]) for row in edge[: steps - lag + 1]]
    for first in range(more):
        for row in one[1:]:
            times = rows[-1].clone()
            times[first : first + window] = row
            rows.append(times)
    rows += [torch.cat([torch.zeros(more), row]) for row in edge[steps - lag + 1 :]]
    assert torch.equal(torch.stack(rows), schedules.rolling(steps, frames, window, shift))


@any_of
@given(FRAMES, st.integers(1, 30), st.integers(1, 9), st.integers(0, 40), st.booleans())
def test_blockwise_is_the_rule_of_skyreels_block_by_block(frames, steps, block, lag, first_alone):
    S = schedules.blockwise(steps, frames, block, lag, first_alone)
    sizes = [1] * first_alone + [block] * (-(-(frames - first_alone) // block))
    at = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))[:frames]
    state, rows = [0] * len(sizes), [[0] * len(sizes)]
    while min(state) < steps:
        new = []
        for b, now in enumerate(state):
            new.append(now + 1 if b == 0 or state[b - 1] >= steps else new[b - 1] - lag)
        state = [min(max(n, 0), steps) for n in new]
        rows.append(state)
    assert torch.equal(S, schedules.linear(steps)[torch.tensor(rows)[:, at]])
    assert S.shape[1] == frames


@pytest.mark.parametrize(
    ("steps", "frames", "block", "lag"), [(10, 12, 3, 5), (8, 6, 1, 2), (5, 8, 4, 5), (6, 4, 2, 0)]
)
def test_blockwise_is_what_diffusers_does(steps, frames, block, lag):
    from diffusers import SkyReelsV2DiffusionForcingPipeline as Theirs

    times = 1000 - torch.arange(steps) * 10  # whole numbers, as theirs are
    matrix, _, moves, _ = Theirs.generate_timestep_matrix(None, frames, times, frames, lag, 0, block)
    S = schedules.blockwise(steps, frames, block, lag, sigmas=torch.cat([times, torch.zeros(1)]) / 1000)
    assert torch.equal(S[1:] != S[:-1], moves)
    assert torch.equal((S[:-1] * 1000).round()[moves], matrix[moves].float())


@any_of
@given(FRAMES, st.integers(1, 30), st.integers(1, 20), st.data())
def test_staircase_chunk_by_chunk(frames, steps, chunk, data):
    overlap = data.draw(st.integers(0, chunk - 1))
    S = schedules.staircase(steps, frames, chunk, overlap)
    windows = schedules.chunk_windows(frames, chunk, overlap)
    assert len(S) == steps * len(windows) + 1
    made = []
    for c, window in enumerate(windows):
        assert len(window) == min(chunk, frames)
        part = S[steps * c : steps * (c + 1) + 1, window.start : window.stop]
        known = int((part[0] == 0).sum())
        assert known >= (overlap if c else 0)
        assert (part[:, :known] == 0).all()
        assert torch.equal(part[:, known:], schedules.synchronous(steps, len(window) - known))
        made += window[known:]
    assert made == list(range(frames))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: schedules.rolling(4, 5, window=0), "window=0"),
        (lambda: schedules.rolling_window(4, 0), "window=0"),
        (lambda: schedules.blockwise(4, 5, block=0), "block=0"),
        (lambda: schedules.blockwise(4, 5, lag=-1), "lag=-1"),
        (lambda: schedules.trapezoid(4, 5, lag=-2), "lag=-2"),
        (lambda: schedules.two_sided(4, 5, lag=-2), "lag=-2"),
        (lambda: schedules.staircase(4, 5, chunk=3, overlap=3), "overlap=3 for chunks of 3 frames"),
        (lambda: schedules.chunk_windows(5, 3, -1), "overlap=-1 for chunks of 3 frames"),
        (lambda: schedules.chunk_windows(0), "frames=0"),
        (lambda: schedules.delayed(4, [0, 2, -1]), "frame 2 has a delay of -1 rows"),
        (lambda: schedules.delayed(4, []), "frames=0"),
        (lambda: sigmas.karras(4, low=2.0, high=1.0), "low=2.0, high=1.0"),
        (lambda: sigmas.karras(4, rho=0.0), "rho=0.0"),
        (lambda: sigmas.logit_normal(4, std=0.0), "std=0.0"),
    ],
)
def test_what_is_out_of_range_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()

"""pytest tests/test_schedule_mistakes.py: known mistakes of other code bases.

Their rules stand here as functions: each must fail the check that the zoo passes.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pusa_lab import schedules
from pusa_lab.schedules import shift_levels, sigmas

any_of = settings(deadline=None, database=None, derandomize=True, max_examples=12)
"""Drawn at random, but the same in every run."""


def is_trapezoid(S, steps, lag):
    """Symmetric, all frames start at noise and visit all levels, each `lag` rows after its outer neighbour."""
    half = (S.shape[1] + 1) // 2
    follows = all(torch.equal(S[lag:, i], S[: len(S) - lag, i - 1]) for i in range(1, half))
    whole = all(torch.equal(column.unique(), schedules.linear(steps).flip(0)) for column in S.T)
    return torch.equal(S, S.flip(1)) and whole and follows


@any_of
@given(st.integers(1, 64), st.integers(1, 40), st.integers(0, 50))
def test_trapezoid_makes_both_ends_first_and_the_middle_last(frames, steps, lag):
    S = schedules.trapezoid(steps, frames, lag=lag)
    assert is_trapezoid(S, steps, lag)
    assert len(S) == steps + (frames - 1) // 2 * lag + 1


@pytest.mark.parametrize("frames", [2, 3, 4, 7, 8, 21])
def test_mistake_trapezoid_off_by_one(frames):
    def mistaken(steps, frames, lag):
        # Counting t from 0 on both sides: column -0 is column 0, so the last one gets what belongs to its neighbour.
        rows = torch.arange(steps + (frames + 1) // 2 * lag + 1)
        S = torch.zeros(len(rows), frames)
        for t in range((frames + 1) // 2):
            S[:, t] = S[:, -t] = schedules.linear(steps)[(rows - t * lag).clamp(0, steps)]
        return S

    wrong = mistaken(6, frames, 2)
    assert not is_trapezoid(wrong, 6, 2)
    assert not torch.equal(wrong[:, 0], wrong[:, -1])
    assert bool((wrong[0] == 0).any()) == (frames % 2 == 0)  # the middle column that was clean from the start
    assert is_trapezoid(schedules.trapezoid(6, frames, lag=2), 6, 2)


def keeps_levels(levels, own):
    return torch.equal(levels(own), torch.tensor(own))


def test_mistake_explicit_levels_shifted_again():
    own = [1.0, 0.9, 0.7, 0.3, 0.0]
    assert not keeps_levels(lambda given: shift_levels(torch.tensor(given), 3.0), own)
    assert keeps_levels(lambda given: sigmas.levels(given, len(given) - 1), own)
    assert keeps_levels(lambda given: schedules.synchronous(4, 2, sigmas=given)[:, 1], own)

    from diffusers import FlowMatchEulerDiscreteScheduler

    def diffusers_euler(given):
        theirs = FlowMatchEulerDiscreteScheduler(shift=3.0)
        theirs.set_timesteps(sigmas=np.array(given[:-1]))
        return theirs.sigmas

    assert not keeps_levels(diffusers_euler, own)


def tail_is_kept(S, steps, frames):
    return S.shape[1] == frames and all(torch.equal(c.unique(), schedules.linear(steps).flip(0)) for c in S.T)


@pytest.mark.parametrize(("frames", "block"), [(8, 3), (21, 5), (2, 3)])
def test_mistake_dropped_tail(frames, block):
    def dropped(steps, frames, block, lag):
        return schedules.pyramid(steps, max(frames // block, 1), lag).repeat_interleave(block, dim=1)

    def left_at_zero(steps, frames, block, lag):
        S = dropped(steps, frames, block, lag)
        return torch.nn.functional.pad(S, (0, max(0, frames - S.shape[1])))[:, :frames]

    assert not tail_is_kept(dropped(6, frames, block, 2), 6, frames)
    assert tail_is_kept(left_at_zero(6, frames, block, 2), 6, frames) == (frames < block)
    assert tail_is_kept(schedules.blockwise(6, frames, block, lag=2), 6, frames)


def visits_every_level(visited, sigmas):
    return torch.equal(visited, sigmas[:-1])


@pytest.mark.parametrize(("steps", "shift", "wrong"), [(50, 5.0, 0), (100, 5.0, 11), (40, 12.0, 3), (50, 12.0, 7)])
def test_mistake_looking_a_rounded_timestep_up(steps, shift, wrong):
    """The number of wrong indices is what PAPER.md 3.5 counts in the official code."""
    g = sigmas.levels("linear", steps, shift)
    timesteps = g[:-1] * 1000
    found = (timesteps - timesteps.bfloat16().float()[:, None]).abs().argmin(dim=1)
    assert int((found != torch.arange(steps)).sum()) == wrong
    assert visits_every_level(g[found], g) == (wrong == 0)
    S = schedules.synchronous(steps, 3, shift=shift)
    for frame in range(3):
        assert visits_every_level(S[:-1, frame], g)


def multiplied_once(S, sigmas, m):
    return all(torch.allclose(column, level * sigmas) for column, level in zip(S.T, m, strict=True))


@pytest.mark.parametrize(("at", "m"), [((0, 1, 2), [0.2, 0.5, 0.4]), ((0, 2), [0.2, 0.5])])
def test_mistake_multiplier_squared_when_all_frames_are_known(at, m):
    g = sigmas.levels("linear", 8, 5.0)

    def mistaken(base, at, m):
        # The base level is read off as the greatest timestep, after the known frames have been multiplied.
        times = base.clone()
        times[:, at] *= torch.tensor(m)
        top = times.amax(dim=1)
        S = top[:, None].repeat(1, base.shape[1])
        S[:, at] = top[:, None] * torch.tensor(m)
        return S

    want = [dict(zip(at, m, strict=True)).get(i, 1.0) for i in range(3)]
    base = schedules.synchronous(8, 3, shift=5.0)
    assert multiplied_once(mistaken(base, list(at), m), g, want) == (len(at) < 3)
    assert multiplied_once(schedules.scale_columns(base, at, m), g, want)

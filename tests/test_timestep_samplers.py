"""pytest tests/test_timestep_samplers.py: marginals and joints of the timestep samplers against closed forms."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pusa_lab.schedules import timestep_samplers

N, F = 20_000, 5


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


WARPED = [
    timestep_samplers.shift_timesteps(timestep_samplers.shared, 5.0),
    timestep_samplers.logit_normal_timesteps(timestep_samplers.per_block(2, timestep_samplers.nondecreasing())),
]


@pytest.mark.parametrize("sampler", [*(maker() for maker in timestep_samplers.TIMESTEP_SAMPLERS.values()), *WARPED])
def test_shape_range_and_seed(sampler):
    tau = sampler(7, F, gen())
    assert tau.shape == (7, F)
    assert ((tau >= 0) & (tau <= 1)).all()
    assert torch.equal(tau, sampler(7, F, gen()))
    assert not torch.equal(tau, sampler(7, F, gen(1)))
    assert sampler(7, F).shape == (7, F)


@pytest.mark.parametrize("name", ["shared", "independent", "mixed", "uniform_future", "per_block"])
def test_marginal_of_every_frame_is_uniform(name):
    tau = timestep_samplers.TIMESTEP_SAMPLERS[name]()(N, F, gen()).sort(dim=0).values
    want = (torch.arange(N) + 0.5) / N
    # Kolmogorov-Smirnov: sqrt(N) * distance exceeds 1.95 once in a thousand.
    assert ((tau - want[:, None]).abs().amax(dim=0) * N**0.5 < 1.95).all()


def test_joint_of_two_frames():
    assert torch.equal(*timestep_samplers.shared(N, 2, gen()).unbind(1))
    tau = timestep_samplers.independent(N, 2, gen())
    assert abs(torch.corrcoef(tau.T)[0, 1]) < 4 / N**0.5


@pytest.mark.parametrize("p", [0.0, 0.2, 1.0])
def test_mixed_tosses_one_coin_per_sample(p):
    tau = timestep_samplers.mixed(p)(N, F, gen())
    alone = (tau != tau[:, :1]).any(dim=1)
    assert abs(alone.float().mean() - p) < 4 * (p * (1 - p) / N) ** 0.5 + 1e-9


def test_shift_moves_the_median_where_the_formula_says():
    tau = timestep_samplers.shift_timesteps(timestep_samplers.independent, 5.0)(N, F, gen())
    # The median of U is 1/2, and shift is increasing: 5/2 / (1 + 4/2) = 5/6, the .83 of the released trainer.
    assert tau.median().item() == pytest.approx(5 / 6, abs=0.01)


@pytest.mark.parametrize("sampler", [maker() for maker in timestep_samplers.TIMESTEP_SAMPLERS.values()])
def test_a_timestep_sampler_may_be_edited_frame_by_frame(sampler):
    tau = sampler(7, F, gen())
    rest = tau[:, 1:].clone()
    tau[:, 0] = 0
    assert torch.equal(tau[:, 1:], rest)


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_a_probability_out_of_range_is_refused(p):
    with pytest.raises(ValueError, match="p_async"):
        timestep_samplers.mixed(p)


def test_a_shift_out_of_range_is_refused_before_the_first_sample():
    with pytest.raises(ValueError, match="shift"):
        timestep_samplers.shift_timesteps(timestep_samplers.shared, 0.0)


def uniform_distance(u):
    """Kolmogorov-Smirnov: sqrt(N) times the largest distance to U[0, 1]; above 1.95 once in a thousand."""
    return ((u.sort().values - (torch.arange(len(u)) + 0.5) / len(u)).abs().amax() * len(u) ** 0.5).item()


@pytest.mark.parametrize(("k", "noise"), [(1, 0.0), (3, 0.03)])
def test_clean_prefix_keeps_its_level_and_draws_the_rest(k, noise):
    tau = timestep_samplers.clean_prefix(k, noise)(N, F, gen())
    assert torch.equal(tau[:, :k], torch.full((N, k), noise))
    assert torch.equal(tau[:, k:], timestep_samplers.independent(N, F - k, gen()))
    tau = timestep_samplers.clean_prefix(k, noise, timestep_samplers.shared)(N, F, gen())
    assert torch.equal(tau[:, k:], tau[:, -1:].expand(N, F - k))


def test_a_warp_inside_rest_leaves_the_prefix_alone_and_one_outside_does_not():
    inside = timestep_samplers.clean_prefix(
        1, 0.03, timestep_samplers.shift_timesteps(timestep_samplers.independent, 5.0)
    )(N, F, gen())
    outside = timestep_samplers.shift_timesteps(timestep_samplers.clean_prefix(1, 0.03), 5.0)(N, F, gen())
    torch.testing.assert_close(inside[:, 1:], outside[:, 1:])
    assert inside[0, 0].item() == pytest.approx(0.03)
    assert outside[0, 0].item() == pytest.approx(5 * 0.03 / (1 + 4 * 0.03))
    assert (timestep_samplers.logit_normal_timesteps(timestep_samplers.clean_prefix())(N, F, gen())[:, 0] == 0).all()


def test_uniform_future_shares_one_timestep_after_an_independent_history():
    tau = timestep_samplers.uniform_future(2)(N, F, gen())
    assert torch.equal(tau[:, 2:], tau[:, 2:3].expand(N, F - 2))
    off = torch.corrcoef(tau[:, :3].T) - torch.eye(3)
    assert off.abs().max() < 4 / N**0.5


@pytest.mark.parametrize(("block", "frames"), [(1, 5), (3, 7), (3, 9), (4, 3)])
def test_blockwise_has_one_timestep_per_block_and_keeps_the_tail(block, frames):
    tau = timestep_samplers.per_block(block)(N, frames, gen())
    assert tau.shape == (N, frames)
    for i, j in itertools.combinations(range(frames), 2):
        if i // block == j // block:
            assert torch.equal(tau[:, i], tau[:, j])
        else:
            assert abs(torch.corrcoef(tau[:, [i, j]].T)[0, 1]) < 4 / N**0.5


def test_noisy_first_frame_has_a_fifth_of_nearly_clean_first_frames():
    tau = timestep_samplers.noisy_first_frame()(N, F, gen())
    chosen = tau[:, 0] != tau[:, 1]  # all others share one timestep
    assert abs(chosen.float().mean() - 0.2) < 4 * (0.2 * 0.8 / N) ** 0.5
    assert torch.equal(tau[:, 1:], tau[:, 1:2].expand(N, F - 1))
    z = (tau[chosen, 0].log() + 3.5) / 0.5
    assert uniform_distance(torch.special.ndtr(z)) < 1.95
    assert abs(torch.corrcoef(torch.stack([z, tau[chosen, 1]]))[0, 1]) < 4 / chosen.sum() ** 0.5
    assert timestep_samplers.noisy_first_frame(1.0, mean=3.0)(99, F, gen()).max() == 1  # levels stay in [0, 1]


def test_logit_normal_has_its_closed_form_and_keeps_the_order():
    tau = timestep_samplers.logit_normal_timesteps(timestep_samplers.independent, mean=0.4, std=1.7)(N, F, gen())
    for column in tau.T:
        assert uniform_distance(torch.special.ndtr((torch.logit(column) - 0.4) / 1.7)) < 1.95
    tau = timestep_samplers.logit_normal_timesteps(timestep_samplers.nondecreasing())(N, F, gen())
    assert (tau.diff(dim=1) >= 0).all()


# FoPP: the distribution of the paths, by enumeration and by the published procedure.


def paths_through(levels, frames):
    """P(path) from nothing but lists: uniform pivot and level, then uniform among all paths through both."""
    paths = list(itertools.combinations_with_replacement(range(levels), frames))
    chance = dict.fromkeys(paths, 0.0)
    for pivot, level in itertools.product(range(frames), range(levels)):
        through = [path for path in paths if path[pivot] == level]
        for path in through:
            chance[path] += 1 / (frames * levels * len(through))
    return chance


@pytest.mark.parametrize(("levels", "frames"), [(2, 2), (3, 4), (5, 3), (4, 1), (1, 3)])
def test_every_nondecreasing_path_has_the_chance_that_enumeration_gives_it(levels, frames):
    n, chance = 60_000, paths_through(levels, frames)
    tau = timestep_samplers.nondecreasing(levels)(n, frames, gen())
    # The offset within a level is the same for all frames, so first differences are whole levels.
    steps = (tau[:, 1:] - tau[:, :1]) * levels
    assert (steps - steps.round()).abs().max() < 1e-4 if frames > 1 else True
    level = (tau.double() * levels).floor().long().clamp(max=levels - 1)
    found, counts = level.unique(dim=0, return_counts=True)
    assert set(map(tuple, found.tolist())) <= set(chance)
    want = torch.tensor([chance[tuple(path)] for path in found.tolist()], dtype=torch.float64)
    assert want.sum().item() == pytest.approx(1)  # no path is missing
    # The docstring's formula is the same distribution.
    for path, p in chance.items():
        ways = [
            math.comb(t + i, i) * math.comb(levels - 1 - t + frames - 1 - i, frames - 1 - i) for i, t in enumerate(path)
        ]
        assert p == pytest.approx(sum(1 / w for w in ways) / frames / levels)
    chi2 = ((counts - n * want).square() / (n * want)).sum().item()
    freedom = len(chance) - 1
    assert chi2 < freedom + 4 * (2 * freedom) ** 0.5 + 1e-9


def slow_path(levels, frames, generator):
    """FoPP as published, one sample at a time: tables of path counts, then frame by frame from the pivot."""
    later = torch.ones(levels, frames, dtype=torch.float64)  # ways on from (level, frame)
    for t, f in itertools.product(range(levels - 2, -1, -1), range(frames - 2, -1, -1)):
        later[t, f] = later[t + 1, f] + later[t, f + 1]
    earlier = torch.ones(levels, frames, dtype=torch.float64)  # ways to it
    for t, f in itertools.product(range(1, levels), range(1, frames)):
        earlier[t, f] = earlier[t - 1, f] + earlier[t, f - 1]

    def one():
        pivot = int(torch.randint(frames, (), generator=generator))
        path = [int(torch.randint(levels, (), generator=generator))]
        for f in range(pivot + 1, frames):
            path.append(path[-1] + int(torch.multinomial(later[path[-1] :, f], 1, generator=generator)))
        for f in range(pivot - 1, -1, -1):
            path.insert(0, int(torch.multinomial(earlier[: path[0] + 1, f], 1, generator=generator)))
        return path

    return one


def test_the_urn_samples_what_the_published_procedure_samples(one_thread):
    levels, frames, n = 20, 6, 4000
    one = slow_path(levels, frames, gen(1))
    slow = torch.tensor([one() for _ in range(n)])
    fast = (timestep_samplers.nondecreasing(levels)(50 * n, frames, gen()) * levels).long()
    for i, j in itertools.combinations_with_replacement(range(frames), 2):
        a, b = ((x[:, i] * x[:, j]).double() for x in (slow, fast))
        assert abs(a.mean() - b.mean()) < 4.5 * (a.var() / len(a) + b.var() / len(b)) ** 0.5, (i, j)
    edges = torch.arange(levels)
    cdf = [(x[:, :, None] <= edges).double().mean(dim=0) for x in (slow, fast)]
    assert (cdf[0] - cdf[1]).abs().max() * n**0.5 < 1.95


def test_a_lone_frame_is_its_own_pivot_and_time_and_noise_mirror_each_other():
    assert uniform_distance(timestep_samplers.nondecreasing()(N, 1, gen())[:, 0]) < 1.95
    tau = timestep_samplers.nondecreasing()(N, F, gen())
    for i in range(F):
        a, b = tau[:, i], 1 - timestep_samplers.nondecreasing()(N, F, gen(1))[:, F - 1 - i]
        assert abs(a.mean() - b.mean()) < 4.5 * (2 * a.var() / N) ** 0.5


@settings(max_examples=40, deadline=None)
@given(frames=st.integers(1, 64), levels=st.integers(1, 5000), batch=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_nondecreasing_never_falls(frames, levels, batch, seed):
    tau = timestep_samplers.nondecreasing(levels)(batch, frames, gen(seed))
    assert tau.shape == (batch, frames)
    assert tau.dtype == torch.float32
    assert ((tau >= 0) & (tau <= 1)).all()
    assert (tau.diff(dim=1) >= 0).all()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: timestep_samplers.clean_prefix(0), "k=0: give the number of history frames, at least 1"),
        (lambda: timestep_samplers.clean_prefix(1, 1.5), "noise=1.5"),
        (lambda: timestep_samplers.clean_prefix(5)(2, 5), "k=5 frames of history leave none of the video's 5"),
        (lambda: timestep_samplers.uniform_future(-1), "k=-1"),
        (lambda: timestep_samplers.uniform_future(6)(2, 5), "k=6 frames"),
        (lambda: timestep_samplers.per_block(0), "block=0"),
        (lambda: timestep_samplers.nondecreasing(0), "levels=0"),
        (lambda: timestep_samplers.noisy_first_frame(1.2), "p=1.2"),
        (lambda: timestep_samplers.noisy_first_frame(std=-1.0), "std=-1.0"),
        (lambda: timestep_samplers.logit_normal_timesteps(timestep_samplers.shared, std=0.0), "std=0.0"),
        (lambda: timestep_samplers.logit_normal_timesteps(timestep_samplers.shared, std=float("nan")), "std=nan"),
    ],
)
def test_what_cannot_be_sampled_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()

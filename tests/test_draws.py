"""pytest tests/test_draws.py: marginals and joints of the training draws against closed forms."""

import pytest
import torch

from pusa_lab.schedules import draws

N, F = 20_000, 5


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("draw", [draws.shared, draws.independent, draws.mixed(0.3), draws.shifted(draws.shared, 5.0)])
def test_shape_range_and_seed(draw):
    tau = draw(7, F, gen())
    assert tau.shape == (7, F)
    assert ((tau >= 0) & (tau <= 1)).all()
    assert torch.equal(tau, draw(7, F, gen()))
    assert not torch.equal(tau, draw(7, F, gen(1)))
    assert draw(7, F).shape == (7, F)


@pytest.mark.parametrize("name", sorted(draws.DRAWS))
def test_marginal_of_every_frame_is_uniform(name):
    tau = draws.DRAWS[name]()(N, F, gen()).sort(dim=0).values
    want = (torch.arange(N) + 0.5) / N
    # Kolmogorov-Smirnov: sqrt(N) * distance exceeds 1.95 once in a thousand.
    assert ((tau - want[:, None]).abs().amax(dim=0) * N**0.5 < 1.95).all()


def test_joint_of_two_frames():
    assert torch.equal(*draws.shared(N, 2, gen()).unbind(1))
    tau = draws.independent(N, 2, gen())
    assert abs(torch.corrcoef(tau.T)[0, 1]) < 4 / N**0.5


@pytest.mark.parametrize("p", [0.0, 0.2, 1.0])
def test_mixed_tosses_one_coin_per_sample(p):
    tau = draws.mixed(p)(N, F, gen())
    alone = (tau != tau[:, :1]).any(dim=1)
    assert abs(alone.float().mean() - p) < 4 * (p * (1 - p) / N) ** 0.5 + 1e-9


def test_shift_moves_the_median_where_the_formula_says():
    tau = draws.shifted(draws.independent, 5.0)(N, F, gen())
    # The median of U is 1/2, and shift is increasing: 5/2 / (1 + 4/2) = 5/6, the .83 of the released trainer.
    assert tau.median().item() == pytest.approx(5 / 6, abs=0.01)


@pytest.mark.parametrize("draw", [draws.shared, draws.independent, draws.mixed(0.0)])
def test_a_draw_may_be_edited_frame_by_frame(draw):
    tau = draw(7, F, gen())
    rest = tau[:, 1:].clone()
    tau[:, 0] = 0
    assert torch.equal(tau[:, 1:], rest)


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_a_probability_out_of_range_is_refused(p):
    with pytest.raises(ValueError, match="p_async"):
        draws.mixed(p)


def test_a_shift_out_of_range_is_refused_before_the_first_draw():
    with pytest.raises(ValueError, match="shift"):
        draws.shifted(draws.shared, 0.0)

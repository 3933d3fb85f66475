"""pytest tests/test_schedule_sigmas.py: levels of one timestep, against diffusers and the papers' formulas."""

import math
import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pusa_lab.schedules import SIGMAS, sigmas

any_of = settings(deadline=None, database=None, derandomize=True, max_examples=12)
"""Drawn at random, but the same in every run."""

STEPS, SHIFT = st.integers(1, 200), st.floats(0.1, 20)


@pytest.mark.parametrize("name", sorted(SIGMAS))
@any_of
@given(STEPS, SHIFT)
def test_sigmas_run_strictly_from_one_to_zero(name, steps, shift):
    g = sigmas.levels(name, steps, shift)
    assert g.dtype == torch.float32
    assert g.shape == (steps + 1,)
    assert g[0] == 1
    assert g[-1] == 0
    assert (g.diff() < 0).all()


@pytest.mark.parametrize("name", sorted(SIGMAS))
def test_sigmas_want_a_step(name):
    with pytest.raises(ValueError, match="steps=0"):
        SIGMAS[name](0)


@pytest.mark.parametrize(("steps", "shift"), [(1, 3.0), (10, 5.0), (50, 3.0), (40, 12.0)])
def test_wan_is_what_diffusers_unipc_makes(steps, shift):
    from diffusers import UniPCMultistepScheduler

    theirs = UniPCMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=shift)
    theirs.set_timesteps(steps)
    # Theirs starts 1e-6 below 1, to keep its logarithms finite.
    torch.testing.assert_close(sigmas.levels("wan", steps, shift), theirs.sigmas, atol=2e-6, rtol=0)
    if steps > 1:
        assert (sigmas.levels("linear", steps, shift) - theirs.sigmas).abs().max() > 1e-4


@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_karras_is_edm_on_the_path_of_the_flow(steps):
    from diffusers import EDMEulerScheduler

    theirs = EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0, rho=7.0)
    theirs.set_timesteps(steps)
    want = theirs.sigmas / (1 + theirs.sigmas)
    got = sigmas.karras(steps)
    torch.testing.assert_close(got[1:], want[1:], atol=1e-6, rtol=0)
    assert got[0] == 1  # in place of 80 / 81


def test_cosine_has_the_signal_to_noise_ratio_of_the_cosine_schedule():
    # Variance preserving, alpha_bar = cos^2(pi u / 2): SNR = cot^2; on the flow's path SNR = ((1 - tau) / tau)^2.
    tau = sigmas.cosine(20)[1:-1].double()
    u = 1 - torch.arange(1, 20, dtype=torch.float64) / 20
    torch.testing.assert_close(((1 - tau) / tau) ** 2, torch.tan(math.pi * u / 2) ** -2, atol=0, rtol=1e-5)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (1.2, 0.5), (-0.5, 2.0)])
def test_logit_normal_levels_cut_the_draw_into_equal_shares(mean, std):
    g = sigmas.logit_normal(8, mean, std)
    normal = statistics.NormalDist(mean, std)
    want = [1 / (1 + math.exp(-normal.inv_cdf(1 - j / 8))) for j in range(1, 8)]
    torch.testing.assert_close(g[1:-1], torch.tensor(want), atol=1e-6, rtol=0)
    draws = torch.sigmoid(mean + std * torch.randn(200_000))
    share = torch.histogram(draws, bins=g.flip(0)).hist / len(draws)
    torch.testing.assert_close(share, torch.full((8,), 1 / 8), atol=0.005, rtol=0)

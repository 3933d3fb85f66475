"""Solvers with fresh noise, precisions and settings."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from test_solvers import LAGS, B, C, F, H, W, even, gauss, matrix, mixing, noise

from pusa_lab import schedules
from pusa_lab.samplers import sample, sample_steps
from pusa_lab.solvers import SOLVERS, AdamsBashforth, Churn, Consistency, euler

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", ["synchronous", "pyramid", "autoregressive", "hold"])
def test_churn_0_is_euler_exactly(name):
    x, S = torch.randn(B, C, F, H, W), schedules.SCHEDULES[name](7, F, shift=3.0)
    assert torch.equal(sample(mixing, x, S, Churn(amount=0)), sample(mixing, x, S, euler))
    assert not torch.equal(sample(mixing, x, S, Churn(amount=0.1)), sample(mixing, x, S, euler))


@pytest.mark.parametrize("solver", [Churn(), Consistency()])
def test_noise_follows_the_seed_of_the_sample_not_the_batch(solver):
    x, S = noise(), matrix(even, 0.25, 4)
    both = sample(mixing, x, S, solver)
    assert torch.equal(sample(mixing, x, S, solver), both)
    assert torch.equal(sample(mixing, x[1:], S, replace(solver, seed=1)), both[1:])
    assert not torch.equal(sample(mixing, x, S, replace(solver, seed=5)), both)


def test_noise_is_fresh_for_every_frame_and_row_and_is_not_the_start():
    x = torch.randn(1, 1, F, 60, 60, generator=torch.Generator().manual_seed(0))
    states = list(sample_steps(lambda x, tau: 0 * x, x, schedules.synchronous(4, F), Consistency(seed=0)))
    draws = [x]
    for old, new in itertools.pairwise(states[:-1]):
        draws.append((new.x - (1 - new.tau[0, 0]) * old.x) / new.tau[0, 0])
    together = torch.cat(draws, dim=2)[0, 0].flatten(1)
    assert (torch.corrcoef(together) - torch.eye(len(together))).abs().max() < 5 / 60
    assert (together.var(dim=1) - 1).abs().max() < 5 * math.sqrt(2) / 60


def covariance_error(x, denoiser):
    z = x.movedim(2, -1).reshape(-1, F)
    return max((torch.cov(z.T) - denoiser.cov).abs().max().item(), (z.mean(0) - denoiser.mean).abs().max().item())


@pytest.mark.parametrize("lag", LAGS.values(), ids=LAGS)
def test_churned_samples_have_the_covariance(lag):
    # 40,000 videos of one pixel: three standard errors are about .03, the rest is the error of Euler's 64 steps.
    denoiser = gauss()
    out = sample(denoiser, noise(40, 1, F, 20, 50), matrix(even, lag, 64), Churn(1.0))
    assert covariance_error(out, denoiser) < 0.12


def test_strong_churn_converges_to_the_covariance():
    denoiser, x = gauss(), noise(40, 1, F, 20, 50)
    errors = [covariance_error(sample(denoiser, x, matrix(even, 0.0, n), Churn(5)), denoiser) for n in (40, 120)]
    assert 2.3 < errors[0] / errors[1] < 4
    assert errors[1] < 0.2


def jump(denoiser):
    """The consistency model of the Gaussian: for equal timesteps, or for independent frames, its end point is known.

    x0 = mean + C^1/2 ((1 - tau)^2 C + tau^2)^-1/2 (x - (1 - tau) mean)
    """
    levels, basis = torch.linalg.eigh(denoiser.cov)

    def v(x, tau):
        t = tau.to(x)[:, None, :, None, None]
        mean, c = denoiser.mean[:, None, None], levels[:, None, None]
        z = torch.einsum("ij,bcihw->bcjhw", basis, x - (1 - t) * mean)
        own = t if (tau == tau[:, :1]).all() else torch.einsum("ij,bcihw->bcjhw", basis.abs().round(), t)
        z = z * (c / ((1 - own) ** 2 * c + own**2)).sqrt()
        return (x - mean - torch.einsum("ij,bcjhw->bcihw", basis, z)) / t.clamp(min=1e-12)

    return v


@pytest.mark.parametrize(("lag", "independent"), [(0.0, False), (0.0, True), (0.25, True), (1.0, True)])
def test_consistency_samples_have_the_covariance_after_few_steps(lag, independent):
    # 40,000 videos of one pixel: three standard errors are about .03, and nothing else is left.
    denoiser = gauss(independent=independent)
    out = sample(jump(denoiser), noise(40, 1, F, 20, 50), matrix(even, lag, 4), "consistency")
    assert covariance_error(out, denoiser) < 0.03


def test_consistency_steps_of_an_ordinary_model_come_out_too_smooth():
    denoiser = gauss()
    out = sample(denoiser, noise(40, 1, F, 20, 50), matrix(even, 0.0, 60), "consistency")
    assert torch.cov(out.movedim(2, -1).reshape(-1, F).T).trace() < 0.7 * denoiser.cov.trace()


@pytest.mark.parametrize("solver", sorted(SOLVERS))
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_latents_keep_their_precision(solver, dtype):
    assert sample(mixing, noise().to(dtype), matrix(even, 0.25, 4), solver).dtype == dtype


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: AdamsBashforth(4), "order=4: Adams-Bashforth is available with order 2 or 3"),
        (lambda: Churn(-0.5), "amount=-0.5: give a finite number of at least 0"),
        (lambda: Churn(float("nan")), "amount=nan"),
    ],
)
def test_bad_settings_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()

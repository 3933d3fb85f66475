"""pytest tests/test_analytic.py: transport along any path of timesteps is exact for Gaussian data.

The whole zoo, and image-to-video, against a known covariance; this is the test that a wrong sign, a wrong row, or a
frame that moves by its neighbour's timestep cannot pass.
"""

import pytest
import torch
from falling import FALLING

from pusa_lab import schedules
from pusa_lab.analytic import GaussianDenoiser, condition
from pusa_lab.samplers import sample

pytestmark = pytest.mark.usefixtures("as_user")  # ten thousand steps; their shapes are enforced in the other tests
F, SAMPLES, STEPS = 5, 210, 100
TOLERANCE = {"euler": 0.03, "heun": 0.003}
"""What is left is the solver's own error at this number of steps."""


@pytest.fixture(scope="module")
def gauss():
    """A video of correlated frames, one pixel: the covariance falls off with distance in time."""
    g = torch.Generator().manual_seed(3)
    t = torch.arange(F, dtype=torch.float64)
    cov = 0.6 * torch.exp(-((t[:, None] - t) ** 2) / 4) + 0.15 * torch.eye(F) + 0.1 * torch.diag(t)
    return GaussianDenoiser(torch.randn(F, generator=g, dtype=torch.float64), cov)


def noise():
    """Noise whose sample mean and covariance are exactly 0 and 1: transport is affine, so no luck is left in it."""
    z = torch.randn(SAMPLES, F, dtype=torch.float64)
    z -= z.mean(0)
    z = torch.linalg.solve_triangular(torch.linalg.cholesky(torch.cov(z.T)), z.T, upper=False).T
    return z.view(3, 2, 5, 7, F).movedim(-1, 2)


def frames(x):
    return x.movedim(2, -1).reshape(-1, F)


@pytest.mark.parametrize("solver", ["euler", "heun"])
@pytest.mark.parametrize("name", sorted(set(FALLING) - {"hold"}))
def test_noise_becomes_the_data_along_every_schedule(gauss, name, solver):
    z = frames(sample(gauss, noise(), schedules.SCHEDULES[name](STEPS, F), solver))
    assert (torch.cov(z.T) - gauss.cov).abs().max() < TOLERANCE[solver]
    assert (z.mean(0) - gauss.mean).abs().max() < TOLERANCE[solver]


@pytest.mark.parametrize("solver", ["midpoint", "ab2", "ab3", "dpmpp_2m", "unipc"])
@pytest.mark.parametrize("name", ["synchronous", "trapezoid", "blockwise", "rolling"])
def test_and_with_every_solver(gauss, name, solver):
    z = frames(sample(gauss, noise(), schedules.SCHEDULES[name](STEPS, F), solver))
    assert (torch.cov(z.T) - gauss.cov).abs().max() < TOLERANCE["heun"]
    assert (z.mean(0) - gauss.mean).abs().max() < TOLERANCE["heun"]


@pytest.mark.parametrize("solver", ["euler", "heun"])
@pytest.mark.parametrize("base", ["synchronous", "pyramid", "autoregressive"])
@pytest.mark.parametrize("known", [[0], [0, F - 1], [0, 1, 2], [2]])
def test_known_frames_make_the_conditional_distribution(gauss, base, known, solver):
    values = torch.randn(len(known), dtype=torch.float64)
    x = noise()
    x[:, :, known] = values[:, None, None]
    S = schedules.scale_columns(schedules.SCHEDULES[base](STEPS, F), known, 0.0)
    out = sample(gauss, x, S, solver)
    assert torch.equal(out[:, :, known], x[:, :, known])

    mean, cov = condition(gauss.mean, gauss.cov, known, values)
    z = frames(out)
    assert (z.mean(0) - mean).abs().max() < TOLERANCE[solver]
    assert (torch.cov(z.T) - cov).abs().max() < TOLERANCE[solver]


def test_hold_is_image_to_video(gauss):
    x = noise()
    x[:, :, 0] = 0.7
    z = frames(sample(gauss, x, schedules.hold(STEPS, F), "heun"))
    mean, cov = condition(gauss.mean, gauss.cov, [0], torch.tensor([0.7], dtype=torch.float64))
    assert (z.mean(0) - mean).abs().max() < TOLERANCE["heun"]
    assert (torch.cov(z.T) - cov).abs().max() < TOLERANCE["heun"]


def test_velocity_is_the_regression_of_eps_minus_x0_on_x(gauss):
    # Independent of the formula: least squares over drawn pairs at one vector of timesteps.
    tau = torch.tensor([0.0, 1.0, 0.3, 0.7, 0.5], dtype=torch.float64)
    x0 = frames(gauss.sample((200_000, 1, F, 1, 1)))
    eps = torch.randn_like(x0)
    x = (1 - tau) * x0 + tau * eps
    design = torch.cat([x, torch.ones(len(x), 1, dtype=torch.float64)], dim=1)
    fit = torch.linalg.lstsq(design, eps - x0).solution
    probe = torch.randn(4, F, dtype=torch.float64)
    want = torch.cat([probe, torch.ones(4, 1, dtype=torch.float64)], dim=1) @ fit
    got = gauss(probe.view(4, 1, F, 1, 1), tau.expand(4, F)).view(4, F)
    torch.testing.assert_close(got, want, atol=0.03, rtol=0)


@pytest.mark.parametrize("shape", [(2,), (2, 1), (1, F)])
def test_other_shapes_of_tau_are_refused(gauss, shape, as_user):
    with pytest.raises(ValueError, match="tau has shape"):
        gauss(torch.randn(2, 1, F, 3, 3), torch.rand(*shape))


def test_bfloat16_is_computed_wider_and_comes_back(gauss):
    x, tau = torch.randn(2, 1, F, 3, 3), torch.rand(2, F)
    out = gauss(x.bfloat16(), tau)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), gauss(x, tau), atol=0.05, rtol=0.05)


def test_condition_agrees_with_slicing_the_samples(gauss):
    values = torch.tensor([0.2, -0.4], dtype=torch.float64)
    mean, cov = condition(gauss.mean, gauss.cov, [1, 3], values)
    x = frames(gauss.sample((1_000_000, 1, F, 1, 1), torch.Generator().manual_seed(0)))
    near = x[((x[:, [1, 3]] - values).abs() < 0.1).all(dim=1)]
    assert len(near) > 2000
    assert (near.mean(0) - mean).abs().max() < 0.05
    assert (cov[[1, 3]].abs() < 1e-12).all()


def test_samples_have_the_covariance(gauss):
    z = frames(gauss.sample((2_000, 1, F, 2, 5)))
    # Three standard errors of a covariance entry are about .03 here.
    assert (torch.cov(z.T) - gauss.cov).abs().max() < 0.04

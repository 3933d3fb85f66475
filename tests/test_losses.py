"""pytest tests/test_losses.py: the loss frame by frame, its reduction, and its known minimum."""

import pytest
import torch

from pusa_lab.analytic import GaussianDenoiser
from pusa_lab.losses import fafm_frame_loss, fafm_loss
from pusa_lab.timesteps import interpolate

B, C, F, H, W = 3, 2, 5, 3, 7


def draw():
    return torch.randn(B, C, F, H, W), torch.rand(B, F), torch.randn(B, C, F, H, W)


def half(x, tau, gain=0.5):
    return gain * x


def test_frame_loss_is_the_formula():
    x0, tau, eps = draw()
    loss = fafm_frame_loss(half, x0, tau, eps)
    assert loss.shape == (B, F)
    x = interpolate(x0, eps, tau)
    for b in range(B):
        for f in range(F):
            want = (0.5 * x[b, :, f] - (eps[b, :, f] - x0[b, :, f])).square().mean()
            assert loss[b, f].item() == pytest.approx(want.item(), rel=1e-5)


def test_a_perfect_denoiser_has_no_loss():
    x0, tau, eps = draw()
    assert fafm_loss(lambda x, tau: eps - x0, x0, tau, eps) == 0


def test_cond_reaches_the_denoiser():
    x0, tau, eps = draw()
    assert fafm_loss(half, x0, tau, eps, gain=0.1) != fafm_loss(half, x0, tau, eps, gain=0.2)


def test_weights_act_on_each_frame_before_the_mean():
    # The released trainer multiplies an already reduced scalar, so its weights cannot tell frames apart.
    x0, tau, eps = draw()
    weight = torch.zeros(B, F)
    weight[1, 3] = 1
    frame = fafm_frame_loss(half, x0, tau, eps)
    torch.testing.assert_close(fafm_loss(half, x0, tau, eps, weight), frame[1, 3] / (B * F))
    torch.testing.assert_close(fafm_loss(half, x0, tau, eps), frame.mean())


def test_the_exact_denoiser_reaches_the_known_minimum():
    # Scalar data of variance s^2: Var(eps - x0 | x) = s^2 / ((1 - tau)^2 s^2 + tau^2).
    s2 = 0.5
    denoiser = GaussianDenoiser(torch.zeros(F), s2 * torch.eye(F))
    x0 = denoiser.sample((400, 1, F, 8, 8))
    tau = torch.rand(1, F).expand(400, F)
    loss = fafm_frame_loss(denoiser, x0, tau, torch.randn_like(x0)).mean(dim=0)
    want = s2 / ((1 - tau[0]) ** 2 * s2 + tau[0] ** 2)
    torch.testing.assert_close(loss, want, rtol=0.05, atol=0)


def test_gradient_reaches_the_denoiser_in_bfloat16():
    x0, tau, eps = (t.bfloat16() for t in draw())
    gain = torch.ones((), requires_grad=True)
    loss = fafm_loss(lambda x, tau: gain * x, x0, tau.float(), eps)
    loss.backward()
    assert loss.dtype == torch.float32
    assert gain.grad.isfinite()

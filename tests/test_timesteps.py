"""pytest tests/test_timesteps.py: tau broadcasts in one place, and conversions invert each other."""

import pytest
import torch

from pusa_lab import timesteps

B, C, F, H, W = 3, 2, 5, 3, 7


def draw(dtype=torch.float64):
    x0, eps = torch.randn(2, B, C, F, H, W, dtype=dtype)
    return x0, eps, torch.rand(B, F, dtype=dtype) * 0.98 + 0.01


def test_interpolate_is_the_formula_frame_by_frame():
    x0, eps, tau = draw()
    x = timesteps.interpolate(x0, eps, tau)
    for b in range(B):
        for f in range(F):
            want = (1 - tau[b, f]) * x0[b, :, f] + tau[b, f] * eps[b, :, f]
            assert torch.equal(x[b, :, f], want)


def test_zero_is_clean_and_one_is_noise():
    x0, eps, tau = draw()
    assert torch.equal(timesteps.interpolate(x0, eps, torch.zeros_like(tau)), x0)
    assert torch.equal(timesteps.interpolate(x0, eps, torch.ones_like(tau)), eps)


def test_velocity_is_the_derivative_of_the_path():
    x0, eps, tau = draw()
    tau.requires_grad_()
    _, slope = torch.autograd.functional.jvp(lambda t: timesteps.interpolate(x0, eps, t), tau, torch.ones_like(tau))
    torch.testing.assert_close(slope, timesteps.velocity(x0, eps))


def test_conversions_recover_what_went_in():
    x0, eps, tau = draw()
    x, v = timesteps.interpolate(x0, eps, tau), timesteps.velocity(x0, eps)
    torch.testing.assert_close(timesteps.x0_from_v(x, v, tau), x0)
    torch.testing.assert_close(timesteps.eps_from_v(x, v, tau), eps)
    torch.testing.assert_close(timesteps.v_from_x0(x, x0, tau), v)
    torch.testing.assert_close(timesteps.v_from_eps(x, eps, tau), v)


def test_bfloat16_latents_meet_float32_timestep_without_rounding_them():
    # 0.999 is 1.0 in bfloat16: were tau rounded first, the picture would vanish.
    x0, eps = torch.full((1, 1, 1, 1, 1), 512.0).bfloat16(), torch.zeros(1, 1, 1, 1, 1).bfloat16()
    x = timesteps.interpolate(x0, eps, torch.tensor([[0.999]]))
    assert x.dtype == torch.bfloat16
    assert x.item() == pytest.approx(0.512, rel=1e-2)


@pytest.mark.parametrize("shape", [(B,), (B, 1), (1, F), (F, B), (B, F, 1)])
@pytest.mark.parametrize("function", ["interpolate", "x0_from_v", "eps_from_v", "v_from_x0", "v_from_eps"])
def test_any_other_shape_of_tau_is_refused_by_name(function, shape, as_user):
    x0, eps, _ = draw()
    with pytest.raises(ValueError, match=r"tau has shape .* needs tau \(3, 5\)"):
        getattr(timesteps, function)(x0, eps, torch.rand(*shape))


@pytest.mark.parametrize("shape", [(B,), (B, 1)])
def test_the_test_run_refuses_them_by_name_too(shape):
    x0, eps, _ = draw()
    with pytest.raises(Exception, match="tau"):
        timesteps.interpolate(x0, eps, torch.rand(*shape))


def test_one_frame_may_have_a_batch_by_one_tau():
    x0 = torch.randn(B, C, 1, H, W)
    tau = torch.rand(B, 1)
    x = timesteps.interpolate(x0, torch.zeros_like(x0), tau)
    torch.testing.assert_close(x, (1 - tau).view(B, 1, 1, 1, 1) * x0)

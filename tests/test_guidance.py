"""pytest tests/test_guidance.py: text guidance is a line through two velocities."""

import pytest
import torch

from pusa_lab.guidance import text_cfg

X, TAU = torch.randn(2, 3, 4, 5, 5), torch.rand(2, 4)


def denoiser(x, tau, gain):
    denoiser.calls += 1
    return gain * x


@pytest.fixture(autouse=True)
def reset():
    denoiser.calls = 0


@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0])
def test_the_formula(scale):
    guided = text_cfg(denoiser, {"gain": 2.0}, {"gain": -1.0}, scale)
    torch.testing.assert_close(guided(X, TAU), (-1 + scale * 3) * X)
    assert denoiser.calls == 2


def test_scale_one_skips_the_second_call():
    guided = text_cfg(denoiser, {"gain": 2.0}, {"gain": -1.0}, 1.0)
    assert torch.equal(guided(X, TAU), 2 * X)
    assert denoiser.calls == 1

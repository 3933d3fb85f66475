"""pytest tests/test_core_limits.py: extremes, odd types and single frames in the core: right, or one sentence."""

import math
import warnings

import numpy as np
import pytest
import torch

from pusa_lab import guidance, losses, metrics, pixels, schedules, solvers, timesteps, viz
from pusa_lab.analytic import GaussianDenoiser, condition
from pusa_lab.samplers import sample, sample_steps
from pusa_lab.sampling_inputs import levels_of
from pusa_lab.schedules import sigmas, timestep_samplers

pytestmark = pytest.mark.usefixtures("as_user", "one_thread")
X, S = torch.randn(2, 3, 4, 2, 3), schedules.pyramid(3, 4)
CLIP = torch.zeros(2, 3, 4, 6, 6)
HUGE = 10**9


def denoiser(x, tau):
    return torch.tanh(x)


@pytest.mark.parametrize("make", [*schedules.SCHEDULES.values(), schedules.rolling_window])
@pytest.mark.parametrize("shift", [1e-300, 1e-30, 1e-6, 1e6, 1e30, 1e300, math.inf, 5e-324])
def test_extreme_shifts_are_valid_or_refused(make, shift):
    sizes = {"steps": 5} if make is schedules.rolling_window else {"steps": 5, "frames": 4}
    if 1e-6 <= shift <= 1e6:
        S, whole = make(**sizes, shift=shift), make is not schedules.rolling_window
        assert schedules.faults(levels_of(S), whole, rising=isinstance(S, schedules.Rising)) == []
    else:
        with pytest.raises(ValueError, match=r"shift=.*: the shift must be positive and finite, from 1e-06 to 1e\+06"):
            make(**sizes, shift=shift)


@pytest.mark.parametrize("rho", [1e-300, 0.01, 7, 1e300])
@pytest.mark.parametrize(("low", "high"), [(1e-300, 1e300), (0.002, 80), (1e300, 1e308), (5e-324, 1e-320)])
def test_karras_is_its_formula_however_extreme(rho, low, high):
    g = sigmas.karras(6, rho, low, high)
    assert g[0] == 1
    assert schedules.faults(g[:, None]) == []
    if (rho, high) == (7, 80):
        sigma = (80 ** (1 / 7) + np.arange(6) / 5 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
        np.testing.assert_allclose(g[1:-1].numpy(), (sigma / (1 + sigma))[1:], rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: schedules.synchronous(HUGE, 3), "schedules.synchronous: steps=1000000000: .*from 1 to 1,000,000"),
        (lambda: sigmas.cosine(HUGE), "from 1 to 1,000,000"),
        (lambda: schedules.autoregressive(1000, 10**5), "100,000,001 x 100,000 levels"),
        (lambda: schedules.pyramid(4, 3, lag=1e18), "a schedule has at most 67,108,864"),
        (lambda: schedules.rolling(5, 10**6, window=3), "a schedule has at most"),
        (lambda: schedules.chunk_windows(HUGE), "frames=1000000000"),
        (lambda: schedules.stretch(S, HUGE), "a schedule has at most 67,108,864: give a smaller times than"),
        (lambda: schedules.repeat_columns(S, HUGE), "a schedule has at most"),
        (lambda: schedules.stretch(S, 2.5), "schedules.stretch: times is 2.5 .*whole number"),
        (lambda: schedules.trapezoid(4, 5, lag=math.inf), "lag=inf: .*finite lag"),
        (lambda: schedules.pyramid(4, 5, lag="2"), "schedules.pyramid: lag is '2'"),
        (lambda: sigmas.karras(4, high=math.inf), "give finite numbers"),
        (lambda: sigmas.logit_normal(4, mean=1e300), "mean=1e\\+300"),
        (lambda: sigmas.wan(4, num_train_timesteps=0), "num_train_timesteps=0"),
        (lambda: timestep_samplers.logit_normal_timesteps(timestep_samplers.shared, std=1e39), "std=1e\\+39"),
        (lambda: timestep_samplers.shared(1, 2**62), "schedules.shared: batch=1, frames=46"),
        (lambda: timestep_samplers.mixed(0.5)(2, -1), "schedules.mixed: batch=2, frames=-1"),
        (lambda: timestep_samplers.mixed(0.5)("2", 3), "schedules.mixed: batch is '2'"),
        (lambda: losses.min_snr(torch.rand(2, 3), gamma=math.inf), "gamma=inf"),
        (
            lambda: losses.fafm_loss(lambda x, tau: x[:, :, :1], X, torch.rand(2, 4), X),
            "losses.fafm_loss: the",
        ),
        (lambda: losses.fafm_loss(denoiser, X, torch.full((2, 4), 500.0), X), "values from 500 to 500"),
        (lambda: timesteps.v_from_x0(X, X, torch.zeros(2, 4)), "tau holds 0"),
        (lambda: timesteps.v_from_eps(X, X, torch.ones(2, 4)), "tau holds 1"),
        (lambda: guidance.text_cfg(denoiser, {}, 1e300), "scale=1e\\+300"),
        (lambda: guidance.Term("0", 0, 1), "guidance.Term: frames is '0'"),
        (lambda: solvers.AdamsBashforth("2"), "solvers.AdamsBashforth: order is '2'"),
        (lambda: sample(denoiser, X, S, solvers.DPMSolver), "the class DPMSolver: give an instance"),
        (lambda: sample(denoiser, X, "wavy"), "samplers.sample: unknown schedule 'wavy'"),
        (lambda: sample(denoiser, X, None), "samplers.sample: schedule is None"),
        (lambda: list(sample_steps(lambda x, tau: None, X, S)), "samplers.sample_steps: the denoiser returned None"),
        (lambda: GaussianDenoiser(torch.zeros(2), torch.tensor([[1.0, 2], [2, 1]])), "positive definite"),
        (lambda: condition(torch.zeros(3), torch.eye(3), [3], [1.0]), "frame 3 is outside"),
        (lambda: viz.plot_schedule([[]]), "viz.plot_schedule: "),
        (lambda: viz.filmstrip({}), "0 videos"),
        (lambda: viz.plot_attention({}), "0 maps"),
        (lambda: viz.plot_change({}), "changes is empty"),
    ],
)
def test_what_cannot_be_gets_one_sentence(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_the_sampler_takes_schedules_and_latents_in_every_form():
    want = sample(denoiser, X, S)
    for given in (S.tolist(), S.numpy(), tuple(map(tuple, S.tolist())), schedules.pyramid(3, 4).requires_grad_()):
        assert torch.equal(sample(denoiser, X, given), want)
    assert torch.equal(sample(denoiser, X, "pyramid", steps=3), want)
    assert torch.equal(sample(denoiser, X, schedules.pyramid, steps=3), want)
    assert torch.equal(sample(denoiser, X.numpy(), S), want)
    assert torch.equal(sample(denoiser, X.tolist(), S), want)
    shifted = sample(denoiser, X, schedules.pyramid(3, 4, shift=5))
    assert torch.equal(sample(denoiser, X, "pyramid", steps=3, shift=5), shifted)


def test_no_gradient_comes_in_with_a_schedule_or_latents():
    for state in sample_steps(denoiser, X.clone().requires_grad_(), S.clone().requires_grad_(), "heun"):
        assert not (state.x.requires_grad or state.tau.requires_grad)


def test_a_schedule_is_drawn_in_every_form():
    import matplotlib.pyplot as plt

    want = viz.plot_schedule(S).images[0].get_array()
    for given in (S.tolist(), S.numpy(), S.clone().requires_grad_()):
        np.testing.assert_array_equal(viz.plot_schedule(given).images[0].get_array(), want)
    named = viz.plot_schedule("pyramid", steps=3, frames=4)
    np.testing.assert_array_equal(named.images[0].get_array(), want)
    plt.close("all")


def test_noise_starts_at_the_first_levels_of_others():
    assert [schedules.starts_as_noise(t) for t in (1, 1 - 1e-6, 0.9998, 0.999, 0.99, 0)] == [True] * 4 + [False] * 2
    assert schedules.remarks(torch.tensor([[0.9998], [0.5], [0.0]])) == []


def test_lags_that_are_fractions_of_tenths_are_not_cut_short():
    # 100 * .29 is 28.999999999999996 in binary.
    assert int((schedules.pyramid(2, 101, lag=0.29)[:, 100] == 1).sum()) - 1 == 29


def test_metrics_of_one_frame_one_sample_and_still_clips_are_right_or_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = np.zeros((1, 5, 4, 4, 3), np.uint8)
        truth = made.copy()
        truth[:, 1:, ..., 0] = 3
        found = metrics.follow_errors(made, truth, 4)
        assert found == {"first_frame_error": 0.0, "next_frame_error": pytest.approx(3 / math.sqrt(3))}
        for frames in (0, 1):
            with pytest.raises(ValueError, match=r"metrics\.follow_errors: "):
                metrics.follow_errors(made[:, :frames], made[:, :frames], 4)
        assert (metrics.psnr(CLIP, CLIP) == math.inf).all()
        torch.testing.assert_close(metrics.ssim(CLIP[:1, :, :1], CLIP[:1, :, :1]), torch.ones(1, 1))
        for still, want in ((metrics.motion, 0), (metrics.dynamic_degree, 0), (metrics.motion_smoothness, 1)):
            assert (still(CLIP) == want).all()
            with pytest.raises(ValueError, match=f"metrics.{still.__name__}: .*1 frame\\b"):
                still(CLIP[:, :, :1])
        assert (metrics.imaging_quality(CLIP) == 0).all()
        assert metrics.frechet_distance(np.ones((3, 2)), [[1, 1], [1, 1]]) == 0
        with pytest.raises(ValueError, match="finite"):
            metrics.psnr(CLIP * math.nan, CLIP)


def test_half_precision_clips_lose_no_digits_in_a_metric():
    a, b = torch.rand(1, 3, 2, 8, 8).half(), torch.rand(1, 3, 2, 8, 8).half()
    assert torch.equal(metrics.psnr(a, b), metrics.psnr(a.float(), b.float()))
    long = torch.rand(2, 3, 7, 9, 8)
    for clip in (long.half(), long.bfloat16()):
        assert torch.equal(metrics.boundary_jump(clip, [2, 5]), metrics.boundary_jump(clip.float(), [2, 5]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_clips_in_half_precision_are_resized_in_float32(dtype):
    clip = torch.rand(2, 3, 3, 13, 18).mul(2).sub(1).to(dtype)
    assert torch.equal(pixels.crop_and_resize(clip, (7, 9)), pixels.crop_and_resize(clip.float(), (7, 9)).to(dtype))

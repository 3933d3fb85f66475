"""pytest tests/test_losses.py: the loss frame by frame, its reduction, and its known minimum."""

import pytest
import torch

from pusa_lab.analytic import GaussianDenoiser
from pusa_lab.losses import WEIGHTS, bell, fafm_frame_loss, fafm_loss, free_frames, fused_min_snr, min_snr, uniform
from pusa_lab.timesteps import interpolate, x0_from_v

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


def test_a_weight_may_be_given_by_its_name(tmp_path):
    x0, tau, eps = draw()
    for name in WEIGHTS:
        assert fafm_loss(half, x0, tau, eps, weight=name) == fafm_loss(half, x0, tau, eps, weight=WEIGHTS[name](tau))
    narrow = fafm_loss(half, x0, tau, eps, weight="min_snr(gamma=2)")
    assert narrow == fafm_loss(half, x0, tau, eps, min_snr(tau, 2)) != fafm_loss(half, x0, tau, eps, "min_snr")
    (tmp_path / "mine.py").write_text("def late(tau):\n    return tau**2\n\n\ndef flat(tau):\n    return tau[0]\n")
    assert fafm_loss(half, x0, tau, eps, f"{tmp_path}/mine.py:late") == fafm_loss(half, x0, tau, eps, tau**2)
    with pytest.raises(ValueError, match=r"mine.py:flat returned .*\(5,\).*: it must return one weight per frame\."):
        fafm_loss(half, x0, tau, eps, f"{tmp_path}/mine.py:flat")


@pytest.mark.parametrize(
    ("weight", "says"),
    [
        ("ball", r"unknown weight 'ball': choose one of uniform, free_frames, bell, min_snr, fused_min_snr\.$"),
        ("min_snr(gamma=-1)", r"gamma=-1: give a signal-to-noise ratio from 1e-09 to 1e\+09\.$"),
        ("bell(gamma=1)", "gamma"),
        (3, r"weight is 3 \(an int\): give a tensor \(b f\), a text \(str\) or None\.$"),
    ],
)
def test_what_is_no_weight_is_refused(weight, says):
    with pytest.raises(ValueError, match=rf"^losses.fafm_loss: .*{says}"):
        fafm_loss(half, *draw(), weight=weight)


def test_free_frames_is_the_mean_loss_of_the_frames_that_are_not_known():
    tau, loss = torch.rand(5, 7).clamp(min=0.01), torch.rand(5, 7)
    tau[torch.rand(5, 7) < 0.4] = 0
    tau[0, 0], tau[1, 1] = 0, 1
    torch.testing.assert_close((free_frames(tau) * loss).mean(), loss[tau > 0].mean())
    assert torch.equal(free_frames(torch.zeros(2, 3)), torch.zeros(2, 3))
    assert free_frames(torch.zeros(0, 3)).shape == (0, 3)
    assert torch.equal(free_frames(torch.ones(2, 3)), torch.ones(2, 3))
    assert free_frames(torch.zeros(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("name", sorted(WEIGHTS))
def test_weights_are_finite_per_frame_and_fit_the_loss(name):
    x0, tau, eps = draw()
    tau[0, :3] = torch.tensor([0.0, 1.0, 0.0])
    w = WEIGHTS[name](tau)
    assert w.shape == tau.shape
    assert (w.isfinite() & (w >= 0)).all()
    frame = fafm_frame_loss(half, x0, tau, eps)
    torch.testing.assert_close(fafm_loss(half, x0, tau, eps, w), (w * frame).mean())


def test_uniform_is_one():
    assert torch.equal(uniform(torch.rand(2, 3)), torch.ones(2, 3))


def test_the_bell_has_mean_one_and_the_official_shape():
    sigmas = ((torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000)[None]
    assert bell(sigmas).mean().item() == pytest.approx(1, abs=1e-9)
    ends = bell(torch.tensor([[0.0, 0.5, 1.0]]))
    torch.testing.assert_close(ends, torch.tensor([[0.0, 1.5797, 0.0]]), rtol=0, atol=1e-4)
    # The released trainer: 1000 timesteps of shift 5, mean 1 over them. Known: w(500) = 2.076, w(250) = w(750) = 1.46.
    t = torch.linspace(1, 0.001, 1000, dtype=torch.float64)
    t = 1000 * 5 * t / (1 + 4 * t)
    y = torch.exp(-2 * ((t - 500) / 1000) ** 2)
    official = (y - y.min()) * 1000 / (y - y.min()).sum()
    at = (t - 500).abs().argmin()
    assert official[at].item() == pytest.approx(2.076, abs=2e-3)
    torch.testing.assert_close(
        official / official[at], bell(t[None] / 1000)[0] / bell(t[None, [at]] / 1000)[0], atol=3e-3, rtol=0
    )


def test_the_bell_tells_frames_apart_where_the_trainer_does_not():
    x0, _, eps = draw()
    tau = torch.tensor([[0.5, 0.0, 1.0, 0.5, 0.0]]).expand(B, F)
    frame = fafm_frame_loss(half, x0, tau, eps)
    right = fafm_loss(half, x0, tau, eps, bell(tau))
    torch.testing.assert_close(right, bell(tau)[0, 0] * frame[:, [0, 3]].sum() / (B * F))
    assert abs(right - frame.mean() * bell(tau).mean()) > 0.01 * right


def test_min_snr_weighs_the_error_of_x0():
    # By definition: min(SNR, gamma) times the squared error of x0, whatever the velocity.
    x0, tau, eps = (t.double() for t in draw())
    tau = 0.01 + 0.98 * tau
    x, v = interpolate(x0, eps, tau), torch.randn_like(x0)
    snr = ((1 - tau) / tau) ** 2
    want = snr.clamp(max=5.0) * (x0_from_v(x, v, tau) - x0).square().mean(dim=(1, 3, 4))
    torch.testing.assert_close(
        min_snr(tau) * fafm_frame_loss(lambda x, tau: v, x0, tau, eps).double(), want, rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("gamma", [0.3, 5.0])
def test_min_snr_is_largest_where_it_is_cut(gamma):
    sigmas = torch.linspace(0, 1, 20_001, dtype=torch.float64)[None]
    at = sigmas[0, min_snr(sigmas, gamma).argmax()].item()
    assert at == pytest.approx(1 / (1 + gamma**0.5), abs=1e-4)


@pytest.mark.parametrize(("gamma", "decay"), [(5.0, 0.9), (2.0, 0.5), (5.0, 0.0)])
def test_fused_min_snr_is_the_recursion_done_one_number_at_a_time(gamma, decay):
    tau = torch.rand(4, 7, dtype=torch.float64)
    want = torch.empty_like(tau)
    for b in range(4):
        memory = 0.0
        for i in range(7):
            snr = ((1 - tau[b, i]) / tau[b, i]).item() ** 2
            fused = gamma * (1 - (1 - decay * memory) * (1 - snr / gamma))
            want[b, i] = min(fused, gamma) / (1 + fused**0.5) ** 2
            own = min(snr / gamma, 1)
            memory = own if i == 0 else decay * memory + (1 - decay) * own
    torch.testing.assert_close(fused_min_snr(tau, gamma, decay), want)


def test_fused_min_snr_falls_back_to_min_snr():
    tau = torch.rand(3, 6)
    torch.testing.assert_close(fused_min_snr(tau)[:, :1], min_snr(tau)[:, :1])
    torch.testing.assert_close(fused_min_snr(tau, 3.0, decay=0.0), min_snr(tau, 3.0))
    tau[:, :-1] = 1  # pure noise before tells nothing
    torch.testing.assert_close(fused_min_snr(tau), min_snr(tau))


def test_fused_min_snr_gives_a_noisy_frame_weight_after_clean_ones():
    tau = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    assert min_snr(tau)[0, 3] == 0
    fused = 5 * 0.9 * 1.0  # SNR' = gamma g c, c = 1 after clean frames
    assert fused_min_snr(tau)[0, 3].item() == pytest.approx(fused / (1 + fused**0.5) ** 2)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda tau: min_snr(tau, 0.0), "gamma=0.0"),
        (lambda tau: fused_min_snr(tau, -1.0), "gamma=-1.0"),
        (lambda tau: fused_min_snr(tau, decay=1.0), "decay=1.0"),
    ],
)
def test_weights_out_of_range_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call(torch.rand(2, 3))


def test_weights_of_what_is_not_a_timestep_are_refused():
    with pytest.raises(ValueError, match=r"losses.min_snr: "):
        min_snr(torch.full((1, 2), 500.0))


def test_a_denoiser_that_does_not_take_what_it_is_given_is_named():
    x0, tau = torch.randn(2, 3, 4, 5, 6), torch.rand(2, 4)
    for denoiser in (print, lambda x, tau: x):
        with pytest.raises(ValueError, match=r"the denoiser does not take \(x, tau, unknown=...\): give a function"):
            fafm_frame_loss(denoiser, x0, tau, torch.randn_like(x0), unknown=1)
    with pytest.raises(ValueError, match=r"denoiser is a Linear: give a function of 2 arguments"):
        fafm_frame_loss(torch.nn.Linear(2, 2), x0, tau, torch.randn_like(x0))

    def broken(x, tau):
        return x + "a mistake of its own"

    with pytest.raises(TypeError, match="unsupported operand"):
        fafm_loss(broken, x0, tau, torch.randn_like(x0))


@pytest.mark.parametrize("name", sorted(WEIGHTS))
@pytest.mark.parametrize("level", [2.0, -0.5, float("nan")])
def test_no_weight_takes_what_is_not_a_timestep(name, level):
    with pytest.raises(ValueError, match=rf"losses.{name}: tau has values from .*: give noise levels in \[0, 1\]"):
        WEIGHTS[name](torch.tensor([[0.5, level]]))

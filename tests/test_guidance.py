"""pytest tests/test_guidance.py: guidance is a line through two velocities, and exact on the Gaussian."""

import math

import pytest
import torch

from pusa_lab import schedules
from pusa_lab.analytic import GaussianDenoiser, condition
from pusa_lab.guidance import Term, calls, fractional, history_guidance, temporal, text_cfg, vanilla
from pusa_lab.samplers import sample

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


# Text guidance: per frame, within an interval, rescaled.


def per_frame_of(values):
    return torch.as_tensor(values, dtype=torch.float32).reshape(1, 1, -1, 1, 1)


def test_every_frame_may_have_its_scale():
    scale = torch.tensor([0.0, 1.0, 2.5, -1.0])
    guided = text_cfg(denoiser, {"gain": 2.0}, {"gain": -1.0}, scale)
    torch.testing.assert_close(guided(X, TAU), (-1 + per_frame_of(scale) * 3) * X)
    assert torch.equal(guided(X, TAU)[:, :, 1], 2 * X[:, :, 1])


def test_frames_outside_the_interval_keep_the_conditional_velocity_bit_for_bit():
    tau = torch.tensor([[0.1, 0.3, 0.5, 0.9], [0.7, 0.71, 0.2999, 0.0]])
    guided = text_cfg(denoiser, {"gain": 1.1}, {"gain": -0.3}, 3.0, interval=(0.3, 0.7))(X, tau)
    inside = torch.tensor([[0, 1, 1, 0], [1, 0, 0, 0]]).bool()
    for b in range(2):
        for f in range(4):
            if inside[b, f]:
                torch.testing.assert_close(guided[b, :, f], (-0.3 + 3 * 1.4) * X[b, :, f])
            else:
                assert torch.equal(guided[b, :, f], 1.1 * X[b, :, f])
    assert denoiser.calls == 2


@pytest.mark.parametrize(("level", "scale"), [(0.8, 3.0), (0.5, 1.0), (0.5, torch.ones(4))])
def test_where_no_frame_is_guided_the_second_call_is_skipped(level, scale):
    guided = text_cfg(denoiser, {"gain": 2.0}, {"gain": -1.0}, scale, interval=(0.2, 0.7))
    assert torch.equal(guided(X, torch.full((2, 4), level)), 2 * X)
    assert denoiser.calls == 1


def textured(x, tau, gain, bias):
    """A denoiser whose two captions differ in more than size."""
    return gain * x + bias * x.flip(-1) + tau.mean()


COND, NULL = {"gain": 1.5, "bias": 0.2}, {"gain": 0.4, "bias": -0.7}


@pytest.mark.parametrize("amount", [0.3, 1.0])
def test_rescaling_is_the_published_formula_sample_by_sample(amount):
    v, plain = textured(X, TAU, **COND), text_cfg(textured, COND, NULL, 4.0)(X, TAU)
    got = text_cfg(textured, COND, NULL, 4.0, rescale=amount)(X, TAU)
    for b in range(2):
        full = plain[b] * v[b].std() / plain[b].std()
        torch.testing.assert_close(got[b], amount * full + (1 - amount) * plain[b])
    assert not torch.allclose(plain[0].std() / v[0].std(), plain[1].std() / v[1].std(), rtol=1e-4)


def test_rescaling_measures_and_changes_guided_frames_only():
    tau = torch.tensor([[0.1, 0.5, 0.6, 0.9], [0.1, 0.2, 0.9, 0.8]])
    v, plain = textured(X, tau, **COND), text_cfg(textured, COND, NULL, 4.0)(X, tau)
    got = text_cfg(textured, COND, NULL, 4.0, rescale=1.0, interval=(0.3, 0.7))(X, tau)
    assert torch.equal(got[1], v[1])
    assert torch.equal(got[0, :, [0, 3]], v[0, :, [0, 3]])
    torch.testing.assert_close(got[0, :, 1:3], plain[0, :, 1:3] * v[0, :, 1:3].std() / plain[0, :, 1:3].std())


def test_a_flat_velocity_can_be_rescaled():
    flat = text_cfg(lambda x, tau, gain: torch.full_like(x, gain), {"gain": 1.0}, {"gain": 0.0}, 3.0, rescale=1.0)
    assert flat(X, TAU).isfinite().all()


def test_low_precision_stays_low_precision():
    x, scale = torch.randn(2, 3, 4, 5, 5).bfloat16(), torch.tensor([3.3, 1.0, 2.0, 0.1])
    guided = text_cfg(denoiser, {"gain": 2.0}, {"gain": -1.0}, scale, 0.5, (0.1, 0.9))
    assert guided(x, TAU).dtype == torch.bfloat16
    exact = text_cfg(denoiser, {"gain": 2.0}, {"gain": -1.0}, scale, 0.5, (0.1, 0.9))(x.double(), TAU)
    torch.testing.assert_close(guided(x, TAU).double(), exact, rtol=2**-8, atol=0)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"scale": float("nan")}, "scale=nan"),
        ({"scale": torch.tensor([1.0, float("inf")])}, "inf"),
        ({"scale": 2.0, "rescale": 1.5}, "rescale=1.5"),
        ({"scale": 2.0, "interval": (0.7, 0.3)}, "interval=.0.7, 0.3."),
        ({"scale": 2.0, "interval": (0.0, 1.2)}, "low <= high <= 1"),
    ],
)
def test_settings_out_of_range_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        text_cfg(denoiser, {}, {}, **options)


def test_a_wrong_number_of_scales_is_refused_before_the_first_call():
    with pytest.raises(ValueError, match=r"3 scales for x of shape .* 4 frames"):
        text_cfg(denoiser, {"gain": 2.0}, {"gain": -1.0}, torch.ones(3) * 2)(X, TAU)
    assert denoiser.calls == 0


# On the Gaussian: two captions that differ in their mean make guidance a Gaussian, too.

FRAMES = 5


def video_cov(frames=FRAMES, size=0.9, length=2.0):
    i = torch.arange(frames, dtype=torch.float64)
    return size * torch.exp(-(i[:, None] - i).abs() / length)


MEAN = torch.tensor([0.3, -0.2, 0.5, 0.1, -0.4], dtype=torch.float64)
FAR = torch.tensor([1.0, 0.4, -0.6, 0.9, 0.2], dtype=torch.float64)
SCHEDULES = [schedules.synchronous(8, FRAMES), schedules.pyramid(6, FRAMES, 2), schedules.autoregressive(3, FRAMES)]


def captioned(x, tau, mean, cov):
    return GaussianDenoiser(mean, cov)(x, tau)


@pytest.mark.parametrize("S", SCHEDULES)
@pytest.mark.parametrize("scale", [1.0, 2.5, -0.5])
def test_guidance_between_gaussians_is_the_gaussian_of_the_guided_mean(S, scale):
    cov, x = video_cov(), torch.randn(3, 2, FRAMES, 3, 1, dtype=torch.float64)
    guided = text_cfg(captioned, {"mean": FAR, "cov": cov}, {"mean": MEAN, "cov": cov}, scale)
    exact = GaussianDenoiser(MEAN + scale * (FAR - MEAN), cov)
    torch.testing.assert_close(sample(guided, x, S.double()), sample(exact, x, S.double()))


def test_scales_per_frame_move_the_mean_of_each_frame():
    cov, x = torch.diag(torch.rand(FRAMES, dtype=torch.float64) + 0.1), torch.randn(2, 1, FRAMES, 3, 3).double()
    scale = torch.tensor([1.0, 0.0, 3.0, 1.5, -1.0], dtype=torch.float64)
    guided = text_cfg(captioned, {"mean": FAR, "cov": cov}, {"mean": MEAN, "cov": cov}, scale)
    exact = GaussianDenoiser(MEAN + scale * (FAR - MEAN), cov)
    S = schedules.pyramid(6, FRAMES, 2).double()
    torch.testing.assert_close(sample(guided, x, S), sample(exact, x, S))


# History guidance.

MODEL = GaussianDenoiser(MEAN, video_cov())
HISTORY, REST = [0, 1], [2, 3, 4]


def scene(batch=3):
    """Noise with a known history of its own for every sample and pixel, and noise for the history's views."""
    x = torch.randn(batch, 2, FRAMES, 3, 1, dtype=torch.float64)
    x[:, :, HISTORY] = MODEL.sample(x.shape)[:, :, HISTORY]
    return x, torch.randn_like(x)


def first_guess(guided, x):
    """What one step from pure noise makes of the unknown frames: their expectation given the history."""
    tau = torch.ones(len(x), FRAMES, dtype=x.dtype)
    tau[:, HISTORY] = 0
    return (x - guided(x, tau))[:, :, REST]


def expected(x, known, level=0.0, eps=None):
    """E[rest | known frames seen at a level], by the formula for jointly normal vectors."""
    seen = (1 - level) * x[:, :, known] + (level * eps[:, :, known] if level else 0)
    cov = (1 - level) ** 2 * MODEL.cov[known][:, known] + level**2 * torch.eye(len(known))
    gain = (1 - level) * MODEL.cov[REST][:, known] @ torch.linalg.inv(cov.double())
    off = seen - (1 - level) * MEAN[known].reshape(-1, 1, 1)
    return MEAN[REST].reshape(-1, 1, 1) + torch.einsum("rk,bckhw->bcrhw", gain, off)


def nothing(x):
    return MEAN[REST].reshape(-1, 1, 1).expand(len(x), 2, -1, 3, 1)


class Counted:
    """A denoiser that remembers what it was asked."""

    def __init__(self, model=MODEL):
        self.model, self.asked = model, []

    def __call__(self, x, tau, **cond):
        self.asked.append((x.clone(), tau.clone()))
        return self.model(x, tau, **cond)


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0, 1.5, 3.0])
def test_vanilla_is_a_line_from_the_expectation_without_history_through_the_one_with(weight):
    x, eps = scene()
    got = first_guess(history_guidance(MODEL, vanilla(HISTORY, weight), eps), x)
    torch.testing.assert_close(got, nothing(x) + weight * (expected(x, HISTORY) - nothing(x)))


def test_temporal_adds_the_pulls_of_parts():
    x, eps = scene()
    got = first_guess(history_guidance(MODEL, temporal([[0], [1], [0, 1]], [0.7, -0.4, 1.2]), eps), x)
    want = nothing(x)
    for known, weight in (([0], 0.7), ([1], -0.4), ([0, 1], 1.2)):
        want = want + weight * (expected(x, known) - nothing(x))
    torch.testing.assert_close(got, want)


def test_fractional_adds_the_pull_of_a_noisy_view():
    x, eps = scene()
    got = first_guess(history_guidance(MODEL, fractional(HISTORY, 0.4, 2.5), eps), x)
    want = expected(x, HISTORY) + 1.5 * (expected(x, HISTORY, 0.4, eps) - nothing(x))
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("S", SCHEDULES)
def test_weight_one_is_exact_and_costs_nothing(S):
    x, eps = scene()
    S = schedules.scale_columns(S, HISTORY, 0.0).double()
    for terms in (vanilla(HISTORY, 1.0), fractional(HISTORY, 0.4, 1.0)):
        counted = Counted()
        guided = history_guidance(counted, terms, eps)
        assert torch.equal(sample(guided, x, S), sample(MODEL, x, S))
        moving = (S[1:] != S[:-1]).any(dim=1).sum()
        assert len(counted.asked) == moving
        assert calls(guided) == 1


def test_weight_one_samples_the_conditional_distribution():
    n, values = 4000, torch.tensor([1.4, 0.9], dtype=torch.float64)
    x = torch.randn(2, 1, FRAMES, 40, 50, dtype=torch.float64)
    x[:, :, HISTORY] = values.reshape(-1, 1, 1)
    S = schedules.hold(100, FRAMES, HISTORY).double()
    parts = temporal([HISTORY, HISTORY], [0.3, 0.7])  # the same twice is one view of weight 1
    guided = history_guidance(MODEL, parts, torch.randn_like(x))
    assert calls(guided) == 1
    got = sample(guided, x, S, "heun").transpose(1, 2).transpose(0, 1).flatten(1).T
    mean, cov = condition(MEAN, MODEL.cov, HISTORY, values)
    error = (cov.diagonal().clamp(min=0) / n).sqrt()
    assert ((got.mean(dim=0) - mean).abs() <= 4 * error + 1e-3).all()
    torch.testing.assert_close(torch.cov(got.T), cov, atol=0.06, rtol=0)


@pytest.mark.parametrize("S", SCHEDULES)
def test_more_weight_moves_the_video_away_from_the_one_without_history(S):
    x, eps = scene(16)
    S = schedules.scale_columns(S, HISTORY, 0.0).double()
    made = {}
    for w in (0.0, 1.0, 2.0, 3.0):
        guided = history_guidance(MODEL, vanilla(HISTORY, w), eps)
        made[w] = sample(guided, x, S)[:, :, REST]
    pull = made[1.0] - made[0.0]
    along = [((made[w] - made[0.0]) * pull).sum(dim=(1, 2, 3, 4)) / pull.square().sum(dim=(1, 2, 3, 4)) for w in made]
    assert (along[2] > 1.2).all()
    assert (along[3] > along[2] + 0.2).all()


def mistaken(model, weight, eps, label, level):
    """Vanilla guidance with a null whose label and real level of the history disagree."""

    def guided(x, tau):
        hidden, told = x.clone(), tau.clone()
        hidden[:, :, HISTORY] = (1 - level) * x[:, :, HISTORY] + level * eps[:, :, HISTORY]
        told[:, HISTORY] = label
        null = model(hidden, told)
        return null + weight * (model(x, tau) - null)

    return guided


def test_a_null_that_is_labelled_clean_but_noised_is_wrong():
    x, eps = scene()
    want = nothing(x) + 2 * (expected(x, HISTORY) - nothing(x))
    torch.testing.assert_close(first_guess(mistaken(MODEL, 2.0, eps, label=1.0, level=1.0), x), want)
    wrong = first_guess(mistaken(MODEL, 2.0, eps, label=0.0, level=1.0), x)
    assert (wrong - want).square().mean().sqrt() > 0.1
    # It takes the noise for a history, so the same video comes out differently with other noise.
    assert not torch.allclose(wrong, first_guess(mistaken(MODEL, 2.0, torch.randn_like(x), 0.0, 1.0), x))


def test_a_view_that_is_labelled_noisy_but_clean_is_wrong():
    x, eps = scene()
    right = first_guess(mistaken(MODEL, 2.0, eps, label=0.4, level=0.4), x)
    wrong = first_guess(mistaken(MODEL, 2.0, eps, label=0.4, level=0.0), x)
    terms = [Term(HISTORY, 0.4, -1.0), Term(HISTORY, 0.0, 2.0)]
    torch.testing.assert_close(first_guess(history_guidance(MODEL, terms, eps), x), right)
    assert (wrong - right).square().mean().sqrt() > 0.1


@pytest.mark.parametrize("kept", [0.0, 0.4])
def test_every_view_is_noised_to_its_label(kept):
    # All frames clean data: at a label k, a frame is N((1 - k) x0, k^2), whatever the clock it comes from.
    x0 = torch.full((500, 2, FRAMES, 3, 3), 2.0, dtype=torch.float64)
    tau = torch.tensor([kept, kept, 0.6, 1.0, 0.0], dtype=torch.float64).expand(500, -1).clone()
    noise, t = torch.randn_like(x0), tau[:, None, :, None, None]
    x = (1 - t) * x0 + t * noise
    counted = Counted(lambda x, tau: x)
    history_guidance(counted, fractional(HISTORY, 0.5, 2.0) + vanilla([4], 0.5), torch.randn_like(x0))(x, tau)
    assert len(counted.asked) == 4
    for seen, label in counted.asked:
        assert torch.equal(seen[:, :, 2:4], x[:, :, 2:4])
        assert torch.equal(label[:, 2:4], tau[:, 2:4])
        for f in (0, 1, 4):
            k = label[0, f].item()
            assert seen[:, :, f].mean().item() == pytest.approx(2 * (1 - k), abs=0.05)
            assert seen[:, :, f].std().item() == pytest.approx(k, abs=0.03)
    labels = {tuple(round(k, 6) for k in label[0, [0, 1, 4]].tolist()) for _, label in counted.asked}
    assert labels == {(1, 1, 1), (kept, kept, 1), (0.5, 0.5, 1), (1, 1, 0)}


def test_history_guidance_is_deterministic_and_mixes_no_samples():
    x, eps = scene()
    tau = torch.rand(3, FRAMES, dtype=torch.float64)
    tau[:, HISTORY] = 0
    guided = history_guidance(MODEL, fractional(HISTORY, 0.3, 2.0), eps)
    assert torch.equal(guided(x, tau), guided(x, tau))
    alone = history_guidance(MODEL, fractional(HISTORY, 0.3, 2.0), eps[1:2])
    torch.testing.assert_close(alone(x[1:2], tau[1:2]), guided(x, tau)[1:2])


def test_a_frozen_history_stands_still_and_a_moving_one_moves_as_without_guidance():
    x, eps = scene()
    S = schedules.hold(6, FRAMES, HISTORY).double()
    out = sample(history_guidance(MODEL, fractional(HISTORY, 0.4, 2.0), eps), x, S)
    assert torch.equal(out[:, :, HISTORY], x[:, :, HISTORY])
    tau = torch.tensor([[0.2, 0.3, 0.9, 0.8, 1.0]], dtype=torch.float64).expand(3, -1)
    for terms in (vanilla(HISTORY, 2.0), fractional(HISTORY, 0.6, 2.0)):
        v = history_guidance(MODEL, terms, eps)(x, tau)
        assert torch.equal(v[:, :, HISTORY], MODEL(x, tau)[:, :, HISTORY])
        assert not torch.allclose(v[:, :, REST], MODEL(x, tau)[:, :, REST])


def test_without_terms_or_with_an_empty_history_it_is_the_plain_denoiser():
    x, eps = scene()
    tau = torch.rand(3, FRAMES, dtype=torch.float64)
    for terms in ([], vanilla([], 3.0)):
        assert torch.equal(history_guidance(MODEL, terms, eps)(x, tau), MODEL(x, tau))


def test_positions_count_from_the_end_too():
    x, eps = scene()
    tau = torch.rand(3, FRAMES, dtype=torch.float64)
    tau[:, [0, 4]] = 0
    a, b = (history_guidance(MODEL, vanilla(at, 2.0), eps)(x, tau) for at in ([0, -1], [4, 0]))
    assert torch.equal(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_history_guidance_keeps_the_precision_of_x(dtype):
    x, eps = (t.to(dtype) for t in scene())
    tau = torch.ones(3, FRAMES)
    tau[:, HISTORY] = 0
    out = history_guidance(MODEL, fractional(HISTORY, 0.3, 2.0), eps)(x, tau)
    assert out.dtype == dtype
    assert out.isfinite().all()


# History and text together.


def test_text_and_history_guidance_commute_and_multiply_their_calls():
    x, eps = scene()
    cov, tau = video_cov(), torch.tensor([[0.0, 0.0, 0.7, 0.9, 1.0]], dtype=torch.float64).expand(3, -1)
    cond, null = {"mean": FAR, "cov": cov}, {"mean": MEAN, "cov": cov}
    terms = fractional(HISTORY, 0.4, 1.8)
    counted = Counted(captioned)
    outer = text_cfg(history_guidance(counted, terms, eps), cond, null, 3.0)
    inner = history_guidance(text_cfg(counted, cond, null, 3.0), terms, eps)
    v = outer(x, tau)
    assert len(counted.asked) == 6
    torch.testing.assert_close(v, inner(x, tau))
    assert calls(outer) == calls(inner) == 6
    # By hand: the guided mean of the text is again a Gaussian, whose history is then guided.
    exact = history_guidance(GaussianDenoiser(MEAN + 3 * (FAR - MEAN), cov), terms, eps)
    torch.testing.assert_close(v[:, :, REST], exact(x, tau)[:, :, REST])


@pytest.mark.parametrize(
    ("terms", "number"),
    [
        (vanilla(HISTORY, 1.5), 2),
        (temporal([[0], [1]], [0.8, 0.9]), 3),
        (temporal([[0], [1]], [0.3, 0.7]), 2),  # the null's weight is 0
        (fractional(HISTORY, 0.4, 2.0), 3),
        (fractional(HISTORY, 0.0, 2.0), 2),  # the same as vanilla
        (fractional(HISTORY, 1.0, 2.0), 1),  # a view at level 1 is the null: no guidance
        (temporal([[0], [1], [0, 1]], [0.1, 0.2, 0.7]), 3),
    ],
)
def test_the_number_of_calls_is_told_and_kept(terms, number):
    x, eps = scene()
    tau = torch.ones(3, FRAMES, dtype=torch.float64)
    tau[:, HISTORY] = 0
    counted = Counted()
    guided = history_guidance(counted, terms, eps)
    guided(x, tau)
    assert len(counted.asked) == calls(guided) == number
    assert calls(text_cfg(guided, {}, {}, 2.0)) == 2 * number
    assert calls(text_cfg(guided, {}, {}, 1.0)) == number
    assert calls(MODEL) == 1


@pytest.mark.parametrize(
    ("terms", "match"),
    [
        (lambda: vanilla([5], 2.0), "frame 5 is outside the video of 5"),
        (lambda: vanilla([1, -4], 2.0), "latent frame 1"),
        (lambda: fractional([0], 1.5, 2.0), "level=1.5.*level lies in"),
        (lambda: vanilla([0], math.nan), "weight=nan"),
        (lambda: temporal([[0], [1]], [1.0]), "2 parts of the history with 1 weights"),
    ],
)
def test_terms_that_do_not_fit_are_refused(terms, match):
    with pytest.raises(ValueError, match=match):
        history_guidance(MODEL, terms(), torch.randn(1, 1, FRAMES, 2, 2))


def test_noise_and_moving_frames_that_do_not_fit_are_refused_before_the_first_call(as_user):
    x, eps = scene()
    counted = Counted()
    tau = torch.full((3, FRAMES), 0.5, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"eps has shape \(1, .* x \(3, "):
        history_guidance(counted, vanilla(HISTORY, 2.0), eps[:1])(x, tau)
    with pytest.raises(ValueError, match=r"known frame 1 moves .* add a term with it at level 0"):
        history_guidance(counted, [*vanilla([0], 2.0), Term([1], 0.9, 1.0)], eps)(x, tau)
    with pytest.raises(ValueError, match="one clock per sample and frame"):
        history_guidance(counted, vanilla([0], 2.0), eps)(x, tau[:, :3])
    assert not counted.asked


def test_the_order_of_the_terms_does_not_matter():
    """A known frame that moves follows the cleanest view of it, wherever that stands."""
    terms = fractional([0, 1], 0.3, 2.0)
    x, eps = torch.randn(2, 1, 4, 2, 3), torch.randn(2, 1, 4, 2, 3)
    tau = torch.tensor([[0.5, 0.0, 1.0, 1.0]]).expand(2, -1)
    a = torch.randn(4, 4)
    model = GaussianDenoiser(torch.randn(4), a @ a.T + torch.eye(4))
    found = [history_guidance(model, order, eps)(x, tau) for order in (terms, terms[::-1])]
    torch.testing.assert_close(*found)
    torch.testing.assert_close(found[0][:, :, 0], model(x, tau)[:, :, 0])

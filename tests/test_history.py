"""Guidance by a history: its views, its null, its calls, against joint Gaussians."""

import math

import pytest
import torch
from test_guidance import FAR, FRAMES, HISTORY, MEAN, MODEL, REST, SCHEDULES, captioned, scene, video_cov

from pusa_lab import schedules
from pusa_lab.analytic import GaussianDenoiser, condition
from pusa_lab.guidance import Term, calls, fractional, history_guidance, temporal, text_cfg, vanilla
from pusa_lab.samplers import sample


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
    # All frames clean data: at a label k, a frame is N((1 - k) x0, k^2), whatever the timestep it comes from.
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
    outer = text_cfg(history_guidance(counted, terms, eps), null, 3.0)
    inner = history_guidance(text_cfg(counted, null, 3.0), terms, eps)
    v = outer(x, tau, **cond)
    assert len(counted.asked) == 6
    torch.testing.assert_close(v, inner(x, tau, **cond))
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
    assert calls(text_cfg(guided, {}, 2.0)) == 2 * number
    assert calls(text_cfg(guided, {}, 1.0)) == number
    assert calls(MODEL) == 1


@pytest.mark.parametrize(
    ("terms", "match"),
    [
        (lambda: vanilla([5], 2.0), "frame 5 is outside the video of 5"),
        (lambda: vanilla([1, -4], 2.0), "latent frame 1"),
        (lambda: fractional([0], 1.5, 2.0), "level=1.5.*level lies in"),
        (lambda: vanilla([0], math.nan), "weight=nan"),
        (lambda: temporal([[0], [1]], [1.0]), "2 parts of the history with 1 weight:"),
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
    with pytest.raises(ValueError, match=r"known frame 1 is noisy .* add a term with it at level 0"):
        history_guidance(counted, [*vanilla([0], 2.0), Term([1], 0.9, 1.0)], eps)(x, tau)
    with pytest.raises(ValueError, match="one timestep per sample and frame"):
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

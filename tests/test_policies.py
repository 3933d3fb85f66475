"""pytest tests/test_policies.py: the five ways to keep a known frame, each against its own closed form.

Data are Gaussian, so the answer of every policy is known: the exact conditional, the conditional on a noisy sight of
the frame, or a linear flow. Sampling goes through the front door, on a model whose denoiser is exact.
"""

import itertools
from functools import partial

import numpy as np
import pytest
import torch

import pusa_lab as pl
from pusa_lab import tasks
from pusa_lab.analytic import GaussianDenoiser, condition
from pusa_lab.samplers import euler_step
from pusa_lab.types import Geometry

F, SCALE = 5, 6.0
pytestmark = pytest.mark.usefixtures("one_thread")


class GaussianVideo:
    """A `VideoModel` that knows everything about Gaussian videos: the channels and pixels of a frame are independent.

    Its codec gives the first latent frame one pixel frame and later ones the mean of `stride`, times SCALE.
    """

    device = torch.device("cpu")

    def __init__(self, gauss, stride=1, size=(41, 47), fps=10):
        self.gauss, self.asked = gauss, None
        self.geometry = Geometry((stride, 1, 1), 3, len(gauss.mean), size, fps)

    def encode_text(self, prompts):
        return {}

    def encode_video(self, clip):
        later = (
            clip[:, :, 1:].unflatten(2, (-1, self.geometry.stride[0])).mean(3) if clip.shape[2] > 1 else clip[:, :, 1:]
        )
        return torch.cat([clip[:, :, :1], later], 2) * SCALE

    def decode(self, latents):
        later = latents[:, :, 1:].repeat_interleave(self.geometry.stride[0], 2)
        return torch.cat([latents[:, :, :1], later], 2) / SCALE

    def __call__(self, x, tau):
        if self.asked is not None:
            self.asked.append((x.clone(), tau.clone()))
        return self.gauss(x, tau)


def correlated(frames=F, seed=3):
    """Frames whose covariance falls off with distance in time, of unequal variance and mean."""
    t = torch.arange(frames, dtype=torch.float64)
    cov = 0.6 * torch.exp(-((t[:, None] - t) ** 2) / 4) + 0.15 * torch.eye(frames) + 0.1 * torch.diag(t)
    mean = torch.randn(frames, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return GaussianDenoiser(mean, cov)


GAUSS = correlated()
MEAN, COV = GAUSS.mean, GAUSS.cov
SPREAD = 0.04
"""What is allowed: four standard errors of the samples, and the solver's own error."""


def picture(value):
    """All pixels at one value of the latents."""
    return np.full((41, 47, 3), (value / SCALE + 1) / 2)


def values_of(known):
    return MEAN[list(known)] + torch.linspace(1.5, 1.0, len(known), dtype=torch.float64)


def request(mode, m, known=(0,), schedule="synchronous", steps=16, solver="heun", model=None):
    values = values_of(known)
    task = tasks.keyframes([picture(v.item()) for v in values], list(known), noise=m, mode=mode)
    model = model or GaussianVideo(GAUSS)
    return pl.prepare(model, ["", ""], task, schedule=schedule, steps=steps, solver=solver, guidance=1.0, seed=7)


def outcome(*args, **options):
    """Mean (f,) and covariance (f, f) of the samples, and the samples (b, c, f, h, w)."""
    for state in request(*args, **options).states():
        last = state
    z = last.x.double().movedim(2, -1).reshape(-1, F)
    return z.mean(0), torch.cov(z.T), last.x


def noisy_sight(k, y, m):
    """The distribution of clean frames, given that (1 - m) x0_k + m eps was seen to be y."""
    gain = COV[:, k] * (1 - m) / ((1 - m) ** 2 * COV[k, k] + m**2)
    return MEAN + gain * (y - (1 - m) * MEAN[k]), COV - gain[:, None] * (1 - m) * COV[k]


@pytest.mark.parametrize("schedule", ["synchronous", "pyramid"])
@pytest.mark.parametrize("known", [(0, 4), (2,)])
@pytest.mark.parametrize("mode", tasks.MODES)
def test_at_level_0_every_mode_is_exact(mode, known, schedule):
    mean, cov, x = outcome(mode, 0.0, known, schedule)
    want_mean, want_cov = condition(MEAN, COV, known, values_of(known))
    assert (mean - want_mean).abs().max() < SPREAD
    assert (cov - want_cov).abs().max() < SPREAD
    for i, value in zip(known, values_of(known), strict=True):
        assert torch.equal(x[:, :, i], x[0, 0, i, 0, 0].expand_as(x[:, :, i]))
        assert x[0, 0, i, 0, 0] == pytest.approx(value.item(), abs=1e-5)


@pytest.mark.parametrize("schedule", ["synchronous", "pyramid"])
@pytest.mark.parametrize("m", [0.2, 0.7])
@pytest.mark.parametrize("mode", ["hold", "label"])
def test_hold_and_label_answer_to_a_noisy_sight_of_the_frame(mode, m, schedule):
    # Fresh noise averages out over the rows, so `hold` shows the mean of its level; `label` shows the frame itself.
    k, value = 2, values_of([2])[0]
    mean, cov, x = outcome(mode, m, (k,), schedule, steps=25)
    want_mean, want_cov = noisy_sight(k, value * (1 - m) if mode == "hold" else value, m)
    rest = [0, 1, 3, 4]
    assert (mean - want_mean)[rest].abs().max() < SPREAD
    assert (cov - want_cov)[rest][:, rest].abs().max() < SPREAD
    assert torch.equal(x[:, :, k], x[0, 0, k, 0, 0].expand_as(x[:, :, k]))
    exact_cov = condition(MEAN, COV, [k], value[None])[1]
    assert (want_cov - exact_cov).diagonal()[rest].min() > 0  # less is known than the frame tells


@pytest.mark.parametrize("mode", ["hold", "label", "replacement"])
def test_the_bias_of_replaced_frames_vanishes_with_their_level(mode):
    exact, _ = condition(MEAN, COV, [0], values_of([0]))
    bias = [(exact - outcome(mode, m)[0])[1].item() for m in (1.0, 0.5, 0.03, 0.0)]
    assert bias[0] > 0.3  # frame 1 follows too little
    assert bias[0] > max(map(abs, bias[1:]))
    assert abs(bias[2]) < 0.1 * bias[0]
    assert abs(bias[3]) < SPREAD


def test_label_overreacts_at_small_levels_where_hold_does_not():
    """Told (1 - m) x0 + m eps, the model takes a clean x0 for a larger one: the bias is of order m, not m squared."""
    exact, _ = condition(MEAN, COV, [0], values_of([0]))
    label, hold = ((exact - outcome(mode, 0.2)[0])[1].item() for mode in ("label", "hold"))
    assert label < -SPREAD < SPREAD < hold


def test_denoise_drifts_from_the_known_frame_the_more_the_noisier():
    value = values_of([0])[0]
    drift, far = [], []
    for m in (0.0, 0.2, 0.5, 0.8, 1.0):
        mean, cov, x = outcome("denoise", m)
        drift.append((value - mean[0]).item())
        far.append((x[:, :, 0] - value).abs().mean().item())
    assert drift[0] == pytest.approx(0, abs=1e-5)
    assert far[0] == pytest.approx(0, abs=1e-5)
    for series in (drift, far):
        assert all(b > a + 0.02 for a, b in itertools.pairwise(series))
    # Let go entirely, the known frame says nothing: what comes is any video.
    assert (mean - MEAN).abs().max() < SPREAD
    assert (cov - COV).abs().max() < SPREAD


def test_all_frames_known_at_one_level_are_denoised_from_that_level():
    """x0 = mean + R (x - (1 - m) mean), R = C^1/2 ((1 - m)^2 C + m^2)^-1/2: the multiplier acts once (flaw 6)."""
    m, known = 0.4, tuple(range(F))
    mean, cov, _ = outcome("denoise", m, known)

    def want(m):
        e, q = torch.linalg.eigh(COV)
        r = q @ torch.diag(e.sqrt() / ((1 - m) ** 2 * e + m**2).sqrt()) @ q.T
        return MEAN + (1 - m) * r @ (values_of(known) - MEAN), m**2 * r @ r.T

    assert (mean - want(m)[0]).abs().max() < SPREAD
    assert (cov - want(m)[1]).abs().max() < SPREAD
    assert (mean - want(m**2)[0]).abs().max() > 3 * SPREAD  # a multiplier that is squared


@pytest.mark.parametrize("m", [0.6, 1.0])
def test_replacement_follows_its_own_flow_and_more_steps_do_not_help(m):
    """The mean obeys du/dt = E[eps - x0 | u, frame 0 at (1 - m t) k], solved here by its own small Euler loop."""
    value, n = values_of([0])[0], 1000
    u = torch.zeros(F, dtype=torch.float64)
    for j in range(n):
        t = torch.full((F,), 1 - j / n, dtype=torch.float64)
        t[0] *= m
        u[0] = (1 - t[0]) * value
        a = torch.diag(1 - t)
        x0 = MEAN + COV @ a @ torch.linalg.solve(a @ COV @ a + torch.diag(t**2), u - a @ MEAN)
        u = u - ((u - x0) / t) / n
    exact, _ = condition(MEAN, COV, [0], value[None])
    means = {steps: outcome("replacement", m, steps=steps)[0] for steps in (15, 40)}
    for mean in means.values():
        assert (mean - u)[1:].abs().max() < SPREAD
    assert (means[40] - exact)[1].abs() > 2 * SPREAD
    assert MEAN[1] < means[40][1] < exact[1]


def test_going_back_up_undoes_the_bias_of_replacement():
    """RePaint: the more often a part of the way is sampled, the closer the other frames come to the conditional."""
    exact, exact_cov = condition(MEAN, COV, [0], values_of([0]))
    found = {1: outcome("replacement", 1.0, steps=20)}
    for times in (5, 20):
        repaint = partial(pl.schedules.repaint, jump_length=4, jump_n_sample=times)
        found[times] = outcome("replacement", 1.0, schedule=repaint, steps=20)
    bias = {times: (exact - mean)[1].item() for times, (mean, _, _) in found.items()}
    assert bias[1] > 1.8 * bias[5] > 3.6 * bias[20] > 0
    assert (found[20][1] - exact_cov).abs().max() < 2 * SPREAD


@pytest.mark.parametrize("schedule", ["synchronous", "pyramid"])
@pytest.mark.parametrize("mode", tasks.MODES)
def test_what_the_model_is_told_and_what_it_is_shown(mode, schedule):
    """The label of a known frame and its latents, at every call (flaw 5: told clean, stepped all the same)."""
    m, k, model = 0.0 if mode == "freeze" else 0.3, 3, GaussianVideo(GAUSS)
    run = request(mode, m, (k,), schedule, steps=8, solver="euler", model=model)
    value, S = values_of([k])[0].float(), pl.schedules.SCHEDULES[schedule](8, F)
    model.asked = []
    list(run.states())
    rows = [r for r in range(len(S) - 1) if not torch.equal(run.schedule[r], run.schedule[r + 1])]
    assert len(model.asked) == len(rows)
    seen = []
    for r, (x, tau) in zip(rows, model.asked, strict=True):
        level = m * S[r, k] if mode in ("denoise", "replacement") else torch.tensor(m)
        torch.testing.assert_close(tau[:, k], level.expand(2))
        eps = x[:, :, k] - (1 - level) * value
        if mode in ("freeze", "label"):
            torch.testing.assert_close(x[:, :, k], value.expand_as(x[:, :, k]))
        elif mode != "denoise" or r == 0:
            assert eps.std() == pytest.approx(level.item(), rel=0.02)
            assert eps.mean().abs() < 0.01
        seen.append(eps)
    fresh = [
        abs(np.corrcoef(a.flatten(), b.flatten())[0, 1]) < 0.05 for a, b in itertools.pairwise(seen) if b.std() > 1e-3
    ]
    assert all(fresh) if mode in ("hold", "replacement") else not any(fresh)


def test_reimposing_undoes_what_a_solver_does_to_a_standing_frame():
    """As Wan TI2V does it: timestep 0, and the clean latent put back after every step, whatever the solver."""

    def sloppy(denoiser, x, tau, tau_next, **cond):
        v = denoiser(x, tau, **cond)
        return euler_step(x, v, tau, tau_next) + 0.01, v

    ends = {mode: outcome(mode, 0.0, (1,), steps=25, solver=sloppy)[2][:, :, 1] for mode in ("freeze", "replacement")}
    value = values_of([1])[0].float()
    torch.testing.assert_close(ends["replacement"], value.expand_as(ends["replacement"]))
    assert (ends["freeze"] - value).min() > 0.2


def test_modes_side_by_side_keep_to_their_own_frames():
    known = (
        tasks.Known(picture(1.0), 3, noise=0.4, mode="label"),
        tasks.Known(picture(2.0), 0, noise=0.2, mode="hold"),
        tasks.Known(picture(-1.0), 1, noise=0.5),
    )
    run = pl.prepare(GaussianVideo(GAUSS), ["", "", ""], tasks.Task("mixed", known), steps=6, guidance=1.0)
    states = list(run.states())
    assert run.schedule[2, [3, 0]].tolist() == pytest.approx([0.4, 0.2])
    assert run.schedule[2, 1] == pytest.approx(0.5 * 4 / 6)
    torch.testing.assert_close(states[2].x[:, :, 3], torch.ones(3, 3, 41, 47))
    assert states[2].x[:, :, 0].std() == pytest.approx(0.2, rel=0.02)
    assert states[2].x[:, :, 0].mean() == pytest.approx(0.8 * 2, rel=0.02)
    assert (states[-1].x[:, :, [0, 3]].std((0, 1, 3, 4)) == 0).all()
    assert states[-1].x[:, :, 1].std() > 0.1
    for state in states[1:]:
        assert (state.x0[:, :, 3] - 1).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("mode", "noise", "known", "says"),
    [
        ("freeze", 0.3, [1], "frame 1 is in mode freeze, which keeps it exactly, but at noise 0.3: give noise=0"),
        ("hold", 0.3, range(F), "all 5 latent frames are known and kept clean"),
        ("label", 0.3, range(F), "all 5 latent frames are known and kept clean"),
        ("replace", 0.3, [1], "unknown mode 'replace': choose one of freeze, denoise, hold"),
    ],
)
def test_bad_policies_get_a_sentence(mode, noise, known, says):
    with pytest.raises(ValueError, match=says):
        request(mode, noise, known)

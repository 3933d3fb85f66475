"""pytest tests/test_rising.py: schedules that go back up, exact on the Gaussian, refused unless they are a `Rising`."""

import itertools

import pytest
import torch
from test_analytic import F, noise

from pusa_lab import samplers, schedules, viz
from pusa_lab.analytic import GaussianDenoiser
from pusa_lab.noise import FRESH
from pusa_lab.samplers import SOLVERS, sample, sample_steps
from pusa_lab.schedules import Rising, repaint_rows
from pusa_lab.timesteps import noise_further

pytestmark = pytest.mark.usefixtures("as_user")
EXACT = sorted(set(SOLVERS) - {"churn", "consistency"})


@pytest.fixture(scope="module")
def gauss():
    """A video of correlated frames, one pixel."""
    t = torch.arange(F, dtype=torch.float64)
    cov = 0.6 * torch.exp(-((t[:, None] - t) ** 2) / 4) + 0.15 * torch.eye(F) + 0.1 * torch.diag(t)
    return GaussianDenoiser(torch.randn(F, generator=torch.Generator().manual_seed(3), dtype=torch.float64), cov)


def of_diffusers(steps, jump_length, jump_n_sample):
    """Rows that diffusers visits; its scheduler goes back one row at a time, and stops one row before the last."""
    from diffusers import RePaintScheduler

    theirs = RePaintScheduler(num_train_timesteps=steps)
    theirs.set_timesteps(steps, jump_length, jump_n_sample)
    rows = [steps - 1 - t for t in theirs.timesteps.tolist()] + [steps]
    return [row for k, row in enumerate(rows) if k == 0 or not (rows[k - 1] > row > rows[k + 1])]


@pytest.mark.parametrize("steps", [2, 3, 10, 25, 250])
@pytest.mark.parametrize(("jump_length", "jump_n_sample"), [(1, 1), (1, 4), (2, 3), (3, 2), (10, 10), (24, 3)])
def test_repaint_visits_the_rows_that_diffusers_visits(steps, jump_length, jump_n_sample):
    if jump_length >= steps:
        with pytest.raises(ValueError, match=f"repaint_rows: jump_length={jump_length}, .*steps={steps}: give a jump"):
            repaint_rows(steps, jump_length, jump_n_sample)
        return
    rows = repaint_rows(steps, jump_length, jump_n_sample)
    assert rows == of_diffusers(steps, jump_length, jump_n_sample)
    S = schedules.repaint(steps, 3, jump_length, jump_n_sample, shift=3.0)
    assert torch.equal(S.levels, schedules.synchronous(steps, 3, shift=3.0)[rows])


def test_restart_is_algorithm_1_of_the_paper():
    g, up = schedules.linear(10).tolist(), [0.6, 0.475, 0.35, 0.225]
    S = schedules.restart(10, 2, low=0.1, high=0.6, times=2, restart_steps=4).levels
    torch.testing.assert_close(S, torch.tensor([*g[:10], *up, 0.1, *up, 0.1, 0.0])[:, None].repeat(1, 2))
    torch.testing.assert_close(schedules.restart(10, 2, times=0).levels, schedules.synchronous(10, 2))
    between = schedules.restart(10, 1, low=0.15, high=0.6, times=1, restart_steps=1).levels[:, 0]
    torch.testing.assert_close(between, torch.tensor([*g[:9], 0.15, 0.6, 0.15, 0.1, 0.0]))


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        (
            "repaint",
            {"jump_length": 0},
            "jump_length=0, jump_n_sample=3, steps=10: give a jump_length from 1 to steps - 1",
        ),
        ("repaint", {"jump_n_sample": 0}, "jump_n_sample=0, steps=10: .*and 1 or more samples"),
        ("repaint", {"frames": 0}, "frames=0"),
        ("restart", {"low": 0.0}, "low=0.0, high=0.6: give numbers with 0 < low < high <= 1"),
        ("restart", {"high": 0.05}, "high=0.05: give numbers"),
        ("restart", {"high": 1.5}, r"high=1.5"),
        ("restart", {"times": -1}, r"times=-1, restart_steps=4: give at least 0 times and 1 step"),
        ("restart", {"restart_steps": 0}, r"restart_steps=0"),
        ("restart", {"steps": 0}, "steps=0"),
        ("restart", {"frames": 0}, "frames=0"),
    ],
)
def test_what_is_out_of_range_is_named(name, options, says):
    with pytest.raises(ValueError, match=f"schedules.{name}: .*{says}"):
        schedules.SCHEDULES[name](**{"steps": 10, "frames": 3, **options})


def test_a_level_that_rises_is_refused_unless_it_is_meant():
    S, x = schedules.repaint(6, F).levels, torch.randn(1, 1, F, 2, 2)
    says = r"0.\d+ rises above the row before.*; one that is to rise is given as schedules.Rising\(S\)\.$"
    for refused in (S, lambda steps, frames: S):
        with pytest.raises(ValueError, match=f"samplers.sample: .*{says}"):
            sample(lambda x, tau: x, x, refused)
    with pytest.raises(ValueError, match=says):
        schedules.validate(S)
    assert schedules.faults(S, rising=True) == []
    schedules.validate(Rising(torch.stack([S, S])))
    with pytest.raises(ValueError, match=r"validate: the schedule of sample 1 is not valid: row 4, frames 0-4: 0\.83"):
        schedules.validate(torch.stack([S.cummin(0).values, S]))
    with pytest.raises(ValueError, match=rf"row {len(S) - 2}, frames 0-4: 0\.1667 should be 0: every frame ends clean"):
        schedules.validate(Rising(S[:-1]))
    assert sample(lambda x, tau: x, x, Rising(S)).shape == x.shape
    assert sample(lambda x, tau: x, x, lambda steps, frames: Rising(S)).shape == x.shape


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda S: S[:-1], "should be 0: every frame ends clean"),
        (lambda S: 2 * S, "2 is outside"),
        (lambda S: S[:, :2], "schedule is a matrix of 2 columns, but x has 5 frames"),
        (lambda S: S[None].repeat(3, 1, 1), r"the schedule has shape \(3, \d+, 5\) \(b rows f\) for 1 sample"),
        (lambda S: S[None] * 2, "the schedule of sample 0 is not valid: row 0, frames 0-4: 2 is outside"),
    ],
)
def test_other_faults_of_a_rising_are_refused(change, says):
    with pytest.raises(ValueError, match=f"samplers.sample: .*{says}"):
        sample(lambda x, tau: x, torch.randn(1, 1, F, 2, 2), Rising(change(schedules.repaint(6, F).levels)))


def test_a_rise_keeps_the_distribution():
    """x_t = a x_s + b eps of x_s = (1 - s) x0 + s e: the share of x0 becomes 1 - t, and the noise's variance t^2."""
    s, t = torch.tensor([[0.0, 0.2, 0.5, 0.99, 1.0]]), torch.tensor([[0.3, 0.2, 1.0, 0.995, 1.0]])
    one, none = torch.ones(1, 1, 5, 1, 1), torch.zeros(1, 1, 5, 1, 1)
    a, b = noise_further(one, none, s, t).flatten(), noise_further(none, one, s, t).flatten()
    torch.testing.assert_close(a * (1 - s[0]), 1 - t[0])
    torch.testing.assert_close((a * s[0]) ** 2 + b**2, t[0] ** 2)
    assert (a[[1, 4]] == 1).all()


def outcome(denoiser, S, solver, monkeypatch, start=None):
    """Mean (f,) and covariance (f, f) of the samples, exactly: the loop is affine in its start and its fresh noise.

    Sample 0 has no noise at all, and every other sample one unit of it, in one frame at one row; `start` are mean and
    covariance of the start.
    """
    levels = S.levels if isinstance(S, Rising) else S
    rows = [0, *(r for r in range(1, len(levels)) if (levels[r] > levels[r - 1]).any())]
    units = [None, *((row, frame) for row in rows for frame in range(F))]

    def unit_noise(shape, seed, row):
        eps = torch.zeros(len(units), 1, F, 1, 1, dtype=torch.float64)
        for i, unit in enumerate(units):
            if unit and row in (unit[0], FRESH + unit[0]):
                eps[i, 0, unit[1]] = 1
        return eps

    monkeypatch.setattr(samplers, "noise_of", unit_noise)
    mean, cov = start or (torch.zeros(F, dtype=torch.float64), torch.eye(F, dtype=torch.float64))
    x = unit_noise(None, 0, 0) + mean[:, None, None]
    x0 = sample(denoiser, x, S, solver)[:, 0, :, 0, 0]
    gain = x0[1:] - x0[0]
    first, fresh = gain[:F], gain[F:]
    return x0[0], first.T @ cov @ first + fresh.T @ fresh


def errors(gauss, found):
    return (found[0] - gauss.mean).abs().max().item(), (found[1] - gauss.cov).abs().max().item()


def pyramid_that_returns(steps):
    """Frames one after the other, and all of them back and down again, twice."""
    S = schedules.pyramid(steps, F, lag=steps // 4)
    return Rising(S[repaint_rows(len(S) - 1, len(S) // 2, 3)])


def one_frame_that_returns(steps):
    """Frame 2 goes back up while the others fall or rest."""
    down, again = schedules.synchronous(2 * steps, F), schedules.linear(steps)
    down[:, 2] = torch.cat([again, 0.8 * again[1:]])
    return Rising(down)


PATHS = {
    "repaint": lambda steps: schedules.repaint(steps, F, steps // 4, 3),
    "restart": lambda steps: schedules.restart(steps, F, 0.2, 0.8, 3, steps),
    "from noise": lambda steps: Rising(schedules.synchronous(steps, F).repeat(3, 1)),
    "pyramid": pyramid_that_returns,
    "one frame": one_frame_that_returns,
}


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("solver", EXACT)
def test_what_goes_back_up_still_makes_the_data(gauss, name, solver, monkeypatch):
    sizes = (40, 80) if solver == "euler" else (28, 56)
    fine, finer = (errors(gauss, outcome(gauss, PATHS[name](n), solver, monkeypatch)) for n in sizes)
    assert max(finer) < (0.04 if solver == "euler" else 0.004)
    assert sum(finer) < 0.62 * sum(fine)


@pytest.mark.parametrize("solver", ["ab2", "ab3", "dpmpp_2m", "unipc"])
def test_a_history_from_before_a_rise_would_be_wrong(gauss, solver, monkeypatch):
    """The same schedule as three runs, of which each goes on from the noised end of the one before."""
    S = schedules.restart(8, F, 0.25, 0.75, 2, 4)
    x = noise()
    rises = [0, *(r for r in range(1, len(S.levels)) if (S.levels[r] > S.levels[r - 1]).any()), len(S.levels)]
    want = x
    for start, stop in itertools.pairwise(rises):
        if start:
            tau, tau_next = (S.levels[r].expand(len(x), -1) for r in (start - 1, start))
            want = noise_further(want, samplers.noise_of(x.shape, 5, FRESH + start).to(x), tau, tau_next)
        want = sample(gauss, want, S.levels[start:stop], solver, whole=False)
    torch.testing.assert_close(sample(gauss, x, S, solver, seed=5), want, rtol=0, atol=1e-12)


def test_restarts_make_the_errors_of_a_coarse_start_smaller(gauss, monkeypatch):
    """Three Euler steps from a start of the wrong mean and spread: every restart shrinks what is wrong."""
    wrong = torch.full((F,), 2.0, dtype=torch.float64), 0.3 * torch.eye(F, dtype=torch.float64)
    found = []
    for times in (0, 1, 2, 4, 8):
        S = schedules.restart(3, F, 0.33, 0.9, times, 60)
        found.append(errors(gauss, outcome(gauss, S, "heun", monkeypatch, wrong)))
    for before, after in itertools.pairwise(found):
        assert after[0] < 0.9 * before[0]
    assert found[0][0] > 0.5
    assert max(found[-1]) < 0.1 * max(found[0])


def test_rows_that_rise_ask_no_denoiser():
    asked = []
    S = schedules.repaint(10, F, 2, 3)
    states = list(sample_steps(lambda x, tau: asked.append(tau) or x, torch.randn(2, 1, F, 2, 2), S))
    assert len(asked) == schedules.describe(S).calls == int((S.levels.diff(dim=0) < 0).any(dim=1).sum()) == 26
    for state in states:
        assert torch.equal(state.tau, S.levels[state.row].expand(2, F))
    assert "35 rows x 5 frames, 26 denoiser calls" in str(schedules.describe(S))
    assert schedules.describe(S).cost == 2.6, "the ten steps of every frame cost one; those made again cost more"


def test_schedules_of_several_samples_are_described_one_by_one():
    with pytest.raises(ValueError, match=r"^schedules.describe: there are schedules for 2 samples: describe each"):
        schedules.describe(Rising(schedules.repaint(6, F).levels.repeat(2, 1, 1)))


def test_described_frames_finish_where_they_are_last_above_0():
    S = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.5, 0.0], [0.4, 0.5, 0.0], [0.0, 0.0, 0.0]])
    about = schedules.describe(Rising(S))
    assert (about.calls, about.order, about.clean, about.active) == (2, ((0, 1),), (2,), (2, 1, 2))


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_the_noise_follows_the_seed_and_is_fresh_at_every_rise(solver):
    x, S = torch.randn(3, 1, F, 40, 40), schedules.repaint(6, F, 2, 3)
    denoiser = GaussianDenoiser(torch.zeros(F), torch.eye(F))
    first, again, other = (sample(denoiser, x, S, solver, seed=seed) for seed in (1, [1, 2, 3], 7))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    draws = [samplers.noise_of(x.shape, 1, FRESH + row).flatten() for row in range(1, len(S.levels))]
    draws += [torch.randn(x.numel(), generator=torch.Generator().manual_seed(k)) for k in range(30)]
    assert (torch.corrcoef(torch.stack(draws)) - torch.eye(len(draws))).abs().max() < 6 / len(draws[0]) ** 0.5


def test_fresh_noise_is_none_that_a_person_starts_from():
    for row in range(40):
        fresh = samplers.noise_of((1, 1, 2, 3, 3), 0, FRESH + row)
        assert not torch.equal(fresh, samplers.noise_of((1, 1, 2, 3, 3), 0, row))
        assert not torch.equal(fresh[0], torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(row)))


def test_a_rising_can_be_drawn_and_one_per_sample_is_drawn_alone():
    S = schedules.repaint(6, 4)
    assert torch.equal(torch.as_tensor(viz.plot_schedule(S).images[0].get_array()), S.levels)
    assert torch.equal(torch.as_tensor(viz.plot_schedule("repaint", frames=4).images[0].get_array())[0], torch.ones(4))
    with pytest.raises(ValueError, match="there are schedules for 2 samples: plot one of them"):
        viz.plot_schedule(torch.rand(2, 5, 4))

"""pytest tests/test_solvers.py: the order of every solver, measured; a history for each frame; diffusers' results."""

import functools
import math

import pytest
import torch

from pusa_lab import schedules
from pusa_lab.analytic import GaussianDenoiser
from pusa_lab.samplers import sample, sample_steps
from pusa_lab.solvers import SOLVERS, AdamsBashforth, Churn, Consistency, DPMSolver, euler_step

B, C, F, H, W = 2, 1, 3, 2, 3
LAGS = {"synchronous": 0.0, "pyramid": 0.25, "autoregressive": 1.0}
"""Start of a frame after the one before, in lengths of a frame's own path."""
NOISY = {"churn", "consistency"}
EXACT = sorted(set(SOLVERS) - NOISY)

pytestmark = pytest.mark.usefixtures("one_thread")
many_calls = pytest.mark.usefixtures("as_user")
"""Thousands of calls: without the shape checks, which the other tests run with, they take a third of the time."""


def gauss(seed=1, independent=False):
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(F, F, generator=g, dtype=torch.float64)
    cov = a @ a.T / F + 0.5 * torch.eye(F)
    return GaussianDenoiser(torch.randn(F, generator=g, dtype=torch.float64), cov.diag().diag() if independent else cov)


def noise(*shape):
    return torch.randn(*(shape or (B, C, F, H, W)), dtype=torch.float64)


def start():
    return torch.randn(B, C, F, H, W, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def mixing(x, tau):
    """A denoiser in which frames see each other and their timesteps."""
    return x.roll(1, dims=2) - x * tau[:, None, :, None, None].cos()


def even(u):
    return 1 - u


def gentle(u):
    """Timesteps that start and stop without a jerk, so that the first steps are small beside the others."""
    return 1 - u * u * (3 - 2 * u)


def columns(path, lag, rows):
    """The path of every timestep at row times `rows`, in lengths of one frame's path."""
    return path((rows[:, None] - lag * torch.arange(F)).clamp(0, 1))


def matrix(path, lag, n):
    return columns(path, lag, torch.arange(round((1 + lag * (F - 1)) * n) + 1, dtype=torch.float64) / n).float()


def resting(n):
    """Frames 0 and 1 take turns to rest half way at 0.5, frame 2 moves on: timesteps with pauses."""
    s = torch.arange(round(1.75 * n) + 1, dtype=torch.float64) / n
    u0 = torch.where(s < 0.5, s, (s - 0.5).clamp(0.5, 1))
    u1 = torch.where(s < 1, (s - 0.5).clamp(0, 0.5), (s - 0.75).clamp(0.5, 1))
    return 1 - torch.stack([u0, u1, s / 1.75], dim=1).float()


@functools.cache
def truth(make):
    """The end of sampling along a path: the midpoint rule's on 64 and 128 rows, extrapolated."""
    coarse, fine = (sample(gauss(), start(), make(n), "midpoint") for n in (64, 128))
    return fine + (fine - coarse) / 3


def order(solver, make, n=24):
    """log2 of how much the error at the end falls from n to 2 n rows."""
    errors = [(sample(gauss(), start(), make(k), solver) - truth(make)).abs().max().item() for k in (n, 2 * n)]
    return math.log2(errors[0] / errors[1])


PATHS = {
    (path, lag): functools.partial(matrix, path, start_lag)
    for path in (even, gentle)
    for lag, start_lag in LAGS.items()
}


@many_calls
@pytest.mark.parametrize("lag", LAGS)
@pytest.mark.parametrize(
    ("solver", "path", "least", "most"),
    [
        ("euler", even, 0.9, 1.1),
        ("heun", even, 1.9, 2.3),
        ("midpoint", even, 1.9, 3.1),  # its leading error cancels at the end of the whole path of one Gaussian timestep
        ("ab2", even, 1.9, 2.2),
        ("ab3", even, 1.8, 2.2),  # the Euler start of every frame has a local error of second order
        ("ab3", gentle, 2.6, 3.2),  # frames that start while others move cost a logarithm
        ("dpmpp_2m", even, 1.5, 2.1),  # both ends are singular in lambda: h^2 log(1 / h)
        ("dpmpp_2m", gentle, 1.9, 2.4),
        ("unipc", even, 1.9, 2.4),
        ("unipc", gentle, 2.8, 3.2),  # the corrector adds one where both ends are approached gently
    ],
)
def test_order_of_convergence(solver, path, least, most, lag):
    assert least < order(solver, PATHS[path, lag]) < most


@many_calls
@pytest.mark.parametrize(
    ("solver", "least"),
    [("heun", 1.7), ("midpoint", 1.9), ("ab2", 1.9), ("ab3", 1.9), ("dpmpp_2m", 1.5), ("unipc", 1.9)],
)
def test_rests_on_the_way_cost_no_order_though_other_frames_move_meanwhile(solver, least):
    assert order(solver, resting) > least


class Naive:
    """Adams-Bashforth 2 as it is often written. "one": a row is a step for all, whose gap is frame 0's.
    "stale": histories per frame, but of values, which are out of date after a rest."""

    def __init__(self, kind):
        self.kind = kind

    def init_state(self):
        v_old = time = None

        def step(denoiser, x, tau, tau_next):
            nonlocal v_old, time
            v = out = denoiser(x, tau)
            moves = tau_next != tau
            if v_old is None:
                v_old, time = v, torch.full_like(tau, torch.inf)
            weight = (tau_next - tau) / (2 * (tau - time))
            if self.kind == "one":
                weight, moves = weight[:, :1].expand_as(tau).nan_to_num(0, 0, 0), torch.ones_like(moves)
            out = v + weight[:, None, :, None, None] * (v - v_old)
            v_old = torch.where(moves[:, None, :, None, None], v, v_old)
            time = torch.where(moves, tau, time)
            return euler_step(x, out, tau, tau_next), out

        return step


@many_calls
def test_values_kept_through_a_rest_would_cost_an_order():
    assert order(Naive("stale"), resting) < 1.3


@many_calls
@pytest.mark.parametrize("solver", EXACT)
def test_frames_that_know_nothing_of_each_other_walk_as_if_alone(solver):
    denoiser, x = gauss(independent=True), noise()
    for S in [resting(8), *(matrix(gentle, lag, 8) for lag in LAGS.values())]:
        together = sample(denoiser, x, S, solver)
        torch.testing.assert_close(together, one_by_one(denoiser, x, S, solver), rtol=0, atol=1e-11)


def one_by_one(denoiser, x, S, solver):
    """Every frame on its own, without the rows in which its timestep rests."""
    out = []
    for f in range(F):
        alone = GaussianDenoiser(denoiser.mean[f : f + 1], denoiser.cov[f : f + 1, f : f + 1])
        out.append(sample(alone, x[:, :, f : f + 1], S[:, f : f + 1].unique(dim=0).flip(0), solver))
    return torch.cat(out, dim=2)


@many_calls
def test_one_history_for_all_frames_fails_that_test():
    denoiser, x, naive = gauss(independent=True), noise(), Naive("one")
    S = matrix(even, 0.25, 24)
    right, wrong = sample(denoiser, x, S, "ab2"), sample(denoiser, x, S, naive)
    torch.testing.assert_close(right, one_by_one(denoiser, x, S, "ab2"), rtol=0, atol=1e-11)
    assert (wrong - one_by_one(denoiser, x, S, naive)).abs().max() > 1e-3
    # With one timestep for all it is the same rule.
    torch.testing.assert_close(*(sample(denoiser, x, matrix(even, 0, 24), s) for s in ("ab2", naive)))


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_a_frame_at_rest_stays_bit_for_bit(solver):
    x = torch.randn(B, C, F, H, W)
    x[:, :, :, 0, 0] = -0.0
    before = x, torch.ones(B, F)
    rests = 0
    for state in sample_steps(mixing, x, resting(8), solver):
        still = (state.tau == before[1])[0]
        rests += int(still.sum())
        assert torch.equal(state.x[:, :, still].view(torch.int32), before[0][:, :, still].view(torch.int32))
        before = state.x, state.tau
    assert rests > 12


def test_adams_bashforth_at_even_steps_has_the_textbook_weights():
    vs = noise(5, B, C, F, H, W)
    for k, weights in {2: [3 / 2, -1 / 2], 3: [23 / 12, -16 / 12, 5 / 12]}.items():
        told = iter(vs)
        *_, last = sample_steps(lambda x, tau, told=told: next(told), noise(), schedules.synchronous(4, F), f"ab{k}")
        want = sum(w * v for w, v in zip(weights, vs[:4].flip(0)[:k], strict=True))
        torch.testing.assert_close(last.v, want, rtol=1e-6, atol=1e-6)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers and numpy 2
@pytest.mark.parametrize("steps", [3, 10, 25])
@pytest.mark.parametrize("solver", ["euler", "dpmpp_2m", "unipc"])
def test_equal_columns_are_diffusers(solver, steps):
    import diffusers

    flow = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0, "solver_order": 2}
    scheduler = {
        "euler": lambda: diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        "dpmpp_2m": lambda: diffusers.DPMSolverMultistepScheduler(algorithm_type="dpmsolver++", **flow),
        "unipc": lambda: diffusers.UniPCMultistepScheduler(solver_type="bh2", **flow),
    }[solver]()
    scheduler.set_timesteps(steps)
    S = scheduler.sigmas[:, None].expand(-1, F).contiguous()
    denoiser, x = gauss(), torch.randn(B, C, F, H, W)
    want = x
    for t, tau in zip(scheduler.timesteps, S[:-1], strict=True):
        want = scheduler.step(denoiser(want, tau.expand(B, F)), t, want).prev_sample
    torch.testing.assert_close(sample(denoiser, x, S, solver), want, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("lag", LAGS.values(), ids=LAGS)
@pytest.mark.parametrize("solver", EXACT)
def test_a_straight_path_is_walked_exactly_and_its_end_is_seen_from_the_start(solver, lag):
    x0, eps = noise(), noise()
    for state in sample_steps(lambda x, tau: eps - x0, eps, matrix(gentle, lag, 4), solver):
        if state.row:
            torch.testing.assert_close(state.x0, x0)
    torch.testing.assert_close(state.x, x0)


@pytest.mark.parametrize("lag", LAGS.values(), ids=LAGS)
@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_where_there_is_only_one_video_every_estimate_is_that_video(solver, lag):
    x0 = noise()

    def only(x, tau):
        return (x - x0) / tau[:, None, :, None, None].clamp(min=1e-12)

    for state in sample_steps(only, noise(), matrix(even, lag, 4), solver):
        if state.row:
            begun = state.tau[0] < 1
            torch.testing.assert_close(state.x0[:, :, begun], x0[:, :, begun], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(state.x, x0, rtol=1e-5, atol=1e-5)


@many_calls
@pytest.mark.parametrize("solver", EXACT)
def test_the_clean_estimate_is_the_posterior_mean(solver):
    denoiser, n = gauss(), 32
    for state in sample_steps(denoiser, noise(), matrix(even, 0.25, n), solver):
        if state.row:
            want = state.x - state.tau[:, None, :, None, None] * denoiser(state.x, state.tau)
            assert (state.x0 - want).abs().max() < 8 / n
    torch.testing.assert_close(state.x0, state.x)


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_calls_per_row(solver):
    calls = []
    sample(lambda x, tau: calls.append(tau) or mixing(x, tau), noise(), matrix(even, 0.25, 8), solver)
    assert len(calls) == {"heun": 23, "midpoint": 24}.get(solver, 12)
    assert all((tau > 0).any() for tau in calls)


@pytest.mark.parametrize("solver", [AdamsBashforth(3), DPMSolver(correct=True), Churn(), Consistency()])
def test_two_walks_with_one_solver_share_nothing(solver):
    x, S, T = noise(), matrix(even, 0.25, 6), matrix(gentle, 0.25, 6)
    alone = sample(mixing, x, S, solver), sample(mixing, -x, T, solver)
    *_, together = zip(sample_steps(mixing, x, S, solver), sample_steps(mixing, -x, T, solver), strict=True)
    assert torch.equal(together[0].x, alone[0])
    assert torch.equal(together[1].x, alone[1])

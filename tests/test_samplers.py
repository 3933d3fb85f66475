"""pytest tests/test_samplers.py: one loop for all schedules, exact where it must be."""

import contextlib
import itertools
import sys
import weakref
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from pusa_lab import prepare, schedules, tasks, timesteps
from pusa_lab.analytic import GaussianDenoiser
from pusa_lab.samplers import SOLVERS, euler_step, heun, sample, sample_steps

B, C, F, H, W = 3, 2, 5, 3, 7


def mixing(x, tau, gain=1.0):
    """A denoiser in which frames see each other and their timesteps."""
    return gain * x.roll(1, dims=2) - x * tau[:, None, :, None, None].cos()


def x_start():
    return torch.randn(B, C, F, H, W)


def test_euler_step_is_the_formula_frame_by_frame():
    x, v = x_start(), x_start()
    tau, tau_next = torch.rand(2, B, F)
    out = euler_step(x, v, tau, tau_next)
    for b in range(B):
        for f in range(F):
            torch.testing.assert_close(out[b, :, f], x[b, :, f] + (tau_next - tau)[b, f] * v[b, :, f])


def test_a_frame_whose_timestep_stands_still_does_not_move_even_for_a_broken_velocity():
    x, v = x_start(), x_start()
    v[:, :, 1] = float("nan")
    tau = torch.rand(B, F)
    tau_next = tau * 0.5
    tau_next[:, 1] = tau[:, 1]
    assert torch.equal(euler_step(x, v, tau, tau_next)[:, :, 1], x[:, :, 1])


@pytest.mark.parametrize("solver", ["euler", "heun", "midpoint"])
def test_equal_columns_are_scalar_sampling_exactly(solver):
    # The scalar sampler of the textbooks, written with one number for time.
    sigmas = schedules.shift_levels(schedules.linear(7), 3.0)
    x = want = x_start()
    for t, t_next in itertools.pairwise(sigmas):
        tau, tau_next = t.expand(B, F), t_next.expand(B, F)
        v = mixing(want, tau)
        if solver == "heun" and t_next > 0:
            v = (v + mixing(want + (t_next - t) * v, tau_next)) / 2
        if solver == "midpoint":
            half = (t + t_next) / 2
            v = mixing(want + (half - t) * v, half.expand(B, F))
        want = want + (t_next - t) * v
    assert torch.equal(sample(mixing, x, schedules.synchronous(7, F, shift=3.0), solver), want)


@pytest.mark.parametrize("solver", sorted(SOLVERS))
@pytest.mark.parametrize("name", sorted(schedules.SCHEDULES))
def test_batches_do_not_mix(name, solver):
    x, S = x_start(), schedules.SCHEDULES[name](4, F)
    together = sample(mixing, x, S, solver)
    for b in range(B):
        # Noise of a solver's own follows the sample: seed + b.
        own = replace(SOLVERS[solver], seed=b) if hasattr(SOLVERS[solver], "seed") else solver
        torch.testing.assert_close(sample(mixing, x[b : b + 1], S, own, seed=b), together[b : b + 1])


def test_every_row_is_yielded_with_its_timestep():
    S = schedules.pyramid(4, F, lag=2)
    states = list(sample_steps(mixing, x_start(), S))
    assert [s.row for s in states] == list(range(len(S)))
    for state in states:
        assert torch.equal(state.tau, S[state.row].expand(B, F))
    assert states[0].v is None
    assert states[0].x0 is None


def test_the_clean_estimate_of_euler_is_the_one_before_the_step():
    x = x_start()
    first, second, *_ = sample_steps(mixing, x, schedules.synchronous(4, F))
    torch.testing.assert_close(second.x0, x - mixing(x, first.tau))


def test_rows_in_which_nothing_moves_cost_no_call():
    calls = []

    def counting(x, tau):
        calls.append(tau)
        return mixing(x, tau)

    S = schedules.scale_columns(schedules.autoregressive(4, F), at=[0], noise=0.0)
    sample(counting, x_start(), S)
    assert len(calls) == 4 * (F - 1)
    calls.clear()
    sample(counting, x_start(), schedules.synchronous(4, F), "heun")
    assert len(calls) == 7  # the move to 0 is Euler's


def test_editing_a_state_touches_neither_input():
    x, S = x_start(), schedules.synchronous(4, F)
    x_before, S_before = x.clone(), S.clone()
    for state in sample_steps(mixing, x, S):
        state.tau[:, 0] = 0.3
        state.x[:, :, 0] = 0
    assert torch.equal(x, x_before)
    assert torch.equal(S, S_before)


def test_sample_keeps_one_state_alive():
    velocities = []

    def watched(x, tau):
        v = mixing(x, tau)
        velocities.append(weakref.ref(v))
        return v

    most = 0
    for _ in sample_steps(watched, x_start(), schedules.synchronous(10, F)):
        most = max(most, sum(v() is not None for v in velocities))
    assert most <= 2

    def counting(x, tau):
        alive.append(sum(v() is not None for v in velocities))
        return watched(x, tau)

    velocities.clear()
    alive = []
    sample(counting, x_start(), schedules.synchronous(10, F))
    assert max(alive) <= 2


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_assigning_x_steers_the_sampling_loop(solver):
    S = schedules.synchronous(4, F)
    for state in sample_steps(mixing, x_start(), S, solver):
        state.x = torch.zeros_like(state.x)
    assert (state.x == 0).all()


def test_cond_reaches_every_call():
    x, S = x_start(), schedules.synchronous(4, F)
    assert not torch.equal(sample(mixing, x, S, gain=0.5), sample(mixing, x, S, gain=1.5))


def test_a_solver_may_be_a_function():
    x, S = x_start(), schedules.pyramid(4, F, lag=2)
    assert torch.equal(sample(mixing, x, S, heun), sample(mixing, x, S, "heun"))


def test_heun_is_of_second_order_and_euler_of_first():
    # Along tau the exact flow of a Gaussian is known by brute force; halving the step must quarter Heun's error.
    torch.manual_seed(1)
    a = torch.randn(F, F, dtype=torch.float64)
    denoiser = GaussianDenoiser(torch.randn(F, dtype=torch.float64), a @ a.T / F + 0.5 * torch.eye(F))
    x = torch.randn(B, C, F, H, W, dtype=torch.float64)
    exact = sample(denoiser, x, schedules.pyramid(256, F, lag=64), "heun")

    def error(solver, steps):
        return (sample(denoiser, x, schedules.pyramid(steps, F, lag=steps // 4), solver) - exact).abs().mean()

    assert 1.6 < error("euler", 16) / error("euler", 32) < 2.4
    assert 3.0 < error("heun", 16) / error("heun", 32) < 5.0
    assert error("heun", 16) < error("euler", 16) / 5


def test_no_graph_is_kept():
    weight = torch.ones((), requires_grad=True)
    assert not sample(lambda x, tau: weight * x, x_start(), schedules.synchronous(3, F)).requires_grad


def test_bfloat16_latents_stay_bfloat16():
    assert sample(mixing, x_start().bfloat16(), schedules.synchronous(3, F)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"schedule": schedules.synchronous(4, F + 1)},
            "schedule is a matrix of 6 columns, but x has 5 frames: give one",
        ),
        ({"schedule": schedules.synchronous(4, F).flip(0)}, "rises above the row before"),
        ({"schedule": schedules.synchronous(4, F)[:-1]}, "should be 0"),
        ({"steps": 7}, "steps=7 with a matrix of 5 rows and 5 columns: make the matrix with steps=7, or leave"),
        ({"shift": 3.0}, "shift=3.0 with a matrix of 5 rows and 5 columns: make the matrix with shift=3.0"),
        ({"solver": "rk45"}, "unknown solver 'rk45': choose one of euler, heun"),
        ({"x": torch.full((B, C, F, H, W), float("nan"))}, "NaN or infinite numbers before row 0"),
    ],
)
def test_bad_input_is_refused_before_the_first_call(change, says, as_user):
    def never(x, tau):
        raise AssertionError("called")

    with pytest.raises(ValueError, match=says):
        sample_steps(never, **{"x": x_start(), "schedule": schedules.synchronous(4, F), **change})


def test_a_schedule_for_another_number_of_frames_is_refused(as_user):
    says = r"^samplers.sample: schedule is a matrix of 4 columns, but x has 3 frames: give one column"
    with pytest.raises(ValueError, match=says):
        sample(mixing, x_start()[:, :, :3], schedules.synchronous(3, 4))


def test_a_denoiser_that_breaks_down_is_named_with_its_row():
    def breaks(x, tau):
        return x / (tau[:, None, :, None, None] > 0.6)

    with pytest.raises(ValueError, match="the denoiser returned NaN or infinity on the way to row 3"):
        sample(breaks, x_start(), schedules.synchronous(5, F))


@pytest.mark.parametrize("of_x", [True, False])
@pytest.mark.parametrize("row", [2, 5])
def test_a_solver_that_breaks_down_is_told_from_the_denoiser(of_x, row):
    """In the last row too, where no denoiser is asked afterwards."""

    def breaks(denoiser, x, tau, tau_next):
        x_next, v = SOLVERS["euler"](denoiser, x, tau, tau_next)
        bad = torch.full_like(x, float("nan" if tau_next.mean() < 1.05 - row / 5 else 0))
        return (x_next + bad, v) if of_x else (x_next, v + bad)

    with pytest.raises(
        ValueError, match=f"samplers.sample: the solver returned NaN or infinity on the way to row {row}"
    ):
        sample(lambda x, tau: x, x_start(), schedules.synchronous(5, F), breaks)


@pytest.mark.parametrize("solver", ["heun", "midpoint", "unipc"])
def test_the_first_that_returns_nan_is_named_not_those_it_is_passed_on_to(solver):
    def breaks(x, tau):
        return x / (tau[:, None, :, None, None] > 0.5)

    with pytest.raises(ValueError, match="the denoiser returned NaN"):
        sample(breaks, x_start(), schedules.synchronous(5, F), solver)


FAULTY = {
    "high": (lambda S: 2 * S, "row 0, frames 0-4: 2 is outside"),
    "low": (lambda S: S - 1, "row 1, frames 0-4: -0.25 is outside"),
    "missing": (lambda S: S * float("nan"), "row 0, frames 0-4: nan is outside"),
    "rising": (lambda S: S.flip(0), "row 1, frames 0-4: 0.25 rises above the row before"),
    "unfinished": (lambda S: S[:-1], "row 3, frames 0-4: 0.25 should be 0: every frame ends clean"),
    "narrow": (lambda S: S[:, :1], f"returned 1 columns for frames={F}: return one per frame"),
    "flat": (lambda S: S[:, 0], r"returned a tensor of shape \(5,\), float32: it must return a tensor \(rows f\)"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_registered_schedule_is_named_with_its_fault(name, monkeypatch):
    change, fault = FAULTY[name]
    monkeypatch.setattr(schedules.SCHEDULES, "_added", {})
    schedules.SCHEDULES.register(lambda steps, frames: change(schedules.synchronous(steps, frames)), name)
    with pytest.raises(ValueError, match=f"samplers.sample: the schedule {name} .*{fault}") as caught:
        sample(lambda x, tau: x, x_start(), name, steps=4)
    assert "whole" not in str(caught.value)


@pytest.mark.parametrize("shape", [(2, 1, 3, 2, 2), (1, 2, 3, 2, 2), (2, 2, 1, 2, 2)])
@pytest.mark.parametrize("solver", ["euler", "heun", "unipc"])
def test_a_velocity_of_another_shape_is_refused(shape, solver, as_user):
    x = torch.randn(2, 2, 3, 2, 2)
    with pytest.raises(ValueError, match=r"for x of shape .* \(b c f h w\): a velocity is a tensor of x's shape"):
        sample(lambda x, tau: torch.zeros(shape), x, schedules.synchronous(3, 3), solver)


def test_what_a_denoiser_or_a_solver_does_not_take_is_named():
    with pytest.raises(ValueError, match=r"sample: the denoiser does not take \(x, tau, text=...\): give a function"):
        sample(mixing_only, x_start(), schedules.synchronous(3, F), text=1)
    with pytest.raises(ValueError, match=r"sample: the solver does not take \(denoiser, x, tau, tau_next\)"):
        sample(mixing_only, x_start(), schedules.synchronous(3, F), mixing_only)


def mixing_only(x, tau):
    return x


CHECKS = ("as_schedule", "check_levels", "check_tau")


@contextlib.contextmanager
def checks_run():
    """Name of each check of tau or of a schedule -> how often it ran."""
    found = Counter()

    def heard(frame, event, _):
        if event == "call" and frame.f_code.co_name in CHECKS and "/pusa_lab/" in frame.f_code.co_filename:
            found[frame.f_code.co_name] += 1

    before = sys.getprofile()
    sys.setprofile(heard)
    try:
        yield found
    finally:
        sys.setprofile(before)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_schedule_is_checked_once_at_the_door_of_the_loop_and_tau_not_again(solver):
    """Once, check_tau ran 12 times and check_levels 18 times in four steps of Euler with a pyramid of three frames."""
    with checks_run() as found:
        sample(mixing, x_start(), "pyramid", solver, steps=4)
    assert found == {"as_schedule": 1}


def test_a_request_is_checked_before_it_is_encoded_and_once_more_where_it_is_sampled(nano_vta):
    picture = np.zeros((16, 16, 3), np.uint8)
    with checks_run() as found:
        run = prepare(nano_vta, "a red circle moves right", tasks.image_to_video(picture, noise=0.2), steps=4)
    assert found == {"as_schedule": 1, "check_levels": 1}, "the start is noised once"
    with checks_run() as found:
        run.finish(list(run.states())[-1])
    assert found == {"as_schedule": 1, "check_tau": 4}, "the denoiser's own check, once for both captions"


def test_a_person_who_calls_a_conversion_or_a_step_has_their_timesteps_checked():
    x, within, outside = x_start(), torch.rand(B, F), torch.full((B, F), 500.0)
    for pair in ((outside, within), (within, outside)):
        for call in (lambda *taus: euler_step(x, x, *taus), lambda *taus: heun(mixing, x, *taus)):
            with pytest.raises(ValueError, match="tau has values from 500 to 500"):
                call(*pair)
    for convert in (timesteps.interpolate, timesteps.x0_from_v, timesteps.eps_from_v):
        with pytest.raises(ValueError, match=f"timesteps.{convert.__name__}: tau has values from 500 to 500"):
            convert(x, x, outside)
    with checks_run() as found:
        heun(mixing, x, within, within / 2)
    assert found == {"check_levels": 2}, "each of two timestep vectors once"


def test_a_solver_of_ones_own_has_its_timesteps_checked_in_the_loop():
    def late(denoiser, x, tau, tau_next):
        v = denoiser(x, tau)
        return euler_step(x, v, 1000 * tau, tau_next), v

    with pytest.raises(ValueError, match="sample: tau has values from 1000 to 1000"):
        sample(mixing, x_start(), "synchronous", late, steps=2)

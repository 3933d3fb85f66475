"""pytest tests/test_equivalence.py: trajectories and schedules against the published rules of others.

Each rule stands here once more, in plain numpy as its source writes it, or runs in its authors' code (diffusers).
Denoisers are random and nonlinear, batches have more than one sample, sizes are odd.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pusa_lab import schedules
from pusa_lab.analytic import GaussianDenoiser
from pusa_lab.samplers import sample, sample_steps
from pusa_lab.solvers import SOLVERS

B, C, F, H, W = 3, 2, 5, 3, 7
any_of = settings(deadline=None, database=None, derandomize=True, max_examples=15)
pytestmark = pytest.mark.usefixtures("one_thread")


def random_denoiser(seed=0):
    """Nonlinear, and all frames and channels see each other and their noise levels."""
    g = torch.Generator().manual_seed(seed)
    mix = torch.randn(C * F, C * F, generator=g, dtype=torch.float64) / (C * F) ** 0.5
    own = torch.randn(F, generator=g, dtype=torch.float64)

    def denoiser(x, tau):
        z = x.double().flatten(1, 2).transpose(1, -1) @ mix
        z = z.transpose(1, -1).unflatten(1, (C, F))
        return (torch.tanh(z) + (own * tau.double().cos())[:, None, :, None, None]).to(x.dtype)

    return denoiser


def start(seed=1):
    return torch.randn(B, C, F, H, W, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def at(denoiser, x, level):
    """The velocity where all frames share a level, in numpy."""
    return denoiser(torch.from_numpy(x), torch.full((B, F), level, dtype=torch.float64)).numpy()


# Solvers


@pytest.mark.parametrize(("steps", "shift"), [(2, 3.0), (5, 5.0), (9, 12.0)])
def test_heun_is_diffusers(steps, shift):
    from diffusers import FlowMatchHeunDiscreteScheduler

    theirs = FlowMatchHeunDiscreteScheduler(shift=shift)
    theirs.set_timesteps(steps)
    denoiser, x = random_denoiser(), start().float()
    want, asked = x, []
    for t in theirs.timesteps:
        asked.append(float(t) / 1000)
        want = theirs.step(denoiser(want, t.expand(B, F) / 1000), t, want).prev_sample
    levels, told = theirs.sigmas.unique().flip(0), []
    S = levels[:, None].expand(-1, F).contiguous()
    got = sample(lambda x, tau: told.append(tau[0, 0].item()) or denoiser(x, tau), x, S, "heun")
    torch.testing.assert_close(got, want, rtol=1e-5, atol=3e-5)  # theirs divides by a small sigma in float32
    assert told == pytest.approx(asked, abs=1e-6)
    assert len(told) == 2 * steps - 1
    assert min(told) > 0


def test_heun_frame_by_frame_is_algorithm_1_of_edm():
    """Alg. 1, arXiv 2206.00364: the correction is made if sigma_{i+1} != 0; here for each frame by itself."""
    denoiser, S = random_denoiser(2), schedules.pyramid(4, F, lag=1.5).double()
    x = start()
    want = x.numpy().copy()
    for row, after in itertools.pairwise(S.numpy()):
        dt, told = (after - row)[None, None, :, None, None], [np.tile(level, (B, 1)) for level in (row, after)]
        d = denoiser(torch.from_numpy(want), torch.from_numpy(told[0])).numpy()
        euler = want + dt * d
        second = denoiser(torch.from_numpy(euler), torch.from_numpy(told[1])).numpy()
        want = np.where(after[None, None, :, None, None] != 0, want + dt * (d + second) / 2, euler)
    torch.testing.assert_close(sample(denoiser, x, S, "heun"), torch.from_numpy(want), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("solver", sorted(SOLVERS))
@pytest.mark.parametrize(
    "S",
    [
        schedules.synchronous(5, F),
        schedules.pyramid(4, F, lag=1.5),
        schedules.scale_columns(schedules.trapezoid(3, F, lag=2), [0, 2], [0.0, 0.4]),
    ],
)
def test_the_velocity_of_a_clean_frame_is_never_used(solver, S):
    denoiser, x = random_denoiser(3), start()

    def nonsense_at_zero(x, tau):
        assert (tau > 0).any(), "a call in which every frame is clean"
        return torch.where((tau == 0)[:, None, :, None, None], 1e4, denoiser(x, tau))

    ours = [sample(f, x, S, solver) for f in (denoiser, nonsense_at_zero)]
    assert torch.equal(*ours)


def wan_sigmas(steps, shift, training=1000):
    """FlowUniPCMultistepScheduler of Wan2.1 (wan/utils/fm_solvers_unipc.py), made with shift=1 as generate does it."""
    alphas = np.linspace(1, 1 / training, training)[::-1]
    sigmas = 1.0 - alphas
    high, low = sigmas[0], sigmas[-1]
    sigmas = np.linspace(high, low, steps + 1)[:-1]
    sigmas = shift * sigmas / (1 + (shift - 1) * sigmas)
    return np.append(sigmas, 0.0).astype(np.float32)


def unipc(denoiser, x, sigmas):
    """UniPC of order 2 with B(h) = expm1(-h), predicting x0: its two updates, the first and last step of order 1."""
    lam = np.log((1 - sigmas).clip(1e-300)) - np.log(sigmas.clip(1e-300))
    lam[-1], past, before, order = np.inf, [], None, 0
    for i, s in enumerate(sigmas[:-1]):
        m = x - s * at(denoiser, x, s)
        if before is not None:  # multistep_uni_c_bh_update, of the order of the step before
            s0, h = sigmas[i - 1], lam[i] - lam[i - 1]
            phi, d = np.expm1(-h), m - past[-1]
            change = 0.5 * d
            if order == 2:
                r = (lam[i - 2] - lam[i - 1]) / h
                k1 = phi / -h - 1
                k2 = k1 / -h - 0.5
                rho = np.linalg.solve([[1.0, 1.0], [r, 1.0]], [k1 / phi, 2 * k2 / phi])
                change = rho[0] * (past[-2] - past[-1]) / r + rho[1] * d
            x = s / s0 * before - (1 - s) * phi * past[-1] - (1 - s) * phi * change
        past.append(m)
        order = min(2, len(sigmas) - 1 - i, len(past))
        s1, h = sigmas[i + 1], lam[i + 1] - lam[i]
        phi, before = np.expm1(-h), x
        x = s1 / s * x - (1 - s1) * phi * m
        if order == 2:
            r = (lam[i - 1] - lam[i]) / h
            x = x - (1 - s1) * phi * 0.5 * (past[-2] - m) / r
    return x


@pytest.mark.parametrize(("steps", "shift"), [(4, 5.0), (10, 3.0), (13, 12.0), (7, 1.0)])
def test_unipc_on_wans_own_levels(steps, shift):
    levels = wan_sigmas(steps, shift)
    assert levels[0] < 1
    assert schedules.starts_as_noise(levels[0])
    denoiser, x = random_denoiser(4), start()
    S = np.repeat(levels[:, None], F, axis=1)
    want = unipc(denoiser, x.numpy(), levels.astype(np.float64))
    for given_as in (S, S.tolist(), torch.from_numpy(S)):
        got = sample(denoiser, x, given_as, "unipc")
        torch.testing.assert_close(got, torch.from_numpy(want), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("steps", [4, 16])
def test_levels_that_rounding_put_below_0_end_at_0(steps):
    """MAGI-1's t of 1 - shift (1 - t) / (1 + (shift - 1) (1 - t)) passes 1 by a rounding: its last level is -1.2e-7."""
    t = torch.linspace(0, 1, steps + 1)
    levels = 1 - (1 - 3 * (1 - t) / (1 + 2 * (1 - t)))
    levels[-1] = 1 - torch.tensor(1.0).nextafter(torch.tensor(2.0))
    assert -2e-7 < levels[-1] < 0
    S = levels[:, None].repeat(1, F)
    denoiser, x = random_denoiser(5), start()
    want, states = x.numpy(), list(sample_steps(denoiser, x, S))
    for s, after in itertools.pairwise([*levels[:-1].double().tolist(), 0.0]):
        want = want + (after - s) * at(denoiser, want, s)
    torch.testing.assert_close(states[-1].x, torch.from_numpy(want), rtol=1e-5, atol=1e-5)
    assert (states[-1].tau == 0).all()
    assert schedules.faults(S) == []
    assert schedules.describe(S).calls == steps


# Schedules


@any_of
@given(st.integers(1, 12), st.integers(1, 20), st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.5, 2.75, 4.0]))
def test_pyramid_and_trapezoid_are_diffusion_forcings(steps, frames, scale):
    """generate_pyramid_scheduling_matrix and its trapezoid, in buoyancy99/diffusion-forcing, as steps left to take."""
    height = steps + int((frames - 1) * scale) + 1
    left = np.array([[steps + int(t * scale) - m for t in range(frames)] for m in range(height)]).clip(0, steps)
    levels = schedules.linear(steps).flip(0)
    assert torch.equal(schedules.pyramid(steps, frames, scale), levels[torch.from_numpy(left)])
    # Theirs counts columns of the right half as -t, from -0, so the last one gets what belongs to its neighbour.
    half = (frames + 1) // 2
    height = steps + int((half - 1) * scale) + 1
    left = np.zeros((height, frames), int)
    for m, t in itertools.product(range(height), range(half)):
        left[m, t] = left[m, -1 - t] = min(max(steps + int(t * scale) - m, 0), steps)
    assert torch.equal(schedules.trapezoid(steps, frames, scale), levels[torch.from_numpy(left)])
    # Two-sided is the same between two known frames.
    inner = schedules.two_sided(steps, frames + 2, scale)[:, 1:-1]
    assert torch.equal(inner, levels[torch.from_numpy(left)])


@any_of
@given(st.integers(1, 30), st.integers(1, 40), st.integers(1, 12), st.sampled_from([1.0, 3.0, 0.4]))
def test_rolling_is_rolling_diffusions_at_every_row(steps, frames, window, shift):
    """tau_k = clip((k + t) / W, 0, 1), section 3.2 of arXiv 2402.09470; t falls by W / steps a row."""
    S = schedules.rolling(steps, frames, window, shift)
    k, t = np.arange(frames), window * (1 - np.arange(len(S)) / steps)[:, None]
    rule = ((k + t) / window).clip(0, 1)
    rule = shift * rule / (1 + (shift - 1) * rule)
    np.testing.assert_allclose(S.numpy(), rule, atol=3e-7)
    assert len(S) == steps + math.ceil((frames - 1) * steps / window) + 1
    assert schedules.faults(S) == []
    one = schedules.rolling_window(steps, window, shift).double().numpy()
    rule = ((np.arange(window) + np.linspace(1, 0, len(one))[:, None]) / window).clip(0, 1)
    np.testing.assert_allclose(one, shift * rule / (1 + (shift - 1) * rule), atol=3e-7)


@any_of
@given(st.integers(1, 25), st.integers(1, 30), st.integers(1, 12))
def test_rolling_through_levels_of_ones_own_stays_within_a_row_of_it(steps, frames, window):
    S = schedules.rolling(steps, frames, window, sigmas=schedules.linear(steps).tolist())
    exact = schedules.rolling(steps, frames, window)[: len(S)]
    assert (S[: len(exact)] - exact).abs().max() < 1 / steps


@pytest.mark.parametrize(("steps", "frames"), [(4, 9), (7, 5), (1, 3)])
def test_rolling_through_all_steps_is_fifo_diffusion(steps, frames):
    """Algorithm 1 of FIFO-Diffusion (arXiv 2405.11473): a queue as long as the levels; each row, all go down one."""
    levels = np.sort(np.random.default_rng(0).random(steps - 1))[::-1].tolist()
    levels = [1.0, *levels, 0.0]
    S = schedules.rolling(steps, frames, steps, sigmas=levels)
    index = {i: 0 for i in range(frames)}
    queue, waiting, rows = [], list(range(frames)), [[1.0] * frames]
    while queue or waiting:
        queue += [waiting.pop(0)] if waiting else []
        for frame in queue:
            index[frame] += 1
        rows.append([levels[index[i]] for i in range(frames)])
        queue = [i for i in queue if index[i] < steps]
    torch.testing.assert_close(S, torch.tensor(rows))


@pytest.mark.parametrize(("steps", "frames", "chunk", "window"), [(8, 13, 3, 4), (16, 24, 6, 4), (4, 7, 2, 2)])
def test_blockwise_is_magi(steps, frames, chunk, window):
    """MAGI-1 (arXiv 2505.13211, section 2.1): a chunk begins once the one before has made 1 / window of its steps."""
    chunks = -(-frames // chunk)
    done, rows = [0] * chunks, []
    while True:
        rows.append([1 - done[i // chunk] / steps for i in range(frames)])
        if min(done) == steps:
            break
        begun = [c == 0 or done[c - 1] >= steps // window for c in range(chunks)]
        done = [min(n + go, steps) for n, go in zip(done, begun, strict=True)]
    torch.testing.assert_close(schedules.blockwise(steps, frames, chunk, steps // window), torch.tensor(rows))


@pytest.mark.parametrize(("frames", "block", "alone"), [(9, 3, False), (10, 3, True), (7, 2, False)])
def test_blockwise_one_after_the_other_is_causvid(frames, block, alone):
    """CausVid (arXiv 2412.07772): four levels, blocks of three, a block begins when the one before is clean."""
    levels = [1.0, 0.757, 0.522, 0.0]
    blocks = [[0]] if alone else []
    rest = list(range(len(blocks), frames))
    blocks += [rest[i : i + block] for i in range(0, len(rest), block)]
    row, rows = [1.0] * frames, [[1.0] * frames]
    for which in blocks:
        for level in levels[1:]:
            row = [level if i in which else now for i, now in enumerate(row)]
            rows.append(row)
    S = schedules.blockwise(3, frames, block, lag=3, first_alone=alone, sigmas=levels)
    torch.testing.assert_close(S, torch.tensor(rows))
    assert torch.equal(schedules.blockwise(3, frames, block, lag=99.5, first_alone=alone, sigmas=levels), S)


# A window that never ends


def stationary(frames):
    t = torch.arange(frames, dtype=torch.float64)
    return GaussianDenoiser(torch.full((frames,), 0.3, dtype=torch.float64), 0.8 ** (t[:, None] - t).abs())


@pytest.mark.parametrize(("steps", "window"), [(8, 4), (3, 1), (7, 3)])
@pytest.mark.parametrize("solver", ["euler", "heun", "midpoint"])
def test_walking_the_window_again_and_again_is_rolling(steps, window, solver):
    """Fill, sample, take the finished frame out, append noise, repeat, empty: what a stream does."""
    frames, lag = window + 4, -(-steps // window)
    steps = lag * window
    local, eps = stationary(window), torch.randn(2, 1, frames, 2, 3, dtype=torch.float64)
    edge, one = schedules.rolling(steps, window, window), schedules.rolling_window(steps, window)

    x = sample(local, eps[:, :, :window], edge[: steps - lag + 1], solver, whole=False) if window > 1 else eps[:, :, :1]
    video = []
    for new in range(window, frames):
        x = sample(local, x, one, solver, whole=False)
        video.append(x[:, :, :1])
        x = torch.cat([x[:, :, 1:], eps[:, :, new : new + 1]], dim=2)
    video.append(sample(local, x, edge[steps - lag :], solver))

    def windowed(x, tau):
        """The same model on the whole video: it sees the frames that were not finished when the row began."""
        v = torch.zeros_like(x)
        v[:, :, first : first + window] = local(x[:, :, first : first + window], tau[:, first : first + window])
        return v

    first = 0
    for state in sample_steps(windowed, eps, schedules.rolling(steps, frames, window), solver):
        first = min(int((state.tau[0] == 0).sum()), frames - window)
    torch.testing.assert_close(torch.cat(video, dim=2), state.x, rtol=1e-9, atol=1e-9)


def test_a_part_of_a_schedule_is_walked_only_where_asked():
    one, x = schedules.rolling_window(8, 4), torch.randn(2, 1, 4, 2, 3)
    with pytest.raises(ValueError, match=r"samplers.sample: not a schedule: row 2, frame 1: 0.25 should be 0"):
        sample(stationary(4), x, one)
    assert torch.equal(list(sample_steps(stationary(4), x, one, whole=False))[-1].tau, one[-1].expand(2, -1))

"""pytest tests/test_moves.py: orders of calls for long videos, against the published loops written out anew."""

import itertools
import math

import numpy as np
import pytest
import torch
from test_stream import FAST, STEADY, latents, model, start

import pusa_lab as pl
from pusa_lab import schedules
from pusa_lab.streaming import Move, anchored, early_steps, queue_moves, sample_moves, scheduled_moves, step_first_moves

pytestmark = pytest.mark.usefixtures("one_thread")


def mixing(x, tau):
    """A velocity in which every frame depends on the values, levels and places of all others in view."""
    place = torch.arange(1, x.shape[2] + 1).to(x)[None, None, :, None, None]
    t = tau[:, None, :, None, None]
    return x * (1 + t) - ((1 - t) * place * x).mean(2, keepdim=True) + 0.1 * place * t


def noise(frames, batch=2, seed=0):
    return torch.randn(batch, 1, frames, 2, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def seen(moves):
    return [move.seen for move in moves]


@pytest.mark.parametrize("schedule", STEADY)
def test_scheduled_moves_are_those_of_a_stream(schedule):
    """Of a window that must forget: the frames in view are the same in every row, and so are the latents."""
    m, frames = model(6), 14
    moves = scheduled_moves(schedules.SCHEDULES.find(schedule)(4, frames), 6)
    assert all(len(move.seen) == 6 for move in moves)
    made = sample_moves(m, start(frames, 3), moves)
    assert torch.allclose(made[:, :, :8], latents(pl.stream(m, "", schedule=schedule, seed=3, **FAST), 8), atol=1e-6)


def test_known_frames_come_before_the_schedule():
    moves = scheduled_moves(schedules.blockwise(2, 5, block=2, lag=2), window=4, known=3)
    assert [tuple(move.to) for move in moves] == [(3, 4)] * 2 + [(5, 6)] * 2 + [(7,)] * 2
    assert seen(moves) == [(1, 2, 3, 4)] * 2 + [(3, 4, 5, 6)] * 2 + [(4, 5, 6, 7)] * 2
    x = noise(8)
    assert torch.equal(sample_moves(mixing, x, moves, known=3)[:, :, :3], x[:, :, :3])


@pytest.mark.parametrize(("frames", "lag"), [(12, 1), (10, 2)])
def test_chunks_enter_together_as_in_diffusion_forcing(frames, lag):
    """Each window of 2 + 4 frames runs the pyramid to its end, then moves on by 4 (DFoT, arXiv 2502.06764)."""
    parts = [schedules.pyramid(3, min(4, frames - first), lag) for first in range(0, frames, 4)]
    moves = scheduled_moves(schedules.concatenate_frames(parts, "turn"), window=6, known=2, together=4)
    x = noise(2 + frames)
    want = x.clone()
    for first in range(0, frames, 4):
        new = min(4, frames - first)
        window = slice(max(0, first + 2 + new - 6), first + 2 + new)
        at = np.arange(window.stop - window.start) - (window.stop - window.start - new)
        for row in range(3 + lag * (new - 1)):
            now, after = (
                torch.tensor([1 - min(max(r - lag * j, 0), 3) / 3 if j >= 0 else 0.0 for j in at]).double()
                for r in (row, row + 1)
            )
            v = mixing(want[:, :, window], now.expand(2, -1))
            want[:, :, window] += (after - now)[None, None, :, None, None] * v
    torch.testing.assert_close(sample_moves(mixing, x, moves, known=2), want, rtol=1e-5, atol=1e-6)


def fifo(frames, known, w, n, lookahead):
    """`fifo_ddim_sampling` of the code of arXiv 2405.11473, whose queue holds numbers of frames instead of latents."""
    steps = w * n
    head = w // 2 if lookahead else 0
    queue = list(range(known - steps - head + 1, known + 1))  # those below the first are what it starts with
    indices = [0] * head + list(range(steps))
    level = np.linspace(0, 1, steps + 1)  # from picture to noise
    found = []
    for _ in range(frames - known + steps - 1):
        for rank in reversed(range(2 * n if lookahead else n)):
            begin = rank * (w // 2) if lookahead else rank * w
            middle, end = begin + w // 2, begin + w
            updated = range(middle if lookahead else begin, end)
            to = {queue[k]: level[indices[k]] for k in updated if known <= queue[k] < frames}
            if to:
                found.append(([i for i in queue[begin:end] if 0 <= i < frames], to))
        queue = [*queue[1:], queue[-1] + 1]
    return found


@pytest.mark.parametrize("lookahead", [False, True])
@pytest.mark.parametrize(("frames", "known", "w", "n"), [(20, 0, 4, 2), (17, 3, 4, 3), (9, 2, 6, 1), (5, 1, 2, 4)])
def test_a_queue_is_fifo_diffusion(frames, known, w, n, lookahead):
    moves = queue_moves(frames, known, w, n, lookahead)
    want = fifo(frames, known, w, n, lookahead)
    assert [list(move.seen) for move in moves] == [frames_seen for frames_seen, _ in want]
    for move, (_, to) in zip(moves, want, strict=True):
        assert sorted(move.to) == sorted(to)
        assert all(math.isclose(move.to[i], to[i], abs_tol=1e-6) for i in to)


def test_the_queue_starts_no_part_before_the_one_behind_it_has_read_it():
    """Every part reads the levels from before the row, as if all ran at once: frame i in its own row is at g[r - i]."""
    level = dict.fromkeys(range(12), 0)
    for move in queue_moves(12, 0, 4, 2, lookahead=True):
        ages = [level[i] for i in move.seen]
        assert all(a - b == 1 or a == 8 for a, b in itertools.pairwise(ages))
        level |= {i: level[i] + 1 for i in move.to}
    assert set(level.values()) == {8}


@pytest.mark.parametrize(("blocks", "size"), [(7, 3), (4, 1), (2, 2)])
def test_rolling_forcing(blocks, size):
    """Its loop (arXiv 2509.25161): N + 4 windows of at most 5 blocks; the levels 1000 .. 200, warped with shift 5."""
    warped = [5 * t / (1 + 4 * t) for t in (1.0, 0.8, 0.6, 0.4, 0.2)] + [0.0]
    levels = schedules.blockwise(5, blocks * size, block=size, lag=1, shift=5.0)
    moves = scheduled_moves(levels, window=5 * size)
    assert len(moves) == blocks + 4
    now = [0] * blocks
    for window, move in enumerate(moves):
        inside = range(max(0, window - 4), min(window, blocks - 1) + 1)
        assert sorted(move.to) == [b * size + k for b in inside for k in range(size)]
        assert set(move.to) <= set(move.seen)
        for b in inside:
            assert now[b] == window - b
            now[b] += 1
            assert math.isclose(move.to[b * size], warped[now[b]], abs_tol=1e-6)


def test_noising_anew_predicts_x0_and_adds_fresh_noise():
    """x_next = (1 - s) x0 + s eps, eps another at every level and in every frame and sample."""
    given = []

    def constant(x, tau):
        given.append((x.clone(), tau.clone()))
        return (x - 0.5) / tau[:, None, :, None, None]

    x = torch.randn(2, 3, 2, 16, 16)
    moves = scheduled_moves(schedules.synchronous(4, 2), 2)
    assert torch.allclose(sample_moves(constant, x, moves, solver="consistency", seed=7), torch.tensor(0.5), atol=1e-6)
    eps = [(x - (1 - tau[0, 0]) * 0.5) / tau[0, 0] for x, tau in given]
    assert torch.equal(eps[0], x)
    rows = torch.stack([one.transpose(1, 2).flatten(0, 1).flatten(1) for one in eps]).flatten(0, 1)
    assert (torch.corrcoef(rows) - torch.eye(16)).abs().max() < 0.2
    assert (rows.std(1) - 1).abs().max() < 0.1


@pytest.mark.parametrize("window", [12, 5])
def test_step_before_block_is_hiar(window):
    """The order "timestep_first" of HiAR's code (arXiv 2603.08703), on its trajectory without fresh noise.

    For every step, for every block in turn: denoise with the blocks before it in the context, step to the next level,
    and put the result, at that level, into the context; the context is emptied after the step but for given frames.
    """
    steps, block, known, frames = 4, 3, 2, 11
    levels = torch.linspace(1, 0, steps + 1).double()
    x = noise(frames)
    blocks = list(x[:, :, known:].split(block, 2))
    for step in range(steps):
        context, at = [x[:, :, :known]], [0.0] * known
        for n, inside in enumerate(blocks):
            size = inside.shape[2]
            before = torch.cat(context, 2)[:, :, max(0, sum(c.shape[2] for c in context) - (window - size)) :]
            tau = torch.tensor([*at[len(at) - before.shape[2] :], *[levels[step]] * size]).double()
            v = mixing(torch.cat([before, inside], 2), tau.expand(2, -1))[:, :, -size:]
            blocks[n] = inside + (levels[step + 1] - levels[step]) * v
            context.append(blocks[n])
            at += [levels[step + 1].item()] * size
    moves = step_first_moves(frames, known, window, steps, block)
    assert len(moves) == steps * 3
    torch.testing.assert_close(
        sample_moves(mixing, x, moves, known), torch.cat([x[:, :, :known], *blocks], 2), rtol=1e-5, atol=1e-6
    )


def test_early_blocks_make_more_steps_as_in_diagonal_distillation():
    """`generate_timestep_matrix_DD` of its code (arXiv 2603.09488): [s0, s1, s2, s3], [s0, s1, s3], then [s0, s3]."""
    s = [1.0, 0.9375, 0.8333, 0.625]
    published = [s, [s[0], s[1], s[-1]], [s[0], s[-1]]]
    made = early_steps([[*levels, 0.0] for levels in published], frames=13, block=3)
    row, rows = [1.0] * 13, [[1.0] * 13]
    for c in range(5):
        for level in [*published[min(c, 2)], 0.0][1:]:
            row = [level if i // 3 == c else now for i, now in enumerate(row)]
            rows.append(row)
    torch.testing.assert_close(made, torch.tensor(rows))
    assert len(scheduled_moves(made, 9)) == 4 + 3 + 2 + 2 + 2


def test_frame_0_stays_in_view_where_an_older_frame_would_be_at_rest():
    moves = scheduled_moves(schedules.blockwise(1, 6, block=3, lag=1), window=4, known=2)
    assert seen(moves) == [(1, 2, 3, 4), (4, 5, 6, 7)]
    assert seen(anchored(moves)) == [(0, 2, 3, 4), (0, 5, 6, 7)]
    assert [move.to for move in anchored(moves)] == [move.to for move in moves]
    full = [Move((3, 4), {3: 0.5, 4: 0.5}), Move((0, 1), {1: 0.0})]
    assert anchored(full) == full


def test_final_frames_are_seen_with_noise_and_stay_as_they_are():
    seen_by_model = []

    def watching(x, tau):
        seen_by_model.append((x.clone(), tau.clone()))
        return mixing(x, tau)

    x = noise(7)
    moves = scheduled_moves(schedules.blockwise(2, 5, block=1, lag=2), window=3, known=2)
    made = sample_moves(watching, x, moves, known=2, history=0.25, seed=4)
    assert torch.equal(made[:, :, :2], x[:, :, :2])
    first, again = seen_by_model[0], seen_by_model[1]
    assert first[1].tolist() == [[0.25, 0.25, 1.0]] * 2
    eps = (first[0][:, :, :2] - 0.75 * x[:, :, :2]) / 0.25
    assert torch.allclose((again[0][:, :, :2] - 0.75 * x[:, :, :2]) / 0.25, eps)
    later, tau = seen_by_model[2]  # frames 1 to 3: 1 and 2 are final
    assert torch.allclose((later[:, :, 0] - 0.75 * x[:, :, 1]) / 0.25, eps[:, :, 1])
    assert tau.tolist() == [[0.25, 0.25, 1.0]] * 2
    assert not torch.equal(eps[:, :, 0], eps[:, :, 1])
    assert torch.allclose(later[:, :, 2], x[:, :, 3])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: scheduled_moves(schedules.synchronous(2, 5), 4),
            r"frames 0 to 4 are in progress in row 0, which is 5",
        ),
        (lambda: scheduled_moves(0.5 * schedules.synchronous(2, 5), 4), r"frame 0 starts at 0\.5: start the frames"),
        (lambda: scheduled_moves(schedules.pyramid(2, 5), 0), r"known=0 of 5 latent frames, 0 and 1: leave"),
        (lambda: queue_moves(9, window=5, lookahead=True), r"window=5 with lookahead: give an even number"),
        (lambda: queue_moves(3, known=3), r"known=3 of 3 latent frames, 8 and 4: leave at least one"),
        (lambda: step_first_moves(9, window=2), r"blocks of 3 frames in a window of 2: give a block of 1 to 2"),
        (lambda: step_first_moves(10**6, steps=5000), r"1,666,666,666 moves that see 9 frames, at most 4,194,304"),
        (lambda: early_steps([], 9), r"block=3, levels of 0 blocks: give at least 1 of each"),
        (lambda: early_steps([[1, 0]], 9, 0), r"block=0, levels of 1 block: give at least 1 of each"),
        (lambda: early_steps([[1, 0], 1], 9), r"sigmas of block 1 have the shape \(\): give levels for each"),
        (
            lambda: sample_moves(mixing, noise(3), [], known=4),
            r"known=4 of 3 frames, history=0\.0: give 0 to 3, 0 to 1",
        ),
        (lambda: sample_moves(mixing, noise(3), [], history=2), r"known=0 of 3 frames, history=2: give 0 to 3"),
        (lambda: sample_moves(mixing, noise(3), [Move((2, 3), {3: 0.0})]), r"sees frame 3 of a video of 3 frames"),
        (
            lambda: sample_moves(mixing, noise(3), [Move((0, 1), {2: 0.0})]),
            r"takes frame 2 to 0, which it does not see",
        ),
        (
            lambda: sample_moves(mixing, noise(3), [Move((0,), {0: 0.5}), Move((0,), {0: 0.5})]),
            r"to 0\.5, which is at 0\.5",
        ),
        (lambda: sample_moves(lambda x, tau: x * torch.nan, noise(1), [Move((0,), {0: 0.0})]), r"NaN or infinity"),
    ],
)
def test_what_cannot_be_is_refused(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()

"""pytest tests/test_first_alone.py: a first frame that is a block by itself, as Self Forcing has it."""

import itertools
import re
from functools import partial

import numpy as np
import pytest
import torch
from masked import forward_with, noise_of_stream

import pusa_lab as pl
from pusa_lab import guidance, tasks
from pusa_lab.blocks import Blocks
from pusa_lab.causal import CausalKeeper
from pusa_lab.samplers import sample
from pusa_lab.schedules import timestep_samplers
from pusa_lab.training import Batch, TrainConfig, VTAModule
from pusa_lab.training.forcing import HistoryInputs, velocity_after
from pusa_lab.training.histories import HISTORIES

PROMPTS = ["a red circle moves right", "a blue square moves up"]
PICTURE = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
close = partial(torch.testing.assert_close, atol=1e-5, rtol=0)
SIZES = [(7, 3, None), (7, 3, 6), (9, 2, 4), (9, 2, None), (4, 1, None), (4, 3, 3)]


def published_mask(frames, block, window):
    """Self Forcing's mask for image to video (arXiv 2506.08009): every frame has an end, before which it sees all.

    [1 latent frame] [N latent frames] ... [N latent frames]; with a window, not before end - window.
    """
    ends = torch.zeros(frames, dtype=torch.long)
    ends[0] = 1
    for start in range(1, frames, block):
        ends[start : start + block] = start + block
    i, j = torch.arange(frames)[:, None], torch.arange(frames)
    mask = j < ends[:, None]
    return (mask if window is None else mask & (j >= ends[:, None] - window)) | (i == j)


def masked(toy, block, window, x, tau, **cond):
    return forward_with(published_mask(x.shape[2], block, window), toy, x, tau, **cond)


def given(toy, frames):
    torch.manual_seed(0)
    x, past = torch.randn(2, 2, 3, frames, 12, 20).unbind(0)
    return x, past, torch.rand(2, frames), toy.encode_text(PROMPTS)


@pytest.mark.parametrize(("frames", "block", "window"), SIZES)
def test_the_mask_is_the_published_one(toy, frames, block, window):
    x, _, tau, cond = given(toy, frames)
    with torch.no_grad():
        found = pl.causal(toy, block, window, first_alone=True)(x, tau, **cond)
        close(found, masked(toy, block, window, x, tau, **cond))
        if block == 1:
            assert torch.equal(found, pl.causal(toy, 1, window)(x, tau, **cond))


@pytest.mark.parametrize(("frames", "block", "window"), SIZES)
def test_cached_calls_are_the_whole_masked_pass(toy, frames, block, window):
    keeper = CausalKeeper(pl.causal(toy, block, window, first_alone=True), window=window)
    x, _, _, cond = given(toy, frames)
    with torch.no_grad():
        for start, level in itertools.product([0, *range(1, frames, block)], (0.9, 0.4)):
            tau = torch.where(torch.arange(frames) < start, 0.0, level).expand(2, -1)
            x[:, :, start:] = torch.randn_like(x[:, :, start:])
            close(keeper(x, tau, **cond), masked(toy, block, window, x, tau, **cond))
    assert keeper.frames < keeper.asked


@pytest.mark.parametrize("task", [None, tasks.image_to_video(PICTURE)], ids=["words", "picture"])
@pytest.mark.parametrize("solver", ["euler", "unipc"])
def test_a_run_is_the_sampling_loop_with_the_published_mask(toy, solver, task):
    options = {"schedule": "blockwise(block=3, lag=4, first_alone=True)", "guidance": 3.0, "solver": solver}
    options |= {"shift": 1.0, "steps": 4, "latent_frames": 7}
    made = [
        pl.generate(pl.causal(toy, 3, cache=cache, first_alone=True), PROMPTS, task, output="latents", **options)
        for cache in (True, False)
    ]
    close(made[0].latents, made[1].latents)
    assert made[0].share < made[1].share < 1
    run = pl.prepare(toy, PROMPTS, task, **options)
    guided = guidance.text_cfg(partial(masked, toy, 3, None), toy.encode_text(["", ""]), 3.0)
    levels = pl.schedules.blockwise(4, 7, 3, 4, first_alone=True)
    if task is not None:
        levels[:, 0] = 0
    close(made[0].latents, sample(guided, run.x, levels, solver, **toy.encode_text(PROMPTS)), atol=1e-4)


@pytest.mark.parametrize(
    ("block", "window", "frames", "lag", "solver"),
    [(3, None, 6, 4, "euler"), (2, 4, 8, 2, "unipc"), (3, 6, 6, 4, "heun"), (2, 4, 4, 4, "euler")],
)
def test_a_stream_is_the_long_schedule_at_once(toy, block, window, frames, lag, solver):
    """Its window moves on by one frame, then by whole blocks."""
    schedule = f"blockwise(block={block}, lag={lag}, first_alone=True)"
    causal, parts = pl.causal(toy, block, window, first_alone=True), []
    options = {"latent_frames": frames, "schedule": schedule, "solver": solver, "steps": 4, "output": "latents"}
    for part in pl.stream(causal, PROMPTS[0], seed=3, shift=1.0, guidance=2.0, **options):
        parts.append(part.latents)
        if sum(one.shape[2] for one in parts) > 18:
            break
    assert [one.shape[2] for one in parts[:3]] == [1, block, block] and part.share < 1
    guided = guidance.text_cfg(partial(masked, toy, block, window or frames), toy.encode_text([""]), 2.0)
    want = sample(guided, noise_of_stream(toy, 25, 3), schedule, solver, steps=4, **toy.encode_text(PROMPTS[:1]))
    close(torch.cat(parts, 2), want[:, :, : sum(one.shape[2] for one in parts)], atol=1e-3 * want.abs().max().item())


@pytest.mark.parametrize(("frames", "block", "window"), SIZES)
def test_teacher_forcing_shows_every_block_the_true_blocks_before_it(toy, frames, block, window):
    x, past, tau, cond = given(toy, frames)
    found = []
    with torch.no_grad():
        for start, stop in itertools.pairwise([0, *range(1, frames + 1, block)]):
            shown = torch.cat([past[:, :, :start], x[:, :, start:stop]], 2)
            levels = torch.cat([torch.zeros(2, start), tau[:, start:stop]], 1)
            found.append(masked(toy, block, window, shown, levels, **cond)[:, :, start:])
        close(velocity_after(toy, x, tau, past, Blocks(block, True), window, **cond), torch.cat(found, 2))


def test_it_trains_with_its_own_past(toy):
    """The blocks of the model, whatever the configuration does not say, and the past of a run of generate."""
    torch.manual_seed(0)
    batch = Batch(torch.randn(2, 3, 7, 16, 16).clamp(-1, 1), PROMPTS)
    config = {"max_steps": 1, "global_batch_size": 2, "history": "resampled(steps=2, low=0.5, high=0.5)"}
    config |= {"timestep_sampler": "per_block(block=3, first_alone=True)"}
    module = VTAModule(pl.causal(toy, 3, first_alone=True), TrainConfig(**config))
    tau, loss = module.frame_loss(batch, 0, 0.0)
    eps = torch.randn(batch.x0.shape, generator=module.generator("cpu", 0, 2))
    g, cond = module.generator("cpu", 0, 3), toy.encode_text(PROMPTS)

    def draw(make, shape):
        return make((2, *shape), generator=g)

    x = pl.timesteps.interpolate(batch.x0, eps, tau)
    inputs = HistoryInputs(toy, batch.x0, x, tau, draw, cond, Blocks(3, True))
    past = HISTORIES["resampled"](steps=2, low=0.5, high=0.5)(inputs)
    assert (
        torch.equal(past[:, :, 4:], batch.x0[:, :, 4:]) and (past - batch.x0)[:, :, :4].abs().amin((1, 3, 4)).min() > 0
    )
    want = velocity_after(toy, x, tau, past, Blocks(3, True), **cond)
    close(loss, (want - (eps - batch.x0)).square().mean((1, 3, 4)))
    draws = torch.Generator().manual_seed(5)
    start = pl.timesteps.interpolate(batch.x0, torch.randn(batch.x0.shape, generator=draws), torch.full((2, 7), 0.5))
    rows = [[0.5] * 7, [0.25] + [0.5] * 6, [0.0] + [0.5] * 6, [0.0] + [0.25] * 3 + [0.5] * 3, [0.0] * 4 + [0.5] * 3]
    sampled = sample(partial(masked, toy, 3, None), start, torch.tensor(rows), whole=False, **cond)
    given = HistoryInputs(toy, batch.x0, x, tau, _fixed(start, batch.x0), cond, Blocks(3, True))
    close(HISTORIES["resampled"](steps=2, low=0.5, high=0.5)(given)[:, :, :4], sampled[:, :, :4], atol=1e-4)


@pytest.mark.parametrize("history", ["none", "true_past"])
def test_the_configuration_makes_the_first_frame_a_block_of_its_own(toy, history):
    """The loss of a step is that of the blocks one by one, each in a plain pass with the published mask."""
    torch.manual_seed(0)
    batch = Batch(torch.randn(2, 3, 7, 16, 16).clamp(-1, 1), PROMPTS)
    sampler = "per_block(block=3, first_alone=True)"
    config = TrainConfig(causal=3, first_alone=True, timestep_sampler=sampler, history=history)
    module = VTAModule(toy, config)
    tau, loss = module.frame_loss(batch, 0, 0.0)
    eps, cond = torch.randn(batch.x0.shape, generator=module.generator("cpu", 0, 2)), toy.encode_text(PROMPTS)
    x, found = pl.timesteps.interpolate(batch.x0, eps, tau), []
    for start, stop in itertools.pairwise([0, 1, 4, 7]):
        past, levels = (batch.x0, torch.zeros_like(tau)) if history == "true_past" else (x, tau)
        shown = torch.cat([past[:, :, :start], x[:, :, start:stop]], 2)
        told = torch.cat([levels[:, :start], tau[:, start:stop]], 1)
        found.append(masked(toy, 3, None, shown, told, **cond)[:, :, start:])
    close(loss, (torch.cat(found, 2) - (eps - batch.x0)).square().mean((1, 3, 4)))
    around = TrainConfig(timestep_sampler=sampler, history=history)
    assert torch.equal(loss, VTAModule(pl.causal(toy, 3, first_alone=True), around).frame_loss(batch, 0, 0.0)[1])
    config.check_frames(7)


def _fixed(start, x0):
    """Draws whose noise makes `start` of the clips at level 0.5."""
    return lambda make, shape: torch.full((2, *shape), 0.5) if make is torch.rand else 2 * start - x0


@pytest.mark.parametrize(("block", "frames"), [(1, 5), (3, 7), (3, 9), (4, 3)])
def test_a_timestep_for_every_block(block, frames):
    tau = timestep_samplers.per_block(block, first_alone=True)(50, frames, torch.Generator().manual_seed(0))
    starts = {0, *range(1, frames, block)}
    assert all((tau[:, i] != tau[:, i - 1]).all() == (i in starts) for i in range(1, frames))
    assert all((tau[:, i] == tau[:, i - 1]).all() == (i not in starts) for i in range(1, frames))


def test_results_of_other_blocks_have_other_digests(toy):
    plain, alone = pl.causal(toy, 2), pl.causal(toy, 2, first_alone=True)
    assert plain.sees.tolist() == [2, 0] and alone.sees.tolist() != plain.sees.tolist()


BAD = {
    "8 latent frames, the first one alone and the others in blocks of 3: give one more than a multiple of 3, or "
    "causal(model, block=..., first_alone=True) with one of 1, 7.": (
        lambda toy: pl.prepare(pl.causal(toy, 3, first_alone=True), PROMPTS[0])
    ),
    "the window moves on to frame 1 at row": (
        lambda toy: pl.stream(
            pl.causal(toy, 2), PROMPTS[0], schedule="blockwise(block=2, lag=10, first_alone=True)", latent_frames=4
        )
    ),
    "the window moves on to frame 1 at row 8": (  # long after the first frame is final
        lambda toy: pl.stream(
            pl.causal(toy, 2), PROMPTS[0], schedule="blockwise(block=2, lag=2, first_alone=True)", steps=2
        )
    ),
    "the window moves on to frame 2 at row": (
        lambda toy: pl.stream(
            pl.causal(toy, 2, first_alone=True), PROMPTS[0], schedule="blockwise(block=2, lag=10)", latent_frames=4
        )
    ),
    "7 latent frames in blocks of 3": (
        lambda toy: pl.stream(pl.causal(toy, 3, first_alone=True), PROMPTS[0], latent_frames=7)
    ),
    "first_alone=True without causal, which says how long a block is: give both, or none.": (
        lambda toy: TrainConfig(first_alone=True)
    ),
    "causal=3 with videos of 9 latent frames, the first one alone: give 0, 1, 2, 4, 8.": (
        lambda toy: TrainConfig(causal=3, first_alone=True).check_frames(9)
    ),
    "causal=3, first_alone=True for a causal model with blocks of 3: leave": (
        lambda toy: VTAModule(pl.causal(toy, 3), TrainConfig(causal=3, first_alone=True))
    ),
    "in row 0 block 6 (frames 6 to 6) is noisier than block 7": (
        lambda toy: pl.prepare(pl.causal(toy, 1, first_alone=True), PROMPTS[0], tasks.start_end(PICTURE, PICTURE))
    ),
}


@pytest.mark.parametrize("says", BAD)
def test_what_cannot_be_is_refused(toy, says, monkeypatch):
    monkeypatch.setattr(type(toy), "encode_text", lambda *_: pytest.fail("captions were encoded"))
    with pytest.raises(ValueError, match=re.escape(says)):
        BAD[says](toy)

"""pytest tests/test_forcing.py: what is trained after a past is what sampling computes after it, block by block."""

import re
from functools import partial

import pytest
import torch
from masked import masked_forward
from wan_tiny import refused

import pusa_lab as pl
import small_models
from pusa_lab.analytic import GaussianDenoiser
from pusa_lab.blocks import Blocks
from pusa_lab.causal import CausalKeeper
from pusa_lab.losses import fafm_frame_loss
from pusa_lab.timesteps import interpolate
from pusa_lab.training import Batch, TrainConfig, VTAModule, fit
from pusa_lab.training.forcing import velocity_after

PROMPTS = ["a red circle moves right", "a blue square moves up"]
close = partial(torch.testing.assert_close, atol=1e-5, rtol=0)
SIZES = [(9, 3, None), (9, 3, 6), (7, 1, None), (7, 1, 2), (5, 5, None), (8, 2, 2)]
BLOCKS = "per_block(block=2)"


def given(toy, frames, seed=0):
    """Noisy latents, their past, timesteps and captions of two samples."""
    torch.manual_seed(seed)
    x, past = torch.randn(2, 2, 3, frames, 12, 20).unbind(0)
    return x, past, torch.rand(2, frames), toy.encode_text(PROMPTS)


def block_by_block(ask, x, past, tau, block):
    """Every block alone, after the blocks of its past at timestep 0."""
    found = []
    for start in range(0, x.shape[2], block):
        end = start + block
        shown = torch.cat([past[:, :, :start], x[:, :, start:end]], 2)
        levels = torch.cat([torch.zeros_like(tau[:, :start]), tau[:, start:end]], 1)
        found.append(ask(shown, levels)[:, :, start:])
    return torch.cat(found, 2)


@pytest.mark.parametrize(("frames", "block", "window"), SIZES)
def test_teacher_forcing_is_plain_attention_with_a_mask_block_by_block(toy, frames, block, window):
    x, past, tau, cond = given(toy, frames)
    with torch.no_grad():
        found = velocity_after(toy, x, tau, past, Blocks(block), window, **cond)
        noisy = velocity_after(toy, x, tau, None, Blocks(block), window, **cond)
    want = block_by_block(partial(masked_forward, toy, block, window, **cond), x, past, tau, block)
    close(found, want)
    close(noisy, masked_forward(toy, block, window, x, tau, **cond))
    alone = frames == block or window == block
    assert alone or (found - noisy)[:, :, block:].abs().max() > 1e-2


@pytest.mark.parametrize(("frames", "block", "window"), SIZES)
def test_teacher_forcing_is_what_sampling_computes_with_its_cache(toy, frames, block, window):
    """The keeper of a run computes block after block, and keeps what is final."""
    x, past, tau, cond = given(toy, frames, seed=1)
    keeper = CausalKeeper(pl.causal(toy, block, window), window=window)
    found = []
    with torch.no_grad():
        for start in range(0, frames, block):
            keeper.show(start)
            now = torch.arange(frames)
            shown = torch.where((now < start)[:, None, None], past, x)
            found.append(keeper(shown, torch.where(now < start, 0, tau), **cond)[:, :, start : start + block])
        close(torch.cat(found, 2), velocity_after(toy, x, tau, past, Blocks(block), window, **cond))
    assert frames == block or keeper.frames < keeper.asked


def test_so_are_the_gradients_also_through_the_past(toy):
    x, past, tau, cond = given(toy, 6)
    cond = {name: one.detach() for name, one in cond.items()}
    weights = list(toy.dit.requires_grad_(True).parameters())
    ours = velocity_after(toy, x, tau, past, Blocks(2), **cond)
    theirs = block_by_block(partial(pl.causal(toy, 2), **cond), x, past, tau, 2)
    ours, theirs = (torch.autograd.grad(v.square().sum(), weights) for v in (ours, theirs))
    toy.dit.requires_grad_(False)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4 * other.abs().max().item() + 1e-6, rtol=1e-3)


def test_without_blocks_the_past_stands_where_frames_are_known(toy):
    x, past, tau, cond = given(toy, 5)
    tau[0, :2], tau[1, 4] = 0, 0
    shown = x.clone()
    shown[0, :, :2], shown[1, :, 4] = past[0, :, :2], past[1, :, 4]
    with torch.no_grad():
        torch.testing.assert_close(velocity_after(toy, x, tau, past, **cond), toy(shown, tau, **cond), atol=0, rtol=0)


def module_of(toy, **config):
    return VTAModule(toy, TrainConfig(caption_dropout=0.0, timestep_sampler=BLOCKS, **config))


def batch_of(size=4, frames=8):
    torch.manual_seed(0)
    return Batch(torch.randn(size, 3, frames, 16, 16).clamp(-1, 1), [PROMPTS[0]] * size)


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_loss_of_a_step_is_that_of_the_blocks_one_by_one(toy, wrapped):
    """With `causal` in the configuration or the mask around the model."""
    batch, own = batch_of(), {} if wrapped else {"causal": 2}
    module = module_of(pl.causal(toy, 2) if wrapped else toy, history="true_past", **own)
    tau, loss = module.frame_loss(batch, 3, 0.0)
    eps = torch.randn(batch.x0.shape, generator=module.generator("cpu", 3, 2))
    x, cond = interpolate(batch.x0, eps, tau), toy.encode_text(batch.captions)
    v = block_by_block(partial(masked_forward, toy, 2, None, **cond), x, batch.x0, tau, 2)
    close(loss, (v - (eps - batch.x0)).square().mean((1, 3, 4)))
    assert (tau[:, 0] == tau[:, 1]).all() and (tau[:, 1] != tau[:, 2]).all()


def test_a_mask_alone_is_diffusion_forcing_and_the_same_as_around_the_model(toy):
    batch = batch_of()
    ours, theirs = (module_of(*one).frame_loss(batch, 3, 0.0)[1] for one in [(pl.causal(toy, 2),), (toy,)])
    masked = module_of(toy, causal=2).frame_loss(batch, 3, 0.0)[1]
    assert torch.equal(masked, ours) and not torch.equal(masked, theirs)


@pytest.mark.parametrize("history", ["true_past", "noised", "resampled", "own_errors(slots=4)"])
@pytest.mark.parametrize("blocks", [0, 2])
def test_it_trains_with_every_history(toy, history, blocks, small_nano_file):
    model = small_models.load(small_nano_file, device="cpu").requires_grad_(True).train()
    batch, sampler = batch_of(), BLOCKS if blocks else "clean_prefix(k=2, rest=shared)"
    config = {"max_steps": 12, "global_batch_size": 4, "warmup": 1, "ema": 0.5, "causal": blocks, "history": history}
    config = TrainConfig(timestep_sampler=sampler, weight="free_frames", **config)
    module = VTAModule(model, config)
    tau, before = module.frame_loss(batch, 3, 0.0)
    fit(model, [batch] * 12, config, accelerator="cpu")
    after = VTAModule(model, config).frame_loss(batch, 3, 0.0)[1]
    assert (module.weighted(tau, after) < module.weighted(tau, before)).all()


def test_clips_of_a_step_have_the_same_past_however_they_are_divided(toy):
    whole, parts = batch_of(4), [Batch(half, [PROMPTS[0]] * 2) for half in batch_of(4).x0.chunk(2)]
    module = module_of(toy, causal=2, history="resampled(steps=1)")
    found = torch.cat([module.frame_loss(part, 5, 0.0, i, 2)[1] for i, part in enumerate(parts)])
    close(found, module.frame_loss(whole, 5, 0.0)[1])


def test_the_exact_gaussian_is_left_as_it_is_by_the_true_past():
    """A denoiser that sees both ways, with known frames: the loss is the one without a history."""
    exact = GaussianDenoiser(torch.zeros(4), torch.eye(4) + 0.5)
    x0, eps = torch.randn(2, 3, 2, 4, 3, 3).unbind(0)
    tau = torch.tensor([[0.0, 0.3, 0.6, 0.9]] * 3)
    forced = partial(velocity_after, exact, past=x0)
    torch.testing.assert_close(fafm_frame_loss(forced, x0, tau, eps), fafm_frame_loss(exact, x0, tau, eps))


BAD = {
    "causal=-1: give 0 or more": lambda toy: TrainConfig(causal=-1),
    "history='nose': unknown history 'nose': choose one of true_past, noised, resampled, own_errors": (
        lambda toy: TrainConfig(history="nose")
    ),
    "level=2: give a number in [0, 1]": lambda toy: TrainConfig(history="noised(level=2)"),
    "causal=3 with videos of 8 latent frames: give 0, 1, 2, 4, 8": lambda toy: TrainConfig(causal=3).check_frames(8),
    "history='noised' has no effect with timestep_sampler='shared'": (
        lambda toy: TrainConfig(history="noised").check_frames(8)
    ),
    "history='noised' with causal=8, which makes one block of all frames": (
        lambda toy: TrainConfig(history="noised", causal=8).check_frames(8)
    ),
    "causal=4 for a causal model with blocks of 2": lambda toy: module_of(pl.causal(toy, 2), causal=4),
    "8 latent frames in blocks of 3": lambda toy: module_of(toy, causal=3).frame_loss(batch_of(), 0, 0.0),
}


@pytest.mark.parametrize("sentence", BAD)
def test_what_cannot_be_is_refused(toy, sentence, as_user):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        BAD[sentence](toy)


def test_a_history_of_another_shape_is_told(toy, monkeypatch):
    monkeypatch.setattr(pl.training.HISTORIES, "_added", {})
    pl.training.HISTORIES.register(lambda: lambda inputs: inputs.x0[:1], name="short")
    module = module_of(toy, causal=2, history="short")
    refused(
        re.escape("the history returned a tensor of shape (1, 3, 8, 16, 16)"), module.frame_loss, batch_of(), 0, 0.0
    )

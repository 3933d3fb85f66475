"""Block-causal attention in Wan, against its pass with an explicit mask."""

from functools import partial

import pytest
import torch
import torch.multiprocessing as mp
from masked import masked_forward, noise_of_stream
from peft import LoraConfig
from processes import SERVER
from test_wan_resting import CLIP, KEEPS_NOTHING, captions, wan
from wan_tiny import refused, transformer

import pusa_lab as pl
from pusa_lab import guidance
from pusa_lab.blocks import Blocks
from pusa_lab.causal import CausalKeeper
from pusa_lab.samplers import sample
from pusa_lab.training.forcing import velocity_after
from pusa_lab.wan.resting import rotary_from
from pusa_lab.wan.trainable import TrainableWan

close = partial(torch.testing.assert_close, atol=1e-5, rtol=0)
SIZES = [(6, 3, None), (6, 2, 4), (5, 1, 2), (3, 3, None)]


def given(frames, seed=0):
    """Latents with an odd number of patches and timesteps of two samples, and their captions."""
    torch.manual_seed(seed)
    return torch.randn(2, 4, frames, 6, 10), torch.rand(2, frames), {"text": captions(["a", "a b"])}


@pytest.mark.parametrize(("frames", "block", "window"), SIZES)
def test_the_forward_pass_is_that_of_an_explicit_mask(frames, block, window):
    model = wan()
    x, tau, cond = given(frames)
    causal = pl.causal(model, block, window)
    with torch.no_grad():
        found, both_ways = causal(x, tau, **cond), model(x, tau, **cond)
        close(found, masked_forward(model, block, window, x, tau, **cond))
        assert frames == block or (found - both_ways).abs().max() > 1e-2
        for end in range(block, frames, block):
            other = torch.cat([x[:, :, :end], torch.randn_like(x[:, :, end:])], 2)
            assert torch.equal(causal(other, tau, **cond)[:, :, :end], found[:, :, :end])


@pytest.mark.parametrize(("frames", "block", "window"), SIZES)
def test_cached_calls_are_the_whole_masked_pass(frames, block, window):
    model = wan()
    keeper = CausalKeeper(pl.causal(model, block, window), window=window)
    x, _, cond = given(frames)
    with torch.no_grad():
        for end in range(0, frames, block):
            for level in (0.9, 0.4):
                tau = torch.where(torch.arange(frames) < end, 0.0, level).expand(2, -1)
                x[:, :, end:] = torch.randn_like(x[:, :, end:])
                close(keeper(x, tau, **cond), masked_forward(model, block, window, x, tau, **cond))
    assert frames == block or keeper.frames < keeper.asked


@pytest.mark.parametrize(("frames", "block", "window"), SIZES)
def test_teacher_forcing_trains_every_block_after_the_clean_ones(frames, block, window):
    model = wan()
    x, tau, cond = given(frames)
    past, found = torch.randn_like(x), []
    with torch.no_grad():
        for start in range(0, frames, block):
            shown = torch.cat([past[:, :, :start], x[:, :, start : start + block]], 2)
            levels = torch.cat([torch.zeros(2, start), tau[:, start : start + block]], 1)
            found.append(masked_forward(model, block, window, shown, levels, **cond)[:, :, start:])
        close(velocity_after(model, x, tau, past, Blocks(block), window, **cond), torch.cat(found, 2))


@pytest.mark.parametrize("two", [False, True])
@pytest.mark.parametrize("solver", ["euler", "unipc"])
@pytest.mark.filterwarnings("ignore:some frames have tau below")
def test_a_run_is_the_same_with_and_without_the_cache(two, solver):
    model = wan(two, boundary=0.6)
    options = {"schedule": "autoregressive", "steps": 3, "shift": 1.0, "solver": solver, "output": "latents"}
    for task in (None, pl.tasks.image_to_video(CLIP[0])):
        with_cache, without = (
            pl.generate(pl.causal(model, 1, cache=cache), ["a", "a b"], task, **options) for cache in (True, False)
        )
        close(with_cache.latents, without.latents)
        assert with_cache.share < without.share
        plain = pl.generate(model, ["a", "a b"], task, **options)
        assert (plain.latents - without.latents).abs().max() > 1e-2


@pytest.mark.parametrize(("block", "window", "schedule"), [(2, None, "blockwise(block=2, lag=4)"), (1, 3, "rolling")])
def test_a_stream_is_the_long_masked_schedule_at_once(block, window, schedule):
    model, frames = wan(), 6
    stream, found = (
        pl.stream(
            pl.causal(model, block, window),
            "a b",
            **{"schedule": schedule, "steps": 4, "shift": 1.0, "latent_frames": frames, "output": "latents", "seed": 3},
        ),
        [],
    )
    while sum(one.shape[2] for one in found) < 10:
        found.append(next(stream).latents)
    cond, null = model.encode_text(["a b"]), model.encode_text([""])
    guided = guidance.text_cfg(partial(masked_forward, model, block, window or frames), null, 2.0)
    want = sample(guided, noise_of_stream(model, 16, 3), schedule, steps=4, **cond)
    close(torch.cat(found, 2)[:, :, :10], want[:, :, :10], atol=1e-4)


def test_positions_go_on_beyond_those_that_diffusers_counts():
    rope, x = transformer().rope, torch.randn(1, 4, 12, 4, 8)
    for turn, later in zip(rope(x), rotary_from(rope, x[:, :, :7], 5), strict=True):
        assert torch.equal(turn[:, 5 * 8 :], later)
    cos, sin = rotary_from(rope, x, 10**6)
    assert cos.shape == rope(x)[0].shape
    close(cos.square() + sin.square(), torch.ones_like(cos))


@pytest.mark.parametrize("checkpointing", [False, True])
def test_it_trains_and_gradients_respect_the_mask(checkpointing):
    model = wan()
    trainable = TrainableWan(model.transformer, model.geometry, {"": captions([""])[0]}).train().requires_grad_(True)
    if checkpointing:
        trainable.transformer.enable_gradient_checkpointing()
    x, tau, cond = given(6)
    want = pl.causal(model, 2)(x, tau, **cond)
    x.requires_grad_(True)
    v = pl.causal(trainable, 2)(x, tau, **cond)
    close(v, want)
    v[:, :, 2:4].sum().backward()
    seen = x.grad.abs().amax((0, 1, 3, 4)) > 0
    assert seen.tolist() == [True] * 4 + [False] * 2
    assert all(p.grad is not None for p in trainable.transformer.blocks.parameters())


def test_adapters_and_half_precision():
    model = wan()
    torch.manual_seed(0)
    model.transformer.add_adapter(LoraConfig(r=2, target_modules=["to_k", "to_v"], init_lora_weights=False), "one")
    options = {"schedule": "autoregressive", "steps": 3, "output": "latents"}
    for dtype, within in ((torch.float32, 1e-5), (torch.bfloat16, 0.05)):
        model.transformer.to(dtype)
        made = [pl.generate(pl.causal(model, 1, cache=cache), "a", **options).latents for cache in (True, False)]
        close(*made, atol=within)


def _compiled(_: int) -> None:
    """By blocks, as frames at rest are: six graphs, however long the video."""
    model, plain = wan(), wan()
    model.transformer.compile_repeated_blocks(backend="eager", fullgraph=True)
    options = {"schedule": "blockwise(lag=3)", "guidance": 2.0, "output": "latents", "steps": 3}
    for frames in (6, 12, 15):
        found, want = (pl.generate(pl.causal(one, 3), "a", latent_frames=frames, **options) for one in (model, plain))
        close(found.latents, want.latents, atol=1e-4)
        assert found.share == want.share < 0.8


def test_compiled_by_blocks():
    """In a process of its own, where shape checks do not break the graph."""
    mp.start_processes(_compiled, start_method=SERVER.get_start_method())


@pytest.mark.parametrize("offload", ["model", "group"])
def test_offloaded(offload):
    options = {"schedule": "autoregressive", "steps": 3, "output": "latents"}
    close(*(pl.generate(pl.causal(wan(offload=way), 1), "a", **options).latents for way in ("none", offload)))


@pytest.mark.parametrize(("change", "says"), KEEPS_NOTHING)
def test_what_cannot_be_masked_is_refused(change, says):
    model = wan()
    change(model)
    refused(says, pl.causal, model)


def test_what_is_to_be_kept_is_known_before():
    """Four frames of two samples, for a prompt and a negative prompt; in a stream, those that a block sees."""
    model, given = wan(), []
    causal = [pl.causal(model, 1), pl.causal(model, 1, window=3)]
    model.check_resting = lambda *sizes: given.append(sizes)
    for one in causal:
        pl.prepare(one, ["a", "b"], guidance=2.0, schedule="autoregressive")
        pl.stream(one, "a", schedule="autoregressive", guidance=1.0)
    assert given == [(4 * 2 * 2, (4, 8)), (5, (4, 8)), (3 * 2 * 2, (4, 8)), (3, (4, 8))]

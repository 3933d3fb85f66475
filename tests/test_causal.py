"""pytest tests/test_causal.py: block-causal attention and its cache, against a plain pass with an explicit mask."""

import itertools
import re
from functools import partial

import numpy as np
import pytest
import torch
from masked import masked_forward, noise_of_stream
from wan_tiny import refused

import pusa_lab as pl
import small_models
from pusa_lab import guidance, schedules, tasks
from pusa_lab.causal import CausalKeeper
from pusa_lab.samplers import sample
from pusa_lab.training import Batch, TrainConfig, VTAModule, fit

PROMPTS = ["a red circle moves right", "a blue square moves up"]
CLIP = np.random.default_rng(0).integers(0, 255, (8, 16, 16, 3), dtype=np.uint8)
FAST = {"steps": 4, "output": "latents"}
close = partial(torch.testing.assert_close, atol=1e-5, rtol=0)


def given(toy, frames, size=(12, 20), seed=0):
    """Latents of odd sizes and timesteps of two samples, and their captions."""
    torch.manual_seed(seed)
    return torch.randn(2, 3, frames, *size), torch.rand(2, frames), toy.encode_text(PROMPTS)


SIZES = [(9, 3, None), (9, 3, 6), (7, 1, None), (7, 1, 2), (5, 5, None), (8, 2, 2)]


@pytest.mark.parametrize(("frames", "block", "window"), SIZES)
def test_the_forward_pass_is_that_of_an_explicit_mask(toy, frames, block, window):
    x, tau, cond = given(toy, frames)
    with torch.no_grad():
        found, both_ways = pl.causal(toy, block, window)(x, tau, **cond), toy(x, tau, **cond)
    close(found, masked_forward(toy, block, window, x, tau, **cond))
    assert frames == block or (found - both_ways).abs().max() > 1e-2


@pytest.mark.parametrize(("frames", "block", "window"), SIZES)
def test_no_frame_knows_of_a_later_block_bit_for_bit(toy, frames, block, window):
    x, tau, cond = given(toy, frames)
    causal = pl.causal(toy, block, window)
    with torch.no_grad():
        want = causal(x, tau, **cond)
        for end in range(block, frames, block):
            other, later = x.clone(), tau.clone()
            other[:, :, end:], later[:, end:] = torch.randn_like(other[:, :, end:]), torch.rand_like(later[:, end:])
            found = causal(other, later, **cond)
            assert torch.equal(found[:, :, :end], want[:, :, :end]) and not torch.equal(found, want)


@pytest.mark.parametrize(("frames", "block", "window"), SIZES)
def test_gradients_respect_the_mask(toy, frames, block, window):
    x, tau, cond = given(toy, frames)
    x.requires_grad_(True)
    v = pl.causal(toy, block, window)(x, tau, **cond)
    for start in range(0, frames, block):
        (grad,) = torch.autograd.grad(v[:, :, start : start + block].sum(), x, retain_graph=True)
        seen = grad.abs().amax((0, 1, 3, 4)) > 0
        assert seen[: start + block].all() or window  # through the layers, farther than a window
        assert seen[start : start + block].all() and not seen[start + block :].any()


@pytest.mark.parametrize(("frames", "block", "window"), SIZES)
def test_cached_calls_are_the_whole_masked_pass(toy, frames, block, window):
    """Blocks become final one after the other, with calls of two conditions in turn, and one frame is changed later."""
    keeper = CausalKeeper(pl.causal(toy, block, window), window=window)
    x, _, cond = given(toy, frames)
    null = toy.encode_text(["", ""])
    with torch.no_grad():
        for end, level in itertools.product(range(0, frames, block), (0.9, 0.4)):
            tau = torch.where(torch.arange(frames) < end, 0.0, level).expand(2, -1)
            x[:, :, end:] = torch.randn_like(x[:, :, end:])
            if end == 2 * block and level == 0.4:
                x[1, :, block] += 0.1
            for words in (cond, null):
                close(keeper(x, tau, **words), masked_forward(toy, block, window, x, tau, **words))
    assert len(keeper.branches) == (2 if frames > block else 0)
    assert frames == block or keeper.frames < keeper.asked


CASES = {
    "text": (3, None, {"schedule": "blockwise(block=3, lag=4)", "latent_frames": 9}),
    "a picture": (2, tasks.image_to_video(CLIP[0]), {"schedule": "autoregressive", "solver": "heun"}),
    "a known block": (
        2,
        tasks.extension(CLIP[:3], known=3),
        {"schedule": "blockwise(block=2, lag=2)", "solver": "unipc"},
    ),
    "frames with noise": (1, tasks.extension(CLIP[:2], known=2, noise=(0.0, 0.2)), {"schedule": "pyramid"}),
    "apg": (2, None, {"guidance": "apg(scale=3, threshold=5)", "schedule": "blockwise(block=2, lag=4)"}),
    "an interval": (2, None, {"guidance": "text_cfg(scale=3, interval=[0.2, 0.8])", "schedule": "rolling"}),
    "noisy views of what is known": (
        2,
        tasks.extension(CLIP[:4], known=4),
        {"guidance": partial(guidance.picture_guidance, scale=1.5, level=0.5), "schedule": "blockwise(block=2, lag=4)"},
    ),
    "fresh noise": (4, None, {"solver": "churn", "schedule": "blockwise(block=4, lag=4)"}),
    "one sample": (1, None, {"schedule": "autoregressive", "guidance": 1.0, "solver": "ab3"}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_run_is_the_same_with_and_without_the_cache(toy, name):
    block, task, options = CASES[name]
    made = [
        pl.generate(pl.causal(toy, block, cache=cache), PROMPTS, task, **{"guidance": 3.0} | options | FAST)
        for cache in (True, False)
    ]
    close(made[0].latents, made[1].latents)
    assert made[0].calls == made[1].calls and made[0].share < made[1].share < 1
    both_ways = pl.generate(toy, PROMPTS, task, **{"guidance": 3.0} | options | FAST)
    assert (both_ways.latents - made[0].latents).abs().max() > 1e-2


@pytest.mark.parametrize("solver", ["euler", "unipc"])
def test_a_run_is_the_sampling_loop_with_an_explicit_mask(toy, solver):
    options = {"schedule": "blockwise(block=2, lag=4)", "guidance": 3.0, "solver": solver, "shift": 1.0} | FAST
    found = pl.generate(pl.causal(toy, block=2), PROMPTS, **options)
    cond, null = toy.encode_text(PROMPTS), toy.encode_text(["", ""])
    guided = guidance.text_cfg(partial(masked_forward, toy, 2, None), null, 3.0)
    x = pl.prepare(toy, PROMPTS, **{key: one for key, one in options.items() if key != "output"}).x
    close(found.latents, sample(guided, x, options["schedule"], solver, steps=4, **cond), atol=1e-4)


def test_frames_are_computed_until_they_are_final_and_once_more(toy):
    """A step computes the block in progress; the first step of the next block also the one that is final now."""
    seen = []
    hook = toy.dit.patch_embedding.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[2]))
    options = {"schedule": "blockwise(block=3, lag=4)", "latent_frames": 9, "guidance": 1.0} | FAST
    shares = [pl.generate(pl.causal(toy, 3, cache=cache), PROMPTS, **options).share for cache in (True, False)]
    hook.remove()
    assert seen[:12] == [3, 3, 3, 3, 6, 3, 3, 3, 6, 3, 3, 3]
    assert seen[12:] == [3] * 4 + [6] * 4 + [9] * 4
    assert shares == pytest.approx([42 / 108, 72 / 108])


def long_run(toy, frames, block, window, schedule, solver, scale=2.0):
    """The whole long schedule at once, by plain masked passes."""
    cond, null = toy.encode_text(PROMPTS[:1]), toy.encode_text([""])
    guided = guidance.text_cfg(partial(masked_forward, toy, block, window), null, scale)
    return sample(guided, noise_of_stream(toy, frames, 3), schedule, solver, steps=4, **cond)


def streamed(model, frames, prompt=PROMPTS[0], **options):
    """The first latent frames of a stream, and its last part."""
    stream, found = pl.stream(model, prompt, seed=3, shift=1.0, **options | FAST), []
    while sum(part.latents.shape[2] for part in found) < frames:
        found.append(next(stream))
    return torch.cat([part.latents for part in found], 2)[:, :, :frames], found[-1]


STREAMS = [
    (2, None, 8, "blockwise(block=2, lag=4)", "euler"),
    (2, 4, 8, "blockwise(block=2, lag=2)", "unipc"),
    (3, 6, 6, "blockwise(block=3, lag=4)", "heun"),
    (1, None, 4, "autoregressive", "euler"),
    (1, 3, 6, "rolling(window=3)", "ab2"),
    (1, 2, 6, "pyramid", "dpmpp_2m"),
]


@pytest.mark.parametrize(("block", "window", "frames", "schedule", "solver"), STREAMS)
def test_a_stream_is_the_long_masked_schedule_at_once(toy, block, window, frames, schedule, solver):
    """Also long after the first frames left the window, whose positions move on."""
    end, options = 2 * frames + block, {"latent_frames": frames, "schedule": schedule, "solver": solver}
    found, last = streamed(pl.causal(toy, block, window), end, **options)
    want = long_run(toy, end + 6, block, window or frames, schedule, solver)[:, :, :end]
    close(found, want, atol=1e-3 * want.abs().max().item())
    without = pl.causal(toy, block, window, cache=False)
    anew, other = streamed(without, end, **options)
    assert last.share < other.share and last.calls == other.calls
    if window is None:  # then the past of frames in view was forgotten
        assert (anew - want)[:, :, -block:].abs().max() > 1e-2 * want.abs().max()


def test_a_stream_without_a_cache_is_the_same_if_its_window_holds_the_whole_past(toy):
    """Two layers that each look one frame back know of two frames, and no more."""
    assert len(toy.dit.blocks) == 2
    options = {"latent_frames": 5, "schedule": "autoregressive"}
    found, want = (streamed(pl.causal(toy, 1, 2, cache=cache), 14, **options)[0] for cache in (True, False))
    close(found, want, atol=1e-4)


def test_a_new_prompt_computes_the_frames_in_view_anew(toy):
    """And what left the window is forgotten: so does a run that begins with them."""
    options = {"schedule": "blockwise(block=2, lag=4)", "latent_frames": 6, "guidance": 1.0}
    stream = pl.stream(pl.causal(toy, 2, 6), PROMPTS[0], seed=3, shift=1.0, **options | FAST)
    past = torch.cat([part.latents for part in itertools.islice(stream, 5)], 2)
    stream.set_prompt(PROMPTS[1])
    found, branches = next(stream).latents, stream.asked.keeper.branches
    x = torch.cat([past[:, :, 6:], noise_of_stream(toy, 12, 3)[:, :, 10:]], 2)
    levels = torch.tensor([[0.0] * 4 + [level] * 2 for level in (1.0, 0.75, 0.5, 0.25, 0.0)])
    want = sample(partial(masked_forward, toy, 2, 6), x, levels, **toy.encode_text(PROMPTS[1:]))
    close(found, want[:, :, 4:], atol=1e-4)
    assert len(branches) == 2
    for _ in range(3):
        next(stream)
    assert len(stream.asked.keeper.branches) == 1  # the first prompt is not in view any more


def test_memory_stays_flat(toy):
    stream = pl.stream(pl.causal(toy, 2, 4), PROMPTS[0], schedule="blockwise(block=2, lag=4)", latent_frames=6, **FAST)
    sizes = []
    for _ in itertools.islice(stream, 8):
        branches = stream.asked.keeper.branches
        sizes.append(sum(k.numel() + v.numel() for one in branches for k, v in one.layers.values()))
    assert sizes[1] > 0 and len({*sizes[3:]}) == 1


def test_nothing_is_kept_after_a_run(toy):
    run = pl.prepare(pl.causal(toy, block=2), PROMPTS, steps=2, schedule="autoregressive")
    last = [*run.states()][-1]
    assert run.model.keeper.branches
    run.finish(last)
    assert run.model.keeper.branches == []


SAMPLERS = {
    "diffusion forcing": "per_block(block=2)",
    "teacher forcing": "mixture(samplers=[clean_prefix(k=2, rest=shared), clean_prefix(k=4, rest=shared), "
    "clean_prefix(k=6, rest=shared)])",
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_it_trains_as_any_model(name, small_nano_file):
    toy = small_models.load(small_nano_file, device="cpu").requires_grad_(True).train()
    causal = pl.causal(toy, block=2)
    torch.manual_seed(0)
    batch = Batch(torch.randn(4, 3, 8, 16, 16).clamp(-1, 1), [PROMPTS[0]] * 4)
    config = {"max_steps": 12, "global_batch_size": 4, "warmup": 1, "ema": 0.0, "timestep_sampler": SAMPLERS[name]}
    module = VTAModule(causal, TrainConfig(**config))
    tau, before = module.frame_loss(batch, 3, 0.0)
    want = masked_forward(toy, 2, None, *_noised(module, batch, tau), **toy.encode_text(batch.captions))
    eps = torch.randn(batch.x0.shape, generator=module.generator("cpu", 3, 2))
    close(before, (want - (eps - batch.x0)).square().mean((1, 3, 4)))
    fit(causal, [batch] * 12, TrainConfig(**config), accelerator="cpu")
    assert module.frame_loss(batch, 3, 0.0)[1].mean() < before.mean()
    assert causal.model is toy


def _noised(module, batch, tau):
    eps = torch.randn(batch.x0.shape, generator=module.generator("cpu", 3, 2))
    return pl.timesteps.interpolate(batch.x0, eps, tau), tau


def test_blocks_of_a_training_batch_that_do_not_divide_are_refused(toy):
    x, tau, cond = given(toy, 8)
    refused("8 latent frames in blocks of 3", partial(pl.causal(toy, 3), **cond), x, tau)


def test_a_saved_result_is_made_again_with_the_same_blocks(toy, tmp_path):
    options = {"schedule": "autoregressive", "steps": 2}
    result = pl.generate(pl.causal(toy, block=2), PROMPTS[0], **options)
    result.save(tmp_path / "kept")
    again = pl.rerun(tmp_path / "kept", model=pl.causal(toy, block=2))
    assert torch.equal(again.latents, result.latents) and again.share == result.share < 1
    with pytest.warns(UserWarning, match="the model's weights"):
        pl.rerun(tmp_path / "kept", model=pl.causal(toy, block=4))
    refused("made by 'Causal'", pl.rerun, tmp_path / "kept")


class Plain:
    """A model that takes no `kept`."""

    def __init__(self, model):
        self.geometry, self.device = model.geometry, model.device
        self.encode_text, self.encode_video, self.decode = model.encode_text, model.encode_video, model.decode

    def __call__(self, x, tau, **cond):
        raise AssertionError("the model was asked")


def rising(steps, frames):
    """One that makes final frames noisy again."""
    return schedules.Rising(torch.tensor([1.0, 0.0, 0.5, 0.0])[:, None].expand(-1, frames))


BAD = {
    "block=0, window=None: give a block of at least 1": lambda toy: pl.causal(toy, 0),
    "block=3, window=4: give a block": lambda toy: pl.causal(toy, 3, 4),
    "is causal already, with blocks of 2": lambda toy: pl.causal(pl.causal(toy, 2), 4),
    "a Plain takes no `kept` in its call": lambda toy: pl.causal(Plain(toy)),
    "8 latent frames in blocks of 3: give a multiple of 3, or causal(model, block=...) with one of 1, 2, 4, 8": (
        lambda toy: pl.prepare(pl.causal(toy, 3), PROMPTS[0])
    ),
    "4 latent frames in blocks of 8": lambda toy: pl.prepare(pl.causal(toy, 8), PROMPTS[0], latent_frames=4),
    "in row 0 block 2 (frames 4 to 5) is noisier than block 3": (
        lambda toy: pl.prepare(pl.causal(toy, 2), PROMPTS[0], tasks.transition(CLIP[:2], CLIP[6:]))
    ),
    "frame 0 is final in row 1 and noised again": (
        lambda toy: pl.prepare(pl.causal(toy, 2), PROMPTS[0], schedule=rising(3, 8))
    ),
    "refresh with a causal model": lambda toy: pl.prepare(pl.causal(toy, 2), PROMPTS[0], refresh=2),
    "6 latent frames in blocks of 4": lambda toy: pl.stream(pl.causal(toy, 4), PROMPTS[0], latent_frames=6),
    "the window moves on to frame 1 at row": lambda toy: pl.stream(pl.causal(toy, 2), PROMPTS[0], schedule="rolling"),
    "frame 0 is final at row 10 and leaves the window before its keys and values are kept: give latent_frames=4": (
        lambda toy: pl.stream(pl.causal(toy, 2), PROMPTS[0], schedule="blockwise(block=2, lag=10)", latent_frames=2)
    ),
}


@pytest.mark.parametrize("says", BAD)
def test_what_cannot_be_is_refused_before_anything_is_encoded(toy, says, monkeypatch):
    monkeypatch.setattr(type(toy), "encode_text", lambda *_: pytest.fail("captions were encoded"))
    with pytest.raises(ValueError, match=re.escape(says)):
        BAD[says](toy)


def test_a_compiled_toy_is_refused(toy, monkeypatch):
    monkeypatch.setitem(toy._modules, "dit", torch.compile(toy.dit, backend="eager"))
    refused("OptimizedModule, which keeps nothing", pl.causal, toy)


def test_the_model_stays_as_it_is(toy):
    x, tau, cond = given(toy, 8, (16, 16))
    with torch.no_grad():
        before, causal = toy(x, tau, **cond), pl.causal(toy, 2)
        causal(x, tau, **cond)
        assert torch.equal(toy(x, tau, **cond), before)
    assert isinstance(causal, pl.types.VideoModel) and causal.num_layers == toy.num_layers
    assert {id(p) for p in causal.parameters()} == {id(p) for p in toy.parameters()}

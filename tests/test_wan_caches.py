"""Caches of diffusers under one timestep per frame: as diffusers' own loop would have them, exact, or refused."""

import functools
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers.hooks import (
    FasterCacheConfig,
    FirstBlockCacheConfig,
    MagCacheConfig,
    PyramidAttentionBroadcastConfig,
    SeaCacheConfig,
    TaylorSeerCacheConfig,
    TextKVCacheConfig,
)
from wan_tiny import TEXT, codec, refused, transformer

import pusa_lab as pl
from pusa_lab.wan.caches import LAYERS
from pusa_lab.wan.model import WanModel

pytestmark = pytest.mark.usefixtures("one_thread")
CLIP = np.random.default_rng(0).integers(0, 255, (9, 32, 64, 3), dtype=np.uint8)
STEPS = 6
RATIOS = [1.0, 1.05, 0.99, 1.02, 0.98, 1.01]
TaylorSeer = functools.partial(TaylorSeerCacheConfig, cache_identifiers=[LAYERS], taylor_factors_dtype=torch.float32)
MagCache = functools.partial(MagCacheConfig, num_inference_steps=STEPS, mag_ratios=RATIOS)
SKIPPING = {
    "first block": lambda: FirstBlockCacheConfig(threshold=0.4),
    "MagCache": lambda: MagCache(threshold=0.1, retention_ratio=0.2, max_skip_steps=2),
    "TaylorSeer": lambda: TaylorSeer(cache_interval=3, disable_cache_before_step=2),
}
EXACT = {
    "first block": lambda: FirstBlockCacheConfig(threshold=0.0),
    "MagCache": lambda: MagCache(max_skip_steps=0),
    "TaylorSeer": lambda: TaylorSeer(cache_interval=1),
}
OTHERS = {
    "FasterCache": lambda: FasterCacheConfig(current_timestep_callback=lambda: 500),
    "PyramidAttentionBroadcast": lambda: PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=2, current_timestep_callback=lambda: 500
    ),
    "SeaCache": lambda: SeaCacheConfig(raw_vision_callback=lambda *_: None),
    "TextKVCache": TextKVCacheConfig,
}


def captions(prompts):
    each = [torch.Generator().manual_seed(len(prompt)) for prompt in prompts]
    return torch.stack([torch.randn(7, TEXT, generator=g) for g in each])


def wan(config=None, two=False):
    model = WanModel(
        transformer(num_layers=3), codec(), captions, low=transformer(num_layers=3, seed=1) if two else None
    )
    model.geometry = replace(model.geometry, size=(32, 64), frames=3)
    for expert in model.experts if config is not None else ():
        expert.enable_cache(config)
    return model


TASKS = {
    "text to video": lambda: None,
    "image to video": lambda: pl.tasks.image_to_video(CLIP[0]),
    "a known frame with noise": lambda: pl.tasks.image_to_video(CLIP[0], noise=0.3),
}


def made(model, task="image to video", **options):
    options = {"steps": STEPS, "guidance": 2.0, "seed": 3, "output": "latents"} | options
    return pl.generate(model, "a", TASKS[task](), **options).latents


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", EXACT)
def test_where_nothing_is_left_out_it_is_the_usual_video_bit_for_bit(name, task):
    assert torch.equal(made(wan(EXACT[name]()), task), made(wan(), task))


def as_in_diffusers(config):
    """The loop of WanPipeline: a context for the caption and one for the negative prompt, with a timestep per frame."""
    model, exact = wan(), wan()
    run = pl.prepare(exact, "a", TASKS["image to video"](), steps=STEPS, guidance=2.0, seed=3)
    x, levels = run.x.clone(), run.schedule
    dit = model.transformer
    dit.enable_cache(config)
    for tau, after in itertools.pairwise(levels):
        v = {}
        for name, prompt in (("cond", "a"), ("uncond", "")):
            with dit.cache_context(name), torch.no_grad():
                v[name] = dit(x, 1000 * tau[None], captions([prompt]), return_dict=False)[0]
        x = x + (after - tau)[None, None, :, None, None] * (v["uncond"] + 2.0 * (v["cond"] - v["uncond"]))
    return x


@pytest.mark.parametrize("name", SKIPPING)
def test_it_is_what_diffusers_loop_makes_and_again_in_a_second_run(name):
    want, model = as_in_diffusers(SKIPPING[name]()), wan(SKIPPING[name]())
    first = made(model)
    torch.testing.assert_close(first, want, atol=1e-5, rtol=1e-5)
    assert (first - made(wan())).abs().max() > 1e-3  # layers were left out
    assert torch.equal(made(model), first)
    assert torch.equal(made(model, seed=[8]), made(wan(SKIPPING[name]()), seed=[8]))
    model.transformer.disable_cache()
    assert torch.equal(made(model), made(wan()))


def test_a_run_that_is_left_half_way_leaves_nothing_to_the_next():
    model = wan(SKIPPING["first block"]())
    want = made(model)
    states = pl.prepare(model, "a", steps=STEPS, guidance=2.0).states()
    for _ in range(4):
        next(states)
    states.close()
    assert torch.equal(made(model), want)


def test_two_experts_each_with_its_first_block():
    model, exact = wan(EXACT["first block"](), two=True), wan(two=True)
    assert torch.equal(made(model, "text to video"), made(exact, "text to video"))
    for name in ("MagCache", "TaylorSeer"):
        says = f"{name}.*Config counts the steps of one transformer, and this Wan has two: call transformer.disable_c"
        refused(says, made, wan(EXACT[name](), two=True))


@pytest.mark.parametrize("name", SKIPPING)
@pytest.mark.parametrize("schedule", ["autoregressive", "blockwise", "pyramid", "trapezoid"])
def test_schedules_in_which_other_frames_move_are_refused_before_captions_are_encoded(name, schedule):
    model = wan(SKIPPING[name]())
    model.prompts = lambda captions: pytest.fail("captions were encoded")
    says = (
        "Config decides for all frames at once, and in this schedule other frames move in step .* than in the first: "
    )
    says += "call transformer.disable_cache.., and give refresh='auto' instead"
    refused(says, lambda: made(model, schedule=schedule, latent_frames=5))


def test_frames_at_rest_drown_the_change_of_the_others():
    """The first block's threshold is one for the mean over all frames, those at rest among them."""
    clip = np.random.default_rng(0).integers(0, 255, (33, 32, 64, 3), dtype=np.uint8)
    computed = []
    for known in (1, 3, 5, 7):
        model, calls = wan(FirstBlockCacheConfig(threshold=0.05)), []
        model.transformer.blocks[1].attn1.register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        task = pl.tasks.extension(clip[: 1 + 4 * (known - 1)])
        pl.generate(model, "a", task, steps=20, guidance=1, seed=3, output="latents", latent_frames=9)
        computed.append(len(calls))
    assert computed == sorted(computed, reverse=True) and computed[0] > 3 * computed[-1] > 0, computed


def test_samples_with_schedules_of_their_own_are_refused():
    both = torch.stack([pl.schedules.synchronous(4, 3), pl.schedules.synchronous(4, 3)])
    both[1, :, 1] = both[1].amax(1)
    both[1, 1, 1] = 1.0
    both = torch.cat([both[:, :1], both[:, :1], both[:, 1:]], dim=1)
    both[0, 1] = (both[0, 0] + both[0, 2]) / 2
    call = functools.partial(pl.generate, wan(FirstBlockCacheConfig()), ["a", "b"], schedule=both)
    refused("decides for all samples at once, and here other frames move in each: call transformer.disable", call)


@pytest.mark.parametrize("name", OTHERS)
def test_kinds_that_take_one_timestep_are_refused(name):
    says = (
        f"{name}Config cannot serve one timestep per frame, nor a call for the prompt and one for the negative prompt"
    )
    refused(says, made, wan(OTHERS[name]()))


def test_settings_that_do_not_fit_are_refused():
    says = (
        r"MagCacheConfig.num_inference_steps=6. for 4 steps: give num_inference_steps=4, and mag_ratios of such a run"
    )
    refused(says, lambda: made(wan(MagCache()), steps=4))
    refused("finds none of its layers in this Wan: give cache_identifiers=", made, wan(TaylorSeerCacheConfig()))


@pytest.mark.parametrize("name", SKIPPING)
def test_guidance_in_a_part_of_the_steps(name):
    def call():
        return made(wan(SKIPPING[name]()), guidance="text_cfg(scale=2, interval=(0.1, 0.9))")

    if name == "first block":
        assert torch.isfinite(call()).all()
    else:
        says = "Config counts steps, and this guidance or solver asked the model 1 time in one step and 2 times in the "
        refused(f"{says}next: call transformer.disable_cache.., or guide every step", call)


def test_outside_of_a_run_the_steps_are_not_known():
    model = wan(FirstBlockCacheConfig())
    says = (
        "has a cache of diffusers .FirstBlockCacheConfig., which needs to know the steps: make the video with generate"
    )
    x, tau = torch.zeros(1, 4, 3, 4, 8), torch.ones(1, 3)
    refused(says, lambda: model(x, tau, **model.encode_text(["a"])))
    made(model)
    refused(says, lambda: model(x, tau, **model.encode_text(["a"])))

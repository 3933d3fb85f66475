"""Frames at rest in Wan, against whole forward passes with their old keys and values."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from diffusers.hooks import FirstBlockCacheConfig
from keeping import run_reference
from peft import LoraConfig
from processes import SERVER
from wan_tiny import TEXT, codec, refused, transformer

import pusa_lab as pl
from pusa_lab.resting import Kept
from pusa_lab.wan.model import WanModel
from pusa_lab.wan.resting import check_resting, kept_bytes

CLIP = np.random.default_rng(0).integers(0, 255, (9, 32, 64, 3), dtype=np.uint8)
TASKS = {
    "autoregressive": lambda: (pl.tasks.image_to_video(CLIP[0]), {"schedule": "autoregressive"}),
    "extension": lambda: (pl.tasks.extension(CLIP[:5], known=5), {"solver": "heun"}),
}


def captions(prompts):
    """An embedding of each prompt."""
    each = [torch.Generator().manual_seed(len(prompt)) for prompt in prompts]
    return torch.stack([torch.randn(7, TEXT, generator=g) for g in each])


def wan(two=False, **options):
    """A tiny Wan in which self-attention counts for more than at random."""
    model = WanModel(transformer(), codec(), captions, low=transformer(seed=1) if two else None, **options)
    model.geometry = replace(model.geometry, size=(32, 64), frames=5)
    with torch.no_grad():
        for block in (block for expert in model.experts for block in expert.blocks):
            block.attn1.to_v.weight *= 6
            block.attn1.to_out[0].weight *= 6
    return model


PAIRWISE = [(False, "autoregressive", 2), (True, "autoregressive", 4), (False, "extension", 4), (True, "extension", 2)]
"""Every two of the three values together; the others are left to `make nightly`."""
CASES = [*PAIRWISE, *(pytest.param(not two, *more, marks=pytest.mark.nightly) for two, *more in PAIRWISE)]


@pytest.mark.parametrize(("two", "name", "refresh"), CASES)
@pytest.mark.filterwarnings("ignore:some frames have tau below")
def test_it_is_the_whole_forward_pass_with_old_keys_and_values(two, name, refresh):
    task, options = TASKS[name]()
    options |= {"steps": 4, "guidance": 2.0, "seed": [3, 8]}
    model = wan(two, boundary=1.1 if two else 0.875)  # one expert throughout
    want = run_reference(wan(two, boundary=1.1), refresh, 2, [], ["a", "a b"], task, **options)
    found = pl.generate(model, ["a", "a b"], task, refresh=refresh, output="latents", **options)
    torch.testing.assert_close(found.latents, want, atol=1e-4, rtol=0)
    exact = pl.generate(model, ["a", "a b"], task, output="latents", **options)
    assert found.share < 1 and (found.latents - exact.latents).abs().max() > 0.01


def test_every_row_is_the_usual_path_bit_for_bit():
    task, options = TASKS["autoregressive"]()
    found = [pl.generate(wan(), "a", task, refresh=n, output="latents", steps=3, **options).latents for n in (None, 1)]
    assert torch.equal(*found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_whole_call_that_keeps_is_the_usual_one_bit_for_bit(dtype):
    model, kept = wan(), Kept([2], [0, 1, 3, 4])
    model.transformer.to(dtype)
    x, tau, text = torch.randn(2, 4, 5, 4, 8), torch.rand(2, 5), captions(["a", "b c"]).to(dtype)
    with torch.no_grad():
        want = model(x, tau, text)
        assert torch.equal(model(x, tau, text, kept=kept), want)
        kept.whole = False
        again = model(x, tau, text, kept=kept)
    rounding = 1e-5 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(again[:, :, 2], want[:, :, 2], atol=rounding, rtol=rounding)
    assert again[:, :, [0, 1, 3, 4]].abs().max() == 0
    assert len(kept.layers) == 2 and all(k.shape == (2, 4 * 8, 2, 12) for k, _ in kept.layers.values())


@pytest.mark.filterwarnings("ignore:some frames have tau below")
def test_samples_of_a_batch_with_different_experts_keep_apart():
    model, kept, moving, rest = wan(two=True, boundary=0.5), Kept([2, 3], [0, 1, 4]), [2, 3], [0, 1, 4]
    x, text = torch.randn(2, 2, 4, 5, 4, 8), captions(["a", "b c"])
    tau = torch.rand(2, 2, 5) * 0.4 + torch.tensor([0.55, 0.0])[:, None]  # a first row and a second, of two samples
    x[1][:, :, rest], tau[1][:, rest] = x[0][:, :, rest], tau[0][:, rest]
    assert model.experts_at(tau[0]) == model.experts_at(tau[1]) == [0, 1]
    with torch.no_grad():
        model(x[0], tau[0], text, kept=kept)
        kept.whole = False
        found = model(x[1], tau[1], text, kept=kept)
        for i in range(2):
            alone = Kept(moving, rest)
            model(x[0][i : i + 1], tau[0][i : i + 1], text[i : i + 1], kept=alone)
            alone.whole = False
            want = model(x[1][i : i + 1], tau[1][i : i + 1], text[i : i + 1], kept=alone)
            torch.testing.assert_close(found[i : i + 1], want, atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:some frames have tau below")
def test_another_expert_takes_nothing_of_the_first():
    """Each expert's first call is whole, and so are calls in which the samples of a batch change experts."""
    task, options = TASKS["extension"]()
    options |= {"steps": 6, "guidance": 1.0, "shift": 1.0, "solver": "euler"}
    model, sizes = wan(two=True, boundary=0.6), []
    for expert in model.experts:
        expert.patch_embedding.register_forward_pre_hook(lambda _, given: sizes.append(given[0].shape[2]))
    found = pl.generate(model, "a", task, refresh=50, output="latents", **options)
    levels = found.schedule[:-1, -1]
    first_low = int((levels < 0.6).nonzero()[0])
    assert sizes == [5 if row in (0, first_low) else 3 for row in range(6)]
    assert found.share == pytest.approx(sum(sizes) / 30)


def test_adapters_change_kept_keys_too():
    task, options = TASKS["autoregressive"]()
    options |= {"steps": 3, "guidance": 2.0, "seed": [3, 8]}
    model = wan()
    plain = pl.generate(model, ["a", "b"], task, refresh=3, output="latents", **options)
    torch.manual_seed(0)
    model.transformer.add_adapter(LoraConfig(r=2, target_modules=["to_k", "to_v"], init_lora_weights=False), "one")
    want = run_reference(model, 3, 2, [], ["a", "b"], task, **options)
    found = pl.generate(model, ["a", "b"], task, refresh=3, output="latents", **options)
    torch.testing.assert_close(found.latents, want, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(found.latents, plain.latents, atol=1e-3)


def _compiled(_: int) -> None:
    """More numbers of moving frames than torch.compile would compile one by one."""
    model, plain = wan(), wan()
    model.transformer.compile_repeated_blocks(backend="eager", fullgraph=True)
    options = {"guidance": 2.0, "refresh": 2, "output": "latents", "steps": 3}
    for frames in (6, 12):
        for schedule in (
            "autoregressive",
            "blockwise(block=2, lag=3)",
            "blockwise(lag=3)",
            "blockwise(block=4, lag=3)",
        ):
            options |= {"schedule": schedule, "latent_frames": frames}
            found, want = (pl.generate(one, "a", **options) for one in (model, plain))
            torch.testing.assert_close(found.latents, want.latents, atol=1e-4, rtol=1e-4)
            assert found.share == want.share < 1


def test_compiled_by_blocks():
    """In a process of its own, where shape checks do not break the graph."""
    mp.start_processes(_compiled, start_method=SERVER.get_start_method())


@pytest.mark.parametrize("offload", ["model", "group"])
def test_offloaded(offload):
    task, options = TASKS["autoregressive"]()
    options |= {"steps": 3, "refresh": 2, "output": "latents"}
    found = [pl.generate(wan(offload=way), "a", task, **options).latents for way in ("none", offload)]
    torch.testing.assert_close(*found)


class Mine:
    """An attention processor of one's own."""

    def __call__(self, attn, x, *more):
        raise AssertionError("the model was asked")


def _whole(model):
    model.experts[0] = torch.compile(model.experts[0], backend="eager")


def _processor(model):
    model.transformer.blocks[1].attn1.processor = Mine()


KEEPS_NOTHING = [
    (_whole, "compiled as a whole: compile it by blocks"),
    (lambda model: model.transformer.enable_cache(FirstBlockCacheConfig(threshold=0.1)), "a cache of diffusers"),
    (lambda model: setattr(model.transformer, "_parallel_config", object()), "split over GPUs"),
    (_processor, "the attention processor Mine"),
]
"""What is done to a Wan whose keys and values cannot be kept then, and what is said."""


@pytest.mark.parametrize(("change", "says"), KEEPS_NOTHING)
def test_what_cannot_keep_is_refused_before_anything_is_encoded(change, says):
    model = wan()
    change(model)
    model.prompts = lambda captions: pytest.fail("captions were encoded")
    refused(says, functools.partial(pl.generate, model, "a", refresh=2))


def test_more_than_the_gpu_has_room_for_is_refused(monkeypatch):
    """14B at 480 x 832 keeps 1.19 GiB for each frame; these are numbers alone."""
    model = wan()
    kept = kept_bytes(model.transformer, 3, (4, 8))
    assert kept == 3 * (2 * 4) * 24 * 2 * 2 * 4  # frames, tokens, width, keys and values, layers, bytes
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (kept - 101, 10**9))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 300)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 200)
    gpu = torch.device("cuda")
    refused("3 frames at rest, 0.01 MiB, and cuda has 0.01 MiB free", check_resting, model.transformer, 3, (4, 8), gpu)
    check_resting(model.transformer, 2, (4, 8), gpu)


def test_what_is_to_be_kept_is_known_before():
    """Four frames at rest of two samples, for a prompt and a negative prompt."""
    model, given = wan(), []
    model.check_resting = lambda *sizes: given.append(sizes)
    task, options = TASKS["autoregressive"]()
    pl.prepare(model, ["a", "b"], task, refresh=2, guidance=2.0, **options)
    pl.prepare(model, ["a", "b"], task, refresh=1, guidance=2.0, **options)
    assert given == [(4 * 2 * 2, (4, 8)), (0, (4, 8))]

"""pytest tests/test_ways.py: every way to make clips, call by call, against a plain Euler loop written here."""

import itertools

import numpy as np
import pytest
import torch

from pusa_lab.pixels import to_pixels, to_uint8
from small_models.evaluation.ways import copy_of_frame_0, generate_from, maker, parts
from small_models.models.i2v import ImageToVideo
from small_models.world import NANO, draw_scenes

PROMPTS = ["a red circle moves right", "a blue square moves up", "a green circle moves left"]
STEPS, GUIDANCE, SEED = 4, 2.5, 7
WAYS = {
    "a timestep for each frame": ((0,), {}),
    "three known frames": ((0, 3, 4), {}),
    "replacement": ((0,), {"noise": 1.0, "mode": "replacement"}),
    "text alone": ((), {}),
}


@pytest.fixture
def nano_vta(small_nano):
    """Any toy does here."""
    return small_nano


@pytest.fixture
def truth():
    return np.random.default_rng(0).integers(0, 256, (3, 8, 16, 16, 3), np.uint8)


@pytest.fixture
def wans_way(nano_vta):
    """A model whose layers for the picture matter."""
    torch.manual_seed(0)
    model = ImageToVideo.from_base(nano_vta)
    with torch.no_grad():
        for name, p in model.dit.named_parameters():
            if "add_v_proj" in name or "patch_embedding.weight" in name:
                p.add_(0.1 * torch.randn_like(p))
    return model.requires_grad_(False).eval()


def noise(shape, row):
    """Sample i starts from the noise of seed + i; row r of a schedule has noise of its own."""
    return torch.stack(
        [torch.randn(shape[1:], generator=torch.Generator().manual_seed((SEED + i) * 100_003 + row)) for i in range(3)]
    )


@torch.no_grad()
def plain_loop(model, known, clean, replaced=False, **picture):
    """All (x, tau) that a model is shown, and the end: known frames clean at 0, or noised anew to the others' level."""
    text, null = model.encode_text(PROMPTS)["text"], model.encode_text([""] * 3)["text"]
    x, shown, levels = noise((3, 3, 8, 16, 16), 0), [], [1 - k / STEPS for k in range(STEPS + 1)]
    x[:, :, known] = x[:, :, known] if replaced else clean
    for row, (level, after) in enumerate(itertools.pairwise(levels), 1):
        tau = torch.full((3, 8), level)
        if not replaced:
            tau[:, known] = 0
        shown.append((x, tau))
        v, v_null = (model(x, tau, words, **picture) for words in (text, null))
        x = x + (after - level) * (v_null + GUIDANCE * (v - v_null))
        fresh = noise(x.shape, row)[:, :, known]
        x[:, :, known] = (1 - after) * clean + after * fresh if replaced else clean
    return shown, x


def watched(model, call):
    """What a call shows to the model, one entry for each pair of calls with and without caption."""
    seen = []
    hook = model.register_forward_pre_hook(lambda module, args: seen.append(tuple(a.clone() for a in args[:2])))
    try:
        result = call()
    finally:
        hook.remove()
    return seen[::2], result


def same(got, want):
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_the_plain_loop(nano_vta, truth, way):
    known, options = WAYS[way]
    options = {**options, "steps": STEPS, "guidance": GUIDANCE, "seed": SEED}
    seen, result = watched(nano_vta, lambda: generate_from(nano_vta, PROMPTS, truth, known, **options))
    clean = to_pixels(truth)[:, :, list(known)]
    shown, x = plain_loop(nano_vta, list(known), clean, "mode" in options)
    assert len(seen) == STEPS
    for got, want in zip(seen, shown, strict=True):
        same(got, want)
    same([result.latents], [x])
    options.pop("seed")
    assert np.array_equal(maker(nano_vta, known, **options)(PROMPTS, truth, SEED), to_uint8(result.latents))
    assert torch.equal(result.latents[:, :, list(known)], clean)


def test_wans_own_way_is_the_plain_loop(wans_way, truth):
    options = {"steps": STEPS, "guidance": GUIDANCE, "seed": SEED}
    shown, x = plain_loop(wans_way, [], torch.zeros(3, 3, 0, 16, 16), first=to_pixels(truth)[:, :, :1])
    result = generate_from(wans_way, PROMPTS, truth, **options)
    same([result.latents], [x])
    assert len(shown) == STEPS
    without = generate_from(wans_way, PROMPTS, truth, (), **options).latents
    assert (without - x).abs().max() > 0.01


@pytest.mark.parametrize("options", [{"known": (1,)}, {"known": (0, 1)}, {"noise": 0.2}])
def test_wans_own_way_takes_frame_0_alone(wans_way, truth, options):
    with pytest.raises(ValueError, match="the model takes one picture as its input, and no other known frames"):
        generate_from(wans_way, PROMPTS, truth, **options)


def test_a_copy_of_frame_0_stands_still(truth):
    still = copy_of_frame_0(PROMPTS, truth, 0)
    assert still.shape == truth.shape
    assert all(np.array_equal(still[:, i], truth[:, 0]) for i in range(8))


@pytest.mark.parametrize(("name", "value"), [("seeds", 0), ("seeds", -(2**31)), ("seeds", 10**9), ("size", 0)])
def test_as_many_clips_as_nobody_has_are_refused(nano_vta, name, value):
    given = {"size": 4, "seeds": 1, name: value}
    with pytest.raises(ValueError, match=f"{name}={value}: give 1 to 10000"):
        next(parts(draw_scenes(3, 0, NANO), nano_vta.geometry, "cpu", **given))

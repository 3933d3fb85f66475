"""pytest tests/test_i2v.py: Wan's own image-to-video in small, beside diffusers' class."""

import numpy as np
import pytest
import torch

import pusa_lab as pl
import small_models
from small_models.models.dit import ToyDiT
from small_models.models.i2v import MASK, ImageToVideo

PRESET = {**small_models.PRESETS["nano"]}
PRESET["dit"] = {**PRESET["dit"], "num_layers": 2, "num_attention_heads": 1, "ffn_dim": 32}


@pytest.fixture
def base():
    model = small_models.ToyModel(PRESET)
    torch.nn.init.normal_(model.dit.proj_out.weight, std=0.1)
    return model.eval().requires_grad_(False)


def inputs(model, batch=3):
    x, tau = torch.randn(batch, 3, 4, 16, 16), torch.rand(batch, 4)
    return x, tau, model.encode_text(["a red circle moves up"] * batch)


def test_untrained_it_is_the_base_with_or_without_a_picture(base):
    model = ImageToVideo.from_base(base)
    x, tau, cond = inputs(base)
    want = base(x, tau, **cond)
    torch.testing.assert_close(model(x, tau, **cond), want, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model(x, tau, **cond, first=torch.randn(3, 3, 1, 16, 16)), want, atol=1e-5, rtol=1e-5)


def test_the_picture_reaches_channels_and_attention(base):
    x, tau, cond = inputs(base)
    a, b = torch.randn(2, 3, 3, 1, 16, 16)
    for part in ("channels", "attention"):
        model = ImageToVideo.from_base(base)
        with torch.no_grad():
            if part == "channels":
                model.dit.patch_embedding.weight.normal_()
            else:
                for block in model.dit.blocks:
                    block.attn2.add_v_proj.weight.normal_()
        assert not torch.allclose(model(x, tau, **cond, first=a), model(x, tau, **cond, first=b), atol=1e-4), part


def test_one_picture_serves_a_whole_batch_and_generates(base):
    model = ImageToVideo.from_base(base)
    with torch.no_grad():
        model.dit.patch_embedding.weight.normal_(std=0.05)
    x, tau, cond = inputs(base)
    one = torch.rand(1, 3, 1, 16, 16)
    many = model(x, tau, **cond, first=one)
    torch.testing.assert_close(many, model(x, tau, **cond, first=one.expand(3, -1, -1, -1, -1)))
    assert not torch.allclose(many, model(x, tau, **cond), atol=1e-4)
    picture = np.random.default_rng(0).integers(0, 255, (20, 24, 3), np.uint8)
    task = pl.tasks.image_to_video(picture)
    prompts = ["a red circle moves up", "a blue square moves left"]
    given = {"steps": 2, "seed": [3, 4]}
    result = pl.generate(model, prompts, task, **given)
    assert result.video.shape == (2, 8, 16, 16, 3)
    twice = pl.generate(model, prompts, task, num_videos_per_prompt=2, steps=2, seed=[3, 4, 5, 6])
    assert torch.equal(twice.latents[0], result.latents[0])
    assert not torch.equal(result.latents, pl.generate(model, prompts, **given).latents), "the picture matters"
    pictures = pl.tasks.image_to_video([picture, 255 - picture])
    pair = pl.generate(model, prompts[:1] * 2, pictures, steps=2, seed=[3, 3])
    assert torch.equal(pair.latents[0], result.latents[0]) and not torch.equal(pair.latents[1], pair.latents[0])


def test_a_result_names_its_picture_and_is_made_again(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    result = pl.generate(pl.load("mini-i2v", device="cpu"), "", pl.tasks.image_to_video(picture), steps=1)
    assert result.task == "image_to_video" and len(result.request.known) == 1
    assert result.request.model["name"] == "mini-i2v" and (result.schedule[0] == 1).all()
    result.save(tmp_path)
    assert torch.equal(pl.rerun(tmp_path).latents, result.latents)


def test_the_transformer_is_diffusers_image_to_video_wan():
    torch.manual_seed(0)
    sizes = {**PRESET["dit"], "patch_size": (1, 2, 2), "in_channels": 2 * 4 + MASK, "out_channels": 4, "image_dim": 16}
    ours = ToyDiT(**sizes)
    for p in ours.parameters():
        torch.nn.init.normal_(p, std=0.2)
    ours.eval()
    theirs = ours.to_diffusers().eval()
    x, tau = torch.randn(2, 12, 3, 6, 4), torch.rand(2, 1).expand(2, 3)
    # diffusers finds the image tokens by what exceeds 512 words
    text, image = torch.randn(2, 512, 64), torch.randn(2, 5, 16)
    with torch.no_grad():
        want = theirs(x, 1000 * tau[:, 0], text, image, return_dict=False)[0]
        torch.testing.assert_close(ours(x, tau, text, image), want, atol=1e-4, rtol=1e-4)
        again = ToyDiT.from_diffusers(theirs)
        torch.testing.assert_close(again(x, tau, text, image), want, atol=1e-4, rtol=1e-4)


def test_a_picture_for_a_text_to_video_transformer_is_refused():
    dit = ToyDiT(**{**PRESET["dit"], "patch_size": (1, 4, 4)})
    with pytest.raises(ValueError, match="image_dim"):
        dit(torch.randn(1, 3, 2, 8, 8), torch.rand(1, 2), torch.randn(1, 4, 64), torch.randn(1, 5, 16))

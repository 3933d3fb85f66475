"""pytest tests/test_bring_adapters.py: every snippet of docs/bring_your_model.md runs, against diffusers' pipelines."""

import re
from pathlib import Path

import bring_tiny
import numpy as np
import pytest
import torch

import pusa_lab as pl

PAGE = (Path(__file__).parents[1] / "docs" / "bring_your_model.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.S)
PROMPT = "a red circle moves right"
SIZES = {"HunyuanVideo15": (32, 32)}
VECTORS = ("LTX", "LTX2", "SkyReels")
SCALARS = ("HunyuanVideo", "HunyuanVideo15", "CogVideoX")
TINY = {
    "LTX": bring_tiny.ltx,
    "LTX2": bring_tiny.ltx2,
    "SkyReels": bring_tiny.skyreels,
    "HunyuanVideo": bring_tiny.hunyuan,
    "HunyuanVideo15": bring_tiny.hunyuan15,
    "CogVideoX": bring_tiny.cogvideox,
}


@pytest.fixture(scope="module")
def page():
    """What the page's snippets define, in their order."""
    space = {}
    torch.manual_seed(0)
    for snippet in SNIPPETS:
        exec(compile(snippet, "docs/bring_your_model.md", "exec"), space)
    return space


@pytest.fixture(scope="module")
def adapters(page):
    """name -> an adapter around a tiny pipeline, made when it is first asked for."""

    class Adapters(dict):
        def __missing__(self, name):
            pipe = TINY[name]()
            pipe.set_progress_bar_config(disable=True)
            self[name] = page[name](pipe, size=SIZES.get(name, (16, 16)), frames=3)
            return self[name]

    return Adapters()


def matrix(sigmas, frames=3):
    return torch.as_tensor(sigmas, dtype=torch.float32)[:, None].expand(-1, frames)


def noise(model):
    return pl.prepare(model, PROMPT, steps=1, guidance=1.0).x


def latents(model, sigmas, guidance=1.0):
    return pl.generate(model, PROMPT, schedule=matrix(sigmas), guidance=guidance).latents


def near(got, want, share=1e-5):
    """Within float32's rounding over some steps."""
    assert want.std() > 0.02
    assert (got - want).abs().max() <= share * want.abs().max()


def test_every_adapter_is_shorter_than_40_lines():
    assert sum("class " in snippet for snippet in SNIPPETS) == len(TINY) + 1
    for snippet in SNIPPETS:
        assert sum(bool(line.strip()) for line in snippet.splitlines()) < 40, snippet


def test_the_plain_module_makes_a_video_from_a_picture(page):
    result = page["result"]
    assert result.video.shape == (1, 6, 16, 16, 3) and result.task == "image_to_video"
    picture = 2 * page["picture"].permute(2, 0, 1) - 1
    torch.testing.assert_close(result.latents[0, :, 0], picture)
    assert len(np.unique(result.schedule[3])) > 2  # a pyramid


@pytest.mark.parametrize("name", [*VECTORS, *SCALARS])
def test_check_model_finds_no_fault(adapters, name):
    report = pl.check_model(adapters[name], strict=True)
    verdicts = {found.name: found.verdict for found in report.findings}
    assert verdicts["timesteps"] == ("passed" if name in VECTORS else "equal only"), report
    assert verdicts["direction"] == "inconclusive", report


def test_check_model_finds_no_fault_in_the_plain_module(page):
    report = pl.check_model(page["model"], strict=True)
    assert [f.name for f in report.findings if f.verdict != "passed"] == ["direction"], report


@pytest.mark.parametrize("name", VECTORS)
def test_a_picture_is_continued_on_any_schedule(adapters, name):
    model = adapters[name]
    picture = np.random.default_rng(0).integers(0, 256, (*model.geometry.size, 3), np.uint8)
    task = pl.tasks.image_to_video(picture)
    result = pl.generate(model, PROMPT, task, schedule="pyramid", steps=2, guidance=2.0)
    with torch.no_grad():
        known = model.encode_video(pl.pixels.to_pixels(picture))
    torch.testing.assert_close(result.latents[:, :, :1], known)
    assert result.video.shape == (1, model.geometry.pixel_frames(3), *model.geometry.size, 3)


@pytest.mark.parametrize("name", SCALARS)
def test_with_one_timestep_for_all_frames_a_picture_is_replaced_and_vectors_are_refused(adapters, name):
    model = adapters[name]
    picture = np.full((*model.geometry.size, 3), 200, np.uint8)
    task = pl.tasks.image_to_video(picture, noise=1.0, mode="replacement")
    result = pl.generate(model, PROMPT, task, steps=2, guidance=1.0)
    with torch.no_grad():
        known = model.encode_video(pl.pixels.to_pixels(picture))
    torch.testing.assert_close(result.latents[:, :, :1], known)
    with pytest.raises(ValueError, match="one timestep for all of them: use the synchronous schedule"):
        pl.generate(model, PROMPT, schedule="pyramid", steps=2, guidance=1.0)


def test_ltx_is_its_pipeline(adapters):
    model = adapters["LTX"]
    pipe, x = model.pipe, noise(model)
    size = {"height": 16, "width": 16, "num_frames": 9, "frame_rate": 25, "num_inference_steps": 3}
    guided = {"prompt": [PROMPT], "negative_prompt": [""], "guidance_scale": 3.0, "output_type": "latent"}
    pipe.check_inputs = lambda **_: None  # sizes of whole patches of the real codec
    theirs = pipe(**guided, **size, latents=pipe._pack_latents(x)).frames
    ours = latents(model, pipe.scheduler.sigmas, guidance=3.0)
    near(ours, pipe._unpack_latents(theirs, 3, 4, 4))


def test_skyreels_is_its_pipeline(adapters):
    model = adapters["SkyReels"]
    pipe, x = model.pipe, noise(model)
    text, null = model.encode_text([PROMPT])["text"], model.encode_text([""])["text"]
    size = {"height": 16, "width": 16, "num_frames": 9, "num_inference_steps": 3, "guidance_scale": 3.0}
    texts = {"prompt_embeds": text, "negative_prompt_embeds": null}
    theirs = pipe(**texts, **size, latents=x, output_type="latent").frames
    near(latents(model, pipe.scheduler.sigmas, guidance=3.0), theirs)


def test_hunyuan_video_is_its_pipeline(adapters):
    model = adapters["HunyuanVideo"]
    pipe, x = model.pipe, noise(model)
    size = {"height": 16, "width": 16, "num_frames": 9, "num_inference_steps": 3, "guidance_scale": 6.0}
    theirs = pipe(PROMPT, **size, latents=x, output_type="latent").frames
    near(latents(model, pipe.scheduler.sigmas), theirs)


def test_hunyuan_video_15_is_its_pipeline(adapters):
    model = adapters["HunyuanVideo15"]
    pipe, x = model.pipe, noise(model)
    size = {"height": 32, "width": 32, "num_frames": 9, "num_inference_steps": 3}
    theirs = pipe(PROMPT, **size, latents=x, output_type="latent").frames
    near(latents(model, pipe.scheduler.sigmas), theirs)


@pytest.mark.parametrize("rotary", [True, False])
def test_cogvideox_is_its_pipeline(adapters, page, rotary):
    model = adapters["CogVideoX"] if rotary else page["CogVideoX"](bring_tiny.cogvideox(False), (16, 16), 3)
    model.pipe.set_progress_bar_config(disable=True)
    pipe, x = model.pipe, noise(model)
    size = {"height": 16, "width": 16, "num_frames": 9, "num_inference_steps": 4, "guidance_scale": 3.0}
    theirs = pipe(PROMPT, "", **size, latents=x.transpose(1, 2), output_type="latent").frames
    taus = [*model.levels[pipe.scheduler.timesteps].tolist(), 0.0]
    near(latents(model, taus, guidance=3.0), theirs.transpose(1, 2), share=1e-4)


def test_cogvideox_knows_the_timestep_of_every_level(adapters):
    model = adapters["CogVideoX"]
    torch.testing.assert_close(model.timestep(model.levels), torch.arange(1000.0), atol=1e-3, rtol=0)
    assert model.timestep(torch.zeros(1)) == 0


def test_an_even_number_of_latent_frames_is_no_video_for_cogvideox(adapters):
    report = pl.check_model(adapters["CogVideoX"], latent_frames=4)
    assert [(f.name, "(2, 3, 16, 16, 16)" in f.sentence) for f in report.faults] == [("decode", True)], report


def test_ltx_2_ignores_the_sound_and_equals_diffusers_model(adapters):
    model = adapters["LTX2"]
    x, tau, cond = noise(model), torch.tensor([[0.2, 0.5, 0.9]]), model.encode_text([PROMPT])
    shape = {"num_frames": 3, "height": 2, "width": 2, "audio_num_frames": 7, "fps": 24}
    masks = {"encoder_attention_mask": cond["mask"], "audio_encoder_attention_mask": cond["mask"]}
    with torch.no_grad():
        theirs = model.transformer(
            *(model.pipe._pack_latents(x), torch.randn(1, 7, 4), cond["text"], cond["sound"]),
            timestep=(1000 * tau).repeat_interleave(4, dim=1),
            audio_timestep=torch.tensor([300.0]),
            isolate_modalities=True,
            **shape,
            **masks,
        ).sample
        near(model(x, tau, **cond), model.pipe._unpack_latents(theirs, 3, 2, 2))


def raw(pipe, z):
    """Latents as diffusers' pipelines give them to the codec."""
    config = pipe.vae.config
    if hasattr(pipe, "_denormalize_latents"):
        return pipe._denormalize_latents(z, pipe.vae.latents_mean, pipe.vae.latents_std, config.scaling_factor)
    if hasattr(config, "scaling_factor"):
        return z / config.scaling_factor
    mean, std = (torch.tensor(v).view(1, -1, 1, 1, 1) for v in (config.latents_mean, config.latents_std))
    return z * std + mean


@pytest.mark.parametrize("name", [*VECTORS, *SCALARS])
def test_latents_are_scaled_as_in_the_pipeline(adapters, name):
    model = adapters[name]
    pipe, z = model.pipe, torch.randn(model.geometry.latent_shape(1, 3))
    with torch.no_grad():
        theirs = pipe.vae.decode(raw(pipe, z), return_dict=False)[0]
        near(model.decode(z), theirs.clamp(-1, 1) if name == "SkyReels" else theirs)
        clip = theirs.clamp(-1, 1)
        made = model.encode_video(clip)
        near(raw(pipe, made), pipe.vae.encode(clip).latent_dist.mode())
    assert made.shape == z.shape


def test_a_codec_of_ltx_that_wants_a_timestep_gets_one(page):
    pipe = bring_tiny.ltx(timestep_conditioning=True)
    model = page["LTX"](pipe, size=(16, 16), frames=2)
    assert model.decode(torch.randn(2, 8, 2, 4, 4)).shape == (2, 3, 5, 16, 16)

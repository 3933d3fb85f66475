"""pytest tests/test_bring_vta.py: LTX and SkyReels-V2 with one timestep per frame, against diffusers' own two paths."""

import re
from pathlib import Path

import bring_tiny
import pytest
import torch
import wan_tiny
from diffusers import FirstBlockCacheConfig, SkyReelsV2DiffusionForcingPipeline, UniPCMultistepScheduler

import pusa_lab as pl
from pusa_lab.training import add_lora
from pusa_lab.vta import adopt, shared_timestep
from pusa_lab.wan.transformer import VTAWanTransformer3DModel

PAGE = (Path(__file__).parents[1] / "docs" / "bring_your_model.md").read_text()
FRAMES, HIGH, WIDE = 4, 4, 6
SCALE = (4 / 25, 4, 4)
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*does not have many workers.*")


def timesteps(batch=2, frames=FRAMES):
    return 1000 * torch.rand(batch, frames)


def ltx_inputs(dtype=torch.float32):
    tokens, text = torch.randn(2, FRAMES * HIGH * WIDE, 8, dtype=dtype), torch.randn(2, 6, 16, dtype=dtype)
    return tokens, text, torch.tensor([[1] * 6, [1, 1, 1, 0, 0, 0]])


def ltx_call(model, t, tokens, text, mask):
    with torch.no_grad():
        return model(tokens, text, t, mask, FRAMES, HIGH, WIDE, SCALE).sample


def skyreels_inputs(batch=2, dtype=torch.float32):
    return torch.randn(batch, 4, FRAMES, HIGH, WIDE, dtype=dtype), torch.randn(batch, 6, 16, dtype=dtype)


def skyreels_call(model, t, x, text, **options):
    with torch.no_grad():
        return model(x, t, text, **options).sample


def off(a, b):
    return float((a.float() - b.float()).abs().max())


SKYREELS = [{}, {"num_frame_per_block": 2}, {"inject_sample_info": True}]


def test_ltx_equals_diffusers_per_token_path():
    inputs, t = ltx_inputs(), timesteps()
    want = ltx_call(bring_tiny.ltx_transformer(), t.repeat_interleave(HIGH * WIDE, dim=1), *inputs)
    assert want.std() > 0.1
    assert off(ltx_call(adopt(bring_tiny.ltx_transformer()), t, *inputs), want) < 2e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equal_timesteps_are_diffusers_scalar_path_bit_for_bit_in_ltx(dtype):
    inputs, t = ltx_inputs(dtype), timesteps()[:, :1]
    theirs, ours = bring_tiny.ltx_transformer().to(dtype), adopt(bring_tiny.ltx_transformer()).to(dtype)
    assert torch.equal(ltx_call(ours, t.expand(-1, FRAMES), *inputs), want := ltx_call(theirs, t[:, 0], *inputs))
    assert torch.equal(ltx_call(ours, t[:, 0], *inputs), want)
    assert torch.equal(ltx_call(ours, t, *inputs), want)


def test_ltx_still_takes_one_timestep_per_token():
    inputs, t = ltx_inputs(), 1000 * torch.rand(2, FRAMES * HIGH * WIDE)
    want = ltx_call(bring_tiny.ltx_transformer(), t, *inputs)
    assert torch.equal(ltx_call(adopt(bring_tiny.ltx_transformer()), t, *inputs), want)


@pytest.mark.parametrize("options", SKYREELS)
def test_skyreels_equals_diffusers_diffusion_forcing(options):
    """Diffusers adds the frame rate to one sample only."""
    batch = 1 if "inject_sample_info" in options else 2
    inputs, t, fps = skyreels_inputs(batch), timesteps(batch), [1] * batch
    theirs, ours = bring_tiny.skyreels_transformer(**options), adopt(bring_tiny.skyreels_transformer(**options))
    want = skyreels_call(theirs, t, *inputs, enable_diffusion_forcing=True, fps=fps)
    assert want.std() > 0.1
    assert off(skyreels_call(ours, t, *inputs, fps=fps), want) < 5e-6
    assert off(skyreels_call(ours, t, *inputs, fps=fps, enable_diffusion_forcing=True), want) < 5e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", SKYREELS)
def test_equal_timesteps_are_diffusers_scalar_path_bit_for_bit_in_skyreels(options, dtype):
    inputs, t, fps = skyreels_inputs(dtype=dtype), timesteps()[:, :1], [0, 1]
    theirs = bring_tiny.skyreels_transformer(**options).to(dtype)
    ours = adopt(bring_tiny.skyreels_transformer(**options)).to(dtype)
    want = skyreels_call(theirs, t[:, 0], *inputs, fps=fps)
    assert torch.equal(skyreels_call(ours, t.expand(-1, FRAMES), *inputs, fps=fps), want)
    assert torch.equal(skyreels_call(ours, t[:, 0], *inputs, fps=fps), want)


def test_the_diffusion_forcing_pipeline_makes_the_same_video():
    steps = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 8.0}
    text = torch.randn(1, 6, 16)
    made = []
    for change in (lambda model: model, adopt):
        parts = {"transformer": change(bring_tiny.skyreels_transformer()), "vae": wan_tiny.codec()}
        scheduler = UniPCMultistepScheduler(**steps)
        pipe = SkyReelsV2DiffusionForcingPipeline(
            wan_tiny.tokenizer(), wan_tiny.text_encoder(), **parts, scheduler=scheduler
        )
        pipe.set_progress_bar_config(disable=True)
        size = {"height": 16, "width": 16, "num_frames": 13, "num_inference_steps": 3, "ar_step": 1}
        embeds = {"prompt_embeds": text, "negative_prompt_embeds": torch.zeros_like(text), "guidance_scale": 3.0}
        made.append(
            pipe(None, **embeds, **size, generator=torch.Generator().manual_seed(1), output_type="latent").frames
        )
    assert made[0].std() > 0.1
    assert off(*made) < 1e-4


def test_the_frame_rate_is_that_of_each_sample():
    inputs, t = skyreels_inputs(), timesteps()
    model = adopt(bring_tiny.skyreels_transformer(inject_sample_info=True))
    together = skyreels_call(model, t, *inputs, fps=[0, 1])
    for i in range(2):
        alone = skyreels_call(model, t[i : i + 1], *(x[i : i + 1] for x in inputs), fps=[i])
        torch.testing.assert_close(together[i : i + 1], alone, atol=2e-6, rtol=0)
        assert off(together[i], skyreels_call(model, t, *inputs, fps=[1, 0])[i]) > 0.01


@pytest.mark.parametrize("fps", [None, 24, [1], [0, 24], torch.tensor([[0, 1]])])
@pytest.mark.parametrize("frames", [1, FRAMES])
def test_other_frame_rates_are_refused(fps, frames):
    model, t = adopt(bring_tiny.skyreels_transformer(inject_sample_info=True)), timesteps(frames=frames)
    with pytest.raises(ValueError, match=r"fps is .*, but this checkpoint needs 2 numbers, one per sample: 0 for 16"):
        skyreels_call(model, t[:, 0] if frames == 1 else t, *skyreels_inputs(), fps=fps)


@pytest.mark.parametrize("name", ["ltx", "skyreels"])
def test_nothing_is_repeated_per_token(name, monkeypatch):
    model, seen = adopt(getattr(bring_tiny, f"{name}_transformer")()), []
    block = type((model.transformer_blocks if name == "ltx" else model.blocks)[0])
    forward = block.forward

    def watch(self, x, text, temb, *rest, **named):
        seen.append(temb.untyped_storage().nbytes())
        return forward(self, x, text, temb, *rest, **named)

    monkeypatch.setattr(block, "forward", watch)
    if name == "ltx":
        ltx_call(model, timesteps(), *ltx_inputs())
    else:
        skyreels_call(model, timesteps(), *skyreels_inputs())
    assert seen == [2 * FRAMES * 6 * 24 * 4] * 2


@pytest.mark.parametrize("kind", ["ltx", "skyreels"])
def test_an_adopted_model_is_the_same_object_and_its_folder_is_diffusers(kind, tmp_path):
    plain = getattr(bring_tiny, f"{kind}_transformer")()
    parent, weights = type(plain), {name: w.data_ptr() for name, w in plain.named_parameters()}
    model = adopt(plain)
    assert model is plain and adopt(model) is model and isinstance(model, parent)
    assert {name: w.data_ptr() for name, w in model.named_parameters()} == weights
    model.save_pretrained(tmp_path)
    again = parent.from_pretrained(tmp_path)
    assert type(again) is parent and adopt(again) is again
    assert type(adopt(type(model).from_config(model.config))) is type(model)


def test_gradients_with_and_without_checkpointing_agree():
    inputs, t = skyreels_inputs(), timesteps()
    tokens = ltx_inputs()
    found = []
    for saved in (False, True):
        models = adopt(bring_tiny.skyreels_transformer()), adopt(bring_tiny.ltx_transformer())
        for model in models:
            model.train()
            if saved:
                model.enable_gradient_checkpointing()
        v = models[0](inputs[0], t, inputs[1]).sample
        w = models[1](tokens[0], tokens[1], t, tokens[2], FRAMES, HIGH, WIDE, SCALE).sample
        (v.square().mean() + w.square().mean()).backward()
        found.append(
            [models[0].blocks[0].attn1.to_q.weight.grad, models[1].transformer_blocks[0].ff.net[2].weight.grad]
        )
    assert all(torch.equal(a, b) and a.abs().max() > 0 for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("name", ["ltx", "skyreels"])
def test_weights_may_be_cast_before_or_after(name):
    call, inputs = (ltx_call, ltx_inputs()) if name == "ltx" else (skyreels_call, skyreels_inputs())
    t, made = timesteps(), []
    for first in (True, False):
        model = getattr(bring_tiny, f"{name}_transformer")()
        model = adopt(model) if first else model
        model.enable_layerwise_casting(storage_dtype=torch.bfloat16, compute_dtype=torch.float32)
        made.append(call(adopt(model), t, *inputs))
    assert torch.equal(*made)
    assert 0 < off(made[0], call(adopt(getattr(bring_tiny, f"{name}_transformer")()), t, *inputs)) < 0.2


@pytest.mark.parametrize("name", ["ltx", "skyreels"])
def test_diffusers_caches_know_the_blocks(name):
    """With a threshold this high the second call leaves out the second block."""
    model = adopt(getattr(bring_tiny, f"{name}_transformer")())
    call, inputs = (ltx_call, ltx_inputs()) if name == "ltx" else (skyreels_call, skyreels_inputs())
    t = timesteps()
    want, other = (call(model, t, *inputs) for t in (t, t.flip(1)))
    model.enable_cache(FirstBlockCacheConfig(threshold=1e9))
    with model.cache_context("cond"):
        assert torch.equal(call(model, t, *inputs), want)
        assert off(call(model, t.flip(1), *inputs), other) > 1e-3
    model.disable_cache()
    assert torch.equal(call(model, t, *inputs), want)


def test_wan_is_adopted_by_the_same_call():
    assert type(adopt(wan_tiny.transformer())) is VTAWanTransformer3DModel


def hooked():
    model = bring_tiny.ltx_transformer()
    model.transformer_blocks[0].forward = model.transformer_blocks[0].forward
    return model


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: torch.nn.Linear(2, 2),
            "a Linear cannot be adopted: give one of diffusers' WanTransformer3DModel, LTX",
        ),
        (lambda: bring_tiny.hunyuan().transformer, "a HunyuanVideoTransformer3DModel cannot be adopted"),
        (
            lambda: type("LTXVideoTransformer3DModel", (torch.nn.Linear,), {})(2, 2),
            "a LTXVideo.* cannot be made a VTA model: give diffusers' own LTX",
        ),
        (hooked, "already has hooks"),
        (lambda: bring_tiny.ltx_transformer(out_channels=4), r"image-to-video model \(8 input channels for 4 latent"),
        (lambda: bring_tiny.ltx_transformer(patch_size_t=2), "a patch spans 2 latent frames"),
        (
            lambda: bring_tiny.skyreels_transformer(in_channels=9),
            r"image-to-video model \(9 input channels for 4 latent",
        ),
        (lambda: bring_tiny.skyreels_transformer(image_dim=8), "this is an image-to-video model"),
        (lambda: bring_tiny.skyreels_transformer(patch_size=(2, 2, 2)), "a patch spans 2 latent frames"),
    ],
)
def test_what_cannot_be_adopted_is_told(make, sentence):
    model = make()
    kind = type(model)
    with pytest.raises(ValueError, match=f"vta.adopt: .*{sentence}"):
        adopt(model)
    assert type(model) is kind


def test_other_timesteps_are_refused():
    with pytest.raises(ValueError, match=r"timestep has shape \(2, 3\), but latents of shape \(2, 4, 4, 4, 6\)"):
        skyreels_call(adopt(bring_tiny.skyreels_transformer()), timesteps(frames=3), *skyreels_inputs())
    with pytest.raises(ValueError, match=r"timestep has shape \(2, 3\), but 96 tokens of 4 frames for 2 samples"):
        ltx_call(adopt(bring_tiny.ltx_transformer()), timesteps(frames=3), *ltx_inputs())
    assert shared_timestep([[0.5, 0.5], [0.1, 0.1]]).tolist() == pytest.approx([0.5, 0.1])
    with pytest.raises(ValueError, match=r"vta\.shared_timestep: tau differs between the frames"):
        shared_timestep([[0.5, 0.5], [0.1, 0.2]])


@pytest.fixture(scope="module")
def page():
    space = {}
    for snippet in re.findall(r"```python\n(.*?)```", PAGE, re.S):
        exec(compile(snippet, "docs/bring_your_model.md", "exec"), space)
    return space


def measured(model, latents, captions):
    """Loss at fixed timesteps and noise."""
    g = torch.Generator().manual_seed(5)
    tau, eps = torch.rand(len(latents), latents.shape[2], generator=g), torch.randn(latents.shape, generator=g)
    with torch.no_grad():
        return float(pl.losses.fafm_loss(model, latents, tau, eps, **model.encode_text(captions)))


@pytest.mark.parametrize("name", ["LTX", "SkyReels"])
def test_the_lightning_module_trains_a_lora_of_it(page, name):
    pipe = getattr(bring_tiny, name.lower())()
    model = page[name](pipe, size=(16, 16), frames=3)
    captions = ["a red circle moves right", "a blue square moves up"]
    latents = torch.randn(2, 1, 3, 1, 1).expand(model.geometry.latent_shape(2, 3)).clone()
    before = {key: weight.clone() for key, weight in model.state_dict().items()}
    texts = {key: weight.clone() for key, weight in pipe.text_encoder.state_dict().items()}
    first = measured(model, latents, captions)
    update = page["adapt"](model, latents, captions, steps=60)
    assert measured(model, latents, captions) < 0.8 * first
    assert update and all(".lora_" in key for key in update)
    after = {key.replace(".base_layer", ""): w for key, w in model.state_dict().items() if ".lora_" not in key}
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert all(torch.equal(w, texts[key]) for key, w in pipe.text_encoder.state_dict().items())
    assert max(float(w.abs().max()) for key, w in update.items() if "lora_B" in key) > 1e-3


def test_a_lora_at_its_start_changes_nothing():
    inputs, t = ltx_inputs(), timesteps()
    model = adopt(bring_tiny.ltx_transformer())
    before = ltx_call(model, t, *inputs)
    add_lora(model, 4, "attn")
    assert torch.equal(ltx_call(model, t, *inputs), before)

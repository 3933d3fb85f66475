"""WanModel from folders in the published layout, against diffusers' own pipeline."""

import functools
import json
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline
from diffusers.pipelines.wan import pipeline_wan
from safetensors.torch import load_file, save_file
from wan_tiny import FAMILIES, RENAMED, pipeline, transformer

import pusa_lab as pl
from pusa_lab.conditions import encode_at
from pusa_lab.types import VideoModel
from pusa_lab.wan import loading
from pusa_lab.wan.folders import check_wan_folder
from pusa_lab.wan.model import WanModel
from pusa_lab.wan.prompts import clean

SMALL = {"size": (32, 64), "num_frames": 9, "dtype": torch.float32, "device": "cpu", "cache": None}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Family -> a folder with sharded weights."""
    place = tmp_path_factory.mktemp("wan")
    for family in FAMILIES:
        pipeline(family).save_pretrained(place / family, max_shard_size="40KB")
    assert len(list((place / "wan2.1-14b" / "transformer").glob("*-of-*.safetensors"))) > 1
    return place


@pytest.fixture
def broken(folders, tmp_path):
    """A copy that a test may spoil."""
    shutil.copytree(folders / "wan2.1-14b", tmp_path / "wan")
    return tmp_path / "wan"


def load(folders, family="wan2.1-14b", **changes):
    return WanModel.from_pretrained(folders / family, **{**SMALL, **changes})


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_generates_by_the_same_call(folders, family):
    model = load(folders, family)
    assert isinstance(model, VideoModel)
    picture = np.random.default_rng(0).integers(0, 255, (32, 64, 3), dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "some frames have tau below")
        result = pl.generate(model, ["a red ball", "a dog"], pl.tasks.image_to_video(picture), steps=3, guidance=3.0)
    assert result.video.shape == (2, 9, 32, 64, 3)
    wanted = encode_at(model, pl.pixels.to_pixels(picture), 0)
    torch.testing.assert_close(result.latents[:, :, :1], wanted.expand(2, -1, -1, -1, -1))


@pytest.mark.parametrize("family", ["wan2.1-14b", "wan2.2-a14b"])
def test_text_to_video_is_diffusers_pipeline(folders, family, monkeypatch):
    """The same noise, grid and guidance through WanPipeline with an Euler scheduler."""
    monkeypatch.setattr(pipeline_wan, "prompt_clean", clean)  # theirs needs ftfy
    model = load(folders, family)
    run = pl.prepare(model, "a red ball", steps=4, guidance=3.0, shift=3.0)
    for state in run.states():
        last = state.x
    pipe = WanPipeline.from_pretrained(folders / family)
    pipe.scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0)
    pipe.set_progress_bar_config(disable=True)
    step = FlowMatchEulerDiscreteScheduler.set_timesteps

    def on_our_grid(self, steps, device=None, **_):
        step(self, sigmas=run.schedule[:-1, 0].tolist(), device=device)

    monkeypatch.setattr(FlowMatchEulerDiscreteScheduler, "set_timesteps", on_our_grid)
    options = {"height": 32, "width": 64, "num_frames": 9, "num_inference_steps": 4, "guidance_scale": 3.0}
    theirs = pipe("a red ball", negative_prompt="", latents=run.x, output_type="latent", **options).frames
    torch.testing.assert_close(last, theirs, atol=2e-4, rtol=1e-3)


def test_codec_and_captions_are_diffusers(folders, monkeypatch):
    monkeypatch.setattr(pipeline_wan, "prompt_clean", clean)
    pipe = WanPipeline.from_pretrained(folders / "wan2.1-14b")
    model = load(folders)
    prompts = ["a red ball", "", "two   dogs &amp;amp; a cat"]
    theirs, _ = pipe.encode_prompt(prompts, do_classifier_free_guidance=False, max_sequence_length=512)
    torch.testing.assert_close(model.encode_text(prompts)["text"], theirs, atol=1e-5, rtol=1e-5)
    clip = 2 * torch.rand(2, 3, 9, 32, 64) - 1
    mean, std = (torch.tensor(pipe.vae.config[k]).view(1, -1, 1, 1, 1) for k in ("latents_mean", "latents_std"))
    with torch.no_grad():
        z = pipe.vae.encode(clip).latent_dist.mode()
        torch.testing.assert_close(model.encode_video(clip), (z - mean) / std)
        # normalising and back rounds the latents
        torch.testing.assert_close(
            model.decode((z - mean) / std), pipe.vae.decode(z)[0].clamp(-1, 1), atol=1e-4, rtol=0
        )


def test_known_clips_hold_nothing_of_the_frames_between(folders):
    """Start and end are encoded alone: other pixels between them change no known latent (PAPER.md, flaw 13)."""
    model = load(folders, num_frames=21)
    video = np.random.default_rng(1).integers(0, 255, (21, 32, 64, 3), dtype=np.uint8)
    other = video.copy()
    other[5:17] = 0
    found = [
        pl.prepare(model, "a", pl.tasks.transition(v[:5], v[-4:]), steps=2, guidance=1.0).conditions
        for v in (video, other)
    ]
    assert torch.equal(found[0].latents, found[1].latents)


def test_a_wrapped_pipeline_is_the_loaded_folder(folders):
    pipe = WanPipeline.from_pretrained(folders / "wan2.1-14b")
    wrapped = WanModel.from_pipeline(pipe)
    assert wrapped.transformer is pipe.transformer
    assert wrapped.geometry == replace(load(folders).geometry, frames=21, size=(480, 832))
    wrapped.geometry = load(folders).geometry
    a, b = (pl.generate(m, "a red ball", steps=2, guidance=2.0).latents for m in (wrapped, load(folders)))
    assert torch.equal(a, b)


def test_guidance_1_asks_the_transformer_once_a_step(folders, monkeypatch):
    model, calls = load(folders), []
    forward = type(model.transformer).forward
    count = lambda self, *a, **k: calls.append(1) or forward(self, *a, **k)  # noqa: E731
    monkeypatch.setattr(type(model.transformer), "forward", count)
    pl.generate(model, "a", steps=3, guidance=1.0)
    assert len(calls) == 3
    pl.generate(model, "a", steps=3, guidance=2.0)
    assert len(calls) == 3 + 6


@pytest.fixture(scope="module")
def without_a_block(folders):
    """Latents of a family, guided by a model from which the block was deleted."""

    @functools.cache
    def made(family):
        whole, cut = load(folders, family), load(folders, family)
        for expert in cut.experts:
            del expert.blocks[1]

        def guided(denoiser, null):
            def velocity(x, tau, **cond):
                v, v_null, v_cut = whole(x, tau, **cond), whole(x, tau, **null), cut(x, tau, **cond)
                return v_null + 3 * (v - v_null) + 2 * (v - v_cut)

            return velocity

        return pl.generate(whole, "a red ball", steps=2, guidance=guided).latents

    return made


@pytest.mark.parametrize("family", ["wan2.1-14b", "wan2.2-a14b"])
@pytest.mark.parametrize("offload", ["none", "model", "group"])
def test_wan_skips_layers(folders, without_a_block, family, offload):
    """As if the block were not there, wherever its weights lie and whichever expert is at work."""
    model = load(folders, family, offload=offload)
    found = pl.generate(model, "a red ball", steps=2, guidance="skip_layer_guidance(layers=[1], weight=2, scale=3)")
    assert found.calls == 6
    torch.testing.assert_close(found.latents, without_a_block(family))


@pytest.mark.parametrize("offload", ["model", "group"])
def test_offloading_changes_nothing(folders, offload):
    results = [
        pl.generate(load(folders, "wan2.2-a14b", offload=o), "a dog", steps=3).latents for o in ("none", offload)
    ]
    torch.testing.assert_close(*results)


class TestExperts:
    def test_the_generated_frames_timestep_decides(self, folders):
        model = load(folders, "wan2.2-a14b")
        x = torch.randn(3, 4, 3, 4, 8)
        tau = torch.tensor([[0.9, 0.95, 0.9], [0.5, 0.2, 0.86], [0.875, 0.9, 0.9]])
        text = model.encode_text(["a", "b", "c"])["text"]
        with torch.no_grad():
            v = model(x, tau, text)
            for row, expert in ((0, 0), (1, 1), (2, 0)):
                alone = model.experts[expert](x[row, None], 1000 * tau[row, None], text[row, None])[0]
                torch.testing.assert_close(v[row, None], alone)

    def test_a_clean_frame_does_not_call_the_low_noise_expert_but_is_told(self, folders):
        model = load(folders, "wan2.2-a14b")
        x, text = torch.randn(1, 4, 3, 4, 8), model.encode_text(["a"])["text"]
        tau = torch.tensor([[0.0, 0.95, 0.95]])
        with torch.no_grad(), pytest.warns(UserWarning, match="below 0.875 while the expert for high noise"):
            v = model(x, tau, text)
        with torch.no_grad():
            torch.testing.assert_close(v, model.experts[0](x, 1000 * tau, text)[0])


class TestBadFolders:
    def refused(self, folder, match, **changes):
        with pytest.raises(ValueError, match=match):
            WanModel.from_pretrained(folder, **{**SMALL, **changes})

    def test_no_folder_and_no_hub(self, monkeypatch):
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        self.refused("no/such-model", "is not a folder, and the Hugging Face Hub did not provide it")
        self.refused("/no/such/model", "is not a folder")

    def test_another_layout(self, tmp_path):
        self.refused(tmp_path, "has no model_index.json")

    @pytest.mark.parametrize("part", ["vae", "text_encoder", "tokenizer", "transformer"])
    def test_a_missing_part(self, broken, part):
        shutil.rmtree(broken / part)
        self.refused(broken, f"has no folder {part}")

    def test_a_missing_shard(self, broken):
        (broken / "transformer" / "diffusion_pytorch_model-00002-of-00003.safetensors").unlink()
        self.refused(broken, "lacks diffusion_pytorch_model-00002-of-00003.safetensors of 3 shards")

    def test_a_truncated_shard(self, broken):
        file = sorted((broken / "transformer").glob("*.safetensors"))[1]
        file.write_bytes(file.read_bytes()[:-100])
        self.refused(broken, "its header needs")
        file.write_bytes(b"\x00" * 4)
        self.refused(broken, "is not a safetensors file")

    def test_only_pickles(self, broken):
        for file in (broken / "vae").glob("*.safetensors*"):
            file.unlink()
        (broken / "vae" / "diffusion_pytorch_model.bin").write_bytes(b"x")
        self.refused(broken, "pickled weights are not read")

    def test_an_image_to_video_model(self, broken):
        config = broken / "transformer" / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "in_channels": 36, "out_channels": 16}))
        self.refused(broken, r"image-to-video Wan \(36 input channels")

    def test_sizes(self, folders):
        folder = folders / "wan2.1-14b"
        self.refused(
            folder, "a size of 40 x 64: height and width must be multiples of 16 and 16, such as 32 x 64", size=(40, 64)
        )
        self.refused(folder, r"10 pixel frames.*give 1 \+ 4 \* k", num_frames=10)
        self.refused(folders / "wan2.2-5b", "multiples of 32 and 32", size=(48, 64))
        self.refused(folder, "unknown offload 'disk'", offload="disk")
        self.refused(folder, "2 LoRA files but 1 strength:", lora=["a", "b"], strength=[1.0])
        self.refused(folder, "has one transformer", lora_low="a")

    def test_a_codec_of_other_channels(self, broken, folders):
        shutil.rmtree(broken / "vae")
        shutil.copytree(folders / "wan2.2-5b" / "vae", broken / "vae")
        self.refused(broken, "a codec of 6 channels for a transformer of 4")

    def test_a_gpu_too_small(self, folders, monkeypatch):
        folder = check_wan_folder(folders / "wan2.2-a14b")
        need = {k: n * (4 if k == "vae" else 2) for k, n in folder.parameters.items()}
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (max(need.values()) + 1, 0))
        gpu = torch.device("cuda")
        with pytest.raises(ValueError, match="use offload='model'"):
            loading.require_room(folder, torch.bfloat16, gpu, "none")
        loading.require_room(folder, torch.bfloat16, gpu, "model")
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10, 0))
        with pytest.raises(ValueError, match="a larger GPU or a smaller model"):
            loading.require_room(folder, torch.bfloat16, gpu, "group")


def test_parameters_are_counted_from_the_files(folders):
    folder, pipe = check_wan_folder(folders / "wan2.2-a14b"), pipeline("wan2.2-a14b")
    for name in ("transformer", "transformer_2", "vae"):
        assert folder.parameters[name] == sum(p.numel() for p in getattr(pipe, name).parameters())


def test_the_precision_of_the_weights_is_used_and_the_latents_kept(folders):
    model = load(folders, dtype=torch.bfloat16)
    assert model.transformer.dtype == torch.bfloat16
    assert model.transformer.scale_shift_table.dtype == torch.float32
    assert model.codec.dtype == torch.float32
    result = pl.generate(model, "a dog", steps=2)
    assert result.latents.dtype == torch.float32
    assert np.isfinite(result.video).all()


class TestUpdates:
    """LoRA files on the way in: the transformer of the loaded model has them."""

    def update(self, path, seed):
        g = torch.Generator().manual_seed(seed)
        save_file(
            {
                "blocks.0.self_attn.q.lora_A.default.weight": torch.randn(2, 24, generator=g),
                "blocks.0.self_attn.q.lora_B.default.weight": torch.randn(24, 2, generator=g),
            },
            path,
        )
        loaded = load_file(path).values()
        a, b = loaded if next(iter(loaded)).shape[0] == 2 else reversed(list(loaded))
        return path, b @ a

    def test_each_expert_gets_its_own_at_its_own_strength(self, folders, tmp_path):
        high, change = self.update(tmp_path / "high.safetensors", 1)
        low, change_low = self.update(tmp_path / "low.safetensors", 2)
        model = load(folders, "wan2.2-a14b", lora=high, strength=1.5, lora_low=[low], strength_low=[1.4], merged=False)
        for expert, want, times in zip(model.experts, (change, change_low), (1.5, 1.4), strict=True):
            q = expert.blocks[0].attn1.to_q
            x = torch.randn(5, 24)
            torch.testing.assert_close(q(x) - q.base_layer(x), times * x @ want.T, atol=1e-4, rtol=1e-4)

    def test_a_misfit_is_refused(self, folders, tmp_path):
        save_file({"nothing.known": torch.ones(1)}, tmp_path / "x.safetensors")
        with pytest.raises(ValueError, match=r"x\.safetensors"):
            load(folders, lora=tmp_path / "x.safetensors")


def test_a_single_file_in_wans_own_names(folders, tmp_path):
    other = transformer("wan2.1-14b", seed=5)
    weights = {}
    for name, tensor in other.state_dict().items():
        for ours, theirs in RENAMED.items():
            name = name.replace(ours, theirs)
        name = "head.modulation" if name == "scale_shift_table" else name.replace("scale_shift_table", "modulation")
        weights[name] = tensor.contiguous()
    save_file(weights, tmp_path / "wan.safetensors")
    model = load(folders, transformer=tmp_path / "wan.safetensors")
    for (name, got), want in zip(model.transformer.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(got, want), name


@pytest.mark.parametrize("codec", [torch.nn.Linear(1, 1), torch.nn.Identity()])
def test_another_codec_is_refused_before_the_transformer_is_touched(codec):
    plain = transformer()
    kind = type(plain)
    with pytest.raises(ValueError, match=r"codec is an? .*: give diffusers' AutoencoderKLWan"):
        WanModel(plain, codec, print)
    assert type(plain) is kind


def test_latents_of_another_codec_are_refused(folders):
    codec = WanModel.from_pretrained(folders / "wan2.1-14b", **SMALL).codec
    for shape in ((1, codec.config.z_dim + 1, 1, 2, 2), (1, codec.config.z_dim, 1, 0, 2)):
        with pytest.raises(ValueError, match=rf"give \(b, {codec.config.z_dim}, f, h, w\), no size 0"):
            pl.wan.latents.decode_latents(codec, torch.zeros(shape))
    with pytest.raises(ValueError, match="latents reach nan: give normalised ones"):
        pl.wan.latents.decode_latents(codec, torch.full((1, codec.config.z_dim, 1, 2, 2), torch.nan))
    with pytest.raises(ValueError, match="the clip's pixels reach 255: give floats in"):
        pl.wan.latents.encode_clip(codec, torch.full((1, 3, 1, 32, 64), 255.0))

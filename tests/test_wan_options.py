"""What WanModel is told and what it then does: experts, LoRA files, memory, sizes; each mistake in one sentence."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from diffusers.hooks import group_offloading
from safetensors.torch import save_file
from wan_tiny import pipeline, transformer

import pusa_lab as pl
from pusa_lab.wan.lora import load_lora, merge, unmerge
from pusa_lab.wan.model import WanModel
from pusa_lab.wan.transformer import VTAWanTransformer3DModel

SMALL = {"size": (32, 64), "num_frames": 9, "dtype": torch.float32, "device": "cpu", "cache": None}
KEY = "blocks.0.self_attn.q"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("wan")
    for family in ("wan2.1-14b", "wan2.2-a14b"):
        pipeline(family).save_pretrained(place / family)
    return place


def load(folders, family="wan2.1-14b", **changes):
    return WanModel.from_pretrained(folders / family, **{**SMALL, **changes})


def lora(path, seed=0, times=1.0):
    g = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, 24, generator=g), times * torch.randn(24, 2, generator=g)
    save_file({f"{KEY}.lora_A.default.weight": a, f"{KEY}.lora_B.default.weight": b}, path)
    return path


class TestUpdates:
    def test_they_are_merged_unless_told_otherwise(self, folders, tmp_path):
        path = lora(tmp_path / "x.safetensors")
        merged, attached = (load(folders, lora=path, strength=1.4, merged=m) for m in (True, False))
        assert not getattr(merged.transformer, "peft_config", None)
        assert attached.transformer.peft_config
        a, b = (pl.generate(m, "a dog", steps=2).latents for m in (merged, attached))
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(a, pl.generate(load(folders), "a dog", steps=2).latents, atol=1e-2)

    def test_what_matched_is_kept(self, folders, tmp_path):
        (report,) = load(folders, lora=lora(tmp_path / "x.safetensors")).loras[0]
        assert report.matched == ("blocks.0.attn1.to_q",)

    def test_a_file_that_does_nothing_is_told(self, folders, tmp_path):
        with pytest.warns(UserWarning, match="zero everywhere"):
            load(folders, lora=lora(tmp_path / "x.safetensors", times=0.0))

    def test_half_a_pair_is_told(self, folders, tmp_path):
        with pytest.warns(UserWarning, match="only one of the two experts"):
            load(folders, "wan2.2-a14b", lora=lora(tmp_path / "x.safetensors"))

    def test_mistakes_are_found_before_the_weights_are_read(self, folders, tmp_path, monkeypatch):
        read = []
        monkeypatch.setattr("pusa_lab.wan.experts.read_transformer", lambda *a: read.append(a))
        with pytest.raises((ValueError, FileNotFoundError), match=r"missing\.safetensors"):
            load(folders, lora=tmp_path / "missing.safetensors")
        with pytest.raises(ValueError, match="strength"):
            load(folders, lora=lora(tmp_path / "x.safetensors"), strength=float("nan"))
        assert not read


class TestExperts:
    def test_each_has_a_file_of_its_own(self, folders, tmp_path):
        files = []
        for seed in (5, 6):
            files.append(tmp_path / f"{seed}.safetensors")
            save_file(transformer(seed=seed).state_dict(), files[-1])
        model = load(folders, "wan2.2-a14b", transformer=files[0], transformer_low=files[1])
        for expert, seed in zip(model.experts, (5, 6), strict=True):
            assert torch.equal(expert.proj_out.weight, transformer(seed=seed).proj_out.weight)

    def test_one_file_for_two_is_refused(self, folders, tmp_path):
        save_file(transformer().state_dict(), tmp_path / "x.safetensors")
        with pytest.raises(ValueError, match="two experts: give transformer= and transformer_low="):
            load(folders, "wan2.2-a14b", transformer=tmp_path / "x.safetensors")
        with pytest.raises(ValueError, match="has one transformer"):
            load(folders, transformer_low=tmp_path / "x.safetensors")


class TestSizes:
    def test_the_shift_is_pusas_whatever_the_scheduler_says(self, folders):
        assert load(folders).geometry.shift == 5.0
        assert load(folders, shift=3.0).geometry.shift == 3.0

    def test_others_may_be_assigned_and_are_checked(self, folders):
        model = load(folders)
        model.geometry = replace(model.geometry, size=(48, 32), frames=2)
        assert pl.generate(model, "a dog", steps=1).video.shape == (1, 5, 48, 32, 3)
        with pytest.raises(ValueError, match="a size of 40 x 64: height and width must be multiples of 16"):
            model.geometry = replace(model.geometry, size=(40, 64))
        with pytest.raises(ValueError, match="change only size, frames, fps and shift"):
            model.geometry = replace(model.geometry, channels=5)
        assert model.geometry.size == (48, 32)

    def test_another_size_keeps_the_frame_rate_and_the_shift(self, folders):
        model = load(folders)
        model.geometry = replace(model.geometry, fps=24, shift=3.0, frames=2)
        assert model.geometry_at((48, 32)) == replace(model.geometry, size=(48, 32))
        with pytest.raises(ValueError, match="a size of 40 x 64: height and width must be multiples"):
            model.geometry_at((40, 64))


class TestMemory:
    @pytest.fixture
    def moves(self, folders, monkeypatch):
        """A model whose parts are only noted to move."""
        model = load(folders, offload="model")
        where = {}
        for name, part in (("dit", model.transformer), ("codec", model.codec)):
            monkeypatch.setattr(part, "to", lambda place, name=name: where.update({name: str(place)}))
        model.device = "the gpu"
        return model, where

    def test_the_codec_is_alone_on_the_device(self, moves):
        model, where = moves
        where["dit"] = "the gpu"
        with model._use(model.codec):
            assert where == {"dit": "cpu", "codec": "the gpu"}
        assert where["codec"] == "cpu"

    def test_and_leaves_it_when_something_fails(self, moves):
        model, where = moves
        with pytest.raises(RuntimeError, match="out of memory"), model._use(model.codec):
            raise RuntimeError("out of memory")
        assert where["codec"] == "cpu"

    def test_eight_bits_in_store(self, folders, tmp_path):
        file = lora(tmp_path / "x.safetensors", times=0.01)
        model = load(folders, precision="float8-storage", lora=file, dtype=torch.bfloat16)
        assert model.transformer.blocks[0].attn1.to_q.weight.dtype == torch.float8_e4m3fn
        assert model.transformer.patch_embedding.weight.dtype == torch.bfloat16
        assert pl.generate(model, "a dog", steps=1).latents.isfinite().all()


class TestPlainMistakes:
    def refused(self, folders, match, **changes):
        with pytest.raises(ValueError, match=match):
            load(folders, **changes)

    def test_in_one_sentence(self, folders, as_user):
        self.refused(folders, "dtype is 'bfloat16' .*: give a dtype, such as torch.bfloat16", dtype="bfloat16")
        self.refused(folders, "for 8 bits precision='float8' or 'float8-storage'", dtype=torch.float8_e4m3fn)
        self.refused(folders, "PyTorch sees no GPU here", device="cuda")

    def test_a_cache_may_be_named(self, folders, tmp_path):
        load(folders, cache=str(tmp_path / "captions")).encode_text(["a dog"])
        assert list((tmp_path / "captions").glob("*.safetensors"))

    def test_a_pipeline_without_its_parts(self, folders):
        pipe = WanPipeline.from_pretrained(folders / "wan2.1-14b", text_encoder=None)
        with pytest.raises(ValueError, match="no text_encoder: load it with all of its parts"):
            WanModel.from_pipeline(pipe)

    def test_no_device_is_the_pipelines(self, folders):
        assert WanModel.from_pipeline(WanPipeline.from_pretrained(folders / "wan2.1-14b")).device.type == "cpu"


def test_pipelines_with_it_open_with_plain_diffusers(folders, tmp_path):
    pipe = WanPipeline.from_pretrained(folders / "wan2.1-14b")
    x, text = torch.randn(1, 4, 2, 4, 4), torch.randn(1, 3, 16)
    want = pipe.transformer(x, torch.tensor([500.0]), text)[0]
    pipe = WanPipeline(**{**pipe.components, "transformer": VTAWanTransformer3DModel.adopt(pipe.transformer)})
    pipe.save_pretrained(tmp_path / "again")
    opened = WanPipeline.from_pretrained(tmp_path / "again")
    assert type(opened.transformer) is WanTransformer3DModel
    assert torch.equal(opened.transformer(x, torch.tensor([500.0]), text)[0], want)


def test_another_class_is_not_adopted():
    class WanVACE(WanTransformer3DModel):
        pass

    model = transformer()
    model.__class__ = WanVACE
    with pytest.raises(ValueError, match="a WanVACE cannot be made a VTA model"):
        VTAWanTransformer3DModel.adopt(model)


class Stream:
    """Stands for CUDA's: everything happens at once."""

    def __init__(self, device=None):
        pass

    def synchronize(self):
        pass

    def stream(self, _):
        return nullcontext()

    def current_stream(self):
        return self


def test_a_lora_may_come_after_block_by_block_offloading_with_streams(monkeypatch, tmp_path):
    monkeypatch.setattr(group_offloading, "TorchDeviceBackend", Stream)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self, *a, **k: self.clone())
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda self, *a, **k: True)
    settings = group_offloading.GroupOffloadingConfig
    with_streams = lambda *a, **k: settings(*a, **{**k, "stream": Stream(), "non_blocking": True})  # noqa: E731
    monkeypatch.setattr(group_offloading, "GroupOffloadingConfig", with_streams)
    model, bare = (VTAWanTransformer3DModel.adopt(transformer()) for _ in range(2))
    x, t, text = torch.randn(1, 4, 3, 4, 8), 1000 * torch.rand(1, 3), torch.randn(1, 7, 16)
    path = lora(tmp_path / "x.safetensors")
    cpu = torch.device("cpu")
    model.enable_group_offload(cpu, offload_type="block_level", num_blocks_per_group=1)
    with torch.no_grad():
        model(x, t, text)
        for change in (lambda m: load_lora(m, path), merge, unmerge):
            for m in (model, bare):
                change(m)
            torch.testing.assert_close(model(x, t, text)[0], bare(x, t, text)[0])

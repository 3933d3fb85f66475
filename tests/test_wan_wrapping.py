"""pytest tests/test_wan_wrapping.py: pipelines that are compiled or offloaded, and LoRA files of two experts."""

import json
import tempfile

import accelerate
import pytest
import torch
from foreign import loras
from safetensors.torch import save_file
from wan_tiny import pipeline, refused

import pusa_lab as pl
from pusa_lab.wan import lora
from pusa_lab.wan.lora import adapters
from pusa_lab.wan.model import WanModel

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = {"size": (32, 64), "num_frames": 9, "dtype": torch.float32, "device": "cpu", "cache": None}


def velocity(model):
    g = torch.Generator().manual_seed(1)
    x, tau = torch.randn(1, 4, 3, 4, 8, generator=g), torch.tensor([[0.95, 0.9, 0.99]])
    with torch.no_grad():
        return model(x, tau, **model.encode_text(["a dog"]))


def compile_whole(pipe):
    pipe.transformer = torch.compile(pipe.transformer, backend="eager")


def compile_all(pipe):
    for name in ("transformer", "vae", "text_encoder"):
        setattr(pipe, name, torch.compile(getattr(pipe, name), backend="eager"))


def compile_in_place(pipe):
    pipe.transformer.compile(backend="eager")


def compile_blocks(pipe):
    pipe.transformer.compile_repeated_blocks(backend="eager")


@pytest.mark.parametrize("compiled", [compile_whole, compile_all, compile_in_place, compile_blocks])
def test_compiled_pipelines_work_as_others_do(compiled):
    pipe = pipeline()
    want = velocity(WanModel.from_pipeline(pipeline()))
    compiled(pipe)
    model = WanModel.from_pipeline(pipe)
    assert model.transformer is pipe.transformer
    clip = torch.rand(1, 3, 5, 32, 32)
    with torch.compiler.set_stance("force_eager"):  # the modules are those of torch.compile, without its minutes
        torch.testing.assert_close(velocity(model), want, rtol=1e-5, atol=1e-5)
        assert model.decode(model.encode_video(clip)).shape == clip.shape


def group(pipe, name):
    device = torch.device("cpu")
    if name == "text_encoder":
        from diffusers.hooks import apply_group_offloading

        return apply_group_offloading(pipe.text_encoder, device, device, "leaf_level")
    getattr(pipe, name).enable_group_offload(device, device, "leaf_level")
    return None


def one_by_one(pipe, name):
    accelerate.cpu_offload(getattr(pipe, name), "cpu", offload_buffers=True)


def whole(pipe, name):
    accelerate.cpu_offload_with_hook(getattr(pipe, name), "cpu")


def works_as(model, want):
    """Whether a model computes as another one, and still encodes and decodes."""
    clip = torch.rand(1, 3, 5, 32, 32)
    assert torch.equal(velocity(model), want)
    assert model.decode(model.encode_video(clip)).shape == clip.shape
    assert model.device.type == "cpu" and not any(p.is_meta for p in model.transformer.parameters())


@pytest.mark.parametrize(("way", "offload"), [(group, "group"), (one_by_one, "group"), (whole, "model")])
@pytest.mark.parametrize("name", ["transformer", "vae", "text_encoder"])
def test_the_model_takes_over_what_a_pipeline_offloads(way, offload, name):
    pipe, want = pipeline(), velocity(WanModel.from_pipeline(pipeline()))
    way(pipe, name)
    model = WanModel.from_pipeline(pipe)
    assert model.offload == offload and model.transformer is pipe.transformer
    works_as(model, want)


@pytest.mark.parametrize("family", ["wan2.1-14b", "wan2.2-a14b"])
@pytest.mark.parametrize(
    ("way", "offload"),
    [
        (lambda pipe: pipe.enable_model_cpu_offload(device="cpu"), "model"),
        (lambda pipe: pipe.enable_sequential_cpu_offload(device="cpu"), "group"),
        (lambda pipe: pipe.enable_group_offload(torch.device("cpu"), num_blocks_per_group=1), "group"),
        (lambda pipe: pipe.enable_group_offload(torch.device("cpu"), offload_type="leaf_level"), "group"),
    ],
)
def test_the_model_takes_over_a_pipeline_that_diffusers_offloads(way, offload, family):
    pipe, want = pipeline(family), velocity(WanModel.from_pipeline(pipeline(family)))
    way(pipe)
    model = WanModel.from_pipeline(pipe)
    assert model.offload == offload
    works_as(model, want)
    pipe = pipeline(family)
    way(pipe)
    model = WanModel.from_pipeline(pipe, offload="none")
    assert model.offload == "none"
    works_as(model, want)


def test_weights_that_accelerate_keeps_on_the_disk_are_read():
    pipe, want = pipeline(), velocity(WanModel.from_pipeline(pipeline()))
    with tempfile.TemporaryDirectory() as folder:
        accelerate.disk_offload(pipe.transformer, folder, "cpu")
        model = WanModel.from_pipeline(pipe)
    assert model.offload == "group"
    works_as(model, want)


def test_parts_without_weights_in_memory_are_refused(tmp_path):
    pipe = pipeline()
    pipe.transformer.enable_group_offload(
        torch.device("cpu"), offload_to_disk_path=str(tmp_path), num_blocks_per_group=1
    )
    refused("the pipeline's transformer has no weights in memory: load", WanModel.from_pipeline, pipe)
    pipe = pipeline()
    pipe.vae.to("meta")
    refused("the pipeline's vae has no weights in memory: load", WanModel.from_pipeline, pipe)


def test_a_lora_on_what_accelerate_moves_is_refused(tmp_path):
    path, _ = loras.make("PEFT's folder", tmp_path)
    for way in (accelerate.cpu_offload, lambda model: accelerate.cpu_offload_with_hook(model, "cpu")):
        model = loras.base()
        way(model)
        refused("offloaded by accelerate", lora.load_lora, model, path)


@pytest.mark.parametrize("value", [None, 3, "x", [1], torch.ones(2), torch.nn.Linear(1, 1)])
def test_what_is_not_a_pipeline(value):
    with pytest.raises(ValueError, match=r"^wan.WanModel.from_pipeline: pipe is .*: give a WanPipeline"):
        WanModel.from_pipeline(value)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    place = tmp_path_factory.mktemp("wan") / "a14b"
    pipeline("wan2.2-a14b").save_pretrained(place)
    return place


class TestTwoExperts:
    @pytest.fixture
    def files(self, tmp_path):
        """Of both experts, rank 2, scales 4 and 1; and the changes of their weights."""
        q, g, held, changes = "blocks.0.attn1.to_q.lora_{}.weight", torch.Generator().manual_seed(1), {}, []
        told = {}
        for prefix, alpha in (("transformer", 8), ("transformer_2", 2)):
            a, b = torch.randn(2, 24, generator=g), torch.randn(24, 2, generator=g)
            held |= {f"{prefix}.{q.format('A')}": a, f"{prefix}.{q.format('B')}": b}
            told |= {f"{prefix}.r": 2, f"{prefix}.lora_alpha": alpha}
            changes.append(alpha / 2 * b @ a)
        save_file(held, tmp_path / "both.safetensors", {"lora_adapter_metadata": json.dumps(told)})
        low = {key: tensor for key, tensor in held.items() if key.startswith("transformer_2")}
        save_file(low, tmp_path / "low.safetensors")
        return tmp_path / "both.safetensors", tmp_path / "low.safetensors", changes

    def added(self, model, two):
        plain = WanModel.from_pretrained(two, **SMALL)
        q = "blocks.0.attn1.to_q.weight"
        pairs = zip(model.experts, plain.experts, strict=True)
        return [adapters.base_weights(one)[q] - other.get_parameter(q) for one, other in pairs]

    def close(self, found, want):
        for one, other in zip(found, want, strict=True):
            torch.testing.assert_close(one.detach(), other, rtol=1e-5, atol=1e-5)

    def test_a_file_of_both_puts_each_on_its_own(self, two, files):
        both, low, (high_change, low_change) = files
        model = WanModel.from_pretrained(two, lora=both, strength=1.5, **SMALL)
        self.close(self.added(model, two), [1.5 * high_change, 1.5 * low_change])
        model = WanModel.from_pretrained(two, lora=both, lora_low=both, strength=1.5, strength_low=0.5, **SMALL)
        self.close(self.added(model, two), [1.5 * high_change, 0.5 * low_change])
        with pytest.warns(UserWarning, match="only one of the two experts"):
            model = WanModel.from_pretrained(two, lora_low=low, **SMALL)
        self.close(self.added(model, two), [0 * high_change, low_change])

    def test_what_is_for_another_expert_is_refused(self, two, files, whole):
        both, low, _ = files
        for place, how, says in (
            (two, {"lora": low}, "for low noise only .* lora_low="),
            (two, {"lora_low": both}, "holds the LoRAs of both experts: give it as lora="),
            (whole, {"lora": low}, "for low noise only"),
            (whole, {"lora": both}, "of Wan2.2's two experts"),
        ):
            refused(says, lambda p=place, h=how: WanModel.from_pretrained(p, **h, **SMALL))

    def test_the_experts_of_a_model_know_which_they_are(self, two, files):
        both, low, changes = files
        model = WanModel.from_pretrained(two, **SMALL)
        for expert in model.experts:
            lora.load_lora(expert, both, strength=0.5, name="toy")
            lora.merge(expert)
        self.close(self.added(model, two), [0.5 * change for change in changes])
        refused("for low noise only", lora.load_lora, model.experts[0], low)
        lora.load_lora(model.experts[1], low)


@pytest.mark.parametrize(
    "strength", [float("nan"), float("inf"), -float("inf"), [float("nan")], [1.0, float("inf")], "1"]
)
def test_strengths_that_are_not_finite(strength, whole, tmp_path):
    path, _ = loras.make("lora_alpha", tmp_path)
    for name in ("strength", "strength_low"):
        refused("strength", lambda n=name: WanModel.from_pretrained(whole, lora=path, **{n: strength}, **SMALL))


@pytest.mark.parametrize("kind", ["PEFT, rsLoRA", "diffusers, patterns", "kohya, header alone", "lora_alpha"])
@pytest.mark.parametrize("merged", [True, False])
def test_scales_through_from_pretrained(kind, merged, tmp_path):
    (tmp_path / "lora").mkdir()
    path, want = loras.make(kind, tmp_path / "lora")
    pipe = pipeline()
    pipe.transformer = loras.base()
    pipe.save_pretrained(tmp_path / "wan")
    model = WanModel.from_pretrained(tmp_path / "wan", lora=path, merged=merged, **SMALL)
    torch.testing.assert_close(loras.run(model.transformer), want, rtol=1e-5, atol=3e-6)
    assert loras.KINDS[kind][2] in model.loras[0][0].scale_source


@pytest.mark.parametrize("precision", ["float8", "float8-storage"])
@pytest.mark.parametrize("merged", [True, False])
def test_a_lora_in_float8_generates(merged, precision, whole, tmp_path):
    q = {f"blocks.0.self_attn.q.lora_{n}.weight": torch.ones(s) / 9 for n, s in (("A", (2, 24)), ("B", (24, 2)))}
    save_file(q, tmp_path / "q.safetensors")
    how = {**SMALL, "dtype": torch.bfloat16, "precision": precision}
    model = WanModel.from_pretrained(whole, lora=tmp_path / "q.safetensors", merged=merged, **how)
    assert pl.generate(model, "a dog", steps=2).latents.isfinite().all()
    later = WanModel.from_pretrained(whole, **how)
    lora.load_lora(later.transformer, tmp_path / "q.safetensors")
    if not merged:
        assert torch.equal(velocity(later), velocity(model))

"""pytest tests/test_training_wan.py: a tiny Wan from a cache to a LoRA, stopped and resumed, and read back."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from processes import python
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from wan_tiny import TEXT, edit, transformer

from pusa_lab import finetune
from pusa_lab.checkpointing import checkpointing_plan
from pusa_lab.cli import main
from pusa_lab.data import CacheSettings, CacheWriter
from pusa_lab.data.latents import LatentCache
from pusa_lab.data.manifest import manifest_digest
from pusa_lab.files import digest
from pusa_lab.finetune import _stride, train_wan
from pusa_lab.training import VTAModule, activation_checkpointing, add_lora
from pusa_lab.training.activation_checkpointing import set_activation_checkpointing
from pusa_lab.training.float8 import Float8Linear
from pusa_lab.training.lora import WAN_LAYERS
from pusa_lab.training.recipes import WAN_RECIPES
from pusa_lab.types import Geometry
from pusa_lab.wan.configs import WAN_CONFIGS
from pusa_lab.wan.lora import load_lora, save_lora
from pusa_lab.wan.trainable import TrainableWan
from pusa_lab.wan.transformer import VTAWanTransformer3DModel

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*litlogger.*"),
    pytest.mark.filterwarnings("ignore:.*in eval mode at the start.*"),
]
SHORT = replace(WAN_RECIPES["paper"], max_steps=12, global_batch_size=2, lr=1e-2, lora_rank=3, caption_dropout=0.3)
SAVED = replace(SHORT, save_every=5)


def make_cache(folder: Path, clips: int = 5, **changes) -> Path:
    """A cache of noise."""
    g = torch.Generator().manual_seed(1)
    sizes = {"size": (32, 48), "num_frames": 9, "latent_frames": 3, "channels": 4, **changes}
    settings = CacheSettings("tiny", **sizes, fps=16.0, start=0.0, codec="abc", text_encoder="", text_length=512)
    writer = CacheWriter(folder, settings, torch.zeros(1, TEXT))
    for i in range(clips):
        latents, text = torch.randn(4, 3, 4, 6, generator=g), torch.randn(3 + i, TEXT, generator=g)
        writer.add(f"{i}.mp4", str(i), f"clip {i}", latents, text)
    writer.close()
    return folder


@pytest.fixture
def cache(tmp_path):
    return make_cache(tmp_path / "cache")


def go(cache, out, config=SHORT, **options):
    return load_file(train_wan(transformer(), cache, out, config, accelerator="cpu", **options))


def test_trained_stopped_resumed_and_read_back(cache, tmp_path, monkeypatch):
    whole = go(cache, tmp_path / "a.safetensors", SAVED, logs=tmp_path / "a")
    stop = VTAModule.on_train_batch_end
    monkeypatch.setattr(
        VTAModule, "on_train_batch_end", lambda m, *_: setattr(m.trainer, "should_stop", m.global_step >= 7)
    )
    part = go(cache, tmp_path / "b.safetensors", SAVED, logs=tmp_path / "b")
    monkeypatch.setattr(VTAModule, "on_train_batch_end", stop)
    again = go(cache, tmp_path / "b.safetensors", SAVED, logs=tmp_path / "b", resume=tmp_path / "b" / "last.ckpt")
    assert any(not torch.equal(whole[k], part[k]) for k in whole)
    assert whole.keys() == again.keys() and all(torch.equal(whole[k], again[k]) for k in whole)
    states = [torch.load(tmp_path / x / "last.ckpt", weights_only=True)["optimizer_states"][0] for x in "ab"]
    for i, moments in states[0]["state"].items():
        assert all(torch.equal(value, states[1]["state"][i][k]) for k, value in moments.items())
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        metadata = file.metadata()
    assert (
        metadata["rank"] == "3" and len(metadata["commit"]) == 40 and json.loads(metadata["config"])["max_steps"] == 12
    )


@pytest.fixture(scope="module")
def lora(tmp_path_factory):
    """A trained model and its file."""
    place, trained = tmp_path_factory.mktemp("lora"), transformer()
    train_wan(trained, make_cache(place / "cache"), place / "a.safetensors", SHORT, accelerator="cpu")
    return trained, place / "a.safetensors"


@pytest.mark.parametrize("naming", ["diffusers", "diffsynth", "comfyui"])
def test_the_file_is_read_by_every_tool_s_naming(lora, tmp_path, naming):
    trained, file = lora
    x, tau, text = torch.randn(2, 4, 3, 4, 6), 1000 * torch.rand(2, 3), torch.randn(2, 512, TEXT)
    want = trained(x, tau, text, return_dict=False)[0]
    model = VTAWanTransformer3DModel.adopt(transformer())
    assert not torch.allclose(model(x, tau, text, return_dict=False)[0], want, atol=1e-4)
    report = load_lora(model, file)
    assert not report.unmatched and len(report.matched) == 20 and set(report.rank.values()) == {3}
    save_lora(model, tmp_path / "b.safetensors", report.name, naming)
    other = VTAWanTransformer3DModel.adopt(transformer())
    load_lora(other, tmp_path / "b.safetensors")
    for loaded in (model, other):
        torch.testing.assert_close(loaded(x, tau, text, return_dict=False)[0], want, atol=1e-5, rtol=1e-4)


def gradients(saves=(), dtype=torch.float32, **options):
    model = VTAWanTransformer3DModel.adopt(transformer()).to(dtype)
    torch.manual_seed(3)
    add_lora(model, 3, WAN_LAYERS)
    for name, p in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(p)
    if saves:
        set_activation_checkpointing(model, saves, **options)
    x, tau, text = torch.randn(2, 4, 3, 4, 6), 1000 * torch.rand(2, 3), torch.randn(2, 512, TEXT)
    model(x.to(dtype), tau, text.to(dtype), return_dict=False)[0].float().square().mean().backward()
    return {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("saves", [["input"] * 2, ["attention"] * 2, ["input", "attention"], ["everything", "input"]])
def test_what_is_computed_again_does_not_change_gradients(saves):
    same_gradients(gradients(), gradients(saves))


@pytest.mark.parametrize("saves", [["input"] * 2, ["attention", "everything"]])
def test_tokens_that_wait_on_the_host_do_not_change_gradients(saves, monkeypatch):
    moved = []
    to_host = activation_checkpointing._to_host
    monkeypatch.setattr(activation_checkpointing, "_to_host", lambda x: moved.append(x.numel()) or to_host(x))
    same_gradients(gradients(), gradients(saves, offload_activations=True))
    assert len(moved) >= 2 and set(moved) == {2 * 18 * 24}  # the tokens of two blocks, and nothing else


def test_tokens_of_compiled_blocks_wait_on_the_host_too():
    """In a process of its own: what checks shapes in this one cannot be traced."""
    script = (
        "import sys; sys.path.insert(0, 'tests')\nfrom test_training_wan import *\n"
        "from functools import partial\n"
        "moved, to_host = [], activation_checkpointing._to_host\n"
        "torch.compile = partial(torch.compile, backend='aot_eager')\n"
        "activation_checkpointing._to_host = lambda x: moved.append(x.numel()) or to_host(x)\n"
        "same_gradients(gradients(), gradients(['input', 'attention'], compiled=True, offload_activations=True))\n"
        "assert len(moved) >= 3 and set(moved) == {2 * 18 * 24}, moved\n"  # two inputs, a result of attention
    )
    done = python(script)
    assert done.returncode == 0, done.stderr[-2000:]


def same_gradients(want, got):
    for name, gradient in want.items():
        assert (gradient is None) == (got[name] is None) == ("lora_" not in name)  # none for what is frozen
        if gradient is not None:
            torch.testing.assert_close(got[name], gradient)


def test_a_model_without_blocks_has_nothing_to_compute_again():
    with pytest.raises(ValueError, match=r"^training.set_activation_checkpointing: model is a Linear.*with blocks"):
        set_activation_checkpointing(torch.nn.Linear(1, 1), ["input"])


def test_updates_of_a_bf16_base_are_float32():
    found = {k: g for k, g in gradients(dtype=torch.bfloat16).items() if g is not None}
    assert found and all(g.dtype == torch.float32 for g in found.values())


def test_a_step_in_parts_is_the_step_at_once(cache, tmp_path):
    config = replace(SHORT, max_steps=3, global_batch_size=4, micro_batch_size=0)
    one = go(cache, tmp_path / "one.safetensors", config)
    parts = go(cache, tmp_path / "parts.safetensors", replace(config, micro_batch_size=1))
    other = go(cache, tmp_path / "other.safetensors", replace(config, seed=1))
    # of all numbers together: where a gradient is nearly zero, AdamW makes a whole step of its rounding
    every = lambda state: torch.cat([state[k].flatten() for k in sorted(state) if "lora_B" in k])  # noqa: E731
    error = [((every(x) - every(one)).norm() / every(one).norm()).item() for x in (parts, other)]
    assert error[0] < 5e-3 and error[1] > 0.1, error


def test_killed_in_a_step_it_goes_on_to_the_same_end(cache, tmp_path):
    config = replace(SHORT, max_steps=14, save_every=1)
    logs = tmp_path / "logs"
    script = (
        "import os, sys; sys.path.insert(0, 'tests')\nfrom test_training_wan import *\n"
        "step, seen = VTAModule.training_step, []\n"
        "def dies(*a):\n"
        "    seen.append(0)\n"
        "    if len(seen) == 7: os.kill(os.getpid(), 9)\n"
        "    return step(*a)\n"
        "VTAModule.training_step = dies\n"
        f"go(Path({str(cache)!r}), Path({str(tmp_path / 'x.safetensors')!r}), "
        f"replace(SHORT, max_steps=14, save_every=1), logs=Path({str(logs)!r}))\n"
    )
    assert python(script).returncode == -9
    assert (logs / "last.ckpt").is_file()
    assert not (tmp_path / "x.safetensors").exists()
    resumed = go(cache, tmp_path / "x.safetensors", config, logs=logs, resume=logs / "last.ckpt")
    whole = go(cache, tmp_path / "y.safetensors", replace(config, save_every=0))
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)


def test_each_expert_draws_on_its_own_timestep():
    for recipe in WAN_RECIPES.values():
        bounds = ({"t_min": 0.875}, {"t_max": 0.875}, {})
        drawn = [replace(recipe, **at).make_timestep_sampler()(3000, 21) for at in bounds]
        known = [(tau == 0).float().mean().item() for tau in drawn]
        assert known == pytest.approx([known[2]] * 3, abs=0.02), "known frames stay known, whichever expert is trained"
        high, low, whole = (tau[tau > 0] for tau in drawn)
        assert 0.875 <= high.min() < 0.88 and high.max() > 0.99
        assert low.max() <= 0.8751 and low.min() < 0.01
        torch.testing.assert_close(high.mean(), whole[whole >= 0.875].mean(), atol=3e-3, rtol=0)
        torch.testing.assert_close(low.mean(), whole[whole < 0.875].mean(), atol=1e-2, rtol=0)


def test_released_weights_act_on_whole_clips():
    model = TrainableWan(transformer(), Geometry((4, 8, 8), 4, 3, (32, 48)), {})
    tau, loss = torch.rand(2, 3), torch.rand(2, 3)
    y = torch.exp(-2 * (tau - 0.5) ** 2) - torch.exp(torch.tensor(-0.5))
    got = VTAModule(model, WAN_RECIPES["released"]).weighted(tau, loss) / (y.mean(1) * loss.mean(1)).mean()
    assert got == pytest.approx(1 / 0.2491, rel=1e-3)
    assert VTAModule(model, WAN_RECIPES["paper"]).weighted(tau, loss) == pytest.approx(loss.mean().item())


def test_a_loss_that_is_not_finite_names_its_clips(cache, tmp_path):
    path = cache / "shard-00000.safetensors"
    tensors = load_file(path)
    save_file({k: v * float("nan") if "latents" in k else v for k, v in tensors.items()}, path)
    manifest = LatentCache(make_cache(tmp_path / "same")).manifest
    manifest["files"][path.name] = digest(path)
    edit(cache / "manifest.json", files=manifest["files"], digest=manifest_digest(manifest))
    with pytest.raises(ValueError, match=r"the loss of step 0 is not finite, its clips are \d\.mp4.*lower lr"):
        go(cache, tmp_path / "a.safetensors")
    assert not (tmp_path / "a.safetensors").exists()


@pytest.mark.parametrize(("size", "stride"), [((32, 48), (4, 8, 8)), ((64, 96), (4, 16, 16))])
def test_the_stride_is_the_caches_own(tmp_path, size, stride):
    assert _stride(LatentCache(make_cache(tmp_path / "other", size=size))) == stride


def test_what_does_not_fit_is_refused(cache, tmp_path):
    with pytest.raises(ValueError, match=r"codec='abc', but .* is expected"):
        go(cache, tmp_path / "a.safetensors", codec=torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"has no clips"):
        go(make_cache(tmp_path / "none", 0), tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"global_batch_size=2 on 1 process with micro_batch_size=3"):
        go(cache, tmp_path / "a.safetensors", replace(SHORT, micro_batch_size=3))
    with pytest.raises(ValueError, match=r"ac_save_attention=3 and ac_skip_blocks=0 for a model of 2 blocks"):
        checkpointing_plan(2, 3)
    with pytest.raises(ValueError, match=r"the caption 'new' was not encoded"):
        TrainableWan(transformer(), Geometry((4, 8, 8), 4, 3, (32, 48)), {}).encode_text(["new"])


def test_memory_that_runs_out_says_what_to_change(whole, cache, tmp_path, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(TrainableWan, "forward", full)
    ways = "--offload-activations, --optimizer adamw8bit, --micro-batch-size 1, a lora_rank below 3, smaller clips"
    with pytest.raises(
        ValueError, match=f"out of memory: try {ways}; `pusa-lab plan --workload lora .*` counts"
    ) as error:
        go(cache, tmp_path / "a.safetensors", replace(SHORT, micro_batch_size=2))
    command = str(error.value).split("`")[1]
    assert "--size 32x48" in command and "--lora-rank 3 --max-steps 12 --global-batch-size 2" in command
    assert main(shlex.split(command)[1:]) == 0
    with pytest.raises(ValueError, match=f"out of memory: try {ways}; `") as error:
        go(cache, tmp_path / "a.safetensors", replace(SHORT, micro_batch_size=2), about={"base": str(whole)})
    assert f" --model {whole} --size 32x48" in str(error.value), "its folder has the sizes of a model without a name"
    ways = "--ac-save-attention 0 --ac-skip-blocks 0, --offload-activations, more --gpus, smaller clips"
    with pytest.raises(ValueError, match=f"out of memory: try {ways}; `pusa-lab plan --workload full"):
        train_wan(
            transformer(), cache, tmp_path / "all", replace(SHORT, lora_rank=0), ac_save_attention=1, accelerator="cpu"
        )


def test_memory_that_runs_out_on_a_known_gpu_says_what_fits(tmp_path, monkeypatch):
    """The full size on the meta device, on a GPU that is only named."""
    monkeypatch.setattr(finetune, "find_gpu", lambda _: "h100")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100 80GB HBM3")
    with torch.device("meta"):
        large = VTAWanTransformer3DModel(**WAN_CONFIGS["wan2.1-14b"].transformer)
    clips = LatentCache(make_cache(tmp_path / "large", size=(720, 1280), num_frames=81))
    saved = {"ac_save_attention": 0, "ac_skip_blocks": 0, "offload_activations": False, "compiled": False}
    said = finetune._too_large(WAN_RECIPES["paper"], clips, large, 1, saved)
    assert "out of memory: 117.4 GiB are planned (arithmetic), and one h100 has 78: try --compiled --optimizer" in said
    assert "74.7 GiB by `pusa-lab plan --workload lora --model wan2.1-14b --size 720x1280 --gpu h100 --compiled" in said


def test_eight_bits_are_near_the_product():
    torch.manual_seed(0)
    linear = torch.nn.Linear(64, 48).requires_grad_(False)
    x = torch.randn(2, 5, 64, requires_grad=True)
    got = Float8Linear(linear)(x)
    seed = torch.randn_like(got)
    (back,) = torch.autograd.grad(got, x, seed)
    for near, want in ((got, linear(x)), (back, seed @ linear.weight)):
        assert 1e-3 < (near - want).norm() / want.norm() < 0.06
    with pytest.raises(ValueError, match="give a frozen layer with multiples of 16"):
        Float8Linear(torch.nn.Linear(24, 16).requires_grad_(False))


def test_eight_bit_products_learn_nearly_the_same(cache, tmp_path):
    wide = {"attention_head_dim": 16, "ffn_dim": 64}  # 8 bits want multiples of 16
    files = {}
    for float8 in (False, True):
        out = tmp_path / f"{float8}.safetensors"
        files[float8] = load_file(
            train_wan(transformer(**wide), cache, out, SHORT, float8=float8, ac_skip_blocks=1, accelerator="cpu")
        )
    assert files[True].keys() == files[False].keys()
    one, two = (torch.cat([x.flatten() for k, x in files[f].items() if "lora_B" in k]) for f in (False, True))
    assert 1e-3 < (one - two).norm() / one.norm() < 0.5
    assert torch.nn.functional.cosine_similarity(one, two, 0) > 0.9
    with pytest.raises(ValueError, match=r"lora_rank=0: float8 is for weights that are not trained"):
        train_wan(transformer(**wide), cache, tmp_path / "all", replace(SHORT, lora_rank=0), float8=True)

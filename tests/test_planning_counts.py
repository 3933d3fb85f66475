"""pytest tests/test_planning_counts.py: what a plan counts, against diffusers, peft and torch's own counters."""

import weakref
from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from diffusers.models.transformers import transformer_wan
from peft import LoraConfig, inject_adapter_in_model
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode
from transformers import UMT5Config, UMT5EncoderModel

from pusa_lab.planning import arithmetic, plan
from pusa_lab.planning.training import working_bytes
from pusa_lab.wan.configs import UMT5_PARAMETERS, WAN_CONFIGS, WanConfig

TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"]
TINY = WanConfig(
    "none",
    num_attention_heads=3,
    attention_head_dim=12,
    ffn_dim=52,
    num_layers=2,
    channels=5,
    text_dim=20,
    freq_dim=16,
    size=(48, 80),
    shift=1.0,
    guidance=(1.0,),
)


class Alive(TorchDispatchMode):
    """Counts the bytes of tensors alive, those of given modules apart."""

    def __init__(self, *known):
        super().__init__()
        self.seen = {t.untyped_storage()._cdata for module in known for t in [*module.parameters(), *module.buffers()]}
        self.now = self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, torch.Tensor) and (key := (s := tensor.untyped_storage())._cdata) not in self.seen:
                self.seen.add(key)
                self.now += s.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(s, self.forget, key, s.nbytes())
        return out

    def forget(self, key, size):
        self.seen.remove(key)
        self.now -= size


class Flash(torch.autograd.Function):
    """The memory of fused attention; on the meta device torch would count the one that holds every score."""

    @staticmethod
    def forward(ctx, q, k, v):
        ctx.save_for_backward(q, k, v, out := torch.empty_like(q), torch.empty(q.shape[:3], device=q.device))
        return out

    @staticmethod
    def backward(ctx, grad):
        return tuple(torch.empty_like(t) for t in ctx.saved_tensors[:3])


@pytest.fixture
def on_meta(monkeypatch):
    monkeypatch.setattr(transformer_wan, "dispatch_attention_fn", lambda q, k, v, **_: Flash.apply(q, k, v))
    with torch.device("meta"):
        yield


def transformer(config, **changes):
    return WanTransformer3DModel(**{**config.transformer, **changes})


def count(model):
    return sum(p.numel() for p in model.parameters())


def latents(config, size, frames):
    return 1, config.channels, 1 + (frames - 1) // 4, size[0] // config.stride[1], size[1] // config.stride[2]


@pytest.mark.parametrize("name", WAN_CONFIGS)
def test_parameters_are_those_of_diffusers(name):
    config = WAN_CONFIGS[name]
    with torch.device("meta"):
        model = transformer(config)
    assert config.parameters == count(model) == plan(name).parameters
    assert config.block_parameters == count(model.blocks[0])
    if "14b" in name:
        assert config.parameters == 14_288_491_584


@pytest.mark.parametrize("name", ["wan2.1-14b", "wan2.2-5b"])
def test_the_codec_is_counted(name):
    config = WAN_CONFIGS[name]
    large = {"base_dim": 160, "decoder_base_dim": 256, "is_residual": True, "patch_size": 2, "scale_factor_spatial": 16}
    large |= {"z_dim": 48, "in_channels": 12, "out_channels": 12, "latents_mean": [0.0] * 48, "latents_std": [1.0] * 48}
    with torch.device("meta"), torch.no_grad():
        codec = AutoencoderKLWan(**(large if config.channels == 48 else {}))
        z = torch.empty(latents(config, (128, 256), 13))
        with Alive(codec) as alive, FlopCounterMode(display=False) as counted:
            codec.decode(z)
    assert config.codec_parameters == count(codec)
    assert counted.get_total_flops() == pytest.approx(13 * 128 * 256 * config.codec_flops, rel=0.08)
    assert alive.peak == pytest.approx(128 * 256 * (config.codec_bytes + 12 * 13), rel=0.03)


def test_the_text_encoder_is_counted():
    sizes = {"vocab_size": 256384, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64}
    with torch.device("meta"):
        assert count(UMT5EncoderModel(UMT5Config(**sizes, feed_forward_proj="gated-gelu"))) == UMT5_PARAMETERS


def test_flops_are_those_that_torch_counts():
    model = transformer(TINY)
    size, frames = (48, 112), 9
    x = torch.zeros(latents(TINY, size, frames)).expand(2, -1, -1, -1, -1)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counted:
        model(x, torch.zeros(2), torch.zeros(2, 7, 20))
    found = arithmetic.flops(TINY, TINY.tokens(size, frames), batch=2, text_tokens=7)
    attention = counted.get_flop_counts()["Global"][torch.ops.aten.bmm]
    assert attention == found["self-attention"] + found["cross-attention"]
    assert counted.get_total_flops() == pytest.approx(sum(found.values()), rel=0.01)


def test_lora_parameters_are_those_of_peft():
    model = inject_adapter_in_model(LoraConfig(r=5, target_modules=TARGETS), transformer(TINY))
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == TINY.lora_parameters(5)
    assert plan(workload="lora").lora_parameters == 2_453_667_840


@pytest.mark.parametrize("name", ["wan2.1-14b", "wan2.1-1.3b"])
def test_tensors_alive_in_a_forward_and_in_training(name, on_meta):
    config, layers, kind = replace(WAN_CONFIGS[name], num_layers=2), 2, {"dtype": torch.bfloat16}
    tokens = config.tokens(size := config.size, 81)
    given = torch.empty(latents(config, size, 81), **kind), torch.empty(1), torch.empty(1, 512, 4096, **kind)

    model = transformer(config).to(torch.bfloat16)
    with torch.no_grad(), Alive(model) as alive:
        model(*given)
    assert alive.peak == pytest.approx(arithmetic.forward_bytes(plan(name, size).settings), rel=0.05)

    for rank in (512, 0):
        if rank:
            model.requires_grad_(False)
            trained = inject_adapter_in_model(LoraConfig(r=rank, target_modules=TARGETS), model).to(torch.bfloat16)
        else:
            trained = transformer(config).to(torch.bfloat16)
        trained.enable_gradient_checkpointing()
        with Alive(trained) as alive:
            trained(given[0].clone().requires_grad_(), *given[1:]).sample.float().sum().backward()
        block = sum(2 * p.numel() for p in trained.blocks[-1].parameters() if p.requires_grad)
        checkpoints = 2 * layers * tokens * config.dim
        assert alive.peak == pytest.approx(working_bytes(config, tokens, rank) + checkpoints + block, rel=0.06)

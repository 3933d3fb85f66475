"""pytest tests/test_fa4.py: FlashAttention 4 as an operator, by a stand-in of its package: right, kept, compiled."""

import copy
import os
import pickle
import sys
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from fake_fa4 import stand_in
from peft import LoraConfig
from processes import SERVER
from test_wan_resting import captions, wan
from test_wan_transformer import inputs, vta
from torch.nn import functional as F
from wan_tiny import refused, transformer

import pusa_lab as pl
from pusa_lab import fa4 as package
from pusa_lab.fa4 import FA4_BACKWARD, FA4_FORWARD, fa4, fa4_fault
from pusa_lab.training.activation_checkpointing import set_activation_checkpointing
from pusa_lab.training.lora import WAN_LAYERS, add_lora
from pusa_lab.wan.attention import FA4, NATIVE, _AttentionBackendRegistry, dispatch_attention_fn, set_attention

SHAPES = [((1, 1, 1, 8), 1), ((2, 13, 3, 8), 13), ((1, 64, 2, 16), 64), ((3, 7, 2, 24), 29), ((2, 31, 1, 8), 5)]
"""Queries (b, s, n, d), and the number of keys: lengths are odd, and those of captions are others."""


def drawn(shape, keys, dtype=torch.float32):
    b, s, n, d = shape
    return [torch.randn(b, t, n, d, dtype=dtype, requires_grad=True) for t in (s, keys, keys)]


def exact(q, k, v, scale=None):
    return F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)), scale=scale).transpose(1, 2)


def gradients(out, given, grad):
    return torch.autograd.grad(out, given, grad)


@pytest.mark.parametrize("scale", [None, 0.7])
@pytest.mark.parametrize(("shape", "keys"), SHAPES)
def test_output_and_gradients_are_those_of_pytorchs_own_attention(fake_fa4, shape, keys, scale):
    given = drawn(shape, keys)
    found, want = fa4(*given, scale), exact(*given, scale)
    grad = torch.randn_like(want).transpose(1, 2).contiguous().transpose(1, 2)
    torch.testing.assert_close(found, want, atol=1e-5, rtol=1e-5)
    for one, other in zip(gradients(found, given, grad), gradients(want, given, grad), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    assert [name for name, *_ in fake_fa4] == ["forward", "backward"]


@pytest.mark.parametrize(("shape", "keys"), SHAPES[1:4])
def test_it_keeps_the_rules_of_operators(fake_fa4, shape, keys):
    """What the fake says of shapes, strides and types, the backward under tracing, nothing changed in place."""
    torch.library.opcheck(FA4_FORWARD, (*drawn(shape, keys), 0.3))
    q, k, v = (x.detach() for x in drawn(shape, keys, torch.bfloat16))
    out, lse = FA4_FORWARD(q, k, v, 0.3)
    assert out.dtype == torch.bfloat16 and lse.dtype == torch.float32
    torch.library.opcheck(FA4_BACKWARD, (torch.randn_like(out), q, k, v, out, lse, 0.3))


def self_and_cross(calls):
    """ "f" is a forward of self-attention, "F" one of cross-attention, b and B their backwards."""
    return "".join(name[0] if q == k else name[0].upper() for name, q, k in calls)


def test_a_wan_computes_the_same_with_it(fake_fa4):
    """Samples of 45 tokens; cross-attention too goes through it."""
    model = vta()
    x, t, text = inputs()
    want, scalar = model(x, t, text)[0], model(x, t[:, 0], text)[0]
    set_attention(model, "fa4")
    torch.testing.assert_close(model(x, t, text)[0], want, atol=1e-5, rtol=0)
    assert self_and_cross(fake_fa4) == "fFfF"
    torch.testing.assert_close(model(x, t[:, 0], text)[0], scalar, atol=1e-5, rtol=0)
    set_attention(model, "native")
    assert torch.equal(model(x, t, text)[0], want)
    assert self_and_cross(fake_fa4) == "fFfF" * 2


def test_no_other_model_changes_its_attention(fake_fa4):
    model, other = vta(), vta()
    set_attention(model, "fa4")
    assert {block.attn1.processor._attention_backend for block in model.blocks} == {FA4}
    assert {block.attn2.processor._attention_backend for block in other.blocks} == {None}
    assert _AttentionBackendRegistry.get_active_backend()[0] is NATIVE


def test_diffusers_knows_its_name(fake_fa4, monkeypatch):
    monkeypatch.setattr(_AttentionBackendRegistry, "_active_backend", NATIVE)  # and gives it back
    model = transformer()
    model.set_attention_backend("fa4")
    x, t, text = inputs()
    model(x, t[:, 0], text)
    assert self_and_cross(fake_fa4) == "fFfF"
    assert pickle.loads(pickle.dumps(FA4)) is FA4 is copy.deepcopy(FA4) and FA4 == "fa4" and FA4.value == "fa4"


def test_with_a_mask_it_is_pytorchs_own(fake_fa4):
    q, k, v = drawn((2, 5, 2, 8), 5)
    mask = torch.randn(2, 1, 5, 5) > 0
    mask[..., 0] = True
    for options in ({"attn_mask": mask}, {"is_causal": True}):
        found = dispatch_attention_fn(q, k, v, **options, backend=FA4)
        assert torch.equal(found, dispatch_attention_fn(q, k, v, **options, backend=NATIVE))
    assert not fake_fa4


def test_causal_models_and_frames_at_rest_keep_pytorchs_own(fake_fa4):
    model, same = wan(), wan()
    set_attention(model.transformer, "fa4")
    x, tau, cond = torch.randn(2, 4, 6, 6, 10), torch.rand(2, 6), {"text": captions(["a", "a b"])}
    with torch.no_grad():
        found, want = (pl.causal(one, 3)(x, tau, **cond) for one in (model, same))
    torch.testing.assert_close(found, want, atol=1e-5, rtol=0)
    assert self_and_cross(fake_fa4) == "FF"
    fake_fa4.clear()
    options = {"schedule": "autoregressive", "steps": 4, "refresh": 4, "output": "latents"}
    results = [pl.generate(one, "a", **options) for one in (model, same)]
    torch.testing.assert_close(results[0].latents, results[1].latents, atol=1e-4, rtol=0)
    assert results[0].share < 1 and "f" not in self_and_cross(fake_fa4)[2:]


def parameter_gradients(model, x, t, text):
    model.zero_grad()
    model(x, t, text)[0].square().sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_same(found, want):
    assert found.keys() == want.keys()
    scale = max(grad.abs().max() for grad in want.values())
    for name, grad in want.items():
        torch.testing.assert_close(found[name], grad, atol=float(1e-5 * scale), rtol=1e-4, msg=name)


SAVED = {"input": "fFfF" + "fFBb" * 2, "attention": "fFfF" + "FBb" * 2, "everything": "fFfF" + "Bb" * 2}
"""What a block saves -> the calls of two blocks: only "attention" and "everything" do not compute it again."""


@pytest.mark.parametrize("saves", SAVED)
def test_gradients_under_checkpointing_and_what_is_computed_again(fake_fa4, saves):
    model = vta().train()
    want = parameter_gradients(model, *inputs())
    set_attention(model, "fa4")
    set_activation_checkpointing(model, [saves] * 2)
    assert_same(parameter_gradients(model, *inputs()), want)
    assert self_and_cross(fake_fa4) == SAVED[saves]


def test_a_lora_is_trained_through_it(fake_fa4):
    model = vta()
    add_lora(model, 3, WAN_LAYERS)
    for name, p in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(p, std=0.1)
    want = parameter_gradients(model, *inputs())
    set_attention(model, "fa4")
    found = parameter_gradients(model, *inputs())
    assert all("lora" in name for name in found) and len(found) > 20
    assert_same(found, want)


def test_an_adapter_of_peft_and_8_bits(fake_fa4):
    model = vta()
    model.add_adapter(LoraConfig(r=2, target_modules=["to_q"], init_lora_weights=False), "one")
    x, t, text = inputs()
    want = model(x, t, text)[0]
    set_attention(model, "fa4")
    torch.testing.assert_close(model(x, t, text)[0], want, atol=1e-5, rtol=0)
    small = vta()
    small.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    want = small(x, t, text)[0]
    set_attention(small, "fa4")
    torch.testing.assert_close(small(x, t, text)[0], want, atol=1e-5, rtol=0)


def _compiled(_: int) -> None:
    with stand_in() as calls:
        model = vta()
        x, t, text = inputs()
        want = model(x, t, text)[0]
        set_attention(model, "fa4")
        model.compile_repeated_blocks(backend="aot_eager", fullgraph=True, dynamic=False)
        torch.testing.assert_close(model(x, t, text)[0], want, atol=1e-5, rtol=0)
        assert self_and_cross(calls) == "fFfF"
        set_attention(model, "native")
        torch.testing.assert_close(model(x, t, text)[0], want)
        assert self_and_cross(calls) == "fFfF"


def _trained(_: int) -> None:
    compile_ = torch.compile
    torch.compile = lambda f, **options: compile_(f, **options, backend="aot_eager_decomp_partition")
    with stand_in() as calls:
        want = parameter_gradients(vta().train(), *inputs())
        for saves in ("input", "attention"):
            model = vta().train()
            set_attention(model, "fa4")
            set_activation_checkpointing(model, [saves] * 2, compiled=True)
            calls.clear()
            assert_same(parameter_gradients(model, *inputs()), want)
            assert self_and_cross(calls) == SAVED[saves]


@pytest.mark.parametrize("run", [_compiled, _trained])
def test_it_works_in_compiled_blocks(run):
    """In a process of its own, where shape checks do not break the graph; which ops are kept is the partitioner's."""
    mp.start_processes(run, start_method=SERVER.get_start_method())


def _rank(rank: int, place: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{place}/meet", rank=rank, world_size=2)
    torch.accelerator.device_count = lambda: 1  # diffusers counts GPUs
    from diffusers import ContextParallelConfig

    def split(attention: str, **way: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The output, and the gradient through this rank's tokens."""
        model = vta().eval().requires_grad_(False)
        model.enable_parallelism(config=ContextParallelConfig(**way))
        set_attention(model, attention)
        refused("split over GPUs", set_attention, model, "flex")
        x, t, text = inputs(frames=4)
        x = x[..., :4, :].requires_grad_()
        v = model(x, t, text)[0]
        return v.detach(), torch.autograd.grad(v.square().sum(), x)[0]

    with stand_in() as calls:
        want = split("native", ulysses_degree=2)
        found = [split("fa4", ulysses_degree=2), split("fa4", ring_degree=2)]
        assert [self_and_cross(calls).count(name) for name in "fb"] == [2 + 4, 2 + 4]
    torch.save((want, *found), f"{place}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_it_is_split_over_ranks(tmp_path):
    """By heads (Ulysses), and around a ring, in which each rank asks twice; PyTorch's own can do the first alone."""
    mp.start_processes(_rank, args=(str(tmp_path),), nprocs=2, start_method=SERVER.get_start_method())
    x, t, text = inputs(frames=4)
    whole = vta()(x[..., :4, :], t, text)[0]
    for rank in (0, 1):
        (out, grad), *found = torch.load(Path(tmp_path) / f"{rank}.pt")
        torch.testing.assert_close(out, whole, atol=1e-5, rtol=0)
        for other, of_it in found:
            torch.testing.assert_close(other, whole, atol=1e-5, rtol=0)
            torch.testing.assert_close(of_it, grad, atol=float(1e-5 * grad.abs().max()), rtol=0)


@pytest.fixture
def hopper(monkeypatch):
    """A GPU of this capability, as far as is asked of it."""

    def of(*capability):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA X")
        return torch.device("cuda")

    package._kernels.cache_clear()
    yield of
    package._kernels.cache_clear()


def test_why_it_cannot_run(hopper, monkeypatch):
    assert fa4_fault(torch.device("cpu")) == "it needs a Hopper or newer GPU, and the model computes on the CPU"
    assert fa4_fault(hopper(8, 9)) == "it needs a Hopper or newer GPU, and this is a NVIDIA X"
    monkeypatch.setitem(sys.modules, "flash_attn", None)
    assert fa4_fault(hopper(9, 0)) == "flash-attn-4 is not installed (pip install 'pusa-lab[fast]')"
    monkeypatch.setattr(package.importlib, "import_module", lambda name: 1 / 0)
    assert fa4_fault(hopper(9, 0)) == "flash-attn-4 cannot be imported (ZeroDivisionError: division by zero)"
    with stand_in():
        monkeypatch.undo()
        assert fa4_fault(hopper(10, 0)) is None

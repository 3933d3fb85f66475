"""Per-frame Wan against diffusers' own scalar and per-token paths."""

import os
import weakref
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from diffusers import WanTransformer3DModel
from diffusers.hooks import FirstBlockCacheConfig
from peft import LoraConfig
from processes import SERVER
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from wan_tiny import FAMILIES, TEXT, transformer

from pusa_lab.wan.transformer import VTAWanTransformer3DModel, by_frame, frame_spans


def inputs(channels: int = 4, frames: int = 3, seed: int = 1, batch: int = 2):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, channels, frames, 6, 10, generator=g)
    return x, 1000 * torch.rand(batch, frames, generator=g), torch.randn(batch, 7, TEXT, generator=g)


def vta(family: str = "wan2.1-14b", **changes) -> VTAWanTransformer3DModel:
    return VTAWanTransformer3DModel.adopt(transformer(family, **changes))


def per_token(timestep, hw: int = 15):
    return timestep.repeat_interleave(hw, dim=1)


@pytest.mark.parametrize("frames", [1, 3, 7])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_timestep_per_frame_is_diffusers_timestep_per_token(family, frames):
    theirs = transformer(family)
    x, t, text = inputs(theirs.config.in_channels, frames)
    want = theirs(x, per_token(t), text)[0]
    got = vta(family)(x, t, text)[0]
    assert want.std() > 0.05
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


def test_the_order_of_the_samples_does_not_matter():
    model = vta()
    x, t, text = inputs(batch=3)
    order = [2, 0, 1]
    torch.testing.assert_close(model(x[order], t[order], text[order])[0], model(x, t, text)[0][order])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_scalar_call_is_the_parents_bit_for_bit(dtype):
    x, t, text = (v.to(dtype) for v in inputs())
    theirs, ours = transformer().to(dtype), vta().to(dtype)
    assert torch.equal(ours(x, t[:, 0], text)[0], theirs(x, t[:, 0], text)[0])
    assert torch.equal(ours(x, per_token(t), text)[0], theirs(x, per_token(t), text)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_constant_vector_is_the_scalar_bit_for_bit(family, dtype):
    model = vta(family).to(dtype)
    x, t, text = (v.to(dtype) for v in inputs(model.config.in_channels))
    assert torch.equal(model(x, t[:, :1].expand(-1, 3), text)[0], model(x, t[:, 0], text)[0])


def test_every_frame_has_its_own_timestep():
    model = vta()
    x, t, text = inputs()
    other = t.clone()
    other[0, 2] = 1000 - other[0, 2]
    assert not torch.allclose(model(x, other, text)[0][0], model(x, t, text)[0][0])
    torch.testing.assert_close(model(x, other, text)[0][1], model(x, t, text)[0][1])


def test_nothing_is_repeated_per_token(monkeypatch):
    seen = []
    block = type(vta().blocks[0])
    forward = block.forward

    def watch(self, hidden_states, encoder_hidden_states, temb, rotary_emb, spans=None):
        seen.append((tuple(temb.shape), temb.untyped_storage().nbytes()))
        return forward(self, hidden_states, encoder_hidden_states, temb, rotary_emb, spans)

    monkeypatch.setattr(block, "forward", watch)
    vta()(*inputs())
    assert seen == [((2, 3, 6, 24), 2 * 3 * 6 * 24 * 4)] * 2


class Peak(TorchDispatchMode):
    """Counts the bytes of live tensors."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0
        self.live = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for storage in (t.untyped_storage() for t in tree_leaves(out) if isinstance(t, torch.Tensor)):
            key, size = storage._cdata, storage.nbytes()
            if key not in self.live:
                self.live.add(key)
                self.now += size
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self.free, key, size)
        return out

    def free(self, key, size):
        self.live.discard(key)
        self.now -= size


@pytest.mark.parametrize("layers", [0, 2])
def test_it_takes_no_more_memory_than_one_timestep(layers, one_thread):
    """Less than a quarter of one bf16 activation more: a few vectors per frame, and nothing as long as the tokens."""
    model = vta(num_layers=layers).to(torch.bfloat16)
    x, text, t = torch.randn(1, 4, 5, 24, 32), torch.randn(1, 7, TEXT), 1000 * torch.rand(1, 5)
    most = {}
    for name, time in {"scalar": t[:, 0], "frame": t, "token": per_token(t, 12 * 16)}.items():
        with torch.no_grad(), Peak() as peak:
            model(x.bfloat16(), time, text.bfloat16())
        most[name] = peak.most
    activation = 5 * 12 * 16 * 24 * 2
    assert most["frame"] - most["scalar"] < activation / 4
    assert most["token"] - most["scalar"] > 6 * activation


def test_gradients_are_diffusers_too():
    theirs, ours = transformer(), vta()
    x, t, text = inputs()
    weight = torch.randn_like(x)
    (theirs(x, per_token(t), text)[0] * weight).sum().backward()
    (ours(x, t, text)[0] * weight).sum().backward()
    for (name, p), q in zip(theirs.named_parameters(), ours.parameters(), strict=True):
        assert p.grad.abs().max() > 0 or "attn2.to_k.bias" in name or "attn1.to_k.bias" in name, name
        torch.testing.assert_close(q.grad, p.grad, atol=1e-4, rtol=1e-4, msg=name)


def test_gradient_checkpointing_changes_nothing():
    grads = []
    for on in (False, True):
        model = vta()
        if on:
            model.enable_gradient_checkpointing()
        model.train()(*inputs())[0].square().sum().backward()
        grads.append(model.blocks[0].attn1.to_q.weight.grad)
    torch.testing.assert_close(*grads)


def test_it_survives_saving_and_loading_under_either_class(tmp_path):
    model = vta()
    x, t, text = inputs()
    want = model(x, t, text)[0]
    model.save_pretrained(tmp_path / "ours", max_shard_size="30KB")
    assert len(list((tmp_path / "ours").glob("*.safetensors"))) > 1
    assert torch.equal(VTAWanTransformer3DModel.from_pretrained(tmp_path / "ours")(x, t, text)[0], want)
    theirs = WanTransformer3DModel.from_pretrained(tmp_path / "ours")
    theirs.save_pretrained(tmp_path / "theirs")
    assert torch.equal(VTAWanTransformer3DModel.from_pretrained(tmp_path / "theirs")(x, t, text)[0], want)
    assert dict(model.state_dict()).keys() == dict(theirs.state_dict()).keys()


def test_adopting_copies_nothing():
    theirs = transformer()
    before = {name: p.data_ptr() for name, p in theirs.named_parameters()}
    ours = VTAWanTransformer3DModel.adopt(theirs)
    assert ours is theirs
    assert {name: p.data_ptr() for name, p in ours.named_parameters()} == before
    assert VTAWanTransformer3DModel.adopt(ours) is ours


def test_a_vta_model_can_be_subclassed():
    class Mine(VTAWanTransformer3DModel):
        pass

    (x, t, text), theirs = inputs(), transformer()
    want, ours = theirs(x, t[:, 0], text)[0], Mine.adopt(theirs)
    assert Mine.__name__ == "Mine" and type(ours) is Mine
    assert torch.equal(ours(x, t[:, :1].expand_as(t), text)[0], want)


def test_adopting_comes_before_hooks():
    theirs = transformer()
    theirs.enable_layerwise_casting(storage_dtype=torch.bfloat16, compute_dtype=torch.float32)
    theirs.enable_group_offload(torch.device("cpu"), offload_type="block_level", num_blocks_per_group=1)
    with pytest.raises(ValueError, match="make it a VTA model first"):
        VTAWanTransformer3DModel.adopt(theirs)


def test_group_offloading_and_layerwise_casting():
    x, t, text = inputs()
    want = vta()(x, t, text)[0]
    model = vta()
    model.enable_group_offload(torch.device("cpu"), offload_type="block_level", num_blocks_per_group=1)
    torch.testing.assert_close(model(x, t, text)[0], want)
    model = vta()
    model.enable_layerwise_casting(storage_dtype=torch.bfloat16, compute_dtype=torch.float32)
    assert model.blocks[0].attn1.to_q.weight.dtype == torch.bfloat16
    torch.testing.assert_close(model(x, t, text)[0], want, atol=0.05, rtol=0.05)


def test_adapters_of_peft():
    model = vta()
    x, t, text = inputs()
    want = model(x, t, text)[0]
    model.add_adapter(LoraConfig(r=2, target_modules=["to_q"], init_lora_weights=False), "one")
    changed = model(x, t, text)[0]
    assert not torch.allclose(changed, want)
    assert torch.equal(model(x, t, text, attention_kwargs={"scale": 0.0})[0], want)
    assert torch.equal(model(x, t[:, 0], text, attention_kwargs={"scale": 1.0})[0], model(x, t[:, 0], text)[0])
    model.disable_adapters()
    assert torch.equal(model(x, t, text)[0], want)


def _compiled(_: int) -> None:
    model = vta()
    x, t, text = inputs()
    want = model(x, t, text)[0]
    model.compile_repeated_blocks(backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(model(x, t, text)[0], want)


def test_compiled_by_blocks():
    """In a process of its own, where shape checks do not break the graph."""
    mp.start_processes(_compiled, start_method=SERVER.get_start_method())


def test_a_cache_of_the_first_block():
    model = vta(num_layers=3)
    x, t, text = inputs()
    with torch.no_grad():
        want = model(x, t, text)[0]
        model.enable_cache(FirstBlockCacheConfig(threshold=1e9))
        with model.cache_context("cond"):
            torch.testing.assert_close(model(x, t, text)[0], want)
            again = model(x, t, text)[0]
    torch.testing.assert_close(again, want, atol=1e-4, rtol=1e-4)


def _rank(rank: int, place: str, frames: int) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{place}/meet", rank=rank, world_size=2)
    torch.accelerator.device_count = lambda: 1  # diffusers counts GPUs
    from diffusers import ContextParallelConfig

    model = vta().eval()
    x, t, text = inputs(frames=frames)
    x = x[..., :4, :]
    with torch.no_grad():
        model.set_attention_backend("native")
        model.enable_parallelism(config=ContextParallelConfig(ulysses_degree=2))
        out = [model(x, time, text)[0] for time in (t, t[:, 0], per_token(t, 10))]
    torch.save(out, f"{place}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_context_parallelism_may_cut_a_frame_in_two(tmp_path):
    """Three frames of ten tokens on two ranks: the second frame is half here and half there."""
    mp.start_processes(_rank, args=(str(tmp_path), 3), nprocs=2, start_method=SERVER.get_start_method())
    model = vta()
    x, t, text = inputs()
    x = x[..., :4, :]
    with torch.no_grad():
        want = [model(x, time, text)[0] for time in (t, t[:, 0], per_token(t, 10))]
    for rank in (0, 1):
        for got, wanted in zip(torch.load(Path(tmp_path) / f"{rank}.pt"), want, strict=True):
            torch.testing.assert_close(got, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("start", "stop"), [(0, 30), (0, 15), (15, 30), (3, 8), (5, 27), (10, 20), (29, 30), (9, 21)])
def test_spans_cut_at_frames(start, stop):
    """Each token of [start, stop) meets the vector of its own frame."""
    vectors = torch.arange(3.0).view(1, 3, 1)
    tokens = torch.zeros(1, stop - start, 1)
    found = by_frame(lambda x, v: x + v, frame_spans(start, stop, 10), (tokens,), (vectors,))
    assert found.flatten().tolist() == [float(i // 10) for i in range(start, stop)]


@pytest.mark.parametrize(
    ("shape", "message"),
    [((2, 4), r"timestep has shape \(2, 4\).*\(2, 3\) for one per frame"), ((1, 3), "need"), ((1,), "need")],
)
def test_other_timesteps_are_refused(shape, message):
    x, _, text = inputs()
    with pytest.raises(ValueError, match=message):
        vta()(x, torch.rand(shape), text)


def test_frames_that_do_not_divide_are_refused():
    x, t, text = inputs()
    with pytest.raises(ValueError, match="5 x 10: give multiples of the patch, 2 x 2"):
        vta()(x[..., :5, :], t, text)


def test_an_image_to_video_model_is_refused():
    wan_i2v = {"in_channels": 36, "out_channels": 16}
    with pytest.raises(ValueError, match=r"image-to-video Wan \(36 input channels for 16"):
        vta(**wan_i2v)
    with pytest.raises(ValueError, match="image-to-video"):
        VTAWanTransformer3DModel(num_layers=1, num_attention_heads=1, attention_head_dim=12, ffn_dim=8, **wan_i2v)
    with pytest.raises(ValueError, match="a patch must span one frame"):
        vta(patch_size=(2, 2, 2))


@pytest.mark.parametrize("size", [(5, 4, 4), (3, 4, 10)])
def test_more_patches_than_positions_are_refused(size):
    model, x = VTAWanTransformer3DModel.from_config(transformer(rope_max_seq_len=4).config), torch.zeros(1, 4, *size)
    with pytest.raises(ValueError, match="5 patches long on one side, and this model has 4 positions: give fewer"):
        model(x, torch.zeros(1, size[0]), torch.zeros(1, 5, TEXT))

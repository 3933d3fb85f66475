"""pytest tests/test_dit.py: the readable Wan equals diffusers' Wan, for scalar and for vector timesteps."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from small_models.models.dit import RMSNorm, ToyDiT
from small_models.models.naming import OURS_TO_DIFFUSERS, rename

SIZES = {
    "nano-like": {"patch_size": (1, 4, 4), "num_attention_heads": 3, "attention_head_dim": 32, "in_channels": 3},
    "wan-like": {"patch_size": (1, 2, 2), "num_attention_heads": 2, "attention_head_dim": 26, "in_channels": 5},
    "plain": {"patch_size": (1, 1, 2), "num_attention_heads": 1, "attention_head_dim": 12, "cross_attn_norm": False},
}


@pytest.fixture(params=sorted(SIZES))
def model(request):
    sizes = {"text_dim": 20, "freq_dim": 32, "ffn_dim": 50, "num_layers": 3, "in_channels": 4, **SIZES[request.param]}
    model = ToyDiT(**sizes, out_channels=sizes["in_channels"]).eval()
    torch.nn.init.normal_(model.proj_out.weight, std=0.1)  # it starts at 0, which would make everything agree
    return model


def draw(model, b=2, f=5, h=8, w=12):
    x = torch.randn(b, model.config["in_channels"], f, h, w)
    return x, torch.rand(b, f), torch.randn(b, 7, 20)


def per_token(model, x, tau):
    _, ph, pw = model.config["patch_size"]
    return 1000 * tau.repeat_interleave((x.shape[3] // ph) * (x.shape[4] // pw), dim=1)


@torch.no_grad()
def test_vector_timestep_equal_diffusers_per_token_path(model):
    x, tau, text = draw(model)
    theirs = model.to_diffusers()(x, per_token(model, x, tau), text).sample
    ours = model(x, tau, text)
    assert ours.std() > 0.1
    assert (ours - theirs).abs().max() < 1e-5


@pytest.mark.parametrize(("b", "captions"), [(1, 2), (2, 3)])
@torch.no_grad()
def test_several_captions_at_once(model, b, captions):
    x, tau, _ = draw(model, b, f=3, h=12, w=4)
    text = torch.randn(captions * b, 7, 20)
    apart = torch.cat([model(x, tau, part) for part in text.chunk(captions)])
    assert apart.std() > 0.1
    torch.testing.assert_close(model(x, tau, text), apart, rtol=0, atol=1e-5)


@torch.no_grad()
def test_scalar_timestep_equal_diffusers_scalar_path(model):
    x, _, text = draw(model, b=3)
    tau = torch.rand(3)
    theirs = model.to_diffusers()(x, 1000 * tau, text).sample
    assert (model(x, tau[:, None].expand(3, 5), text) - theirs).abs().max() < 1e-5


@torch.no_grad()
def test_conversion_round_trip_is_exact(model):
    x, tau, text = draw(model)
    back = ToyDiT.from_diffusers(model.to_diffusers())
    assert back.config == model.config
    assert torch.equal(back(x, tau, text), model(x, tau, text))


def test_gradients_equal_diffusers(model):
    x, tau, text = draw(model)
    theirs = model.to_diffusers()
    model(x, tau, text).square().mean().backward()
    theirs(x, per_token(model, x, tau), text).sample.square().mean().backward()
    theirs_by_name = dict(theirs.named_parameters())
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.grad, theirs_by_name[rename(name, OURS_TO_DIFFUSERS)].grad, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_random_wan_from_diffusers_reads_the_same(model):
    from diffusers import WanTransformer3DModel

    theirs = WanTransformer3DModel(**model.config).eval()
    x, tau, text = draw(model)
    ours = ToyDiT.from_diffusers(theirs)
    assert (ours(x, tau, text) - theirs(x, per_token(model, x, tau), text).sample).abs().max() < 1e-5


@torch.no_grad()
def test_each_frame_has_its_own_timestep_and_frames_see_each_other(model):
    x, tau, text = draw(model, b=1)
    before = model(x, tau, text)
    tau[0, 2] += 0.2
    change = (model(x, tau, text) - before).abs().amax(dim=(0, 1, 3, 4))
    assert change[2] == change.max()
    assert (change > 0).all()


@torch.no_grad()
def test_permuting_the_batch_permutes_the_output(model):
    x, tau, text = draw(model, b=3)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(model(x[order], tau[order], text[order]), model(x, tau, text)[order])


@torch.no_grad()
@pytest.mark.parametrize(("dtype", "close"), [(torch.bfloat16, 0.05), (torch.float16, 0.01)])
def test_half_precision_is_as_near_as_its_numbers_allow(model, dtype, close):
    x, tau, text = draw(model)
    exact = model(x, tau, text)
    half = model.to(dtype)(x.to(dtype), tau, text.to(dtype))
    assert half.dtype == dtype
    assert (half - exact).abs().max() < close * exact.abs().max()


def test_autocast_trains(model):
    x, tau, text = draw(model)
    with torch.autocast("cpu", torch.bfloat16):
        v = model(x, tau, text)
    v.float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_training_after_a_forward_in_inference_mode(model):
    # Were anything kept from that forward (positions, say), autograd would refuse to save it for the backward.
    x, tau, text = draw(model)
    with torch.inference_mode():
        before = model(x, tau, text)
    v = model(x, tau, text)
    v.square().mean().backward()
    assert torch.equal(v, before)
    assert model.blocks[0].attn1.to_q.weight.grad.abs().sum() > 0


def test_compiles_as_one_graph_and_trains(as_user):
    model = ToyDiT((1, 2, 2), 2, 12, 3, 3, text_dim=20, freq_dim=8, ffn_dim=30, num_layers=1)
    torch.nn.init.normal_(model.proj_out.weight, std=0.1)
    x, tau, text = draw(model)
    v = torch.compile(model, backend="aot_eager", fullgraph=True, dynamic=False)(x, tau, text)
    torch.testing.assert_close(v, model(x, tau, text))
    v.square().mean().backward()
    compiled = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    model(x, tau, text).square().mean().backward()
    for grad, p in zip(compiled, model.parameters(), strict=True):
        torch.testing.assert_close(grad, p.grad)


@pytest.mark.parametrize("size", [0, 1e-4, 1, 1e4])
def test_rms_norm_equals_torch(size):
    ours, theirs = RMSNorm(48, 1e-6), torch.nn.RMSNorm(48, 1e-6)
    torch.nn.init.normal_(ours.weight)
    theirs.load_state_dict(ours.state_dict())
    x = (size * torch.randn(2, 5, 48)).requires_grad_()
    y = x.detach().clone().requires_grad_()
    towards = torch.randn(2, 5, 48)
    (ours(x) * towards).sum().backward()
    (theirs(y) * towards).sum().backward()
    torch.testing.assert_close(ours(x), theirs(y))
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-4, atol=1e-6 * y.grad.abs().max().item())


class Largest(TorchDispatchMode):
    """The most numbers that any tensor of a computation holds in memory."""

    most = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for t in out if isinstance(out, tuple | list) else [out]:
            if isinstance(t, torch.Tensor):
                self.most = max(self.most, t.untyped_storage().nbytes() // t.element_size())
        return out


@torch.no_grad()
def test_nothing_is_held_per_token():
    # Modulation is (b, f, 6, d): a tensor of b * tokens * 6 * d numbers must not appear anywhere in the forward.
    torch.manual_seed(0)
    model = ToyDiT((1, 2, 2), 2, 24, 4, 4, text_dim=20, freq_dim=32, ffn_dim=96, num_layers=2)
    x, tau, text = torch.randn(2, 4, 6, 8, 12), torch.rand(2, 6), torch.randn(2, 7, 20)
    tokens, d = 6 * 4 * 6, 48
    with Largest() as ours:
        model(x, tau, text)
    with Largest() as theirs:
        model.to_diffusers()(x, per_token(model, x, tau), text)
    assert ours.most < 2 * tokens * 6 * d <= theirs.most


@pytest.mark.parametrize("shape", [(2,), (2, 1), (1, 5), (2, 4), (2, 10)])
def test_other_shapes_of_tau_are_refused(model, shape, as_user):
    x, _, text = draw(model)
    with pytest.raises(ValueError, match=r"tau has shape .* needs tau \(2, 5\)"):
        model(x, torch.rand(*shape), text)


def test_frames_that_patches_do_not_fill_are_refused(model):
    x, tau, text = draw(model, h=9, w=13)
    with pytest.raises(ValueError, match="patches want multiples of"):
        model(x, tau, text)


def test_conversion_keeps_bfloat16(model):
    theirs = model.bfloat16().to_diffusers()
    assert theirs.proj_out.weight.dtype == torch.bfloat16
    assert ToyDiT.from_diffusers(theirs).proj_out.weight.dtype == torch.bfloat16


def test_a_patch_over_several_frames_is_refused():
    with pytest.raises(ValueError, match="spans one frame"):
        ToyDiT(patch_size=(2, 2, 2))

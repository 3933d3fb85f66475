"""pytest tests/test_inside.py: attention mass against the whole softmax, changes of weights against closed forms."""

import math
import re

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from wan_tiny import TEXT, transformer

import small_models
from pusa_lab.metrics import inside
from pusa_lab.metrics.inside import KINDS, attention_mass, kind_of, parameter_change
from pusa_lab.wan.transformer import VTAWanTransformer3DModel
from small_models.models.dit import ToyDiT
from small_models.models.i2v import ImageToVideo

GRID = (5, 3, 7)


def toy(**changes) -> ToyDiT:
    sizes = {"num_attention_heads": 3, "attention_head_dim": 14, "in_channels": 4, "out_channels": 4, "text_dim": TEXT}
    model = ToyDiT(**{**sizes, "freq_dim": 32, "ffn_dim": 40, "num_layers": 2, **changes}).eval()
    return loud(model)


def loud(model):
    """Weights at which attention is far from even: at first it hardly chooses."""
    for block in model.blocks:
        for layer in (block.attn1.to_q, block.attn1.to_k, block.attn1.norm_q, block.attn1.norm_k):
            nn.init.normal_(layer.weight, std=1.5)
    nn.init.normal_(model.proj_out.weight, std=0.2)
    return model


def inputs(batch: int = 3, grid=GRID):
    f, h, w = grid
    x = torch.randn(batch, 4, f, 2 * h, 2 * w) + 3 * torch.randn(batch, 4, f, 1, 1)  # frames that can be told apart
    return x, torch.rand(batch, f), torch.randn(batch, 6, TEXT)


def whole_softmax(attn, x, out, grid):
    """Weights (b, heads, s, s) by complex rotations and one softmax, proven by what the module gives to to_out."""
    b, n = len(x), attn.heads
    x = x.reshape(b, math.prod(grid), -1)
    q, k, v = (
        norm(layer(x)).unflatten(-1, (n, -1)).transpose(1, 2)
        for norm, layer in ((attn.norm_q, attn.to_q), (attn.norm_k, attn.to_k), (nn.Identity(), attn.to_v))
    )
    d = q.shape[-1]
    where = torch.cartesian_prod(*(torch.arange(size, dtype=torch.float64) for size in grid))
    sizes = (d - 4 * (d // 6), 2 * (d // 6), 2 * (d // 6))
    angle = [p[:, None] / 10_000 ** (torch.arange(0, m, 2) / m) for p, m in zip(where.T, sizes, strict=True)]
    turn = torch.exp(1j * torch.cat(angle, dim=1))
    q, k = (torch.view_as_complex(y.double().unflatten(-1, (-1, 2)).contiguous()) * turn for y in (q, k))
    weights = ((q @ k.mH).real / d**0.5).softmax(-1)
    torch.testing.assert_close(
        (weights @ v.double()).transpose(1, 2).flatten(2).float(), out.reshape(b, x.shape[1], -1)
    )
    return weights


@torch.no_grad()
def naive(model, grid, call):
    """Mass (layers, b, f, f) from everything at once."""
    kept = {}
    for i, block in enumerate(model.blocks):
        last = block.attn1.to_out if isinstance(block.attn1.to_out, nn.Linear) else block.attn1.to_out[0]
        block.attn1.register_forward_pre_hook(lambda m, args, i=i: kept.update({(i, "in"): args[0]}))
        last.register_forward_pre_hook(lambda m, args, i=i: kept.update({(i, "out"): args[0]}))
    call()
    f = grid[0]
    found = []
    for i, block in enumerate(model.blocks):
        weights = whole_softmax(block.attn1, kept[i, "in"], kept[i, "out"], grid)
        found.append(weights.unflatten(3, (f, -1)).sum(4).unflatten(2, (f, -1)).mean(dim=(1, 3)))
    return torch.stack(found).float()


def wan(cls):
    model = loud(transformer())
    return model if cls == "diffusers" else VTAWanTransformer3DModel.adopt(model)


def case(name):
    """(transformer, a call of it)"""
    x, tau, text = inputs()
    if name == "toy":
        model = toy()
        return model, lambda: model(x, tau, text)
    model = wan(name)
    t = 1000 * tau if name == "vta" else 1000 * tau[:, 0] if name == "scalar" else 1000 * tau.repeat_interleave(21, 1)
    return model, lambda: model(x, t, text)[0]


@torch.no_grad()
@pytest.mark.parametrize("some", [1, 2 * 3 * 21 * 105, 2**25])
@pytest.mark.parametrize("name", ["toy", "diffusers", "vta", "scalar"])
def test_it_is_the_whole_softmax_summed_over_frames(name, some, monkeypatch):
    monkeypatch.setattr(inside, "AT_ONCE", some)
    model, call = case(name)
    with attention_mass(model) as seen:
        call()
    assert len(seen) == 1
    mass = seen[0]
    assert mass.shape == (2, 3, 5, 5)
    assert mass.dtype == torch.float32
    torch.testing.assert_close(mass.sum(-1), torch.ones(2, 3, 5))
    want = naive(model, GRID, call)
    assert (want - 0.2).abs().max() > 0.2  # else an even mass would do
    torch.testing.assert_close(mass, want, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_averaging_before_the_softmax_is_something_else():
    q, k = torch.randn(2, 2, 105, 3, 14) * 2
    true = inside.frame_mass(q, k, list(GRID))
    ask, key = (y.unflatten(1, (5, -1)).mean(2).transpose(1, 2) for y in (q, k))
    official = (ask @ key.mT / 14**0.5).softmax(-1).mean(1)
    torch.testing.assert_close(official.sum(-1), true.sum(-1))
    assert (official - true).abs().max() > 0.05


@torch.no_grad()
def test_a_frame_whose_keys_are_sought_has_all_the_mass_and_no_keys_give_an_even_one():
    q, k = torch.zeros(2, 2, 12, 1, 4)
    torch.testing.assert_close(inside.frame_mass(q, k, [3, 2, 2]), torch.full((2, 3, 3), 1 / 3))
    q[0, :4, :, 0], k[0, 8:, :, 0] = 10, 10
    want = torch.full((3, 3), 1 / 3)
    want[0] = torch.tensor([0.0, 0.0, 1.0])
    torch.testing.assert_close(inside.frame_mass(q, k, [3, 2, 2])[0], want)


@torch.no_grad()
@pytest.mark.parametrize("name", ["toy", "diffusers", "vta"])
def test_the_forward_stays_as_it_is_bit_for_bit_and_hooks_go(name):
    model, call = case(name)
    before = call()
    with attention_mass(model) as seen:
        assert torch.equal(call(), before)
        assert torch.equal(call(), before)
    assert len(seen) == 2
    assert torch.equal(*seen)
    call()
    assert len(seen) == 2
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_gradients_stay_as_they_are_under_autocast():
    x, tau, text = inputs()
    found = []
    for recorded in (False, True):
        torch.manual_seed(3)
        model = toy().train()
        with torch.autocast("cpu", torch.bfloat16):
            if recorded:
                with attention_mass(model) as seen:
                    v = model(x, tau, text)
            else:
                v = model(x, tau, text)
        v.float().square().mean().backward()
        found.append([p.grad for p in model.parameters()])
    assert not seen[0].requires_grad
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@torch.no_grad()
def test_a_converted_wan_gives_the_same():
    model = wan("diffusers")
    x, tau, text = inputs()
    with attention_mass(model) as theirs:
        model(x, 1000 * tau[:, 0], text)
    ours = ToyDiT.from_diffusers(model)
    with attention_mass(ours) as seen:
        ours(x, tau[:, :1].expand(-1, 5), text)
    torch.testing.assert_close(seen[0], theirs[0], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_an_image_to_video_toy_is_read_too():
    base = small_models.ToyModel(small_models.PRESETS["nano"]).eval()
    model = ImageToVideo.from_base(base)
    loud(model.dit)
    x, tau, cond = torch.randn(2, 3, 4, 16, 12), torch.rand(2, 4), base.encode_text(["a red circle moves up"] * 2)
    with attention_mass(model.dit) as seen:
        model(x, tau, **cond, first=x[:, :, :1])
    want = naive(model.dit, (4, 4, 3), lambda: model(x, tau, **cond, first=x[:, :, :1]))
    torch.testing.assert_close(seen[0], want, atol=1e-5, rtol=1e-4)


class Largest(TorchDispatchMode):
    """The most numbers that any tensor of a computation has."""

    most = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        self.most = max(self.most, *(t.numel() for t in [out] if isinstance(t, torch.Tensor)), 0)
        return out


def test_only_one_head_of_one_frame_is_held_when_tokens_are_many(monkeypatch):
    monkeypatch.setattr(inside, "AT_ONCE", 1)
    q, k = torch.randn(2, 1, 6 * 100, 4, 8)
    with Largest() as seen:
        inside.frame_mass(q, k, [6, 10, 10])
    assert seen.most == 100 * 600


@torch.no_grad()
def test_what_cannot_be_read_is_refused(as_user):
    with (
        pytest.raises(ValueError, match=r"ToyModel has no blocks.*model\.dit"),
        attention_mass(small_models.ToyModel(small_models.PRESETS["nano"])),
    ):
        pass
    model = toy()
    model.blocks[1].forward = lambda x, *rest: x
    with pytest.raises(ValueError, match="1 of 2 layers were seen"), attention_mass(model):
        model(*inputs())
    with pytest.raises(ValueError, match="attention over 12 tokens of 3 x 5"):
        inside.frame_mass(*torch.randn(2, 1, 12, 1, 4), [3, 5, 1])


def test_a_known_change_has_its_closed_form():
    names = {
        "dit.blocks.0.attn1.to_q.weight": "self_attention",
        "blocks.11.attn1.to_out.0.bias": "self_attention",
        "blocks.0.attn2.to_v.weight": "cross_attention",
        "blocks.0.ffn.net.0.proj.weight": "feed_forward",
        "condition_embedder.time_proj.weight": "modulation",
        "blocks.0.scale_shift_table": "modulation",
    }
    before = {name: torch.randn(3, 5 + i) for i, name in enumerate(names)}
    delta = {name: torch.randn_like(w) * (i != 3) for i, (name, w) in enumerate(before.items())}
    found = parameter_change(before, {name: before[name] + delta[name] for name in names})
    assert list(found) == ["self_attention", "cross_attention", "feed_forward", "modulation"]
    whole = torch.cat([d.ravel() for d in delta.values()]).norm() ** 2
    for kind, got in found.items():
        d, w = (torch.cat([x[n].ravel() for n in names if names[n] == kind]) for x in (delta, before))
        assert got["relative"] == pytest.approx(float(d.norm() / w.norm()), rel=1e-5)
        assert got["share"] == pytest.approx(float(d.norm() ** 2 / whole), rel=1e-5)
        assert got["parameters"] == d.numel()
    assert found["feed_forward"]["relative"] == found["feed_forward"]["share"] == 0
    assert sum(got["share"] for got in found.values()) == pytest.approx(1)


def test_new_weights_stand_apart_and_a_change_from_zero_is_infinite():
    before = {"proj_out.weight": torch.zeros(2, 3), "patch_embedding.weight": torch.ones(4, 2), "gone": torch.ones(5)}
    after = {"proj_out.weight": torch.ones(2, 3), "patch_embedding.weight": torch.ones(4, 3)}
    found = parameter_change(before, after)
    assert found["patch_and_head"] == {"relative": math.inf, "share": 1.0, "parameters": 6}
    assert found["new"]["names"] == ["patch_embedding.weight", "gone"]
    assert found["new"]["kinds"] == {"patch_and_head": 12, "other": 5}
    assert found["new"]["parameters"] == 17
    same = parameter_change(after, after)
    assert same == {"patch_and_head": {"relative": 0.0, "share": 0.0, "parameters": 18}}


def test_every_weight_of_both_layouts_has_one_kind_and_both_agree():
    ours = toy(image_dim=8)
    theirs = ours.to_diffusers()
    for model in (ours, theirs):
        for name in model.state_dict():
            assert len([kind for kind, pattern in KINDS[:-1] if re.search(pattern, name)]) == 1, name
    counts = [{}, {}]
    for model, count in zip((ours, theirs), counts, strict=True):
        for name, w in model.state_dict().items():
            count[kind_of(name)] = count.get(kind_of(name), 0) + w.numel()
    assert counts[0] == counts[1]
    assert set(counts[0]) == {kind for kind, _ in KINDS} - {"other"}
    assert {kind_of(n) for n in ("text.layers.0.norm1.weight", "codec.encoder.down_blocks.0.norm1.gamma")} == {"other"}


def test_the_shipped_adapter_changes_what_its_updates_touch_and_nothing_else():
    base, vta = (small_models.load(name, device="cpu").dit for name in ("mini-base", "mini-vta"))
    found = parameter_change(base, vta)
    assert "new" not in found
    # The toys' updates are on every linear layer, text and timestep embedders too: only Pusa's own leave those out.
    assert {kind for kind, got in found.items() if got["relative"] == 0} == {"norms"}
    old, new = base.state_dict(), vta.state_dict()
    moved = {name for name in old if not torch.equal(old[name], new[name])}
    linear = {f"{name}.weight" for name, module in base.named_modules() if isinstance(module, nn.Linear)}
    assert moved == linear
    still = parameter_change(*({n: w for n, w in s.items() if n not in linear} for s in (old, new)))
    assert all(got["relative"] == 0 for got in still.values())
    for part, kind in ((r"attn1\.to_", "self_attention"), (r"ffn\.", "feed_forward")):
        names = [n for n in old if re.search(part, n)]
        change, size = (torch.cat([x(n).ravel() for n in names]) for x in (lambda n: new[n] - old[n], old.get))
        assert found[kind]["relative"] == pytest.approx(float(change.norm() / size.norm()), rel=1e-4)


def test_attention_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match=r"metrics.frame_mass: q and k give attention that is not finite"):
        inside.frame_mass(torch.ones(1, 8, 1, 4) * 1e30, torch.ones(1, 8, 1, 4) * 1e30, [2, 2, 2])

"""pytest tests/test_flow_maps.py: maps from noise levels to lower ones, against the exact maps of Gaussian videos."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from wan_tiny import refused

import pusa_lab as pl
import small_models
from pusa_lab.analytic import GaussianDenoiser
from pusa_lab.flow_maps import flow_map, flow_map_frame_loss
from pusa_lab.losses import fafm_frame_loss
from pusa_lab.samplers import sample
from pusa_lab.training import Batch, FlowMapModule, TrainConfig, run
from small_models.models import zoo
from small_models.models.flow_map import FlowMapToy

F = 4
PROMPT = "a red circle moves right"
close = partial(torch.testing.assert_close, atol=1e-9, rtol=1e-7)


def wide(tau):
    return tau.view(len(tau), 1, -1, 1, 1)


class ExactMaps:
    """Frames that are independent: x_t has variance (1 - t)^2 lambda + t^2, and the flow stretches it evenly.

    f(x, s, t) = (1 - t) mu + sqrt(var_t / var_s) (x - (1 - s) mu)
    """

    def __init__(self):
        g = torch.Generator().manual_seed(3)
        self.mean = torch.randn(F, generator=g, dtype=torch.float64)
        self.var = 0.2 + torch.rand(F, generator=g, dtype=torch.float64)
        self.velocity = GaussianDenoiser(self.mean, torch.diag(self.var))

    def map(self, x, s, t):
        spread = [(1 - one) ** 2 * self.var + one**2 for one in (s, t)]
        centred = x - wide((1 - s) * self.mean)
        return wide((1 - t) * self.mean) + wide((spread[1] / spread[0]).sqrt()) * centred

    def __call__(self, x, tau, to):
        way = wide(tau - to)
        mean = (x - self.map(x, tau, to)) / way.where(way > 0, 1)
        return torch.where(way > 0, mean, self.velocity(x, tau))


@pytest.fixture(scope="module")
def exact():
    return ExactMaps()


def given(seed=0, b=6):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(b, 2, F, 3, 3, generator=g, dtype=torch.float64)
    s, r = torch.rand(2, b, F, generator=g, dtype=torch.float64)
    return x, s, s * r


def step(maps, x, s, t):
    return flow_map(maps, x, s, t)[0]


def test_the_exact_map_is_where_the_flow_arrives(exact):
    """One call against two hundred steps of Heun, for all frames together and one after the other."""
    x, *_ = given()
    ones, zeros = torch.ones(6, F, dtype=x.dtype), torch.zeros(6, F, dtype=x.dtype)
    want = step(exact, x, ones, zeros)
    for schedule in ("synchronous", "pyramid"):
        found = sample(exact.velocity, x, schedule, "heun", steps=200)
        torch.testing.assert_close(found, want, atol=1e-4, rtol=0)


def test_the_boundary_is_exact_and_maps_compose(exact):
    x, s, t = given()
    ones, zeros = torch.ones_like(s), torch.zeros_like(s)
    assert torch.equal(step(lambda x, tau, to: torch.full_like(x, math.inf), x, s, s), x)
    close(step(exact, step(exact, x, ones, s), s, zeros), step(exact, x, ones, zeros))
    close(step(exact, step(exact, x, ones, s), s, t), step(exact, x, ones, t))
    assert not torch.allclose(step(exact, x, ones, s), x)


def test_every_schedule_of_any_length_gives_the_same_video(exact):
    x, *_ = given()
    want = step(exact, x, torch.ones(6, F, dtype=x.dtype), torch.zeros(6, F, dtype=x.dtype))
    for schedule, steps in (("synchronous", 1), ("synchronous", 3), ("rolling", 4), ("autoregressive", 2)):
        torch.testing.assert_close(sample(exact, x, schedule, flow_map, steps=steps), want, atol=1e-5, rtol=0)


def test_the_loss_of_the_exact_maps_is_what_the_data_leaves_open(exact):
    """Nothing for maps, and for velocities what is left by the exact denoiser too; a wrong map has a loss."""
    x0, tau, _ = given(1)
    eps, reach = torch.randn_like(x0), torch.rand_like(tau)
    loss = flow_map_frame_loss(exact, x0, tau, eps, reach, share=0.5)
    torch.testing.assert_close(loss[:3], torch.zeros(3, F), atol=1e-9, rtol=0)
    torch.testing.assert_close(loss[3:], fafm_frame_loss(exact.velocity, x0, tau, eps)[3:])
    wrong = flow_map_frame_loss(lambda x, tau, to: exact.velocity(x, tau), x0, tau, eps, reach, share=0.5)
    assert (wrong[:3] > 1e-6).all()
    whole = flow_map_frame_loss(exact, x0, tau, eps, reach, share=0.0)
    torch.testing.assert_close(whole, fafm_frame_loss(exact.velocity, x0, tau, eps))
    alone = flow_map_frame_loss(exact, x0[:1], tau[:1], eps[:1], reach[:1])  # as the last clip of a validation may be
    torch.testing.assert_close(alone, fafm_frame_loss(exact.velocity, x0[:1], tau[:1], eps[:1]))
    for share in (-0.5, 1.5):
        with pytest.raises(ValueError, match="give a share of the clips in"):
            flow_map_frame_loss(exact, x0, tau, eps, reach, share=share)


@pytest.mark.parametrize("sizes", [{"global_batch_size": 2}, {"global_batch_size": 8, "micro_batch_size": 2}])
def test_a_training_in_which_no_clip_learns_a_map_is_refused(sizes):
    with pytest.raises(ValueError, match=r"2 clips at a time, of which 0\.25 learn a map: give 3 or more"):
        FlowMapModule(torch.nn.Linear(1, 1), TrainConfig(max_steps=1, **sizes))


def test_the_target_has_no_gradient_and_leads_where_reach_says():
    asked = []

    def maps(x, tau, to):
        asked.append((torch.is_grad_enabled(), tau, to))
        return x * weight

    weight = torch.ones((), requires_grad=True)
    x0, tau, _ = given(2)
    reach = torch.rand_like(tau)
    flow_map_frame_loss(maps, x0, tau, torch.randn_like(x0), reach, share=1 / 3).sum().backward()
    (_, t0, m), (_, t1, to), (_, t2, ends) = asked
    assert [one[0] for one in asked] == [False, False, True] and weight.grad != 0
    close(to, reach[:2] * tau[:2])
    close(m, (tau[:2] + to) / 2)
    assert torch.equal(t0, tau[:2]) and torch.equal(t1, m) and torch.equal(t2, tau)
    assert torch.equal(ends[:2], to) and torch.equal(ends[2:], tau[2:])


class Learns(nn.Module):
    """u = a(s, t) x + b(s, t), enough for one Gaussian."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))

    def forward(self, x, tau, to):
        a, b = self.net(torch.stack([tau, to], -1)).unbind(-1)
        return wide(a) * x + wide(b)


def test_what_is_learned_from_data_are_the_maps_and_they_compose(one_thread):
    """From samples of one Gaussian alone; the velocity in a single step would miss the spread by far."""
    torch.manual_seed(0)
    mean, std = 0.7, 0.4
    model = Learns()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400)
    for _ in range(400):
        x0, eps = mean + std * torch.randn(256, 1, 1, 4, 4), torch.randn(256, 1, 1, 4, 4)
        tau, reach = torch.rand(256, 1), (torch.rand(256, 1) * 4 / 3 - 1 / 3).clamp(min=0)
        loss = flow_map_frame_loss(model, x0, tau, eps, reach, share=0.5).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    x, ones = torch.randn(512, 1, 1, 4, 4), torch.ones(512, 1)
    with torch.no_grad():
        at_once = step(model, x, ones, 0 * ones)
        in_two = step(model, step(model, x, ones, 0.5 * ones), 0.5 * ones, 0 * ones)
        one_euler_step = x - model(x, ones, ones)
    apart = [(one - other).square().mean().sqrt() for one, other in ((at_once, mean + std * x), (in_two, at_once))]
    assert max(apart) < 0.2 * std  # a mean of all videos would be std apart
    assert one_euler_step.std() < 0.1, "the mean of all videos"


@pytest.fixture
def toy(small_nano):
    torch.manual_seed(0)
    return FlowMapToy.from_base(small_nano)


def test_a_toy_starts_as_its_base_and_then_sees_where_to_go(toy, small_nano):
    x, tau, cond = torch.randn(2, 3, F, 16, 16), torch.rand(2, F), small_nano.encode_text([PROMPT] * 2)
    to = tau * torch.rand(2, F)
    with torch.no_grad():
        want = small_nano(x, tau, **cond)
        for one in (None, tau, to):
            torch.testing.assert_close(toy(x, tau, **cond, to=one), want)
        nn.init.normal_(toy.way_embedder[2].weight)
        found = toy(x, tau, **cond, to=to)
        assert not torch.allclose(found, want, atol=1e-3)
        torch.testing.assert_close(toy(x, tau, **cond), toy(x, tau, **cond, to=tau))
        masked = pl.causal(toy, 2)
        other = to.clone()
        other[:, 2:] /= 2
        pair = [masked(x, tau, **cond, to=one) for one in (to, other)]
    assert torch.equal(pair[0][:, :, :2], pair[1][:, :, :2]) and not torch.equal(*pair)


def test_a_toy_is_saved_loaded_and_sampled_in_two_calls(toy, tmp_path):
    nn.init.normal_(toy.way_embedder[2].weight)
    zoo.save(toy, tmp_path / "fast.safetensors", {})
    found = small_models.load(tmp_path / "fast.safetensors", device="cpu")
    assert type(found) is FlowMapToy
    results = [pl.generate(one, PROMPT, solver=flow_map, steps=2, guidance=1.0, seed=3) for one in (toy, found)]
    torch.testing.assert_close(results[0].latents, results[1].latents, atol=5e-3, rtol=0)  # stored in half precision
    assert results[0].calls == 2
    euler = pl.generate(found, PROMPT, steps=2, guidance=1.0, seed=3)
    guided = pl.generate(found, PROMPT, solver=flow_map, steps=2, guidance=3.0, seed=3)
    assert guided.calls == 4
    for other in (euler, guided):
        assert (other.latents - results[0].latents).abs().max() > 0.1


def test_a_model_that_takes_no_to_is_refused(small_nano):
    asked = partial(pl.generate, solver=flow_map, steps=2)
    refused(r"the denoiser does not take \(x, tau, text=..., to=...\)", asked, small_nano, PROMPT)


def test_it_trains_and_maps_are_part_of_it(toy, one_thread):
    config = TrainConfig(max_steps=6, global_batch_size=8, warmup=1, ema=0.5, timestep_sampler="independent")
    torch.manual_seed(0)
    batch = Batch(torch.randn(8, 3, F, 16, 16).clamp(-1, 1), [PROMPT] * 8)
    toy.requires_grad_(True).train()
    module = FlowMapModule(toy, config)
    tau, before = module.frame_loss(batch, 3, 0.0)
    want = fafm_frame_loss(toy, batch.x0, tau, torch.randn(batch.x0.shape, generator=module.generator("cpu", 3, 2)),
                           **toy.encode_text(batch.captions))  # fmt: skip
    torch.testing.assert_close(before[2:], want[2:])  # a quarter of eight are maps
    assert not torch.allclose(before[:2], want[:2])
    parts = [Batch(half, [PROMPT] * 4) for half in batch.x0.chunk(2)]
    assert torch.equal(torch.cat([module.frame_loss(one, 3, 0.0, i, 2)[0] for i, one in enumerate(parts)]), tau)
    run(module, [batch] * 6, accelerator="cpu")
    assert toy.way_embedder[2].weight.abs().max() > 0
    with pytest.raises(ValueError, match="causal=2, history='none': flow maps are trained without both"):
        FlowMapModule(toy, TrainConfig(causal=2))

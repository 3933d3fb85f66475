"""pytest tests/test_forgetting.py: how far an adapted model is from its base, in closed form and on the toys."""

import math

import pytest
import torch
from wan_tiny import pipeline

import pusa_lab as pl
from pusa_lab.forgetting import distance_from_base, follow_base
from pusa_lab.sweeps import averages
from pusa_lab.types import Geometry
from pusa_lab.wan import lora
from pusa_lab.wan.model import WanModel

A, CHANGE, STEPS = 0.5, 0.25, 4


class Linear:
    """v = factor x: a model whose sampling is a product, and whose videos are its latents."""

    def __init__(self, factor=A, frames=5, size=(9, 7), turned=0.0):
        self.geometry, self.device = Geometry((1, 1, 1), 3, frames, size), torch.device("cpu")
        self.factor, self.turned, self.asked = factor, turned, []

    def encode_text(self, prompts):
        return {"words": torch.tensor([[float(len(prompt))] for prompt in prompts])}

    def encode_video(self, clip):
        return clip

    def decode(self, latents):
        return latents.clamp(-1, 1)

    def __call__(self, x, tau, words=None):
        self.asked.append((x.shape, tau))
        return self.factor * x + self.turned * (tau > 0.5).to(x)[:, None, :, None, None] * x.flip(1)


def product(factor, steps=STEPS):
    """What Euler multiplies the noise with."""
    return (1 - factor / steps) ** steps


@pytest.mark.parametrize("prompts", ["a", ["a", "b", "cc"]])
def test_a_known_change_of_the_velocity_is_found_exactly(prompts):
    path = follow_base(Linear(), prompts, 3, steps=STEPS)
    found = distance_from_base(Linear((1 + CHANGE) * A), path)
    b = 1 if prompts == "a" else 3
    assert path.result.latents.shape == found.result.latents.shape == (b, 3, 5, 9, 7)
    torch.testing.assert_close(found.velocity, torch.full((b,), CHANGE))
    assert list(found.by_level) == ["1.000", "0.750", "0.500", "0.250"]
    for value in found.by_level.values():
        torch.testing.assert_close(value, torch.full((b,), CHANGE))
    wanted = abs(product((1 + CHANGE) * A) / product(A) - 1)
    torch.testing.assert_close(found.latents, torch.full((b,), wanted), rtol=1e-4, atol=1e-6)


def test_a_change_at_some_noise_levels_is_told_by_level():
    path = follow_base(Linear(), "a", steps=STEPS)
    found = distance_from_base(Linear(turned=0.1), path)
    apart, whole = [], []
    for x, tau, v in path.points:
        apart.append((0.1 * x.flip(1)).square().sum() if tau[0, 0] > 0.5 else torch.zeros(()))
        whole.append(v.square().sum())
        level = (apart[-1] / whole[-1]).sqrt()
        assert found.by_level[f"{tau[0, 0]:.3f}"].item() == pytest.approx(level.item(), abs=1e-6)
    assert found.velocity.item() == pytest.approx(math.sqrt(sum(apart) / sum(whole)), rel=1e-5)


def test_velocities_are_those_on_the_bases_own_path_at_equal_timesteps():
    base, model = Linear(), Linear(2.0)
    path = follow_base(base, ["a", "b"], [5, 2], steps=3, solver="heun", guidance=1.0)
    points = len(path.points)
    assert points == len(base.asked) == 5, "two calls a step, but one in the last"
    found = distance_from_base(model, path)
    assert len(model.asked) == 2 * points, "once at the base's points, once for its own video"
    assert all(tau.eq(tau[:, :1]).all() for _, tau in base.asked + model.asked)
    assert list(found.by_level) == ["1.000", "0.667", "0.333"]
    torch.testing.assert_close(
        path.result.latents, pl.generate(base, ["a", "b"], seed=[5, 2], steps=3, solver="heun").latents
    )


def test_a_model_is_at_no_distance_from_itself(nano_base):
    table = pl.measure_forgetting(nano_base, nano_base, ["a red circle moves right", ""], [0, 4], steps=2)
    assert table.prompt.tolist() == ["a red circle moves right"] * 2 + [""] * 2 and table.seed.tolist() == [0, 4] * 2
    distances = [name for name in table if "distance" in name]
    assert distances == ["latent_distance", "velocity_distance", "velocity_distance.1.000", "velocity_distance.0.500"]
    assert (table[distances] == 0).all(axis=None) and (table.psnr == 60).all()
    assert set(table.status) == {"done"}
    assert averages(table, "latent_distance").loc[0, "rows"] == 4


def test_the_distance_grows_with_the_strength_of_a_lora():
    base = pl.load("mini-base", device="cpu")
    path = follow_base(base, "a red circle moves right", steps=2, guidance=1.0, latent_frames=3)
    found = [distance_from_base(pl.load("mini-vta", strength=s, device="cpu"), path) for s in (0.0, 0.05, 0.1, 0.3)]
    assert found[0].latents.item() == found[0].velocity.item() == 0 and found[0].psnr.item() == 60
    for name in ("latents", "velocity"):
        values = [getattr(one, name).item() for one in found]
        assert values == sorted(set(values)), name


def test_one_wan_is_followed_at_strength_0_and_compared_at_others(tmp_path):
    pipeline().save_pretrained(tmp_path)
    options = {"size": (32, 64), "num_frames": 9, "dtype": torch.float32, "device": "cpu", "cache": None}
    model = WanModel.from_pretrained(tmp_path, **options)
    names = {"A": (2, 24), "B": (24, 2)}
    pairs = {f"blocks.0.attn1.to_v.lora_{name}.weight": torch.randn(shape) for name, shape in names.items()}
    lora.load_lora(model.transformer, pairs, strength=0.0, name="mine")
    path, far = follow_base(model, ["a red ball", "a dog"], steps=2), []
    for strength in (0.0, 0.3, 1.0):
        lora.set_strengths(model.transformer, {"mine": strength})
        far.append(distance_from_base(model, path))
    assert far[0].velocity.tolist() == far[0].latents.tolist() == [0, 0]
    assert (far[1].velocity > 0).all() and (far[1].velocity < far[2].velocity).all()


def test_metrics_are_compared(nano_base, nano_vta):
    def bright(result):
        return {"mean": result.video.mean(), "most": result.video.max()}

    prompts = ["a red circle moves right", "a blue square moves up"]
    options = {"steps": 2, "guidance": 1.5}
    truth = {prompt: pl.generate(nano_base, prompt, **options).video for prompt in prompts}
    table = pl.measure_forgetting(nano_vta, nano_base, prompts, metrics=[bright, "ssim"], truth=truth, **options)
    for row in table.itertuples():
        made = pl.generate(nano_vta, row.prompt, **options)
        change = made.video.mean() - truth[row.prompt].mean()
        assert table.loc[row.Index, "bright.mean_change"] == pytest.approx(change)
        assert row.ssim_change < 0, "the base's own video is the truth here"
        wanted = pl.metrics.psnr(*(pl.pixels.to_pixels(v) for v in (made.video, truth[row.prompt]))).mean().item()
        assert row.psnr == pytest.approx(wanted, rel=1e-4)


def measure(**changes):
    given = {"model": Linear(), "base": Linear(), "prompts": "a", "steps": 1}
    return pl.measure_forgetting(**given | changes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prompts": []}, r"measure_forgetting: prompts is an empty list: give at least one\."),
        ({"prompts": ["a", "a"]}, "the prompt 'a' is there twice"),
        ({"seeds": []}, "seeds is an empty list"),
        (
            {"base": Linear(frames=3)},
            r"the model's geometry has frames=5 and the base's 3, .* the base that it was adap",
        ),
        ({"base": Linear(size=(8, 8))}, r"the model's geometry has size=\(9, 7\) and the base's \(8, 8\)"),
        (
            {"schedule": "pyramid"},
            r"not the same for all frames, and a base knows no others: give one matrix",
        ),
        (
            {"schedule": pl.schedules.pyramid(3, 5), "steps": None},
            r"noise levels of shape \(\d+, 5\) that are not",
        ),
        ({"task": None}, "task is settled here, where both models make the same text-to-video: leave it out"),
        ({"seed": 3}, "seed is settled here, .*: give seeds"),
        ({"image": 3}, "there is no argument 'image'"),
        ({"metrics": ["psnr"]}, "the metric psnr compares with a truth: give truth=, or other metrics"),
        ({"metrics": ["skill"]}, "the metric skill compares with known frames, and text-to-video has none"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_made(changes, sentence):
    model = Linear()
    with pytest.raises(ValueError, match=sentence):
        measure(model=model, **changes)
    assert not model.asked and not getattr(changes.get("base"), "asked", [])

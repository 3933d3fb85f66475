"""pytest tests/test_guiders.py: APG, CFG-Zero* and skip-layer guidance against diffusers' own; guiders by name."""

import itertools
from functools import partial

import pytest
import torch
from diffusers.guiders import AdaptiveProjectedGuidance, ClassifierFreeZeroStarGuidance, SkipLayerGuidance
from diffusers.hooks import LayerSkipConfig, apply_layer_skip
from test_guidance import FAR, FRAMES, MEAN, SCHEDULES, captioned, video_cov
from wan_tiny import transformer

from pusa_lab import schedules
from pusa_lab.analytic import GaussianDenoiser
from pusa_lab.guidance import (
    GUIDERS,
    Guided,
    apg,
    calls,
    cfg_zero_star,
    chain,
    fractional,
    guide,
    history_guidance,
    layer_indices,
    picture_guidance,
    skip_layer_guidance,
    text_cfg,
    vanilla,
)
from pusa_lab.samplers import sample
from pusa_lab.wan.transformer import VTAWanTransformer3DModel
from small_models.models.dit import ToyDiT

SHAPES = [(1, 3, 4, 5, 7), (3, 2, 1, 4, 3), (2, 5, 3, 1, 1)]
V = {"which": "v"}
NULL = {"which": "null"}


class Fixed:
    """A denoiser with a velocity of its own for each caption, and one for its blocks skipped."""

    num_layers = 4

    def __init__(self, shape, dtype=torch.float64):
        self.v = {name: torch.randn(shape, dtype=dtype) for name in ("v", "null", "skip")}
        self.asked = []

    def __call__(self, x, tau, which="v", skip_layers=()):
        name = "skip" if skip_layers else which
        self.asked.append((name, tuple(skip_layers)))
        return self.v[name]


def at(shape, level=None):
    x = torch.randn(shape, dtype=torch.float64)
    tau = torch.rand(shape[0], shape[2], dtype=torch.float64) * 0.9 + 0.05
    return x, tau if level is None else torch.full_like(tau, level)


def view(tau):
    return tau.reshape(len(tau), 1, -1, 1, 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("eta", "threshold"), [(0.0, 0.0), (1.0, 0.0), (0.3, 2.5), (0.0, 1e6), (-1.0, 0.5)])
@pytest.mark.parametrize("by_frame", [False, True])
def test_apg_is_that_of_diffusers_on_clean_estimates(shape, eta, threshold, by_frame):
    model, (x, tau) = Fixed(shape), at(shape)
    theirs = AdaptiveProjectedGuidance(
        4.5,
        adaptive_projected_guidance_rescale=threshold,
        adaptive_projected_guidance_norm_dim=(1, 3, 4) if by_frame else None,
        eta=eta,
        use_original_formulation=True,  # D_cond + w U, so that w = s - 1
    )
    clean, clean_null = (x - view(tau) * model.v[name] for name in ("v", "null"))
    want = (x - theirs.forward(clean, clean_null).pred) / view(tau)
    guided = apg(model, NULL, 5.5, eta, threshold, by_frame=by_frame)
    torch.testing.assert_close(guided(x, tau, **V), want)
    assert calls(guided) == len(model.asked) == 2


def test_apg_with_momentum_is_that_of_diffusers_down_a_walk_and_again_down_the_next():
    shape = (2, 3, 4, 5, 6)
    model, (x, _) = Fixed(shape), at(shape)
    guided = apg(model, NULL, 5.5, 0.2, 3.0, momentum=-0.6)
    for _ in range(2):
        theirs = AdaptiveProjectedGuidance(4.5, -0.6, 3.0, eta=0.2, use_original_formulation=True)
        for step, level in enumerate((1.0, 0.8, 0.3, 0.1)):
            theirs.set_state(step, 4, None)
            theirs.prepare_inputs({})  # makes the memory at step 0
            tau = torch.full((2, 4), level, dtype=torch.float64)
            model.v = Fixed(shape).v
            clean, clean_null = (x - level * model.v[name] for name in ("v", "null"))
            want = (x - theirs.forward(clean, clean_null).pred) / level
            torch.testing.assert_close(guided(x, tau, **V), want)


def test_a_frame_that_rests_keeps_its_momentum():
    """Where the second frame waits at 1, its next move is as if it had never been asked meanwhile."""
    shape = (1, 2, 2, 3, 3)
    model, (x, _) = Fixed(shape), at(shape)
    tau = lambda *levels: torch.tensor([levels], dtype=torch.float64)  # noqa: E731
    guided, never = (apg(model, NULL, 3.0, momentum=0.5, by_frame=True) for _ in range(2))
    for level in (1.0, 0.8, 0.3):
        guided(x, tau(level, 1.0), **V)
    never(x, tau(1.0, 1.0), **V)
    found, want = (one(x, tau(0.2, 0.9), **V) for one in (guided, never))
    assert torch.equal(found[:, :, 1], want[:, :, 1])
    assert not torch.allclose(found[:, :, 0], want[:, :, 0])


@pytest.mark.parametrize("shape", SHAPES)
def test_apg_that_keeps_the_parallel_part_is_text_guidance(shape):
    model, (x, tau) = Fixed(shape), at(shape)
    torch.testing.assert_close(apg(model, NULL, 3.7, 1.0)(x, tau, **V), text_cfg(model, NULL, 3.7)(x, tau, **V))


def test_apg_moves_the_clean_estimate_across_itself():
    shape = (3, 2, 4, 3, 5)
    model, (x, tau) = Fixed(shape), at(shape)
    plain = x - view(tau) * model.v["v"]
    for axes, by_frame in (((1, 2, 3, 4), False), ((1, 3, 4), True)):
        moved = x - view(tau) * apg(model, NULL, 9.0, by_frame=by_frame)(x, tau, **V) - plain
        assert (moved * plain).sum(axes).abs().max() < 1e-10
        assert moved.abs().max() > 0.1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [0.0, 2.5, 8.0])
def test_cfg_zero_star_is_that_of_diffusers(shape, scale):
    model, (x, tau) = Fixed(shape), at(shape)
    theirs = ClassifierFreeZeroStarGuidance(scale, zero_init_steps=0)
    theirs.set_state(0, 5, None)
    guided = cfg_zero_star(model, NULL, scale)
    # their factor is rounded to float32 on the way
    want = theirs.forward(model.v["v"], model.v["null"]).pred
    torch.testing.assert_close(guided(x, tau, **V), want, rtol=1e-5, atol=1e-5)
    assert calls(guided) == len(model.asked) == 2


def test_cfg_zero_star_leaves_out_the_first_step_of_every_frame():
    shape = (2, 3, 4, 5, 6)
    model, (x, _) = Fixed(shape), at(shape)
    tau = torch.tensor([[1.0, 1.0, 0.5, 0.0], [0.9997, 0.99, 0.2, 0.1]], dtype=torch.float64)
    theirs = ClassifierFreeZeroStarGuidance(3.0, zero_init_steps=1)
    theirs.set_state(0, 5, None)
    assert not theirs.forward(model.v["v"], model.v["null"]).pred.any()
    v, kept = (cfg_zero_star(model, NULL, 3.0, zero_from=z)(x, tau, **V) for z in (0.999, None))
    first = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0]]).bool()
    assert torch.equal(v.abs().amax((1, 3, 4)) == 0, first)
    torch.testing.assert_close(v, torch.where(view(first), 0, kept))


def test_cfg_zero_star_by_frame_is_that_of_each_frame_alone():
    shape = (2, 3, 4, 5, 6)
    model, (x, tau) = Fixed(shape), at(shape)
    found = cfg_zero_star(model, NULL, 3.0, by_frame=True)(x, tau, **V)
    for f in range(4):
        theirs = ClassifierFreeZeroStarGuidance(3.0, zero_init_steps=0)
        theirs.set_state(0, 5, None)
        want = theirs.forward(model.v["v"][:, :, f], model.v["null"][:, :, f]).pred
        torch.testing.assert_close(found[:, :, f], want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("scale", "weight", "number"), [(3.0, 2.8, 3), (1.0, 2.8, 2), (3.0, 0.0, 2), (1.0, 0.0, 1)])
def test_skip_layer_guidance_is_that_of_diffusers(shape, scale, weight, number):
    model, (x, tau) = Fixed(shape), at(shape)
    # without text guidance, theirs steps from v_skip unless in the original form, which goes on from v_cond as with it
    theirs = SkipLayerGuidance(scale, weight, 0.0, 1.0, [1, 3], use_original_formulation=scale == 1)
    theirs.set_state(1, 5, None)
    if scale == 1:
        theirs.guidance_scale = 0.0  # how their original form says that there is no text guidance
    want = theirs.forward(model.v["v"], model.v["null"], model.v["skip"]).pred
    guided = skip_layer_guidance(model, NULL, [-1, 1], weight, scale)
    torch.testing.assert_close(guided(x, tau, **V), want)
    assert calls(guided) == len(model.asked) == number
    assert [layers for name, layers in model.asked if name == "skip"] == [(1, 3)] * (weight != 0)


def test_layers_are_skipped_for_frames_within_the_interval():
    shape = (1, 2, 4, 3, 3)
    model, (x, _) = Fixed(shape), at(shape)
    tau = torch.tensor([[0.1, 0.3, 0.6, 0.9]], dtype=torch.float64)
    found = skip_layer_guidance(model, NULL, [0], 2.0, interval=(0.2, 0.7))(x, tau, **V)
    assert torch.equal(found[:, :, [0, 3]], model.v["v"][:, :, [0, 3]])
    want = 3 * model.v["v"] - 2 * model.v["skip"]
    torch.testing.assert_close(found[:, :, [1, 2]], want[:, :, [1, 2]])
    skip_layer_guidance(model, NULL, [0], 2.0, interval=(0.95, 1.0))(x, tau, **V)
    assert model.asked[-1][0] == "v"


# The models skip their blocks.


@pytest.mark.parametrize("skipped", [(), (0,), (1,), (0, 2)])
def test_wan_and_the_toy_skip_the_same_blocks_as_diffusers_hooks(skipped):
    plain = transformer(num_layers=3)
    ours = VTAWanTransformer3DModel.adopt(transformer(num_layers=3))
    toy = ToyDiT.from_diffusers(transformer(num_layers=3))
    if skipped:
        apply_layer_skip(plain, LayerSkipConfig(list(skipped), "blocks"))
    x, text, tau = torch.randn(2, 4, 3, 4, 6), torch.randn(2, 5, 16), torch.tensor([0.3, 0.8])
    with torch.no_grad():
        want = plain(x, 1000 * tau, text, return_dict=False)[0]
        times = tau[:, None].expand(2, 3)
        found = ours(x, 1000 * times, text, return_dict=False, skip_layers=skipped)[0]
        small = toy(x, times, text, skip_layers=skipped)
    torch.testing.assert_close(found, want)
    torch.testing.assert_close(small, want, rtol=1e-4, atol=1e-5)
    assert toy.num_layers == 3


def test_blocks_that_are_not_there_cannot_be_skipped(nano_vta):
    ours, x = VTAWanTransformer3DModel.adopt(transformer()), torch.randn(1, 4, 3, 4, 6)
    with pytest.raises(ValueError, match=r"layer 2 of a transformer with 2 layers: give 0\.\.1"):
        ours(x, torch.ones(1, 3), torch.randn(1, 5, 16), skip_layers=(2,))
    with pytest.raises(ValueError, match=r"skip_layers with a timestep of shape \(1,\): give one per frame, \(1, 3\)"):
        ours(x, torch.ones(1), torch.randn(1, 5, 16), skip_layers=(1,))
    text = nano_vta.encode_text(["a red circle moves right"])
    with pytest.raises(ValueError, match="layer -9 of a transformer with"):
        nano_vta(torch.randn(1, 3, 8, 16, 16), torch.ones(1, 8), **text, skip_layers=[-9])
    assert layer_indices([-1, 1, 0], 3) == (0, 1, 2)


# On the Gaussian, where two captions that differ in their mean make a Gaussian of every line through them.

COV = video_cov()
CAPTION, EMPTY = {"mean": FAR, "cov": COV}, {"mean": MEAN, "cov": COV}


@pytest.mark.parametrize("S", SCHEDULES)
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_apg_with_all_of_its_update_samples_the_gaussian_of_the_guided_mean(S, scale):
    x = torch.randn(3, 2, FRAMES, 3, 1, dtype=torch.float64)
    exact = GaussianDenoiser(MEAN + scale * (FAR - MEAN), COV)
    found = sample(apg(captioned, EMPTY, scale, eta=1.0), x, S.double(), **CAPTION)
    torch.testing.assert_close(found, sample(exact, x, S.double()))


def test_zero_star_and_text_guidance_agree_where_the_null_is_a_multiple():
    """v_null = c v_cond: then a v_null = v_cond, and no scale changes anything; text guidance is thrown far off."""
    third = lambda x, tau, gain: gain * MODEL(x, tau)  # noqa: E731
    x, tau = torch.randn(2, 2, FRAMES, 3, 3, dtype=torch.float64), torch.rand(2, FRAMES, dtype=torch.float64)
    found = cfg_zero_star(third, {"gain": 0.3}, 7.0)(x, tau, gain=1.0)
    torch.testing.assert_close(found, MODEL(x, tau), rtol=1e-6, atol=1e-6)
    assert not torch.allclose(text_cfg(third, {"gain": 0.3}, 7.0)(x, tau, gain=1.0), found, rtol=0.5)


MODEL = GaussianDenoiser(MEAN, COV)


class Skipping:
    """A Gaussian that takes a more distant mean when it skips layers, so that what is guided away from it is known."""

    num_layers = 2

    def __call__(self, x, tau, mean, cov, skip_layers=()):
        return captioned(x, tau, mean - 0.5 if skip_layers else mean, cov)


@pytest.mark.parametrize("S", SCHEDULES)
def test_skip_layer_guidance_samples_the_gaussian_of_the_mean_led_away(S):
    x = torch.randn(3, 2, FRAMES, 3, 1, dtype=torch.float64)
    guided = skip_layer_guidance(Skipping(), EMPTY, [1], 1.5, 2.0)
    exact = GaussianDenoiser(MEAN + 2 * (FAR - MEAN) + 1.5 * 0.5, COV)
    torch.testing.assert_close(sample(guided, x, S.double(), **CAPTION), sample(exact, x, S.double()))


@pytest.mark.parametrize(("scale", "level"), [(1.7, 0.0), (0.4, 0.0), (2.5, 0.3)])
def test_picture_guidance_is_history_guidance_of_the_known_frames(scale, level):
    x, eps = torch.randn(2, 3, 2, FRAMES, 3, 1, dtype=torch.float64)
    tau = torch.tensor([[0.0, 0.2, 0.7, 0.9, 1.0]], dtype=torch.float64).expand(3, -1)
    terms = fractional([0, 1], level, scale) if level else vanilla([0, 1], scale)
    found = picture_guidance(MODEL, [0, 1], eps, scale, level)
    assert torch.equal(found(x, tau), history_guidance(MODEL, terms, eps)(x, tau))
    assert calls(found) == (3 if level else 2)


# All of them.

SETTINGS = {
    "text_cfg": {"scale": 3.0, "rescale": 0.5},
    "apg": {"scale": 3.0, "threshold": 2.0},
    "cfg_zero_star": {"scale": 3.0},
    "skip_layer_guidance": {"layers": [0], "weight": 1.5, "scale": 2.0},
    "history_guidance": {"terms": vanilla([0], 1.5)},
    "picture_guidance": {"scale": 1.5},
}
WITHOUT = {
    "text_cfg": {"scale": 1.0},
    "apg": {"scale": 1.0, "momentum": 0.5},
    "cfg_zero_star": {"scale": 1},
    "skip_layer_guidance": {"layers": [0], "weight": 0.0},
    "history_guidance": {"terms": vanilla([0], 1.0)},
    "picture_guidance": {"scale": 1.0},
}


def test_every_guider_is_tried_here():
    assert set(GUIDERS) == set(SETTINGS) == set(WITHOUT)


def scene():
    x, eps = torch.randn(2, 3, 2, FRAMES, 3, 1, dtype=torch.float64)
    return x, {"null": EMPTY, "known": [0], "eps": eps}


@pytest.mark.parametrize("name", WITHOUT)
def test_a_scale_of_one_is_no_guidance_bit_for_bit_and_costs_nothing(name):
    x, given = scene()
    guided = guide(partial(GUIDERS[name], **WITHOUT[name]), Skipping(), **given)
    S = schedules.hold(4, FRAMES, [0]).double()
    assert torch.equal(sample(guided, x, S, **CAPTION), sample(Skipping(), x, S, **CAPTION))
    assert calls(guided) == 1


@pytest.mark.parametrize(("inner", "outer"), list(itertools.product(SETTINGS, repeat=2)))
def test_any_two_compose_and_their_calls_multiply(inner, outer):
    x, given = scene()
    both = chain(*(partial(GUIDERS[name], **SETTINGS[name]) for name in (inner, outer)))
    asked = []
    model = Skipping()
    counting = Guided(lambda *args, **cond: asked.append(1) or model(*args, **cond), 1, 2)
    guided = guide(both, counting, **given)
    price = [calls(guide(partial(GUIDERS[name], **SETTINGS[name]), counting, **given)) for name in (inner, outer)]
    tau = torch.tensor([[0.0, 0.2, 0.7, 0.9, 1.0]], dtype=torch.float64).expand(3, -1)
    assert guided(x, tau, **CAPTION).isfinite().all()
    assert len(asked) == calls(guided) == price[0] * price[1]


def test_what_remembers_must_be_the_outermost():
    _, given = scene()
    remembers = partial(apg, scale=3.0, momentum=-0.5)
    for name, settings in SETTINGS.items():
        other = partial(GUIDERS[name], **settings)
        assert guide(chain(other, remembers), Skipping(), **given).remembers
        with pytest.raises(ValueError, match="put the one with momentum last"):
            guide(chain(remembers, other), Skipping(), **given)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("name", SETTINGS)
def test_precision_stays(name, dtype):
    x, given = scene()
    given["eps"] = given["eps"].to(dtype)
    tau = torch.tensor([[0.0, 0.2, 0.7, 0.9, 1.0]]).expand(3, -1)
    guided = guide(partial(GUIDERS[name], **SETTINGS[name]), Skipping(), **given)
    out = guided(x.to(dtype), tau, **CAPTION)
    assert out.dtype == dtype
    assert out.isfinite().all()


@pytest.mark.parametrize("name", ["apg", "cfg_zero_star"])
@pytest.mark.parametrize("by_frame", [False, True])
def test_samples_do_not_mix_and_clean_frames_do_not_count(name, by_frame):
    shape = (3, 2, 5, 3, 4)
    model, (x, tau) = Fixed(shape), at(shape)
    tau[:, 1] = 0
    guided = GUIDERS[name](model, NULL, 4.0, by_frame=by_frame)
    whole = guided(x, tau, **V)
    alone = Fixed(shape)
    alone.v = {k: v[1:2] for k, v in model.v.items()}
    part = GUIDERS[name](alone, NULL, 4.0, by_frame=by_frame)(x[1:2], tau[1:2], **V)
    torch.testing.assert_close(part, whole[1:2])
    for v in model.v.values():
        v[:, :, 1] = 100.0  # what a model says of a frame that is clean already
    rest = [0, 2, 3, 4]
    torch.testing.assert_close(guided(x, tau, **V)[:, :, rest], whole[:, :, rest])


@pytest.mark.parametrize(
    ("guided", "match"),
    [
        (lambda m: apg(m, NULL, 3.0, eta=float("inf")), "eta=inf: give a finite number"),
        (lambda m: apg(m, NULL, 3.0, threshold=-1), "threshold=-1: give 0 .none. or more"),
        (lambda m: apg(m, NULL, 3.0, momentum=1.0), "momentum=1.0: give a number between -1 and 1"),
        (lambda m: apg(m, NULL, 3.0, interval=(0.5, 0.2)), "interval="),
        (lambda m: cfg_zero_star(m, NULL, 3.0, 1.5), "zero_from=1.5: give a level"),
        (lambda m: skip_layer_guidance(m, NULL, [4], 1.0), "layer 4 of a transformer with 4 layers"),
        (lambda m: skip_layer_guidance(m, NULL, [], 1.0), "layers is empty"),
        (lambda m: skip_layer_guidance(m, NULL, [1], float("inf")), "weight=inf"),
        (lambda m: skip_layer_guidance(MODEL, NULL, [1], 1.0), "this denoiser cannot skip layers: .* num_layers"),
        (lambda m: picture_guidance(m, [], torch.zeros(1, 1, 2, 1, 1), 2.0), "nothing is known of the video"),
    ],
)
def test_settings_that_do_not_fit_are_refused(guided, match):
    with pytest.raises(ValueError, match=match):
        guided(Fixed((1, 1, 2, 1, 1)))

"""pytest tests/test_guidance.py: guidance is a line through two velocities, and exact on the Gaussian."""

import pytest
import torch

from pusa_lab import schedules
from pusa_lab.analytic import GaussianDenoiser
from pusa_lab.guidance import apg, cfg_zero_star, picture_guidance, skip_layer_guidance, text_cfg
from pusa_lab.samplers import sample

X, TAU = torch.randn(2, 3, 4, 5, 5), torch.rand(2, 4)


def denoiser(x, tau, gain):
    denoiser.calls += 1
    return gain * x


@pytest.fixture(autouse=True)
def reset():
    denoiser.calls = 0


@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0])
def test_the_formula(scale):
    guided = text_cfg(denoiser, {"gain": -1.0}, scale)
    torch.testing.assert_close(guided(X, TAU, gain=2.0), (-1 + scale * 3) * X)
    assert denoiser.calls == 2


def test_scale_one_skips_the_second_call():
    guided = text_cfg(denoiser, {"gain": -1.0}, 1.0)
    assert torch.equal(guided(X, TAU, gain=2.0), 2 * X)
    assert denoiser.calls == 1


# Text guidance: per frame, within an interval, rescaled.


def per_frame_of(values):
    return torch.as_tensor(values, dtype=torch.float32).reshape(1, 1, -1, 1, 1)


def test_every_frame_may_have_its_scale():
    scale = torch.tensor([0.0, 1.0, 2.5, -1.0])
    guided = text_cfg(denoiser, {"gain": -1.0}, scale)
    torch.testing.assert_close(guided(X, TAU, gain=2.0), (-1 + per_frame_of(scale) * 3) * X)
    assert torch.equal(guided(X, TAU, gain=2.0)[:, :, 1], 2 * X[:, :, 1])


def test_frames_outside_the_interval_keep_the_conditional_velocity_bit_for_bit():
    tau = torch.tensor([[0.1, 0.3, 0.5, 0.9], [0.7, 0.71, 0.2999, 0.0]])
    guided = text_cfg(denoiser, {"gain": -0.3}, 3.0, interval=(0.3, 0.7))(X, tau, gain=1.1)
    inside = torch.tensor([[0, 1, 1, 0], [1, 0, 0, 0]]).bool()
    for b in range(2):
        for f in range(4):
            if inside[b, f]:
                torch.testing.assert_close(guided[b, :, f], (-0.3 + 3 * 1.4) * X[b, :, f])
            else:
                assert torch.equal(guided[b, :, f], 1.1 * X[b, :, f])
    assert denoiser.calls == 2


@pytest.mark.parametrize(("level", "scale"), [(0.8, 3.0), (0.5, 1.0), (0.5, torch.ones(4))])
def test_where_no_frame_is_guided_the_second_call_is_skipped(level, scale):
    guided = text_cfg(denoiser, {"gain": -1.0}, scale, interval=(0.2, 0.7))
    assert torch.equal(guided(X, torch.full((2, 4), level), gain=2.0), 2 * X)
    assert denoiser.calls == 1


def textured(x, tau, gain, bias):
    """A denoiser whose two captions differ in more than size."""
    return gain * x + bias * x.flip(-1) + tau.mean()


COND, NULL = {"gain": 1.5, "bias": 0.2}, {"gain": 0.4, "bias": -0.7}


@pytest.mark.parametrize("amount", [0.3, 1.0])
def test_rescaling_is_the_published_formula_sample_by_sample(amount):
    v, plain = textured(X, TAU, **COND), text_cfg(textured, NULL, 4.0)(X, TAU, **COND)
    got = text_cfg(textured, NULL, 4.0, rescale=amount)(X, TAU, **COND)
    for b in range(2):
        full = plain[b] * v[b].std() / plain[b].std()
        torch.testing.assert_close(got[b], amount * full + (1 - amount) * plain[b])
    assert not torch.allclose(plain[0].std() / v[0].std(), plain[1].std() / v[1].std(), rtol=1e-4)


def test_rescaling_measures_and_changes_guided_frames_only():
    tau = torch.tensor([[0.1, 0.5, 0.6, 0.9], [0.1, 0.2, 0.9, 0.8]])
    v, plain = textured(X, tau, **COND), text_cfg(textured, NULL, 4.0)(X, tau, **COND)
    got = text_cfg(textured, NULL, 4.0, rescale=1.0, interval=(0.3, 0.7))(X, tau, **COND)
    assert torch.equal(got[1], v[1])
    assert torch.equal(got[0, :, [0, 3]], v[0, :, [0, 3]])
    torch.testing.assert_close(got[0, :, 1:3], plain[0, :, 1:3] * v[0, :, 1:3].std() / plain[0, :, 1:3].std())


def test_a_flat_velocity_can_be_rescaled():
    flat = text_cfg(lambda x, tau, gain: torch.full_like(x, gain), {"gain": 0.0}, 3.0, rescale=1.0)
    assert flat(X, TAU, gain=1.0).isfinite().all()


def test_low_precision_stays_low_precision():
    x, scale = torch.randn(2, 3, 4, 5, 5).bfloat16(), torch.tensor([3.3, 1.0, 2.0, 0.1])
    guided = text_cfg(denoiser, {"gain": -1.0}, scale, 0.5, (0.1, 0.9))
    assert guided(x, TAU, gain=2.0).dtype == torch.bfloat16
    exact = text_cfg(denoiser, {"gain": -1.0}, scale, 0.5, (0.1, 0.9))(x.double(), TAU, gain=2.0)
    torch.testing.assert_close(guided(x, TAU, gain=2.0).double(), exact, rtol=2**-8, atol=0)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"scale": float("nan")}, "scale=nan"),
        ({"scale": torch.tensor([1.0, float("inf")])}, "inf"),
        ({"scale": 2.0, "rescale": 1.5}, "rescale=1.5"),
        ({"scale": 2.0, "interval": (0.7, 0.3)}, "interval=.0.7, 0.3."),
        ({"scale": 2.0, "interval": (0.0, 1.2)}, "low <= high <= 1"),
    ],
)
def test_settings_out_of_range_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        text_cfg(denoiser, {}, **options)


def test_a_wrong_number_of_scales_is_refused_before_the_first_call():
    with pytest.raises(ValueError, match=r"3 scales for 4 frames: give one, or one each"):
        text_cfg(denoiser, {"gain": -1.0}, torch.ones(3) * 2)(X, TAU, gain=2.0)
    assert denoiser.calls == 0


class Plain:
    """A denoiser that takes nothing but x and tau, and has blocks."""

    num_layers = 2

    def __call__(self, x, tau):
        return x


GUIDED = [
    (lambda m: text_cfg(m, {"gain": 1.0}, 2.0), {}, "gain"),
    (lambda m: apg(m, {"gain": 1.0}, 2.0), {}, "gain"),
    (lambda m: cfg_zero_star(m, {"gain": 1.0}, 2.0), {}, "gain"),
    (lambda m: skip_layer_guidance(m, {}, [1], 1.0), {}, "skip_layers"),
    (lambda m: skip_layer_guidance(m, {"gain": 1.0}, [1], 1.0, 2.0), {}, "gain"),
    (lambda m: picture_guidance(m, [0], torch.randn_like(X), 1.5), {"text": 1}, "text"),
]


@pytest.mark.parametrize(("guided", "cond", "name"), GUIDED)
def test_a_denoiser_that_does_not_take_what_it_is_given_is_told_in_one_sentence(guided, cond, name):
    says = rf"the denoiser does not take \(x, tau, {name}=\.\.\.\): give a function that does\.$"
    with pytest.raises(ValueError, match=says):
        guided(Plain())(X, torch.full_like(TAU, 0.5), **cond)


@pytest.mark.parametrize(("guided", "cond", "name"), GUIDED)
def test_a_velocity_of_another_shape_is_refused_in_a_guider(guided, cond, name):
    class Short(Plain):
        def __call__(self, x, tau, **cond):
            return x[:, :, :1]

    with pytest.raises(ValueError, match=r"the denoiser returned a tensor of shape .* a tensor of x's shape\.$"):
        guided(Short())(X, torch.full_like(TAU, 0.5), **cond)


# On the Gaussian: two captions that differ in their mean make guidance a Gaussian, too.

FRAMES = 5


def video_cov(frames=FRAMES, size=0.9, length=2.0):
    i = torch.arange(frames, dtype=torch.float64)
    return size * torch.exp(-(i[:, None] - i).abs() / length)


MEAN = torch.tensor([0.3, -0.2, 0.5, 0.1, -0.4], dtype=torch.float64)
FAR = torch.tensor([1.0, 0.4, -0.6, 0.9, 0.2], dtype=torch.float64)
SCHEDULES = [schedules.synchronous(8, FRAMES), schedules.pyramid(6, FRAMES, 2), schedules.autoregressive(3, FRAMES)]


def captioned(x, tau, mean, cov):
    return GaussianDenoiser(mean, cov)(x, tau)


@pytest.mark.parametrize("S", SCHEDULES)
@pytest.mark.parametrize("scale", [1.0, 2.5, -0.5])
def test_guidance_between_gaussians_is_the_gaussian_of_the_guided_mean(S, scale):
    cov, x = video_cov(), torch.randn(3, 2, FRAMES, 3, 1, dtype=torch.float64)
    guided = text_cfg(captioned, {"mean": MEAN, "cov": cov}, scale)
    exact = GaussianDenoiser(MEAN + scale * (FAR - MEAN), cov)
    torch.testing.assert_close(sample(guided, x, S.double(), mean=FAR, cov=cov), sample(exact, x, S.double()))


def test_scales_per_frame_move_the_mean_of_each_frame():
    cov, x = torch.diag(torch.rand(FRAMES, dtype=torch.float64) + 0.1), torch.randn(2, 1, FRAMES, 3, 3).double()
    scale = torch.tensor([1.0, 0.0, 3.0, 1.5, -1.0], dtype=torch.float64)
    guided = text_cfg(captioned, {"mean": MEAN, "cov": cov}, scale)
    exact = GaussianDenoiser(MEAN + scale * (FAR - MEAN), cov)
    S = schedules.pyramid(6, FRAMES, 2).double()
    torch.testing.assert_close(sample(guided, x, S, mean=FAR, cov=cov), sample(exact, x, S))


# History guidance.


MODEL = GaussianDenoiser(MEAN, video_cov())
HISTORY, REST = [0, 1], [2, 3, 4]


def scene(batch=3):
    """Noise with a known history of its own for every sample and pixel, and noise for the history's views."""
    x = torch.randn(batch, 2, FRAMES, 3, 1, dtype=torch.float64)
    x[:, :, HISTORY] = MODEL.sample(x.shape)[:, :, HISTORY]
    return x, torch.randn_like(x)


def test_a_toy_makes_several_velocities_at_once_or_leaves_them_to_separate_calls(small_nano):
    """Bit for bit the same; what is not captions of one length, the single call takes or refuses."""
    x, tau = torch.randn(2, 3, 4, 8, 8), torch.rand(2, 4)
    conds = [small_nano.encode_text([word] * 2) for word in ("a red circle", "")]
    with torch.no_grad():
        for found, cond in zip(small_nano.velocities(x, tau, conds), conds, strict=True):
            assert torch.equal(found, small_nano(x, tau, **cond))
    text = conds[0]["text"]
    for odd in (
        {"text": text[:, 1:]},
        {"text": text[0]},
        {"text": text[:1]},
        {"text": 1},
        {},
        {**conds[0], "kept": None},
    ):
        assert small_nano.velocities(x, tau, [conds[0], odd]) is None
    assert small_nano.velocities(x, tau, []) is small_nano.velocities(x[..., :0], tau, conds) is None

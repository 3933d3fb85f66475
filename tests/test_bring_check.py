"""pytest tests/test_bring_check.py: check_model passes sound models, and finds and names each fault of broken ones."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import wan_tiny
from torch.nn import functional as F

import pusa_lab as pl
import small_models
from pusa_lab.analytic import GaussianDenoiser
from pusa_lab.types import Geometry
from pusa_lab.wan.model import WanModel

FRAMES = 5


class Sound:
    """A linear stand-in for a trained model: the exact denoiser of smooth Gaussian videos, and means as a codec."""

    def __init__(self):
        self.geometry, self.device = Geometry((2, 4, 4), 3, FRAMES, (16, 24)), torch.device("cpu")
        apart = (torch.arange(FRAMES)[:, None] - torch.arange(FRAMES)).abs()
        self.exact = GaussianDenoiser(torch.zeros(FRAMES), 0.3 * 0.9**apart)

    def encode_text(self, prompts):
        return {"text": torch.tensor([[float(len(prompt))] for prompt in prompts])}

    def encode_video(self, clip):
        clip = torch.cat([clip[:, :, :1], clip], dim=2)  # latent frame 0 holds pixel frame 0 alone
        return F.avg_pool3d(clip, (2, 4, 4))

    def decode(self, latents):
        return latents.repeat_interleave(2, 2)[:, :, 1:].repeat_interleave(4, 3).repeat_interleave(4, 4)

    def __call__(self, x, tau, text):
        return self.exact(x, tau) + 1e-3 * text.view(-1, 1, 1, 1, 1)


def broken(**methods):
    return type("Broken", (Sound,), methods)()


def resized(**changes):
    model = Sound()
    model.geometry = replace(model.geometry, **changes)
    return model


def without(name):
    kept = {key: value for key, value in vars(Sound).items() if key != name}
    return type("Bare", (), kept)()


def placed(device):
    model = Sound()
    model.device = device
    return model


def call(rule):
    """A model whose velocity is rule(sound velocity, x, tau)."""
    return broken(__call__=lambda self, x, tau, text: rule(lambda *a: Sound.__call__(self, *a, text), x, tau))


def but_for_frame_3(ask, x, tau):
    return ask(x, torch.cat([tau[:, :3], tau[:, 2:3], tau[:, 4:]], dim=1))


def refusing(ask, x, tau):
    raise RuntimeError("shapes\ndo not fit")


def alone_refused(ask, x, tau):
    if len(x) == 1:
        raise IndexError("no second sample")
    return ask(x, tau)


def text(rule):
    """A model whose captions are encoded by a rule."""
    return broken(encode_text=lambda self, prompts: rule(prompts))


def fails(error):
    def method(self, *args):
        raise error

    return method


FAULTS = [
    ("direction", "from noise to data: return its negative", lambda: call(lambda ask, x, tau: -ask(x, tau))),
    (
        "direction",
        "time runs the other way, 1 is clean: call it with 1 - tau",
        lambda: call(lambda ask, x, tau: ask(x, 1 - tau)),
    ),
    ("direction", "time and its velocity run the other way", lambda: call(lambda ask, x, tau: -ask(x, 1 - tau))),
    ("direction", r"call it with 1000 \* tau", lambda: call(lambda ask, x, tau: ask(x, tau / 1000))),
    (
        "direction",
        "predicts the noise, eps: return v",
        lambda: call(lambda ask, x, tau: x + (1 - tau[:, None, :, None, None]) * ask(x, tau)),
    ),
    (
        "direction",
        "predicts the clean video, x0: return v",
        lambda: call(lambda ask, x, tau: x - tau[:, None, :, None, None] * ask(x, tau)),
    ),
    ("direction", "returns -3 times the velocity", lambda: call(lambda ask, x, tau: -3 * ask(x, tau))),
    ("direction", "call it with tau / 1000", lambda: call(lambda ask, x, tau: ask(x, 1000 * tau))),
    ("timesteps", "the timestep of frame 3 has no effect", lambda: call(but_for_frame_3)),
    (
        "timesteps",
        "the timesteps of frames 1, 2, 3 and 4 have no effect",
        lambda: call(lambda ask, x, tau: ask(x, tau[:, :1].expand_as(tau))),
    ),
    ("timesteps", "not their mean", lambda: call(lambda ask, x, tau: ask(x, tau.mean(1, keepdim=True).expand_as(tau)))),
    (
        "timesteps",
        "first frame's timestep acts on the last frames",
        lambda: call(lambda ask, x, tau: ask(x, tau.flip(1))),
    ),
    (
        "timesteps",
        "not finite when frames have different",
        lambda: call(lambda ask, x, tau: ask(x, tau) / (tau == tau[:, :1]).all()),
    ),
    ("batch", "a sample alone differs by", lambda: call(lambda ask, x, tau: ask(x - x.mean(0, keepdim=True), tau))),
    ("batch", "the call with one sample raised IndexError: no second sample", lambda: call(alone_refused)),
    (
        "determinism",
        r"two equal calls differ .* eval\(\)",
        lambda: call(lambda ask, x, tau: F.dropout(ask(x, tau), 0.1)),
    ),
    ("velocity", "v is not finite at tau = 0", lambda: call(lambda ask, x, tau: ask(x, tau) / (tau[0, 0] > 0))),
    ("velocity", "v is not finite at tau = 1", lambda: call(lambda ask, x, tau: ask(x, tau) / (tau[0, 0] < 1))),
    ("velocity", r"raised RuntimeError: shapes.*do not fit", lambda: call(refusing)),
    (
        "velocity",
        r"returned a tuple of 1 item for x of shape .*: return v like x",
        lambda: call(lambda ask, x, tau: (ask(x, tau),)),
    ),
    (
        "velocity",
        r"returned a tensor of shape \(2, 5, 3, 4, 6\)",
        lambda: call(lambda ask, x, tau: ask(x, tau).transpose(1, 2)),
    ),
    ("encode_video", r"set geometry.stride=\(2, 4, 4\)", lambda: resized(stride=(2, 8, 8))),
    ("encode_video", r"set geometry.stride=\(2, 4, 4\)", lambda: resized(stride=(4, 4, 4))),
    ("encode_video", "set geometry.channels=3", lambda: resized(channels=4)),
    ("encode_video", "encode_video raised OSError: no codec", lambda: broken(encode_video=fails(OSError("no codec")))),
    (
        "encode_video",
        "not finite",
        lambda: broken(encode_video=lambda self, clip: Sound.encode_video(self, clip) * np.nan),
    ),
    (
        "encode_video",
        r"made an empty list .*: return \(b c f h w\)",
        lambda: broken(encode_video=lambda self, clip: []),
    ),
    (
        "first frame",
        r"a picture became a tensor of shape \(2, 3, 2, 4, 6\), float32: it must be one latent frame",
        lambda: broken(
            encode_video=lambda self, clip: Sound.encode_video(
                self, clip if clip.shape[2] > 1 else clip.expand(-1, -1, 3, -1, -1)
            )
        ),
    ),
    (
        "decode",
        r"returns pixels in \[0, 1\]: return 2 x - 1",
        lambda: broken(decode=lambda self, z: Sound.decode(self, z) / 2 + 0.5),
    ),
    (
        "decode",
        r"made a tensor of shape \(2, 3, 10, 16, 24\), float32 of the latents of a clip \(2, 3, 9, 16, 24\)",
        lambda: broken(decode=lambda self, z: Sound.decode(self, z.repeat_interleave(2, 2))[:, :, :10]),
    ),
    ("decode", "pixels that are not finite", lambda: broken(decode=lambda self, z: Sound.decode(self, z) / 0)),
    ("decode", "decode raised ValueError: no memory", lambda: broken(decode=fails(ValueError("no memory")))),
    ("encode_text", "encode_text raised KeyError", lambda: broken(encode_text=fails(KeyError("boat")))),
    ("encode_text", "returned a tensor .* a dict", lambda: text(lambda prompts: torch.zeros(len(prompts), 2))),
    (
        "encode_text",
        r"text is a tensor of shape \(1, 2\), float32 for 2 prompts",
        lambda: text(lambda prompts: {"text": torch.zeros(1, 2)}),
    ),
    (
        "encode_text",
        "text is not finite",
        lambda: text(lambda prompts: {"text": torch.full((len(prompts), 1), np.inf)}),
    ),
    (
        "encode_text",
        "the null prompt gives",
        lambda: text(lambda prompts: {prompts[0][:1]: torch.zeros(len(prompts), 1)}),
    ),
    ("interface", "the model has no decode: add this method", lambda: without("decode")),
    ("interface", "model.device is not a valid device", lambda: placed("nowhere")),
    ("interface", "model.geometry is not a", lambda: object()),
    ("interface", r"model is the text 'nano-vta': give the loaded model, pl.load\('nano-vta'\)", lambda: "nano-vta"),
    (
        "text",
        "does not change with the prompt",
        lambda: broken(__call__=lambda self, x, tau, text: self.exact(x, tau)),
    ),
]


def verdicts(report):
    return {found.name: found.verdict for found in report.findings}


@pytest.mark.parametrize(("name", "sentence", "make"), FAULTS, ids=[f"{f[0]}-{i}" for i, f in enumerate(FAULTS)])
def test_each_fault_is_found_and_named(name, sentence, make):
    model = make()
    report = pl.check_model(model)
    assert [fault.name for fault in report.faults] == [name], report
    assert not report.ok
    with pytest.raises(ValueError, match=f"check_model: {name}: .*{sentence}"):
        pl.check_model(model, strict=True)


def test_a_sound_model_passes_everything():
    report = pl.check_model(
        Sound(), strict=True, scalar=lambda x, tau, text: Sound()(x, tau[:, None].expand(-1, 5), text)
    )
    assert set(verdicts(report).values()) == {"passed"}, report
    assert report.ok and not report.faults
    table = str(report).splitlines()
    assert len(table) == len(report.findings) + 1 and table[0].split() == ["check", "verdict", "found"]
    assert any(line.startswith("timesteps") and "every frame's timestep (5 frames)" in line for line in table)


def test_equal_timesteps_are_compared_with_the_scalar_call():
    report = pl.check_model(Sound(), scalar=lambda x, tau, text: Sound()(x, (1 - tau)[:, None].expand(-1, 5), text))
    assert [fault.name for fault in report.faults] == ["scalar"]
    report = pl.check_model(Sound(), scalar=lambda x, tau, text: None)
    assert "scalar raised " in report.faults[0].sentence
    report = pl.check_model(Sound(), scalar=lambda x, tau, text: x / 0)
    assert "scalar" in {fault.name for fault in report.faults}


@pytest.mark.parametrize("name", ["nano-vta", "mini-vta"])
def test_the_toys_pass(name):
    report = pl.check_model(
        small_models.load(name, device="cpu"), strict=True, latent_frames=None if name == "nano-vta" else 3
    )
    assert set(verdicts(report).values()) == {"passed"}, report


@pytest.mark.parametrize("kind", ["grey", "noise"])
def test_a_clip_without_contrast_does_not_make_a_velocity_a_prediction_of_the_noise(kind):
    high = 256 if kind == "noise" else 129
    clip = np.random.default_rng(0).integers(128 if kind == "grey" else 0, high, (9, 16, 24, 3), np.uint8)
    assert pl.check_model(Sound(), clip).ok


def test_a_model_without_text_is_no_fault():
    for model in (text(lambda prompts: {"text": torch.zeros(len(prompts), 1)}), broken(
        encode_text=lambda self, prompts: {}, __call__=lambda self, x, tau: self.exact(x, tau)
    )):  # fmt: skip
        report = pl.check_model(model, strict=True)
        assert verdicts(report)["text"] == "inconclusive", report


def test_wan_passes_and_its_scalar_call_is_equal():
    model = WanModel.from_pipeline(wan_tiny.pipeline(), geometry=Geometry((4, 8, 8), 4, 3, (32, 32)))
    report = pl.check_model(model, strict=True, scalar=lambda x, tau, text: model.transformer(x, 1000 * tau, text)[0])
    found = verdicts(report)
    assert {name for name, verdict in found.items() if verdict != "passed"} <= {"encode_video", "decode", "direction"}
    assert found["direction"] == "inconclusive" and found["scalar"] == "passed"


@pytest.mark.parametrize("seed", range(4))
def test_untrained_weights_never_get_a_verdict_on_direction(seed):
    """Whatever the last lines of an adapter add to the output of a random network."""
    torch.manual_seed(seed)
    net = torch.nn.Conv3d(3, 3, 3, padding=1)
    for scale in (0.01, 1.0, 3.0):
        model = call(lambda ask, x, tau, scale=scale: scale * net(x) + tau[:, None, :, None, None] * 1e-3)
        assert verdicts(pl.check_model(model))["direction"] == "inconclusive"


def test_a_model_with_one_timestep_for_all_frames_is_no_fault():
    report = pl.check_model(
        call(lambda ask, x, tau: ask(x, pl.vta.shared_timestep(tau)[:, None].expand_as(tau))), strict=True
    )
    found = next(f for f in report.findings if f.name == "timesteps")
    assert found.verdict == "equal only" and "use the synchronous schedule" in found.sentence


def test_a_clip_of_ones_own_is_cut_and_resized():
    clip = np.linspace(0, 255, 12 * 40 * 60 * 3).astype(np.uint8).reshape(12, 40, 60, 3)
    report = pl.check_model(Sound(), clip)
    assert report.findings[2].sentence.startswith("(2, 3, 9, 16, 24) became (2, 3, 5, 4, 6)")
    with pytest.raises(ValueError, match="check_model: clip has 1 sample of 5 pixel frames: give 1 or 2 of at least 9"):
        pl.check_model(Sound(), clip[:5])
    with pytest.raises(ValueError, match=r"check_model: prompts=.*: give at least two"):
        pl.check_model(Sound(), prompts=["a"])


@pytest.mark.parametrize("rule", [lambda ask, x, tau: 0 * x, lambda ask, x, tau: x / (tau[0, 0] - 0.6)])
def test_a_last_layer_of_zeros_or_a_pole_is_not_called_a_direction(rule):
    found = verdicts(pl.check_model(call(rule)))
    assert found["direction"] == "inconclusive"


def test_a_last_layer_of_zeros_is_no_fault():
    report = pl.check_model(call(lambda ask, x, tau: 0 * x), strict=True)
    assert "last layer" in next(f.sentence for f in report.findings if f.name == "timesteps")


class Weighted(torch.nn.Module, Sound):
    """A sample alone is 1 % off its answer in a batch."""

    def __init__(self, kind, weights):
        torch.nn.Module.__init__(self)
        Sound.__init__(self)
        self.kind, self.weight = kind, torch.nn.Parameter(torch.zeros(1, dtype=weights))

    def encode_text(self, prompts):
        return {"text": torch.zeros(len(prompts), 1, dtype=self.kind)}

    def __call__(self, x, tau, text):
        return Sound.__call__(self, x, tau, text) * (1 + 0.005 * len(x))


FLOATS = [
    (torch.bfloat16, torch.float32, []),
    (torch.float32, torch.float16, []),
    (torch.float32, torch.float8_e4m3fn, []),
    (torch.float32, torch.float32, ["batch"]),
    (torch.uint8, torch.float32, ["batch"]),
]


@pytest.mark.parametrize(("captions", "weights", "faults"), FLOATS)
def test_half_precision_may_round(captions, weights, faults):
    assert [fault.name for fault in pl.check_model(Weighted(captions, weights)).faults] == faults


def test_a_first_latent_frame_of_other_pixels_is_said():
    model = broken(
        encode_video=lambda self, clip: Sound.encode_video(self, clip.flip(2)),
        decode=lambda self, z: Sound.decode(self, z).flip(2),
    )
    found = pl.check_model(model).findings
    assert found[3].name == "first frame" and found[3].verdict == "inconclusive"
    assert "let latent frame 0 depend on the first pixel frame alone" in found[3].sentence
    assert found[4].verdict == "passed"


def test_latents_that_are_not_normalised_are_said():
    model = broken(
        encode_video=lambda self, clip: 50 * Sound.encode_video(self, clip),
        decode=lambda self, z: Sound.decode(self, z) / 50,
    )
    found = pl.check_model(model).findings
    assert found[2].verdict == "inconclusive" and "normalise them" in found[2].sentence
    assert found[4].verdict == "passed"


def test_the_model_is_called_about_30_times_and_once_per_frame():
    calls = []
    assert pl.check_model(call(lambda ask, x, tau: calls.append(len(x)) or ask(x, tau))).ok
    assert 26 + FRAMES <= len(calls) <= 32 + FRAMES


def test_encoded_text_is_asked_for_once_per_caption():
    asked = []
    model = text(lambda prompts: asked.append(prompts) or Sound().encode_text(prompts))
    assert pl.check_model(model).ok
    assert len(asked) <= 6


def test_an_object_that_raises_whatever_is_asked_of_it_has_no_interface():
    class Hostile:
        def __getattr__(self, name):
            raise RuntimeError(name)

    report = pl.check_model(Hostile())
    assert [fault.name for fault in report.faults] == ["interface"]

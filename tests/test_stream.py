"""pytest tests/test_stream.py: video without end, exact on Gaussian videos of known law; the toys and a tiny Wan."""

import gc
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_extend import markov
from test_policies import SCALE, GaussianVideo

import pusa_lab as pl
from pusa_lab import guidance, schedules, solvers, tasks
from pusa_lab.analytic import GaussianDenoiser, condition
from pusa_lab.memory import NEW_FRAME
from pusa_lab.noise import noise_of
from pusa_lab.samplers import sample
from pusa_lab.types import Geometry

pytestmark = pytest.mark.usefixtures("one_thread")
STEADY = [
    "rolling(window=3)",
    "blockwise(block=2, lag=4)",
    "staircase(chunk=4, overlap=1)",
    "pyramid",
    "autoregressive",
]
FAST = {"steps": 4, "guidance": 1.0, "output": "latents"}


def model(frames=6, stride=1, size=(2, 3)):
    m = GaussianVideo(markov(frames), stride, size)
    m.asked = []
    return m


def start(frames, seed=0, size=(2, 3)):
    """The noise of every frame of a stream."""
    return torch.cat([noise_of((1, 3, 1, *size), seed, (i + 1) * NEW_FRAME) for i in range(frames)], 2)


def latents(stream, frames):
    """The first latent frames."""
    found = []
    while sum(one.shape[2] for one in found) < frames:
        found.append(next(stream).latents)
    return torch.cat(found, 2)[:, :, :frames]


@pytest.mark.parametrize("solver", ["euler", "heun", "ab3", "dpmpp_2m", "unipc"])
@pytest.mark.parametrize("schedule", STEADY)
def test_a_stream_is_the_long_schedule_at_once(schedule, solver):
    """Of a Markov process, whose frames need no more of the past than the window holds: the memory moves exactly."""
    got = latents(pl.stream(model(), "", schedule=schedule, solver=solver, seed=3, **FAST), 11)
    want = sample(markov(18), start(18, 3), schedule, solver, steps=4)
    assert torch.allclose(got, want[:, :, :11], atol=3e-6)


@pytest.mark.parametrize("overlap", [1, 2, 3])
def test_any_overlap_of_one_frame_or_more_is_exact_for_a_markov_process(overlap):
    got = latents(pl.stream(model(), "", schedule="rolling(window=2)", solver="unipc", overlap=overlap, **FAST), 9)
    want = sample(markov(16), start(16), "rolling(window=2)", "unipc", steps=4)
    assert torch.allclose(got, want[:, :, :9], atol=3e-6)


def test_without_overlap_the_past_is_forgotten():
    got = latents(pl.stream(model(), "", schedule="blockwise(block=2, lag=4)", overlap=0, **FAST), 6)
    pairs = sample(markov(2), start(6)[:, :, 4:], "synchronous", steps=4)  # the third block alone
    assert torch.allclose(got[:, :, 4:], pairs, atol=3e-6)


def test_the_frames_are_those_of_eulers_method_written_anew():
    """In float64 with NumPy: every frame by its own level, the exact velocity of all 12 frames, no window."""
    n, steps, lag = 12, 6, 2
    cov = 0.7 ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    x = start(n)[0].double().numpy()
    level = lambda row: 1 - np.clip(row - lag * np.arange(n), 0, steps) / steps  # noqa: E731
    for row in range(steps + lag * (n - 1)):
        a, b = np.diag(1 - level(row)), np.diag(level(row))
        v = np.einsum("ij,cjhw->cihw", (b - cov @ a) @ np.linalg.inv(a @ cov @ a + b @ b), x)
        x = x + (level(row + 1) - level(row))[:, None, None] * v
    got = latents(pl.stream(model(), "", schedule="rolling(window=3)", **{**FAST, "steps": steps}), 8)
    assert np.allclose(got[0].numpy(), x[:, :8], atol=3e-6)


def test_a_stream_has_the_law_of_a_long_video():
    big = model(size=(61, 83))
    options = {**FAST, "steps": 20, "solver": "heun", "output": "video"}
    parts = itertools.islice(pl.stream(big, "", schedule="blockwise(block=2, lag=20)", **options), 5)
    video = np.concatenate([part.video for part in parts])
    z = torch.from_numpy(video.astype(np.float64) / 127.5 - 1).movedim(0, -1).reshape(-1, 10) * SCALE
    assert (torch.cov(z.T) - markov(10).cov).abs().max() < 0.05


@pytest.mark.parametrize("steps", [12, 10])
def test_the_rows_of_a_rolling_window_are_walked(steps):
    window = schedules.rolling_window(steps, 4)
    rolled = latents(pl.stream(model(), "", schedule=window, **{**FAST, "steps": None}), 8)
    whole = latents(pl.stream(model(), "", schedule="rolling(window=4)", **{**FAST, "steps": 12}), 8)
    assert torch.equal(rolled, whole)


def test_a_window_of_ones_own_and_a_function():
    rows = torch.tensor([[0.6, 0.8, 1, 1], [0.3, 0.8, 1, 1], [0, 0, 0.6, 0.8]])  # moves on by two frames
    falls = torch.tensor([[1, 1, 0.6, 0.3, 0], [1, 1, 0.8, 0.8, 0]])
    long = torch.stack(
        [torch.cat([torch.ones(i - i % 2), falls[i % 2], torch.zeros(16 - i + i % 2)]) for i in range(16)], 1
    )
    got = latents(pl.stream(model(), "", schedule=rows, **{**FAST, "steps": None}), 8)
    assert torch.allclose(got, sample(markov(16), start(16), long)[:, :, :8], atol=3e-6)
    lagged = latents(
        pl.stream(model(), "", schedule=lambda steps, frames: schedules.pyramid(steps, frames, 2), **FAST), 5
    )
    assert torch.equal(lagged, latents(pl.stream(model(), "", schedule="pyramid(lag=2)", **FAST), 5))


@pytest.mark.parametrize("solver", [solvers.Churn(seed=5), solvers.Consistency(seed=5), "churn"])
def test_fresh_noise_belongs_to_the_frame_wherever_the_window_is(solver):
    got = latents(pl.stream(model(), "", schedule="rolling(window=2)", solver=solver, seed=5, **FAST), 7)
    step = (solvers.Churn(seed=5) if solver == "churn" else solver).init_state()
    step.slide(0, 14)
    want = sample(markov(14), start(14, 5), "rolling(window=2)", step, steps=4)
    assert torch.allclose(got, want[:, :, :7], atol=3e-6)


def test_frames_and_seeds_have_their_own_noise():
    noise = [*start(30, 0)[0].unbind(1), *start(30, 1)[0].unbind(1)]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(noise, 2))
    streams = [pl.stream(model(), "", seed=seed, **FAST) for seed in (1, 1, 2)]
    one, same, other = (latents(stream, 4) for stream in streams)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


class Told(GaussianVideo):
    """Frames that are almost the number which the prompt says, each by itself."""

    def __init__(self, frames=5):
        super().__init__(GaussianDenoiser(torch.zeros(frames), 1e-6 * torch.eye(frames)), 1, (2, 3))
        self.encoded, self.asked = [], []

    def encode_text(self, prompts):
        self.encoded += prompts
        if "horse" in prompts:
            raise ValueError("unknown word: horse")
        return {"mean": torch.tensor([float(one or 0) for one in prompts])}

    def __call__(self, x, tau, mean):
        self.asked.append(float(mean[0]))
        return replace(self.gauss, mean=mean.expand(x.shape[2]))(x, tau)


def said(stream, frames):
    found = latents(stream, frames)[0]
    assert (found - found.mean((0, 2, 3), keepdim=True)).abs().max() < 0.02
    return [round(float(value)) for value in found.mean((0, 2, 3))]


@pytest.mark.parametrize(
    "prompt",
    [
        ["1", "1", "1", "4", "9"],
        iter(["1", "1", "1", "4", "9"]),
        lambda frame: [1, 1, 1, 4, 9][min(frame, 4)].__str__(),
    ],
)
def test_every_frame_has_its_own_prompt(prompt):
    stream = pl.stream(Told(), prompt, schedule="rolling(window=2)", **FAST)
    assert said(stream, 8) == [1, 1, 1, 4, 9, 9, 9, 9]
    assert len(stream.captions.encoded) == 1  # those that left the window are forgotten
    assert next(stream).prompts == ("9",)


def test_a_row_costs_a_call_for_each_prompt_that_moves_in_it():
    m = Told()
    latents(pl.stream(m, ["1", "2"], schedule="autoregressive", **FAST), 3)
    assert m.asked == [1.0] * 4 + [2.0] * 8
    m.asked = []
    latents(pl.stream(m, ["1", "2"], schedule="rolling(window=2)", **FAST), 2)
    assert m.asked == [1.0] * 2 + [1.0, 2.0] * 2 + [2.0] * 2


def test_a_prompt_changes_on_the_way():
    stream = pl.stream(Told(), "1", schedule="rolling(window=2)", **FAST)
    assert said(stream, 2) == [1, 1]
    stream.set_prompt("5")  # from the first frame that has not started
    assert said(stream, 3) == [1, 5, 5]
    stream.set_prompt("7", at=9)
    stream.set_prompt("3", at=5)  # replaces what was said of later frames
    assert said(stream, 6)[-5:] == [3] * 5
    with pytest.raises(ValueError, match=r"frame 10 became final at row 24 and the stream .* row 24.* from 11 on"):
        stream.set_prompt("8", at=10)
    with pytest.raises(ValueError, match=r"^Stream\.set_prompt: at=-1: frames are counted from the start, give 11"):
        stream.set_prompt("8", at=-1)
    with pytest.raises(ValueError, match="unknown word: horse"):
        stream.set_prompt("horse")
    assert said(stream, 2) == [3, 3]


def picture(value):
    return np.full((2, 3, 3), value, np.uint8)


@pytest.mark.parametrize(
    ("at", "noise", "mode"),
    [(0, 0, "denoise"), (0, 0, "freeze"), (6, 0, "hold"), (0, 0.3, "denoise"), (6, 0.4, "denoise")],
)
def test_a_frame_in_the_first_window_may_be_known(at, noise, mode):
    m, task = model(8), tasks.Task("one", (tasks.Known(picture(160), at, noise=noise, mode=mode),))
    got = latents(pl.stream(m, "", task, schedule="rolling(window=3)", solver="unipc", **FAST), 9)
    x, clean = start(18), m.encode_video(torch.full((1, 3, 1, 2, 3), 160 / 127.5 - 1))
    x[:, :, [at]] = (1 - noise) * clean + noise * x[:, :, [at]]
    want = sample(markov(18), x, schedules.scale_columns(schedules.rolling(4, 18, 3), [at], noise), "unipc")
    assert torch.allclose(got, want[:, :, :9], atol=3e-6)
    assert torch.allclose(got[:, :, [at]], clean.expand(1, 3, 1, 2, 3), atol=1e-6) == (noise == 0)


@pytest.mark.parametrize(("at", "noise"), [(5, 0.0), (9, 0.0), (6, 0.1)])
def test_frames_are_given_on_the_way(at, noise):
    """Frame 6 while it waits in the window, 5 while it is in progress, 9 before it is there."""
    m = model()
    stream = pl.stream(m, "", schedule="rolling(window=3)", solver="unipc", **FAST)
    before = latents(stream, 3)
    stream.add_known(tasks.Known(picture(220), at, noise=noise))
    got = torch.cat([before, latents(stream, 8)], 2)
    clean = m.encode_video(torch.full((1, 3, 1, 2, 3), 220 / 127.5 - 1))
    if noise == 0:
        assert torch.allclose(got[:, :, [at]], clean, atol=1e-6)
    else:
        assert 0 < (got[:, :, [at]] - clean).abs().mean() < (1 + clean[0, 0, 0, 0, 0]) / 2
    free = latents(pl.stream(m, "", schedule="rolling(window=3)", solver="unipc", **FAST), 11)
    assert torch.equal(got[:, :, :3], free[:, :, :3])
    assert not torch.allclose(got[:, :, at + 1], free[:, :, at + 1], atol=1e-3)
    with pytest.raises(ValueError, match=r"frame 2 became final at row .* nothing can be known of it.* from 11 on"):
        stream.add_known(tasks.Known(picture(1), 2))
    with pytest.raises(ValueError, match="a known frame at=-1, but a stream has no end"):
        stream.add_known(tasks.Known(picture(1), -1))


def test_frames_after_a_given_one_follow_the_conditional_law():
    """Frame 4 is given while frames 3 and 4 are in progress: frame 5, later, is what the law makes of it."""
    m = model(size=(41, 47))
    stream = pl.stream(m, "", schedule="rolling(window=2)", solver="heun", **{**FAST, "steps": 16})
    latents(stream, 3)
    stream.add_known(tasks.Known(np.full((41, 47, 3), 230, np.uint8), 4))
    got = latents(stream, 3)
    mean, cov = condition(torch.zeros(6), markov(6).cov.float(), [4], got[0, 0, 1, 0, :1])
    assert abs(got[:, :, 2].mean() - mean[5]) < 0.05
    assert abs(got[:, :, 2].var() - cov[5, 5]) < 0.05


def test_guidance_is_that_of_generate(nano_vta):
    """The frames that are final before the window first moves are bit for bit those of `generate`."""
    prompt, options = "a red circle moves right", {"schedule": "rolling(window=4)", "steps": 4, "guidance": 2.5}
    run = pl.prepare(nano_vta, prompt, negative_prompt="a blue square", **options)
    *_, last = replace(run, x=start(8, size=(16, 16))).states()
    stream = pl.stream(nano_vta, prompt, negative_prompt="a blue square", **options)
    assert torch.equal(latents(stream, 5), last.x[:, :, :5])
    part = next(stream)
    assert (part.at, part.pixels_at, part.row, part.calls) == (range(5, 6), range(5, 6), 9, 18)
    assert part.video.shape == (1, 16, 16, 3)
    assert part.video.dtype == np.uint8


def test_guiders_know_the_frames_that_are_final(small_nano):
    task = tasks.image_to_video(np.zeros((16, 16, 3), np.uint8))
    seen = []

    def watching(denoiser, known, eps):
        seen.append((list(known), eps.shape[2]))
        return guidance.Guided(denoiser, 1)

    stream = pl.stream(small_nano, "", task, schedule="autoregressive", steps=2, guidance=watching, output="latents")
    latents(stream, 4)
    assert seen == [([0], 8), ([0, 1], 8), ([0, 1, 2], 8)]


def alive():
    """Tensors made since the last gc.freeze."""
    gc.collect()
    return sum(isinstance(one, torch.Tensor) for one in gc.get_objects())


@pytest.mark.parametrize("solver", ["unipc", "churn"])
def test_memory_stays_flat_over_many_windows(small_nano, solver):
    gc.collect()
    gc.freeze()  # what there was before need not be looked through each time
    words = itertools.cycle(["a red circle moves right"] * 3 + ["a blue square moves up"] * 3)
    stream = pl.stream(small_nano, words, schedule="rolling(window=4)", steps=4, solver=solver, guidance=1.0)
    counts, sizes = [], []
    for part in itertools.islice(stream, 60):
        if part.at.start % 12 == 11:
            counts.append(alive())
            sizes.append(stream.x.untyped_storage().nbytes())
    assert len(set(counts)) == 1 and counts[0] > 0
    assert len(set(sizes)) == 1
    assert max(len(stream.known), len(stream.captions.changes), len(stream.captions.texts)) == 8


class Blurred(GaussianVideo):
    """A codec that mixes each latent frame with the one before, and offers no decoding in parts."""

    def decode(self, latents):
        return super().decode((latents + torch.cat([latents[:, :, :1], latents[:, :, :-1]], 2)) / 2)


def test_pixels_without_a_seam_from_a_codec_that_looks_back():
    m = Blurred(markov(6), 4, (2, 3))
    parts = [*itertools.islice(pl.stream(m, "", schedule="rolling(window=3)", **{**FAST, "output": "video"}), 9)]
    whole = pl.decode(m, torch.cat([part.latents for part in parts], 2))
    assert np.array_equal(np.concatenate([part.video for part in parts]), whole[0])
    assert [part.pixels_at for part in parts[:3]] == [range(1), range(1, 5), range(5, 9)]


@pytest.mark.parametrize("sizes", [[1] * 5, [3, 2], [5]])
def test_the_toys_codec_decodes_in_parts(sizes):
    import small_models
    from small_models.models.codec import Codec

    config = small_models.models.toy.CODECS["mini"] | {"base_dim": 4, "dim_mult": [1, 1, 2, 2]}
    codec, z = Codec(config).double(), torch.randn(2, 8, 5, 2, 3).double()
    with torch.no_grad():
        decode = codec.init_decoder()
        other = codec.init_decoder()
        parts = [(decode(part), other(-part))[0] for part in z.split(sizes, 2)]  # two videos do not meet
        assert torch.allclose(torch.cat(parts, 2), codec.decode(z), atol=1e-10)
    with pytest.raises(ValueError, match="do not fit this codec"):
        decode(z[:, :3])


@pytest.mark.parametrize("family", ["wan2.1-14b", "wan2.2-5b"])
def test_wans_codec_decodes_in_parts(family):
    from wan_tiny import codec

    from pusa_lab.wan.latents import decode_latents, latent_decoder

    vae = codec(family).double()  # rounding aside, which random weights enlarge
    z = torch.randn(1, vae.config.z_dim, 4, 2, 3)
    with torch.no_grad():
        whole = decode_latents(vae, z)
    for sizes in ([1] * 4, [3, 1]):
        decode = latent_decoder(vae)
        assert torch.allclose(torch.cat([decode(part) for part in z.split(sizes, 2)], 2), whole, atol=1e-6)
    with pytest.raises(ValueError, match="no size 0"):
        decode(z[:, :, :0])
    with pytest.raises(ValueError, match=r"wan\.latent_decoder: codec is 3|latent_decoder: codec is 3"):
        latent_decoder(3)


def test_wan_streams():
    from wan_tiny import pipeline

    from pusa_lab.wan.model import WanModel

    wan = WanModel.from_pipeline(pipeline(), geometry=Geometry((4, 8, 8), 4, 4, (32, 48), shift=3.0))
    options = {"schedule": "blockwise(block=2, lag=2)", "steps": 2, "solver": "unipc"}
    parts = [*itertools.islice(pl.stream(wan, ["a ship", "a storm"], **options), 3)]
    whole = pl.decode(wan, torch.cat([part.latents for part in parts], 2))
    video = np.concatenate([part.video for part in parts])
    assert np.abs(video.astype(int) - whole[0]).max() <= 1  # where rounding to a byte is a tie
    assert whole.shape == (1, 21, 32, 48, 3)
    assert [part.prompts for part in parts] == [("a ship", "a storm"), *[("a storm", "a storm")] * 2]
    assert [part.calls for part in parts] == [8, 12, 16]  # two prompts, each with guidance, in the first two rows

"""pytest tests/test_extend.py: videos longer than the model, on Gaussian videos of known law, and on the toy."""

import itertools

import numpy as np
import pytest
import torch
from test_policies import SCALE, GaussianVideo

import pusa_lab as pl
from pusa_lab import tasks
from pusa_lab.analytic import GaussianDenoiser

pytestmark = pytest.mark.usefixtures("one_thread")
FAST = {"steps": 2, "guidance": 1.0}


@pytest.fixture
def nano_vta(small_nano):
    """Any toy does here."""
    return small_nano


def markov(frames, rho=0.7):
    """Each frame hangs on the one before: cov[i, j] = rho^|i - j|, so an overlap of one frame tells everything."""
    t = torch.arange(frames, dtype=torch.float64)
    return GaussianDenoiser(torch.zeros(frames, dtype=torch.float64), rho ** (t[:, None] - t).abs())


def model(frames=4, stride=1, size=(5, 7), fps=10):
    return GaussianVideo(markov(frames), stride, size, fps)


def clip(n, size=(5, 7), batch=None):
    shape = (n, *size, 3) if batch is None else (batch, n, *size, 3)
    return np.random.default_rng(n).integers(90, 160, shape, dtype=np.uint8)


@pytest.mark.parametrize(("mode", "schedule"), [("freeze", "synchronous"), ("replacement", "pyramid")])
def test_a_long_video_has_the_law_of_one_video(mode, schedule):
    """Of a Markov process, windows of 4 that keep 1 frame make 9 frames as if they had been made at once."""
    big = model(size=(61, 83))
    options = {"mode": mode, "schedule": schedule, "steps": 20, "solver": "heun", "guidance": 1.0}
    made = pl.extend_to(big, "", tasks.text_to_video(), seconds=0.9, overlap=1, **options)
    assert made.seams == [4, 7]
    assert made.video.shape == (1, 9, 61, 83, 3)
    z = torch.from_numpy(made.video.astype(np.float64) / 127.5 - 1).movedim(1, -1).reshape(-1, 9) * SCALE
    assert (torch.cov(z.T) - markov(9).cov).abs().max() < 0.05
    assert z.mean(0).abs().max() < 0.04


@pytest.mark.parametrize("stride", [1, 3, 4])
@pytest.mark.parametrize(("overlap", "pixel_frames"), [(1, 31), (2, 40), (3, 37)])
def test_length_seams_and_what_is_kept(stride, overlap, pixel_frames):
    m, start = model(5, stride), clip(14)
    made = pl.extend_to(m, "", start, pixel_frames / 10, overlap, noise=0.3, seed=3, **FAST)
    known, new = 1 + stride * (overlap - 1), stride * (5 - overlap)
    assert made.video.shape == (1, pixel_frames, 5, 7, 3)
    assert np.array_equal(made.video[0, :14], start)
    assert made.seams == list(range(14, pixel_frames, new))
    assert len(made.windows) == len(made.seams)
    long = made.video
    for seam, window in zip(made.seams, made.windows, strict=True):
        assert window.schedule.shape[1] == 5
        want = long[:, seam : seam + new]
        assert np.array_equal(window.video[:, known:][:, : want.shape[1]], want)
        # Each window began with the end of what was there: the noisy known frames are its own, and are not shown.
        assert not np.array_equal(window.video[:, :known], long[:, seam - known : seam])
    assert made.seconds == pytest.approx(sum(w.seconds for w in made.windows))


def test_every_window_is_an_extension_of_what_was_there():
    m = model(5, 4)
    made = pl.extend_to(m, "", clip(9), seconds=3.0, overlap=2, noise=[0.0, 0.3], seed=11, schedule="pyramid", **FAST)
    for w, seam in enumerate(made.seams):
        task = tasks.extension(made.video[0, :seam], known=5, noise=[0.0, 0.3])
        again = pl.generate(m, "", task, seed=11 + w, schedule="pyramid", **FAST)
        assert torch.equal(again.latents, made.windows[w].latents)
        assert torch.equal(again.schedule, made.windows[w].schedule)


def test_results_pictures_tasks_and_longer_videos_are_starts():
    m = model(4, 2)
    first = pl.generate(m, "", **FAST)
    longer = pl.extend_to(m, "", first, seconds=1.1, overlap=2, **FAST)
    assert np.array_equal(longer.video[:, :7], first.video)
    assert pl.extend_to(m, "", longer, seconds=1.5, overlap=2, **FAST).seams[0] == 11
    begun = pl.extend_to(m, "", tasks.text_to_video(), seconds=1.1, overlap=2, **FAST)
    assert np.array_equal(begun.video[:, :7], first.video)
    assert np.array_equal(begun.windows[0].video, first.video)
    assert begun.seams == [7]
    # A picture has one latent frame to give; the windows after it keep all three.
    still = pl.extend_to(m, "", clip(1)[0], seconds=1.1, overlap=3, noise=[0.0, 0.1, 0.2], **FAST)
    assert still.seams == [1, 7, 9]
    assert still.windows[0].schedule[0].tolist() == pytest.approx([0.2, 1, 1, 1])
    assert still.windows[1].schedule[0].tolist() == pytest.approx([0, 0.1, 0.2, 1])
    # So short a video is one window, cut.
    assert pl.extend_to(m, "", tasks.text_to_video(), seconds=0.3, overlap=1, **FAST).video.shape[1] == 3


def test_the_start_is_brought_to_the_models_size():
    made = pl.extend_to(model(), "", clip(3, (20, 28)), seconds=0.5, overlap=1, **FAST)
    assert made.video.shape == (1, 5, 5, 7, 3)


def test_samples_and_windows_have_their_own_noise():
    m = model()
    made = pl.extend_to(m, "", clip(2, batch=3), seconds=0.8, overlap=1, seed=5, **FAST)
    assert made.video.shape == (3, 8, 5, 7, 3)
    noise = [x for window in range(2) for x in pl.prepare(m, [""] * 3, seed=5 + 3 * window).x]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(noise, 2))
    for w, window in enumerate(made.windows):
        task = tasks.Task("extension", (tasks.Known(made.video[:, [made.seams[w] - 1]], 0),))
        assert torch.equal(pl.generate(m, [""] * 3, task, seed=5 + 3 * w, **FAST).latents, window.latents)


class Listening(GaussianVideo):
    """Writes down what it is told, and refuses one word."""

    def encode_text(self, prompts):
        self.told = [*getattr(self, "told", []), *prompts]
        if "horse" in prompts:
            raise ValueError("unknown word: horse")
        return {}


def test_one_caption_for_all_or_one_for_each_window_and_sample():
    m = Listening(markov(4), 1, (5, 7))
    options = {"start": clip(1), "seconds": 0.7, "overlap": 1, **FAST}
    pl.extend_to(m, "a", **options)
    assert m.told == ["a", "a"]
    m.told = []
    made = pl.extend_to(m, ["a", ["b", "c"]], **options)
    assert made.video.shape == (2, 7, 5, 7, 3)
    assert m.told == ["a", "a", "b", "c"] * 2  # once to check all of them, once to use them
    m.asked = []
    with pytest.raises(ValueError, match="unknown word: horse"):
        pl.extend_to(m, ["a", "horse"], **options)
    assert m.asked == []


def test_the_toy_goes_on(nano_vta):
    start = pl.generate(nano_vta, "a red circle moves right", steps=4, seed=2)
    made = pl.extend_to(nano_vta, "a red circle moves right", start, 18 / nano_vta.geometry.fps, 3, steps=4, seed=2)
    assert made.video.shape == (1, 18, 16, 16, 3)
    assert made.seams == [8, 13]
    assert np.array_equal(made.video[:, :8], start.video)
    for seam, window in zip(made.seams, made.windows, strict=True):
        assert np.array_equal(window.video[:, :3], made.video[:, seam - 3 : seam])  # noise 0 keeps them exactly
        jump = np.abs(np.diff(made.video[:, seam - 1 : seam + 1].astype(int), axis=1)).mean()
        assert jump < 3 * np.abs(np.diff(made.video.astype(int), axis=1)).mean()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"overlap": 4}, "an overlap of 4 latent frames in windows of 4: keep at least 1.* at most 3"),
        ({"overlap": 0}, "an overlap of 0 latent frames"),
        ({"overlap": 3, "latent_frames": 2}, "an overlap of 3 latent frames in windows of 2"),
        ({"seconds": 0.3}, "seconds=0.3 at 10 frames a second, 3 pixel frames there already"),
        ({"seconds": -1.0}, "ask for a finite number above 0.3 seconds"),
        ({"seconds": float("nan")}, "seconds=nan"),
        ({"seconds": 1e30}, r"seconds=1e\+30 .* at most 3000"),
        ({"seconds": None}, "seconds is None"),
        ({"overlap": 1.0}, "overlap is 1.0"),
        ({"latent_frames": 10**9}, "latent_frames=1000000000"),
        ({"seed": [1, 2]}, "seed is a list of 2"),
        ({"prompt": None}, "prompt is None"),
        ({"start": None}, "a known picture or clip is None, which holds no pixels"),
        ({"start": clip(3)[..., :2]}, "a known picture or clip has shape"),
        ({"model": None}, "model is None: give a VideoModel"),
        ({"num_inference_steps": 3}, "there is no argument 'num_inference_steps': use steps"),
        ({"seconds": float("inf")}, "seconds=inf"),
        ({"noise": [0.1, 0.2]}, "2 noise levels for 1 known"),
        ({"noise": 1.5}, "noise level 1.5"),
        ({"mode": "glue"}, "unknown mode 'glue'"),
        ({"noise": 0.1, "mode": "freeze"}, "mode freeze"),
        ({"prompt": ["a", "b", "c"]}, "3 prompts for 2 windows"),
        ({"prompt": [["a", "b"], ["a", "b", "c"]]}, r"for \[2, 3\] samples: give one for all, or one for each"),
        ({"prompt": ["a", []]}, r"for \[0\] samples"),
        ({"start": clip(3, batch=2), "prompt": [["a", "b", "c"], "a"]}, r"for \[2, 3\] samples"),
        ({"start": "film.mp4"}, "is the path 'film.mp4'"),
        ({"steps": 0}, "steps=0"),
    ],
)
def test_bad_requests_get_a_sentence_before_any_call(options, says):
    m = model()
    m.asked = []
    with pytest.raises(ValueError, match=rf"^extend_to: .*{says}"):
        pl.extend_to(**{"model": m, "prompt": "", "start": clip(3), "seconds": 0.8, "overlap": 1, **FAST, **options})
    assert m.asked == []

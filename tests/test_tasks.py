"""pytest tests/test_tasks.py: tasks place known frames; tested on a codec with Wan's stride 4 in time."""

import numpy as np
import pytest
import torch
from PIL import Image

from pusa_lab import pixels, tasks
from pusa_lab.conditions import place
from pusa_lab.schedules import hold, pyramid, scale_columns, synchronous
from pusa_lab.types import Geometry


class Averaging:
    """A model whose codec averages 1 + 4k frames as Wan's does, 2 x 2 in space; its denoiser is not needed."""

    geometry = Geometry(stride=(4, 2, 2), channels=3, frames=5, size=(8, 12))
    device = torch.device("cpu")

    def encode_text(self, prompts):
        return {}

    def encode_video(self, clip):
        first, rest = clip[:, :, :1], clip[:, :, 1:]
        frames = [first, rest.unflatten(2, (-1, 4)).mean(3)] if rest.shape[2] else [first]
        return torch.nn.functional.avg_pool3d(torch.cat(frames, 2), (1, 2, 2))

    def decode(self, latents):
        raise AssertionError("not needed")

    def __call__(self, x, tau, **cond):
        raise AssertionError("not needed")


MODEL = Averaging()
RNG = np.random.default_rng(0)


def picture(h=8, w=12):
    return RNG.integers(0, 256, (h, w, 3), dtype=np.uint8)


def clip(n, h=8, w=12):
    return RNG.integers(0, 256, (n, h, w, 3), dtype=np.uint8)


def test_text_to_video_knows_nothing():
    c = place(tasks.text_to_video(), MODEL.geometry, 5).encode(MODEL)
    S, eps = synchronous(4, 5), torch.randn(2, 3, 5, 4, 6)
    assert c.at == []
    assert torch.equal(c.schedule(S), S)
    assert torch.equal(c.start(eps, S[0].expand(2, 5)), eps)


def test_image_to_video_puts_the_encoded_picture_at_frame_0():
    image = picture()
    c = place(tasks.image_to_video(image), MODEL.geometry, 5).encode(MODEL)
    S = c.schedule(synchronous(4, 5))
    x = c.start(torch.randn(2, 3, 5, 4, 6), S[0].expand(2, 5))
    want = MODEL.encode_video(pixels.to_pixels(image))
    assert (S[:, 0] == 0).all()
    assert torch.equal(x[:, :, :1], want.expand(2, -1, -1, -1, -1))


def test_start_end_places_both_ends_with_their_noise():
    c = place(tasks.start_end(picture(), picture(), noise=(0.1, 0.4)), MODEL.geometry, 5).encode(MODEL)
    S = synchronous(4, 5)
    assert c.at == [0, 4]
    torch.testing.assert_close(c.schedule(S)[:, 0], 0.1 * S[:, 0])
    torch.testing.assert_close(c.schedule(S)[:, 4], 0.4 * S[:, 4])


def test_extension_takes_the_end_of_the_clip():
    video = clip(11)
    c = place(tasks.extension(video, known=5, noise=[0.0, 0.3]), MODEL.geometry, 5).encode(MODEL)
    assert c.at == [0, 1]
    assert c.noise == [0.0, 0.3]
    assert torch.equal(c.latents, MODEL.encode_video(pixels.to_pixels(video[-5:])))


def test_an_end_clip_ends_at_the_end():
    first, last = picture(), clip(5)
    c = place(tasks.start_end(first, last), MODEL.geometry, 5).encode(MODEL)
    assert c.at == [0, 3, 4]
    assert torch.equal(c.latents[:, :, 1:], MODEL.encode_video(pixels.to_pixels(last)))


def test_every_sample_may_have_its_own_picture():
    own, shared_end = clip(3)[:, None], picture()
    c = place(tasks.start_end(own, shared_end), MODEL.geometry, 5, batch=3).encode(MODEL)
    x = c.start(torch.randn(3, 3, 5, 4, 6), torch.zeros(3, 5))
    for i in range(3):
        assert torch.equal(x[i : i + 1, :, :1], MODEL.encode_video(pixels.to_pixels(own[i])))
        assert torch.equal(x[i : i + 1, :, 4:], MODEL.encode_video(pixels.to_pixels(shared_end)))


def conditions(**options):
    return place(tasks.image_to_video(picture(), **options), MODEL.geometry, 5)


def falling(m):
    return scale_columns(synchronous(4, 5), [0], m)


def constant(m):
    S = synchronous(4, 5)
    S[:-1, 0] = m
    return S


@pytest.mark.parametrize(("m", "mode"), [(0.0, "denoise"), (0.0, "freeze"), (0.3, "hold"), (0.3, "label")])
def test_a_column_that_is_what_the_task_makes_it_stays(m, mode):
    S = constant(m) if m else hold(4, 5)
    assert torch.equal(conditions(noise=m, mode=mode).schedule(S), S)
    assert torch.equal(conditions(noise=m, mode=mode).schedule(synchronous(4, 5)), S)


@pytest.mark.parametrize(
    ("S", "options"),
    [
        (falling(0.3), {}),
        (falling(0.3), {"noise": 0.3}),  # squared, or taken for a column that is finished?
        (falling(0.3), {"noise": 0.3, "mode": "hold"}),
        (constant(0.3), {"noise": 0.3}),
        (falling(0.5), {"noise": 1.0}),
        (hold(4, 5), {"noise": 0.3}),
        (hold(4, 5), {"noise": 0.3, "mode": "label"}),
    ],
)
def test_the_task_alone_sets_the_level_of_a_known_frame(S, options):
    with pytest.raises(ValueError, match=r"known frame 0 starts at .* in the schedule, but the task alone sets its"):
        conditions(**options).schedule(S)


@pytest.mark.parametrize("turn", [lambda a: a[::-1], lambda a: a[:, ::-1], Image.fromarray])
def test_views_and_pillow_pictures_are_read(turn):
    image = picture()
    want = torch.from_numpy(np.array(turn(image))).float() / 127.5 - 1
    torch.testing.assert_close(pixels.to_pixels(turn(image))[0, :, 0].permute(1, 2, 0), want)


def test_noisy_known_frames_start_at_their_level():
    image = picture()
    c = place(tasks.image_to_video(image, noise=0.3), MODEL.geometry, 5).encode(MODEL)
    S, eps = c.schedule(synchronous(4, 5)), torch.randn(2, 3, 5, 4, 6)
    x = c.start(eps, S[0].expand(2, 5))
    torch.testing.assert_close(x[:, :, 0], 0.7 * c.latents[:, :, 0] + 0.3 * eps[:, :, 0])
    assert torch.equal(x[:, :, 1:], eps[:, :, 1:])


def test_hold_keeps_a_constant_level_and_ends_clean():
    c = place(tasks.image_to_video(picture(), noise=0.1, mode="hold"), MODEL.geometry, 5).encode(MODEL)
    S = c.schedule(pyramid(4, 5, lag=2))
    assert S[:-1, 0].unique().tolist() == [pytest.approx(0.1)]
    assert S[-1, 0] == 0
    eps = torch.randn(2, 3, 5, 4, 6)
    x = c.replace_known(torch.zeros(2, 3, 5, 4, 6), eps, S[2].expand(2, 5))
    torch.testing.assert_close(x[:, :, 0], 0.9 * c.latents[:, :, 0] + 0.1 * eps[:, :, 0])
    assert (x[:, :, 1:] == 0).all()
    end = c.replace_known(x, eps, S[-1].expand(2, 5))
    assert torch.equal(end[:, :, 0], c.latents[:, :, 0].expand(2, -1, -1, -1))


def test_imposing_leaves_denoised_frames_alone():
    c = place(tasks.image_to_video(picture(), noise=0.1), MODEL.geometry, 5).encode(MODEL)
    x = torch.randn(2, 3, 5, 4, 6)
    assert c.replace_known(x, torch.randn_like(x), torch.rand(2, 5)) is x


@pytest.mark.parametrize(("pixel", "latent"), [(0, 0), (1, 1), (4, 1), (5, 2), (16, 4)])
def test_pixel_positions_find_their_latent(pixel, latent):
    task = tasks.Task("keyframe", (tasks.Known(picture(), pixel_at=pixel),))
    assert place(task, MODEL.geometry, 5).encode(MODEL).at == [latent]


def test_mixed_modes_keep_their_order():
    known = (tasks.Known(picture(), 3, noise=0.2, mode="hold"), tasks.Known(picture(), 1, noise=0.5))
    c = place(tasks.Task("two", known), MODEL.geometry, 5).encode(MODEL)
    S, eps = c.schedule(synchronous(4, 5)), torch.randn(1, 3, 5, 4, 6)
    x = c.start(eps, S[0].expand(1, 5))
    torch.testing.assert_close(x[:, :, 3], 0.8 * c.latents[:, :, 0] + 0.2 * eps[:, :, 3])
    torch.testing.assert_close(x[:, :, 1], 0.5 * c.latents[:, :, 1] + 0.5 * eps[:, :, 1])


@pytest.mark.parametrize("kind", ["uint8", "float", "torch", "float64"])
def test_pixels_of_every_kind_mean_the_same(kind):
    image = picture()
    same = {
        "uint8": image,
        "float": (image / 255).astype(np.float32),
        "float64": image / 255,
        "torch": torch.from_numpy(image),
    }[kind]
    out = pixels.to_pixels(same)
    assert out.shape == (1, 3, 1, 8, 12)
    torch.testing.assert_close(out[0, :, 0].permute(1, 2, 0), torch.from_numpy(image).float() / 127.5 - 1)


def test_fit_crops_the_centre_and_keeps_flat_colour():
    wide = pixels.to_pixels(np.full((3, 20, 100, 3), 51, np.uint8))
    wide[..., :20] = 1
    wide[..., -20:] = 1
    out = pixels.crop_and_resize(wide, (8, 8))
    assert out.shape == (1, 3, 3, 8, 8)
    torch.testing.assert_close(out, torch.full_like(out, -0.6))


def test_fit_leaves_the_right_size_alone():
    x = pixels.to_pixels(clip(2))
    assert torch.equal(pixels.crop_and_resize(x, (8, 12)), x)


K = tasks.Known


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (
            lambda: tasks.extension(clip(3), known=5),
            "known=5 for a clip of 3 pixel frames: give 1 to 3, or leave it out to keep all",
        ),
        (lambda: tasks.extension(clip(3), known=0), "known=0 for a clip of 3 pixel frames: give 1 to 3"),
        (
            lambda: tasks.keyframes([picture(), picture()]),
            r"^tasks.keyframes: 2 pictures without places: give at=\[...\] in latent frames, or",
        ),
        (lambda: tasks.keyframes([picture()], [0], pixel_at=[1]), "1 picture with both at and pixel_at: give at="),
        (lambda: tasks.keyframes([picture()], [0, 1]), "1 picture for 2 places: give one place per picture"),
        (lambda: tasks.extension(clip(4)), r"4 pixel frames does not fill whole latent frames: give 1 \+ 4 \* k"),
        (lambda: tasks.extension(clip(17)), "all 5 latent frames are known and kept clean"),
        (lambda: tasks.extension(clip(25)), "7 latent frames at latent frame 0 reaches past the end"),
        (lambda: tasks.extension(clip(5), noise=[0.1, 0.2, 0.3]), "3 noise levels for 2 known latent frames"),
        (lambda: tasks.image_to_video(picture(), noise=1.5), "noise level 1.5"),
        (lambda: tasks.image_to_video(picture(), mode="keep"), "unknown mode 'keep'"),
        (lambda: tasks.image_to_video(picture()[..., :2]), r"shape \(8, 12, 2\): give one picture \(h, w, 3\), or"),
        (lambda: tasks.image_to_video(picture(), noise=2), r"noise level 2.0 is outside \[0, 1\]"),
        (lambda: tasks.start_end(picture(), picture(), noise=(0.1, -1)), r"noise level -1.0 is outside"),
        (lambda: tasks.image_to_video(picture().astype(int)), "holds no pixels"),
        (lambda: tasks.image_to_video(picture() / 100.0), "holds NaN or numbers outside .0, 1.: give uint8"),
        (lambda: tasks.image_to_video(np.full((8, 8, 3), np.nan)), "holds NaN or numbers outside .0, 1.: give uint8"),
        (lambda: tasks.image_to_video("still.png"), "is the path 'still.png': read it"),
        (lambda: tasks.image_to_video([["red"]]), "holds no pixels"),
        (lambda: tasks.image_to_video(clip(3)[:, None]), "for 3 samples, but 1 prompt"),
        (lambda: tasks.extension(picture(), known=2), r"the clip has shape \(8, 12, 3\)"),
        (lambda: tasks.Task("x", (K(clip(17), -2),)), "5 latent frames at latent frame -2 reaches past"),
        (lambda: tasks.Task("x", (K(picture(), 5),)), "frame 5 is outside the video of 5 latent frames"),
        (lambda: tasks.Task("x", (K(picture(), pixel_at=99),)), "frame 25 is outside"),
        (lambda: tasks.Task("x", (K(picture(), pixel_at=-1),)), "pixel_at=-1"),
        (lambda: tasks.Task("x", (K(picture()),)), "at=None, pixel_at=None: give exactly one of the two"),
        (lambda: tasks.Task("x", (K(picture(), 0, pixel_at=0),)), "at=0, pixel_at=0: give exactly one of the two"),
        (lambda: tasks.Task("x", (K(picture(), 0), K(picture(), -5))), "two known frames at latent frame 0"),
        (lambda: tasks.Task("x", (K(clip(5), 0), K(picture(), 1))), "two known frames at latent frame 1"),
    ],
)
def test_bad_input_gets_a_sentence(task, says, as_user):
    with pytest.raises(ValueError, match=says):
        place(task(), MODEL.geometry, 5).encode(MODEL)

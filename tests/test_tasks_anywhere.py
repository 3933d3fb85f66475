"""Tasks whose known frames stand anywhere: keyframes, parts of a video, loops; presets and the table of frames."""

import numpy as np
import pytest
import torch
from test_tasks import MODEL, Averaging, clip, picture

from pusa_lab import pixels, tasks
from pusa_lab.conditions import place
from pusa_lab.types import Geometry


def test_keyframes_stand_where_they_are_put():
    a, b, c = picture(), clip(4), picture()
    task = tasks.keyframes([a, b, c], [2, -1, 0], noise=[0.1, 0.2, 0.3], mode="hold")
    found = place(task, MODEL.geometry, 5).encode(MODEL)
    assert (found.at, found.noise, found.mode) == ([2, 4, 0], [0.1, 0.2, 0.3], ["hold"] * 3)
    stills = [pixels.to_pixels(np.stack([x] * 4)).mean(2, keepdim=True) for x in (a, c)]
    want = [stills[0], pixels.to_pixels(b).mean(2, keepdim=True), stills[1]]
    torch.testing.assert_close(found.latents, torch.nn.functional.avg_pool3d(torch.cat(want, 2), (1, 2, 2)))


def test_keyframes_at_pixel_frames():
    task = tasks.keyframes(np.stack([picture(), picture()]), pixel_at=[9, 0])
    assert place(task, MODEL.geometry, 5).at == [3, 0]


class Causal(Averaging):
    """A causal codec: every latent frame carries something of all pixels before it, as those of video codecs do."""

    def encode_video(self, clip):
        z = super().encode_video(clip)
        return z + 0.5 * z.cumsum(2)


def test_completion_takes_parts_of_a_video_and_nothing_of_the_rest():
    """Flaw 13 of the released code: it encodes the whole video, and so the end's latents know the hidden middle."""
    model, video = Causal(), clip(17)
    other = video.copy()
    other[5:13] = 0
    parts = [range(0, 5), model.geometry.pixels_at(4)]
    first, second = (
        place(tasks.completion(v, parts, (0.0, 0.2)), model.geometry, 5).encode(model) for v in (video, other)
    )
    assert first.at == [0, 1, 4]
    assert first.noise == [0.0, 0.0, 0.2]
    assert torch.equal(first.latents, second.latents)
    whole = [model.encode_video(pixels.to_pixels(v))[:, :, 4] for v in (video, other)]
    assert not torch.equal(*whole)  # the mistaken rule would show


def test_completion_of_any_latent_frames():
    generator = np.random.default_rng(5)
    for _ in range(20):
        geometry = Geometry((int(generator.integers(1, 6)), 2, 2), 3, int(generator.integers(2, 12)), (8, 12))
        video = clip(geometry.pixel_frames(geometry.frames))
        at = generator.choice(geometry.frames, int(generator.integers(1, geometry.frames)), replace=False).tolist()
        found = place(tasks.completion(video, [geometry.pixels_at(i) for i in at]), geometry, geometry.frames)
        assert found.at == at
        for i, part in zip(at, found.clips, strict=True):
            assert torch.equal(part, pixels.to_pixels(video[list(geometry.pixels_at(i))]))


def test_a_loop_has_its_picture_at_both_ends_whole():
    image = picture()
    found = place(tasks.loop(image, noise=(0.0, 0.4)), MODEL.geometry, 5).encode(Causal())
    assert (found.at, found.noise) == ([0, 4], [0.0, 0.4])
    once = torch.nn.functional.avg_pool3d(pixels.to_pixels(image), (1, 2, 2))
    torch.testing.assert_close(found.latents[:, :, :1], 1.5 * once)
    # The last latent frame is the picture after a standstill of `stride` frames, not the latent of a first frame.
    torch.testing.assert_close(found.latents[:, :, 1:], 2.0 * once)


@pytest.mark.parametrize("stride", [1, 4])
def test_the_frame_table_says_where_every_pixel_frame_lands(stride):
    geometry = Geometry((stride, 2, 2), 3, 6, (8, 12), fps=8)
    lines = tasks.frame_table(geometry).splitlines()[1:]
    assert len(lines) == 6
    landed = {}
    for line in lines:
        latent, span, seconds = line.split()
        first, *last = map(int, span.split(".."))
        assert float(seconds) == pytest.approx(first / 8, abs=0.0051)
        landed |= {p: int(latent) for p in range(first, (last or [first])[0] + 1)}
    assert landed == {p: geometry.latent_at(p) for p in range(geometry.pixel_frames(6))}


def test_every_preset_fits_its_task():
    geometry, n = Geometry((4, 8, 8), 16, 28, (16, 16)), {"extension": 4, "transition": 4, "image_to_video": 1}
    makers = {
        "image_to_video": lambda m: tasks.image_to_video(picture(), m),
        "start_end": lambda m: tasks.start_end(picture(), picture(), m),
        "keyframes": lambda m: tasks.keyframes([picture()] * 3, [0, 13, 27], m),
        "completion": lambda m: tasks.completion(clip(109), [range(1), range(105, 109)], m),
        "transition": lambda m: tasks.transition(picture(), clip(12), m),
        "extension": lambda m: tasks.extension(clip(13), noise=m),
    }
    assert makers.keys() == tasks.PRESETS.keys()
    for name, presets in tasks.PRESETS.items():
        for preset in presets:
            found = place(makers[name](preset.noise), geometry, 28)
            flat = [m for part in np.atleast_1d(np.array(preset.noise, dtype=object)) for m in np.atleast_1d(part)]
            assert found.noise == flat
            assert len(flat) == n.get(name, len(flat))
            assert "8a8c4f5" in preset.source or "2507.16116" in preset.source


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (lambda: tasks.keyframes([], []), "keyframes without a picture"),
        (lambda: tasks.keyframes([picture()], [0, 1]), "1 picture for 2 places"),
        (lambda: tasks.keyframes([picture()]), "1 picture without places: give at="),
        (lambda: tasks.keyframes([picture()] * 2, [1, 1]), "two known frames at latent frame 1"),
        (lambda: tasks.keyframes([picture()] * 2, [0, 1], [0.1] * 3), "3 noise levels for 2"),
        (lambda: tasks.completion(clip(17), []), "completion without a known part"),
        (lambda: tasks.completion(picture(), [range(1)]), r"the video has shape \(8, 12, 3\)"),
        (lambda: tasks.completion(clip(9), [range(5, 13)]), r"from range\(5, 13\) of a video of 9 pixel frames"),
        (lambda: tasks.completion(clip(9), [range(3, 3)]), "give ranges within 0..9"),
        (lambda: tasks.completion(clip(9), [range(0, 9, 2)]), "give ranges within 0..9"),
        (
            lambda: tasks.completion(clip(17), [range(6, 10)]),
            r"frames 6..9 cuts through latent frames, which hold 5..12",
        ),
        (
            lambda: tasks.completion(clip(17), [range(5, 10)]),
            r"frames 5..9 cuts through latent frames, which hold 5..12",
        ),
        (lambda: tasks.completion(clip(17), [range(5), range(1, 5)]), "two known frames at latent frame 1"),
        (lambda: tasks.image_to_video(picture(), 0.1, mode="freeze"), "frame 0 is in mode freeze"),
    ],
)
def test_what_a_task_needs_is_asked_for(task, says, as_user):
    with pytest.raises(ValueError, match=says):
        place(task(), MODEL.geometry, 5).encode(MODEL)


@pytest.mark.parametrize(
    ("frames", "at", "want"),
    [
        (1, 0, [[0]]),
        (5, 0, [[0], [1, 2, 3, 4]]),
        (1, -1, [[0]]),
        (5, -1, [[0], [1, 2, 3, 4]]),
        (4, -1, [[0, 1, 2, 3]]),
        (8, 2, [[0, 1, 2, 3], [4, 5, 6, 7]]),
    ],
)
def test_a_known_clip_is_encoded_for_the_place_where_it_stands(frames, at, want):
    clip = torch.rand(frames, 1, 1, 3).expand(-1, 8, 12, -1)
    model = Averaging()
    conditions = place(tasks.Task("any", (tasks.Known(clip, at),)), model.geometry, 5).encode(model)
    first = conditions.at[0]
    assert conditions.at == list(range(first, first + len(want)))
    for i, group in enumerate(want):
        pixels = torch.stack([clip[j] for j in group]).mean(0)[0, 0] * 2 - 1
        torch.testing.assert_close(conditions.latents[0, :, i], pixels.view(3, 1, 1).expand(-1, 4, 6))


@pytest.mark.parametrize("make", [tasks.start_end, tasks.transition])
def test_one_noise_is_for_both_ends(make):
    first, last = np.zeros((4, 4, 3), np.uint8), np.zeros((5, 4, 4, 3), np.uint8)
    assert [k.noise for k in make(first, last, noise=0.3).known] == [0.3, 0.3]
    assert [k.noise for k in make(first, last, noise=(0.1, 0.3)).known] == [0.1, 0.3]
    assert [k.noise for k in make(first, last, noise=[0.1, 0.3]).known] == [0.1, 0.3]

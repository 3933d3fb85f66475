"""pytest tests/test_tasks_pictures.py: a task that takes a picture takes no clip; what counts as a picture."""

import inspect

import numpy as np
import pytest
import torch
from fuzz.basics import nested
from PIL import Image
from test_tasks import MODEL, clip, picture

import pusa_lab as pl
import small_models
from pusa_lab import pixels, tasks
from pusa_lab.conditions import place

pytestmark = pytest.mark.usefixtures("as_user")
ONE = picture()
SEVERAL = {
    "image_to_video": lambda p: tasks.image_to_video(p),
    "start_end, first": lambda p: tasks.start_end(p, ONE),
    "loop": lambda p: tasks.loop(p),
}


@pytest.mark.parametrize("make", SEVERAL.values(), ids=SEVERAL)
@pytest.mark.parametrize("shape", [(13, 8, 12, 3), (2, 8, 12, 3), (1, 5, 8, 12, 3), (4, 2, 8, 12, 3)])
@pytest.mark.parametrize("kind", [np.zeros, torch.zeros, lambda shape: np.zeros(shape).tolist()])
def test_a_task_of_one_picture_refuses_a_clip_and_offers_the_batch(make, shape, kind):
    with pytest.raises(ValueError, match=r"which is a clip: give one .* or one per sample as \(b, 1, h, w, 3\)"):
        make(kind(shape))


@pytest.mark.parametrize("make", SEVERAL.values(), ids=SEVERAL)
@pytest.mark.parametrize("form", [lambda p: p[:, None], list, lambda p: [Image.fromarray(x) for x in p], torch.tensor])
def test_one_picture_per_sample_is_that_of_the_sample(make, form):
    pictures = clip(3)
    given = torch.tensor(pictures)[:, None] if form is torch.tensor else form(pictures)
    found = place(make(given), MODEL.geometry, 5, batch=3)
    assert found.at[0] == 0
    assert torch.equal(found.clips[0], pixels.to_pixels(pictures[:, None]))


@pytest.mark.parametrize("make", [lambda p: tasks.start_end(ONE, p), lambda p: tasks.keyframes([p], at=[2])])
def test_as_many_frames_as_samples_are_not_guessed(make):
    stack = clip(4)
    with pytest.raises(ValueError, match=r"may mean one clip for all or one picture for each: give clip\[None\]"):
        place(make(stack), MODEL.geometry, 5, batch=4)
    shared = place(make(stack[None]), MODEL.geometry, 5, batch=4)
    own = place(make(stack[:, None]), MODEL.geometry, 5, batch=4)
    assert [len(shared.clips[-1]), len(own.clips[-1])] == [1, 4]
    assert torch.equal(shared.clips[-1], pixels.to_pixels(stack))
    assert torch.equal(own.clips[-1], pixels.to_pixels(stack[:, None]))
    assert torch.equal(place(make(stack), MODEL.geometry, 5, batch=3).clips[-1], shared.clips[-1])


def test_tasks_of_clips_share_one_or_take_one_per_sample():
    shared, own = clip(17), np.stack([clip(17), clip(17)])
    makers = [
        lambda v: tasks.extension(v, known=5),
        lambda v: tasks.transition(v[..., :5, :, :, :], v[..., -4:, :, :, :]),
        lambda v: tasks.completion(v, [range(5), range(13, 17)]),
    ]
    for make in makers:
        for batch, given in ((5, shared), (4, shared), (2, own)):
            found = place(make(given), MODEL.geometry, 5, batch)
            assert len(found.clips[0]) == (2 if given is own else 1)
    first = place(tasks.extension(own, known=5), MODEL.geometry, 5, 2).clips[0]
    assert torch.equal(first, pixels.to_pixels(own[:, -5:]))
    last = place(makers[2](own), MODEL.geometry, 5, 2).clips[1]
    assert torch.equal(last, pixels.to_pixels(own[:, 13:17]))


def test_lists_of_numbers_are_pictures():
    want = pixels.to_pixels(ONE)
    for given in (ONE.tolist(), (ONE / 255).tolist(), ONE / 255.0, torch.tensor(ONE), Image.fromarray(ONE)):
        found = place(tasks.image_to_video(given), MODEL.geometry, 5).clips[0]
        torch.testing.assert_close(found, want)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV"])
def test_pillow_pictures_are_converted_as_pillow_does(mode):
    image = Image.fromarray(ONE).convert(mode)
    found = tasks.image_to_video(image).known[0].clip
    assert np.array_equal(found, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "I", "F", "I;16", "LAB"])
def test_pillow_pictures_of_another_range_are_refused(mode):
    with pytest.raises(ValueError, match=rf"a Pillow image of mode {mode}, .*read its file with pusa_lab.data"):
        tasks.image_to_video(Image.new(mode, (12, 8)))


HOSTILE = [
    *(None, True, 3, 2.5, "", b"abc", {}, {"a": 1}, set(), object(), int, lambda: 0),
    *([], [[]], [None], ["a.png"], [[["a"]]], [ONE, ONE[:4]], np.array("x"), np.zeros((4, 4, 3), complex)),
    nested(),
    *(torch.zeros(4, 4, 3).to_sparse(), torch.zeros(4, 4, 3) + 0j, np.zeros((4, 4, 3), bool), np.zeros((0, 4, 3))),
    *(np.array([None, 1]), torch.zeros(4, 4, 4), torch.zeros(1, 1, 1, 1, 1, 1, 3)),
]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: type(v).__name__)
def test_whatever_holds_no_pixels_gets_a_sentence(value):
    makers = {
        **SEVERAL,
        "last": lambda p: tasks.start_end(ONE, p),
        "transition": lambda p: tasks.transition(ONE, p),
        "completion": lambda p: tasks.completion(p, [range(1)]),
        "extension": lambda p: tasks.extension(p),
        "keyframes": lambda p: tasks.keyframes([p], [0]),
        "keyframes, bare": lambda p: tasks.keyframes(p, [0]),
        "Known": lambda p: tasks.Known(p, 0),
    }
    for make in makers.values():
        with pytest.raises(ValueError, match=r"^[^\n]+\.$"):
            make(value)


@pytest.mark.parametrize("value", [None, "x", [None], object(), np.zeros((2, 2, 2)), float("nan"), -0.5, 2, True])
def test_levels_of_wrong_types_get_a_sentence(value):
    for make in (tasks.image_to_video, tasks.loop, tasks.extension):
        with pytest.raises(ValueError, match=r"^[^\n]+\.$"):
            place(make(ONE if make is not tasks.extension else clip(5), noise=value), MODEL.geometry, 5)


@pytest.mark.parametrize("value", [None, "x", [None], {}, 2.5, "Freeze"])
def test_modes_and_places_of_wrong_types_get_a_sentence(value):
    made = [{"at": value}, {"pixel_at": value or "0"}, {"at": 0, "mode": value}]
    for options in made:
        with pytest.raises(ValueError, match=r"^tasks.Known: [^\n]+\.$"):
            tasks.Known(ONE, **options)


def test_the_other_way_takes_one_picture_too():
    model = small_models.ImageToVideo.from_base(small_models.ToyModel(small_models.PRESETS["nano"]))
    made = [pl.generate(model, "", tasks.image_to_video(one), steps=1).latents for one in (ONE, ONE[None, None])]
    assert torch.equal(*made)
    several = pl.generate(model, [""] * 3, tasks.image_to_video(clip(3)[:, None]), steps=1, seed=[1, 2, 3])
    assert len(several.video) == 3
    for other in (tasks.image_to_video(ONE, noise=0.2), tasks.image_to_video(ONE, mode="hold"), tasks.loop(ONE)):
        with pytest.raises(ValueError, match="the model takes one picture as its input, and no other known frames"):
            pl.generate(model, "", other, steps=1)


def test_every_task_says_its_name():
    made = [f for _, f in inspect.getmembers(pl.tasks, inspect.isfunction) if f.__module__ == "pusa_lab.tasks"]
    assert len([f for f in made if hasattr(f, "__wrapped__")]) >= 9
    with pytest.raises(ValueError, match=r"^tasks.image_to_video: picture is None, which holds no pixels"):
        tasks.image_to_video(None)

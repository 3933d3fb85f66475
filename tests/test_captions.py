"""pytest tests/test_captions.py: captions say what the scenes are, in any wording, and are read back and tokenized."""

import re
from dataclasses import replace

import pytest
import torch
from scenes import SCENES, scene
from torch.nn import functional as F

from small_models.models.text import EMPTY, TextEncoder
from small_models.world import (
    COLOURS,
    DIGITS,
    DIRECTIONS,
    GROUNDS,
    HANDWRITING,
    MINI,
    MOTIONS,
    NANO,
    TURNS,
    WORLDS,
    captions,
    draw_scenes,
    masks,
    parse,
    vocabulary,
)
from small_models.world.digits import bitmaps, cover
from small_models.world.tables import OTHER_WORDS

pytestmark = pytest.mark.usefixtures("one_thread")


def test_captions_in_plain_words():
    assert captions(scene()) == ["a big red circle moves right on a plain ground"]
    assert captions(scene(pan=torch.tensor([1]), ground=torch.tensor([2]))) == [
        "a big red circle moves right on a striped ground, the camera pans right"
    ]
    nano = SCENES["nano"]
    three = replace(nano[:1], present=torch.tensor([[True, True]]), shape=torch.tensor([[0, 1]]))
    three = replace(
        three, colour=torch.tensor([[0, 2]]), speed=torch.tensor([[2, 0]]), direction=torch.tensor([[7, 2]])
    )
    assert captions(three) == ["a red circle moves quickly up and right, a blue square moves slowly down"]
    assert captions(three, 5) == captions(three)  # no other wording in this world


@pytest.mark.parametrize("name", WORLDS)
def test_captions_are_read_back(name, as_user):
    scenes, world = SCENES[name], WORLDS[name]
    names = ("present", "colour", "shape", "motion", "direction", "speed", "size", "spin")
    rows = zip(*(getattr(scenes, name).tolist() for name in (*names, "ground", "pan")), strict=True)
    left_out = 0
    for text, (*objects, ground, pan) in zip(captions(scenes[:500]) + captions(scenes[500:], 0), rows, strict=True):
        meaning = parse(text, world)
        here = [row[1:] for row in zip(*objects, strict=True) if row[0]]
        for phrase, (colour, shape, motion, direction, speed, size, spin) in zip(meaning.objects, here, strict=True):
            circles = MOTIONS[motion] == "circle"
            assert phrase.colour == list(COLOURS)[colour]
            assert phrase.shape == world.nouns[shape]
            assert phrase.motion == MOTIONS[motion]
            assert phrase.direction == (list(TURNS)[direction % 2] if circles else list(DIRECTIONS)[direction])
            assert phrase.speed == world.speeds[speed][0]
            assert phrase.spin == spin
            assert (phrase.size or "") in (world.sizes[size][0], "")
            left_out += phrase.size is None
        assert meaning.ground in (None, GROUNDS[ground])
        assert meaning.pan == ("left", "", "right")[pan + 1]
    assert left_out > 0


NONSENSE = [
    "",
    "a red circle",
    "a red elephant moves right",
    "a red circle moves rightwards",
    "a red circle moves right and",
    "a red circle moves right blah on a plain ground",
    "a red circle moves right on a red ground",
    "a red circle moves up a blue square moves down",
    "a red circle moves upa blue square moves down",
    "a red circle moves clockwise",
    "a red circle circles up",
    "xa red circle moves right",
    "a red red circle moves right",
]


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_refused(text):
    with pytest.raises(ValueError, match=r"cannot read.*a red circle moves slowly up and right"):
        parse(text, MINI)


def test_worlds_have_their_own_words():
    for text in ("an orange circle moves right", "a red ring moves right", "a red circle circles clockwise"):
        parse(text, MINI)
        with pytest.raises(ValueError, match="cannot read"):
            parse(text, NANO)
    parse("a big red three is thrown to the upper left", HANDWRITING)
    assert parse("A RED circle  moves right.") == parse("a red circle moves right", MINI)


@pytest.mark.parametrize("name", WORLDS)
def test_every_word_is_in_the_vocabulary(name):
    world = WORLDS[name]
    texts = [text for seed in (None, 0, 1) for text in captions(SCENES[name], seed)]
    words = [re.findall(r"\w+|,", text) for text in texts]
    assert max(map(len, words)) <= 60
    used = {word for row in words for word in row}
    assert used <= set(vocabulary(world))
    assert set(vocabulary(world)) - used <= {"spinning"}


@pytest.mark.parametrize("name", ["mini", "digits"])
def test_all_wordings_occur(name):
    scenes, world = SCENES[name], WORLDS[name]
    texts = captions(scenes, 1)
    assert sum(a != b for a, b in zip(texts, captions(scenes, 2), strict=True)) > 900
    text = "; ".join(texts)
    for _, verbs in world.motions:
        for verb in verbs:
            assert re.search(verb.format(r"[\w ]+"), text), verb
    for words in (
        OTHER_WORDS.values(),
        DIRECTIONS,
        TURNS,
        COLOURS,
        world.nouns,
        GROUNDS,
        [" and a", " while a", ", a"],
    ):
        assert all(word in text for word in words)
    assert ", the camera pans" in text and " as the camera pans" in text


def test_digits_are_all_different():
    assert bitmaps().shape[0] == len(DIGITS) and bitmaps().shape[1] > 150
    assert bitmaps().min() >= 0 and bitmaps().max() <= 1
    every = draw_scenes(10, 0, HANDWRITING)
    fields = {"shape": torch.arange(10)[:, None].expand(10, 2), "size": torch.ones_like(every.size)}
    fields |= {"present": torch.tensor([True, False]).expand(10, 2), "start": torch.full((10, 2, 2), 0.5)}
    first, second = (masks(replace(every, **fields, look=torch.full_like(every.look, i)), 1) for i in (3, 4))
    for shown in (first, second):
        ink = shown[:, 0, 0]
        assert ((ink[:, None] - ink[None]).abs().mean((-1, -2)) + torch.eye(10) > 0.01).all()
        # Drawn where the digit is, as its bitmap is: upright, not mirrored.
        side = round(2 * 0.23 * 64)
        drawn = ink[:, 32 - side // 2 : 32 + side // 2, 32 - side // 2 : 32 + side // 2]
        look = 3 if shown is first else 4
        wanted = F.interpolate(bitmaps()[:, look, None], size=drawn.shape[1:], mode="bilinear", antialias=True)[:, 0]
        likeness = F.cosine_similarity(drawn.flatten(1)[:, None], wanted.flatten(1)[None], dim=2)
        assert (likeness.argmax(1) == torch.arange(10)).all() and likeness.diagonal().min() > 0.9
    assert ((first - second).abs().mean((1, 2, 3, 4)) > 0.005).all()


def test_digits_can_overlap():
    scenes = draw_scenes(1, 0, HANDWRITING)
    scenes = replace(scenes, present=torch.tensor([[True, True]]), start=torch.full((1, 2, 2), 0.5))
    shown = masks(scenes, 1)
    alone = masks(replace(scenes, present=torch.tensor([[True, False]])), 1)
    assert shown.sum(1).max() <= 1 + 1e-5
    assert shown[:, 0].sum() < alone[:, 0].sum()


def test_places_of_two_precisions_are_covered_in_the_larger_one():
    x, y = torch.rand(2, 3, 8, 8).bfloat16(), torch.rand(2, 3, 8, 8)
    r, look = torch.rand(2, 1, 1, 1) + 0.1, torch.tensor([0, 1])
    torch.testing.assert_close(cover(x, y, r, look, 3), cover(x.float(), y, r, look, 3), atol=1e-5, rtol=1e-4)


def encoder(world=MINI, **changes):
    return TextEncoder([EMPTY, *vocabulary(world)], **{"dim": 16, "layers": 1, "longest": 60, **changes})


@pytest.mark.parametrize("name", WORLDS)
def test_every_caption_can_be_tokenized(name):
    reads = encoder(WORLDS[name])
    tokens = reads.tokenize([*captions(SCENES[name], 1), ""])
    assert tokens.shape == (1001, 60)
    assert (tokens[:-1, 0] > 0).all() and (tokens[-1] == 0).all()
    assert reads(tokens[:2]).shape == (2, 60, 16)


def test_tokens_ignore_case_and_full_stop():
    reads = encoder()
    assert torch.equal(reads.tokenize(["A red circle moves right."]), reads.tokenize(["a red circle moves right"]))


@pytest.mark.parametrize("prompt", ["a red elephant", "<empty>", "a red circle; moves"])
def test_unknown_words_are_told(prompt):
    with pytest.raises(ValueError, match="unknown words"):
        encoder().tokenize([prompt])


def test_long_captions_are_refused():
    with pytest.raises(ValueError, match="at most 4"):
        encoder(longest=4).tokenize(["a red circle moves right"])


@pytest.mark.parametrize("layers", [1, 2])
def test_words_meet_each_other(layers):
    reads = encoder(layers=layers)
    a, b = (reads(reads.tokenize([f"a {colour} circle moves up"])) for colour in ("red", "blue"))
    # The word "circle" is the same, but its embedding knows its colour.
    assert not torch.allclose(a[0, 2], b[0, 2])
    assert len(reads.layers) == layers

"""pytest tests/test_features.py: the network that reads clips, its labels, its card, the distance on its features."""

import json

import pytest
import torch
from torch.nn import functional as F

import small_models
from pusa_lab.metrics import frechet_distance
from small_models.evaluation.measure_features import (
    DAMAGES,
    blurred,
    features_of,
    frozen,
    ladder,
    shares,
    shuffled,
    torn,
    true,
)
from small_models.evaluation.ways import EVAL_SEED
from small_models.models.features import ABSENT, SCENE, Features, feature_loss, labels_of, reduced
from small_models.training.train import train
from small_models.world import COLOURS, MINI, MOTIONS, draw_scenes, render

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*litlogger.*"),
]
GEOMETRY = small_models.ToyModel(small_models.PRESETS["mini"]).geometry
CARD = small_models.card("mini-features")["metrics"]


@pytest.fixture(scope="module")
def model():
    return small_models.load("mini-features", device="cpu")


@pytest.fixture(scope="module")
def found(model):
    """Features of 40 unseen scenes, true and damaged."""
    return features_of(model, draw_scenes(40, EVAL_SEED + 4, MINI), GEOMETRY, {"truth": true, **DAMAGES})


def clip(n=2, frames=33, seed=3):
    return render(draw_scenes(n, seed, MINI), frames)


@pytest.mark.parametrize(("frames", "size"), [(9, 64), (33, 64), (65, 64), (20, 72)])
def test_any_length_gives_64_numbers(model, frames, size):
    pixels = render(draw_scenes(3, 1, MINI), frames, size)
    logits = model(pixels)
    assert model.features(pixels).shape == (3, 64)
    assert logits["present"].shape == (3, 8)
    classes = {"shape": 5, "size": 2, "motion": 5, "direction": 8, "turn": 2}
    assert {k: v.shape for k, v in logits.items() if v.ndim == 3} == {k: (3, 8, n) for k, n in classes.items()}
    assert logits["ground"].shape == (3, 4)
    assert logits["pan"].shape == (3, 3)


def test_it_is_small_and_ready(model):
    card = small_models.card("mini-features")
    assert isinstance(model, small_models.Features)
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert sum(p.numel() for p in model.parameters()) < 600_000
    assert card["parameters"] == sum(v.numel() for v in model.state_dict().values())
    assert card["codec"] == "mini-codec"


def test_clips_do_not_see_each_other(model):
    pixels = clip(3)
    torch.testing.assert_close(model.features(pixels)[1:2], model.features(pixels[1:2]), atol=1e-4, rtol=1e-4)


def test_labels_are_what_the_scenes_hold():
    scenes = draw_scenes(200, 8, MINI)
    labels = labels_of(scenes)
    for i in range(200):
        want = {name: [ABSENT] * 8 for name in ("shape", "size", "motion", "direction", "turn")}
        for j in torch.nonzero(scenes.present[i])[:, 0].tolist():
            k, circles = int(scenes.colour[i, j]), MOTIONS[int(scenes.motion[i, j])] == "circle"
            for name in ("shape", "size", "motion"):
                want[name][k] = int(getattr(scenes, name)[i, j])
            want["turn" if circles else "direction"][k] = int(scenes.direction[i, j]) % (2 if circles else 8)
        for name, value in want.items():
            assert labels[name][i].tolist() == value, name
        assert labels["present"][i].tolist() == [int(s != ABSENT) for s in want["shape"]]
    assert torch.equal(labels["pan"], scenes.pan + 1)
    assert torch.equal(labels["ground"], scenes.ground)


def test_the_loss_is_the_sum_of_its_questions_and_leaves_out_what_cannot_be_asked():
    scenes = draw_scenes(4, 2, MINI)
    model, small, labels = Features({"world": "mini"}).eval(), reduced(render(scenes)), labels_of(scenes)
    loss, parts = feature_loss(model, small, {k: v.float() for k, v in labels.items()})
    assert loss.item() == pytest.approx(sum(p.item() for p in parts.values()), rel=1e-5)
    logits, asked = model(render(scenes))["shape"].log_softmax(-1), []
    for i, k in torch.nonzero(labels["present"]).tolist():
        asked.append(-logits[i, k, labels["shape"][i, k]])
    assert parts["shape"].item() == pytest.approx(torch.stack(asked).mean().item(), rel=1e-4)
    none = {k: torch.full_like(v, ABSENT) if k == "turn" else v for k, v in labels.items()}
    assert feature_loss(model, small, none)[1]["turn"] == 0


def test_what_is_reduced_is_every_second_frame_at_half_the_size():
    pixels = torch.rand(2, 3, 12, 16, 24)
    want = F.interpolate(pixels[:, :, [0, 2, 4, 6, 8, 10]], scale_factor=(1, 0.5, 0.5), mode="area")
    torch.testing.assert_close(reduced(pixels), want)


@pytest.mark.parametrize("shape", [(1, 3, 8, 64, 64), (1, 4, 33, 64, 64), (1, 3, 33, 60, 64), (3, 33, 64, 64)])
def test_other_clips_are_refused(model, as_user, shape):
    with pytest.raises(ValueError, match=r"cannot be read: give|clip has shape .*: give a tensor"):
        model.features(torch.zeros(shape))


def test_the_card_can_be_measured_again(model):
    """On 64 other scenes: within four standard errors of this size."""
    scenes = draw_scenes(64, EVAL_SEED + 3, MINI)
    found = features_of(model, scenes, GEOMETRY, {"truth": true})["truth"]
    got = shares(model.answer(found), labels_of(scenes))
    want = CARD["truth"]
    for name in (n for n in want if not n.endswith("_stderr")):
        size = want[f"{name}_stderr"] * (CARD["clips"] / 64) ** 0.5
        assert got[name] == pytest.approx(want[name], abs=4 * max(size, got[f"{name}_stderr"]) + 0.01), name


def test_shares_are_of_what_can_be_asked():
    labels = {"shape": torch.tensor([[0, ABSENT], [1, 1]]), "present": torch.tensor([[1, 0], [1, 1]])}
    logits = {"shape": torch.eye(3)[torch.tensor([[0, 0], [1, 2]])], "present": torch.tensor([[1.0, 1], [1, 1]])}
    got = shares(logits, labels)
    assert got["shape"] == pytest.approx(2 / 3)
    assert got["shape_stderr"] == pytest.approx((2 / 9 / 3) ** 0.5)
    assert got["present"] == 0.75


def test_damages_do_what_they_say():
    pixels = clip(2, 9)
    assert torch.equal(frozen(pixels), pixels[:, :, :1].repeat(1, 1, 9, 1, 1))
    assert torch.equal(torn(pixels)[:, 1:], pixels[:, 1:])
    assert torch.equal(torn(pixels)[:, 0, :, :, 4:], pixels[:, 0, :, :, :-4])
    mixed = shuffled(pixels)
    assert not torch.equal(mixed, pixels)
    torch.testing.assert_close(mixed.sort(dim=2).values, pixels.sort(dim=2).values)
    want = pixels[0, 1, 2, 9:14, 20:25].mean()
    torch.testing.assert_close(blurred(pixels)[0, 1, 2, 11, 22], want)


def test_more_damage_is_farther(found):
    """From the very clips that were damaged: as many others are fewer than there are features, and only noise apart."""
    steps = ladder(found, found["truth"])
    assert abs(steps["truth"]) < 1e-6
    assert steps["blurred_3"] < steps["blurred_5"] < steps["blurred_9"] < steps["frame_0_repeated"]
    assert steps["blurred_5"] < steps["red_4_pixels_right"] < steps["shuffled_frames"] < steps["frame_0_repeated"]


def test_the_ladder_is_of_frechet_distances(found):
    others = found["shuffled_frames"]
    assert ladder({"a": found["truth"]}, others) == {"a": frechet_distance(found["truth"], others)}


def test_the_cards_distances_order_damage():
    """The codec's loss is within the noise of the floor; all that a viewer would call damage is above it, in order."""
    steps = CARD["frechet_distance"]
    assert abs(steps["through_the_codec"] / steps["truth"] - 1) < 0.1
    assert steps["truth"] < steps["blurred_3"] < steps["blurred_5"] < steps["blurred_9"] < steps["frame_0_repeated"]
    assert 1.1 * steps["truth"] < min(steps[n] for n in ("blurred_5", "red_4_pixels_right", "shuffled_frames"))


def test_the_goals_are_met():
    truth = CARD["truth"]
    assert truth["present"] > 0.97
    assert truth["shape"] > 0.85
    assert truth["direction"] > 0.8


def test_each_colour_has_its_own_features(model):
    """Without its only object, a clip's features of that colour change, and those of the others hardly do."""
    scenes = draw_scenes(40, 6, MINI)
    pixels = render(scenes)
    lone = (scenes.present.sum(1) == 1) & (scenes.ground == 0)
    colours = scenes.colour[lone, 0]
    empty = scenes.level[lone].view(-1, 1, 1, 1, 1).expand_as(pixels[lone]) * 2 - 1
    apart = (model.features(pixels[lone]) - model.features(empty))[:, :-SCENE].unflatten(1, (len(COLOURS), -1))
    own = torch.nn.functional.one_hot(colours, len(COLOURS)).bool()
    assert len(colours) >= 3
    assert (apart.norm(dim=2)[own].min() > apart.norm(dim=2)[~own].median() * 3).item()


def test_training_writes_a_reader_of_its_own(tmp_path):
    path = train("mini", "features", tmp_path, fast=True, max_steps=3, validate_every=2)
    card, again = json.loads(path.with_suffix(".json").read_text()), small_models.load(path, device="cpu")
    assert again.features(clip()).shape == (2, 64)
    assert card["data"] == "mini, 16 clips"
    assert {"truth", "through_the_codec", "frechet_distance"} <= set(card["metrics"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mini-features.json", "mini-features.safetensors"]


def test_clips_without_labels_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no labels for .*: features are learned from one of nano, mini, digits"):
        train("mini", "features", tmp_path, data=str(tmp_path), fast=True)
    with pytest.raises(ValueError, match="lora_rank=4 for features"):
        train("mini", "features", tmp_path, fast=True, lora_rank=4)

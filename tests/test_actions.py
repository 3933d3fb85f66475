"""pytest tests/test_actions.py: a world that answers, a toy that is told actions, its stream, score and panel."""

import itertools
import re
import time

import numpy as np
import pytest
import torch
from torch import nn

import pusa_lab as pl
import small_models
from pusa_lab.streaming import FrameActions
from small_models.evaluation.actions import LENGTH, OPPOSITE, action_rollout, measure_actions, obeyed
from small_models.models import zoo
from small_models.models.actions import ActionToy
from small_models.world import draw_scenes, positions, render
from small_models.world.actions import (
    ACTION_WORLD,
    ACTIONS,
    action_positions,
    draw_actions,
    name_objects,
    push_speed,
    render_actions,
)

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = list(ACTIONS)
PROMPT = "a red circle"
FAST = {"schedule": "autoregressive", "steps": 2, "guidance": 1.0}


@pytest.fixture
def toy(small_nano):
    torch.manual_seed(0)
    return ActionToy.from_base(small_nano)


@pytest.fixture
def told(toy):
    nn.init.normal_(toy.action_embedder.weight)
    return toy


def rows(*names):
    return torch.tensor([[NAMES.index(name) for name in names]])


def test_a_world_that_is_told_nothing_is_nanos():
    scenes = draw_scenes(20, 3, ACTION_WORLD)
    nothing = torch.zeros(20, 12).long()
    torch.testing.assert_close(action_positions(scenes, nothing), positions(scenes, 12), atol=1e-5, rtol=0)
    torch.testing.assert_close(render_actions(scenes, nothing), render(scenes, 12), atol=1e-3, rtol=0)


def test_objects_go_where_they_are_pushed_and_bounce():
    scenes = draw_scenes(1, 0, ACTION_WORLD)
    told = rows("keep", "left", *["keep"] * 9, "up", "stop", "keep")
    path = action_positions(scenes, told)[0, :, 0]
    moved, radius = path.diff(dim=0), scenes.radius()[0, 0]
    assert moved[0, 1] == 0 and moved[0, 0] == pytest.approx(-push_speed(ACTION_WORLD), abs=1e-6)
    assert moved[-3, 0] == 0 and moved[-3, 1].abs() <= push_speed(ACTION_WORLD) + 1e-6
    assert (moved[-2:] == 0).all(), "it stopped"
    assert (path >= radius - 1e-6).all() and (path <= 1 - radius + 1e-6).all()
    assert (moved[:10, 0] > 0).any(), "it came back from the wall"


def test_drawn_actions_and_captions_say_what_they_should():
    drawn = draw_actions(5000, 9, 1)
    assert torch.equal(drawn, draw_actions(5000, 9, 1)) and (drawn[:, 0] == 0).all()
    share = (drawn[:, 1:, None] == torch.arange(len(ACTIONS))).float().mean((0, 1))
    torch.testing.assert_close(share, torch.tensor([0.75, *[0.05] * 5]), atol=0.02, rtol=0)
    captions = name_objects(draw_scenes(50, 0, ACTION_WORLD))
    assert {len(caption.split()) for caption in captions} == {3}
    small_models.load("nano-base", device="cpu").encode_text(captions)  # all of them are known words


@pytest.mark.parametrize("actions", [torch.zeros(3, 4).long(), torch.full((2, 4), 6)])
def test_actions_that_do_not_fit_are_refused(actions):
    with pytest.raises(ValueError, match=r"for 2 clips: give a row for each, with numbers from 0 to 5"):
        action_positions(draw_scenes(2, 0, ACTION_WORLD), actions)


def test_the_renderer_obeys_and_controls_do_not():
    scenes, actions = draw_scenes(100, 5, ACTION_WORLD), draw_actions(100, LENGTH, 5)
    new, stop = actions > 0, actions == NAMES.index("stop")
    truth = render_actions(scenes, actions)
    done = obeyed(truth, scenes, actions)
    assert done.nanmean() > 0.99
    assert 0.6 < (~done[new].isnan()).float().mean() < 0.95, "walls are in the way"
    assert done[(new.cumsum(1) == 0)].isnan().all(), "nothing is asked before the first action"

    still = obeyed(truth[:, :, :1].expand(-1, -1, LENGTH, -1, -1).contiguous(), scenes, actions)
    assert still[stop].nanmean() == 1 and still[new & ~stop].nanmean() == 0
    gone = obeyed(-torch.ones_like(truth), scenes, actions)
    assert gone.nansum() == 0 and torch.equal(~gone.isnan(), new.cumsum(1) > 0), "what is lost obeys nothing"

    untold = obeyed(render_actions(scenes, torch.zeros_like(actions)), scenes, actions)
    opposite = torch.tensor([NAMES.index(OPPOSITE[name]) for name in NAMES])
    against = obeyed(render_actions(scenes, opposite[actions]), scenes, actions)
    assert against[new].nanmean() < 0.1 < untold[new].nanmean() < 0.3


def test_an_action_is_asked_for_until_the_next_one_or_a_wall():
    scenes = draw_scenes(1, 0, ACTION_WORLD)
    actions = rows("keep", "left", *["keep"] * 9, "stop", "keep")
    x = action_positions(scenes, actions)[0, :, 0, 0]
    wall = int((x[:-1] - push_speed(ACTION_WORLD) < scenes.radius()[0, 0]).nonzero()[0]) + 1
    asked = ~obeyed(render_actions(scenes, actions), scenes, actions)[0].isnan()
    assert 1 < wall < 11
    assert asked.tolist() == [False] + [True] * (wall - 1) + [False] * (11 - wall) + [True] * 2


def test_a_toy_starts_as_its_base_bit_for_bit_and_then_hears(toy, small_nano):
    x, tau, cond = torch.randn(2, 3, 8, 16, 16), torch.rand(2, 8), small_nano.encode_text([PROMPT] * 2)
    asked = torch.randint(len(ACTIONS), (2, 8))
    with torch.no_grad():
        want = small_nano(x, tau, **cond)
        assert torch.equal(toy(x, tau, **cond), want) and torch.equal(toy(x, tau, **cond, actions=asked), want)
        nn.init.normal_(toy.action_embedder.weight)
        found = toy(x, tau, **cond, actions=asked)
        assert not torch.allclose(found, want, atol=1e-3)
        same = toy(x, tau, **cond, actions=asked[:1])
        torch.testing.assert_close(same, toy(x, tau, **cond, actions=asked[:1].expand(2, -1)))
        torch.testing.assert_close(toy(x, tau, **cond), toy(x, tau, **cond, actions=0 * asked))


def test_names_become_numbers(toy):
    assert toy.encode_actions(["stop", "keep"])["actions"].tolist() == [[5, 0]]
    with pytest.raises(ValueError, match="no action 'jump': choose one of keep, left, right, up, down, stop"):
        toy.encode_actions(["jump"])


def test_it_is_saved_and_loaded(told, tmp_path):
    zoo.save(told, tmp_path / "told.safetensors", {})
    found = small_models.load(tmp_path / "told.safetensors", device="cpu")
    assert type(found) is ActionToy
    torch.testing.assert_close(found.action_embedder.weight, told.action_embedder.weight, atol=5e-3, rtol=0)


def made(stream, count):
    return torch.cat([part.latents for part in itertools.islice(stream, count)], 2)


def test_a_stream_asks_once_for_each_frame_when_it_begins(told):
    asked, done = [], []

    def ask(frame):
        asked.append((frame, len(done)))
        return "left"

    stream = pl.stream(told, PROMPT, actions=ask, **FAST)
    assert not asked
    for part in itertools.islice(stream, 12):
        done.append(part.at)
    assert asked == [(i, i) for i in range(12)], "the frames before it are there"
    rolling = pl.stream(told, PROMPT, schedule="rolling(window=4)", steps=4, guidance=1.0, actions=ask)
    asked.clear()
    assert next(rolling).at == range(1)
    assert [frame for frame, _ in asked] == [0, 1, 2, 3], "frames in progress have theirs"


def test_an_action_changes_its_frame_and_none_before(told):
    given = ["keep"] * 10 + ["left", "stop"]
    first, other = (made(pl.stream(told, PROMPT, actions=names, **FAST), 12) for names in (["keep"] * 12, given))
    assert torch.equal(first[:, :, :10], other[:, :, :10])
    assert (first - other)[:, :, 10].abs().max() > 1e-3


def test_all_ways_to_give_actions_agree_and_after_the_last_nobody_asks(told):
    same = [
        made(pl.stream(told, PROMPT, actions=actions, **FAST), 4)
        for actions in ("left", ["left"] * 4, lambda frame: "left", itertools.repeat("left"))
    ]
    assert all(torch.equal(same[0], one) for one in same[1:])
    ended = made(pl.stream(told, PROMPT, actions=["left"], **FAST), 4)
    kept = made(pl.stream(told, PROMPT, actions=["left", "keep", "keep", "keep"], **FAST), 4)
    assert torch.equal(ended, kept)


def test_a_stream_without_actions_is_the_same_as_one_told_to_keep_on(told):
    assert torch.equal(
        made(pl.stream(told, PROMPT, **FAST), 3), made(pl.stream(told, PROMPT, actions="keep", **FAST), 3)
    )


def test_two_prompts_and_guidance_go_with_actions(told):
    options = {**FAST, "guidance": 2.0, "actions": "up"}
    stream = pl.stream(told, [PROMPT, "a blue square"], **options)
    assert made(stream, 3).shape[2] == 3 and stream.asked.times == 3 * 2 * 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: (m, "jump"), "no action 'jump' for frame 0: choose one of keep, left, right, up, down, stop"),
        (lambda m: (m, ["left", "fly"]), "no action 'fly' for frame 1"),
        (lambda m: (m, {8: "left"}), "actions is a dict of 1 item: give a text"),
        (lambda m: (pl.causal(m, 1), "left"), "a causal model takes no actions on the way"),
        (lambda m: (small_models.load("nano-base", device="cpu"), "left"), "for a ToyModel, which takes none"),
    ],
)
def test_what_cannot_be_given_is_refused_at_once(toy, change, says):
    model, actions = change(toy)
    with pytest.raises(ValueError, match=says):
        pl.stream(model, PROMPT, actions=actions, **FAST)


@pytest.mark.parametrize(
    ("actions", "says"),
    [
        (iter(["left", 3]), "an item is 3 .* a text"),
        (iter(["left", "fly"]), "no action 'fly' for frame 1"),
        (lambda frame: ["left", 3][frame], "actions, for frame 1, returned 3"),
    ],
)
def test_what_turns_out_wrong_later_is_refused_then(toy, actions, says):
    stream = pl.stream(toy, PROMPT, actions=actions, **FAST)
    next(stream)
    with pytest.raises(ValueError, match=says):
        next(stream)


def test_memory_of_actions_does_not_grow(toy):
    held = FrameActions("left", toy)
    for frame in range(100):
        held.ask(frame)
        held.slide(1 if frame >= 8 else 0)
    assert len(held.names) == 8 and held.encoded(9)["actions"].tolist() == [[1] * 8 + [0]]


def test_a_toy_is_measured_beside_its_controls(told, monkeypatch):
    monkeypatch.setattr("small_models.evaluation.actions.LENGTH", 4)
    found = measure_actions(told, 3, steps=1)
    assert found["clips"] == 3 and found["renderer"]["at once"]["obeyed"] == 1
    for name in ("right actions", "no actions", "opposite actions"):
        share = found[name]["at once"]
        assert 0 <= share["low"] <= share["obeyed"] <= share["high"] <= 1 and share["asked"]
    assert set(measure_actions(told, 2, steps=1, controls=False)) == {"how", "clips", "renderer", "right actions"}


def test_a_scored_stream_starts_from_the_picture(told):
    scenes, actions = draw_scenes(1, 0, ACTION_WORLD), rows("keep", "left", "keep")
    truth = render_actions(scenes, actions)
    clip = action_rollout(told, scenes, truth[:, :, :1], actions, steps=1)
    assert clip.shape == truth.shape
    torch.testing.assert_close(clip[:, :, 0], truth[:, :, 0], atol=0.01, rtol=0)


def play(told, **options):
    from pusa_lab.studio.play import PlaySession

    return PlaySession(told, PROMPT, steps=1, **options)


def test_a_press_is_the_action_of_the_next_frame_alone(told):
    picture = np.zeros((16, 16, 3), np.uint8)
    session, given = play(told, picture=picture), []
    for presses in ([], ["left"], ["up", "stop"], []):
        for name in presses:
            session.press(name)
        made = session.step()
        given.append(session.stream.actions.names[-1])
        assert np.array_equal(made, picture) == (len(given) == 1)
    assert given == ["keep", "left", "stop", "keep"] and session.given == "stop" and session.rate > 0
    with pytest.raises(ValueError, match="no action 'fly'"):
        session.press("fly")


@pytest.mark.parametrize("option", [{"actions": "left"}, {"output": "latents"}])
def test_what_the_player_decides_itself_is_refused(told, option):
    with pytest.raises(ValueError, match=rf"{next(iter(option))} is the player's own: leave it out"):
        play(told, **option)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_panel_plays_and_its_buttons_press(told):
    panel = pl.studio.ActionPlayer(told, PROMPT, steps=1)
    session, tell, shown = panel.session, panel.session.tell, []
    session.tell = lambda: (tell(), shown.append(panel.status.value))
    empty = panel.picture.value
    assert list(panel.buttons) == NAMES[1:]
    panel.buttons["down"].click()
    panel.running.value = True
    end = time.monotonic() + 60
    while len(shown) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    panel.running.value = False
    count = len(shown)
    assert all(re.fullmatch(r"down, \d+ frames a second", one) for one in shown)
    assert panel.picture.value != empty and not session.error and len(shown) == count, "paused"


def test_an_error_on_the_way_is_shown(told):
    panel = pl.studio.ActionPlayer(told, PROMPT, steps=1)
    panel.session.next = "<fly>"
    panel.running.value = True
    panel.session._thread.join(60)
    assert "no action &#x27;&lt;fly&gt;&#x27; for frame 0" in panel.status.value

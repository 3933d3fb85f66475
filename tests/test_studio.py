"""pytest tests/test_studio.py: the studio's session, both of its faces, and the player."""

import io
import json
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from processes import python

import pusa_lab as pl
from pusa_lab import media, schedules, viz
from pusa_lab.studio import Player, ScheduleStudio, Session
from pusa_lab.studio.known import Given, name_of, with_preset
from pusa_lab.studio.runs import scores, shots

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ipywidgets of its own traits
PICTURE = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
FACES = ["anywidget", "plain"]


@pytest.fixture
def nano_vta(small_nano):
    """Any toy does here."""
    return small_nano


@pytest.fixture(params=FACES)
def face(request, monkeypatch):
    monkeypatch.setenv("PUSA_LAB_WIDGETS", request.param)
    return request.param


def dropped(array):
    with io.BytesIO() as file:
        Image.fromarray(array).save(file, "PNG")
        return file.getvalue()


def session(model=None, frames=8, **options):
    return Session(model, frames, 4, "a red circle moves right", **options)


def test_the_schedule_goes_both_ways(face):
    studio = ScheduleStudio(frames=5, steps=6)
    assert torch.equal(studio.schedule, schedules.synchronous(6, 5))
    studio.schedule = schedules.pyramid(6, 5)
    assert torch.equal(studio.schedule, schedules.pyramid(6, 5))
    studio.act(do="load", name="pyramid", arguments={"steps": 6, "lag": 2})
    assert studio.line == "pl.schedules.pyramid(steps=6, frames=5, lag=2)"
    with pytest.raises(ValueError, match=r"\(7, 4\) for 5 latent frames"):
        studio.schedule = schedules.synchronous(6, 4)
    assert torch.equal(studio.schedule, schedules.pyramid(6, 5, lag=2))
    assert "kept" in studio.session.error


def test_gestures_from_the_page_reach_the_tensor():
    pytest.importorskip("anywidget")
    studio = ScheduleStudio(frames=4, steps=4)
    other = ScheduleStudio(frames=4, steps=4)
    studio._hear(studio, {"do": "edit", "kind": "drag", "frame": 2, "row": 1, "level": 0.1}, [])
    assert studio.schedule[1, 2] == np.float32(0.1)
    assert studio.view["matrix"][3][2] == pytest.approx(0.1)
    assert torch.equal(other.schedule, schedules.synchronous(4, 4)), "two studios on one page are two"
    studio._hear(studio, {"do": "edit", "kind": "freeze", "frame": 0, "page": "a", "number": 7}, [])
    assert studio.view["error"] == ""
    assert studio.view["heard"] == {"page": "a", "number": 7}, "the page learns which of its gestures are carried out"
    studio._hear(studio, {"do": "undo"}, [])
    studio._hear(studio, {"do": "dance"}, [])
    assert "unknown gesture 'dance'" in studio.view["error"]
    studio._hear(studio, {"do": "edit", "kind": "drag", "frame": 77, "row": 1, "level": 0.1}, [])
    assert "frame 77" in studio.view["error"]
    studio._hear(studio, {"do": "undo"}, [])
    assert torch.equal(studio.schedule, schedules.synchronous(4, 4))


def test_the_view_is_json_whatever_is_drawn():
    one = session(frames=3)
    one.do({"do": "set", "schedule": [[1, 2, float("nan")], [0.5, 0, float("inf")], [0.5, 0, 0]]})
    view = json.loads(json.dumps(one.view(), allow_nan=False))
    assert view["matrix"][0] == [1, 2, None]
    assert len(view["faults"]) == 4
    for _ in range(9):
        if one.view()["faults"]:
            fault = one.view()["faults"][0]
            one.do({"do": "fix", "row": fault["row"], "frame": fault["frame"]})
            assert one.status == f"fixed: {fault['fix']}"
    assert one.view()["faults"] == []


def test_a_run_is_what_generate_gives(nano_vta):
    one = session(nano_vta)
    one.do({"do": "drop", "name": "a.png", "content": dropped(PICTURE)})
    one.do({"do": "level", "index": 0, "noise": 0.3})
    one.do({"do": "load", "name": "pyramid", "arguments": {"steps": 4}})
    heard = []
    one.tell = lambda lane, row: heard.append((lane, row))
    one.do({"do": "run"})
    one.wait(600)
    assert one.error == ""
    task = pl.tasks.image_to_video(PICTURE, noise=0.3)
    want = pl.generate(nano_vta, "a red circle moves right", task, schedule=schedules.pyramid(4, 8))
    np.testing.assert_array_equal(one.lanes["A"].video, want.video[0])
    assert torch.equal(one.lanes["A"].schedule, want.schedule)
    rows = len(want.schedule)
    assert [row for lane, row in heard if lane == "A"][:rows] == list(range(rows))
    assert heard[-1] == ("", -1)
    assert sorted(one.lanes["A"].sheets) == list(range(rows))
    json.dumps(one.lanes["A"].message(), allow_nan=False)


def test_comparing_uses_one_seed_and_scores_every_frame(nano_vta):
    truth = np.random.default_rng(1).integers(0, 255, (8, 16, 16, 3), np.uint8)
    one = session(nano_vta, truth=truth)
    one.do({"do": "compare"})
    assert "pin a schedule" in one.error
    one.do({"do": "pin"})
    one.do({"do": "compare"})
    one.wait(600)
    a, b = one.lanes["A"], one.lanes["B"]
    np.testing.assert_array_equal(a.video, b.video)
    assert set(a.scores) == {"motion", "psnr", "ssim"}
    assert all(len(values) == 8 for values in a.scores.values())
    real = pl.pixels.to_pixels(truth)
    assert a.scores["psnr"] == pytest.approx(pl.metrics.psnr(pl.pixels.to_pixels(a.video), real)[0].tolist())


def test_scores_belong_to_latent_frames():
    video = np.zeros((9, 4, 4, 3), np.uint8)
    video[5:] = 255
    found = scores(video, 3, np.zeros_like(video))
    assert found["psnr"] == [60, 60, 0]
    assert found["motion"] == pytest.approx([0, 0, 255 / 4])


class Slow:
    """A model that waits to be let on."""

    def __init__(self, model):
        self.model, self.geometry, self.device = model, model.geometry, model.device
        self.encode_text, self.encode_video, self.decode = model.encode_text, model.encode_video, model.decode
        self.calls, self.gate = 0, threading.Semaphore(100)

    def __call__(self, x, tau, **cond):
        self.gate.acquire(timeout=600)
        self.calls += 1
        return self.model(x, tau, **cond)


def test_cancel_stops_between_rows_and_keeps_what_is_there(nano_vta):
    slow = Slow(nano_vta)
    one = session(slow)
    slow.gate, rows, there = threading.Semaphore(2), [], threading.Event()

    def tell(lane, row):
        rows.append(row)
        if row == 1:
            there.set()

    one.tell = tell
    one.do({"do": "run"})
    assert there.wait(600)
    one.do({"do": "run"})
    assert "a run is in progress" in one.error
    one.do({"do": "cancel"})
    slow.gate.release(50)
    one.wait(600)
    assert one.status.startswith("cancelled")
    assert max(rows) < 3
    assert 0 in one.lanes["A"].sheets
    assert one.lanes["A"].video is None


def test_errors_of_a_run_become_a_sentence(nano_vta):
    slow = Slow(nano_vta)
    one = session(slow)

    def broken(x, tau, **cond):
        raise RuntimeError("out of memory on row 1")

    slow.model = broken
    drawn = one.editor.schedule
    one.do({"do": "run"})
    one.wait(600)
    assert (one.error, one.status) == ("out of memory on row 1", "stopped")
    assert torch.equal(one.editor.schedule, drawn)
    one.do({"do": "edit", "kind": "freeze", "frame": 3})
    one.do({"do": "run"})
    one.wait(600)
    assert "frame 3 starts at 0" in one.error


def test_another_length_than_the_model_is_said_at_once(nano_vta):
    one = session(nano_vta, frames=5)
    assert one.error == "the studio has 5 latent frames, the model 8: open it with frames=8 to run."
    one.do({"do": "run"})
    one.wait(600)
    assert "a matrix of 5 columns for 8 frames: give one per frame" in one.error
    bare = session()
    bare.do({"do": "run"})
    assert "no model to run" in bare.error


def test_known_frames_take_the_published_levels(nano_vta):
    one = session(nano_vta)
    one.do({"do": "drop", "name": "a.png", "content": dropped(PICTURE), "at": 0})
    assert (one.view()["task"], one.given[0].noise) == ("image_to_video", pl.tasks.PRESETS["image_to_video"][0].noise)
    one.do({"do": "drop", "name": "b.png", "content": dropped(PICTURE), "at": 7})
    assert one.view()["task"] == "start_end"
    assert tuple(g.noise for g in one.given) == pl.tasks.PRESETS["start_end"][0].noise
    one.do({"do": "policy", "index": 1, "mode": "replacement"})
    one.do({"do": "level", "index": 1, "noise": 2.0})
    assert "noise level 2.0" in one.error
    one.do({"do": "drop", "name": "c.png", "content": dropped(PICTURE), "at": 7})
    assert "two known frames at latent frame 7" in one.error
    assert [(g.name, g.at, g.noise, g.mode) for g in one.given][1] == ("b.png", 7, 0.5, "replacement")
    one.do({"do": "drop", "name": "d.exe", "content": b"MZ"})
    assert "is not a picture or clip" in one.error
    one.do({"do": "drop", "name": "d.png", "content": b"MZ"})
    assert "d.png is not a readable picture" in one.error
    one.do({"do": "forget", "index": 0})
    assert [g.name for g in one.given] == ["b.png"]


def test_a_clip_keeps_its_speed(nano_vta, tmp_path):
    """A square that moves 16 pixels a second, filmed at 16 frames a second, for a model of 8."""
    video = np.full((16, 64, 64, 3), 30, np.uint8)
    for k in range(16):
        video[k, 20:40, 10 + k : 30 + k] = 220
    media.write_clip(tmp_path / "a.mp4", video, 16)
    one = session(nano_vta)
    one.do({"do": "drop", "name": "a.mp4", "content": (tmp_path / "a.mp4").read_bytes(), "at": 0})
    centres = [(frame[..., 0] > 120).nonzero()[1].mean() for frame in one.given[0].clip]
    assert np.diff(centres) == pytest.approx(2, abs=0.3)


def test_tasks_are_named_after_their_frames(nano_vta):
    clip = np.stack([PICTURE] * 4)
    names = [[], [Given("", PICTURE)], [Given("", clip)], [Given("", PICTURE), Given("", PICTURE, -1)]]
    assert [name_of(g, 8) for g in names] == ["text_to_video", "image_to_video", "extension", "start_end"]
    assert name_of([Given("", PICTURE, 3)], 8) == "keyframes"
    assert name_of([Given("", clip, 3)], 8) == "completion"
    (one,) = with_preset([Given("", clip)], nano_vta.geometry, 8)
    assert one.noise == pl.tasks.PRESETS["extension"][0].noise


def test_rows_left_out_on_the_way_come_at_the_end(nano_vta):
    run = pl.prepare(nano_vta, "a red circle moves right", steps=5)
    found = list(shots(run, nano_vta.decode, spare=-1e9))
    assert [(s.row, s.pictures is None) for s in found[:6]] == [(r, r < 5) for r in range(6)]
    assert [s.row for s in found[6:]] == list(range(5))
    whole = {s.row: s.pictures for s in shots(run, nano_vta.decode, spare=1e9)}
    for shot in found[5:]:
        np.testing.assert_array_equal(shot.pictures, whole[shot.row])


def test_the_player_and_its_static_fall_back(face, nano_vta):
    states = list(pl.prepare(nano_vta, "a red circle moves right", steps=3).states())
    assert Player(states, nano_vta.decode) is not None
    assert Player(iter(states)) is not None
    still = viz.animate(states, nano_vta.decode)
    assert still.shape == (4, 16, 8 * 16, 3)
    want = pl.pixels.to_uint8(nano_vta.decode(states[2].x0))[0]
    np.testing.assert_array_equal(still[2], np.concatenate(list(want), axis=1))
    assert viz.animate(states).shape == (4, 16, 8 * 16, 3)
    for empty in (Player, viz.animate):
        with pytest.raises(ValueError, match="no states"):
            empty([])


def test_the_studio_runs_from_python(face, nano_vta, tmp_path):
    studio = ScheduleStudio(nano_vta, frames=8, steps=2, prompt="a red circle moves right")
    lane = studio.run()
    assert lane.video.shape == (8, 16, 16, 3)
    assert studio.results["A"] is lane
    studio.save(tmp_path / "mine.json")
    assert json.loads((tmp_path / "mine.json").read_text())["frames"] == 8
    with pytest.raises(ValueError, match="pin a schedule"):
        studio.run(compare=True)


def test_the_plain_face_does_the_same_with_its_buttons(monkeypatch):
    monkeypatch.setenv("PUSA_LAB_WIDGETS", "plain")
    studio = ScheduleStudio(frames=6, steps=5)
    studio.zoo.value = "pyramid"
    studio.sliders.children[0].value = 7
    assert torch.equal(studio.schedule, schedules.pyramid(7, 6))
    studio.frame.value, studio.row.value, studio.level.value = 3, 4, 0.9
    studio.edits["paint"].click()
    assert studio.schedule[4, 3] == np.float32(0.9)
    assert studio.zoo.value == "(edited)"
    studio.row.value = 5
    studio.level.value = 1.0
    studio.edits["paint"].click()
    assert len(studio.faults.options) == 1
    studio.fix.click()
    assert studio.faults.options == ()
    studio.edits["freeze"].click()
    studio.undo.click()
    studio.undo.click()
    studio.redo.click()
    assert studio.schedule[:, 3].any()


def test_without_anywidget_the_plain_face_is_used():
    code = (
        "import sys; sys.modules['anywidget'] = None\n"
        "import importlib.util; find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if name == 'anywidget' else find(name)\n"
        "from pusa_lab.studio import ScheduleStudio; print(type(ScheduleStudio()).__name__)"
    )
    done = python(code)
    assert done.stdout.strip() == "PlainStudio", done.stderr

"""pytest tests/test_studio_hostile.py: whatever a page, a file or a person sends to the studio, it answers at once."""

import json

import numpy as np
import pytest
import torch

from pusa_lab import schedules
from pusa_lab.studio import Editor, Player, ScheduleStudio, edits
from pusa_lab.studio.editing import columns
from pusa_lab.studio.known import read_dropped
from pusa_lab.studio.session import DOES, Session

pytestmark = pytest.mark.usefixtures("as_user")
PICTURE = np.full((8, 8, 3), 90, np.uint8)
DEEP = "[" * 100_000
HOSTILE = [
    None,
    True,
    -1,
    10**7,
    10**30,
    2.5,
    float("nan"),
    "",
    "x",
    "0-999999999",
    b"x",
    [],
    [None],
    {},
    {"a": 1},
    object,
]
NAMED = {
    "edit": ["kind", "frame", "row", "level", "frames", "rows", "to", "by", "gesture"],
    "load": ["name", "arguments"],
    "fix": ["row", "frame"],
    "set": ["schedule"],
    "read": ["text"],
    "settings": ["prompt", "seed", "guidance", "colour"],
    "drop": ["name", "content", "at"],
    "level": ["index", "noise"],
    "policy": ["index", "mode"],
    "forget": ["index"],
}


def large(session):
    return (
        session.editor.schedule.numel() > edits.MOST_DRAWN_LEVELS
        or len(session.editor.schedule) > edits.MOST_DRAWN_ROWS
    )


def state(session):
    return session.editor.schedule, dict(session.settings), list(session.given)


@pytest.mark.parametrize("name", sorted(set(DOES) - {"run", "compare"}))
def test_every_message_of_wrong_types_leaves_the_studio_as_it_was(name):
    session = Session(frames=4, steps=3)
    right = {"kind": "drag", "frame": 1, "row": 1, "level": 0.5, "name": "still.png", "index": 0, "at": 0}
    for key in NAMED.get(name, ["more"]):
        for value in HOSTILE:
            message = {k: v for k, v in right.items() if k in NAMED.get(name, [])} | {key: value}
            if name == "edit":
                message = {"kind": "drag", "frame": 1, "row": 1, "level": 0.5, key: value}
            before, asked = state(session), {"do": name, **message}
            session.do(asked)
            assert not large(session)
            assert "\n" not in session.error
            if session.error:
                after = state(session)
                assert torch.equal(after[0], before[0])
                assert after[1:] == before[1:]
                assert session.error.endswith(".")
            json.dumps(session.view())


@pytest.mark.parametrize("message", [None, 3, "run", [], [1], {"do": None}, {"do": ["run"]}, {"do": "fly"}, {1: 2}, {}])
def test_a_message_that_is_none_is_answered(message):
    session = Session(frames=3, steps=2)
    session.do(message)
    assert session.error.endswith(".")
    assert session.error.startswith(("the studio was sent", "unknown gesture"))


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (
            {"do": "load", "name": "synchronous", "arguments": {"steps": 10**7}},
            "steps=1e+07: the studio takes at most 10,000",
        ),
        ({"do": "load", "name": "synchronous", "arguments": {"steps": 9_999}}, "at most 10,000 rows and 50,000 levels"),
        (
            {"do": "load", "name": "pyramid", "arguments": {"steps": 10, "lag": 5_000}},
            "at most 10,000 rows and 50,000 levels",
        ),
        ({"do": "load", "name": "pyramid", "arguments": {"steps": 10, "lag": 10**9}}, "lag=1e+09"),
        ({"do": "load", "name": "pyramid", "arguments": {"colour": 3}}, "pyramid has no 'colour': choose from"),
        ({"do": "load", "name": "pyramid", "arguments": {"frames": 3}}, "pyramid has no 'frames'"),
        (
            {"do": "edit", "kind": "delay", "frame": 0, "by": 10**9},
            "by=1000000000 for 4 rows: shift at least 1 row",
        ),
        ({"do": "edit", "kind": "delay", "frame": 0, "by": 9_999}, "at most 10,000 rows and 50,000 levels"),
        ({"do": "edit", "kind": "paint", "frames": [0], "rows": [0] * 99, "level": 1}, "rows holds 99 numbers"),
        ({"do": "edit", "kind": "copy", "frame": 0, "to": [1] * 99}, "to holds 99 numbers"),
        ({"do": "edit", "kind": "copy", "frame": 0, "to": "0-99999999"}, "frame"),
        ({"do": "edit", "kind": "drag", "frame": 0, "row": 0}, "drag takes frame, level, row, but got frame, row"),
        ({"do": "set", "schedule": [[1.0] * 6] * 9_000 + [[0.0] * 6]}, "a schedule of 9,001 rows of 6 frames"),
        ({"do": "read", "text": '{"schedule": ' + DEEP}, "no schedule in this text"),
        ({"do": "read", "text": '{"schedule": [[1e999999, "a"]]}'}, "matrix of numbers"),
        ({"do": "read", "text": '{"schedule": 3}'}, "no schedule in this text"),
        ({"do": "read", "text": '{"schedule": [[[1]]]}'}, "matrix of numbers"),
        ({"do": "read", "text": '{"schedule": [[1, 1, 1, 1, 1, 1], {"a": 0}]}'}, "matrix of numbers"),
        ({"do": "read", "text": '{"frames": 7, "schedule": [[1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]]}'}, "frames=7"),
        ({"do": "read", "text": "9" * 5_000}, "no schedule in this text"),
        ({"do": "read", "text": " " * (9 * 2**20)}, "characters"),
        ({"do": "settings", "prompt": "a" * 10**5}, "a prompt of 100,000 characters"),
        ({"do": "settings", "seed": None}, "seed is None: give a whole number"),
        ({"do": "settings", "colour": 1}, "no setting 'colour': choose from prompt, seed, guidance"),
        ({"do": "drop", "name": "a.png", "content": "%%%"}, "a.png came as text that is not base64"),
        ({"do": "drop", "name": "a.png", "content": "AAAA"}, "a.png is not a readable picture"),
        ({"do": "drop", "name": "still.png", "at": 10**9}, "frame 1000000000 is outside"),
        ({"do": "drop", "name": "../still.png"}, "no asset"),
        ({"do": "level", "index": 5, "noise": 0.1}, "no known picture or clip 5"),
        ({"do": "forget", "index": -1}, "no known picture or clip -1"),
        ({"do": "undo", "more": 1}, "undo takes nothing, but got more"),
        ({"do": "fix"}, "fix takes row, frame, but got nothing"),
    ],
)
def test_bombs_and_mistakes_get_a_sentence(message, says):
    session = Session(frames=6, steps=3)
    before = session.editor.schedule
    session.do(message)
    assert says in session.error
    assert session.error.endswith(".")
    assert torch.equal(session.editor.schedule, before)


def test_known_frames_keep_what_they_had_when_a_change_is_refused():
    session = Session(frames=6, steps=3)
    session.do({"do": "drop", "name": "still.png", "at": 0})
    for message in ({"noise": 2.0}, {"noise": -0.1}, {"noise": None}, {"noise": [0.1, 0.2]}):
        session.do({"do": "level", "index": 0, **message})
        assert session.error
    session.do({"do": "policy", "index": 0, "mode": "glue"})
    assert "unknown mode 'glue'" in session.error
    assert [(one.noise, one.mode) for one in session.given] == [(0.0, "denoise")]


@pytest.mark.parametrize("options", [{"steps": 10**7}, {"frames": 10**7}, {"frames": 0}, {"steps": 0}, {"steps": None}])
def test_the_studio_opens_within_bounds(options):
    for make in (ScheduleStudio, Editor, Session):
        with pytest.raises(ValueError, match=r"^studio\.[^\n]+\.$"):
            make(**options)


def test_the_largest_matrix_is_answered():
    editor = Editor(frames=5, steps=9_999)
    assert len(editor.schedule) == edits.MOST_DRAWN_ROWS
    editor.schedule = torch.zeros(10, 5)
    with pytest.raises(ValueError, match="10,001 rows"):
        editor.load("synchronous", steps=10_000)


@pytest.mark.parametrize("text", ["0-999999999", "9" * 5000, ",".join(["0-6"] * 10_000), "1-99", "٣٣٣٣٣٣٣"])
def test_lists_of_frames_are_bounded(text):
    with pytest.raises(ValueError, match="frame"):
        columns(text, 7)


def test_a_studio_is_saved_whole_or_not_at_all(tmp_path, monkeypatch):
    studio = ScheduleStudio(frames=3, steps=2)
    there = tmp_path / "new" / "a:b.json"
    studio.save(there)
    assert json.loads(there.read_text())["schedule"] == schedules.synchronous(2, 3).tolist()
    kept = there.read_text()
    studio.act(do="edit", kind="freeze", frame=0)
    monkeypatch.setattr("pathlib.Path.write_text", no_space)
    with pytest.raises(OSError, match=r"cannot be written \(No space left on device\): make room"):
        studio.save(there)
    assert there.read_text() == kept
    assert [p.name for p in there.parent.iterdir()] == ["a:b.json"]
    for bad in (tmp_path, there / "x.json", tmp_path / ("a" * 300), "", None, 3):
        with pytest.raises(ValueError, match=r"^[^\n]+\.$"):
            studio.save(bad)


def no_space(path, *_, **__):
    path.write_bytes(b"half")
    raise OSError(28, "No space left on device")


def test_players_and_files_of_wrong_types_get_a_sentence():
    for states in (None, 3, [3], "abc", [PICTURE]):
        with pytest.raises(ValueError, match=r"^studio\.Player: [^\n]+\.$"):
            Player(states)
    for name, content in ((None, b""), (3, b""), ("a.png", None), ("a" * 9_999, b""), ("a.exe", b"MZ")):
        with pytest.raises(ValueError, match=r"^studio\.read_dropped: [^\n]{1,400}\.$"):
            read_dropped(name, content)

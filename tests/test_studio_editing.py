"""pytest tests/test_studio_editing.py: what a hand does to a matrix, without any widget."""

import json

import numpy as np
import pytest
import torch
from falling import FALLING
from hypothesis import given, settings
from hypothesis import strategies as st

import pusa_lab as pl
from pusa_lab import schedules
from pusa_lab.studio import Editor
from pusa_lab.studio.editing import columns
from pusa_lab.studio.edits import drawable, parameters

some = settings(deadline=None, database=None, derandomize=True, max_examples=12)
level = st.floats(0, 1, width=32)


kinds = st.sampled_from(["drag", "paint", "delay"])
plans = st.tuples(
    st.integers(1, 7),
    st.integers(1, 6),
    st.lists(st.tuples(kinds, st.integers(0, 99), st.integers(0, 99), level, st.integers(-4, 4)), max_size=5),
)


def drawn(plan):
    """An editor after a few random edits, faults included."""
    frames, steps, edits = plan
    editor = Editor(frames, steps)
    for kind, frame, row, m, by in edits:
        i, r = frame % frames, row % len(editor.schedule)
        arguments = {"drag": {"frame": i, "row": r, "level": m}, "paint": {"frames": [i], "rows": [r], "level": m}}
        editor.edit(kind, **arguments.get(kind, {"frame": i, "by": by}))
    return editor


def rebuilt(editor):
    return eval(editor.line(), {"pl": pl, "torch": torch})


@some
@given(plans)
def test_the_line_and_the_file_rebuild_it_exactly(plan):
    editor = drawn(plan)
    assert torch.equal(rebuilt(editor), editor.schedule)
    other = Editor(editor.frames)
    other.from_json(editor.to_json())
    assert torch.equal(other.schedule, editor.schedule)


@some
@given(plans)
def test_faults_are_those_of_the_library_and_mending_ends(plan):
    editor = drawn(plan)
    columns = [schedules.faults(editor.schedule[:, [i]]) for i in range(editor.frames)]
    each = [fault.replace("frame 0", f"frame {i}") for i, column in enumerate(columns) for fault in column]
    assert sorted(f.what for f in editor.faults()) == sorted(each)
    for _ in range(200):
        if not (found := editor.faults()):
            break
        before = editor.schedule
        assert editor.fix(found[0]) == found[0].fix
        changed = (editor.schedule != before).nonzero().tolist()
        assert [found[0].row, found[0].frame] in changed
        assert {frame for _, frame in changed} == {found[0].frame}
    schedules.validate(editor.schedule)


@some
@given(plans, st.data())
def test_dragging_never_makes_a_column_rise(plan, data):
    editor = drawn(plan)
    frame = data.draw(st.integers(0, editor.frames - 1))
    rising = {f.frame for f in editor.faults() if "rises" in f.what}
    before = editor.schedule
    row, m = data.draw(st.integers(0, len(before) - 1)), data.draw(level)
    editor.edit("drag", frame=frame, row=row, level=m)
    assert editor.schedule[row, frame] == np.float32(m)
    assert {f.frame for f in editor.faults() if "rises" in f.what} <= rising
    others = [i for i in range(editor.frames) if i != frame]
    assert torch.equal(editor.schedule[:, others], before[:, others])


@some
@given(plans, st.integers(-6, 6), st.data())
def test_a_shift_in_time_loses_no_level_and_can_be_taken_back(plan, by, data):
    editor = drawn(plan)
    frame = data.draw(st.integers(0, editor.frames - 1))
    before = [column.unique_consecutive().tolist() for column in editor.schedule.T]
    editor.edit("delay", frame=frame, by=by)
    assert [column.unique_consecutive().tolist() for column in editor.schedule.T] == before
    there = editor.schedule
    editor.edit("delay", frame=frame, by=3)
    editor.edit("delay", frame=frame, by=-3)
    moving = (there[1:] != there[:-1]).any(dim=1)
    if moving.any():
        assert torch.equal(editor.schedule, there)


def test_a_delay_is_the_zoo():
    editor = Editor(frames=5, steps=6)
    for i in range(5):
        editor.edit("delay", frame=i, by=2 * i)
    assert torch.equal(editor.schedule, schedules.pyramid(6, 5, lag=2))


@some
@given(plans, st.data())
def test_undo_and_redo_walk_the_whole_history(plan, data):
    editor = drawn(plan)
    first, states = editor.schedule, [editor.schedule]
    for k in range(4):
        editor.edit("drag", frame=0, row=k % len(first), level=data.draw(level))
        states.append(editor.schedule)
    for want in states[-2::-1]:
        editor.undo()
        assert torch.equal(editor.schedule, want)
    for want in states[1:]:
        editor.redo()
        assert torch.equal(editor.schedule, want)
    assert not editor.can["redo"]
    editor.undo()
    editor.edit("freeze", frame=0)
    assert editor.can == {"undo": True, "redo": False}


def test_one_drag_of_the_mouse_is_one_step():
    editor = Editor(frames=3, steps=4)
    start = editor.schedule
    for k in range(5):
        editor.edit("drag", gesture="a", frame=1, row=2, level=k / 10)
    editor.edit("drag", gesture="b", frame=1, row=2, level=0.9)
    editor.undo()
    assert editor.schedule[2, 1] == np.float32(0.4)
    editor.undo()
    assert torch.equal(editor.schedule, start)
    assert not editor.can["undo"]


@pytest.mark.parametrize("name", FALLING)
def test_every_member_loads_with_its_sliders_and_says_its_line(name):
    editor = Editor(frames=6)
    asked = {p.name: p.start for p in parameters(name, 6)} | {"steps": 5}
    editor.load(name, **asked)
    assert torch.equal(editor.schedule, schedules.SCHEDULES[name](5, 6))
    assert editor.line().startswith(f"pl.schedules.{name}(steps=5, frames=6")
    assert torch.equal(rebuilt(editor), editor.schedule)
    editor.edit("freeze", frame=-1)
    assert (editor.schedule[:, -1] == 0).all()
    assert editor.origin is None
    assert torch.equal(rebuilt(editor), editor.schedule)
    editor.undo()
    assert editor.origin == (name, asked)


def test_every_argument_of_the_zoo_but_positions_has_a_slider():
    import inspect

    assert sorted(drawable()) == FALLING
    for name in drawable():
        arguments = set(inspect.signature(schedules.SCHEDULES[name]).parameters)
        assert {p.name for p in parameters(name)} == arguments - {"frames", "at"}


@pytest.mark.parametrize("name", sorted(set(schedules.SCHEDULES) - set(FALLING)))
def test_what_goes_back_up_is_not_drawn(name):
    editor = Editor(frames=6)
    before = editor.schedule
    with pytest.raises(ValueError, match=f"{name} goes back up, which .* does not draw: give schedule='{name}'"):
        editor.load(name)
    assert torch.equal(editor.schedule, before)


def test_copying_and_painting():
    editor = Editor(frames=5, steps=4)
    editor.edit("drag", frame=0, row=1, level=0.3)
    editor.edit("copy", frame=0, to=[2, 4])
    assert torch.equal(editor.schedule[:, 4], editor.schedule[:, 0])
    assert not torch.equal(editor.schedule[:, 3], editor.schedule[:, 0])
    editor.edit("paint", frames=[1, 3], rows=[2, 3], level=0.9)
    assert (editor.schedule[2:4, [1, 3]] == np.float32(0.9)).all()
    assert {(f.row, f.frame) for f in editor.faults()} == {(2, 1), (2, 3)}


def test_facts_agree_with_the_library():
    editor = Editor(frames=5)
    editor.load("pyramid", steps=6, lag=3)
    found, want = editor.facts(0.5), schedules.describe(editor.schedule)
    assert (found["calls"], found["seconds"]) == (want.calls, want.calls * 0.5)
    assert [tuple(group) for group in found["order"]] == list(want.order)
    editor.edit("paint", frames=[0], rows=[3], level=1.0)
    assert editor.facts()["order"] == []
    assert editor.facts()["seconds"] is None


def test_a_schedule_may_be_set_with_faults_and_says_them():
    editor = Editor(frames=2)
    editor.schedule = np.array([[1, 2], [float("nan"), 0.5], [0, 0.25]])
    assert len(editor.faults()) == 3
    assert editor.line().startswith("torch.tensor(") or "nan" in editor.line()
    while found := editor.faults():
        editor.fix(found[0])
    schedules.validate(editor.schedule)


@pytest.mark.parametrize("bad", [torch.ones(3, 4), torch.ones(5), [[1, 1, 1]], [[1, "a", 1], [0, 0, 0]], None])
def test_a_matrix_of_another_shape_is_refused_and_nothing_is_lost(bad):
    editor = Editor(frames=3)
    editor.edit("freeze", frame=1)
    before = editor.schedule
    with pytest.raises(ValueError, match=r"\(rows, 3\)"):
        editor.schedule = bad
    assert torch.equal(editor.schedule, before)


@pytest.mark.parametrize(
    ("kind", "arguments", "said"),
    [
        ("drag", {"frame": 9, "row": 0, "level": 0.5}, "frame 9 is outside"),
        ("drag", {"frame": 0, "row": 99, "level": 0.5}, "row 99"),
        ("paint", {"frames": [0], "rows": [0], "level": 1.5}, "level 1.5"),
        ("fly", {}, "unknown edit"),
    ],
)
def test_bad_edits_get_a_sentence_and_change_nothing(kind, arguments, said):
    editor = Editor(frames=3)
    before = editor.schedule
    with pytest.raises(ValueError, match=said):
        editor.edit(kind, **arguments)
    assert torch.equal(editor.schedule, before)


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"schedule": [[1]]}', "nonsense"])
def test_a_file_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="schedule"):
        Editor(frames=3).from_json(text)


def test_unknown_members_are_refused():
    with pytest.raises(ValueError, match="choose one of synchronous"):
        Editor().load("spiral")


def test_json_is_json():
    assert json.loads(Editor(frames=2, steps=1).to_json()) == {"frames": 2, "schedule": [[1.0, 1.0], [0.0, 0.0]]}


@pytest.mark.parametrize(("text", "want"), [("2", [2]), ("0, 4-6", [0, 4, 5, 6]), ("-1", [6]), ("1-1", [1])])
def test_frames_as_people_write_them(text, want):
    assert columns(text, 7) == want


@pytest.mark.parametrize("text", ["", "a", "2-", "7", "1,1"])
def test_frames_that_are_none(text):
    with pytest.raises(ValueError, match="frame"):
        columns(text, 7)

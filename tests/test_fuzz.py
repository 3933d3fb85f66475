"""pytest tests/test_fuzz.py: the short form of `make fuzz`; whatever is public is called, or a reason says why not."""

import random
from pathlib import Path

import numpy as np
import pytest
from fuzz import calls, files, judge, run, targets, values
from fuzz.guard import guarded

pytestmark = pytest.mark.usefixtures("as_user", "one_thread")
CASES = 620


@pytest.fixture(autouse=True)
def back(monkeypatch, tmp_path):
    """The suite works in a folder of its own; afterwards the tests go on in theirs."""
    monkeypatch.chdir(tmp_path)


def test_every_reason_still_excludes_something():
    names = [target.name for target in targets.public()]
    unused = [p for p, why in targets.EXCLUDED.items() if not any(targets.excluded(n) == why for n in names)]
    assert unused == []


def test_every_public_function_has_arguments_to_be_called_with():
    unknown = []
    for target in targets.targets():
        try:
            calls.drawn(target, random.Random(0))
        except LookupError:
            unknown.append(target.name)
    assert unknown == []


NEVER_RIGHT = {
    "pusa_lab.files.writing": "its block has to write, see tests/test_files.py",
    "pusa_lab.training.resume.check_resume": "reads what Lightning wrote, see tests/test_resume_whole.py",
    "pusa_lab.training.resume.check_resumed_weights": "reads what Lightning wrote, see tests/test_resume_whole.py",
    "pusa_lab.wan.lora.kinds.refuse_kind": "always refuses",
}


@pytest.mark.parametrize(
    "target", [t for t in targets.targets() if t.name not in NEVER_RIGHT], ids=lambda target: target.name
)
def test_every_public_function_can_be_called_as_it_is_meant(target):
    """A suite whose valid arguments were refused would look only at the door."""
    said = []
    for seed in range(12):
        case = calls.Case(target, calls.plain(target, values.Draw(random.Random(seed))))
        if (given := calls.evaluated(case)) is not None:
            verdict = calls.made(case, given)
            if verdict.outcome == judge.RIGHT:
                return
            said.append(f"{case}: {verdict.outcome} {verdict.why}")
    assert said == []


def test_odd_calls_command_lines_and_files_are_right_or_refused_in_one_sentence():
    kinds = run.kinds("")
    step = max(1, len(kinds) // CASES)
    told = [run.play(index * step, 0, kinds) for index in range(CASES)]
    assert [t for t in told if t["outcome"] == judge.ELSE] == []
    assert sum(t["outcome"] == judge.RIGHT for t in told) > CASES // 10


class TestTheJudge:
    """A suite that calls everything right would show nothing."""

    def judged(self, call, **given):
        return judge.judged(lambda: call(**given), given, ("here",), lambda result: "").outcome

    def test_what_libraries_raise_is_not_one_clear_sentence(self):
        assert self.judged(lambda: int("a")) == judge.ELSE
        assert self.judged(lambda: np.zeros(2) + np.zeros(3)) == judge.ELSE

    def test_warnings_and_changed_arguments_are_not_right(self):
        assert self.judged(lambda x: np.log(x), x=np.zeros(1)) == judge.ELSE
        assert self.judged(lambda x: x.append(1), x=[]) == judge.ELSE
        assert self.judged(lambda x: len(x), x=[]) == judge.RIGHT

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("here: frames=0: give at least 1 of them.", None),
            ("there: frames=0: give at least 1 of them.", "starts"),
            ("here: frames=0: give at least 1 of them", "no full stop"),
            ("here: give one.", "fewer"),
            ("here: frames=0:\ngive at least 1 of them.", "a new line"),
            ("here: <object object at 0x7f> is not a picture: give one.", "raw text"),
        ],
    )
    def test_a_sentence(self, text, fault):
        found = judge.sentence_faults(text, ("here: ",))
        assert (found == []) if fault is None else found[0].startswith(fault)


def test_nothing_outside_its_folder_can_be_changed(tmp_path):
    with guarded():
        (tmp_path / "a").write_text("")
        link = tmp_path / "a"
        for change in (lambda: link.replace("/dev/null"), Path("/fuzz").mkdir, lambda: Path("/fuzz").write_text("")):
            with pytest.raises(PermissionError):
                change()


def test_a_damaged_file_is_another_one():
    source = b'{"a": {"b": [1, 2]}, "c": "d"}'
    for change in (files.of_bytes, files.of_json):
        assert sum(change(source, random.Random(i)) != source for i in range(50)) > 40

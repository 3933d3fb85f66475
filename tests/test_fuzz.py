"""pytest tests/test_fuzz.py: the short form of `make fuzz`; every public function is called, or a reason says why not."""

import random

import pytest
from fuzz import calls, targets

pytestmark = pytest.mark.usefixtures("as_user", "one_thread")
CASES = 1500


@pytest.fixture(autouse=True)
def back(monkeypatch, tmp_path):
    """The suite works in a folder of its own."""
    monkeypatch.chdir(tmp_path)


def test_every_reason_still_excludes_something():
    names = [target.name for target in targets.public()]
    unused = [p for p in targets.EXCLUDED if not any(targets.excluded(n) == targets.EXCLUDED[p] for n in names)]
    assert unused == []


def test_every_public_function_can_be_called_as_it_is_meant():
    unknown = []
    for target in targets.targets():
        try:
            calls.drawn(target, random.Random(0))
        except LookupError:
            unknown.append(target.name)
    assert unknown == []

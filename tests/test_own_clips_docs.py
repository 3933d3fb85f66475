"""pytest tests/test_own_clips_docs.py: every snippet of docs/own_clips.md runs, in its order."""

import re
import shlex
from functools import partial
from pathlib import Path

import pytest
from films import waves, write

from pusa_lab.cli import main
from pusa_lab.evaluation import KNOWN
from small_models.training import train as training

PAGE = (Path(__file__).parents[1] / "docs" / "own_clips.md").read_text()
BLOCKS = re.findall(r"```(python|sh)\n(.*?)```", PAGE, re.S)
FEW = ["--max-steps", "1", "--global-batch-size", "1", "--warmup", "0"]


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """What the snippets leave behind; the trainings take one step, and their scores few."""
    place = tmp_path_factory.mktemp("docs")
    for i in range(2):
        write(place / "clips" / f"{i}.mp4", waves(33, (64, 64), i), 16, f"wave {i}")
    found = {"place": place}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(training, "measure_clips", partial(training.measure_clips, steps=1))
        for kind, text in BLOCKS:
            if kind == "python":
                exec(compile(text, "page", "exec"), found)
            for line in text.splitlines() if kind == "sh" else []:
                assert main([*shlex.split(line)[1:], *FEW]) == 0
    return found


def test_every_snippet_runs(space):
    assert len(BLOCKS) == 4
    assert {path.name for path in (space["place"] / "outputs" / "own").glob("*.safetensors")} == {
        f"mini-{stage}.safetensors" for stage in ("codec", "base", "vta")
    }
    assert 0 < space["kept"] < 60
    assert space["table"].task.tolist() == list(KNOWN)
    assert len(space["means"]) == 2 * len(KNOWN) and len(space["differences"]) == 1

"""pytest tests/test_unfinished.py: a table from the rows that a run left, which says what is missing."""

import importlib
import json
from pathlib import Path

import pytest

from small_models.experiments import RESULTS, read_results


@pytest.fixture
def unfinished(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    return importlib.import_module("unfinished").unfinished


def left(folder, table, kept, failed=()):
    """The folder of a run that kept these rows of a shipped table, and failed at those."""
    whole = json.loads((RESULTS / f"{table}.json").read_text())
    rows = folder / f"{table}.rows" / "rows"
    rows.mkdir(parents=True)
    header = ("table", "sizes", "checkpoints", "code", "device", "versions")
    (rows.parent / "sweep.json").write_text(json.dumps({"format": 2} | {name: whole[name] for name in header}))
    for number, row in enumerate(whole["rows"]):
        if number in {*kept, *failed}:
            scores = {name: value for name, value in row.items() if name not in ("key", "seconds")}
            error = "out of memory" if number in failed else ""
            made = {"key": row["key"], "scores": {} if error else scores, "error": error}
            (rows / f"{number}.json").write_text(json.dumps(made))
            (rows / f"{number}.seconds").write_text(str(row["seconds"]))
    return whole


def test_rows_that_were_kept_become_a_table_that_says_what_it_lacks(unfinished, tmp_path, capsys):
    whole = left(tmp_path, "steps", kept=(7, 0, 3), failed=(1,))
    unfinished("steps", rows=tmp_path, command="pusa-lab bench paper --table steps", why="Time ended.", out=tmp_path)
    found = read_results(tmp_path / "steps.json")
    assert [row["key"] for row in found["rows"]] == [whole["rows"][i]["key"] for i in (0, 3, 7)], "in the table's order"
    for mine, theirs in zip(found["rows"], (whole["rows"][i] for i in (0, 3, 7)), strict=True):
        assert mine["by_prompt"] == theirs["by_prompt"] and mine["clips"] == theirs["clips"]
        assert mine["scores"]["psnr"] == pytest.approx(theirs["scores"]["psnr"], rel=1e-8)
    assert found["note"].startswith("3 of 30 rows. Time ended. Missing: euler (4 rows); heun (5 rows); ")
    assert found["command"] == "pusa-lab bench paper --table steps" and found["device"] == whole["device"]
    assert "steps: 3 of 30 rows." in capsys.readouterr().out


def test_few_missing_rows_are_named_one_by_one(unfinished, tmp_path):
    left(tmp_path, "steps", kept=range(1, 30))
    unfinished("steps", rows=tmp_path, command="c", why="Time ended.", out=tmp_path)
    assert read_results(tmp_path / "steps.json")["note"] == "29 of 30 rows. Time ended. Missing: euler, 2, 2."


@pytest.mark.parametrize(("kept", "says"), [((), "holds 0 rows of 30"), (range(30), "holds 30 rows of 30")])
def test_a_run_that_left_nothing_or_all_is_to_be_run(unfinished, tmp_path, kept, says):
    left(tmp_path, "steps", kept=kept)
    with pytest.raises(ValueError, match=f"steps.rows {says}: run the command itself"):
        unfinished("steps", rows=tmp_path, command="c", why="Time ended.", out=tmp_path)
    assert not (tmp_path / "steps.json").exists()


def test_a_table_that_there_is_not_is_refused(unfinished, tmp_path):
    with pytest.raises(ValueError, match="no table 'step': choose one of suite, cost"):
        unfinished("step", rows=tmp_path, command="c", why="Time ended.", out=tmp_path)

"""pytest tests/test_sweep_command.py: `pusa-lab sweep FILE.yaml`."""

import re
import sys
from pathlib import Path

import matplotlib
import pandas as pd
import processes  # noqa: F401, workers are forked from its server, which has imported what takes seconds
import pytest
import yaml

from pusa_lab.cli import main

matplotlib.use("Agg")

ROOT = Path(__file__).parents[1]
MODULE = """
prompts = ["one", "three"]
def size(result):
    raise RuntimeError("ran")
def score(a, prompt, seed, b=1):
    if a == 9:
        raise RuntimeError("nine")
    return {"size": a * b + len(prompt) + seed, "seed2": seed * 2}
"""
CONFIG = {
    "model": "mine:score",
    "settings": {"a": [0, 1, 2], "b": 2},
    "prompts": "mine:prompts",
    "seeds": [0, 1],
    "cache": "cache",
    "baseline": {"a": 0},
    "figure": "made/figure.png",
    "table": "made/table.csv",
}


@pytest.fixture
def sweep(tmp_path, monkeypatch, capsys):
    """Runs the command on a file with some entries changed; gives its exit code and what it said."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "mine.py").write_text(MODULE)
    sys.modules.pop("mine", None)

    def run(*words, **changes):
        entries = {name: value for name, value in {**CONFIG, **changes}.items() if value is not None}
        (tmp_path / "config" / "c.yaml").write_text(yaml.safe_dump(entries))
        code = main(["sweep", "config/c.yaml", *words])
        said = capsys.readouterr()
        return code, said.out + said.err

    yield run
    sys.modules.pop("mine", None)


def test_tables_and_figure_are_made_and_a_second_run_reads_the_rows(sweep, tmp_path):
    before = list(sys.path)
    code, said = sweep()
    assert code == 0, said
    assert sys.path[: len(before)] == before, "modules beside the file hide none of Python or of installed packages"
    assert "all 12 rows: made/table.csv" in said
    assert re.search(r"a metric +mean +low +high +rows\n +0 +size +4.5", said), said
    assert "differences to a=0, paired by prompt and seed, over 2 prompts" in said
    assert "95 % intervals for all 4 comparisons together, by Bonferroni" in said
    assert re.search(r"\n +2 +size +8.5 +4.5 +4 +4 +4 +4\n", said), said
    table = pd.read_csv(tmp_path / "made" / "table.csv")
    assert table["size"].tolist() == (table["a"] * 2 + table["prompt"].str.len() + table["seed"]).tolist()
    assert (tmp_path / "made" / "figure.png").read_bytes()[:4] == b"\x89PNG"
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "rows").iterdir()}
    assert sweep() == (code, said)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "rows").iterdir()} == before


def test_options_beside_the_file_win(sweep, tmp_path):
    code, said = sweep("--seeds", "[5]", "--score", "size")
    assert code == 0 and "all 6 rows" in said and "seed2" not in said, said
    assert set(pd.read_csv(tmp_path / "made" / "table.csv")["seed"]) == {5}


def test_failed_rows_are_told(sweep):
    code, said = sweep(settings={"a": [0, 1, 9]})
    assert code == 0, said
    assert (
        "4 of 12 rows failed, the first of them because of RuntimeError: nine; --retry makes failed rows again." in said
    )
    code, said = sweep("--retry", settings={"a": [9]}, baseline=None, figure=None)
    assert code == 2 and "pusa-lab sweep: 4 of 4 rows failed, the first of them because of RuntimeError: nine" in said


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"settingz": {"a": 1}}, "did you mean --settings?"),
        ({"settings": None}, "there is no settings: give a YAML file that has it"),
        ({"cache": None}, "there is no cache: give a YAML file that has it"),
        ({"settings": {"a": [0, 1], "c": [1]}}, "the function score has no parameter 'c': "),
        ({"settings": {"a": []}}, "settings has an empty list for a"),
        ({"settings": {"a": [1, 1]}}, "the setting a=1 is there twice"),
        ({"model": "mine:scores"}, "'mine:scores' cannot be imported"),
        ({"model": "nano"}, "no model 'nano'"),
        (
            {"model": "nano-vta", "settings": {"stepz": 3}, "baseline": None, "figure": None},
            "there is no setting 'stepz': did you mean steps?",
        ),
        (
            {"model": "nano-vta", "settings": {"num_inference_steps": [3]}, "baseline": None, "figure": None},
            "there is no setting 'num_inference_steps': did you mean steps?",
        ),
        (
            {"model": "nano-vta", "settings": {"guidance_scale": [3]}, "baseline": None, "figure": None},
            "there is no setting 'guidance_scale': did you mean guidance?",
        ),
        ({"prompts": []}, "prompts is an empty list"),
        ({"metrics": "mine:nothing"}, "'mine:nothing' cannot be imported"),
        ({"figure": "made/figure.txt"}, "figure is made/figure.txt: give a name that ends in .png"),
        ({"cache": "config/mine.py"}, "cache config/mine.py is a file: give a folder"),
        ({"seeds": "many"}, "--seeds"),
        (
            {"baseline": {"a": 5}},
            "--baseline {'a': 5} fits 0 of 3 settings: give values that one of several settings alone",
        ),
        ({"settings": {"a": 1}}, "--baseline {'a': 0} fits 0 of 1 setting:"),
        ({"settings": {"a": 1}, "baseline": None}, "figure was given, but no setting has several values: leave it out"),
        ({"x": "aa"}, "there is no setting 'aa' for x: did you mean a? There are a, b."),
        ({"score": "out/x.mp4"}, "there is no score 'out/x.mp4': choose from size, seed2."),
        ({"score": ["size", "sizes"]}, "there is no score 'sizes': did you mean size? There are size, seed2."),
        ({"score": "sizes", "metrics": {"size": "mine:size"}}, "there is no score 'sizes': did you mean size? "),
        ({"score": "size.a", "cache": "new/cache", "workers": 2}, "there is no score 'size.a': did you mean size? "),
    ],
)
def test_mistakes_in_the_file_are_told_and_leave_nothing(changes, sentence, sweep, tmp_path):
    code, said = sweep(**changes)
    assert code == 2 and sentence in said, said
    assert said.startswith("pusa-lab sweep: ") and said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["config"]


def test_a_refused_sweep_leaves_nothing_in_a_cache_that_is_there(sweep, tmp_path):
    (tmp_path / "cache").mkdir()
    assert sweep(score="sizes")[0] == 2
    assert [*(tmp_path / "cache").iterdir()] == []


def test_without_a_file_the_command_says_what_it_needs(capsys):
    assert main(["sweep", "nowhere.yaml"]) == 2
    assert "'nowhere.yaml' is not an existing file" in capsys.readouterr().err
    assert main(["sweep", "--help"]) == 0
    assert "pusa-lab sweep FILE.yaml" in " ".join(capsys.readouterr().out.split())


def test_imported_files_are_run_in_workers_too(sweep, tmp_path, capsys):
    (tmp_path / "mine_too.py").write_text(
        "import pusa_lab as pl\n"
        "@pl.schedules.SCHEDULES.register\n"
        "def late(steps, frames, shift=1.0):\n"
        "    return pl.schedules.synchronous(steps, frames, shift=shift)\n"
    )
    code = "import pusa_lab as pl\ndef rows(steps):\n    return len(pl.schedules.SCHEDULES['late'](steps, 2))\n"
    (tmp_path / "config" / "counted.py").write_text(code)
    entries = {"model": "counted:rows", "settings": {"steps": [1, 2]}, "cache": "c"}
    (tmp_path / "config" / "c.yaml").write_text(yaml.safe_dump(entries))
    assert main(["--import", "mine_too.py", "sweep", "config/c.yaml", "--workers", "2"]) == 0
    said = capsys.readouterr().out
    assert "failed" not in said and re.search(r"1 +value +2\b.*\n +2 +value +3\b", said), said


def test_the_example_runs_small(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    entries = yaml.safe_load((ROOT / "examples" / "noise.yaml").read_text())
    settings = str({**entries["settings"], "steps": 1, "noise": [0, 0.4]})
    sys.path.insert(0, str(ROOT / "examples"))
    import noise

    words = ["--settings", settings, "--prompts", str(noise.prompts[:1]), "--seeds", "0"]
    assert main(["sweep", str(ROOT / "examples" / "noise.yaml"), *words]) == 0, capsys.readouterr().err
    assert "differences to noise=0" in capsys.readouterr().out
    assert (tmp_path / "outputs" / "sweeps" / "noise.png").stat().st_size > 1000

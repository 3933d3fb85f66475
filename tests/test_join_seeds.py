"""pytest tests/test_join_seeds.py: runs with several seeds of training become one table, with wider intervals."""

import importlib
import json
import math
from pathlib import Path

import pytest
import torch

from pusa_lab.metrics import bootstrap
from small_models.experiments import RESULTS, read_results
from small_models.experiments.pairs import by_seed, lead, two_way_interval
from small_models.experiments.training_seeds import join_rows
from small_models.experiments.training_tables import ratios


@pytest.fixture
def join_seeds(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    return importlib.import_module("join_seeds").join_seeds


def row(values, **scores):
    return {
        "scores": {"psnr": list(bootstrap(torch.tensor(values))), **scores},
        "by_prompt": {"psnr": values},
        "clips": 2,
    }


def run(folder, seed, keep=lambda row: True, **changed):
    """A shipped table, as a run with another seed would have left it: better by a decibel a seed."""
    whole = json.loads((RESULTS / "timestep_samplers.json").read_text())
    whole["sizes"]["seed"] = seed
    whole |= changed
    rows = ({k: v for k, v in each.items() if k not in ("seeds", "by_seed")} for each in whole["rows"][:9])
    whole["rows"] = [each for each in rows if keep(each)]
    for each in whole["rows"]:
        each["by_prompt"] = {name: [x + seed for x in v] for name, v in each["by_prompt"].items() if name == "psnr"}
    folder.mkdir()
    (folder / "timestep_samplers.json").write_text(json.dumps(whole))
    return folder


def test_a_score_by_prompt_gets_the_interval_over_prompts_and_seeds():
    values = torch.randn(3, 20, generator=torch.Generator().manual_seed(0)).double().round(decimals=4).float()
    found = join_rows([row(each.tolist()) for each in values], [0, 4, 7])
    assert found["scores"]["psnr"] == pytest.approx(list(two_way_interval(values)))
    assert found["by_prompt"]["psnr"] == pytest.approx(values.mean(0).tolist(), abs=1.1e-3)
    assert found["seeds"] == [0, 4, 7] and found["clips"] == 6
    assert torch.allclose(by_seed(found, "psnr", [4]), values[1:2], atol=6e-4)


def test_other_scores_are_averaged_and_their_intervals_hold_both_spreads():
    parts = [row([1.0, 2.0], shape=[m, m - 0.1, m + 0.3], frechet=m, curve=[m, 1.0]) for m in (0.4, 0.6, 0.8)]
    found = join_rows(parts, [0, 1, 2])["scores"]
    half = math.sqrt(0.2**2 + 4.302653**2 * 0.04 / 3)  # Student's t of 2 degrees; the variance of .4, .6, .8 is .04
    assert found["shape"] == pytest.approx([0.6, 0.6 - half, 0.6 + half])
    assert found["frechet"] == pytest.approx(0.6) and found["curve"] == pytest.approx([0.6, 1.0])
    assert join_rows([row([1.0, 2.0], shape=[0.5, None, None])] * 2, [0, 1])["scores"]["shape"] is None


@pytest.mark.parametrize(
    ("rows", "seeds", "says"),
    [
        ([], [], "there are 0 rows and 0 seeds: give one for each"),
        ([row([1.0, 2.0])], [0, 1], "there are 1 row and 2 seeds: give one for each"),
        ([row([1.0, 2.0]), row([1.0, 2.0, 3.0])], [0, 1], "different numbers of prompts: give rows of the same ones"),
    ],
)
def test_rows_that_do_not_belong_together_are_refused(rows, seeds, says):
    with pytest.raises(ValueError, match=says):
        join_rows(rows, seeds)


def test_rows_are_compared_by_the_seeds_that_both_name():
    """Seed 1 is far better in both rows, so a comparison across seeds would show what is not there."""
    prompts = torch.arange(12.0)
    three = join_rows([row((prompts + 9 * s).tolist()) for s in (0, 1, 2)], [0, 1, 2])
    for seeds in ([1], [0, 1], [2, 0]):
        other = join_rows([row((prompts + 9 * s - 1).tolist()) for s in seeds], seeds)
        assert list(lead(three, other)) == pytest.approx([1, 1, 1])


def test_the_ratio_of_budgets_takes_seeds_into_account():
    """Wan's way needs twice VTA's budget in both trainings, although one training is far better than the other."""
    shares, noise = [0.01, 0.02, 0.04, 0.08], torch.linspace(-1, 1, 16)

    def curve(way, shift):
        levels = [10 + 3 * math.log2(100 * share) - shift for share in shares]
        parts = ([row((noise + level + 5 * seed).tolist()) for seed in (0, 1)] for level in levels)
        return [
            {"key": {"way": way, "share": s}} | join_rows(part, [0, 1]) for s, part in zip(shares, parts, strict=True)
        ]

    found = ratios([*curve("VTA, all weights", 0), *curve("Wan's way, all weights", 3)])
    for one in found[:3]:
        assert one["ratio"] == pytest.approx([2, 2, 2], rel=1e-3)


def test_runs_are_joined_row_by_row_and_the_table_says_how_many_seeds(join_seeds, tmp_path, capsys):
    strong = lambda each: each["key"].get("strength") == 1.4  # noqa: E731
    folders = [run(tmp_path / "0", 0), run(tmp_path / "1", 1), run(tmp_path / "2", 2, strong)]
    join_seeds(folders, table="timestep_samplers", out=tmp_path)
    found, whole = read_results(tmp_path / "timestep_samplers.json"), read_results(RESULTS / "timestep_samplers.json")
    assert [each["key"] for each in found["rows"]] == [each["key"] for each in whole["rows"][:9]]
    for mine, theirs in zip(found["rows"], whole["rows"], strict=False):
        seeds = [0, 1, 2] if strong(theirs) else [0, 1]
        assert mine["seeds"] == seeds
        mean = theirs["scores"]["psnr"][0] + sum(seeds) / len(seeds) if "psnr" in theirs["scores"] else None
        assert mean is None or mine["scores"]["psnr"][0] == pytest.approx(mean, abs=1e-3)
    assert found["note"].startswith("9 of 9 rows. 3 seeds in 3, 2 seeds in 6: of training where")
    assert "--set.seed 2" in found["command"] and found["code"] == whole["code"]
    assert "timestep_samplers: 9 of 9 rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"code": {"pusa_lab": "0", "small_models": "0"}}, "differ in code: give runs of the same code and sizes"),
        ({"device": "cpu"}, "differ in device"),
        ({"seed": 0}, r"have the seeds \[0, 0\]: give runs of different ones"),
    ],
)
def test_runs_of_other_code_or_the_same_seed_are_refused(join_seeds, tmp_path, changed, says):
    seed = changed.pop("seed", 1)
    folders = [run(tmp_path / "0", 0), run(tmp_path / "1", seed, **changed)]
    with pytest.raises(ValueError, match=says):
        join_seeds(folders, table="timestep_samplers", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_of_a_joined_table_the_intervals_are_computed_anew(join_seeds, tmp_path):
    folders = [run(tmp_path / "0", 0), run(tmp_path / "1", 1)]
    join_seeds(folders, table="timestep_samplers", out=tmp_path)
    path = tmp_path / "timestep_samplers.json"
    whole = json.loads(path.read_text())
    for each in whole["rows"]:
        each["scores"] |= {name: [each["scores"][name][0], 0.0, 0.0] for name in each["by_seed"]}
    (tmp_path / "spoiled").mkdir()
    (tmp_path / "spoiled" / path.name).write_text(json.dumps(whole))
    join_seeds([tmp_path / "spoiled"], table="timestep_samplers", out=tmp_path / "spoiled")
    mended, before = read_results(tmp_path / "spoiled" / path.name), read_results(path)
    assert mended["note"] == before["note"]
    for mine, theirs in zip(mended["rows"], before["rows"], strict=True):
        assert mine["by_seed"] == theirs["by_seed"]
        for name in mine["by_seed"]:
            assert mine["scores"][name] == pytest.approx(theirs["scores"][name], abs=2e-3)
            assert mine["scores"][name][0] == theirs["scores"][name][0], "the mean is of values that were not rounded"


def test_one_run_is_not_joined(join_seeds, tmp_path):
    with pytest.raises(ValueError, match="has one seed in all rows: give the runs with the other seeds too"):
        join_seeds([run(tmp_path / "0", 0)], table="timestep_samplers", out=tmp_path)
    with pytest.raises(ValueError, match="join 'cost' of 0 runs: give a table and its runs"):
        join_seeds([], table="cost", out=tmp_path)


def test_runs_without_rows_joined_ones_and_rows_that_the_first_lacks_are_refused(join_seeds, tmp_path):
    whole, few = run(tmp_path / "0", 0), run(tmp_path / "1", 1, lambda each: each["key"].get("strength") == 1.4)
    none = run(tmp_path / "2", 2, lambda each: False)
    for folders, says in (
        ([few, whole], "run 2 of timestep_samplers has 6 rows that the first lacks, such as .* the most rows first"),
        ([whole, none], "run 2 of timestep_samplers has no rows: leave it out"),
    ):
        with pytest.raises(ValueError, match=says):
            join_seeds(folders, table="timestep_samplers", out=tmp_path / "out")
    join_seeds([whole, few], table="timestep_samplers", out=tmp_path / "out")
    with pytest.raises(ValueError, match="run 1 of timestep_samplers is joined already: give the runs that it was"):
        join_seeds([tmp_path / "out", none], table="timestep_samplers", out=tmp_path / "again")

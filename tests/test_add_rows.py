"""pytest tests/test_add_rows.py: rows of longer trainings are added to a table that is there already."""

import importlib
import json
from pathlib import Path

import pytest

from small_models.experiments import RESULTS, read_results
from small_models.experiments.pairs import lead
from small_models.experiments.report import show_table
from small_models.experiments.rows import find_row

CODE = {"pusa_lab": "0", "small_models": "0"}
RECIPE = "recipe: half, free frames in the loss"


@pytest.fixture
def add_rows(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    return importlib.import_module("add_rows").add_rows


def whole(table):
    return json.loads((RESULTS / f"{table}.json").read_text())


def kept(found, keep, folder, listed, sizes=None, **changed):
    """A shipped table with some of its rows."""
    found = {**found, "rows": [row for row in found["rows"] if keep(row["key"]["share"])]} | changed
    shares = [share for share in found["sizes"][listed] if keep(share)]
    found["sizes"] = {**found["sizes"], listed: shares} | (sizes or {})
    folder.mkdir()
    (folder / f"{found['table']}.json").write_text(json.dumps(found))
    return folder


def short(folder, table="cost", listed="budgets", up_to=0.5):
    """A shipped table as it was before its longest trainings."""
    return kept(whole(table), lambda share: share < up_to, folder, listed)


def run(folder, seed=0, better=0.0, keep=lambda share: share in (0, 0.5), **changed):
    """A run of the longest training of `cost`, with the rows without training that every run has."""
    found = whole("cost")
    found["rows"] = [{k: v for k, v in row.items() if k not in ("seeds", "by_seed")} for row in found["rows"]]
    for row in found["rows"]:
        row["by_prompt"] = {name: [x + better for x in values] for name, values in row["by_prompt"].items()}
    return kept(found, keep, folder, "budgets", {"seed": seed}, **changed)


def of_seeds(folder, count, keep=lambda share: share > 0.2):
    """A run of `recipes` with fewer seeds of training, as it was measured before rows named them."""
    found = whole("recipes")
    for row in found["rows"]:
        row["by_seed"] = {name: values[:count] for name, values in row.get("by_seed", {}).items()}
        row.pop("seeds", None)
    return kept(found, keep, folder, "marks", {"training_seeds": count})


def test_rows_of_a_longer_training_are_added_in_their_place(add_rows, tmp_path, capsys):
    add_rows(
        [run(tmp_path / "long", keep=lambda share: share in (0, 0.5, 1))], table="cost", to=short(tmp_path / "table")
    )
    found, shipped = read_results(tmp_path / "table" / "cost.json"), read_results(RESULTS / "cost.json")
    assert [row["key"] for row in found["rows"]] == [row["key"] for row in shipped["rows"]]
    assert found["sizes"]["budgets"] == shipped["sizes"]["budgets"]
    for row in found["rows"]:
        there = find_row(shipped, **row["key"])
        assert row["scores"]["psnr"] == pytest.approx(there["scores"]["psnr"], abs=0.02)
        assert row["seeds"] == there["seeds"]
    assert [ratio["share"] for ratio in found["ratios"]] == found["sizes"]["budgets"]
    assert found["note"] == shipped["note"]
    assert (
        found["command"].startswith(shipped["command"])
        and found["command"].count(";") == shipped["command"].count(";") + 1
    )
    assert "cost: 6 rows added, after 1/2, 1 of the base's training." in capsys.readouterr().out
    assert "The direction" in show_table(found), "sentences are there for such a table"


def test_a_run_that_was_ended_gives_the_rows_that_it_left(add_rows, tmp_path):
    long = run(tmp_path / "long")
    found = json.loads((long / "cost.json").read_text())
    (long / "cost.json").unlink()
    (long / "cost.rows" / "rows").mkdir(parents=True)
    for number, row in enumerate(found.pop("rows")):
        path = long / "cost.rows" / "rows" / f"{number}.json"
        scores = {name: value for name, value in row.items() if name not in ("key", "seconds")}
        path.write_text(json.dumps({"key": row["key"], "scores": scores, "error": ""}))
        path.with_suffix(".seconds").write_text("1.5")
    (long / "cost.rows" / "sweep.json").write_text(json.dumps(found))
    add_rows([long], table="cost", to=short(tmp_path / "table"))
    rows = read_results(tmp_path / "table" / "cost.json")["rows"]
    assert len(rows) == 50 and [row["seconds"] for row in rows].count(1.5) == 3


def test_runs_of_several_seeds_are_joined_before_they_are_added(add_rows, tmp_path):
    runs = [run(tmp_path / "0"), run(tmp_path / "1", 1, better=2.0, keep=lambda share: share == 0.5)]
    add_rows(runs, table="cost", to=short(tmp_path / "table"), out=tmp_path)
    found, row = read_results(tmp_path / "cost.json"), {"way": "recipe, all weights", "share": 0.5}
    shipped = read_results(RESULTS / "cost.json")
    assert find_row(found, **row)["seeds"] == [0, 1]
    assert lead(find_row(found, **row), find_row(shipped, **row)).mean == pytest.approx(0, abs=0.01), "by seed 0 alone"
    assert find_row(found, **row)["scores"]["psnr"][0] == pytest.approx(
        1 + find_row(shipped, **row)["scores"]["psnr"][0], abs=0.01
    )


@pytest.mark.parametrize("count", [1, 2])
def test_rows_of_recipes_may_have_fewer_seeds_and_are_compared_by_those_they_share(add_rows, tmp_path, count):
    table = short(tmp_path / "table", "recipes", "marks", 0.2)
    add_rows([of_seeds(tmp_path / "long", count)], table="recipes", to=table)
    found, shipped = read_results(table / "recipes.json"), read_results(RESULTS / "recipes.json")
    assert [row["key"] for row in found["rows"]] == [
        row["key"] for row in sorted(shipped["rows"], key=lambda row: order(shipped, row))
    ]
    assert found["sizes"]["marks"] == shipped["sizes"]["marks"] and found["sizes"]["training_seeds"] == 3
    at = {"way": RECIPE, "task": "image_to_video"}
    long, brief = find_row(found, **at, share=0.25), find_row(found, **at, share=0.1)
    assert long["seeds"] == [*range(count)] and brief["seeds"] == [0, 1, 2]
    pairs = zip(long["by_seed"]["psnr"], brief["by_seed"]["psnr"], strict=False)
    mean = sum(sum(a) - sum(b) for a, b in pairs) / count / 64
    assert lead(long, brief).mean == pytest.approx(mean, abs=1e-4), "of the seeds that both have"
    assert f"{count} seed{'s' * (count > 1)} in" in found["note"]
    assert "after 1/4 of the base's training clearly above" in show_table(found)


def order(found, row):
    ways = [*dict.fromkeys(each["key"]["way"] for each in found["rows"])]
    return ways.index(row["key"]["way"]), row["key"]["share"]


def test_a_length_of_which_rows_are_missing_is_not_listed(add_rows, tmp_path):
    long = run(tmp_path / "long")
    part = json.loads((long / "cost.json").read_text())
    part["rows"] = [row for row in part["rows"] if row["key"]["way"] != "VTA, all weights"]
    (long / "cost.json").write_text(json.dumps(part))
    add_rows([long], table="cost", to=short(tmp_path / "table"))
    found = read_results(tmp_path / "table" / "cost.json")
    assert found["sizes"]["budgets"][-1] == 0.25 and len(found["rows"]) == 49


def test_shares_choose_rows(add_rows, tmp_path):
    long = run(tmp_path / "long", keep=lambda share: share >= 0.1)
    with pytest.raises(ValueError, match=r"cost are .* there already: choose others with --shares"):
        add_rows([long], table="cost", to=short(tmp_path / "table"))
    add_rows([long], table="cost", to=tmp_path / "table", shares=[0.5])
    assert read_results(tmp_path / "table" / "cost.json")["sizes"]["budgets"][-2:] == [0.25, 0.5]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"code": CODE}, "run 1 of cost differs from the table in code: add rows of the same code"),
        ({"device": "cpu"}, "differs from the table in device"),
        ({"versions": {}}, "differs from the table in versions"),
        ({"checkpoints": {}}, "differs from the table in checkpoints"),
        ({"sizes": {"clips": 1_000}}, "differs from the table in clips"),
        ({"keep": lambda share: share == 0}, "have no trained rows that are asked for"),
        ({"keep": lambda share: share == 0.1}, r"7 rows of cost are \(such as .*\) there already"),
    ],
)
def test_what_does_not_belong_in_the_table_is_refused(add_rows, tmp_path, changed, says):
    table, sizes = short(tmp_path / "table"), {"budgets": [0.5]} | changed.pop("sizes", {})
    long = run(tmp_path / "long", **changed)
    found = json.loads((long / "cost.json").read_text())
    (long / "cost.json").write_text(json.dumps(found | {"sizes": found["sizes"] | sizes}))
    before = (table / "cost.json").read_bytes()
    with pytest.raises(ValueError, match=says):
        add_rows([long], table="cost", to=table)
    assert (table / "cost.json").read_bytes() == before


def test_runs_that_are_joined_twice_or_of_other_seeds_are_refused(add_rows, tmp_path):
    table, recipes = short(tmp_path / "cost"), short(tmp_path / "recipes", "recipes", "marks", 0.2)
    zero, again = run(tmp_path / "0"), run(tmp_path / "again")
    one, two = (of_seeds(tmp_path / f"of {count}", count) for count in (1, 2))
    joined = kept(whole("cost"), lambda share: share == 0.5, tmp_path / "joined", "budgets")
    other = json.loads((one / "recipes.json").read_text())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "recipes.json").write_text(json.dumps(other | {"sizes": other["sizes"] | {"seed": 1}}))
    for runs, name, where, says in (
        ([zero, again], "cost", table, r"the runs of cost have the seeds \[0, 0\]: give runs of different ones"),
        ([joined], "cost", table, "a run of cost is joined already: give the runs that it was joined from"),
        ([one, two], "recipes", recipes, "rows of recipes are .* in several runs: give one of them"),
        ([tmp_path / "other"], "recipes", recipes, r"seeds \[1\], and the table 0: its seeds of training are set by"),
        ([zero], "lora", table, "add to 'lora' 1 run: give cost or recipes, and runs"),
    ):
        with pytest.raises(ValueError, match=says):
            add_rows(runs, table=name, to=where)


@pytest.mark.parametrize("table", ["cost", "recipes"])
def test_rows_of_other_prompts_are_refused(add_rows, tmp_path, table):
    where = short(tmp_path / "table") if table == "cost" else short(tmp_path / "table", "recipes", "marks", 0.2)
    long = run(tmp_path / "long") if table == "cost" else of_seeds(tmp_path / "long", 1)
    found = json.loads((long / f"{table}.json").read_text())
    for row in found["rows"]:
        row["by_prompt"] = {name: values[:10] for name, values in row["by_prompt"].items()}
        row["by_seed"] = {name: [each[:10] for each in values] for name, values in row.get("by_seed", {}).items()}
    (long / f"{table}.json").write_text(json.dumps(found))
    with pytest.raises(ValueError, match=r"has 10 prompts, and the table .*: measure it with the table's sizes"):
        add_rows([long], table=table, to=where)

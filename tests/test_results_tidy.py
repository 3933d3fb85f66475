"""pytest tests/test_results_tidy.py: shipped results as tidy tables, with one row for each score or prompt."""

import pytest

from pusa_lab.sweeps import averages, compare
from small_models.experiments import RESULTS, read_results
from small_models.experiments.records import prompt_table, tidy
from small_models.experiments.sizes import Sizes
from small_models.experiments.verdicts import find_row, lead

pytestmark = pytest.mark.artefact

FOUND = {
    name: read_results(RESULTS / f"{name}.json") for name in ("steps", "noise", "tasks", "timestep_samplers", "lora")
}


@pytest.mark.parametrize("name", ["steps", "noise", "tasks"])
def test_a_tidy_table_has_every_score_once(name):
    found, frame = FOUND[name], tidy(FOUND[name])
    assert set(frame["table"]) == {name} and set(frame["seed"]) == {found["seed"]}
    assert len(frame) == sum(
        not isinstance(v, list) or len(v) == 3 for row in found["rows"] for v in row["scores"].values()
    )
    psnr = frame[frame["metric"] == "psnr"].set_index(list(found["rows"][0]["key"]), drop=False)
    means = [row["scores"]["psnr"][0] for row in found["rows"] if "psnr" in row["scores"]]
    assert psnr["mean"].tolist() == means and (psnr["low"] <= psnr["high"]).all()


def test_a_tidy_table_is_grouped_by_pandas():
    frame = tidy(FOUND["steps"])
    best = frame[frame["metric"] == "psnr"].groupby("solver")["mean"].max()
    rows = [row for row in FOUND["steps"]["rows"] if row["key"]["solver"] == "euler"]
    assert best["euler"] == max(row["scores"]["psnr"][0] for row in rows)


@pytest.mark.parametrize(("name", "key"), [("steps", {"solver": "euler", "steps": 10}), ("noise", {"mode": "hold"})])
def test_stored_prompts_are_compared_as_those_of_a_sweep(name, key):
    found, df = FOUND[name], prompt_table(FOUND[name])
    baseline, told = find_row(found, **key), compare(df, key, "psnr")
    others = [row for row in found["rows"] if row is not baseline]
    assert told["difference"].tolist() == pytest.approx([lead(row, baseline).mean for row in others], abs=1e-5)
    assert (told["pairs"] == Sizes().swept).all() and (told["low"] <= told["high"]).all()
    means = [row["scores"]["psnr"][0] for row in found["rows"]]
    assert averages(df, "psnr")["mean"].tolist() == pytest.approx(means, abs=1e-3)


def test_a_table_by_prompt_has_all_scores_of_all_rows_or_says_that_it_has_none():
    df = prompt_table(FOUND["timestep_samplers"])
    assert len(df) == sum(len(row["by_prompt"]["text_alignment"]) for row in FOUND["timestep_samplers"]["rows"])
    spoken = df["task"] == "text_to_video"
    assert df["psnr"].isna().equals(spoken) and df["strength"].isna().equals(spoken)
    without = {
        **FOUND["lora"],
        "rows": [{k: v for k, v in r.items() if k != "by_prompt"} for r in FOUND["lora"]["rows"]],
    }
    with pytest.raises(ValueError, match="the table 'lora' has no scores by prompt: measure it anew"):
        prompt_table(without)

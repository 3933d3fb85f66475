"""pytest tests/test_sweep_compare.py: paired differences find what unpaired ones hide, and their intervals cover."""

import math
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import torch

import pusa_lab as pl
from pusa_lab.metrics import bootstrap
from pusa_lab.sweeps import averages, compare
from pusa_lab.sweeps.expanded import expanded_level, t_quantile


def table(scores, **settings):
    """A sweep's table: scores (settings, prompts, seeds) of settings a = 0, 1, ..."""
    lines = [
        {"a": a, **settings, "prompt": f"p{p}", "seed": s, "score": scores[a, p, s], "seconds": 0.1, "status": "done"}
        for a, p, s in np.ndindex(*scores.shape)
    ]
    return pd.DataFrame(lines)


def drawn(rng, prompts=24, seeds=2, true=0.3, between=5.0, by_prompt=0.0, noise=0.2, settings=2):
    """Scores that vary between prompts much more than between settings; a difference may depend on the prompt."""
    common = rng.normal(0, between, (1, prompts, 1)) + rng.normal(0, 1, (1, prompts, seeds))
    own = rng.normal(0, by_prompt, (settings, prompts, 1)) + rng.normal(0, noise, (settings, prompts, seeds))
    own[0] = 0
    return 20 + common + own + true * (np.arange(settings) > 0)[:, None, None]


def test_pairing_shows_a_difference_that_unpaired_intervals_hide():
    df = table(drawn(np.random.default_rng(0)))
    found = compare(df, {"a": 0}).iloc[0]
    assert 0 < found["low"] < 0.3 < found["high"] < 0.5
    assert (found["pairs"], found["prompts"], found["comparisons"], found["metric"]) == (48, 24, 1, "score")
    first, second = averages(df).itertuples()
    assert first.low < second.mean < first.high and second.low < first.mean < second.high
    assert first.high - first.low > 3


def test_the_difference_and_its_interval_are_those_of_a_closed_form():
    d = np.array([1.0, 4.0, 2.0, 2.0])
    common = np.array([20.0, 30.0, 5.0, 7.0])
    found = compare(table(np.stack([common, common + d])[:, :, None]), {"a": 0}).iloc[0]
    half = 3.18245 * d.std(ddof=1) / 2  # t of 3 degrees of freedom
    assert found[["mean", "baseline", "difference"]].tolist() == pytest.approx([17.75, 15.5, 2.25])
    assert found[["low", "high"]].tolist() == pytest.approx([2.25 - half, 2.25 + half], rel=1e-3)
    twice = np.repeat(np.stack([common, common + d])[:, :, None], 2, axis=2)
    again = compare(table(twice), {"a": 0}).iloc[0]
    assert again[["low", "high"]].tolist() == pytest.approx(found[["low", "high"]].tolist())
    assert again["pairs"] == 8, "equal seeds add nothing that is known of other prompts"


@pytest.mark.parametrize(
    ("level", "degrees", "t"),
    [(0.95, 1, 12.706), (0.95, 2, 4.303), (0.95, 9, 2.262), (0.99, 10, 3.169), (0.9, 30, 1.697), (0.95, 999, 1.962)],
)
def test_quantiles_are_those_of_the_table_of_student_s_distribution(level, degrees, t):
    assert t_quantile(level, degrees) == pytest.approx(t, abs=6e-4)


@pytest.mark.parametrize("level", [0.01, 0.5, 0.95, 1 - 0.05 / 20, 0.9999])
def test_quantiles_of_one_and_two_degrees_are_those_of_the_closed_forms(level):
    assert t_quantile(level, 1) == pytest.approx(math.tan(math.pi / 2 * level))
    assert t_quantile(level, 2) == pytest.approx(level * math.sqrt(2 / (1 - level**2)))


@pytest.mark.parametrize("degrees", [1.0001, 1.5, 1.993, 2.7, 9.3, 60.5, 999.5])
@pytest.mark.parametrize("level", [0.1, 0.95, 0.9999])
def test_quantiles_of_any_number_of_degrees_hold_their_share_of_the_density(level, degrees):
    def density(x):
        return (1 + x * x / degrees) ** (-(degrees + 1) / 2)

    inside = scipy.integrate.quad(density, 0, t_quantile(level, degrees), epsabs=0, epsrel=1e-11)[0]
    assert inside / scipy.integrate.quad(density, 0, math.inf, epsabs=0, epsrel=1e-11)[0] == pytest.approx(level)


def test_the_expanded_interval_of_normal_means_is_the_t_interval():
    x = np.random.default_rng(5).normal(size=12)
    level = expanded_level(0.95, 12)
    found = bootstrap(torch.from_numpy(x), rounds=40_000, level=level)
    half = t_quantile(0.95, 11) * x.std(ddof=1) / np.sqrt(12)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)
    assert 0.95 < expanded_level(0.95, 100) < level < expanded_level(0.95, 3) < 1
    for wrong in ((1.0, 5), (0.95, 1)):
        with pytest.raises(ValueError, match="give a level between 0 and 1, and at least 2 groups"):
            expanded_level(*wrong)


def test_with_many_prompts_the_interval_is_the_normal_one_of_the_prompts_means():
    scores = drawn(np.random.default_rng(1), prompts=400, seeds=3, by_prompt=0.5)
    found = compare(table(scores), {"a": 0}).iloc[0]
    means = (scores[1] - scores[0]).mean(1)
    half = 1.96 * means.std() / np.sqrt(len(means))
    assert found["difference"] == pytest.approx(means.mean())
    assert found["high"] - found["difference"] == pytest.approx(half, rel=0.1)
    assert found["difference"] - found["low"] == pytest.approx(half, rel=0.1)


def covered(by_prompt, prompts, level=0.95, runs=100):
    """Share of runs whose interval holds the true difference: ours, and one that resamples single rows."""
    rng, ours, rows = np.random.default_rng(2), 0, 0
    for _ in range(runs):
        scores = drawn(rng, prompts=prompts, seeds=4, by_prompt=by_prompt)
        found = compare(table(scores), {"a": 0}, level=level).iloc[0]
        ours += found["low"] <= 0.3 <= found["high"]
        naive = bootstrap(torch.from_numpy((scores[1] - scores[0]).ravel()), level=level)
        rows += naive.low <= 0.3 <= naive.high
    return ours / runs, rows / runs


@pytest.mark.parametrize(("by_prompt", "prompts"), [(0.0, 20), (0.5, 20), (0.5, 5)])
def test_the_interval_covers_the_true_difference_about_as_often_as_it_says(by_prompt, prompts, one_thread):
    ours, rows = covered(by_prompt, prompts)
    assert 0.9 <= ours <= 0.99
    if by_prompt:
        assert rows < 0.75, "single rows, as if the seeds of a prompt were independent, are too sure of themselves"


@pytest.mark.parametrize("prompts", [5, 30])
def test_of_many_settings_without_a_difference_none_is_found_at_the_level_of_all(prompts, one_thread):
    rng, wrong, alone = np.random.default_rng(3), 0, 0
    for _ in range(20):
        df = table(drawn(rng, prompts=prompts, seeds=1, true=0.0, settings=6))
        found = compare(df, {"a": 0})
        assert (found["comparisons"] == 5).all()
        wrong += ((found["low"] > 0) | (found["high"] < 0)).any()
        two = compare(df[df.a <= 1], {"a": 0}).iloc[0]
        wider = found.iloc[0]
        alone += (wider["low"] < two["low"]) and (wider["high"] > two["high"])
    assert wrong <= 3 and alone == 20


def test_with_one_prompt_seeds_are_resampled_and_one_pair_has_no_interval():
    scores = drawn(np.random.default_rng(4), prompts=1, seeds=30)
    found = compare(table(scores), {"a": 0}).iloc[0]
    assert found["low"] < 0.3 < found["high"] and found["prompts"] == 1 and found["pairs"] == 30
    found = compare(table(scores[:, :, :1]), {"a": 0}).iloc[0]
    assert np.isnan(found["low"]) and found["difference"] == pytest.approx((scores[1] - scores[0])[0, 0])


def test_failed_rows_are_left_out_on_both_sides():
    scores = np.stack([np.zeros((4, 1)), np.ones((4, 1))])
    df = table(scores)
    df.loc[[0, 5], ["score", "status"]] = [np.nan, "failed"]
    found = compare(df, {"a": 0}).iloc[0]
    assert found["pairs"] == 2 and found["difference"] == 1
    assert averages(df)[["rows", "failed"]].values.tolist() == [[3, 1], [3, 1]]
    df.loc[df.a == 1, "status"] = "failed"
    found = compare(df, {"a": 0}).iloc[0]
    assert found["pairs"] == 0 and found[["difference", "low", "high"]].isna().all()
    with pytest.raises(ValueError, match="no row of the baseline is done: choose another baseline, or make its rows"):
        compare(df, {"a": 1})


def test_a_table_from_a_file_and_settings_that_are_not_set_are_compared(tmp_path):
    df = pl.sweep(len_of, [{}, {"more": [1, 2]}], seeds=[0, 1], cache=tmp_path / "c")
    df.to_csv(tmp_path / "t.csv", index=False)
    for found in (df, pd.read_csv(tmp_path / "t.csv")):
        assert compare(found, {"more": None})["difference"].tolist() == [1, 2]
        assert compare(found, {"more": 2})["difference"].tolist() == [-2, -1]


def len_of(seed, more=0):
    return seed + more


@pytest.mark.parametrize(
    "values",
    [
        [[1, 2], [3, 4]],
        [np.ones((2, 2)), np.zeros((2, 2))],
        [torch.ones(2, 2), torch.zeros(2, 2)],
        [min, max],
        [partial(pow, exp=1), partial(pow, exp=2)],
        [2, "2"],
    ],
)
def test_a_baseline_is_named_by_its_value_or_as_the_table_shows_it(values, tmp_path):
    df = pl.sweep(seed_of, {"more": values}, seeds=[0, 1], cache=tmp_path / "c")
    for i, value in enumerate(values):
        other = df["more"].iloc[2 * (1 - i)]
        assert compare(df, {"more": value})["more"].tolist() == [other]
        assert compare(df, {"more": df["more"].iloc[2 * i]})["more"].tolist() == [other]


def seed_of(seed, more):
    return seed


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda df: compare(df, {"b": 0}), "baseline names 'b': choose from a, schedule"),
        (lambda df: compare(df, {"schedula": 0}), "baseline names 'schedula': did you mean schedule?"),
        (lambda df: compare(df, {"a": 7}), r"baseline={'a': 7} fits 0 of 2 settings: give values that one setting"),
        (lambda df: compare(df, {}), r"baseline={} fits 2 of 2 settings: .* such as {'a': 0, 'schedule': 'pyramid'}"),
        (lambda df: compare(df[df.a == 0], {"a": 0}), "no setting but the baseline: sweep at least two"),
        (lambda df: compare(df, {"a": 0}, "scor"), "there is no score 'scor': did you mean score?"),
        (lambda df: compare(df, {"a": 0}, []), "no metric was chosen"),
        (lambda df: compare(df, {"a": 0}, level=1.5), "level=1.5: give a share between 0 and 1"),
        (lambda df: compare(pd.concat([df, df]), {"a": 0}), "two rows of a setting have the same prompt and seed"),
        (lambda df: compare(df[:0], {"a": 0}), "df has no rows"),
        (lambda df: compare(df[["a", "score"]], {"a": 0}), "give a table that sweep returned"),
        (lambda df: averages({"a": 1}), "give a table that sweep returned"),
    ],
)
def test_what_cannot_be_compared_is_told(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(table(np.zeros((2, 2, 1)), schedule="pyramid"))

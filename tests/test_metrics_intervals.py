"""pytest tests/test_metrics_intervals.py: intervals hold what they promise."""

import math

import pytest
import torch

from pusa_lab.metrics import Interval, bootstrap, bootstrap_of, resamples

pytestmark = pytest.mark.usefixtures("one_thread")


def test_intervals_hold_the_truth_as_often_as_they_say():
    held = {0.95: 0, 0.8: 0}
    for seed in range(500):
        values = 3 + 2 * torch.randn(60)
        for level in held:
            found = bootstrap(values, rounds=300, level=level, seed=seed)
            held[level] += found.low < 3 < found.high
    # The binomial standard error is .01 and .018; percentiles of 60 values are a little short.
    assert 0.91 < held[0.95] / 500 < 0.98
    assert 0.73 < held[0.8] / 500 < 0.86


def test_the_width_is_that_of_the_standard_error():
    values = torch.randn(400)
    found = bootstrap(values, rounds=8000)
    error = values.std(correction=0).item() / 400**0.5
    assert found.mean == pytest.approx(values.mean().item(), abs=1e-6)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_seeds_of_one_prompt_stay_together():
    prompts = torch.arange(50).repeat_interleave(5)
    values = torch.randn(50)[prompts] + 0.3 * torch.randn(250)
    alone, grouped = bootstrap(values, rounds=4000), bootstrap(values, prompts, rounds=4000)
    assert grouped.mean == alone.mean
    assert grouped.high - grouped.low > 1.8 * (alone.high - alone.low)  # sqrt(5) if seeds did not matter
    error = values.view(50, 5).mean(1).std(correction=0).item() / 50**0.5
    assert grouped.high - grouped.low == pytest.approx(2 * 1.96 * error, rel=0.07)


def test_resamples_draw_whole_groups():
    groups = ["b", "a", "b", "c", "a", "b"]
    whole = {"a": [1, 4], "b": [0, 2, 5], "c": [3]}
    drawn = list(resamples(groups, rounds=200))
    assert len(drawn) == 200
    counts = torch.zeros(6)
    for rows in drawn:
        times = rows.bincount(minlength=6)
        counts += times
        assert all(len({times[i].item() for i in members}) == 1 for members in whole.values())
        assert sum(times[members[0]].item() for members in whole.values()) == 3
    assert (counts - 200).abs().max() < 5 * math.sqrt(200 * 2 / 3)
    assert all(torch.equal(a, b) for a, b in zip(drawn, resamples(groups, rounds=200), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(drawn, resamples(groups, 200, seed=1), strict=False))


def test_a_statistic_of_ones_own_and_left_out_values():
    values, groups = torch.randn(37), torch.randint(9, (37,))
    values[::5] = torch.nan
    found = bootstrap(values, groups, rounds=300, seed=4)
    same = bootstrap_of(lambda rows: values[rows].nanmean().item(), groups, rounds=300, seed=4)
    assert found == pytest.approx(same, abs=1e-6)
    assert isinstance(found, Interval)
    assert found.low < found.mean < found.high
    middle = bootstrap_of(lambda rows: values[rows].nanmedian().item(), groups, rounds=50)
    assert middle.mean == values.nanmedian().item()
    assert all(math.isnan(x) for x in bootstrap(torch.full((4,), torch.nan)))


def test_a_level_is_a_pair_of_percentiles():
    values = torch.randn(30)
    means = torch.tensor([values[rows].double().mean() for rows in resamples(range(30), rounds=99)])
    found = bootstrap(values, rounds=99, level=0.8)
    assert found.low == pytest.approx(means.quantile(0.1).item(), abs=1e-6)
    assert found.high == pytest.approx(means.quantile(0.9).item(), abs=1e-6)


def test_what_cannot_be_resampled_is_refused():
    values = torch.randn(4)
    for groups, said in (([1, 1, 1, 1], "2 groups"), ([1, 2], "4 values with 2 groups")):
        with pytest.raises(ValueError, match=said):
            bootstrap(values, groups)
    with pytest.raises(ValueError, match="1 round"):
        bootstrap(values, rounds=0)
    with pytest.raises(ValueError, match="level=95"):
        bootstrap(values, level=95.0)
    with pytest.raises(ValueError, match="0 groups"):
        bootstrap(values[:0])
    with pytest.raises(ValueError, match="2 groups"):
        next(resamples([7]))


def test_infinite_values_are_refused():
    with pytest.raises(ValueError, match="infinite"):
        bootstrap(torch.tensor([30.0, torch.inf, 31.0]))

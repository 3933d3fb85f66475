"""pytest tests/test_forgetting_table.py: the table `forgetting`, and what it says of the text alignment lost."""

import functools
import itertools
from dataclasses import replace

import pytest
import scipy  # whose parts are imported where they are used
import torch

from pusa_lab.forgetting import follow_base
from small_models.experiments import SMALL, Lab, ToyTrainer, _plain
from small_models.experiments.forgetting import SAMPLED, _followed, _forgotten, forgetting
from small_models.experiments.prediction import ALL, DISTANCES, VTA, prediction, rank_correlation
from small_models.experiments.records import table_of
from small_models.experiments.report import show_table
from small_models.experiments.verdicts import verdict

TINY = replace(
    SMALL, swept=2, clips=16, batch=2, budgets=(1e-6,), marks=(1e-6, 2e-6), brief=1e-6, ranks=(2, 4), guidance=1.0
)


def test_ranks_are_correlated_as_scipy_does():
    torch.manual_seed(3)
    for n in (2, 7, 40):
        x = torch.randn(n)
        for y in (x**3, -x, (2 * torch.randn(n)).round(), x + torch.randn(n)):
            wanted = scipy.stats.spearmanr(x, y).statistic if len(set(y.tolist())) > 1 else float("nan")
            assert rank_correlation(x, y) == pytest.approx(wanted, abs=1e-9, nan_ok=True)
    # By hand: ranks 1 2 3 4 and 1 2.5 2.5 4, covariance 4.5 / 4, variances 5 / 4 and 4.5 / 4.
    found = rank_correlation(torch.tensor([1.0, 2, 3, 9]), torch.tensor([0.0, 5, 5, 6]))
    assert found == pytest.approx(4.5 / (5 * 4.5) ** 0.5)
    with pytest.raises(ValueError, match=r"y has shape \(3,\), but x of shape \(2,\)"):
        rank_correlation(torch.rand(2), torch.rand(3))
    with pytest.raises(ValueError, match="x has 1 number, or there are NaNs: give 2 or more, without any NaN"):
        rank_correlation(torch.rand(1), torch.rand(1))


def test_ranks_of_numbers_with_gradients_are_correlated_without_a_warning(recwarn):
    x = torch.rand(4).requires_grad_()
    assert rank_correlation(x, 2 * x) == pytest.approx(1)
    assert not recwarn.list


def rows(lost=lambda far: 0.3 * far, spread=0.02):
    """A row for every draw, rank and share, each twice as far as the one before."""
    found = []
    for i, (draw, rank, share) in enumerate(itertools.product(SAMPLED, ("all weights", 8), (0.025, 0.1))):
        far = {"latent_distance": 0.01 * 1.2**i, "velocity_distance": 0.5 - 0.02 * i, "alignment_lost": lost(0.02 * i)}
        scores = {name: [mean, mean - spread, mean + spread] for name, mean in far.items()}
        key = {"timestep_sampler": draw, "rank": rank, "share": share}
        found.append({"key": key, "scores": scores, "clips": 4})
    return found


def table(some):
    found = {"table": "forgetting", "title": "t", "sizes": {"preset": "nano"}, "rows": some}
    return table_of(_plain({**found, "prediction": prediction(some)}))


def test_the_correlation_is_over_rows_and_resamples_whole_trainings():
    found = {(one["distance"], one["rows"]): one for one in prediction(rows())}
    assert set(found) == set(itertools.product(DISTANCES[:2], (ALL, VTA)))
    assert found["latent_distance", ALL]["correlation"] == pytest.approx([1.0, 1.0, 1.0])
    assert found["velocity_distance", VTA]["correlation"] == pytest.approx([-1.0, -1.0, -1.0])
    assert [found["latent_distance", name]["trainings"] for name in (ALL, VTA)] == [10, 6]
    assert [found["latent_distance", name]["measured"] for name in (ALL, VTA)] == [20, 12]
    assert prediction(rows()[:2]) == [], "one training says nothing"
    mean, low, high = prediction(rows(lambda far: far + torch.randn(()).item() / 5))[0]["correlation"]
    assert low < mean < high < 1


def test_the_verdict_is_read_from_the_rows():
    fine, sentence = verdict(table(rows(lambda far: 0.5 * (far - 0.07))))
    assert fine is True
    assert "after 1/10 of the base's training" in sentence
    assert "latent distance +1.00 (+1.00 to +1.00; 20 rows of 10 trainings, all) predicts it" in sentence
    assert "velocity distance -1.00 (-1.00 to -1.00; 12 rows of 6 trainings, one timestep per frame)" in sentence
    assert "Clearly lost by: task mixture (rank 8) at 1/40, task mixture (rank 8) at 1/10" in sentence
    fine, sentence = verdict(table(rows(lambda far: 0.1)))
    assert fine is False
    assert "independent (all weights) +10.0 (+8.0 to +12.0) at 0.01" in sentence
    assert "latent distance none (all)" in sentence, "what is lost is the same everywhere"
    fine, sentence = verdict(table(rows(lambda far: 0.0)))
    assert fine is True and "Clearly lost by: none." in sentence and "-0.0 (" not in sentence
    found = table(rows())
    assert verdict(found)[1] in show_table(found)
    others = [row for row in rows() if row["key"]["timestep_sampler"] != "independent"]
    assert verdict(table(others))[0] is None, "what the paper trains was not measured"


@pytest.mark.usefixtures("one_thread")
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*does not have many workers.*")
def test_every_draw_and_rank_is_measured_along_its_training(tmp_path):
    lab = Lab(TINY, tmp_path, "cpu")
    made = list(itertools.islice(forgetting(lab, ToyTrainer(lab)), 5))
    assert [key["share"] for key, _ in made] == [1e-6, 2e-6, 1e-6, 2e-6, 1e-6]
    assert [key["rank"] for key, _ in made] == ["all weights"] * 2 + [4] * 2 + ["all weights"]
    assert [key["timestep_sampler"] for key, _ in made] == ["independent"] * 4 + ["task mixture"]
    row = made[0][1]()
    scores, alone = row["scores"], row["by_prompt"]
    assert row["clips"] == 2 and len(scores["levels"]) == len(scores["velocity_by_level"]) == 10
    assert 0 < scores["velocity_distance"][0] < 0.5 and scores["levels"][0] == 1
    for name in ("latent_distance", "velocity_distance", "psnr_to_base", "text_alignment", "alignment_lost"):
        mean, low, high = scores[name]
        assert low <= mean <= high and len(alone[name]) == 2
        assert sum(alone[name]) / 2 == pytest.approx(mean, abs=1e-3)


def test_features_and_alignment_are_compared_video_by_video(tmp_path, monkeypatch):
    monkeypatch.setitem(_followed.__globals__, "follow_base", functools.partial(follow_base, steps=2, latent_frames=3))
    lab = Lab(replace(TINY, preset="mini", seeds=2), tmp_path, "cpu")
    parts = _followed(lab)
    assert [part.groups.tolist() for part in parts] == [[0, 0, 1, 1]]
    same = _forgotten(lab, lambda: parts, lambda: lab.model("base"))["scores"]
    for name in (*DISTANCES, "alignment_lost"):
        assert same[name] == [0, 0, 0], name
    before = parts[0].raw
    assert same["text_alignment"][0] == pytest.approx(before["text_alignment"].mean().item(), abs=1e-6)
    far = _forgotten(lab, lambda: parts, lambda: lab.model("vta"))
    assert all(far["scores"][name][0] > 0 for name in DISTANCES)
    lost, now = far["scores"]["alignment_lost"][0], far["scores"]["text_alignment"][0]
    assert lost + now == pytest.approx(same["text_alignment"][0], abs=1e-3)
    assert set(before) == {"text_alignment", "features"}

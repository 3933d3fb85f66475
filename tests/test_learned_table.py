"""pytest tests/test_learned_table.py: schedules are learned on scenes of their own, and compared at equal calls."""

from dataclasses import replace

import pytest
import torch

from pusa_lab import schedules
from pusa_lab.optimise import STARTS
from small_models.experiments import SMALL, Lab, ToyTrainer
from small_models.experiments.learned_results import (
    BOTH,
    LEARNED,
    NOISE,
    PLAIN,
    SHARED,
    learned_figure,
    learned_verdict,
)
from small_models.experiments.learned_table import SCENES_SEED, learned
from small_models.experiments.report import show_table
from small_models.world import WORLDS, draw_scenes

TINY = replace(SMALL, prompts=2, swept=2, calls=(2, 3), generations=1, guidance=1.0)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def lab(tmp_path_factory, small_nano):
    found = Lab(TINY, tmp_path_factory.mktemp("work"), "cpu")
    found.models["vta"] = small_nano  # any toy can be searched for schedules
    return found


@pytest.fixture(scope="module")
def measured(lab):
    """What is learned for two calls, and what it is compared with, as rows of a results file."""
    rows, wanted = [], (PLAIN, SHARED, LEARNED, NOISE, BOTH)
    for key, measure in learned(lab, ToyTrainer(lab)):
        if key["calls"] == 2 and key["schedule"] in wanted and key["task"] != "start_end":
            rows.append({"key": key, **measure()})
    return rows


def test_every_task_and_number_of_calls_has_its_rows(lab):
    keys = [key for key, _ in learned(lab, ToyTrainer(lab))]
    assert len(keys) == len({tuple(key.values()) for key in keys}) == 2 * (len(STARTS) + 4 + 2 * 5)
    assert {key["calls"] for key in keys} == {2, 3}


def test_scenes_to_learn_from_are_not_those_that_are_scored(lab):
    own = draw_scenes(8, SCENES_SEED, WORLDS[lab.geometry_world])
    for count in (2, 8):
        seen = lab.scenes(count)
        assert not (own.start[:, None] == seen.start).flatten(2).all(2).any()


def test_what_is_learned_is_never_below_its_start_on_its_own_scenes(measured):
    found = {row["key"]["schedule"]: row for row in measured if row["key"]["task"] == "image_to_video"}
    for name in (SHARED, LEARNED, NOISE):
        learning = found[name]["learning"]
        assert learning["score"] >= max(learning["starts"].values()) and len(learning["history"]) == TINY.generations
    assert found[LEARNED]["learning"]["score"] >= found[SHARED]["learning"]["score"]
    assert set(found[LEARNED]["learning"]["starts"]) == {*STARTS, SHARED}
    for row in measured:
        matrix = torch.tensor(row["matrix"])
        assert matrix.shape == (3, 8) and schedules.faults(matrix) == []
        assert (row["noise"] == found[NOISE]["noise"]) if row["key"]["schedule"] in (NOISE, BOTH) else row["noise"] == 0
    shared = torch.tensor(found[SHARED]["matrix"])
    assert torch.equal(shared, shared[:, :1].expand_as(shared))


def test_other_tasks_are_asked_with_what_was_learned_for_the_first(measured):
    tasks = {task: [row for row in measured if row["key"]["task"] == task] for task in ("image_to_video", "extension")}
    for first, other in zip(*tasks.values(), strict=True):
        assert (first["matrix"], first["noise"]) == (other["matrix"], other["noise"])
        assert first["scores"]["psnr"] != other["scores"]["psnr"] and first["clips"] == TINY.prompts


def test_the_table_is_shown_and_drawn(measured):
    found = {"table": "learned", "title": "t", "sizes": {"preset": "nano"}, "rows": measured}
    assert "extension at 2 calls: learned, one for all frames " in show_table(found)
    titles = [ax.get_title() for ax in learned_figure(found).axes]
    assert titles == ["image to video", "extension", "learned for 2 calls"]


def row(schedule, calls, psnr):
    scores = {"psnr": [sum(psnr) / len(psnr), min(psnr), max(psnr)]}
    return {"key": {"task": "t", "schedule": schedule, "calls": calls}, "scores": scores, "by_prompt": {"psnr": psnr}}


def test_the_verdict_compares_prompt_by_prompt_at_equal_calls():
    rows = [row(PLAIN, 4, [20.0, 30.0]), row("pyramid", 4, [10.0, 20.0]), row("rolling", 4, [19.0, 31.0])]
    starts = {PLAIN: 1.0, "pyramid": 2.0, "rolling": 3.0, "learned, one for all frames": 9.0}
    rows += [
        row(LEARNED, 4, [21.0, 31.5]) | {"learning": {"starts": starts}},
        row(PLAIN, 8, [25.0, 35.0]),
        row(LEARNED, 8, [24.0, 34.0]),
    ]
    agrees, sentence = learned_verdict({"table": "learned", "rows": rows})
    assert agrees is None and "clearly above 0 in 1 of 3 comparisons" in sentence
    assert "t at 4 calls: learned +1.25 (+1.00 to +1.50), rolling +0.00 (-1.00 to +1.00)" in sentence
    assert "t at 8 calls: learned -1.00 (-1.00 to -1.00)" in sentence and "pyramid" not in sentence
    starts["pyramid"] = 4.0
    assert "pyramid -10.00" in learned_verdict({"table": "learned", "rows": rows})[1], "chosen where it was learned"
    with pytest.raises(ValueError, match="learned has no rows to compare for t at 4 calls"):
        learned_verdict({"table": "learned", "rows": rows[1:]})

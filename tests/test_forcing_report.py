"""pytest tests/test_forcing_report.py: what is said of trainings for long videos is what their rows say."""

import pytest

from small_models.experiments.forcing import FLOW_MAP, KNOWN_FRAMES, in_turn, trainings
from small_models.experiments.forcing_report import (
    CHANGES,
    TEACHER,
    few_calls_table,
    forcing_changes,
    forcing_conditions,
    forcing_finding,
    forcing_table,
)


def row(name, colour, psnr=20.0, seed=0, few=()):
    """Three scenes, apart by 1; other scores are 0 in all."""
    each = {"psnr": 0.0, "position_error": 0.0, "colour_error": colour}
    long = {n: {"last": [v, v, v], "by scene": {"last": [v - 1, v, v + 1]}} for n, v in each.items()}
    task = {"scores": {"psnr": [psnr, psnr, psnr]}, "by_prompt": {"psnr": [psnr - 1, psnr, psnr + 1]}}
    calls = [
        {"calls": n, "schedule": "synchronous", "scores": {"psnr": [db, 0, 0], "text_alignment": [0.5, 0, 1]}}
        for n, db in few
    ]
    found = {"key": {"training": name, "seed": seed}, "steps": 700, "long": {"scores": long}, "few calls": calls}
    return found | {"image_to_video": task, "extension": task}


def found_with(*rows):
    sizes = {"preset": "mini", "batch": 256, "scenes": 3, "seeds": 1, "lengths": 16, "calls": 4, "guidance": 3.0}
    sizes |= {"sampling": 10, "training_seeds": 1}
    about = {"device": "a GPU", "date": "2026-01-01", "command": "pusa-lab bench forcing"}
    return {"rows": list(rows), "sizes": sizes, "trainings": 12, **about}


EVERY = [
    row(KNOWN_FRAMES, 20.0, 25.0, few=((1, 15.0), (10, 24.0))),
    row("both ways, noise on the past", 12.0, 24.0),
    row(TEACHER, 30.0, 23.5),
    row("causal, own past", 31.5, 23.0),
    row(FLOW_MAP, 1.0, 1.0, few=((1, 18.0),)),
]


def test_the_finding_counts_what_is_beyond_chance():
    assert forcing_finding(found_with(*EVERY)) == (
        "In the last of 16 lengths the mean colour is least off after the training *both ways, noise on the past* "
        "(12.0 grey levels), and most after *causal, own past* (31.5). Of 2 other pasts shown in training, beyond "
        "chance that error is lower with 1 (noise on the past, both ways), and higher with 1 (own past, causal). The "
        "mask changes image to video by -1.5 (-1.5 to -1.5) dB, and that error by +10.0 (+10.0 to +10.0) grey levels. "
        "PSNR of image to video in dB by calls of the flow map (by as many of Euler's steps): 1: 18.0 (15.0); 10 of "
        "Euler's steps: 24.0."
    )


def test_changes_are_taken_scene_by_scene_and_seed_by_seed():
    """Scenes are farther apart than the trainings; two seeds of training give the mean of both."""
    assert "| noise on the past, both ways | -1.00 (-1.00 to -1.00) |" in forcing_changes(found_with(*EVERY))
    other = [row(KNOWN_FRAMES, 20.0, 25.0, seed=1), row("both ways, noise on the past", 12.0, 27.0, seed=1)]
    assert "| noise on the past, both ways | +0.50 (+0.50 to +0.50) |" in forcing_changes(found_with(*EVERY, *other))
    alone = row(TEACHER, 0.0, 90.0, seed=5)  # a seed without its pair
    assert "| the mask, true past | -1.50 (-1.50 to -1.50) |" in forcing_changes(found_with(*EVERY, alone))


def test_what_is_not_there_yet_is_left_out():
    """As while the benchmark runs."""
    first = found_with(EVERY[0])
    assert forcing_finding(first) == "" and forcing_changes(first).count("\n") == 1
    assert forcing_table(first).count(KNOWN_FRAMES) == 1 and few_calls_table(first).count("synchronous") == 2
    assert "1 of 12 trainings, each from `mini-base`, 700 steps of 256 clips" in forcing_conditions(first)
    assert forcing_finding(found_with(EVERY[2], EVERY[3])).endswith(
        "lower with none, and higher with 1 (own past, causal)."
    )


def test_every_training_but_the_flow_map_is_compared():
    compared = {name for pair in CHANGES.values() for name in pair}
    assert compared == set(trainings(3)) - {FLOW_MAP}


def test_a_process_takes_first_what_it_is_told():
    rows = [({"training": name, "seed": seed}, dict) for seed in (0, 1) for name in ("a b", "b c", "c d")]
    taken = [(key["training"], key["seed"]) for key, _ in in_turn(iter(rows), ["c", "a"])]
    assert taken == [(name, seed) for seed in (0, 1) for name in ("b c", "c d", "a b")]
    assert list(in_turn(iter(rows), [])) == rows
    with pytest.raises(ValueError, match=r"no training is called 'x': give a part of one of a b; b c; c d\."):
        list(in_turn(iter(rows), ["a", "x"]))

"""pytest tests/test_forcing_report.py: what is said of trainings for long videos is what their rows say."""

import math
import re

import pytest

from small_models.experiments.forcing import FLOW_MAP, KNOWN_FRAMES, in_turn, trainings
from small_models.experiments.forcing_report import (
    CHANGES,
    DRAWN,
    INDEPENDENT,
    TEACHER,
    few_calls_table,
    forcing_changes,
    forcing_conditions,
    forcing_finding,
    forcing_intervals,
    forcing_table,
)

NOISED, OWN, CAUSAL_OWN = "both ways, noise on the past", "both ways, own past", "causal, own past"


def row(name, colour, psnr=20.0, seed=0, few=(), apart=(-1.0, 0.0, 1.0)):
    """Scenes that are so far apart in colour and in PSNR of a single length; other scores are 0 in all."""
    each = {
        "psnr": [0.0] * len(apart),
        "position_error": [0.0] * len(apart),
        "colour_error": [colour + x for x in apart],
    }
    long = {n: {"last": [sum(v) / len(v)] * 3, "by scene": {"last": v}} for n, v in each.items()}
    task = {"scores": {"psnr": [psnr, psnr, psnr]}, "by_prompt": {"psnr": [psnr + x for x in apart]}}
    calls = [
        {"calls": n, "schedule": "synchronous", "scores": {"psnr": [db, 0, 0], "text_alignment": [0.5, 0, 1]}}
        for n, db in few
    ]
    found = {"key": {"training": name, "seed": seed}, "steps": 700, "long": {"scores": long}, "few calls": calls}
    return found | {"image_to_video": task, "extension": task}


def found_with(*rows, trainings=12):
    sizes = {"preset": "mini", "batch": 256, "scenes": 3, "seeds": 1, "lengths": 16, "calls": 4, "guidance": 3.0}
    sizes |= {"sampling": 10}
    about = {"device": "a GPU", "date": "2026-01-01", "command": "pusa-lab bench forcing"}
    return {"rows": list(rows), "sizes": sizes, "trainings": trainings, **about}


FIRST = [
    row(INDEPENDENT, 18.0, 22.0),
    row(KNOWN_FRAMES, 20.0, 25.0, few=((1, 15.0), (2, 20.0), (10, 24.0))),
    row(NOISED, 12.0, 24.0),
    row(OWN, 21.0, 25.0),
    row(TEACHER, 30.0, 23.5),
    row(CAUSAL_OWN, 31.5, 23.0),
    row(FLOW_MAP, 1.0, 1.0, few=((1, 18.0), (2, 21.0))),
]
SECOND = [
    row(INDEPENDENT, 16.0, 22.4, seed=1),
    row(KNOWN_FRAMES, 20.0, 25.0, seed=1, few=((1, 15.2), (2, 20.2), (10, 24.2))),
    row(NOISED, 13.0, 24.0, seed=1),
    row(OWN, 19.5, 25.0, seed=1),
    row(TEACHER, 34.0, 23.5, seed=1),
    row(CAUSAL_OWN, 34.5, 23.0, seed=1),
]


def cells(text, name):
    """What stands after the name of a row."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
    return line.strip("| ").split(" | ")[1:]


def test_with_two_seeds_the_finding_counts_what_is_beyond_chance_in_both():
    """*Own past, both ways* raises the error by 1 in one seed and lowers it by 0.5 in the other."""
    assert forcing_finding(found_with(*FIRST, *SECOND)) == (
        "In the last of 16 lengths the mean colour is off by 12.5 grey levels after the training *both ways, noise on "
        "the past*, the least of all, and by 33.0 after *causal, own past*, the most. Of 3 other pasts shown in "
        "training, each with several seeds, 1 lowers that error beyond chance (noise on the past, both ways), and 1 "
        "raises it (own past, causal). Timesteps drawn as at sampling change image to video by +2.8 (+2.8 to +2.8) dB, "
        "beyond chance, and that error by +3.0 (+3.0 to +3.0) grey levels, beyond chance. The mask, after the true "
        "past, changes image to video by -1.5 (-1.5 to -1.5) dB, beyond chance, and that error by +12.0 (+12.0 to "
        "+12.0) grey levels, beyond chance. With all frames together and 1 and 2 calls of the model, the PSNR of image "
        "to video is 18.0 and 21.0 dB by the flow map, and 15.1 and 20.1 dB by Euler's steps, of which 10 reach 24.1 "
        "dB."
    )


def test_with_one_seed_nothing_is_called_beyond_chance():
    finding, changes = forcing_finding(found_with(*FIRST)), forcing_changes(found_with(*FIRST))
    assert "With a single seed of each training no change is called beyond chance. Timesteps drawn" in finding
    assert "change image to video by +3.0 (+3.0 to +3.0) dB, and that error by" in finding
    assert finding.count("beyond chance") == 1 and "**" not in changes
    assert cells(changes, DRAWN)[0] == "+3.00 (+3.00 to +3.00)"
    assert cells(forcing_table(found_with(*FIRST)), NOISED)[-1] == "12.00"


def test_the_tables_have_fixed_decimals_and_the_values_of_both_seeds():
    found = found_with(*FIRST, *SECOND)
    assert cells(forcing_table(found), NOISED) == [
        "24.00 (24.00 to 24.00)",
        "24.00 (24.00 to 24.00)",
        *["0.00 (0.00 to 0.00)"] * 2,
        "12.50 (12.00 to 13.00)",
    ]
    assert cells(forcing_changes(found), "noise on the past, both ways")[-1] == (
        "**-7.50** (-7.50 to -7.50); -8.00, -7.00"
    )
    few = "| both ways, known frames | synchronous | 10 | 24.10 (24.00 to 24.20) | 0.50 (0.50 to 0.50) |"
    assert few in few_calls_table(found).splitlines()


def test_seeds_that_disagree_are_not_beyond_chance():
    own = cells(forcing_changes(found_with(*FIRST, *SECOND)), "own past, both ways")
    assert own[-1] == "+0.25 (+0.25 to +0.25); +1.00, -0.50"


@pytest.mark.parametrize(("shift", "bold"), [(5.7, False), (5.8, True)])
def test_the_interval_is_students_over_scenes_corrected_for_the_number_of_comparisons(shift, bold):
    """Five scores of one change: each at 99 %, where t is 9.925 for three scenes, and 9.925 / sqrt(3) = 5.73."""
    others = [row(NOISED, 20.0 + shift + x, apart=(0.0, 1.0, -1.0), seed=s) for s, x in ((0, 0.1), (1, -0.1))]
    flat = [row(KNOWN_FRAMES, 20.0, apart=(0.0, 0.0, 0.0), seed=s) for s in (0, 1)]
    found = found_with(*flat, *others)
    cell = cells(forcing_changes(found), "noise on the past, both ways")[-1]
    mean, low, high = map(float, re.findall(r"[+-]\d+\.\d+", cell)[:3])
    assert mean == pytest.approx(shift) and cell.startswith("**") == bold
    assert (high - low) / 2 == pytest.approx(9.925 / math.sqrt(3), abs=0.011)
    assert "at 99 % each, so that all 5 together have 95 %" in forcing_intervals(found)


def test_more_comparisons_need_wider_intervals():
    noisy = row(NOISED, 20.0, apart=(0.0, 1.0, -1.0))
    one = found_with(FIRST[1], noisy)
    all_of_them = found_with(*FIRST[:2], noisy, *FIRST[3:])
    width = [
        float(re.search(r"to \+(\d+\.\d+)", cells(forcing_changes(found), "noise on the past, both ways")[-1])[1])
        for found in (one, all_of_them)
    ]
    assert width[0] < width[1]
    assert "at 99.8 % each, so that all 25 together" in forcing_intervals(all_of_them)


def test_equal_scores_are_no_change():
    rows = [row(name, 20.0, seed=seed) for name in (KNOWN_FRAMES, OWN) for seed in (0, 1)]
    rows[-1] = row(OWN, 20.0 - 1e-9, seed=1)
    assert cells(forcing_changes(found_with(*rows)), "own past, both ways") == (
        ["+0.00 (+0.00 to +0.00); +0.00, +0.00"] * 5
    )
    assert "none lowers that error beyond chance, and none raises it." in forcing_finding(found_with(*rows))


def test_only_seeds_that_both_trainings_have_are_compared():
    found = found_with(*FIRST, SECOND[1], row(TEACHER, 0.0, 90.0, seed=5))
    assert cells(forcing_changes(found), "the mask, true past")[0] == "-1.50 (-1.50 to -1.50)"
    assert "With a single seed of each training" in forcing_finding(found)
    further = found_with(*FIRST, *SECOND[1:3])
    assert (
        "Of 1 other past shown in training, each with several seeds, 1 lowers that error beyond chance (noise on"
        in forcing_finding(further)
    )
    assert "and that error by +2.0 (+2.0 to +2.0) grey levels. The mask" in forcing_finding(further)


def test_scenes_without_a_score_are_left_out():
    rows = [row(KNOWN_FRAMES, 20.0), row(NOISED, 12.0)]
    of_position = rows[0]["long"]["scores"]["position_error"]
    of_position["by scene"]["last"] = [1.0, None, 1.0]
    change = cells(forcing_changes(found_with(*rows)), "noise on the past, both ways")
    assert change[3] == "-1.00 (-1.00 to -1.00)"
    of_position.update({"by scene": {"last": [1.0, None, None]}, "last": [None] * 3})
    assert cells(forcing_changes(found_with(*rows)), "noise on the past, both ways")[3] == "-"
    assert cells(forcing_table(found_with(*rows)), KNOWN_FRAMES)[3] == "-"


def test_what_is_not_there_yet_is_left_out():
    """As while the benchmark runs."""
    first = found_with(FIRST[1])
    assert forcing_finding(first) == forcing_intervals(first) == "" and forcing_changes(first).count("\n") == 1
    assert forcing_table(first).count(KNOWN_FRAMES) == 1 and few_calls_table(first).count("synchronous") == 3


def test_the_conditions_count_trainings_and_seeds():
    said = forcing_conditions(found_with(*FIRST, *SECOND, trainings=24))
    assert said.startswith(
        "13 of 24 trainings are measured: 6 kinds with 2 seeds, 1 kind with 1 seed. Each trains `mini-base`"
    )
    assert forcing_conditions(found_with(*FIRST, *SECOND, trainings=13)).startswith("All 13 trainings are measured: 6")
    assert "for another 700 steps of 256 clips. Scores are of 3 unseen scenes with 1 video each: " in said
    assert said.endswith("with guidance 3 (a GPU, 2026-01-01, `pusa-lab bench forcing`).")


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

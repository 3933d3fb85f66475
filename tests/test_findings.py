"""pytest tests/test_findings.py: the numbers on docs/findings.md that have a command are those of its results."""

import json
from itertools import pairwise

import pytest
import torch
from pages import ROOT, prose

import small_models
from small_models.experiments import RESULTS, read_results
from small_models.experiments.pairs import clearly, lead, signed
from small_models.experiments.rows import find_row, pick, values

pytestmark = pytest.mark.artefact
PAGE = prose("docs/findings.md")


def test_learned_schedules_gain_and_lose_as_told():
    rows = json.loads((ROOT / "benchmarks" / "results" / "learned_seeds.json").read_text())["rows"]
    assert len(rows) == 5
    gained, lost = sorted(row["unseen"][0] for row in rows), sorted(-row["guided"][0] for row in rows)
    assert f"each gains {gained[0]:.1f} to {gained[-1]:.1f} dB" in PAGE
    assert f"each clearly loses, {lost[0]:.1f} to {lost[-1]:.1f} dB" in PAGE
    assert all(row["unseen"][0] > row["unseen"][1] and -row["guided"][0] > row["guided"][1] for row in rows)
    (contrast,) = {f"{row['contrast']:.0%}".replace("%", " %") for row in rows}
    assert f"have {contrast} of the true clips' contrast" in PAGE


def test_the_table_of_ranks_is_that_of_the_results():
    table, cost = (read_results(RESULTS / f"{name}.json") for name in ("lora", "cost"))
    longest = values(table["rows"], "share")[-1]
    rows = {row["key"]["rank"]: row for row in pick(table["rows"], share=longest, strength=1.0)}
    untrained = find_row(cost, way="timestep vectors, no training")["by_prompt"]["psnr"][:64]  # the prompts of lora
    gain = {rank: row["scores"]["psnr"][0] - sum(untrained) / 64 for rank, row in rows.items()}
    dit = small_models.load("mini-base").dit
    everything = sum(weight.numel() for weight in dit.parameters())
    per_rank = sum(m.in_features + m.out_features for m in dit.modules() if isinstance(m, torch.nn.Linear))
    more = ["", *(f"{signed(lead(rows[b], rows[a]))} dB " for a, b in pairwise(rows))]
    for rank, further in zip(rows, more, strict=True):
        size = everything if rank == "all weights" else rank * per_rank
        shares = f"{100 * size / everything:.0f} % | {100 * gain[rank] / gain['all weights']:.0f} %"
        assert f"| {rank} | {shares} | {further}|" in PAGE


def test_solvers_are_apart_with_four_calls_and_level_with_twenty():
    found = read_results(RESULTS / "steps.json")
    four, twenty = (
        {s: find_row(found, solver=s, steps=n) for s in ("euler", "ab2", "dpmpp_2m", "unipc")} for n in (4, 20)
    )
    gaps = [lead(four["euler"], four[other]) for other in ("ab2", "dpmpp_2m", "unipc")]
    assert (
        "Euler's image to video is {:.1f} dB ahead of AB2, {:.1f} of DPM-Solver++(2M) and {:.1f} of UniPC".format(
            *(gap.mean for gap in gaps)
        )
        in PAGE
    )
    assert all(clearly(gap) > 0 for gap in gaps)
    assert max(abs(lead(twenty["euler"], row).mean) for row in twenty.values()) < 0.105

"""pytest tests/test_results.py: shipped results are whole, or say what they lack; what is told is read from them."""

import json
import re
from pathlib import Path

import pytest
from pages import prose, text

from pusa_lab.metrics import Interval
from pusa_lab.optimise import STARTS
from small_models.experiments import RESULTS, TABLES, read_results, sampling_tables
from small_models.experiments.claims import CLAIMS, claims
from small_models.experiments.figures import figure
from small_models.experiments.forgetting import SAMPLED
from small_models.experiments.held_out import SPLITS
from small_models.experiments.lab import Lab
from small_models.experiments.records import table_of
from small_models.experiments.report import show_table
from small_models.experiments.rows import line_of, pick, score_numbers, share, values
from small_models.experiments.sizes import Sizes
from small_models.experiments.training_tables import SAMPLERS
from small_models.experiments.verdicts import (
    PAPERS_ORDER,
    VERDICTS,
    clearly,
    farther,
    find_row,
    lead,
    strength_gains,
    verdict,
)

pytestmark = pytest.mark.artefact

PAGE = prose("docs/claims.md")
FOUND = {name: read_results(RESULTS / f"{name}.json") for name in TABLES if (RESULTS / f"{name}.json").is_file()}


@pytest.mark.parametrize("name", [name for name in TABLES if name not in FOUND])
def test_the_index_says_which_tables_are_not_measured(name):
    assert f"| {TABLES[name].title} | {name} | | not measured yet |" in (RESULTS / "README.md").read_text()


ALL_FROM_THE_BASE = {"suite", "cost", "timestep_samplers", "lora", "recipes", "forgetting", "generalisation"}
"""Tables without a row of a shipped adaptation."""


@pytest.mark.parametrize("name", FOUND)
def test_results_name_what_made_them(name):
    found = FOUND[name]
    assert found["table"] == name
    assert found["command"].startswith("pusa-lab bench paper --table")
    assert found["versions"]["torch"]
    assert "NVIDIA" in found["device"]
    assert found["sizes"]["preset"] == "mini"
    now, then = Lab(Sizes(), Path("unused"), "cpu").checkpoints(), found["checkpoints"]
    assert now.keys() == then.keys()
    # What trains everything itself from the base does not change when another adaptation is shipped.
    assert {n for n in now if now[n] != then[n]} <= ({"mini-vta"} if name in ALL_FROM_THE_BASE else set())
    assert len({json.dumps(row["key"]) for row in found["rows"]}) == len(found["rows"])


@pytest.mark.parametrize("name", FOUND)
def test_the_index_says_where_and_when_each_table_was_measured(name):
    told = re.search(rf"\[{name}\]\({name}.md\).*\| (.*) \|", (RESULTS / "README.md").read_text())[1]
    device = FOUND[name]["device"].removeprefix("NVIDIA ").split()[0]
    assert told.startswith(f"{device}, {FOUND[name]['date']}, {len(FOUND[name]['rows'])} rows")


@pytest.mark.parametrize("name", FOUND)
def test_whole_tables_are_whole(name):
    rows, sizes = FOUND[name]["rows"], Sizes()
    budgets = FOUND[name]["sizes"]["budgets"]
    shorter = sum(share <= sizes.shorter for share in budgets)
    places, note = len(sampling_tables.places(9)), FOUND[name].get("note", "")
    alone = pick(rows, way="specialist of the task")
    wanted = {
        "suite": 6,
        "cost": 2 + 3 * len(budgets) + 4 * shorter,
        "preserved": 3 + 3 * len(budgets[2::3]) + 2,
        "forgetting": 2 * len(SAMPLED) * len(FOUND[name]["sizes"]["marks"]),
        "timestep_samplers": 3 * len(SAMPLERS) * len(sizes.shifts),
        "lora": (len(sizes.ranks) + 1) * len(sizes.marks) * len(sizes.strengths),
        "steps": len(sampling_tables.CALLS_A_ROW) * len(sizes.steps),
        "noise": 3 * len(sizes.noises) + 3 + sum(map(len, sampling_tables.PUBLISHED.values())),
        "tasks": 4 * places + 2 + 1 + 1 + len(sizes.lengths),
        "schedules": len(sampling_tables.LONG_SCHEDULES),
        "learned": len(sizes.calls) * (len(STARTS) + 4 + 2 * 5),
        "inside": 4 + 4,
        "recipes": 1 + len(FOUND[name]["sizes"]["marks"]) * (2 * 7 + 2) + 4 * len(values(alone, "share")),
        "generalisation": 6 * len(SPLITS),
    }
    if note:
        assert note.startswith(f"{len(rows)} of {wanted[name]} rows. ")
        assert len(rows) < wanted[name] or any(len(row.get("seeds", [])) > 1 for row in rows)
    else:
        assert len(rows) == wanted[name]
    for row in rows:
        for mean, low, high in (v for v in row.get("scores", {}).values() if isinstance(v, list) and len(v) == 3):
            assert low <= mean <= high


COUNTED = ("cost", "preserved", "forgetting", "timestep_samplers", "lora", "steps", "noise")


@pytest.mark.parametrize("name", [name for name in COUNTED if name in FOUND])
def test_every_row_has_all_its_clips(name):
    prompts = Sizes().prompts if name in ("cost", "preserved") else Sizes().swept
    for row in FOUND[name]["rows"]:
        others = len(row.get("seeds", [0])) - 1  # the second and third training have two videos of each prompt
        assert row["clips"] == prompts * (Sizes().seeds + 2 * others)


@pytest.mark.parametrize("name", FOUND)
def test_text_and_picture_are_of_these_numbers(name):
    assert (RESULTS / f"{name}.md").read_text() == show_table(FOUND[name]) + "\n"
    assert 0 < (RESULTS / f"{name}.png").stat().st_size < 200_000
    assert verdict(FOUND[name])[1] in show_table(FOUND[name])


@pytest.mark.parametrize("name", [name for name in TABLES if name not in FOUND])
def test_the_page_of_claims_says_which_tables_are_not_measured(name):
    assert f"| {TABLES[name].title} | {name} | not measured yet |" in PAGE


def test_the_page_of_claims_calls_no_measured_table_unmeasured():
    assert PAGE.count("| not measured yet |") == len(TABLES) - len(FOUND)


def test_claims_are_told_as_measured():
    rows, parts = claims(), re.split(r"^### ", text("docs/claims.md"), flags=re.M)
    assert len(rows) == sum(table in FOUND for table, *_ in CLAIMS.values())
    for claim, paper, here in rows:
        (part,) = (part for part in parts if part.startswith(f"{claim}\n"))
        assert f"- **The paper**: {paper}. - **Here**: {here}." in " ".join(part.split())
    coded = find_row(FOUND["suite"], clips="truth through the codec")["scores"]["motion"][0]
    assert f"({coded:.1f} for true clips through it)" in (RESULTS / "README.md").read_text()
    still = find_row(FOUND["suite"], clips="frame 0 repeated")["scores"]["total"][0]
    assert f"a clip that stands still gets {100 * still:.0f} of 100" in PAGE


HOLDS = {"yes": (True,), "no": (False,), "in part": (False,), "the paper has no number": (None, False)}
"""What the page of claims says -> what the verdict on the table may be."""


def test_the_page_of_claims_says_which_hold():
    told = dict(re.findall(r"^\| \[(.*)\]\(#.*\) \| (.*) \| .* \|$", text("docs/claims.md"), re.M))
    measured = {claim: table for table, claim, *_ in CLAIMS.values() if table in FOUND and not claim.startswith("(")}
    assert told.keys() == measured.keys() and len(told) <= 10
    for claim, table in measured.items():
        assert verdict(FOUND[table])[0] in HOLDS[told[claim]], claim


def test_pairs_are_sharper_than_two_intervals():
    ours, theirs = (find_row(FOUND["cost"], way=f"{w}, all weights", share=0.1) for w in ("VTA", "Wan's way"))
    paired = lead(ours, theirs)
    alone = lead(*({"scores": row["scores"]} for row in (ours, theirs)))
    assert paired.mean == pytest.approx(alone.mean, abs=1e-3)
    assert paired.high - paired.low < 0.8 * (alone.high - alone.low)
    assert clearly(paired) == -1
    assert [clearly(Interval(0.0, *ends)) for ends in ((1.0, 2.0), (-1.0, 1.0), (-2.0, -1.0))] == [1, 0, -1]
    with pytest.raises(ValueError, match="has no row"):
        find_row(FOUND["cost"], way="nothing")


def test_all_weights_are_compared_not_one_kind():
    before = {"self_attention": 2.0, "text": 5.0}
    moved, other = {"self_attention": 0.2, "text": 3.0}, {"self_attention": 0.4, "text": 1.0}

    def kinds(change):
        whole = sum(v**2 for v in change.values())
        return {k: {"relative": v / before[k], "share": v**2 / whole} for k, v in change.items()}

    wanted = (sum(v**2 for v in moved.values()) / sum(v**2 for v in other.values())) ** 0.5
    assert farther(kinds(moved), kinds(other)) == pytest.approx(wanted)


def test_missing_rows_are_said_and_do_not_stop_the_table():
    found = {"table": "cost", "title": "t", "rows": [row({"way": "VTA, all weights", "share": 0.1}, 0.9)]}
    assert "cannot be said" in show_table(found)
    with pytest.raises(ValueError, match="no table 'nope'"):
        show_table(found | {"table": "nope"})


def row(key, total, psnr=None):
    scores = {"total": [total] * 3, "skill": [total] * 3, "psnr": [psnr if psnr is not None else total] * 3}
    return {"key": key, "scores": scores, "by_prompt": {k: [v[0], v[0] + 0.01] for k, v in scores.items()}}


def test_verdicts_follow_the_numbers():
    def steps(totals):
        rows = [row({"solver": "euler", "steps": s}, t) for s, t in zip((2, 5, 10, 20), totals, strict=True)]
        return verdict({"table": "steps", "rows": rows})[0]

    assert steps([0.7, 0.8, 0.9, 0.905])
    assert not steps([0.7, 0.95, 0.9, 0.905])  # falls before 10
    assert not steps([0.7, 0.8, 0.9, 0.99])  # not flat after

    def samplers(order):
        keys = [{"timestep_sampler": d, "shift": 1.0, "strength": 1.4} for d in order]
        return verdict({"table": "timestep_samplers", "rows": [row(k, 0.9 - i / 10) for i, k in enumerate(keys)]})[0]

    assert samplers([*PAPERS_ORDER[:3], "non-decreasing", *PAPERS_ORDER[3:]]) is True
    assert samplers([PAPERS_ORDER[1], PAPERS_ORDER[0], *PAPERS_ORDER[2:]]) is False
    assert samplers([*PAPERS_ORDER[:3], PAPERS_ORDER[4], PAPERS_ORDER[3]]) is False
    assert samplers(PAPERS_ORDER[:4]) is None  # what is not measured cannot agree

    def lora(best):
        key = {"rank": 8, "strength": 1.0}
        rows = [
            row(key | {"share": share, "strength": s}, 1.0 if s == b else 0.0)
            for share, b in zip((0.1, 0.2, 0.3), best, strict=True)
            for s in (1.0, 1.4, 2.0)
        ]
        return verdict({"table": "lora", "rows": rows})[0]

    assert lora([1.4, 1.4, 1.0])
    assert lora([1.4, 1.0, 2.0])
    assert not lora([1.4, 1.0, 1.4])
    assert not lora([1.0, 1.0, 1.0])

    def cost(ours, theirs):
        ways = ("VTA, all weights", "Wan's way, all weights")
        rows = [row({"way": w, "share": 0.1}, t) for w, t in zip(ways, (ours, theirs), strict=True)]
        return verdict({"table": "cost", "rows": rows})[0]

    assert cost(0.9, 0.8)
    assert not cost(0.8, 0.9)


def without(name, *path, new=None):
    """A shipped table in which one entry is missing, or another value."""
    found = json.loads((RESULTS / f"{name}.json").read_text())
    at = found
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    if new is not None:
        at[path[-1]] = new
    return found


@pytest.mark.parametrize(
    ("path", "new", "says"),
    [
        (("table",), None, "has no 'table'"),
        (("rows",), 3, "'rows' of the table 'steps' is 3"),
        (("sizes",), None, "the table 'steps' has no 'sizes' .it has format, table"),
        (("sizes", "preset"), None, "'sizes' of the table 'steps' has no 'preset'"),
        (("sizes", "steps"), "many", "'steps' of 'sizes' of the table 'steps' is 'many'"),
        (("rows", 0, "key", "solver"), None, r"'key' of the row .steps 2, calls 2. has no 'solver'"),
        (("rows", 0, "key", "calls"), "x", r"'calls' of 'key' of the row .* is 'x' .a str.: give a number"),
        (("rows", 0, "scores"), [1], "'scores' of a row of results is a list of 1 item: give a dict"),
    ],
)
def test_what_a_table_lacks_is_named(path, new, says):
    with pytest.raises(ValueError, match=f"^small_models.figure: .*{says}"):
        figure(without("steps", *path, new=new))


@pytest.mark.parametrize(
    ("table", "path", "says"),
    [
        ("cost", ("ratios",), "the table 'cost' has no 'ratios'"),
        ("cost", ("sizes", "budgets"), "'sizes' of the table 'cost' has no 'budgets'"),
        ("preserved", ("before training", "largest difference"), "'before training' of the table 'preserved' has no"),
        ("inside", ("rows", 0), "inside has no row .'change': 'VTA, shipped'."),
        ("inside", ("rows", 0, "kinds", "self_attention"), "this table of changes has no 'self_attention'"),
    ],
)
def test_what_a_claim_cannot_be_read_from_is_named(table, path, says, tmp_path):
    (tmp_path / f"{table}.json").write_text(json.dumps(without(table, *path)))
    with pytest.raises(ValueError, match=f"^small_models.claims: {says}"):
        claims(tmp_path)


def test_rows_are_asked_for_what_they_have():
    rows = FOUND["noise"]["rows"]
    assert [0.2, 0.5] in values(rows, "noise")
    assert score_numbers(rows[0], "psnr_frame") == score_numbers(None, "psnr")
    for call, says in (
        (lambda: line_of(rows, "mode", "psnr"), "'mode' of the row .* is 'denoise' .a str.: give a part"),
        (lambda: pick(rows, noise={}), "noise is an empty dict: give a text, a number"),
        (lambda: lead(rows[0], rows[1], "nothing"), "'scores' of the row .* has no 'nothing'"),
        (
            lambda: strength_gains({**FOUND["lora"], "rows": pick(FOUND["lora"]["rows"], strength=1.0)}),
            "lora has no row of a strength above 1",
        ),
        (lambda: farther({"text": {"share": 1.0}}, {}), "has no 'self_attention'"),
        (lambda: share(0.0), "value=0: give a share"),
        (
            lambda: table_of({"table": "steps", "rows": [{"maps": {"a": [[1.0], []]}}]}),
            "'a' of the row .* not a matrix",
        ),
    ):
        with pytest.raises(ValueError, match=says):
            call()


def test_a_mistake_of_ours_is_not_called_a_missing_row(monkeypatch):
    def mistaken(found):
        return {}["typo"]

    monkeypatch.setitem(VERDICTS, "steps", mistaken)
    with pytest.raises(KeyError, match="typo"):
        show_table(FOUND["steps"])

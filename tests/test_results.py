"""pytest tests/test_results.py: shipped results are whole, or say what they lack; what is told is read from them."""

import json
import re
from functools import partial
from pathlib import Path

import pandas as pd
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
from small_models.experiments.pairs import signed
from small_models.experiments.recipe import read_search
from small_models.experiments.recipe_search import best_settings
from small_models.experiments.recipe_settings import SAMPLING, TASKS, TRAINING
from small_models.experiments.records import table_of
from small_models.experiments.report import show_table
from small_models.experiments.rows import line, pick, score_numbers, share, values
from small_models.experiments.sizes import Sizes
from small_models.experiments.training_tables import SAMPLERS
from small_models.experiments.verdicts import (
    PAPERS_ORDER,
    VERDICTS,
    best_strengths,
    clearly,
    farther,
    find_row,
    lead,
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
    wanted = {
        "suite": 6,
        "cost": 2 + 3 * len(budgets) + 4 * shorter,
        "preserved": 3 + 3 * len(budgets[2::3]) + 2,
        "forgetting": 2 * len(SAMPLED) * len(FOUND[name]["sizes"]["marks"]),
        "timestep_samplers": 3 * len(SAMPLERS) * len(sizes.shifts),
        "lora": (len(sizes.ranks) + 1) * len(sizes.marks) * len(sizes.strengths),
        "steps": len(sampling_tables.SOLVERS) * len(sizes.steps),
        "noise": 3 * len(sizes.noises) + 3 + sum(map(len, sampling_tables.PUBLISHED.values())),
        "tasks": 4 * places + 2 + 1 + 1 + len(sizes.lengths),
        "schedules": len(sampling_tables.LONG_SCHEDULES),
        "learned": len(sizes.calls) * (len(STARTS) + 4 + 2 * 5),
        "inside": 4 + 4,
        "recipes": 1 + len(FOUND[name]["sizes"]["marks"]) * (2 * 7 + 2) + 4,
        "generalisation": 6 * len(SPLITS),
    }
    if note:
        assert note.startswith(f"{len(rows)} of {wanted[name]} rows. ")
        assert len(rows) < wanted[name]
    else:
        assert len(rows) == wanted[name]
    for row in rows:
        for mean, low, high in (v for v in row.get("scores", {}).values() if isinstance(v, list) and len(v) == 3):
            assert low <= mean <= high


COUNTED = ("cost", "preserved", "forgetting", "timestep_samplers", "lora", "steps", "noise")


@pytest.mark.parametrize("name", [name for name in COUNTED if name in FOUND])
def test_every_row_has_all_its_clips(name):
    prompts = Sizes().prompts if name in ("cost", "preserved") else Sizes().swept
    assert {row["clips"] for row in FOUND[name]["rows"]} == {prompts * Sizes().seeds}


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


def test_the_better_recipe_is_told_as_measured():
    found = FOUND["recipes"]
    recipe = f"recipe: {Sizes().recipe}"
    page = text("docs/claims.md")
    titles = {"start_end": "start and end frame", "pyramid": "image to video, pyramid"}
    titles["autoregressive"] = "image to video, autoregressive"
    told = re.findall(r"^\| (.*) \| ([\d.]+) \| ([\d.]+) \| (.*) \|$", page.split("### A better recipe")[1], re.M)
    measured = []
    for task in TASKS:
        independent, ours = (
            find_row(found, way=way, task=task, share=1 / 20) for way in ("independent timesteps", recipe)
        )
        means = (f"{row['scores']['psnr'][0]:.1f}" for row in (independent, ours))
        measured.append((titles.get(task, task.replace("_", " ")), *means, signed(lead(ours, independent))))
        assert clearly(lead(ours, independent)) == 1, "said of every task and schedule"
    assert told == measured
    gains, behind, words = [], [], []
    base = find_row(found, way="base", task="text_to_video")
    for budget in found["sizes"]["marks"]:
        at = partial(find_row, found, share=budget)
        leads = [lead(at(way=recipe, task=t), at(way="independent timesteps", task=t)) for t in TASKS]
        gains.append(sum(clearly(gain) > 0 for gain in leads))
        assert all(clearly(gain) >= 0 for gain in leads)
        ours, wan = (at(way=way, task="image_to_video") for way in (recipe, "Wan's way"))
        behind.append(f"{signed(lead(ours, wan))} dB after {share(budget)}")
        words.append(lead(at(way=recipe, task="text_to_video"), base, "text_alignment"))
    assert f"by PSNR, clearly better at {', '.join(map(str, gains[:-1]))} and {gains[-1]} of the six" in PAGE
    assert f"**Against Wan's way** at image to video: {', '.join(behind)}." in PAGE
    cost, ways = partial(find_row, FOUND["cost"]), ("recipe, all weights", "Wan's way, all weights")
    leads = {s: lead(*(cost(way=way, share=s) for way in ways)) for s in FOUND["cost"]["sizes"]["budgets"]}
    first, *later = [budget for budget, gain in leads.items() if clearly(gain) < 0]
    assert [first, *later] == [budget for budget in leads if budget >= first]
    won = [f"{gain.mean:.1f}" for gain in leads.values() if clearly(gain) > 0]
    assert f"ahead by {', '.join(won[:-1])} and {won[-1]} dB after 1/400, 1/200 and 1/100, and behind by" in PAGE
    lost = [-leads[budget].mean for budget in (first, *later)]
    assert f"behind by {min(lost):.1f} to {max(lost):.1f} dB from {share(first)} on." in PAGE
    assert all(clearly(word) >= 0 for word in words)
    at = partial(find_row, found, task="text_to_video")
    rows = [base, *(at(way=w, share=1 / 20) for w in ("independent timesteps", recipe, "Wan's way"))]
    shares = [f"{100 * row['scores']['text_alignment'][0]:.0f}" for row in rows]
    assert "base {}, independent {}, recipe {}, Wan's way {}. The".format(*shares) in PAGE
    assert f"recipe's is {signed(lead(rows[2], rows[0], 'text_alignment'), 100)} points over the base's" in PAGE
    gain = lead(
        *(find_row(found, way=w, task="image_to_video", share=1 / 20) for w in (recipe, "independent timesteps"))
    )
    assert f"it beats the paper's at every task with known frames, image to video by {gain.mean:.1f} dB" in prose(
        "README.md"
    )


def test_what_was_learned_and_forgotten_is_told_as_measured():
    found, part = FOUND["learned"], PAGE.split("Can a schedule be learned")[1].split("###")[0]
    assert "clearly above 0 in 2 of 39 comparisons" in verdict(found)[1] and "2 of 39 comparisons are clearly" in part
    rows = found["rows"]
    plain = {(row["key"]["task"], row["key"]["calls"]): row for row in pick(rows, schedule="synchronous")}
    gains = {json.dumps(r["key"]): lead(r, plain[r["key"]["task"], r["key"]["calls"]]) for r in rows}
    assert 0 < max(gain.mean for gain in gains.values() if clearly(gain) == 1) < 0.05
    assert all(row["noise"] == 0 for row in pick(rows, schedule="synchronous, learned noise"))
    lost = []
    for calls in found["sizes"]["calls"]:
        of = [row for row in pick(rows, task="image_to_video", calls=calls) if "learned" not in row["key"]["schedule"]]
        each = [-gains[json.dumps(row["key"])].mean for row in of if row["key"]["schedule"] != "synchronous"]
        lost.append((f"{min(each):.1f}", f"{max(each):.1f}"))
    (a, b), (c, d), (e, f) = lost
    assert f"lose {a} to {b} dB at 4 calls, {c} to {d} at 8 and {e} to {f} at 16" in part
    found, part = FOUND["forgetting"], PAGE.split("How far is text to video")[1].split("###")[0]
    ways = {
        w: find_row(found, timestep_sampler=w, rank="all weights", share=1 / 4)["scores"] for w in list(SAMPLED)[:2]
    }
    far, kept = ([ways[w][score][0] for w in ways] for score in ("latent_distance", "alignment_lost"))
    assert f"differ by {far[0]:.2f} of their norm".replace("0.", ".") in part
    assert f"they differ by {far[1]:.2f}, and it has changed by {-100 * kept[1]:.1f}".replace("by 0.", "by .") in part
    assert f"has risen by {-100 * kept[0]:.1f} points" in part
    lost = [row for row in found["rows"] if row["scores"]["alignment_lost"][1] > 0]
    assert [(row["key"]["timestep_sampler"], row["key"]["share"]) for row in lost] == [("task mixture", 1 / 40)]
    assert f"the task mixture after 1/40, by {100 * lost[0]['scores']['alignment_lost'][0]:.1f} points" in part
    assert found["note"].startswith("18 of 40 rows.")


def test_what_the_search_found_is_told_as_measured():
    found = read_search(RESULTS / "recipe.json")
    rows = {(row["rung"], row["name"], row["sampling"]): row for row in found["rows"]}
    part = " ".join(text("docs/claims.md").split("**How it was found**")[1].split())

    def skill(name, sampling="text CFG 3", rung="0"):
        return f"{rows[rung, name, sampling]['objective']:.2f}".removeprefix("0")

    def lost(name):
        return f"{100 * rows['0', name, 'text CFG 3']['text_lost']:.1f} points"

    assert len([row for row in found["rows"] if row["rung"] == "0"]) == len(TRAINING) == 28
    assert len(SAMPLING) == 18
    best = best_settings(pd.DataFrame(found["rows"])[lambda df: df["rung"] == "2"].assign(status="done"), 1)
    assert found["rows"][best[0]]["name"] == Sizes().recipe
    assert (
        f"independent {skill('independent')}, non-decreasing {skill('non-decreasing')}, half {skill('half')}, task "
        f"mixture alone {skill('task mixture')}."
    ) in part
    most = "task mixture, more image-to-video"
    assert f"highest skill, {skill(most)}, and lose {lost(most)} of" in part
    assert max(r["objective"] for r in found["rows"] if r["rung"] == "0") == rows["0", most, "text CFG 3"]["objective"]
    alike = [rows["0", name, "text CFG 3"]["objective"] for name in ("half, free frames in the loss", "half")]
    assert "skill {:.3f} for the recipe, {:.3f} with them in".format(*alike).replace("0.", ".") in part
    fell = f"skill falls from {skill('quarter')} to {skill('quarter, lr 4e-3')}."
    assert f"Four times the rate loses {lost('quarter, lr 4e-3')}, and {fell}" in " ".join(part.split())
    assert f"(skill {skill('quarter, no EMA')} without, {skill('quarter')} with)" in part
    assert f"min-SNR weights are not ({skill('quarter, weight min-SNR')})" in part
    assert f"rank 64 loses little** ({skill('quarter, LoRA 64')})" in part
    assert skill("quarter, LoRA 64, alpha 128") == skill("quarter, DoRA 64") == skill("quarter, LoRA 64")
    assert f"rsLoRA has {skill('quarter, rsLoRA 64')}" in part
    name = Sizes().recipe
    scales = [skill(name, f"text CFG {scale}", "sampling") for scale in (2, 3, 5)]
    assert "scale 2 has skill {} where 3 has {} and 5 has {}".format(*scales) in part
    two, three = (rows["sampling", name, f"text CFG {scale}"] for scale in (2, 3))
    assert f"for {100 * (two['text_lost'] - three['text_lost']):.1f} points of text" in part
    gained = {
        way: row["objective"] - three["objective"]
        for (rung, n, way), row in rows.items()
        if (rung, n) == ("sampling", name)
    }
    assert {way for way, gain in gained.items() if gain > 0.001} == {"text CFG 2"}


HOLDS = {"yes": (True,), "no": (False,), "in part": (False,), "the paper has no number": (None, False)}
"""What the page of claims says -> what the verdict on the table may be."""


def test_the_page_of_claims_says_which_hold():
    told = dict(re.findall(r"^\| \[(.*)\]\(#.*\) \| (.*) \|$", text("docs/claims.md"), re.M))
    measured = {claim: table for table, claim, *_ in CLAIMS.values() if table in FOUND}
    assert told.keys() == measured.keys()
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
    scores = {"total": [total] * 3, "psnr": [psnr if psnr is not None else total] * 3}
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

    assert lora([2.0, 1.4, 1.4])
    assert not lora([1.4, 2.0, 1.0])
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
        (lambda: line(rows, "mode", "psnr"), "'mode' of the row .* is 'denoise' .a str.: give a part"),
        (lambda: pick(rows, noise={}), "noise is an empty dict: give a text, a number"),
        (lambda: lead(rows[0], rows[1], "nothing"), "'scores' of the row .* has no 'nothing'"),
        (lambda: best_strengths(FOUND["lora"], 3, "psnr"), "no rows of rank 3"),
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

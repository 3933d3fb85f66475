"""pytest tests/test_results_told.py: what docs/claims.md tells of questions of our own is read from the tables."""

import json
import re
from functools import partial

import pandas as pd
import pytest
from pages import ROOT, prose, text

from small_models.experiments import RESULTS, TABLES, read_results
from small_models.experiments.claims import claims
from small_models.experiments.draws import conditioning, equal_draws
from small_models.experiments.forgetting import SAMPLED
from small_models.experiments.pairs import by_seed, signed
from small_models.experiments.recipe import read_search
from small_models.experiments.recipe_history import gains, read_history
from small_models.experiments.recipe_search import best_settings
from small_models.experiments.recipe_settings import SAMPLING, SEARCHED_TASKS, TRAINING
from small_models.experiments.rows import pick, share
from small_models.experiments.sizes import Sizes
from small_models.experiments.verdicts import OURS, THEIRS, clearly, find_row, lead, strength_gains, verdict

pytestmark = pytest.mark.artefact

PAGE = prose("docs/claims.md")
FOUND = {name: read_results(RESULTS / f"{name}.json") for name in TABLES if (RESULTS / f"{name}.json").is_file()}


def ahead(table, one, other, score="psnr", scale=1):
    """By how much the row with the key `one` is above the row with the key `other`, as the page writes it."""
    return signed(lead(find_row(FOUND[table], **one), find_row(FOUND[table], **other), score), scale)


def test_each_claim_has_a_short_statement_with_its_interval():
    told = re.findall(r"^\| \[.*\]\(#.*\) \| .* \| (.*) \|$", text("docs/claims.md"), re.M)
    (ratio,) = (r["ratio"] for r in FOUND["cost"]["ratios"] if r["share"] == 1 / 200)
    at = {"share": 1 / 20}
    equal = ahead("cost", {"way": "VTA, all weights", **at}, {"way": "Wan's way, all weights", **at})
    kept = ahead("preserved", {"model": "VTA, all weights", "share": 0.1}, {"model": "base"}, "text_alignment", 100)
    draws = {
        s: [{"timestep_sampler": n, "shift": s, "strength": 1.4} for n in ("non-decreasing", "independent")]
        for s in (1.0, 5.0)
    }
    five, one = (ahead("timestep_samplers", *draws[s]) for s in (5.0, 1.0))
    strong = [ahead("lora", *({"rank": 64, "share": s, "strength": x} for x in (1.4, 1.0))) for s in (1 / 40, 1 / 4)]
    steps = ahead("steps", *({"solver": "euler", "steps": n} for n in (20, 10)))
    noisy = ahead("noise", *({"task": "image_to_video", "noise": m, "mode": "denoise"} for m in (0.2, 0.0)))
    models = ("specialist, same budget", "recipe, same budget")
    tasks = [r["key"]["task"] for r in pick(FOUND["tasks"]["rows"], model=models[0])]
    pairs = [lead(*(find_row(FOUND["tasks"], task=t, model=m) for m in models)) for t in tasks]
    least, most = (signed(choose(pairs, key=lambda gain: gain.mean)) for choose in (min, max))
    farther = re.search(
        r"(moves the base's weights )(.*)( times as far)",
        {claim: here for claim, _, here in claims()}["Few weights change, and frames attend to frame 0"],
    )
    assert told == [
        "Wan's way needs {:.2f} ({:.2f} to {:.2f}) of VTA's training for its PSNR".format(*ratio),
        f"{equal} dB after 1/20",
        f"{kept} points of text alignment after 1/10",
        f"non-decreasing ones {five} dB at shift 5, {one} at shift 1",
        f"strength 1.4 gains {strong[0]} dB after 1/40, {strong[1]} after 1/4",
        f"twenty: {steps} dB",
        f"0.2: {noisy} dB",
        f"specialists {least} to {most} dB over the recipe",
        f"the weights move {farther[2]} times as far in Wan's way (one training)",
    ]


def test_the_better_recipe_is_told_as_measured():
    found = FOUND["recipes"]
    recipe = f"recipe: {Sizes().recipe}"
    page = text("docs/claims.md")
    titles = {"start_end": "start and end frame", "pyramid": "image to video, pyramid"}
    titles["autoregressive"] = "image to video, autoregressive"
    told = re.findall(r"^\| (.*) \| ([\d.]+) \| ([\d.]+) \| (.*) \|$", page.split("### A better recipe")[1], re.M)
    measured = []
    for task in SEARCHED_TASKS:
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
        leads = [lead(at(way=recipe, task=t), at(way="independent timesteps", task=t)) for t in SEARCHED_TASKS]
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
    alone = {row["key"]["task"]: row for row in pick(found["rows"], way="specialist of the task", share=1 / 20)}
    gaps = [
        f"{t.replace('_', ' ')} {signed(lead(find_row(found, way=recipe, task=t, share=1 / 20), row))}"
        for t, row in alone.items()
    ]
    assert f"three seeds of training each: {', '.join(gaps)} dB." in PAGE
    assert_the_cause_is_told(found, recipe, alone["image_to_video"])
    gain = lead(
        *(find_row(found, way=w, task="image_to_video", share=1 / 20) for w in (recipe, "independent timesteps"))
    )
    assert f"it beats the paper's at every task with known frames, image to video by {gain.mean:.1f} dB" in prose(
        "README.md"
    )


def assert_the_cause_is_told(found, recipe, specialist):
    compared = {(one.way, one.share): one for one in equal_draws(found) if one.task == "image_to_video"}
    one, wan = compared["specialist of the task", 1 / 20], compared["Wan's way", 1 / 40]
    ahead, later = conditioning(found)[1 / 20], find_row(found, way=recipe, task="image_to_video", share=1 / 4)
    assert (
        f"is ahead of Wan's way by {signed(ahead)} dB after 1/20 (more is not measured)." in PAGE
        and clearly(ahead) == 1
    )
    had, gain = 1 / 4 * one.part / (1 / 20), lead(later, specialist)
    told = f"{100 * one.part:.0f} % are of this task: after 1/4 it has had {had:.2f} of the draws of that specialist"
    assert f"{told}, and is {signed(gain)} dB above it;" in PAGE and clearly(gain) == 1 and had < 1
    needs = "it needs {:.1f} ({:.1f} to {:.1f}) times the specialist's training for its PSNR".format(*one.needs)
    assert needs in PAGE and not one.bound and one.needs.high < 1 / one.part
    assert f"it is {signed(wan.same_draws)} dB above Wan's way of 1/40" in PAGE and wan.had == pytest.approx(1)


def test_what_is_left_without_a_caption_is_told_as_measured():
    found = json.loads((ROOT / "benchmarks" / "results" / "without_words.json").read_text())
    assert (found["model"], found["scenes"], found["seed"]) == ("mini-vta", 64, 0) and "CPU" in found["device"]
    inside, *outside = found["rows"]
    without, words = ("{:.2f} ({:.2f} to {:.2f})".format(*inside[w]["pace"]) for w in ("no caption", "caption"))
    assert f"an empty caption `mini-vta` goes on at {without} of the true speed even in distribution" in PAGE
    assert f"with the true one at {words} (`pusa-lab bench without_words`, 64 scenes, a CPU, {found['date']})" in PAGE
    assert all(row["difference"]["pace"][2] < 0 for row in (inside, *outside))
    told = "Likewise `mini-base`, {} and {}, and `mini-i2v`, whose picture shows no speed, {} and {}."
    paces = []
    for name, scenes in (("base", 16), ("i2v", 32)):
        found = json.loads((ROOT / "benchmarks" / "results" / f"without_words_{name}.json").read_text())
        assert (found["model"], found["scenes"], found["seed"]) == (f"mini-{name}", scenes, 0) and found["versions"]
        inside, *outside = found["rows"]
        assert all(row["difference"]["pace"][2] < 0 for row in (inside, *outside))
        paces += ["{:.2f} ({:.2f} to {:.2f})".format(*inside[w]["pace"]) for w in ("no caption", "caption")]
    assert told.format(*paces) in PAGE


def test_what_a_lora_makes_of_the_recipe_is_told_as_measured():
    ours, paper, wan = (f"{name}, LoRA 64" for name in ("recipe", "VTA", "Wan's way"))
    over = {
        (other, s): lead(*(find_row(FOUND["cost"], way=way, share=s) for way in (ours, other)))
        for other in (paper, wan)
        for s in FOUND["cost"]["sizes"]["budgets"]
        if s <= FOUND["cost"]["sizes"]["shorter"]
    }
    pairs = (" and ".join(signed(over[other, s]) for s in (1 / 400, 1 / 10)) for other in (paper, wan))
    assert "after 1/400 and 1/10: {} dB over independent timesteps, {} dB over Wan's way".format(*pairs) in PAGE
    assert all((clearly(gain) < 0) == (other == wan and s >= 1 / 40) for (other, s), gain in over.items())
    first = {rank: each[0] for rank, each in strength_gains(FOUND["lora"]).items()}
    assert {rank for rank, gain in first.items() if clearly(gain) > 0} == {64, 128}
    assert f"with rank 8 three trainings cannot tell, at {signed(first[8])} dB" in PAGE
    whole = [clearly(gain) for gain in strength_gains(FOUND["lora"])["all weights"]]
    assert whole == [0, 0, -1, -1], "said of 1/40, 1/20, 1/10 and 1/4"
    assert all(
        clearly(lead(row, find_row(FOUND["lora"], **row["key"] | {"strength": 1.0}))) <= 0
        for row in pick(FOUND["lora"]["rows"], strength=2.0)
    )


def test_what_three_trainings_say_is_told_training_by_training():
    part = PAGE.split("### Text to video is kept")[1].split("###")[0]
    control, ours, recipe = (f"{name}, all weights" for name in ("control: one timestep", "VTA", "recipe"))
    found = {
        (row["key"]["model"], row["key"].get("share")): by_seed(row, "text_alignment")
        for row in FOUND["preserved"]["rows"]
    }
    base = found["base", None]

    def points(one, other):
        each = (100 * (one - other)).mean(1).abs().tolist()
        return f"{each[0]:.1f}, {each[1]:.1f} and {each[2]:.1f} points"

    assert f"in three trainings, by {points(found[ours, 0.1], found[control, 0.1])}." in part
    assert ((found[ours, 0.1] - found[control, 0.1]).mean(1) > 0).all()
    assert f"(there by {points(base, found[control, 0.1])})" in part
    assert f"does so after 1/100, by {points(base, found[recipe, 0.01])}, and no longer after 1/10" in part
    for model, at, below in (
        (control, 0.01, 3),
        (control, 0.1, 3),
        (recipe, 0.01, 3),
        (recipe, 0.1, 2),
        (ours, 0.1, 0),
    ):
        assert int(((found[model, at] - base).mean(1) < 0).sum()) == below
    first = [row for row in FOUND["cost"]["rows"] if "all weights" in row["key"]["way"] and row["key"]["share"] <= 0.1]
    assert all(row["seeds"] == [0, 1, 2] for row in first)
    level, wan = (find_row(FOUND["cost"], way=way, share=1 / 200) for way in (OURS, THEIRS))
    each = (by_seed(level, "psnr") - by_seed(wan, "psnr")).mean(1).tolist()
    assert "in three trainings {:+.2f}, {:+.2f} and {:+.2f} dB".format(*each) in PAGE
    spread = max(float(by_seed(row, "psnr").mean(1).max() - by_seed(row, "psnr").mean(1).min()) for row in first)
    assert f"alike differ by up to {spread:.1f} dB" in PAGE
    kept, lost = [0.0], [0.0]
    for (model, trained), values in found.items():
        if trained:
            means = 100 * values.mean(1)
            (lost if "Wan" in model else kept).append(float(means.max() - means.min()))
    assert f"by up to {max(kept):.0f} points of text alignment where it is kept, or {max(lost):.0f} where" in PAGE


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
    assert len(found["rows"]) == 40 and "note" not in found
    ways = [find_row(found, timestep_sampler=w, rank="all weights", share=1 / 4)["scores"] for w in SAMPLED]
    far, gained = ([s[score][0] for s in ways] for score in ("latent_distance", "alignment_lost"))
    (independent, mixed, half, shared, wan), gained = far, [-100 * lost for lost in gained]
    assert f"differ by {independent:.2f} of their norm, and text alignment has risen by {gained[0]:.1f} po".replace(
        "0.", "."
    ) in part.replace("0.", ".")
    for words in (
        f"half of each draw they differ by {half:.2f}, and it has risen by {gained[2]:.1f};",
        f"task mixture they differ by {mixed:.2f}, and it has changed by {gained[1]:.1f}, which may be chance",
        f"they differ by {shared:.2f}, and it has not changed",
        f"differs by {wan:.2f} and loses {-gained[4]:.0f} points",
    ):
        assert words.replace("0.", ".") in part.replace("0.", "."), words
    low, high = ways[3]["alignment_lost"][1:]
    assert low < 0 < high and abs(gained[3]) < 0.5
    lost = [row for row in found["rows"] if row["scores"]["alignment_lost"][1] > 0]
    (early,) = (row for row in lost if row["key"]["timestep_sampler"] in list(SAMPLED)[:3])
    assert (early["key"]["timestep_sampler"], early["key"]["share"]) == ("task mixture", 1 / 40)
    assert f"the task mixture after 1/40, by {100 * early['scores']['alignment_lost'][0]:.1f} points" in part
    each = [100 * r["scores"]["alignment_lost"][0] for r in lost if r["key"]["timestep_sampler"] == list(SAMPLED)[3]]
    assert len(each) == 3 and f"three of 8 are, by {min(each):.1f} to {max(each):.1f} points" in part
    assert far.index(max(far[:4])) == 0 and gained[0] == max(gained)
    assert verdict(found)[1].count("does not clearly predict it") == 6


def test_what_history_guidance_brings_is_told_as_measured():
    found = read_history(RESULTS / "history.json")
    assert (found["model"], found["scenes"], found["seed"]) == ("mini-vta", 32, 0) and "CPU" in found["device"]
    about = f"seed 0, a CPU, {found['date']}.)"
    assert f"(`pusa-lab bench recipe --history`: `mini-vta`, 32 of the search's scenes, {about}" in PAGE
    over, tasks = gains(found, "psnr"), ("image_to_video", "extension")
    beside = [[over[task, f"history guidance {w}, 5 steps"] for w in ("1.25", "1.5", "2")] for task in tasks]
    halves = over["extension", "history guidance 1.5 by halves, 3 steps"]
    told = ["{}, {} and {} dB".format(*map(signed, each)) for each in beside]
    assert f"change PSNR by {told[0]} at image to video, and none is clearly better at extension." in PAGE
    assert all(clearly(gain) <= 0 for gain in [*beside[0], *beside[1], halves]), "does not help"
    alone, none = (
        [over[t, way] for t in tasks] for way in ("history guidance 1.5, no text CFG", "no guidance, 20 steps")
    )
    told = " and ".join(map(signed, alone)), " and ".join(f"{gain.mean:+.2f}" for gain in none)
    assert "changes it by {} dB, and 20 steps without any by {} dB".format(*told) in PAGE
    searched = {
        row["sampling"]: row
        for row in read_search(RESULTS / "recipe.json")["rows"]
        if row["rung"] == "sampling" and row["name"] == Sizes().recipe
    }
    cost = searched["no guidance, 20 steps"]["text_lost"] - searched["text CFG 3"]["text_lost"]
    assert f"but a prompt alone then has none: {100 * cost:.1f} points of text alignment in the search." in PAGE
    calls = {(row["task"], row["way"]): row["calls"] for row in found["rows"]}
    assert {n for (_, way), n in calls.items() if "halves" not in way and way != "text CFG 3, 5 steps"} == {20}


def test_what_the_search_found_is_told_as_measured():
    found = read_search(RESULTS / "recipe.json")
    rows = {(row["rung"], row["name"], row["sampling"]): row for row in found["rows"]}
    part = " ".join(text("docs/claims.md").split("**How it was found**")[1].split())

    def skill(name, sampling="text CFG 3", rung="0"):
        return f"{rows[rung, name, sampling]['objective']:.2f}".removeprefix("0")

    def lost(name):
        return f"{100 * rows['0', name, 'text CFG 3']['text_lost']:.1f} points"

    assert len([row for row in found["rows"] if row["rung"] == "0"]) == len(TRAINING) == 28
    ways = {row["sampling"] for row in found["rows"] if row["rung"] == "sampling"}
    assert len(ways) == 18 and ways < SAMPLING.keys(), "history guidance was added later"
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
    pictured, few = (rows["sampling", name, way] for way in ("picture guidance 1.5, 5 steps", "text CFG 3, 5 steps"))
    equal = "picture guidance in 5 steps has {:.3f}, text guidance alone in 10 steps {:.3f}; half the calls have {:.3f}"
    told = equal.format(*(row["objective"] for row in (pictured, three, few))).replace("0.", ".")
    assert f"{told}, for {100 * (few['text_lost'] - three['text_lost']):.1f} points of text" in part
    gained = {
        way: row["objective"] - three["objective"]
        for (rung, n, way), row in rows.items()
        if (rung, n) == ("sampling", name)
    }
    assert {way for way, gain in gained.items() if gain > 0.001} == {"text CFG 2"}

"""pytest tests/test_recipe.py: the search for a recipe, and its table."""

import json
from dataclasses import replace

import pandas as pd
import pytest
import scipy
import torch

from pusa_lab.cli import main
from pusa_lab.files import read_json, write_json
from pusa_lab.metrics import Interval, bootstrap
from pusa_lab.sweeps.identity import described
from small_models.experiments import RESULTS, SMALL, Adaptation, Lab, ToyTrainer, read_results
from small_models.experiments import recipe as command
from small_models.experiments import recipe_search as searching
from small_models.experiments import recipe_table as table
from small_models.experiments.pairs import lead, over_seeds, two_way_interval
from small_models.experiments.recipe import read_search, show_search
from small_models.experiments.recipe_results import recipes_verdict
from small_models.experiments.recipe_search import Rung, best_settings, search
from small_models.experiments.recipe_table import measure_seeds

TINY = replace(SMALL, swept=2, prompts=2, clips=6, batch=2, budgets=(1.0,), marks=(1e-7,), brief=1e-7, guidance=1.0)
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*litlogger.*"),
]


def rows(*found):
    names = ("objective", "text_lost low", "status", "error")
    return pd.DataFrame([dict(zip(names, row, strict=True)) for row in found])


def test_settings_that_keep_the_words_go_on_first():
    made = rows((0.9, 0.01, "done", ""), (0.2, -0.1, "done", ""), (0.8, -0.2, "done", ""), (0.95, 0.3, "done", ""))
    assert best_settings(made, 2) == [2, 1]
    assert best_settings(made, 4) == [2, 1, 3, 0]


def test_a_setting_that_failed_is_left_behind():
    nan = float("nan")
    made = rows((nan, nan, "failed", "ValueError: no."), (0.2, -0.1, "done", ""), (0.5, -0.1, "done", ""))
    assert best_settings(made, 2) == [2, 1]
    with pytest.raises(ValueError, match=r"1 row of 3 failed, the first with ValueError: no\. The others are kept"):
        best_settings(made, 3)
    with pytest.raises(ValueError, match="count=4 of 3 rows: give at most as many as there are"):
        best_settings(made, 4)


def objective(rank, share):
    """A stand-in for training: the largest rank is best, and the more so the longer it is trained."""
    return rank * share


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    log = tmp_path / "calls"

    def measured(sizes, code, share, strength=1.0, rank=0, **fields):
        with log.open("a") as file:
            file.write(f"{rank} {share} {strength}\n")
        score, lost = objective(rank, share) * strength, -0.1
        found = {"text_lost": lost, "text_lost low": lost, "text_lost high": 0.1, "objective": score}
        tasks = {f"{task} {name}": score for task in searching.SEARCHED_TASKS for name in ("skill", "psnr")}
        return found | tasks | {"objective low": score - 0.1, "objective high": score + 0.1}

    monkeypatch.setattr(searching, "measured", measured)
    monkeypatch.setattr(searching, "TRAINING", {f"rank {r}": {"rank": r} for r in (1, 4, 2, 3)})
    monkeypatch.setattr(searching, "SAMPLING", {"plain": {}, "stronger": {"strength": 2.0}})
    monkeypatch.setattr(searching, "RUNGS", (Rung(0.1, 2), Rung(0.2, 1)))
    return log


def test_the_better_half_is_trained_for_longer_and_the_best_is_sampled_in_several_ways(stand_in, tmp_path):
    found = search(tmp_path, progress=False)
    assert list(found["rung"]) == ["0"] * 4 + ["1"] * 2 + ["sampling"] * 2
    assert list(found[found["rung"] == "1"]["name"]) == ["rank 4", "rank 3"]
    assert set(found[found["rung"] == "sampling"]["name"]) == {"rank 4"}
    assert found["objective"].max() == objective(4, 0.2) * 2
    before = stand_in.read_text()
    pd.testing.assert_frame_equal(search(tmp_path, progress=False), found)
    assert stand_in.read_text() == before, "rows that are there are not made again"


def test_a_folder_of_other_sizes_is_refused_before_anything_is_trained(stand_in, tmp_path):
    search(tmp_path, progress=False)
    before = stand_in.read_text()
    with pytest.raises(ValueError, match=r"were made with other sizes \(.*swept.*\): give another --out"):
        search(tmp_path, sizes=TINY, progress=False)
    assert stand_in.read_text() == before


def test_rows_do_not_depend_on_where_the_folder_is(tmp_path):
    found = []
    for name in ("a", "b"):
        searching.use_folder(tmp_path / name)
        found.append(described(searching.measured))
    assert found[0] == found[1]


@pytest.mark.parametrize("text", ["[1]", "{}", '{"code": 3, "sizes": {}}', '{"code": "a", "sizes": 4}', "{"])
def test_a_damaged_note_of_what_a_search_was_made_with_is_named(stand_in, tmp_path, text):
    (tmp_path / "search.json").write_text(text)
    with pytest.raises(ValueError, match=r"search.json is not what a search was made with.*: restore"):
        search(tmp_path, progress=False)


@pytest.mark.parametrize(
    ("way", "calls"),
    [
        ("text CFG 3", 20),
        ("no guidance, 20 steps", 20),
        ("picture guidance 1.5", 40),
        ("picture guidance 2, blurred at .3", 60),
        ("solver heun, 5 steps", 18),
    ],
)
def test_ways_to_sample_are_shown_with_their_calls(way, calls):
    shown = show_search(read_search(RESULTS / command.FILE))
    (row,) = [line.split(" | ") for line in shown.splitlines() if line.split(" | ")[1:2] == [way]][:1]
    assert row[2] == str(calls)


def test_the_search_as_a_command(stand_in, tmp_path, capsys):
    assert main(["bench", "recipe", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    found = read_search(tmp_path / command.FILE)
    assert shown.strip() == show_search(found)
    assert found["command"].startswith("pusa-lab bench recipe")
    assert found["objective"] in shown
    first = shown.index("## Trained for 1/10"), shown.index("## Trained for 1/5"), shown.index("## Sampling, after 1/5")
    assert list(first) == sorted(first)
    assert shown.index("| rank 4 |") < shown.index("| rank 3 |"), "the best stands first"
    for rung in {row["rung"] for row in found["rows"]}:
        rows = [row for row in found["rows"] if row["rung"] == rung]
        kept = [row for row in rows if row["text_lost low"] <= 0]
        best = max(kept, key=lambda row: row["objective"])
        assert f"{len(kept)} of {len(rows)} rows fulfil the constraint; the best of these is {best['name']}, " in shown
    assert main(["bench", "recipe", "--show", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == shown.strip()
    assert main(["bench", "recipe", "--show", "--small"]) == 2
    assert "leave out --small, --history and --workers" in capsys.readouterr().err
    assert main(["bench", "recipe", "--show", "--out", str(tmp_path / "none")]) == 2
    assert "none holds no finished search: run one, or name its folder with --out." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("field", "value"), [("objective", "much"), ("image_to_video psnr", None), ("rung", 0), ("share", "1")]
)
def test_a_damaged_search_is_named(stand_in, tmp_path, field, value):
    main(["bench", "recipe", "--out", str(tmp_path)])
    found = read_json(tmp_path / command.FILE, "a search")
    found["rows"][1][field] = value
    write_json(tmp_path / command.FILE, found)
    with pytest.raises(ValueError, match=f"holds a row that is not one of a search for a recipe .*{field}.*: restore"):
        read_search(tmp_path / command.FILE)
    write_json(tmp_path / command.FILE, {**found, "rows": []})
    with pytest.raises(ValueError, match=r"recipe.json holds no row of a search for a recipe: restore the file\.$"):
        read_search(tmp_path / command.FILE)


def test_rows_that_are_no_numbers_or_twice_there_are_refused(tmp_path):
    shipped = read_json(RESULTS / command.FILE, "results")
    write_json(tmp_path / command.FILE, shipped | {"rows": [*shipped["rows"], shipped["rows"][0]]})
    with pytest.raises(ValueError, match="holds the row of independent, text CFG 3 more than once: restore"):
        read_search(tmp_path / command.FILE)
    shipped["rows"][0]["objective"] = float("nan")
    (tmp_path / command.FILE).write_text(json.dumps(shipped))
    with pytest.raises(ValueError, match=r"'objective' is nan, restore the file\.$"):
        read_search(tmp_path / command.FILE)


def test_a_row_of_a_table_is_there_once(tmp_path):
    shipped = read_json(RESULTS / "steps.json", "results")
    write_json(tmp_path / "steps.json", shipped | {"rows": [*shipped["rows"], shipped["rows"][0]]})
    with pytest.raises(ValueError, match=r"steps\.json is not a file of results: the row .* is there more than once"):
        read_results(tmp_path / "steps.json")


def test_every_setting_of_the_search_is_one_that_can_be_trained():
    for fields in searching.TRAINING.values():
        Adaptation(**fields).config(1, 2, "cpu")
    assert len(searching.TRAINING) >= 24


def test_a_row_of_the_search_has_its_scores(tmp_path):
    searching.use_folder(tmp_path)
    found = searching.measured(TINY, "code", 1e-7, steps=2, timestep_sampler="task_mixture")
    skills = [found[f"{task} skill"] for task in searching.SEARCHED_TASKS]
    assert found["objective"] == pytest.approx(sum(skills) / len(skills), abs=0.01)
    assert found["objective low"] <= found["objective"] <= found["objective high"]
    assert found["text_lost"] == pytest.approx(found["base text_alignment"] - found["text_alignment"], abs=1e-4)


def test_the_base_is_measured_once_for_all_processes(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(searching, "_alignment", lambda lab, model: asked.append(model) or torch.tensor([0.25, 1.0]))
    for _ in range(2):
        searching._prepared.cache_clear()
        assert searching._prepared(TINY, tmp_path)[1].tolist() == [0.25, 1.0]
    assert len(asked) == 1
    searching._prepared.cache_clear()


def test_the_table_compares_all_ways_with_all_seeds_of_training(tmp_path):
    lab = Lab(replace(TINY, training_seeds=2), tmp_path, "cpu")
    keys = [key for key, _ in table.recipes(lab, ToyTrainer(lab))]
    assert keys[0] == {"way": "base", "task": "text_to_video", "share": 0.0}
    assert {key["way"] for key in keys[1:]} == {*table.ways(lab.sizes.recipe, 0), table.SPECIALIST}
    assert len(keys) == 1 + 2 * (len(searching.SEARCHED_TASKS) + 1) + 2 + 4
    with pytest.raises(ValueError, match=r"recipe='nope': give the name of a setting, such as 'independent'; "):
        table.ways("nope", 0)
    first, second = (table.ways("quarter", seed)["recipe: quarter"] for seed in (0, 1))
    assert first != second
    assert first.config(1, 2, "cpu").seed + 1 == second.config(1, 2, "cpu").seed


def test_seeds_of_training_are_averaged_and_widen_the_interval():
    made = iter([[1.0, 2.0, 3.0, None], [3.0, 4.0, 5.0, 6.0]])

    class Measures(Lab):
        def __init__(self):
            pass

        def measure(self, make, known=(), **options):
            return {"scores": {}, "by_prompt": {"psnr": next(made)}, "clips": 4}

    found = measure_seeds(Measures(), lambda: iter([None, None]))
    assert found["by_prompt"]["psnr"] == [2, 3, 4, 6]
    assert found["by_seed"]["psnr"][1] == [3, 4, 5, 6]
    assert found["clips"] == 8
    mean, low, high = found["scores"]["psnr"]
    assert mean == pytest.approx(24 / 7)
    assert low < 2.5
    assert high > 4


def test_with_one_seed_of_training_the_interval_is_that_of_the_prompts():
    values = torch.randn(1, 50, generator=torch.Generator().manual_seed(0))
    assert two_way_interval(values) == bootstrap(values[0])
    alike = two_way_interval(values.expand(3, -1))
    assert list(alike) == pytest.approx(list(bootstrap(values[0])), abs=0.05)
    apart = two_way_interval(values + torch.tensor([[-3.0], [0.0], [3.0]]))
    assert apart.high - apart.low > 3 * (alike.high - alike.low)


def test_if_seeds_are_all_that_differs_the_interval_is_students_for_their_means():
    seeds = torch.tensor([[0.3], [1.1], [1.9], [0.2]], dtype=torch.double)
    found = two_way_interval(seeds.expand(4, 7))
    want = scipy.stats.t.interval(0.95, 3, seeds.mean().item(), scipy.stats.sem(seeds.squeeze(1)))
    assert found[1:] == pytest.approx(want)


def test_the_variance_of_the_mean_is_that_of_an_analysis_of_variance():
    """Against sums of squares written out, and a prompt that one seed lacks left out of them."""
    values = torch.randn(3, 9, generator=torch.Generator().manual_seed(2), dtype=torch.double)
    values += torch.tensor([[0.0], [0.7], [-0.9]]) + torch.linspace(-2, 2, 9)
    mean = values.mean().item()
    a = sum(9 * (row.mean() - mean) ** 2 for row in values) / 2
    b = sum(3 * (column.mean() - mean) ** 2 for column in values.T) / 8
    total = (values - mean).square().sum()
    c = (total - 2 * a - 8 * b) / 16
    degrees = ((a + b - c) ** 2 / (a**2 / 2 + b**2 / 8 + c**2 / 16)).item()
    assert abs(degrees - round(degrees)) > 0.2, "rounding would show"
    half = scipy.stats.t.ppf(0.975, degrees) * ((a + b - c) / 27).sqrt().item()
    assert list(two_way_interval(values)) == pytest.approx([mean, mean - half, mean + half])
    more = torch.cat([values, torch.tensor([[5.0], [torch.nan], [5.0]])], 1)
    found = two_way_interval(more)
    assert found.mean == pytest.approx(more.nanmean().item())
    assert found.high - found.low == pytest.approx(2 * half)


@pytest.mark.parametrize(("seeds", "prompts", "rest"), [(1, 0.3, 0.3), (0.3, 1, 0.3), (0, 1, 0.3), (0, 0, 1)])
def test_intervals_over_three_seeds_hold_the_truth_as_often_as_they_say(seeds, prompts, rest):
    g, held, many = torch.Generator().manual_seed(0), 0, 400
    for _ in range(many):
        each = seeds * torch.randn(3, 1, generator=g) + prompts * torch.randn(1, 32, generator=g)
        found = two_way_interval(each + rest * torch.randn(3, 32, generator=g))
        held += found.low < 0 < found.high
    assert held / many > 0.92


def test_a_known_interval_over_prompts_is_widened_by_the_spread_of_seeds():
    alone = Interval(1.0, 0.8, 1.4)
    assert over_seeds(alone, [0.7]) == pytest.approx(alone)
    found = over_seeds(alone, [0.5, 1.0, 1.5])
    further = scipy.stats.t.ppf(0.975, 2) * 0.5 / 3**0.5
    assert list(found) == pytest.approx([1, 1 - (0.2**2 + further**2) ** 0.5, 1 + (0.4**2 + further**2) ** 0.5])


def scored(way, task, share, *values):
    """A row with these scores prompt by prompt."""
    alone = {"text_alignment" if task == "text_to_video" else "psnr": list(values)}
    scores = {name: [sum(each) / len(each), min(each), max(each)] for name, each in alone.items()}
    return {"key": {"way": way, "task": task, "share": share}, "scores": scores, "by_prompt": alone}


def test_the_sentence_on_recipes_compares_prompt_by_prompt():
    independent, recipe, wan, alone = table.INDEPENDENT, "recipe: quarter", table.THEIRS, table.SPECIALIST
    rows = [
        scored("base", "text_to_video", 0.0, 0.5, 0.5),
        *(scored(way, "start_end", 0.05, *psnr) for way, psnr in ((recipe, (20, 30)), (independent, (21, 31)))),
        *(scored(way, "image_to_video", 0.05, *psnr) for way, psnr in ((recipe, (22, 32)), (independent, (20, 30)))),
        scored(wan, "image_to_video", 0.05, 25.0, 35.0),
        scored(recipe, "text_to_video", 0.05, 0.4, 0.5),
        scored(alone, "start_end", 0.05, 20.5, 31.0),
    ]
    found = {"table": "recipes", "title": "t", "rows": rows}
    agrees, sentence = recipes_verdict(found)
    assert agrees is None
    assert (
        "after 1/20 of the base's training clearly above independent timesteps in 1 and clearly below in 1 of 2"
        in sentence
    )
    assert (
        "(image-to-video +2.00 (+2.00 to +2.00) dB), its image-to-video -3.00 (-3.00 to -3.00) dB over Wan's"
        in sentence
    )
    assert "its text alignment -5.00 (-10.00 to +0.00) points over the base's" in sentence
    assert sentence.endswith("specialist in dB: after 1/20 start end -0.75 (-1.00 to -0.50).")
    longer = [scored(recipe, "start_end", 0.1, 21, 31), scored(alone, "start_end", 0.1, 20, 30)]
    assert recipes_verdict(found | {"rows": [*rows, *longer]})[1].endswith(
        "after 1/20 start end -0.75 (-1.00 to -0.50); after 1/10 start end +1.00 (+1.00 to +1.00)."
    ), "a length at which other ways were not measured is left out of the rest"
    assert recipes_verdict(found | {"rows": rows[:-1]})[1].endswith("specialist in dB: not measured.")
    with pytest.raises(ValueError, match="recipes has no row of a recipe: run `pusa-lab bench paper --table recipes`"):
        recipes_verdict(found | {"rows": rows[:1]})
    with pytest.raises(ValueError, match=r"recipes has no row .*Wan's way"):
        recipes_verdict(found | {"rows": [row for row in rows if row["key"]["way"] != wan]})


def test_rows_of_several_seeds_are_compared_seed_by_seed():
    """What differs between seeds alike for both ways is no doubt about their difference."""
    luck, prompts = torch.tensor([[-2.0], [0.0], [2.0]]), torch.randn(1, 30, generator=torch.Generator().manual_seed(1))
    ours, theirs, base = luck + prompts + 0.5, luck + prompts, prompts

    def row(values):
        by_seed = {"by_seed": {"psnr": values.tolist()}} if len(values) > 1 else {}
        return {"key": {"way": "a"}, "scores": {}, "by_prompt": {"psnr": values.mean(0).tolist()}, **by_seed}

    assert list(lead(row(ours), row(theirs))) == pytest.approx([0.5] * 3, abs=1e-5)
    over = lead(row(theirs), row(base))
    assert over.mean == pytest.approx(0, abs=1e-5)
    assert over.low < -1 and over.high > 1, "three seeds that differ by 2 dB"
    with pytest.raises(ValueError, match="3 and 2 seeds of training"):
        lead(row(ours), row(ours[:2]))

"""pytest tests/test_draws.py: the recipe compared with models of one task at equal draws of that task."""

import json
import math

import pytest
import torch

from small_models.experiments import RESULTS, read_results
from small_models.experiments.draws import conditioning, equal_draws, equal_draws_table, part_of_draws, row_between
from small_models.experiments.pairs import lead
from small_models.experiments.report import show_table
from small_models.experiments.rows import find_row
from small_models.experiments.training_seeds import with_seeds
from small_models.experiments.training_tables import length_reaching

RECIPE = "half, free frames in the loss"
ENDS = (0, 8)


@pytest.mark.parametrize(
    ("name", "known", "kind", "subset"),
    [
        ("task mixture", (0,), 0.3, 0.15),
        (RECIPE, (0,), 0.15, 0.075),
        (RECIPE, ENDS, 0.05, 0.075),
        (RECIPE, (0, 1, 2, 3), 0.1 / 6, 0.075),  # a prefix of 2 to 7 frames
        (RECIPE, (0, 1, 8), 0.05 / 7, 0.075),  # both ends and one of seven between
        ("independent", (0,), 0, 0),
    ],
)
def test_the_share_of_draws_is_what_the_sampler_says(name, known, kind, subset):
    """Of any subset, each frame is known with one probability p, uniform up to 0.7."""
    p = 0.7 * (torch.arange(100_000, dtype=torch.double) + 0.5) / 100_000
    exact = kind + subset * (p ** len(known) * (1 - p) ** (9 - len(known))).mean().item()
    assert part_of_draws(name, known, 9) == pytest.approx(exact, abs=0.002)


def test_draws_of_other_videos_are_refused():
    for known in ((9,), (-1,)):
        with pytest.raises(ValueError, match=r"of frames=9: give frames of the video"):
            part_of_draws(RECIPE, known, 9)
    with pytest.raises(ValueError, match="give the name of a setting, such as"):
        part_of_draws("halve", (0,), 9)


def scored(way, share, level, seeds=(0, 1), task="image_to_video"):
    """A row of 16 prompts, better by a decibel a seed."""
    values = [[level + seed + x / 8 for x in range(-8, 8)] for seed in seeds]
    mean = torch.tensor(values).mean(0).tolist()
    alone = {"by_seed": {"psnr": values}} if len(seeds) > 1 else {}
    key = {"way": way, "task": task, "share": share}
    return {"key": key, "scores": {}, "by_prompt": {"psnr": mean}, "seeds": list(seeds)} | alone


def found(*rows):
    return {"table": "recipes", "title": "t", "sizes": {"preset": "mini"}, "rows": list(rows)}


def along(shares, start=20.0, **options):
    """The recipe, better by a decibel whenever its training is doubled."""
    return [scored(f"recipe: {RECIPE}", s, start + math.log2(s / 0.025), **options) for s in shares]


def test_at_equal_draws_the_recipe_is_read_between_two_lengths():
    part = part_of_draws(RECIPE, (0,), 9)
    others = scored("specialist of the task", 0.05, 22.0), scored("Wan's way", 0.1, 22.5)
    one, wan = equal_draws(found(*along([0.025, 0.05, 0.1, 0.2, 0.4]), *others))
    assert (one.task, one.way, one.share, one.seeds) == ("image_to_video", "specialist of the task", 0.05, 2)
    assert one.same_training == pytest.approx((-1, -1, -1))
    assert one.length == pytest.approx(0.05 / part) and one.had == pytest.approx(1)
    assert one.same_draws == pytest.approx([math.log2(2 / part) - 2] * 3), "on a line in log(length)"
    assert one.needs == pytest.approx([2, 2, 2]) and not one.bound
    assert (wan.length, wan.had) == (0.4, pytest.approx(4 * part)), "its longest training is shorter"
    assert wan.same_draws == pytest.approx([1.5] * 3) and wan.needs == pytest.approx([2**0.5] * 3)


def test_rows_of_fewer_seeds_are_compared_by_those_they_share():
    """The longest training has seed 1 alone, and in seed 1 all are better by a decibel."""
    rows = [*along([0.1, 0.2]), *along([0.4], seeds=[1]), scored("specialist of the task", 0.05, 22.0)]
    (one,) = equal_draws(found(*rows))
    assert one.seeds == 1 and one.same_training is None
    assert one.same_draws.mean == pytest.approx(math.log2(2 / part_of_draws(RECIPE, (0,), 9)) - 2)
    low, high = (with_seeds(row) for row in along([0.1, 0.4], seeds=[0, 1, 2]))
    assert lead(row_between(low, high, 0.25), low).mean == pytest.approx(0.5)
    with pytest.raises(ValueError, match=r"seeds in both: \[\]: give a weight in \[0, 1\], and rows that share"):
        row_between(low, *along([0.4], seeds=[5]), 0.5)
    with pytest.raises(ValueError, match=r"part=1\.5"):
        row_between(low, high, 1.5)


def test_a_score_that_is_never_reached_is_bounded():
    rows = along([0.025, 0.05])
    far, near = (scored("specialist of the task", 0.05, level) for level in (30.0, 10.0))
    for other, bound, times in ((far, "at least", 1), (near, "at most", 0.5)):
        (one,) = equal_draws(found(*rows, other))
        assert one.bound == bound and one.needs.mean == pytest.approx(times)
    with pytest.raises(ValueError, match="has no row of the recipe at image_to_video: measure it anew"):
        equal_draws(found(far))


@pytest.mark.parametrize("shares", [[], [0.1, 0.1], [0.0, 0.1], [0.1]])
def test_a_curve_that_is_none_is_refused(shares):
    with pytest.raises(ValueError, match="give ascending lengths above 0, and at each a score"):
        length_reaching(shares, [torch.zeros(1, 4)] * 2, torch.zeros(1, 4))
    with pytest.raises(ValueError, match="of the same prompts"):
        length_reaching([0.1, 0.2], [torch.zeros(1, 4)] * 2, torch.zeros(1, 5))


def test_what_is_shipped_is_shown_with_its_table():
    whole = read_results(RESULTS / "recipes.json")
    shown = show_table(whole)
    assert "\n".join(equal_draws_table(whole)) in shown
    (gain,) = (conditioning(whole)[share] for share in conditioning(whole) if share == 0.05)
    rows = [find_row(whole, way=w, task="image_to_video", share=0.05) for w in ("specialist of the task", "Wan's way")]
    assert gain == lead(*rows)
    by_seed = json.loads((RESULTS / "recipes.json").read_text())
    assert all(len(one.needs) == 3 for one in equal_draws(by_seed))
    assert "At equal draws" not in show_table(
        whole | {"rows": [row for row in whole["rows"] if row["key"]["way"] == "base"]}
    )

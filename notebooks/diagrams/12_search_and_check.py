"""How the recipe was found and checked: a search that halves, then new seeds on scenes that it never saw."""

from svg import BLUE, GREEN, INK, PAPER, SOFT, Drawing

from small_models.experiments import RESULTS, read_results
from small_models.experiments.recipe import read_search


def _counts() -> list[int]:
    """Settings in every round of training of the shipped search."""
    rungs = [row["rung"] for row in read_search(RESULTS / "recipe.json")["rows"] if row["rung"] != "sampling"]
    return [rungs.count(rung) for rung in dict.fromkeys(rungs)]


def draw() -> Drawing:
    """Rounds of a search, then a check beside them."""
    picture, counts = Drawing(760, 300), _counts()
    seeds = read_results(RESULTS / "recipes.json")["sizes"]["training_seeds"]
    rounds = ("1/40 of the training", "1/20", "1/10")
    picture.text(245, 30, "the search: one seed, its own scenes", 15, bold=True)
    for i, (count, what) in enumerate(zip(counts, rounds, strict=True)):
        x = 40 + 150 * i
        picture.rect(x, 50, 126, 150, fill="#ffffff", stroke=SOFT, radius=8)
        for dot in range(count):
            picture.circle(x + 19 + 22 * (dot % 5), 72 + 21 * (dot // 5), 6, fill=BLUE)
        picture.text(x + 63, 222, f"{count} settings", 14, bold=True)
        picture.text(x + 63, 241, what, 13)
        if i < 2:
            picture.arrow(x + 128, 125, x + 148, 125, stroke=INK, width=2)
    picture.line(512, 40, 512, 280, stroke=SOFT, width=2, dash="5 5")
    picture.text(635, 30, "the check", 15, bold=True)
    for seed in range(seeds):
        x = 545 + 65 * seed
        picture.rect(x, 70, 52, 52, fill=PAPER, stroke=GREEN, radius=8)
        picture.text(x + 26, 101, f"seed {seed}", 13)
        picture.arrow(x + 26, 124, x + 26, 148, stroke=GREEN, width=2)
    picture.rect(545, 150, 182, 50, fill="#ffffff", stroke=GREEN, radius=8)
    picture.text(636, 172, "scenes that the search", 13)
    picture.text(636, 190, "has never seen", 13)
    picture.text(636, 222, "trained anew, then", 14, bold=True)
    picture.text(636, 241, "compared scene by scene", 13)
    picture.arrow(468, 96, 541, 96, stroke=GREEN, width=2)
    picture.text(489, 86, "name", 13, fill=GREEN)
    picture.text(262, 275, "objective and constraint were written down before the first run", 14)
    return picture

"""How the recipe was found and checked: a search that halves, then new seeds on scenes that it never saw."""

from svg import BLUE, GREEN, INK, ORANGE, PAPER, SOFT, Drawing

from small_models.experiments import RESULTS, read_results
from small_models.experiments.recipe import read_search


def _counts() -> list[int]:
    """Rows of every round of the shipped search."""
    rungs = [row["rung"] for row in read_search(RESULTS / "recipe.json")["rows"]]
    return [rungs.count(rung) for rung in dict.fromkeys(rungs)]


def draw() -> Drawing:
    """Rounds of a search, then a check beside them."""
    picture, counts = Drawing(760, 300), _counts()
    seeds = read_results(RESULTS / "recipes.json")["sizes"]["training_seeds"]
    rounds = ("1/40 of the training", "1/20", "1/10", "sampling")
    picture.text(245, 30, "the search: one seed, its own scenes", 15, bold=True)
    for i, (count, what) in enumerate(zip(counts, rounds, strict=True)):
        x = 40 + 115 * i
        picture.rect(x, 50, 100, 150, fill="#ffffff", stroke=SOFT, radius=8)
        for dot in range(count):
            colour = ORANGE if i == 3 else BLUE
            picture.circle(x + 18 + 21 * (dot % 4), 64 + 15 * (dot // 4), 5, fill=colour)
        words = "settings" if i < 3 else "ways"
        picture.text(x + 50, 222, f"{count} {words}", 14, bold=True)
        picture.text(x + 50, 241, what, 13)
        if i < 3:
            picture.arrow(x + 101, 125, x + 114, 125, stroke=INK, width=2)
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
    picture.path("M 320 50 V 42 H 500 V 96", stroke=GREEN)
    picture.arrow(500, 96, 540, 96, stroke=GREEN, width=2)
    picture.text(262, 275, "objective and constraint were written down before the first run", 14)
    return picture

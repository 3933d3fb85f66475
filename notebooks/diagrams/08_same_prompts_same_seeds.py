"""Scores of two settings on the same prompts, far apart between prompts, and their differences, which are alike."""

from svg import BLUE, GREEN, ORANGE, SOFT, Drawing

SCORES = (("an easy prompt", 262, 280), ("a harder one", 168, 191), ("the hardest", 74, 89))
LEFT, RIGHT, TOP, ROW, BAR = 150, 550, 62, 64, 17


def draw() -> Drawing:
    """Two bars for each prompt, and a column of differences."""
    d = Drawing(756, 296)
    for x, name, colour in ((LEFT, "setting A", BLUE), (LEFT + 100, "setting B", ORANGE)):
        d.text(x, 36, name, anchor="start", bold=True, fill=colour)
    d.text(RIGHT, 36, "B - A, enlarged", anchor="start", bold=True, fill=GREEN)
    for i, (prompt, a, b) in enumerate(SCORES):
        y = TOP + i * ROW
        d.text(LEFT - 14, y + 22, prompt, anchor="end")
        for k, (score, colour) in enumerate(((a, BLUE), (b, ORANGE))):
            d.rect(LEFT, y + k * BAR, score, BAR - 2, fill=colour, stroke="none", radius=2)
        d.rect(RIGHT, y + 4, 4 * (b - a), 24, fill=GREEN, stroke="none", radius=2)
    for x in (LEFT, RIGHT):
        d.line(x, TOP - 10, x, TOP + 2 * ROW + 44, stroke=SOFT)
    low = TOP + 3 * ROW + 16
    d.text(LEFT, low, "the prompt decides the score", anchor="start")
    d.text(RIGHT, low, "the prompt cancels", anchor="start", bold=True)
    return d
